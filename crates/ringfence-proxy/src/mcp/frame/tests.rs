use super::*;

fn one(text: &str) -> Message {
    match Frame::parse(text.as_bytes().to_vec()) {
        Ok(Frame::One(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn refused(text: impl AsRef<[u8]>) -> Malformed {
    Frame::parse(text.as_ref().to_vec()).unwrap_err()
}

#[test]
fn what_is_not_understood_and_how_it_is_written_survives() {
    let text = r#" {"x":1.0e2, "jsonrpc":"2.0","id" : 12345678901234567890123,"method":"tools/\u0063all","params":{"name":"a","_new":[ ]}} "#;
    let message = one(text);
    assert_eq!(message.text(), text);
    let Kind::Request { id, id_at, method, params } = message.kind() else { panic!() };
    assert_eq!(id.json(), "12345678901234567890123");
    assert_eq!(method, "tools/call");
    assert_eq!(message.part(params.as_ref().unwrap()), r#"{"name":"a","_new":[ ]}"#);
    let renamed = message.with(vec![(id_at.clone(), "7")]);
    assert_eq!(renamed, text.replace("12345678901234567890123", "7"));
}

#[test]
fn a_message_is_request_notification_or_answer() {
    let kind = |text: &str| one(text).kind().clone();
    assert!(matches!(
        kind(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        Kind::Notification { params: None, .. }
    ));
    assert!(matches!(
        kind(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#),
        Kind::Response { id: Some(_), answer: Answer::Result(_), .. }
    ));
    assert!(matches!(
        kind(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#),
        Kind::Response { id: None, answer: Answer::Error(_), .. }
    ));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","n\u0061me":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":[{"p":1,"p":1}]}}"#,
    ] {
        let refused = refused(text);
        assert!(matches!(refused, Malformed { why: Why::Ambiguous(_), .. }), "{refused:?}");
        assert!(refused.to_string().contains("stands twice"), "{refused}");
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{"p":{open}{close}}}}}"#)
    };
    one(&nested(DEPTH_MAX - 2));
    assert!(matches!(refused(nested(DEPTH_MAX - 1)), Malformed { why: Why::Ambiguous(_), .. }));
    assert!(matches!(refused("[".repeat(1_000_000)), Malformed { why: Why::Ambiguous(_), .. }));
}

#[test]
fn what_is_no_message_is_answered_as_the_protocol_says() {
    let code = |text: &str| refused(text).code();
    assert_eq!(refused([0x7b, 0xff]).code(), PARSE_ERROR);
    for text in ["", "{", "nope", r#"{"jsonrpc":"2.0"} x"#] {
        assert_eq!(code(text), PARSE_ERROR, "{text}");
    }
    for text in [
        "[]",
        "1",
        "null",
        "{}",
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":2}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
        r#"{"jsonrpc":"2.0","result":1}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":1}"#,
    ] {
        assert_eq!(code(text), INVALID_REQUEST, "{text}");
    }
    let told = refused(r#"{"jsonrpc":"2.0","id":"x","method":2}"#).answer();
    assert!(told.starts_with(r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32600,"#), "{told}");
}

#[test]
fn a_batch_is_its_messages() {
    let text = r#"[{"jsonrpc":"2.0","method":"a"}, {"jsonrpc":"2.0","id":1,"method":"b"}]"#;
    let Ok(Frame::Batch(messages)) = Frame::parse(text.into()) else { panic!() };
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].text(), r#"{"jsonrpc":"2.0","id":1,"method":"b"}"#);
}

#[test]
fn a_member_in_other_case_is_refused_for_readers_that_do_not_look_at_it() {
    for members in [
        r#""params":{"name":"safe","Name":"danger"}"#,
        r#""params":{"name":"safe"},"Params":{"name":"danger"}"#,
        r#""params":{"name":"safe","argument\u017f":{}}"#,
        r#""METHOD":"tools/call""#,
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{members}}}"#);
        let wrong = Frame::parse(text.into_bytes()).unwrap_err();
        assert!(wrong.to_string().contains("its case"), "{members}: {wrong}");
    }
    // What a tool is given may be called as it likes.
    one(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1,"A":2,"Name":3}}}"#,
    );
}
