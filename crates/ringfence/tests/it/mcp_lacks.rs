//! A server whose rules were taken out by hand: what is missing is said once, with the command that proposes all of it
//! again, and that command works as it is printed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::mcp_add::Setup;
use crate::person::{Who, text};
use crate::talk::Talk;

/// What reads and changes nothing, with a file beside it without which it does not start.
const SERVER: &str = r#"
import json, os, sys
open(os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "beside.txt")).read()
for line in sys.stdin:
    asked = json.loads(line)
    id, method = asked.get("id"), asked.get("method")
    if id is None:
        continue
    answer = {"error": {"code": -32601, "message": "no"}}
    if method == "initialize":
        answer = {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}}
    elif method == "tools/list":
        answer = {"result": {"tools": [{"name": "read_note", "inputSchema": {"type": "object"}}]}}
    elif method == "tools/call":
        answer = {"result": {"content": [{"type": "text", "text": "called"}]}}
    print(json.dumps({"jsonrpc": "2.0", "id": id, **answer}), flush=True)
"#;

struct Lacks {
    setup: Setup,
    tools: PathBuf,
}

impl Lacks {
    fn new() -> Lacks {
        let setup = Setup::new(Who::Caller);
        let tools = setup.person.home().join("tools of mine");
        fs::create_dir(&tools).unwrap();
        fs::write(tools.join("server.py"), SERVER).unwrap();
        fs::write(tools.join("beside.txt"), "").unwrap();
        setup.person.give(&setup.person.home());
        Lacks { setup, tools }
    }

    fn at(&self, name: &str) -> String {
        self.tools.join(name).display().to_string()
    }

    fn program(&self, name: &str, first: &str) -> String {
        let file = self.tools.join(name);
        fs::write(&file, format!("#!{first}\n{SERVER}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self.setup.person.give(&file);
        file.display().to_string()
    }

    fn add(&self, name: &str, words: &[&str]) {
        self.setup.person.succeed(&[&["mcp", "add", name, "--yes"], words].concat());
    }

    /// Takes the rules on files out that were written for servers, as a person would.
    fn take_out(&self) {
        let mut left = String::new();
        for rule in self.setup.rules().split_inclusive(";\n") {
            let is_of_server = rule.contains("(principal == Agent::") && rule.contains("\"fs");
            left.push_str(if is_of_server { "" } else { rule });
        }
        fs::write(self.setup.policy(), left).unwrap();
    }

    fn run(&self, words: &[&str]) -> (String, Option<i32>) {
        let output = self.setup.person.ringfence(words).output().unwrap();
        (text(&output), output.status.code())
    }

    fn pinned(&self, name: &str) -> String {
        fs::read_to_string(self.setup.own().join(format!("mcp/{name}.json"))).unwrap()
    }
}

/// The words of the one command that is hinted at, as a shell reads them.
fn hinted(said: &str, name: &str) -> Vec<String> {
    let begins = format!("`ringfence mcp add {name} -- ");
    assert_eq!(said.matches(&begins).count(), 1, "{name}: {said}");
    assert!(!said.contains("policy edit") && !said.contains("ringfence grant"), "{name}: {said}");
    let (_, rest) = said.split_once(&begins).unwrap();
    let command = rest.split_once('`').unwrap().0;
    let script = format!("printf '%s\\n' {command}");
    let words = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    let first = ["mcp", "add", name, "--"].map(str::to_owned);
    first.into_iter().chain(words.lines().map(str::to_owned)).collect()
}

#[test]
fn what_a_server_lacks_is_said_once_and_the_command_that_is_hinted_at_proposes_all_of_it() {
    let lacks = Lacks::new();
    let (script, linked) = (lacks.at("server.py"), lacks.setup.person.home().join("links/of it"));
    fs::create_dir(linked.parent().unwrap()).unwrap();
    // One that a program of the home interprets.
    let interpreter = lacks.setup.person.home().join("run");
    fs::copy("/usr/bin/python3", &interpreter).unwrap();
    lacks.setup.person.give(&interpreter);
    // One file alone, and who runs it.
    let by_other = lacks.program("other", &interpreter.display().to_string());
    let alone = fs::read_to_string(&by_other).unwrap().replacen("open(", "str(", 1);
    fs::write(&by_other, alone.replacen(").read()", ")", 1)).unwrap();
    symlink(lacks.program("linked.py", "/usr/bin/python3"), &linked).unwrap();
    let linked = linked.display().to_string();
    let all: [(&str, Vec<&str>); 3] = [
        ("script", vec!["/usr/bin/python3", &script]),
        ("other", vec![&by_other]),
        ("linked", vec![&linked]),
    ];
    for (name, command) in &all {
        lacks.add(name, &[&["--env", "NOTE=a b", "--"], &command[..]].concat());
    }
    lacks.take_out();
    for (name, command) in &all {
        let (tried, code) = lacks.run(&["mcp", "test", name]);
        assert_eq!(code, Some(2), "{name}: {tried}");
        let words = hinted(&tried, name);
        assert_eq!(&words[4..], command, "{tried}");
        let (called, code) = lacks.run(&["mcp", "test", name, "read_note"]);
        assert!(matches!(code, Some(1 | 2)), "{name}: {called}");
        assert_eq!(hinted(&called, name), words);
        // Refused, it is as it was; agreed to, nothing else is asked, and what was pinned stays.
        let (rules, pinned) = (lacks.setup.rules(), lacks.pinned(name));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (_, code) = lacks.run(&words);
        assert_eq!((code, lacks.setup.rules()), (Some(2), rules.clone()), "{name}");
        let (said, code) = lacks.setup.typed(&[("let it have that?", "y")], &words);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains("is as it was pinned") && said.contains("`NOTE`"), "{name}: {said}");
        assert_eq!(lacks.pinned(name), pinned, "{name}");
        let after = lacks.setup.rules();
        let new = after.strip_prefix(&rules).unwrap();
        let only_its =
            format!("permit (principal == Agent::\"{name}\", action == Action::\"fs.read\"");
        assert_eq!(
            new.matches("permit (").count(),
            new.matches(&only_its).count(),
            "{name}: {new}"
        );
        let (said, code) = lacks.run(&["mcp", "test", name]);
        assert!(code == Some(0) && said.contains("as it was pinned"), "{name}: {said}");
    }
}

#[test]
fn one_cause_is_said_once_to_a_person_and_once_to_a_client_and_never_as_it_came_over_the_wire() {
    let lacks = Lacks::new();
    lacks.add("it", &["--", "/usr/bin/python3", &lacks.at("server.py")]);
    lacks.take_out();
    let cause = "can't open file";
    let mut talk = Talk::new(lacks.setup.person.ringfence(&["mcp", "run", "it"]));
    let answer = talk.begin();
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!(message.matches(cause).count(), 1, "{message}");
    assert!(message.contains("`ringfence mcp add it -- /usr/bin/python3 '"), "{message}");
    let said = talk.close().1;
    assert_eq!(said.matches(cause).count(), 1, "{said}");
    assert_eq!(said.matches("ringfence mcp add it --").count(), 1, "{said}");
    assert!(
        said.contains("mcp: it: it did not begin: the server ended before it began; what"),
        "{said}"
    );
    for words in [&["mcp", "test", "it"][..], &["mcp", "test", "it", "read_note"]] {
        let (said, _) = lacks.run(words);
        assert_eq!(said.matches(cause).count(), 1, "{words:?}: {said}");
        assert!(!said.contains("-32603"), "{words:?}: {said}");
        assert!(said.contains("the server ended before it"), "{words:?}: {said}");
    }
    // Programs have it whole.
    let json = lacks.setup.person.ringfence(&["mcp", "test", "it", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["error"].as_str().unwrap().contains(cause), "{json}");
    // The log has the cause as well.
    let session = said.rsplit_once("`ringfence show ").unwrap().1.split_once('`').unwrap().0;
    let shown = lacks.setup.person.succeed(&["log", "show", session]);
    assert!(shown.contains(cause) && !shown.contains("-32603"), "{shown}");
}

#[test]
fn nothing_is_hinted_at_that_would_not_help() {
    let lacks = Lacks::new();
    lacks.add("it", &["--", "/usr/bin/python3", &lacks.at("server.py")]);
    // A rule forbids it: the one that permits it is there.
    let dir = lacks.tools.display();
    let forbid = format!("forbid (principal, action, resource in Dir::\"{dir}\");\n");
    fs::write(lacks.setup.policy(), lacks.setup.rules() + &forbid).unwrap();
    let (said, code) = lacks.run(&["mcp", "test", "it"]);
    assert!(code == Some(2) && !said.contains("mcp add"), "{said}");
    // It has all, and ends of itself.
    lacks.setup.person.write("ends.py", "raise SystemExit(3)\n");
    let file = lacks.setup.own().join("mcp/ends.json");
    let ends = json!({"version": 1, "command": ["/usr/bin/python3", "ends.py"]});
    fs::write(file, ends.to_string()).unwrap();
    let (said, code) = lacks.run(&["mcp", "test", "ends"]);
    assert!(code == Some(2) && !said.contains("mcp add"), "{said}");
    // A secret on a command line is on no other.
    let script = lacks.at("server.py");
    let command = ["/usr/bin/python3", &script, "--api-key", "sk-ant-api03-uB7xq2Lr9Tz5Wk1"];
    let file = lacks.setup.own().join("mcp/keyed.json");
    fs::write(file, json!({"version": 1, "command": command}).to_string()).unwrap();
    let (said, _) = lacks.run(&["mcp", "test", "keyed"]);
    assert!(said.contains("`ringfence mcp add keyed`"), "{said}");
    assert!(!said.contains("uB7xq2Lr9Tz5Wk1"), "{said}");
}
