//! What is said of a session's end.

use ringfence_core::{AbsolutePath, Event, Exit, ReviewStep, Reviewed, SessionId};
use ringfence_sandbox::world::{Ended, WorldError};
use rustix::io::Errno;

use super::not_started::{NotStarted, Wanted};
use crate::denials::First;
use crate::notice::Notice;
use crate::quarantine::Quarantined;

/// The code of a session that a limit has ended: what a shell reports for `SIGKILL`.
const KILLED: i32 = 137;

/// The files that are held back, if any; one that is not UTF-8 is named as it can be.
pub(super) fn held_back(quarantined: &[Quarantined]) -> Option<Event> {
    let path = |file: &Quarantined| AbsolutePath::parse(&file.path.to_string_lossy()).ok();
    let files = quarantined.iter().filter_map(path).collect();
    (!quarantined.is_empty()).then_some(Event::Quarantined { files })
}

/// What the log says of changes that nothing of the host has yet.
pub(super) fn waits(session: &SessionId, changes: usize) -> Event {
    let changes = u64::try_from(changes).unwrap_or(u64::MAX);
    let (session, step) = (session.clone(), ReviewStep::Waiting);
    Event::Reviewed(Reviewed { session, step, by: None, changes, left: 0, name: None })
}

/// Why the command did not start. What was denied first is that, for nothing else ran before.
pub(super) fn not_started(
    ended: &Ended,
    wanted: &Wanted,
    first: Option<&First>,
) -> Option<NotStarted> {
    let Some(errno) = ended.not_started else { return wanted.module.not_started(&wanted.whose) };
    let errno = Errno::from_raw_os_error(errno);
    let denied = first.filter(|_| errno == Errno::ACCESS).map(NotStarted::denied);
    Some(denied.unwrap_or_else(|| wanted.explain(errno)))
}

/// The code of the whole run: that of the command, or of what ended it.
pub(super) fn code(ended: &Result<Ended, WorldError>, limit: Option<&Notice>) -> i32 {
    match ended {
        _ if limit.is_some() => KILLED,
        Ok(ended) => exit_code(ended),
        Err(_) => 125,
    }
}

/// The code that a shell would report.
fn exit_code(ended: &Ended) -> i32 {
    match ended.exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128_i32.saturating_add(signal),
        Exit::Unknown => 125,
    }
}
