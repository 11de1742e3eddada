//! A talk without a thread of its own: whoever says something to it carries it on.
//!
//! All servers of such a talk are behind addresses, and one thread carries the requests of its client, the talk and the
//! requests to its servers, so that nothing is handed from thread to thread. What takes its time is done elsewhere.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use ringfence_proxy::mcp::frame::{Frame, Message};
use ringfence_proxy::mcp::lines;
use tokio::runtime::Handle;

use super::super::started::named;
use super::client::Patience;
use super::{Goes, Heard, Serving};
use crate::notice::Notice;

/// How far a talk was carried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// As far as others have said something.
    Nothing,
    /// What comes next takes its time.
    Much,
    /// As far as `Nothing`, but for the ends of calls: what their clients are told goes before.
    Ends,
    /// To its end.
    Over,
}

/// Where a talk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Here,
    Elsewhere,
}

/// Longest message that is no work to speak of, in bytes.
const LIGHT_BYTES_MAX: usize = 64 * 1024;

/// What is done once a talk has ended.
type Then = Box<dyn FnOnce() + Send>;

/// A talk.
pub(in super::super) struct Inline {
    /// None once it is over.
    talk: Mutex<Option<Serving>>,
    /// Something was said that nobody has looked at yet.
    said: AtomicBool,
    then: Mutex<Option<Then>>,
}

impl Inline {
    /// A talk that goes on until its end; then does this.
    pub(in super::super) fn new(serving: Serving, then: Then) -> Arc<Inline> {
        let inline = Arc::new(Inline {
            talk: Mutex::new(None),
            said: AtomicBool::new(false),
            then: Mutex::new(Some(then)),
        });
        serving.carried_on_by(&inline);
        *lock(&inline.talk) = Some(serving);
        // What servers have said before.
        inline.carry_on();
        inline
    }

    /// Carries the talk on, unless somebody else does.
    pub(in super::super) fn carry_on(self: &Arc<Inline>) {
        self.said.store(true, Ordering::SeqCst);
        self.run(Patience::Leaves);
    }

    fn run(self: &Arc<Inline>, patience: Patience) {
        // INVARIANT: whoever finds the talk taken has said so before; who has it looks again when it lets go.
        while self.said.load(Ordering::SeqCst) {
            let mut talk = match self.talk.try_lock() {
                Ok(talk) => talk,
                Err(TryLockError::WouldBlock) => return,
                // It broke off in the middle of something: nothing more is decided in it.
                Err(TryLockError::Poisoned(talk)) => {
                    let over = talk.into_inner().take();
                    return self.end(over);
                }
            };
            self.said.store(false, Ordering::SeqCst);
            let left = talk.as_mut().map(|serving| serving.carry_on(patience, &mut tell));
            match left {
                None => return,
                Some(Left::Nothing) => {}
                Some(Left::Ends) => {
                    self.said.store(true, Ordering::SeqCst);
                    drop(talk);
                    if self.next() == Next::Elsewhere {
                        return;
                    }
                }
                Some(Left::Over) => {
                    let over = talk.take();
                    drop(talk);
                    return self.end(over);
                }
                Some(Left::Much) => {
                    self.said.store(true, Ordering::SeqCst);
                    drop(talk);
                    return self.elsewhere();
                }
            }
        }
    }

    /// Goes on behind what is to be done already, where that is known.
    fn next(self: &Arc<Inline>) -> Next {
        let Ok(handle) = Handle::try_current() else { return Next::Here };
        let talk = Arc::clone(self);
        handle.spawn(async move { talk.run(Patience::Leaves) });
        Next::Elsewhere
    }

    /// Goes on where there is time.
    fn elsewhere(self: &Arc<Inline>) {
        let talk = Arc::clone(self);
        let goes_on = move || talk.run(Patience::Waits);
        match Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(goes_on)),
            Err(_) => {
                if named("talk", goes_on).is_err() {
                    self.run(Patience::Waits);
                }
            }
        }
    }

    /// Servers may take their time to end.
    fn end(&self, over: Option<Serving>) {
        let then = lock(&self.then).take();
        let ends = move || {
            over.into_iter().for_each(Serving::close);
            if let Some(then) = then {
                then();
            }
        };
        // Where there is no thread for it, what was to be ended is let go of.
        let _ = named("end-client", ends);
    }
}

impl Serving {
    /// Carries messages as far as others have said something, for who has no time for more than little things.
    fn carry_on(&mut self, patience: Patience, tell: &mut dyn FnMut(&Notice)) -> Left {
        self.patience = patience;
        self.record_ends();
        loop {
            self.say_unsaid();
            if self.stopper.ends.load(Ordering::Acquire) {
                return Left::Over;
            }
            if !self.unsaid.is_empty() {
                return Left::Much;
            }
            let heard = match self.ears.said() {
                Some(heard) if patience == Patience::Leaves && self.is_much(&heard) => {
                    self.ears.not_yet(heard);
                    return Left::Much;
                }
                Some(heard) => Ok(heard),
                None if self.due().is_some_and(|due| due <= Instant::now()) => {
                    Err(RecvTimeoutError::Timeout)
                }
                None if self.ended.is_empty() => return Left::Nothing,
                None => return Left::Ends,
            };
            if self.step(heard, tell) == Goes::Over {
                return Left::Over;
            }
        }
    }

    /// Whether a message may take its time: a large one, and a call that names files, which may lie far away.
    fn is_much(&self, heard: &Heard) -> bool {
        match heard {
            Heard::Request(_, frame) => {
                frame.bytes() > LIGHT_BYTES_MAX
                    || messages(frame).iter().any(|it| self.decider.looks_up(it))
            }
            Heard::Answer(_, frame) => frame.bytes() > LIGHT_BYTES_MAX,
            Heard::Server(_, lines::Read::Line(line)) => line.len() > LIGHT_BYTES_MAX,
            Heard::Client(_)
            | Heard::Closed(_)
            | Heard::Forgot(..)
            | Heard::Server(_, lines::Read::TooLong(_) | lines::Read::End)
            | Heard::Decided(..)
            | Heard::Reloaded
            | Heard::Tell(_)
            | Heard::Stop => false,
        }
    }

    /// Who says something carries the talk on from now on.
    fn carried_on_by(&self, talk: &Arc<Inline>) {
        self.ears.carried_on_by(talk);
    }
}

fn messages(frame: &Frame) -> &[Message] {
    match frame {
        Frame::One(message) => std::slice::from_ref(message),
        Frame::Batch(messages) => messages,
    }
}

fn tell(notice: &Notice) {
    // Where nobody reads it, the talk goes on all the same.
    let _ = writeln!(io::stderr().lock(), "{notice}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
