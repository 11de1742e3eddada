//! What a person is told of servers, of calls and of what became of them.

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp::Talk;
use crate::mcp_add::Setup;
use crate::person::{Who, text};
use crate::schemas::conforms;

fn tool(name: &str, arguments: &[&str]) -> Value {
    let of = |name: &&str| ((*name).to_owned(), json!({"type": "string"}));
    let properties: serde_json::Map<String, Value> = arguments.iter().map(of).collect();
    let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    json!({"name": name, "description": "", "inputSchema": schema})
}

/// Someone with the server `it`, whose tools read and write notes.
fn setup() -> Setup {
    let setup = Setup::new(Who::Caller);
    says(&setup, &[tool("read_note", &["path"]), tool("write_note", &["path", "text"])]);
    let words = ["mcp", "add", "it", "--yes", "--", "/usr/bin/python3", "server.py", "old"];
    setup.person.succeed(&words);
    setup
}

fn says(setup: &Setup, tools: &[Value]) {
    setup.person.write("says", &json!({"tools": tools}).to_string());
}

#[test]
fn what_was_refused_before_any_rule_is_never_said_to_be_permitted_now() {
    let setup = setup();
    let person = &setup.person;
    let call = |words: &[&str]| {
        let all = [&["mcp", "test", "it"][..], words].concat();
        let output = person.ringfence(&all).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let entry = said.rsplit_once("run `ringfence explain ").unwrap().1;
        entry.split_once('`').unwrap().0.to_owned()
    };
    let explained = |entry: String, why: &str, hint: &str| {
        let said = text(&person.ringfence(&["explain", &entry]).output().unwrap());
        assert!(said.contains(why) && said.contains(hint), "{why}: {said}");
        assert!(said.contains("no rule was asked, and none can permit it"), "{said}");
        for wrong in ["permits it", "allows it", "no approval"] {
            assert!(!said.contains(wrong), "{wrong}: {said}");
        }
        let json: Value =
            serde_json::from_str(&person.succeed(&["explain", &entry, "--json"])).unwrap();
        conforms(&json, "explain.schema.json");
        assert_eq!((&json["explanation"], &json["same_policy"]), (&Value::Null, &Value::Null));
    };
    let entry = call(&["read_note", r#"{"path": "server.py", "force": "yes"}"#]);
    explained(entry, "the call: the arguments: ", "force");
    let entry = call(&["read_note", r#"{"path": 1}"#]);
    explained(entry, "the call: the arguments: ", "path");
    says(&setup, &[tool("read_note", &["path", "more"]), tool("write_note", &["path", "text"])]);
    let entry = call(&["read_note", r#"{"path": "server.py"}"#]);
    explained(entry, "looked at", "run `ringfence mcp inspect it --diff`");
    // What a rule denies is explained by the rules.
    fs::write(
        setup.policy(),
        setup.rules().replace("@id(\"it-reads\")", "@id(\"no\")").replace(
            "permit (principal, action == Action::\"it/read_note\"",
            "forbid (principal, action == Action::\"it/read_note\"",
        ),
    )
    .unwrap();
    says(&setup, &[tool("read_note", &["path"]), tool("write_note", &["path", "text"])]);
    let entry = call(&["read_note", r#"{"path": "server.py"}"#]);
    let said = person.succeed(&["explain", &entry]);
    assert!(said.contains("does not allow it") && !said.contains("no rule was asked"), "{said}");
}

#[test]
fn a_write_that_was_asked_about_and_not_made_is_no_changed_file() {
    let setup = setup();
    let person = &setup.person;
    let mut talk = Talk::with(person.ringfence(&["mcp", "run"]));
    let arguments = json!({"path": "new.txt", "text": "x"});
    let params = json!({"name": "write_note", "arguments": arguments});
    let call = json!({"jsonrpc": "2.0", "id": 100, "method": "tools/call", "params": params});
    talk.send(&call.to_string());
    wait_until("it is asked about", || {
        text(&person.ringfence(&["approve", "--json"]).output().unwrap()).contains("new.txt")
    });
    talk.end();
    let sessions = person.succeed(&["sessions", "--json"]);
    let of_client = sessions.lines().find(|line| line.contains("mcp-client")).unwrap();
    let of_client: Value = serde_json::from_str(of_client).unwrap();
    let session = of_client["session"].as_str().unwrap();
    let shown: Value = serde_json::from_str(&person.succeed(&["show", session, "--json"])).unwrap();
    assert_eq!(shown["questions"][0]["resource"], "it/write_note", "{shown}");
    for list in ["created", "modified", "deleted"] {
        assert_eq!(shown["unattributed"]["fs_changes"][list], json!([]), "{list}: {shown}");
    }
    let shown = person.succeed(&["show", session]);
    assert!(!shown.contains("modified"), "{shown}");
}
