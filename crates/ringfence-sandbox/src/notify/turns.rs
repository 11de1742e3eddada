//! Which of several threads receives: one does, and hands what takes long to those that wait.
//!
//! Passing the turn with every call would wake a thread for each of them, which costs more than the
//! call itself. So whoever received a change to a file, which is answered in microseconds, goes on
//! receiving when it comes back, and wakes nobody in between. A program or a connection is handed
//! to a thread that waits, and the receiver stays.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Attempt, Attempted};

/// How long calls can go unheard at worst, if a receiver stays with a change to a file.
const UNHEARD_MAX: Duration = Duration::from_millis(50);

/// The threads' order.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    receiver: Receiver,
    /// Attempts for threads that wait; never more than these.
    handed: VecDeque<Attempt>,
    waiting: usize,
    sentinel: Sentinel,
    world: World,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Receiver {
    #[default]
    Away,
    Receiving,
}

/// One waiting thread looks, now and then, whether the receiver has stayed away.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sentinel {
    #[default]
    Missing,
    Posted,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum World {
    #[default]
    Alive,
    Gone,
}

/// What a thread is to do.
#[derive(Debug)]
pub(super) enum Turn {
    /// Receive, until [`Turns::keep_or_hand`] or [`Turns::leave`] says otherwise.
    Receive,
    /// Answer this.
    Answer(Box<Attempt>),
    /// Nothing: the world is gone.
    Over,
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do.
    pub(super) fn wait(&self) -> Turn {
        let mut state = self.state();
        loop {
            if let Some(attempt) = state.handed.pop_front() {
                self.post_another(&state);
                return Turn::Answer(Box::new(attempt));
            }
            if state.world == World::Gone {
                return Turn::Over;
            }
            if state.receiver == Receiver::Away {
                state.receiver = Receiver::Receiving;
                self.post_another(&state);
                return Turn::Receive;
            }
            state.waiting += 1;
            if state.sentinel == Sentinel::Missing {
                state.sentinel = Sentinel::Posted;
                state = self
                    .wake
                    .wait_timeout(state, UNHEARD_MAX)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                state.sentinel = Sentinel::Missing;
            } else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting -= 1;
        }
    }

    /// A thread that leaves may have been the sentinel.
    fn post_another(&self, state: &State) {
        if state.sentinel == Sentinel::Missing && state.waiting > 0 {
            self.wake.notify_one();
        }
    }

    /// What the receiver does with an attempt: `None` when another thread has it and the receiver
    /// goes on; else it is the receiver's own to answer, and its turn is over.
    pub(super) fn keep_or_hand(&self, attempt: Attempt) -> Option<Attempt> {
        let mut state = self.state();
        let quick = matches!(attempt.kind, Attempted::File(_));
        if !quick && state.waiting > state.handed.len() {
            state.handed.push_back(attempt);
            self.wake.notify_one();
            return None;
        }
        state.receiver = Receiver::Away;
        Some(attempt)
    }

    /// The receiver ends because it failed; another one may try.
    pub(super) fn leave(&self) {
        self.state().receiver = Receiver::Away;
        self.wake.notify_one();
    }

    /// The receiver found the world gone.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.world = World::Gone;
        state.receiver = Receiver::Away;
        self.wake.notify_all();
    }
}
