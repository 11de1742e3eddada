//! How a denial reaches those it concerns: text for the denied process, JSON for the agent.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringfence_core::{Act, Agent, Denial, EntryRef, Misuse, Request, SessionId};

use crate::advice::{Advice, Lasts, Session};
use crate::wording;

/// The same denial is not said again on the same stream within this time; it is recorded each time.
const SAME_DENIAL_PERIOD: Duration = Duration::from_secs(5);

/// Distinct denials remembered for that.
const REMEMBERED_MAX: usize = 1024;

/// Largest file of denials in the world, in bytes: it lives in the world's memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Grants said at the end; more would be a list that nobody reads.
const GRANTS_AT_THE_END_MAX: usize = 3;

/// Grants remembered, to say how many there are.
const GRANTS_REMEMBERED_MAX: usize = 100;

/// Places whose denied changes are remembered, each with what was to be done.
const CHANGES_REMEMBERED_MAX: usize = 200;

/// Finds what would allow a request, where something does.
pub type Suggest = Box<dyn Fn(&Request) -> Option<Helps> + Send + Sync>;

/// What would allow a request, as it is said to whom.
#[derive(Debug, Clone)]
pub struct Helps {
    /// To the person, from what there is on the host.
    pub outside: Advice,
    /// In the world, whose agent is not told what there is on the host.
    pub inside: Advice,
}

/// Says denials.
pub struct Denials {
    suggest: Suggest,
    lasts: Lasts,
    file: Option<Mutex<Written>>,
    said: Mutex<HashMap<String, Instant>>,
    so_far: Mutex<SoFar>,
}

/// What was denied until now, as far as it is said again at the end.
#[derive(Debug, Clone, Default)]
pub struct SoFar {
    /// The first denial: of the command itself, where that did not start.
    pub first: Option<First>,
    /// The grants that would have helped, each once, up to [`GRANTS_REMEMBERED_MAX`].
    pub grants: Vec<Advice>,
    /// Changes of files that were denied, up to [`CHANGES_REMEMBERED_MAX`].
    pub changes: Vec<DeniedChange>,
}

/// A change of a file that was denied.
#[derive(Debug, Clone)]
pub struct DeniedChange {
    /// The first denial of it.
    pub denial: Denial,
    /// What would have helped.
    pub advice: Option<Advice>,
    /// How often it was tried.
    pub times: u64,
}

/// The first denial of a session.
#[derive(Debug, Clone)]
pub struct First {
    /// The denial.
    pub denial: Denial,
    /// What would have helped.
    pub advice: Option<Advice>,
}

struct Written {
    file: File,
    bytes: u64,
}

/// What a denied process is told.
pub struct Said {
    /// The whole text.
    pub text: String,
    /// Whether it is time to write it to the process: not when the same was said just now.
    pub now: Timing,
}

/// Whether something is said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// It has not been said lately.
    Fresh,
    /// It has.
    Repeated,
}

impl SoFar {
    /// What would allow what was denied from now on: the first of them, and how many more there are.
    pub fn hints(&self, session: &SessionId) -> Vec<String> {
        let mut hints: Vec<String> =
            self.grants.iter().filter_map(|advice| advice.hint(Session::Ended)).collect();
        let more = hints.len().saturating_sub(GRANTS_AT_THE_END_MAX);
        hints.truncate(GRANTS_AT_THE_END_MAX);
        if more > 0 {
            let many = if self.grants.len() < GRANTS_REMEMBERED_MAX { "" } else { "at least " };
            hints.push(format!(
                "and {many}{more} more; to see all that was denied, run `ringfence show {session}`"
            ));
        }
        hints
    }
}

impl Denials {
    /// Denials are also appended to `file`, which the world can read, as JSON lines.
    pub fn new(suggest: Suggest, file: Option<File>, lasts: Lasts) -> Denials {
        let file = file.map(|file| Mutex::new(Written { file, bytes: 0 }));
        Denials { suggest, lasts, file, said: Mutex::default(), so_far: Mutex::default() }
    }

    /// Puts a denial into words and into the world's file.
    pub fn say(&self, denial: &Denial) -> Said {
        let helps = (self.suggest)(&denial.request);
        let inside = helps.as_ref().map(|helps| &helps.inside);
        self.append(&wording::denial_json(denial, inside, self.lasts).to_string());
        self.remember(denial, helps.as_ref().map(|helps| &helps.outside));
        let act = &denial.request.act;
        let key = format!("{} {}", act.action(), act.resource());
        Said { text: wording::denial(denial, inside, self.lasts), now: self.timing(key) }
    }

    /// Puts a stand-in in the wrong place into words and into the world's file.
    pub fn misused(&self, agent: &Agent, misuse: &Misuse, entry: Option<&EntryRef>) -> Said {
        self.append(&wording::misused_json(agent, misuse, entry).to_string());
        let text = wording::misused(misuse, entry);
        Said { text, now: self.timing(wording::misused(misuse, None)) }
    }

    /// Puts what no policy could speak of into words and into the world's file.
    pub fn refused(&self, agent: &Agent, why: &str, entry: Option<&EntryRef>) -> Said {
        self.append(&wording::refused_json(agent, why, entry).to_string());
        Said { text: wording::refused(why, entry), now: self.timing(format!("refused {why}")) }
    }

    /// What was denied until now.
    pub fn so_far(&self) -> SoFar {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, denial: &Denial, advice: Option<&Advice>) {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let advice = advice.cloned();
        remember_change(&mut so_far.changes, denial, advice.as_ref());
        if so_far.first.is_none() {
            so_far.first = Some(First { denial: denial.clone(), advice: advice.clone() });
        }
        let room = so_far.grants.len() < GRANTS_REMEMBERED_MAX;
        let helps = advice.filter(|advice| room && !so_far.grants.contains(advice));
        let none = |advice: &Advice| matches!(advice, Advice::Base(_) | Advice::Kept { .. });
        so_far.grants.extend(helps.filter(|advice| !none(advice)));
    }

    fn append(&self, line: &str) {
        let Some(file) = &self.file else { return };
        let mut written = file.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = written.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        if bytes < FILE_BYTES_MAX && writeln!(written.file, "{line}").is_ok() {
            written.bytes = bytes.saturating_add(1);
        }
    }

    /// Whether it is time to say what `key` stands for.
    pub fn timing(&self, key: String) -> Timing {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.get(&key).is_some_and(|at| now.duration_since(*at) < SAME_DENIAL_PERIOD) {
            return Timing::Repeated;
        }
        if said.len() >= REMEMBERED_MAX {
            said.clear();
        }
        said.insert(key, now);
        Timing::Fresh
    }
}

/// Counts a denied change of a file; other acts are none.
fn remember_change(changes: &mut Vec<DeniedChange>, denial: &Denial, advice: Option<&Advice>) {
    let act = &denial.request.act;
    if !matches!(act, Act::Write(_) | Act::Delete(_)) {
        return;
    }
    if let Some(known) = changes.iter_mut().find(|it| it.denial.request.act == *act) {
        known.times += 1;
    } else if changes.len() < CHANGES_REMEMBERED_MAX {
        let (denial, advice) = (denial.clone(), advice.cloned());
        changes.push(DeniedChange { denial, advice, times: 1 });
    }
}

#[cfg(test)]
#[path = "denials_tests.rs"]
mod tests;
