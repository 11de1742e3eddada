//! A permitted request and its account: status and bytes, recorded when its answer ends, however.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use ringfence_core::{Handling, HttpUsage, Outcome, Permit, Request, Running};

use super::super::aws::{Room, Sent};
use super::super::content::Tally;
use super::super::live::{Client, Place};
use super::super::open::Port;
use super::super::reply::Refusal;
use super::super::secrets::{Carried, Carries, Stopped, Watch};
use super::client::Unread;
use super::looking::{Looking, Step, Stop};

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
    pub(super) first: Option<Bytes>,
    /// What the rules say that permit it, and it itself, where they say anything.
    handling: Option<Box<(Handling, Request)>>,
    found: Tally,
    unlooked: Option<String>,
}

impl Account {
    /// Spends the permit of a request and begins its account.
    pub(crate) fn open(port: &Port, who: &Client, permit: Permit) -> Result<Account, Refusal> {
        // Entered before the permit is spent: a reload in between spoils the permit, one after it
        // finds the request.
        let place = port.enter(&permit, who);
        let handled = || Box::new((permit.handling().clone(), permit.request().clone()));
        let handling = (!permit.handling().is_empty()).then(handled);
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
            handling,
            found: Tally::default(),
            unlooked: None,
        })
    }

    /// The body of the request, counted and watched.
    pub(crate) fn outgoing(&mut self, carries: Carries, unread: Option<Unread>) -> Outgoing {
        let Carries { uses, carried, watch, body, room } = carries;
        self.carried = carried;
        self.uses = uses;
        let sent = Arc::clone(&self.sent);
        Outgoing { body, sent, watch, unread, looking: None, _room: room }
    }

    /// What the rules that permit it say of what passes, and the request; nothing where they say nothing.
    pub(super) fn handling(&self) -> Option<&(Handling, Request)> {
        self.handling.as_deref()
    }

    /// Notes what was found.
    pub(super) fn found(&mut self, found: &Tally) {
        self.found.add(found);
    }

    /// What the client is told where the request was stopped on its way, and else.
    pub(super) fn halted(&mut self, refusal: Refusal, why: Option<&Stop>) -> Refusal {
        let Some((reason, found)) = why.and_then(|why| why.get()) else { return refusal };
        self.found.add(found);
        Refusal::Blocked(reason.clone())
    }

    /// Notes why the answer is not looked through.
    pub(super) fn unlooked(&mut self, why: String) {
        self.unlooked = Some(why);
    }

    /// Notes bytes of the answer's body.
    pub(super) fn received(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
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
            found: self.found.found(),
            unlooked: self.unlooked.take(),
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
    /// Looks for what may not go out, where a rule says so.
    looking: Option<Box<Looking>>,
    /// Given back with the body.
    _room: Option<Room>,
}

impl Outgoing {
    /// That of a request that nobody decides by itself.
    pub(super) fn own(body: Bytes) -> Outgoing {
        let (sent, watch) = (Arc::default(), Watch::default());
        let body = Sent::Whole(Some(body));
        Outgoing { body, sent, watch, unread: None, looking: None, _room: None }
    }

    /// The same, looked through as it is sent.
    pub(super) fn looked_through(self, looking: Option<Box<Looking>>) -> Outgoing {
        Outgoing { looking, ..self }
    }

    /// What comes next of what the client sends.
    fn poll_sent(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = match &mut self.body {
            Sent::Nothing => Poll::Ready(None),
            Sent::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Sent::Begun(body) => body.poll_frame(context),
            Sent::Streams(body) => Pin::new(body).poll_frame(context),
        };
        let read = matches!(&polled, Poll::Ready(None)) || self.body.is_read();
        if read && let Some(unread) = self.unread.take() {
            unread.read();
        }
        polled.map_err(Broken::from)
    }

    /// The same, as far as it may go on.
    fn poll_looked_at(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(mut looking) = self.looking.take() else { return self.poll_sent(context) };
        let polled = loop {
            let step = match looking.left() {
                Some(left) => Ok(left),
                None => match self.poll_sent(context) {
                    Poll::Ready(Some(Err(error))) => break Poll::Ready(Some(Err(error))),
                    Poll::Ready(Some(Ok(frame))) => looking.step(Poll::Ready(Some(frame)), context),
                    Poll::Ready(None) => looking.step(Poll::Ready(None), context),
                    Poll::Pending => looking.step(Poll::Pending, context),
                },
            };
            match step {
                Ok(Step::Next(frame)) => break Poll::Ready(frame.map(Ok)),
                Ok(Step::Kept) => {}
                Ok(Step::Waits) => break Poll::Pending,
                Err(blocked) => {
                    looking.cut(&blocked);
                    break Poll::Ready(Some(Err(Stopped.into())));
                }
            }
        };
        self.looking = Some(looking);
        polled
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
            let passed = match this.poll_looked_at(context) {
                Poll::Ready(Some(Ok(frame))) => this.watch.pass(frame).map_err(Broken::from),
                // What a signature speaks of and is not there is not made up for.
                Poll::Ready(None) if this.watch.wants_more() => Err(Stopped.into()),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Err(error),
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
            && self.looking.is_none()
            && match &self.body {
                Sent::Nothing => true,
                Sent::Whole(bytes) => bytes.is_none(),
                Sent::Begun(..) => false,
                Sent::Streams(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Sent::Nothing => SizeHint::with_exact(0),
            Sent::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |it| it.len() as u64))
            }
            Sent::Begun(..) => SizeHint::default(),
            Sent::Streams(body) => body.size_hint(),
        }
    }
}

/// The bytes of a frame.
pub(super) fn length<E>(polled: &Poll<Option<Result<Frame<Bytes>, E>>>) -> u64 {
    match polled {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => 0,
    }
}
