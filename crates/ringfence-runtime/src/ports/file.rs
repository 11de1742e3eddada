//! The file port: a change to files is left to the kernel once every path of it is permitted.
//!
//! The world's mounts bound what the kernel can do whatever path it reads in the end, so that the
//! call goes on as it is; its entry says `unobserved`, and no outcome follows.

use ringfence_core::{
    AbsolutePath, Act, Checked, Denial, Durability, Event, FileChange, Grounds, Permit, Question,
    Verdict,
};
use ringfence_sandbox::notify::Attempt;

use super::Ports;
use crate::wording;

/// Decides a change and answers it; changes in the world's own places are no acts.
pub(super) fn answer(ports: &Ports, attempt: Attempt, acts: Vec<(FileChange, AbsolutePath)>) {
    if let Some(denial) = moved_over(ports, &attempt, &acts) {
        return ports.refuse(attempt, &denial);
    }
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
    match ports.gate.check_file(ports.request(attempt, act(change, path)), Some(change)) {
        Checked::Permit(permit) => Ok(permit),
        Checked::Deny(denial) => Err(denial),
        Checked::Ask(question) => Err(unasked(question)),
    }
}

fn act(change: FileChange, path: AbsolutePath) -> Act {
    match change {
        FileChange::Created | FileChange::Modified => Act::Write(path),
        FileChange::Deleted => Act::Delete(path),
    }
}

/// Denies a rename that would put what it moves in place of a directory above a restricted path.
///
/// What was made elsewhere would appear at that path although nobody was asked about it: policy is
/// asked about the two ends of a rename, not about what lies beneath. A restricted path that exists
/// is a mount, which the kernel moves nowhere; this is for those that do not.
fn moved_over(
    ports: &Ports,
    attempt: &Attempt,
    acts: &[(FileChange, AbsolutePath)],
) -> Option<Denial> {
    // Only a rename names two paths; an exchange changes both.
    if acts.len() < 2 {
        return None;
    }
    let targets = acts.iter().filter(|(change, _)| *change != FileChange::Deleted);
    let (change, path, restricted) = targets
        .filter(|(_, path)| !ports.private.holds(path.as_path()))
        .find_map(|(change, path)| {
            Some((*change, path.clone(), ports.in_force.restricted_beneath(path)?))
        })?;
    let failure =
        format!("a rename to here could put something at `{restricted}`, a forbidden place");
    let grounds = Grounds { failure: Some(failure), ..Grounds::default() };
    let request = ports.request(attempt, act(change, path));
    let decided = Event::Decided {
        digest: request.act.digest(ports.gate.policy_in_force().digest()),
        request: request.clone(),
        verdict: Verdict::Deny,
        grounds: grounds.clone(),
        approvals: Vec::new(),
        unobserved: true,
        change: Some(change),
    };
    // Denied whether or not it could be recorded; a log that fails ends the session.
    let entry = ports.gate.note(decided, Durability::Soon).ok();
    Some(Denial { request, grounds, entry })
}

/// Files are not asked about, one by one, while a program waits.
fn unasked(question: Question) -> Denial {
    let needs = wording::needs(&question.needs);
    let failure = Some(format!("needs {needs}, and changes to files are not asked about"));
    let grounds = Grounds { failure, ..question.grounds };
    Denial { request: question.request, grounds, entry: Some(question.entry) }
}
