//! Servers over standard input and output that answer in no way that can be read, or not at all: whoever called hears of
//! it, and nobody else is held up.

use std::fs;

use serde_json::{Value, json};

use crate::person::{Person, Who, text};
use crate::talk::{Era, Talk};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"client", action in Action::"tool.call", resource);
"#;

/// A server that answers as it is told to.
const SERVER: &str = r#"
import json, os, sys
calls = 0
def out(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    id = json.dumps(asked["id"])
    fine = lambda result: out(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))
    if asked["method"] == "initialize":
        fine({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "box", "version": "1"}})
    elif asked["method"] == "tools/list":
        fine({"tools": [{"name": "say", "inputSchema": {"type": "object", "properties": {"how": {"type": "string"}}}}]})
    elif asked["method"] == "tools/call":
        how = asked["params"]["arguments"]["how"]
        open("asked", "a").write(how + "\n")
        calls += 1
        head = '{"jsonrpc":"2.0","id":' + id + ',"result":{"content":[{"type":"text","text":"said"}],"x":'
        if how == "deep":
            out(head + "[" * 100000 + "]" * 100000 + "}}")
        elif how == "long":
            sys.stdout.write(head + '"')
            for _ in range(100):
                sys.stdout.write("x" * 1000000)
            out('"}}')
        elif how == "no-json":
            out(head + "NaN}}")
        elif how == "two-keys":
            out(head + '1,"x":2}}')
        elif how == "no-utf-8":
            sys.stdout.buffer.write(head.encode() + b'"\xff"}}\n')
            sys.stdout.flush()
        elif how == "no-version":
            out('{"id":' + id + ',"result":{}}')
        elif how == "printed":
            out("called by " + id)
            fine({"content": [{"type": "text", "text": "said"}]})
        elif how == "twice":
            fine({"content": [{"type": "text", "text": "said"}]})
            fine({"content": [{"type": "text", "text": "said again"}]})
        elif how == "count":
            fine({"content": [{"type": "text", "text": "said %d" % calls}]})
        elif how == "die":
            os._exit(3)
        elif how == "flood":
            # Nobody waits for any of it.
            head = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"none","progress":1,"x":['
            few, many = head + "[]," * 85000 + "0]}}\n", (head + "[]," * 16 + "0]}}\n") * 1024
            for number in range(200):
                if os.path.exists("stop"):
                    break
                sys.stdout.write(many if number % 2 else few)
                sys.stdout.flush()
                open("flooding", "w").write(str(number))
            else:
                open("flooded", "w")
            fine({"content": [{"type": "text", "text": "said"}]})
        elif how == "well" or how.startswith("like "):
            fine({"content": [{"type": "text", "text": "said"}]})
    else:
        out(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}}))
"#;

pub(crate) fn setup() -> Person {
    let person = Person::new(Who::Caller);
    person.write("server.py", SERVER);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(own.join("mcp")).unwrap();
    let project = person.project().display().to_string();
    fs::write(own.join("policy.cedar"), POLICY.replace("PROJECT", &project)).unwrap();
    let schema = json!({"type": "object", "properties": {"how": {"type": "string"}}});
    for name in ["box", "other"] {
        let file = json!({
            "version": 1, "command": ["/usr/bin/python3", "server.py"],
            "tools": {"say": {"definition": {"name": "say", "inputSchema": schema}}},
        });
        fs::write(own.join("mcp").join(format!("{name}.json")), file.to_string()).unwrap();
    }
    person.give(&person.home());
    person
}

pub(crate) fn talk(person: &Person, era: Era) -> Talk {
    Talk::of_era(person.ringfence(&["mcp", "run", "--agent", "client"]), era)
}

/// The latest session of an agent.
pub(crate) fn session(person: &Person, agent: &str) -> String {
    let sessions = person.succeed(&["sessions", "--json"]);
    let all = sessions.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_agent = all.rev().find(|session| session["agent"] == agent).unwrap();
    of_agent["session"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_that_cannot_be_read_fails_its_call_and_nothing_else() {
    let person = setup();
    for era in [Era::Old, Era::New] {
        let mut talk = talk(&person, era);
        // A call that waits all the while.
        let waits =
            talk.request("tools/call", json!({"name": "other__say", "arguments": {"how": "mute"}}));
        for (how, why) in [
            ("deep", "nested deeper than 64 levels"),
            ("long", "longer than 16777216 bytes"),
            ("no-json", "the message is no JSON"),
            ("two-keys", "twice"),
            ("no-utf-8", "no UTF-8"),
            ("no-version", "`jsonrpc` is not"),
        ] {
            let (said, failed) = talk.call("box__say", json!({"how": how}));
            assert!(
                failed && said.contains("its server's answer cannot be read"),
                "{era:?}: {said}"
            );
            assert!(said.contains(why), "{era:?}: {how}: {said}");
            assert_eq!(talk.call("box__say", json!({"how": "well"})), ("said".to_owned(), false));
        }
        // What is printed by mistake is no answer, and there is one answer alone.
        for how in ["printed", "twice", "well"] {
            assert_eq!(talk.call("box__say", json!({"how": how})), ("said".to_owned(), false));
        }
        assert!(!talk.told.iter().any(|told| told["id"] == waits), "{:?}", talk.told);
        talk.end();
    }
    let verified = person.ringfence(&["log", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    let log = person.succeed(&["log", "show", &session(&person, "client")]);
    for kind in [
        "longer than",
        "nested deeper",
        "is no JSON",
        "`jsonrpc` is not",
        "it was not asked",
        "end not seen",
    ] {
        assert!(log.contains(kind), "{kind}: {log}");
    }
}

#[test]
fn a_server_that_says_nothing_to_a_call_is_given_up_when_the_settings_say_so() {
    let person = setup();
    let settings = person.home().join(".config/ringfence/settings.toml");
    fs::write(&settings, "[tools]\nanswer_seconds = 1\n").unwrap();
    person.give(&settings);
    for era in [Era::Old, Era::New] {
        let mut talk = talk(&person, era);
        let (said, failed) = talk.call("box__say", json!({"how": "mute"}));
        assert!(failed && said.contains("has not answered within 1 s"), "{era:?}: {said}");
        assert_eq!(talk.call("box__say", json!({"how": "well"})), ("said".to_owned(), false));
        talk.end();
    }
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused_by_its_name() {
    let person = setup();
    let mut talk = talk(&person, Era::Old);
    talk.send_line(r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"box__say","name":"x"}}"#);
    let refused = talk.hear();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!("mine"), &json!(-32600)),
        "{refused}"
    );
    talk.end();
}
