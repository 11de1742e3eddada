//! The unix-socket port: a socket of the host's is connected by the broker, if the policy names it.

use std::sync::Arc;

use ringfence_core::{AbsolutePath, Act, Checked, Denial, Outcome, Permit};
use ringfence_sandbox::notify::{Attempt, Listens, own_umask};

use super::{Ports, settled};

/// `ECONNREFUSED`: what a connection to a socket gets that nobody listens at.
const ECONNREFUSED: i32 = 111;

/// Decides a connection and answers it, on a thread of its own when it has to wait.
///
/// Denied is denied; but of a socket that nobody listens at any more a program is told so, which knows what to do
/// then: remove it and bind its own.
pub(super) fn answer(
    ports: &Arc<Ports>,
    attempt: Attempt,
    (path, listens): (AbsolutePath, Listens),
) {
    if let Some(arrivals) = ports.agents.iter().find(|it| it.lead_to(path.as_str())) {
        let process = ports.process(&attempt);
        return arrivals.admit(process, || attempt.connect());
    }
    let request = ports.request(&attempt, Act::ConnectUnix(ports.names.name(path)));
    match ports.gate.check(request) {
        Checked::Deny(denial) if listens == Listens::Nobody => {
            ports.refuse_with(attempt, &denial, ECONNREFUSED);
        }
        Checked::Deny(denial) => ports.refuse(attempt, &denial),
        Checked::Permit(permit) => aside(ports, attempt, move |_, _| Ok(permit)),
        Checked::Ask(question) => {
            aside(ports, attempt, |ports, attempt| {
                let still = || attempt.still_waits();
                settled(ports.approvals.ask_while(question, &still))
            });
        }
    }
}

/// A server that does not accept lets its client wait; the port goes on meanwhile.
fn aside(
    ports: &Arc<Ports>,
    attempt: Attempt,
    permit: impl FnOnce(&Ports, &Attempt) -> Result<Permit, Denial> + Send + 'static,
) {
    let ports = Arc::clone(ports);
    let wait = move || {
        if own_umask().is_err() {
            // Dropped, it is denied.
            return;
        }
        match permit(&ports, &attempt).and_then(Permit::spend) {
            Err(denial) => ports.refuse(attempt, &denial),
            Ok(running) => {
                let outcome = match attempt.connect() {
                    Ok(()) => Outcome::Done,
                    Err(error) => Outcome::Failed { error: error.to_string() },
                };
                // A log that fails here has already made every later check a denial.
                let _ = running.finish(outcome);
            }
        }
    };
    // A thread that cannot be made drops the attempt, and that denies it.
    let _ = std::thread::Builder::new().name("unix-socket".to_owned()).spawn(wait);
}
