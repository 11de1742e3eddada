//! The heads that a server of HTTP/2 sends, counted beneath hyper, which passes over all that come before an answer and
//! says nothing of them: each answer has one, and few before it.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::early::{EARLY_MAX, Endless};
use super::server::STREAMS_MAX;

/// How long the head of a frame is (RFC 9113, section 4.1).
const FRAME_HEAD_BYTES: usize = 9;
/// Kinds of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
/// The flag of the last frame of a stream.
const END_STREAM: u8 = 1;

/// Most streams that are counted; of more the oldest are forgotten, which can be none that is under way but for one that
/// has been for very long.
const COUNTED_MAX: usize = 4 * STREAMS_MAX as usize;

/// A connection to a server of HTTP/2.
pub(super) struct Heads<S> {
    stream: S,
    frames: Frames,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Heads<S> {
        Heads { stream, frames: Frames::default() }
    }
}

/// Where in frames one is, and what they were.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; FRAME_HEAD_BYTES],
    /// How much of a head is there.
    have: usize,
    /// How much of a frame is still to come behind its head.
    left: usize,
    /// The heads of each stream that has not ended.
    heads: BTreeMap<u32, usize>,
}

impl Frames {
    /// Goes over what has come.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Endless> {
        while let Some(byte) = bytes.first() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left = self.left.saturating_sub(passed);
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
                self.have = self.have.saturating_add(1);
                bytes = bytes.get(1..).unwrap_or_default();
            }
            if self.have == FRAME_HEAD_BYTES {
                self.have = 0;
                self.begin()?;
            }
        }
        Ok(())
    }

    /// A frame begins.
    fn begin(&mut self) -> Result<(), Endless> {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.left = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if ends || kind == RST_STREAM {
            self.heads.remove(&stream);
        } else if kind == HEADERS {
            let heads = self.heads.entry(stream).or_default();
            *heads = heads.saturating_add(1);
            // The last of them is the answer's own.
            if *heads > EARLY_MAX.saturating_add(1) {
                return Err(Endless::Many);
            }
            if self.heads.len() > COUNTED_MAX {
                self.heads.pop_first();
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.frames.pass(new).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
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

#[cfg(test)]
mod tests;
