//! Takes values out of what streams back.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Scrubbing;

/// How much is read at a time, in bytes.
const READ_BYTES: usize = 16 * 1024;

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
