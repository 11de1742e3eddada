//! Requests whose server says nothing, or nothing that can be read.

use super::super::super::frame::Malformed;
use super::*;

/// What comes of something of the first server that is no message.
fn torn(between: &mut Between, text: &str) -> Vec<Effect> {
    let wrong = Frame::parse(text.as_bytes().to_vec()).unwrap_err();
    between.0.malformed_from(0, &wrong)
}

/// Calls a tool and lets it through; its name at the server.
fn sent(between: &mut Between, id: u64) -> u64 {
    let call = between.call(id, "read");
    let effects = between.0.decided(call.ticket, Decided::Permit(None));
    json(&to_servers(&effects)[0].1)["id"].as_u64().unwrap()
}

/// The one answer that the client gets, which says that a call has failed.
#[track_caller]
fn failed(effects: &[Effect], id: u64) -> String {
    let answers = to_client(effects);
    assert_eq!(answers.len(), 1, "{effects:?}");
    assert_eq!((&answers[0]["id"], &answers[0]["result"]["isError"]), (&json!(id), &json!(true)));
    let ends = effects.iter().filter(|it| matches!(it, Effect::Ended(_, Ended::Unanswered)));
    assert_eq!(ends.count(), 1, "{effects:?}");
    answers[0]["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_that_cannot_be_read_is_told_to_whoever_waits_for_it_and_to_nobody_else() {
    let deep = format!("{}0{}", "[".repeat(100_000), "]".repeat(100_000));
    let all: [&dyn Fn(u64) -> String; 4] = [
        &|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"x":{deep}}}}}"#),
        &|id| format!(r#"{{"jsonrpc":"2.0","result":{{"x":NaN}},"id":{id}}}"#),
        &|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":1,"x":2}}}}"#),
        &|id| format!(r#"{{"id":{id},"result":{{}}}}"#),
    ];
    for text in all {
        let mut between = Between::open(&["a"]);
        let (first, second) = (sent(&mut between, 1), sent(&mut between, 2));
        let effects = torn(&mut between, &text(second));
        assert!(failed(&effects, 2).contains("its server's answer cannot be read: "));
        assert!(to_client(&torn(&mut between, &text(second))).is_empty(), "once");
        assert!(to_client(&torn(&mut between, &text(99))).is_empty(), "nobody's");
        let effects = between.server(0, json!({"jsonrpc": "2.0", "id": first, "result": {}}));
        assert_eq!(to_client(&effects)[0]["id"], 1);
    }
}

#[test]
fn an_answer_without_a_name_is_to_what_alone_was_asked() {
    let twice = r#"{"jsonrpc":"2.0","id":7,"id":8,"result":{}}"#;
    let mut between = Between::open(&["a"]);
    sent(&mut between, 1);
    assert!(to_client(&torn(&mut between, "starting up ...")).is_empty(), "a line for people");
    let question = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list","method":"roots/list"}"#;
    assert!(to_client(&torn(&mut between, question)).is_empty(), "no answer at all");
    sent(&mut between, 2);
    assert!(to_client(&torn(&mut between, twice)).is_empty(), "it may be to either");
    let mut between = Between::open(&["a"]);
    sent(&mut between, 1);
    assert!(failed(&torn(&mut between, twice), 1).contains("cannot be read"));
    // Of what is too long the beginning is known.
    let mut between = Between::open(&["a"]);
    let (_, second) = (sent(&mut between, 1), sent(&mut between, 2));
    let head = format!(r#"{{"jsonrpc":"2.0","id":{second},"result":{{"content":["#);
    let wrong = Malformed::too_long(head.as_bytes(), 10);
    assert!(failed(&between.0.malformed_from(0, &wrong), 2).contains("longer than 10 bytes"));
    // A list is an error of the protocol.
    let mut between = Between::open(&["a"]);
    let list = json!({"jsonrpc": "2.0", "id": 5, "method": "resources/list"});
    let asked = json(&to_servers(&between.client(list))[0].1)["id"].clone();
    let effects = torn(&mut between, &format!(r#"{{"jsonrpc":"2.0","id":{asked},"result":NaN}}"#));
    assert_eq!(
        (&to_client(&effects)[0]["id"], &to_client(&effects)[0]["error"]["code"]),
        (&json!(5), &json!(-32603))
    );
}

#[test]
fn a_server_that_says_nothing_to_a_call_is_not_waited_for_without_end() {
    let mut between = Between::open(&["a"]);
    between.0.answers_within(1_000);
    let (first, second) = (sent(&mut between, 1), sent(&mut between, 2));
    assert_eq!(between.0.deadline_ms(), Some(1_000));
    // One says how far it is.
    assert!(to_client(&between.0.tick(900)).is_empty());
    let progress = json!({"progressToken": second, "progress": 1});
    between.server(
        0,
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}),
    );
    let effects = between.0.tick(1_000);
    assert!(failed(&effects, 1).contains("has not answered within 1 s"));
    let told = json(&to_servers(&effects)[0].1);
    assert_eq!(
        (&told["method"], &told["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!(first))
    );
    // Too late.
    let late = between.server(0, json!({"jsonrpc": "2.0", "id": first, "result": {}}));
    assert_eq!(only_odd(&late), "an answer to something that it was not asked");
    // Nor is it hurried while it waits for an answer itself.
    between.permitted(0, json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}));
    assert!(to_client(&between.0.tick(1_900)).is_empty());
    assert_eq!(between.0.deadline_ms(), Some(2_900));
    // What is listed is no call.
    between.client(json!({"jsonrpc": "2.0", "id": 9, "method": "resources/list"}));
    let effects = between.0.tick(1_900);
    assert!(effects.is_empty(), "{effects:?}");
}
