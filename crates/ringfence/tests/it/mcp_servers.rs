//! Servers that misbehave at their start and at their end: each is made to, and outlives a gate that is not there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who};
use crate::talk::{Era, Talk};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
"#;

/// A server with one tool, which says a variable; how it misbehaves is its first word.
const SERVER: &str = r#"
import json, os, signal, sys, threading, time
how, mark = sys.argv[1], sys.argv[2]
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how == "dies":
    print("cannot open the database", file=sys.stderr)
    sys.exit(1)
if how == "changes":
    changed = json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}) + "\n"
    def change():
        while True:
            os.write(1, changed.encode())
    begun = False
for line in sys.stdin:
    asked = json.loads(line)
    if how == "changes" and asked["method"] == "tools/list" and not begun:
        begun = True
        threading.Thread(target=change, daemon=True).start()
    if how == "mute" or "id" not in asked:
        continue
    result = {}
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": how, "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "say", "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}]}
    elif asked["method"] == "tools/call":
        said = os.environ.get(asked["params"]["arguments"]["name"], "nothing")
        result = {"content": [{"type": "text", "text": said}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
while how == "stubborn":
    time.sleep(1)
"#;

struct Setup {
    person: Person,
    /// A word on the command line of its servers, and of nobody else.
    mark: String,
}

impl Setup {
    fn new(who: Who, servers: &[(&str, &str)]) -> Setup {
        let person = Person::new(who);
        let mark = person.home().display().to_string().replace(['/', '.'], "-");
        let project = person.project().display().to_string();
        person.write("server.py", SERVER);
        let setup = Setup { person, mark };
        let own = setup.own();
        fs::create_dir_all(own.join("mcp")).unwrap();
        fs::write(own.join("policy.cedar"), POLICY.replace("PROJECT", &project)).unwrap();
        for (name, how) in servers {
            let tool = json!({"name": "say", "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}}});
            let file = json!({
                "version": 1, "command": ["/usr/bin/python3", "server.py", how, setup.mark],
                "tools": {"say": {"definition": tool}},
            });
            fs::write(own.join(format!("mcp/{name}.json")), file.to_string()).unwrap();
        }
        setup.person.give(&setup.person.home());
        setup
    }

    fn own(&self) -> PathBuf {
        self.person.home().join(".config/ringfence")
    }

    fn talk(&self) -> Talk {
        Talk::new(self.person.ringfence(&["mcp", "run"]))
    }

    /// How many servers are there.
    fn servers(&self) -> usize {
        let mut found = Command::new("pgrep");
        let output = found.args(["-f", &format!("^/usr/bin/python3 .*{}", self.mark)]).output();
        String::from_utf8_lossy(&output.unwrap().stdout).lines().count()
    }
}

#[test]
fn servers_end_with_a_gate_that_is_killed() {
    for who in Who::all() {
        let setup = Setup::new(who, &[("a", "stubborn"), ("b", "stubborn")]);
        // Without us it stays when its input ends.
        let mut direct = setup
            .person
            .command("/usr/bin/python3".as_ref(), &["server.py", "stubborn", &setup.mark]);
        let mut direct = direct.spawn().unwrap();
        wait_until("the server runs", || setup.servers() == 1);
        std::thread::sleep(Duration::from_millis(500));
        assert!(direct.try_wait().unwrap().is_none(), "{who:?}");
        direct.kill().unwrap();
        direct.wait().unwrap();

        let mut talk = setup.talk();
        let begun = talk.begin();
        assert!(begun["result"]["capabilities"]["tools"].is_object(), "{who:?}: {begun}");
        assert_eq!(setup.servers(), 2, "{who:?}");
        talk.stop(Signal::KILL);
        wait_until("no server is left", || setup.servers() == 0);
    }
}

#[test]
fn servers_that_do_not_end_by_themselves_are_ended_all_at_once() {
    let names = ["a", "b", "c"];
    let setup = Setup::new(Who::Caller, &names.map(|name| (name, "stubborn")));
    let mut talk = setup.talk();
    talk.begin();
    let began = Instant::now();
    talk.close();
    // One takes seven seconds.
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    wait_until("no server is left", || setup.servers() == 0);
}

#[test]
fn a_mute_server_does_not_hold_up_the_others_for_ever() {
    let setup = Setup::new(Who::Caller, &[("a", "mute"), ("b", "good")]);
    let mut talk = setup.talk();
    let begun = talk.begin();
    assert!(begun["result"]["capabilities"]["tools"].is_object(), "{begun}");
    let called = talk.ask("tools/call", json!({"name": "b__say", "arguments": {"name": "no"}}));
    assert_eq!(called["result"]["content"][0]["text"], "nothing", "{called}");
    wait_until("the mute one is ended", || setup.servers() == 1);
    talk.close();
}

#[test]
fn a_server_whose_tools_change_without_end_holds_up_no_other() {
    let setup = Setup::new(Who::Caller, &[("a", "changes"), ("b", "good")]);
    let mut talk = setup.talk();
    talk.begin();
    let is_change = |it: &Value| it["method"] == "notifications/tools/list_changed";
    talk.told("notifications/tools/list_changed");
    for name in 0..8 {
        talk.told.clear();
        let arguments = json!({"name": format!("no-{name}")});
        let called = talk.ask("tools/call", json!({"name": "b__say", "arguments": arguments}));
        assert_eq!(called["result"]["content"][0]["text"], "nothing", "{called}");
    }
    assert!(is_change(&talk.hear()), "it goes on");
    talk.close();
}

#[test]
fn what_a_server_printed_before_it_died_is_told_to_who_waits_for_it() {
    let setup = Setup::new(Who::Caller, &[("a", "dies")]);
    let mut talk = setup.talk();
    let answer = talk.begin();
    let told = answer["error"]["message"].as_str().unwrap();
    assert!(told.contains("ended before it began"), "{told}");
    assert!(told.contains("cannot open the database"), "{told}");
    let (_, said) = talk.close();
    assert!(said.contains("a: cannot open the database"), "{said}");
}

#[test]
fn variables_of_a_server_are_its_own_and_on_no_command_line() {
    let setup = Setup::new(Who::Caller, &[("a", "good")]);
    let path = setup.own().join("mcp/a.json");
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    // The second would have the broker of the server look for its policy elsewhere.
    file["env"] = json!({"SHOP_KEY": "hunter2-of-the-shop", "XDG_CONFIG_HOME": "/nowhere"});
    fs::write(&path, file.to_string()).unwrap();
    let mut talk = setup.talk();
    talk.begin();
    for (name, value) in file["env"].as_object().unwrap() {
        let called = talk.ask("tools/call", json!({"name": "say", "arguments": {"name": name}}));
        assert_eq!(called["result"]["content"][0]["text"], *value, "{called}");
    }
    let all = Command::new("ps").args(["-e", "-ww", "-o", "args="]).output().unwrap();
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(all.contains(&setup.mark) && !all.contains("hunter2"), "{all}");
    talk.close();
    let mut sessions = fs::read_dir(setup.person.home().join(".local/state/ringfence/sessions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let shown = sessions.by_ref().map(|it| setup.person.succeed(&["show", &it, "--json"]));
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown.len(), 2, "the gate's and the server's");
    assert!(shown.iter().any(|it| it.contains("server.py")), "{shown:?}");
    // What the server answers is not there, and what it was started with neither.
    assert!(!shown.concat().contains("hunter2"), "{shown:?}");
}

#[test]
fn a_client_that_starts_before_any_server_was_added_works_and_has_no_tools() {
    for who in Who::all() {
        let person = Person::new(who);
        let own = person.home().join(".config/ringfence");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("policy.cedar"), "// Nothing so far.\n").unwrap();
        person.give(&person.home());
        for era in [Era::Old, Era::New] {
            let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), era);
            assert_eq!(talk.tools(), Vec::<String>::new(), "{who:?} {era:?}");
            let answer = talk.answer("read", json!({}));
            assert_eq!(answer["error"]["message"], "there is no tool `read`", "{who:?} {era:?}");
            let said = talk.end();
            assert!(said.contains("to add one, run `ringfence mcp add"), "{who:?} {era:?}: {said}");
        }
    }
}
