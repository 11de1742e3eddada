//! What passes a gate beside calls: what clients tell servers without being asked, requests by names that are in use, and
//! members of results that are echoed and not read.

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who};
use crate::served::{Served, call};
use crate::talk::Talk;

/// Nothing is permitted of `a`, everything of `b`.
const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource in Server::"b");
"#;

/// It writes down all that it hears; what it answers has the text in each member that some results echo.
const SERVER: &str = r#"
import json, sys
heard = open(f"heard.{sys.argv[1]}", "a", buffering=1)
for line in sys.stdin:
    heard.write(line)
    asked = json.loads(line)
    if "id" not in asked or "method" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    if method == "server/discover":
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "none"}}), flush=True)
        continue
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "a", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]}
    else:
        text = params["arguments"]["text"]
        result = {"content": [{"type": "text", "text": "said"}]}
        for name in ["resultType", "taskId", "requestState", "nextCursor", "progressToken", "requestId"]:
            result[name] = text
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

fn person(servers: &[&str]) -> Person {
    let person = Person::new(Who::Caller);
    let project = person.project().display().to_string();
    person.write("server.py", SERVER);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(own.join("mcp")).unwrap();
    for name in servers {
        let tool = json!({"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}});
        let file = json!({
            "version": 1, "command": ["/usr/bin/python3", "server.py", name],
            "tools": {"say": {"definition": tool}},
        });
        fs::write(own.join(format!("mcp/{name}.json")), file.to_string()).unwrap();
    }
    fs::write(own.join("policy.cedar"), POLICY.replace("PROJECT", &project)).unwrap();
    person
}

fn heard(person: &Person, server: &str) -> String {
    fs::read_to_string(person.project().join(format!("heard.{server}"))).unwrap_or_default()
}

fn entries(person: &Person, session: &str) -> Vec<Value> {
    let log = person.succeed(&["log", "show", session, "--json"]);
    let all = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.map(|it| it["entry"].clone()).collect()
}

#[test]
fn a_server_of_which_nothing_may_be_called_is_told_nothing() {
    let person = person(&["a", "b"]);
    let served = Served::start(&person, &[]);
    let session = served.begin("2025-11-25");
    for told in [
        json!({"method": "notifications/exfil", "params": {"data": "SECRET-1"}}),
        json!({"method": "notifications/roots/list_changed", "params": {"data": "SECRET-2"}}),
        json!({"method": "notifications/roots/list_changed", "data": "SECRET-3"}),
        json!({"method": "notifications/tasks/status", "params": {"taskId": "t", "statusMessage": "SECRET-4"}}),
        json!({"method": "notifications/progress", "params": {"progressToken": 1, "progress": 1, "message": "SECRET-5"}}),
        json!({"method": "notifications/cancelled", "params": {"requestId": 99, "reason": "SECRET-6"}}),
    ] {
        let mut told = told;
        told["jsonrpc"] = json!("2.0");
        assert_eq!(served.post(&session, &told).status, 202, "{told}");
    }
    // Answered after all that was told before.
    let mut last = call(9, "x");
    last["params"]["name"] = json!("b__say");
    assert!(served.post(&session, &last).body.contains("said"));
    wait_until("what is permitted has come", || heard(&person, "b").contains("SECRET-1"));
    assert!(!heard(&person, "a").contains("SECRET"), "{}", heard(&person, "a"));
    assert_eq!(heard(&person, "b").matches("SECRET").count(), 1, "{}", heard(&person, "b"));
    assert_eq!(heard(&person, "a").matches("roots/list_changed").count(), 2);
    let all = entries(&person, &served.session());
    for (server, verdict) in [("a", "deny"), ("b", "permit")] {
        let tool = format!("{server}/notifications/exfil");
        let decided =
            all.iter().find(|it| it["event"] == "decided" && it.to_string().contains(&tool));
        let decided = decided.unwrap().to_string();
        assert!(decided.contains(&format!("\"{verdict}\"")), "{decided}");
        assert!(decided.contains("\"bytes\":19,"), "with what was told, by its digest: {decided}");
    }
    let odd: Vec<&Value> = all.iter().filter(|it| it["event"] == "odd-message").collect();
    let of = |kind: &str| odd.iter().filter(|it| it["kind"] == kind).count();
    assert_eq!((of("blocked"), of("out-of-place"), of("unknown-answer")), (1, 2, 2), "{odd:?}");
    let said = served.end();
    assert!(said.contains("`notifications/exfil` was denied, and not passed on to `a`"), "{said}");
}

#[test]
fn a_name_that_is_in_use_is_answered_with_an_error_that_is_nobodys() {
    let person = person(&["b"]);
    let mut talk = Talk::in_revision(person.ringfence(&["mcp", "run"]), "2025-11-25");
    // The second one comes while the first is on its way.
    let same = call(77, "x").to_string();
    talk.send_line(&format!("{same}\n{same}"));
    let mut answers = [talk.hear(), talk.hear()];
    answers.sort_by_key(|answer| answer["id"].is_null());
    assert_eq!(answers[0]["result"]["content"][0]["text"], "said", "{answers:?}");
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&Value::Null, &json!(-32600)));
    let said = talk.end();
    assert!(said.contains("a request by a name that is in use: 77"), "{said}");
    assert_eq!(heard(&person, "b").matches("tools/call").count(), 1);
}

#[test]
fn a_result_has_no_member_in_which_a_secret_passes() {
    // Put together here, so that no file has it.
    let token = ["xo", "xb-284719463052-918273645546-Qw7Zt2Xv9Lk4Pm1Rs6Hd8Bn3"].concat();
    let person = person(&["b"]);
    for revision in ["2025-03-26", "2025-11-25"] {
        let mut talk = Talk::in_revision(person.ringfence(&["mcp", "run"]), revision);
        let answer = talk.answer("say", json!({"text": "plain"}));
        assert_eq!(answer["result"]["taskId"], "plain", "all else stays: {answer}");
        let answer = talk.answer("say", json!({"text": token}));
        assert!(!answer.to_string().contains(&token), "{revision}: {answer}");
        let result = answer["result"].as_object().unwrap();
        let taken = result.values().filter(|it| **it == "[redacted: slack-token]").count();
        assert_eq!(taken, 6, "{revision}: {answer}");
        talk.end();
    }
}
