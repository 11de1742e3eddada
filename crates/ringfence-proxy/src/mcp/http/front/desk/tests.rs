use super::*;

fn messages(text: &str) -> Vec<Message> {
    match Frame::parse(text.as_bytes().to_vec()).unwrap() {
        Frame::One(message) => vec![message],
        Frame::Batch(all) => all,
    }
}

fn request(id: u64) -> Vec<Message> {
    messages(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":"t{id}"}}}}}}"#
    ))
}

fn open(desk: &Desk, messages: &[Message]) -> Result<Option<u64>, Refused> {
    desk.open(messages, tokens(messages))
}

fn answer(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

fn next(desk: &Desk, stream: u64, after: u64) -> Option<(u64, bool)> {
    match desk.look(stream, after) {
        Looked::Event(event) => Some((event.number, event.is_last)),
        Looked::Later | Looked::Nothing => None,
    }
}

#[test]
fn each_message_is_on_the_stream_that_it_belongs_to() {
    let desk = Arc::new(Desk::default());
    let first = open(&desk, &request(1)).unwrap().unwrap();
    let second = open(&desk, &request(2)).unwrap().unwrap();
    assert_eq!(open(&desk, &request(2)), Err(Refused::InUse));
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t1"}}"#;
    desk.give(progress.to_owned()).unwrap();
    desk.give(answer(2)).unwrap();
    desk.give(answer(2)).unwrap();
    desk.give(answer(3)).unwrap();
    assert_eq!(next(&desk, first, 0), Some((1, false)));
    assert_eq!(next(&desk, second, 0), Some((1, true)));
    assert_eq!(next(&desk, second, 1), None, "an answer that comes twice is none");
    desk.give(answer(1)).unwrap();
    assert_eq!(next(&desk, first, 1), Some((2, true)));
    let told = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    desk.give(told.to_owned()).unwrap();
    assert_eq!(next(&desk, GENERAL, 0), Some((1, false)));
    assert!(open(&desk, &messages(told)).unwrap().is_none());
}

#[test]
fn what_was_read_is_kept_for_a_while_and_what_nobody_reads_is_bounded() {
    let desk = Arc::new(Desk::default());
    let told = r#"{"jsonrpc":"2.0","method":"notifications/message"}"#;
    for _ in 0..UNREAD_MAX + 10 {
        desk.give(told.to_owned()).unwrap();
    }
    assert!(desk.read(GENERAL, 0).is_none(), "the first are not there any more");
    let reading = desk.read(GENERAL, 10).unwrap();
    assert_eq!(desk.give(told.to_owned()), Err(told.to_owned()), "who gives more waits");
    let last = (UNREAD_MAX + 10) as u64;
    assert!(next(&desk, GENERAL, last).is_none());
    desk.give(told.to_owned()).unwrap();
    drop(reading);
    assert!(desk.read(GENERAL, last - KEPT_MAX as u64 + 1).is_some());
    assert!(desk.read(GENERAL, 11).is_none());
    assert!(desk.read(GENERAL, last + 9).is_none(), "what was never sent");
    assert!(desk.read(77, 0).is_none());
}

#[test]
fn streams_that_have_brought_all_are_forgotten_in_their_order() {
    let desk = Arc::new(Desk::default());
    for id in 0..100 {
        open(&desk, &request(id)).unwrap();
        desk.give(answer(id)).unwrap();
    }
    assert!(desk.state().streams.len() <= DONE_MAX + 1);
    assert!(desk.state().by_token.len() <= DONE_MAX + 1 && desk.state().by_request.is_empty());
    for id in 1_000..1_000 + STREAMS_MAX as u64 {
        open(&desk, &request(id)).unwrap();
    }
    assert_eq!(open(&desk, &request(1)), Err(Refused::TooMany));
}

#[test]
fn what_is_withdrawn_leaves_its_place_and_ends_its_stream() {
    let desk = Arc::new(Desk::default());
    let cancels = |id: u64| {
        messages(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ))
    };
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let begins = open(&desk, &messages(hello)).unwrap().unwrap();
    assert_eq!(open(&desk, &cancels(0)), Ok(None));
    assert!(matches!(desk.look(begins, 0), Looked::Later), "what begins a session is waited for");
    for id in 1..=3 * STREAMS_MAX as u64 {
        let stream = open(&desk, &request(id)).unwrap().unwrap();
        assert_eq!(open(&desk, &cancels(id + 9_000)), Ok(None), "of nobody");
        assert!(matches!(desk.look(stream, 0), Looked::Later));
        assert_eq!(open(&desk, &cancels(id)), Ok(None));
        assert!(matches!(desk.look(stream, 0), Looked::Nothing));
        desk.give(answer(id)).unwrap();
        assert_eq!(next(&desk, stream, 0), None, "an answer to what was withdrawn is for nobody");
    }
    assert_eq!(desk.state().by_request.len(), 1);
    let two = [request(8_001), request(8_002)].concat();
    let stream = open(&desk, &two).unwrap().unwrap();
    assert_eq!(open(&desk, &cancels(8_001)), Ok(None));
    assert!(matches!(desk.look(stream, 0), Looked::Later), "the other is waited for");
    desk.give(answer(8_002)).unwrap();
    assert_eq!(next(&desk, stream, 0), Some((1, true)));
}
