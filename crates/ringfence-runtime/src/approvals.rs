//! Questions put to a person, and the answers as facts for the gate: on the session's terminal where it has one,
//! and by `ringfence approve` from any other.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ringfence_core::{
    Act, Answer, Approval, Approved, Channel, Checked, Denial, Durability, Event, Gate, Grounds,
    Process, Question, Request, Role,
};
use ringfence_policy::grant::GrantText;
use ringfence_proxy::net::AskPort;
use ringfence_sandbox::notify::{Deed, Members};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::desk::Desk;
use crate::pty::{Asker, Choice, Codes, Prompt, Typing};
use crate::wording;

/// How long a question waits for its answer, in seconds; then the act is denied.
pub const APPROVAL_WAIT_SECONDS_MAX: u64 = 120;

/// How long a refusal answers the same act again: execvp(3) tries each directory of PATH, and one
/// program often has two names there.
const REFUSAL_PERIOD: Duration = Duration::from_secs(10);

/// How often is looked whether somebody still waits for an answer.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Refusals remembered for that.
const REFUSALS_MAX: usize = 256;

/// Why nobody is asked about a part of a call.
const NOT_ASKED: &str = "nobody is asked while something else that the call needs is denied";

/// How long a program that is ended may take until it is killed.
const ENDING_WAIT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// How much longer the asking thread waits, for a question that stood in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Puts questions and turns answers into approvals.
pub struct Approvals {
    gate: Gate,
    asker: Asker,
    world: Members,
    approver: String,
    roles: BTreeSet<Role>,
    waiting: AtomicU64,
    /// What was refused, when, and what is said of it.
    refused: Mutex<HashMap<String, (Instant, String)>>,
    wider: OnceLock<Wider>,
    desk: Desk,
    tell: OnceLock<Tell>,
}

/// Whether the process that asks still waits for the answer.
pub type Still<'a> = &'a dyn Fn() -> bool;

/// Finds the grant that can be offered with a question, where one can.
pub type Find = Box<dyn Fn(&Request) -> Option<GrantText> + Send + Sync>;

/// Says that a question waits, by its entry and as a sentence, where nothing is drawn.
pub type Tell = Box<dyn Fn(u64, &str) + Send + Sync>;

/// How a person allows more than the one act that is asked about.
pub struct Wider {
    /// The grant that can be offered with a question, where one can.
    pub find: Find,
    /// Makes it, for the rest of the session.
    pub make: Box<dyn Fn(&GrantText) + Send + Sync>,
}

/// A question that has been answered with yes; not yet decided.
#[derive(Debug)]
pub struct Agreed {
    question: Question,
    by: By,
}

/// Who said yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The person at the terminal.
    Person,
    /// Whoever granted it while the question waited.
    Grant,
}

impl Approvals {
    /// Questions go to `asker`; `approver` answers them and holds `roles`. Who asks is of `world`.
    pub fn new(
        gate: Gate,
        asker: Asker,
        world: Members,
        (approver, roles): (String, BTreeSet<Role>),
    ) -> Approvals {
        Approvals {
            gate,
            asker,
            world,
            approver,
            roles,
            waiting: AtomicU64::new(0),
            refused: Mutex::default(),
            wider: OnceLock::new(),
            desk: Desk::default(),
            tell: OnceLock::new(),
        }
    }

    /// From now on questions offer a grant for the rest of the session.
    pub fn widen_with(&self, wider: Wider) {
        // There is one session, which says so once.
        let _ = self.wider.set(wider);
    }

    /// From now on each question that is on no terminal is told of.
    pub fn tell_with(&self, tell: Tell) {
        // There is one session, which says so once.
        let _ = self.tell.set(tell);
    }

    /// The questions that wait, for who answers from elsewhere.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// How many questions wait for an answer now.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Puts a question of which nobody can tell whether its process still waits, and waits: the gate's last
    /// word, never `Checked::Ask` again.
    pub fn ask(&self, question: Question) -> Checked {
        self.concluded(self.put_to_the_end(question, None, None))
    }

    /// The same, as long as `still` says that somebody waits for the answer.
    pub fn ask_while(&self, question: Question, still: Still<'_>) -> Checked {
        self.concluded(self.put_and_wait(question, None, still))
    }

    fn concluded(&self, agreed: Result<Agreed, Denial>) -> Checked {
        match agreed {
            Ok(agreed) => self.check_again(agreed),
            Err(denial) => Checked::Deny(denial),
        }
    }

    /// Puts a question and waits, as long as `still` says that somebody waits for the answer. What was
    /// agreed to is decided anew when everything else of the same call is known, for a permit does not
    /// outlast another question. `deed` is how a file would change.
    pub fn put_and_wait(
        &self,
        question: Question,
        deed: Option<&Deed>,
        still: Still<'_>,
    ) -> Result<Agreed, Denial> {
        self.put_to_the_end(question, deed, Some(still))
    }

    fn put_to_the_end(
        &self,
        question: Question,
        deed: Option<&Deed>,
        still: Option<Still<'_>>,
    ) -> Result<Agreed, Denial> {
        if let Some(why) = self.just_refused(&same(&question)) {
            return Err(refused(question, &format!("{why} just now")));
        }
        let channel = self.asker.channel();
        let asked =
            Event::Asked { of: question.entry.index, needs: question.needs.clone(), channel };
        if let Err(error) = self.gate.note(asked, Durability::Soon) {
            return Err(refused(question, &error.to_string()));
        }
        if channel == Channel::None {
            return Err(refused(question, "there is no terminal to ask on"));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = self.put(&question, deed, still);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.conclude(question, answer)
    }

    fn put(&self, question: &Question, deed: Option<&Deed>, still: Option<Still<'_>>) -> Answer {
        let mut random = [0_u8; 9];
        if getrandom::fill(&mut random).is_err() {
            return Answer::Expired;
        }
        let (reply, answers) = sync_channel(1);
        let withdrawn = Arc::<AtomicBool>::default();
        let deadline = Instant::now() + Duration::from_secs(APPROVAL_WAIT_SECONDS_MAX);
        let process = question.request.process;
        let program = program(process, self.world);
        let about = (program.as_deref(), deed);
        let asked = wording::question(&question.request, &question.grounds, about);
        let wider = self.wider.get().and_then(|wider| (wider.find)(&question.request));
        let offered = wider.as_ref().map(|grant| wording::printable(&grant.to_string()));
        let index = question.entry.index;
        let for_desk = (deadline, reply.clone());
        let placed = self.desk.place(index, (&asked, offered.clone()), for_desk);
        if let Some(tell) = self.tell.get().filter(|_| self.asker.channel() == Channel::Elsewhere) {
            tell(index, &asked.text);
        }
        let prompt = Prompt {
            wider: offered,
            // Its number may be another process's by now where nobody knows whether it waits.
            program: process.and(still).map(|_| name(program.as_deref())),
            text: asked.text,
            subject: asked.subject,
            reason: asked.reason,
            codes: Codes::from_random(random),
            deadline,
            withdrawn: Arc::clone(&withdrawn),
            reply,
            typing: Typing::default(),
        };
        if !self.asker.put(prompt) {
            return Answer::Expired;
        }
        let answer = self.wait(question, (&answers, deadline + QUEUE_WAIT), still, wider.as_ref());
        drop(placed);
        // Whoever has answered elsewhere has answered what the terminal shows.
        withdrawn.store(true, Ordering::Release);
        self.asker.look();
        answer
    }

    fn wait(
        &self,
        question: &Question,
        (answers, until): (&Receiver<Choice>, Instant),
        still: Option<Still<'_>>,
        wider: Option<&GrantText>,
    ) -> Answer {
        let asked_under = self.gate.policy_in_force();
        while Instant::now() < until {
            match answers.recv_timeout(LOOK_PERIOD) {
                Ok(Choice::Answer(answer)) => return answer,
                Ok(Choice::End) => {
                    end(question.request.process, still, self.world);
                    return Answer::Refused;
                }
                Ok(Choice::ForSession) => return self.widen(wider, &question.request),
                Err(RecvTimeoutError::Disconnected) => return Answer::Expired,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let is_granted = !Arc::ptr_eq(&asked_under, &self.gate.policy_in_force())
                && self.gate.still_permits(&question.request, &Approved::default());
            if is_granted {
                return Answer::Granted;
            }
            if still.is_some_and(|still| !still()) {
                return Answer::Expired;
            }
        }
        Answer::Expired
    }

    /// Grants it for the rest of the session. Whoever does not come to that has allowed this act.
    fn widen(&self, grant: Option<&GrantText>, request: &Request) -> Answer {
        if let Some((wider, grant)) = self.wider.get().zip(grant) {
            (wider.make)(grant);
        }
        let is_granted = self.gate.still_permits(request, &Approved::default());
        if is_granted { Answer::Granted } else { Answer::Approved }
    }

    fn conclude(&self, question: Question, answer: Answer) -> Result<Agreed, Denial> {
        let by = match answer {
            Answer::Approved | Answer::Refused => self.approver.clone(),
            Answer::Expired | Answer::Invalid | Answer::Granted | Answer::NotAsked => String::new(),
        };
        let answered = Event::Answered { of: question.entry.index, answer, by };
        if let Err(error) = self.gate.note(answered, Durability::Before) {
            return Err(refused(question, &error.to_string()));
        }
        Err(match answer {
            Answer::Refused => self.refuse(question, format!("`{}` refused it", self.approver)),
            Answer::Invalid => self.refuse(question, "no valid answer was typed".to_owned()),
            Answer::Expired => refused(question, "nobody answered in time"),
            Answer::NotAsked => refused(question, NOT_ASKED),
            Answer::Approved => return Ok(Agreed { question, by: By::Person }),
            Answer::Granted => return Ok(Agreed { question, by: By::Grant }),
        })
    }

    /// Records that nobody is asked, for something else of the same call is denied; the denial of what would have been.
    pub fn not_asked(&self, question: Question) -> Denial {
        let of = question.entry.index;
        let answered = Event::Answered { of, answer: Answer::NotAsked, by: String::new() };
        // It is denied whether or not that could be recorded; a log that fails ends the session.
        let _ = self.gate.note(answered, Durability::Soon);
        refused(question, NOT_ASKED)
    }

    fn just_refused(&self, same: &str) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = refused.get(same)?;
        (at.elapsed() < REFUSAL_PERIOD).then(|| why.clone())
    }

    /// A denial that also holds for the same act, for a while.
    fn refuse(&self, question: Question, why: String) -> Denial {
        let key = same(&question);
        let denied = refused(question, &why);
        let mut remembered = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REFUSALS_MAX {
            remembered.clear();
        }
        remembered.insert(key, (Instant::now(), why));
        denied
    }

    /// Decides again what was agreed to; never `Checked::Ask`.
    pub fn check_again(&self, Agreed { question, by }: Agreed) -> Checked {
        let approvals = match by {
            By::Person => vec![Approval {
                digest: question.digest.clone(),
                approver: self.approver.clone(),
                roles: self.roles.clone(),
            }],
            By::Grant => Vec::new(),
        };
        match self.gate.check_approved(question, approvals) {
            Checked::Ask(question) => {
                Checked::Deny(refused(question, "one approval is not enough"))
            }
            decided @ (Checked::Permit(_) | Checked::Deny(_)) => decided,
        }
    }
}

impl AskPort for Approvals {
    fn ask(&self, question: Question) -> Checked {
        Approvals::ask(self, question)
    }
}

/// The same approvals, for a port that keeps its own handle.
pub fn as_port(approvals: &Arc<Approvals>) -> Arc<dyn AskPort> {
    Arc::clone(approvals) as Arc<dyn AskPort>
}

/// A question that was not approved, as a denial that says why.
pub(crate) fn refused(question: Question, why: &str) -> Denial {
    let rule = wording::rule_line(&question.grounds);
    let failure = format!("{rule}: needs {}, and {why}", wording::needs(&question.needs));
    let grounds = Grounds { failure: Some(failure), ..question.grounds };
    Denial { request: question.request, grounds, entry: Some(question.entry) }
}

/// What a refusal is for: a shell whose command was refused tries the next of that name in `PATH`,
/// and a person who said no to the command line has said so.
fn same(question: &Question) -> String {
    match &question.request.act {
        Act::Exec(exec) => format!("run {}", exec.command_line.text),
        Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => question.digest.clone(),
    }
}

/// What the process runs that waits for the answer, if that can be told: nothing of a process that only
/// has its number by now.
fn program(process: Option<Process>, world: Members) -> Option<PathBuf> {
    let pid = process?.pid;
    let member = world.member(pid)?;
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    member.is_still_one().then_some(program)
}

/// What a program is called.
fn name(program: Option<&Path>) -> String {
    let name = program.and_then(wording::program_name);
    name.map_or_else(|| "the program".to_owned(), |name| format!("`{name}`"))
}

/// Ends the process that waits for an answer: it is told, and a while later killed. It is one of the
/// world's, and as long as it waits nobody else has its number.
fn end(process: Option<Process>, still: Option<Still<'_>>, world: Members) {
    let Some(member) = process.and_then(|process| world.member(process.pid)) else { return };
    let waits = still.is_some_and(|still| still()) && member.is_still_one();
    let process = member.pidfd;
    if !waits || pidfd_send_signal(&process, Signal::TERM).is_err() {
        return;
    }
    let kill = move || {
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut ended, Some(&ENDING_WAIT)).is_ok_and(|ready| ready == 0) {
            // Gone by now is as good as killed.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    };
    // Without a thread it has been told, and its act is refused.
    let _ = std::thread::Builder::new().name("ending".to_owned()).spawn(kill);
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;
