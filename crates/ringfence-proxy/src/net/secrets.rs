//! Secrets in requests: stand-ins are looked for, each use is decided as an act of its own, and only
//! then the real value is put in. Whatever else has a stand-in in it goes no further.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Bytes, Frame};
use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use ringfence_core::{
    Durability, Endpoint, Event, HOST_SERVICE_NAME, Host, Misuse, Permit, Process, Running, Scheme,
    SecretName,
};
use ringfence_secrets::Held;
use ringfence_secrets::held::{SwapError, scrub_head, unreadable};
use ringfence_secrets::look::{BodyWatch, Look, Misplaced, Use};
use ringfence_secrets::scrub::{Patterns, Scrubber};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::live::Client;
use super::open::Port;
use super::reply::Refusal;

/// How much of a websocket is read at a time, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// Takes values out of what streams back.
pub(super) type Scrubbing = Scrubber<Arc<Patterns>>;

/// What a request carries of secrets once it was looked at.
#[derive(Default)]
pub(super) struct Carries {
    /// The uses whose values are in it, to be finished when it is answered.
    pub(super) uses: Vec<Running>,
    /// Looks for stand-ins in its body.
    pub(super) watch: Watch,
}

/// Whether a request has a secret's value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Carried,
    Absent,
}

/// Looks for stand-ins in the body of one request, which has no place for any.
#[derive(Default)]
pub(super) struct Watch(Option<Watching>);

struct Watching {
    /// Of secrets that the request does not use: it is stopped.
    others: BodyWatch,
    /// Of those it does: whom it goes to has the value, so that it goes on.
    own: BodyWatch,
    port: Arc<Port>,
    about: About,
    stopped: Arc<OnceLock<String>>,
}

/// Puts the values of permitted secrets into a request.
pub(super) async fn put_in(
    (port, who): (&Arc<Port>, &Client),
    (endpoint, scheme): (&Endpoint, Scheme),
    mut head: Parts,
) -> Result<(Parts, Carries), Refusal> {
    let held = &port.config.held;
    if held.is_empty() {
        return Ok((head, Carries::default()));
    }
    let uses = match held.look(endpoint, &head) {
        Look::Nothing => Vec::new(),
        Look::Uses(uses) => uses,
        Look::Misused(wrong) => return Err(misused(port, who, (endpoint, &head), wrong).await),
    };
    if let (Some(first), Scheme::Http) = (uses.first(), scheme)
        && !is_of_this_host(endpoint)
    {
        let wrong = Misplaced {
            secret: first.secret.clone(),
            place: "the head".to_owned(),
            why: "it would go unencrypted".to_owned(),
        };
        return Err(misused(port, who, (endpoint, &head), wrong).await);
    }
    if held.is_bound(endpoint) {
        // What comes back is searched for values, also of requests before this one.
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let own: Vec<SecretName> = uses.iter().map(|used| used.secret.clone()).collect();
    let about = About::of(port, who, (endpoint, &head)).await;
    let watch = Watch::new(port, about, &own);
    let (head, uses) = swap((port, who), endpoint, (head, uses)).await?;
    Ok((head, Carries { uses, watch }))
}

/// Refuses a request to somewhere that no secret is bound to and that has a stand-in in its head.
pub(super) async fn refuse_misplaced(
    (port, who): (&Port, &Client),
    endpoint: &Endpoint,
    head: &Parts,
) -> Result<(), Refusal> {
    match port.config.held.look(endpoint, head) {
        Look::Nothing => Ok(()),
        Look::Misused(wrong) => Err(misused(port, who, (endpoint, head), wrong).await),
        Look::Uses(uses) => {
            let secret = uses.into_iter().map(|used| used.secret).next();
            let wrong = secret.map(|secret| Misplaced {
                secret,
                place: "the head".to_owned(),
                why: "the connection is not looked into".to_owned(),
            });
            match wrong {
                Some(wrong) => Err(misused(port, who, (endpoint, head), wrong).await),
                None => Ok(()),
            }
        }
    }
}

/// Decides each use, then swaps; what has to be fetched is waited for outside of the runtime.
async fn swap(
    (port, who): (&Arc<Port>, &Client),
    endpoint: &Endpoint,
    (head, uses): (Parts, Vec<Use>),
) -> Result<(Parts, Vec<Running>), Refusal> {
    if uses.is_empty() {
        return Ok((head, Vec::new()));
    }
    let mut permitted: Vec<(Use, Permit)> = Vec::new();
    for used in uses {
        let act = Held::act(&used, endpoint, &head);
        let permit = port.permit(act, who).await.map_err(Refusal::Denied)?;
        permitted.push((used, permit));
    }
    let (held, endpoint) = (Arc::clone(&port.config.held), endpoint.clone());
    let swapping = tokio::task::spawn_blocking(move || {
        let mut head = head;
        let swap = |(used, permit)| held.swap((&used, permit), &endpoint, &mut head);
        let running = permitted.into_iter().map(swap).collect::<Result<Vec<_>, _>>()?;
        Ok((head, running))
    });
    match swapping.await {
        Ok(Ok(swapped)) => Ok(swapped),
        Ok(Err(SwapError::Denied(denial))) => Err(Refusal::Denied(*denial)),
        Ok(Err(error @ (SwapError::OtherUse | SwapError::Fetch(_) | SwapError::Changed))) => {
            Err(Refusal::Unreachable(error.to_string()))
        }
        Err(error) => Err(Refusal::Unreachable(error.to_string())),
    }
}

/// Makes the head of an answer safe to pass back; what takes values out of its body, where it may
/// have any.
pub(super) fn scrub(
    port: &Port,
    (endpoint, value): (&Endpoint, Value),
    headers: &mut HeaderMap,
) -> Result<Option<Scrubbing>, Refusal> {
    let held = &port.config.held;
    let patterns = held.patterns();
    if patterns.is_empty() || !held.is_bound(endpoint) {
        return Ok(None);
    }
    scrub_head(headers, &patterns);
    match (unreadable(headers), value) {
        (None, _) => Ok(Some(Scrubber::new(patterns))),
        // It answers a request without a value, and says nothing of one.
        (Some(_), Value::Absent) => Ok(None),
        (Some(why), Value::Carried) => Err(Refusal::Unreachable(why)),
    }
}

/// Whether a connection stays on this machine.
fn is_of_this_host(endpoint: &Endpoint) -> bool {
    match &endpoint.host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost" || name == HOST_SERVICE_NAME,
    }
}

/// Records a stand-in in the wrong place; what the client is told.
async fn misused(
    port: &Port,
    who: &Client,
    request: (&Endpoint, &Parts),
    wrong: Misplaced,
) -> Refusal {
    About::of(port, who, request).await.refuse(port, wrong)
}

/// A request as an incident names it.
struct About {
    process: Option<Process>,
    endpoint: Endpoint,
    method: String,
    path: String,
}

impl About {
    async fn of(port: &Port, who: &Client, (endpoint, head): (&Endpoint, &Parts)) -> About {
        About {
            process: port.process_of(who).await,
            endpoint: endpoint.clone(),
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
        }
    }

    fn misuse(&self, wrong: Misplaced) -> Misuse {
        let Misplaced { secret, place, why } = wrong;
        let About { process, endpoint, method, path } = self;
        let (endpoint, method, path) = (endpoint.clone(), method.clone(), path.clone());
        Misuse { process: *process, secret, endpoint, method, path, place, why, refused: true }
    }

    fn refuse(&self, port: &Port, wrong: Misplaced) -> Refusal {
        let Misplaced { secret, place, why } = &wrong;
        let text = format!("denied: what stands in for the secret `{secret}` is in {place}: {why}");
        // Refused whether or not it could be recorded; a log that fails ends the session.
        let _ = port.note(Event::SecretMisused(self.misuse(wrong)), Durability::Before);
        Refusal::Misused(text)
    }
}

impl Watch {
    fn new(port: &Arc<Port>, about: About, own: &[SecretName]) -> Watch {
        let held = &port.config.held;
        Watch(Some(Watching {
            others: held.watch_body(&|name| !own.contains(name)),
            own: held.watch_body(&|name| own.contains(name)),
            port: Arc::clone(port),
            about,
            stopped: Arc::default(),
        }))
    }

    /// Says why the request was stopped, if it was.
    pub(super) fn stopped(&self) -> Arc<OnceLock<String>> {
        self.0.as_ref().map_or_else(Arc::default, |it| Arc::clone(&it.stopped))
    }

    /// Looks at the next piece of a body; an error ends it.
    pub(super) fn look(&mut self, frame: &Frame<Bytes>) -> Result<(), Stopped> {
        let Some(watching) = &mut self.0 else { return Ok(()) };
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => watching.push(data),
            (None, Some(trailers)) => {
                trailers.values().try_for_each(|value| watching.push(value.as_bytes()))
            }
            (None, None) => Ok(()),
        }
    }
}

impl Watching {
    fn push(&mut self, piece: &[u8]) -> Result<(), Stopped> {
        if let Some(secret) = self.own.push(piece) {
            // Said once.
            self.own = BodyWatch::default();
            // It goes where the value goes too, and with it in its own place.
            let misuse = Misuse { refused: false, ..self.about.misuse(in_body(secret)) };
            let _ = self.port.note(Event::SecretMisused(misuse), Durability::Soon);
        }
        let Some(secret) = self.others.push(piece) else { return Ok(()) };
        let refusal = self.about.refuse(&self.port, in_body(secret));
        let _ = self.stopped.set(refusal.reason());
        Err(Stopped)
    }
}

fn in_body(secret: SecretName) -> Misplaced {
    let (place, why) = ("the body".to_owned(), "a body is no place for it".to_owned());
    Misplaced { secret, place, why }
}

/// A request that was stopped while its body was sent.
#[derive(Debug, thiserror::Error)]
#[error("its body has what stands in for a secret in it")]
pub(super) struct Stopped;

/// A stream out of which values are taken as it is read.
pub(super) struct Scrubbed<S> {
    stream: S,
    scrubbing: Option<Scrubbing>,
    ready: Bytes,
}

impl<S> Scrubbed<S> {
    pub(super) fn new(stream: S, scrubbing: Option<Scrubbing>) -> Scrubbed<S> {
        Scrubbed { stream, scrubbing, ready: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Scrubbed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let Some(scrubbing) = &mut this.scrubbing else {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            };
            let mut bytes = [0; READ_BYTES];
            let mut part = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(context, &mut part) {
                Poll::Ready(Ok(())) if part.filled().is_empty() => {
                    this.ready = scrubbing.finish().into();
                    this.scrubbing = None;
                }
                Poll::Ready(Ok(())) => this.ready = scrubbing.push(part.filled()).into(),
                other @ (Poll::Ready(Err(_)) | Poll::Pending) => return other,
            }
        }
        let count = this.ready.len().min(buffer.remaining());
        buffer.put_slice(&this.ready.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Scrubbed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
