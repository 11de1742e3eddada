//! One message of JSON-RPC 2.0, as it came: its bytes, and where in them its parts are.
//!
//! What is passed on is what was read, byte for byte, with single parts replaced. Who reads it next may read JSON
//! in another way than we do, so what can be read in two ways is refused: a key that stands twice, anywhere in it.

mod once;
mod torn;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting of arrays and objects in a message.
pub const DEPTH_MAX: usize = 64;

/// Longest method and longest identifier of a request, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// What a client or a server sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One message.
    One(Message),
    /// Several, in the order of the array; only the revision 2025-03-26 has these.
    Batch(Vec<Message>),
}

/// A message: request, notification or response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    kind: Kind,
}

/// What a message is. Places are ranges of bytes in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Request {
        /// What the answer will be called by.
        id: Id,
        /// Where that stands.
        id_at: Range<usize>,
        /// What is wanted.
        method: String,
        /// Where its parameters are, if it has any.
        params: Option<Range<usize>>,
    },
    /// It wants none.
    Notification {
        /// What is told.
        method: String,
        /// Where its parameters are, if it has any.
        params: Option<Range<usize>>,
    },
    /// It is one.
    Response {
        /// To which request; `None` where whoever answers could not tell.
        id: Option<Id>,
        /// Where that stands.
        id_at: Range<usize>,
        /// What the answer is.
        answer: Answer,
    },
}

/// What a response brings, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Result(Range<usize>),
    /// Why there is none.
    Error(Range<usize>),
}

/// The name of a request, as its sender wrote it: a string or a number, JSON-RPC 2.0 section 4.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// One of our own.
    pub fn number(number: u64) -> Id {
        Id(number.to_string())
    }

    /// The same as it stands in somebody's parameters; `None` where none can be called so.
    pub fn read(raw: &str) -> Option<Id> {
        identifier(raw)
    }

    /// Which one of our own it is.
    pub fn as_number(&self) -> Option<u64> {
        let number: u64 = self.0.parse().ok()?;
        (number.to_string() == self.0).then_some(number)
    }

    /// As it stands in a message.
    pub fn json(&self) -> &str {
        &self.0
    }
}

pub use torn::Torn;

/// What is no message, and what whoever sent it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Malformed {
    /// What is wrong with it.
    pub why: Why,
    /// What it was to be, as far as that can be told.
    pub torn: Torn,
}

/// Why something is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It is no JSON, or none in UTF-8.
    #[error("the message is no JSON: {0}")]
    NotJson(String),
    /// It is longer than anything is read.
    #[error("the message is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// It can be read in two ways, or is nested too deeply.
    #[error("{0}")]
    Ambiguous(String),
    /// It is JSON, and no message of JSON-RPC 2.0.
    #[error("{0}")]
    NotRpc(String),
}

impl Malformed {
    /// The code of the error that answers it, JSON-RPC 2.0 section 5.1.
    pub fn code(&self) -> i64 {
        match self.why {
            Why::NotJson(_) => PARSE_ERROR,
            Why::TooLong { .. } | Why::Ambiguous(_) | Why::NotRpc(_) => INVALID_REQUEST,
        }
    }

    /// The answer to whoever sent it.
    pub fn answer(&self) -> String {
        error_answer(self.torn.request(), self.code(), &self.to_string())
    }

    /// Something of which only the beginning was kept, for it is longer than `bytes_max`.
    pub fn too_long(head: &[u8], bytes_max: usize) -> Malformed {
        Malformed { why: Why::TooLong { bytes_max }, torn: Torn::of(head) }
    }
}

/// Something that is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// Something that is no request.
pub const INVALID_REQUEST: i64 = -32600;
/// A method that nobody has here.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that the method does not take.
pub const INVALID_PARAMS: i64 = -32602;
/// Something went wrong on this side.
pub const INTERNAL_ERROR: i64 = -32603;

/// An answer that says why there is none.
pub fn error_answer(id: Option<&Id>, code: i64, message: &str) -> String {
    let id = id.map_or("null", Id::json);
    let message = quoted(message);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#)
}

/// An answer with this result, which is JSON.
pub fn result_answer(id: &Id, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.json())
}

/// A text as a string of JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The headers of a request are not what its body says, MCP 2026-07-28 "Streamable HTTP".
pub const HEADER_MISMATCH: i64 = -32020;
/// A request needs something that its client has not said it can do.
pub const MISSING_CAPABILITY: i64 = -32021;
/// A request of a revision that is not spoken.
pub const UNSUPPORTED_REVISION: i64 = -32022;

impl Frame {
    /// How long its messages are together, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Frame::One(message) => message.text().len(),
            Frame::Batch(all) => all.iter().map(|message| message.text().len()).sum(),
        }
    }

    /// Reads what was sent at once; `bytes` has no end of line.
    pub fn parse(bytes: Vec<u8>) -> Result<Frame, Malformed> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let why = format!("no UTF-8 after {} bytes", error.utf8_error().valid_up_to());
            Malformed { why: Why::NotJson(why), torn: Torn::of(error.as_bytes()) }
        })?;
        let wrong = |why| Malformed { why, torn: Torn::of(text.as_bytes()) };
        once::check(&text).map_err(wrong)?;
        if !text.trim_ascii_start().starts_with('[') {
            let kind = kind(&text).map_err(wrong)?;
            return Ok(Frame::One(Message { text, kind }));
        }
        Frame::batch(&text).map_err(wrong)
    }

    fn batch(text: &str) -> Result<Frame, Why> {
        let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
        if parts.is_empty() {
            return Err(not_rpc("a batch of no message"));
        }
        let messages = parts.into_iter().map(|part| Message::of(part.get().to_owned()));
        messages.collect::<Result<_, _>>().map(Frame::Batch)
    }
}

impl Message {
    /// Reads one message that has been checked.
    fn of(text: String) -> Result<Message, Why> {
        let kind = kind(&text)?;
        Ok(Message { text, kind })
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A part of it.
    pub fn part(&self, at: &Range<usize>) -> &str {
        self.text.get(at.clone()).unwrap_or_default()
    }

    /// The same with some parts replaced by other JSON; `parts` do not overlap.
    pub fn with(&self, mut parts: Vec<(Range<usize>, &str)>) -> String {
        parts.sort_by_key(|(at, _)| at.start);
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (at, new) in parts {
            text.push_str(self.text.get(done..at.start).unwrap_or_default());
            text.push_str(new);
            done = at.end;
        }
        text.push_str(self.text.get(done..).unwrap_or_default());
        text
    }
}

fn kind(text: &str) -> Result<Kind, Why> {
    let members = Members::of(text).ok_or_else(|| not_rpc("a message is an object"))?;
    let found = members.get("id");
    let id = found.and_then(identifier);
    if let Some(odd) = misspelt(&members, &MEMBERS) {
        return Err(not_rpc(&odd));
    }
    let params = members.get("params").and_then(Members::of);
    if let Some(odd) = params.and_then(|params| misspelt(&params, &PARAMS)) {
        return Err(Why::NotRpc(odd));
    }
    let wrong = not_rpc;
    if members.get("jsonrpc").and_then(string).as_deref() != Some("2.0") {
        return Err(wrong("`jsonrpc` is not \"2.0\""));
    }
    let at = |name: &str| members.at(name);
    let method = match members.get("method") {
        None => None,
        Some(raw) => {
            let name = string(raw).filter(|name| name.len() <= NAME_BYTES_MAX);
            Some(name.ok_or_else(|| wrong("`method` is no short text"))?.into_owned())
        }
    };
    let id_at = at("id");
    match (method, at("result"), at("error")) {
        (Some(method), None, None) => {
            let params = at("params");
            if members.get("params").is_some_and(|raw| !raw.starts_with(['{', '['])) {
                return Err(wrong("`params` is no object"));
            }
            match (id_at, id.clone()) {
                (None, _) => Ok(Kind::Notification { method, params }),
                (Some(id_at), Some(id)) => Ok(Kind::Request { id, id_at, method, params }),
                (Some(_), None) => Err(wrong("`id` is neither a short text nor a number")),
            }
        }
        (None, Some(result), None) => response(id_at, id, Answer::Result(result), found),
        (None, None, Some(error)) => response(id_at, id, Answer::Error(error), found),
        (None, None, None) => Err(wrong("neither a request nor an answer")),
        _ => Err(wrong("more than one of `method`, `result` and `error`")),
    }
}

/// The members of a message, and those of parameters that are decided about.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS: [&str; 13] = [
    "name",
    "arguments",
    "uri",
    "ref",
    "argument",
    "requestId",
    "cursor",
    "_meta",
    "inputResponses",
    "requestState",
    "notifications",
    "taskId",
    "progressToken",
];

/// A member that is one of these to readers who do not look at case, as Go's: two readers would have two messages.
fn misspelt(members: &Members<'_>, known: &[&str]) -> Option<String> {
    // `ſ` and the Kelvin sign are letters of ASCII in capitals or small.
    let folded = |name: &str| name.to_uppercase().to_lowercase();
    let is_odd = |name: &&str| {
        !known.contains(name) && known.iter().any(|known| folded(known) == folded(name))
    };
    let odd = members.iter().map(|(name, _)| name).find(is_odd)?;
    Some(format!("`{odd}` differs from a member of MCP in nothing but its case"))
}

/// An answer; only an error may be to nobody knows what.
fn response(
    id_at: Option<Range<usize>>,
    id: Option<Id>,
    answer: Answer,
    found: Option<&str>,
) -> Result<Kind, Why> {
    let to_nothing = found == Some("null") && matches!(answer, Answer::Error(_));
    match id_at {
        Some(id_at) if id.is_some() || to_nothing => Ok(Kind::Response { id, id_at, answer }),
        Some(_) | None => Err(not_rpc("an answer that does not say to what")),
    }
}

fn identifier(raw: &str) -> Option<Id> {
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let fits = raw.len() <= NAME_BYTES_MAX && (is_number || raw.starts_with('"'));
    fits.then(|| Id(raw.to_owned()))
}

fn not_rpc(reason: &str) -> Why {
    Why::NotRpc(reason.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over results")]
fn not_json(error: serde_json::Error) -> Why {
    Why::NotJson(error.to_string())
}

/// The members of an object, in their order, as they stand there.
#[derive(Debug)]
pub struct Members<'a> {
    text: &'a str,
    all: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Members<'a> {
    /// Those of an object; `None` for anything else.
    pub fn of(text: &'a str) -> Option<Members<'a>> {
        struct Whole;
        impl<'a> Visitor<'a> for Whole {
            type Value = Vec<(Cow<'a, str>, &'a str)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'a>, &'a RawValue>()? {
                    all.push((name, value.get()));
                }
                Ok(all)
            }
        }
        let mut read = serde_json::Deserializer::from_str(text);
        let all = (&mut read).deserialize_map(Whole).ok()?;
        read.end().ok()?;
        Some(Members { text, all })
    }

    /// A member's value.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.all.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }

    /// Where a member's value is, in bytes from the start of the object.
    pub fn at(&self, name: &str) -> Option<Range<usize>> {
        let value = self.get(name)?;
        let start = (value.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        Some(start..start.checked_add(value.len())?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.all.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

/// A key, borrowed where nothing in it is escaped.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Key<'a>, D::Error> {
        struct Text;
        impl<'a> Visitor<'a> for Text {
            type Value = Key<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

/// What a string of JSON says; `None` for anything else.
pub fn string(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Key<'_>>(raw).ok().map(|key| key.0)
}

#[cfg(test)]
mod tests;
