//! The body of an answer on its way to the client: counted, without values of secrets, looked through where a rule
//! says so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use ringfence_secrets::held::scrub_head;

use super::super::aws::Room;
use super::super::broken::{Side, ended};
use super::super::content::Blocked;
use super::super::secrets::Scrubbing;
use super::account::{Account, length};
use super::looking::{Looking, Step};
use super::server::Server;

/// Why the body of an answer ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The server broke off.
    #[error(transparent)]
    Server(#[from] hyper::Error),
    /// What comes next may not pass.
    #[error("the answer was cut off: {0}")]
    Blocked(#[from] Blocked),
}

/// The body of an answer on its way to the client.
pub(crate) struct Answered {
    body: Incoming,
    account: Account,
    server: Arc<Server>,
    scrubbing: Option<Scrubbing>,
    /// What comes after the last of what was kept back.
    last: Option<Frame<Bytes>>,
    /// What was read of it, and has been looked at.
    begun: Option<Bytes>,
    /// What else is to be looked at, and how.
    rest: Rest,
    /// Given back with the body.
    room: Option<Room>,
}

/// What comes behind what was read of an answer.
pub(super) enum Rest {
    /// What the server sends.
    Streams,
    /// The same, looked through.
    LookedThrough(Box<Looking>),
    /// Nothing but these trailers, if any.
    Ended(Option<HeaderMap>),
}

impl Answered {
    pub(super) fn new(
        body: Incoming,
        (account, server): (Account, Arc<Server>),
        scrubbing: Option<Scrubbing>,
    ) -> Answered {
        let (last, begun, rest, room) = (None, None, Rest::Streams, None);
        Answered { body, account, server, scrubbing, last, begun, rest, room }
    }

    /// The same behind what was read of it already.
    pub(super) fn behind(mut self, (begun, room): (Vec<u8>, Option<Room>), rest: Rest) -> Answered {
        self.begun = Some(Bytes::from(begun)).filter(|begun| !begun.is_empty());
        (self.room, self.rest) = (room, rest);
        self
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

    /// What comes next, without values of secrets.
    fn poll_scrubbed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(Ok(last)));
            }
            let polled = match self.account.first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut self.body).poll_frame(context),
            };
            self.account.received(length(&polled));
            if let Poll::Ready(Some(Err(error))) = &polled {
                let reason = ended(Side::Server, error);
                self.account.fail(&reason);
                self.server.failed(&reason);
            }
            let frame = match polled {
                Poll::Ready(Some(Ok(frame))) => Some(frame),
                Poll::Ready(None) => None,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return polled,
            };
            match self.scrubbed(frame) {
                Next::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Next::End => return Poll::Ready(None),
                Next::Kept => {}
            }
        }
    }

    /// What comes next of that, as far as it may go on.
    fn poll_looked_at(
        &mut self,
        looking: &mut Looking,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let step = match looking.left() {
                Some(left) => Ok(left),
                None => match self.poll_scrubbed(context) {
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                    Poll::Ready(Some(Ok(frame))) => looking.step(Poll::Ready(Some(frame)), context),
                    Poll::Ready(None) => looking.step(Poll::Ready(None), context),
                    Poll::Pending => looking.step(Poll::Pending, context),
                },
            };
            match step {
                Ok(Step::Next(frame)) => return Poll::Ready(frame.map(Ok)),
                Ok(Step::Kept) => {}
                Ok(Step::Waits) => return Poll::Pending,
                Err(blocked) => {
                    let reason = looking.cut(&blocked);
                    self.account.fail(&reason);
                    return Poll::Ready(Some(Err(blocked.into())));
                }
            }
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Rest::LookedThrough(looking) = &self.rest {
            self.account.found(looking.tally());
        }
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

impl Body for Answered {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if let Some(begun) = this.begun.take() {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        match std::mem::replace(&mut this.rest, Rest::Streams) {
            Rest::Streams => this.poll_scrubbed(context).map_err(Cut::from),
            Rest::LookedThrough(mut looking) => {
                let polled = this.poll_looked_at(&mut looking, context);
                this.rest = Rest::LookedThrough(looking);
                polled
            }
            Rest::Ended(trailers) => {
                this.rest = Rest::Ended(None);
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.rest {
            Rest::Streams => {
                let kept = self.scrubbing.as_ref().is_some_and(|it| !it.keeps_nothing());
                let first = self.account.first.is_none() && self.last.is_none();
                first && self.body.is_end_stream() && !kept
            }
            Rest::LookedThrough(_) => false,
            Rest::Ended(trailers) => trailers.is_none(),
        };
        self.begun.is_none() && ended
    }

    fn size_hint(&self) -> SizeHint {
        let begun = self.begun.as_ref().map_or(0, |begun| begun.len() as u64);
        let first = self.account.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = match &self.rest {
            Rest::Streams => self.body.size_hint(),
            Rest::LookedThrough(_) => SizeHint::default(),
            Rest::Ended(_) => SizeHint::with_exact(0),
        };
        let before = first.saturating_add(begun);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(before));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(before));
        }
        hint
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
