//! The requests of one client to one endpoint: each one read in one way only, decided, and sent.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ringfence_core::{Act, Endpoint, HttpError, HttpParts, HttpRequest, Scheme};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

use super::super::aws::Sent;
use super::super::broken::{Side, ended};
use super::super::forward::{remove_hop_headers, websocket};
use super::super::live::Client;
use super::super::open::Port;
use super::super::reply::{Refusal, Reply};
use super::super::secrets::{self, Scrubbed, Scrubbing, Watch, Watched};
use super::super::splice::{SPLICE_BUFFER_BYTES, Tunnel};
use super::super::target;
use super::super::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::account::{Account, Outgoing};
use super::answered::Answered;
use super::client::{self, UnderWay, Unread};
use super::looked;
use super::packages::Fetch;
use super::server::{
    CONNECTION_WINDOW_BYTES, Fresh, STREAM_UNSENT_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
    Server, Spoken, Unanswered,
};
use super::tls;

/// The requests of one client.
pub(crate) struct Exchange {
    pub(super) port: Arc<Port>,
    pub(super) who: Client,
    pub(super) endpoint: Endpoint,
    pub(super) scheme: Scheme,
    /// The endpoint as requests name it.
    authority: String,
    /// What the client speaks.
    spoken: Spoken,
    server: tokio::sync::Mutex<Kept>,
    switched: Mutex<Option<Switched>>,
}

/// The connection to the server between requests.
enum Kept {
    /// Made, and nothing was sent over it.
    Fresh(Fresh),
    /// Something was sent over it.
    Used(Arc<Server>),
    /// The next request makes another.
    None,
    /// It did not come about, for this reason.
    Failed(String),
}

/// Two that agreed on a websocket.
pub(crate) struct Switched {
    client: OnUpgrade,
    /// Looks for stand-ins in what the client says.
    watch: Watch,
    server: OnUpgrade,
    account: Account,
    scrubbing: Option<Scrubbing>,
    /// Kept for its account.
    _over: Arc<Server>,
}

/// The client's side of a connection that may become a websocket.
pub(super) struct Upgrading {
    client: OnUpgrade,
    watch: Watch,
}

impl Exchange {
    /// For a client whose connection was made, or did not come about.
    pub(super) fn new(
        port: &Arc<Port>,
        who: &Client,
        (endpoint, scheme, spoken): (Endpoint, Scheme, Spoken),
        server: Result<Fresh, Refusal>,
    ) -> Arc<Exchange> {
        let kept = match server {
            Ok(fresh) => Kept::Fresh(fresh),
            Err(refusal) => Kept::Failed(refusal.reason()),
        };
        Arc::new(Exchange {
            port: Arc::clone(port),
            who: who.clone(),
            authority: target::authority((&endpoint, scheme)),
            endpoint,
            scheme,
            spoken,
            server: tokio::sync::Mutex::new(kept),
            switched: Mutex::default(),
        })
    }

    /// For requests of the gate's own; its connection is made when the first is sent.
    pub(super) fn ours(
        port: &Arc<Port>,
        who: &Client,
        (endpoint, scheme): (Endpoint, Scheme),
    ) -> Arc<Exchange> {
        Arc::new(Exchange {
            port: Arc::clone(port),
            who: who.clone(),
            authority: target::authority((&endpoint, scheme)),
            endpoint,
            scheme,
            // None of them becomes a websocket, so the server may choose.
            spoken: Spoken::Http2,
            server: tokio::sync::Mutex::new(Kept::None),
            switched: Mutex::default(),
        })
    }

    /// One of the same client to another place; `None` where it is this one.
    pub(super) fn elsewhere(
        &self,
        (endpoint, scheme): (&Endpoint, Scheme),
    ) -> Option<Arc<Exchange>> {
        let here = (endpoint, scheme) == (&self.endpoint, self.scheme);
        (!here).then(|| {
            Arc::new(Exchange {
                port: Arc::clone(&self.port),
                who: self.who.clone(),
                authority: target::authority((endpoint, scheme)),
                endpoint: endpoint.clone(),
                scheme,
                spoken: self.spoken,
                server: tokio::sync::Mutex::new(Kept::None),
                switched: Mutex::default(),
            })
        })
    }

    /// Serves all requests of the client, then its websocket if it asked for one.
    pub(super) async fn serve<C>(self: Arc<Exchange>, client: C)
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let served = match self.spoken {
            Spoken::Http1 => self.serve_http1(client).await,
            Spoken::Http2 => Box::pin(self.serve_http2(client)).await,
        };
        let switched = self.switched.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (served, switched) {
            (Ok(()), Some(switched)) => Box::pin(switched.run()).await,
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Err(reason), None) => self.server.lock().await.failed(&reason),
        }
    }

    async fn serve_http1<C>(self: &Arc<Exchange>, client: C) -> Result<(), String>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let head_wait = self.port.config.limits.head_wait;
        let mut builder = http1::Builder::new();
        builder
            // Who has no more to say may still listen.
            .half_close(true)
            .timer(TokioTimer::new())
            .header_read_timeout(head_wait)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .preserve_header_case(true);
        let service = |under_way: &Arc<UnderWay>| {
            let (exchange, under_way) = (Arc::clone(self), Arc::clone(under_way));
            service_fn(move |mut request| {
                under_way.begin(&mut request);
                let (exchange, under_way) = (Arc::clone(&exchange), Arc::clone(&under_way));
                Box::pin(async move {
                    Ok::<_, Infallible>(under_way.answer(exchange.answer(request).await))
                })
            })
        };
        client::serve(client, (&builder, head_wait), service).await
    }

    async fn serve_http2<C>(self: &Arc<Exchange>, client: C) -> Result<(), String>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(|request| {
            let exchange = Arc::clone(self);
            // Boxed: a connection has room for it for as long as it lives.
            Box::pin(async move { Ok::<_, Infallible>(exchange.answer(request).await) })
        });
        // Streams that are begun only to be reset are bounded by hyper itself (CVE-2023-44487).
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(STREAM_UNSENT_BYTES_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(client), service)
            .await
            .map_err(|error| ended(Side::Client, &error))
    }

    /// Serves one request only; a websocket leaves a tunnel behind.
    pub(super) async fn once(
        self: Arc<Exchange>,
        request: Request<Incoming>,
    ) -> (Response<Reply>, Option<Tunnel>) {
        let response = self.answer(request).await;
        let switched = self.switched.lock().unwrap_or_else(PoisonError::into_inner).take();
        (response, switched.map(|switched| Tunnel::Inspected(Box::new(switched))))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        match self.decide_and_send(request).await {
            Ok(response) => response,
            Err(refusal) => {
                if let Some(why) = refusal.undecided() {
                    let why = format!("a request to {}: {why}", self.endpoint);
                    self.port.note_refused(&self.who, ("request", &why)).await;
                }
                refusal.into_reply(&self.port.config.denied)
            }
        }
    }

    /// The path of one request: made canonical, decided, recorded, sent.
    async fn decide_and_send(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Reply>, Refusal> {
        target::within_scheme(&request, &self.endpoint, self.scheme)?;
        let http = request_of(&request, &self.endpoint, self.scheme)?;
        let fetch = match Fetch::of(&self.port, &http, request.headers()) {
            Some(fetch) => Some(Box::pin(fetch.known(self)).await?),
            None => None,
        };
        let http = fetch.as_ref().map_or(http, |fetch| fetch.prepare(request.headers_mut()));
        let permit = self.port.permit(Act::Request(http), &self.who).await;
        let mut account = Account::open(&self.port, &self.who, permit.map_err(Refusal::Denied)?)?;
        let upgrade = websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        let unread = head.extensions.remove::<Unread>();
        let (who, place) = ((&self.port, &self.who), (&self.endpoint, self.scheme));
        let message = (head, Sent::Streams(body));
        let sent = Box::pin(looked::put_together(who, place, &mut account, message)).await;
        let (head, carries, looking) = sent.inspect_err(|refusal| account.refuse(refusal))?;
        let (stopped, halted) = (carries.watch.stopped(), looking.as_ref().map(|it| it.stopped()));
        let upgrade = upgrade.map(|client| Upgrading { client, watch: carries.watch.again() });
        let body = account.outgoing(carries, unread).looked_through(looking);
        let method = head.method.clone();
        match self.send(Request::from_parts(head, body), upgrade.is_some()).await {
            Ok((response, server)) => match fetch {
                Some(fetch) => Box::pin(fetch.answer(self, response, (account, server))).await,
                None => self.pass_back((method, response), (account, server, upgrade)).await,
            },
            Err(refusal) => {
                let refusal = stopped.get().cloned().map_or(refusal, Refusal::Misused);
                let refusal = account.halted(refusal, halted.as_ref());
                account.refuse(&refusal);
                Err(refusal)
            }
        }
    }

    /// Sends a permitted request over the connection of the one before where that still stands.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Arc<Server>), Refusal> {
        let mut again = true;
        loop {
            let (server, used) = self.connected().await?;
            let message = outbound(request, (&self.authority, self.scheme), &server, upgrade);
            match server.send(message).await {
                Ok(response) => return Ok((response, server)),
                // Servers end idle connections whenever they like: what was not sent is sent over
                // another, which is decided anew.
                Err(Unanswered { unsent: Some(unsent), error })
                    if again && (used || error.is_none()) =>
                {
                    again = false;
                    request = *unsent;
                    self.forget(&server).await;
                }
                Err(Unanswered { error, .. }) => return Err(server.broke_off(error.as_ref())),
            }
        }
    }

    /// A connection that takes a request, and whether one went over it before.
    async fn connected(&self) -> Result<(Arc<Server>, bool), Refusal> {
        let mut kept = self.server.lock().await;
        let fresh = match std::mem::replace(&mut *kept, Kept::None) {
            Kept::Failed(reason) => {
                *kept = Kept::Failed(reason.clone());
                return Err(Refusal::Unreachable(reason));
            }
            Kept::Fresh(fresh) => fresh,
            Kept::Used(server) if server.ready().await => {
                *kept = Kept::Used(Arc::clone(&server));
                return Ok((server, true));
            }
            Kept::Used(_) | Kept::None => self.reopened().await?,
        };
        let server = Arc::new(Server::begin(fresh).await?);
        *kept = Kept::Used(Arc::clone(&server));
        Ok((server, false))
    }

    /// A connection like the first one was. Only a client of HTTP/2 is known not to ask for a
    /// websocket, which needs a server that speaks HTTP/1.1.
    async fn reopened(&self) -> Result<Fresh, Refusal> {
        let offered: &[Spoken] = match self.spoken {
            Spoken::Http1 => &[Spoken::Http1],
            Spoken::Http2 => &[Spoken::Http2, Spoken::Http1],
        };
        let opened = self.port.open(self.endpoint.clone(), &self.who).await?;
        match self.scheme {
            Scheme::Http => Ok(Fresh::plain(opened)),
            Scheme::Https => tls::connect(&self.port, (&self.endpoint, offered), opened).await,
        }
    }

    async fn forget(&self, server: &Arc<Server>) {
        let mut kept = self.server.lock().await;
        if matches!(&*kept, Kept::Used(same) if Arc::ptr_eq(same, server)) {
            *kept = Kept::None;
        }
    }

    /// What of a server's answer is for the client.
    pub(super) async fn pass_back(
        &self,
        (method, mut response): (Method, Response<Incoming>),
        (mut account, server, client): (Account, Arc<Server>, Option<Upgrading>),
    ) -> Result<Response<Reply>, Refusal> {
        account.answered(response.status().as_u16());
        *response.version_mut() = Version::HTTP_11;
        let about = (&self.endpoint, account.carried());
        let scrubbing = match secrets::scrub(&self.port, about, response.headers_mut()) {
            Ok(scrubbing) => scrubbing,
            Err(refusal) => {
                account.refuse(&refusal);
                return Err(refusal);
            }
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            remove_hop_headers(response.headers_mut());
            let reply = |body| Reply::Inspected(Box::new(body));
            if let Some(handled) = account.handling().cloned() {
                let (answer, over) = ((method, response), (account, server, scrubbing));
                let looked = Box::pin(looked::answer(&self.port, handled, answer, over)).await?;
                return Ok(looked.map(reply));
            }
            let body = |body| Answered::new(body, (account, server), scrubbing);
            return Ok(response.map(body).map(reply));
        }
        let Some(Upgrading { client, watch }) = client.filter(|_| websocket(response.headers()))
        else {
            let reason = "the server switched protocols unasked".to_owned();
            server.failed(&reason);
            let refusal = Refusal::Unreachable(reason);
            account.refuse(&refusal);
            return Err(refusal);
        };
        let upgraded = hyper::upgrade::on(&mut response);
        let (over, server) = (server, upgraded);
        let switched = Switched { client, watch, server, account, scrubbing, _over: over };
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = Some(switched);
        Ok(response.map(|_| Reply::empty()))
    }
}

impl Kept {
    fn failed(&mut self, reason: &impl ToString) {
        match self {
            Kept::Fresh(fresh) => fresh.line.fail(reason),
            Kept::Used(server) => server.failed(reason),
            Kept::None | Kept::Failed(_) => {}
        }
    }
}

impl Switched {
    /// Carries bytes until both sides are done or one fails.
    pub(crate) async fn run(mut self) {
        let joined = async {
            let client = self.client.await.map_err(std::io::Error::other)?;
            let server = self.server.await.map_err(std::io::Error::other)?;
            let mut client = Watched::new(TokioIo::new(client), &self.watch);
            let mut server = Scrubbed::new(TokioIo::new(server), self.scrubbing);
            let size = SPLICE_BUFFER_BYTES;
            copy_bidirectional_with_sizes(&mut client, &mut server, size, size).await
        };
        match joined.await {
            Ok(bytes) => self.account.passed(bytes),
            Err(error) => self.account.fail(&error),
        }
    }
}

/// A request as the policy sees it.
pub(crate) fn request_of(
    request: &Request<Incoming>,
    endpoint: &Endpoint,
    scheme: Scheme,
) -> Result<HttpRequest, Refusal> {
    if request.method() == Method::TRACE {
        return Err(Refusal::malformed("TRACE is not carried: it shows what was sent"));
    }
    if let Some(named) = dropped(request.headers()) {
        let reason = format!("`Connection` names `{named}`, which the server would not be sent");
        return Err(Refusal::Malformed(reason));
    }
    let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let headers: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
    let parts = HttpParts {
        method: request.method().as_str(),
        target,
        headers: &headers,
        size: request.body().size_hint().exact(),
    };
    HttpRequest::new(endpoint.clone(), scheme, parts)
        .map_err(|error: HttpError| Refusal::Malformed(error.to_string()))
}

/// A header that only the gate would see: what a rule may ask for must reach the server.
fn dropped(headers: &HeaderMap) -> Option<String> {
    const OF_CONNECTIONS: [&str; 6] =
        ["close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection"];
    let values = headers.get_all(header::CONNECTION).into_iter();
    let names = values.flat_map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).find(|name| !OF_CONNECTIONS.contains(&name.as_str()))
}

/// A request in the form in which a server is sent it.
fn outbound<B>(
    request: Request<B>,
    (authority, scheme): (&str, Scheme),
    server: &Server,
    upgrade: bool,
) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    let trailers = parts.headers.get(header::TE).is_some_and(|value| value == "trailers");
    remove_hop_headers(&mut parts.headers);
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    match server.spoken() {
        Spoken::Http1 => {
            parts.version = Version::HTTP_11;
            parts.uri = Uri::from(path);
            if let (false, Ok(host)) =
                (parts.headers.contains_key(header::HOST), HeaderValue::from_str(authority))
            {
                parts.headers.insert(header::HOST, host);
            }
            if upgrade {
                parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
        }
        Spoken::Http2 => {
            parts.version = Version::HTTP_2;
            parts.headers.remove(header::HOST);
            let uri = Uri::builder().scheme(scheme.as_str()).authority(authority);
            if let Ok(uri) = uri.path_and_query(path).build() {
                parts.uri = uri;
            }
            if trailers {
                parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
            }
        }
    }
    Request::from_parts(parts, body)
}
