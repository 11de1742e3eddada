//! The accept loop and the life of one client's connection.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::forward::forward;
use super::live::Client;
use super::open::Port;
use super::reply::{Refusal, Reply};
use super::splice::Tunnel;
use super::target::Target;
use super::{HEAD_BYTES_MAX, HEADERS_MAX};

/// Pause after a failed accept, in milliseconds: it fails when descriptors run out.
const ACCEPT_PAUSE_MS: u64 = 50;

/// The answer to one connection too many.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\ncontent-length: 44\r\n\r\nthe net gate has all the clients it may have";

/// Serves clients until `stopped` resolves; then ends and records all connections.
pub(super) async fn until_stopped(
    listener: TcpListener,
    port: Arc<Port>,
    mut stopped: oneshot::Receiver<()>,
) {
    let places = Arc::new(Semaphore::new(port.config.limits.connections_max));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
            _ = &mut stopped => break,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let client = Client::at(from);
                let serving = serve(Arc::clone(&port), stream, client.clone(), place);
                client.served_by(clients.spawn(serving));
            }
            Err(_) => turn_away(&stream),
        }
    }
    clients.shutdown().await;
}

/// Serves one client: its requests one by one, then its tunnel if it asked for one.
async fn serve(port: Arc<Port>, stream: TcpStream, client: Client, _place: OwnedSemaphorePermit) {
    // Best effort: the client only waits longer without it.
    let _ = stream.set_nodelay(true);
    let tunnel: Mutex<Option<Tunnel>> = Mutex::new(None);
    let keep = |made| *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    let answer = service_fn(|request| async {
        let (response, made) = answer(&port, request, &client).await;
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
        tunnel.run().await;
    }
}

/// The path of one request: its target made canonical, decided and opened, then served.
async fn answer(
    port: &Port,
    mut request: Request<Incoming>,
    client: &Client,
) -> (Response<Reply>, Option<Tunnel>) {
    let served = match Target::of(&request) {
        Ok(Target::Tunnel(endpoint)) => port.open(endpoint, client).await.map(|opened| {
            let upgrade = hyper::upgrade::on(&mut request);
            (Response::new(Reply::empty()), Some(Tunnel::dialled(upgrade, opened)))
        }),
        Ok(Target::Forward(endpoint)) => match port.open(endpoint, client).await {
            Ok(opened) => forward(request, opened).await,
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    served.unwrap_or_else(|refusal: Refusal| (refusal.into_reply(&port.config.denied), None))
}

/// Says why, as far as the socket takes it at once.
fn turn_away(stream: &TcpStream) {
    // Best effort: the connection is closed either way.
    let _ = stream.try_write(FULL);
}
