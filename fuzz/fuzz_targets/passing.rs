//! What passes the net gate, looked through: however a text is cut into pieces, what is certain in it survives in none,
//! what is put in place of it is all that is changed, and a document of JSON stays one.

#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringfence_core::{Certainty, Detector, Handling};
use ringfence_detect::Detectors;
use ringfence_proxy::net::content::{Form, Passing, Rules, Way};

/// Credentials and numbers as they are issued, which no fuzzer would come upon, and parts of them.
const KNOWN: [&str; 12] = [
    "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",
    "ghp_",
    "glpat-8Zk2mQ4xVt7Ls9Wd3Rf6",
    "AKIAZ7Q3M5K2W7X4P6TB",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq2\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG\\n",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "4111 1111 1111 1111",
    "password=",
    "data: {\"key\": \"",
    "\\u0067hp_8Zk2mQ4xVt7Ls9Wd3Rf6Hb1Nc5Yp0J20GW03",
    "Z2hwXzhaazJtUTR4VnQ3THM5V2QzUmY2SGIxTmM1WXAwSjIwR1cwMw==",
];

#[derive(Debug, Arbitrary)]
enum Piece {
    Bytes(Vec<u8>),
    Known(u8),
    Long(u8, u16),
}

#[derive(Debug, Arbitrary)]
struct Input {
    pieces: Vec<Piece>,
    /// Where it is cut, and whether it pauses there.
    cuts: Vec<(u16, bool)>,
    form: u8,
    json: bool,
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    let one = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Known(number) => KNOWN[usize::from(*number) % KNOWN.len()].as_bytes().to_vec(),
        Piece::Long(byte, count) => vec![*byte; usize::from(*count)],
    };
    pieces.iter().flat_map(one).collect()
}

fuzz_target!(|input: Input| {
    let mut sent = bytes(&input.pieces);
    let form = [Form::Text, Form::Json, Form::Events][usize::from(input.form) % 3];
    let is_document = input.json && form == Form::Json;
    if is_document {
        let text = String::from_utf8_lossy(&sent).into_owned();
        sent = serde_json::to_vec(&[text]).expect("a text is JSON");
    }
    let redact: BTreeSet<Detector> = [Detector::Secrets, Detector::Pii].into();
    let handling = Handling { redact, ..Handling::default() };
    let rules = Rules::new(handling, Detectors::shared(), Arc::default(), Way::In);
    let mut passing = Passing::new(rules, form);
    let (mut out, mut rest) = (Vec::new(), sent.as_slice());
    for (length, pauses) in &input.cuts {
        let (piece, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        out.extend(passing.push(piece).expect("nothing is blocked"));
        if *pauses {
            out.extend(passing.pause().expect("nothing is blocked"));
        }
        rest = behind;
    }
    out.extend(passing.push(rest).expect("nothing is blocked"));
    out.extend(passing.finish().expect("nothing is blocked"));
    assert!(!passing.holds());
    if is_document {
        let parsed = serde_json::from_slice::<Vec<String>>(&out);
        assert!(parsed.is_ok(), "{parsed:?}");
    }
    let Ok(text) = std::str::from_utf8(&sent) else { return };
    let found = Detectors::shared().look(text);
    if found.is_empty() && !text.contains('\\') {
        assert_eq!(out, sent);
    }
    let clean = String::from_utf8_lossy(&out);
    let certain = found.iter().filter(|one| one.certainty == Certainty::Certain);
    let texts: BTreeSet<&str> = certain
        .filter(|one| one.rule != "hidden-text" && !one.rule.starts_with("terminal"))
        .filter(|one| one.rule != "control-character")
        .filter_map(|one| text.get(one.at.clone()))
        .collect();
    for what in texts {
        let taken = found.iter().filter(|one| text.get(one.at.clone()) == Some(what)).count();
        // The same may stand elsewhere, where it is none.
        assert!(clean.matches(what).count() + taken.min(1) <= text.matches(what).count(), "{what}");
    }
});
