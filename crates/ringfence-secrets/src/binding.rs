//! What a secret is bound to: the hosts, methods and paths it may be shown to, and the places in a
//! request where it may stand.

mod address;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, Method};
use ringfence_core::{Endpoint, EndpointError, Host, SecretName};
use serde::{Deserialize, Serialize};

pub use crate::variable::VariableName;

use crate::sentinel::Shape;
use crate::sigv4::key::Key;
use crate::value::{Secret, ValueError};

/// The port of a host that is named without one.
const PORT_DEFAULT: u16 = 443;
/// Most hosts, methods, paths or slots of one secret.
const LIST_MAX: usize = 32;
/// Longest path pattern and longest prefix of a header's value, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// What a secret is bound to, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The secret's name.
    pub name: SecretName,
    /// Where requests with it may go.
    #[serde(rename = "for")]
    pub hosts: Vec<HostRule>,
    /// Their methods; none named: every one but `TRACE` and `CONNECT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodName>,
    /// Their paths; none named: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPattern>,
    /// Where in a request it may stand.
    pub slots: Vec<Slot>,
    /// Where a world's programs find the stand-in.
    #[serde(default)]
    pub deliver: Vec<Delivery>,
    /// What the stand-in looks like.
    pub shape: Shape,
    /// Where the value is kept.
    pub backend: String,
    /// For how long a value is used before it is asked for anew, in seconds, and for how long it is
    /// lent; for the session where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// A host that a secret may be shown to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostRule {
    /// This one, on this port.
    Exactly(Endpoint),
    /// Every host beneath a domain, on this port; written `*.DOMAIN`.
    Beneath(Endpoint),
}

/// A method, in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodName(String);

/// A path and everything beneath it; with `*`, which stands for any characters, exactly what it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

/// A place in a request where a secret may stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// All of a header's value, behind a fixed beginning such as `Bearer `.
    Header(HeaderSlot),
    /// All of a query parameter's value.
    Query(String),
    /// The user name or the password of basic authentication.
    Basic,
    /// Nowhere: what signs requests to AWS, which are signed anew.
    Aws,
}

/// A header, and what stands in it before the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderSlot {
    /// The header, in lower case.
    pub name: HeaderName,
    /// What stands before the secret, with its space: `Bearer `; mostly nothing.
    pub prefix: String,
}

/// Where a world's programs find a stand-in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// In an environment variable.
    Env(VariableName),
    /// In a file, which holds nothing else.
    File(ringfence_core::AbsolutePath),
}

/// Why a binding was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The host is none.
    #[error(transparent)]
    Host(#[from] EndpointError),
    /// An address, of which the host is meant.
    #[error("`{given}` is a whole address: name its host alone, `{host}`{path}")]
    Address {
        /// What was written.
        given: String,
        /// What of it is the host.
        host: String,
        /// What can be said of its path.
        path: String,
    },
    /// The domain holds hosts of everybody.
    #[error("`{0}` is too wide: name at least two labels, as in `*.example.com`")]
    Wide(String),
    /// Not a method a secret can be used with.
    #[error("`{0}` is no method that a secret can be used with")]
    Method(String),
    /// Not a path.
    #[error("`{0}` is no path: it starts with `/` and has neither `?`, `#`, `..` nor spaces")]
    Path(String),
    /// Not a header's name, or one that a secret cannot stand in.
    #[error("`{0}` is no header that a secret can stand in")]
    Header(String),
    /// Not a query parameter's name.
    #[error("`{0}` is no name of a query parameter")]
    Query(String),
    /// Not a variable's name, or one that changes how programs are started.
    #[error("`{0}` is no environment variable that a stand-in can be put into")]
    Variable(String),
    /// Not a place that values are had from.
    #[error(
        "`{0}` is no place that values are had from: name `age`, `env:VARIABLE`, \
         `vault:MOUNT/PATH#FIELD`, `vault-lease:PATH#FIELD`, `vault-token:POLICY`, \
         `aws-sm:NAME#KEY` or `keyring:SERVICE/ACCOUNT`"
    )]
    Backend(String),
    /// What signs and what is shown, in one.
    #[error("a key of AWS signs requests, and stands nowhere in them: leave the place out")]
    Signs,
    /// Something is missing, or there is too much of it.
    #[error("a secret needs at least one {0} and at most {LIST_MAX}")]
    Count(&'static str),
}

/// Headers that frame a message or speak of a connection: nothing is ever put into them.
const NO_SLOT: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "content-type",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-authorization",
    "accept-encoding",
];

impl Binding {
    /// Checks what no single part can: that nothing is missing and nothing is too long.
    pub fn check(&self) -> Result<(), BindingError> {
        let within = |count: usize, least: usize| (least..=LIST_MAX).contains(&count);
        let lists = [
            ("host", self.hosts.len(), 1),
            ("method", self.methods.len(), 0),
            ("path", self.paths.len(), 0),
            ("place in the request", self.slots.len(), 1),
            ("place in the world", self.deliver.len(), 0),
        ];
        match lists.into_iter().find(|(_, count, least)| !within(*count, *least)) {
            Some((what, _, _)) => Err(BindingError::Count(what)),
            None if self.signs() && self.slots.len() > 1 => Err(BindingError::Signs),
            None => Ok(()),
        }
    }

    /// Whether its value is a key that signs requests to AWS.
    pub fn signs(&self) -> bool {
        self.slots.contains(&Slot::Aws)
    }

    /// Takes a value as it is had, in whichever form this secret's values have.
    pub fn value(&self, text: &str) -> Result<Secret, ValueError> {
        if self.signs() {
            return Secret::new(self.name.clone(), &Key::parse(text)?.dangerous_text());
        }
        Secret::new(self.name.clone(), text)
    }

    /// What stand-ins for a value look like.
    pub fn shape_of(&self, value: &Secret) -> Shape {
        let text = value.dangerous_reveal();
        let id = text.split(':').next().unwrap_or_default();
        Shape::of(if self.signs() { id } else { text })
    }

    /// For how long a value is used.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// Whether requests to this endpoint may carry the secret at all.
    pub fn is_for(&self, endpoint: &Endpoint) -> bool {
        self.hosts.iter().any(|rule| rule.holds(endpoint))
    }

    /// Why a request may not carry the secret, whatever the policy says; `None` when it may.
    pub fn refuses(&self, endpoint: &Endpoint, method: &str, path: &str) -> Option<String> {
        let Ok(method) = method.parse::<Method>() else {
            return Some(format!("`{method}` is no method"));
        };
        if self.is_for(endpoint) {
            self.objects_to(&method, path)
        } else {
            Some(format!("it is not bound to {endpoint}"))
        }
    }

    /// Why a request to a host of this binding may not carry the secret; `None` when it may.
    pub(crate) fn objects_to(&self, method: &Method, path: &str) -> Option<String> {
        // A server that answers TRACE sends back what it was sent (RFC 9110, section 9.3.8).
        if *method == Method::TRACE || *method == Method::CONNECT {
            return Some(format!("{method} never carries a secret"));
        }
        let named = |it: &MethodName| it.0 == method.as_str();
        if !self.methods.is_empty() && !self.methods.iter().any(named) {
            return Some(format!("it is not bound to the method {method}"));
        }
        if self.paths.is_empty() {
            return None;
        }
        if is_ambiguous(path) {
            return Some("the path can be read in more than one way".to_owned());
        }
        if self.paths.iter().any(|pattern| pattern.holds(path)) {
            return None;
        }
        Some("it is not bound to this path".to_owned())
    }
}

/// Whether servers may take a path for another one: dot segments, encoded or not, double slashes,
/// backslashes, encoded slashes.
fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let odd = ["//", "\\", "%2f", "%5c", "%2e", "%00", "%25", ";"];
    odd.iter().any(|part| lower.contains(part))
        || lower.split('/').any(|segment| segment == "." || segment == "..")
}

impl HostRule {
    fn holds(&self, endpoint: &Endpoint) -> bool {
        match self {
            HostRule::Exactly(named) => named == endpoint,
            HostRule::Beneath(domain) => match (&domain.host, &endpoint.host) {
                (Host::Name(domain_name), Host::Name(name)) => {
                    domain.port == endpoint.port
                        && name
                            .strip_suffix(domain_name.as_str())
                            .is_some_and(|rest| rest.ends_with('.'))
                }
                (Host::Name(_) | Host::Address(_), _) => false,
            },
        }
    }

    /// The host and port, that of the domain where it is one.
    pub fn endpoint(&self) -> &Endpoint {
        match self {
            HostRule::Exactly(endpoint) | HostRule::Beneath(endpoint) => endpoint,
        }
    }
}

impl FromStr for HostRule {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<HostRule, BindingError> {
        if text.contains("://") || text.contains('/') {
            return Err(address::instead_of(text));
        }
        if let Some(domain) = text.strip_prefix("*.") {
            let endpoint = endpoint(domain)?;
            return match &endpoint.host {
                Host::Name(name) if name.contains('.') => Ok(HostRule::Beneath(endpoint)),
                Host::Name(_) | Host::Address(_) => Err(BindingError::Wide(text.to_owned())),
            };
        }
        Ok(HostRule::Exactly(endpoint(text)?))
    }
}

/// `HOST` or `HOST:PORT`.
fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    let after_host = text.rsplit(']').next().unwrap_or(text);
    if after_host.contains(':') { text.parse() } else { Endpoint::new(text, PORT_DEFAULT) }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostRule::Exactly(endpoint) => write!(f, "{endpoint}"),
            HostRule::Beneath(endpoint) => write!(f, "*.{endpoint}"),
        }
    }
}

impl FromStr for MethodName {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<MethodName, BindingError> {
        let capitals = text.to_ascii_uppercase();
        let plain = !capitals.is_empty()
            && capitals.len() <= 32
            && capitals.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if plain && capitals != "TRACE" && capitals != "CONNECT" {
            Ok(MethodName(capitals))
        } else {
            Err(BindingError::Method(text.to_owned()))
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PathPattern {
    fn holds(&self, path: &str) -> bool {
        if self.0.contains('*') {
            return matches(self.0.as_bytes(), path.as_bytes());
        }
        let whole = self.0.strip_suffix('/').unwrap_or(&self.0);
        path == self.0
            || path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Whether a pattern with `*` is all of a text: the last star is tried further and further on.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if Some(byte) == text.get(from) => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

impl FromStr for PathPattern {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<PathPattern, BindingError> {
        let plain = text.starts_with('/')
            && text.len() <= PATTERN_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
            && !is_ambiguous(text);
        if plain {
            Ok(PathPattern(text.to_owned()))
        } else {
            Err(BindingError::Path(text.to_owned()))
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Slot {
    /// A query parameter.
    pub fn query(name: &str) -> Result<Slot, BindingError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~[]".contains(&byte);
        if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
            Ok(Slot::Query(name.to_owned()))
        } else {
            Err(BindingError::Query(name.to_owned()))
        }
    }

    /// A header: `NAME`, or `NAME: PREFIX` where something stands before the secret.
    pub fn header(text: &str) -> Result<Slot, BindingError> {
        text.parse().map(Slot::Header)
    }
}

impl FromStr for HeaderSlot {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<HeaderSlot, BindingError> {
        let wrong = || BindingError::Header(text.to_owned());
        let (name, prefix) = text.split_once(':').unwrap_or((text, ""));
        let name: HeaderName = name.trim().to_ascii_lowercase().parse().map_err(|_| wrong())?;
        if NO_SLOT.contains(&name.as_str()) {
            return Err(wrong());
        }
        let word = prefix.trim();
        let plain = word.len() <= PATTERN_BYTES_MAX
            && word.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !plain {
            return Err(wrong());
        }
        // `token=` joins the secret; a scheme such as `Bearer` is apart from it.
        let joined = word.is_empty() || word.ends_with('=');
        let prefix = if joined { word.to_owned() } else { format!("{word} ") };
        Ok(HeaderSlot { name, prefix })
    }
}

impl fmt::Display for HeaderSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.trim_end() {
            "" => write!(f, "{}", self.name),
            prefix => write!(f, "{}: {prefix}", self.name),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Header(header) => write!(f, "header {header}"),
            Slot::Query(name) => write!(f, "query {name}"),
            Slot::Basic => f.write_str("basic"),
            Slot::Aws => f.write_str("aws"),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delivery::Env(name) => write!(f, "${name}"),
            Delivery::File(path) => write!(f, "{path}"),
        }
    }
}

/// Text to and from, for what is kept as text.
macro_rules! kept_as_text {
    ($($kind:ty),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = BindingError;
            fn try_from(text: String) -> Result<$kind, BindingError> {
                text.parse()
            }
        }
        impl From<$kind> for String {
            fn from(it: $kind) -> String {
                it.to_string()
            }
        }
    )*};
}

kept_as_text!(HostRule, MethodName, PathPattern, HeaderSlot, VariableName);

#[cfg(test)]
mod tests;
