//! What an agent has called, over all of its talks with servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringfence_detect::{Behaviour, Sign};

use crate::settings::ResultSettings;

/// Bits of a number that are the ticket of a call within its talk; those above are the talk.
const TICKET_BITS: u32 = 40;

/// What one agent has called, in all talks that share this.
pub(super) struct History {
    behaviour: Mutex<Behaviour>,
    begun: Instant,
    talks: AtomicU64,
}

impl History {
    /// Of an agent that has called nothing yet.
    pub(super) fn new(settings: &ResultSettings) -> Arc<History> {
        let behaviour = Mutex::new(Behaviour::new(settings.loops()));
        Arc::new(History { behaviour, begun: Instant::now(), talks: AtomicU64::new(0) })
    }

    /// One talk's part in it.
    pub(super) fn talk(self: &Arc<History>) -> TalkHistory {
        let talk = self.talks.fetch_add(1, Ordering::Relaxed);
        TalkHistory { all: Arc::clone(self), talk: talk.wrapping_shl(TICKET_BITS) }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same as one talk adds to it.
pub(super) struct TalkHistory {
    all: Arc<History>,
    talk: u64,
}

impl TalkHistory {
    /// A call, before it is made; the error is why it is not. `tool` is named with its server.
    pub(super) fn calls(&self, ticket: u64, tool: &str, arguments: &str) -> Result<(), Sign> {
        let now_ms = u64::try_from(self.all.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.all.behaviour().calls((now_ms, self.talk.wrapping_add(ticket)), tool, arguments)
    }

    /// How a call was answered, and what is to be said of that.
    pub(super) fn answered(&self, ticket: u64, answer: &str, failed: bool) -> Option<Sign> {
        self.all.behaviour().answered(self.talk.wrapping_add(ticket), answer, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_talk_after_talk_has_called_all_of_it() {
        let settings = ResultSettings::default();
        let (apart, together) = (|| History::new(&settings), History::new(&settings));
        let many = settings.loops().same_answer;
        let tries = |history: &dyn Fn() -> Arc<History>| {
            (0..many.saturating_mul(3))
                .filter(|_| {
                    let talk = history().talk();
                    let may = talk.calls(1, "notes/list", "{}").is_ok();
                    if may {
                        talk.answered(1, "[]", false);
                    }
                    may
                })
                .count()
        };
        assert_eq!(tries(&apart), many as usize * 3);
        assert_eq!(tries(&|| Arc::clone(&together)), many as usize);
    }
}
