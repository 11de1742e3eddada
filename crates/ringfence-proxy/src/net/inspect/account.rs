//! A permitted request and its account: status and bytes, recorded when its answer ends, however.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use ringfence_core::{HttpUsage, Outcome, Permit, Running};
use ringfence_secrets::held::scrub_head;

use super::super::aws::{Room, Sent};
use super::super::broken::{Side, ended};
use super::super::live::{Client, Place};
use super::super::open::Port;
use super::super::reply::Refusal;
use super::super::secrets::{Carried, Carries, Scrubbing, Stopped, Watch};
use super::client::Unread;
use super::server::Server;

/// Most versions that are noted of those that were taken out of one list.
const KEPT_BACK_MAX: usize = 32;

/// The account of one permitted request; dropping it records its end.
pub(crate) struct Account {
    running: Option<Running>,
    place: Place,
    status: Option<u16>,
    refused: Option<u16>,
    sent: Arc<AtomicU64>,
    received: u64,
    began: Instant,
    error: Option<String>,
    carried: Carried,
    uses: Vec<Running>,
    kept_back: Vec<String>,
    /// What of the answer's body was read already.
    first: Option<Bytes>,
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
            refused: None,
            sent: Arc::default(),
            received: 0,
            began: Instant::now(),
            error: None,
            carried: Carried::Nothing,
            uses: Vec::new(),
            kept_back: Vec::new(),
            first: None,
        })
    }

    /// The body of the request, counted and watched.
    pub(crate) fn outgoing(&mut self, carries: Carries, unread: Option<Unread>) -> Outgoing {
        let Carries { uses, carried, watch, body, room } = carries;
        self.carried = carried;
        self.uses = uses;
        Outgoing { body, sent: Arc::clone(&self.sent), watch, unread, _room: room }
    }

    /// Notes releases that were taken out of a list; the first of them.
    pub(super) fn kept_back(&mut self, versions: &[String]) {
        self.kept_back = versions.iter().take(KEPT_BACK_MAX).cloned().collect();
    }

    /// Puts what was read of the answer's body in front of the rest.
    pub(super) fn begins_with(&mut self, first: Vec<u8>) {
        self.first = Some(Bytes::from(first)).filter(|first| !first.is_empty());
    }

    /// What of secrets is in the request.
    pub(crate) fn carried(&self) -> &Carried {
        &self.carried
    }

    /// Notes the status of the answer.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
        for used in self.uses.drain(..) {
            // As below.
            let _ = used.finish(Outcome::Done);
        }
    }

    /// Notes bytes that passed outside of bodies.
    pub(crate) fn passed(&mut self, (sent, received): (u64, u64)) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received = self.received.saturating_add(received);
    }

    /// Notes what the client is told in place of the server's answer.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.fail(&refusal.reason());
        self.refused.get_or_insert_with(|| refusal.status().as_u16());
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
        for used in self.uses.drain(..) {
            let error = self.error.clone().unwrap_or_else(|| "it was not answered".to_owned());
            let _ = used.finish(Outcome::Failed { error });
        }
        let usage = HttpUsage {
            status: self.status,
            refused: self.refused,
            bytes_sent: self.sent.load(Ordering::Relaxed),
            bytes_received: self.received,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: self.error.take(),
            kept_back: std::mem::take(&mut self.kept_back),
        };
        // A log that fails here makes every later check a denial; the request is over already.
        let _ = running.finish(Outcome::Request(usage));
    }
}

/// Why the body of a request ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The client broke off.
    #[error(transparent)]
    Client(#[from] hyper::Error),
    /// It may not go on.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The body of a request on its way to the server.
pub(crate) struct Outgoing {
    body: Sent,
    sent: Arc<AtomicU64>,
    watch: Watch,
    /// Told when the body was read to its end.
    unread: Option<Unread>,
    /// Given back with the body.
    _room: Option<Room>,
}

impl Outgoing {
    /// That of a request that nobody decides by itself.
    pub(super) fn own(body: Bytes) -> Outgoing {
        let (sent, watch) = (Arc::default(), Watch::default());
        Outgoing { body: Sent::Whole(Some(body)), sent, watch, unread: None, _room: None }
    }
}

/// The body of an answer on its way to the client.
pub(crate) struct Answered {
    body: Incoming,
    account: Account,
    server: Arc<Server>,
    scrubbing: Option<Scrubbing>,
    /// What comes after the last of what was kept back.
    last: Option<Frame<Bytes>>,
}

impl Answered {
    pub(super) fn new(
        body: Incoming,
        (account, server): (Account, Arc<Server>),
        scrubbing: Option<Scrubbing>,
    ) -> Answered {
        Answered { body, account, server, scrubbing, last: None }
    }

    /// What of a frame, or of the end, can go on.
    fn scrubbed(&mut self, frame: Option<Frame<Bytes>>) -> Next {
        let Some(scrubbing) = &mut self.scrubbing else {
            return frame.map_or(Next::End, Next::Frame);
        };
        let next = match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                let out = scrubbing.push(&data);
                return if out.is_empty() { Next::Kept } else { Next::data(out) };
            }
            Some(Err(other)) => Some(trailers_of(scrubbing, other)),
            None => None,
        };
        let kept = scrubbing.finish();
        self.scrubbing = None;
        if kept.is_empty() {
            return next.map_or(Next::End, Next::Frame);
        }
        self.last = next;
        Next::data(kept)
    }
}

/// What of an answer goes on.
enum Next {
    Frame(Frame<Bytes>),
    End,
    /// All of it is kept back for now.
    Kept,
}

impl Next {
    fn data(bytes: Vec<u8>) -> Next {
        Next::Frame(Frame::data(bytes.into()))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        loop {
            let polled = match &mut this.body {
                Sent::Nothing => Poll::Ready(None),
                Sent::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
                Sent::Streams(body) => Pin::new(body).poll_frame(context),
            };
            let read = matches!(&polled, Poll::Ready(None)) || this.body.is_read();
            if read && let Some(unread) = this.unread.take() {
                unread.read();
            }
            let passed = match polled {
                Poll::Ready(Some(Ok(frame))) => this.watch.pass(frame).map_err(Broken::from),
                // What a signature speaks of and is not there is not made up for.
                Poll::Ready(None) if this.watch.wants_more() => Err(Stopped.into()),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Err(error.into()),
                Poll::Pending => return Poll::Pending,
            };
            // Of a piece that is kept until it is whole, nothing goes on yet.
            if let Ok(frame) = &passed
                && frame.data_ref().is_some_and(Bytes::is_empty)
            {
                continue;
            }
            let polled = Poll::Ready(Some(passed));
            this.sent.fetch_add(length(&polled), Ordering::Relaxed);
            return polled;
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.watch.wants_more()
            && match &self.body {
                Sent::Nothing => true,
                Sent::Whole(bytes) => bytes.is_none(),
                Sent::Streams(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Sent::Nothing => SizeHint::with_exact(0),
            Sent::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |it| it.len() as u64))
            }
            Sent::Streams(body) => body.size_hint(),
        }
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
        loop {
            if let Some(last) = this.last.take() {
                return Poll::Ready(Some(Ok(last)));
            }
            let polled = match this.account.first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut this.body).poll_frame(context),
            };
            this.account.received = this.account.received.saturating_add(length(&polled));
            if let Poll::Ready(Some(Err(error))) = &polled {
                let reason = ended(Side::Server, error);
                this.account.fail(&reason);
                this.server.failed(&reason);
            }
            let frame = match polled {
                Poll::Ready(Some(Ok(frame))) => Some(frame),
                Poll::Ready(None) => None,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return polled,
            };
            match this.scrubbed(frame) {
                Next::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Next::End => return Poll::Ready(None),
                Next::Kept => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.scrubbing.as_ref().is_some_and(|it| !it.keeps_nothing());
        self.account.first.is_none() && self.body.is_end_stream() && !kept && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.account.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

/// The bytes of a frame.
fn length<E>(polled: &Poll<Option<Result<Frame<Bytes>, E>>>) -> u64 {
    match polled {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => 0,
    }
}

/// The trailers of an answer, without values.
fn trailers_of(scrubbing: &Scrubbing, frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            scrub_head(&mut trailers, &scrubbing.patterns());
            Frame::trailers(trailers)
        }
        Err(other) => other,
    }
}
