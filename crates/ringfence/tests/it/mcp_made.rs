//! Servers that make files, and servers that are started from where no project is: what they make is kept or said to be
//! lost, and what they are started by is theirs to run wherever their client is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::person::{Person, Who, text};
use crate::talk::Talk;

/// A server that keeps what it is told in a file, by writing another and renaming it.
const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, sys
hello = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
tools = {"tools": [{"name": "remember", "description": "", "inputSchema": {"type": "object", "properties": {"what": {"type": "string"}}}}]}
def remember(what):
    place = os.environ["MEMORY_FILE_PATH"]
    try:
        with open(place + ".tmp", "w") as file:
            file.write(what)
        os.rename(place + ".tmp", place)
        said = "remembered " + open(place).read()
    except OSError as error:
        said = "failed: " + str(error)
    return {"content": [{"type": "text", "text": said}]}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked["method"] == "tools/call":
        said = {"result": remember(asked["params"]["arguments"]["what"])}
    else:
        says = {"initialize": {"result": hello}, "tools/list": {"result": tools}}
        said = says.get(asked["method"], {"error": {"code": -32601, "message": "no"}})
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}), flush=True)
"#;

/// Someone with a policy of their own that permits nothing, and no project.
struct Setup {
    person: Person,
    script: PathBuf,
}

impl Setup {
    fn new() -> Setup {
        let person = Person::new(Who::Caller);
        let tools = person.home().join("tools");
        fs::create_dir(&tools).unwrap();
        let script = tools.join("server.py");
        fs::write(&script, SERVER).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let own = person.home().join(".config/ringfence");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("policy.cedar"), "// What holds wherever I am.\n").unwrap();
        Setup { person, script }
    }

    fn rules(&self) -> String {
        let policy = self.person.home().join(".config/ringfence/policy.cedar");
        fs::read_to_string(policy).unwrap_or_default()
    }

    /// What is printed when it is added with its memory there.
    fn add(&self, name: &str, memory: &Path) -> String {
        let memory = format!("MEMORY_FILE_PATH={}", memory.display());
        let script = self.script.display().to_string();
        let words =
            ["mcp", "add", name, "--yes", "--env", &memory, "--", "/usr/bin/python3", &script];
        let output = self.person.ringfence(&words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        text(&output)
    }

    fn permit_tools(&self) {
        let policy = self.person.home().join(".config/ringfence/policy.cedar");
        let rule = "\npermit (principal, action in Action::\"tool.call\", resource);\n";
        fs::write(policy, self.rules() + rule).unwrap();
    }

    fn remember(&self, name: &str, what: &str) -> String {
        let mut talk = Talk::with(self.person.ringfence(&["mcp", "run", name]));
        let (said, _) = talk.call("remember", json!({ "what": what }));
        talk.end();
        said
    }
}

fn works_in(name: &str, dir: &Path) -> String {
    format!(
        "permit (principal == Agent::\"{name}\", action in Action::\"fs\", resource in Dir::\"{}\");",
        dir.display()
    )
}

#[test]
fn what_a_server_remembers_is_there_after_it_in_the_directory_that_was_proposed() {
    let setup = Setup::new();
    let dir = setup.person.home().join("memory");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("mem.json");
    let said = setup.add("mem", &file);
    assert!(said.contains("is not there yet: its directory"), "{said}");
    assert!(setup.rules().contains(&works_in("mem", &dir)), "{}", setup.rules());
    setup.permit_tools();
    assert_eq!(setup.remember("mem", "first"), "remembered first");
    assert_eq!(fs::read_to_string(&file).unwrap(), "first");
    // One that is there is replaced, and so needs its directory as well.
    let said = setup.add("again", &file);
    assert!(said.contains("may be replaced: its directory"), "{said}");
    assert!(setup.rules().contains(&works_in("again", &dir)), "{}", setup.rules());
    assert_eq!(setup.remember("again", "second"), "remembered second");
    assert_eq!(fs::read_to_string(&file).unwrap(), "second");
    // What is there already is not proposed again.
    let before = setup.rules();
    let said = setup.add("again", &file);
    assert!(!said.contains("its directory"), "{said}");
    assert_eq!(setup.rules(), before);
}

#[test]
fn what_would_be_lost_is_said_and_no_home_and_nothing_kept_is_opened_for_it() {
    let setup = Setup::new();
    let home = setup.person.home();
    for name in ["bin", ".ssh", "kept/.aws", "work/.git/hooks", ".config/systemd/user"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    for (number, (place, says)) in [
        ("mem.json", "is lost when the server ends"),
        ("bin/mem.json", "is lost when the server ends"),
        ("kept/mem.json", "is lost when the server ends"),
        ("work/.git/hooks/mem.json", "is lost when the server ends"),
        (".config/systemd/user/mem.json", "is lost when the server ends"),
        ("nowhere/mem.json", "here yet): make a directory of its own"),
        ("../../../../../../../tmp/ringfence-none.json", "is lost when the server ends"),
        (".ssh/mem.json", "is kept back"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("mem{number}");
        let said = setup.add(&name, &home.join(place));
        assert!(said.contains(says), "{place}: {said}");
        let rules = setup.rules();
        let works = format!("permit (principal == Agent::\"{name}\", action in Action::\"fs\"");
        assert!(!rules.contains(&works), "{place}: {rules}");
    }
    // That it is lost: the home of its world is its own.
    setup.permit_tools();
    assert_eq!(setup.remember("mem0", "lost"), "remembered lost");
    assert!(!home.join("mem.json").exists());
}

#[test]
fn a_server_is_added_and_runs_from_where_no_project_is() {
    let setup = Setup::new();
    let home = setup.person.home();
    let empty = home.join("empty");
    fs::create_dir(&empty).unwrap();
    let script = setup.script.display().to_string();
    let from = |dir: &Path, words: &[&str]| {
        let mut command = setup.person.ringfence(words);
        command.current_dir(dir);
        command
    };
    let own =
        |name: &str| format!("permit (principal == Agent::\"{name}\", action == Action::\"exec\"");
    for (name, dir, command) in [
        ("root", Path::new("/"), &["/usr/bin/python3", script.as_str()][..]),
        ("empty", &empty, &["python3", &script]),
        ("itself", Path::new("/"), &[&script]),
    ] {
        let words = [&["mcp", "add", name, "--yes", "--"], command].concat();
        let output = from(dir, &words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
        assert!(setup.rules().contains(&own(name)), "{name}: {}", setup.rules());
        setup.permit_tools();
        // From wherever a client starts it.
        for place in [Path::new("/"), &home, &empty, &setup.person.project()] {
            let mut talk = Talk::with(from(place, &["mcp", "run", name]));
            let tools = talk.ask("tools/list", json!({}));
            talk.end();
            let tools = tools["result"]["tools"].as_array().cloned().unwrap_or_default();
            assert_eq!(tools.len(), 1, "{name} in {}", place.display());
        }
    }
    // Its own programs, and for nobody else.
    for (agent, words) in [
        ("other", &["/usr/bin/python3", "-c", "print('ran')"][..]),
        ("root", &["/bin/echo", "ran"]),
        ("itself", &["/bin/sh", "-c", "echo ran"]),
    ] {
        let words = [&["run", "--agent", agent, "--"], words].concat();
        let output = from(&empty, &words).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{agent}: {}", text(&output));
    }
    let words = ["run", "--agent", "root", "--", "/usr/bin/python3", "-c", "print('ran')"];
    let output = from(&empty, &words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ran\n", "{}", text(&output));
}

#[test]
fn a_server_that_is_taken_over_from_a_client_runs_from_where_that_starts() {
    let setup = Setup::new();
    let config = json!({"mcpServers": {"notes": {"command": "python3", "args": [setup.script]}}});
    fs::write(setup.person.home().join(".claude.json"), config.to_string()).unwrap();
    let mut import = setup.person.ringfence(&["mcp", "import", "--all"]);
    let output = import.current_dir("/").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    setup.permit_tools();
    let mut run = setup.person.ringfence(&["mcp", "run", "notes"]);
    run.current_dir("/");
    let mut talk = Talk::with(run);
    let tools = talk.ask("tools/list", json!({}));
    talk.end();
    assert_eq!(tools["result"]["tools"][0]["name"], json!("remember"), "{tools}");
}
