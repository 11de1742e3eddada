//! A stream of events says the same however it is cut into pieces, and what is written as an event is read as that event.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::mcp::http::sse::{Event, Events, RETRY_SECONDS_MAX, write};

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, stream)) = bytes.split_first() else { return };
    let whole = read(&mut stream.chunks(stream.len().max(1)));
    let pieces = read(&mut stream.chunks(usize::from(cut % 16) + 1));
    // What follows what cannot be read is not read, and what came in the same piece before it is not told.
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(_), Err(_)) => {}
        _ => panic!("{whole:?} {pieces:?}"),
    }
    let Ok(data) = std::str::from_utf8(stream) else { return };
    let written = write(Some("3-4"), data);
    let (events, last_id, _) = read(&mut written.as_bytes().chunks(7)).expect("a text of ours");
    let lines: Vec<&str> = data.split(['\n', '\r']).collect();
    let one = Event { kind: "message".to_owned(), data: lines.join("\n") };
    assert_eq!(events, [one]);
    assert_eq!(last_id.as_deref(), Some("3-4"));
});

type All = (Vec<Event>, Option<String>, Option<std::time::Duration>);

fn read(pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<All, String> {
    let (mut events, mut all) = (Events::default(), Vec::new());
    for piece in pieces {
        all.extend(events.push(piece).map_err(|error| error.to_string())?);
    }
    let retry = events.retry();
    assert!(retry.is_none_or(|wait| wait.as_secs() <= RETRY_SECONDS_MAX));
    assert!(events.last_id().is_none_or(|id| !id.is_empty() && !id.contains(['\n', '\r', '\0'])));
    Ok((all, events.last_id().map(str::to_owned), retry))
}
