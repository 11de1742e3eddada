//! Secrets in requests: stand-ins are looked for, each use is decided as an act of its own, and only
//! then the real value is put in. Whatever else has a stand-in in it goes no further.

mod frames;
mod scrubbed;

use std::sync::{Arc, OnceLock};

use hyper::HeaderMap;
use hyper::body::{Bytes, Frame};
use hyper::header::SEC_WEBSOCKET_EXTENSIONS;
use hyper::http::request::Parts;
use ringfence_core::{
    Durability, Endpoint, Event, HOST_SERVICE_NAME, Host, Misuse, Outcome, Permit, Process,
    Request, Running, Scheme, SecretName,
};
use ringfence_secrets::Held;
use ringfence_secrets::held::{SwapError, make_readable, scrub_head, unreadable};
use ringfence_secrets::look::{BodyWatch, Look, Misplaced, Use};
use ringfence_secrets::sigv4::chunks::Chunks;
use ringfence_secrets::sigv4::claim::{Resigned, Verified};

use super::aws::{self, Right, Room, Sent, Wrong};
use super::live::Client;
use super::open::Port;
use super::reply::Refusal;

pub(super) use frames::Watched;
pub(super) use scrubbed::{Scrubbed, Scrubbing};

/// What a request carries of secrets once it was looked at.
pub(super) struct Carries {
    /// The uses of secrets that it is, to be finished when it is answered.
    pub(super) uses: Vec<Running>,
    /// What of them is in it.
    pub(super) carried: Carried,
    /// Looks for stand-ins in its body.
    pub(super) watch: Watch,
    /// Its body.
    pub(super) body: Sent,
    /// Given back when all of it is sent.
    pub(super) room: Option<Room>,
}

/// What a request has of secrets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    Nothing,
    /// A value.
    Value,
    /// A signature that a value made, and the one that it took the place of.
    Signature {
        ours: String,
        theirs: String,
    },
}

/// Looks for stand-ins in the body of one request, which has no place for any; signs it anew where it
/// is signed piece by piece.
#[derive(Default)]
pub(super) struct Watch(Option<Box<Watching>>);

struct Watching {
    /// Of secrets that the request does not use: it is stopped.
    others: BodyWatch,
    /// Of those it does: whom it goes to has the value, so that it goes on.
    own: BodyWatch,
    /// Signs the body anew for this secret.
    chunks: Option<(SecretName, Chunks)>,
    port: Arc<Port>,
    about: About,
    stopped: Arc<OnceLock<String>>,
}

/// Puts the values of permitted secrets into a request.
pub(super) async fn put_in(
    (port, who): (&Arc<Port>, &Client),
    (endpoint, scheme): (&Endpoint, Scheme),
    (mut head, body): (Parts, Sent),
) -> Result<(Parts, Carries), Refusal> {
    let held = &port.config.held;
    if held.is_empty() {
        return Ok((head, Carries::only(body)));
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
    let (right, body) = signed((port, who), endpoint, &uses, (&head, body)).await?;
    if held.is_bound(endpoint) && right.is_none() {
        // What comes back is searched for values, also of requests before this one.
        make_readable(&mut head);
    }
    // What is said over a websocket is searched for stand-ins, wherever it leads.
    head.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    let own: Vec<SecretName> = uses.iter().map(|used| used.secret.clone()).collect();
    let about = About::of(port, who, (endpoint, &head)).await;
    let mut carries = Carries { watch: Watch::new(port, about, &own), ..Carries::only(body) };
    let verified = right.map(|Right { verified, room }| {
        carries.room = room;
        let host = aws::settle_host(&mut head.headers, (endpoint, scheme));
        (verified, host)
    });
    let head = swap((port, who), endpoint, (head, uses, verified), &mut carries).await?;
    Ok((head, carries))
}

impl Carries {
    fn only(body: Sent) -> Carries {
        let (carried, watch) = (Carried::Nothing, Watch::default());
        Carries { uses: Vec::new(), carried, watch, body, room: None }
    }

    /// Takes note of a use that is in the request now.
    fn note(&mut self, running: Running, made: Option<(SecretName, Resigned)>) {
        self.uses.push(running);
        let Some((secret, Resigned { ours, theirs, chunks })) = made else {
            self.carried = Carried::Value;
            return;
        };
        if self.carried == Carried::Nothing {
            self.carried = Carried::Signature { ours, theirs };
        }
        self.watch.sign(chunks.map(|chunks| (secret, chunks)));
    }
}

/// Finds the signature of a request right, where a stand-in made it.
async fn signed(
    (port, who): (&Arc<Port>, &Client),
    endpoint: &Endpoint,
    uses: &[Use],
    (head, body): (&Parts, Sent),
) -> Result<(Option<Right>, Sent), Refusal> {
    let Some(used) = uses.iter().find(|used| used.is_signature()) else {
        return Ok((None, body));
    };
    match aws::verify((&port.config.held, &port.bodies), used, (head, body)).await {
        Ok((right, body)) => Ok((Some(right), body)),
        Err(Wrong::Forged(why)) => {
            let (secret, place) = (used.secret.clone(), "the signature".to_owned());
            let wrong = Misplaced { secret, place, why };
            Err(misused(port, who, (endpoint, head), wrong).await)
        }
        Err(Wrong::Unsupported(why)) => Err(Refusal::Unclear(format!(
            "the request to {endpoint} cannot be signed with the secret `{}`: {why}",
            used.secret
        ))),
    }
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
    (head, mut uses, mut verified): (Parts, Vec<Use>, Option<(Verified, String)>),
    carries: &mut Carries,
) -> Result<Parts, Refusal> {
    if uses.is_empty() {
        return Ok(head);
    }
    // What signs a request signs what others put into it.
    uses.sort_by_key(Use::is_signature);
    let mut permitted: Vec<(Use, Permit)> = Vec::new();
    for used in uses {
        let act = Held::act(&used, endpoint, &head);
        let permit = port.permit(act, who).await.map_err(Refusal::Denied)?;
        permitted.push((used, permit));
    }
    let asked: Vec<Request> = permitted.iter().map(|(_, it)| it.request().clone()).collect();
    let (held, endpoint) = (Arc::clone(&port.config.held), endpoint.clone());
    let swapping = tokio::task::spawn_blocking(move || {
        let mut head = head;
        let mut done = Vec::new();
        for (used, permit) in permitted {
            let of = (&used, permit);
            let put = match (used.is_signature(), verified.take()) {
                (true, Some((verified, host))) => held
                    .resign(of, verified, (&endpoint, &host), &mut head)
                    .map(|(running, made)| (running, Some((used.secret, made)))),
                (true, None) => Err(SwapError::Changed),
                (false, kept) => {
                    verified = kept;
                    held.swap(of, &endpoint, &mut head).map(|running| (running, None))
                }
            };
            match put {
                Ok(put) => done.push(put),
                Err(error) => return Err(not_put_in(done, error)),
            }
        }
        Ok((head, done))
    });
    match swapping.await {
        Ok(Ok((head, done))) => {
            for (running, made) in done {
                carries.note(running, made);
            }
            Ok(head)
        }
        Ok(Err((_, SwapError::Denied(denial)))) => Err(Refusal::Denied(*denial)),
        Ok(Err((
            at,
            error @ (SwapError::OtherUse
            | SwapError::Fetch(_)
            | SwapError::Unsigned(_)
            | SwapError::Changed),
        ))) => {
            let reason = error.to_string();
            if let Some(request) = asked.get(at) {
                port.tell_failed(request, &reason);
            }
            Err(Refusal::Unreachable(reason))
        }
        Err(error) => Err(Refusal::Unreachable(error.to_string())),
    }
}

/// Ends the uses of a request that is not sent; which of them could not be put in, and why.
fn not_put_in<T>(before: Vec<(Running, T)>, error: SwapError) -> (usize, SwapError) {
    let at = before.len();
    for (running, _) in before {
        let error = "the request was not sent: another secret could not be put into it".to_owned();
        // A log that fails here makes every later check a denial.
        let _ = running.finish(Outcome::Failed { error });
    }
    (at, error)
}

/// Makes the head of an answer safe to pass back; what takes values out of its body, where it may
/// have any.
pub(super) fn scrub(
    port: &Port,
    (endpoint, carried): (&Endpoint, &Carried),
    headers: &mut HeaderMap,
) -> Result<Option<Scrubbing>, Refusal> {
    let held = &port.config.held;
    if !held.is_bound(endpoint) {
        return Ok(None);
    }
    let signature = match carried {
        Carried::Nothing | Carried::Value => None,
        Carried::Signature { ours, theirs } => Some((ours.clone(), theirs.clone())),
    };
    // Also before any value is had: one may be while this answer streams.
    let scrubbing = Scrubbing::new(held, signature);
    let patterns = scrubbing.patterns();
    scrub_head(headers, &patterns);
    match (unreadable(headers), carried) {
        // What was signed chooses itself what its answer is said to be.
        (None, _) | (Some(_), Carried::Signature { .. }) => Ok(Some(scrubbing)),
        // Also to a request without a value: a server may have kept one from another, or be told one
        // while this answer streams.
        (Some(why), Carried::Nothing | Carried::Value) => Err(Refusal::Unreachable(why)),
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
#[derive(Clone)]
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
        let misuse = self.misuse(wrong);
        // Refused whether or not it could be recorded; a log that fails ends the session.
        let entry = port.note(Event::SecretMisused(misuse.clone()), Durability::Before).ok();
        (port.config.misused)(&misuse, entry.as_ref());
        Refusal::Misused(text)
    }
}

impl Watch {
    fn new(port: &Arc<Port>, about: About, own: &[SecretName]) -> Watch {
        let held = &port.config.held;
        Watch(Some(Box::new(Watching {
            others: held.watch_body(&|name| !own.contains(name)),
            own: held.watch_body(&|name| own.contains(name)),
            chunks: None,
            port: Arc::clone(port),
            about,
            stopped: Arc::default(),
        })))
    }

    /// Says why the request was stopped, if it was.
    pub(super) fn stopped(&self) -> Arc<OnceLock<String>> {
        self.0.as_ref().map_or_else(Arc::default, |it| Arc::clone(&it.stopped))
    }

    fn sign(&mut self, chunks: Option<(SecretName, Chunks)>) {
        if let Some(watching) = &mut self.0 {
            watching.chunks = chunks;
        }
    }

    /// Looks for the same in something else of the same request.
    pub(super) fn again(&self) -> Watch {
        Watch(self.0.as_ref().map(|it| {
            Box::new(Watching {
                others: it.others.again(),
                own: it.own.again(),
                port: Arc::clone(&it.port),
                about: it.about.clone(),
                stopped: Arc::clone(&it.stopped),
                chunks: None,
            })
        }))
    }

    /// Looks at what passes outside of bodies; an error ends it.
    fn look_at(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        match &mut self.0 {
            Some(watching) => watching.push(bytes),
            None => Ok(()),
        }
    }

    /// Looks at the next piece of a body; what of it goes on, or an error, which ends it.
    pub(super) fn pass(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Stopped> {
        let Some(watching) = &mut self.0 else { return Ok(frame) };
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => {
                watching.push(data)?;
                let signed = watching.signed_anew(data)?;
                Ok(signed.map_or(frame, |signed| Frame::data(signed.into())))
            }
            (None, Some(trailers)) => {
                trailers.values().try_for_each(|value| watching.push(value.as_bytes()))?;
                Ok(frame)
            }
            (None, None) => Ok(frame),
        }
    }

    /// Whether what a body is signed by says that there is more of it.
    pub(super) fn wants_more(&self) -> bool {
        let chunks = self.0.as_ref().and_then(|it| it.chunks.as_ref());
        chunks.is_some_and(|(_, chunks)| !chunks.is_complete())
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
        Err(self.stop(in_body(secret)))
    }

    /// What of a body that is signed piece by piece goes on; `None` where it is not.
    fn signed_anew(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, Stopped> {
        let Some((secret, chunks)) = &mut self.chunks else { return Ok(None) };
        match chunks.push(data) {
            Ok(signed) => Ok(Some(signed)),
            Err(error) => {
                let (secret, place) = (secret.clone(), "the body".to_owned());
                Err(self.stop(Misplaced { secret, place, why: error.to_string() }))
            }
        }
    }

    fn stop(&self, wrong: Misplaced) -> Stopped {
        let refusal = self.about.refuse(&self.port, wrong);
        let _ = self.stopped.set(refusal.reason());
        Stopped
    }
}

fn in_body(secret: SecretName) -> Misplaced {
    let (place, why) = ("the body".to_owned(), "a body is no place for it".to_owned());
    Misplaced { secret, place, why }
}

/// A request that was stopped while its body was sent.
#[derive(Debug, thiserror::Error)]
#[error("its body is not what may go on")]
pub(super) struct Stopped;
