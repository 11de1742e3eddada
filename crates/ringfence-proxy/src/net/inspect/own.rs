//! Requests that the broker itself sends for an agent: their connections are decided, made and recorded like a
//! world's, and so is each request where a rule speaks of it or it carries a secret.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response};
use ringfence_core::{Act, Endpoint, Gate, HttpParts, HttpRequest, Scheme};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

use super::super::NetConfig;
use super::super::aws::Sent;
use super::super::broken::{Side, ended};
use super::super::dns::Families;
use super::super::live::Client;
use super::super::open::Port;
use super::super::reply::Refusal;
use super::super::secrets;
use super::account::{Account, Outgoing};
use super::answered::{Answered, Cut};
use super::exchange::Exchange;
use super::looked;
use super::server::Server;

/// Most connections at a time to one place; one more request is refused.
const CONNECTIONS_MAX: usize = 1_024;
/// Most of them that are kept when they are not used.
const IDLE_MAX: usize = 64;

/// Said where a connection, or what came over it, lost its permit.
const LOST: &str = "the policy no longer permits it";

/// A way to one place for the requests of one agent. To be used within a tokio runtime.
pub struct Own {
    port: Arc<Port>,
    endpoint: Endpoint,
    scheme: Scheme,
    /// Looked at in any case: they carry secrets.
    looked_at: bool,
    idle: Arc<Mutex<Vec<Connected>>>,
    room: Arc<Semaphore>,
    /// Digest of the policy that all connections were last held against.
    held_against: Mutex<String>,
}

/// A connection, which carries one request at a time.
struct Connected {
    exchange: Arc<Exchange>,
    /// Closed when the connection loses its permit.
    over: watch::Receiver<()>,
    keeper: AbortHandle,
    _room: OwnedSemaphorePermit,
}

/// The body of an answer; dropping it before its end ends the connection.
pub struct Coming {
    body: Body,
    connected: Option<Connected>,
    idle: Arc<Mutex<Vec<Connected>>>,
}

enum Body {
    /// Of a request that was decided by itself.
    Answered(Box<Answered>),
    /// Of one that the permit of its connection covers.
    Passed(Incoming, Arc<Server>),
}

impl Own {
    /// For requests to `endpoint` by the agent of `config`; `secrets` says whether they carry any.
    pub fn new(
        (gate, config): (Gate, NetConfig),
        (scheme, endpoint): (Scheme, Endpoint),
        secrets: Secrets,
    ) -> Own {
        Own {
            port: Arc::new(Port::new(gate, config, Families::V4)),
            endpoint,
            scheme,
            looked_at: secrets == Secrets::Carried,
            idle: Arc::default(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            held_against: Mutex::default(),
        }
    }

    /// Where they go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Ends the connections that the policy in force does not permit; to be called after a reload.
    pub fn end_unpermitted(&self) -> Vec<String> {
        self.port.end_unpermitted()
    }

    /// The same where another policy is in force than when it was last asked.
    pub fn refresh(&self) {
        let now = self.port.digest();
        let mut before = self.held_against.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != now {
            *before = now;
            drop(before);
            self.end_unpermitted();
        }
    }

    /// Ends the connections that nothing goes over.
    pub fn close(&self) {
        lock(&self.idle).clear();
    }

    /// Sends a request, whose target is a path; the error is for a person.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Coming>, String> {
        self.refresh();
        let connected = self.connected()?;
        let over = connected.over.clone();
        tokio::select! {
            sent = self.send_over(connected, request) => sent.map_err(|refusal| self.text(&refusal)),
            () = lost(over) => Err(LOST.to_owned()),
        }
    }

    async fn send_over(
        &self,
        connected: Connected,
        request: Request<Bytes>,
    ) -> Result<Response<Coming>, Refusal> {
        let exchange = Arc::clone(&connected.exchange);
        let coming =
            |body| Coming { body, connected: Some(connected), idle: Arc::clone(&self.idle) };
        if !self.looked_at && !self.port.inspects(&self.endpoint) {
            let request = request.map(Outgoing::own);
            let (response, server) = exchange.send(request, false).await?;
            return Ok(response.map(|body| coming(Body::Passed(body, server))));
        }
        let http = self.asked(&request).map_err(Refusal::Malformed)?;
        let permit = self.port.permit(Act::Request(http), &exchange.who).await;
        let permit = permit.map_err(Refusal::Denied)?;
        let mut account = Account::open(&self.port, &exchange.who, permit)?;
        let method = request.method().clone();
        match self.send_decided(&exchange, request, &mut account).await {
            Ok((mut response, server)) => {
                account.answered(response.status().as_u16());
                let about = (&self.endpoint, account.carried());
                let scrubbing = secrets::scrub(&self.port, about, response.headers_mut());
                let scrubbing = scrubbing.inspect_err(|refusal| account.refuse(refusal))?;
                let body = |body| coming(Body::Answered(Box::new(body)));
                if let Some(handled) = account.handling().cloned() {
                    let (answer, over) = ((method, response), (account, server, scrubbing));
                    let looked = Box::pin(looked::answer(&self.port, handled, answer, over));
                    return Ok(looked.await?.map(body));
                }
                let answered = |body| Answered::new(body, (account, server), scrubbing);
                Ok(response.map(answered).map(body))
            }
            Err(refusal) => {
                account.refuse(&refusal);
                Err(refusal)
            }
        }
    }

    async fn send_decided(
        &self,
        exchange: &Exchange,
        request: Request<Bytes>,
        account: &mut Account,
    ) -> Result<(Response<Incoming>, Arc<Server>), Refusal> {
        let (head, body) = request.into_parts();
        let message = (head, Sent::Whole(Some(body)));
        let (who, place) = ((&self.port, &exchange.who), (&self.endpoint, self.scheme));
        // Nothing is left to be looked through of a body that is whole.
        let sent = Box::pin(looked::put_together(who, place, account, message));
        let (head, carries, _) = sent.await?;
        let stopped = carries.watch.stopped();
        let request = Request::from_parts(head, account.outgoing(carries, None));
        let sent = exchange.send(request, false).await;
        sent.map_err(|refusal| stopped.get().cloned().map_or(refusal, Refusal::Misused))
    }

    /// The request as the policy sees it; the error is for a person.
    fn asked(&self, request: &Request<Bytes>) -> Result<HttpRequest, String> {
        let headers: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        let parts = HttpParts {
            method: request.method().as_str(),
            target: request.uri().path_and_query().map_or("", PathAndQuery::as_str),
            headers: &headers,
            size: Some(request.body().len() as u64),
        };
        HttpRequest::new(self.endpoint.clone(), self.scheme, parts)
            .map_err(|error| error.to_string())
    }

    /// A connection that nothing else goes over: one that was used before, or one to be made.
    fn connected(&self) -> Result<Connected, String> {
        let is_over = |it: &Connected| it.over.has_changed().is_err();
        let mut idle = lock(&self.idle);
        idle.retain(|it| !is_over(it));
        if let Some(connected) = idle.pop() {
            return Ok(connected);
        }
        drop(idle);
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            format!("more than {CONNECTIONS_MAX} requests to `{}` are under way", self.endpoint)
        })?;
        let (keeps, over) = watch::channel(());
        let keeper = tokio::spawn(async move {
            let _keeps = keeps;
            pending::<()>().await;
        });
        let keeper = keeper.abort_handle();
        let who = Client::ourselves();
        who.served_by(keeper.clone());
        let exchange = Exchange::ours(&self.port, &who, (self.endpoint.clone(), self.scheme));
        Ok(Connected { exchange, over, keeper, _room: room })
    }

    fn text(&self, refusal: &Refusal) -> String {
        let say = &self.port.config.denied;
        match refusal {
            Refusal::Denied(denial) => say(denial).trim_end().to_owned(),
            Refusal::AddressDenied { denial, leads_to } => {
                format!("{leads_to}\n{}", say(denial).trim_end())
            }
            Refusal::Malformed(_)
            | Refusal::HeadTooLarge
            | Refusal::Misdirected(_)
            | Refusal::Misused(_)
            | Refusal::Unclear(_)
            | Refusal::Blocked(_)
            | Refusal::Unreachable(_)
            | Refusal::BrokenOff(_) => refusal.reason(),
        }
    }
}

/// Whether requests carry secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// None.
    None,
    /// What stands in for some.
    Carried,
}

impl Coming {
    /// The next piece; nothing where there is no more. The error is for a person.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let connected = self.connected.as_ref()?;
        let over = connected.over.clone();
        let body = &mut self.body;
        let piece = tokio::select! {
            piece = data(body) => piece,
            () = lost(over) => Some(Err(LOST.to_owned())),
        };
        match &piece {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.connected = None,
            None => self.give_back(),
        }
        piece
    }

    /// The whole of it, if it has no more than `bytes_max`.
    pub async fn whole(mut self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.len().saturating_add(piece.len()) > bytes_max {
                return Err(format!("the answer has more than {bytes_max} bytes"));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// The next request may go over the same connection.
    fn give_back(&mut self) {
        let Some(connected) = self.connected.take() else { return };
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connected);
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn data(body: &mut Body) -> Option<Result<Bytes, String>> {
    loop {
        let frame = match body {
            Body::Answered(body) => {
                poll_fn(|context| Pin::new(body.as_mut()).poll_frame(context)).await
            }
            Body::Passed(body, _) => {
                let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
                frame.map(|frame| frame.map_err(Cut::from))
            }
        };
        match frame?.map(Frame::into_data) {
            Ok(Ok(data)) if data.is_empty() => {}
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers say nothing here.
            Ok(Err(_)) => {}
            Err(error) => {
                let reason = match &error {
                    Cut::Server(error) => ended(Side::Server, error),
                    Cut::Blocked(_) => error.to_string(),
                };
                if let Body::Passed(_, server) = body {
                    server.failed(&reason);
                }
                return Some(Err(reason));
            }
        }
    }
}

/// Waits until a connection has lost its permit.
async fn lost(mut over: watch::Receiver<()>) {
    while over.changed().await.is_ok() {}
}

fn lock(idle: &Mutex<Vec<Connected>>) -> MutexGuard<'_, Vec<Connected>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A header of an answer as text; nothing where it stands twice or is no text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).into_iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
