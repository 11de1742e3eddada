//! Where stand-ins are in a request, and whether they may be there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use memchr::memmem;
use ringfence_core::{Endpoint, SecretName};

use crate::binding::{Binding, Slot};
use crate::sentinel::Sentinel;

/// What a request's head has of stand-ins.
#[derive(Debug)]
pub enum Look {
    /// None.
    Nothing,
    /// Some, each where it belongs.
    Uses(Vec<Use>),
    /// At least one where it does not belong.
    Misused(Misplaced),
}

/// A stand-in where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Which secret's.
    pub secret: SecretName,
    pub(crate) place: Place,
}

/// A stand-in where it does not belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Which secret's.
    pub secret: SecretName,
    /// Where: `the header x-api-key`.
    pub place: String,
    /// What is wrong with that.
    pub why: String,
}

impl Use {
    /// Whether what the stand-in signed is to be signed anew.
    pub fn is_signature(&self) -> bool {
        self.place == Place::Signature
    }
}

/// A place in a request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// All of a header behind the prefix; the value's number among those of that name.
    Header { name: HeaderName, prefix: String },
    /// The user name or password of basic authentication.
    Basic,
    /// A parameter of the query.
    Query(String),
    /// The signature, wherever it is.
    Signature,
}

/// Looks for one secret's stand-in.
pub(crate) fn look(
    (binding, sentinel): (&Binding, &Sentinel),
    endpoint: &Endpoint,
    head: &Parts,
) -> Result<Vec<Use>, Misplaced> {
    let misplaced =
        |place: String, why: String| Misplaced { secret: binding.name.clone(), place, why };
    let mut found = Vec::new();
    for (place, text) in places(head) {
        if memmem::find(&text, sentinel.as_str().as_bytes()).is_none() {
            continue;
        }
        if !binding.is_for(endpoint) {
            return Err(misplaced(place.to_string(), format!("it is not bound to {endpoint}")));
        }
        let Some(slot) = slot_of(&place, &text, (binding, sentinel)) else {
            return Err(misplaced(place.to_string(), why_not(&place, &text, binding)));
        };
        if let Some(why) = binding.objects_to(&head.method, head.uri.path()) {
            return Err(misplaced(place.to_string(), why));
        }
        let used = Use { secret: binding.name.clone(), place: slot };
        if !found.contains(&used) {
            found.push(used);
        }
    }
    Ok(found)
}

/// The part of a request's head that a text comes from.
pub(crate) enum Part<'a> {
    Header(&'a HeaderName),
    /// User and password of the header `authorization`, decoded.
    Basic,
    Parameter(String),
    Path,
    Query,
}

impl std::fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Header(name) => write!(f, "the header {name}"),
            Part::Basic => f.write_str("the header authorization"),
            Part::Parameter(_) | Part::Query => f.write_str("the query"),
            Part::Path => f.write_str("the path"),
        }
    }
}

/// All texts of a head in which a stand-in could be.
pub(crate) fn places(head: &Parts) -> Vec<(Part<'_>, Vec<u8>)> {
    let mut all = Vec::new();
    for (name, value) in &head.headers {
        all.push((Part::Header(name), value.as_bytes().to_vec()));
        if *name == AUTHORIZATION
            && let Some(decoded) = basic(value.as_bytes())
        {
            all.push((Part::Basic, decoded));
        }
    }
    let path = head.uri.path();
    all.push((Part::Path, path.as_bytes().to_vec()));
    all.push((Part::Path, percent_decoded(path)));
    if let Some(query) = head.uri.query() {
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.push((Part::Query, percent_decoded(name)));
            all.push((Part::Parameter(name.to_owned()), percent_decoded(value)));
        }
    }
    all
}

/// The slot that a place is, when a stand-in is all of it.
fn slot_of(part: &Part<'_>, text: &[u8], of: (&Binding, &Sentinel)) -> Option<Place> {
    let (binding, sentinel) = of;
    let stand_in = sentinel.as_str().as_bytes();
    binding.slots.iter().find_map(|slot| match (slot, part) {
        (Slot::Header(slot), Part::Header(name)) if slot.name == **name => {
            let (prefix, rest) = text.split_at_checked(slot.prefix.len())?;
            // The scheme of `authorization` may be written in any case (RFC 9110, section 11.1).
            let holds = prefix.eq_ignore_ascii_case(slot.prefix.as_bytes()) && rest == stand_in;
            let (name, prefix) = (slot.name.clone(), String::from_utf8_lossy(prefix).into_owned());
            holds.then_some(Place::Header { name, prefix })
        }
        (Slot::Basic, Part::Basic) => {
            let (user, password) = split_once(text, b':')?;
            (user == stand_in || password == stand_in).then_some(Place::Basic)
        }
        (Slot::Query(slot), Part::Parameter(name)) if slot == name => {
            (text == stand_in).then(|| Place::Query(slot.clone()))
        }
        (Slot::Header(_) | Slot::Basic | Slot::Query(_) | Slot::Aws, _) => None,
    })
}

/// Why a place is none of the slots.
fn why_not(part: &Part<'_>, text: &[u8], binding: &Binding) -> String {
    let after = binding.slots.iter().find_map(|slot| match (slot, part) {
        (Slot::Header(slot), Part::Header(name)) if slot.name == **name => {
            let begin = text.get(..slot.prefix.len()).unwrap_or(text);
            (!begin.eq_ignore_ascii_case(slot.prefix.as_bytes())).then_some(&slot.prefix)
        }
        (Slot::Header(_) | Slot::Basic | Slot::Query(_) | Slot::Aws, _) => None,
    });
    match after {
        Some(prefix) => format!("it stands there, but not after `{prefix}`"),
        None => "that is not a place where this secret may stand".to_owned(),
    }
}

/// What stands behind `Basic`, decoded; `None` for another scheme, or where it cannot be.
pub(crate) fn basic(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = split_once(value, b' ')?;
    let encoded = rest.trim_ascii();
    scheme.eq_ignore_ascii_case(b"basic").then(|| STANDARD.decode(encoded).ok()).flatten()
}

/// Both sides of the first `separator`.
pub(crate) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A text with `%XX` decoded; what is no such sequence stays.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digits = if *first == b'%' { after.get(..2) } else { None };
        let digits = digits.filter(|it| it.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|it| std::str::from_utf8(it).ok());
        let decoded = value.and_then(|it| u8::from_str_radix(it, 16).ok());
        out.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

/// Finds stand-ins in a body as it streams by, with what could be a stand-in's beginning carried
/// over from one piece to the next.
#[derive(Debug, Default)]
pub struct BodyWatch {
    sentinels: Vec<(SecretName, Sentinel)>,
    carried: Vec<u8>,
}

impl BodyWatch {
    pub(crate) fn new(sentinels: Vec<(SecretName, Sentinel)>) -> BodyWatch {
        BodyWatch { sentinels, carried: Vec::new() }
    }

    /// The same watch over another stream.
    #[must_use]
    pub fn again(&self) -> BodyWatch {
        BodyWatch::new(self.sentinels.clone())
    }

    /// Takes the next piece; the first secret whose stand-in ends in it.
    pub fn push(&mut self, piece: &[u8]) -> Option<SecretName> {
        let longest = self.sentinels.iter().map(|(_, it)| it.as_str().len()).max()?;
        let mut joint = std::mem::take(&mut self.carried);
        // Only what reaches over the seam is looked at twice.
        joint.extend(piece.iter().take(longest));
        let has = |text: &[u8]| {
            let holds = |it: &&(SecretName, Sentinel)| {
                memmem::find(text, it.1.as_str().as_bytes()).is_some()
            };
            self.sentinels.iter().find(holds).map(|(name, _)| name.clone())
        };
        let found = has(&joint).or_else(|| has(piece));
        let tail = if piece.len() >= longest { piece.to_vec() } else { joint };
        let from = tail.len().saturating_sub(longest.saturating_sub(1));
        self.carried = tail.get(from..).unwrap_or_default().to_vec();
        found
    }
}

#[cfg(test)]
mod tests;
