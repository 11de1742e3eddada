//! Clients and servers that speak one revision of MCP and no other, with each other through the gate; and what each of
//! them has: completion, templates, lists of several pages, structured content, what servers ask, report and tell, tools
//! that become others meanwhile, what is taken out of streams.

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who, text};
use crate::served::Served;
use crate::started::{Started, free_port};
use crate::talk::{Era, Talk};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("all") permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
"#;

const SERVER: &str = include_str!("../net/mcp_revisions.py");

/// All that are spoken.
const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", ELICITS, OLD, NEW];
/// The first in which servers ask people.
const ELICITS: &str = "2025-06-18";
const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

const TOOLS: [&str; 11] =
    ["rich", "only", "leak", "twice", "turn", "changed", "gone", "sample", "roots", "slow", "tell"];

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a server of this revision is called.
fn name(revision: &str) -> String {
    format!("of{}", revision.replace('-', ""))
}

/// A person who has pinned these servers, some of them behind ports of this host; `rules` hold besides.
fn setup(servers: &[(&str, Option<u16>)], rules: &str) -> Person {
    let person = Person::new(Who::Caller);
    person.write("server.py", SERVER);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(own.join("mcp")).unwrap();
    let mut policy = POLICY.replace("PROJECT", &person.project().display().to_string()) + rules;
    for (revision, port) in servers {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        let pinned = |tool: &&str| {
            let definition = json!({"name": tool, "inputSchema": schema});
            ((*tool).to_owned(), json!({ "definition": definition }))
        };
        let ask = (*revision >= ELICITS).then_some(&"ask");
        let tools: serde_json::Map<String, Value> = TOOLS.iter().chain(ask).map(pinned).collect();
        let mut file = json!({"version": 1, "tools": tools});
        let name = name(revision);
        match port {
            None => file["command"] = json!(["/usr/bin/python3", "server.py", revision]),
            Some(port) => {
                file["url"] = json!(format!("http://127.0.0.1:{port}/mcp"));
                policy += &format!(
                    "permit (principal == Agent::\"{name}\", action == Action::\"net.connect\", resource == Endpoint::\"127.0.0.1:{port}\");\n"
                );
            }
        }
        fs::write(own.join(format!("mcp/{name}.json")), file.to_string()).unwrap();
    }
    fs::write(own.join("policy.cedar"), policy).unwrap();
    person
}

/// A server of this revision, over HTTP.
fn behind(port: u16, revision: &str, person: &Person) -> Started {
    let words = ["server.py", revision, &port.to_string()];
    Started::listening(person.command("/usr/bin/python3".as_ref(), &words), port)
}

/// The gate's client, which speaks this revision.
fn run(person: &Person, revision: &str) -> Talk {
    Talk::in_revision(person.ringfence(&["mcp", "run"]), revision)
}

fn kinds(content: &Value) -> Vec<&str> {
    content.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect()
}

/// All that a client of one revision can do with a server of another; `prefix` stands before what it has.
fn all(talk: &mut Talk, prefix: &str, client: &str, server: &str) {
    let case = format!("{client} {server}");
    let of = |name: &str| format!("{prefix}{name}");
    let tools = talk.tools();
    for tool in TOOLS {
        assert!(tools.contains(&of(tool)), "{case}: of all pages: {tools:?}");
    }
    let mut knows = vec!["text"];
    if server >= "2025-03-26" {
        knows.push(if client >= "2025-03-26" { "audio" } else { "text" });
    }
    if server >= "2025-06-18" {
        knows.push(if client >= "2025-06-18" { "resource_link" } else { "text" });
    }
    let answer = talk.answer(&of("rich"), json!({}));
    assert_eq!(kinds(&answer["result"]["content"]), knows, "{case}: {answer}");
    assert_eq!(answer["result"]["structuredContent"], json!({"words": ["words", 1.5]}), "{case}");
    assert_eq!(answer["result"]["resultType"] == "complete", client == NEW, "{case}: {answer}");
    let only = talk.answer(&of("only"), json!({}));
    assert_eq!(only["result"]["structuredContent"], json!({"only": true}), "{case}: {only}");
    let told = usize::from(client < "2025-06-18");
    assert_eq!(kinds(&only["result"]["content"]).len(), told, "{case}: {only}");

    let greets = json!({"ref": {"type": "ref/prompt", "name": of("greet")}, "argument": {"name": "who", "value": "jo"}});
    let complete = talk.ask("completion/complete", greets);
    let values = &complete["result"]["completion"]["values"];
    assert_eq!(values, &json!([format!("jo of {server}")]), "{case}: {complete}");
    let uri = format!("of-{server}://b/{{id}}");
    let templates = talk.ask("resources/templates/list", json!({}));
    let found = templates["result"]["resourceTemplates"].as_array().unwrap();
    assert!(found.iter().any(|it| it["uriTemplate"] == *uri), "{case}: {templates}");
    let of_template = json!({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "id", "value": "1"}});
    let complete = talk.ask("completion/complete", of_template);
    let values = &complete["result"]["completion"]["values"];
    assert_eq!(values, &json!([format!("1 of {server}")]), "{case}: {complete}");
    for (list, key, of_server) in [
        ("resources/list", "resources", 3),
        ("resources/templates/list", "resourceTemplates", 2),
        ("prompts/list", "prompts", 2),
    ] {
        let answer = talk.ask(list, json!({}));
        let all = answer["result"][key].as_array().unwrap();
        let its = all.iter().filter(|it| it.to_string().contains(server) || key == "prompts");
        let servers = if key == "prompts" && !prefix.is_empty() { REVISIONS.len() } else { 1 };
        assert_eq!(its.count(), of_server * servers, "{case} {list}: {answer}");
        assert!(answer["result"]["nextCursor"].is_null(), "{case}: it is whole: {answer}");
    }
    let prompt = talk.ask("prompts/get", json!({"name": of("greet")}));
    let kind = &prompt["result"]["messages"][0]["content"]["type"];
    assert_eq!(kind, knows.last().unwrap(), "{case}: {prompt}");
}

/// What a server of one revision asks of a client of another, reports to it and tells it, and the other way round.
fn between(talk: &mut Talk, prefix: &str, (client, server): (&str, &str), person: &Person) {
    let case = format!("{client} {server}");
    let of = |name: &str| format!("{prefix}{name}");
    let words = json!({"type": "text", "text": "ho"});
    for (tool, method, response) in [
        (
            "sample",
            "sampling/createMessage",
            json!({"role": "assistant", "content": words, "model": "m"}),
        ),
        ("roots", "roots/list", json!({"roots": [{"uri": "file:///here"}]})),
        ("ask", "elicitation/create", json!({"action": "accept", "content": {"name": "me"}})),
    ] {
        if tool == "ask" && (server < ELICITS || client < ELICITS) {
            continue;
        }
        let (question, answer) = talk.asked(&of(tool), &response);
        assert_eq!(question["method"], method, "{case}: {answer}");
        let said = answer["result"]["content"][0]["text"].as_str().map(serde_json::from_str);
        assert_eq!(said.and_then(Result::ok), Some(response), "{case} {tool}: {answer}");
    }
    let mark = person.project().join("cancelled");
    let _ = fs::remove_file(&mark);
    let meta = json!({"progressToken": "mine"});
    let slow = json!({"name": of("slow"), "arguments": {"text": case}, "_meta": meta});
    let number = talk.request("tools/call", slow);
    for step in [1, 2] {
        let progress = talk.told("notifications/progress");
        assert_eq!(progress["progressToken"], "mine", "{case}");
        assert_eq!(progress["progress"], json!(step), "{case}");
        assert_eq!(progress["total"], json!(3), "{case}");
    }
    cancel(talk, number);
    wait_until("it is cancelled", || fs::read_to_string(&mark).is_ok_and(|it| it == case));
    changes(talk, prefix, (client, server), person);
}

fn cancel(talk: &mut Talk, number: u64) {
    let params = json!({"requestId": number});
    let method = "notifications/cancelled";
    talk.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
}

/// Has the client told of all that changes; by which name it is told, where its revision has those.
fn listens(talk: &mut Talk, uri: &str) -> Value {
    if talk.era() == Era::Old {
        let answer = talk.ask("resources/subscribe", json!({"uri": uri}));
        assert!(answer["result"].is_object(), "{answer}");
        return Value::Null;
    }
    let mut filter = json!({"resourceSubscriptions": [uri]});
    for list in ["tools", "prompts", "resources"] {
        filter[format!("{list}ListChanged")] = json!(true);
    }
    let name = talk.request("subscriptions/listen", json!({"notifications": filter}));
    let agreed = talk.told("notifications/subscriptions/acknowledged");
    assert_eq!(agreed["notifications"], filter, "{agreed}");
    json!(name)
}

/// Prompts and resources that change, and roots.
fn changes(talk: &mut Talk, prefix: &str, (client, server): (&str, &str), person: &Person) {
    let (case, uri) = (format!("{client} {server}"), format!("of-{server}://1"));
    let told = person.project().join(format!("told-{server}"));
    let of_roots = || {
        let told = fs::read_to_string(&told).unwrap_or_default();
        told.contains("notifications/roots/list_changed")
    };
    let _ = fs::remove_file(&told);
    if client != NEW {
        let method = "notifications/roots/list_changed";
        talk.send(&json!({"jsonrpc": "2.0", "method": method}));
    }
    let name = listens(talk, &uri);
    talk.call(&format!("{prefix}tell"), json!({}));
    for kind in ["prompts/list_changed", "resources/list_changed", "resources/updated"] {
        let changed = talk.told(&format!("notifications/{kind}"));
        assert_eq!(changed["_meta"][SUBSCRIPTION], name, "{case} {kind}: {changed}");
        assert_eq!(changed["uri"] == uri, kind == "resources/updated", "{case}: {changed}");
    }
    if client != NEW && server != NEW {
        wait_until("it is told of the roots", of_roots);
    }
    // 2026-07-28 has nothing of that kind.
    assert!(server != NEW || !of_roots(), "{case}");
    match name.as_u64() {
        Some(name) => cancel(talk, name),
        None => drop(talk.ask("resources/unsubscribe", json!({"uri": uri}))),
    }
    talk.told.clear();
}

#[test]
fn whoever_speaks_one_revision_works_with_who_speaks_another() {
    let with = |server: &str| {
        let person = setup(&[(server, None)], "");
        for client in REVISIONS {
            let mut talk = run(&person, client);
            all(&mut talk, "", client, server);
            between(&mut talk, "", (client, server), &person);
            let said = talk.end();
            assert!(!said.contains("mcp: "), "{client} {server}: nothing odd: {said}");
        }
        person.succeed(&["log", "verify"]);
    };
    std::thread::scope(|scope| {
        for server in REVISIONS {
            scope.spawn(move || with(server));
        }
    });
}

#[test]
fn over_http_servers_of_all_revisions_are_one_for_a_client_of_each() {
    let ports = REVISIONS.map(|revision| (revision, Some(free_port())));
    let person = setup(&ports, "");
    let _behind: Vec<Started> =
        ports.iter().map(|(it, port)| behind(port.unwrap(), it, &person)).collect();
    let served = Served::start(&person, &[]);
    for client in REVISIONS {
        let mut talk = Talk::in_revision_over_http(served.port, &served.token, client);
        for server in REVISIONS {
            let prefix = format!("{}__", name(server));
            all(&mut talk, &prefix, client, server);
            between(&mut talk, &prefix, (client, server), &person);
        }
        talk.end();
    }
    let said = served.end();
    assert!(!said.contains("mcp: "), "nothing odd: {said}");
    person.succeed(&["log", "verify"]);
}

/// A client of a server whose tools become others: it is told, and has those alone that are as they were.
fn turns(mut talk: Talk, (client, server): (&str, &str), person: &Person) {
    let case = format!("{client} {server}");
    listens(&mut talk, &format!("of-{server}://1"));
    for tool in ["changed", "gone"] {
        assert_eq!(talk.call(tool, json!({})), (format!("did {tool}"), false), "{case}");
    }
    talk.told.clear();
    assert!(!talk.call("turn", json!({})).1, "{case}");
    talk.told("notifications/tools/list_changed");
    let is_left = |tool: &&str| !["changed", "gone"].contains(tool);
    let left: Vec<&str> = TOOLS.into_iter().filter(is_left).chain(["ask"]).collect();
    let mut tools = talk.tools();
    while tools.len() > left.len() {
        // It has been told, and asks.
        tools = talk.tools();
    }
    assert_eq!(tools, left, "{case}");
    for (tool, why) in [("changed", "says something else"), ("new", ""), ("gone", "any more")] {
        let answer = talk.answer(tool, json!({}));
        let is_denied = answer["result"]["isError"] == true || answer["error"]["code"].is_number();
        let said = answer.to_string();
        assert!(is_denied && said.contains(why), "{case} {tool}: {answer}");
        // With its entry in the log, as each denial.
        assert!(tool != "gone" || said.contains("denied:") && said.contains("entry "), "{said}");
    }
    assert!(!talk.call("turn", json!({})).1, "{case}: what is as it was goes on");
    talk.end();
    let called = fs::read_to_string(person.project().join("called")).unwrap();
    assert_eq!(called, "changed\ngone\nturn\nturn\n", "{case}");
}

#[test]
fn what_the_revision_of_a_client_does_not_have_is_not_asked_of_it() {
    let person = setup(&[(NEW, None)], "");
    for client in ["2024-11-05", "2025-03-26"] {
        let mut talk = run(&person, client);
        let (question, answer) = talk.asked("ask", &json!({"action": "accept", "content": {}}));
        assert!(question.is_null(), "{client}: {question}");
        let said = answer.to_string();
        let failed = answer["result"]["isError"] == true || answer["error"]["code"].is_number();
        assert!(failed && said.contains("elicitation/create"), "{client}: {said}");
        assert_eq!(talk.call("changed", json!({})).0, "did changed", "{client}: it goes on");
        let said = talk.end();
        assert!(said.contains("which the client cannot do"), "{client}: {said}");
    }
}

const ERAS: [(&str, &str); 4] = [(OLD, OLD), (NEW, OLD), (OLD, NEW), (NEW, NEW)];

#[test]
fn tools_that_become_others_meanwhile_are_neither_shown_nor_called() {
    for (client, server) in ERAS {
        let person = setup(&[(server, None)], "");
        turns(run(&person, client), (client, server), &person);
        let diff = person.ringfence(&["mcp", "inspect", &name(server), "--diff"]).output().unwrap();
        // It is started anew, and is as it was pinned.
        assert_eq!(diff.status.code(), Some(0), "{client} {server}");
    }
}

#[test]
fn tools_that_become_others_behind_a_port_are_neither_shown_nor_called() {
    for (client, server) in ERAS {
        let port = free_port();
        let person = setup(&[(server, Some(port))], "");
        let _behind = behind(port, server, &person);
        let served = Served::start(&person, &[]);
        let talk = Talk::in_revision_over_http(served.port, &served.token, client);
        turns(talk, (client, server), &person);
        served.end();
        // It goes on, and is another than what was pinned for whoever comes next.
        let diff = person.ringfence(&["mcp", "inspect", &name(server), "--diff"]).output().unwrap();
        let said = text(&diff);
        assert_eq!(diff.status.code(), Some(1), "{client} {server}: {said}");
        assert!(said.contains("changed: changed"), "{client} {server}: {said}");
    }
}

#[test]
fn what_a_server_answers_twice_over_pipes_is_heard_once() {
    for (server, client) in [(OLD, OLD), (OLD, NEW), (NEW, OLD), (NEW, NEW)] {
        let person = setup(&[(server, None)], "");
        let mut talk = run(&person, client);
        for _ in 0..2 {
            assert_eq!(talk.call("twice", json!({})), ("once".to_owned(), false));
        }
        assert_eq!(talk.call("changed", json!({})), ("did changed".to_owned(), false));
        assert!(talk.told.iter().all(|it| it["id"].is_null()), "{:?}", talk.told);
        let said = talk.end();
        assert!(said.contains("an answer to something that it was not asked"), "{said}");
        let log = person.succeed(&["log", "show"]);
        assert!(log.contains("not asked"), "{client} {server}: {log}");
    }
}

#[test]
fn what_streams_over_http_tell_is_looked_through_as_results_are() {
    let rules = "@id(\"mail\") @redact(\"email\") permit (principal, action == Action::\"of20251125/leak\", resource);\n\
        @id(\"mail-new\") @block(\"email\") permit (principal, action == Action::\"of20260728/leak\", resource);\n";
    let ports = [OLD, NEW].map(|revision| (revision, Some(free_port())));
    let person = setup(&ports, rules);
    let _behind: Vec<Started> =
        ports.iter().map(|(it, port)| behind(port.unwrap(), it, &person)).collect();
    let served = Served::start(&person, &[]);
    for (client, server) in [(OLD, OLD), (OLD, NEW), (NEW, OLD), (NEW, NEW)] {
        let case = format!("{client} {server}");
        let mut talk = Talk::in_revision_over_http(served.port, &served.token, client);
        let tool = format!("{}__leak", name(server));
        let log_level = json!("debug");
        let meta = json!({"progressToken": "mine", "io.modelcontextprotocol/logLevel": log_level});
        let params = json!({"name": tool, "arguments": {"text": "all"}, "_meta": meta});
        let answer = talk.ask("tools/call", params);
        let progress = talk.told("notifications/progress");
        let redacted = "[redacted: slack-token]";
        assert_eq!(progress["message"], format!("progress {redacted}"), "{case}: {progress}");
        assert_eq!(progress["progressToken"], "mine", "{case}");
        let logged = talk.told("notifications/message");
        assert_eq!(logged["data"], format!("log {redacted}"), "{case}: {logged}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        if server == OLD {
            assert_eq!(text, format!("result {redacted} of [redacted: email]"), "{case}");
        } else {
            assert!(text.contains("what a rule blocks: email"), "{case}: {text}");
            assert_eq!(answer["result"]["isError"], true, "{case}");
        }
        let plain = talk.answer(&tool, json!({"text": "none"}));
        assert_eq!(plain["result"]["content"][0]["text"], "result", "{case}: {plain}");
        talk.end();
    }
    served.end();
}
