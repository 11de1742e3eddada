//! What is taken out of a server's answer: what is passed on is JSON of the same structure, has nothing more in it that
//! must not be passed on, and passes again as it is.

#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringfence_core::{Detector, Handling, Treatment};
use ringfence_detect::Detectors;
use ringfence_proxy::mcp::frame::{Frame, Message};
use ringfence_proxy::mcp::results::{Looked, Rules, look};
use serde_json::{Map, Value};

/// Beginnings of credentials and of what else is found, which no fuzzer would come upon.
const BEGINNINGS: [&str; 16] = [
    "ghp_",
    "AKIA",
    "sk-ant-api03-",
    "glpat-",
    "xoxb-123456789012-123456789012-",
    "-----BEGIN RSA PRIVATE KEY-----\n",
    "eyJhbGciOiJIUzI1NiJ9.",
    "password=",
    "npm_",
    "AIza",
    "DE89370400440532013000",
    "4111 1111 1111 1111",
    "me@example.com ",
    "\u{1b}[2J",
    "\u{200b}\u{202e}",
    "Authorization: Bearer ",
];

const KEYS: [&str; 6] = ["text", "password", "blob", "api_key", "content", "nextCursor"];

#[derive(Debug, Arbitrary)]
enum Piece {
    Text(String),
    Begins(u8),
    Random(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Tree {
    Text(Vec<Piece>),
    Number(i64),
    Long(u64),
    Flag(bool),
    List(Vec<Tree>),
    Record(Vec<(u8, Vec<Piece>, Tree)>),
}

#[derive(Debug, Arbitrary)]
struct Input {
    result: Vec<(u8, Tree)>,
    escaped: bool,
    redact: bool,
}

fn text(pieces: &[Piece]) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Begins(number) => BEGINNINGS[usize::from(*number) % BEGINNINGS.len()].to_owned(),
        // Most forms want some forty letters.
        Piece::Random(bytes) => bytes
            .iter()
            .cycle()
            .take(bytes.len().min(1) * 40)
            .enumerate()
            .map(|(at, byte)| char::from(LETTERS[(usize::from(*byte) + at * 7) % LETTERS.len()]))
            .collect(),
    };
    pieces.iter().map(one).collect()
}

fn value(tree: &Tree, depth: usize) -> Value {
    match tree {
        Tree::Text(pieces) => Value::from(text(pieces)),
        Tree::Number(number) => Value::from(*number),
        Tree::Long(number) => Value::from(*number),
        Tree::Flag(flag) => Value::from(*flag),
        Tree::List(_) | Tree::Record(_) if depth == 0 => Value::Null,
        Tree::List(all) => all.iter().map(|it| value(it, depth - 1)).collect(),
        Tree::Record(all) => {
            let member = |(number, name, it): &(u8, Vec<Piece>, Tree)| {
                let known = KEYS.get(usize::from(*number) % 8).map(|it| (*it).to_owned());
                (known.unwrap_or_else(|| text(name)), value(it, depth - 1))
            };
            Value::Object(all.iter().map(member).collect())
        }
    }
}

/// All that can be escaped in a text is.
fn escaped(json: &str) -> String {
    let mut out = String::new();
    let (mut within, mut letters) = (false, json.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                within = !within;
                out.push(letter);
            }
            '\\' => {
                out.push(letter);
                out.extend(letters.next());
            }
            _ if within => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => out.push(letter),
        }
    }
    out
}

fn message(text: &str) -> Message {
    match Frame::parse(text.as_bytes().to_vec()) {
        Ok(Frame::One(message)) => message,
        other => panic!("{other:?}: {text}"),
    }
}

/// Whether values are built alike: texts may be others, and so may numbers, for which texts may stand.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => alike_objects(one, other),
        (Value::String(_) | Value::Number(_), Value::String(_)) => true,
        _ => one == other,
    }
}

/// Names may be others; which belongs to which is not told any more then, but there are as many.
fn alike_objects(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let same = |(name, value): (&String, &Value)| other.get(name).is_none_or(|it| alike(value, it));
    one.len() == other.len() && one.iter().all(same)
}

fuzz_target!(|input: Input| {
    let mut result = Map::new();
    for (number, tree) in &input.result {
        let key = KEYS.get(usize::from(*number) % KEYS.len()).map_or("text", |it| *it);
        result.insert(key.to_owned(), value(tree, 6));
    }
    let json = serde_json::to_string(&result).expect("a value is JSON");
    let json = if input.escaped { escaped(&json) } else { json };
    let sent = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#);
    let Ok(Frame::One(first)) = Frame::parse(sent.clone().into_bytes()) else { return };
    let always: BTreeSet<Detector> = [Detector::Secrets].into();
    let redact = if input.redact { [Detector::Secrets, Detector::Pii].into() } else { BTreeSet::new() };
    let handling = Handling { redact, ..Handling::default() };
    let rules = Rules { handling: &handling, always: &always, echoed: &["nextCursor"] };
    let Looked { text, found } = look(&first, Detectors::shared(), rules);
    let taken = found.iter().any(|it| it.treatment == Treatment::Redacted);
    assert_eq!(taken, text.is_some(), "{found:?} {sent}");
    let Some(clean) = text else { return };
    let (before, after): (Value, Value) = (
        serde_json::from_str(&sent).expect("a message is JSON"),
        serde_json::from_str(&clean).expect("what is passed on is JSON"),
    );
    assert!(alike(&before, &after), "{sent}\n{clean}");
    let again = look(&message(&clean), Detectors::shared(), rules);
    assert_eq!(again.text, None, "{sent}\n{clean}\n{:?}", again.found);
});
