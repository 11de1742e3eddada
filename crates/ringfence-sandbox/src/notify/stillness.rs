//! Holding back every answer while a world is to stand still.
//!
//! A process whose call waits for an answer cannot be stopped: it waits in the kernel until it has one
//! (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`). As long as it has none, it does nothing either, and
//! neither do those who carry out calls in its place.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether the world of a listener is to stand still, and who waits for an answer.
#[derive(Debug, Default)]
pub struct Stillness {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    still: bool,
    /// Answers that are being given, and calls that are being carried out.
    busy: usize,
    /// It has stood still since a call last arrived: other things may be at its paths.
    moved: bool,
    /// Calls that wait, and the thread of each.
    waiting: HashMap<u64, i32>,
}

/// Nothing is answered until this is dropped.
#[derive(Debug)]
pub struct Still<'a>(&'a Stillness);

/// An answer that is being given, or a call that is being carried out.
#[derive(Debug)]
pub(super) struct Busy(Arc<Stillness>);

impl Stillness {
    /// Holds back every answer from here on. `None` when what is being carried out does not end
    /// within `wait`; then nothing is held back.
    pub fn begin(&self, wait: Duration) -> Option<Still<'_>> {
        let until = Instant::now() + wait;
        let mut state = self.state();
        // One at a time.
        while state.still {
            state = self.wait_until(state, until)?;
        }
        state.still = true;
        loop {
            if state.busy == 0 {
                return Some(Still(self));
            }
            let Some(next) = self.wait_until(state, until) else {
                drop(Still(self));
                return None;
            };
            state = next;
        }
    }

    /// Whether a thread waits for an answer.
    pub fn waits(&self, tid: i32) -> bool {
        self.state().waiting.values().any(|waits| *waits == tid)
    }

    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let left = until.checked_duration_since(Instant::now()).filter(|it| !it.is_zero())?;
        let waited = self.changed.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Notes that a call waits; the result is whether the world has stood still since the last one.
    pub(super) fn arrived(&self, id: u64, tid: i32) -> bool {
        let mut state = self.state();
        state.waiting.insert(id, tid);
        std::mem::take(&mut state.moved)
    }

    pub(super) fn answered(&self, id: u64) {
        self.state().waiting.remove(&id);
    }

    /// To be held while an answer is given, or a call carried out; waits while the world is to stand
    /// still.
    pub(super) fn busy(self: &Arc<Stillness>) -> Busy {
        let mut state = self.state();
        while state.still {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        Busy(Arc::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two of its changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.still, state.moved) = (false, true);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy = state.busy.saturating_sub(1);
        if state.still {
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::Stillness;

    #[test]
    fn nothing_is_answered_while_the_world_is_to_stand_still() {
        let stillness = Arc::new(Stillness::default());
        let busy = stillness.busy();
        assert!(stillness.begin(Duration::from_millis(20)).is_none(), "it is being answered");
        drop(busy);
        let still = stillness.begin(Duration::from_mins(1)).unwrap();
        let answered = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _busy = stillness.busy();
                answered.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(Duration::from_millis(50));
            assert!(!answered.load(Ordering::SeqCst));
            drop(still);
        });
        assert!(answered.load(Ordering::SeqCst));
    }
}
