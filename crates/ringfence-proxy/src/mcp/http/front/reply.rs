//! The bodies of our answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use super::super::super::frame::{Id, error_answer};
use super::super::sse;
use super::desk::{Desk, GENERAL, Reading};

/// How often a stream on which nothing comes says that it is there, in seconds: whoever is between gives up idle ones.
const ALIVE_SECONDS: u64 = 15;
/// Pieces of a stream that wait until the client takes them.
const PIECES_MAX: usize = 4;

/// A body.
pub(super) enum Reply {
    /// All of it; none once it is sent.
    Whole(Option<Bytes>),
    /// Events as they come.
    Events(mpsc::Receiver<Bytes>),
}

/// A text for whoever looks what went wrong.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<Reply> {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// What was counted, in the text format of Prometheus.
pub(super) fn metrics(text: String) -> Response<Reply> {
    whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// A message.
pub(super) fn json(status: StatusCode, text: String) -> Response<Reply> {
    whole(status, "application/json", text)
}

/// An error of the protocol.
pub(super) fn error(status: StatusCode, id: Option<&Id>, code: i64, why: &str) -> Response<Reply> {
    json(status, error_answer(id, code, why))
}

/// Nothing.
pub(super) fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(None));
    *response.status_mut() = status;
    response
}

fn whole(status: StatusCode, kind: &'static str, text: String) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Some(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A stream of what is on a desk, from behind the message of this number on.
pub(super) fn events(
    desk: Arc<Desk>,
    (reading, stream): (Reading, u64),
    after: u64,
) -> Response<Reply> {
    let (to, pieces) = mpsc::channel(PIECES_MAX);
    // It ends when the client is gone or nothing more comes.
    tokio::spawn(feed((desk, reading), (stream, after), to));
    let mut response = Response::new(Reply::Events(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn feed(
    (desk, _reading): (Arc<Desk>, Reading),
    (stream, mut after): (u64, u64),
    to: mpsc::Sender<Bytes>,
) {
    let every = Duration::from_secs(ALIVE_SECONDS);
    let mut alive = interval_at(Instant::now() + every, every);
    // What has been sent is what the client sees of the stream, also before anything comes.
    let mut piece = Bytes::from_static(b":\n\n");
    loop {
        if to.send(piece).await.is_err() {
            return;
        }
        piece = tokio::select! {
            event = desk.next(stream, after) => match event {
                Some(event) if event.is_last && stream != GENERAL => {
                    let text = sse::write(Some(&name(stream, event.number)), &event.text);
                    let _ = to.send(text.into()).await;
                    return;
                }
                Some(event) => {
                    after = event.number;
                    sse::write(Some(&name(stream, event.number)), &event.text).into()
                }
                None => return,
            },
            _ = alive.tick() => Bytes::from_static(b":\n\n"),
            () = to.closed() => return,
        };
    }
}

/// What an event is called, for who takes its stream up again.
fn name(stream: u64, number: u64) -> String {
    format!("{stream}-{number}")
}

/// Which event is called so.
pub(super) fn named(name: &str) -> Option<(u64, u64)> {
    let (stream, number) = name.split_once('-')?;
    Some((stream.parse().ok()?, number.parse().ok()?))
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Reply::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Reply::Events(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|it| Ok(Frame::data(it))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |it| it.len() as u64))
            }
            Reply::Events(_) => SizeHint::new(),
        }
    }
}
