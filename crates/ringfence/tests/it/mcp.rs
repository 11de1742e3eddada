//! Servers of tools, unmodified, behind the gate: what they are asked is decided, and what they can do is bounded.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ringfence_testkit::agents::Agents;
use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp_broken::odd_of_client;
use crate::mcp_unanswered::session;
use crate::person::{Person, Who, text};
use crate::schemas::conforms;
use crate::talk::Talk;

/// The server of files, in the directory of the tests' agents.
const FILES: &str = "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js";

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action == Action::"fs.read", resource in Dir::"AGENTS");
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("private") forbid (principal == Agent::"files", action in Action::"fs", resource in Dir::"PROJECT/private");
@id("keys") forbid (principal, action == Action::"fs.read", resource == Path::"PROJECT/keys");
"#;

/// Rules on tools, which have to be pinned before.
const RULES: &str = r#"
@id("read") permit (principal == Agent::"client", action == Action::"files/read_text_file", resource);
@id("texts") permit (principal == Agent::"client", action == Action::"files/write_file", resource)
when { context.args.path like "*.txt" };
"#;

/// A person with the server of files added.
pub(crate) struct Setup {
    pub(crate) person: Person,
    pub(crate) server: PathBuf,
}

impl Setup {
    pub(crate) fn new(who: Who) -> Option<Setup> {
        let agents = Agents::for_tests()?;
        let person = Person::new(who);
        // The tests' own installation may lie where only its owner comes.
        let tools = person.ringfence_program().with_file_name("agents");
        fs::create_dir(&tools).unwrap();
        let slim =
            "cd $1 && tar -c --exclude=@anthropic-ai --exclude=@openai node_modules | tar -x -C $2";
        let mut copy = Command::new("sh");
        copy.args(["-ec", slim, "sh"]).arg(agents.dir()).arg(&tools);
        assert!(copy.status().unwrap().success());
        let server = tools.join(FILES);
        assert!(server.exists(), "`cargo xtask setup` installs {FILES}");
        let project = person.project().display().to_string();
        let policy = POLICY.replace("AGENTS", &tools.display().to_string());
        let policy = policy.replace("PROJECT", &project);
        person.write("a.txt", "public\n");
        person.write("keys", "secret\n");
        person.write("private/a.txt", "secret\n");
        let own = person.home().join(".config/ringfence");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("policy.cedar"), &policy).unwrap();
        person.give(&person.home());
        let setup = Setup { person, server };
        let server = setup.server.display().to_string();
        let said = setup.person.succeed(&[
            "mcp",
            "add",
            "files",
            "--yes",
            "--no-policy",
            "--",
            "node",
            &server,
            ".",
        ]);
        assert!(said.contains("read_text_file") && said.contains("path: write-path"), "{said}");
        fs::write(own.join("policy.cedar"), policy + RULES).unwrap();
        setup.person.give(&own);
        Some(setup)
    }

    fn pins(&self) -> PathBuf {
        self.person.home().join(".config/ringfence/mcp/files.json")
    }

    pub(crate) fn talk(&self) -> Talk {
        Talk::with(self.person.ringfence(&["mcp", "run", "--agent", "client"]))
    }
}

#[test]
fn calls_are_decided_by_their_arguments_and_by_what_these_name() {
    for who in Who::all() {
        let Some(setup) = Setup::new(who) else { return };
        let project = setup.person.project();
        std::os::unix::fs::symlink("keys", project.join("link")).unwrap();
        // Without us, all of it can be read.
        let mut direct = Talk::with(
            setup.person.command("node".as_ref(), &[setup.server.to_str().unwrap(), "."]),
        );
        for path in ["keys", "link", "private/a.txt"] {
            assert_eq!(
                direct.call("read_text_file", json!({"path": path})).0,
                "secret\n",
                "{who:?}"
            );
        }
        direct.close();

        let mut talk = setup.talk();
        assert!(talk.tools().contains(&"read_text_file".to_owned()), "{who:?}");
        let read = |path: &str| json!({"path": path});
        assert_eq!(talk.call("read_text_file", read("a.txt")), ("public\n".to_owned(), false));
        let one = json!({"path": "a.txt", "head": 1});
        assert!(!talk.call("read_text_file", one).1, "{who:?}");
        for path in ["keys", "link", "./private/../keys", "~/project/keys", "file:///etc/shadow"] {
            let (said, failed) = talk.call("read_text_file", read(path));
            assert!(failed && said.contains("may not read"), "{who:?} {path}: {said}");
        }
        let (said, _) = talk.call("read_text_file", read("keys"));
        assert!(said.contains("`keys`") && !said.contains("ringfence grant"), "{who:?}: {said}");
        for path in ["keys\"", " keys", "%6beys", "..\\keys", "/proc/self/cwd/keys"] {
            let (said, failed) = talk.call("read_text_file", read(path));
            assert!(failed && said.contains("denied: agent"), "{who:?} {path}: {said}");
        }
        // Permitted to the agent, and not to the server, whose world does not have it.
        let (said, failed) = talk.call("read_text_file", read("private/a.txt"));
        assert!(
            failed && !said.contains("secret") && !said.contains("denied: agent"),
            "{who:?}: {said}"
        );
        let wrong = [
            (json!({}), "required"),
            (json!({"path": "a.txt", "extra": 1}), "`extra` is no argument"),
            (json!({"path": ["a.txt"]}), "path"),
        ];
        for (arguments, why) in wrong {
            let (said, failed) = talk.call("read_text_file", arguments);
            assert!(failed && said.contains(why), "{who:?}: {said}");
        }
        let write = |path: &str| json!({"path": path, "content": "x"});
        assert!(!talk.call("write_file", write("b.txt")).1, "{who:?}");
        assert!(project.join("b.txt").exists(), "{who:?}");
        assert!(talk.call("write_file", write("b.sh")).0.contains("no permit matches"), "{who:?}");
        assert!(!project.join("b.sh").exists(), "{who:?}");
        for address in ["file://localhost/etc/passwd", "file:/etc/passwd", "file:///etc/pass%77d"] {
            let (said, failed) = talk.call("read_text_file", read(address));
            assert!(failed && said.contains("denied: agent"), "{who:?} {address}: {said}");
        }
        for tool in ["move_file", "nothing"] {
            let (said, failed) =
                talk.call(tool, json!({"source": "a.txt", "destination": "c.txt"}));
            assert!(failed && said.contains("denied"), "{who:?} {tool}: {said}");
            let offered = said.contains("run `ringfence grant tool:files/move_file --session ");
            assert_eq!(offered, tool == "move_file", "{who:?}: {said}");
        }
        let said = talk.end();
        let verified = setup.person.ringfence(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{who:?}: {}", text(&verified));
        calls_are_shown(&setup, &said);
    }
}

/// The calls of a session, by what was said at its end.
fn calls_are_shown(setup: &Setup, said: &str) {
    let (_, session) = said.rsplit_once("`ringfence show ").unwrap();
    let (session, _) = session.split_once('`').unwrap();
    let shown = setup.person.succeed(&["show", session]);
    assert!(shown.contains("calls of tools") && shown.contains("not made: it needs"), "{shown}");
    let view: Value =
        serde_json::from_str(&setup.person.succeed(&["show", session, "--json"])).unwrap();
    conforms(&view, "show.schema.json");
    let calls = view["calls"].as_array().unwrap();
    let of = |key: &str| calls.iter().filter(|call| !call[key].is_null()).count();
    assert_eq!(
        (of("not_made"), of("bytes_received"), view["summary"]["failed"].clone()),
        (6, 4, json!(1)),
        "{view}"
    );
}

#[test]
fn what_is_no_message_is_answered_and_the_talk_goes_on() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let mut talk = setup.talk();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"ping","params":{{"x":"{}"}}}}"#,
        "x".repeat(17 << 20)
    );
    let double = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#;
    // Only 2025-03-26 has several at once, and the session is of another revision.
    let several =
        r#"[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":8,"method":"ping"}]"#;
    let wrong = [
        ("{", -32700, "not-json"),
        (&deep, -32600, "ambiguous"),
        (&long, -32600, "too-long"),
        (double, -32600, "ambiguous"),
        ("[]", -32600, "not-rpc"),
        (several, -32600, "batch"),
        (r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#, -32600, "not-rpc"),
        (r#"{"id":1,"method":"ping"}"#, -32600, "not-rpc"),
    ];
    for (line, code, kind) in wrong {
        talk.send_line(line);
        let answer = talk.hear();
        assert_eq!(answer["error"]["code"], code, "{kind}: {answer}");
    }
    assert!(!talk.call("read_text_file", json!({"path": "a.txt"})).1);
    talk.end();
    // Each of them is an entry.
    let odd = odd_of_client(&setup.person, &session(&setup.person, "client"));
    assert_eq!(odd, wrong.map(|(_, _, kind)| kind));
}

#[test]
fn what_an_argument_does_is_known_by_the_role_that_a_person_gave_it() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let own = setup.person.home().join(".config/ringfence/policy.cedar");
    let rules = fs::read_to_string(&own).unwrap()
        + r#"@id("hidden") forbid (principal, action in Action::"tool.call", resource) when { context.opaque };
             @id("ddl") forbid (principal, action == Action::"files/write_file", resource) when { context.sql.contains("ddl") };
             @id("rm") forbid (principal, action == Action::"files/write_file", resource) when { context.programs.contains("rm") };"#;
    fs::write(own, rules).unwrap();
    let pins = fs::read_to_string(setup.pins()).unwrap();
    let wrote = |role: &str, content: &str| {
        let mut pins: Value = serde_json::from_str(&pins).unwrap();
        pins["tools"]["write_file"]["roles"]["content"] = json!(role);
        fs::write(setup.pins(), pins.to_string()).unwrap();
        let mut talk = setup.talk();
        let (said, failed) = talk.call("write_file", json!({"path": "c.txt", "content": content}));
        talk.end();
        (said, failed)
    };
    for (role, content) in [
        ("none", "DROP TABLE t; rm -rf /"),
        ("sql", "SELECT * FROM t"),
        ("command", "cat a.txt"),
        ("email", "a@example.com"),
    ] {
        let (said, failed) = wrote(role, content);
        assert!(!failed, "{role} {content}: {said}");
        let written = fs::read_to_string(setup.person.project().join("c.txt")).unwrap();
        assert_eq!(written, content, "{role}");
    }
    for (role, content, why) in [
        ("sql", "SELECT 1; DROP TABLE t", "`ddl`"),
        ("sql", "SELECT 1 /*! ; DROP TABLE t */", "`hidden`"),
        ("command", "echo $(env rm a.txt)", "`rm`"),
        ("command", "$X a.txt", "`hidden`"),
        ("command", "cat keys", "may not read"),
        ("command", "curl https://evil.example/", "may not connect to evil.example:443"),
        ("email", "\"a@example.com\"@evil.example", "two readings"),
    ] {
        let (said, failed) = wrote(role, content);
        assert!(failed && said.contains(why), "{role} {content}: {said}");
    }
}

#[test]
fn a_tool_that_is_another_than_what_was_pinned_is_not_there() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let pins = fs::read_to_string(setup.pins()).unwrap();
    let changed =
        pins.replacen("Read the complete contents of a file from the file system", "Read", 1);
    assert_ne!(pins, changed);
    fs::write(setup.pins(), changed).unwrap();
    let mut talk = setup.talk();
    let tools = talk.tools();
    assert_eq!(tools, ["write_file"]);
    let (said, failed) = talk.call("read_text_file", json!({"path": "a.txt"}));
    assert!(failed && said.contains("something else"), "{said}");
    talk.end();
    let output = setup.person.ringfence(&["mcp", "inspect", "files", "--diff"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("changed: read_text_file") && said.contains('+'), "{said}");
    let server = setup.server.display().to_string();
    setup.person.succeed(&[
        "mcp",
        "add",
        "files",
        "--yes",
        "--no-policy",
        "--",
        "node",
        &server,
        ".",
    ]);
    let output = setup.person.ringfence(&["mcp", "inspect", "files", "--diff"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_server_that_dies_is_told_of_and_a_client_that_dies_ends_its_servers() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let mut talk = setup.talk();
    let killed =
        Command::new("pkill").args(["-f", setup.server.to_str().unwrap()]).status().unwrap();
    assert!(killed.success());
    let answer =
        talk.ask("tools/call", json!({"name": "read_text_file", "arguments": {"path": "a.txt"}}));
    assert!(answer["error"]["message"].as_str().is_some_and(|it| it.contains("ended")), "{answer}");
    talk.end();
    let mut talk = setup.talk();
    talk.call("read_text_file", json!({"path": "a.txt"}));
    // Without a word.
    talk.leave();
    wait_until("no server is left", || {
        let mut left = Command::new("pgrep");
        left.args(["-f", setup.server.to_str().unwrap()]).stdout(Stdio::null());
        left.status().unwrap().code() == Some(1)
    });
}

#[test]
fn a_grant_for_a_time_holds_for_that_time_in_a_session_that_runs() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let mut talk = setup.talk();
    let lists = |talk: &mut Talk| !talk.call("list_directory", json!({"path": "."})).1;
    assert!(!lists(&mut talk));
    let said =
        setup.person.ringfence(&["grant", "tool:files/list_directory", "--for", "9s", "--yes"]);
    let said = { said }.output().unwrap();
    assert!(said.status.success() && text(&said).contains("in force"), "{}", text(&said));
    assert!(lists(&mut talk), "{}", text(&said));
    // What may not be called is not listed, and the client is told that the list is another.
    assert!(talk.tools().contains(&"list_directory".to_owned()));
    // Asked by the list: the same call again and again would be denied for that.
    // It is longer than what all of this takes on a busy machine, and than other things are waited for.
    let since = std::time::Instant::now();
    while talk.tools().contains(&"list_directory".to_owned()) {
        assert!(since.elapsed() < std::time::Duration::from_secs(30), "the grant does not end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(!lists(&mut talk));
    assert!(
        talk.told.iter().any(|it| it["method"] == "notifications/tools/list_changed"),
        "{:?}",
        talk.told
    );
    talk.end();
}

#[test]
fn a_session_of_tools_is_ended_from_outside_although_its_client_reads_nothing() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let mut talk = setup.talk();
    let asked = json!({"jsonrpc": "2.0", "id": "n", "method": "tools/list"}).to_string();
    for number in 0..400 {
        talk.send_line(&asked.replace("\"n\"", &format!("\"{number}\"")));
    }
    talk.stop(rustix::process::Signal::TERM);
}

#[test]
fn servers_are_listed_looked_at_and_forgotten() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let person = &setup.person;
    let listed: Value = serde_json::from_str(&person.succeed(&["mcp", "list", "--json"])).unwrap();
    conforms(&listed, "mcp-server.schema.json");
    assert_eq!(listed["name"], "files");
    let inspected = person.succeed(&["mcp", "inspect", "files", "--diff", "--json"]);
    conforms(&serde_json::from_str(&inspected).unwrap(), "mcp-server.schema.json");
    assert!(listed["tools"].as_array().unwrap().len() > 10, "{listed}");
    assert!(person.succeed(&["mcp", "inspect", "files"]).contains("move_file"));
    let bad = person.ringfence(&["mcp", "add", "none", "--yes", "--", "true"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
    assert!(text(&bad).contains("ended before"), "{}", text(&bad));
    for words in
        [&["mcp", "run", "none"][..], &["mcp", "inspect", "none"], &["mcp", "remove", "none"]]
    {
        let output = person.ringfence(words).output().unwrap();
        assert!(text(&output).contains("no server"), "{words:?}: {}", text(&output));
    }
    // Rules that name its tools mean nothing any more, and that is said.
    let output = person.ringfence(&["mcp", "remove", "files"]).output().unwrap();
    assert!(
        output.status.success() && text(&output).contains("no tool `files/"),
        "{}",
        text(&output)
    );
    assert!(!setup.pins().exists());
}

/// A client within a world: `ringfence run -- sh -c SCRIPT`, where the script starts `mcp run`.
fn inside(setup: &Setup, script: &str) -> Command {
    setup.person.ringfence(&["run", "--agent", "client", "--", "sh", "-c", script])
}

#[test]
fn a_client_in_a_world_calls_tools_through_its_own_session() {
    for who in Who::all() {
        let Some(setup) = Setup::new(who) else { return };
        let mut talk = Talk::with(inside(&setup, "exec ringfence mcp run"));
        assert!(talk.tools().contains(&"read_text_file".to_owned()), "{who:?}");
        let read = |path: &str| json!({"path": path});
        assert_eq!(talk.call("read_text_file", read("a.txt")), ("public\n".to_owned(), false));
        let (said, failed) = talk.call("read_text_file", read("keys"));
        assert!(failed && said.contains("agent `client` may not read"), "{who:?}: {said}");
        assert!(talk.call("move_file", json!({"source": "a.txt", "destination": "b"})).1);
        let said = talk.end();
        let (_, session) = said.rsplit_once("`ringfence show ").unwrap();
        let (session, _) = session.split_once('`').unwrap();
        let view = setup.person.succeed(&["show", session, "--json"]);
        let view: Value = serde_json::from_str(&view).unwrap();
        conforms(&view, "show.schema.json");
        // One session, one log: the call has the process that spoke for the agent.
        let calls = view["calls"].as_array().unwrap();
        assert_eq!(calls.len(), 2, "{who:?}: {view}");
        let span = calls[0]["span"].as_str().unwrap();
        let of = view["spans"].as_array().unwrap().iter().find(|it| it["span_id"] == span).unwrap();
        assert!(of["command"].as_str().unwrap().contains("mcp run"), "{who:?}: {of}");
        let verified = setup.person.ringfence(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{who:?}: {}", text(&verified));
    }
}

#[test]
fn what_a_world_says_to_its_session_gives_it_no_more_than_its_agent_may() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    // Another agent's name changes nothing: whose world it is decides.
    let script = "exec /run/ringfence/bin/ringfence mcp run --agent client";
    let mut other = setup.person.ringfence(&["run", "--agent", "other", "--", "sh", "-c", script]);
    other.env("RINGFENCE_TOOLS", "/nowhere");
    let mut talk = Talk::with(other);
    let (said, failed) = talk.call("read_text_file", json!({"path": "a.txt"}));
    assert!(failed && said.contains("agent `other` may not call"), "{said}");
    talk.end();
    // What is no first line, or names no server, is answered and served nothing.
    let speak = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n\
                 s.connect('/run/ringfence/tools')\ns.sendall(sys.argv[1].encode() + b'\\n')\n\
                 print(s.makefile().read())";
    for (line, answer) in [
        ("{}", "same version"),
        (r#"{"servers": [], "agent": "client"}"#, "same version"),
        (r#"{"servers": ["nothing"]}"#, "no server `nothing`"),
        (r#"{"servers": ["../x"]}"#, "same version"),
        (r#"{"servers": ["files", "files"]}"#, "`files` is named twice"),
    ] {
        setup.person.write("speak.py", speak);
        let said = setup
            .person
            .ringfence(&["run", "--agent", "client", "--", "python3", "-I", "speak.py", line]);
        let said = text(&{ said }.output().unwrap());
        assert!(said.contains("refused") && said.contains(answer), "{line}: {said}");
    }
    let mut wrong = inside(&setup, "/run/ringfence/bin/ringfence mcp run nothing; echo code $?");
    let said = text(&wrong.output().unwrap());
    assert!(said.contains("no server `nothing`") && said.contains("code 2"), "{said}");
    // The world of a server has no way to servers: it could start itself for ever.
    let script = "ls /run/ringfence; echo ${RINGFENCE_TOOLS:-none}";
    let own = std::process::id().to_string();
    let mut server = setup.person.ringfence(&[
        "run",
        "--agent",
        "files",
        "--server-of",
        &own,
        "--",
        "sh",
        "-c",
        script,
    ]);
    let said = text(&server.output().unwrap());
    assert!(said.contains("none") && !said.contains("tools"), "{said}");
}

/// Two clients in one world, before and after something happens outside; what both are told.
const MEANWHILE: &str = r#"
import json, os, subprocess, sys, time
def send(client, id, method, params):
    client.stdin.write(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + "\n")
    client.stdin.flush()
    while True:
        line = client.stdout.readline()
        if not line:
            return "ended"
        said = json.loads(line)
        if said.get("id") == id:
            return json.dumps(said.get("result", said.get("error")))
def begin():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    client = subprocess.Popen(["ringfence", "mcp", "run"], **pipes)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    return client, send(client, 1, "initialize", hello)
def call(client, id):
    return send(client, id, "tools/call", {"name": "read_text_file", "arguments": {"path": "a.txt"}})
first, _ = begin()
print("before:", call(first, 2), flush=True)
open("began", "w").close()
while not os.path.exists("go-on"):
    time.sleep(0.05)
print("the first after:", call(first, 3), flush=True)
second, _ = begin()
print("another after:", call(second, 2), flush=True)
"#;

#[test]
fn a_server_that_was_removed_is_called_no_more_once_the_policy_is_loaded_anew() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    let project = setup.person.project();
    setup.person.write("meanwhile.py", MEANWHILE);
    let mut world = inside(&setup, "exec python3 -I meanwhile.py");
    let world = world.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut outside = setup.talk();
    assert!(!outside.call("read_text_file", json!({"path": "a.txt"})).1);
    wait_until("a client in the world has called", || project.join("began").exists());
    setup.person.succeed(&["mcp", "remove", "files", "--yes"]);
    setup.person.succeed(&["policy", "reload"]);
    setup.person.write("go-on", "");
    let said = text(&world.wait_with_output().unwrap());
    let line = |begin: &str| said.lines().find(|line| line.starts_with(begin)).unwrap_or(&said);
    assert!(line("before:").contains("public"), "{said}");
    assert!(line("the first after:").contains("its server was removed"), "{said}");
    assert!(!line("the first after:").contains("public"), "{said}");
    assert!(line("another after:").contains("message"), "{said}");
    assert!(!line("another after:").contains("public"), "{said}");
    let (answer, failed) = outside.call("read_text_file", json!({"path": "a.txt"}));
    assert!(failed && answer.contains("its server was removed"), "{answer}");
}
