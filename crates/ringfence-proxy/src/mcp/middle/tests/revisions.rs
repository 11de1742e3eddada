//! Clients and servers that speak one revision alone, each with each.

use super::eras::modern;
use super::*;
use crate::mcp::revision::Revision;

/// How a server takes a revision that it does not speak.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// It answers with its own.
    Answers,
    /// It refuses, and says which it speaks.
    Refuses,
    /// It refuses, and says nothing.
    Silent,
}

/// A server that speaks this revision and no other.
#[derive(Clone, Copy)]
struct Alone(Revision, Other);

impl Alone {
    /// The answer to a request of the gate; to one that is none, nothing.
    fn answer(self, request: &Value) -> Option<Value> {
        let Alone(own, other) = self;
        let refuse = |code: i64, data: Value| {
            let error =
                json!({"code": code, "message": "Unsupported protocol version", "data": data});
            Some(json!({"error": error}))
        };
        let method = request["method"].as_str()?;
        if request["id"].is_null() {
            return None;
        }
        let can = json!({"tools": {}, "tasks": {"requests": {"tools": {"call": {}}}}});
        let is_new = own == Revision::V2026_07_28;
        match (method, is_new) {
            ("initialize", true) | ("server/discover", false) => refuse(-32_601, Value::Null),
            ("server/discover", true) => {
                let all = json!({"supportedVersions": [own.name()], "capabilities": {"tools": {}}, "resultType": "complete"});
                Some(json!({"result": all}))
            }
            ("initialize", false) => {
                let is_spoken = request["params"]["protocolVersion"] == own.name();
                match other {
                    Other::Refuses if !is_spoken => {
                        refuse(-32_602, json!({"supported": ["1999-01-01", own.name()]}))
                    }
                    Other::Silent if !is_spoken => refuse(-32_602, Value::Null),
                    Other::Answers | Other::Refuses | Other::Silent => {
                        let info = json!({"name": "s", "version": "1"});
                        Some(
                            json!({"result": {"protocolVersion": own.name(), "capabilities": can, "serverInfo": info}}),
                        )
                    }
                }
            }
            ("tools/list", _) => {
                let task = json!({"name": "task", "execution": {"taskSupport": "required"}});
                Some(json!({"result": {"tools": [{"name": "rich"}, task]}}))
            }
            ("subscriptions/listen", _) => None,
            (method, _) => panic!("{method}"),
        }
    }
}

/// Answers what servers are asked for; what is left.
fn served(between: &mut Between, servers: &[Alone], mut todo: Vec<Effect>) -> Vec<Effect> {
    let mut left = Vec::new();
    while !todo.is_empty() {
        let effect = todo.remove(0);
        let Effect::ToServer(server, text) = &effect else {
            left.push(effect);
            continue;
        };
        let request = json(text);
        if let Some(mut answer) = servers[*server].answer(&request) {
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = request["id"].clone();
            todo.extend(between.server(*server, answer));
        }
    }
    left
}

/// A client of this revision that has begun with these servers; what it was told.
fn begun(client: Revision, servers: &[Alone]) -> (Between, Value) {
    let names = ["one", "two", "three", "four", "five"];
    let mut between = Between::of(&names[..servers.len()]);
    let first = if client.has_sessions() {
        let params = json!({"protocolVersion": client.name(), "capabilities": {"sampling": {}}, "clientInfo": {"name": "c", "version": "1"}});
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    } else {
        modern(1, "server/discover", &json!({}))
    };
    let effects = between.client(first);
    let left = served(&mut between, servers, effects);
    let told = to_client(&left).remove(0);
    assert!(told["result"].is_object(), "{client}: {told}");
    if client.has_sessions() {
        let effects =
            between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert!(served(&mut between, servers, effects).is_empty(), "{client}");
    }
    (between, told["result"].clone())
}

/// What comes of a request that is permitted, if its server answers with this.
fn asked(
    between: &mut Between,
    client: Revision,
    (method, params): (&str, Value),
    result: Value,
) -> Value {
    let request = if client.has_sessions() {
        json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    } else {
        modern(7, method, &params)
    };
    let effects = between.client(request);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let (server, text) = sent.last().unwrap();
    let told = to_client(&between.answer(*server, text, result));
    told[0]["result"].clone()
}

/// A result with all kinds of content.
fn rich() -> Value {
    json!({
        "content": [
            {"type": "text", "text": "t"},
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav", "annotations": {"priority": 1}},
            {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "the first"},
            {"type": "of_tomorrow", "x": 1.5},
        ],
        "structuredContent": {"t": 1},
    })
}

fn kinds(content: &Value) -> Vec<&str> {
    content.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect()
}

#[test]
fn whoever_speaks_one_revision_alone_works_with_who_speaks_another_alone() {
    for client in Revision::ALL {
        for server in Revision::ALL {
            for other in [Other::Answers, Other::Refuses, Other::Silent] {
                let case = format!("{client} {server} {other:?}");
                let (mut between, told) = begun(client, &[Alone(server, other)]);
                if client.has_sessions() {
                    assert_eq!(told["protocolVersion"], client.name(), "{case}");
                } else {
                    assert_eq!(told["supportedVersions"][0], client.name(), "{case}");
                }
                let knows_tasks = client == Revision::V2025_11_25 && server.has_sessions();
                if client != server {
                    assert_eq!(told["capabilities"]["tasks"].is_object(), knows_tasks, "{case}");
                }
                let call = ("tools/call", json!({"name": "rich"}));
                let got = asked(&mut between, client, call, rich());
                let (audio, link) = match client {
                    Revision::V2024_11_05 => ("text", "text"),
                    Revision::V2025_03_26 => ("audio", "text"),
                    Revision::V2025_06_18 | Revision::V2025_11_25 | Revision::V2026_07_28 => {
                        ("audio", "resource_link")
                    }
                };
                assert_eq!(kinds(&got["content"]), ["text", audio, link, "of_tomorrow"], "{case}");
                assert_eq!(got["structuredContent"], json!({"t": 1}), "{case}");
                assert_eq!(got["content"][3]["x"], 1.5, "{case}");
                assert_eq!(got["content"][1]["annotations"]["priority"], 1, "{case}");
                if link == "text" {
                    let expected =
                        json!({"type": "text", "text": "[resource file:///a] a, the first"});
                    assert_eq!(got["content"][2], expected, "{case}");
                }
            }
        }
    }
}

#[test]
fn of_several_servers_none_makes_the_others_older() {
    let servers = Revision::ALL.map(|it| Alone(it, Other::Answers));
    for client in Revision::ALL.into_iter().filter(|it| it.has_sessions()) {
        let (mut between, told) = begun(client, &servers);
        assert_eq!(told["protocolVersion"], client.name());
        let call = ("tools/call", json!({"name": "five__rich"}));
        let got = asked(&mut between, client, call, rich());
        assert_eq!(kinds(&got["content"])[1] == "audio", client > Revision::V2024_11_05, "{got}");
    }
}

#[test]
fn a_server_that_speaks_no_revision_that_is_known_here_is_not_begun_with() {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}});
    for data in [
        json!({"supported": ["1999-01-01"]}),
        json!({"supported": []}),
        json!({"supported": [1]}),
        Value::Null,
    ] {
        let mut between = Between::of(&["files"]);
        let mut sent = to_servers(&between.client(initialize.clone()));
        let mut tries = 0;
        let told = loop {
            let (server, request) = sent.remove(0);
            tries += 1;
            let error = json!({"code": -32_602, "message": "no", "data": data});
            let id = json(&request)["id"].clone();
            let effects =
                between.server(server, json!({"jsonrpc": "2.0", "id": id, "error": error}));
            sent = to_servers(&effects);
            if sent.is_empty() {
                break to_client(&effects).remove(0);
            }
        };
        assert_eq!(told["error"]["message"], "no", "{data}");
        // All that there are, and the question of the other era; one that names what it speaks is not asked on.
        assert_eq!(tries, if data.is_null() { 5 } else { 2 }, "{data}");
    }
}

#[test]
fn what_is_structured_alone_is_text_to_a_client_that_knows_text_alone() {
    let structured = json!({"structuredContent": {"a": [1.50]}});
    let empty = json!({"content": [], "structuredContent": {"a": [1.50]}});
    for (client, is_told) in [("2024-11-05", true), ("2025-03-26", true), ("2025-06-18", false)] {
        let client: Revision = client.parse().unwrap();
        for result in [&structured, &empty] {
            for server in [Revision::V2025_11_25, Revision::V2026_07_28] {
                let (mut between, _) = begun(client, &[Alone(server, Other::Answers)]);
                let call = ("tools/call", json!({"name": "rich"}));
                let got = asked(&mut between, client, call, result.clone());
                let text = json!([{"type": "text", "text": "{\"a\":[1.5]}"}]);
                assert_eq!(got["content"] == text, is_told, "{client} {server}: {got}");
            }
        }
    }
}

#[test]
fn prompts_and_what_a_model_is_asked_are_in_words_of_the_client() {
    let (v1, v4) = (Revision::V2024_11_05, Revision::V2025_11_25);
    let (mut between, _) = begun(v1, &[Alone(v4, Other::Answers)]);
    let audio = json!({"type": "audio", "data": "AAAA", "mimeType": "audio/wav"});
    let messages = json!([{"role": "user", "content": audio}]);
    let got = asked(
        &mut between,
        v1,
        ("prompts/get", json!({"name": "p"})),
        json!({"messages": messages, "description": "d"}),
    );
    assert_eq!(got["messages"][0]["content"]["type"], "text", "{got}");
    assert_eq!(got["description"], "d");
    let several = json!([{"type": "text", "text": "look"}, audio]);
    let messages = json!([{"role": "user", "content": several, "_meta": {"x": 1}}]);
    let ask = json!({
        "jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage",
        "params": {"messages": messages, "maxTokens": 5, "_meta": {"progressToken": "p"}},
    });
    let asked_of_client = to_client(&between.permitted(0, ask.clone())).remove(0);
    let params = &asked_of_client["params"];
    let texts: Vec<&Value> =
        params["messages"].as_array().unwrap().iter().map(|it| &it["content"]["text"]).collect();
    assert_eq!(texts, ["look", "[audio (audio/wav), which MCP 2024-11-05 cannot carry]"]);
    assert_eq!(params["messages"][1]["_meta"]["x"], 1);
    assert_eq!(
        (&params["maxTokens"], &params["_meta"]["progressToken"]),
        (&json!(5), &asked_of_client["id"])
    );
    // Between peers of one revision nothing of it is another.
    let (mut between, _) = begun(v4, &[Alone(v4, Other::Answers)]);
    let asked_of_client = to_client(&between.permitted(0, ask)).remove(0);
    assert_eq!(asked_of_client["params"]["messages"], messages);
}

#[test]
fn what_is_told_since_a_later_revision_does_not_reach_an_older_client() {
    let told = |method: &str| json!({"jsonrpc": "2.0", "method": method, "params": {}});
    for (client, comes) in [(Revision::V2025_06_18, 0), (Revision::V2025_11_25, 1)] {
        let (mut between, _) = begun(client, &[Alone(Revision::V2025_11_25, Other::Answers)]);
        for method in ["notifications/elicitation/complete", "notifications/tasks/status"] {
            assert_eq!(between.server(0, told(method)).len(), comes, "{client} {method}");
        }
        assert_eq!(between.server(0, told("notifications/of_tomorrow")).len(), 1, "{client}");
    }
}

#[test]
fn a_tool_that_is_called_as_a_task_alone_is_one_call_to_a_client_without_tasks() {
    for (client, kind) in
        [(Revision::V2024_11_05, "text"), (Revision::V2025_06_18, "resource_link")]
    {
        let (mut between, _) = begun(client, &[Alone(Revision::V2025_11_25, Other::Answers)]);
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "task"}});
        let effects = between.client(call);
        let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
        let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
        assert_eq!(json(&sent[0].1)["params"]["task"], json!({}), "{client}");
        let made =
            between.answer(0, &sent[0].1, json!({"task": {"taskId": "t", "status": "working"}}));
        let asked = to_servers(&made);
        assert_eq!(json(&asked[0].1)["method"], "tasks/result", "{made:?}");
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a"});
        let told = to_client(&between.answer(0, &asked[0].1, json!({"content": [link]})));
        assert_eq!(
            (&told[0]["id"], &told[0]["result"]["content"][0]["type"]),
            (&json!(7), &json!(kind))
        );
    }
}
