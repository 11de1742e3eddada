//! A connection of HTTP/1 to a server, which between requests holds little more than its socket: an
//! agent keeps many of them open for long, and uses few.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::ext::ReasonPhrase;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::super::HEAD_BYTES_MAX;
use super::super::early::Early;
use super::account::Outgoing;
use super::server::{Failed, Unanswered, Within};

/// After so long without a request a connection rests, in milliseconds.
const REST_AFTER_MS: u64 = 100;

/// What drives requests over a socket.
type Driven = Connection<TokioIo<Within>, Outgoing>;

/// A connection over which one request goes at a time.
pub(super) struct Http1(Arc<Line>);

/// What it and its driver share.
struct Line {
    /// None while it rests.
    sender: tokio::sync::Mutex<Option<SendRequest<Outgoing>>>,
    /// The socket while it rests.
    resting: Mutex<Option<Within>>,
    /// A request that asks for another protocol comes next.
    upgrade: Notify,
    driver: Mutex<Option<AbortHandle>>,
}

impl Http1 {
    /// Begins to speak HTTP/1 over a socket.
    pub(super) async fn begin(stream: Within) -> hyper::Result<Http1> {
        let (sender, driven) = speak(stream).await?;
        let line = Arc::new(Line {
            sender: tokio::sync::Mutex::new(Some(sender)),
            resting: Mutex::default(),
            upgrade: Notify::new(),
            driver: Mutex::default(),
        });
        line.drive_on(drive(driven, Arc::clone(&line)));
        Ok(Http1(line))
    }

    /// Whether it takes another request, once those before it are through.
    pub(super) async fn ready(&self) -> bool {
        let mut sender = self.0.sender.lock().await;
        let resting = self.0.resting().take();
        if let Some(stream) = resting {
            let Ok((again, driven)) = speak(stream).await else { return false };
            *sender = Some(again);
            self.0.drive_on(drive(driven, Arc::clone(&self.0)));
        }
        match &mut *sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        }
    }

    /// Sends a request; gives it back where nothing of it was sent.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let early = Early::of(&mut request);
        if request.headers().contains_key(hyper::header::UPGRADE) {
            self.0.upgrade.notify_one();
        }
        let mut sender = self.0.sender.lock().await;
        let Some(taker) = &mut *sender else { return Err(Unanswered::unsent(request)) };
        let sending = taker.try_send_request(request);
        drop(sender);
        let sent = match early.answer(sending).await {
            Ok(sent) => sent,
            Err(endless) => {
                self.end();
                return Err(Unanswered { error: Some(Failed::Endless(endless)), unsent: None });
            }
        };
        let mut response = sent.map_err(Unanswered::from)?;
        // Free text, which nobody reads and nobody searches.
        response.extensions_mut().remove::<ReasonPhrase>();
        Ok(response)
    }

    /// Nothing more goes over it.
    fn end(&self) {
        if let Some(driver) = self.0.driver().take() {
            driver.abort();
        }
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.end();
    }
}

impl Line {
    /// Has it driven so from here on.
    fn drive_on(&self, driver: impl Future<Output = ()> + Send + 'static) {
        let next = tokio::spawn(driver).abort_handle();
        if let Some(before) = self.driver().replace(next) {
            before.abort();
        }
    }

    fn driver(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resting(&self) -> MutexGuard<'_, Option<Within>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server says something while the connection rests, which can be its end only.
    fn poll_heard(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut byte = [0];
        match &*self.resting() {
            Some(stream) => stream.socket().poll_peek(context, &mut ReadBuf::new(&mut byte)),
            None => Poll::Ready(Ok(0)),
        }
    }
}

async fn speak(stream: Within) -> hyper::Result<(SendRequest<Outgoing>, Driven)> {
    let mut builder = Builder::new();
    builder.preserve_header_case(true).max_buf_size(HEAD_BYTES_MAX);
    builder.handshake(TokioIo::new(stream)).await
}

/// Carries requests until none has come for a while.
async fn drive(mut driven: Driven, line: Arc<Line>) {
    loop {
        tokio::select! {
            // Whoever sends over it is told why.
            _ = poll_fn(|context| driven.poll_without_shutdown(context)) => return,
            () = line.upgrade.notified() => {
                let _ = driven.with_upgrades().await;
                return;
            }
            () = sleep(Duration::from_millis(REST_AFTER_MS)) => {}
        }
        // Held until the socket is where the next request looks for it.
        let Ok(mut sender) = line.sender.try_lock() else { continue };
        if sender.as_ref().is_some_and(SendRequest::is_ready) {
            *sender = None;
            let parts = driven.into_parts();
            if !parts.read_buf.is_empty() {
                return;
            }
            *line.resting() = Some(parts.io.into_inner());
            line.drive_on(rest(Arc::clone(&line)));
            return;
        }
    }
}

/// Waits for the server's end.
async fn rest(line: Arc<Line>) {
    let _ = poll_fn(|context| line.poll_heard(context)).await;
    line.resting().take();
}
