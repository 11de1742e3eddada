//! A client's connection of HTTP/1, which between requests holds little more than its socket: an
//! agent keeps many of them open for long, and uses few.
//!
//! It rests only where nothing of a request or of its answer is under way, and what the client says
//! next is then read as the head of a request, by the same reader as before.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::HttpService;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::super::broken::{Side, ended};
use super::super::reply::Reply;

/// After so long without a request a connection rests, in milliseconds.
const REST_AFTER_MS: u64 = 100;
/// How much is read of a connection that rests, in bytes.
const HEARD_BYTES: usize = 4096;

/// What of one connection's requests and answers is under way.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Answers that hyper has not let go.
    answers: AtomicUsize,
    /// Bodies of requests that were not read to their end.
    bodies: AtomicUsize,
    /// The socket did not take all that was written to it.
    unwritten: AtomicBool,
    served: AtomicBool,
    quiet: Notify,
}

/// A request's body that may still come; forgotten only by being [`Unread::read`] to its end.
#[derive(Clone)]
pub(super) struct Unread(Arc<UnderWay>);

/// An answer, until hyper lets it go.
pub(super) struct Answer {
    reply: Reply,
    under_way: Arc<UnderWay>,
}

impl UnderWay {
    /// Notes a request, whose body may still come.
    pub(super) fn begin(self: &Arc<UnderWay>, request: &mut Request<Incoming>) {
        self.served.store(true, Ordering::Release);
        self.answers.fetch_add(1, Ordering::AcqRel);
        if !request.body().is_end_stream() {
            self.bodies.fetch_add(1, Ordering::AcqRel);
            request.extensions_mut().insert(Unread(Arc::clone(self)));
        }
    }

    /// The answer to what was begun.
    pub(super) fn answer(self: &Arc<UnderWay>, response: Response<Reply>) -> Response<Answer> {
        response.map(|reply| Answer { reply, under_way: Arc::clone(self) })
    }

    fn is_quiet(&self) -> bool {
        self.served.load(Ordering::Acquire)
            && self.answers.load(Ordering::Acquire) == 0
            && self.bodies.load(Ordering::Acquire) == 0
            && !self.unwritten.load(Ordering::Acquire)
    }

    /// Waits until nothing has been under way for a while.
    async fn rests(&self) {
        loop {
            self.quiet.notified().await;
            sleep(Duration::from_millis(REST_AFTER_MS)).await;
            if self.is_quiet() {
                return;
            }
        }
    }
}

impl Unread {
    /// The body was read to its end.
    pub(super) fn read(self) {
        self.0.bodies.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.under_way.answers.fetch_sub(1, Ordering::AcqRel);
        self.under_way.quiet.notify_one();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = <Reply as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().reply).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

/// A client's stream that tells whether it took all that was written to it, with what was read of it
/// put back in front.
struct Told<C> {
    stream: C,
    before: Bytes,
    under_way: Arc<UnderWay>,
}

/// How a connection went on.
enum Next<C> {
    /// Nothing of it is under way; this was read of the next request.
    Rests(C, Bytes),
    Ended(hyper::Result<()>),
}

/// Serves all requests of a client, each by the service that is made for it.
///
/// # Errors
///
/// In words for a person: what is no HTTP, a head that takes longer than `first`, or a connection that
/// broke.
pub(super) async fn serve<C, S>(
    mut client: C,
    (builder, first): (&Builder, Duration),
    service: impl Fn(&Arc<UnderWay>) -> S,
) -> Result<(), String>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut before = match timeout(first, heard(&mut client)).await {
        Ok(Ok(before)) => before,
        Ok(Err(error)) => return Err(format!("the client broke off: {error}")),
        Err(_) => return Err("the client took too long to send a request".to_owned()),
    };
    loop {
        if before.is_empty() {
            // Nobody waits for that; the connection has ended either way.
            let _ = client.shutdown().await;
            return Ok(());
        }
        let under_way = Arc::default();
        let io = Told { stream: client, before, under_way: Arc::clone(&under_way) };
        let serving = builder.serve_connection(TokioIo::new(io), service(&under_way));
        let mut serving = serving.with_upgrades();
        // Boxed: what a request needs is not kept for the life of its connection.
        let carried = Box::pin(async {
            tokio::select! {
                result = &mut serving => Some(result),
                () = under_way.rests() => None,
            }
        });
        let next = match carried.await {
            Some(result) => Next::Ended(result),
            None => serving.into_parts().map_or(Next::Ended(Ok(())), Next::resting),
        };
        match next {
            Next::Ended(result) => return result.map_err(|error| ended(Side::Client, &error)),
            Next::Rests(stream, read) => (client, before) = (stream, read),
        }
        if before.is_empty() {
            // That it breaks off while it rests is no failure of anything.
            before = heard(&mut client).await.unwrap_or_default();
        }
    }
}

impl<C> Next<C> {
    fn resting<S>(parts: Parts<TokioIo<Told<C>>, S>) -> Next<C> {
        let Told { stream, before, .. } = parts.io.into_inner();
        // Both, in the order in which they came.
        let read = if before.is_empty() {
            parts.read_buf
        } else {
            [parts.read_buf, before].concat().into()
        };
        Next::Rests(stream, read)
    }
}

/// What a client says next; nothing where it has ended.
async fn heard<C: AsyncRead + Unpin>(client: &mut C) -> io::Result<Bytes> {
    poll_fn(|context| {
        let mut room = [0; HEARD_BYTES];
        let mut read = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut *client).poll_read(context, &mut read))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(read.filled())))
    })
    .await
}

impl<C: AsyncRead + Unpin> AsyncRead for Told<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.before.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let count = this.before.len().min(into.remaining());
        into.put_slice(&this.before.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> Told<C> {
    /// Notes whether the stream has taken it.
    fn told<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        self.under_way.unwritten.store(polled.is_pending(), Ordering::Release);
        if polled.is_ready() {
            self.under_way.quiet.notify_one();
        }
        polled
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Told<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.told(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        this.told(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.told(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
