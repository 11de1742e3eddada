//! A value that goes into a server's answer does not come out of it: whole, encoded, spelled in the ways
//! of JSON and addresses, between any bytes and cut anywhere.
#![no_main]

use std::sync::OnceLock;

use arbitrary::Arbitrary;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use ringfence_secrets::scrub::{Patterns, Scrubber};
use ringfence_secrets::sentinel::{Sentinel, Shape};

#[derive(Debug, Arbitrary)]
struct Answer<'a> {
    pieces: Vec<Piece<'a>>,
    cuts: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    /// A part of the first value, which is none.
    Part(u8),
    Value(Which, Spelling),
    Base64 { which: Which, before: u8, url: bool, lines: Lines },
    Hex(Which, u64, Lines),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Which {
    One,
    Other,
}

/// How each character is spelled, two bits a character.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Spelling(u64, u64);

/// Of how many characters each line of a text is, none being one line, and how it ends.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Lines(u8, u8);

/// How lines end.
const ENDS: [&str; 6] = ["\n", "\r\n", "\\n", "\\r\\n", "%0a", "%0D%0A"];

const ONE: &str = "sk-ant-api03-Zq9/xY+wB_7h-cR2mN4pLk8vT1sD6fGj";
/// It begins as the first one does, and has its beginning in it once more.
const OTHER: &str = "sk-ant-api03-sk-ant-api03-\"quoted\"-0123456789";

fn stand_in() -> &'static Sentinel {
    static ONCE: OnceLock<Sentinel> = OnceLock::new();
    ONCE.get_or_init(|| Shape::of("0123456789").sentinel().unwrap())
}

fuzz_target!(|answer: Answer<'_>| {
    let mut patterns = Patterns::default();
    patterns.add(ONE, stand_in());
    patterns.add(OTHER, stand_in());
    let (mut text, mut values) = (Vec::new(), Vec::new());
    for piece in &answer.pieces {
        let (written, value) = piece.written();
        text.extend_from_slice(&written);
        values.extend(value);
    }
    let whole = patterns.scrubbed(&text);
    assert_eq!(whole.len(), text.len(), "lengths stay true");
    for value in &values {
        assert!(!holds(&whole, value), "{:?} is still in {:?}", show(value), show(&whole));
    }
    let (mut scrubber, mut rest, mut out) = (Scrubber::new(&patterns), &text[..], Vec::new());
    for cut in &answer.cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        out.extend(scrubber.push(piece));
        rest = after;
    }
    out.extend(scrubber.push(rest));
    out.extend(scrubber.finish());
    assert_eq!(out.len(), whole.len(), "lengths stay true, cut or whole");
    // The first three characters of a value may have gone on, each spelled with six bytes at most, and so may be
    // the two of the end of a line before it.
    let differ = out.iter().zip(&whole).zip(&text).filter(|((out, whole), _)| out != whole);
    let differ: Vec<bool> = differ.map(|((out, _), text)| out == text).collect();
    let said = differ.len() <= 54 * (values.len() + 1) && differ.iter().all(|as_it_was| *as_it_was);
    assert!(said, "cut or whole: {:?} {:?}", show(&out), show(&whole));
    for value in &values {
        assert!(!holds(&out, value), "{:?} is still in {:?}", show(value), show(&out));
    }
});

fn holds(text: &[u8], value: &[u8]) -> bool {
    text.windows(value.len()).any(|part| part == value)
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Which {
    fn text(self) -> &'static str {
        match self {
            Which::One => ONE,
            Which::Other => OTHER,
        }
    }
}

impl Piece<'_> {
    /// What is written, and what of it may not come out.
    fn written(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Piece::Bytes(bytes) => (bytes.to_vec(), None),
            Piece::Part(length) => {
                let length = usize::from(*length) % ONE.len();
                (ONE.as_bytes()[..length].to_vec(), None)
            }
            Piece::Value(which, Spelling(one, other)) => {
                let ways = [*one, *other].into_iter().flat_map(|bits| (0..32).map(move |at| bits >> (2 * at) & 3));
                let spelled: Vec<u8> = which.text().bytes().zip(ways).flat_map(|(byte, way)| spelled(byte, way)).collect();
                (spelled.clone(), Some(spelled))
            }
            Piece::Base64 { which, before, url, lines } => {
                let before = usize::from(*before) % 3;
                let bytes = [&b"a:b"[..before], which.text().as_bytes()].concat();
                let text = if *url { URL_SAFE_NO_PAD.encode(bytes) } else { STANDARD.encode(bytes) };
                // What is the same whatever stands around it.
                let (from, to) = (lines.place(4), lines.place(4 * (which.text().len() / 3) - 1) + 1);
                let text = lines.of(text.as_bytes());
                let core = text[from..to].to_vec();
                (text, Some(core))
            }
            Piece::Hex(which, capitals, lines) => {
                let digits = which.text().bytes().flat_map(|byte| format!("{byte:02x}").into_bytes());
                let text: Vec<u8> = digits
                    .enumerate()
                    .map(|(at, digit)| if capitals >> (at % 64) & 1 == 1 { digit.to_ascii_uppercase() } else { digit })
                    .collect();
                let text = lines.of(&text);
                (text.clone(), Some(text))
            }
        }
    }
}

impl Lines {
    fn width(self) -> usize {
        if self.0 == 0 { usize::MAX } else { usize::from(self.0) }
    }

    fn end(self) -> &'static str {
        ENDS[usize::from(self.1) % ENDS.len()]
    }

    /// A text in lines.
    fn of(self, text: &[u8]) -> Vec<u8> {
        let lines: Vec<&[u8]> = text.chunks(self.width()).collect();
        lines.join(self.end().as_bytes())
    }

    /// Where in it a character of the text is.
    fn place(self, at: usize) -> usize {
        at + at / self.width() * self.end().len()
    }
}

fn spelled(byte: u8, way: u64) -> Vec<u8> {
    match way {
        0 => vec![byte],
        1 => format!("%{byte:02X}").into_bytes(),
        2 => format!("\\u{byte:04x}").into_bytes(),
        _ if b"/\"\\".contains(&byte) => vec![b'\\', byte],
        _ => format!("%{byte:02x}").into_bytes(),
    }
}
