//! Clients and servers of either era of MCP, of our own and written from the specification, with each other through
//! the gate: what one has and the other has not is translated, and nothing of it is decided twice or not at all.

mod circles;

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who, text};
use crate::served::Served;
use crate::started::{Started, free_port};
use crate::talk::{Era, Talk};

/// Where the client stands in a trace.
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
@id("long") @redact("email") permit (principal, action == Action::"new/long", resource);
@id("long-old") @redact("email") permit (principal, action == Action::"old/long", resource);
@id("no-roots") forbid (principal, action == Action::"new/roots/list", resource);
@id("no-roots-old") forbid (principal, action == Action::"old/roots/list", resource);
"#;

/// A server of the era that its first word says, over stdio or HTTP.
const SERVER: &str = include_str!("../net/mcp_eras.py");

const TOOLS: [&str; 8] = ["echo", "ask", "sample", "roots", "slow", "change", "touch", "long"];
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn setup(servers: &[Era]) -> Person {
    let all: Vec<(Era, Option<u16>)> = servers.iter().map(|era| (*era, None)).collect();
    setup_at(&all)
}

/// The same where some of them are behind ports of this host.
fn setup_at(servers: &[(Era, Option<u16>)]) -> Person {
    let person = Person::new(Who::Caller);
    let project = person.project().display().to_string();
    person.write("server.py", SERVER);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(own.join("mcp")).unwrap();
    let mut rules = POLICY.replace("PROJECT", &project);
    for (era, port) in servers {
        let mut text = json!({"type": "string"});
        if port.is_some() && *era == Era::New {
            text["x-mcp-header"] = json!("Text");
        }
        let schema = json!({"type": "object", "properties": {"text": text}});
        let pinned = |name: &&str| {
            let mut tool = json!({"name": name, "inputSchema": schema});
            if *era == Era::Old && *name == "long" {
                tool["execution"] = json!({"taskSupport": "required"});
            }
            ((*name).to_owned(), json!({ "definition": tool }))
        };
        let tools: serde_json::Map<String, Value> = TOOLS.iter().map(pinned).collect();
        let mut file = json!({"version": 1, "tools": tools});
        match port {
            None => file["command"] = json!(["/usr/bin/python3", "server.py", era.name()]),
            Some(port) => {
                file["url"] = json!(format!("http://127.0.0.1:{port}/mcp"));
                let who = era.name();
                rules += &format!(
                    "permit (principal == Agent::\"{who}\", action == Action::\"net.connect\", resource == Endpoint::\"127.0.0.1:{port}\");\n"
                );
            }
        }
        fs::write(own.join(format!("mcp/{}.json", era.name())), file.to_string()).unwrap();
    }
    let is_there = |line: &&str| {
        let names = |era: Era| line.contains(&format!("\"{}/", era.name()));
        let has = |era: Era| servers.iter().any(|(of, _)| *of == era);
        [Era::Old, Era::New].into_iter().all(|era| !names(era) || has(era))
    };
    let rules: Vec<&str> = rules.lines().filter(is_there).collect();
    fs::write(own.join("policy.cedar"), rules.join("\n")).unwrap();
    person.give(&person.home());
    person
}

/// A server of this era, over HTTP, whose directory is the project.
fn behind(port: u16, era: Era, person: &Person) -> Started {
    let words = ["server.py", era.name(), &port.to_string()];
    Started::listening(person.command("/usr/bin/python3".as_ref(), &words), port)
}

/// What a tool said.
fn said(answer: &Value) -> Value {
    let text = &answer["result"]["content"][0]["text"];
    assert!(text.is_string(), "{answer}");
    let text = text.as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

/// Whether a server that is asked for the roots gets them, as it does where there is no gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Roots {
    Answered,
    Denied,
}

/// All that a client can do with a server; `prefix` stands before its tools.
fn all(talk: &mut Talk, prefix: &str, roots: Roots, person: &Person, server: Era) {
    let of = |name: &str| format!("{prefix}{name}");
    let case = format!("{:?} {server:?} {roots:?}", talk.era());
    let is_new = talk.era() == Era::New;
    let meta = json!({"com.example/x": [1.5], "traceparent": PARENT});
    let echo = json!({"name": of("echo"), "arguments": {"text": "\u{e9}"}, "_meta": meta});
    let answer = talk.ask("tools/call", echo);
    let echoed = said(&answer);
    assert_eq!(echoed["arguments"], json!({"text": "\u{e9}"}), "{case}");
    assert_eq!(echoed["meta"]["com.example/x"], json!([1.5]), "{case}");
    let parent = echoed["meta"]["traceparent"].as_str().unwrap();
    assert!(parent.starts_with(PARENT.get(..36).unwrap()), "{case}: of the same trace");
    assert_eq!(echoed["version"].is_string(), server == Era::New, "{case}: {echoed}");
    assert_eq!(answer["result"]["extra"]["kept"], 1.5, "{case}");
    assert_eq!(answer["result"]["resultType"] == "complete", is_new, "{case}: {answer}");

    lists(talk, prefix, roots, &case);
    for (tool, method, response) in [
        ("ask", "elicitation/create", json!({"action": "accept", "content": {"name": "me"}})),
        (
            "sample",
            "sampling/createMessage",
            json!({
            "role": "assistant", "content": {"type": "text", "text": "ho"}, "model": "m"}),
        ),
    ] {
        let (question, answer) = talk.asked(&of(tool), &response);
        assert_eq!(question["method"], method, "{case}: {answer}");
        assert_eq!(said(&answer), response, "{case}");
    }
    long(talk, &of("long"), server, roots);
    let (question, answer) = talk.asked(&of("roots"), &json!({"roots": []}));
    match roots {
        Roots::Answered => assert_eq!(said(&answer), json!({"roots": []}), "{case}"),
        Roots::Denied => {
            assert!(question.is_null(), "{case}: {question}");
            assert!(answer.to_string().contains("no-roots"), "{case}: {answer}");
        }
    }
    let _ = fs::remove_file(person.project().join(format!("cancelled-{}", server.name())));
    let slow = json!({"name": of("slow"), "_meta": {"progressToken": "mine"}});
    let number = talk.request("tools/call", slow);
    for step in [1, 2] {
        let progress = talk.told("notifications/progress");
        assert_eq!(progress["progressToken"], "mine", "{case}");
        assert_eq!(
            (&progress["progress"], &progress["total"]),
            (&json!(step), &json!(3)),
            "{case}"
        );
    }
    let cancelled = json!({"requestId": number, "reason": "enough"});
    let method = "notifications/cancelled";
    talk.send(&json!({"jsonrpc": "2.0", "method": method, "params": cancelled}));
    let mark = person.project().join(format!("cancelled-{}", server.name()));
    // Over HTTP the end of a stream says it, which has no reason.
    let told = ["enough", "closed", "None"];
    wait_until("it is told", || fs::read_to_string(&mark).is_ok_and(|it| told.contains(&&*it)));
    changes(talk, prefix, &case);
}

/// A call that its server makes a task of, which wants to know something: within an era the client asks for it, else it
/// is one call. Whoever asks for its result gets it without what a rule takes out of results of the tool.
fn long(talk: &mut Talk, tool: &str, server: Era, roots: Roots) {
    let response = json!({"action": "accept", "content": {"name": "jo@example.com"}});
    let answer = came_of_long(talk, tool, server, &response);
    let name = match roots {
        Roots::Answered => "jo@example.com",
        Roots::Denied => "[redacted: email]",
    };
    assert_eq!(said(&answer)["content"]["name"], name, "{:?} {server:?}: {answer}", talk.era());
}

/// What comes of such a call, however its client has to ask for that; where it is not made, what is said in its place.
fn came_of_long(talk: &mut Talk, tool: &str, server: Era, response: &Value) -> Value {
    if talk.era() != server {
        let (question, answer) = talk.asked(tool, response);
        if !question.is_null() {
            assert_eq!(question["method"], "elicitation/create", "{answer}");
        }
        return answer;
    }
    let mut call = json!({"name": tool, "arguments": {}});
    if server == Era::Old {
        call["task"] = json!({});
    }
    let made = talk.ask("tools/call", call);
    if made["result"]["isError"] == true {
        return made;
    }
    if server == Era::Old {
        let task = made["result"]["task"]["taskId"].clone();
        let number = talk.request("tasks/result", json!({"taskId": task}));
        let question = talk.next(number);
        talk.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": response}));
        talk.next(number)
    } else {
        let made = talk.ask("tools/call", json!({"name": tool, "arguments": {}}));
        assert_eq!(made["result"]["resultType"], "task", "{made}");
        let of_it = json!({"taskId": made["result"]["taskId"]});
        let far = talk.ask("tasks/get", of_it.clone());
        assert_eq!(far["result"]["status"], "input_required", "{far}");
        let mut told = of_it.clone();
        told["inputResponses"] = json!({"who": response});
        assert!(talk.ask("tasks/update", told)["result"].is_object());
        let far = talk.ask("tasks/get", of_it);
        assert_eq!(far["result"]["status"], "completed", "{far}");
        far["result"].clone()
    }
}

/// Tools, prompts and resources.
fn lists(talk: &mut Talk, prefix: &str, roots: Roots, case: &str) {
    let of = |name: &str| format!("{prefix}{name}");
    let list = talk.ask("tools/list", json!({}));
    let names: Vec<&str> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&of("slow").as_str()), "{case}: {names:?}");
    if talk.era() == Era::New && roots == Roots::Denied {
        assert_eq!(list["result"]["cacheScope"], "private", "{case}");
    }
    let prompts = talk.ask("prompts/list", json!({}));
    let found = prompts["result"]["prompts"].as_array().unwrap();
    assert!(found.iter().any(|it| it["name"] == of("greet")), "{case}: {prompts}");
    let prompt = talk.ask("prompts/get", json!({"name": of("greet")}));
    assert_eq!(prompt["result"]["messages"][0]["content"]["text"], "greet", "{case}");
    talk.ask("resources/list", json!({}));
    let read = talk.ask("resources/read", json!({"uri": "note://1"}));
    assert!(read["result"]["contents"][0]["text"].is_string(), "{case}: {read}");
}

/// Lists and resources that change.
fn changes(talk: &mut Talk, prefix: &str, case: &str) {
    let tool = |name: &str| json!({"name": format!("{prefix}{name}")});
    let (mut listens, uri) = (0, "note://1");
    match talk.era() {
        Era::Old => {
            let answer = talk.ask("resources/subscribe", json!({"uri": uri}));
            assert!(answer["result"].is_object(), "{case}: {answer}");
        }
        Era::New => {
            let filter = json!({"toolsListChanged": true, "resourceSubscriptions": [uri]});
            listens = talk.request("subscriptions/listen", json!({"notifications": filter}));
            let agreed = talk.told("notifications/subscriptions/acknowledged");
            assert_eq!(agreed["_meta"][SUBSCRIPTION], listens, "{case}");
            assert_eq!(agreed["notifications"], filter, "{case}");
        }
    }
    talk.ask("tools/call", tool("change"));
    talk.ask("tools/call", tool("touch"));
    let changed = talk.told("notifications/tools/list_changed");
    let updated = talk.told("notifications/resources/updated");
    assert_eq!(updated["uri"], uri, "{case}");
    match talk.era() {
        Era::Old => {
            assert!(changed["_meta"][SUBSCRIPTION].is_null(), "{case}: {changed}");
            talk.ask("resources/unsubscribe", json!({"uri": uri}));
        }
        Era::New => {
            assert_eq!(changed["_meta"][SUBSCRIPTION], listens, "{case}");
            assert_eq!(updated["_meta"][SUBSCRIPTION], listens, "{case}");
            let cancelled = json!({"requestId": listens});
            let method = "notifications/cancelled";
            talk.send(&json!({"jsonrpc": "2.0", "method": method, "params": cancelled}));
        }
    }
    talk.told.clear();
    // The same once more: nobody is told.
    talk.ask("tools/call", tool("touch"));
    talk.ask("tools/list", json!({}));
    let of_it = |it: &&Value| it["method"] == "notifications/resources/updated";
    assert_eq!(talk.told.iter().find(of_it), None, "{case}");
}

#[test]
fn every_era_of_client_works_with_every_era_of_server() {
    for server in [Era::Old, Era::New] {
        let person = setup(&[server]);
        // Without us, within one era: and the roots are answered.
        let arguments = ["server.py", server.name()];
        let direct = person.command("/usr/bin/python3".as_ref(), &arguments);
        let mut talk = Talk::of_era(direct, server);
        all(&mut talk, "", Roots::Answered, &person, server);
        talk.end();
        for client in [Era::Old, Era::New] {
            let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), client);
            all(&mut talk, "", Roots::Denied, &person, server);
            let said = talk.end();
            assert!(!said.contains("mcp: "), "nothing odd: {said}");
        }
        let verified = person.ringfence(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{}", text(&verified));
    }
}

#[test]
fn every_era_works_with_every_era_over_http_as_well() {
    for server in [Era::Old, Era::New] {
        let port = free_port();
        let person = setup_at(&[(server, Some(port))]);
        let _behind = behind(port, server, &person);
        let mut talk = Talk::over_http(port, "", server);
        all(&mut talk, "", Roots::Answered, &person, server);
        talk.end();
        for client in [Era::Old, Era::New] {
            let served = Served::start(&person, &[]);
            let mut talk = Talk::over_http(served.port, &served.token, client);
            all(&mut talk, "", Roots::Denied, &person, server);
            talk.end();
            let said = served.end();
            assert!(!said.contains("mcp: "), "nothing odd: {said}");
        }
        let verified = person.ringfence(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{}", text(&verified));
    }
}

#[test]
fn a_server_of_either_era_is_looked_at_and_pinned() {
    for server in [Era::Old, Era::New] {
        let person = setup(&[]);
        let command = ["/usr/bin/python3", "server.py", server.name()];
        let mut words = vec!["mcp", "add", server.name(), "--yes", "--no-policy", "--"];
        words.extend(command);
        let said = person.succeed(&words);
        assert!(said.contains("  touch"), "{said}");
        let output =
            person.ringfence(&["mcp", "inspect", server.name(), "--diff"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
}

#[test]
fn servers_of_both_eras_are_one_for_a_client_of_either() {
    let person = setup(&[Era::Old, Era::New]);
    for client in [Era::Old, Era::New] {
        let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), client);
        for server in [Era::Old, Era::New] {
            let prefix = format!("{}__", server.name());
            let echo = json!({"name": format!("{prefix}echo"), "arguments": {"text": "t"}});
            let answer = talk.ask("tools/call", echo);
            assert_eq!(said(&answer)["version"].is_string(), server == Era::New, "{answer}");
            let response = json!({"action": "accept", "content": {"name": "me"}});
            let (question, answer) = talk.asked(&format!("{prefix}ask"), &response);
            assert_eq!(question["method"], "elicitation/create", "{answer}");
            assert_eq!(said(&answer), response);
        }
        let list = talk.ask("tools/list", json!({}));
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 2 * TOOLS.len(), "{list}");
        talk.end();
    }
}

#[test]
fn asking_again_is_no_way_around_the_decision() {
    for server in [Era::Old, Era::New] {
        let person = setup(&[server]);
        let own = person.home().join(".config/ringfence/policy.cedar");
        let rule = format!(
            "@id(\"small\") forbid (principal, action == Action::\"{}/echo\", resource);\n",
            server.name()
        );
        fs::write(&own, fs::read_to_string(&own).unwrap() + "\n" + &rule).unwrap();
        let mut talk = Talk::of_era(person.ringfence(&["mcp", "run"]), Era::New);
        let call = |name: &str| json!({"name": name, "arguments": {"text": "t"}});
        let first = talk.ask("tools/call", call("ask"));
        let state = first["result"]["requestState"].clone();
        assert!(state.is_string() && state != "state of ask", "{first}");
        let (key, _) = first["result"]["inputRequests"].as_object().unwrap().iter().next().unwrap();
        let responses = json!({key: {"action": "accept", "content": {"name": "me"}}});
        let again = |name: &str, state: &Value| {
            let mut params = call(name);
            params["requestState"] = state.clone();
            params["inputResponses"] = responses.clone();
            params
        };
        let mut other = again("ask", &state);
        other["arguments"] = json!({"text": "other"});
        for params in [
            again("echo", &state),
            again("echo", &json!("state of echo")),
            again("ask", &json!("state of ask")),
            again("ask", &json!("")),
            other,
        ] {
            let answer = talk.ask("tools/call", params.clone());
            assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
        }
        let denied = talk.ask("tools/call", call("echo"));
        assert!(denied.to_string().contains("small"), "{denied}");
        assert!(!person.project().join("echoed").exists());
        let answer = talk.ask("tools/call", again("ask", &state));
        assert_eq!(said(&answer)["content"]["name"], "me", "{answer}");
        let twice = talk.ask("tools/call", again("ask", &state));
        assert_eq!(twice["error"]["code"], -32602, "{twice}");
        talk.end();
    }
}
