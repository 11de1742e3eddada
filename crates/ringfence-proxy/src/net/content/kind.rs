//! What a message says that its body is, and what it is by its first bytes.

use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::Form;

/// How many of a body's first bytes say whether it is text.
pub const SNIFF_BYTES: usize = 512;

/// Encodings of letters in which ASCII is what it is everywhere, by their beginnings.
const LIKE_ASCII: [&str; 15] = [
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859",
    "iso8859",
    "latin",
    "windows-",
    "cp125",
    "koi8",
    "gb",
    "big5",
    "euc-",
    "shift_jis",
    "shift-jis",
];

/// What a message says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Text of this form.
    Text(Form),
    /// Something else, or nothing.
    Other,
    /// Text in letters that cannot be looked at.
    OtherLetters,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// It reads as text.
    Text,
    /// It is none.
    Binary,
    /// It is text in units of two bytes.
    Wide,
}

/// What the head of a message says of its body.
pub fn declared(headers: &HeaderMap) -> Declared {
    let kind = headers.get(CONTENT_TYPE).map(|it| String::from_utf8_lossy(it.as_bytes()));
    let kind = kind.map(|it| it.to_ascii_lowercase()).unwrap_or_default();
    let mut parts = kind.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_text = essence.starts_with("text/");
    let form = match essence {
        "text/event-stream" => Some(Form::Events),
        json if json.ends_with("json") || json.ends_with("json-seq") => Some(Form::Json),
        "application/x-ndjson" | "application/jsonl" | "application/jsonlines" => Some(Form::Json),
        xml if xml.ends_with("xml") && !xml.ends_with("openxml") => Some(Form::Text),
        "application/javascript"
        | "application/x-javascript"
        | "application/x-www-form-urlencoded"
        | "application/yaml"
        | "application/toml"
        | "application/graphql"
        | "application/x-sh" => Some(Form::Text),
        _ if is_text => Some(Form::Text),
        _ => None,
    };
    let letters = parts.find_map(|part| part.strip_prefix("charset="));
    let letters = letters.map(|it| it.trim_matches(['"', '\'', ' ']));
    let is_known = letters.is_none_or(|it| LIKE_ASCII.iter().any(|known| it.starts_with(known)));
    match form {
        _ if !is_known => Declared::OtherLetters,
        Some(form) => Declared::Text(form),
        None => Declared::Other,
    }
}

/// What a body is that begins so.
pub fn sniff(first: &[u8]) -> Sniffed {
    let first = first.get(..SNIFF_BYTES).unwrap_or(first);
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return Sniffed::Wide;
    }
    if first.contains(&0) {
        return Sniffed::Binary;
    }
    match std::str::from_utf8(first) {
        Ok(_) => Sniffed::Text,
        // A letter that is cut off at the end.
        Err(error) if error.error_len().is_none() => Sniffed::Text,
        Err(_) => Sniffed::Binary,
    }
}
