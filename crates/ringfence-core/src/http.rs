//! One HTTP request as the policy sees it, in the one form that has one meaning.
//!
//! What servers are known to read in different ways is refused (`..`, a path that is encoded
//! twice, methods in small letters); what has two honest readings is decided in both.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Endpoint, Found, Package};

/// Longest path of a request, in bytes.
pub const URL_PATH_BYTES_MAX: usize = 8 * 1024;
/// Longest query of a request, in bytes.
pub const QUERY_BYTES_MAX: usize = 32 * 1024;
/// Most bytes of all header names of a request together.
pub const HEADER_NAMES_BYTES_MAX: usize = 8 * 1024;
/// Longest method, in bytes; the longest that is registered has 16.
const METHOD_BYTES_MAX: usize = 32;
/// Longest name of a query's field that is written to the log, in bytes.
const LOGGED_NAME_BYTES_MAX: usize = 40;
/// Most names of a query's fields that are written to the log.
const LOGGED_NAMES_MAX: usize = 64;
/// Stands in the log for names that may be values: a query is not always `name=value`.
const UNSAID: &str = "...";

/// Headers by which some servers take another method or path than the one they are asked for.
const OVERRIDES: [&str; 5] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// How a request is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Readable on its way.
    Http,
    /// Within TLS.
    Https,
}

/// A path in canonical form: what is percent-encoded without need is decoded, `%2F`, `%3B`, `%3F`,
/// `%23` and `%25` stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPath(String);

/// The part of an address behind the `?`, as it was written; never shown and never in the log, for it
/// may hold what is secret.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Query(String);

/// What a client asks for, before it is checked.
#[derive(Debug, Clone, Copy)]
pub struct HttpParts<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query, as in the request's first line.
    pub target: &'a str,
    /// The names of its headers.
    pub headers: &'a [&'a str],
    /// How many bytes its body has; `None` where it does not say.
    pub size: Option<u64>,
}

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Where to.
    pub endpoint: Endpoint,
    /// How.
    pub scheme: Scheme,
    /// The method, in capital letters.
    pub method: String,
    /// The path.
    pub path: UrlPath,
    /// The names of the query's fields, as far as they cannot be values.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub query_names: BTreeSet<String>,
    /// The query; empty where the request was read from a log.
    #[serde(skip)]
    pub query: Query,
    /// The names of its headers, in small letters.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub headers: BTreeSet<String>,
    /// How many bytes its body has; `None` where that is not said beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What detectors say about it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub findings: BTreeSet<String>,
    /// The release that it fetches, where it goes to a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not a word in capital letters.
    #[error("`{0}` is not a method in capital letters")]
    Method(String),
    /// The path does not start at the root.
    #[error("the path `{0}` does not begin with `/`")]
    NotAbsolute(String),
    /// Longer than [`URL_PATH_BYTES_MAX`].
    #[error("the path has {0} bytes, more than {URL_PATH_BYTES_MAX}")]
    PathTooLong(usize),
    /// Longer than [`QUERY_BYTES_MAX`].
    #[error("the query has {0} bytes, more than {QUERY_BYTES_MAX}")]
    QueryTooLong(usize),
    /// More than [`HEADER_NAMES_BYTES_MAX`].
    #[error("the names of the headers have {0} bytes, more than {HEADER_NAMES_BYTES_MAX}")]
    HeadersTooLong(usize),
    /// Servers read it in different ways.
    #[error("the path has {0}, which servers read in different ways")]
    Ambiguous(&'static str),
    /// It says that another method or path is meant.
    #[error("the header `{0}` asks some servers for something else than the request says")]
    Override(String),
}

impl HttpRequest {
    /// Makes a request canonical.
    pub fn new(
        endpoint: Endpoint,
        scheme: Scheme,
        parts: HttpParts<'_>,
    ) -> Result<HttpRequest, HttpError> {
        let (path, query) = parts.target.split_once('?').unwrap_or((parts.target, ""));
        if query.len() > QUERY_BYTES_MAX {
            return Err(HttpError::QueryTooLong(query.len()));
        }
        let query = Query(query.to_owned());
        let method = parts.method;
        let in_method =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=METHOD_BYTES_MAX).contains(&method.len()) || !method.bytes().all(in_method) {
            return Err(HttpError::Method(method.chars().take(METHOD_BYTES_MAX).collect()));
        }
        let bytes = parts.headers.iter().map(|name| name.len()).sum();
        if bytes > HEADER_NAMES_BYTES_MAX {
            return Err(HttpError::HeadersTooLong(bytes));
        }
        let headers: BTreeSet<String> =
            parts.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        if let Some(name) = OVERRIDES.iter().find(|name| headers.contains(**name)) {
            return Err(HttpError::Override((*name).to_owned()));
        }
        Ok(HttpRequest {
            endpoint,
            scheme,
            method: method.to_owned(),
            path: UrlPath::parse(path)?,
            query_names: query.loggable(),
            query,
            headers,
            size: parts.size,
            findings: BTreeSet::new(),
            package: None,
        })
    }

    /// A request of which no more is known.
    pub fn at(endpoint: Endpoint, method: String, path: UrlPath) -> HttpRequest {
        HttpRequest {
            endpoint,
            scheme: Scheme::Https,
            method,
            path,
            query_names: BTreeSet::new(),
            query: Query::default(),
            headers: BTreeSet::new(),
            size: None,
            findings: BTreeSet::new(),
            package: None,
        }
    }

    /// The same request as a server reads it that decodes a path before it takes it apart, joins
    /// slashes, passes over `.` and drops what follows a `;`. `None` where that is no other reading.
    pub fn other_reading(&self) -> Option<HttpRequest> {
        let path = self.path.loose()?;
        Some(HttpRequest { path, ..self.clone() })
    }

    /// The address without its query: `https://api.example.com/repos`.
    pub fn url(&self) -> String {
        let (scheme, port) = match self.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        if self.endpoint.port == port {
            format!("{scheme}://{}{}", self.endpoint.host, self.path)
        } else {
            format!("{scheme}://{}{}", self.endpoint, self.path)
        }
    }
}

impl UrlPath {
    /// Parses a path as it is written in a request's first line.
    pub fn parse(text: &str) -> Result<UrlPath, HttpError> {
        if text.len() > URL_PATH_BYTES_MAX {
            return Err(HttpError::PathTooLong(text.len()));
        }
        if !text.starts_with('/') {
            return Err(HttpError::NotAbsolute(text.to_owned()));
        }
        let path = UrlPath(decoded(text)?);
        let loose = path.loose();
        if goes_up(&path.0) || loose.is_some_and(|loose| goes_up(&loose.0)) {
            return Err(HttpError::Ambiguous("the segment `..`"));
        }
        Ok(path)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without what can be read in two ways; `None` where nothing can.
    pub fn loose(&self) -> Option<UrlPath> {
        let odd = ["//", "/./"].iter().any(|it| self.0.contains(it)) || self.0.ends_with("/.");
        if !odd && !self.0.contains(['%', ';']) {
            return None;
        }
        let text = [("%2F", "/"), ("%3B", ";"), ("%3F", "?"), ("%23", "#"), ("%25", "%")]
            .into_iter()
            .fold(self.0.clone(), |text, (from, to)| text.replace(from, to));
        let bare = |segment: &'_ str| segment.split(';').next().unwrap_or_default().to_owned();
        let segments: Vec<String> = text.split('/').map(bare).collect();
        // A directory, whether it says so by nothing after its slash or by itself.
        let directory = segments.last().is_none_or(|last| last.is_empty() || last == ".");
        let named = segments.iter().filter(|segment| !segment.is_empty() && *segment != ".");
        let mut joined = named.fold(String::new(), |joined, segment| joined + "/" + segment);
        if directory || joined.is_empty() {
            joined.push('/');
        }
        (joined != self.0).then_some(UrlPath(joined))
    }
}

/// Whether a segment means the directory above, to some server.
fn goes_up(path: &str) -> bool {
    path.split('/').any(|segment| segment.split(';').next() == Some(".."))
}

/// Decodes what need not be encoded (RFC 3986, section 6.2.2.2).
fn decoded(text: &str) -> Result<String, HttpError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (byte, tail) =
                    escape(rest).ok_or(HttpError::Ambiguous("a `%` that encodes nothing"))?;
                rest = tail;
                push_encoded(byte, rest, &mut out)?;
            }
            b'\\' => return Err(HttpError::Ambiguous("a backslash")),
            b'?' | b'#' => return Err(HttpError::Ambiguous("a `?` or `#`")),
            byte if byte.is_ascii_control() => {
                return Err(HttpError::Ambiguous("a control character"));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| HttpError::Ambiguous("bytes that are no UTF-8"))
}

fn push_encoded(byte: u8, rest: &[u8], out: &mut Vec<u8>) -> Result<(), HttpError> {
    match byte {
        b'\\' => return Err(HttpError::Ambiguous("a backslash")),
        b'%' if escape(rest).is_some_and(|(inner, _)| separates(inner)) => {
            return Err(HttpError::Ambiguous("a separator that is encoded twice"));
        }
        b'/' | b';' | b'?' | b'#' | b'%' => out.extend(format!("%{byte:02X}").into_bytes()),
        byte if byte.is_ascii_control() => {
            return Err(HttpError::Ambiguous("a control character"));
        }
        byte => out.push(byte),
    }
    Ok(())
}

/// What would take a path apart, were it decoded once more.
fn separates(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'.' | b'%' | b';' | b'?' | b'#') || byte.is_ascii_control()
}

/// The byte that two hexadecimal digits stand for, and what follows them.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_at_checked(2)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((u8::from_str_radix(digits, 16).ok().filter(|_| plain)?, rest))
}

impl Query {
    /// Every field as `name=value`, decoded; one without a value as it is.
    pub fn fields(&self) -> BTreeSet<String> {
        self.split().map(decoded_field).collect()
    }

    /// The name of every field, decoded.
    pub fn names(&self) -> BTreeSet<String> {
        self.split().map(|field| decoded_field(name_of(field).unwrap_or(field))).collect()
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> impl Iterator<Item = &str> {
        self.0.split('&').filter(|field| !field.is_empty())
    }

    /// The names that are nothing but names: a field without `=` is a value.
    fn loggable(&self) -> BTreeSet<String> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]$".contains(&byte);
        let name = |field| {
            let name = name_of(field)?;
            let short = (1..=LOGGED_NAME_BYTES_MAX).contains(&name.len());
            (short && name.bytes().all(word)).then(|| name.to_owned())
        };
        let names = self.split().take(LOGGED_NAMES_MAX);
        names.map(|field| name(field).unwrap_or_else(|| UNSAID.to_owned())).collect()
    }
}

fn name_of(field: &str) -> Option<&str> {
    field.split_once('=').map(|(name, _)| name)
}

/// A field of a query as forms are encoded; what is no encoding stays as it is.
fn decoded_field(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, escape(tail)) {
            (b'%', Some((byte, tail))) => {
                out.push(byte);
                rest = tail;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Without the text.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({} bytes)", self.0.len())
    }
}

impl Scheme {
    /// As in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl FromStr for Scheme {
    type Err = String;
    fn from_str(text: &str) -> Result<Scheme, String> {
        match text {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            _ => Err(text.to_owned()),
        }
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for UrlPath {
    type Error = HttpError;
    fn try_from(text: String) -> Result<UrlPath, HttpError> {
        UrlPath::parse(&text)
    }
}

impl From<UrlPath> for String {
    fn from(path: UrlPath) -> String {
        path.0
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpUsage {
    /// The status of the server's answer; `None` where there was none.
    pub status: Option<u16>,
    /// The status that the client was answered with in place of the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_sent: u64,
    /// Bytes of the answer's body.
    pub bytes_received: u64,
    /// From the decision to the end of the answer.
    pub duration_ms: u64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Versions that were taken out of a registry's list because their files are denied; the first of
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_back: Vec<String>,
    /// What it or its answer had in it, by rule, where a rule has it looked through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Why its answer was not looked through although a rule has it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlooked: Option<String>,
}
