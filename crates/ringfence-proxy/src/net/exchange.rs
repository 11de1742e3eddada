//! HTTP on a connection that was decided: every request must be for the host it was decided for.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfence_core::Endpoint;

use super::broken::{Side, ended};
use super::carry::newly_inspected;
use super::early::Early;
use super::forward::{self, Upstream, prepared};
use super::live::Client;
use super::open::{Opened, Port};
use super::reply::{Refusal, Reply};
use super::rewind::Rewind;
use super::secrets;
use super::splice::Tunnel;
use super::target;
use super::{HEAD_BYTES_MAX, HEADERS_MAX};

/// A client that speaks HTTP, whose connection was decided and made.
pub(super) struct Decided {
    /// The client, with its first bytes in front.
    pub(super) client: Rewind,
    /// Where it was decided that it may go.
    pub(super) endpoint: Endpoint,
    /// The connection there.
    pub(super) opened: Opened,
}

/// The exchange of one client.
struct Exchange<'a> {
    port: &'a Port,
    who: &'a Client,
    endpoint: Endpoint,
    upstream: tokio::sync::Mutex<Kept>,
    tunnel: Mutex<Option<Tunnel>>,
}

/// The connection to the server between two requests.
enum Kept {
    /// Made, and nothing was sent over it.
    Fresh(Opened),
    /// Something was sent over it.
    Used(SendRequest<Incoming>, Upstream),
    /// The server has ended it: the next request makes another.
    None,
}

/// Serves a client's requests, then its websocket if it asked for one.
pub(super) async fn serve(port: &Arc<Port>, who: &Client, decided: Decided) {
    let Decided { client, endpoint, opened } = decided;
    let upstream = tokio::sync::Mutex::new(Kept::Fresh(opened));
    let exchange = Exchange { port, who, endpoint, upstream, tunnel: Mutex::new(None) };
    let service = service_fn(|request| {
        // Boxed: a connection has room for it for as long as it lives.
        Box::pin(async { Ok::<_, Infallible>(exchange.answer(request).await) })
    });
    let served = http1::Builder::new()
        // Who has no more to say may still listen.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(port.config.limits.head_wait)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    let tunnel = exchange.tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (served, tunnel) {
        (Ok(()), Some(tunnel)) => tunnel.run(port, who).await,
        // A client that broke off mid-request takes its tunnel with it; dropping records that.
        (Ok(()), None) | (Err(_), Some(_)) => {}
        (Err(error), None) => {
            exchange.upstream.into_inner().failed(&ended(Side::Client, &error));
        }
    }
}

impl Exchange<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let within = match newly_inspected(self.port, &self.endpoint) {
            None => target::within(&request, &self.endpoint),
            // Misdirected, so that the client makes another connection.
            Some(reason) => Err(Refusal::Misdirected(reason)),
        };
        match within {
            Ok(()) => self
                .looked_at(request)
                .await
                .unwrap_or_else(|refusal| refusal.into_reply(&self.port.config.denied)),
            Err(refusal) => {
                let reason = refusal.reason();
                self.upstream.lock().await.misused(self.port, &reason);
                refusal.into_reply(&self.port.config.denied)
            }
        }
    }

    /// Passes a request on that has nothing in its head that stands in for a secret.
    async fn looked_at(&self, request: Request<Incoming>) -> Result<Response<Reply>, Refusal> {
        let (head, body) = request.into_parts();
        secrets::refuse_misplaced((self.port, self.who), &self.endpoint, &head).await?;
        self.pass_on(Request::from_parts(head, body)).await
    }

    /// Passes a request on, over the connection of the one before where that still stands.
    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Reply>, Refusal> {
        let mut kept = self.upstream.lock().await;
        let mut request = prepared(request, &self.endpoint);
        loop {
            let (mut sender, mut upstream) = self.connected(&mut kept).await?;
            let early = Early::of(&mut request.message);
            let sent = early.answer(sender.try_send_request(request.message)).await;
            match sent.map_err(|it| forward::endless(&mut upstream, it))? {
                Ok(response) => {
                    let client = request.upgrade;
                    let (response, left) = forward::answer(response, client, upstream)?;
                    match left {
                        forward::Left::Tunnel(tunnel) => {
                            let tunnel = tunnel.unseen(self.port, &self.endpoint)?;
                            let mut place =
                                self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
                            *place = Some(tunnel);
                        }
                        forward::Left::Upstream(upstream) => {
                            *kept = Kept::Used(sender, upstream);
                        }
                    }
                    return Ok(response);
                }
                // Servers end idle connections whenever they like: what was not sent is sent over
                // another, which is decided anew.
                Err(mut error) => match error.take_message() {
                    Some(message) if upstream.used => request.message = message,
                    Some(_) | None => return Err(forward::broken(&mut upstream, error.error())),
                },
            }
        }
    }

    /// A connection that takes a request.
    async fn connected(
        &self,
        kept: &mut Kept,
    ) -> Result<(SendRequest<Incoming>, Upstream), Refusal> {
        let opened = match std::mem::replace(kept, Kept::None) {
            Kept::Used(mut sender, mut upstream) => {
                if sender.ready().await.is_ok() {
                    upstream.used = true;
                    return Ok((sender, upstream));
                }
                self.port.open(self.endpoint.clone(), self.who).await?
            }
            Kept::Fresh(opened) => opened,
            Kept::None => self.port.open(self.endpoint.clone(), self.who).await?,
        };
        forward::begin(opened).await
    }
}

impl Kept {
    fn failed(self, reason: &String) {
        match self {
            Kept::Fresh(mut opened) => opened.line.fail(reason),
            Kept::Used(_, mut upstream) => upstream.line.fail(reason),
            Kept::None => {}
        }
    }

    /// Notes that a client asked for another host than its connection is for.
    fn misused(&mut self, port: &Port, reason: &str) {
        let line = match self {
            Kept::Fresh(opened) => &mut opened.line,
            Kept::Used(_, upstream) => &mut upstream.line,
            Kept::None => return,
        };
        line.fail(&reason);
        port.tell_failed(line.request(), reason);
    }
}
