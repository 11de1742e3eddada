//! The secrets of one session: a stand-in for each, and the real values once they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue,
    IF_RANGE, RANGE, SEC_WEBSOCKET_EXTENSIONS, TRANSFER_ENCODING,
};
use http::request::Parts;
use ringfence_core::{
    Act, Denial, Endpoint, Host, Outcome, Permit, Running, SecretName, SecretUse, UrlPath,
};

use crate::binding::{Binding, Delivery};
use crate::loans::NotReturned;
use crate::look::{BodyWatch, Look, Use};
use crate::put::put;
use crate::scrub::Patterns;
use crate::sentinel::Sentinel;
use crate::sigv4::SignatureError;
use crate::sigv4::claim::{Claim, Resigned, Verified};
use crate::sigv4::key::Key;
use crate::stand_in::StandIn;
use crate::value::Secret;

/// Most values of one secret that are lent in a session. All of them are looked for in answers until
/// it ends; one more is not had.
const LENT_MAX: usize = 512;

/// Gives a secret's value when it is needed; blocks.
pub trait Fetch: Send + Sync {
    /// The value, or why there is none; never with anything of the value in it.
    fn fetch(&self, binding: &Binding, on: &Occasion<'_>) -> Result<Fetched, FetchError>;

    /// Gives back what was lent; what could not be. Nothing is fetched afterwards.
    fn end(&self) -> Vec<NotReturned> {
        Vec::new()
    }
}

/// A use that was decided, as far as its value may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// The host that the request goes to.
    pub host: &'a str,
    /// Its method.
    pub method: &'a str,
}

/// A value, and for how long it is the secret's.
pub enum Fetched {
    /// For the session.
    Fixed(Secret),
    /// For this use; the next one asks again.
    Lent(Secret),
}

/// Has no value at all.
struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, binding: &Binding, _: &Occasion<'_>) -> Result<Fetched, FetchError> {
        let (secret, backend) = (binding.name.clone(), binding.backend.clone());
        Err(FetchError { secret, backend, why: "nothing is kept".to_owned() })
    }
}

/// Why a value could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{secret}` could not be had from {backend}: {why}")]
pub struct FetchError {
    /// Which secret.
    pub secret: SecretName,
    /// Where it is kept.
    pub backend: String,
    /// Why.
    pub why: String,
}

/// Why a secret was not put into a request.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// The permit is for another use.
    #[error("the permit is for another use of a secret")]
    OtherUse,
    /// The permit could no longer be spent.
    #[error("the permit for the secret could no longer be spent")]
    Denied(Box<Denial>),
    /// The value could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It could not be signed anew.
    #[error("the request could not be signed anew: {0}")]
    Unsigned(#[from] SignatureError),
    /// The request is not what was looked at.
    #[error("the request changed after it was looked at")]
    Changed,
}

/// The secrets of one session.
pub struct Held {
    secrets: Vec<One>,
    backend: Arc<dyn Fetch>,
    /// The values that any request has carried, by secret. What is in it is looked for in answers
    /// by the time that it is unlocked.
    had: Mutex<BTreeMap<SecretName, HadSoFar>>,
    patterns: RwLock<Arc<Patterns>>,
}

/// One secret, and what stands in for it.
struct One {
    binding: Binding,
    stand_in: StandIn,
}

/// The values of one secret, after the first use that was permitted.
#[derive(Default)]
struct HadSoFar {
    /// The one for the session.
    fixed: Option<Arc<Secret>>,
    /// Those that were lent, the newest last.
    lent: Vec<Arc<Secret>>,
}

impl Held {
    /// Makes a stand-in for each secret; no value is fetched.
    pub fn new(bindings: Vec<Binding>, backend: Arc<dyn Fetch>) -> io::Result<Held> {
        let one = |binding: Binding| {
            let stand_in = StandIn::new(&binding)?;
            Ok(One { binding, stand_in })
        };
        let secrets = bindings.into_iter().map(one).collect::<io::Result<_>>()?;
        Ok(Held::of(secrets, backend))
    }

    /// No secrets.
    pub fn none() -> Held {
        Held::of(Vec::new(), Arc::new(Nowhere))
    }

    fn of(secrets: Vec<One>, backend: Arc<dyn Fetch>) -> Held {
        Held { secrets, backend, had: Mutex::default(), patterns: RwLock::default() }
    }

    /// What goes into the world: each stand-in with the places where it is found.
    pub fn deliveries(&self) -> impl Iterator<Item = (&Delivery, Sentinel)> {
        let found = |one: &One, place| one.stand_in.found_in(place);
        self.secrets
            .iter()
            .flat_map(move |one| one.binding.deliver.iter().map(move |it| (it, found(one, it))))
    }

    /// Whether any secret may be shown to this endpoint, so that what goes there must be looked at.
    pub fn is_bound(&self, endpoint: &Endpoint) -> bool {
        self.secrets.iter().any(|one| one.binding.is_for(endpoint))
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Looks for stand-ins in a request's head.
    pub fn look(&self, endpoint: &Endpoint, head: &Parts) -> Look {
        let mut uses = Vec::new();
        for one in &self.secrets {
            match one.stand_in.look(&one.binding, endpoint, head) {
                Ok(found) => uses.extend(found),
                Err(misplaced) => return Look::Misused(misplaced),
            }
        }
        if uses.is_empty() { Look::Nothing } else { Look::Uses(uses) }
    }

    /// Looks for some secrets' stand-ins in a request's body, which has no place for any.
    pub fn watch_body(&self, of: &dyn Fn(&SecretName) -> bool) -> BodyWatch {
        let all = self.secrets.iter().filter(|one| of(&one.binding.name));
        let named = |one: &One| {
            let name = one.binding.name.clone();
            one.stand_in.texts().into_iter().map(move |it| (name.clone(), it))
        };
        BodyWatch::new(all.flat_map(named).collect())
    }

    /// Every text that stands in for a secret.
    pub fn stand_ins(&self) -> BTreeSet<String> {
        let texts = self.secrets.iter().flat_map(|one| one.stand_in.texts());
        texts.map(|text| text.as_str().to_owned()).collect()
    }

    /// What is to be taken out of answers: every value that any request has carried so far.
    pub fn patterns(&self) -> Arc<Patterns> {
        Arc::clone(&self.patterns.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The act that a use is.
    pub fn act(used: &Use, endpoint: &Endpoint, head: &Parts) -> Act {
        Act::UseSecret(SecretUse {
            secret: used.secret.clone(),
            endpoint: Some(endpoint.clone()),
            method: head.method.as_str().to_owned(),
            path: canonical(head.uri.path()),
        })
    }

    /// Puts a real value where its stand-in was, for a permit on exactly that; may block while the
    /// value is fetched.
    pub fn swap(
        &self,
        (used, permit): (&Use, Permit),
        endpoint: &Endpoint,
        head: &mut Parts,
    ) -> Result<Running, SwapError> {
        if permit.request().act != Held::act(used, endpoint, head) {
            return Err(SwapError::OtherUse);
        }
        let one = self.one(&used.secret).ok_or(SwapError::Changed)?;
        let agent = permit.request().agent.clone();
        let running = permit.spend().map_err(|denial| SwapError::Denied(Box::new(denial)))?;
        let (host, method) = (host_of(endpoint), head.method.as_str().to_owned());
        let on = Occasion { agent: &agent.0, host: &host, method: &method };
        let swapped = self.value(one, &on).map_err(SwapError::from).and_then(|value| {
            let StandIn::Text(sentinel) = &one.stand_in else { return Err(SwapError::Changed) };
            put(head, &used.place, (sentinel, &value)).ok_or(SwapError::Changed)
        });
        match swapped {
            Ok(()) => {
                make_readable(head);
                Ok(running)
            }
            Err(error) => {
                // A log that fails here makes every later check a denial.
                let _ = running.finish(Outcome::Failed { error: error.to_string() });
                Err(error)
            }
        }
    }

    /// Finds a signature by a stand-in right for its request; what says so. `body` gives the digest
    /// of its body, where that is signed and not said.
    pub fn verify(
        &self,
        used: &Use,
        claim: Claim,
        (head, host): (&Parts, &str),
        body: Option<&str>,
    ) -> Result<Verified, SignatureError> {
        let key = self.one(&used.secret).and_then(|one| one.stand_in.key());
        let key = key.ok_or(SignatureError::Forged("its key is another one's"))?;
        claim.verify(head, host, (&key, body))
    }

    /// Signs a request anew, for a permit on exactly that use; may block as [`Held::swap`] does.
    pub fn resign(
        &self,
        (used, permit): (&Use, Permit),
        verified: Verified,
        (endpoint, host): (&Endpoint, &str),
        head: &mut Parts,
    ) -> Result<(Running, Resigned), SwapError> {
        if permit.request().act != Held::act(used, endpoint, head) {
            return Err(SwapError::OtherUse);
        }
        let one = self.one(&used.secret).ok_or(SwapError::Changed)?;
        let agent = permit.request().agent.clone();
        let running = permit.spend().map_err(|denial| SwapError::Denied(Box::new(denial)))?;
        let (host_name, method) = (host_of(endpoint), head.method.as_str().to_owned());
        let on = Occasion { agent: &agent.0, host: &host_name, method: &method };
        let resigned = self.value(one, &on).map_err(SwapError::from).and_then(|value| {
            let key = Key::parse(value.dangerous_reveal()).map_err(|_| SwapError::Changed)?;
            verified.resign(head, host, &key).map_err(SwapError::from)
        });
        match resigned {
            Ok(resigned) => Ok((running, resigned)),
            Err(error) => {
                // As in `swap`.
                let _ = running.finish(Outcome::Failed { error: error.to_string() });
                Err(error)
            }
        }
    }

    /// What is to be taken out of the answer to a request that was signed anew: its signature too.
    pub fn patterns_with(&self, (ours, theirs): (&str, &str)) -> Arc<Patterns> {
        let mut all = self.all_patterns(&lock(&self.had));
        all.add(ours, &Sentinel::text(theirs.to_owned()));
        Arc::new(all)
    }

    fn one(&self, name: &SecretName) -> Option<&One> {
        self.secrets.iter().find(|one| one.binding.name == *name)
    }

    /// Nothing is locked while it is fetched: answers to other requests go on.
    fn value(&self, one: &One, on: &Occasion<'_>) -> Result<Arc<Secret>, FetchError> {
        let name = &one.binding.name;
        if let Some(value) = lock(&self.had).get(name).and_then(|had| had.fixed.as_ref()) {
            return Ok(Arc::clone(value));
        }
        let fetched = self.backend.fetch(&one.binding, on)?;
        let mut all = lock(&self.had);
        let had = all.entry(name.clone()).or_default();
        if let Some(value) = had.known(&fetched) {
            return Ok(value);
        }
        let value = had.take(fetched).ok_or_else(|| FetchError {
            secret: name.clone(),
            backend: one.binding.backend.clone(),
            why: format!("this session has had {LENT_MAX} values of it already"),
        })?;
        self.rebuild_patterns(&all);
        Ok(value)
    }

    /// Gives back what vaults lent; what could not be. No value is had afterwards that was not before.
    pub fn end(&self) -> Vec<NotReturned> {
        self.backend.end()
    }

    /// Before the first request leaves with a value, answers are searched for it.
    fn rebuild_patterns(&self, had: &BTreeMap<SecretName, HadSoFar>) {
        let mut patterns = self.patterns.write().unwrap_or_else(PoisonError::into_inner);
        *patterns = Arc::new(self.all_patterns(had));
    }

    fn all_patterns(&self, had: &BTreeMap<SecretName, HadSoFar>) -> Patterns {
        let mut all = Patterns::default();
        for one in &self.secrets {
            let had = had.get(&one.binding.name);
            for value in had.into_iter().flat_map(|had| had.fixed.iter().chain(&had.lent)) {
                one.stand_in.hide(value, &mut all);
            }
        }
        all
    }
}

impl HadSoFar {
    /// The same value, where it was had before; or the one for the session.
    fn known(&self, fetched: &Fetched) -> Option<Arc<Secret>> {
        match fetched {
            // Somebody else may have been first.
            Fetched::Fixed(_) => self.fixed.clone(),
            Fetched::Lent(value) => {
                let same = |it: &&Arc<Secret>| it.dangerous_reveal() == value.dangerous_reveal();
                self.lent.iter().find(same).cloned()
            }
        }
    }

    /// Keeps a value; `None` where it would be one too many.
    fn take(&mut self, fetched: Fetched) -> Option<Arc<Secret>> {
        match fetched {
            Fetched::Fixed(value) => Some(Arc::clone(self.fixed.insert(Arc::new(value)))),
            Fetched::Lent(_) if self.lent.len() >= LENT_MAX => None,
            Fetched::Lent(value) => {
                let value = Arc::new(value);
                self.lent.push(Arc::clone(&value));
                Some(value)
            }
        }
    }
}

fn host_of(endpoint: &Endpoint) -> String {
    match &endpoint.host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the server for an answer that can be searched: not compressed, and not in parts.
pub fn make_readable(head: &mut Parts) {
    head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // A value could be had piece by piece, each too short to be recognised; a server may always
    // answer with the whole (RFC 9110, section 14.2).
    head.headers.remove(RANGE);
    head.headers.remove(IF_RANGE);
    head.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
}

/// A path as the policy reads it; one that is not understood stays as it is, and goes nowhere.
fn canonical(path: &str) -> String {
    UrlPath::parse(path).map_or_else(|_| path.to_owned(), |path| path.as_str().to_owned())
}

/// Why an answer's head cannot be searched through; `None` when it can.
pub fn unreadable(headers: &HeaderMap) -> Option<String> {
    let other = [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")]
        .into_iter()
        .flat_map(|(name, plain)| {
            let values = headers.get_all(name).into_iter();
            values.map(move |value| (String::from_utf8_lossy(value.as_bytes()), plain))
        })
        .flat_map(|(value, plain)| {
            let codings = value.split(',').map(|coding| coding.trim().to_owned());
            codings.map(move |coding| (coding, plain)).collect::<Vec<_>>()
        })
        .find(|(coding, plain)| !coding.is_empty() && !coding.eq_ignore_ascii_case(plain))
        .map(|(coding, _)| coding);
    let encoded = other.map(|coding| {
        format!("the answer is encoded as `{coding}`, although that was not asked for")
    });
    encoded.or_else(|| unasked(headers).map(str::to_owned))
}

/// What else [`make_readable`] asks not to be answered with.
fn unasked(headers: &HeaderMap) -> Option<&'static str> {
    let kind = headers.get(CONTENT_TYPE).map(|it| it.as_bytes().to_ascii_lowercase());
    if headers.contains_key(CONTENT_RANGE)
        || kind.is_some_and(|kind| kind.starts_with(b"multipart/byteranges"))
    {
        return Some("the answer is a part, although all was asked for");
    }
    headers
        .contains_key(SEC_WEBSOCKET_EXTENSIONS)
        .then_some("the websocket is extended, although that was not asked for")
}

/// Takes every real value out of an answer's head.
pub fn scrub_head(headers: &mut HeaderMap, patterns: &Patterns) {
    for value in headers.values_mut() {
        let scrubbed = patterns.scrubbed(value.as_bytes());
        if scrubbed != value.as_bytes() {
            // Stand-ins are ASCII: what was a value of a header stays one.
            *value = HeaderValue::from_bytes(&scrubbed)
                .unwrap_or_else(|_| HeaderValue::from_static("scrubbed"));
        }
    }
}

/// The stand-ins of a session as text by name, for tests and for `secret test`.
impl Held {
    /// Each secret's name with its stand-in.
    pub fn sentinels(&self) -> BTreeMap<SecretName, Sentinel> {
        let first = |one: &One| one.stand_in.texts().into_iter().next();
        let pair = |one: &One| Some((one.binding.name.clone(), first(one)?));
        self.secrets.iter().filter_map(pair).collect()
    }
}

#[cfg(test)]
mod tests;
