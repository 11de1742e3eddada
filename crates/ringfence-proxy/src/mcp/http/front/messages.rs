//! What clients send, and where its answers go.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::time::{sleep, timeout};

use super::super::super::frame::{Answer, Frame, INVALID_REQUEST, Kind, Message};
use super::super::super::headers::{self, Header};
use super::super::super::lines::MESSAGE_BYTES_MAX;
use super::super::super::middle::{IN_USE, OddKind};
use super::super::super::revision::{Revision, unspoken, unsupported_answer};
use super::super::remote::{LAST_EVENT, SESSION, Unheard};
use super::super::traced::{self, Said};
use super::desk::{self, GENERAL, Refused};
use super::refusal::Refusal;
use super::reply::{Reply, empty, events, json, named, plain};
use super::sessions::{Session, Sessions};
use super::{BODY_SECONDS_MAX, Opens, TOO_MANY, alone};
use crate::net::header;

/// How long an answer is waited for before the client is told by a stream that it has to wait, in milliseconds.
const AT_ONCE_MS: u64 = 1_500;
/// How long the beginning of a session may take, in seconds.
const BEGIN_SECONDS_MAX: u64 = 150;
/// How long is waited until a session that is busy is looked at again.
const BUSY_LOOK: Duration = Duration::from_millis(2);

/// What is not the client's doing.
fn cannot(status: StatusCode, why: &str) -> Refusal {
    Refusal::ours(plain(status, why))
}

fn wrong(kind: OddKind, why: &str) -> Refusal {
    Refusal::wrong((kind, INVALID_REQUEST), None, why)
}

/// Takes messages of a client.
pub(super) async fn post(request: Request<Incoming>, sessions: &Sessions) -> Response<Reply> {
    let named = header(request.headers(), SESSION).map(str::to_owned);
    let taken = taken(request, sessions).await;
    taken.unwrap_or_else(|refusal| refusal.told(named.as_deref(), sessions))
}

async fn taken(
    request: Request<Incoming>,
    sessions: &Sessions,
) -> Result<Response<Reply>, Refusal> {
    let (head, body) = request.into_parts();
    accepts(&head.headers, &["application/json", "text/event-stream"])?;
    let kind = header(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.split(';').next().is_none_or(|it| !it.trim().eq_ignore_ascii_case("application/json")) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::of(status, OddKind::Http, "messages are `application/json`"));
    }
    let bytes = whole(body).await?;
    let opens = Arc::clone(&sessions.opens);
    let read = sessions.turns.over(bytes.len(), move || read(head.headers, bytes, &*opens)).await;
    let busy = || cannot(StatusCode::SERVICE_UNAVAILABLE, "nobody is served now");
    let read = read.ok_or_else(busy)?;
    let Posted { headers, lines, stands, tokens } = read?;
    let frame = match stands {
        alone::Read::InSession(frame) => frame,
        alone::Read::Asks(client, id, message) => {
            return Box::pin(alone::asked(client, (&id, message), sessions)).await;
        }
        alone::Read::Cancels => return Ok(empty(StatusCode::ACCEPTED)),
    };
    let (messages, is_batch) = match &frame {
        Frame::One(message) => (std::slice::from_ref(message), false),
        Frame::Batch(messages) => (messages.as_slice(), true),
    };
    known(&headers)?;
    repeats(&lines, messages)?;
    if begins(&frame) && !headers.contains_key(SESSION) {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let place = sessions.place();
        let place = place.map_err(|why| Refusal::of(status, OddKind::TooMuch, &why))?;
        let newborn = sessions.open(place).await.map_err(|why| cannot(status, &why))?;
        let response = Box::pin(begin(newborn.session(), (frame, tokens), sessions)).await?;
        if response.headers().contains_key(SESSION) {
            newborn.stays();
        }
        return Ok(response);
    }
    let session = session(&headers, sessions)?;
    differs(&headers, &session);
    if is_batch && !session.desk.revision().is_some_and(Revision::has_batches) {
        let why = "several messages at once are of the revision 2025-03-26 alone";
        return Err(wrong(OddKind::Batch, why));
    }
    let stream = hear(&session, (frame, tokens)).await?;
    let Some(stream) = stream else { return Ok(empty(StatusCode::ACCEPTED)) };
    let first = timeout(Duration::from_millis(AT_ONCE_MS), session.desk.next(stream, 0)).await;
    match first {
        Ok(Some(event)) if event.is_last && !is_batch && !names_streams_first(&headers) => {
            session.desk.forget(stream);
            Ok(json(StatusCode::OK, event.text.to_string()))
        }
        Ok(None) if session.desk.is_over() => {
            Err(cannot(StatusCode::NOT_FOUND, "the session has ended"))
        }
        // It was withdrawn meanwhile: no answer comes.
        Ok(None) => streamed(&session, stream, 0).or_else(|_| Ok(empty(StatusCode::ACCEPTED))),
        Ok(Some(_)) | Err(_) => streamed(&session, stream, 0),
    }
}

/// Whether a session begins with this. It is alone: MCP 2025-03-26 has no `initialize` among several messages.
fn begins(frame: &Frame) -> bool {
    let Frame::One(message) = frame else { return false };
    matches!(message.kind(), Kind::Request { method, .. } if method == "initialize")
}

/// What was posted.
struct Posted {
    headers: HeaderMap,
    lines: Vec<Header>,
    stands: alone::Read,
    /// By which requests want to be told how far they are.
    tokens: Vec<String>,
}

/// All that is read of what was posted before it is decided. What is large takes its time.
fn read(headers: HeaderMap, bytes: Vec<u8>, opens: &dyn Opens) -> Result<Posted, Refusal> {
    let frame = Frame::parse(bytes).map_err(|wrong| {
        Refusal::with((OddKind::of(&wrong), &wrong.to_string()), wrong.answer())
    })?;
    let frame = match traced::said(&headers, &frame) {
        Said::So(frame) => frame,
        Said::Otherwise => {
            opens.trace_differs();
            frame
        }
        Said::Nothing => frame,
    };
    let lines = alone::lines(&headers);
    let stands = alone::read(&lines, frame, opens)?;
    let tokens = match &stands {
        alone::Read::InSession(Frame::One(message)) => desk::tokens(std::slice::from_ref(message)),
        alone::Read::InSession(Frame::Batch(all)) => desk::tokens(all),
        alone::Read::Asks(..) | alone::Read::Cancels => Vec::new(),
    };
    Ok(Posted { headers, lines, stands, tokens })
}

/// Begins a session: its name is told with the answer.
async fn begin(
    session: &Arc<Session>,
    hello: (Frame, Vec<String>),
    sessions: &Sessions,
) -> Result<Response<Reply>, Refusal> {
    let stream = hear(session, hello).await?.unwrap_or(GENERAL);
    let wait = Duration::from_secs(BEGIN_SECONDS_MAX);
    let answered = async {
        let mut after = 0;
        // What is said before goes by the general stream, which nobody reads yet.
        while let Some(event) = session.desk.next(stream, after).await {
            if event.is_last {
                return Some(event);
            }
            after = event.number;
        }
        None
    };
    let event = timeout(wait, answered).await.ok().flatten();
    let event =
        event.ok_or_else(|| cannot(StatusCode::BAD_GATEWAY, "the session did not begin"))?;
    session.desk.forget(stream);
    let mut response = json(StatusCode::OK, event.text.to_string());
    let is_result = match sessions.turns.read(event.text.as_bytes().to_vec()).await {
        Some(Ok(Frame::One(message))) => {
            matches!(message.kind(), Kind::Response { answer: Answer::Result(_), .. })
        }
        Some(Ok(Frame::Batch(_)) | Err(_)) | None => false,
    };
    if let Some(name) = HeaderValue::from_str(&session.name).ok().filter(|_| is_result) {
        response.headers_mut().insert(HeaderName::from_static(SESSION), name);
    }
    Ok(response)
}

/// Has the session hear what was sent; the stream on which its answers come, if any do.
async fn hear(
    session: &Arc<Session>,
    (mut frame, tokens): (Frame, Vec<String>),
) -> Result<Option<u64>, Refusal> {
    let messages = match &frame {
        Frame::One(message) => std::slice::from_ref(message),
        Frame::Batch(messages) => messages.as_slice(),
    };
    let stream = session.desk.open(messages, tokens).map_err(|refused| match refused {
        Refused::InUse => wrong(OddKind::DuplicateId, IN_USE),
        Refused::TooMany => Refusal::of(StatusCode::TOO_MANY_REQUESTS, OddKind::TooMuch, TOO_MANY),
    })?;
    loop {
        match session.hears.hear(GENERAL, frame) {
            Ok(()) => return Ok(stream),
            Err(Unheard::Full(back)) if !session.desk.is_over() => frame = back,
            Err(Unheard::Full(_) | Unheard::Gone) => {
                return Err(cannot(StatusCode::NOT_FOUND, "the session has ended"));
            }
        }
        sleep(BUSY_LOOK).await;
    }
}

/// Listens to what belongs to no request, or takes a stream up again.
pub(super) fn get(request: &Request<Incoming>, sessions: &Sessions) -> Response<Reply> {
    let headers = request.headers();
    let listening = || {
        in_sessions_alone(headers)?;
        accepts(headers, &["text/event-stream"])?;
        known(headers)?;
        let session = session(headers, sessions)?;
        if !headers.contains_key(LAST_EVENT) {
            if session.desk.readers(GENERAL) > 0 {
                let why = "somebody listens to this session already";
                return Err(Refusal::of(StatusCode::CONFLICT, OddKind::OutOfPlace, why));
            }
            let after = session.desk.read_so_far(GENERAL);
            return streamed(&session, GENERAL, after);
        }
        let last = header(headers, LAST_EVENT).and_then(named);
        let (stream, after) = last.ok_or_else(|| {
            Refusal::of(StatusCode::BAD_REQUEST, OddKind::Http, "no event is called so")
        })?;
        streamed(&session, stream, after)
    };
    listening().unwrap_or_else(|refusal| refusal.told(header(headers, SESSION), sessions))
}

/// Ends a session.
pub(super) fn delete(request: &Request<Incoming>, sessions: &Sessions) -> Response<Reply> {
    let headers = request.headers();
    match in_sessions_alone(headers).and_then(|()| session(headers, sessions)) {
        Ok(session) => {
            sessions.end(&session.name);
            empty(StatusCode::OK)
        }
        Err(refusal) => refusal.told(header(headers, SESSION), sessions),
    }
}

/// Whoever knows no sessions has nothing to take up or to end.
fn in_sessions_alone(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers::is_modern(&alone::lines(headers)) {
        let why = "this revision has POST alone";
        return Err(Refusal::of(StatusCode::METHOD_NOT_ALLOWED, OddKind::Http, why));
    }
    Ok(())
}

fn streamed(session: &Arc<Session>, stream: u64, after: u64) -> Result<Response<Reply>, Refusal> {
    let gone = || cannot(StatusCode::NOT_FOUND, "what came behind that is not kept");
    let reading = session.desk.read(stream, after).ok_or_else(gone)?;
    Ok(events(Arc::clone(&session.desk), (reading, stream), after))
}

/// The session that a request is for.
fn session(headers: &HeaderMap, sessions: &Sessions) -> Result<Arc<Session>, Refusal> {
    if !headers.contains_key(SESSION) {
        let why = "`Mcp-Session-Id` is missing: `initialize` comes first";
        return Err(wrong(OddKind::OutOfPlace, why));
    }
    let name = header(headers, SESSION);
    let found = name.and_then(|name| sessions.find(name));
    let (status, why) = (StatusCode::NOT_FOUND, "there is no such session");
    found.ok_or_else(|| Refusal::of(status, OddKind::OutOfPlace, why))
}

/// Whether a request says that it is of a revision which sessions have. Of several, what was agreed on counts.
fn known(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(headers::PROTOCOL_VERSION) {
        return Ok(());
    }
    let said = header(headers, headers::PROTOCOL_VERSION);
    if said.and_then(|text| text.parse().ok()).is_some_and(Revision::has_sessions) {
        return Ok(());
    }
    let said = said.unwrap_or_default();
    Err(Refusal::with((OddKind::OutOfPlace, &unspoken(said)), unsupported_answer(None, said)))
}

/// A client that says another revision than was agreed on is told of in the log, once in a session. It is not refused:
/// the official conformance suite does so itself, `server-sse-multiple-streams`.
fn differs(headers: &HeaderMap, session: &Session) {
    let said = header(headers, headers::PROTOCOL_VERSION);
    let said: Option<Revision> = said.and_then(|text| text.parse().ok());
    if let (Some(said), Some(agreed)) = (said, session.desk.revision())
        && said != agreed
        && session.differs_first()
    {
        let what =
            format!("`MCP-Protocol-Version` says {said} in a session of {agreed}, which counts");
        session.hears.refused(OddKind::HeaderMismatch, &what);
    }
}

/// Whether headers that repeat the body say the same; what they are is of 2026-07-28, and others look at them too.
fn repeats(all: &[Header], messages: &[Message]) -> Result<(), Refusal> {
    for message in messages {
        let (Kind::Request { method, .. } | Kind::Notification { method, .. }) = message.kind()
        else {
            continue;
        };
        let said = all.iter().find(|(name, _)| name == headers::METHOD);
        if said.is_some_and(|(_, said)| said != method) {
            let why = "the header `Mcp-Method` says another method than the body";
            return Err(wrong(OddKind::HeaderMismatch, why));
        }
    }
    Ok(())
}

/// Whether a client names streams before answers that are whole: it has its answers so, though they are there at once.
fn names_streams_first(headers: &HeaderMap) -> bool {
    let said = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = said
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    kinds.find(|it| it == "text/event-stream" || it == "application/json").as_deref()
        == Some("text/event-stream")
}

/// Whether a client takes what it would be answered.
fn accepts(headers: &HeaderMap, kinds: &[&str]) -> Result<(), Refusal> {
    let takes = |kind: &str| {
        let of = kind.split('/').next().unwrap_or_default();
        let said = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        said.flat_map(|value| value.split(',')).any(|said| {
            let said = said.split(';').next().unwrap_or_default().trim();
            let is_wide = said
                .strip_suffix("/*")
                .is_some_and(|wide| wide == "*" || wide.eq_ignore_ascii_case(of));
            is_wide || said.eq_ignore_ascii_case(kind)
        })
    };
    if kinds.iter().all(|kind| takes(kind)) {
        return Ok(());
    }
    let why = format!("`Accept` has to have {}", kinds.join(" and "));
    Err(Refusal::of(StatusCode::NOT_ACCEPTABLE, OddKind::Http, &why))
}

/// The whole body of a request.
async fn whole(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let large = || {
        let why = format!("the message is longer than {MESSAGE_BYTES_MAX} bytes");
        Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, OddKind::TooLong, &why)
    };
    let broken =
        |_| Refusal::of(StatusCode::BAD_REQUEST, OddKind::Http, "the body of a request broke off");
    if body.size_hint().lower() > MESSAGE_BYTES_MAX as u64 {
        return Err(large());
    }
    let reading = async {
        let mut whole = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(broken)?;
            if let Ok(data) = frame.into_data() {
                if whole.len().saturating_add(data.len()) > MESSAGE_BYTES_MAX {
                    return Err(large());
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole)
    };
    let read = timeout(Duration::from_secs(BODY_SECONDS_MAX), reading).await;
    let late = "the body of a request took too long";
    read.unwrap_or_else(|_| Err(Refusal::of(StatusCode::REQUEST_TIMEOUT, OddKind::Http, late)))
}
