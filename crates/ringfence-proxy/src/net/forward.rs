//! One `http:` request passed on in origin form, and its answer passed back as it comes.

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use ringfence_core::{Carried, Endpoint};
use tokio::task::AbortHandle;

use super::HEAD_BYTES_MAX;
use super::broken::{Side, ended, ended_plainly};
use super::early::{Early, Endless};
use super::line::Line;
use super::open::Opened;
use super::reply::{Refusal, Reply};
use super::splice::Tunnel;

/// Headers that speak of one hop only (RFC 9110, section 7.6.1), and `Expect`, which the gate
/// itself has answered.
const HOP_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::UPGRADE,
    header::EXPECT,
];

/// The connection an answer comes over; dropping it closes it and records its end.
pub(super) struct Upstream {
    pub(super) line: Line,
    /// Whether a request went over it before.
    pub(super) used: bool,
    driver: Driver,
}

/// A request as it is passed on.
pub(super) struct Prepared {
    pub(super) message: Request<Incoming>,
    /// The client's side, if it asks for a websocket.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// What is left of a connection once an answer has begun.
pub(super) enum Left {
    /// It carries something else from now on.
    Tunnel(Tunnel),
    /// It carries the answer, and may carry others.
    Upstream(Upstream),
}

/// The task that moves a connection's bytes; dropping it ends it.
struct Driver(Option<AbortHandle>);

impl Driver {
    fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Upstream {
    /// Notes why the answer broke off.
    pub(super) fn failed(&mut self, error: &hyper::Error) {
        self.line.fail(&ended(Side::Server, error));
    }

    /// Leaves the socket to whoever took over; the driver ends by itself when it hands it over.
    fn into_line(self) -> Line {
        self.driver.detach();
        self.line
    }
}

/// Passes a request on over a connection of its own; an upgrade leaves a tunnel behind.
pub(super) async fn forward(
    request: Request<Incoming>,
    (endpoint, opened): (&Endpoint, Opened),
) -> Result<(Response<Reply>, Option<Tunnel>), Refusal> {
    let Prepared { mut message, upgrade } = prepared(request, endpoint);
    let (mut sender, mut upstream) = begin(opened).await?;
    let early = Early::of(&mut message);
    let sent = early.answer(sender.send_request(message)).await;
    match sent.map_err(|it| endless(&mut upstream, it))? {
        Ok(response) => match answer(response, upgrade, upstream)? {
            (response, Left::Tunnel(tunnel)) => Ok((response, Some(tunnel))),
            (response, Left::Upstream(upstream)) => {
                Ok((response.map(|reply| reply.over(upstream)), None))
            }
        },
        Err(error) => Err(broken(&mut upstream, &error)),
    }
}

/// Begins to speak HTTP over a connection.
pub(super) async fn begin(
    opened: Opened,
) -> Result<(http1::SendRequest<Incoming>, Upstream), Refusal> {
    let Opened { stream, mut line } = opened;
    let begun = http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await;
    match begun {
        Ok((sender, connection)) => {
            let driver = tokio::spawn(connection.with_upgrades());
            let driver = Driver(Some(driver.abort_handle()));
            line.carries(Carried::Http);
            Ok((sender, Upstream { line, used: false, driver }))
        }
        Err(error) => {
            let reason = ended(Side::Server, &error);
            line.fail(&reason);
            Err(Refusal::Unreachable(reason))
        }
    }
}

/// Notes that the server broke off, and says so.
pub(super) fn broken(upstream: &mut Upstream, error: &hyper::Error) -> Refusal {
    let reason = ended_plainly(error, upstream.line.received());
    upstream.line.fail(&reason);
    Refusal::Unreachable(reason)
}

/// Notes that the server does not come to its answer, and says so.
pub(super) fn endless(upstream: &mut Upstream, endless: Endless) -> Refusal {
    upstream.line.fail(&endless);
    Refusal::Unreachable(endless.to_string())
}

/// What of a server's answer is for the client, and what is left of the connection.
pub(super) fn answer(
    mut response: Response<Incoming>,
    client: Option<OnUpgrade>,
    mut upstream: Upstream,
) -> Result<(Response<Reply>, Left), Refusal> {
    *response.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        remove_hop_headers(response.headers_mut());
        return Ok((response.map(Reply::streamed), Left::Upstream(upstream)));
    }
    let Some(client) = client.filter(|_| websocket(response.headers())) else {
        let refusal = Refusal::Unreachable("the server switched protocols unasked".to_owned());
        upstream.line.fail(&refusal.reason());
        return Err(refusal);
    };
    let server = hyper::upgrade::on(&mut response);
    let tunnel = Tunnel::switched(client, server, upstream.into_line());
    Ok((response.map(|_| Reply::empty()), Left::Tunnel(tunnel)))
}

/// Puts a request into the form in which it is passed on.
pub(super) fn prepared(mut request: Request<Incoming>, endpoint: &Endpoint) -> Prepared {
    let upgrade = websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let message = to_origin_form(request, endpoint, upgrade.is_some());
    Prepared { message, upgrade }
}

/// `GET http://host/path` becomes `GET /path`; what concerned only this hop is gone.
fn to_origin_form(
    request: Request<Incoming>,
    endpoint: &Endpoint,
    upgrade: bool,
) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    // HTTP/1.0 may do without; where there is one, it agrees.
    let authority = parts.uri.authority().map_or_else(|| endpoint.to_string(), ToString::to_string);
    if let (false, Ok(host)) =
        (parts.headers.contains_key(header::HOST), HeaderValue::from_str(&authority))
    {
        parts.headers.insert(header::HOST, host);
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.version = Version::HTTP_11;
    remove_hop_headers(&mut parts.headers);
    if upgrade {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    Request::from_parts(parts, body)
}

pub(super) fn remove_hop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|token| HeaderName::try_from(token).ok())
        // These two frame the message: a `Connection` header cannot talk them away.
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_HEADERS) {
        headers.remove(name);
    }
}

/// Whether the client asks to speak the websocket protocol; other upgrades are not passed on.
pub(super) fn websocket(headers: &HeaderMap) -> bool {
    let has = |name: &HeaderName, wanted: &str| {
        tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
    };
    has(&header::CONNECTION, "upgrade") && has(&header::UPGRADE, "websocket")
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}
