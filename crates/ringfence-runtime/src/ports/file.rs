//! The file port: a change to files is left to the kernel once every path of it is permitted.
//!
//! The world's mounts bound what the kernel can do whatever path it reads in the end, so that the
//! call goes on as it is; its entry says `unobserved`, and no outcome follows.

use ringfence_core::{AbsolutePath, Act, Checked, Denial, FileChange, Grounds, Permit, Question};
use ringfence_sandbox::notify::Attempt;

use super::Ports;
use crate::wording;

/// Decides a change and answers it; changes in the world's own places are no acts.
pub(super) fn answer(ports: &Ports, attempt: Attempt, acts: Vec<(FileChange, AbsolutePath)>) {
    let acts: Vec<_> =
        acts.into_iter().filter(|(_, path)| !ports.private.holds(path.as_path())).collect();
    let permits: Result<Vec<Permit>, Denial> =
        acts.into_iter().map(|(change, path)| check(ports, &attempt, change, path)).collect();
    let spent = permits.and_then(|permits| {
        permits.into_iter().map(Permit::spend).collect::<Result<Vec<_>, Denial>>()
    });
    match spent {
        Ok(running) => {
            for each in running {
                each.leave_to_kernel();
            }
            attempt.allow();
        }
        Err(denial) => ports.refuse(attempt, &denial),
    }
}

fn check(
    ports: &Ports,
    attempt: &Attempt,
    change: FileChange,
    path: AbsolutePath,
) -> Result<Permit, Denial> {
    let act = match change {
        FileChange::Created | FileChange::Modified => Act::Write(path),
        FileChange::Deleted => Act::Delete(path),
    };
    match ports.gate.check_file(ports.request(attempt, act), Some(change)) {
        Checked::Permit(permit) => Ok(permit),
        Checked::Deny(denial) => Err(denial),
        Checked::Ask(question) => Err(unasked(question)),
    }
}

/// Files are not asked about, one by one, while a program waits.
fn unasked(question: Question) -> Denial {
    let needs = wording::needs(&question.needs);
    let failure = Some(format!("needs {needs}, and changes to files are not asked about"));
    let grounds = Grounds { failure, ..question.grounds };
    Denial { request: question.request, grounds, entry: Some(question.entry) }
}
