//! The exec port: a program is started once the gate has permitted it and all it implies.

use std::sync::Arc;

use ringfence_core::{
    Act, Checked, CommandLine, Denial, Exec, Outcome, Permit, Question, Request, Running,
};
use ringfence_sandbox::notify::{
    Attempt, Care, Delivery, ExecAttempt, Ran, Verification, own_umask,
};

use super::{Ports, settled};

/// What the gate said about all requests of one exec together.
enum Answers {
    Permitted(Vec<Permit>),
    Asked(Open),
    Denied(Denial),
}

/// Requests of one exec, at least one of which a person has to answer.
struct Open {
    questions: Vec<Question>,
    /// The others, which were permitted.
    others: Vec<Request>,
}

/// All acts that an exec implies: the interpreters of a script are started too.
pub(super) fn acts(attempt: &ExecAttempt) -> Vec<Act> {
    let mut argv = attempt.argv.clone();
    let mut file = attempt.program.clone();
    let named = Exec {
        program: file.clone(),
        identity: attempt.identity,
        command_line: CommandLine::new(file.file_name(), &argv),
        cwd: attempt.cwd.clone(),
    };
    let mut acts = vec![Act::Exec(named)];
    for interpreter in &attempt.interpreters {
        // execve(2): interpreter [optional-arg] pathname arg...
        let name = interpreter.program.as_str().as_bytes().to_vec();
        let script = file.as_str().as_bytes().to_vec();
        let rest = argv.iter().skip(1).cloned();
        argv = std::iter::once(name)
            .chain(interpreter.argument.clone())
            .chain(std::iter::once(script))
            .chain(rest)
            .collect();
        file = interpreter.program.clone();
        acts.push(Act::Exec(Exec {
            program: file.clone(),
            identity: interpreter.identity,
            command_line: CommandLine::new(file.file_name(), &argv),
            cwd: attempt.cwd.clone(),
        }));
    }
    acts
}

/// Decides an exec and answers it; a question is put on a thread of its own.
pub(super) fn answer(ports: &Arc<Ports>, attempt: Attempt, acts: Vec<Act>) {
    ports.parents.forget(attempt.pid);
    // What the program before it read is its own; if this one does not start, it goes on being so.
    ports.watch.reads().iter().for_each(|reads| reads.ended(attempt.pid));
    let requests: Vec<Request> = acts.into_iter().map(|act| ports.request(&attempt, act)).collect();
    match check_all(ports, requests) {
        Answers::Permitted(permits) => carry_out(ports, attempt, permits),
        Answers::Denied(denial) => ports.refuse(attempt, &denial),
        Answers::Asked(open) => ask_aside(ports, attempt, open),
    }
}

/// Checks requests until one is denied.
fn check_all(ports: &Ports, requests: Vec<Request>) -> Answers {
    let (mut permits, mut questions) = (Vec::new(), Vec::new());
    for request in requests {
        match ports.gate.check(request) {
            Checked::Permit(permit) => permits.push(permit),
            Checked::Ask(question) => questions.push(question),
            Checked::Deny(denial) => return Answers::Denied(denial),
        }
    }
    if questions.is_empty() {
        return Answers::Permitted(permits);
    }
    let others = permits.iter().map(|permit| permit.request().clone()).collect();
    Answers::Asked(Open { questions, others })
}

/// Only this call waits for the answer: the port goes on.
fn ask_aside(ports: &Arc<Ports>, attempt: Attempt, open: Open) {
    let ports = Arc::clone(ports);
    let wait = move || {
        if own_umask().is_err() {
            // Dropped, it is denied.
            return;
        }
        match ask_all(&ports, open) {
            Ok(permits) => carry_out(&ports, attempt, permits),
            Err(denial) => ports.refuse(attempt, &denial),
        }
    };
    // A thread that cannot be made drops the attempt, and that denies it.
    let _ = std::thread::Builder::new().name("question".to_owned()).spawn(wait);
}

/// Puts the questions, then decides the rest anew: a permit does not outlast a question.
fn ask_all(ports: &Ports, open: Open) -> Result<Vec<Permit>, Denial> {
    let mut permits = Vec::new();
    for question in open.questions {
        permits.push(settled(ports.approvals.ask(question))?);
    }
    for request in open.others {
        permits.push(settled(ports.gate.check(request))?);
    }
    Ok(permits)
}

fn carry_out(ports: &Ports, mut attempt: Attempt, permits: Vec<Permit>) {
    let care =
        if ports.in_force.exec_needs_verification() { Care::Verified } else { Care::Trusting };
    let spent: Result<Vec<Running>, Denial> = permits.into_iter().map(Permit::spend).collect();
    match spent {
        Ok(running) => {
            if let Some(pidfd) = attempt.take_pidfd() {
                ports.watch.started(attempt.pid, pidfd);
            }
            finish(ports, running, &let_run(ports, attempt, care));
        }
        Err(denial) => ports.refuse(attempt, &denial),
    }
}

fn let_run(ports: &Ports, attempt: Attempt, care: Care) -> Outcome {
    if let Some(exits) = &ports.exits {
        return verified(exits.let_run(attempt, care));
    }
    match care {
        Care::Trusting => match attempt.allow() {
            Delivery::Delivered => Outcome::Done,
            Delivery::Gone => Outcome::Failed { error: "its process ended first".to_owned() },
            Delivery::Refused => Outcome::Failed { error: "it could not be let go on".to_owned() },
        },
        Care::Verified => verified(attempt.allow_verified()),
    }
}

fn verified(verification: Verification) -> Outcome {
    match verification {
        Verification::Same => Outcome::Done,
        Verification::Mismatch(ran) => Outcome::Mismatch { found: found(&ran) },
        Verification::NotStarted => {
            Outcome::Failed { error: "the program did not start".to_owned() }
        }
        Verification::Unwatchable { why } => Outcome::Failed { error: why },
    }
}

/// What was about to run, as text.
fn found(ran: &Ran) -> String {
    let words: Vec<_> = ran.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
    format!("{} `{}`", ran.program, words.join(" "))
}

/// The program runs by now and shares a processor with us: what went well is recorded aside.
fn finish(ports: &Ports, running: Vec<Running>, outcome: &Outcome) {
    if *outcome == Outcome::Done {
        return ports.watch.done(running);
    }
    for each in running {
        // A log that fails here has already made every later check a denial.
        let _ = each.finish(outcome.clone());
    }
}
