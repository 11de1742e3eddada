//! Requests to AWS that were signed in the world: found right, so that nothing is signed anew but what
//! the client signed, with what of their bodies that takes.

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use ringfence_core::{Endpoint, Scheme};
use ringfence_secrets::Held;
use ringfence_secrets::look::Use;
use ringfence_secrets::sigv4::chunks::CHUNK_BYTES_MAX;
use ringfence_secrets::sigv4::claim::{Claim, Verified};
use ringfence_secrets::sigv4::{SignatureError, digest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::inspect::Begun;
use super::target::authority;

/// Largest body that is read before its request is sent, in bytes: one whose digest is signed, and
/// not said in `x-amz-content-sha256`.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long such a body may take.
const BODY_WAIT: Duration = Duration::from_mins(2);
/// What all such bodies, and pieces of others, may take of memory at a time, in KiB.
const BUDGET_KIB: usize = 64 * 1024;

/// The body of a request on its way.
pub(super) enum Sent {
    /// None: the gate itself asks.
    Nothing,
    /// As it comes.
    Streams(Incoming),
    /// As it comes, behind what was read of it already and looked through.
    Begun(Begun),
    /// All of it, read already; `None` once it is sent.
    Whole(Option<Bytes>),
}

impl Sent {
    /// Whether the client has nothing more to send of it.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Sent::Nothing | Sent::Whole(_) => true,
            Sent::Begun(body) => body.is_read(),
            Sent::Streams(body) => body.is_end_stream(),
        }
    }
}

/// Room for what must be kept of bodies; given back when dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// A signature that is right.
pub(super) struct Right {
    pub(super) verified: Verified,
    /// What of memory the body takes.
    pub(super) room: Option<Room>,
}

/// Why a request is not signed anew.
pub(super) enum Wrong {
    /// The stand-in is used in a way that no program does.
    Forged(String),
    /// It may be right: what the client is told.
    Unsupported(String),
}

/// Memory for bodies of one world.
pub(super) fn budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BUDGET_KIB))
}

/// Finds the signature of a request right; its body is given back, read where that took it.
pub(super) async fn verify(
    (held, budget): (&Held, &Arc<Semaphore>),
    used: &Use,
    (head, body): (&Parts, Sent),
) -> Result<(Right, Sent), Wrong> {
    let claim = Claim::of(head)?;
    let claim = claim.ok_or_else(|| Wrong::Forged("there is no signature".to_owned()))?;
    let (body, digest, room) = if claim.wants_body() {
        let (bytes, room) = read(budget, body).await.map_err(Wrong::Unsupported)?;
        let digest = digest(&bytes);
        (Sent::Whole(Some(bytes)), Some(digest), Some(room))
    } else if claim.has_chunks() {
        (body, None, Some(reserve(budget, CHUNK_BYTES_MAX).await.map_err(Wrong::Unsupported)?))
    } else {
        (body, None, None)
    };
    let host = host_of(head);
    let host = host.ok_or_else(|| Wrong::Forged("its host is not named once".to_owned()))?;
    let verified = held.verify(used, claim, (head, &host), digest.as_deref())?;
    Ok((Right { verified, room }, body))
}

/// Names the host as it is sent, since that is signed; the name.
pub(super) fn settle_host(headers: &mut HeaderMap, place: (&Endpoint, Scheme)) -> String {
    let host = authority(place);
    if let Ok(value) = HeaderValue::from_str(&host) {
        headers.insert(HOST, value);
    }
    host
}

/// The host as the client signed it.
fn host_of(head: &Parts) -> Option<String> {
    let mut all = head.headers.get_all(HOST).iter();
    match (all.next(), all.next()) {
        (Some(host), None) => Some(host.to_str().ok()?.to_owned()),
        (None, _) => Some(head.uri.authority()?.as_str().to_owned()),
        (Some(_), Some(_)) => None,
    }
}

/// A whole body that is not too large; the error is for a person.
async fn read(budget: &Arc<Semaphore>, body: Sent) -> Result<(Bytes, Room), String> {
    let (first, mut body) = match body {
        Sent::Nothing => return Ok((Bytes::new(), reserve(budget, 0).await?)),
        Sent::Whole(bytes) => {
            return Ok((bytes.unwrap_or_default(), reserve(budget, 0).await?));
        }
        Sent::Begun(body) => body.apart(),
        Sent::Streams(body) => (Bytes::new(), body),
    };
    let large = || {
        format!(
            "its body has more than {} MiB, and is signed without being named: set your SDK to \
             send `x-amz-content-sha256`",
            BODY_BYTES_MAX / 1024 / 1024
        )
    };
    let size = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let size = size.saturating_add(first.len());
    if size > BODY_BYTES_MAX {
        return Err(large());
    }
    let size = if body.size_hint().exact().is_some() { size } else { BODY_BYTES_MAX };
    let room = reserve(budget, size).await?;
    let reading = async {
        let mut read = Vec::with_capacity(size.min(CHUNK_BYTES_MAX));
        read.extend_from_slice(&first);
        while let Some(frame) =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
        {
            let frame = frame.map_err(|error| format!("its body broke off: {error}"))?;
            let Ok(data) = frame.into_data() else {
                return Err("its body has trailers, which nothing signs".to_owned());
            };
            if read.len().saturating_add(data.len()) > BODY_BYTES_MAX {
                return Err(large());
            }
            read.extend_from_slice(&data);
        }
        Ok(Bytes::from(read))
    };
    let bytes = timeout(BODY_WAIT, reading).await;
    Ok((bytes.unwrap_or_else(|_| Err("its body took too long".to_owned()))?, room))
}

/// Waits for room; other requests of the same world are in the way, and end.
pub(super) async fn reserve(budget: &Arc<Semaphore>, bytes: usize) -> Result<Room, String> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let waiting = Arc::clone(budget).acquire_many_owned(kib);
    match timeout(BODY_WAIT, waiting).await {
        Ok(Ok(room)) => Ok(room),
        Ok(Err(_)) | Err(_) => Err("too many bodies are on their way".to_owned()),
    }
}

impl From<SignatureError> for Wrong {
    fn from(error: SignatureError) -> Wrong {
        match error {
            SignatureError::Forged(why) => Wrong::Forged(why.to_owned()),
            SignatureError::Unsupported(why) => Wrong::Unsupported(why.to_owned()),
        }
    }
}
