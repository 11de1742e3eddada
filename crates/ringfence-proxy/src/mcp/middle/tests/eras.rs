//! Clients and servers of either era with each other.

use super::*;

pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A request of 2026-07-28, of a client that can do all.
pub(super) fn modern(id: u64, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
    let own = json!({
        VERSION: "2026-07-28", INFO: {"name": "c", "version": "1"},
        CAPABILITIES: {"sampling": {}, "elicitation": {"form": {}}, "roots": {}},
    });
    for (key, value) in own.as_object().unwrap() {
        meta.as_object_mut().unwrap().entry(key.clone()).or_insert_with(|| value.clone());
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn capabilities(is_modern: bool) -> Value {
    let mut all = json!({
        "tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true},
        "prompts": {}, "logging": {},
    });
    if is_modern {
        all["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
    } else {
        all["tasks"] = json!({"list": {}, "requests": {"tools": {"call": {}}}});
    }
    all
}

/// What a server says of itself, by its era.
fn hello(is_modern: bool) -> Value {
    if is_modern {
        json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": capabilities(is_modern),
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}, "x": 1},
            "instructions": "Ask.", "ttlMs": 5000, "cacheScope": "public", "future": [1.50],
        })
    } else {
        json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities(is_modern),
            "serverInfo": {"name": "old", "version": "1"}, "instructions": "Ask.", "future": [1.50],
        })
    }
}

/// Answers what servers are asked before anything else; what comes of that, with what is not answered.
pub(super) fn begin(between: &mut Between, first: Value, are_modern: &[bool]) -> Vec<Effect> {
    let mut left = Vec::new();
    let mut todo = between.client(first);
    while !todo.is_empty() {
        let effect = todo.remove(0);
        let Effect::ToServer(server, text) = &effect else {
            left.push(effect);
            continue;
        };
        let (server, request) = (*server, json(text));
        let is_modern = are_modern[server];
        let id = request["id"].clone();
        let more = match request["method"].as_str().unwrap() {
            "server/discover" | "initialize"
                if is_modern != (request["method"] == "server/discover") =>
            {
                let error = json!({"code": -32602, "message": "?"});
                between.server(server, json!({"jsonrpc": "2.0", "id": id, "error": error}))
            }
            "server/discover" | "initialize" => between.answer(server, text, hello(is_modern)),
            "tools/list" => {
                let long = json!({"name": "long", "execution": {"taskSupport": "required"}});
                let tools = json!([{"name": "read"}, long]);
                between.answer(server, text, json!({"tools": tools, "resultType": "complete"}))
            }
            "subscriptions/listen" => {
                let filter = request["params"]["notifications"].clone();
                between.server(
                    server,
                    json!({
                        "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                        "params": {"_meta": {SUBSCRIPTION: id}, "notifications": filter},
                    }),
                )
            }
            "notifications/initialized" => Vec::new(),
            other => panic!("{other}"),
        };
        todo.extend(more);
    }
    left
}

/// Servers of these eras, and a client of 2026-07-28 that has asked who they are.
pub(super) fn with_modern_client(are_modern: &[bool]) -> (Between, Value) {
    let names = ["files", "shop"];
    let mut between = Between::of(&names[..are_modern.len()]);
    let left = begin(&mut between, modern(1, "server/discover", &json!({})), are_modern);
    let told = to_client(&left);
    assert_eq!(told.len(), 1, "{left:?}");
    (between, told[0]["result"].clone())
}

/// The same with a client that begins a session.
pub(super) fn with_session(are_modern: &[bool]) -> (Between, Value) {
    let names = ["files", "shop"];
    let mut between = Between::of(&names[..are_modern.len()]);
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "clientInfo": {"name": "c", "version": "1"},
            "capabilities": {"sampling": {}, "elicitation": {}, "roots": {"listChanged": true}},
        },
    });
    let left = begin(&mut between, initialize, are_modern);
    let told = to_client(&left);
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let left = begin(&mut between, initialized, are_modern);
    assert!(left.is_empty(), "{left:?}");
    (between, told[0]["result"].clone())
}

/// Has a request decided and passed on; who has it now, and how it looks there.
pub(super) fn pass(between: &mut Between, request: Value) -> (usize, Value) {
    let effects = between.client(request);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let (server, text) = sent.last().unwrap();
    (*server, json(text))
}

#[test]
fn a_modern_client_learns_of_any_server_what_it_has() {
    for are_modern in [&[true][..], &[false], &[true, false], &[false, false], &[true, true]] {
        let (_, told) = with_modern_client(are_modern);
        assert_eq!(told["supportedVersions"][0], "2026-07-28", "{told}");
        assert_eq!(told["resultType"], "complete");
        assert_eq!(told["cacheScope"], "private");
        assert_eq!(told["capabilities"]["tools"]["listChanged"], true);
        assert!(told["ttlMs"].is_u64() && told["protocolVersion"].is_null());
        assert!(told["instructions"].as_str().unwrap().contains("Ask."));
        let name = &told["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
        match are_modern {
            [true] => assert_eq!(name, "new"),
            [false] => assert_eq!(name, "old"),
            _ => assert_eq!(name, "ringfence"),
        }
        if are_modern.len() == 1 {
            assert_eq!(told["future"].to_string(), "[1.5]");
        }
    }
}

#[test]
fn a_session_begins_with_any_server() {
    for are_modern in [&[true][..], &[false], &[true, false], &[false, false], &[true, true]] {
        let (_, told) = with_session(are_modern);
        assert_eq!(told["protocolVersion"], "2025-06-18", "{are_modern:?} {told}");
        assert!(told["serverInfo"]["name"].is_string() && told["supportedVersions"].is_null());
        assert_eq!(told["capabilities"]["resources"]["subscribe"], true);
        assert!(told["resultType"].is_null() && told["cacheScope"].is_null());
    }
}

#[test]
fn a_server_is_begun_with_in_the_old_way_unless_it_says_that_it_knows_the_new_one() {
    let error = |code: i64, data: Value| json!({"code": code, "message": "?", "data": data});
    for (answer, is_old) in [
        (json!({"error": error(-32601, Value::Null)}), true),
        (json!({"error": error(-32602, Value::Null)}), true),
        (json!({"error": error(0, Value::Null)}), true),
        (json!({"error": error(-32022, json!({"supported": ["2026-07-28", "2025-06-18"]}))}), true),
        (json!({"result": {}}), true),
        (json!({"result": {"supportedVersions": ["2025-11-25"]}}), true),
        (json!({"error": error(-32022, json!({"supported": ["2099-01-01"]}))}), false),
    ] {
        let mut between = Between::of(&["files"]);
        let sent = to_servers(&between.client(modern(1, "tools/list", &json!({}))));
        let mut message = answer.clone();
        message["jsonrpc"] = json!("2.0");
        message["id"] = json(&sent[0].1)["id"].clone();
        let effects = between.server(0, message);
        let asks = to_servers(&effects);
        assert_eq!(
            asks.first().is_some_and(|(_, it)| json(it)["method"] == "initialize"),
            is_old,
            "{answer}"
        );
        if !is_old {
            assert!(to_client(&effects)[0]["error"].is_object(), "nobody waits for ever");
        }
    }
}

#[test]
fn a_server_is_begun_with_as_its_client_has_begun_and_then_in_the_other_way() {
    let hello_of_client = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"},
    });
    let refusal = |of: &str, code: i64| json!({"jsonrpc": "2.0", "id": json(of)["id"], "error": {"code": code, "message": "?"}});
    let mut between = Between::of(&["files"]);
    let first = to_servers(&between.first(hello_of_client.clone())).remove(0).1;
    let second = to_servers(&between.server(0, refusal(&first, -32_601))).remove(0).1;
    assert_eq!(json(&second)["method"], "server/discover");
    let begun = between.answer(0, &second, hello(true));
    assert!(to_client(&begun)[0]["result"]["protocolVersion"].is_string(), "{begun:?}");
    // One that knows neither has refused the first.
    let mut between = Between::of(&["files"]);
    let first = to_servers(&between.first(hello_of_client.clone())).remove(0).1;
    let second = to_servers(&between.server(0, refusal(&first, -5))).remove(0).1;
    let effects = between.server(0, refusal(&second, -32_601));
    assert_eq!(to_client(&effects)[0]["error"]["code"], -5, "{effects:?}");
    // One that thinks about it is asked the other, and may still answer the first.
    let mut between = Between::of(&["files"]);
    let first = to_servers(&between.first(hello_of_client.clone())).remove(0).1;
    assert!(between.0.tick(4_999).is_empty());
    let second = to_servers(&between.0.tick(5_000)).remove(0).1;
    assert_eq!(json(&second)["method"], "server/discover");
    assert!(between.server(0, refusal(&second, -32_601)).is_empty());
    let begun = between.answer(0, &first, hello(false));
    assert_eq!(to_client(&begun)[0]["result"]["protocolVersion"], "2025-11-25", "{begun:?}");
    // One that is gone is asked nothing.
    let mut between = Between::of(&["files"]);
    between.first(hello_of_client);
    let effects = between.0.ended(0);
    assert!(to_servers(&effects).is_empty() && to_client(&effects)[0]["error"].is_object());
}

#[test]
fn a_server_that_does_not_answer_is_begun_with_in_the_old_way_after_a_time_and_given_up_in_the_end()
{
    let mut between = Between::of(&["files"]);
    let sent = to_servers(&between.client(modern(1, "tools/list", &json!({}))));
    assert!(between.0.tick(4_999).is_empty());
    assert_eq!(between.0.deadline_ms(), Some(5_000));
    let asked = to_servers(&between.0.tick(5_000));
    assert_eq!(json(&asked[0].1)["method"], "initialize");
    assert_eq!(json(&asked[0].1)["params"]["protocolVersion"], "2025-11-25");
    // What it says to the first question after all is heard, where it is of the new era.
    let mut late = Between::of(&["files"]);
    late.client(modern(1, "tools/list", &json!({})));
    late.0.tick(5_000);
    let begun = late.answer(0, &sent[0].1, hello(true));
    let methods: Vec<Value> =
        to_servers(&begun).iter().map(|(_, it)| json(it)["method"].clone()).collect();
    assert_eq!(methods, ["tools/list", "subscriptions/listen", "tools/list"]);
    let error = json!({"jsonrpc": "2.0", "id": json(&sent[0].1)["id"], "error": {"code": -32601, "message": "?"}});
    assert!(between.server(0, error).is_empty());
    let effects = between.0.tick(5_000 + 180_000);
    assert!(matches!(&effects[0], Effect::Odd(odd) if odd.kind == OddKind::NoBeginning));
    assert_eq!(to_client(&effects)[0]["error"]["code"], -32601);
}

#[test]
fn tasks_of_one_era_are_none_of_the_other() {
    let params = json!({"taskId": "t"});
    for (client_is_modern, server_is_modern) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let (mut between, request) = if client_is_modern {
            (with_modern_client(&[server_is_modern]).0, modern(2, "tasks/get", &params))
        } else {
            let get = json!({"jsonrpc": "2.0", "id": 2, "method": "tasks/get", "params": params});
            (with_session(&[server_is_modern]).0, get)
        };
        let effects = between.client(request);
        if client_is_modern == server_is_modern {
            assert!(matches!(effects.as_slice(), [Effect::Decide(_)]), "{effects:?}");
        } else {
            assert_eq!(to_client(&effects)[0]["error"]["code"], -32601, "{effects:?}");
        }
    }
    let mut between = with_modern_client(&[true]).0;
    for (id, method) in [(3, "tasks/list"), (4, "tasks/result")] {
        let effects = between.client(modern(id, method, &params));
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32601, "{method}");
    }
}

#[test]
fn what_is_not_understood_comes_through_every_translation() {
    for server_is_modern in [false, true] {
        for client_is_modern in [false, true] {
            let case = (client_is_modern, server_is_modern);
            let params = json!({
                "name": "read", "arguments": {"deep": [{"\u{e9}": 1.50, "n": 12_345_678_901_234_567_u64}]},
                "unknown": {"a": [null, true]},
                "_meta": {"com.example/x": {"y": 1}, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "k=v"},
            });
            let (mut between, request) = if client_is_modern {
                (with_modern_client(&[server_is_modern]).0, modern(2, "tools/call", &params))
            } else {
                let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params, "top": 1});
                (with_session(&[server_is_modern]).0, call)
            };
            let (_, got) = pass(&mut between, request);
            assert_eq!(got["params"]["arguments"], params["arguments"], "{case:?}");
            assert_eq!(got["params"]["unknown"], params["unknown"], "{case:?}");
            for key in ["com.example/x", "traceparent", "tracestate"] {
                assert_eq!(got["params"]["_meta"][key], params["_meta"][key], "{case:?} {key}");
            }
            assert_eq!(got["params"]["_meta"][VERSION].is_string(), server_is_modern, "{case:?}");
            assert_eq!(
                got["params"]["_meta"][CAPABILITIES].is_object(),
                server_is_modern,
                "{case:?}"
            );
            let mut result = json!({
                "content": [{"type": "new", "x": 1.0}], "structuredContent": [1], "unknown": {"b": 2},
                "_meta": {"com.example/z": 3},
            });
            if server_is_modern {
                result["resultType"] = json!("complete");
            }
            let effects = between.answer(0, &got.to_string(), result.clone());
            let told = &to_client(&effects)[0]["result"];
            for key in ["content", "structuredContent", "unknown"] {
                assert_eq!(told[key], result[key], "{case:?}");
            }
            assert_eq!(told["_meta"]["com.example/z"], 3, "{case:?}");
            assert_eq!(told["resultType"] == "complete", client_is_modern, "{case:?} {told}");
        }
    }
}

#[test]
fn a_request_that_says_its_revision_wrongly_is_refused() {
    let with = |meta: &Value| json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {"_meta": meta}});
    let (mut between, _) = with_modern_client(&[true]);
    for (meta, code) in [
        (json!({VERSION: "1900-01-01", CAPABILITIES: {}}), -32022),
        (json!({VERSION: "2025-11-25", CAPABILITIES: {}}), -32022),
        (json!({VERSION: 1, CAPABILITIES: {}}), -32602),
        (json!({VERSION: "2026-07-28"}), -32602),
        (json!({VERSION: "2026-07-28", CAPABILITIES: []}), -32602),
        (json!({VERSION: "2026-07-28", CAPABILITIES: {}, INFO: 1}), -32602),
        (json!({VERSION: "2026-07-28", CAPABILITIES: {}, LOG_LEVEL: "loud"}), -32602),
        (json!({CAPABILITIES: {}}), -32602),
        (json!({}), -32602),
    ] {
        let effects = between.client(with(&meta));
        let told = &to_client(&effects)[0]["error"];
        assert_eq!(told["code"], code, "{meta}");
        assert!(to_servers(&effects).is_empty());
        if code == -32022 {
            assert_eq!(told["data"]["requested"], meta[VERSION]);
            assert_eq!(told["data"]["supported"][0], "2026-07-28");
        }
    }
}

#[test]
fn methods_belong_to_their_era() {
    let (mut between, _) = with_modern_client(&[false]);
    for method in ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let effects = between.client(modern(3, method, &json!({"uri": "a://1", "level": "debug"})));
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32601, "{method}");
        assert!(to_servers(&effects).is_empty());
    }
    let (mut between, _) = with_session(&[true]);
    for method in ["server/discover", "subscriptions/listen", "tasks/update"] {
        let effects = between.client(json!({"jsonrpc": "2.0", "id": 3, "method": method}));
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32601, "{method}");
        assert!(to_servers(&effects).is_empty());
    }
    // Servers of the new era make no requests.
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}});
    let effects = between.server(0, ask);
    assert!(to_client(&effects).is_empty());
    assert_eq!(json(&to_servers(&effects)[0].1)["error"]["code"], -32600);
    assert!(matches!(&effects[1], Effect::Odd(odd) if odd.kind == OddKind::OutOfPlace));
}

#[test]
fn lists_are_private_and_say_how_long_they_hold() {
    for is_modern in [true, false] {
        let (mut between, _) = with_modern_client(&[is_modern]);
        let sent = to_servers(&between.client(modern(2, "tools/list", &json!({}))));
        let mut list = json!({"tools": [{"name": "a", "x": 1}, {"name": "hidden"}], "z": 1});
        if is_modern {
            list["resultType"] = json!("complete");
            list["ttlMs"] = json!(7000);
            list["cacheScope"] = json!("public");
        }
        let told = &to_client(&between.answer(0, &sent[0].1, list))[0]["result"];
        assert_eq!(told["tools"], json!([{"name": "a", "x": 1}]));
        assert_eq!(told["cacheScope"], "private", "{is_modern}");
        assert_eq!(told["ttlMs"], if is_modern { 7000 } else { 0 });
        assert_eq!((&told["resultType"], &told["z"]), (&json!("complete"), &json!(1)));
        let read = modern(3, "resources/read", &json!({"uri": "a://1"}));
        let (_, got) = pass(&mut between, read);
        let read = json!({"contents": [], "cacheScope": "public", "ttlMs": 9});
        let told = &to_client(&between.answer(0, &got.to_string(), read))[0]["result"];
        assert_eq!(told["cacheScope"], "private", "{is_modern}");
    }
}

#[test]
fn a_resource_that_is_not_there_has_the_code_of_the_clients_era() {
    let (mut between, _) = with_modern_client(&[false]);
    let (_, got) = pass(&mut between, modern(3, "resources/read", &json!({"uri": "a://1"})));
    let error = json!({"code": -32002, "message": "not there", "data": {"uri": "a://1"}});
    let effects = between.server(0, json!({"jsonrpc": "2.0", "id": got["id"], "error": error}));
    let told = &to_client(&effects)[0]["error"];
    assert_eq!((&told["code"], &told["data"]["uri"]), (&json!(-32602), &json!("a://1")));
}

#[test]
fn progress_has_a_name_of_ours_at_servers_and_the_clients_own_at_the_client() {
    for is_modern in [true, false] {
        let (mut between, _) = with_modern_client(&[is_modern, is_modern]);
        let call = |id: u64, name: &str| {
            modern(id, "tools/call", &json!({"name": name, "_meta": {"progressToken": "same"}}))
        };
        let (_, first) = pass(&mut between, call(5, "files__a"));
        let (_, second) = pass(&mut between, call(6, "shop__a"));
        let token = |got: &Value| got["params"]["_meta"]["progressToken"].clone();
        assert_ne!(token(&first), token(&second));
        let progress = |token: &Value| {
            json!({
                "jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "x": 2},
            })
        };
        let told = to_client(&between.server(1, progress(&token(&second))));
        assert_eq!(told[0]["params"], json!({"progressToken": "same", "progress": 1, "x": 2}));
        for wrong in [token(&first), json!("same"), json!(99)] {
            let effects = between.server(1, progress(&wrong));
            assert!(
                matches!(&effects[..], [Effect::Odd(odd)] if odd.kind == OddKind::UnknownAnswer)
            );
        }
    }
}

#[test]
fn logs_come_with_the_request_that_wants_them() {
    let (mut between, _) = with_modern_client(&[false]);
    let log = |level: &str| {
        json!({
            "jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": 1},
        })
    };
    assert!(between.server(0, log("error")).is_empty(), "nobody wants it");
    let call = modern(5, "tools/call", &json!({"name": "a", "_meta": {LOG_LEVEL: "warning"}}));
    let effects = between.client(call);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    assert_eq!(json(&sent[0].1)["method"], "logging/setLevel");
    assert_eq!(json(&sent[0].1)["params"]["level"], "warning");
    assert!(json(&sent[1].1)["params"]["_meta"][LOG_LEVEL].is_null());
    assert_eq!(to_client(&between.server(0, log("error"))).len(), 1);
    assert!(between.server(0, log("info")).is_empty());
    // In a session, servers of the new era are told with each request.
    let (mut between, _) = with_session(&[true]);
    let set = json!({"jsonrpc": "2.0", "id": 4, "method": "logging/setLevel", "params": {"level": "info"}});
    assert_eq!(to_client(&between.client(set))[0]["result"], json!({}));
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "a"}});
    let (_, got) = pass(&mut between, call);
    assert_eq!(got["params"]["_meta"][LOG_LEVEL], "info");
    assert_eq!(to_client(&between.server(0, log("info"))).len(), 1);
}

#[test]
fn changes_are_told_to_who_listens_and_to_sessions() {
    for is_modern in [true, false] {
        let (mut between, _) = with_modern_client(&[is_modern]);
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed", "params": {"_meta": {"x": 1}}});
        assert!(to_client(&between.server(0, changed.clone())).is_empty());
        let filter = json!({"notifications": {"promptsListChanged": true, "toolsListChanged": true, "resourceSubscriptions": ["a://1", "b://1"]}});
        let effects = between.client(modern(7, "subscriptions/listen", &filter));
        let [Effect::Decide(first), Effect::Decide(second)] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(first.what, Called::Method("resources/subscribe".to_owned()));
        assert_eq!(first.arguments, json!({"uri": "a://1"}));
        assert!(between.0.decided(second.ticket, Decided::Deny("no".to_owned())).is_empty());
        let sent = to_servers(&between.0.decided(first.ticket, Decided::Permit(None)));
        let request = json(&sent[0].1);
        let effects = if is_modern {
            assert_eq!(request["method"], "subscriptions/listen");
            assert_eq!(
                request["params"]["notifications"],
                json!({"resourceSubscriptions": ["a://1"]})
            );
            between.server(0, json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": {"_meta": {SUBSCRIPTION: request["id"]}, "notifications": {"resourceSubscriptions": ["a://1"]}},
            }))
        } else {
            assert_eq!(request["method"], "resources/subscribe");
            between.answer(0, &sent[0].1, json!({}))
        };
        let told = to_client(&effects);
        assert_eq!(told[0]["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(told[0]["params"]["_meta"][SUBSCRIPTION], 7);
        // Prompts do not change here, and one resource was denied.
        assert_eq!(
            told[0]["params"]["notifications"],
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1"]})
        );
        let updated = |uri: &str| {
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": {"uri": uri, "_meta": {SUBSCRIPTION: request["id"], "x": 1}}})
        };
        let told = to_client(&between.server(0, updated("a://1")));
        assert_eq!(told[0]["params"], json!({"uri": "a://1", "_meta": {SUBSCRIPTION: 7, "x": 1}}));
        assert!(between.server(0, updated("b://1")).is_empty());
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let effects = between.server(0, changed);
        assert_eq!(to_client(&effects)[0]["params"]["_meta"][SUBSCRIPTION], 7);
        assert_eq!(json(&to_servers(&effects)[0].1)["method"], "tools/list", "we look ourselves");
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
        let ends = to_servers(&between.client(cancel));
        let expected = if is_modern { "notifications/cancelled" } else { "resources/unsubscribe" };
        assert_eq!(json(&ends[0].1)["method"], expected);
        assert!(between.server(0, updated("a://1")).is_empty());
    }
}

#[test]
fn a_session_subscribes_at_a_server_that_knows_no_sessions() {
    let (mut between, _) = with_session(&[true]);
    let subscribe = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"uri": "a://1"}});
    let (_, request) = pass(&mut between, subscribe(5, "resources/subscribe"));
    assert_eq!(request["method"], "subscriptions/listen");
    let effects = between.server(0, json!({
        "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": {SUBSCRIPTION: request["id"]}, "notifications": {"resourceSubscriptions": ["a://1"]}},
    }));
    assert_eq!(to_client(&effects)[0], json!({"jsonrpc": "2.0", "id": 5, "result": {}}));
    let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": "a://1", "_meta": {SUBSCRIPTION: request["id"]}}});
    assert_eq!(to_client(&between.server(0, updated))[0]["params"], json!({"uri": "a://1"}));
    let effects = between.client(subscribe(6, "resources/unsubscribe"));
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let effects = between.0.decided(call.ticket, Decided::Permit(None));
    assert_eq!(to_client(&effects)[0]["result"], json!({}));
    assert_eq!(json(&to_servers(&effects)[0].1)["method"], "notifications/cancelled");
}

#[test]
fn requests_on_streams_of_their_own_may_have_the_same_name() {
    let (mut between, _) = with_modern_client(&[true]);
    let call = modern(2, "tools/call", &json!({"name": "a"}));
    let mut on = |stream: u64| {
        let effects = between.0.from_client_on(stream, &message(&call.to_string()));
        let [Effect::Decide(decide)] = effects.as_slice() else { panic!("{effects:?}") };
        to_servers(&between.0.decided(decide.ticket, Decided::Permit(None))).remove(0).1
    };
    let (first, second) = (on(11), on(12));
    let effects = between.answer(0, &second, json!({"resultType": "complete", "content": []}));
    assert!(matches!(&effects[0], Effect::ToStream(12, text) if json(text)["id"] == 2));
    let effects = between.0.closed(11);
    assert_eq!(json(&to_servers(&effects)[0].1)["params"]["requestId"], json(&first)["id"]);
}

#[test]
fn what_is_echoed_is_what_the_method_has_and_nothing_else() {
    // Whatever a server calls its result, a client in a session has no use for these.
    for kind in ["complete", "input_required", "task", "other"] {
        let mut between = Between::open(&["files"]);
        let call = between.call(5, "read");
        let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
        let id = json(&sent[0].1)["id"].clone();
        let result =
            json!({"resultType": kind, "requestState": "s", "taskId": "t", "nextCursor": "c"});
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        assert!(between.0.echoed(0, &message(&answer.to_string())).is_empty(), "{kind}");
    }
    let (mut between, _) = with_session(&[true]);
    let call = between.call(5, "read");
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let id = json(&sent[0].1)["id"].clone();
    for (kind, echoed) in [
        ("complete", &[][..]),
        ("input_required", &["requestState"]),
        ("task", &["taskId"]),
        ("other", &[]),
    ] {
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": kind}});
        let answer = message(&answer.to_string());
        assert_eq!(between.0.echoed(0, &answer), echoed, "{kind}");
        assert!(between.0.echoed(1, &answer).is_empty(), "another server's");
    }
    for (method, echoed) in [
        ("notifications/progress", &["progressToken"][..]),
        ("notifications/cancelled", &["requestId"]),
        ("notifications/tasks/status", &["taskId"]),
        ("notifications/message", &[]),
        ("notifications/of_tomorrow", &[]),
    ] {
        let told = json!({"jsonrpc": "2.0", "method": method});
        assert_eq!(between.0.echoed(0, &message(&told.to_string())), echoed, "{method}");
    }
    let listed = between.client(json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list"}));
    let (server, text) = to_servers(&listed).pop().unwrap();
    let page = json!({"jsonrpc": "2.0", "id": json(&text)["id"], "result": {}});
    assert_eq!(between.0.echoed(server, &message(&page.to_string())), ["nextCursor"]);
}
