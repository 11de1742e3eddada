//! Servers that lie where no world has anything: what they are made of and what they were given is proposed before they
//! are started, for them alone, and never a home. What one that does not start tried to read is given to nobody unseen, and
//! logins never.

mod kept;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence_testkit::agents::Agents;
use serde_json::json;

use crate::mcp_clients::bring_servers;
use crate::person::{Person, Who, text};
use crate::talk::Talk;

/// Someone with a project, tools beside it, and documents elsewhere.
struct Setup {
    person: Person,
    tools: PathBuf,
    documents: PathBuf,
}

impl Setup {
    fn new(who: Who) -> Setup {
        let person = Person::new(who);
        let home = person.home();
        let (tools, documents) = (home.join("tools"), home.join("documents"));
        fs::create_dir(&tools).unwrap();
        fs::create_dir(&documents).unwrap();
        fs::write(documents.join("a.txt"), "of the documents\n").unwrap();
        fs::write(home.join("private.txt"), "of the home\n").unwrap();
        let setup = Setup { person, tools, documents };
        setup.person.give(&home);
        setup.person.succeed(&["init", "--agent", "generic"]);
        setup
    }

    fn policy(&self) -> PathBuf {
        self.person.home().join(".config/ringfence/policy.cedar")
    }

    fn rules(&self) -> String {
        fs::read_to_string(self.policy()).unwrap_or_default()
    }

    /// What is printed when a server is added, and the exit status.
    fn add(&self, name: &str, command: &[&str]) -> (String, Option<i32>) {
        let words = [&["mcp", "add", name, "--yes", "--"], command].concat();
        let output = self.person.ringfence(&words).output().unwrap();
        (text(&output), output.status.code())
    }

    fn talk(&self, name: &str) -> Talk {
        Talk::with(self.person.ringfence(&["mcp", "run", name]))
    }

    /// Whether an agent can read a file.
    fn reads(&self, agent: &str, file: &Path) -> bool {
        let file = file.display().to_string();
        let mut run =
            self.person.ringfence(&["run", "--agent", agent, "--", "/bin/head", "-c1", &file]);
        run.output().unwrap().status.success()
    }

    fn is_its_alone(&self, server: &str, files: &[PathBuf]) {
        for file in files {
            assert!(self.reads(server, file), "{server}: {}", file.display());
            assert!(!self.reads("other", file), "{}", file.display());
        }
        assert!(!self.reads(server, &self.person.home().join("private.txt")), "{server}");
    }
}

fn in_dir(action: &str, dir: &Path) -> String {
    format!("action {action}, resource in Dir::\"{}\");", dir.display())
}

const READS: &str = "== Action::\"fs.read\"";

/// A rule on what a server is started by, beside those on files.
const RUNS: &str = "action == Action::\"exec\"";

#[test]
fn a_server_of_a_package_in_the_home_is_added_and_works_in_the_directory_it_was_given() {
    let Some(agents) = Agents::for_tests() else { return };
    for who in Who::all() {
        let setup = Setup::new(who);
        let package = "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js";
        let slim =
            "cd $1 && tar -c --exclude=@anthropic-ai --exclude=@openai node_modules | tar -x -C $2";
        let mut copy = Command::new("sh");
        copy.args(["-ec", slim, "sh"]).arg(agents.dir()).arg(&setup.tools);
        assert!(copy.status().unwrap().success());
        // As `npm install -g` does it: a link in a directory of programs.
        let (script, bin) = (setup.tools.join(package), setup.tools.join("bin"));
        fs::create_dir(&bin).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(Path::new("..").join(package), bin.join("files-server")).unwrap();
        let documents = setup.documents.display().to_string();
        let link = bin.join("files-server").display().to_string();
        let script = script.display().to_string();
        for (name, command) in
            [("files", &[link.as_str(), &documents][..]), ("again", &["node", &script, &documents])]
        {
            let (said, code) = setup.add(name, command);
            assert_eq!(code, Some(0), "{who:?}: {said}");
            assert!(!said.contains("it does not start"), "{said}");
            let rules = setup.rules();
            let own = |line: &&str| {
                let is_own = line.starts_with(&format!("permit (principal == Agent::\"{name}\""));
                is_own && !line.contains(RUNS)
            };
            let of_it: Vec<&str> = rules.lines().filter(own).collect();
            assert_eq!(of_it.len(), if name == "files" { 3 } else { 2 }, "{of_it:?}");
            let modules = in_dir(READS, &setup.tools.join("node_modules"));
            let works = in_dir("in Action::\"fs\"", &setup.documents);
            assert!(of_it.iter().any(|it| it.ends_with(&modules)), "{of_it:?}");
            assert!(of_it.iter().any(|it| it.ends_with(&works)), "{of_it:?}");
            let has_link = of_it.iter().any(|it| it.ends_with(&in_dir(READS, &bin)));
            assert_eq!(has_link, name == "files", "{of_it:?}");
        }
        let path = setup.documents.join("a.txt").display().to_string();
        let read = || {
            let mut talk = setup.talk("files");
            let said = talk.call("read_text_file", json!({ "path": path }));
            talk.end();
            said
        };
        // What the caller may not read itself, no server reads for it.
        let (said, failed) = read();
        assert!(failed && said.contains("may not read"), "{said}");
        let rule = format!(
            "permit (principal == Agent::\"mcp-client\", {}\n",
            in_dir(READS, &setup.documents)
        );
        fs::write(setup.policy(), setup.rules() + &rule).unwrap();
        let (said, failed) = read();
        assert!(!failed && said.contains("of the documents"), "{said}");
        setup.is_its_alone("files", &[setup.tools.join(package), setup.documents.join("a.txt")]);
    }
}

#[test]
fn a_server_in_a_virtual_environment_is_added_and_works() {
    let setup = Setup::new(Who::Caller);
    let servers = setup.tools.join("servers");
    bring_servers(&servers);
    // As `python3 -m venv` makes it, but for what stands in the place of its own packages.
    let venv = servers.join("python");
    fs::create_dir(venv.join("bin")).unwrap();
    symlink("/usr/bin/python3", venv.join("bin/python")).unwrap();
    fs::write(venv.join("pyvenv.cfg"), "home = /usr/bin\ninclude-system-site-packages = false\n")
        .unwrap();
    let program = venv.join("bin/mcp-server-git");
    let text_of =
        format!("#!{}/bin/python\nfrom mcp_server_git import main\nmain()\n", venv.display());
    fs::write(&program, text_of).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let git =
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first";
    let made = setup.person.outside(git);
    assert!(made.status.success(), "{}", text(&made));
    let python = venv.join("bin/python").display().to_string();
    let program = program.display().to_string();
    let repository = setup.person.project().display().to_string();
    // What the project's policy permits is for agents that are no servers.
    for (name, command) in [
        ("git", &[program.as_str(), "--repository", &repository][..]),
        ("module", &[&python, "-m", "mcp_server_git"]),
    ] {
        let (said, code) = setup.add(name, command);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("it does not start"), "{said}");
        let rules = setup.rules();
        let of_it = rules
            .lines()
            .filter(|it| it.contains(&format!("Agent::\"{name}\"")) && !it.contains(RUNS))
            .collect::<Vec<_>>();
        let works = in_dir("in Action::\"fs\"", &setup.person.project());
        let works = of_it.iter().filter(|it| it.ends_with(&works)).count();
        assert_eq!((of_it.len(), works), if name == "git" { (2, 1) } else { (1, 0) }, "{of_it:?}");
        assert!(of_it[0].ends_with(&in_dir(READS, &venv)), "{of_it:?}");
        setup.is_its_alone(name, &[venv.join("pyvenv.cfg")]);
    }
    let mut talk = setup.talk("git");
    let (said, failed) = talk.call("git_log", json!({ "repo_path": repository }));
    talk.end();
    assert!(!failed && said.contains("first"), "{said}");
}

/// A server that is one file.
const SERVER: &str = r#"
import json, sys
hello = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
tools = {"tools": [{"name": "read_it", "description": "", "inputSchema": {"type": "object"}}]}
says = {"initialize": {"result": hello}, "tools/list": {"result": tools}}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        said = says.get(asked["method"], {"error": {"code": -32601, "message": "no"}})
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}), flush=True)
"#;

#[test]
fn no_home_and_nothing_with_secrets_or_a_policy_in_it_is_proposed_as_a_whole() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let kept = home.join("kept");
    for dir in [kept.join(".aws"), home.join("other/.ringfence")] {
        fs::create_dir_all(dir).unwrap();
    }
    for dir in [&home, &kept, &setup.tools] {
        fs::write(dir.join("server.py"), SERVER).unwrap();
    }
    symlink(&home, setup.tools.join("link")).unwrap();
    let link = setup.tools.join("link").display().to_string();
    let text_of = |path: &Path| path.display().to_string();
    let (around, other) = (text_of(home.parent().unwrap()), text_of(&home.join("other")));
    let given = ["/", "/usr", &around, &text_of(&home), &link, &other, "--root=/"];
    for (name, dir) in [("home", &home), ("kept", &kept), ("tools", &setup.tools)] {
        let before = setup.rules();
        let script = text_of(&dir.join("server.py"));
        let (said, code) = setup.add(name, &[&["/usr/bin/python3", &script], &given[..]].concat());
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("no rule for it is proposed").count(), 4, "{said}");
        let rules = setup.rules();
        let new = rules.strip_prefix(&before).unwrap();
        let is_own = |it: &&str| it.contains(&format!("Agent::\"{name}\"")) && !it.contains(RUNS);
        let own: Vec<&str> = new.lines().filter(is_own).collect();
        let alone = format!("{READS}, resource == Path::\"{script}\");");
        let expected = if name == "tools" { in_dir(READS, dir) } else { alone };
        assert!(own.len() == 1 && own[0].ends_with(&expected), "{name}: {own:?}");
        assert_eq!(said.contains("alone is proposed"), name != "tools", "{said}");
        // Once more, and nothing is proposed anew.
        let (said, code) = setup.add(name, &[&["/usr/bin/python3", &script], &given[..]].concat());
        assert_eq!((code, setup.rules()), (Some(0), rules), "{said}");
    }
}

#[test]
fn what_a_client_starts_from_elsewhere_is_taken_over_with_what_it_is_made_of() {
    let setup = Setup::new(Who::Caller);
    let script = setup.tools.join("server.py");
    fs::write(&script, SERVER).unwrap();
    let args = json!([script, setup.documents]);
    let config = json!({"mcpServers": {"notes": {"command": "/usr/bin/python3", "args": args}}});
    fs::write(setup.person.home().join(".claude.json"), config.to_string()).unwrap();
    let output = setup.person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let rules = setup.rules();
    for rule in [in_dir(READS, &setup.tools), in_dir("in Action::\"fs\"", &setup.documents)] {
        let rule = format!("permit (principal == Agent::\"notes\", {rule}");
        assert!(rules.contains(&rule), "{rule}: {rules}");
    }
    setup.is_its_alone("notes", &[script, setup.documents.join("a.txt")]);
}

/// What a command may name of where logins and secrets are kept, and what of it is said to be kept back; `HOME` stands for
/// the home.
const TYPED: &[(&str, &str)] = &[
    ("HOME/.claude", "HOME/.claude"),
    ("--dir=HOME/.claude/../.claude", "HOME/.claude"),
    ("HOME/.claude/projects/deep/a.jsonl", "HOME/.claude/projects/deep/a.jsonl"),
    ("HOME/link/projects", "HOME/.claude/projects"),
    ("~/.codex", "HOME/.codex"),
    ("--config=~/.config/gh/hosts.yml", "HOME/.config/gh/hosts.yml"),
    ("HOME/.config/github-copilot", "HOME/.config/github-copilot"),
    ("HOME/.config", "HOME/.config"),
    ("HOME/.codex/..", "HOME"),
    ("HOME/holder", "HOME/holder"),
    ("HOME/tools/auth.json", "HOME/tools/auth.json"),
    ("--notes=HOME/tools/form.txt", "HOME/tools/form.txt"),
];

#[test]
fn what_a_command_names_of_logins_is_kept_back_and_a_yes_unseen_does_not_take_it() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let logins = [
        write(".claude/projects/deep/a.jsonl", "of somebody\n"),
        write(".claude/.credentials.json", "of somebody\n"),
        write(".config/gh/hosts.yml", "of somebody\n"),
        write(".config/github-copilot/apps.json", "of somebody\n"),
        write(".codex/auth.json", "of somebody\n"),
        write("tools/auth.json", "of somebody\n"),
        write("tools/form.txt", &format!("it: {}{}\n", FORMS[0].0, FORMS[0].1)),
        write("holder/aider.yml", "of somebody\n"),
    ];
    symlink(home.join(".claude"), home.join("link")).unwrap();
    symlink(home.join("holder/aider.yml"), home.join(".aider.conf.yml")).unwrap();
    let script = write("server/server.py", SERVER).display().to_string();
    // That it would be proposed at all: one that is like the others but for what is in it.
    let plain = write("plain/a.txt", "of the plain\n");
    setup.person.give(&home);
    let at_home = |text: &str| {
        let below_home = text.replace("HOME", &home.display().to_string());
        below_home.replace("//", "/")
    };
    let (words, names): (Vec<String>, Vec<String>) =
        TYPED.iter().map(|(word, named)| (at_home(word), at_home(named))).unzip();
    let documents = plain.parent().unwrap().display().to_string();
    let mut command = vec!["/usr/bin/python3", script.as_str(), documents.as_str()];
    command.extend(words.iter().map(String::as_str));
    let (said, code) = setup.add("typed", &command);
    assert_eq!(code, Some(0), "{said}");
    for (word, name) in words.iter().zip(&names) {
        assert!(said.contains(&format!("`{name}` is kept back, no rule")), "{word}: {said}");
    }
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(said.matches("is kept back").count(), different.len(), "{said}");
    let rules = setup.rules();
    let is_own = |it: &&str| it.contains("Agent::\"typed\"") && !it.contains(RUNS);
    let own: Vec<&str> = rules.lines().filter(is_own).collect();
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own[1].ends_with(&in_dir("in Action::\"fs\"", Path::new(&documents))), "{own:?}");
    let hint = "`ringfence policy edit --user` and write the rule yourself: permit (principal == Agent::\"typed\",";
    assert!(said.contains(hint), "{said}");
    // The wall, and that what is tried there reads what may be read.
    let mut tried = vec![
        "for it; do head -c1 \"$it\" >/dev/null 2>&1 && echo \"read $it\"; done; true".to_owned(),
    ];
    tried.push("sh".to_owned());
    tried.extend(logins.iter().chain([&plain]).map(|it| it.display().to_string()));
    let tried: Vec<&str> = tried.iter().map(String::as_str).collect();
    let words = [&["run", "--agent", "typed", "--", "/bin/sh", "-c"], &tried[..]].concat();
    let said = setup.person.ringfence(&words).output().unwrap();
    let read = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(read.trim(), format!("read {}", plain.display()), "{}", text(&said));
    // A server that lies there, and is started there.
    write(".claude/tools/server.py", SERVER);
    setup.person.give(&home);
    let words = ["mcp", "add", "there", "--yes", "--", "/usr/bin/python3", "./server.py"];
    let mut add = setup.person.ringfence(&words);
    let said = text(&add.current_dir(home.join(".claude/tools")).output().unwrap());
    assert!(said.contains("server.py` is kept back, no rule"), "{said}");
    assert!(said.contains(".claude/tools` is kept back ("), "{said}");
    let read = "+permit (principal == Agent::\"there\", action == Action::\"fs.read\"";
    assert!(!said.contains(read), "{said}");
}

#[test]
fn a_variable_that_names_a_directory_or_a_file_is_as_a_word_of_the_command() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let make = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let script = make("server/server.py", SERVER);
    let (notes, list) = (make("notes/a.txt", "a"), make("lists/a.txt", "a"));
    let (library, login) = (make("library/a.py", "a = 1\n"), make(".claude/a", "a"));
    let in_project = make("with/.env", "A=1\n");
    setup.person.give(&home);
    let dir = |of: &Path| of.parent().unwrap().display().to_string();
    let variables = [
        format!("NOTES_DIR={}", dir(&notes)),
        format!("LIST_FILE={}", list.display()),
        format!("PYTHONPATH={}:/usr/lib/python3", dir(&library)),
        format!("LOGIN_DIR={}", dir(&login)),
        format!("WITH={}", dir(&in_project)),
        format!("PATH={}:/usr/bin", home.display()),
        "ADDRESS=https://example.com/notes".to_owned(),
    ];
    let mut words = vec!["mcp", "add", "it", "--yes"];
    words.extend(variables.iter().flat_map(|it| ["--env", it]));
    let script = script.display().to_string();
    words.extend(["--", "/usr/bin/python3", &script]);
    let output = setup.person.ringfence(&words).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("is kept back").count(), 1, "{said}");
    assert!(said.contains("with/.env` is called like a secret"), "{said}");
    let rules = setup.rules();
    let is_own = |it: &&str| it.contains("Agent::\"it\"") && !it.contains(RUNS);
    let own: Vec<&str> = rules.lines().filter(is_own).collect();
    let wanted = [
        in_dir(READS, &home.join("library")),
        in_dir(READS, &home.join("server")),
        format!("{READS}, resource == Path::\"{}\");", list.display()),
        in_dir("in Action::\"fs\"", &home.join("notes")),
        in_dir("in Action::\"fs\"", &home.join("with")),
    ];
    assert_eq!(own.len(), wanted.len(), "{own:?}");
    for wanted in &wanted {
        assert!(own.iter().any(|it| it.ends_with(wanted)), "{wanted}: {own:?}");
    }
    setup.is_its_alone("it", &[notes, list, library]);
    assert!(!setup.reads("it", &login));
}

/// A server that reads what it is given and does not start.
const NOSY: &str = r"
import sys
for path in FILES:
    try:
        open(path).read()
    except OSError:
        pass
sys.exit(3)
";

/// What hold logins by their names, below the home.
const LOGINS: &[&str] = &[
    ".aws/credentials",
    ".cache/huggingface/token",
    ".claude.json",
    ".claude.json.before-ringfence",
    ".claude/.credentials.json",
    ".claude/projects/a.jsonl",
    ".codex/auth.json",
    ".config/Claude/claude_desktop_config.json",
    ".config/fly/config.yml",
    ".config/github-copilot/apps.json",
    ".config/github-copilot/hosts.json",
    ".config/solana/id.json",
    ".config/sops/age/keys.txt",
    ".continue/config.yaml",
    ".cursor/mcp.json",
    ".gemini/oauth_creds.json",
    ".huggingface/token",
    ".local/share/opencode/auth.json",
    ".my.cnf",
    ".pgpass",
    "a/auth.json",
    "b/credentials.db",
    "c/token",
    "d/my.wallet",
    "e/wallet.dat",
    "f/keystore",
    "g/.mcp.json",
];

/// What looks like a credential whatever the file is called: how it begins, and how it goes on.
const FORMS: &[(&str, &str)] = &[
    ("ghu_", "16C7e42F292c6912E7710c838347Ae178B4a"),
    ("ghr_", "16C7e42F292c6912E7710c838347Ae178B4a"),
    ("ghs_", "16C7e42F292c6912E7710c838347Ae178B4a"),
    ("hf_", "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"),
    ("ya29.", "a0AfH6SMBx7Jq2mK4nVtRw9cYdE1uLpZs"),
    ("1//0", "gAbCdEfGhIjKlCgYIARAAGBASNwF-L9Ir"),
    ("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlIG9mIG5vYm9keQ"),
    ("{\"refresh_token\": \"", "of-somebody-and-nobody-else\"}"),
];

#[test]
fn what_a_failed_start_read_is_given_to_no_server_unseen_and_logins_are_not_even_proposed() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let mut kept: Vec<String> = LOGINS.iter().map(|name| write(name, "of somebody\n")).collect();
    for (number, (begins, rest)) in FORMS.iter().enumerate() {
        kept.push(write(&format!("form{number}/notes.txt"), &format!("it: {begins}{rest}\n")));
    }
    // That files are proposed from such a start at all: one that is like the others but for what is in it.
    let plain = write("plain/notes.txt", "it: nothing\n");
    let files = json!([&kept[..], std::slice::from_ref(&plain)].concat()).to_string();
    let script = write("server/nosy.py", &NOSY.replace("FILES", &files));
    setup.person.give(&home);
    let (said, code) = setup.add("nosy", &["/usr/bin/python3", &script]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&plain) && said.contains("at a terminal without `--yes`"), "{said}");
    assert_eq!(said.matches("it does not start").count(), 1, "{said}");
    let named = |path: &&String| said.contains(&format!("Dir::\"{path}\""));
    let named: Vec<&String> = kept.iter().filter(named).collect();
    assert!(named.is_empty(), "{named:?}: {said}");
    for dir in ["form0", "a", ".config", ".local/share", ".claude"] {
        let dir = home.join(dir).display().to_string();
        assert!(!said.contains(&format!("Dir::\"{dir}\"")), "{dir}: {said}");
    }
    assert!(!setup.rules().contains("nosy"), "{said}");
    // The same of what a client starts.
    let args = json!([script]);
    let config = json!({"mcpServers": {"nosy": {"command": "/usr/bin/python3", "args": args}}});
    fs::write(home.join(".claude.json"), config.to_string()).unwrap();
    let mut import = setup.person.ringfence(&["mcp", "import", "--all", "--client", "claude"]);
    let said = text(&import.output().unwrap());
    assert!(said.contains(&plain) && said.contains("not given it"), "{said}");
    assert!(!setup.rules().contains("nosy"), "{said}");
    assert!(!setup.reads("nosy", Path::new(&plain)), "{said}");
}
