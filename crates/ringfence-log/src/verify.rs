//! Finds any change made without the host key to what the host key has signed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringfence_core::{Entry, Event, SessionId};

use crate::files::{self, LogDir};
use crate::host::HOST_LOG;
use crate::key::PublicKey;
use crate::note::Checkpoint;
use crate::read::segment_name;
use crate::scan::{Found, Scanner};
use crate::tree::{Hash, Tree};
use crate::{Tampered, VerifyError};

/// A log that is intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many whole entries there are.
    pub size: u64,
    /// Root hash over them.
    pub root: Hash,
    /// How many of them the last checkpoint covers; the rest is whole, but not yet signed.
    pub signed: u64,
    /// How the log ends.
    pub state: State,
}

/// How an intact log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was closed and signed as closed.
    Closed,
    /// A process is writing it.
    Open,
    /// Nobody writes it and it was not closed: its broker died.
    Unclosed,
    /// As `Unclosed`, and behind the last whole entry stand bytes of an incomplete one.
    TornTail {
        /// How many.
        bytes: u64,
    },
}

/// The answer about all logs of a state directory.
#[derive(Debug)]
pub struct Report {
    /// The host log.
    pub host: Result<Verified, VerifyError>,
    /// Every session that the host log or the state directory knows, by name.
    pub sessions: Vec<SessionReport>,
}

/// The answer about one session's log.
#[derive(Debug)]
pub struct SessionReport {
    /// The session.
    pub session: SessionId,
    /// Its log by itself and against the host log.
    pub result: Result<Verified, VerifyError>,
    /// Whether the host log knows the session.
    pub host_log: HostLogKnows,
}

/// What the host log says about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostLogKnows {
    /// It was opened.
    Opened,
    /// It was opened and closed.
    Closed,
    /// Nothing: the session was started without it, or it was planted.
    Nothing,
}

impl Report {
    /// Whether every log is intact; a session that the host log does not know is no damage.
    pub fn is_intact(&self) -> bool {
        self.host.is_ok() && self.sessions.iter().all(|session| session.result.is_ok())
    }
}

/// Verifies the log of `session`, whose directory is `dir`, by itself.
pub fn verify_session(
    dir: &Path,
    session: &SessionId,
    key: &PublicKey,
) -> Result<Verified, VerifyError> {
    walk(&LogDir::of(dir), &key.origin(session.as_str()), key)
}

/// Verifies the host log by itself.
pub fn verify_host(state_dir: &Path, key: &PublicKey) -> Result<Verified, VerifyError> {
    read_host(state_dir, key).map(|(verified, _)| verified)
}

/// Verifies the host log, then every session's log by itself and against the host log.
pub fn verify_all(state_dir: &Path, key: &PublicKey) -> Result<Report, VerifyError> {
    // The host log first: a session that is opened meanwhile is then merely unknown to it.
    let (host, known) = match read_host(state_dir, key) {
        Ok((verified, known)) => (Ok(verified), known),
        Err(error) => (Err(error), BTreeMap::new()),
    };
    let mut sessions: BTreeMap<SessionId, Option<Option<Ending>>> =
        known.into_iter().map(|(session, ending)| (session, Some(ending))).collect();
    for session in session_dirs(state_dir)? {
        sessions.entry(session).or_insert(None);
    }
    let sessions = sessions
        .into_iter()
        .map(|(session, known)| verify_known(state_dir, session, known.as_ref(), key))
        .collect();
    Ok(Report { host, sessions })
}

/// How a session's log ended, by the host log.
struct Ending {
    size: u64,
    root: String,
}

fn verify_known(
    state_dir: &Path,
    session: SessionId,
    known: Option<&Option<Ending>>,
    key: &PublicKey,
) -> SessionReport {
    let dir = files::sessions_dir(state_dir).join(session.as_str());
    let (ending, host_log) = match known {
        None => (None, HostLogKnows::Nothing),
        Some(None) => (None, HostLogKnows::Opened),
        Some(Some(ending)) => (Some(ending), HostLogKnows::Closed),
    };
    let result = if host_log != HostLogKnows::Nothing && fs::symlink_metadata(&dir).is_err() {
        Err(VerifyError::tampered(Some(0), "the host log knows this session, but it is missing"))
    } else {
        verify_session(&dir, &session, key).and_then(|verified| match ending {
            Some(ending) => against(verified, ending),
            None => Ok(verified),
        })
    };
    SessionReport { session, result, host_log }
}

/// Compares a log with its closing in the host log.
fn against(verified: Verified, ending: &Ending) -> Result<Verified, VerifyError> {
    let what = "the host log has recorded another end of it";
    if verified.size < ending.size {
        return Err(VerifyError::tampered(Some(verified.size), what));
    }
    if verified.size > ending.size {
        return Err(VerifyError::tampered(Some(ending.size), what));
    }
    if BASE64.encode(verified.root) != ending.root {
        return Err(VerifyError::tampered(Some(verified.signed), what));
    }
    if verified.state != State::Closed {
        let what = "the host log has recorded its closing, but its last checkpoint is an older one";
        return Err(VerifyError::tampered(None, what));
    }
    Ok(verified)
}

type Known = BTreeMap<SessionId, Option<Ending>>;

fn read_host(state_dir: &Path, key: &PublicKey) -> Result<(Verified, Known), VerifyError> {
    let dir = LogDir::of(&files::host_dir(state_dir));
    let verified = walk(&dir, &key.origin(HOST_LOG), key)?;
    let mut known = Known::new();
    let mut scanner = Scanner::new(dir.clone(), 0);
    while scanner.next_index() < verified.size {
        let Found::Record(raw) = scanner.step().map_err(VerifyError::io(&dir.path))? else { break };
        let Ok(Entry { event, .. }) = serde_json::from_slice(raw.payload) else { continue };
        if let Event::LogOpened { session, .. } = event {
            known.entry(session).or_default();
        } else if let Event::LogClosed { session, size, root } = event {
            known.insert(session, Some(Ending { size, root }));
        }
    }
    Ok((verified, known))
}

/// The sessions that have a log.
fn session_dirs(state_dir: &Path) -> Result<Vec<SessionId>, VerifyError> {
    let path = files::sessions_dir(state_dir);
    let dirs = match fs::read_dir(&path) {
        Ok(dirs) => dirs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(VerifyError::io(&path)(error)),
    };
    let mut sessions = Vec::new();
    for dir in dirs {
        let dir = dir.map_err(VerifyError::io(&path))?;
        // A broker that was killed early has made a directory and no log in it. A log that was
        // taken away is not forgotten by that: the host log knows it.
        if fs::symlink_metadata(LogDir::of(&dir.path()).path).is_ok() {
            sessions.extend(dir.file_name().to_str().and_then(|name| name.parse().ok()));
        }
    }
    Ok(sessions)
}

/// How the records of a log end.
enum Tail {
    Clean,
    Torn,
    Damaged(String),
}

/// Reads a whole log and compares it with its checkpoint.
fn walk(dir: &LogDir, origin: &str, key: &PublicKey) -> Result<Verified, VerifyError> {
    check_origin(dir, origin)?;
    let note = dir.read_checkpoint()?;
    let note = note.ok_or_else(|| VerifyError::tampered(None, "its checkpoint is missing"))?;
    let signed =
        Checkpoint::verify(&note, origin, key).map_err(|what| VerifyError::tampered(None, what))?;
    let mut scanner = Scanner::new(dir.clone(), 0);
    let (mut tree, mut signed_root) = (Tree::new(), Tree::new().root());
    let tail = loop {
        match scanner.step().map_err(VerifyError::io(&dir.path))? {
            Found::Record(raw) => tree.push(raw.leaf()),
            Found::End => break Tail::Clean,
            Found::Incomplete => break Tail::Torn,
            Found::Damaged(what) => break Tail::Damaged(what),
        }
        if tree.size() == signed.size {
            signed_root = tree.root();
        }
    };
    let size = tree.size();
    if size < signed.size {
        return Err(VerifyError::tampered(Some(size), missing(&tail, signed.size)));
    }
    if signed_root != signed.root {
        return Err(VerifyError::Tampered(first_changed(dir, &signed)?));
    }
    let stray = has_stray_segments(dir, scanner.segment())?;
    let clean = matches!(tail, Tail::Clean) && !stray;
    if signed.closed && (size > signed.size || !clean) {
        let what = "something was added after the log was closed";
        return Err(VerifyError::tampered(Some(signed.size), what));
    }
    let (segment, offset) = (scanner.segment(), scanner.offset());
    let state = if signed.closed { State::Closed } else { ending(dir, segment, offset)? };
    Ok(Verified { size, root: tree.root(), signed: signed.size, state })
}

fn check_origin(dir: &LogDir, origin: &str) -> Result<(), VerifyError> {
    let path = dir.origin();
    match fs::read(&path) {
        Ok(bytes) if bytes == format!("{origin}\n").as_bytes() => Ok(()),
        Ok(_) => Err(VerifyError::tampered(None, "its origin file names another log")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(VerifyError::tampered(None, "its origin file is missing"))
        }
        Err(error) => Err(VerifyError::io(&path)(error)),
    }
}

fn missing(tail: &Tail, signed: u64) -> String {
    match tail {
        Tail::Clean => format!("it is missing; {signed} entries were signed"),
        Tail::Torn => format!("it is cut short; {signed} entries were signed"),
        Tail::Damaged(what) => what.clone(),
    }
}

/// Names the first entry that differs, if the leaf file still is what was signed.
fn first_changed(dir: &LogDir, signed: &Checkpoint) -> Result<Tampered, VerifyError> {
    let bytes = fs::read(dir.leaves()).unwrap_or_default();
    let count = usize::try_from(signed.size).unwrap_or(usize::MAX);
    let leaves = bytes.as_chunks::<32>().0.get(..count).unwrap_or_default();
    if crate::tree::root_of(leaves) != signed.root {
        let what = "one of the signed entries, from this one on, was changed; which one cannot be \
                    told, because the leaf file is not what was signed either";
        return Ok(Tampered { index: Some(0), what: what.to_owned() });
    }
    let mut scanner = Scanner::new(dir.clone(), 0);
    for (leaf, index) in leaves.iter().zip(0_u64..) {
        match scanner.step().map_err(VerifyError::io(&dir.path))? {
            Found::Record(raw) if raw.leaf() == *leaf => {}
            Found::Record(_) | Found::End | Found::Incomplete | Found::Damaged(_) => {
                let what = "its content is not what was signed".to_owned();
                return Ok(Tampered { index: Some(index), what });
            }
        }
    }
    Ok(Tampered { index: None, what: "it changed while it was read".to_owned() })
}

/// Whether there is a segment behind the last one that the walk reached.
fn has_stray_segments(dir: &LogDir, last: u64) -> Result<bool, VerifyError> {
    let path = dir.segments();
    for file in fs::read_dir(&path).map_err(VerifyError::io(&path))? {
        let name = file.map_err(VerifyError::io(&path))?.file_name();
        if segment_name(&name).is_none_or(|first| first > last) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether somebody writes the log in `dir`; not where it cannot be opened.
pub fn is_held(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// How a log without a closing checkpoint ends.
fn ending(dir: &LogDir, segment: u64, offset: u64) -> Result<State, VerifyError> {
    let lock = File::open(&dir.path).map_err(VerifyError::io(&dir.path))?;
    if lock.try_lock_shared().is_err() {
        return Ok(State::Open);
    }
    let path = dir.segment(segment);
    let bytes = fs::metadata(&path).map_err(VerifyError::io(&path))?.len();
    let torn = bytes.saturating_sub(offset);
    Ok(if torn == 0 { State::Unclosed } else { State::TornTail { bytes: torn } })
}

/// Syncs every segment.
pub(crate) fn sync_segments(dir: &LogDir) -> io::Result<()> {
    for file in fs::read_dir(dir.segments())? {
        File::open(file?.path())?.sync_data()?;
    }
    files::sync_dir(&dir.segments())
}
