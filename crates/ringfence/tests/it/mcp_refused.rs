//! Clients over HTTP that are refused, or that leave: what is left of them, in the log and besides.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Command;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who};
use crate::served::{Served, call, hello};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
"#;

/// It says what it is told, but for `silent`; who is called `nobody` has no answer.
const SERVER: &str = r#"
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked or "method" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    if method == "initialize" and params["clientInfo"]["name"] == "nobody":
        continue
    if method == "tools/call" and params["arguments"]["text"] == "silent":
        continue
    if method == "server/discover":
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "none"}}), flush=True)
        continue
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "a", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]}
    else:
        result = {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

fn serving() -> (Person, Served) {
    let person = Person::new(Who::Caller);
    let project = person.project().display().to_string();
    person.write("server.py", SERVER);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(own.join("mcp")).unwrap();
    let tool = json!({"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}});
    let file = json!({
        "version": 1, "command": ["/usr/bin/python3", "server.py"],
        "tools": {"say": {"definition": tool}},
    });
    fs::write(own.join("mcp/a.json"), file.to_string()).unwrap();
    fs::write(own.join("policy.cedar"), POLICY.replace("PROJECT", &project)).unwrap();
    let served = Served::start(&person, &[]);
    (person, served)
}

/// How many sessions of clients there are, by what is counted.
fn sessions(served: &Served) -> u64 {
    let head = served.head("GET", "\r\n").replace("/mcp", "/metrics");
    let got = served.send(head.as_bytes());
    let line = got.body.lines().find_map(|line| line.strip_prefix("ringfence_mcp_sessions "));
    line.unwrap().parse().unwrap()
}

/// How many servers run in this project.
fn servers(person: &Person) -> usize {
    let output =
        Command::new("pgrep").args(["-f", "^/usr/bin/python3 server.py"]).output().unwrap();
    let here = |pid: &&str| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it == person.project())
    };
    String::from_utf8_lossy(&output.stdout).lines().filter(here).count()
}

#[test]
fn who_leaves_before_the_session_has_begun_leaves_neither_session_nor_server() {
    const CLIENTS: usize = 4;
    let (person, served) = serving();
    let mut nobody = hello("2025-11-25");
    nobody["params"]["clientInfo"]["name"] = json!("nobody");
    let body = nobody.to_string();
    let head = served.head("POST", "");
    let all: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = served.connect();
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
            stream
        })
        .collect();
    wait_until("each has a server", || servers(&person) == CLIENTS);
    assert_eq!(sessions(&served), CLIENTS as u64);
    drop(all);
    wait_until("no session is left", || sessions(&served) == 0);
    wait_until("no server is left", || servers(&person) == 0);
    let session = served.begin("2025-11-25");
    assert!(served.call(&session, "x").body.contains("\"x\""), "who stays is answered");
    served.end();
}

#[test]
fn several_messages_at_once_begin_no_session() {
    let (person, served) = serving();
    for revision in ["2025-03-26", "2025-11-25"] {
        for batch in [json!([hello(revision)]), json!([hello(revision), call(2, "x")])] {
            let got = served.post("", &batch);
            assert_eq!(got.status, 400, "{batch}: {} {}", got.head, got.body);
            assert_eq!(got.json()["error"]["code"], -32600, "{batch}: {}", got.body);
        }
    }
    assert_eq!((sessions(&served), servers(&person)), (0, 0));
    served.end();
}

/// A request of 2026-07-28 without its headers.
fn alone(method: &str) -> Value {
    let key = |name: &str| format!("io.modelcontextprotocol/{name}");
    let meta = json!({
        key("protocolVersion"): "2026-07-28", key("clientCapabilities"): {},
        key("clientInfo"): {"name": "t", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": {"name": "say", "_meta": meta}})
}

/// Whether what is sent is refused with this status, and one entry says so, of this kind and client.
fn refused(
    (person, served): (&Person, &Served),
    sent: &str,
    (status, kind, client): (u16, &str, &Value),
) {
    let before = odds(person, served).len();
    let got = served.send(sent.as_bytes());
    assert_eq!(got.status, status, "{kind}: {} {}", got.head, got.body);
    let all = odds(person, served);
    assert_eq!(all.len(), before + 1, "{kind}: {:?}", &all[before..]);
    let odd = &all[before];
    assert_eq!((&odd["kind"], &odd["client"]), (&json!(kind), client), "{odd}");
}

fn with(head: &str, body: &str) -> String {
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn what_a_session_is_not_told_is_an_entry_of_its_client() {
    let (person, served) = serving();
    let (one, old) = (served.begin("2025-06-18"), served.begin("2025-03-26"));
    let post = |more: &str| served.head("POST", more);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x/y","params":{{"a":{deep}}}}}"#);
    let twice = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#;
    let say = call(3, "x").to_string();
    let two = format!("[{},{}]", call(4, "x"), call(4, "y"));
    for (head, body, status, kind) in [
        (post(&one), "{", 400, "not-json"),
        (post(&one), deep.as_str(), 400, "ambiguous"),
        (post(&one), twice, 400, "ambiguous"),
        (post(&one), r#"{"jsonrpc":"2.0"}"#, 400, "not-rpc"),
        (post(&one), "[]", 400, "not-rpc"),
        (post(&one), &format!("[{say}]"), 400, "batch"),
        (post(&format!("{one}mcp-method: tools/list\r\n")), &say, 400, "header-mismatch"),
        (post(&one).replace("application/json\r", "text/plain\r"), &say, 415, "http"),
        (post(&one).replace("application/json,", ""), &say, 406, "http"),
        (post(&format!("{one}mcp-protocol-version: 1999-01-01\r\n")), &say, 400, "out-of-place"),
        (served.head("GET", &one).replace(", text/event-stream", ""), "", 406, "http"),
        // Not refused, for the official suite does so too: what was agreed on counts, and that is said.
        (post(&format!("{one}mcp-protocol-version: 2025-03-26\r\n")), &say, 200, "header-mismatch"),
    ] {
        refused((&person, &served), &with(&head, body), (status, kind, &json!(1)));
    }
    refused((&person, &served), &with(&post(&old), &two), (400, "duplicate-id", &json!(2)));
    // It says how long it is, and is not read.
    let large = format!("{}content-length: 20971520\r\n\r\n", post(&one));
    refused((&person, &served), &large, (413, "too-long", &json!(1)));
    assert!(served.call(&one, "x").body.contains("\"x\""), "the session goes on");
    let said = served.end();
    assert!(said.contains("mcp: the client 1: the message is no JSON"), "{said}");
}

#[test]
fn what_is_withdrawn_over_http_is_not_waited_for_and_takes_no_place() {
    /// More than are under way at a time.
    const REQUESTS: u64 = 520;
    let (_person, served) = serving();
    let session = served.begin("2025-11-25");
    let cancel = |id: u64| {
        let params = json!({"requestId": id});
        let told = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        let got = served.post(&session, &told);
        assert_eq!(got.status, 202, "{id}: {} {}", got.head, got.body);
    };
    for id in 10..10 + REQUESTS {
        let mut silent = call(id, "x");
        silent["params"]["arguments"]["text"] = json!("silent");
        let head = served.head("POST", &format!("{session}connection: close\r\n"));
        let mut stream = served.connect();
        stream.write_all(with(&head, &silent.to_string()).as_bytes()).unwrap();
        let mut said = Vec::new();
        if id == 10 {
            // It is under way, and its stream is open.
            said.resize(12, 0);
            stream.read_exact(&mut said).unwrap();
        }
        cancel(id);
        if id < 13 {
            // One that came later than what withdraws it.
            (0..3).for_each(|_| cancel(id));
            stream.read_to_end(&mut said).unwrap();
            let said = String::from_utf8(said).unwrap();
            assert!(said.starts_with("HTTP/1.1 20"), "{said}");
            assert!(!said.contains("jsonrpc"), "it ends without an answer: {said}");
        }
    }
    let got = served.call(&session, "x");
    assert!(got.body.contains("\"x\""), "{} {}", got.head, got.body);
    served.end();
}

#[test]
fn what_is_refused_without_a_session_is_an_entry_too_and_says_nothing_of_who_may_not_ask() {
    let (person, served) = serving();
    let post = |more: &str| served.head("POST", more);
    let say = call(3, "x").to_string();
    let modern = alone("tools/call").to_string();
    let other = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/list\r\n";
    let host = format!("host: 127.0.0.1:{}", served.port);
    for (head, body, status, kind) in [
        (post(""), "{", 400, "not-json"),
        (post(""), say.as_str(), 400, "out-of-place"),
        (post(""), &format!("[{}]", hello("2025-03-26")), 400, "out-of-place"),
        (post("mcp-session-id: guessed\r\n"), &say, 404, "out-of-place"),
        (post(other), &modern, 400, "header-mismatch"),
        (post(""), &modern, 400, "header-mismatch"),
        (post(other), &format!("[{modern}]"), 400, "batch"),
        (post("").replace("/mcp", "/other"), &say, 404, "http"),
        (post("").replace("POST", "PUT"), &say, 405, "http"),
        (served.head("DELETE", ""), "", 400, "out-of-place"),
        (post("").replace(&host, "host: evil.example"), &say, 403, "stranger"),
        (post("origin: http://evil.example\r\n"), &say, 403, "stranger"),
        (post("").replace(&served.token, "evil-of-the-caller"), &say, 401, "stranger"),
        (post("").replace("Bearer", "Evil"), &say, 401, "stranger"),
    ] {
        refused((&person, &served), &with(&head, body), (status, kind, &Value::Null));
    }
    let all = json!(odds(&person, &served)).to_string();
    assert!(!all.to_ascii_lowercase().contains("evil"), "{all}");
    let said = served.end();
    assert!(said.contains("mcp: the client: a request without a token"), "{said}");
}

/// What was odd so far, as the log has it.
fn odds(person: &Person, served: &Served) -> Vec<Value> {
    let log = person.succeed(&["log", "show", &served.session(), "--json"]);
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|it| it["entry"].clone()).filter(|it| it["event"] == "odd-message").collect()
}

#[test]
fn a_flood_of_what_is_refused_is_told_of_so_often_and_no_more() {
    let (person, served) = serving();
    let session = served.begin("2025-06-18");
    // A client of a connection each, without a token.
    let stranger = format!("GET /mcp HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n", served.port);
    for _ in 0..300 {
        assert_eq!(served.send(stranger.as_bytes()).status, 401);
    }
    let (head, body) = (served.head("POST", &session), "{");
    let wrong = format!("{head}content-length: 1\r\n\r\n{body}");
    assert_eq!(served.send(wrong.as_bytes()).status, 400);
    let all = odds(&person, &served);
    let of = |kind: &str| all.iter().filter(|it| it["kind"] == kind).count();
    assert_eq!((of("stranger"), of("too-much"), of("not-json")), (255, 1, 1), "{all:?}");
    served.end();
}
