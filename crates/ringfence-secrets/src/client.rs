//! Asks a service that the user named for a value: one request, one bounded answer.
//!
//! It goes out from the broker, never from a world, to an address that only the user's own
//! configuration names, and under a permit that was spent already
//! ([why](../../../docs/adr/0011-vaults-are-asked-by-the-broker.md)). Whatever is odd about an answer
//! is an error; none of them quotes what was sent or answered.

use std::fmt;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, InvalidHeaderValue, LOCATION};
use http::{Method, Request, Response};
use ringfence_core::{Endpoint, EndpointError, Host, Scheme};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Body, Proxy, Timeout};
use zeroize::Zeroizing;

/// How long a connection may take, with finding its address and TLS, in seconds.
const CONNECT_SECONDS_MAX: u64 = 5;
/// How long a call may take from the first look-up to the answer's last byte, in seconds, unless less
/// is asked for: an agent's request waits for it.
pub const CALL_SECONDS_MAX: u64 = 15;
/// Largest body of an answer, in bytes: a vault's largest entries have 1 MiB.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// As much of a body as is made room for at once, in bytes: most answers are smaller.
const ANSWER_BYTES_FIRST: usize = 16 * 1024;
/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 1024;

/// Where a service is: `https://HOST[:PORT][/PATH]`; without TLS on this machine's loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    endpoint: Endpoint,
    scheme: Scheme,
    /// What stands before every path; no slash at its end.
    base: String,
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not of the form of an address, or with something in it that has no place there.
    #[error("`{0}` is no address: it is written https://HOST, with a port and a path at most")]
    Shape(String),
    /// The host is none.
    #[error(transparent)]
    Host(#[from] EndpointError),
    /// Secrets would be readable on their way.
    #[error("`{0}` would be spoken to without TLS: name it with https://")]
    Readable(String),
}

/// The way out of this host, as the environment of whoever started Ringfence says.
#[derive(Clone, Default)]
pub struct WayOut {
    /// Certificates that are believed, in place of the host's own store.
    pub file: Option<PathBuf>,
    /// A directory of such certificates.
    pub dir: Option<PathBuf>,
    /// The host's own proxy towards an endpoint, as `http://[USER:PASSWORD@]HOST:PORT`.
    pub proxy: Option<Arc<Proxies>>,
}

/// Which proxy leads to an endpoint; an error says why none can be used.
pub type Proxies = dyn Fn(&Endpoint) -> Result<Option<String>, String> + Send + Sync;

/// Asks services.
pub struct Client {
    way_out: WayOut,
    total: Duration,
    roots: OnceLock<Result<RootCerts, String>>,
}

/// What is asked.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Where.
    pub address: &'a Address,
    /// The path below the address, with its query; it starts with a slash.
    pub path: &'a str,
    /// Headers beside those that every request has.
    pub headers: Vec<(HeaderName, Zeroizing<String>)>,
    /// The body, if any.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

/// What was answered; it may hold secrets, and cannot be printed.
pub struct Answer {
    /// The status, not 3xx.
    pub status: u16,
    /// The body, all of it.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// What was to be asked is no request.
    #[error("what was to be asked for cannot be written as a request")]
    Unwritable,
    /// Nobody is there.
    #[error("{at} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        at: Endpoint,
        /// Why.
        why: String,
    },
    /// It is not believed to be the one that was meant.
    #[error("{at} is not believed: {why}")]
    NotBelieved {
        /// Where.
        at: Endpoint,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{at} did not answer within {seconds} s")]
    Slow {
        /// Where.
        at: Endpoint,
        /// How long was waited.
        seconds: u64,
    },
    /// It sends elsewhere, where a credential is not carried.
    #[error("{at} sends to another address, which is not followed{to}")]
    Redirected {
        /// Where.
        at: Endpoint,
        /// Where to, if it is said: what it says of a host, nothing else.
        to: String,
    },
    /// The answer has no end, as far as can be seen.
    #[error("{at} answers with more than {ANSWER_BYTES_MAX} bytes")]
    Long {
        /// Where.
        at: Endpoint,
    },
    /// The answer is no HTTP, or ended before its end.
    #[error("{at} answers with something that is not understood")]
    Garbled {
        /// Where.
        at: Endpoint,
    },
}

impl Client {
    /// A client with the usual limits.
    pub fn new(way_out: WayOut) -> Client {
        Client { way_out, total: Duration::from_secs(CALL_SECONDS_MAX), roots: OnceLock::new() }
    }

    /// The same with less patience; more than [`CALL_SECONDS_MAX`] is that.
    #[must_use]
    pub fn within(self, total: Duration) -> Client {
        Client { total: total.min(Duration::from_secs(CALL_SECONDS_MAX)), ..self }
    }

    /// Asks, and waits for all of the answer. Redirects are not followed.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let at = &call.address.endpoint;
        let head = request(call)?;
        let agent = self.agent(at)?;
        let answered = match &call.body {
            Some(body) => agent.run(head.map(|()| body.as_slice())),
            None => agent.run(head),
        };
        let answer = answered.map_err(|error| self.failed(error, at))?;
        if answer.status().is_redirection() {
            return Err(CallError::Redirected { at: at.clone(), to: sent_to(&answer) });
        }
        let status = answer.status().as_u16();
        let body = self.body(answer, at)?;
        Ok(Answer { status, body })
    }

    /// Everything that may go on is said here; nothing is taken from this process's environment.
    fn agent(&self, at: &Endpoint) -> Result<ureq::Agent, CallError> {
        let seconds = |count| Duration::from_secs(count).min(self.total);
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(self.roots(at)?);
        let config = ureq::Agent::config_builder()
            .proxy(self.proxy(at)?)
            .tls_config(tls.build())
            .timeout_global(Some(self.total))
            .timeout_resolve(Some(seconds(CONNECT_SECONDS_MAX)))
            .timeout_connect(Some(seconds(CONNECT_SECONDS_MAX)))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(0)
            .user_agent(concat!("ringfence/", env!("CARGO_PKG_VERSION")));
        Ok(config.build().new_agent())
    }

    fn proxy(&self, at: &Endpoint) -> Result<Option<Proxy>, CallError> {
        let unusable = |why: String| CallError::Unreachable { at: at.clone(), why };
        let Some(proxies) = self.way_out.proxy.as_ref().filter(|_| !is_loopback(&at.host)) else {
            return Ok(None);
        };
        let named = proxies(at).map_err(unusable)?.map(Zeroizing::new);
        let proxy = named.map(|url| Proxy::new(&url)).transpose();
        proxy.map_err(|_| unusable("the host's proxy variable is not understood".to_owned()))
    }

    /// Whom the host believes, or whom it was told to believe; read once.
    fn roots(&self, at: &Endpoint) -> Result<RootCerts, CallError> {
        let roots = self.roots.get_or_init(|| {
            let WayOut { file, dir, .. } = &self.way_out;
            let found = if file.is_none() && dir.is_none() {
                rustls_native_certs::load_native_certs()
            } else {
                rustls_native_certs::load_certs_from_paths(file.as_deref(), dir.as_deref())
            };
            let certs: Vec<_> =
                found.certs.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
            if certs.is_empty() {
                let why = found.errors.first().map(|error| format!(": {error}"));
                return Err(format!(
                    "there are no certificates of authorities to check it by{}",
                    why.unwrap_or_default()
                ));
            }
            Ok(RootCerts::new_with_certs(&certs))
        });
        roots.clone().map_err(|why| CallError::NotBelieved { at: at.clone(), why })
    }

    /// All of a body, in memory that is wiped.
    fn body(&self, answer: Response<Body>, at: &Endpoint) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let limit = (ANSWER_BYTES_MAX as u64).saturating_add(1);
        let mut reader = answer.into_body().into_with_config().limit(limit).reader();
        let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_FIRST));
        loop {
            // A buffer that grew by itself would leave copies behind.
            let room = bytes.capacity() - bytes.len();
            let part = reader.by_ref().take(room as u64).read_to_end(&mut bytes);
            part.map_err(|error| self.failed(error.into(), at))?;
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(CallError::Long { at: at.clone() });
            }
            if bytes.len() < bytes.capacity() {
                return Ok(bytes);
            }
            let mut larger = Zeroizing::new(Vec::with_capacity(bytes.capacity() * 4));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
    }

    fn failed(&self, error: ureq::Error, at: &Endpoint) -> CallError {
        let at = at.clone();
        let unreachable = |at, why: &str| CallError::Unreachable { at, why: why.to_owned() };
        #[expect(clippy::wildcard_enum_match_arm, reason = "theirs, and not exhaustive")]
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                CallError::Slow { at, seconds: self.total.as_secs().min(CONNECT_SECONDS_MAX) }
            }
            ureq::Error::Timeout(_) => CallError::Slow { at, seconds: self.total.as_secs() },
            ureq::Error::HostNotFound => unreachable(at, "there is no such host"),
            ureq::Error::ConnectionFailed => unreachable(at, "the connection failed"),
            ureq::Error::ConnectProxyFailed(_) => {
                unreachable(at, "the host's proxy does not connect to it")
            }
            ureq::Error::Rustls(error) => CallError::NotBelieved { at, why: error.to_string() },
            ureq::Error::BodyExceedsLimit(_) => CallError::Long { at },
            ureq::Error::Io(error) => of_system(&error, at),
            _ => CallError::Garbled { at },
        }
    }
}

/// What the system says of a connection, or TLS in its place.
fn of_system(error: &io::Error, at: Endpoint) -> CallError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.raw_os_error()) {
        (Some(why), _) => CallError::NotBelieved { at, why: why.to_string() },
        (None, Some(_)) => CallError::Unreachable { at, why: error.to_string() },
        // How the standard library says what the resolver said, which has no number of the system's.
        (None, None) if error.to_string().starts_with("failed to lookup address") => {
            CallError::Unreachable { at, why: "its name cannot be looked up".to_owned() }
        }
        // Of an answer's parser: it may quote what it read.
        (None, None) => CallError::Garbled { at },
    }
}

fn request(call: &Call<'_>) -> Result<Request<()>, CallError> {
    let (method, uri) = (call.method.clone(), call.address.url(call.path));
    let mut head = Request::builder().method(method).uri(uri);
    for (name, value) in &call.headers {
        let value = sensitive(value).map_err(|_| CallError::Unwritable)?;
        head = head.header(name, value);
    }
    head.body(()).map_err(|_| CallError::Unwritable)
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host that an answer sends to, as far as it names one that can be read aloud.
fn sent_to(answer: &Response<Body>) -> String {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let uri = location.and_then(|text| text.parse::<http::Uri>().ok());
    let host = uri.as_ref().and_then(http::Uri::host).and_then(|host| Host::parse(host).ok());
    match host {
        Some(Host::Name(name)) => format!(": {name}"),
        Some(Host::Address(address)) => format!(": {address}"),
        None => String::new(),
    }
}

/// Whether a host is this machine, whatever its network.
fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Address(address) => address.is_loopback(),
    }
}

impl Address {
    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `HOST`, or `HOST:PORT` where the port is not the scheme's: what a `Host` header says.
    pub fn authority(&self) -> String {
        let whole = self.endpoint.to_string();
        let usual = if self.scheme == Scheme::Https { ":443" } else { ":80" };
        whole.strip_suffix(usual).map_or(whole.clone(), str::to_owned)
    }

    /// The address of a path below it.
    fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The path that a request for a path below this address has.
    pub fn path(&self, below: &str) -> String {
        format!("{}{below}", self.base)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Address, AddressError> {
        let wrong = || AddressError::Shape(shown(text));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) | None => return Err(wrong()),
        };
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = text.len() <= ADDRESS_BYTES_MAX
            && !authority.contains('@')
            && base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
            && !base.split('/').any(|part| part == "." || part == "..");
        if !plain {
            return Err(wrong());
        }
        let after_host = authority.rsplit(']').next().unwrap_or(authority);
        let endpoint: Endpoint = if after_host.contains(':') {
            authority.parse()?
        } else {
            Endpoint::new(authority, if scheme == Scheme::Https { 443 } else { 80 })?
        };
        if scheme == Scheme::Http && !is_loopback(&endpoint.host) {
            return Err(AddressError::Readable(shown(text)));
        }
        Ok(Address { endpoint, scheme, base: base.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

/// An address that was refused, without what may be a password in it.
fn shown(text: &str) -> String {
    let front = text.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("{}...@{rest}", front.unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
