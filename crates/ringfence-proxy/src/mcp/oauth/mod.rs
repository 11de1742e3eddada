//! Logins at servers behind addresses: OAuth 2.1 as MCP 2025-11-25 and 2026-07-28 have it ("Authorization").
//!
//! What a server says of where its tokens are had (RFC 9728), what is said there (RFC 8414), and a code that is brought
//! back (RFC 6749, 7636, 8707, 9207) are checked here, without I/O; [`web`] asks for them by the rules of the net gate.
//!
//! Our own and small: what the crate `oauth2` would add is the shape of two forms, with another client of HTTP and
//! another type of addresses behind it.

pub mod challenge;
pub mod flow;
pub mod metadata;
pub mod web;

use serde_json::Value;

/// Most bytes of a document that is read.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Longest text that is taken from one, in bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// How much of what is said is told, in letters.
const TOLD_LETTERS_MAX: usize = 400;

/// Why there is no login; for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// What was said cannot be used, or must not be.
    #[error("{0}")]
    Refused(String),
    /// Something could not be reached.
    #[error("{0}")]
    Unreachable(String),
}

/// What is said here quotes what others say: it is one line.
fn refused(why: impl AsRef<str>) -> OauthError {
    OauthError::Refused(told(why.as_ref()))
}

/// A text of a document; nothing where it is none, or too long.
fn text<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    document.get(name)?.as_str().filter(|text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX)
}

/// What somebody else says, for a person: in one line, and cut.
pub(super) fn told(text: &str) -> String {
    // Ends of lines beyond those that are controls: UAX 14.
    let is_odd = |it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}');
    let one = |it: char| {
        let escaped = is_odd(it).then(|| it.escape_default());
        let plain = (!is_odd(it)).then_some(it);
        escaped.into_iter().flatten().chain(plain)
    };
    text.chars().take(TOLD_LETTERS_MAX).flat_map(one).collect()
}

/// A list of texts; empty where there is none.
fn texts<'a>(document: &'a Value, name: &str) -> Vec<&'a str> {
    let all = document.get(name).and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A text as part of a form or a query (WHATWG URL, `application/x-www-form-urlencoded`).
pub fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", escaped(name), escaped(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or('0');
            out.push(digit(byte >> 4).to_ascii_uppercase());
            out.push(digit(byte & 15).to_ascii_uppercase());
        }
    }
    out
}

/// What a query says, in its order; nothing where it cannot be read in one way.
fn query(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescaped(name)?, unescaped(value)?))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
