//! Heads of messages, looked through: values of headers and trailers, and the target of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};

use super::{Blocked, Rules, Tally};

/// Takes out of the values of headers what must not pass.
pub fn in_headers(
    rules: &Rules,
    headers: &mut HeaderMap,
    tally: &mut Tally,
) -> Result<(), Blocked> {
    for value in headers.values_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        if let Some(clean) = rules.clean(&text, tally)? {
            *value = HeaderValue::from_bytes(clean.as_bytes())
                .unwrap_or_else(|_| HeaderValue::from_static("[redacted]"));
        }
    }
    Ok(())
}

/// Looks through the headers of a request; nothing of them is replaced. One with what stands in for a secret has
/// nothing else in it, or the request goes no further.
pub fn out_headers(rules: &Rules, headers: &HeaderMap, tally: &mut Tally) -> Result<(), Blocked> {
    for value in headers.values() {
        let text = String::from_utf8_lossy(value.as_bytes());
        if !rules.has_stand_in(&text) && !basic(&text).is_some_and(|it| rules.has_stand_in(&it)) {
            rules.clean(&text, tally)?;
        }
    }
    Ok(())
}

/// Looks through the target of a request, as it is written and as it reads; nothing of it is replaced.
pub fn out_target(rules: &Rules, target: &Uri, tally: &mut Tally) -> Result<(), Blocked> {
    let Some(target) = target.path_and_query() else { return Ok(()) };
    let decoded = percent_decoded(target.as_str());
    for text in [target.as_str(), &decoded] {
        if !rules.has_stand_in(&decoded) {
            rules.clean(text, tally)?;
        }
    }
    for part in target.as_str().split(['/', '?', '&', '=']) {
        let decoded = percent_decoded(part);
        if !rules.has_stand_in(&decoded) {
            rules.clean(&decoded, tally)?;
        }
    }
    Ok(())
}

/// What stands behind `Basic`, decoded; `None` for another scheme, or where it cannot be.
fn basic(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok());
    Some(String::from_utf8_lossy(&decoded??).into_owned())
}

/// A text with `%XX` decoded; what is no such sequence stays.
fn percent_decoded(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digits = if *first == b'%' { after.get(..2) } else { None };
        let digits = digits.filter(|it| it.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|it| std::str::from_utf8(it).ok());
        let decoded = value.and_then(|it| u8::from_str_radix(it, 16).ok());
        out.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}
