//! The proxy that the host itself needs, where one is configured: connections are passed on by name,
//! and it is the proxy that looks names up.

use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_core::{Endpoint, HOST_SERVICE_NAME, Host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer to a CONNECT, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The port that `HTTP_PROXY` is for; `HTTPS_PROXY` is for all others.
const HTTP_PORT: u16 = 80;
/// The port of a proxy where none is written.
const PROXY_PORT: u16 = 80;

/// The host's proxies, as its environment names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostProxies {
    http: Option<Named>,
    others: Option<Named>,
    except: Vec<String>,
}

/// What a variable names: a proxy, or something that is none we can speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Proxy(HostProxy),
    /// This scheme is not spoken.
    Scheme(String),
    Malformed,
}

/// A proxy of the host's.
#[derive(Clone, PartialEq, Eq)]
pub struct HostProxy {
    /// Where it is.
    pub endpoint: Endpoint,
    /// `Basic` credentials, encoded.
    credentials: Option<String>,
    /// The same as they were written.
    written: Option<String>,
}

/// Without the credentials.
impl std::fmt::Debug for HostProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostProxy").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl HostProxies {
    /// Reads the usual variables, small letters first: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
    /// `NO_PROXY`.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> HostProxies {
        let either = |name: &str| get(&name.to_ascii_lowercase()).or_else(|| get(name));
        let all = either("ALL_PROXY");
        let named = |name| either(name).or_else(|| all.clone()).map(|text| Named::parse(&text));
        let except = either("NO_PROXY").unwrap_or_default();
        let except = except.split([',', ' ']).map(|it| it.trim().to_ascii_lowercase());
        HostProxies {
            http: named("HTTP_PROXY"),
            others: named("HTTPS_PROXY"),
            except: except.filter(|it| !it.is_empty()).collect(),
        }
    }

    /// The proxy that leads to an endpoint; the error is for a person.
    pub fn towards(&self, endpoint: &Endpoint) -> Result<Option<&HostProxy>, String> {
        let named = if endpoint.port == HTTP_PORT { &self.http } else { &self.others };
        let direct = named.is_none() || is_own(&endpoint.host) || self.excepts(endpoint);
        match named {
            _ if direct => Ok(None),
            None => Ok(None),
            Some(Named::Proxy(proxy)) => Ok(Some(proxy)),
            Some(Named::Scheme(scheme)) => {
                Err(format!("the host's proxy speaks `{scheme}`, and only `http` is spoken to it"))
            }
            Some(Named::Malformed) => Err("the host's proxy variable is not understood".to_owned()),
        }
    }

    /// Whether `NO_PROXY` names an endpoint: a domain with what is in it, an address, with or
    /// without a port, or `*`.
    fn excepts(&self, endpoint: &Endpoint) -> bool {
        let host = match &endpoint.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        self.except.iter().any(|entry| {
            let (entry, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
                Some(_) | None => (entry.as_str(), None),
            };
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            let within = host.strip_suffix(domain).is_some_and(|front| {
                (front.is_empty() || front.ends_with('.')) && !domain.is_empty()
            });
            let named = entry == "*" || within;
            named && port.is_none_or(|port| port == endpoint.port)
        })
    }
}

/// What is on this host is reached from this host.
fn is_own(host: &Host) -> bool {
    match host {
        Host::Name(name) => {
            name == HOST_SERVICE_NAME || name == "localhost" || name.ends_with(".localhost")
        }
        Host::Address(IpAddr::V4(address)) => address.is_loopback(),
        Host::Address(IpAddr::V6(address)) => address.is_loopback(),
    }
}

impl Named {
    fn parse(text: &str) -> Named {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Named::Scheme(scheme.to_owned());
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let credentials = user.map(|user| STANDARD.encode(decoded(user)));
        let written = user.map(str::to_owned);
        let after_host = place.rsplit(']').next().unwrap_or(place);
        let endpoint =
            if after_host.contains(':') { place.parse() } else { Endpoint::new(place, PROXY_PORT) };
        endpoint.map_or(Named::Malformed, |endpoint| {
            Named::Proxy(HostProxy { endpoint, credentials, written })
        })
    }
}

/// `%41` is `A` (RFC 3986, section 2.1).
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        if let (b'%', Some(byte)) = (first, byte) {
            out.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

impl HostProxy {
    /// Where it is and who asks it, for another client: `http://[USER:PASSWORD@]HOST:PORT`.
    pub fn url(&self) -> String {
        let user = self.written.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("http://{user}{}", self.endpoint)
    }

    /// Asks a proxy for a connection; from then on the stream leads to the endpoint.
    pub(super) async fn connect(
        &self,
        stream: &mut TcpStream,
        endpoint: &Endpoint,
    ) -> io::Result<()> {
        let credentials = self.credentials.as_ref();
        let authorization = credentials
            .map(|it| format!("Proxy-Authorization: Basic {it}\r\n"))
            .unwrap_or_default();
        let request =
            format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Not a byte more than the head: what follows is the endpoint's.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= ANSWER_BYTES_MAX {
                return Err(io::Error::other("the host's proxy answers without end"));
            }
            answer.push(stream.read_u8().await?);
        }
        let status = String::from_utf8_lossy(&answer);
        let status = status.lines().next().unwrap_or_default();
        let code = status.split(' ').nth(1).unwrap_or_default();
        if status.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') {
            return Ok(());
        }
        Err(io::Error::other(format!("the host's proxy says `{status}`")))
    }
}

#[cfg(test)]
mod tests;
