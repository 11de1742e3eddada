//! Heads of messages, looked through: names and values of headers and trailers, and the target of a request.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};

use super::stream::UNCLEAR;
use super::{Blocked, Rules, Tally, escapes, kind};

/// As servers read what stands behind `Basic`: with or without what fills it up.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Takes out of headers what must not pass: values with what stands for it, and names with all that they name.
pub fn in_headers(
    rules: &Rules,
    headers: &mut HeaderMap,
    tally: &mut Tally,
) -> Result<(), Blocked> {
    let mut dropped = Vec::new();
    for name in headers.keys() {
        if in_name(rules, name.as_str(), tally)? {
            dropped.push(name.clone());
        }
    }
    for name in &dropped {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        if let Some(clean) = rules.clean_value(&text, tally)? {
            *value = HeaderValue::from_bytes(clean.as_bytes())
                .unwrap_or_else(|_| HeaderValue::from_static("[redacted]"));
        }
    }
    Ok(())
}

/// Looks through the headers of a request; nothing of them is replaced. Beside what stands in for a secret there may be
/// something else.
pub fn out_headers(rules: &Rules, headers: &HeaderMap, tally: &mut Tally) -> Result<(), Blocked> {
    for name in headers.keys() {
        in_name(rules, &rules.without_stand_ins(name.as_str()), tally)?;
    }
    for value in headers.values() {
        let text = String::from_utf8_lossy(value.as_bytes());
        for text in [Some(text.as_ref().to_owned()), basic(&text)].into_iter().flatten() {
            as_it_reads(rules, &text, tally)?;
        }
    }
    Ok(())
}

/// Whether the name of a header has something in it that may not pass. Names come in small letters, whatever was
/// written: what has none but large ones is looked for as well.
fn in_name(rules: &Rules, name: &str, tally: &mut Tally) -> Result<bool, Blocked> {
    Ok(rules.clean(name, tally)?.is_some()
        || rules.clean(&name.to_ascii_uppercase(), tally)?.is_some())
}

/// Looks through the target of a request, as it is written and as it reads; nothing of it is replaced.
pub fn out_target(rules: &Rules, target: &Uri, tally: &mut Tally) -> Result<(), Blocked> {
    let Some(target) = target.path_and_query() else { return Ok(()) };
    if target.query().is_some_and(|query| kind::fields_name_letters(query, true)) {
        return Err(Blocked { rule: UNCLEAR.to_owned() });
    }
    let parts = target.as_str().split(['/', '?', '&', '=']);
    [target.as_str()].into_iter().chain(parts).try_for_each(|part| as_it_reads(rules, part, tally))
}

/// Looks through a text that goes out as it is written and as it reads: with `%XX` decoded, and `+` too or not. What
/// stands in for a secret is taken out of each, also where it is written with `%XX`.
fn as_it_reads(rules: &Rules, text: &str, tally: &mut Tally) -> Result<(), Blocked> {
    let mut written = text.as_bytes().to_vec();
    for reading in escapes::of_value(text) {
        for at in rules.stand_ins_in(&reading.text) {
            if let Some(place) = written.get_mut(reading.place(&at)) {
                place.fill(b' ');
            }
        }
        rules.clean(&rules.without_stand_ins(&reading.text), tally)?;
    }
    let written = String::from_utf8_lossy(&written);
    rules.clean(&rules.without_stand_ins(&written), tally).map(drop)
}

/// What stands behind `Basic`, decoded; `None` for another scheme, or where it cannot be.
fn basic(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| LENIENT.decode(rest.trim()).ok());
    Some(String::from_utf8_lossy(&decoded??).into_owned())
}
