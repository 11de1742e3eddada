//! Connections over which nobody has shown the token yet. They keep no place from who comes after them: whoever may not
//! speak to us could hold all places otherwise, by sending half of a head over each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::AbortHandle;

use super::CONNECTIONS_MAX;

/// Whether the token was shown over a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    /// It was.
    pub(super) fn is_now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    One,
    None,
}

/// Those that came in and have not shown it, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Newcomers(VecDeque<(Known, AbortHandle)>);

impl Newcomers {
    /// One more has come in.
    pub(super) fn came(&mut self, known: Known, connection: AbortHandle) {
        if self.0.len() >= CONNECTIONS_MAX {
            self.0.retain(is_new);
        }
        self.0.push_back((known, connection));
    }

    /// Whether there is one that would have to go for another.
    pub(super) fn has_any(&mut self) -> bool {
        while self.0.front().is_some_and(|first| !is_new(first)) {
            self.0.pop_front();
        }
        !self.0.is_empty()
    }

    /// Ends the oldest.
    pub(super) fn end_oldest(&mut self) -> Ended {
        if !self.has_any() {
            return Ended::None;
        }
        self.0.pop_front().map_or(Ended::None, |(_, connection)| {
            connection.abort();
            Ended::One
        })
    }
}

fn is_new((known, connection): &(Known, AbortHandle)) -> bool {
    !known.is() && !connection.is_finished()
}
