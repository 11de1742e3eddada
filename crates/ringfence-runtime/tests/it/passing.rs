//! What passes the net gate, looked through by the real detectors: what is certain in a text survives in whatever
//! pieces it comes in none of them, and a text that has nothing in it comes out as it went in.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringfence_core::{Certainty, Detector, Finding, FindingKind, Handling};
use ringfence_detect::Detectors;
use ringfence_proxy::net::content::{Form, Passing, Rules, Way};

/// Texts that are made, each from a number.
const TEXTS: u64 = 1_500;

/// What a text is put together from: credentials and numbers as they are issued, parts of them, and what is around.
const PIECES: [&str; 30] = [
    "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",
    "ghp_8Zk2mQ4xVt7",
    "glpat-8Zk2mQ4xVt7Ls9Wd3Rf6",
    "AKIAZ7Q3M5K2W7X4P6TB",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq2\nx9Kd0fQm4zTz8Vd2\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG",
    "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG\\nx9Kd0fQm\\n-----END PRIVATE KEY-----\\n",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "4111 1111 1111 1111",
    "4111111111111111",
    "DE89 3704 0044 0532 0130 00",
    "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",
    "password=",
    "Authorization: Bearer ",
    "Z2hwXzhaazJtUTR4VnQ3THM5V2QzUmY2SGIxTmM1WXAwSjIwR1cwMw==",
    "me@mail.example",
    "data: ",
    "{\"key\": \"",
    "\", \"n\": ",
    "\"}",
    "\n",
    "\n\n",
    " ",
    " words of a text ",
    "é\u{200b}漢",
    "\\u0067hp_8Zk2mQ4xVt7Ls9Wd3Rf6Hb1Nc5Yp0J20GW03",
    "\\",
    "\"",
    "sk-ant-",
    "12",
];

/// Numbers in no order that anybody would expect, and the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn rules() -> Rules {
    let redact: BTreeSet<Detector> = [Detector::Secrets, Detector::Pii].into();
    let handling = Handling { redact, ..Handling::default() };
    Rules::new(handling, Detectors::shared(), Arc::default(), Way::In)
}

/// What goes on of a text in pieces of some sizes, which pauses at times.
fn passed(form: Form, text: &str, numbers: &mut Numbers) -> String {
    let mut passing = Passing::new(rules(), form);
    let longest = [1, 3, 20, 200, 5_000][numbers.next(5)];
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + numbers.next(longest)).min(rest.len()));
        out.extend(passing.push(piece).unwrap());
        if numbers.next(8) == 0 {
            out.extend(passing.pause().unwrap());
        }
        rest = behind;
    }
    out.extend(passing.finish().unwrap());
    assert!(!passing.holds());
    String::from_utf8(out).unwrap()
}

fn certain(text: &str) -> Vec<Finding> {
    let found = Detectors::shared().look(text).into_iter();
    found.filter(|one| one.certainty == Certainty::Certain && one.rule != "hidden-text").collect()
}

#[test]
fn what_is_certain_survives_in_no_pieces() {
    let mut seen = 0;
    for seed in 0..TEXTS {
        let mut numbers = Numbers(seed);
        let count = 1 + numbers.next(12);
        let text: String = (0..count).map(|_| PIECES[numbers.next(PIECES.len())]).collect();
        let form = [Form::Text, Form::Json, Form::Events][numbers.next(3)];
        let clean = passed(form, &text, &mut numbers);
        let found = certain(&text);
        seen += found.len();
        for one in &found {
            // The same may stand elsewhere, where it is none.
            let what = &text[one.at.clone()];
            let taken = found.iter().filter(|it| text[it.at.clone()] == *what).count();
            let left = clean.matches(what).count();
            assert!(
                left + taken <= text.matches(what).count(),
                "{seed}: {} in {clean:?} of {text:?}",
                one.rule
            );
        }
        let left: Vec<Finding> =
            certain(&clean).into_iter().filter(|one| one.kind == FindingKind::Secret).collect();
        assert!(left.is_empty(), "{seed}: {left:?} in {clean:?} of {text:?}");
        if Detectors::shared().look(&text).is_empty() && !text.contains('\\') {
            assert_eq!(clean, text, "{seed}");
        }
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn a_document_of_json_stays_one() {
    for seed in 0..TEXTS / 3 {
        let mut numbers = Numbers(seed);
        let mut strings = Vec::new();
        for _ in 0..=numbers.next(6) {
            let text: String =
                (0..=numbers.next(4)).map(|_| PIECES[numbers.next(PIECES.len())]).collect();
            strings.push(serde_json::Value::from(text));
        }
        strings.push(serde_json::json!({ "card": 4_111_111_111_111_111_u64, "n": -1.5 }));
        let value = serde_json::Value::from(strings);
        let text = if seed % 2 == 0 {
            value.to_string()
        } else {
            serde_json::to_string_pretty(&value).unwrap()
        };
        let clean = passed(Form::Json, &text, &mut numbers);
        let parsed = serde_json::from_str::<serde_json::Value>(&clean);
        let parsed = parsed.unwrap_or_else(|error| panic!("{seed}: {error}: {clean} of {text}"));
        assert_eq!(parsed.as_array().map(Vec::len), value.as_array().map(Vec::len), "{seed}");
        let last = parsed.as_array().and_then(|all| all.last()).unwrap();
        assert_eq!((&last["card"], &last["n"]), (&"[redacted: card]".into(), &(-1.5).into()));
    }
}
