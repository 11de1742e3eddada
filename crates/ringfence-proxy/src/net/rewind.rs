//! A client's socket with what was read of it put back in front.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::awake;

/// The socket and what comes before it.
pub(super) struct Rewind {
    stream: TcpStream,
    before: Bytes,
}

impl Rewind {
    pub(super) fn new(stream: TcpStream, before: Bytes) -> Rewind {
        Rewind { stream, before }
    }

    /// The socket, and what nobody has read again.
    pub(super) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.before)
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.before.is_empty() {
            let polled = Pin::new(&mut this.stream).poll_read(context, into);
            return awake::beat_when(polled);
        }
        let count = this.before.len().min(into.remaining());
        into.put_slice(this.before.get(..count).unwrap_or_default());
        this.before.advance(count);
        if this.before.is_empty() {
            // Also its room.
            this.before = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        awake::beat_when(Pin::new(&mut self.get_mut().stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        awake::beat_when(Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
