//! One call and all that its arguments name: decided together, and what a person has to answer is asked while
//! everything else goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ringfence_core::{
    Act, Checked, Denial, Handling, Outcome, Permit, Question, Request, Running, ToolUsage,
};
use ringfence_proxy::mcp::middle::{Call, Ended};
use serde_json::Value;

use super::decider::Decider;
use super::recordable;
use super::results::Seen;
use crate::approvals::Agreed;
use crate::otel;
use crate::ports::settled;

/// Most calls of one client that wait for a person's answer.
pub(super) const ASKED_MAX: usize = 32;

/// Most denials that are told of one call: whoever mends those sees the others next.
const DENIALS_MAX: usize = 4;

/// What became of a call so far.
pub(super) enum Begun {
    /// It may be made, with these arguments where they are others.
    Permitted(Permitted, Option<Value>),
    /// It may not; the agent is told why.
    Denied(String),
    /// A person has to answer.
    Asked(Open),
}

/// A call that may be made; its end is recorded when it is told.
pub(super) struct Permitted {
    running: Running,
    since: Instant,
    /// What the rules that permit it say about what comes back.
    pub(super) handling: Handling,
}

/// A call that waits for answers.
pub(super) struct Open {
    questions: Vec<(Is, Question)>,
    /// What was permitted meanwhile, which is decided anew.
    others: Vec<Part>,
    call: Call,
    looked: Looked,
}

/// A call, what its arguments name, and the arguments that are sent where they are others, as found when that was looked up.
type Looked = (Act, Vec<Act>, Option<Value>);

/// Something that a call needs.
#[derive(Debug, Clone)]
struct Part {
    request: Request,
    is: Is,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// The call, whose end we tell.
    Call,
    /// What an argument names: what the server does to that is recorded there.
    Named,
}

impl Decider {
    /// Decides a call. Never waits.
    pub(super) fn begin(&self, call: &Call) -> Begun {
        let Some(server) = self.servers.get(call.server) else {
            return Begun::Denied("there is no such server".to_owned());
        };
        let looked = match self.act(server, call) {
            Ok(known) => known,
            Err(why) => return Begun::Denied(why),
        };
        let (act, needed, _) = &looked;
        if let Some(why) = recordable::why_not(std::iter::once(act).chain(needed)) {
            return Begun::Denied(self.refuse_call(call, why));
        }
        let part = |is, act: &Act| Part { request: self.request(act.clone()), is };
        let first = part(Is::Call, act);
        let named = needed.iter().map(|act| part(Is::Named, act));
        let (mut permits, mut questions, mut denials) = (Vec::new(), Vec::new(), Vec::new());
        for part in std::iter::once(first).chain(named) {
            match self.check(part.request, part.is) {
                Checked::Permit(permit) => permits.push((part.is, permit)),
                Checked::Ask(question) => questions.push((part.is, question)),
                Checked::Deny(denial) => denials.push(denial),
            }
            if denials.len() >= DENIALS_MAX {
                break;
            }
        }
        if !denials.is_empty() {
            return Begun::Denied(self.not_asked(permits, questions, &denials));
        }
        if !questions.is_empty() {
            // No permit outlasts a question: these are decided anew.
            let other =
                |(is, permit): &(Is, Permit)| Part { request: permit.request().clone(), is: *is };
            let others = permits.iter().map(other).collect();
            return Begun::Asked(Open { questions, others, call: call.clone(), looked });
        }
        match self.spend(permits) {
            Ok(permitted) => Begun::Permitted(permitted, looked.2),
            Err(why) => Begun::Denied(why),
        }
    }

    fn check(&self, request: Request, is: Is) -> Checked {
        match is {
            Is::Call => self.gate.check(request),
            Is::Named => self.gate.check_file(request, None),
        }
    }

    /// Puts the questions and waits, unless the call is `withdrawn`; then looks all of it up and decides it anew: no
    /// permit outlasts a question, and neither does what a tool was, nor where a link led.
    pub(super) fn conclude(
        &self,
        open: Open,
        withdrawn: &AtomicBool,
    ) -> Result<(Permitted, Option<Value>), String> {
        let still = || !withdrawn.load(Ordering::Acquire);
        let mut agreed: Vec<(Is, Agreed)> = Vec::new();
        let mut questions = open.questions.into_iter();
        while let Some((is, question)) = questions.next() {
            match self.approvals.put_and_wait(question, None, &still) {
                Ok(yes) => agreed.push((is, yes)),
                Err(denial) => {
                    questions.for_each(|(_, other)| drop(self.approvals.not_asked(other)));
                    return Err(self.words_of_asked(&denial));
                }
            }
        }
        self.is_still(&open.call, &open.looked)?;
        let mut permits = Vec::new();
        for (is, agreed) in agreed {
            permits.push((is, settled(self.approvals.check_again(agreed))));
        }
        for part in open.others {
            permits.push((part.is, settled(self.check(part.request, part.is))));
        }
        // The call comes first, whatever was asked.
        permits.sort_by_key(|(is, _)| *is != Is::Call);
        let mut all = Vec::new();
        for (is, permit) in permits {
            match permit {
                Ok(permit) => all.push((is, permit)),
                Err(denial) => return Err(self.not_made(all, &denial)),
            }
        }
        Ok((self.spend(all)?, open.looked.2))
    }

    /// Whether a call is still what was asked about; what the agent is told where it is not.
    fn is_still(&self, call: &Call, looked: &Looked) -> Result<(), String> {
        let server = self.servers.get(call.server).ok_or("there is no such server")?;
        if self.act(server, call)? == *looked {
            return Ok(());
        }
        let why = "what its arguments name was changed while a person was asked: call it again";
        Err(self.refuse_call(call, why.to_owned()))
    }

    /// What is denied because too much is asked already.
    pub(super) fn ask_no_more(&self, open: Open) -> String {
        let why = format!("more than {ASKED_MAX} calls wait for an answer");
        let said = match open.call() {
            Some(call) => self.deny(call.clone(), why),
            None => why,
        };
        open.questions
            .into_iter()
            .for_each(|(_, question)| drop(self.approvals.not_asked(question)));
        said
    }

    /// The same of one that is decided to its end before anybody is asked: nobody answers for nothing, and all that is
    /// in its way is told at once.
    fn not_asked(
        &self,
        permits: Vec<(Is, Permit)>,
        questions: Vec<(Is, Question)>,
        denials: &[Denial],
    ) -> String {
        end_unmade(permits, denials.first());
        let asked = questions.into_iter().map(|(_, question)| self.approvals.not_asked(question));
        let asked: Vec<Denial> = asked.collect();
        let grants: Option<Vec<_>> = denials.iter().map(|denial| self.grant_for(denial)).collect();
        let Some(grants) = grants else {
            // A grant for one part helps nothing while another is denied whatever is granted.
            let all = denials.iter().chain(&asked);
            return all.map(|denial| self.said(denial, None)).collect::<Vec<_>>().join("\n");
        };
        let denied =
            denials.iter().zip(grants).map(|(denial, grant)| self.said(denial, Some(grant)));
        denied.chain(asked.iter().map(|it| self.words_of_asked(it))).collect::<Vec<_>>().join("\n")
    }

    /// A call that will not be made, since something that it needs is denied; what the agent is told.
    fn not_made(&self, permits: Vec<(Is, Permit)>, denial: &Denial) -> String {
        end_unmade(permits, Some(denial));
        self.words(denial)
    }

    /// Spends all: the call's, whose end is told, and what its arguments name.
    fn spend(&self, permits: Vec<(Is, Permit)>) -> Result<Permitted, String> {
        let (mut call, mut named) = (None, Vec::new());
        let mut handling = Handling::default();
        for (is, permit) in permits {
            handling.add(permit.handling());
            let running = permit.spend().map_err(|denial| self.words(&denial))?;
            match is {
                Is::Call => call = Some(running),
                Is::Named => named.push(running),
            }
        }
        named.into_iter().for_each(Running::leave_to_kernel);
        let running = call.ok_or("nothing was decided")?;
        Ok(Permitted { running, since: Instant::now(), handling })
    }
}

/// Ends what was permitted of such a call.
fn end_unmade(permits: Vec<(Is, Permit)>, denial: Option<&Denial>) {
    let Some(denial) = denial else { return };
    let what = crate::wording::describe(&denial.request.act);
    for (is, permit) in permits {
        if is == Is::Call
            && let Ok(running) = permit.spend()
        {
            let why = format!("it needs to {what}, and that is denied");
            // A log that fails ends the session.
            let _ = running.finish(Outcome::NotMade { why });
        }
    }
}

impl Open {
    /// The call itself.
    fn call(&self) -> Option<&Request> {
        let asked = self.questions.iter().map(|(is, question)| (*is, &question.request));
        let permitted = self.others.iter().map(|part| (part.is, &part.request));
        asked.chain(permitted).find(|(is, _)| *is == Is::Call).map(|(_, request)| request)
    }

    /// What whoever sits before the client hears of it.
    pub(super) fn told(&self) -> String {
        let what = self.call().map(|call| crate::wording::describe(&call.act)).unwrap_or_default();
        let first = self.questions.first().map(|(_, question)| question.entry.to_string());
        let command = first.map_or_else(
            || "`ringfence approve`".to_owned(),
            |entry| format!("`ringfence approve {entry}`"),
        );
        format!(
            "ringfence asks a person before it lets this agent {what}. It goes on when that person allows it: on the \
             session's terminal, or with {command} on another one. No answer given here allows it; \
             declining takes the call back."
        )
    }
}

impl Permitted {
    /// The span that the call is, by its entry.
    pub(super) fn span(&self) -> String {
        let entry = self.running.entry();
        otel::span_id(&entry.session, entry.index)
    }

    /// Records how the call ended. A log that fails ends the session.
    pub(super) fn end(self, how: Ended, seen: Seen) {
        let (bytes, error) = match how {
            Ended::Answered { bytes } => (bytes, None),
            // What was put in the place of an answer is not what its server answered.
            Ended::Failed { bytes } if seen.is_blocked() => (bytes, None),
            Ended::Failed { bytes } => (bytes, Some("its server answered with an error")),
            Ended::Told => {
                let _ = self.running.finish(Outcome::Done);
                return;
            }
            Ended::Unanswered => {
                let _ = self.running.finish(Outcome::Unknown);
                return;
            }
        };
        let _ = self.running.finish(Outcome::Tool(ToolUsage {
            bytes_received: seen.bytes.unwrap_or(bytes).try_into().unwrap_or(u64::MAX),
            duration_ms: self.since.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            error: error.map(str::to_owned),
            found: seen.found,
            loops: seen.loops.map(str::to_owned),
        }));
    }

    /// Records why it was not made after all.
    pub(super) fn not_made(self, why: &str) {
        let _ = self.running.finish(Outcome::NotMade { why: why.to_owned() });
    }
}
