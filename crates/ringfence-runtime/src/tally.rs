//! Counts what is recorded, in the one place that every decision passes: the log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ringfence_core::{
    Answer, Durability, Entry, Event, Grounds, Outcome, Record, RecordError, Request, SetName,
    Verdict,
};

/// What has been recorded so far.
#[derive(Default)]
pub struct Tally {
    permitted: AtomicU64,
    denied: AtomicU64,
    asked: AtomicU64,
    failed: AtomicU64,
    entries: AtomicU64,
    files: Mutex<Files>,
    /// Connections into the world that have not ended: they were not permitted, but let in.
    arrived: Mutex<HashSet<u64>>,
    failure: OnceLock<String>,
    on_failure: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// How many of the last changes of files are known by their entries: one that fails does within
/// milliseconds.
const RECENT_MAX: usize = 4096;

/// Distinct files, remembered by hash: a path can be long and there can be many.
#[derive(Default)]
struct Files {
    /// How often each was changed.
    changes: HashMap<u64, u64>,
    /// The last of these changes: the entry and the file.
    recent: VecDeque<(u64, u64)>,
    hasher: RandomState,
}

/// The totals at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Acts permitted.
    pub permitted: u64,
    /// Acts denied, with the questions that nobody has approved.
    pub denied: u64,
    /// Acts that were questions.
    pub asked: u64,
    /// Permitted acts that were seen to fail.
    pub failed: u64,
    /// Distinct files of the host that were created, modified or deleted.
    pub files_changed: u64,
    /// Entries written.
    pub entries: u64,
}

/// A log whose entries are counted.
pub struct Tallied<R> {
    log: R,
    tally: Arc<Tally>,
}

impl<R> Tallied<R> {
    /// Counts in `tally` what goes to `log`.
    pub fn new(log: R, tally: Arc<Tally>) -> Tallied<R> {
        Tallied { log, tally }
    }
}

impl<R: Record> Record for Tallied<R> {
    fn record(&self, entry: &Entry, durability: Durability) -> Result<u64, RecordError> {
        match self.log.record(entry, durability) {
            Ok(index) => {
                self.tally.count(index, entry);
                Ok(index)
            }
            Err(error) => {
                self.tally.failed(&error);
                Err(error)
            }
        }
    }
}

impl Tally {
    /// What has been counted until now.
    pub fn totals(&self) -> Totals {
        let files = self.files().changes.len();
        Totals {
            permitted: self.permitted.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            files_changed: u64::try_from(files).unwrap_or(u64::MAX),
            entries: self.entries.load(Ordering::Relaxed),
        }
    }

    /// Why the log could not be written, if it ever could not.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// What is done when the log cannot be written: nothing goes on unrecorded.
    pub fn on_failure(&self, end_session: impl Fn() + Send + Sync + 'static) {
        // Set once, at the start; if the log failed even before, the end comes at once.
        let _ = self.on_failure.set(Box::new(end_session));
        if let (Some(_), Some(end_session)) = (self.failure(), self.on_failure.get()) {
            end_session();
        }
    }

    fn failed(&self, error: &RecordError) {
        let first = self.failure.set(error.reason.clone()).is_ok();
        if let (true, Some(end_session)) = (first, self.on_failure.get()) {
            end_session();
        }
    }

    fn count(&self, index: u64, entry: &Entry) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        let Event::Decided { request, verdict, grounds, change, .. } = &entry.event else {
            let stopped = |event: &Event| {
                matches!(event, Event::Refused { .. })
                    || matches!(event, Event::SecretMisused(misuse) if misuse.refused)
            };
            if stopped(&entry.event) {
                self.denied.fetch_add(1, Ordering::Relaxed);
            }
            // What was approved is decided once more, and counted by that.
            if matches!(entry.event, Event::Answered { answer: Answer::Approved, .. }) {
                self.denied.fetch_sub(1, Ordering::Relaxed);
            }
            if matches!(entry.event, Event::Answered { answer: Answer::NotAsked, .. }) {
                self.asked.fetch_sub(1, Ordering::Relaxed);
            }
            if let Event::Arrived { .. } = &entry.event {
                self.arrived().insert(index);
            }
            if let Event::Finished { of, outcome } = &entry.event {
                self.count_end(*of, outcome);
            }
            return;
        };
        match verdict {
            Verdict::Permit => {
                self.permitted.fetch_add(1, Ordering::Relaxed);
                if change.is_some() && !is_private_to_the_world(grounds) {
                    self.files().add(index, request);
                }
            }
            Verdict::Ask(_) => {
                self.asked.fetch_add(1, Ordering::Relaxed);
                // Until somebody approves it, it does not happen.
                self.denied.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Deny => {
                self.denied.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn count_end(&self, of: u64, outcome: &Outcome) {
        if !self.arrived().remove(&of) && has_failed(outcome) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.files().forget(of);
        }
    }

    fn arrived(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn add(&mut self, index: u64, request: &Request) {
        let file = self.hasher.hash_one(request.act.resource());
        *self.changes.entry(file).or_default() += 1;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((index, file));
    }

    /// The change of this entry did not come about.
    fn forget(&mut self, index: u64) {
        let Some(at) = self.recent.iter().rposition(|(known, _)| *known == index) else { return };
        let Some((_, file)) = self.recent.remove(at) else { return };
        if let Some(changes) = self.changes.get_mut(&file) {
            *changes -= 1;
            if *changes == 0 {
                self.changes.remove(&file);
            }
        }
    }
}

fn has_failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. } | Outcome::Mismatch { .. } => true,
        Outcome::Connection(usage) => usage.error.is_some(),
        Outcome::Request(usage) => usage.error.is_some(),
        Outcome::Tool(usage) => usage.error.is_some(),
        Outcome::Done | Outcome::NotMade { .. } | Outcome::Unknown => false,
    }
}

/// A file permitted by nothing but a built-in rule exists in the world only.
fn is_private_to_the_world(grounds: &Grounds) -> bool {
    !grounds.rules.is_empty() && grounds.rules.iter().all(|rule| rule.set == SetName::BuiltIn)
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
