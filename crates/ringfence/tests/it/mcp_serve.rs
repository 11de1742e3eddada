//! Clients over HTTP: who may come in, what belongs to whom, and what a client that misbehaves can do.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who, text};
use crate::served::{Got, Served, call};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
forbid (principal, action == Action::"a/say", resource) when { context.args has text && context.args.text == "no" };
"#;

/// It says what it is told, and how often it was; `slow` takes three seconds, `told` tells something before.
const SERVER: &str = r#"
import json, sys, time
count = 0
def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked or "method" not in asked:
        continue
    method, result = asked["method"], {}
    if method == "server/discover":
        send({"id": asked["id"], "error": {"code": -32601, "message": "none"}})
        continue
    if method == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "a", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]}
    elif method == "tools/call":
        count += 1
        text = asked["params"]["arguments"].get("text", "")
        if text == "meta":
            text = json.dumps(asked["params"].get("_meta"))
        if text == "slow":
            time.sleep(3)
        if text == "told":
            send({"method": "notifications/message", "params": {"level": "info", "data": "before"}})
        result = {"content": [{"type": "text", "text": f"{text} {count}"}]}
    send({"id": asked["id"], "result": result})
"#;

/// A person with one server, and a gate that serves it with these words.
fn serving(words: &[&str]) -> (Person, Served) {
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
    let served = Served::start(&person, words);
    (person, served)
}

#[test]
fn each_client_has_a_session_of_its_own() {
    let (person, served) = serving(&[]);
    let mode = fs::metadata(&served.token_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (first, second) = (served.begin("2025-06-18"), served.begin("2025-11-25"));
    assert_ne!(first, second);
    let said = |got: &Got| got.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(said(&served.call(&first, "x")), "x 1");
    assert_eq!(said(&served.call(&first, "x")), "x 2");
    // Another server, which has not heard of the first client.
    assert_eq!(said(&served.call(&second, "y")), "y 1");
    assert!(said(&served.call(&first, "no")).contains("denied"), "decided like all calls");
    let told = served.call(&first, "told");
    assert!(told.head.contains("text/event-stream"), "{}", told.head);
    assert!(told.body.contains("before") && told.body.contains("told 3"), "{}", told.body);
    let slow = served.call(&second, "slow");
    assert!(
        slow.head.contains("text/event-stream") && slow.body.contains("slow 2"),
        "{}",
        slow.body
    );
    // Its stream can be taken up again, by its own client and by nobody else.
    let last = told.body.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let again = format!("{first}last-event-id: {last}\r\n\r\n");
    let again = served.send(served.head("GET", &again).as_bytes());
    assert!(again.status == 200 && again.body.contains("told 3"), "{} {}", again.head, again.body);
    assert!(!again.body.contains("before"), "{}", again.body);
    let others = format!("{second}last-event-id: {last}\r\n\r\n");
    let others = served.send(served.head("GET", &others).as_bytes());
    assert!(!others.body.contains("told"), "{}", others.body);
    let ended = served.send(served.head("DELETE", &format!("{first}\r\n")).as_bytes());
    assert_eq!(ended.status, 200, "{}", ended.head);
    for got in [
        served.call(&first, "x"),
        served.send(served.head("DELETE", &format!("{first}\r\n")).as_bytes()),
    ] {
        assert_eq!(got.status, 404, "{}", got.head);
    }
    assert_eq!(said(&served.call(&second, "y")), "y 3");
    let token_file = served.token_file.clone();
    let found = person.ringfence(&["sessions"]).output().unwrap();
    assert!(text(&found).contains("mcp-client"), "{}", text(&found));
    served.end();
    assert!(!std::path::Path::new(&token_file).exists());
}

#[test]
fn the_log_says_which_client_made_a_call_and_which_sent_what_is_odd() {
    let (person, served) = serving(&[]);
    let sessions = [served.begin("2025-06-18"), served.begin("2025-11-25")];
    assert!(served.call(&sessions[0], "one").body.contains("one 1"));
    assert!(served.call(&sessions[1], "two").body.contains("two 1"));
    // An answer to nothing.
    let odd = json!({"jsonrpc": "2.0", "id": 99, "result": {}});
    assert_eq!(served.post(&sessions[1], &odd).status, 202);
    let session = served.session();
    let log = person.succeed(&["log", "show", &session, "--json"]);
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entry = |is: &dyn Fn(&Value) -> bool| {
        let found = entries.iter().map(|it| &it["entry"]).find(|it| is(it));
        found.unwrap_or_else(|| panic!("{log}")).clone()
    };
    for (client, said) in [(1, "one"), (2, "two")] {
        let came = entry(&|it| it["event"] == "client-came" && it["client"] == client);
        assert_eq!(came["said"], r#"{"name":"t","version":"1"}"#, "{came}");
        let called = entry(&|it| it["event"] == "decided" && it.to_string().contains(said));
        assert!(called.to_string().contains(&format!("\"client\":{client}")), "{called}");
    }
    let odd = entry(&|it| it["event"] == "odd-message");
    assert_eq!((&odd["client"], &odd["kind"]), (&json!(2), &json!("unknown-answer")), "{odd}");
    let told = person.succeed(&["log", "show", &session]);
    assert!(told.contains("client 2: an answer to something that nobody asked"), "{told}");
}

#[test]
fn who_was_led_here_or_has_no_token_is_refused() {
    let (_person, served) = serving(&["--allow-origin", "https://app.example"]);
    let session = served.begin("2025-06-18");
    let body = call(9, "x").to_string();
    let rest = format!("{session}content-length: {}\r\n\r\n{body}", body.len());
    let head = served.head("POST", "");
    let with = |from: &str, to: &str| {
        let changed = head.replace(from, to);
        assert_ne!(changed, head);
        served.send(format!("{changed}{rest}").as_bytes())
    };
    let host = format!("host: 127.0.0.1:{}", served.port);
    for (from, to, status) in [
        // A page whose name leads to this host by now.
        (host.as_str(), format!("host: evil.example:{}", served.port), 403),
        (&host, "host: 127.0.0.1".to_owned(), 403),
        // The target counts, whatever is said beside it.
        ("/mcp", format!("http://evil.example:{}/mcp", served.port), 403),
        ("/mcp", format!("http://evil@127.0.0.1:{}/mcp", served.port), 403),
        ("/mcp", "http://127.0.0.1/mcp".to_owned(), 403),
        ("/mcp", format!("http://127.0.0.1:{}/mcp", served.port), 200),
        (&host, format!("{host}\r\norigin: http://evil.example"), 403),
        (&host, format!("{host}\r\norigin: null"), 403),
        (&host, format!("{host}\r\norigin: http://localhost:5173"), 200),
        (&host, format!("{host}\r\norigin: https://app.example"), 200),
        (&served.token, "x".repeat(43), 401),
        (&served.token, served.token.chars().skip(1).collect(), 401),
        ("authorization: Bearer", "authorization: Basic".to_owned(), 401),
        ("accept: application/json, text/event-stream", "accept: text/html".to_owned(), 406),
        ("content-type: application/json", "content-type: text/plain".to_owned(), 415),
        ("content-type", "mcp-protocol-version: 1999-01-01\r\ncontent-type".to_owned(), 400),
        // What was agreed on counts, whatever clients make of it; headers that disagree with the body do not.
        ("content-type", "mcp-protocol-version: 2025-03-26\r\ncontent-type".to_owned(), 200),
        ("content-type", "mcp-method: tools/list\r\ncontent-type".to_owned(), 400),
        ("/mcp", "/other".to_owned(), 404),
        ("POST", "PUT".to_owned(), 405),
    ] {
        let got = with(from, &to);
        assert_eq!(got.status, status, "{to}: {} {}", got.head, got.body);
    }
    // Whoever has a token and not this one looks for another mistake than whoever has none.
    let got = with(&served.token, &"x".repeat(43));
    assert!(
        got.body.contains("not the token") && got.head.contains("invalid_token"),
        "{}",
        got.head
    );
    let got = with("authorization: Bearer", "authorization: Basic");
    assert!(got.body.contains("a token is needed"), "{}", got.body);
    let plain = |session: &str, body: &str| {
        let head = served.head("POST", session);
        served.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    for (session, body, status) in [
        ("", body.as_str(), 400),
        ("mcp-session-id: guessed\r\n", &body, 404),
        (&format!("{session}{session}"), &body, 404),
        (&session, "{", 400),
        (&session, "[]", 400),
        // Several at once are of another revision.
        (&session, &format!("[{body}]"), 400),
        (&session, r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, 400),
    ] {
        let got = plain(session, body);
        assert_eq!(got.status, status, "{session:?} {body}: {} {}", got.head, got.body);
    }
    let old = served.begin("2025-03-26");
    let both = format!("[{},{}]", call(1, "x"), call(2, "y"));
    let got = plain(&old, &both);
    assert!(got.status == 200 && got.head.contains("event-stream"), "{} {}", got.head, got.body);
    served.end();
}

/// A request of 2026-07-28, and the headers that repeat it.
fn alone(id: u64, method: &str, mut params: Value) -> (String, Value) {
    let key = |name: &str| format!("io.modelcontextprotocol/{name}");
    let name = params["name"].as_str().map(|name| format!("mcp-name: {name}\r\n"));
    params["_meta"] = json!({
        key("protocolVersion"): "2026-07-28", key("clientCapabilities"): {},
        key("clientInfo"): {"name": "t", "version": "1"},
    });
    let head = format!(
        "mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{}",
        name.unwrap_or_default()
    );
    (head, json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

#[test]
fn requests_without_a_session_stand_for_themselves_and_say_what_they_are() {
    let (_person, served) = serving(&[]);
    let say =
        |text: &str| alone(7, "tools/call", json!({"name": "say", "arguments": {"text": text}}));
    let said = |got: &Got| got.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    let (head, body) = say("x");
    let first = served.post(&head, &body);
    assert_eq!((first.status, said(&first).as_str()), (200, "x 1"), "{}", first.body);
    assert!(!first.head.contains("mcp-session-id"), "{}", first.head);
    // The same name as that of a request which is under way is another's; a session's name is nobody's.
    let other = served.post(&format!("{head}mcp-session-id: guessed\r\n"), &body);
    assert_eq!(said(&other), "x 2", "one room for who says the same of himself");
    let (head_no, body_no) = say("no");
    assert!(said(&served.post(&head_no, &body_no)).contains("denied"), "decided like all calls");
    let told = served.post(&say("told").0, &say("told").1);
    assert!(
        told.body.contains("told 3") && !told.body.contains("before"),
        "no level: {}",
        told.body
    );
    // In a session, on the same address, with servers of its own.
    let session = served.begin("2025-11-25");
    assert_eq!(said(&served.call(&session, "y")), "y 1");

    served.end();
}

#[test]
fn a_request_without_a_session_that_does_not_agree_with_its_headers_is_refused() {
    let (_person, served) = serving(&[]);
    let arguments = json!({"name": "say", "arguments": {"text": "x"}});
    let (head, body) = alone(7, "tools/call", arguments);
    let drop_key = |key: &str| {
        let mut body = body.clone();
        body["params"]["_meta"]
            .as_object_mut()
            .unwrap()
            .remove(&format!("io.modelcontextprotocol/{key}"));
        body
    };
    let with = |key: &str, value: Value| {
        let mut body = body.clone();
        body["params"]["_meta"][format!("io.modelcontextprotocol/{key}")] = value;
        body
    };
    let (other_head, _) = alone(7, "tools/list", json!({}));
    let (_, unknown) = alone(7, "prompts/list", json!({}));
    let (_, hello) = alone(7, "initialize", json!({"protocolVersion": "2025-11-25"}));
    let (_, ping) = alone(7, "ping", json!({}));
    let header = |body: &Value| alone(7, body["method"].as_str().unwrap(), json!({})).0;
    let version = "mcp-protocol-version: 2026-07-28\r\n";
    for (head, body, status, code) in [
        // Headers that are missing, stand twice, or say something else than the body, which is what counts.
        (String::new(), body.clone(), 400, -32020),
        (version.to_owned(), body.clone(), 400, -32020),
        (other_head.clone(), body.clone(), 400, -32020),
        (head.replace("say", "other"), body.clone(), 400, -32020),
        (head.replace("mcp-name: say", "mcp-name: SAY"), body.clone(), 400, -32020),
        (head.replace("mcp-name: say", "mcp-name: =?base64?!?="), body.clone(), 400, -32020),
        (format!("{head}mcp-name: say\r\n"), body.clone(), 400, -32020),
        (head.replace("tools/call", "Tools/Call"), body.clone(), 400, -32020),
        (head.replace("2026-07-28", "2025-11-25"), body.clone(), 400, -32020),
        (head.clone(), with("protocolVersion", json!("2025-11-25")), 400, -32020),
        (
            head.replace("2026-07-28", "1999-01-01"),
            with("protocolVersion", json!("1999-01-01")),
            400,
            -32022,
        ),
        (head.clone(), drop_key("protocolVersion"), 400, -32602),
        (head.clone(), drop_key("clientCapabilities"), 400, -32602),
        (head.clone(), with("clientCapabilities", json!("all")), 400, -32602),
        (header(&unknown), unknown.clone(), 404, -32601),
        // What only sessions have.
        (header(&hello), hello, 404, -32601),
        (header(&ping), ping, 404, -32601),
        (head.clone(), json!([body]), 400, -32600),
        (version.to_owned(), json!({"jsonrpc": "2.0", "id": 1, "result": {}}), 400, -32600),
        (version.to_owned(), json!({"jsonrpc": "2.0", "method": "notifications/x"}), 400, -32600),
    ] {
        let got = served.post(&head, &body);
        assert_eq!(got.status, status, "{head}{body}: {} {}", got.head, got.body);
        assert_eq!(got.json()["error"]["code"], code, "{head}{body}: {}", got.body);
    }
    for method in ["GET", "DELETE"] {
        let got = served.send(served.head(method, &format!("{version}\r\n")).as_bytes());
        assert_eq!(got.status, 405, "{method}: {}", got.head);
    }
    // A name in base64 is the same name.
    let got = served.post(&head.replace("mcp-name: say", "mcp-name: =?base64?c2F5?="), &body);
    let said = got.json()["result"]["content"][0]["text"].clone();
    assert_eq!(said, "x 1", "nothing of the above was called: {}", got.body);
    served.end();
}

#[test]
fn whoever_leaves_has_cancelled_what_was_asked() {
    let (person, served) = serving(&[]);
    let (head, slow) =
        alone(1, "tools/call", json!({"name": "say", "arguments": {"text": "slow"}}));
    let (first, body) = alone(1, "tools/call", json!({"name": "say", "arguments": {"text": "x"}}));
    assert_eq!(served.post(&first, &body).status, 200, "the servers have begun");
    let body = slow.to_string();
    let head = served.head("POST", &head);
    for _ in 0..3 {
        let mut stream = served.connect();
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    let session = served.session();
    // What nobody waits for is not answered, and nobody sees its end.
    wait_until("they are cancelled", || {
        let words = ["log", "show", &session, "--json"];
        let shown = person.ringfence(&words).output().unwrap();
        text(&shown).matches("\"unknown\"").count() >= 3
    });
    served.end();
}

#[test]
fn a_client_that_misbehaves_does_not_disturb_the_others() {
    let (_person, served) = serving(&[]);
    let session = served.begin("2025-06-18");
    // A hundred megabytes, said beforehand and not.
    let head = served.head("POST", &session);
    let large = served.send(format!("{head}content-length: 104857600\r\n\r\n").as_bytes());
    assert_eq!(large.status, 413, "{}", large.head);
    let mut stream = served.connect();
    write!(stream, "{head}transfer-encoding: chunked\r\n\r\n").unwrap();
    let piece = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let sent = (0..100).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 60, "{sent} MB were taken");
    // Heads that never end, from many.
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = served.connect();
            stream.write_all(b"POST /mcp HTTP/1.1\r\nx: ").unwrap();
            stream
        })
        .collect();
    // One who asks and goes.
    for _ in 0..20 {
        let mut stream = served.connect();
        let body = call(50, "slow").to_string();
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    }
    let other = served.begin("2025-06-18");
    let began = Instant::now();
    assert_eq!(served.call(&other, "y").status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(slow);
    served.end();
}

#[test]
fn a_gate_that_is_killed_leaves_no_server() {
    let (person, mut served) = serving(&[]);
    let mark = person.project().display().to_string();
    served.begin("2025-06-18");
    let servers = || {
        let mut found = Command::new("pgrep");
        let output = found.args(["-f", "^/usr/bin/python3 server.py"]).output().unwrap();
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        let here = |pid: &&str| {
            fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|it| it.display().to_string() == mark)
        };
        pids.lines().filter(here).count()
    };
    assert!(servers() >= 1);
    served.kill();
    wait_until("no server is left", || servers() == 0);
}

#[test]
fn what_would_let_others_in_is_refused_at_the_start() {
    let (person, served) = serving(&[]);
    let file = person.home().join("token");
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let name = file.display().to_string();
    for (words, why) in [
        (&["--listen", "0.0.0.0:0"][..], "no address of the loopback"),
        (&["--listen", "nowhere"], "takes ADDRESS:PORT"),
        (&["--listen", "127.0.0.1:0", "--token-file", &name], "others may read it"),
        (&["--listen", "127.0.0.1:0", "--token-file", "/nowhere"], "/nowhere"),
    ] {
        let words: Vec<&str> = ["mcp", "serve"].iter().chain(words).copied().collect();
        let output = person.ringfence(&words).output().unwrap();
        assert!(
            !output.status.success() && text(&output).contains(why),
            "{words:?}: {}",
            text(&output)
        );
    }
    served.end();
}

/// What the server saw of a call with this `_meta`.
fn meta_at_server(served: &Served, session: &str, meta: &Value) -> Value {
    let mut asked = call(9, "meta");
    asked["params"]["_meta"] = meta.clone();
    let got = served.post(session, &asked).json();
    let said = got["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    serde_json::from_str(said.rsplit_once(' ').unwrap().0).unwrap()
}

#[test]
fn a_call_is_a_span_of_its_clients_trace() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (person, served) = serving(&[]);
    let session = served.begin("2025-06-18");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let meta = json!({"traceparent": parent, "tracestate": "a=1", "x": 1});
    let seen = meta_at_server(&served, &session, &meta);
    assert_eq!((&seen["tracestate"], &seen["x"]), (&json!("a=1"), &json!(1)));
    let span = seen["traceparent"].as_str().unwrap().split('-').nth(2).unwrap().to_owned();
    assert_eq!(seen["traceparent"], format!("00-{TRACE}-{span}-01"));
    assert_ne!(span, "00f067aa0ba902b7");
    // What cannot be read is not passed on; what is not said is not made up.
    for wrong in [json!("00-1-2-01"), json!(7), json!(parent.to_uppercase())] {
        let meta = json!({"traceparent": wrong, "tracestate": "a=1", "x": 1});
        assert_eq!(meta_at_server(&served, &session, &meta), json!({"x": 1}));
    }
    assert_eq!(meta_at_server(&served, &session, &json!({"tracestate": "a=1"})), Value::Null);
    assert_eq!(meta_at_server(&served, &session, &json!({"x": 1})), json!({"x": 1}));
    let own = served.session();
    let shown = person.ringfence(&["show", &own, "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    crate::schemas::conforms(&shown, "show.schema.json");
    let calls = shown["calls"].as_array().unwrap();
    assert_eq!((&calls[0]["trace"], &calls[0]["otel_span_id"]), (&json!(parent), &json!(span)));
    assert!(calls[1..].iter().all(|call| call.get("trace").is_none()), "{calls:?}");
    let exported = person.ringfence(&["export", "otlp", &own]).output().unwrap();
    let exported: Value = serde_json::from_slice(&exported.stdout).unwrap();
    crate::schemas::conforms(&exported, "export-otlp.schema.json");
    let spans = exported["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let one = spans.iter().find(|it| it["spanId"] == span).unwrap();
    assert_eq!(
        (&one["traceId"], &one["parentSpanId"]),
        (&json!(TRACE), &json!("00f067aa0ba902b7"))
    );
    let own = spans.iter().find(|it| it["spanId"] == calls[1]["otel_span_id"]).unwrap();
    assert_eq!(own["traceId"], shown["trace_id"], "of no client's trace, so of the session's own");
    let said = served.end();
    assert!(said.contains("a `traceparent` that is none"), "{said}");
}

#[test]
fn what_was_counted_is_told_to_who_has_the_token() {
    let (_person, served) = serving(&[]);
    let metrics = |served: &Served, head: &str| served.send(format!("{head}\r\n").as_bytes());
    let (port, head) = (served.port, served.head("GET", ""));
    let head = head.replace("/mcp", "/metrics");
    let stranger = format!("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    assert_eq!(metrics(&served, &stranger).status, 401);
    let led_here = head.replace(&format!("host: 127.0.0.1:{port}"), "host: evil.example");
    assert_eq!(metrics(&served, &led_here).status, 403);
    assert_eq!(metrics(&served, &head.replace("GET", "POST")).status, 405);
    let (first, second) = (served.begin("2025-06-18"), served.begin("2025-06-18"));
    for session in [&first, &first, &second] {
        assert_eq!(served.call(session, "x").status, 200);
    }
    assert!(served.call(&second, "no").body.contains("denied"));
    let mut unknown = call(8, "x");
    unknown["params"]["name"] = json!("evil\"} 1\nfake 2");
    served.post(&first, &unknown);
    let got = metrics(&served, &head);
    assert!(got.status == 200 && got.head.contains("text/plain; version=0.0.4"), "{}", got.head);
    for line in [
        r#"ringfence_mcp_calls_total{server="a",tool="say",decision="permitted"} 3"#,
        r#"ringfence_mcp_calls_total{server="a",tool="say",decision="denied"} 1"#,
        r#"ringfence_mcp_calls_total{server="a",tool="other",decision="denied"} 1"#,
        r#"ringfence_mcp_calls_ended_total{server="a",how="answered"} 3"#,
        r#"ringfence_mcp_call_duration_seconds_count{server="a"} 3"#,
        "ringfence_mcp_calls_under_way 0",
        "ringfence_mcp_sessions 2",
    ] {
        assert!(got.body.lines().any(|it| it == line), "{line}\n{}", got.body);
    }
    assert!(!got.body.contains("fake"), "{}", got.body);
    served.end();
}

#[test]
fn a_port_that_is_in_use_is_named_with_what_helps() {
    let (person, served) = serving(&[]);
    let at = format!("127.0.0.1:{}", served.port);
    let output = person.ringfence(&["mcp", "serve", "--listen", &at]).output().unwrap();
    let said = crate::person::text(&output);
    assert!(!output.status.success() && said.contains(&format!("`{at}` is in use")), "{said}");
    assert!(said.contains("`--listen`"), "{said}");
    served.end();
}
