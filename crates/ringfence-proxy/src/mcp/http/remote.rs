//! A server behind an address, for one session of one client: its messages are carried over "Streamable HTTP", or
//! over the HTTP+SSE of 2024-11-05 where it speaks that only.
//!
//! Messages go in and come out as they do over pipes; what HTTP adds stays here. Every connection and, where a rule
//! speaks of it, every request is decided ([`Own`]). Redirects are not followed.

mod asking;
mod old;
mod outgoing;
mod refusal;
mod word;

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};

use super::super::frame::{INTERNAL_ERROR, Id, Kind, error_answer};
use super::super::headers::{self, Repeated};
use super::super::lines::MESSAGE_BYTES_MAX;
use super::super::oauth::challenge::Lacks;
use super::turns::Turns;
use super::url::Url;
use crate::net::{Coming, Own, awake, header};
use outgoing::{Outgoing, Stands};
pub use word::{Say, Unheard, Word};

/// Most requests of one session that are under way; more wait.
const UNDER_WAY_MAX: usize = 256;

/// Most streams on which a server of 2026-07-28 tells of changes; one more is refused, for none of them ends by itself.
const LISTENS_MAX: usize = 64;

/// How long a server may take to answer what asks for no answer, in seconds.
const TAKEN_SECONDS_MAX: u64 = 30;

/// How long a request may take altogether, in seconds.
const REQUEST_SECONDS_MAX: u64 = 6 * 60 * 60;

/// How long the end of a session may take, in seconds.
const END_SECONDS_MAX: u64 = 2;

/// How much of an answer that is none is told, in bytes.
const SAID_BYTES_MAX: usize = 2 * 1024;

/// Longest identifier of a session, in bytes.
const SESSION_BYTES_MAX: usize = 1_024;

/// How long a stream may go on that another policy does not permit, where nobody says that there is one.
const POLICY_LOOK: Duration = Duration::from_secs(1);

/// How long is waited until a session that reads slowly is looked at again.
const SLOW_LOOK: Duration = Duration::from_millis(2);

/// The header that names a session.
pub const SESSION: &str = "mcp-session-id";
/// The header that names the event behind which a stream goes on.
pub const LAST_EVENT: &str = "last-event-id";
const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// A server, and how it is reached.
#[derive(Clone)]
pub struct Server {
    own: Arc<Own>,
    url: Url,
    headers: HeaderMap,
    repeated: Arc<BTreeMap<String, Vec<Repeated>>>,
    renew: Option<Arc<dyn Renew>>,
    /// What the last request lacked that was refused for that.
    lacks: Arc<Mutex<Option<Lacks>>>,
    /// Those of all its sessions.
    turns: Arc<Turns>,
}

/// A login that can be renewed.
pub trait Renew: Send + Sync {
    /// Has a new token in the place of the one that is sent; the error is for a person.
    fn renew(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;

    /// What is said where the server wants a login for more than this one is for.
    fn wants(&self, scope: &str) -> String;
}

/// Headers that are ours to set.
const OURS: [&str; 16] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    LAST_EVENT,
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Server {
    /// A server at `url`, to which `own` leads. `headers` are sent with each request besides, with stand-ins for
    /// secrets; `repeated` says which arguments of its tools are repeated as headers.
    pub fn new(
        own: Own,
        url: Url,
        headers: &BTreeMap<String, String>,
        repeated: BTreeMap<String, Vec<Repeated>>,
    ) -> Result<Server, String> {
        let headers: Result<HeaderMap, String> = headers
            .iter()
            .map(|(name, value)| {
                let (name, mut value) = checked(name, value)?;
                value.set_sensitive(true);
                Ok((name, value))
            })
            .collect();
        Ok(Server {
            own: Arc::new(own),
            url,
            headers: headers?,
            repeated: Arc::new(repeated),
            renew: None,
            lacks: Arc::default(),
            turns: Arc::default(),
        })
    }

    /// The same with a login that is renewed where the server does not take it any more.
    #[must_use]
    pub fn renewed_by(self, renew: Arc<dyn Renew>) -> Server {
        Server { renew: Some(renew), ..self }
    }

    /// What the last request lacked that was refused for that, if any was.
    pub fn lacks(&self) -> Option<Lacks> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of what a request lacked; that of one that was answered stays.
    fn noted(&self, response: &Response<Coming>) -> Option<Lacks> {
        let lacks = Lacks::of(response.status(), response.headers())?;
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = Some(lacks.clone());
        Some(lacks)
    }

    /// Ends the connections that nothing goes over.
    pub fn close(&self) {
        self.own.close();
    }

    /// Ends the connections that the policy in force does not permit; to be called after a reload.
    pub fn end_unpermitted(&self) {
        self.own.end_unpermitted();
    }
}

/// Whether this may be sent with each request; the error says why not.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    checked(name, value).map(drop)
}

fn checked(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = |what: &str| format!("header `{name}`: {what}");
    let parsed = HeaderName::try_from(name).map_err(|_| wrong("none is called so"))?;
    if OURS.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
        return Err(wrong("it is set by what speaks to the server"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| wrong("its value is none"))?;
    Ok((parsed, value))
}

/// A session with a server.
struct Session {
    server: Server,
    say: Arc<Say>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the server calls the session.
    id: Option<HeaderValue>,
    /// The revision that was agreed on.
    revision: Option<HeaderValue>,
    /// Where messages are posted to over HTTP+SSE.
    old: Option<Url>,
}

/// Carries messages until none comes any more, then ends the session; of those that wait, the bytes are counted.
pub(super) async fn carry(
    server: Server,
    (mut messages, waiting): (mpsc::Receiver<String>, Arc<AtomicUsize>),
    say: Arc<Say>,
) {
    let session = Arc::new(Session { server, say, state: Mutex::default() });
    let mut tasks = Tasks::default();
    let mut looks = interval(POLICY_LOOK);
    loop {
        let room = tasks.running.len() < UNDER_WAY_MAX;
        tokio::select! {
            message = messages.recv(), if room => match message {
                Some(text) => {
                    waiting.fetch_sub(text.len(), Ordering::Relaxed);
                    session.pass_on(text, &mut tasks).await;
                }
                None => break,
            },
            _ = looks.tick() => session.server.own.refresh(),
            Some(_) = tasks.running.join_next(), if !tasks.running.is_empty() => tasks.tidy(),
            Some(_) = tasks.listening.join_next(), if !tasks.listening.is_empty() => tasks.tidy(),
        }
    }
    drop(tasks);
    let _ = timeout(Duration::from_secs(END_SECONDS_MAX), session.end()).await;
}

/// What is under way; all of it ends with this.
#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    /// What listens to changes: nobody waits for these.
    listening: JoinSet<()>,
    by_request: HashMap<Id, (AbortHandle, Stands)>,
}

impl Tasks {
    fn tidy(&mut self) {
        self.by_request.retain(|_, (task, _)| !task.is_finished());
    }

    /// Carries a request.
    fn carry(&mut self, id: Id, request: impl Future<Output = ()> + Send + 'static, of: Stands) {
        let set = match of {
            Stands::Listening => &mut self.listening,
            Stands::Alone | Stands::InSession => &mut self.running,
        };
        let task = set.spawn(request);
        self.by_request.insert(id, (task, of));
    }
}

impl Session {
    async fn pass_on(self: &Arc<Session>, text: String, tasks: &mut Tasks) {
        let bytes = text.len();
        let repeated = Arc::clone(&self.server.repeated);
        let read = move || Outgoing::read(text, &repeated);
        let Some(Some(outgoing)) = self.server.turns.over(bytes, read).await else { return };
        let of = outgoing.stands;
        match outgoing.message.kind() {
            // What comes next needs what the answer to this brings.
            Kind::Request { id, method, .. } if method == "initialize" => {
                let id = id.clone();
                if let Some(listening) = self.request(outgoing, id, Asks::ToBegin).await {
                    tasks.running.spawn(listening);
                }
            }
            Kind::Request { id, .. } => {
                let (session, id) = (Arc::clone(self), id.clone());
                if of == Stands::Listening && tasks.listening.len() >= LISTENS_MAX {
                    let why = format!("more than {LISTENS_MAX} streams of changes are open");
                    let answer = error_answer(Some(&id), INTERNAL_ERROR, &why);
                    self.say(Word::Line(answer.into_bytes())).await;
                    return;
                }
                let asks = if of == Stands::InSession { Asks::Anything } else { Asks::Alone };
                let named = id.clone();
                // Boxed: a task is moved when it is begun and when it ends.
                let request = Box::pin(async move {
                    let _ = session.request(outgoing, id, asks).await;
                });
                tasks.carry(named, request, of);
            }
            Kind::Notification { method, .. } => {
                let method = method.clone();
                let cancels = outgoing.cancels.as_ref();
                let cancelled = cancels.and_then(|id| tasks.by_request.remove(id));
                // First: that the server ends its stream without an answer then is no failure to be told.
                let stood = cancelled.map(|(task, stood)| {
                    task.abort();
                    stood
                });
                if !matches!(stood, Some(Stands::Alone | Stands::Listening)) {
                    self.deliver(&outgoing).await;
                }
                if method == "notifications/initialized" && self.state().old.is_none() {
                    tasks.running.spawn(Arc::clone(self).listen());
                }
            }
            Kind::Response { .. } => self.deliver(&outgoing).await,
        }
    }

    /// Sends what asks for no answer.
    async fn deliver(&self, message: &Outgoing) {
        let before = self.state().id.clone();
        let sent = timeout(Duration::from_secs(TAKEN_SECONDS_MAX), self.post(message)).await;
        let Ok(Ok(response)) = sent else { return };
        if response.status() == StatusCode::NOT_FOUND && self.forget(before.as_ref()) {
            self.say(Word::Forgot(None)).await;
        }
        // Read to its end, so that the next request may go over the same connection.
        let rest = response.into_body().whole(SAID_BYTES_MAX);
        let _ = timeout(Duration::from_secs(TAKEN_SECONDS_MAX), rest).await;
    }

    /// The server does not know its session any more; whether that was not known yet.
    fn forget(&self, before: Option<&HeaderValue>) -> bool {
        let mut state = self.state();
        let is_new = before.is_some() && state.id.as_ref() == before;
        if is_new {
            (state.id, state.revision) = (None, None);
        }
        is_new
    }

    /// Ends the session at the server.
    async fn end(&self) {
        if self.state().id.is_none() {
            return;
        }
        let request = self.head(Method::DELETE, &self.server.url, None);
        if let Ok(response) = self.server.own.send(request).await {
            let _ = response.into_body().whole(SAID_BYTES_MAX).await;
        }
    }

    /// Says something to the session, which may take its time; whether it still listens.
    async fn say(&self, mut word: Word) -> bool {
        let bytes = word.bytes();
        loop {
            match self.server.turns.take(bytes, || (self.say)(word)).await {
                Ok(()) => return true,
                Err(Unheard::Gone) => return false,
                Err(Unheard::Full(back)) => word = back,
            }
            sleep(SLOW_LOOK).await;
        }
    }

    /// Posts a message; the error is for a person.
    async fn post(&self, outgoing: &Outgoing) -> Result<Response<Coming>, String> {
        let old = self.state().old.clone();
        let mut request = self.head(Method::POST, old.as_ref().unwrap_or(&self.server.url), None);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, both);
        for (name, value) in outgoing.headers.as_ref().map_err(Clone::clone)? {
            headers.insert(name, value.clone());
        }
        *request.body_mut() = Bytes::from(outgoing.message.text().to_owned());
        awake::beat();
        let response = self.send(request).await;
        awake::beat();
        response
    }

    /// Sends a request, and once more with another token where the server does not take the one it had.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Coming>, String> {
        let again = self.server.renew.as_ref().map(|renew| (renew, request.clone()));
        let response = self.server.own.send(request).await?;
        let lacks = self.server.noted(&response);
        let Some((renew, again)) = again else { return Ok(response) };
        match lacks {
            Some(Lacks::More(more)) => Err(renew.wants(&more.scope.unwrap_or_default())),
            Some(Lacks::Login(_)) => {
                // Read to its end, so that the next request may go over the same connection.
                let _ = response.into_body().whole(SAID_BYTES_MAX).await;
                renew.renew().await?;
                let response = self.server.own.send(again).await?;
                self.server.noted(&response);
                Ok(response)
            }
            None => Ok(response),
        }
    }

    /// Asks for a stream of events, behind the one of this name.
    async fn get(&self, last: Option<&str>) -> Result<Response<Coming>, String> {
        let mut request = self.head(Method::GET, &self.server.url, last);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        self.send(request).await
    }

    /// A request without a body.
    fn head(&self, method: Method, url: &Url, last: Option<&str>) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        // Checked when the address was read.
        *request.uri_mut() = url.target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&self.server.headers);
        let state = self.state();
        let ours = [(SESSION, &state.id), (headers::PROTOCOL_VERSION, &state.revision)];
        for (name, value) in ours {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert(HeaderName::from_static(LAST_EVENT), last);
        }
        request
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    ToBegin,
    Anything,
    /// Anything by a request that stands for itself.
    Alone,
}

/// What an answer is, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Events,
    Other,
}

fn form(response: &Response<Coming>) -> Form {
    let kind = header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        JSON => Form::Json,
        EVENT_STREAM => Form::Events,
        _ => Form::Other,
    }
}

/// The most that an answer may be.
const ANSWER_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
