//! Calls of which a server makes tasks, and clients that know no such tasks.

use super::eras::{CAPABILITIES, modern, pass, with_modern_client, with_session};
use super::*;

/// In milliseconds.
const SIX_HOURS: u64 = 6 * 60 * 60 * 1_000;
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

fn call(id: u64, name: &str) -> Value {
    let params = json!({"name": name, "arguments": {"p": 1}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

fn modern_call(id: u64, name: &str) -> Value {
    modern(id, "tools/call", &json!({"name": name, "arguments": {"p": 1}}))
}

/// How far a task of 2026-07-28 is.
fn far(status: &str, more: &Value) -> Value {
    let mut far = json!({
        "resultType": "complete", "taskId": "t1", "status": status, "ttlMs": 60_000, "pollIntervalMs": 500,
    });
    far.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    far
}

/// A session whose server of 2026-07-28 has made a task of its call 2, at 0 ms; who it is there.
fn with_a_task() -> (Between, Vec<Effect>) {
    let mut between = with_session(&[true]).0;
    let (_, request) = pass(&mut between, call(2, "long"));
    let can = &request["params"]["_meta"][CAPABILITIES];
    assert_eq!(can["extensions"], json!({EXTENSION: {}}), "{request}");
    assert!(can.get("sampling").is_some(), "what the client can do is there as well");
    let made = far("working", &json!({"resultType": "task"}));
    let effects = between.answer(0, &request.to_string(), made);
    (between, effects)
}

/// What a server is asked when it is asked how far its task is.
fn polled(between: &mut Between, now_ms: u64) -> String {
    assert_eq!(between.0.deadline_ms(), Some(now_ms));
    assert!(between.0.tick(now_ms - 1).is_empty());
    let sent = to_servers(&between.0.tick(now_ms));
    let [(0, text)] = sent.as_slice() else { panic!("{sent:?}") };
    let request = json(text);
    assert_eq!(request["method"], "tasks/get");
    assert_eq!(request["params"]["taskId"], "t1");
    assert_eq!(request["params"]["_meta"][CAPABILITIES]["extensions"], json!({EXTENSION: {}}));
    assert_eq!(between.0.deadline_ms(), Some(SIX_HOURS), "it is not asked twice at a time");
    text.clone()
}

#[test]
fn a_session_gets_the_result_of_what_its_server_made_a_task_of() {
    let (mut between, effects) = with_a_task();
    assert!(effects.is_empty(), "{effects:?}");
    let ask = polled(&mut between, 500);
    assert!(between.answer(0, &ask, far("working", &json!({"pollIntervalMs": 5}))).is_empty());
    let ask = polled(&mut between, 600);
    let result = json!({"content": [{"type": "text", "text": "done"}], "x": 1.5});
    let effects = between.answer(0, &ask, far("completed", &json!({"result": result})));
    assert_eq!(to_client(&effects), [json!({"jsonrpc": "2.0", "id": 2, "result": result})]);
    assert!(matches!(effects.last(), Some(Effect::Ended(_, Ended::Answered { .. }))));
    assert!(between.0.tick(1_000_000).is_empty(), "nothing is left of it");
}

#[test]
fn a_task_that_fails_is_an_error_and_what_is_said_wrongly_fails_its_call() {
    let error = json!({"code": -32_603, "message": "limit"});
    let failed = far("failed", &json!({"error": error}));
    let cases = [
        (failed, Some("limit")),
        (far("cancelled", &json!({})), None),
        (far("completed", &json!({})), None),
        (far("completed", &json!({"result": 7})), None),
        (far("asleep", &json!({})), None),
        (json!({}), None),
    ];
    for (answer, code) in cases {
        let (mut between, _) = with_a_task();
        let ask = polled(&mut between, 500);
        let effects = between.answer(0, &ask, answer.clone());
        let told = &to_client(&effects)[0];
        match code {
            Some(message) => assert_eq!(told["error"]["message"], message),
            None => assert_eq!(told["result"]["isError"], true, "{answer}: {told}"),
        }
        assert!(matches!(effects.last(), Some(Effect::Ended(_, Ended::Failed { .. }))));
        assert_eq!(between.0.deadline_ms(), None, "nothing is left of it");
    }
    // It does not know its task any more.
    let (mut between, _) = with_a_task();
    let ask = polled(&mut between, 500);
    let error = json!({"code": -32_602, "message": "expired"});
    let effects =
        between.server(0, json!({"jsonrpc": "2.0", "id": json(&ask)["id"], "error": error}));
    assert_eq!(to_client(&effects)[0]["error"]["message"], "expired");
}

#[test]
fn what_a_rule_puts_in_the_place_of_an_answer_is_what_the_client_gets() {
    let (mut between, _) = with_a_task();
    let ask = polled(&mut between, 500);
    let blocked = json!({"content": [{"type": "text", "text": "denied: ..."}], "isError": true});
    let effects = between.answer(0, &ask, blocked.clone());
    assert_eq!(to_client(&effects)[0]["result"], blocked);
}

#[test]
fn what_a_task_wants_to_know_is_decided_and_asked_once() {
    let (mut between, _) = with_a_task();
    let ask = polled(&mut between, 500);
    let question = json!({"method": "elicitation/create", "params": {"message": "who?"}});
    let wants = far("input_required", &json!({"inputRequests": {"a": question}}));
    let effects = between.answer(0, &ask, wants.clone());
    let [Effect::Decide(decide)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(decide.what, Called::Method("elicitation/create".to_owned()));
    let asked = to_client(&between.0.decided(decide.ticket, Decided::Permit(None)));
    assert_eq!(asked[0]["params"]["message"], "who?");
    let said = json!({"action": "accept", "content": {"name": "Luca"}});
    let effects = between.client(json!({"jsonrpc": "2.0", "id": asked[0]["id"], "result": said}));
    let sent = to_servers(&effects);
    let update = json(&sent[0].1);
    assert_eq!(update["method"], "tasks/update");
    assert_eq!(update["params"]["taskId"], "t1");
    assert_eq!(update["params"]["inputResponses"], json!({"a": said}));
    assert!(between.answer(0, &sent[0].1, json!({"resultType": "complete"})).is_empty());
    // It may say so once more before it has read the answer.
    let ask = polled(&mut between, 600);
    assert!(between.answer(0, &ask, wants).is_empty());
    let ask = polled(&mut between, 1_100);
    let effects = between.answer(0, &ask, far("completed", &json!({"result": {"content": []}})));
    assert_eq!(to_client(&effects)[0]["id"], 2);
}

#[test]
fn a_question_of_a_task_that_is_denied_ends_it() {
    let (mut between, _) = with_a_task();
    let ask = polled(&mut between, 500);
    let question = json!({"method": "sampling/createMessage", "params": {}});
    let wants = far("input_required", &json!({"inputRequests": {"a": question}}));
    let effects = between.answer(0, &ask, wants);
    let [Effect::Decide(decide)] = effects.as_slice() else { panic!("{effects:?}") };
    let effects = between.0.decided(decide.ticket, Decided::Deny("no rule permits it".to_owned()));
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
    let sent = to_servers(&effects);
    assert_eq!(json(&sent[0].1)["method"], "tasks/cancel");
    assert_eq!(json(&sent[0].1)["params"]["taskId"], "t1");
}

#[test]
fn a_task_is_cancelled_with_its_call_ends_with_its_server_and_is_not_waited_for_for_ever() {
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2},
    });
    let (mut between, _) = with_a_task();
    let effects = between.client(cancel);
    assert_eq!(json(&to_servers(&effects)[0].1)["method"], "tasks/cancel");
    assert!(matches!(effects.last(), Some(Effect::Ended(_, Ended::Unanswered))));
    assert!(between.0.tick(10_000).is_empty());

    let (mut between, _) = with_a_task();
    let effects = between.0.ended(0);
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true, "{effects:?}");
    assert!(to_servers(&effects).is_empty());

    // Whether or not its server owes an answer.
    let (mut between, _) = with_a_task();
    polled(&mut between, 500);
    let effects = between.0.tick(SIX_HOURS);
    assert_eq!(json(&to_servers(&effects)[0].1)["method"], "tasks/cancel");
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
}

#[test]
fn an_error_that_a_rule_does_not_let_through_ends_the_call_as_well() {
    let (mut between, _) = with_a_task();
    let ask = polled(&mut between, 500);
    let question = json!({"method": "elicitation/create", "params": {"message": "who?"}});
    let wants = far("input_required", &json!({"inputRequests": {"a": question}}));
    let effects = between.answer(0, &ask, wants);
    let [Effect::Decide(decide)] = effects.as_slice() else { panic!("{effects:?}") };
    let asked = to_client(&between.0.decided(decide.ticket, Decided::Permit(None)));
    let said = json!({"action": "accept"});
    let effects = between.client(json!({"jsonrpc": "2.0", "id": asked[0]["id"], "result": said}));
    let update = to_servers(&effects)[0].1.clone();
    let id = json(&update)["id"].clone();
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": 1, "message": "m"}});
    assert!(matches!(between.0.whose(0, &message(&error.to_string())), Whose::Far(_)));
    let blocked = json!({"content": [{"type": "text", "text": "denied: ..."}], "isError": true});
    let effects = between.answer(0, &update, blocked.clone());
    assert_eq!(to_client(&effects)[0]["result"], blocked);
}

#[test]
fn a_task_without_a_name_or_of_what_cannot_be_one_fails() {
    let mut between = with_session(&[true]).0;
    let long = json!({"resultType": "task", "taskId": "t".repeat(257)});
    for made in [json!({"resultType": "task"}), long] {
        let (_, request) = pass(&mut between, call(2, "long"));
        let effects = between.answer(0, &request.to_string(), made);
        assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
        assert!(matches!(&effects[0], Effect::Odd(odd) if odd.kind == OddKind::OutOfPlace));
    }
}

#[test]
fn a_modern_client_gets_the_result_of_a_tool_that_is_called_as_a_task_alone() {
    for name in ["long", "read"] {
        let mut between = with_modern_client(&[false]).0;
        let (_, request) = pass(&mut between, modern_call(2, name));
        if name == "read" {
            assert_eq!(request["params"].get("task"), None);
            continue;
        }
        assert_eq!(request["params"]["task"], json!({}));
        assert_eq!(request["params"]["arguments"], json!({"p": 1}));
        let made = json!({"task": {"taskId": "t1", "status": "working", "ttl": null}});
        let sent = to_servers(&between.answer(0, &request.to_string(), made));
        let ask = json(&sent[0].1);
        assert_eq!(ask["method"], "tasks/result");
        assert_eq!(ask["params"], json!({"taskId": "t1"}));
        let result = json!({"content": [{"type": "text", "text": "done"}]});
        let effects = between.answer(0, &sent[0].1, result);
        let told = &to_client(&effects)[0];
        assert_eq!((&told["id"], &told["result"]["resultType"]), (&json!(2), &json!("complete")));
        assert_eq!(told["result"]["content"][0]["text"], "done");
        assert!(matches!(effects.last(), Some(Effect::Ended(_, Ended::Answered { .. }))));
    }
}

#[test]
fn progress_and_questions_of_such_a_task_are_its_calls_and_it_is_cancelled_with_it() {
    let mut between = with_modern_client(&[false]).0;
    let params = json!({"name": "long", "arguments": {}, "_meta": {"progressToken": "p"}});
    let (_, request) = pass(&mut between, modern(2, "tools/call", &params));
    let token = request["params"]["_meta"]["progressToken"].clone();
    let made = json!({"task": {"taskId": "t1", "status": "working"}});
    let sent = to_servers(&between.answer(0, &request.to_string(), made));
    let progress = json!({
        "jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1},
    });
    let told = to_client(&between.server(0, progress));
    assert_eq!(told[0]["params"]["progressToken"], "p");
    let effects = between.client(json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2},
    }));
    let methods: Vec<Value> =
        to_servers(&effects).iter().map(|(_, it)| json(it)["method"].clone()).collect();
    assert_eq!(methods, ["notifications/cancelled", "tasks/cancel"]);
    let late = json!({"content": []});
    let effects = between.answer(0, &sent[0].1, late);
    assert_eq!(only_odd(&effects), "an answer to something that it was not asked");
    // Asked in its turn, the client answers when it asks again.
    let (_, request) = pass(&mut between, modern_call(3, "long"));
    let made = json!({"task": {"taskId": "t2", "status": "working"}});
    let sent = to_servers(&between.answer(0, &request.to_string(), made));
    let elicit = json!({
        "jsonrpc": "2.0", "id": "e", "method": "elicitation/create", "params": {"message": "who?"},
    });
    let held = &to_client(&between.permitted(0, elicit))[0]["result"];
    assert_eq!(held["resultType"], "input_required");
    let key = held["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut again = modern_call(4, "long");
    again["params"]["requestState"] = held["requestState"].clone();
    again["params"]["inputResponses"] = json!({key: {"action": "accept"}});
    let answered = to_servers(&between.client(again));
    assert_eq!(json(&answered[0].1)["id"], "e");
    let effects = between.answer(0, &sent[0].1, json!({"content": []}));
    assert_eq!(to_client(&effects)[0]["id"], 4);
}

#[test]
fn the_task_of_one_server_is_no_others() {
    for (client_is_modern, made) in [
        (true, json!({"resultType": "task", "taskId": "t", "status": "working"})),
        (false, json!({"task": {"taskId": "t", "status": "working"}})),
    ] {
        let both = [client_is_modern; 2];
        let (mut between, of) = if client_is_modern {
            (with_modern_client(&both).0, modern_call as fn(u64, &str) -> Value)
        } else {
            (with_session(&both).0, call as fn(u64, &str) -> Value)
        };
        let (server, request) = pass(&mut between, of(2, "files__read"));
        let told = to_client(&between.answer(server, &request.to_string(), made.clone()));
        let at = if client_is_modern { "/result/taskId" } else { "/result/task/taskId" };
        assert_eq!(told[0].pointer(at).unwrap(), "t", "within an era it is the client's");
        let (server, request) = pass(&mut between, of(3, "shop__buy"));
        let effects = between.answer(server, &request.to_string(), made);
        assert_eq!(to_client(&effects)[0]["result"]["isError"], true, "{effects:?}");
        let get = if client_is_modern {
            modern(4, "tasks/get", &json!({"taskId": "t"}))
        } else {
            json!({"jsonrpc": "2.0", "id": 4, "method": "tasks/get", "params": {"taskId": "t"}})
        };
        let effects = between.client(get);
        let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(call.server, 0, "who named it first has it");
    }
}
