//! A permitted request and its account: status and bytes, recorded when its answer ends, however.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use ringfence_core::{HttpUsage, Outcome, Permit, Running};

use super::super::live::{Client, Place};
use super::super::open::Port;
use super::super::reply::Refusal;
use super::server::Server;

/// The account of one permitted request; dropping it records its end.
pub(crate) struct Account {
    running: Option<Running>,
    place: Place,
    status: Option<u16>,
    sent: Arc<AtomicU64>,
    received: u64,
    began: Instant,
    error: Option<String>,
}

impl Account {
    /// Spends the permit of a request and begins its account.
    pub(crate) fn open(port: &Port, who: &Client, permit: Permit) -> Result<Account, Refusal> {
        // Entered before the permit is spent: a reload in between spoils the permit, one after it
        // finds the request.
        let place = port.enter(&permit, who);
        let running = permit.spend().map_err(Refusal::Denied)?;
        Ok(Account {
            running: Some(running),
            place,
            status: None,
            sent: Arc::default(),
            received: 0,
            began: Instant::now(),
            error: None,
        })
    }

    /// The body of the request, counted.
    pub(crate) fn outgoing(&self, body: Incoming) -> Outgoing {
        Outgoing { body, sent: Arc::clone(&self.sent) }
    }

    /// Notes the status of the answer.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Notes bytes that passed outside of bodies.
    pub(crate) fn passed(&mut self, (sent, received): (u64, u64)) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received = self.received.saturating_add(received);
    }

    /// Notes why the request failed; the first reason stays.
    pub(crate) fn fail(&mut self, reason: &impl ToString) {
        self.error.get_or_insert_with(|| reason.to_string());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        if self.place.ended() {
            self.error = Some("the policy no longer permits it".to_owned());
        }
        let usage = HttpUsage {
            status: self.status,
            bytes_sent: self.sent.load(Ordering::Relaxed),
            bytes_received: self.received,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: self.error.take(),
        };
        // A log that fails here makes every later check a denial; the request is over already.
        let _ = running.finish(Outcome::Request(usage));
    }
}

/// The body of a request on its way to the server.
pub(crate) struct Outgoing {
    body: Incoming,
    sent: Arc<AtomicU64>,
}

/// The body of an answer on its way to the client.
pub(crate) struct Answered {
    body: Incoming,
    account: Account,
    server: Arc<Server>,
}

impl Answered {
    pub(super) fn new(body: Incoming, account: Account, server: Arc<Server>) -> Answered {
        Answered { body, account, server }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.sent.fetch_add(length(&polled), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.account.received = this.account.received.saturating_add(length(&polled));
        if let Poll::Ready(Some(Err(error))) = &polled {
            this.account.fail(error);
            this.server.failed(error);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a frame.
fn length<E>(polled: &Poll<Option<Result<Frame<Bytes>, E>>>) -> u64 {
    match polled {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => 0,
    }
}
