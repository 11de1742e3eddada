//! The headers of streamable HTTP that repeat what stands in the body, MCP 2026-07-28: which a request needs, and
//! whether those of one agree with it.
//!
//! What is decided is decided by the body. Others look at the headers alone, so both have to say the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::frame::{Kind, Members, Message, string};
use super::revision::Revision;

/// Which revision the request is of.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Its method.
pub const METHOD: &str = "mcp-method";
/// The tool, prompt or resource that it is about.
pub const NAME: &str = "mcp-name";
/// What the header of an argument begins with.
pub const PARAM: &str = "mcp-param-";

/// Most arguments of one tool that are repeated.
const PARAMS_MAX: usize = 64;
/// Largest whole number that every reader of JSON has exactly.
const INTEGER_MAX: i64 = (1 << 53) - 1;
const BEFORE: &str = "=?base64?";
const BEHIND: &str = "?=";

/// A header, by its name in small letters.
pub type Header = (String, String);

/// An argument that a tool's schema wants repeated (`x-mcp-header`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The header, in small letters.
    pub header: String,
    /// Where the argument is: keys from the outside inwards.
    pub path: Vec<String>,
}

/// Headers that do not agree with their body; the answer is an error -32020, with HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Header mismatch: {0}")]
pub struct Mismatch(pub String);

/// The arguments of a tool that are repeated, by its schema; the error is that the tool may not be used.
pub fn repeated(schema: &Value) -> Result<Vec<Repeated>, String> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found)?;
    if found.len() != mentions(schema) {
        return Err("`x-mcp-header` stands where no argument is".to_owned());
    }
    for (number, one) in found.iter().enumerate() {
        if found.iter().skip(number.saturating_add(1)).any(|other| other.header == one.header) {
            return Err(format!("two arguments are repeated as `{}`", one.header));
        }
    }
    Ok(found)
}

/// Goes along `properties` only: nothing else says where an argument is.
fn collect(schema: &Value, path: &mut Vec<String>, into: &mut Vec<Repeated>) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (key, property) in properties {
        path.push(key.clone());
        if let Some(name) = property.get("x-mcp-header") {
            let name = name.as_str().filter(|name| is_token(name));
            let name = name.ok_or_else(|| format!("`x-mcp-header` of `{key}` is no name"))?;
            let kind = property.get("type").and_then(Value::as_str);
            if !matches!(kind, Some("string" | "integer" | "boolean")) {
                return Err(format!("`{key}` is repeated and no text, whole number or boolean"));
            }
            if into.len() >= PARAMS_MAX {
                return Err(format!("more than {PARAMS_MAX} arguments are repeated"));
            }
            let header = format!("{PARAM}{}", name.to_ascii_lowercase());
            into.push(Repeated { header, path: path.clone() });
        }
        collect(property, path, into)?;
        path.pop();
    }
    Ok(())
}

/// How often `x-mcp-header` is said anywhere in a schema, but where it is the name of an argument.
fn mentions(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => {
            let own = usize::from(members.get("x-mcp-header").is_some());
            let below = members.iter().map(|(key, value)| match (key.as_str(), value) {
                (
                    "properties" | "$defs" | "definitions" | "patternProperties",
                    Value::Object(all),
                ) => all.values().map(mentions).fold(0, usize::saturating_add),
                ("const" | "enum" | "default" | "examples" | "x-mcp-header", _) => 0,
                (_, value) => mentions(value),
            });
            below.fold(own, usize::saturating_add)
        }
        Value::Array(all) => all.iter().map(mentions).fold(0, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

/// The headers that a request has by its body. Empty for what is no request of a revision that has them.
pub fn required(message: &Message, repeated: &[Repeated]) -> Vec<Header> {
    let Some((method, params)) = modern(message) else { return Vec::new() };
    let revision = revision(params).unwrap_or_default();
    let mut headers = vec![
        (PROTOCOL_VERSION.to_owned(), encoded(&revision)),
        (METHOD.to_owned(), encoded(method)),
    ];
    if let Some(name) = name_of(method, params) {
        headers.push((NAME.to_owned(), encoded(&name)));
    }
    if method == "tools/call" {
        let arguments = arguments(params);
        for one in repeated {
            if let Some(text) = said(&arguments, &one.path) {
                headers.push((one.header.clone(), encoded(&text)));
            }
        }
    }
    headers
}

/// Whether the headers of a request say what its body says. `headers` has every line there was, by names in small
/// letters: one that stands twice agrees with nothing.
pub fn check(headers: &[Header], message: &Message, repeated: &[Repeated]) -> Result<(), Mismatch> {
    let Some((method, params)) = modern(message) else { return Ok(()) };
    let said = revision(params).unwrap_or_default();
    agrees(headers, PROTOCOL_VERSION, Some(&said), Encoding::Plain)?;
    agrees(headers, METHOD, Some(method), Encoding::Plain)?;
    match name_of(method, params) {
        Some(name) => agrees(headers, NAME, Some(&name), Encoding::Either)?,
        // Nothing is asked of it elsewhere, and what it says could still be looked at.
        None if matches!(method, "tools/call" | "prompts/get" | "resources/read") => {
            agrees(headers, NAME, None, Encoding::Either)?;
        }
        None => {}
    }
    if method == "tools/call" {
        let arguments = arguments(params);
        for one in repeated {
            let said = self::said(&arguments, &one.path);
            agrees(headers, &one.header, said.as_deref(), Encoding::Either)?;
        }
    }
    Ok(())
}

/// Whether the headers say that a request is of a revision without sessions.
pub fn is_modern(headers: &[Header]) -> bool {
    let found = headers.iter().find(|(name, _)| name == PROTOCOL_VERSION);
    let revision = found.and_then(|(_, value)| value.trim().parse::<Revision>().ok());
    revision.is_some_and(|revision| !revision.has_sessions())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Either,
}

fn agrees(
    headers: &[Header],
    name: &str,
    body: Option<&str>,
    encoding: Encoding,
) -> Result<(), Mismatch> {
    let mut all = headers.iter().filter(|(found, _)| found == name);
    let wrong = |what: String| Err(Mismatch(what));
    let value = match (all.next(), all.next()) {
        (Some(_), Some(_)) => return wrong(format!("{name} stands more than once")),
        (Some((_, value)), None) => value,
        (None, _) if body.is_none() => return Ok(()),
        (None, _) => return wrong(format!("{name} is missing")),
    };
    let Some(body) = body else { return wrong(format!("{name} has no place in the body")) };
    let is_sound = value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let read = match encoding {
        _ if !is_sound => None,
        Encoding::Plain => Some(value.trim().to_owned()),
        Encoding::Either => decoded(value.trim()),
    };
    let Some(read) = read else { return wrong(format!("{name} cannot be read")) };
    let same_number = || {
        let number = |text: &str| text.parse::<i64>().ok().or_else(|| whole(text));
        number(&read).is_some_and(|read| number(body) == Some(read))
    };
    if read == body || (name.starts_with(PARAM) && same_number()) {
        return Ok(());
    }
    wrong(format!("{name} is not what the body says"))
}

/// `42.0` is 42.
fn whole(text: &str) -> Option<i64> {
    let (before, behind) = text.split_once('.')?;
    behind.bytes().all(|byte| byte == b'0').then(|| before.parse().ok())?
}

/// The method and the parameters of a request of a revision whose headers repeat the body.
fn modern(message: &Message) -> Option<(&str, &str)> {
    let Kind::Request { method, params: Some(params), .. } = message.kind() else { return None };
    let params = message.part(params);
    revision(params).map(|_| (method.as_str(), params))
}

/// Which revision a request says that it is of.
fn revision(params: &str) -> Option<String> {
    let meta = Members::of(Members::of(params)?.get("_meta")?)?;
    string(meta.get("io.modelcontextprotocol/protocolVersion")?).map(std::borrow::Cow::into_owned)
}

fn name_of(method: &str, params: &str) -> Option<String> {
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        // MCP extension "Tasks", "Streamable HTTP: Routing Headers".
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    string(Members::of(params)?.get(key)?).map(std::borrow::Cow::into_owned)
}

fn arguments(params: &str) -> Value {
    let raw = Members::of(params).and_then(|all| all.get("arguments"));
    raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
}

/// What an argument says as a text; `None` where it is not there, or nothing that is repeated.
fn said(arguments: &Value, path: &[String]) -> Option<String> {
    let mut at = arguments;
    for key in path {
        at = at.get(key)?;
    }
    match at {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| whole(&number.to_string()))?;
            (whole.abs() <= INTEGER_MAX).then(|| whole.to_string())
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// As a header carries it.
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
        && !(text.starts_with(BEFORE) && text.ends_with(BEHIND));
    if is_plain && !text.is_empty() {
        return text.to_owned();
    }
    format!("{BEFORE}{}{BEHIND}", STANDARD.encode(text))
}

/// What a header carries; `None` where that is no text.
fn decoded(value: &str) -> Option<String> {
    let inner = value.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(BEHIND));
    match inner {
        None => Some(value.to_owned()),
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests;
