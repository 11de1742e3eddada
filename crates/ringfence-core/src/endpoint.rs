//! A place on the network, by canonical name or by address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest host name, in bytes (RFC 1035, section 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// The name under which a world reaches the host's loopback services.
pub const HOST_SERVICE_NAME: &str = "host.ringfence.internal";

/// A host: a canonical lower-case name, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Letters, digits, hyphens and dots, lower case, no trailing dot.
    Name(String),
    /// An address literal in its canonical spelling.
    Address(IpAddr),
}

/// A host and a TCP port, written `HOST:PORT` (`[ADDRESS]:PORT` for IPv6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port, 1 to 65535.
    pub port: u16,
}

/// Why a host or an endpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `HOST:PORT`.
    #[error("`{0}` is not HOST:PORT")]
    Shape(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` is not a port")]
    Port(String),
    /// The name has an empty, overlong or ill-formed label (RFC 1123), or is too long.
    #[error("`{0}` is not a host name")]
    Name(String),
    /// An address in a spelling that programs read differently (octal, hex, short, decimal).
    #[error("`{0}` is not a plain address")]
    OddAddress(String),
}

impl Host {
    /// Parses a host as a client wrote it: case folded, one trailing dot dropped, other scripts in
    /// the spelling that is looked up (`xn--`, UTS 46).
    pub fn parse(text: &str) -> Result<Host, EndpointError> {
        if !text.is_ascii() {
            // Beyond the limit nothing is converted: that is quadratic in a label's length.
            let short = text.len() <= HOST_BYTES_MAX;
            let ascii = short.then(|| idna::domain_to_ascii_strict(text)).and_then(Result::ok);
            let ascii = ascii.filter(|it| it.is_ascii());
            let ascii = ascii.ok_or_else(|| EndpointError::Name(text.to_owned()))?;
            return Host::parse(&ascii);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inner) = bare {
            let address: Ipv6Addr =
                inner.parse().map_err(|_| EndpointError::OddAddress(text.to_owned()))?;
            return Ok(Host::Address(unmapped(address)));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Host::Address(unmapped(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > HOST_BYTES_MAX || !name.split('.').all(is_label) {
            return Err(EndpointError::Name(text.to_owned()));
        }
        if !looks_numeric(&name) {
            return Ok(Host::Name(name));
        }
        // inet_aton(3) reads `127.1`, `0x7f.1` and `2130706433` as addresses: only the plain form
        // that every program reads alike is taken.
        let address: Ipv4Addr =
            name.parse().map_err(|_| EndpointError::OddAddress(text.to_owned()))?;
        Ok(Host::Address(IpAddr::V4(address)))
    }
}

impl Endpoint {
    /// Parses a host and takes a port.
    pub fn new(host: &str, port: u16) -> Result<Endpoint, EndpointError> {
        if port == 0 {
            return Err(EndpointError::Port(port.to_string()));
        }
        Ok(Endpoint { host: Host::parse(host)?, port })
    }

    /// Whether programs of a world reach this in the world itself, whoever is asked: its localhost.
    pub fn is_localhost(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Address(address) => address.is_loopback() || address.is_unspecified(),
        }
    }

    /// All domains the host lies in, itself first: `a.b.c`, `b.c`, `c`. Empty for an address.
    pub fn domains(&self) -> Vec<String> {
        match &self.host {
            Host::Address(_) => Vec::new(),
            Host::Name(name) => std::iter::successors(Some(name.as_str()), |rest| {
                rest.split_once('.').map(|(_, parent)| parent)
            })
            .map(str::to_owned)
            .collect(),
        }
    }
}

/// An IPv4-mapped IPv6 address is the IPv4 address it stands for.
fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

/// RFC 1123 label, with underscores (service names use them).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether the last label could be read as a number (WHATWG URL, "ends in a number").
fn looks_numeric(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or("");
    let hex =
        last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| EndpointError::Shape(text.to_owned()))?;
        let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| EndpointError::Port(port.to_owned()))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(EndpointError::Shape(text.to_owned()));
        }
        Endpoint::new(host, port)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Endpoint, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}
