//! The server's side of an inspected connection.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ringfence_core::Carried;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::client::TlsStream;

use super::super::HEAD_BYTES_MAX;
use super::super::broken::{Side, ended};
use super::super::early::Endless;
use super::super::line::{Counted, Line};
use super::super::open::Opened;
use super::super::reply::Refusal;
use super::account::Outgoing;
use super::heads::Heads;
use super::http1::Http1;

/// Most requests at a time over one HTTP/2 connection.
pub(super) const STREAMS_MAX: u32 = 128;
/// How much a peer may send of one HTTP/2 stream before it is read, in bytes.
pub(super) const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same of a whole connection.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// How much of one HTTP/2 stream is kept that its peer has not taken yet, in bytes; who reads the other
/// side waits. With all streams of a connection at it that is 32 MiB.
pub(super) const STREAM_UNSENT_BYTES_MAX: usize = 256 * 1024;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

impl Spoken {
    /// Its name in TLS (RFC 7301).
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            Spoken::Http1 => b"http/1.1",
            Spoken::Http2 => b"h2",
        }
    }

    /// What was agreed on; nothing is the older one.
    pub(super) fn by(alpn: Option<&[u8]>) -> Spoken {
        if alpn == Some(Spoken::Http2.alpn()) { Spoken::Http2 } else { Spoken::Http1 }
    }
}

/// A connection to a server over which nothing was sent.
pub(super) struct Fresh {
    pub(super) stream: Within,
    pub(super) line: Line,
    pub(super) spoken: Spoken,
}

impl Fresh {
    /// One without TLS.
    pub(super) fn plain(opened: Opened) -> Fresh {
        let Opened { stream, mut line } = opened;
        line.carries(Carried::Http);
        Fresh { stream: Within::Nothing(stream), line, spoken: Spoken::Http1 }
    }
}

/// A socket, plain or within TLS.
pub(super) enum Within {
    Nothing(Counted),
    Tls(Box<TlsStream<Counted>>),
}

/// A connection to a server that takes requests; its account ends with the last who holds it.
pub(super) struct Server {
    sender: Sender,
    line: Mutex<Line>,
}

enum Sender {
    Http1(Http1),
    Http2(http2::SendRequest<Outgoing>, AbortHandle),
}

/// Why a request was not answered.
pub(super) struct Unanswered {
    /// What was said of it; nothing where the connection had gone to rest.
    pub(super) error: Option<Failed>,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Box<Request<Outgoing>>>,
}

/// What became of a request in place of an answer.
pub(super) enum Failed {
    /// The connection failed.
    Broken(hyper::Error),
    /// Other things came, without end.
    Endless(Endless),
}

impl Unanswered {
    /// Nothing of this was sent.
    pub(super) fn unsent(request: Request<Outgoing>) -> Unanswered {
        Unanswered { error: None, unsent: Some(Box::new(request)) }
    }
}

impl From<TrySendError<Request<Outgoing>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Unanswered {
        let unsent = error.take_message().map(Box::new);
        Unanswered { error: Some(Failed::Broken(error.into_error())), unsent }
    }
}

impl Server {
    /// Begins to speak HTTP over a connection.
    pub(super) async fn begin(fresh: Fresh) -> Result<Server, Refusal> {
        let Fresh { stream, mut line, spoken } = fresh;
        let begun = match spoken {
            Spoken::Http1 => Http1::begin(stream).await.map(Sender::Http1),
            Spoken::Http2 => http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_send_buf_size(STREAM_UNSENT_BYTES_MAX)
                .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
                .handshake(TokioIo::new(Heads::new(stream)))
                .await
                .map(|(sender, connection)| {
                    Sender::Http2(sender, tokio::spawn(connection).abort_handle())
                }),
        };
        match begun {
            Ok(sender) => Ok(Server { sender, line: Mutex::new(line) }),
            Err(error) => {
                let reason = ended(Side::Server, &error);
                line.fail(&reason);
                Err(Refusal::Unreachable(reason))
            }
        }
    }

    /// Which version is spoken.
    pub(super) fn spoken(&self) -> Spoken {
        match self.sender {
            Sender::Http1(_) => Spoken::Http1,
            Sender::Http2(..) => Spoken::Http2,
        }
    }

    /// Whether it takes another request, once those before it are through.
    pub(super) async fn ready(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender, _) => sender.clone().ready().await.is_ok(),
        }
    }

    /// Sends a request; gives it back where nothing of it was sent.
    pub(super) async fn send(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match &self.sender {
            Sender::Http1(sender) => sender.send(request).await,
            Sender::Http2(sender, _) => {
                let sending = sender.clone().try_send_request(request);
                sending.await.map_err(Unanswered::from)
            }
        }
    }

    /// What a client is told of a request that was not answered.
    pub(super) fn broke_off(&self, error: Option<&Failed>) -> Refusal {
        let error = match error {
            Some(Failed::Broken(error)) => error,
            Some(Failed::Endless(endless)) => {
                self.failed(endless);
                return Refusal::Unreachable(endless.to_string());
            }
            None => return Refusal::Unreachable("the server broke off".to_owned()),
        };
        let reason = ended(Side::Server, error);
        self.failed(&reason);
        // Ours is the body alone, and that is the client's.
        if error.is_user() { Refusal::BrokenOff(reason) } else { Refusal::Unreachable(reason) }
    }

    /// Notes why the connection failed.
    pub(super) fn failed(&self, reason: &impl ToString) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).fail(reason);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &self.sender {
            // It ends by itself.
            Sender::Http1(_) => {}
            Sender::Http2(_, driver) => driver.abort(),
        }
    }
}

impl Within {
    /// The socket itself.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Within::Nothing(stream) => stream.socket(),
            Within::Tls(stream) => stream.get_ref().0.socket(),
        }
    }
}

impl AsyncRead for Within {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Within::Nothing(stream) => Pin::new(stream).poll_read(context, buffer),
            Within::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Within {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Within::Nothing(stream) => Pin::new(stream).poll_write(context, buffer),
            Within::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Within::Nothing(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Within::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Within::Nothing(stream) => stream.is_write_vectored(),
            Within::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Within::Nothing(stream) => Pin::new(stream).poll_flush(context),
            Within::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Within::Nothing(stream) => Pin::new(stream).poll_shutdown(context),
            Within::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
