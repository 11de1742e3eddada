//! Takes values out of what streams back, also those that are had while it streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use ringfence_secrets::Held;
use ringfence_secrets::scrub::{Patterns, Scrubber};

/// How much is read at a time, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// Takes values out of one answer.
pub(crate) struct Scrubbing {
    held: Arc<Held>,
    /// Ours in it, and theirs that takes its place.
    signature: Option<(String, String)>,
    /// What the session's values were when it was last looked.
    known: Arc<Patterns>,
    scrubber: Scrubber<Arc<Patterns>>,
}

impl Scrubbing {
    pub(super) fn new(held: &Arc<Held>, signature: Option<(String, String)>) -> Scrubbing {
        let (held, known) = (Arc::clone(held), held.patterns());
        let scrubber = Scrubber::new(all(&held, signature.as_ref()));
        Scrubbing { held, signature, known, scrubber }
    }

    /// What of it can go on.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let now = self.held.patterns();
        if Arc::ptr_eq(&now, &self.known) {
            return self.scrubber.push(chunk);
        }
        self.known = now;
        let mut out = self.scrubber.renew(all(&self.held, self.signature.as_ref()));
        out.extend(self.scrubber.push(chunk));
        out
    }

    /// Gives what was kept: nothing more comes.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.scrubber.finish()
    }

    /// What is looked for by now.
    pub(crate) fn patterns(&self) -> Arc<Patterns> {
        all(&self.held, self.signature.as_ref())
    }

    /// Whether all that came has gone on.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.scrubber.keeps_nothing()
    }
}

fn all(held: &Held, signature: Option<&(String, String)>) -> Arc<Patterns> {
    match signature {
        Some((ours, theirs)) => held.patterns_with((ours, theirs)),
        None => held.patterns(),
    }
}

/// A stream out of which values are taken as it is read.
pub(crate) struct Scrubbed<S> {
    stream: S,
    scrubbing: Option<Scrubbing>,
    ready: Bytes,
}

impl<S> Scrubbed<S> {
    pub(crate) fn new(stream: S, scrubbing: Option<Scrubbing>) -> Scrubbed<S> {
        Scrubbed { stream, scrubbing, ready: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Scrubbed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let Some(scrubbing) = &mut this.scrubbing else {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            };
            let mut bytes = [0; READ_BYTES];
            let mut part = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(context, &mut part) {
                Poll::Ready(Ok(())) if part.filled().is_empty() => {
                    this.ready = scrubbing.finish().into();
                    this.scrubbing = None;
                }
                Poll::Ready(Ok(())) => this.ready = scrubbing.push(part.filled()).into(),
                other @ (Poll::Ready(Err(_)) | Poll::Pending) => return other,
            }
        }
        let count = this.ready.len().min(buffer.remaining());
        buffer.put_slice(&this.ready.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Scrubbed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
