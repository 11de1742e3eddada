//! A permitted connection and its account: bytes both ways, recorded when it ends, however it ends.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use super::awake;
use super::bulk::Ahead;
use super::live::Place;
use ringfence_core::{Carried, Endpoint, NetUsage, Outcome, Permit, Request, Running};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The account of one permitted connection; dropping it records its end.
pub(super) struct Line {
    running: Option<Running>,
    request: Request,
    endpoint: Endpoint,
    address: Option<SocketAddr>,
    bytes: Arc<Bytes>,
    opened: Instant,
    error: Option<String>,
    carried: Option<Carried>,
    place: Place,
}

/// What went over a line so far.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    sent: AtomicU64,
    received: AtomicU64,
}

/// The upstream socket, counting.
pub(super) struct Counted {
    stream: TcpStream,
    bytes: Arc<Bytes>,
    ahead: Option<Ahead>,
}

impl Line {
    /// Begins the account of a connection that is about to be made.
    pub(super) fn open(
        running: Running,
        request: Request,
        endpoint: Endpoint,
        place: Place,
    ) -> Line {
        Line {
            running: Some(running),
            request,
            endpoint,
            address: None,
            bytes: Arc::default(),
            opened: Instant::now(),
            error: None,
            carried: None,
            place,
        }
    }

    /// What was permitted.
    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Notes that something more was permitted for this connection.
    pub(super) fn also_permitted(&self, permit: &Permit) {
        self.place.also(permit);
    }

    /// From now on bytes pass that nobody looks into.
    pub(super) fn passes(&self) {
        self.place.passes();
    }

    /// The address that is being dialled.
    pub(super) fn dial(&mut self, address: SocketAddr) {
        self.address = Some(address);
        self.opened = Instant::now();
    }

    /// Counts what goes over the socket from here on.
    pub(super) fn count(&self, stream: TcpStream) -> Counted {
        Counted::new(stream, &self.bytes)
    }

    /// The client's socket, which is reset when it is dropped because the line lost its permit.
    pub(super) fn hold(&self, client: TcpStream) -> Held {
        Held { stream: client, ended: self.place.end() }
    }

    /// How much the server has said.
    pub(super) fn received(&self) -> u64 {
        self.bytes.both().1
    }

    /// Notes how the connection is carried.
    pub(super) fn carries(&mut self, what: Carried) {
        self.carried = Some(what);
    }

    /// Notes why the connection failed; the first reason stays.
    pub(super) fn fail(&mut self, reason: &impl ToString) {
        self.error.get_or_insert_with(|| reason.to_string());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        if self.place.ended() {
            self.error = Some("the policy no longer permits it".to_owned());
        }
        let duration_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (bytes_sent, bytes_received) = self.bytes.both();
        let usage = NetUsage {
            endpoint: self.endpoint.clone(),
            address: self.address.map(|address| address.to_string()),
            bytes_sent,
            bytes_received,
            duration_ms,
            carried: self.carried,
            error: self.error.take(),
        };
        // A log that fails here makes every later check a denial; the connection is over already.
        let _ = running.finish(Outcome::Connection(usage));
    }
}

/// A client's socket: what is cut off because its permit is gone must not look complete.
pub(super) struct Held {
    pub(super) stream: TcpStream,
    ended: Arc<AtomicBool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Acquire) {
            // Best effort: without it the client sees an ordinary end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl Bytes {
    /// Sent and received.
    pub(super) fn both(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

impl Counted {
    /// Counts into `bytes`.
    pub(super) fn new(stream: TcpStream, bytes: &Arc<Bytes>) -> Counted {
        Counted { stream, bytes: Arc::clone(bytes), ahead: None }
    }

    /// Makes the coming close a reset: what was cut off must not look complete.
    pub(super) fn reset_on_close(&self) {
        // Best effort: without it the peer sees an ordinary end.
        let _ = self.stream.set_zero_linger();
    }

    /// From here on reads more at once than is asked for, where much comes; to be read by polling only.
    pub(super) fn read_ahead(&mut self) {
        self.ahead.get_or_insert_default();
    }

    /// The socket itself, for who notes what goes over it.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Notes bytes that were written past the counting.
    pub(super) fn note_sent(&self, count: usize) {
        self.bytes.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Notes bytes that were read past the counting.
    pub(super) fn note_received(&self, count: usize) {
        self.bytes.received.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn sent(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &polled {
            awake::beat();
            self.bytes.sent.fetch_add(*count as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = match &mut this.ahead {
            Some(ahead) => ahead.poll_read((&mut this.stream, context), buffer),
            None => Pin::new(&mut this.stream).poll_read(context, buffer),
        };
        let count = buffer.filled().len().saturating_sub(before);
        if count > 0 {
            awake::beat();
        }
        this.bytes.received.fetch_add(count as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, buffer);
        this.sent(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
