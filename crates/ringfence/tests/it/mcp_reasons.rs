//! Why calls of tools were decided as they were, as agents, `show`, `explain` and `mcp list` say it.

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp_add::Setup;
use crate::person::text;
use crate::schemas::conforms;
use crate::talk::Talk;

/// Someone with the server `it`, of which `read_note` is permitted and `write_note` is asked about.
fn setup() -> Setup {
    let setup = Setup::of_notes();
    let words = ["mcp", "add", "it", "--yes", "--", "/usr/bin/python3", "server.py", "old"];
    setup.person.succeed(&words);
    setup
}

/// Calls a tool; what is said of it, and in which session that was.
fn call(setup: &Setup, tool: &str, arguments: &Value) -> (String, String) {
    let words = ["mcp", "test", "it", tool, &arguments.to_string()];
    let said = text(&setup.person.ringfence(&words).output().unwrap());
    let (_, entry) = said.rsplit_once("`ringfence explain ").unwrap_or_default();
    let (session, _) = entry.split_once('/').unwrap();
    (said.clone(), session.to_owned())
}

fn shown(setup: &Setup, session: &str) -> Value {
    let shown = serde_json::from_str(&setup.person.succeed(&["show", session, "--json"])).unwrap();
    conforms(&shown, "show.schema.json");
    shown
}

#[test]
fn where_nothing_helps_nobody_is_asked_nothing_is_granted_and_that_is_what_is_said() {
    let setup = setup();
    setup.person.write(".git/hooks/README", "");
    setup.person.write(".git/HEAD", "ref: refs/heads/main\n");
    let (said, session) =
        call(&setup, "write_note", &json!({"path": ".git/hooks/pre-commit", "text": "x"}));
    assert!(said.contains("built in"), "{said}");
    assert!(said.contains("nobody is asked while something else"), "{said}");
    assert!(!said.contains("ringfence grant"), "{said}");
    let json = shown(&setup, &session);
    assert_eq!(json["questions"], json!([]), "{json}");
    let denied = json["denials"].as_array().unwrap();
    let of_tool = denied.iter().find(|it| it["resource"] == "it/write_note").unwrap();
    let rule = of_tool["rule"].as_str().unwrap();
    assert!(rule.contains("nobody was asked: something else of the same call"), "{json}");
    let said = setup.person.succeed(&["show", &session]);
    assert!(said.contains("2 acts denied") && said.contains("2 denied, 0 asked"), "{said}");
    let entry = format!("{session}/{}", of_tool["entry"]);
    let said = text(&setup.person.ringfence(&["explain", &entry]).output().unwrap());
    assert!(said.contains("denied, nobody was asked: agent `mcp-client` may not call"), "{said}");
    assert!(said.contains("something else that the same call needs is denied"), "{said}");
    for wrong in ["refused", "a moment before", "ringfence grant", "approval by"] {
        assert!(!said.contains(wrong), "{wrong}: {said}");
    }
    let json: Value =
        serde_json::from_str(&setup.person.succeed(&["explain", &entry, "--json"])).unwrap();
    conforms(&json, "explain.schema.json");
    assert_eq!(json["answered"]["answer"], "not-asked", "{json}");
    let log = setup.person.succeed(&["log", "show", &session]);
    assert!(log.contains("nobody was asked: something else of the same call"), "{log}");
}

#[test]
fn an_act_that_was_approved_is_shown_with_the_rule_that_asked_and_not_as_a_denial() {
    let setup = setup();
    // A client that is a program of its own: the gate is no child of whoever answers.
    let gate = setup.person.ringfence_program();
    let script = format!("{} mcp run; exit $?", gate.display());
    let mut talk =
        Talk::of_client(setup.person.command("sh".as_ref(), &["-c", &script]), &json!({}));
    let arguments = json!({"path": "new.txt", "text": "what is written"});
    let params = json!({"name": "write_note", "arguments": arguments});
    talk.send(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}));
    let mut entry = String::new();
    wait_until("it is asked about", || {
        let said = text(&setup.person.ringfence(&["approve", "--json"]).output().unwrap());
        let question: Option<Value> = said.lines().find_map(|it| serde_json::from_str(it).ok());
        entry = question.map_or_else(String::new, |it| it["question"].as_str().unwrap().to_owned());
        !entry.is_empty()
    });
    // All that is asked about is seen before anybody answers.
    let said = setup.person.succeed(&["explain", &entry]);
    assert!(said.contains("  | path: \""), "{said}");
    assert!(said.contains("text: \"what is written\""), "{said}");
    setup.person.succeed(&["approve", &entry, "--yes"]);
    assert_eq!(talk.hear()["id"], 7);
    talk.end();
    let (session, _) = entry.split_once('/').unwrap();
    let said = setup.person.succeed(&["show", session]);
    let (_, questions) = said.split_once("1 act asked about").unwrap();
    assert!(questions.contains("asked by `it-changes`"), "{said}");
    assert!(questions.contains("approved by "), "{said}");
    assert!(!questions.contains("no permit matches"), "{said}");
    let said = setup.person.succeed(&["explain", &entry]);
    assert!(said.contains("rule     asked by `it-changes`"), "{said}");
}

#[test]
fn of_a_tool_that_is_asked_about_whatever_its_arguments_that_is_listed() {
    let setup = setup();
    let said = setup.person.succeed(&["mcp", "list", "--agent", "claude"]);
    let line = said.lines().find(|it| it.starts_with("it/write_note")).unwrap();
    assert!(line.contains("a person is asked by `it-changes`"), "{said}");
    assert!(!said.contains("permitted with some arguments"), "{said}");
    let said = setup.person.succeed(&["mcp", "list", "--agent", "claude", "--json"]);
    let server: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    conforms(&server, "mcp-server.schema.json");
    for tool in server["seen"]["tools"].as_array().unwrap() {
        assert_eq!(tool["asked"] == true, tool["name"] == "write_note", "{server}");
    }
}

#[test]
fn a_rule_with_a_misspelt_tool_is_told_of_at_the_start_and_is_the_nearest_to_the_right_one() {
    let setup = setup();
    let before = "permit (principal, action == Action::\"other/time\", resource);\n";
    let rules = setup.rules().replace("\"it/read_note\"", "\"it/read_nte\"");
    assert_ne!(rules, setup.rules());
    fs::write(setup.policy(), format!("@id(\"time-reads\") {before}{rules}")).unwrap();
    let (said, _) = call(&setup, "read_note", &json!({"path": "server.py"}));
    assert!(said.contains("`it-reads` (tool differs: it permits `it/read_nte`)"), "{said}");
    let words = ["mcp", "run"];
    let mut command = setup.person.ringfence(&words);
    let said = text(&command.stdin(std::process::Stdio::null()).output().unwrap());
    assert!(said.contains("no tool `it/read_nte` is pinned"), "{said}");
    assert!(said.contains("did you mean `it/read_note`?"), "{said}");
}

#[test]
fn an_argument_that_is_none_is_denied_with_the_one_that_was_meant() {
    let setup = setup();
    for (tool, arguments, told) in [
        ("read_note", json!({"pth": "a"}), "; did you mean `path`?"),
        ("write_note", json!({"path": "a", "txt": "b"}), "; did you mean `text`?"),
        ("read_note", json!({"path": "a", "force": true}), "`force` is no argument of this tool"),
    ] {
        let (said, _) = call(&setup, tool, &arguments);
        assert!(said.contains(told), "{arguments}: {said}");
    }
    // One that is given is not what was meant.
    let (said, _) = call(&setup, "read_note", &json!({"path": "a", "pth": "b"}));
    assert!(!said.contains("did you mean"), "{said}");
}
