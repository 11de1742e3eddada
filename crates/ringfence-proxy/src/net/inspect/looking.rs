//! A body that is looked through while it passes, either way.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use hyper::header::HeaderMap;
use ringfence_core::Request;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::super::content::{self, Blocked, Form, Passing, Rules, Tally, Way};
use super::super::open::Port;
use super::super::reply::Refusal;
use super::looked::{not_passed, not_sent};

/// After so long without more, words go on that have ended, in milliseconds.
const PAUSE_MS: u64 = 200;

/// How long after it was looked at small pieces are gathered, in milliseconds: less than anybody notices, and long
/// beside what a look takes.
const GATHER_MS: u64 = 20;

/// A body that is looked through as it passes.
pub(super) struct Looking {
    passing: Passing,
    rules: Rules,
    way: Way,
    /// Runs while something is held back and nothing comes.
    pause: Option<Pin<Box<Sleep>>>,
    /// Runs out when small pieces have been gathered for long enough.
    gathers: Option<Pin<Box<Sleep>>>,
    /// Until when that is.
    until: Instant,
    left: Left,
    of: Of,
    stopped: Stop,
}

/// Why a request was stopped while its body was sent, and what was found.
pub(super) type Stop = Arc<OnceLock<(String, Tally)>>;

/// What comes behind the last of what was held back.
enum Left {
    /// What is read next.
    More,
    Trailers(Frame<Bytes>),
    End,
}

/// Whom is told of a body that is cut off, and where.
pub(super) struct Of {
    pub(super) port: Arc<Port>,
    pub(super) request: Request,
}

/// What of a body goes on.
pub(super) enum Step {
    /// This, or the end.
    Next(Option<Frame<Bytes>>),
    /// Nothing yet: it is held back.
    Kept,
    /// Nothing until more comes.
    Waits,
}

impl Of {
    pub(super) fn refused(&self, reason: String) -> Refusal {
        self.port.blocked(&self.request, reason)
    }

    pub(super) fn blocked(&self, blocked: &Blocked) -> Refusal {
        self.refused(not_passed(blocked))
    }
}

impl Looking {
    pub(super) fn new(rules: Rules, (form, way): (Form, Way), of: Of) -> Looking {
        let passing = Passing::new(rules.clone(), form);
        let (pause, gathers, until) = (None, None, Instant::now());
        let (left, stopped) = (Left::More, Stop::default());
        Looking { passing, rules, way, pause, gathers, until, left, of, stopped }
    }

    /// What of it can go on now that this has come.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Blocked> {
        let now = Instant::now();
        if now < self.until {
            return self.passing.gather(bytes);
        }
        self.looks(now);
        self.passing.push(bytes)
    }

    /// Notes that it is looked at now.
    fn looks(&mut self, now: Instant) {
        (self.gathers, self.until) = (None, now + Duration::from_millis(GATHER_MS));
    }

    /// What was found so far.
    pub(super) fn tally(&self) -> &Tally {
        self.passing.tally()
    }

    /// Says why it was stopped, if it was.
    pub(super) fn stopped(&self) -> Stop {
        Arc::clone(&self.stopped)
    }

    /// What comes behind the last of what was held back; nothing where more is to be read first.
    pub(super) fn left(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.left, Left::End) {
            Left::More => {
                self.left = Left::More;
                None
            }
            Left::Trailers(frame) => Some(Step::Next(Some(frame))),
            Left::End => Some(Step::Next(None)),
        }
    }

    /// What can go on now that this has come, or nothing has.
    pub(super) fn step(
        &mut self,
        polled: Poll<Option<Frame<Bytes>>>,
        context: &mut Context<'_>,
    ) -> Result<Step, Blocked> {
        let frame = match polled {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.wait(context),
        };
        self.pause = None;
        match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                let out = self.push(&data)?;
                Ok(if out.is_empty() { Step::Kept } else { Step::Next(Some(whole(out))) })
            }
            Some(Err(other)) => {
                let trailers = other.into_trailers().unwrap_or_default();
                let trailers = self.trailers(trailers)?;
                self.end(Some(Frame::trailers(trailers)))
            }
            None => self.end(None),
        }
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> Result<HeaderMap, Blocked> {
        let mut tally = Tally::default();
        match self.way {
            Way::In => content::in_headers(&self.rules, &mut trailers, &mut tally)?,
            Way::Out => content::out_headers(&self.rules, &trailers, &mut tally)?,
        }
        self.passing.add(&tally);
        Ok(trailers)
    }

    fn end(&mut self, last: Option<Frame<Bytes>>) -> Result<Step, Blocked> {
        let out = self.passing.finish()?;
        self.left = last.map_or(Left::End, Left::Trailers);
        Ok(if out.is_empty() { Step::Kept } else { Step::Next(Some(whole(out))) })
    }

    /// Lets go on what can where nothing has come for a while.
    fn wait(&mut self, context: &mut Context<'_>) -> Result<Step, Blocked> {
        if !self.passing.holds() {
            return Ok(Step::Waits);
        }
        if self.passing.waits() {
            let until = self.until;
            let gathers = self.gathers.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if gathers.as_mut().poll(context).is_pending() {
                return Ok(Step::Waits);
            }
            self.looks(Instant::now());
            let out = self.passing.lines()?;
            if !out.is_empty() {
                return Ok(Step::Next(Some(whole(out))));
            }
        }
        let pause = Duration::from_millis(PAUSE_MS);
        let paused = self.pause.get_or_insert_with(|| Box::pin(sleep(pause)));
        if paused.as_mut().poll(context).is_pending() {
            return Ok(Step::Waits);
        }
        let out = self.passing.pause()?;
        // What is held now is held until more comes.
        self.pause = Some(Box::pin(sleep(Duration::MAX)));
        Ok(if out.is_empty() { Step::Waits } else { Step::Next(Some(whole(out))) })
    }

    /// Tells of an answer that is cut off; why, for its account.
    pub(super) fn cut(&self, blocked: &Blocked) -> String {
        let reason = match self.way {
            Way::In => format!("the answer was cut off: {blocked}, and a rule does not let it in"),
            Way::Out => not_sent("its body", blocked),
        };
        self.of.port.tell_failed(&self.of.request, &reason);
        let _ = self.stopped.set((reason.clone(), self.tally().clone()));
        reason
    }
}

fn whole(bytes: Vec<u8>) -> Frame<Bytes> {
    Frame::data(Bytes::from(bytes))
}
