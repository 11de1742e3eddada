//! What a client signed with a stand-in: read, found right for the request that it came with, and
//! signed anew with the real key.

use http::header::{AUTHORIZATION, CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderName, Uri};

use super::chunks::{Chunks, Trailer};
use super::key::Key;
use super::{
    ALGORITHM, PathForm, Scope, SignatureError, Signed, SigningKey, TERMINATOR, UNSIGNED,
    X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN, authorization, encoded, headers, path,
    query, sensitive, string_to_sign,
};
use crate::look::percent_decoded;

/// Most headers that a signature may name.
const SIGNED_HEADERS_MAX: usize = 128;
/// Words for bodies that are signed piece by piece.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKS_AND_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
/// Services whose bodies are not signed in links, and whose paths are signed as they are sent.
const S3: [&str; 4] = ["s3", "s3express", "s3-object-lambda", "s3-outposts"];
/// Headers that speak of a connection: the gate writes them anew, so that they are not signed.
const HOP: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Parameters of a signed link, in the one spelling that is understood.
const X_ALGORITHM: &str = "X-Amz-Algorithm";
const X_CREDENTIAL: &str = "X-Amz-Credential";
const X_DATE: &str = "X-Amz-Date";
const X_SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const X_SIGNATURE: &str = "X-Amz-Signature";
const X_TOKEN: &str = "X-Amz-Security-Token";
const X_CONTENT: &str = "X-Amz-Content-Sha256";

/// A signature as its request says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    place: Place,
    id: String,
    scope: Scope,
    timestamp: String,
    names: Vec<String>,
    signature: String,
    payload: Payload,
}

/// Where in a request its signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Query,
}

/// What of a body is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    /// What the request says: a digest, or a word for none.
    Said(String),
    /// Its digest, which the request does not say.
    OfBody,
}

/// A claim that is right for its request.
#[derive(Debug)]
pub struct Verified {
    claim: Claim,
    form: PathForm,
    payload: String,
    stand_in: SigningKey,
}

/// What became of a request that was signed anew.
#[derive(Debug)]
pub struct Resigned {
    /// The signature that is sent.
    pub ours: String,
    /// The one that was made in the world.
    pub theirs: String,
    /// What signs the body anew, where it is signed piece by piece.
    pub chunks: Option<Chunks>,
}

impl Claim {
    /// Reads the signature of a request; `None` where it has none of this kind.
    pub fn of(head: &Parts) -> Result<Option<Claim>, SignatureError> {
        let mut lines = head.headers.get_all(AUTHORIZATION).iter();
        let line = lines.next().and_then(|it| it.to_str().ok());
        let header = line.and_then(|it| it.strip_prefix(ALGORITHM)?.strip_prefix(' '));
        let link = parameter(head, X_ALGORITHM)?;
        let claim = match (header, link) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(SignatureError::Forged("it has two signatures"));
            }
            (Some(fields), None) if lines.next().is_none() => from_header(head, fields)?,
            (Some(_), None) => return Err(SignatureError::Forged("it has two signatures")),
            (None, Some(algorithm)) if algorithm == ALGORITHM && line.is_none() => from_link(head)?,
            (None, Some(_)) => {
                return Err(SignatureError::Forged("its link is signed in another way"));
            }
        };
        let token = parameter(head, X_TOKEN)?.is_some();
        if token || head.headers.contains_key(X_AMZ_SECURITY_TOKEN) {
            let why = "it has a session token, and its key has none";
            return Err(SignatureError::Forged(why));
        }
        Ok(Some(claim))
    }

    /// The id of the key that it claims.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the digest of the body must be known.
    pub fn wants_body(&self) -> bool {
        self.payload == Payload::OfBody
    }

    /// Whether the body is signed piece by piece.
    pub fn has_chunks(&self) -> bool {
        matches!(&self.payload, Payload::Said(said) if trailer_of(said).is_some())
    }

    /// Finds the claim right: the stand-in makes the same signature of this request. `body` is its
    /// digest, where [`Claim::wants_body`].
    pub fn verify(
        self,
        head: &Parts,
        host: &str,
        (stand_in, body): (&Key, Option<&str>),
    ) -> Result<Verified, SignatureError> {
        let payload = match (&self.payload, body) {
            (Payload::Said(said), _) => said.clone(),
            (Payload::OfBody, Some(digest)) => digest.to_owned(),
            (Payload::OfBody, None) => {
                return Err(SignatureError::Unsupported("the digest of its body is not known"));
            }
        };
        let key = SigningKey::new(stand_in.secret(), &self.scope);
        let headers = headers(head, host, &self.names)?;
        let holds = |form: &PathForm| {
            let signed = Signed {
                method: head.method.as_str(),
                path: path(head.uri.path(), *form),
                query: query(&without_signature(head)),
                headers: headers.clone(),
                payload: &payload,
            };
            let text = string_to_sign(&signed.canonical(), &self.timestamp, &self.scope);
            key.verifies(&text, &self.signature)
        };
        // Which one a service reads is its own; whatever the client signed is what is signed again.
        let forms = [PathForm::AsSent, PathForm::Encoded, PathForm::Normalized];
        match forms.into_iter().find(holds) {
            Some(form) if stand_in.id() == self.id => {
                Ok(Verified { claim: self, form, payload, stand_in: key })
            }
            Some(_) | None => Err(SignatureError::Forged(
                "its signature is not what the stand-in makes of this request",
            )),
        }
    }
}

impl Verified {
    /// Signs the request with the real key, in the scope and at the moment that it was signed for.
    pub fn resign(
        self,
        head: &mut Parts,
        host: &str,
        real: &Key,
    ) -> Result<Resigned, SignatureError> {
        let Verified { claim, form, payload, stand_in } = self;
        let listed = listed_hops(head);
        let stays = |it: &String| !HOP.contains(&it.as_str()) && !listed.contains(it);
        let mut names: Vec<String> = claim.names.iter().filter(|it| stays(it)).cloned().collect();
        if let (Some(token), Place::Header) = (real.token(), claim.place) {
            head.headers.insert(X_AMZ_SECURITY_TOKEN, sensitive(token)?);
            names.push(X_AMZ_SECURITY_TOKEN.as_str().to_owned());
        }
        names.sort_unstable();
        names.dedup();
        if claim.place == Place::Query {
            let text = link(head, &claim.scope, (&names.join(";"), real));
            set_query(head, &text)?;
        }
        let signed = Signed {
            method: head.method.as_str(),
            path: path(head.uri.path(), form),
            query: query(head.uri.query().unwrap_or_default()),
            headers: headers(head, host, &names)?,
            payload: &payload,
        };
        let text = string_to_sign(&signed.canonical(), &claim.timestamp, &claim.scope);
        let key = SigningKey::new(real.secret(), &claim.scope);
        let ours = key.sign(&text);
        match claim.place {
            Place::Header => {
                let text = authorization(real.id(), &claim.scope, &names.join(";"), &ours);
                head.headers.insert(AUTHORIZATION, sensitive(&text)?);
            }
            Place::Query => {
                let before = head.uri.query().unwrap_or_default();
                let text = format!("{before}&{X_SIGNATURE}={ours}");
                set_query(head, &text)?;
            }
        }
        let theirs = claim.signature;
        let chunks = trailer_of(&payload).map(|trailer| {
            let about = format!("{}\n{}", claim.timestamp, claim.scope);
            let seeds = (theirs.clone(), ours.clone());
            Chunks::new(about, trailer, (stand_in, key), seeds)
        });
        Ok(Resigned { ours, theirs, chunks })
    }
}

/// What stands behind the algorithm in `authorization`.
fn from_header(head: &Parts, fields: &str) -> Result<Claim, SignatureError> {
    let wrong = SignatureError::Forged("its authorization is not written as AWS does");
    let (mut credential, mut names, mut signature) = (None, None, None);
    for field in fields.split(',') {
        let (name, value) = field.trim().split_once('=').ok_or_else(|| wrong.clone())?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut names,
            "Signature" => &mut signature,
            _ => return Err(wrong),
        };
        if place.replace(value).is_some() {
            return Err(wrong);
        }
    }
    let (Some(credential), Some(names), Some(signature)) = (credential, names, signature) else {
        return Err(wrong);
    };
    let timestamp = only(head, &X_AMZ_DATE)?
        .ok_or(SignatureError::Unsupported("it has no header x-amz-date"))?;
    let payload = payload(only(head, &X_AMZ_CONTENT_SHA256)?, Payload::OfBody)?;
    let said = (credential, names, signature);
    claim(Place::Header, said, (&timestamp, payload))
}

/// What a signed link says.
fn from_link(head: &Parts) -> Result<Claim, SignatureError> {
    let must = |name: &str| {
        parameter(head, name)?.ok_or(SignatureError::Forged("its link is not signed as AWS does"))
    };
    let (credential, names, signature) =
        (must(X_CREDENTIAL)?, must(X_SIGNED_HEADERS)?, must(X_SIGNATURE)?);
    let timestamp = must(X_DATE)?;
    let said = match only(head, &X_AMZ_CONTENT_SHA256)? {
        Some(said) => Some(said),
        None => parameter(head, X_CONTENT)?,
    };
    let mut claim =
        claim(Place::Query, (&credential, &names, &signature), (&timestamp, Payload::OfBody))?;
    let unsaid = if S3.contains(&claim.scope.service()) {
        Payload::Said(UNSIGNED.to_owned())
    } else {
        Payload::OfBody
    };
    claim.payload = payload(said, unsaid)?;
    Ok(claim)
}

fn claim(
    place: Place,
    (credential, names, signature): (&str, &str, &str),
    (timestamp, payload): (&str, Payload),
) -> Result<Claim, SignatureError> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [id, date, region, service, TERMINATOR] = parts.as_slice() else {
        return Err(SignatureError::Forged("its credential is not written as AWS does"));
    };
    let scope = Scope::new(timestamp, region, service)?;
    if scope.date != *date {
        return Err(SignatureError::Forged("its scope is of another day than x-amz-date"));
    }
    let plain = |it: &&str| it.parse::<HeaderName>().is_ok_and(|name| name.as_str() == *it);
    let names: Vec<&str> = names.split(';').collect();
    if names.len() > SIGNED_HEADERS_MAX || !names.iter().all(plain) {
        return Err(SignatureError::Forged("its signed headers are not written as AWS does"));
    }
    if !names.contains(&HOST.as_str()) {
        return Err(SignatureError::Forged("it does not sign the host"));
    }
    if names.contains(&AUTHORIZATION.as_str()) {
        return Err(SignatureError::Forged("it signs its own signature"));
    }
    Ok(Claim {
        place,
        id: (*id).to_owned(),
        scope,
        timestamp: timestamp.to_owned(),
        names: names.into_iter().map(str::to_owned).collect(),
        signature: signature.to_owned(),
        payload,
    })
}

/// What a request says of its body; what `unsaid` means where it says nothing.
fn payload(said: Option<String>, unsaid: Payload) -> Result<Payload, SignatureError> {
    const WORDS: [&str; 4] =
        [UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", CHUNKS, CHUNKS_AND_TRAILER];
    match said {
        None => Ok(unsaid),
        Some(said) if WORDS.contains(&said.as_str()) => Ok(Payload::Said(said)),
        Some(said) if said.len() == 64 && said.bytes().all(|it| it.is_ascii_hexdigit()) => {
            Ok(Payload::Said(said))
        }
        Some(_) => Err(SignatureError::Unsupported(
            "a body is signed as a whole, in chunks by AWS4-HMAC-SHA256, or not at all",
        )),
    }
}

/// What comes behind the pieces of a body that is signed piece by piece.
fn trailer_of(payload: &str) -> Option<Trailer> {
    match payload {
        CHUNKS => Some(Trailer::Absent),
        CHUNKS_AND_TRAILER => Some(Trailer::Signed),
        _ => None,
    }
}

/// A header that is there once, or not at all.
fn only(head: &Parts, name: &HeaderName) -> Result<Option<String>, SignatureError> {
    let mut all = head.headers.get_all(name).iter();
    let (first, second) = (all.next(), all.next());
    match (first.map(|it| it.to_str()), second) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text.trim().to_owned())),
        (Some(_), _) => Err(SignatureError::Forged("a header of its signature is there twice")),
    }
}

/// A parameter of the query that is there once, or not at all.
fn parameter(head: &Parts, name: &str) -> Result<Option<String>, SignatureError> {
    let mut all = pairs(head).filter(|(it, _)| percent_decoded(it) == name.as_bytes());
    let (first, second) = (all.next(), all.next());
    let Some((_, value)) = first else { return Ok(None) };
    match (String::from_utf8(percent_decoded(value)), second) {
        (Ok(value), None) => Ok(Some(value)),
        (_, _) => Err(SignatureError::Forged("a parameter of its signature is there twice")),
    }
}

fn pairs(head: &Parts) -> impl Iterator<Item = (&str, &str)> {
    let query = head.uri.query().unwrap_or_default();
    let all = query.split('&').filter(|it| !it.is_empty());
    all.map(|it| it.split_once('=').unwrap_or((it, "")))
}

/// The query without the signature of a link.
fn without_signature(head: &Parts) -> String {
    let stays = |(name, _): &(&str, &str)| percent_decoded(name) != X_SIGNATURE.as_bytes();
    let all: Vec<String> =
        pairs(head).filter(stays).map(|(name, value)| format!("{name}={value}")).collect();
    all.join("&")
}

/// The query of a link that the real key will sign.
fn link(head: &Parts, scope: &Scope, (names, real): (&str, &Key)) -> String {
    let ours = [X_CREDENTIAL, X_SIGNED_HEADERS, X_SIGNATURE];
    let stays =
        |(name, _): &(&str, &str)| !ours.iter().any(|it| percent_decoded(name) == it.as_bytes());
    let mut all: Vec<String> =
        pairs(head).filter(stays).map(|(name, value)| format!("{name}={value}")).collect();
    let credential = format!("{}/{scope}", real.id());
    all.push(format!("{X_CREDENTIAL}={}", encoded(credential.as_bytes(), "")));
    all.push(format!("{X_SIGNED_HEADERS}={}", encoded(names.as_bytes(), "")));
    all.extend(real.token().map(|it| format!("{X_TOKEN}={}", encoded(it.as_bytes(), ""))));
    all.join("&")
}

fn set_query(head: &mut Parts, query: &str) -> Result<(), SignatureError> {
    let wrong = SignatureError::Unsupported("its link is too long");
    let mut parts = head.uri.clone().into_parts();
    let text = format!("{}?{query}", head.uri.path());
    parts.path_and_query = Some(text.parse().map_err(|_| wrong.clone())?);
    head.uri = Uri::from_parts(parts).map_err(|_| wrong)?;
    Ok(())
}

/// Headers that `connection` names: they go no further than it, but for those that frame the message.
fn listed_hops(head: &Parts) -> Vec<String> {
    let all = head.headers.get_all(CONNECTION).iter();
    let texts = all.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    let names = texts.map(|it| it.trim().to_ascii_lowercase());
    names.filter(|it| !["host", "content-length"].contains(&it.as_str())).collect()
}

#[cfg(test)]
mod tests;
