//! What a message says that its body is, and what it is by its first bytes.

use std::collections::BTreeSet;

use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::Form;
use super::escapes;
use super::parts::Boundary;

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

/// Types beside `message/...` of what has heads of its own, as messages do: HTTP (RFC 9112, section 10.2), mailboxes
/// (RFC 4155), archives of what was fetched (ISO 28500).
const WITH_HEADS: [&str; 3] = ["http", "mbox", "warc"];

/// Says of mail how its body is written (RFC 2045, section 6); some receivers take it of any message.
const TRANSFER_ENCODING: &str = "content-transfer-encoding";

/// The field that names the letters of all others (HTML, section 4.10.18.5.4; RFC 7578, section 4.6).
const LETTERS_FIELD: &str = "_charset_";

/// Longest name of letters that is waited for, in bytes.
const LETTERS_BYTES_MAX: usize = 64;

/// What a message says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Text of this form.
    Text(Form),
    /// Something else, or nothing.
    Other,
    /// Several parts, which cannot be told from one another.
    NoParts,
    /// A message with a head of its own, which says how its body is written.
    Message,
    /// Text in letters that cannot be looked at.
    OtherLetters,
    /// Written as mails are, to who takes it so.
    Encoded,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// It reads as text.
    Text,
    /// It is none.
    Binary,
    /// It is text in units of two bytes, or in letters that it names itself.
    Wide,
}

/// Why a body cannot be looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// Its letters cannot be looked at.
    #[error("it is text in an encoding that cannot be read")]
    OtherLetters,
    /// It is none.
    #[error("it is no text")]
    NoText,
    /// It has some that cannot be told from one another.
    #[error("its parts cannot be told from one another")]
    NoParts,
    /// It has a head of its own, and can be looked through as it is written alone.
    #[error("it is a message with a head of its own")]
    Message,
    /// It is written as mails are, and can be looked through as it is written alone.
    #[error("it has a `Content-Transfer-Encoding`")]
    Encoded,
}

/// In which form a body is looked through of which this is said, and which begins so.
pub fn form(declared: Declared, first: &[u8]) -> Result<Form, Closed> {
    match (declared, sniff(first)) {
        (Declared::NoParts, _) => Err(Closed::NoParts),
        (Declared::Message, _) => Err(Closed::Message),
        (Declared::Encoded, _) => Err(Closed::Encoded),
        // Each of its parts is what it is; `Parts` sees to what is beside them.
        (Declared::Text(form @ Form::Parts(_)), _) => Ok(form),
        (Declared::OtherLetters, _) | (_, Sniffed::Wide) => Err(Closed::OtherLetters),
        // Letters of two bytes, or something that was to be taken for text.
        (Declared::Text(_), _) if first.contains(&0) => Err(Closed::OtherLetters),
        // Letters of one byte, as ISO 8859 has them, are no reason to look away.
        (Declared::Text(form), Sniffed::Text | Sniffed::Binary) => Ok(form),
        (Declared::Other, Sniffed::Text) => Ok(Form::Text),
        (Declared::Other, Sniffed::Binary) => Err(Closed::NoText),
    }
}

/// What the head of a message says of its body. Where it says several things, what one reader or another would take
/// for text is text, and two kinds of letters are none that can be looked at.
pub fn declared(headers: &HeaderMap) -> Declared {
    let kinds = headers.get_all(CONTENT_TYPE).into_iter();
    let kinds: Vec<String> =
        kinds.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()).collect();
    if !headers.get_all(TRANSFER_ENCODING).into_iter().all(|it| is_plain(it.as_bytes())) {
        return Declared::Encoded;
    }
    if let Some(declared) = of_parts(&kinds) {
        return declared;
    }
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.to_ascii_lowercase()).collect();
    let form = kinds.iter().find_map(|kind| form_of(kind));
    let letters: BTreeSet<&str> = kinds.iter().flat_map(|kind| letters(kind)).collect();
    let is_known = |it: &&str| LIKE_ASCII.iter().any(|known| it.starts_with(known));
    match form {
        _ if letters.len() > 1 || !letters.iter().all(is_known) => Declared::OtherLetters,
        _ if kinds.iter().any(|kind| names_message(kind)) => Declared::Message,
        Some(form) => Declared::Text(form),
        None => Declared::Other,
    }
}

/// What is said of a body of several parts; `None` of any other. Where its type is said twice one reader takes it so and
/// another so. Some readers take what is said of the letters of the whole for those of each part, and the `type` of the
/// whole (RFC 2387) for that of a part that says none.
fn of_parts(kinds: &[String]) -> Option<Declared> {
    let is_space = |letter: char| matches!(letter, ' ' | '\t');
    let has =
        |kind: &&String| kind.to_ascii_lowercase().replace(is_space, "").contains("multipart/");
    let first = kinds.iter().find(has)?;
    let is_one = kinds.len() == 1 && !hands_on(&first.to_ascii_lowercase());
    let boundary = Boundary::of(first).filter(|_| is_one);
    Some(boundary.map_or(Declared::NoParts, |boundary| Declared::Text(Form::Parts(boundary))))
}

/// Whether a type of several parts, in small letters, says of them what cannot be looked at.
pub(super) fn hands_on(kind: &str) -> bool {
    let values = kind.split(';').filter_map(|it| it.split_once('='));
    let mut values = values.map(|(_, value)| value.trim_matches(['"', '\'', ' ', '\t']));
    !has_known_letters(kind) || values.any(is_message)
}

/// Whether a body that is said to be written so is as it would be if nothing were said.
fn is_plain(encoding: &[u8]) -> bool {
    let encoding = encoding.trim_ascii().to_ascii_lowercase();
    matches!(encoding.as_slice(), b"" | b"7bit" | b"8bit" | b"binary" | b"identity")
}

/// Whether one of the types that are named is that of a message.
fn names_message(kind: &str) -> bool {
    kind.split([';', ',']).any(is_message)
}

/// Whether a type is that of a message (RFC 2046, section 5.2), or of something else with heads of its own.
pub(super) fn is_message(essence: &str) -> bool {
    let Some((kind, of)) = essence.split_once('/') else { return false };
    let of = of.trim().split([' ', '\t', '(', '"']).next().unwrap_or_default();
    match kind.trim() {
        "message" => true,
        "application" => WITH_HEADS.contains(&of),
        _ => false,
    }
}

/// Whether a field of a form names letters for all of them that cannot be looked at. The last of them may not be all
/// there.
pub(super) fn fields_name_letters(text: &str, is_end: bool) -> bool {
    let mut fields = text.split(['&', ';']).peekable();
    std::iter::from_fn(|| fields.next().map(|field| (field, fields.peek().is_none()))).any(
        |(field, is_last)| {
            let Some((name, value)) = field.split_once('=') else { return false };
            if !names_letters(name) {
                return false;
            }
            if is_last && !is_end && value.len() <= LETTERS_BYTES_MAX {
                return false;
            }
            let value = as_it_reads(value).to_ascii_lowercase();
            !LIKE_ASCII.iter().any(|known| value.starts_with(known))
        },
    )
}

/// Whether something is the name of the field that names the letters of all others.
fn names_letters(name: &str) -> bool {
    // Nothing longer reads so.
    let name = name.get(..3 * LETTERS_FIELD.len()).unwrap_or(name);
    as_it_reads(name.trim()).eq_ignore_ascii_case(LETTERS_FIELD)
}

/// Whether the head of a part says that it names the letters of all others.
pub(super) fn is_letters(disposition: &str) -> bool {
    as_it_reads(disposition).replace('\\', "").to_ascii_lowercase().contains(LETTERS_FIELD)
}

fn as_it_reads(field: &str) -> String {
    escapes::of_field(field).map_or_else(|| field.to_owned(), |it| it.text)
}

/// A type without its parameters, in small letters; `None` where it is written so that readers take it for several
/// things: with comments, with spaces, as a list, or not at all.
pub(super) fn essence(kind: &str) -> Option<String> {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token = |it: &str| {
        !it.is_empty()
            && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    essence
        .split_once('/')
        .is_some_and(|(one, two)| is_token(one) && is_token(two))
        .then_some(essence)
}

/// Whether a type names no letters that cannot be looked at.
pub(super) fn has_known_letters(kind: &str) -> bool {
    letters(kind).all(|it| LIKE_ASCII.iter().any(|known| it.starts_with(known)))
}

/// The encodings of letters that a type names. What is written in another way (`charset*`, RFC 2231, which readers put
/// together, decode or pass over) is none that is known.
fn letters(kind: &str) -> impl Iterator<Item = &str> {
    let named = kind.split([';', ',']).filter_map(|part| part.split_once('='));
    let named = named.filter(|(name, _)| name.contains("charset"));
    named.map(|(name, value)| match name.trim() {
        "charset" => value.trim_matches(['"', '\'', ' ', '\t']),
        _ => "charset*",
    })
}

/// The form of what a type says is text.
fn form_of(kind: &str) -> Option<Form> {
    let essence = kind.split([';', ',']).next().unwrap_or_default().trim();
    let is_text = essence.starts_with("text/");
    match essence {
        "text/event-stream" => Some(Form::Events),
        "application/x-www-form-urlencoded" => Some(Form::Fields),
        json if json.ends_with("json") || json.ends_with("json-seq") => Some(Form::Json),
        "application/x-ndjson" | "application/jsonl" | "application/jsonlines" => Some(Form::Json),
        xml if xml.ends_with("xml") && !xml.ends_with("openxml") => Some(Form::Text),
        "application/javascript"
        | "application/x-javascript"
        | "application/yaml"
        | "application/toml"
        | "application/graphql"
        | "application/x-sh" => Some(Form::Text),
        _ if is_text => Some(Form::Text),
        _ => None,
    }
}

/// What a body is that begins so.
pub(super) fn sniff(first: &[u8]) -> Sniffed {
    let first = first.get(..SNIFF_BYTES).unwrap_or(first);
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return Sniffed::Wide;
    }
    if names_own_letters(first) {
        return Sniffed::Wide;
    }
    if first.contains(&0) {
        return Sniffed::Binary;
    }
    match std::str::from_utf8(first) {
        Ok(_) => Sniffed::Text,
        // A letter that is cut off at the end.
        Err(error) if error.error_len().is_none() => Sniffed::Text,
        // Letters of one byte, without the controls that no text has (https://mimesniff.spec.whatwg.org/#binary-data-byte).
        Err(_) if !first.iter().copied().any(is_binary) => Sniffed::Text,
        Err(_) => Sniffed::Binary,
    }
}

/// Whether a document of XML says in its first line that its letters are others (XML 1.0, section 4.3.3).
fn names_own_letters(first: &[u8]) -> bool {
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    let Some(line) = first.strip_prefix(b"<?xml") else { return false };
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let line = line.split_once("?>").map_or(line.as_str(), |(line, _)| line);
    let Some((_, named)) = line.split_once("encoding") else { return false };
    let named = named.trim_start_matches([' ', '\t', '\r', '\n', '=', '"', '\'']);
    !LIKE_ASCII.iter().any(|known| named.starts_with(known))
}

/// Whether a byte is of no text.
pub(super) const fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)
}
