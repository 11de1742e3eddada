//! What a gpg agent is asked is understood as a whole or not at all, and what it answers arrives as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_runtime::signing::assuan::{
    Answered, Asked, LINE_BYTES_MAX, answered, asked, data, next_line, word,
};

fuzz_target!(|bytes: &[u8]| {
    let mut from = bytes;
    while let Ok(Some(line)) = next_line(&mut from) {
        assert!(line.len() <= LINE_BYTES_MAX && !line.contains(&b'\n'));
        check(&line);
    }
    // Whatever is sent arrives.
    let sent = data(bytes);
    let (mut from, mut arrived) = (sent.as_slice(), Vec::new());
    while let Some(line) = next_line(&mut from).expect("our own lines are short") {
        match answered(&line) {
            Some(Answered::Data(piece)) => arrived.extend(piece),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(arrived, bytes);
    let text = word(&String::from_utf8_lossy(bytes));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "it is one word");
});

/// What is passed on to the person's agent is nothing but digits, and means the same there.
fn check(line: &[u8]) {
    let asked_for = asked(line);
    match &asked_for {
        Asked::Key(grip) => {
            assert!(grip.as_str().len() == 40 && grip.as_str().bytes().all(is_digit));
            assert_eq!(grip.bytes().len(), 20);
            assert_eq!(asked(format!("SIGKEY {}", grip.as_str()).as_bytes()), asked_for);
        }
        Asked::Hash(digest) => {
            let command = digest.command();
            let words = command.strip_prefix("SETHASH ").expect("it is that command");
            assert!(words.bytes().all(|byte| byte == b' ' || is_digit(byte)));
            assert_eq!(asked(command.as_bytes()), asked_for);
            let (_, hex) = digest.name().rsplit_once('/').map(|(a, b)| (a.len(), b.len())).expect("/");
            assert!(hex % 2 == 0 && (40..=128).contains(&hex));
        }
        Asked::Sign => assert!(line.len() >= 6 && line[..6].eq_ignore_ascii_case(b"PKSIGN")),
        Asked::Other(verb) => assert!(verb.len() <= 32 && verb.is_ascii()),
        Asked::Have(grips) => assert!(!grips.is_empty()),
        Asked::Card => assert!(line.len() >= 3 && line[..3].eq_ignore_ascii_case(b"SCD")),
        Asked::Nothing
        | Asked::Courtesy
        | Asked::Reset
        | Asked::Bye
        | Asked::Version
        | Asked::Untold
        | Asked::List
        | Asked::Info(_) => {}
    }
    // A line with a control character in it is never more than refused.
    if line.iter().any(|byte| *byte < b' ') && !line.starts_with(b"#") {
        assert!(matches!(asked_for, Asked::Other(_)));
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)
}
