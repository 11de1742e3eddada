//! Requests that one call makes together: all are permitted, or the call is denied; what a person has to
//! answer is asked on a thread of its own, so that nothing else waits.

use std::sync::Arc;

use ringfence_core::{Checked, Denial, FileChange, Gate, Permit, Question, Request};
use ringfence_sandbox::notify::{Attempt, Deed, own_umask};

use super::{Ports, settled};
use crate::approvals::Agreed;

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) request: Request,
    pub(super) told: Told,
    /// How a file changes, for who is asked about it.
    pub(super) deed: Option<Deed>,
}

/// Who tells how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The port.
    ByUs,
    /// Nobody; what it does to a file.
    ByNobody(Option<FileChange>),
}

/// What the gate says about all of them.
enum Answers {
    Permitted(Vec<Permit>),
    Asked(Open),
    Denied(Denial),
}

/// Requests, at least one of which a person has to answer.
struct Open {
    questions: Vec<(Question, Option<Deed>)>,
    /// The others, which were permitted.
    others: Vec<Part>,
}

/// Decides all parts of an attempt, then has it carried out or denies it.
pub(super) fn answer(
    ports: &Arc<Ports>,
    attempt: Attempt,
    parts: Vec<Part>,
    carry_out: fn(&Ports, Attempt, Vec<Permit>),
) {
    match check_all(&ports.gate, parts) {
        Answers::Permitted(permits) => carry_out(ports, attempt, permits),
        Answers::Denied(denial) => ports.refuse(attempt, &denial),
        Answers::Asked(open) => ask_aside(ports, attempt, open, carry_out),
    }
}

fn check(gate: &Gate, part: &Part) -> Checked {
    let request = part.request.clone();
    match part.told {
        Told::ByUs => gate.check(request),
        Told::ByNobody(change) => gate.check_file(request, change),
    }
}

/// Checks requests until one is denied.
fn check_all(gate: &Gate, parts: Vec<Part>) -> Answers {
    let (mut permits, mut questions, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match check(gate, &part) {
            Checked::Permit(permit) => {
                permits.push(permit);
                others.push(part);
            }
            Checked::Ask(question) => questions.push((question, part.deed)),
            Checked::Deny(denial) => return Answers::Denied(denial),
        }
    }
    if questions.is_empty() {
        return Answers::Permitted(permits);
    }
    Answers::Asked(Open { questions, others })
}

/// Only this call waits for the answer: the port goes on.
fn ask_aside(
    ports: &Arc<Ports>,
    attempt: Attempt,
    open: Open,
    carry_out: fn(&Ports, Attempt, Vec<Permit>),
) {
    let ports = Arc::clone(ports);
    let wait = move || {
        if own_umask().is_err() {
            // Dropped, it is denied.
            return;
        }
        match ask_all(&ports, open, &|| attempt.still_waits()) {
            Ok(permits) => carry_out(&ports, attempt, permits),
            Err(denial) => ports.refuse(attempt, &denial),
        }
    };
    // A thread that cannot be made drops the attempt, and that denies it.
    let _ = std::thread::Builder::new().name("question".to_owned()).spawn(wait);
}

/// Puts the questions, then decides the rest anew: a permit does not outlast a question.
fn ask_all(ports: &Ports, open: Open, still: &dyn Fn() -> bool) -> Result<Vec<Permit>, Denial> {
    let mut permits = Vec::new();
    let put = |(question, deed): (_, Option<Deed>)| {
        ports.approvals.put_and_wait(question, deed.as_ref(), still)
    };
    let agreed: Vec<Agreed> = open.questions.into_iter().map(put).collect::<Result<_, Denial>>()?;
    for question in agreed {
        permits.push(settled(ports.approvals.check_again(question))?);
    }
    for part in open.others {
        permits.push(settled(check(&ports.gate, &part))?);
    }
    Ok(permits)
}
