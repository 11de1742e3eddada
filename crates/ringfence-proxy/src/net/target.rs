//! What a client asks for, made canonical at the rim: an [`Endpoint`] or a refusal.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Version};
use ringfence_core::{Endpoint, HOST_SERVICE_NAME, Host, Scheme as CoreScheme};

use super::HEAD_BYTES_MAX;
use super::reply::Refusal;

/// The port of `http:` where none is written.
const HTTP_PORT: u16 = 80;
/// The port of `https:` where none is written.
const HTTPS_PORT: u16 = 443;

/// Where a request wants to go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `CONNECT HOST:PORT`: a tunnel.
    Tunnel(Endpoint),
    /// `GET http://HOST/...`: one request.
    Forward(Endpoint),
}

impl Target {
    /// Reads the target of a request; its `Host` must agree.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Target, Refusal> {
        if head_bytes(request) > HEAD_BYTES_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        let uri = request.uri();
        let authority = uri.authority().ok_or_else(|| {
            Refusal::malformed(
                "this is a proxy: send `CONNECT HOST:PORT` or a full `http:` address",
            )
        })?;
        if authority.as_str().contains('@') {
            return Err(Refusal::malformed("a user name in the address is not taken"));
        }
        if request.method() == Method::CONNECT {
            if uri.scheme().is_some() || uri.path_and_query().is_some() {
                return Err(Refusal::malformed(
                    "send `CONNECT HOST:PORT`, without scheme and path",
                ));
            }
            // What a CONNECT's `Host` says is neither used nor passed on.
            return Ok(Target::Tunnel(parse(authority.as_str(), None)?));
        }
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(Refusal::malformed("only `http:` is forwarded: use CONNECT for the rest"));
        }
        let endpoint = parse(authority.as_str(), Some(HTTP_PORT))?;
        agrees(&endpoint, request.headers(), request.version())?;
        Ok(Target::Forward(endpoint))
    }
}

/// Checks a request on a connection that was decided for `endpoint`: it must be for that.
pub(super) fn within<B>(request: &Request<B>, endpoint: &Endpoint) -> Result<(), Refusal> {
    within_scheme(request, endpoint, CoreScheme::Http)
}

/// Whether a request is for the endpoint of its connection; the error says why it is not.
pub fn is_for<B>(request: &Request<B>, endpoint: &Endpoint) -> Result<(), String> {
    within(request, endpoint).map_err(|refusal| refusal.reason())
}

/// The same on a connection of this kind.
pub(super) fn within_scheme<B>(
    request: &Request<B>,
    endpoint: &Endpoint,
    spoken: CoreScheme,
) -> Result<(), Refusal> {
    if head_bytes(request) > HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    if request.method() == Method::CONNECT {
        let reason = format!("CONNECT is for a proxy, and this is a connection to `{endpoint}`");
        return Err(Refusal::Misdirected(reason));
    }
    let uri = request.uri();
    if uri.scheme().is_some_and(|scheme| scheme.as_str() != spoken.as_str()) {
        let spoken = spoken.as_str();
        let reason = format!("only `{spoken}:` is spoken on this connection to `{endpoint}`");
        return Err(Refusal::Misdirected(reason));
    }
    if let Some(authority) = uri.authority() {
        same(authority.as_str(), endpoint, "address")?;
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            same(&String::from_utf8_lossy(host.as_bytes()), endpoint, "`Host` header")
        }
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        // HTTP/2 has it in its `:authority`.
        (None, _) if request.version() == Version::HTTP_2 && uri.authority().is_some() => Ok(()),
        (None, _) => Err(Refusal::malformed("there is no `Host` header")),
        (Some(_), Some(_)) => Err(Refusal::malformed("there are two `Host` headers")),
    }
}

/// A port that is not written is the connection's.
fn same(text: &str, endpoint: &Endpoint, what: &str) -> Result<(), Refusal> {
    let found = parse(text, Some(endpoint.port));
    if found.is_ok_and(|found| found == *endpoint || both_this_host(&found, endpoint)) {
        return Ok(());
    }
    let reason = format!("the {what} says `{text}`, the connection is to `{endpoint}`");
    Err(Refusal::Misdirected(reason))
}

/// Whether both mean a service of the host's loopback: without a loopback of its own, a world calls it
/// as the host does.
fn both_this_host(found: &Endpoint, endpoint: &Endpoint) -> bool {
    let is_service = matches!(&endpoint.host, Host::Name(name) if name == HOST_SERVICE_NAME);
    let is_loopback = match &found.host {
        Host::Name(name) => name == "localhost",
        Host::Address(address) => address.is_loopback(),
    };
    is_service && is_loopback && found.port == endpoint.port
}

/// Size of a request's head; the reader's own limit lets the last read exceed it.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let target = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    request.headers().iter().map(header).sum::<usize>() + target
}

/// A request that names two hosts would be decided on one and served by the other.
fn agrees(endpoint: &Endpoint, headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) if version < Version::HTTP_11 => return Ok(()),
        (None, _) => return Err(Refusal::malformed("there is no `Host` header")),
        (Some(_), Some(_)) => return Err(Refusal::malformed("there are two `Host` headers")),
    };
    let text = String::from_utf8_lossy(host.as_bytes());
    if parse(&text, Some(HTTP_PORT))? == *endpoint {
        return Ok(());
    }
    let reason = format!("the `Host` header says `{text}`, the address `{endpoint}`");
    Err(Refusal::Malformed(reason))
}

/// `HOST:PORT`, or `HOST` where the scheme has a port.
fn parse(text: &str, port: Option<u16>) -> Result<Endpoint, Refusal> {
    let after_host = text.rsplit(']').next().unwrap_or(text);
    let endpoint = match port {
        Some(port) if !after_host.contains(':') => Endpoint::new(text, port),
        Some(_) | None => text.parse(),
    };
    endpoint.map_err(|error| Refusal::Malformed(error.to_string()))
}

/// An endpoint as requests name it.
pub(super) fn authority((endpoint, scheme): (&Endpoint, CoreScheme)) -> String {
    let usual = match scheme {
        CoreScheme::Http => HTTP_PORT,
        CoreScheme::Https => HTTPS_PORT,
    };
    if endpoint.port == usual { endpoint.host.to_string() } else { endpoint.to_string() }
}
