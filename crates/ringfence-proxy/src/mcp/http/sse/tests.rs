use proptest::prelude::*;

use super::*;

/// All events of a stream that comes in pieces of this size.
fn read(stream: &[u8], size: usize) -> (Vec<(String, String)>, Events) {
    let mut events = Events::default();
    let mut all = Vec::new();
    for piece in stream.chunks(size.max(1)) {
        all.extend(events.push(piece).unwrap());
    }
    (all.into_iter().map(|event| (event.kind, event.data)).collect(), events)
}

fn message(data: &str) -> (String, String) {
    ("message".to_owned(), data.to_owned())
}

#[test]
fn events_are_the_same_however_they_arrive() {
    let stream = b"\xef\xbb\xbfdata: {\"a\":1}\r\n\r\n: comment\nid: 7\nevent: endpoint\ndata:x\ndata:  y\n\nid\rretry: 1500\rdata\r\rdata: cut";
    for size in 1..stream.len() {
        let (all, events) = read(stream, size);
        let endpoint = ("endpoint".to_owned(), "x\n y".to_owned());
        assert_eq!(all, [message("{\"a\":1}"), endpoint, message("")], "{size}");
        assert_eq!(events.last_id(), None, "{size}: an empty name takes the one before back");
        assert_eq!(events.retry(), Some(Duration::from_millis(1_500)), "{size}");
    }
}

#[test]
fn a_name_counts_when_its_event_is_whole() {
    let mut events = Events::after(Some("1".to_owned()));
    assert_eq!(events.push(b"id: 2\n").unwrap(), []);
    assert_eq!(events.last_id(), Some("1"));
    // An event without data is none, and its name counts.
    assert_eq!(events.push(b"\n").unwrap(), []);
    assert_eq!(events.last_id(), Some("2"));
    events.push(format!("id: {}\nid: a\0b\n\n", "x".repeat(ID_BYTES_MAX + 1)).as_bytes()).unwrap();
    assert_eq!(events.last_id(), Some("2"), "one that is no header is none");
}

#[test]
fn what_does_not_end_is_not_kept() {
    let piece = vec![b'x'; 1 << 20];
    for begin in [&b""[..], b"data: ", b"event: "] {
        let mut events = Events::default();
        events.push(begin).unwrap();
        let ends = (0..17).find_map(|_| events.push(&piece).err());
        assert_eq!(ends, Some(Unreadable::TooLong));
    }
    let mut events = Events::default();
    let line = [b"data: ".as_slice(), &piece, b"\n"].concat();
    let ends = (0..17).find_map(|_| events.push(&line).err());
    assert_eq!(ends, Some(Unreadable::TooLong), "many lines of one event");
    assert_eq!(Events::default().push(b"data: \xff\n\n"), Err(Unreadable::NotUtf8));
    let mut events = Events::default();
    events.push(b"retry: 99999999999999999999999\nretry: -1\nretry: 1s\n").unwrap();
    assert_eq!(events.retry(), Some(Duration::from_secs(RETRY_SECONDS_MAX)));
}

proptest! {
    #[test]
    fn what_is_written_is_read(data in "[^\n\r]{0,200}", id in "[a-z0-9-]{1,20}", size in 1_usize..50) {
        let text = write(Some(&id), &data);
        let (all, events) = read(text.as_bytes(), size);
        prop_assert_eq!(all, [message(&data)]);
        prop_assert_eq!(events.last_id(), Some(id.as_str()));
    }

    #[test]
    fn anything_is_read_alike_in_any_pieces(stream in proptest::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
        let mut whole = Events::default();
        let mut parts = Events::default();
        let at_once = whole.push(&stream);
        let mut all = Ok(Vec::new());
        for piece in stream.chunks(size) {
            match (&mut all, parts.push(piece)) {
                (Ok(all), Ok(more)) => all.extend(more),
                (Ok(_), Err(error)) => { all = Err(error); break; }
                (Err(_), _) => {}
            }
        }
        prop_assert_eq!(at_once, all);
    }
}
