use serde_json::json;

use super::super::frame::Frame;
use super::*;

fn message(text: &str) -> Message {
    match Frame::parse(text.as_bytes().to_vec()) {
        Ok(Frame::One(message)) => message,
        other => panic!("{other:?}"),
    }
}

mod adversary;
mod again;
mod alone;
mod beside;
mod eras;
mod noticed;
mod questions;
mod revisions;
mod tasks;
mod told;
mod unanswered;

/// A gate between a client and servers of these names, from which `hidden` is not shown.
struct Between(Middle);

impl Between {
    fn of(names: &[&str]) -> Between {
        let seats = names.iter().map(|name| ServerSeat { name: (*name).to_owned() });
        let shown = |_: usize, name: &str, _: &Value| name != "hidden";
        Between(Middle::new(seats.collect(), Box::new(shown), [7; 32]))
    }

    /// What comes of the client's `initialize`.
    fn first(&mut self, value: Value) -> Vec<Effect> {
        let effects = self.client(value);
        for (_, text) in to_servers(&effects) {
            assert_eq!(json(&text)["method"], "initialize");
        }
        effects
    }

    /// Answers what is asked of servers for our own lists; what is left.
    fn listed(&mut self, effects: Vec<Effect>, tools: &Value) -> Vec<Effect> {
        let mut left = Vec::new();
        for effect in effects {
            let Effect::ToServer(server, text) = &effect else {
                left.push(effect);
                continue;
            };
            if json(text)["method"] == "tools/list" {
                left.extend(self.answer(*server, text, json!({"tools": tools})));
            } else {
                left.push(effect);
            }
        }
        left
    }

    /// One whose client has been answered and has not said that it has begun.
    fn half_open() -> Between {
        let mut between = Between::of(&["files"]);
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let sent = to_servers(&between.first(hello));
        between.answer(0, &sent[0].1, json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
        between
    }

    /// One that has begun.
    fn open(names: &[&str]) -> Between {
        let mut between = Between::of(names);
        let effects = between.first(json!({
            "jsonrpc": "2.0", "id": "i", "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "c", "version": "1"}},
        }));
        for (server, text) in to_servers(&effects) {
            let result = json!({
                "protocolVersion": "2025-06-18", "serverInfo": {"name": names[server], "version": "1"},
                "capabilities": {"tools": {"listChanged": server == 0}, "resources": {}},
            });
            between.answer(server, &text, result);
        }
        let begun =
            between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        let left = between.listed(begun, &json!([]));
        assert_eq!(to_servers(&left).len(), names.len(), "each is told that it has begun");
        between
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
    fn client(&mut self, value: Value) -> Vec<Effect> {
        self.0.from_client(&message(&value.to_string()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
    fn server(&mut self, server: usize, value: Value) -> Vec<Effect> {
        self.0.from_server(server, &message(&value.to_string()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
    fn answer(&mut self, server: usize, request: &str, result: Value) -> Vec<Effect> {
        let id = json(request)["id"].clone();
        self.server(server, json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    /// What comes of a server's question that is permitted.
    fn permitted(&mut self, server: usize, ask: Value) -> Vec<Effect> {
        let method = ask["method"].as_str().unwrap().to_owned();
        let effects = self.server(server, ask);
        let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(call.what, Called::Method(method));
        self.0.decided(call.ticket, Decided::Permit(None))
    }

    fn call(&mut self, id: u64, name: &str) -> Call {
        let params = json!({"name": name, "arguments": {"path": "/a"}, "_meta": {"x": 1}});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        match self.client(call).as_slice() {
            [Effect::Decide(call)] => call.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn to_servers(effects: &[Effect]) -> Vec<(usize, String)> {
    let to = |effect: &Effect| {
        let Effect::ToServer(server, text) = effect else { return None };
        Some((*server, text.clone()))
    };
    effects.iter().filter_map(to).collect()
}

fn to_client(effects: &[Effect]) -> Vec<Value> {
    let to = |effect: &Effect| {
        let Effect::ToClient(text) = effect else { return None };
        Some(json(text))
    };
    effects.iter().filter_map(to).collect()
}

fn only_odd(effects: &[Effect]) -> &str {
    match effects {
        [Effect::Odd(Odd { what, .. })] => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_passed_on_before_the_session_has_begun() {
    let mut between = Between::of(&["files"]);
    for method in ["tools/list", "tools/call", "x/y"] {
        let effects = between.client(json!({"jsonrpc": "2.0", "id": 1, "method": method}));
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32602, "{method}");
        assert!(to_servers(&effects).is_empty());
    }
    let told = between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert!(only_odd(&told).contains("before the session began"));
    let pong = between.client(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    assert_eq!(to_client(&pong)[0]["result"], json!({}));
    let mut open = Between::open(&["files"]);
    let again = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "x"}});
    assert_eq!(to_client(&open.client(again))[0]["error"]["code"], -32600);
}

#[test]
fn the_only_servers_answer_is_the_clients_byte_for_byte() {
    let mut between = Between::of(&["files"]);
    let effects = between.first(json!({
        "jsonrpc": "2.0", "id": 7, "method": "initialize",
        "params": {"protocolVersion": "2099-01-01", "future": [1], "capabilities": {}},
    }));
    let (_, sent) = to_servers(&effects).remove(0);
    assert_eq!(json(&sent)["params"]["future"], json!([1]));
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"2025-11-25", "capabilities":{{"new":{{}}}},"odd":1.50}}}}"#,
        json(&sent)["id"]
    );
    let effects = between.0.from_server(0, &message(&text));
    let Effect::ToClient(got) = &effects[0] else { panic!() };
    assert!(
        got.contains(
            r#""result":{"protocolVersion":"2025-11-25", "capabilities":{"new":{}},"odd":1.50}"#
        ),
        "{got}"
    );
    assert_eq!(json(got)["id"], 7);
}

#[test]
fn several_servers_are_one_and_a_dead_one_does_not_stop_the_others() {
    let mut between = Between::of(&["files", "shop"]);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    let sent = to_servers(&between.first(hello));
    let result = json!({"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "instructions": "Buy."});
    assert!(between.answer(1, &sent[1].1, result).is_empty());
    let effects = between.0.ended(0);
    let told = &to_client(&effects)[0]["result"];
    assert_eq!(told["protocolVersion"], "2025-11-25", "what the client asked for");
    assert_eq!(told["capabilities"], json!({"tools": {}}));
    assert_eq!(told["instructions"], "shop:\nBuy.");
    let listed = between.client(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}));
    // The client did not say that it has begun, and its server is told all the same, and asked by us.
    let sent = to_servers(&listed);
    let methods: Vec<Value> = sent.iter().map(|(_, text)| json(text)["method"].clone()).collect();
    assert_eq!(methods, ["notifications/initialized", "tools/list", "tools/list"]);
    let sent = &sent[2..];
    let tools =
        json!({"tools": [{"name": "pay", "x": 1.0}, {"name": "hidden"}], "nextCursor": "p2"});
    let more = to_servers(&between.answer(1, &sent[0].1, tools));
    assert_eq!(json(&more[0].1)["params"]["cursor"], "p2");
    let effects = between.answer(1, &more[0].1, json!({"tools": [{"name": "refund"}]}));
    let names: Vec<Value> = to_client(&effects)[0]["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(names, ["shop__pay", "shop__refund"]);
}

#[test]
fn a_call_is_passed_on_when_it_is_permitted_and_not_before() {
    let mut between = Between::open(&["files", "shop"]);
    let call = between.call(5, "shop__pay");
    assert_eq!((call.server, &call.what), (1, &Called::Tool("pay".to_owned())));
    assert_eq!(call.arguments, json!({"path": "/a"}));
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let request = json(&sent[0].1);
    assert_eq!(sent[0].0, 1);
    assert_eq!(
        request["params"],
        json!({"name": "pay", "arguments": {"path": "/a"}, "_meta": {"x": 1}})
    );
    assert!(
        between.0.decided(call.ticket, Decided::Permit(None)).is_empty(),
        "a decision counts once"
    );
    let effects = between.answer(1, &sent[0].1, json!({"content": [], "y": 1}));
    assert_eq!(
        to_client(&effects),
        [json!({"jsonrpc": "2.0", "id": 5, "result": {"content": [], "y": 1}})]
    );
}

#[test]
fn a_denied_call_is_an_answer_that_a_model_can_act_on() {
    let mut between = Between::open(&["files"]);
    let call = between.call(5, "write");
    let effects = between.0.decided(call.ticket, Decided::Deny("not \"there\"".to_owned()));
    let told = &to_client(&effects)[0];
    assert_eq!(told["result"]["isError"], true);
    assert_eq!(told["result"]["content"][0]["text"], "not \"there\"");
    assert!(to_servers(&effects).is_empty());
    let read = json!({"jsonrpc": "2.0", "id": 6, "method": "resources/read", "params": {"uri": "file:///a"}});
    let Effect::Decide(call) = between.client(read).remove(0) else { panic!() };
    assert_eq!(call.what, Called::Method("resources/read".to_owned()));
    let effects = between.0.decided(call.ticket, Decided::Deny("no".to_owned()));
    assert_eq!(to_client(&effects)[0]["error"]["message"], "no");
}

#[test]
fn what_is_not_known_is_decided_by_its_name() {
    let mut between = Between::open(&["files"]);
    let odd = json!({"jsonrpc": "2.0", "id": 1, "method": "vendor/tools/call", "params": {"name": "write"}});
    let Effect::Decide(call) = between.client(odd).remove(0) else { panic!() };
    assert_eq!(call.what, Called::Method("vendor/tools/call".to_owned()));
    assert_eq!(call.arguments, json!({"name": "write"}));
    let mut two = Between::open(&["files", "shop"]);
    let odd = json!({"jsonrpc": "2.0", "id": 1, "method": "vendor/x"});
    assert_eq!(to_client(&two.client(odd))[0]["error"]["code"], -32601);
}

#[test]
fn calls_without_arguments_have_none_and_others_must_be_objects() {
    let mut between = Between::open(&["files"]);
    let mut call = |params: Value| {
        between.client(json!({"jsonrpc": "2.0", "id": params.to_string(), "method": "tools/call", "params": params})).remove(0)
    };
    for params in [
        json!({"name": "a"}),
        json!({"name": "a", "arguments": null}),
        json!({"name": "a", "arguments": {}}),
    ] {
        let Effect::Decide(it) = call(params) else { panic!() };
        assert_eq!(it.arguments, json!({}));
    }
    for params in [
        json!({}),
        json!({"name": 1}),
        json!({"name": "a", "arguments": []}),
        json!({"name": "a", "arguments": "x"}),
        json!([]),
    ] {
        let Effect::ToClient(told) = call(params) else { panic!() };
        assert_eq!(json(&told)["error"]["code"], -32602);
    }
}

#[test]
fn an_answer_belongs_to_one_request_of_one_server() {
    let mut between = Between::open(&["files", "shop"]);
    let call = between.call(5, "files__read");
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let id = json(&sent[0].1)["id"].clone();
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": {}});
    assert!(only_odd(&between.server(1, answer.clone())).contains("not asked"), "another server's");
    assert_eq!(to_client(&between.server(0, answer.clone())).len(), 1);
    assert!(only_odd(&between.server(0, answer)).contains("not asked"), "twice");
    assert!(
        only_odd(&between.server(0, json!({"jsonrpc": "2.0", "id": 999, "result": {}})))
            .contains("not asked")
    );
    // A name that is in use is not answered by that name: the answer would be the first one's.
    between.call(6, "files__read");
    let again = json!({"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": {"name": "files__read"}});
    let effects = between.client(again);
    let told = &to_client(&effects)[0];
    assert_eq!((&told["id"], &told["error"]["code"]), (&Value::Null, &json!(-32600)), "{told}");
    assert!(only_odd(&effects[1..]).contains("in use"));
}

#[test]
fn what_servers_ask_goes_to_the_client_and_its_answer_back() {
    let mut between = Between::open(&["files", "shop"]);
    let ask =
        json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"x": 1}});
    let first = to_client(&between.permitted(0, ask.clone()));
    let second = to_client(&between.permitted(1, ask.clone()));
    assert_ne!(first[0]["id"], second[0]["id"]);
    assert!(only_odd(&between.server(1, ask)).contains("in use"));
    let back = between.client(json!({"jsonrpc": "2.0", "id": second[0]["id"], "result": {"r": 2}}));
    assert_eq!(to_servers(&back).len(), 1);
    assert!(matches!(back[1], Effect::Ended(_, Ended::Answered { .. })));
    let (server, text) = to_servers(&back).remove(0);
    assert_eq!((server, json(&text)), (1, json!({"jsonrpc": "2.0", "id": 1, "result": {"r": 2}})));
    let twice = between.client(json!({"jsonrpc": "2.0", "id": second[0]["id"], "result": {}}));
    assert!(only_odd(&twice).contains("nobody asked"));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "r"}});
    let told = to_client(&between.server(0, cancel));
    assert_eq!(told[0]["params"], json!({"requestId": first[0]["id"], "reason": "r"}));
}

#[test]
fn a_cancelled_call_is_withdrawn_or_cancelled_where_it_is() {
    let mut between = Between::open(&["files"]);
    let cancel = |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    let call = between.call(5, "read");
    assert_eq!(between.client(cancel(5)), [Effect::Withdraw(call.ticket)]);
    assert!(
        between.0.decided(call.ticket, Decided::Permit(None)).is_empty(),
        "it is not passed on any more"
    );
    let call = between.call(6, "read");
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let told = to_servers(&between.client(cancel(6)));
    assert_eq!(json(&told[0].1)["params"]["requestId"], json(&sent[0].1)["id"]);
    assert!(between.client(cancel(99)).is_empty());
}

#[test]
fn a_server_that_ends_leaves_nobody_waiting() {
    let mut between = Between::open(&["files", "shop"]);
    let call = between.call(5, "shop__pay");
    between.0.decided(call.ticket, Decided::Permit(None));
    let waiting = between.call(6, "shop__pay");
    between.client(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}));
    let effects = between.0.ended(1);
    assert_eq!(to_client(&effects).len(), 1, "the list still waits for the other");
    assert_eq!(to_client(&effects)[0]["error"]["message"], "the server has ended");
    let late = between.0.decided(waiting.ticket, Decided::Permit(None));
    assert_eq!(to_client(&late)[0]["error"]["message"], "the server has ended");
    let other = between.call(8, "files__read");
    assert_eq!(to_servers(&between.0.decided(other.ticket, Decided::Permit(None))).len(), 1);
}

#[test]
fn a_resource_belongs_to_who_listed_it_first() {
    let mut between = Between::open(&["files", "shop"]);
    let sent =
        to_servers(&between.client(json!({"jsonrpc": "2.0", "id": 1, "method": "resources/list"})));
    between.answer(0, &sent[0].1, json!({"resources": [{"uri": "a://1", "name": "x"}]}));
    between.answer(
        1,
        &sent[1].1,
        json!({"resources": [{"uri": "a://1", "name": "y"}, {"uri": "b://1", "name": "z"}]}),
    );
    let mut read = |uri: &str| {
        between.client(json!({"jsonrpc": "2.0", "id": uri, "method": "resources/read", "params": {"uri": uri}})).remove(0)
    };
    let Effect::Decide(call) = read("a://1") else { panic!() };
    assert_eq!(call.server, 0);
    let Effect::Decide(call) = read("b://1") else { panic!() };
    assert_eq!(call.server, 1);
    let Effect::ToClient(told) = read("c://1") else { panic!() };
    assert!(told.contains("no server has listed"));
}

#[test]
fn what_was_decided_about_is_what_is_passed_on() {
    let mut between = Between::open(&["files"]);
    let call = between.call(7, "read");
    let effects = between.0.decided(call.ticket, Decided::Permit(Some(json!({"path": "/b"}))));
    let sent = json(&to_servers(&effects)[0].1);
    assert_eq!(
        sent["params"],
        json!({"name": "read", "arguments": {"path": "/b"}, "_meta": {"x": 1}})
    );
}

#[test]
fn a_call_without_an_id_or_by_a_method_without_a_slash_reaches_nobody() {
    let mut between = Between::open(&["files"]);
    let params = json!({"name": "write", "arguments": {}});
    let told = json!({"jsonrpc": "2.0", "method": "tools/call", "params": params});
    assert!(only_odd(&between.client(told)).contains("without an id"));
    let effects =
        between.client(json!({"jsonrpc": "2.0", "id": 1, "method": "write", "params": {}}));
    assert_eq!(to_client(&effects)[0]["error"]["code"], -32601);
    assert!(to_servers(&effects).is_empty());
}

#[test]
fn calls_of_a_server_whose_tools_change_without_end_wait_no_longer_than_for_one_list() {
    let mut between = Between::open(&["files", "shop"]);
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    let of_list = |effects: &[Effect]| {
        let sent = to_servers(effects).into_iter();
        sent.map(|(_, text)| text).find(|text| json(text)["method"] == "tools/list")
    };
    between.0.tick(1_000);
    let mut list = of_list(&between.server(0, changed.clone())).unwrap();
    let params = json!({"name": "files__read", "arguments": {}});
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params});
    assert!(between.client(call).is_empty(), "it waits for the list");
    let mut told = Vec::new();
    for second in 2..100 {
        told.extend(to_client(&between.0.tick(second * 1_000)));
        if told.iter().any(|it| it["id"] == 5) {
            assert_eq!(second, 61);
            assert!(told.iter().any(|it| it["result"]["isError"] == true), "{told:?}");
            // Others are called meanwhile.
            let other = between.call(6, "shop__pay");
            assert_eq!(
                to_servers(&between.0.decided(other.ticket, Decided::Permit(None))).len(),
                1
            );
            return;
        }
        between.server(0, changed.clone());
        let listed = between.answer(0, &list, json!({"tools": [{"name": "read"}]}));
        list = of_list(&listed).unwrap();
    }
    panic!("it waits for ever");
}

#[test]
fn cancelled_calls_are_forgotten() {
    let mut between = Between::open(&["files"]);
    for id in 0..(PENDING_MAX as u64 + 10) {
        let call = between.call(id, "read");
        between.0.decided(call.ticket, Decided::Permit(None));
        let effects = between.client(json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id},
        }));
        assert_eq!(to_servers(&effects).len(), 1, "{id}");
        assert!(effects.contains(&Effect::Ended(call.ticket, Ended::Unanswered)), "{id}");
    }
}
