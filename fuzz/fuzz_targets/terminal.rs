//! What passes the terminal's filter does not depend on how it arrives, passes again unchanged, and
//! holds nothing that asks a terminal to answer.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/ringfence-runtime/src/pty/filter.rs"]
#[allow(dead_code, reason = "the filter's own file, as the program has it")]
mod filter;

use filter::Filter;

/// Questions: cursor and status, attributes, answerback, window, modes, settings.
const QUESTIONS: &[&[u8]] = &[
    b"\x1b[6n", b"\x1b[5n", b"\x1b[c", b"\x1b[0c", b"\x1b[>c", b"\x1bZ", b"\x05", b"\x1b[18t",
    b"\x1b[21t", b"\x1bP$q", b"\x1b[?6n",
];

fuzz_target!(|input: (usize, &[u8])| {
    let (at, bytes) = input;
    let mut whole = Vec::new();
    Filter::default().pass(bytes, &mut whole);
    let (one, two) = bytes.split_at(at.min(bytes.len()));
    let mut parts = Vec::new();
    let mut filter = Filter::default();
    filter.pass(one, &mut parts);
    filter.pass(two, &mut parts);
    assert_eq!(whole, parts, "how it arrives makes no difference");
    let mut again = Vec::new();
    Filter::default().pass(&whole, &mut again);
    assert_eq!(whole, again, "what passed passes");
    for question in QUESTIONS {
        let found = whole.windows(question.len()).any(|window| window == *question);
        assert!(!found, "a question passed: {}", question.escape_ascii());
    }
});
