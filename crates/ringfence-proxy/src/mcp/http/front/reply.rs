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
use super::desk::{Desk, Event, GENERAL, Reading};

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
    streaming(Source { desk, stream, after, names: Names::Told }, reading)
}

/// The same of a request that stands for itself, which cannot be taken up again; `until` is dropped with its end.
pub(super) fn events_alone(
    desk: Arc<Desk>,
    stream: u64,
    until: impl Send + 'static,
) -> Response<Reply> {
    let source = Source { desk, stream, after: 0, names: Names::None };
    let mut response = streaming(source, until);
    // Whoever is between does not wait until there is more of it.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn streaming(source: Source, until: impl Send + 'static) -> Response<Reply> {
    let (to, pieces) = mpsc::channel(PIECES_MAX);
    // It ends when the client is gone or nothing more comes.
    tokio::spawn(async move {
        feed(source, to).await;
        drop(until);
    });
    let mut response = Response::new(Reply::Events(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Where events come from.
struct Source {
    desk: Arc<Desk>,
    stream: u64,
    after: u64,
    names: Names,
}

/// Whether events say what they are called.
enum Names {
    Told,
    None,
}

async fn feed(mut source: Source, to: mpsc::Sender<Bytes>) {
    let every = Duration::from_secs(ALIVE_SECONDS);
    let mut alive = interval_at(Instant::now() + every, every);
    // What has been sent is what the client sees of the stream, also before anything comes.
    let mut piece = Bytes::from_static(b":\n\n");
    loop {
        if to.send(piece).await.is_err() {
            return;
        }
        piece = tokio::select! {
            event = source.desk.next(source.stream, source.after) => match event {
                Some(event) if event.is_last && source.stream != GENERAL => {
                    let _ = to.send(source.written(&event)).await;
                    return;
                }
                Some(event) => {
                    source.after = event.number;
                    source.written(&event)
                }
                None => return,
            },
            _ = alive.tick() => Bytes::from_static(b":\n\n"),
            () = to.closed() => return,
        };
    }
}

impl Source {
    fn written(&self, event: &Event) -> Bytes {
        let name = match self.names {
            Names::Told => Some(name(self.stream, event.number)),
            Names::None => None,
        };
        sse::write(name.as_deref(), &event.text).into()
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
