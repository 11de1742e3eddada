//! Puts a value where its stand-in was, in a request's head.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use zeroize::Zeroizing;

use crate::look::{Place, basic, split_once};
use crate::sentinel::Sentinel;
use crate::value::Secret;

/// Puts a value where its stand-in is; `None` when it is not there.
pub(crate) fn put(
    head: &mut Parts,
    place: &Place,
    (sentinel, value): (&Sentinel, &Secret),
) -> Option<()> {
    match place {
        Place::Header { name, prefix } => {
            let whole = Zeroizing::new(format!("{prefix}{}", sentinel.as_str()));
            let real = Zeroizing::new(format!("{prefix}{}", value.dangerous_reveal()));
            let real = sensitive(&real)?;
            let is = |it: &[u8]| it == whole.as_bytes();
            let found = matching(&mut head.headers, name, &is).map(|it| *it = real.clone());
            (found.count() > 0).then_some(())
        }
        Place::Basic => {
            let stand_in = sentinel.as_str().as_bytes();
            let has = |text: &[u8]| {
                split_once(text, b':').is_some_and(|(user, it)| user == stand_in || it == stand_in)
            };
            let is = |it: &[u8]| basic(it).is_some_and(|text| has(&text));
            let mut found = 0;
            for header in matching(&mut head.headers, &AUTHORIZATION, &is) {
                found += 1;
                let text = basic(header.as_bytes())?;
                let (user, password) = split_once(&text, b':')?;
                let real = value.dangerous_reveal().as_bytes();
                let of = |part: &[u8]| if part == stand_in { real.to_vec() } else { part.to_vec() };
                let joined = Zeroizing::new([of(user), b":".to_vec(), of(password)].concat());
                let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*joined)));
                *header = sensitive(&encoded)?;
            }
            (found > 0).then_some(())
        }
        Place::Query(name) => put_query(head, name, (sentinel, value)),
        Place::Signature => None,
    }
}

fn matching<'a>(
    headers: &'a mut HeaderMap,
    name: &HeaderName,
    is: &'a dyn Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &'a mut HeaderValue> {
    let name = name.clone();
    let all = headers.iter_mut().filter(move |(it, _)| **it == name);
    all.map(|(_, value)| value).filter(move |value| is(value.as_bytes()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn put_query(head: &mut Parts, name: &str, of: (&Sentinel, &Secret)) -> Option<()> {
    let (sentinel, value) = of;
    let query = head.uri.query()?;
    let mut swapped = 0;
    let pairs: Vec<Zeroizing<String>> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, it)) if key == name && is_spelled(it, sentinel.as_str()) => {
                swapped += 1;
                Zeroizing::new(format!("{key}={}", &*percent_encoded(value.dangerous_reveal())))
            }
            Some(_) | None => Zeroizing::new(pair.to_owned()),
        })
        .collect();
    let mut text = Zeroizing::new(head.uri.path().to_owned());
    for (number, pair) in pairs.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(pair);
    }
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    head.uri = http::Uri::from_parts(parts).ok()?;
    (swapped > 0).then_some(())
}

/// Whether a query's value is a text, in any spelling.
fn is_spelled(value: &str, text: &str) -> bool {
    crate::look::percent_decoded(value) == text.as_bytes()
}

fn percent_encoded(text: &str) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
