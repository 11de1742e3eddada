//! The exec port: a program is started once the gate has permitted it and all it implies.

use std::sync::Arc;

use ringfence_core::{Act, CommandLine, Denial, Exec, Outcome, Permit, Running};
use ringfence_sandbox::notify::{Attempt, Care, Delivery, ExecAttempt, Ran, Verification};

use super::Ports;
use super::together::{self, Part, Told};
use crate::compose::OwnNames;

/// All acts that an exec implies: the interpreters of a script are started too. Arguments are those that
/// programs get, and say where a script lies.
pub(super) fn acts(attempt: &ExecAttempt, names: &OwnNames) -> Vec<Act> {
    let mut argv = attempt.argv.clone();
    let mut file = attempt.program.clone();
    let cwd = names.name(attempt.cwd.clone());
    let named = Exec {
        program: names.name(file.clone()),
        identity: attempt.identity,
        command_line: CommandLine::new(file.file_name(), &argv),
        cwd: cwd.clone(),
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
            program: names.name(file.clone()),
            identity: interpreter.identity,
            command_line: CommandLine::new(file.file_name(), &argv),
            cwd: cwd.clone(),
        }));
    }
    acts
}

/// Decides an exec and answers it; a question is put on a thread of its own.
pub(super) fn answer(ports: &Arc<Ports>, attempt: Attempt, acts: Vec<Act>) {
    ports.parents.forget(attempt.pid);
    // What the program before it read is its own; if this one does not start, it goes on being so.
    ports.watch.reads().iter().for_each(|reads| reads.ended(attempt.pid));
    let part = |act| Part { request: ports.request(&attempt, act), told: Told::ByUs, deed: None };
    let parts = acts.into_iter().map(part).collect();
    together::answer(ports, attempt, parts, carry_out);
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
