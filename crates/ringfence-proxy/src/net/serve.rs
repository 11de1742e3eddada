//! The accept loop and the life of one client's connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfence_core::Endpoint;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Ends;
use super::awake;
use super::capture;
use super::carry::{Decided, carry};
use super::claims::Claims;
use super::forward::forward;
use super::inspect;
use super::live::Client;
use super::open::{Opened, Port};
use super::published::{self, Inward};
use super::reply::{Refusal, Reply};
use super::secrets;
use super::splice::Tunnel;
use super::target::Target;
use super::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::{socks, turned_away};

/// Pause after a failed accept, in milliseconds: it fails when descriptors run out.
const ACCEPT_PAUSE_MS: u64 = 50;

/// The answer to one connection too many.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\ncontent-length: 44\r\n\r\nthe net gate has all the clients it may have";

/// What arrives at a listener.
#[derive(Clone)]
pub(super) enum Arrives {
    /// Clients that speak to a proxy.
    ToProxy,
    /// Clients that do not know of the gate.
    Captured,
    /// The same, led here by somebody who tells where to each was meant to go; some may mean the proxy
    /// by this address.
    Led(Arc<Claims>, Option<SocketAddr>),
    /// The host's own clients, on their way into the world.
    Inward(Inward),
}

/// Where the gate listens, on its own thread.
pub(super) struct Open {
    pub(super) listeners: Vec<(TcpListener, Arrives)>,
    pub(super) dns: Vec<UdpSocket>,
}

/// Serves clients until `stopped` resolves; then ends and records all connections.
pub(super) async fn until_stopped(open: Open, port: Arc<Port>, stopped: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(port.config.limits.connections_max));
    let mut listening = JoinSet::new();
    let mut answering = JoinSet::new();
    for socket in open.dns {
        answering.spawn(capture::datagrams(Arc::clone(&port), socket));
    }
    for listener in open.listeners {
        let (port, places) = (Arc::clone(&port), Arc::clone(&places));
        listening.spawn(listen(listener, (port, places), stopped.clone()));
    }
    answering.spawn(awake::stay());
    while listening.join_next().await.is_some() {}
}

async fn listen(
    (listener, arrives): (TcpListener, Arrives),
    (port, places): (Arc<Port>, Arc<Semaphore>),
    mut stopped: watch::Receiver<()>,
) {
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
            // Its sender is dropped; nothing is ever sent.
            _ = stopped.changed() => break,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        awake::beat();
        let port = Arc::clone(&port);
        let target = match &arrives {
            Arrives::Captured => capture::target(&stream),
            Arrives::Led(claims, _) => capture::claimed(claims, from),
            Arrives::ToProxy | Arrives::Inward(_) => {
                stream.local_addr().map_err(|error| error.to_string())
            }
        };
        if let (Arrives::Led(_, Some(_)), Err(_)) = (&arrives, &target) {
            // The loopback is the host's: whoever is there has no business in this session's log.
            turned_away::reset(&stream);
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            match arrives {
                Arrives::ToProxy => turn_away(&stream),
                Arrives::Captured | Arrives::Led(..) | Arrives::Inward(_) => {
                    turned_away::reset(&stream);
                }
            }
            continue;
        };
        let client =
            Client::at(Ends { client: from, target: meant(&stream, &arrives, (from, &target)) });
        let who = client.clone();
        let serving = match arrives.clone() {
            Arrives::ToProxy => clients.spawn(serve(port, stream, who, place)),
            Arrives::Led(_, Some(proxy)) if target == Ok(proxy) => {
                clients.spawn(serve(port, stream, who, place))
            }
            Arrives::Captured | Arrives::Led(..) => {
                clients.spawn(capture::serve((port, who), stream, target, place))
            }
            Arrives::Inward(inward) => clients.spawn(async move {
                let _place = place;
                published::serve(port, inward, stream, from).await;
            }),
        };
        client.served_by(serving);
    }
    clients.shutdown().await;
}

/// Where a client's own socket has it that it is connected to.
fn meant(
    stream: &TcpStream,
    arrives: &Arrives,
    (from, target): (SocketAddr, &Result<SocketAddr, String>),
) -> SocketAddr {
    let peer = match arrives {
        Arrives::Captured => target.clone().ok(),
        Arrives::ToProxy | Arrives::Led(..) | Arrives::Inward(_) => stream.local_addr().ok(),
    };
    // A connection to itself is nobody's.
    peer.unwrap_or(from)
}

/// Serves one client that speaks to a proxy.
async fn serve(port: Arc<Port>, stream: TcpStream, client: Client, _place: OwnedSemaphorePermit) {
    // Best effort: the client only waits longer without it.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    match timeout(port.config.limits.head_wait, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first == [socks::VERSION] => serve_socks(&port, stream, &client).await,
        Ok(Ok(1..)) => serve_http(&port, stream, &client).await,
        Ok(Ok(0) | Err(_)) | Err(_) => {}
    }
}

async fn serve_socks(port: &Arc<Port>, mut stream: TcpStream, client: &Client) {
    let heard = timeout(port.config.limits.head_wait, socks::hear(&mut stream)).await;
    let Ok(Some(endpoint)) = heard else { return };
    match port.open(endpoint.clone(), client).await {
        Ok(opened) => {
            socks::tell(&mut stream, socks::Reply::Done).await;
            let decided = Decided { client: stream, early: Vec::new(), endpoint, opened };
            carry(port, client, decided).await;
        }
        Err(refusal) => {
            let reply = match &refusal {
                Refusal::Denied(_) | Refusal::Misused(_) | Refusal::AddressDenied { .. } => {
                    socks::Reply::NotAllowed
                }
                Refusal::Malformed(_)
                | Refusal::HeadTooLarge
                | Refusal::Misdirected(_)
                | Refusal::Unclear(_)
                | Refusal::Blocked(_)
                | Refusal::Unreachable(_)
                | Refusal::BrokenOff(_) => socks::Reply::Unreachable,
            };
            // For whom it tells, not for its text: SOCKS has numbers only.
            drop(refusal.into_reply(&port.config.denied));
            socks::tell(&mut stream, reply).await;
        }
    }
}

/// Serves one HTTP client: its requests one by one, then its tunnel if it asked for one.
async fn serve_http(port: &Arc<Port>, stream: TcpStream, client: &Client) {
    let tunnel: Mutex<Option<Tunnel>> = Mutex::new(None);
    let keep = |made| *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    let answer = service_fn(|request| async {
        let (response, made) = answer(port, request, client).await;
        made.map(keep);
        Ok::<_, Infallible>(response)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(port.config.limits.head_wait)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await;
    let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    // A client that broke off mid-request takes its tunnel with it; dropping records that.
    if let (Ok(()), Some(tunnel)) = (served, tunnel) {
        tunnel.run(port, client).await;
    }
}

/// The path of one request: its target made canonical, decided and opened, then served.
async fn answer(
    port: &Arc<Port>,
    mut request: Request<Incoming>,
    client: &Client,
) -> (Response<Reply>, Option<Tunnel>) {
    let served = match Target::of(&request) {
        Ok(Target::Tunnel(endpoint)) => port.open(endpoint.clone(), client).await.map(|opened| {
            let upgrade = hyper::upgrade::on(&mut request);
            (Response::new(Reply::empty()), Some(Tunnel::dialled(upgrade, endpoint, opened)))
        }),
        Ok(Target::Forward(endpoint)) => match port.open(endpoint.clone(), client).await {
            Ok(opened) if port.inspects(&endpoint) => {
                return inspect::forward((port, client), request, (endpoint, opened)).await;
            }
            Ok(opened) => match pass_on((port, client), request, (&endpoint, opened)).await {
                Ok((response, Some(tunnel))) => {
                    tunnel.unseen(port, &endpoint).map(|tunnel| (response, Some(tunnel)))
                }
                forwarded => forwarded,
            },
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    served.unwrap_or_else(|refusal: Refusal| (refusal.into_reply(&port.config.denied), None))
}

/// Passes a request on that has nothing in its head that stands in for a secret.
async fn pass_on(
    who: (&Port, &Client),
    request: Request<Incoming>,
    (endpoint, opened): (&Endpoint, Opened),
) -> Result<(Response<Reply>, Option<Tunnel>), Refusal> {
    let (head, body) = request.into_parts();
    secrets::refuse_misplaced(who, endpoint, &head).await?;
    forward(Request::from_parts(head, body), (endpoint, opened)).await
}

/// Says why, as far as the socket takes it at once.
fn turn_away(stream: &TcpStream) {
    // Best effort: the connection is closed either way.
    let _ = stream.try_write(FULL);
}
