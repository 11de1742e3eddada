//! Requests that stand for themselves, MCP 2026-07-28 "Streamable HTTP": no session, and headers that say what the
//! body says.
//!
//! What a server is told of a client, and what waits until the client asks again, is in a room that all clients share
//! that say the same of themselves; whoever asks there has the token.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::super::super::frame::{
    Answer, Frame, HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Kind,
    METHOD_NOT_FOUND, MISSING_CAPABILITY, Members, Message, UNSUPPORTED_REVISION, string,
};
use super::super::super::headers::{self, Header};
use super::super::super::middle::OddKind;
use super::super::super::revision::{Revision, unspoken, unsupported_answer};
use super::super::remote::Unheard;
use super::desk::Event;
use super::refusal::Refusal;
use super::reply::{Reply, error, events_alone, json};
use super::sessions::{Client, Session, Sessions};
use super::{Opens, TOO_MANY};

/// How long an answer is waited for before the client is told by a stream that it has to wait, in milliseconds.
const AT_ONCE_MS: u64 = 1_500;
/// How long is waited until a room that is busy is looked at again.
const BUSY_LOOK: Duration = Duration::from_millis(2);

/// Keys of `_meta` in requests.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const INFO: &str = "io.modelcontextprotocol/clientInfo";

/// What somebody sent, as far as it says how it stands.
pub(super) enum Read {
    /// In a session, or at the beginning of one.
    InSession(Frame),
    /// A request that stands for itself and says what it is: whose it is, and what its answer is called by.
    Asks(Client, Id, Message),
    /// What says what the end of a stream says as well, which counts.
    Cancels,
}

/// Whether somebody who sends this knows no sessions: by a header, or by what the request says of itself.
fn is_alone(all: &[Header], frame: &Frame) -> bool {
    let says = match frame {
        Frame::One(message) => meta(message).is_some_and(|meta| meta.get(VERSION).is_some()),
        Frame::Batch(_) => false,
    };
    says || headers::is_modern(all)
}

/// Reads how something stands that came with these headers. What is large takes its time.
pub(super) fn read(all: &[Header], frame: Frame, opens: &dyn Opens) -> Result<Read, Refusal> {
    if !is_alone(all, &frame) {
        return Ok(Read::InSession(frame));
    }
    let wrong = |kind, why: &str| Err(Refusal::wrong((kind, INVALID_REQUEST), None, why));
    let message = match frame {
        Frame::One(message) => message,
        Frame::Batch(_) => {
            return wrong(OddKind::Batch, "several messages at once have no place here");
        }
    };
    let id = match message.kind() {
        Kind::Request { id, .. } => id.clone(),
        Kind::Notification { method, .. } if method == "notifications/cancelled" => {
            return Ok(Read::Cancels);
        }
        Kind::Notification { .. } | Kind::Response { .. } => {
            return wrong(OddKind::OutOfPlace, ONLY_REQUESTS);
        }
    };
    Ok(Read::Asks(checked(all, (&message, &id), opens)?, id, message))
}

/// Why an answer or a notification is not taken.
const ONLY_REQUESTS: &str = "only requests have a place here";

fn meta(message: &Message) -> Option<Members<'_>> {
    let Kind::Request { params: Some(params), .. } = message.kind() else { return None };
    Members::of(Members::of(message.part(params))?.get("_meta")?)
}

/// Whether a request says what it is, and its headers the same; whose it is.
fn checked(
    all: &[Header],
    (message, id): (&Message, &Id),
    opens: &dyn Opens,
) -> Result<Client, Refusal> {
    let refuse = |kind, code, why: &str| Err(Refusal::wrong((kind, code), Some(id), why));
    let Kind::Request { method, params, .. } = message.kind() else {
        return refuse(OddKind::OutOfPlace, INVALID_REQUEST, ONLY_REQUESTS);
    };
    let members = meta(message);
    let Some(version) = members.as_ref().and_then(|meta| string(meta.get(VERSION)?)) else {
        let why = "`_meta` does not say which revision the request is of";
        return refuse(OddKind::NotRpc, INVALID_PARAMS, why);
    };
    let name = params.as_ref().and_then(|at| string(Members::of(message.part(at))?.get("name")?));
    let repeated = match name {
        Some(tool) if method == "tools/call" => opens.repeated(&tool),
        Some(_) | None => Vec::new(),
    };
    if let Err(mismatch) = headers::check(all, message, &repeated) {
        return refuse(OddKind::HeaderMismatch, HEADER_MISMATCH, &mismatch.to_string());
    }
    if version.parse() != Ok(Revision::LATEST) {
        let text = unsupported_answer(Some(id), &version);
        return Err(Refusal::with((OddKind::OutOfPlace, &unspoken(&version)), text));
    }
    let raw = |key: &str| members.as_ref().and_then(|meta| meta.get(key));
    let capabilities = raw(CAPABILITIES).filter(|raw| raw.starts_with('{'));
    let Some(capabilities) = capabilities else {
        let why = "`_meta` does not say what the client can do";
        return refuse(OddKind::NotRpc, INVALID_PARAMS, why);
    };
    if method == "initialize" {
        let why = format!("requests of {} stand for themselves", Revision::LATEST);
        let refusal = Refusal::wrong((OddKind::OutOfPlace, METHOD_NOT_FOUND), Some(id), &why);
        return Err(refusal.status(StatusCode::NOT_FOUND));
    }
    let mut hash = Sha256::new();
    for part in [capabilities, raw(INFO).unwrap_or_default()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    Ok(hash.finalize().into())
}

/// Has a request decided and answered.
pub(super) async fn asked(
    client: Client,
    (id, message): (&Id, Message),
    sessions: &Sessions,
) -> Result<Response<Reply>, Refusal> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let cannot = |why: &str| Err(Refusal::ours(error(status, Some(id), INTERNAL_ERROR, why)));
    let room = match sessions.room(client).await {
        Ok(room) => room,
        Err(why) => return cannot(&why),
    };
    let Ok(stream) = room.desk.open_alone() else {
        let refusal = Refusal::wrong((OddKind::TooMuch, INTERNAL_ERROR), Some(id), TOO_MANY);
        return Err(refusal.status(StatusCode::TOO_MANY_REQUESTS));
    };
    let waits = Waits { room, stream };
    let mut frame = Frame::One(message);
    loop {
        match waits.room.hears.hear(stream, frame) {
            Ok(()) => break,
            Err(Unheard::Full(back)) if !waits.room.desk.is_over() => frame = back,
            Err(Unheard::Full(_) | Unheard::Gone) => return cannot("the servers have ended"),
        }
        sleep(BUSY_LOOK).await;
    }
    let first = timeout(Duration::from_millis(AT_ONCE_MS), waits.room.desk.next(stream, 0)).await;
    match first {
        Ok(Some(event)) if event.is_last => {
            Ok(json(status_of(&event, sessions).await, event.text.to_string()))
        }
        Ok(None) => cannot("the servers have ended"),
        Ok(Some(_)) | Err(_) => Ok(events_alone(Arc::clone(&waits.room.desk), stream, waits)),
    }
}

/// With which status an answer goes that is there at once.
async fn status_of(event: &Event, sessions: &Sessions) -> StatusCode {
    let read = sessions.turns.read(event.text.as_bytes().to_vec()).await;
    let Some(Ok(Frame::One(message))) = read else { return StatusCode::OK };
    let Kind::Response { answer: Answer::Error(at), .. } = message.kind() else {
        return StatusCode::OK;
    };
    let code = Members::of(message.part(at)).and_then(|all| all.get("code")?.parse::<i64>().ok());
    match code {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_REVISION) => {
            StatusCode::BAD_REQUEST
        }
        Some(_) | None => StatusCode::OK,
    }
}

/// Somebody waits for an answer for as long as this is there; whoever goes before it comes has cancelled the request.
struct Waits {
    room: Arc<Session>,
    stream: u64,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.room.desk.forget_alone(self.stream) {
            return;
        }
        if self.room.hears.closed(self.stream).is_ok() {
            return;
        }
        let (room, stream) = (Arc::clone(&self.room), self.stream);
        // Where there is no runtime any more, the room ends with all that is under way there.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            while !room.desk.is_over() && room.hears.closed(stream).is_err() {
                sleep(BUSY_LOOK).await;
            }
        });
    }
}

/// The headers of a request that are of MCP, by names in small letters.
pub(super) fn lines(headers: &HeaderMap) -> Vec<Header> {
    let line = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    };
    headers.iter().filter(|(name, _)| name.as_str().starts_with("mcp-")).map(line).collect()
}
