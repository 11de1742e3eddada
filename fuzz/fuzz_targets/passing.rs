//! What passes the net gate, looked through: however a text is cut into pieces, what is certain in it survives in none,
//! what is put in place of it is all that is changed, and a document of JSON stays one. Nor does it survive in what a
//! receiver of several parts decodes of them, however those are written.

#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::Arbitrary;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use libfuzzer_sys::fuzz_target;
use ringfence_core::{Certainty, Detector, Handling};
use ringfence_detect::Detectors;
use ringfence_proxy::net::content::{Form, Passing, Rules, Way, declared, form};

/// Credentials and numbers as they are issued, which no fuzzer would come upon, and parts of them; and what parts begin
/// with.
const KNOWN: [&str; 26] = [
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
    "Z2hwXzhaazJtUTR4VnQ3THM5V2Qz\r\nUmY2SGIxTmM1WXAwSjIwR1cwMyAg",
    "gh=70_8Zk2mQ4xVt7Ls9Wd=\r\n3Rf6Hb1Nc5Yp0J20GW03",
    "=",
    "\r\n",
    "--b\r\n",
    "\r\n--b\r\n",
    "\r\n--b--\r\n",
    "\r\n--c\r\n",
    "\r\n--c--\r\n",
    "--b\n\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Type: multipart/mixed; boundary=c\r\n",
    "\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
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

/// What stands between the parts.
const BOUNDARY: &str = "b";

fn several_parts() -> Form {
    let mut headers = HeaderMap::new();
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    headers.insert(CONTENT_TYPE, kind.parse().expect("a value"));
    form(declared(&headers), b"").expect("parts are looked into")
}

/// What a receiver makes of a body of parts, which ends lines as the first of them ends, with those within them.
fn received(body: &[u8], boundary: &str) -> Vec<String> {
    let (begins, closes) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut is_within = false;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        if bare == begins.as_bytes() {
            parts.push(Vec::new());
            is_within = true;
        } else if bare == closes.as_bytes() {
            break;
        } else if let Some(last) = parts.last_mut().filter(|_| is_within) {
            last.extend_from_slice(line);
        }
    }
    parts.iter().flat_map(|part| of_part(part)).collect()
}

fn of_part(part: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(part);
    let cut = ["\r\n\r\n", "\n\n"].into_iter().find_map(|end| text.split_once(end));
    let begun = text.strip_prefix("\r\n").or(text.strip_prefix('\n'));
    let (head, body) = match (begun, cut) {
        (Some(body), _) => ("", body),
        (None, Some(cut)) => cut,
        (None, None) => return Vec::new(),
    };
    let says = |what: &str| {
        let of_it = |line: &str| line.trim().eq_ignore_ascii_case(what);
        head.lines().any(of_it)
    };
    let decoded = if says("content-transfer-encoding: base64") {
        of_base64(body)
    } else if says("content-transfer-encoding: quoted-printable") {
        of_quoted(body)
    } else {
        body.as_bytes().to_vec()
    };
    let mut all = vec![String::from_utf8_lossy(&decoded).into_owned()];
    if says("content-type: multipart/mixed; boundary=c") {
        all.extend(received(body.as_bytes(), "c"));
    }
    all
}

/// As Python reads it: what is no letter is passed over, and what fills it up ends it.
fn of_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut group = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'=' if group.len() >= 2 => break,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => group.push(byte),
            _ => {}
        }
        if group.len() == 4 {
            bytes.extend(STANDARD.decode(&group).expect("four letters"));
            group.clear();
        }
    }
    if group.len() >= 2 {
        group.resize(4, b'A');
        bytes.extend(STANDARD.decode(&group).expect("four letters").into_iter().take(1));
    }
    bytes
}

/// As Python reads it.
fn of_quoted(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        let hex = |at: usize| behind.get(at).and_then(|it| char::from(*it).to_digit(16));
        match (behind.first(), hex(0), hex(1)) {
            (Some(b'\n' | b'\r'), _, _) => {
                let end = behind.iter().position(|byte| *byte == b'\n');
                rest = end.map_or(&[][..], |end| &behind[end + 1..]);
            }
            (Some(b'='), _, _) => {
                bytes.push(b'=');
                rest = &behind[1..];
            }
            (_, Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).expect("two digits"));
                rest = &behind[2..];
            }
            (_, _, _) => bytes.push(b'='),
        }
    }
    bytes
}

/// What is certain in what a receiver decodes is in none of what it decodes of what came through.
fn check_parts(sent: &[u8], out: &[u8]) {
    let (before, behind) = (received(sent, BOUNDARY), received(out, BOUNDARY));
    let behind = behind.join("\n");
    for text in &before {
        let found = Detectors::shared().look(text);
        let certain = found.iter().filter(|one| one.certainty == Certainty::Certain);
        for one in certain.filter(|one| one.rule == "github-token") {
            let what = text.get(one.at.clone()).expect("its place");
            let count = |all: &str| all.matches(what).count();
            assert!(count(&behind) < before.iter().map(|it| count(it)).sum(), "{what}");
        }
    }
}

fuzz_target!(|input: Input| {
    let mut sent = bytes(&input.pieces);
    let forms = [Form::Text, Form::Json, Form::Events, Form::Fields, several_parts()];
    let form = forms[usize::from(input.form) % forms.len()];
    let is_of_parts = matches!(form, Form::Parts(_));
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
        let passed = passing.push(piece);
        let paused = if *pauses { passing.pause() } else { Ok(Vec::new()) };
        let (Ok(passed), Ok(paused)) = (passed, paused) else {
            assert!(is_of_parts, "nothing is blocked");
            return;
        };
        out.extend(passed);
        out.extend(paused);
        rest = behind;
    }
    let (Ok(passed), Ok(last)) = (passing.push(rest), passing.finish()) else {
        assert!(is_of_parts, "nothing is blocked");
        return;
    };
    out.extend(passed);
    out.extend(last);
    assert!(!passing.holds());
    if is_document {
        let parsed = serde_json::from_slice::<Vec<String>>(&out);
        assert!(parsed.is_ok(), "{parsed:?}");
    }
    let Ok(text) = std::str::from_utf8(&sent) else { return };
    if is_of_parts {
        check_parts(&sent, &out);
    }
    let found = Detectors::shared().look(text);
    let is_plain = !text.contains(['\\', '%', '+']) && !is_of_parts;
    if found.is_empty() && is_plain {
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
