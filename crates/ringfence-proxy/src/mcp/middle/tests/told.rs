//! Calls that wait for a person: the client hears of it, and allows nothing.

use super::eras::{modern, with_modern_client, with_session};
use super::*;

const TEXT: &str = "a person is asked";

fn call(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "a", "arguments": {"p": 1}}})
}

fn ticket(effects: &[Effect]) -> u64 {
    let [Effect::Decide(call)] = effects else { panic!("{effects:?}") };
    call.ticket
}

/// A session whose client is asked; the ticket, and what the question is called.
fn asked_in_a_session() -> (Between, u64, Value) {
    let (mut between, _) = with_session(&[false]);
    let ticket = ticket(&between.client(call(5)));
    let told = to_client(&between.0.waits(ticket, TEXT));
    assert_eq!(told[0]["method"], "elicitation/create");
    assert_eq!(told[0]["params"]["message"], TEXT);
    (between, ticket, told[0]["id"].clone())
}

fn answered(between: &mut Between, id: &Value, result: &Value) -> Vec<Effect> {
    between.client(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

#[test]
fn an_answer_through_the_client_allows_nothing() {
    for result in [
        json!({"action": "accept", "content": {}}),
        json!({"action": "accept", "content": {"approved": true}}),
        json!({"action": "cancel"}),
        json!({}),
    ] {
        let (mut between, ticket, id) = asked_in_a_session();
        assert_eq!(answered(&mut between, &id, &result), [], "nothing comes of it");
        assert!(between.0.awaits(ticket));
        let effects = between.0.decided(ticket, Decided::Permit(None));
        assert_eq!(to_servers(&effects).len(), 1, "the person's answer counts");
        assert!(to_client(&effects).is_empty());
    }
}

#[test]
fn a_client_can_take_its_call_back() {
    let (mut between, ticket, id) = asked_in_a_session();
    let effects = answered(&mut between, &id, &json!({"action": "decline"}));
    assert!(effects.contains(&Effect::Withdraw(ticket)), "{effects:?}");
    let told = to_client(&effects);
    assert_eq!((&told[0]["id"], &told[0]["result"]["isError"]), (&json!(5), &json!(true)));
    assert!(!between.0.awaits(ticket), "and a later yes is for nothing");
}

#[test]
fn the_question_goes_when_the_call_is_decided_or_cancelled() {
    let gone = |effects: &[Effect], id: &Value| {
        to_client(effects).iter().any(|told| {
            told["method"] == "notifications/cancelled" && told["params"]["requestId"] == *id
        })
    };
    let (mut between, ticket, id) = asked_in_a_session();
    assert!(gone(&between.0.decided(ticket, Decided::Deny("no".to_owned())), &id));
    let (mut between, ticket, id) = asked_in_a_session();
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    let effects = between.client(cancel);
    assert!(gone(&effects, &id) && effects.contains(&Effect::Withdraw(ticket)), "{effects:?}");
}

#[test]
fn a_client_that_shows_no_questions_is_not_asked() {
    let mut between = Between::open(&["files"]);
    let call = between.call(5, "a");
    assert_eq!(between.0.waits(call.ticket, TEXT), []);
    let (mut between, _) = with_modern_client(&[true]);
    let mut asked = modern(5, "tools/call", &json!({"name": "a", "arguments": {"p": 1}}));
    asked["params"]["_meta"][super::eras::CAPABILITIES] = json!({});
    let ticket = ticket(&between.client(asked));
    assert_eq!(between.0.waits(ticket, TEXT), []);
}

/// A modern client that was told to ask again; the ticket and the state.
fn asked_modern(is_modern: bool) -> (Between, u64, Value) {
    let (mut between, _) = with_modern_client(&[is_modern]);
    let asked = modern(5, "tools/call", &json!({"name": "a", "arguments": {"p": 1}}));
    let ticket = ticket(&between.client(asked));
    let told = to_client(&between.0.waits(ticket, TEXT));
    let result = &told[0]["result"];
    assert_eq!(result["resultType"], "input_required");
    let asked = &result["inputRequests"]["ringfence-approval"];
    assert_eq!(
        (&asked["method"], &asked["params"]["message"]),
        (&json!("elicitation/create"), &json!(TEXT))
    );
    (between, ticket, result["requestState"].clone())
}

fn again(
    between: &mut Between,
    id: u64,
    state: &Value,
    (arguments, action): (Value, &str),
) -> Vec<Effect> {
    let params = json!({
        "name": "a", "arguments": arguments, "requestState": state,
        "inputResponses": {"ringfence-approval": {"action": action}},
    });
    between.client(modern(id, "tools/call", &params))
}

#[test]
fn a_modern_client_asks_again_and_waits_for_the_person() {
    for is_modern in [false, true] {
        let (mut between, ticket, state) = asked_modern(is_modern);
        let effects = again(&mut between, 6, &state, (json!({"p": 1}), "accept"));
        assert_eq!(effects, [], "neither a decision nor an answer");
        let sent = to_servers(&between.0.decided(ticket, Decided::Permit(None)));
        let effects = between.answer(
            0,
            &sent.last().unwrap().1,
            json!({"content": [], "resultType": "complete"}),
        );
        assert_eq!(to_client(&effects)[0]["id"], 6, "{effects:?}");
        // The state counts once.
        let effects = again(&mut between, 7, &state, (json!({"p": 1}), "accept"));
        assert_eq!(to_client(&effects)[0]["error"]["code"], -32602, "{effects:?}");
    }
}

#[test]
fn what_the_person_says_before_the_client_asks_again_is_kept_for_it() {
    for is_modern in [false, true] {
        let (mut between, ticket, state) = asked_modern(is_modern);
        let effects = between.0.decided(ticket, Decided::Permit(None));
        assert!(to_client(&effects).is_empty(), "nobody waits: {effects:?}");
        let sent = to_servers(&effects);
        let result =
            json!({"content": [{"type": "text", "text": "did"}], "resultType": "complete"});
        let effects = between.answer(0, &sent.last().unwrap().1, result);
        assert!(to_client(&effects).is_empty(), "{effects:?}");
        let told = to_client(&again(&mut between, 6, &state, (json!({"p": 1}), "accept")));
        assert_eq!(
            (&told[0]["id"], &told[0]["result"]["content"][0]["text"]),
            (&json!(6), &json!("did"))
        );
    }
    let (mut between, ticket, state) = asked_modern(true);
    assert_eq!(between.0.decided(ticket, Decided::Deny("not you".to_owned())), []);
    let told = to_client(&again(&mut between, 6, &state, (json!({"p": 1}), "accept")));
    assert_eq!(told[0]["result"]["isError"], true);
    assert_eq!(told[0]["result"]["content"][0]["text"], "not you");
}

#[test]
fn a_name_that_was_answered_is_that_of_another_request_and_stays_it() {
    let (mut between, first, state) = asked_modern(true);
    let other = modern(5, "tools/call", &json!({"name": "b", "arguments": {}}));
    let second = ticket(&between.client(other.clone()));
    between.0.decided(first, Decided::Permit(None));
    assert!(only_odd(&between.client(other)[1..]).contains("in use"));
    let cancel = json!({"requestId": 5});
    let effects = between
        .client(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel}));
    assert!(effects.contains(&Effect::Withdraw(second)), "{effects:?}");
    let effects = again(&mut between, 6, &state, (json!({"p": 1}), "accept"));
    assert!(to_client(&effects).is_empty(), "the first goes on: {effects:?}");
}

#[test]
fn asking_again_with_other_arguments_is_another_call_and_refused() {
    let (mut between, ticket, state) = asked_modern(true);
    let told = to_client(&again(&mut between, 6, &state, (json!({"p": 2}), "accept")));
    assert_eq!(told[0]["error"]["code"], -32602);
    assert!(between.0.awaits(ticket), "the first one still waits");
}

#[test]
fn a_modern_client_takes_back_what_it_declines_and_what_it_never_asks_for_again() {
    let (mut between, ticket, state) = asked_modern(true);
    let effects = again(&mut between, 6, &state, (json!({"p": 1}), "decline"));
    assert!(effects.contains(&Effect::Withdraw(ticket)), "{effects:?}");
    assert_eq!(to_client(&effects)[0]["result"]["isError"], true);
    let (mut between, ticket, _) = asked_modern(true);
    let effects = between.0.tick(11 * 60 * 1_000);
    assert_eq!(effects, [Effect::Withdraw(ticket)]);
    assert!(!between.0.awaits(ticket));
}
