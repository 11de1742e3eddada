//! Which of several threads receives: one does, answers what it received, and receives again.
//!
//! Passing calls from thread to thread would wake one for each of them, which costs more than most
//! calls themselves. So whoever received a call answers it, and wakes nobody: the others sleep, but
//! for one that looks, now and then, whether the receiver has stayed away for long.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long calls can go unheard if a receiver stays with an answer, after some quiet.
const UNHEARD_MAX: Duration = Duration::from_millis(50);

/// The same while there is much to answer: most answers take microseconds, a program that is
/// verified and must be read from a disk takes longer.
const UNHEARD_BUSY_MAX: Duration = Duration::from_millis(4);

/// The threads' order.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    receiver: Receiver,
    /// How often a receiver has left with something to answer.
    left: u64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Receive, until [`Turns::answer`] or [`Turns::fail`] has been called.
    Receive,
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
        let mut pause = UNHEARD_MAX;
        loop {
            if state.world == World::Gone {
                return Turn::Over;
            }
            if state.receiver == Receiver::Away {
                state.receiver = Receiver::Receiving;
                // Whoever leaves may have been the sentinel.
                if state.sentinel == Sentinel::Missing && state.waiting > 0 {
                    self.wake.notify_one();
                }
                return Turn::Receive;
            }
            state.waiting += 1;
            if state.sentinel == Sentinel::Missing {
                state.sentinel = Sentinel::Posted;
                let left = state.left;
                state =
                    self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                state.sentinel = Sentinel::Missing;
                pause = if state.left == left { UNHEARD_MAX } else { UNHEARD_BUSY_MAX };
            } else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting -= 1;
        }
    }

    /// The receiver leaves to answer what it received.
    pub(super) fn answer(&self) {
        let mut state = self.state();
        state.left = state.left.wrapping_add(1);
        state.receiver = Receiver::Away;
    }

    /// The receiver ends because it failed; another one may try.
    pub(super) fn fail(&self) {
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
