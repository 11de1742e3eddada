//! The secrets of one session: a stand-in for each, and the real values once they are needed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use http::request::Parts;
use ringfence_core::{Act, Denial, Endpoint, Outcome, Permit, Running, SecretName, SecretUse};
use zeroize::Zeroizing;

use crate::binding::{Binding, Delivery};
use crate::look::{BodyWatch, Look, Place, Use, basic, split_once};
use crate::scrub::Patterns;
use crate::sentinel::Sentinel;
use crate::sigv4::SignatureError;
use crate::sigv4::claim::{Claim, Resigned, Verified};
use crate::sigv4::key::Key;
use crate::stand_in::StandIn;
use crate::value::Secret;

/// Gives a secret's value when it is needed; blocks.
pub trait Fetch: Send + Sync {
    /// The value, or why there is none; never with anything of the value in it.
    fn fetch(&self, binding: &Binding) -> Result<Secret, FetchError>;
}

/// Has no value at all.
struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, binding: &Binding) -> Result<Secret, FetchError> {
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
    patterns: RwLock<Arc<Patterns>>,
}

/// One secret, and what stands in for it.
struct One {
    binding: Binding,
    stand_in: StandIn,
    /// Empty until the first use that was permitted.
    value: Mutex<Option<Arc<Secret>>>,
}

impl Held {
    /// Makes a stand-in for each secret; no value is fetched.
    pub fn new(bindings: Vec<Binding>, backend: Arc<dyn Fetch>) -> io::Result<Held> {
        let one = |binding: Binding| {
            let stand_in = StandIn::new(&binding)?;
            Ok(One { binding, stand_in, value: Mutex::new(None) })
        };
        let secrets = bindings.into_iter().map(one).collect::<io::Result<_>>()?;
        Ok(Held { secrets, backend, patterns: RwLock::default() })
    }

    /// No secrets.
    pub fn none() -> Held {
        Held { secrets: Vec::new(), backend: Arc::new(Nowhere), patterns: RwLock::default() }
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
            path: head.uri.path().to_owned(),
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
        let running = permit.spend().map_err(|denial| SwapError::Denied(Box::new(denial)))?;
        let swapped = self.value(one).map_err(SwapError::from).and_then(|value| {
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
        let running = permit.spend().map_err(|denial| SwapError::Denied(Box::new(denial)))?;
        let resigned = self.value(one).map_err(SwapError::from).and_then(|value| {
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
        let mut all = self.all_patterns();
        all.add(ours, &Sentinel::text(theirs.to_owned()));
        Arc::new(all)
    }

    fn one(&self, name: &SecretName) -> Option<&One> {
        self.secrets.iter().find(|one| one.binding.name == *name)
    }

    fn value(&self, one: &One) -> Result<Arc<Secret>, FetchError> {
        let mut kept = one.value.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*kept {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(self.backend.fetch(&one.binding)?);
        *kept = Some(Arc::clone(&value));
        drop(kept);
        self.rebuild_patterns();
        Ok(value)
    }

    /// Before the first request leaves with a value, answers are searched for it.
    fn rebuild_patterns(&self) {
        let mut patterns = self.patterns.write().unwrap_or_else(PoisonError::into_inner);
        *patterns = Arc::new(self.all_patterns());
    }

    fn all_patterns(&self) -> Patterns {
        let mut all = Patterns::default();
        for one in &self.secrets {
            let value = one.value.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = &*value {
                one.stand_in.hide(value, &mut all);
            }
        }
        all
    }
}

/// Asks the server for an answer that can be searched: not compressed, and not in parts.
pub fn make_readable(head: &mut Parts) {
    head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // A value could be had piece by piece, each too short to be recognised; a server may always
    // answer with the whole (RFC 9110, section 14.2).
    head.headers.remove(RANGE);
    head.headers.remove(IF_RANGE);
    head.headers.remove(HeaderName::from_static("sec-websocket-extensions"));
}

/// Why an answer's head cannot be searched through; `None` when it can.
pub fn unreadable(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get_all(http::header::CONTENT_ENCODING).into_iter();
    let other = encoding
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .find(|value| !value.is_empty() && !value.eq_ignore_ascii_case("identity"));
    other.map(|coding| {
        format!("the answer is encoded as `{coding}`, although that was not asked for")
    })
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

/// Puts a value where its stand-in is; `None` when it is not there.
fn put(head: &mut Parts, place: &Place, (sentinel, value): (&Sentinel, &Secret)) -> Option<()> {
    match place {
        Place::Header { name, prefix } => {
            let whole = Zeroizing::new(format!("{prefix}{}", sentinel.as_str()));
            let real = Zeroizing::new(format!("{prefix}{}", value.dangerous_reveal()));
            let real = sensitive(&real)?;
            let is = |it: &[u8]| it == whole.as_bytes();
            let found = matching(&mut head.headers, name, &is).map(|it| *it = real.clone());
            (found.count() > 0).then_some(())
        }
        Place::Basic => {
            let stand_in = sentinel.as_str().as_bytes();
            let has = |text: &[u8]| {
                split_once(text, b':').is_some_and(|(user, it)| user == stand_in || it == stand_in)
            };
            let is = |it: &[u8]| basic(it).is_some_and(|text| has(&text));
            let mut found = 0;
            for header in matching(&mut head.headers, &AUTHORIZATION, &is) {
                found += 1;
                let text = basic(header.as_bytes())?;
                let (user, password) = split_once(&text, b':')?;
                let real = value.dangerous_reveal().as_bytes();
                let of = |part: &[u8]| if part == stand_in { real.to_vec() } else { part.to_vec() };
                let joined = Zeroizing::new([of(user), b":".to_vec(), of(password)].concat());
                let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*joined)));
                *header = sensitive(&encoded)?;
            }
            (found > 0).then_some(())
        }
        Place::Query(name) => put_query(head, name, (sentinel, value)),
        Place::Signature => None,
    }
}

fn matching<'a>(
    headers: &'a mut HeaderMap,
    name: &HeaderName,
    is: &'a dyn Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &'a mut HeaderValue> {
    let name = name.clone();
    let all = headers.iter_mut().filter(move |(it, _)| **it == name);
    all.map(|(_, value)| value).filter(move |value| is(value.as_bytes()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn put_query(head: &mut Parts, name: &str, of: (&Sentinel, &Secret)) -> Option<()> {
    let (sentinel, value) = of;
    let query = head.uri.query()?;
    let mut swapped = 0;
    let pairs: Vec<Zeroizing<String>> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, it)) if key == name && is_spelled(it, sentinel.as_str()) => {
                swapped += 1;
                Zeroizing::new(format!("{key}={}", &*percent_encoded(value.dangerous_reveal())))
            }
            Some(_) | None => Zeroizing::new(pair.to_owned()),
        })
        .collect();
    let mut text = Zeroizing::new(head.uri.path().to_owned());
    for (number, pair) in pairs.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(pair);
    }
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    head.uri = http::Uri::from_parts(parts).ok()?;
    (swapped > 0).then_some(())
}

/// Whether a query's value is a text, in any spelling.
fn is_spelled(value: &str, text: &str) -> bool {
    crate::look::percent_decoded(value) == text.as_bytes()
}

fn percent_encoded(text: &str) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
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
