//! An agent that goes in circles: the same call again and again, the same answer to it, the same failure of a tool
//! whatever it is called with. First it is warned, then the call is denied, until enough time has passed.
//!
//! A state machine: calls and answers come in with their time, signs come out.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use sha2::{Digest as _, Sha256};

/// Most calls that are remembered; older ones are forgotten before their time.
const PAST_MAX: usize = 4_096;

/// Longest row of answers alike that is counted, where no limit is higher: each call of a tool that always says the same
/// would look through all of them. It is no number at which anything is told.
const ROW_MAX: u32 = 257;

/// A warning comes at this part of what is denied.
const WARN_PART: u32 = 4;
/// And not before so many.
const WARN_MIN: u32 = 3;

/// How much repetition is too much; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopsMax {
    /// How far back is looked, in milliseconds.
    pub window_ms: u64,
    /// Identical calls, whatever comes of them.
    pub same_call: u32,
    /// Identical calls in a row that are answered alike.
    pub same_answer: u32,
    /// Calls of one tool in a row, with any arguments, that fail alike.
    pub same_failure: u32,
    /// Different calls of one tool in a row that are answered alike. Many tools say the same to all that they have done,
    /// so that the agent is warned long before, with `same_failure`.
    pub same_answer_to_others: u32,
}

impl Default for LoopsMax {
    fn default() -> LoopsMax {
        LoopsMax {
            window_ms: 300_000,
            same_call: 120,
            same_answer: 20,
            same_failure: 30,
            same_answer_to_others: 240,
        }
    }
}

/// What goes in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loops {
    /// The same call.
    SameCall,
    /// The same call, and the same answer.
    SameAnswer,
    /// Calls of one tool, and the same failure.
    SameFailure,
    /// Different calls of one tool, and the same answer.
    SameAnswerToOthers,
}

impl Loops {
    /// What it is called in entries.
    pub fn name(self) -> &'static str {
        match self {
            Loops::SameCall => "same-call",
            Loops::SameAnswer => "same-call-same-answer",
            Loops::SameFailure => "same-failure",
            Loops::SameAnswerToOthers => "other-call-same-answer",
        }
    }
}

/// A sign that an agent goes in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// How.
    pub what: Loops,
    /// How many calls.
    pub count: u32,
    /// Within how long, in seconds.
    pub seconds: u64,
    /// From how many on a call is denied.
    pub most: u32,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sign { count, seconds, .. } = self;
        match self.what {
            Loops::SameCall => write!(f, "this call was made {count} times in {seconds} seconds"),
            Loops::SameAnswer => {
                write!(f, "this call was answered {count} times in a row with the same result")
            }
            Loops::SameFailure => {
                write!(f, "{count} calls of this tool in a row failed with the same error")
            }
            Loops::SameAnswerToOthers => {
                write!(f, "{count} different calls of this tool in a row had the same result")
            }
        }
    }
}

type Digest = [u8; 32];

/// A call that was made.
#[derive(Debug)]
struct Past {
    at_ms: u64,
    ticket: u64,
    tool: Digest,
    call: Digest,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    digest: Digest,
    failed: bool,
}

/// What one agent called in one session.
#[derive(Debug)]
pub struct Behaviour {
    max: LoopsMax,
    past: VecDeque<Past>,
    /// The number of the first of them: they are numbered in their order.
    first: u64,
    /// Those that are alike, by what they are and by their tool.
    by_call: HashMap<Digest, VecDeque<u64>>,
    by_tool: HashMap<Digest, VecDeque<u64>>,
}

impl Behaviour {
    /// Of an agent that has called nothing yet.
    pub fn new(max: LoopsMax) -> Behaviour {
        let (by_call, by_tool) = (HashMap::new(), HashMap::new());
        Behaviour { max, past: VecDeque::new(), first: 0, by_call, by_tool }
    }

    /// A call, before it is made; the error is why it is not. `ticket` is what its answer will be told by.
    pub fn calls(
        &mut self,
        (now_ms, ticket): (u64, u64),
        tool: &str,
        arguments: &str,
    ) -> Result<(), Sign> {
        let oldest = now_ms.saturating_sub(self.max.window_ms);
        while self.past.front().is_some_and(|first| first.at_ms < oldest) {
            self.forget_first();
        }
        let (tool, call) = (digest(&[tool]), digest(&[tool, arguments]));
        for (what, count, most) in self.counts(&tool, &call) {
            if most > 0 && count >= most {
                return Err(self.sign(what, count, most));
            }
        }
        if self.past.len() >= PAST_MAX {
            self.forget_first();
        }
        let number = self.first.saturating_add(self.past.len() as u64);
        self.by_call.entry(call).or_default().push_back(number);
        self.by_tool.entry(tool).or_default().push_back(number);
        self.past.push_back(Past { at_ms: now_ms, ticket, tool, call, answer: None });
        Ok(())
    }

    /// What came of it; a sign is for the agent to read, beside the answer.
    pub fn answered(&mut self, ticket: u64, answer: &str, failed: bool) -> Option<Sign> {
        let made = self.past.iter_mut().rev().find(|past| past.ticket == ticket)?;
        made.answer = Some(Answer { digest: digest(&[answer]), failed });
        let (tool, call) = (made.tool, made.call);
        let worth_saying = |(what, count, most): &(Loops, u32, u32)| {
            let least = match what {
                Loops::SameAnswerToOthers => (*most).min(self.max.same_failure),
                Loops::SameCall | Loops::SameAnswer | Loops::SameFailure => *most,
            };
            // As often as it doubles, so that the warning is no noise itself.
            let from = least.div_ceil(WARN_PART).max(WARN_MIN);
            let doubles = count.is_multiple_of(from) && (count / from).is_power_of_two();
            least > 0 && *count >= from && (doubles || count.saturating_add(1) == *most)
        };
        let (what, count, most) = self.counts(&tool, &call).into_iter().find(worth_saying)?;
        Some(self.sign(what, count, most))
    }

    fn sign(&self, what: Loops, count: u32, most: u32) -> Sign {
        Sign { what, count, seconds: self.max.window_ms / 1_000, most }
    }

    /// Forgets the oldest call.
    fn forget_first(&mut self) {
        let Some(first) = self.past.pop_front() else { return };
        self.first = self.first.saturating_add(1);
        for (all, key) in [(&mut self.by_call, first.call), (&mut self.by_tool, first.tool)] {
            let Some(numbers) = all.get_mut(&key) else { continue };
            numbers.pop_front();
            if numbers.is_empty() {
                all.remove(&key);
            }
        }
    }

    /// Those of these numbers, the latest first.
    fn latest<'a>(&'a self, of: Option<&'a VecDeque<u64>>) -> impl Iterator<Item = &'a Past> {
        let past = |number: &u64| {
            let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
            self.past.get(place)
        };
        of.into_iter().flat_map(|numbers| numbers.iter().rev()).filter_map(past)
    }

    /// How often what goes in circles has, and how often it may.
    fn counts(&self, tool: &Digest, call: &Digest) -> [(Loops, u32, u32); 4] {
        let LoopsMax { same_call, same_answer, same_failure, same_answer_to_others, .. } = self.max;
        let same = self.by_call.get(call);
        let in_a_row = in_a_row(self.latest(same), same_answer).map_or(0, |(_, count)| count);
        let (failures, others) = match in_a_row_of(self, tool) {
            Some((Answer { failed: true, .. }, count)) => (count, 0),
            Some((Answer { failed: false, .. }, count)) => (0, self.others(tool, count)),
            None => (0, 0),
        };
        [
            (Loops::SameAnswer, in_a_row, same_answer),
            (Loops::SameCall, number(same.map_or(0, VecDeque::len)), same_call),
            (Loops::SameFailure, failures, same_failure),
            (Loops::SameAnswerToOthers, others, same_answer_to_others),
        ]
    }

    /// How many different calls are among the latest `count` of a tool.
    fn others(&self, tool: &Digest, count: u32) -> u32 {
        if count < WARN_MIN {
            return 0;
        }
        let latest = self.latest(self.by_tool.get(tool)).take(count as usize);
        let mut calls: Vec<&Digest> = latest.map(|past| &past.call).collect();
        calls.sort_unstable();
        calls.dedup();
        number(calls.len())
    }
}

fn in_a_row_of(behaviour: &Behaviour, tool: &Digest) -> Option<(Answer, u32)> {
    let latest = behaviour.latest(behaviour.by_tool.get(tool));
    let LoopsMax { same_failure, same_answer_to_others, .. } = behaviour.max;
    in_a_row(latest, same_failure.max(same_answer_to_others))
}

/// The latest answer, and how many before it are alike.
fn in_a_row<'a>(latest: impl Iterator<Item = &'a Past>, limit: u32) -> Option<(Answer, u32)> {
    // A limit has to be reached, and told once.
    let most = ROW_MAX.max(limit.saturating_add(5));
    let mut answers = latest.filter_map(|past| past.answer);
    let first = answers.next()?;
    let rest = answers.take(most as usize).take_while(|answer| *answer == first).count();
    Some((first, number(rest).saturating_add(1).min(most)))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn digest(parts: &[&str]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
