//! What a command finds around it: environment, state directories, time, sessions.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use ringfence_core::{EntryRef, Event, ServerName, SessionId};
use ringfence_log::{LogReader, Logged, ReadError};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::registration::{self, Broker, Description};
use ringfence_runtime::state::{StateDirs, StateError};
use ringfence_sandbox::world::Tier;

use crate::cli::EntryName;
use crate::exit::{Failure, Message};
use crate::prompt;

/// The environment of this process, as a value.
pub(crate) fn environment() -> Environment {
    std::env::vars_os().collect()
}

/// The words of this process's command line, its own name first.
pub(crate) fn words() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// The state directories of this user; nothing is made. A world has none.
pub(crate) fn dirs() -> Result<StateDirs, Failure> {
    prompt::outside_only(&environment(), "nothing of Ringfence's own can be seen")?;
    dirs_anywhere()
}

/// The same for what needs none of our files, as a check of files that are named does.
pub(crate) fn dirs_anywhere() -> Result<StateDirs, Failure> {
    let dirs = StateDirs::locate(&environment()).map_err(Failure::from)?;
    Ok(dirs.with_libraries(super::run::preload_libraries()))
}

/// The current directory.
pub(crate) fn current_dir() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Message::new(format!("there is no current directory: {error}"))
            .hint("change to a directory that exists")
            .could_not()
    })
}

/// The moment a command began, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the binary is where time enters")]
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The sessions that have a log here, in no order.
pub(crate) fn session_ids(dirs: &StateDirs) -> Result<Vec<SessionId>, Failure> {
    let path = dirs.sessions();
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| cannot_read(&path, &error))?.file_name();
        ids.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    Ok(ids)
}

/// The sessions that run.
pub(crate) fn running(dirs: &StateDirs) -> Result<Vec<Description>, Failure> {
    registration::running(dirs.runtime()).map_err(|error| cannot_read(dirs.runtime(), &error))
}

/// What became of a session's broker, among those that run.
pub(crate) fn broker(dirs: &StateDirs, id: &SessionId, running: &[Description]) -> Broker {
    registration::broker(id, &dirs.session(id), running)
}

/// How the world of a running session is isolated; `None` where it runs and says nothing that is known, the
/// usual tier where none of this name runs.
pub(crate) fn tier(dirs: &StateDirs, id: &SessionId) -> Option<Tier> {
    let running = registration::running(dirs.runtime()).unwrap_or_default();
    let found = running.iter().find(|description| description.session == *id);
    found.map_or(Some(Tier::default()), Description::tier)
}

/// A session's first entry, which says what it is; `None` where its log cannot be read.
pub(crate) fn opening(dirs: &StateDirs, id: &SessionId) -> Option<Logged> {
    LogReader::open(&dirs.session(id)).ok()?.next()?.ok()
}

/// The agent of the sessions in which `world verify` attacks.
pub(crate) const VERIFIER: &str = "ringfence-verify";

/// Whether `world verify` started a session, which is about this machine and about nobody's work.
pub(crate) fn is_verification(first: &Logged) -> bool {
    matches!(&first.entry.event, Event::SessionOpened { agent, command, .. }
        if agent == VERIFIER && command.get(1..3).is_some_and(|words| words == ["world", "attack"]))
}

/// Whether a session is one server of tools, which began for another session or to be looked at.
pub(crate) fn is_server(first: &Logged) -> bool {
    matches!(first.entry.event, Event::SessionOpened { server: true, .. })
}

/// The server of tools that a session is, if it is one.
pub(crate) fn server_of(first: Option<&Logged>) -> Option<ServerName> {
    let Event::SessionOpened { server: true, agent, .. } = &first?.entry.event else {
        return None;
    };
    agent.parse().ok()
}

/// The named session, or the one that started last, of those that do somebody's work: a server of tools begins after
/// the session that it is for, and is not meant.
pub(crate) fn session(dirs: &StateDirs, named: Option<&SessionId>) -> Result<SessionId, Failure> {
    if let Some(id) = named {
        return Ok(id.clone());
    }
    let mut servers = 0_usize;
    let started = |id: SessionId| match opening(dirs, &id) {
        Some(first) if is_verification(&first) => None,
        Some(first) if is_server(&first) => {
            servers = servers.saturating_add(1);
            None
        }
        first => Some((first.map(|first| first.entry.at_ms), id)),
    };
    let last = session_ids(dirs)?.into_iter().filter_map(started).max();
    last.map(|(_, id)| id).ok_or_else(|| match servers {
        0 => Message::new("no session of this user has left a log")
            .hint("to start one, run `ringfence run -- CMD`")
            .could_not(),
        _ => Message::new("only servers of tools had sessions so far: name one")
            .hint("to see them, run `ringfence sessions`")
            .could_not(),
    })
}

/// The one that started last, of those that do somebody's work in a directory that is still there.
pub(crate) fn last_in_place(dirs: &StateDirs) -> Option<SessionId> {
    let started = |id: SessionId| {
        let first = opening(dirs, &id)?;
        let Event::SessionOpened { cwd, server: false, .. } = &first.entry.event else {
            return None;
        };
        let counts = cwd.as_path().is_dir() && !is_verification(&first);
        counts.then_some((first.entry.at_ms, id))
    };
    session_ids(dirs).ok()?.into_iter().filter_map(started).max().map(|(_, id)| id)
}

/// The full name of an entry.
pub(crate) fn entry(dirs: &StateDirs, name: &EntryName) -> Result<EntryRef, Failure> {
    match name {
        EntryName::Named(entry) => Ok(entry.clone()),
        EntryName::Last(index) => Ok(EntryRef { session: session(dirs, None)?, index: *index }),
    }
}

/// The log of a session, from an entry on.
pub(crate) fn reader(dirs: &StateDirs, from: &EntryRef) -> Result<LogReader, Failure> {
    LogReader::open_at(&dirs.session(&from.session), from.index)
        .map_err(|error| unreadable(&from.session, &error))
}

/// Why a session's log could not be read.
pub(crate) fn unreadable(session: &SessionId, error: &ReadError) -> Failure {
    match error {
        ReadError::NoLog(_) => Message::new(format!("there is no session `{session}`"))
            .hint("to see the sessions there are, run `ringfence sessions`")
            .could_not(),
        ReadError::Damaged { .. } => Message::new(error.to_string())
            .hint(format!("to see whether it was changed after it was signed, run `ringfence log verify {session}`"))
            .could_not(),
        ReadError::Io { .. } | ReadError::Unknown { .. } => {
            Message::new(error.to_string()).could_not()
        }
    }
}

/// A file or directory that could not be read.
pub(crate) fn cannot_read(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Message::new(format!("cannot read `{}`: {error}", path.display())).could_not()
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Failure {
        Message::new(error.to_string()).hint(error.hint()).could_not()
    }
}
