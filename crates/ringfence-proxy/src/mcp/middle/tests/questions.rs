//! What servers ask of the client, in the words of either era.

use super::eras::{CAPABILITIES, begin, modern, pass, with_modern_client, with_session};
use super::*;

fn elicit(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "new": 1,
        "params": {"message": "who?", "requestedSchema": {}, "y": 2}})
}

fn call(id: u64, arguments: &Value) -> Value {
    modern(id, "tools/call", &json!({"name": "a", "arguments": arguments}))
}

fn again(id: u64, arguments: &Value, state: &Value, responses: &Value) -> Value {
    modern(
        id,
        "tools/call",
        &json!({
            "name": "a", "arguments": arguments, "requestState": state, "inputResponses": responses,
        }),
    )
}

/// A modern client's call, about which a server of the era of sessions asks; the server's request, and what the
/// client is told.
fn asked(between: &mut Between) -> (Value, Value) {
    let (_, sent) = pass(between, call(2, &json!({"p": 1})));
    let told = to_client(&between.permitted(0, elicit(40)));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["id"], 2);
    let result = told[0]["result"].clone();
    assert_eq!(result["resultType"], "input_required");
    (sent, result)
}

fn only_key(result: &Value) -> String {
    result["inputRequests"].as_object().unwrap().keys().next().unwrap().clone()
}

#[test]
fn an_old_servers_question_is_the_answer_to_a_modern_client_and_asking_again_answers_it() {
    let (mut between, _) = with_modern_client(&[false]);
    let (sent, result) = asked(&mut between);
    let key = only_key(&result);
    assert_eq!(
        result["inputRequests"][&key],
        json!({"method": "elicitation/create", "new": 1,
            "params": {"message": "who?", "requestedSchema": {}, "y": 2}})
    );
    let response =
        json!({key: {"action": "accept", "content": {"name": "me"}, "z": 1}, "other": {}});
    let effects = between.client(again(3, &json!({"p": 1}), &result["requestState"], &response));
    assert!(!effects.iter().any(|it| matches!(it, Effect::Decide(_))), "it is the same act");
    let (server, text) = to_servers(&effects).remove(0);
    assert_eq!(
        (server, json(&text)),
        (
            0,
            json!({"jsonrpc": "2.0", "id": 40, "result": {"action": "accept", "content": {"name": "me"}, "z": 1}})
        )
    );
    let effects = between.answer(0, &sent.to_string(), json!({"content": []}));
    assert_eq!(to_client(&effects)[0]["id"], 3);
    assert_eq!(to_client(&effects)[0]["result"]["resultType"], "complete");
}

#[test]
fn asking_again_for_another_call_or_twice_is_refused() {
    let (mut between, _) = with_modern_client(&[false]);
    let (_, result) = asked(&mut between);
    let state = &result["requestState"];
    let response = json!({only_key(&result): {"action": "accept"}});
    let other = modern(
        3,
        "tools/call",
        &json!({
        "name": "b", "arguments": {"p": 1}, "requestState": state, "inputResponses": response}),
    );
    let prompt = modern(
        3,
        "prompts/get",
        &json!({
        "name": "a", "arguments": {"p": 1}, "requestState": state, "inputResponses": response}),
    );
    let more = modern(
        3,
        "tools/call",
        &json!({
        "name": "a", "arguments": {"p": 1}, "task": {}, "requestState": state, "inputResponses": response}),
    );
    for request in [
        again(3, &json!({"p": 2}), state, &response),
        again(3, &json!({"p": 1, "q": 1}), state, &response),
        again(3, &json!({"p": 1}), &json!("guessed"), &response),
        again(3, &json!({"p": 1}), &json!(7), &response),
        again(3, &json!({"p": 1}), &Value::Null, &response),
        again(3, &json!({"p": 1}), state, &json!([])),
        other,
        prompt,
        more,
    ] {
        let effects = between.client(request.clone());
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32602, "{request}");
        assert!(to_servers(&effects).is_empty());
        assert!(!effects.iter().any(|it| matches!(it, Effect::Decide(_))));
    }
    let stateless = modern(
        3,
        "tools/call",
        &json!({"name": "a", "arguments": {"p": 1}, "inputResponses": response}),
    );
    // A call of its own, and nobody answers what was not asked.
    let effects = between.client(stateless);
    let Some(Effect::Decide(call)) = effects.first() else { panic!("{effects:?}") };
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    assert!(json(&sent[0].1)["params"]["inputResponses"].is_null(), "{sent:?}");
    let right = again(4, &json!({"p": 1}), state, &response);
    assert_eq!(to_servers(&between.client(right.clone())).len(), 1);
    let mut twice = right;
    twice["id"] = json!(5);
    assert_eq!(to_client(&between.client(twice))[0]["error"]["code"], -32602, "it counts once");
}

#[test]
fn the_same_call_is_the_same_in_another_order() {
    let mut between = with_modern_client(&[false]).0;
    pass(&mut between, call(2, &json!({"p": 1, "q": [{"a": 1, "b": 2}]})));
    let result = to_client(&between.permitted(0, elicit(40)))[0]["result"].clone();
    let text =
        again(3, &json!({"p": 1, "q": [{"a": 1, "b": 2}]}), &result["requestState"], &json!({}))
            .to_string();
    let swapped = text.replace(r#"{"a":1,"b":2}"#, r#"{"b":2, "a":1}"#);
    assert_ne!(text, swapped);
    let effects = between.0.from_client(&message(&swapped));
    assert_eq!(to_client(&effects)[0]["result"]["resultType"], "input_required");
}

#[test]
fn what_is_not_answered_is_asked_again_and_what_comes_meanwhile_too() {
    let (mut between, _) = with_modern_client(&[false]);
    let (sent, result) = asked(&mut between);
    assert!(between.permitted(0, elicit(41)).is_empty(), "nobody waits just now");
    let effects = between.client(again(3, &json!({"p": 1}), &result["requestState"], &json!({})));
    let second = to_client(&effects)[0]["result"].clone();
    assert_eq!(second["inputRequests"].as_object().unwrap().len(), 2);
    assert_ne!(second["requestState"], result["requestState"]);
    // The server answers without waiting; that is kept, and its questions are over.
    let done = between.answer(0, &sent.to_string(), json!({"content": [], "x": 1}));
    assert!(to_client(&done).is_empty());
    let effects = between.client(again(4, &json!({"p": 1}), &second["requestState"], &json!({})));
    assert_eq!(to_client(&effects)[0]["result"]["x"], 1);
}

#[test]
fn what_nobody_asks_again_for_ends_in_time() {
    let (mut between, _) = with_modern_client(&[false]);
    let (sent, result) = asked(&mut between);
    assert_eq!(between.0.deadline_ms(), Some(600_000));
    let effects = between.0.tick(600_000);
    let told = to_servers(&effects);
    assert_eq!(json(&told[0].1)["id"], 40);
    assert!(json(&told[0].1)["error"].is_object());
    assert_eq!(json(&told[1].1)["params"]["requestId"], sent["id"]);
    let late = again(3, &json!({"p": 1}), &result["requestState"], &json!({}));
    assert_eq!(to_client(&between.client(late))[0]["error"]["code"], -32602);
    assert_eq!(between.0.deadline_ms(), None);
}

#[test]
fn a_question_that_is_denied_or_that_the_client_cannot_answer_does_not_reach_it() {
    let (mut between, _) = with_modern_client(&[false]);
    pass(&mut between, call(2, &json!({})));
    let effects = between.server(0, elicit(40));
    let [Effect::Decide(asked)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(asked.arguments["message"], "who?");
    let effects = between.0.decided(asked.ticket, Decided::Deny("no".to_owned()));
    assert!(to_client(&effects).is_empty());
    assert_eq!(json(&to_servers(&effects)[0].1)["error"]["message"], "no");
    let mut url = elicit(41);
    url["params"]["mode"] = json!("url");
    let mut vendor = elicit(42);
    vendor["method"] = json!("vendor/x");
    for request in [url, vendor] {
        let effects = between.permitted(0, request);
        assert!(to_client(&effects).is_empty());
        assert_eq!(json(&to_servers(&effects)[0].1)["error"]["code"], -32601);
    }
    let mut bare = elicit(43);
    bare["method"] = json!("write");
    assert_eq!(json(&to_servers(&between.server(0, bare))[0].1)["error"]["code"], -32601);
    // A client that has said that it can do nothing, and one that asks nothing.
    let (mut between, _) = with_modern_client(&[false]);
    let params = json!({"name": "a", "_meta": {CAPABILITIES: {}}});
    let (_, sent) = pass(&mut between, modern(2, "tools/call", &params));
    assert_eq!(json(&to_servers(&between.permitted(0, elicit(40)))[0].1)["error"]["code"], -32601);
    between.answer(0, &sent.to_string(), json!({"content": []}));
    assert_eq!(json(&to_servers(&between.permitted(0, elicit(41)))[0].1)["error"]["code"], -32601);
}

fn wants(state: Option<&str>) -> Value {
    let mut result = json!({
        "resultType": "input_required", "extra": 1,
        "inputRequests": {
            "who": {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}, "y": 1},
            "roots": {"method": "roots/list"},
        },
    });
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    result
}

fn decide_all(between: &mut Between, effects: &[Effect], denied: &str) -> Vec<Effect> {
    let mut all = Vec::new();
    for effect in effects {
        let Effect::Decide(call) = effect else { continue };
        let decided = if call.what == Called::Method(denied.to_owned()) {
            Decided::Deny("no".to_owned())
        } else {
            Decided::Permit(None)
        };
        all.extend(between.0.decided(call.ticket, decided));
    }
    all
}

#[test]
fn a_new_servers_questions_are_requests_in_a_session_and_the_call_is_made_again_with_the_answers() {
    let (mut between, _) = with_session(&[true]);
    let request = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "a", "arguments": {"p": 1.50}, "unknown": 1}});
    let (_, sent) = pass(&mut between, request);
    let effects = between.answer(0, &sent.to_string(), wants(Some("s1")));
    let mut asked = to_client(&decide_all(&mut between, &effects, ""));
    assert_eq!(asked.len(), 2);
    asked.sort_by_key(|it| it["method"] != "roots/list");
    assert_eq!(asked[0]["method"], "roots/list");
    assert_eq!(asked[1]["method"], "elicitation/create");
    assert_eq!(asked[1]["y"], 1);
    let reply = |asked: &Value, result: Value| json!({"jsonrpc": "2.0", "id": asked["id"], "result": result});
    let first = between.client(reply(&asked[0], json!({"roots": [], "n": 1})));
    assert!(to_servers(&first).is_empty());
    let effects =
        between.client(reply(&asked[1], json!({"action": "accept", "content": {"a": 1}})));
    let (_, text) = to_servers(&effects).remove(0);
    let retried = json(&text);
    assert_ne!(retried["id"], sent["id"]);
    assert_eq!(retried["params"]["arguments"].to_string(), r#"{"p":1.5}"#);
    assert_eq!(retried["params"]["unknown"], 1);
    assert_eq!(retried["params"]["requestState"], "s1");
    assert_eq!(
        retried["params"]["inputResponses"],
        json!({"who": {"action": "accept", "content": {"a": 1}}, "roots": {"roots": [], "n": 1}})
    );
    let effects = between.answer(0, &text, json!({"resultType": "complete", "content": []}));
    assert_eq!(
        to_client(&effects)[0],
        json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}})
    );
}

#[test]
fn a_new_servers_questions_reach_a_modern_client_with_a_state_of_ours() {
    let (mut between, _) = with_modern_client(&[true]);
    let (_, sent) = pass(&mut between, call(2, &json!({"p": 1})));
    let effects = between.answer(0, &sent.to_string(), wants(Some("theirs")));
    let told = to_client(&decide_all(&mut between, &effects, ""));
    let result = &told[0]["result"];
    assert_eq!(result["inputRequests"], wants(None)["inputRequests"]);
    assert_eq!(result["extra"], 1);
    assert!(result["requestState"].is_string() && result["requestState"] != "theirs");
    // The server's own state is nothing that the client could say.
    let forged = again(3, &json!({"p": 1}), &json!("theirs"), &json!({}));
    assert_eq!(to_client(&between.client(forged))[0]["error"]["code"], -32602);
    let responses = json!({"who": {"action": "accept"}, "not-asked": {"x": 1}});
    let effects = between.client(again(4, &json!({"p": 1}), &result["requestState"], &responses));
    assert!(!effects.iter().any(|it| matches!(it, Effect::Decide(_))));
    let retried = json(&to_servers(&effects)[0].1);
    assert_eq!(retried["params"]["requestState"], "theirs");
    assert_eq!(retried["params"]["inputResponses"], json!({"who": {"action": "accept"}}));
    assert!(retried["params"]["_meta"][CAPABILITIES].is_object());
    let effects = between.answer(0, &retried.to_string(), json!({"resultType": "complete"}));
    assert_eq!(to_client(&effects)[0]["id"], 4);
}

#[test]
fn a_denied_question_is_declined_or_fails_the_call() {
    for is_session in [true, false] {
        let start =
            || if is_session { with_session(&[true]).0 } else { with_modern_client(&[true]).0 };
        let request = |id: u64| {
            if is_session {
                json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "a"}})
            } else {
                modern(id, "tools/call", &json!({"name": "a"}))
            }
        };
        let mut between = start();
        let (_, sent) = pass(&mut between, request(2));
        let only = json!({"resultType": "input_required", "requestState": "s",
            "inputRequests": {"who": {"method": "elicitation/create", "params": {"message": "?"}}}});
        let effects = between.answer(0, &sent.to_string(), only);
        let effects = decide_all(&mut between, &effects, "elicitation/create");
        assert!(to_client(&effects).is_empty());
        let retried = json(&to_servers(&effects)[0].1);
        assert_eq!(retried["params"]["inputResponses"], json!({"who": {"action": "decline"}}));
        // Others have no word for that.
        let effects = between.answer(0, &retried.to_string(), wants(None));
        let effects = decide_all(&mut between, &effects, "roots/list");
        let told = &to_client(&effects)[0]["result"];
        assert_eq!(told["isError"], true);
        assert!(told["content"][0]["text"].as_str().unwrap().contains("roots/list"));
        assert!(effects.iter().any(|it| matches!(it, Effect::Ended(_, Ended::Failed { .. }))));
    }
}

#[test]
fn a_server_that_asks_wrongly_or_for_ever_fails_its_call() {
    let ask = |inputs: Value| json!({"resultType": "input_required", "inputRequests": inputs});
    let many: serde_json::Map<String, Value> =
        (0..17).map(|it| (it.to_string(), json!({"method": "roots/list"}))).collect();
    for result in [
        json!({"resultType": "input_required"}),
        ask(json!([])),
        ask(json!({"a": 1})),
        ask(json!({"a": {"method": "tools/call"}})),
        ask(
            json!({"a": {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x"}}}),
        ),
        ask(Value::Object(many)),
        json!({"resultType": "input_required", "requestState": 1}),
    ] {
        let (mut between, _) = with_modern_client(&[true]);
        let (_, sent) = pass(&mut between, call(2, &json!({})));
        let effects = between.answer(0, &sent.to_string(), result.clone());
        assert_eq!(to_client(&effects)[0]["result"]["isError"], true, "{result}");
        assert!(matches!(&effects[0], Effect::Odd(odd) if odd.server == Some(0)));
    }
    let (mut between, _) = with_session(&[true]);
    let request =
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "a"}});
    let (_, mut sent) = pass(&mut between, request);
    let busy = json!({"resultType": "input_required", "requestState": "later"});
    for _ in 0..16 {
        let effects = between.answer(0, &sent.to_string(), busy.clone());
        sent = json(&to_servers(&effects)[0].1);
        assert_eq!(sent["params"]["requestState"], "later");
    }
    let effects = between.answer(0, &sent.to_string(), busy);
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
    assert!(to_servers(&effects).is_empty());
}

#[test]
fn a_server_that_ends_while_its_call_is_held_leaves_nothing() {
    for is_modern in [true, false] {
        let (mut between, _) = with_modern_client(&[is_modern]);
        let result = if is_modern {
            let (_, sent) = pass(&mut between, call(2, &json!({"p": 1})));
            let effects = between.answer(0, &sent.to_string(), wants(Some("s")));
            to_client(&decide_all(&mut between, &effects, ""))[0]["result"].clone()
        } else {
            asked(&mut between).1
        };
        let effects = between.0.ended(0);
        assert!(effects.iter().any(|it| matches!(it, Effect::Ended(..))));
        let retry = again(3, &json!({"p": 1}), &result["requestState"], &json!({}));
        assert!(to_client(&between.client(retry))[0]["error"].is_object());
        assert_eq!(between.0.deadline_ms(), None);
    }
}

#[test]
fn calls_wait_until_the_tools_of_their_server_are_known() {
    let mut between = Between::of(&["files"]);
    let effects = between.first(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25"}}));
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}});
    between.answer(0, &to_servers(&effects)[0].1, result);
    let begun = between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let list = to_servers(&begun)[1].1.clone();
    let call = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "a"}});
    assert!(between.client(call(2)).is_empty());
    assert!(between.client(call(3)).is_empty());
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
    assert_eq!(between.client(cancel).len(), 1);
    let effects = between.answer(0, &list, json!({"tools": [{"name": "a"}]}));
    assert!(matches!(effects.as_slice(), [Effect::Decide(_)]), "{effects:?}");
    // A change is looked at before the next call, and what is new is told.
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    let effects = between.server(0, changed);
    let list = to_servers(&effects)[0].1.clone();
    assert!(between.client(call(4)).is_empty());
    let effects = between.answer(0, &list, json!({"tools": [{"name": "a"}, {"name": "b"}]}));
    let kinds: Vec<&OddKind> = effects
        .iter()
        .filter_map(|it| match it {
            Effect::Odd(odd) => Some(&odd.kind),
            Effect::ToClient(_)
            | Effect::ToStream(..)
            | Effect::ToServer(..)
            | Effect::Decide(_)
            | Effect::Withdraw(_)
            | Effect::Ended(..) => None,
        })
        .collect();
    assert_eq!(kinds, [&OddKind::ToolAppeared]);
    assert!(effects.iter().any(|it| matches!(it, Effect::Decide(_))));
}

#[test]
fn a_server_that_does_not_say_which_tools_it_has_is_not_called() {
    let mut between = Between::of(&["files"]);
    let first = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    let effects = between.first(first);
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}});
    between.answer(0, &to_servers(&effects)[0].1, result);
    let call = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "a"}});
    between.client(call(2));
    let effects = between.0.tick(60_000);
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
    assert!(matches!(&effects[0], Effect::Odd(odd) if odd.kind == OddKind::BadList));
    // It is asked again when it is called again.
    let effects = between.client(call(3));
    let again = to_servers(&effects)[0].1.clone();
    let id = json(&again)["id"].clone();
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "no"}});
    assert_eq!(to_client(&between.server(0, error))[0]["result"]["isError"], true);
}

#[test]
fn several_messages_at_once_have_a_place_in_one_revision_only() {
    let batch = |text: &str| Frame::parse(format!("[{text},{text}]").into_bytes()).unwrap();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let mut between = Between::open(&["files"]);
    let effects = between.0.frame_from_client(0, &batch(ping));
    assert_eq!(to_client(&effects)[0]["error"]["code"], -32600);
    assert!(matches!(&effects[1], Effect::Odd(odd) if odd.kind == OddKind::Batch));
    let told = between.0.frame_from_server(0, &batch(ping));
    assert!(only_odd(&told).contains("at once"));
    let mut between = Between::of(&["files"]);
    let first = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}});
    let effects = between.first(first);
    let result = json!({"protocolVersion": "2025-03-26", "capabilities": {}});
    between.answer(0, &to_servers(&effects)[0].1, result);
    assert_eq!(to_client(&between.0.frame_from_client(0, &batch(ping))).len(), 2);
    assert_eq!(to_servers(&between.0.frame_from_server(0, &batch(ping))).len(), 2);
}

#[test]
fn who_floods_is_told_of_so_often_and_no_more() {
    let mut between = Between::open(&["files"]);
    let answer = json!({"jsonrpc": "2.0", "id": 999, "result": {}});
    let told: usize = (0..1_000).map(|_| between.server(0, answer.clone()).len()).sum();
    assert_eq!(told, 256);
    assert!(
        begin(&mut between, json!({"jsonrpc": "2.0", "id": 5, "method": "ping"}), &[false]).len()
            == 1
    );
}
