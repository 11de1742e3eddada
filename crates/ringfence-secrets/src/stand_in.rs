//! What stands in for one secret: a text, or a key of its own that signs requests to AWS.

use std::io;

use http::header::AUTHORIZATION;
use http::request::Parts;
use memchr::memmem;
use ringfence_core::Endpoint;

use crate::binding::{Binding, Delivery};
use crate::look::{Misplaced, Part, Place, Use, places};
use crate::scrub::Patterns;
use crate::sentinel::{Alphabet, Sentinel, Shape};
use crate::sigv4::ALGORITHM;
use crate::sigv4::key::Key;
use crate::value::Secret;

/// Length of a secret access key, in characters.
const AWS_SECRET_CHARS: usize = 40;
/// Variables that hold a session's token, or speak of one: a stand-in has none.
pub(crate) const AWS_TOKEN_VARIABLES: [&str; 3] =
    ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];

/// What stands in for a secret.
pub(crate) enum StandIn {
    /// A text that the value takes the place of.
    Text(Sentinel),
    /// A key: what it signs is signed anew.
    Aws { id: Sentinel, secret: Sentinel },
}

impl StandIn {
    /// Makes one out of the kernel's randomness.
    pub(crate) fn new(binding: &Binding) -> io::Result<StandIn> {
        let first = binding.shape.sentinel()?;
        if !binding.signs() {
            return Ok(StandIn::Text(first));
        }
        let (prefix, length) = (String::new(), AWS_SECRET_CHARS);
        let secret = Shape { prefix, length, alphabet: Alphabet::Letters }.sentinel()?;
        Ok(StandIn::Aws { id: first, secret })
    }

    /// Every text of it that programs could send.
    pub(crate) fn texts(&self) -> Vec<Sentinel> {
        match self {
            StandIn::Text(sentinel) => vec![sentinel.clone()],
            StandIn::Aws { id, secret } => vec![id.clone(), secret.clone()],
        }
    }

    /// What is found in a place of the world. Of a key, a variable with `SECRET` in its name has the
    /// secret, any other the id, and a file both, as the AWS programs read them.
    pub(crate) fn found_in(&self, place: &Delivery) -> Sentinel {
        match (self, place) {
            (StandIn::Text(sentinel), _) => sentinel.clone(),
            (StandIn::Aws { secret, .. }, Delivery::Env(name))
                if name.as_str().contains("SECRET") =>
            {
                secret.clone()
            }
            (StandIn::Aws { id, .. }, Delivery::Env(_)) => id.clone(),
            (StandIn::Aws { id, secret }, Delivery::File(_)) => {
                let (id, secret) = (id.as_str(), secret.as_str());
                Sentinel::text(format!(
                    "[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}"
                ))
            }
        }
    }

    /// The key that requests are signed with in the world.
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            StandIn::Text(_) => None,
            StandIn::Aws { id, secret } => Key::new(id.as_str(), secret.as_str(), None).ok(),
        }
    }

    /// Looks for it in a request's head; where it is all that belongs there, the uses.
    pub(crate) fn look(
        &self,
        binding: &Binding,
        endpoint: &Endpoint,
        head: &Parts,
    ) -> Result<Vec<Use>, Misplaced> {
        match self {
            StandIn::Text(sentinel) => crate::look::look((binding, sentinel), endpoint, head),
            StandIn::Aws { id, secret } => look_for_key((binding, id, secret), endpoint, head),
        }
    }

    /// Takes a value out of answers.
    pub(crate) fn hide(&self, value: &Secret, patterns: &mut Patterns) {
        match self {
            StandIn::Text(sentinel) => patterns.add(value.dangerous_reveal(), sentinel),
            StandIn::Aws { id, secret } => {
                // A token has no stand-in: it becomes something as long.
                let parts = value.dangerous_reveal().splitn(3, ':').zip([id, secret, id]);
                parts.for_each(|(part, sentinel)| patterns.add(part, sentinel));
            }
        }
    }
}

/// A key's id belongs into a signature, its secret nowhere.
fn look_for_key(
    (binding, id, secret): (&Binding, &Sentinel, &Sentinel),
    endpoint: &Endpoint,
    head: &Parts,
) -> Result<Vec<Use>, Misplaced> {
    let has = |text: &[u8], it: &Sentinel| memmem::find(text, it.as_str().as_bytes()).is_some();
    let mut found = Vec::new();
    for (part, text) in places(head) {
        let misplaced = |why: String| {
            Err(Misplaced { secret: binding.name.clone(), place: part.to_string(), why })
        };
        if has(&text, secret) {
            return misplaced("what signs is never sent".to_owned());
        }
        if !has(&text, id) {
            continue;
        }
        if !binding.is_for(endpoint) {
            return misplaced(format!("it is not bound to {endpoint}"));
        }
        if !is_signature(&part, &text, id) {
            return misplaced(format!(
                "it belongs into a signature by {ALGORITHM}, and nowhere else"
            ));
        }
        if let Some(why) = binding.objects_to(&head.method, head.uri.path()) {
            return misplaced(why);
        }
        let used = Use { secret: binding.name.clone(), place: Place::Signature };
        if !found.contains(&used) {
            found.push(used);
        }
    }
    Ok(found)
}

/// Whether a text is where a signature names its key.
fn is_signature(part: &Part<'_>, text: &[u8], id: &Sentinel) -> bool {
    let credential = format!("{}/", id.as_str());
    match part {
        Part::Header(name) => {
            let begins = format!("{ALGORITHM} ");
            **name == AUTHORIZATION && text.starts_with(begins.as_bytes())
        }
        Part::Parameter(name) => {
            name == "X-Amz-Credential" && text.starts_with(credential.as_bytes())
        }
        Part::Basic | Part::Path | Part::Query => false,
    }
}

#[cfg(test)]
mod tests;
