//! The file port: a change to files goes on once every path of it is permitted, and so does a read
//! where reads are asked about.
//!
//! What makes a name is carried out at the path that was decided about. The world's mounts bound
//! the rest whatever path the kernel reads in the end. Either way its entry says `unobserved`, and
//! an outcome follows only where it was carried out here, and failed.

use std::io;
use std::sync::Arc;

use ringfence_core::{
    AbsolutePath, Act, Denial, Durability, Event, FileChange, Grounds, Permit, Running, Verdict,
};
use ringfence_sandbox::notify::{Appears, Attempt, FileAttempt};

use super::Ports;
use super::together::{self, Part, Told};

/// Decides a change, and what is read besides, and answers it; a question is put on a thread of its own.
/// Changes in the world's own places are no acts.
pub(super) fn answer(ports: &Arc<Ports>, attempt: Attempt, file: FileAttempt) {
    let forbidden = covered(ports, &attempt, &file).or_else(|| replacing(ports, &attempt, &file));
    if let Some(denial) = forbidden.or_else(|| put_over(ports, &attempt, &file)) {
        return ports.refuse(attempt, &denial);
    }
    let deed = file.deed;
    let part = |act, change| {
        let request = ports.request(&attempt, act);
        Part { request, told: Told::ByNobody(change), deed: Some(deed.clone()) }
    };
    let read = file.reads.into_iter().map(|path| part(Act::Read(path), None));
    let changed = file
        .acts
        .into_iter()
        .filter(|(_, path)| !ports.private.holds(path.as_path()))
        .map(|(change, path)| part(act(change, path), Some(change)));
    let parts = read.chain(changed).collect();
    together::answer(ports, attempt, parts, carry_out);
}

fn carry_out(ports: &Ports, attempt: Attempt, permits: Vec<Permit>) {
    let spent: Result<Vec<Running>, Denial> = permits.into_iter().map(Permit::spend).collect();
    match spent {
        Ok(running) => {
            let entries = running.iter().map(|each| each.entry().index).collect();
            running.into_iter().for_each(Running::leave_to_kernel);
            let watch = ports.watch.clone();
            attempt.allow_or_tell(move |errno| {
                watch.failed(entries, &io::Error::from_raw_os_error(errno).to_string());
            });
        }
        Err(denial) => ports.refuse(attempt, &denial),
    }
}

fn act(change: FileChange, path: AbsolutePath) -> Act {
    match change {
        FileChange::Created | FileChange::Modified => Act::Write(path),
        FileChange::Deleted => Act::Delete(path),
    }
}

/// Denies a rename or a link that would put what lies elsewhere in place of a directory above a
/// restricted path, and a rename that would take such a directory elsewhere: what comes to be at the path
/// later would lie where no rule knows it.
///
/// What was made there would appear at that path although nobody was asked about it: policy is
/// asked about the ends of a rename and about a link, not about what lies beneath. A restricted path that exists
/// is a mount, which the kernel moves nowhere; this is for those that do not.
fn put_over(ports: &Ports, attempt: &Attempt, file: &FileAttempt) -> Option<Denial> {
    if file.appears == Appears::Nothing {
        return None;
    }
    let (change, path, restricted) =
        file.acts.iter().filter(|(_, path)| !ports.private.holds(path.as_path())).find_map(
            |(change, path)| {
                Some((*change, path.clone(), ports.in_force.restricted_beneath(path)?))
            },
        )?;
    let failure = format!(
        "a rename or a link here could put something at `{restricted}`, a forbidden place, or take it elsewhere"
    );
    Some(denied(ports, attempt, (change, path), failure))
}

/// Denies what would come to be at or in a covered place.
///
/// The mount that covers it says no as well, unless somebody outside has taken it away: that of an
/// absent place stands on an empty directory, which `git clean -fd` removes.
fn covered(ports: &Ports, attempt: &Attempt, file: &FileAttempt) -> Option<Denial> {
    let made = file.acts.iter().filter(|(change, _)| *change != FileChange::Deleted);
    let (change, path, cover) = made
        .filter_map(|(change, path)| Some((change, path, ports.cover_of(path)?)))
        .find(|(_, path, _)| !ports.private.holds(path.as_path()))?;
    let failure =
        format!("the host runs what is at `{}`, where there was nothing", cover.display());
    Some(denied(ports, attempt, (*change, path.clone()), failure))
}

/// Denies what would write to a file that a program outside is about to put in the place of another.
fn replacing(ports: &Ports, attempt: &Attempt, file: &FileAttempt) -> Option<Denial> {
    let refused = ports.closed.beside.refuses(file)?;
    Some(denied(ports, attempt, (refused.change, refused.path), refused.why))
}

/// A denial that no rule of the policy makes, as it is recorded.
fn denied(
    ports: &Ports,
    attempt: &Attempt,
    (change, path): (FileChange, AbsolutePath),
    failure: String,
) -> Denial {
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
    Denial { request, grounds, entry }
}
