use super::super::frame::Frame;
use super::*;

fn message(text: &str) -> Message {
    match Frame::parse(text.as_bytes().to_vec()).unwrap() {
        Frame::One(message) => message,
        Frame::Batch(_) => panic!("one message"),
    }
}

fn answer(result: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
}

#[test]
fn that_a_task_was_made_or_goes_on_is_no_outcome() {
    for (of, result) in [
        (Of::Call, r#"{"task":{"taskId":"t1","status":"working"}}"#),
        (Of::Call, r#"{"resultType":"task","taskId":"t1"}"#),
        (Of::Call, r#"{"resultType":"input_required","inputRequests":{}}"#),
        (Of::Task, r#"{"taskId":"t1","status":"working"}"#),
        (Of::Task, r#"{"taskId":"t1","status":"input_required"}"#),
        // Of 2025-11-25, where it is asked for by itself.
        (Of::Task, r#"{"taskId":"t1","status":"completed"}"#),
        (Of::Task, r#"{"resultType":"complete"}"#),
        (Of::Task, "7"),
    ] {
        assert_eq!(Outcome::of(&answer(result), of), None, "{result}");
    }
    let asks = message(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(Outcome::of(&asks, Of::Call), None);
}

#[test]
fn an_outcome_is_what_it_says_and_not_when() {
    for (of, result, text, failed) in [
        (Of::Call, r#"{"content":[]}"#, r#"{"content":[]}"#, false),
        (Of::Call, "7", "7", false),
        (Of::Call, r#"{"isError":true}"#, r#"{"isError":true}"#, true),
        // A server cannot say what is read away by saying that it is a task.
        (
            Of::Call,
            r#"{"content":[],"task":{"taskId":"1"}}"#,
            r#"{"content":[],"task":{"taskId":"1"}}"#,
            false,
        ),
        (
            Of::Task,
            r#"{"at":1,"status":"completed","result":{"content":[]}}"#,
            r#"{"content":[]}"#,
            false,
        ),
        (
            Of::Task,
            r#"{"at":1,"status":"completed","result":{"isError":true}}"#,
            r#"{"isError":true}"#,
            true,
        ),
        (Of::Task, r#"{"at":1,"status":"failed","error":{"code":1}}"#, r#"{"code":1}"#, true),
        (Of::Task, r#"{"at":1,"status":"failed"}"#, r#""failed""#, true),
        (Of::Task, r#"{"at":1,"status":"cancelled"}"#, r#""cancelled""#, true),
        (Of::Task, r#"{"at":1,"status":"asleep"}"#, r#""asleep""#, true),
        (Of::Task, r#"{"content":[],"isError":true}"#, r#"{"content":[],"isError":true}"#, true),
    ] {
        let message = answer(result);
        let outcome = Outcome::of(&message, of).unwrap();
        assert_eq!((outcome.text(), outcome.failed), (text, failed), "{result}");
    }
    let error = message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#);
    for of in [Of::Call, Of::Task] {
        let outcome = Outcome::of(&error, of).unwrap();
        assert_eq!((outcome.text(), outcome.failed), (r#"{"code":1,"message":""}"#, true));
    }
}

#[test]
fn a_text_is_put_behind_others_also_where_a_task_has_them() {
    for (content, wanted) in [
        ("[]", r#"[{"type":"text","text":"\"x\""}]"#),
        ("[ ]", r#"[ {"type":"text","text":"\"x\""}]"#),
        (r#"[{"a":1} ]"#, r#"[{"a":1} ,{"type":"text","text":"\"x\""}]"#),
    ] {
        let with = |content: &str| answer(&format!(r#"{{"content":{content},"isError":false}}"#));
        let within = |content: &str| {
            answer(&format!(
                r#"{{"content":[],"status":"completed","result":{{"content":{content}}}}}"#
            ))
        };
        let more = Outcome::of(&with(content), Of::Call).unwrap().with_more("\"x\"");
        assert_eq!(more.as_deref(), Some(with(wanted).text()));
        let more = Outcome::of(&within(content), Of::Task).unwrap().with_more("\"x\"");
        assert_eq!(more.as_deref(), Some(within(wanted).text()));
    }
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"message":"no list"}}"#,
    ] {
        assert_eq!(Outcome::of(&message(text), Of::Call).unwrap().with_more("x"), None, "{text}");
    }
}

#[test]
fn a_text_is_put_behind_what_an_error_says_also_where_a_task_has_it() {
    let error = |said: &str| format!(r#"{{"code":-32603,"message":{said},"data":{{"a":[1.50]}}}}"#);
    let answer_of =
        |said: &str| message(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{}}}"#, error(said)));
    let failed =
        |said: &str| answer(&format!(r#"{{"at":1,"status":"failed","error":{}}}"#, error(said)));
    for (said, wanted) in
        [(r#""""#, r#""\n\"x\"""#), (r#""disk is \u0066ull""#, r#""disk is full\n\"x\"""#)]
    {
        for of in [Of::Call, Of::Task] {
            let more = Outcome::of(&answer_of(said), of).unwrap().with_more("\"x\"");
            assert_eq!(more.as_deref(), Some(answer_of(wanted).text()));
        }
        let more = Outcome::of(&failed(said), Of::Task).unwrap().with_more("\"x\"");
        assert_eq!(more.as_deref(), Some(failed(wanted).text()));
    }
    // What is no error as the protocol has them stays as it is.
    for (of, odd) in [
        (Of::Call, message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":7}}"#)),
        (Of::Task, answer(r#"{"status":"failed"}"#)),
        (Of::Task, answer(r#"{"status":"cancelled","error":{"code":1,"message":""}}"#)),
    ] {
        assert_eq!(Outcome::of(&odd, of).unwrap().with_more("x"), None);
    }
}
