//! AWS Signature Version 4: what of a request is signed, how, and whether a signature is right.
//!
//! Pure: keys, times and bodies' digests come in as arguments. [`sign`] signs a request of our own;
//! [`claim`] reads what a client signed with a stand-in, and signs it anew; [`chunks`] does the same
//! to bodies that are signed piece by piece.
//! Source: "Signature Version 4 signing process" of the AWS IAM user guide.

pub mod chunks;
pub mod claim;
pub mod key;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::look::percent_decoded;
use key::Key;

/// The one algorithm that is spoken here.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The digest of a body that is not signed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// What ends each scope.
const TERMINATOR: &str = "aws4_request";
/// Longest name of a region or a service.
const NAME_BYTES_MAX: usize = 64;

/// The header that has the moment of the signature.
pub(crate) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// The header that has the token of temporary credentials.
pub(crate) const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// The header that has the digest of the body.
pub(crate) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Why a signature was not made or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not what the stand-in makes of this request.
    #[error("{0}")]
    Forged(&'static str),
    /// It may be right, and is of a kind that is not signed anew.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// The day, region and service that a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
}

/// How a path is spelled where it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathForm {
    /// As it is sent: S3.
    AsSent,
    /// Encoded once more than it is sent.
    Encoded,
    /// The same after `.`, `..` and empty segments were resolved.
    Normalized,
}

/// What of a request is signed.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// In the spelling that is signed.
    pub(crate) path: String,
    /// In the spelling that is signed.
    pub(crate) query: String,
    /// Names in lower case with values, in the order that they are signed in.
    pub(crate) headers: Vec<(String, String)>,
    /// The digest of the body in hex, or a word that stands for it.
    pub(crate) payload: &'a str,
}

/// A key for one scope.
pub(crate) struct SigningKey(Zeroizing<[u8; 32]>);

/// Signs a request of our own: sets its date, token and `authorization`; every header of it is signed.
///
/// `timestamp` is `YYYYMMDDTHHMMSSZ` in UTC; `payload` is [`digest`] of the body.
pub fn sign(
    head: &mut Parts,
    (host, payload): (&str, &str),
    (region, service): (&str, &str),
    (key, timestamp): (&Key, &str),
) -> Result<(), SignatureError> {
    let scope = Scope::new(timestamp, region, service)?;
    head.headers.insert(X_AMZ_DATE, value(timestamp)?);
    if let Some(token) = key.token() {
        head.headers.insert(X_AMZ_SECURITY_TOKEN, sensitive(token)?);
    }
    let mut names: Vec<String> = head.headers.keys().map(|it| it.as_str().to_owned()).collect();
    names.push("host".to_owned());
    names.sort_unstable();
    names.dedup();
    let signed = Signed {
        method: head.method.as_str(),
        path: path(head.uri.path(), PathForm::Encoded),
        query: query(head.uri.query().unwrap_or_default()),
        headers: headers(head, host, &names)?,
        payload,
    };
    let text = string_to_sign(&signed.canonical(), timestamp, &scope);
    let signature = SigningKey::new(key.secret(), &scope).sign(&text);
    let text = authorization(key.id(), &scope, &names.join(";"), &signature);
    head.headers.insert(AUTHORIZATION, sensitive(&text)?);
    Ok(())
}

/// SHA-256 in lower-case hex, as bodies are signed.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The value of an `authorization` header.
pub(crate) fn authorization(id: &str, scope: &Scope, names: &str, signature: &str) -> String {
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// What the signature of a request is over.
pub(crate) fn string_to_sign(canonical: &str, timestamp: &str, scope: &Scope) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", digest(canonical.as_bytes()))
}

impl Signed<'_> {
    /// The request in the one spelling that both sides make of it.
    pub(crate) fn canonical(&self) -> String {
        let Signed { method, path, query, headers, payload } = self;
        let lines: String =
            headers.iter().flat_map(|(name, value)| [name, ":", value, "\n"]).collect();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        format!("{method}\n{path}\n{query}\n{lines}\n{}\n{payload}", names.join(";"))
    }
}

impl Scope {
    /// The scope of a moment `YYYYMMDDTHHMMSSZ`.
    pub fn new(timestamp: &str, region: &str, service: &str) -> Result<Scope, SignatureError> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let date = timestamp
            .split_once('T')
            .filter(|(date, time)| {
                let seconds = time.strip_suffix('Z');
                date.len() == 8
                    && digits(date)
                    && seconds.is_some_and(|it| it.len() == 6 && digits(it))
            })
            .map(|(date, _)| date.to_owned())
            .ok_or(SignatureError::Unsupported("x-amz-date is not written YYYYMMDDTHHMMSSZ"))?;
        let named = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
        };
        if named(region) && named(service) {
            Ok(Scope { date, region: region.to_owned(), service: service.to_owned() })
        } else {
            Err(SignatureError::Unsupported("its scope names no region and service"))
        }
    }

    /// The service: `s3`.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    pub(crate) fn new(secret: &str, scope: &Scope) -> SigningKey {
        let first = Zeroizing::new(format!("AWS4{secret}"));
        let parts = [scope.date.as_str(), &scope.region, &scope.service, TERMINATOR];
        let mut key = Zeroizing::new(first.as_bytes().to_vec());
        let mut made = Zeroizing::new([0; 32]);
        for part in parts {
            *made = mac(&key).chain_update(part).finalize().into_bytes().into();
            key = Zeroizing::new(made.to_vec());
        }
        SigningKey(made)
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        hex(&mac(&*self.0).chain_update(text).finalize().into_bytes())
    }

    /// Whether a signature in hex is that of a text; takes as long whatever differs.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        let claimed = unhex(signature);
        claimed.is_some_and(|it| mac(&*self.0).chain_update(text).verify_slice(&it).is_ok())
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length")
}

/// A path as it is signed.
pub(crate) fn path(sent: &str, form: PathForm) -> String {
    let sent = if sent.is_empty() { "/" } else { sent };
    match form {
        PathForm::AsSent => sent.to_owned(),
        PathForm::Encoded => encoded(sent.as_bytes(), "/"),
        PathForm::Normalized => encoded(normalized(sent).as_bytes(), "/"),
    }
}

/// A path without `.`, `..` and empty segments.
fn normalized(sent: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let end = if sent.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// A query as it is signed: each name and value encoded in one way, sorted.
pub(crate) fn query(sent: &str) -> String {
    let again = |text: &str| encoded(&percent_decoded(text), "");
    let pair = |it: &str| {
        let (name, value) = it.split_once('=').unwrap_or((it, ""));
        (again(name), again(value))
    };
    let mut pairs: Vec<_> = sent.split('&').filter(|it| !it.is_empty()).map(pair).collect();
    pairs.sort_unstable();
    let text: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    text.join("&")
}

/// The named headers as they are signed; each is there.
pub(crate) fn headers(
    head: &Parts,
    host: &str,
    names: &[String],
) -> Result<Vec<(String, String)>, SignatureError> {
    let one = |name: &String| {
        if name == "host" {
            return Ok((name.clone(), host.to_owned()));
        }
        let all = head.headers.get_all(name.as_str()).iter();
        let texts = all.map(|it| std::str::from_utf8(it.as_bytes()).map(folded));
        let texts = texts.collect::<Result<Vec<_>, _>>();
        let texts = texts
            .map_err(|_| SignatureError::Unsupported("a header that it signs is not UTF-8"))?;
        if texts.is_empty() {
            return Err(SignatureError::Forged("it signs a header that is not there"));
        }
        Ok((name.clone(), texts.join(",")))
    };
    names.iter().map(one).collect()
}

/// A header's value without spaces around it, and one for many.
fn folded(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// All but letters, digits, `-._~` and what is in `kept` as `%XX`.
pub(crate) fn encoded(bytes: &[u8], kept: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.as_bytes().contains(byte)
        {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of 64 digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *place = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

fn value(text: &str) -> Result<HeaderValue, SignatureError> {
    HeaderValue::from_str(text)
        .map_err(|_| SignatureError::Unsupported("a header's value is no text"))
}

/// A header's value that is shown by no debug output.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, SignatureError> {
    let mut made = value(text)?;
    made.set_sensitive(true);
    Ok(made)
}

#[cfg(test)]
mod tests;
