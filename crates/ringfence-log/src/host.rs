//! The host log: every session log's opening and closing, written by all brokers under a lock.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringfence_core::{Entry, Event, SessionId};

use crate::closed::Closed;
use crate::files::{self, LogDir};
use crate::key::HostKey;
use crate::note::Checkpoint;
use crate::record::{Prepared, Salt};
use crate::resume::{RESUME_BYTES_MAX, Resume};
use crate::scan::{Found, Scanner};
use crate::session::lock;
use crate::tree::Tree;
use crate::{LogError, Tampered, VerifyError};

/// Name of the host log in its origin; no session is called so.
pub(crate) const HOST_LOG: &str = "host";

/// When an entry is synced, unless somebody waits for it.
const SYNC_AFTER: Duration = Duration::from_millis(30);

/// The host log of a state directory.
///
/// An entry is written before the call returns; syncing and signing follow on a thread of its
/// own, so that starting a session waits for no disk. [`HostLog::wait`] waits for that.
pub struct HostLog {
    shared: Arc<Shared>,
    syncing: Mutex<Vec<JoinHandle<Result<(), LogError>>>>,
}

struct Shared {
    state_dir: PathBuf,
    dir: LogDir,
    key: HostKey,
    position: Mutex<Position>,
}

/// How far this handle has read; other processes append too.
struct Position {
    scanner: Scanner,
    tree: Tree,
    /// Sessions opened since the last checkpoint that this handle knows.
    opened: Vec<SessionId>,
}

impl HostLog {
    /// Opens the host log, making it when there is none; refuses one that is shorter than was
    /// signed, or whose entries since the last [`Resume`] do not verify.
    ///
    /// What was signed before is not read again: to find a change there is left to
    /// [`verify_host`](crate::verify_host). A change does not get a signature by that: the tree
    /// goes on from what was signed, whatever the file says now.
    pub fn open(state_dir: &Path, key: &HostKey) -> Result<HostLog, LogError> {
        let dir = LogDir::of(&files::host_dir(state_dir));
        match dir.create(&key.public().origin(HOST_LOG), key) {
            Ok(_) | Err(LogError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
        let position = Mutex::new(Position::at_beginning(&dir));
        let shared = Shared { state_dir: state_dir.to_owned(), dir, key: key.clone(), position };
        shared.check()?;
        Ok(HostLog { shared: Arc::new(shared), syncing: Mutex::default() })
    }

    /// Records that the log of `session` was opened, at `at_ms` since the Unix epoch.
    pub fn opened(&self, session: &SessionId, at_ms: u64) -> Result<(), LogError> {
        let key = self.shared.key.public().verifier(session.as_str());
        let event = Event::LogOpened { session: session.clone(), key };
        self.append(&Entry { at_ms, event })
    }

    /// Records that the log of `session` was closed as `closed`, at `at_ms` since the Unix epoch.
    pub fn closed(&self, session: &SessionId, closed: Closed, at_ms: u64) -> Result<(), LogError> {
        let root = BASE64.encode(closed.root);
        let event = Event::LogClosed { session: session.clone(), size: closed.size, root };
        self.append(&Entry { at_ms, event })
    }

    /// Records what is done about a session whose own log is closed.
    pub fn record(&self, entry: &Entry) -> Result<(), LogError> {
        self.append(entry)
    }

    /// Waits until everything appended by this handle is synced and signed.
    pub fn wait(&self) -> Result<(), LogError> {
        let threads = std::mem::take(&mut *lock(&self.syncing));
        for thread in threads {
            thread.thread().unpark();
            thread.join().unwrap_or_else(|_| {
                Err(LogError::Stopped { reason: "its thread has died".to_owned() })
            })?;
        }
        Ok(())
    }

    fn append(&self, entry: &Entry) -> Result<(), LogError> {
        let mut salt = Salt::default();
        getrandom::fill(&mut salt).map_err(LogError::Random)?;
        let mut room = Vec::new();
        self.shared.append(Prepared::new(entry, &salt, &mut room)?)?;
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name("host-log-sync".to_owned())
            .spawn(move || {
                // Soon, not now: starting a session contends with nothing.
                thread::park_timeout(SYNC_AFTER);
                shared.sync()
            })
            .map_err(LogError::io("sync", &self.shared.dir.path))?;
        lock(&self.syncing).push(thread);
        Ok(())
    }
}

impl Shared {
    /// Reads on to the end and compares with the checkpoint.
    fn check(&self) -> Result<(), LogError> {
        let _held = self.hold(&self.dir.path)?;
        let origin = self.key.public().origin(HOST_LOG);
        let note = self.dir.read_checkpoint()?.unwrap_or_default();
        let signed = Checkpoint::verify(&note, &origin, &self.key.public())
            .map_err(|what| VerifyError::tampered(None, what))?;
        let mut position = lock(&self.position);
        if let Some(resumed) = Position::resumed(&self.dir, &self.key, signed.size) {
            *position = resumed;
        }
        position.catch_up(&self.dir, signed.size)?;
        if position.tree.size() != signed.size {
            let (index, what) = (position.tree.size(), "the host log is shorter than was signed");
            return Err(VerifyError::tampered(Some(index), what).into());
        }
        if position.tree.root() != signed.root {
            let what = "the host log's root is not the signed one";
            return Err(LogError::Tampered(Tampered { index: None, what: what.to_owned() }));
        }
        position.opened.clear();
        position.catch_up(&self.dir, u64::MAX)
    }

    /// Takes the lock on `path` until the file is dropped.
    fn hold(&self, path: &Path) -> Result<File, LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        file.lock().map_err(LogError::io("lock", &self.dir.path))?;
        Ok(file)
    }

    fn append(&self, mut prepared: Prepared<'_>) -> Result<(), LogError> {
        let _held = self.hold(&self.dir.path)?;
        let mut position = lock(&self.position);
        position.catch_up(&self.dir, u64::MAX)?;
        let path = self.dir.segment(position.scanner.segment());
        let mut file = files::open_append(&path)?;
        let end = position.scanner.offset();
        // A writer that was killed may have left a part of a record: nobody was told it is there.
        let mut record = Vec::new();
        prepared.append_to(&mut record, position.tree.size());
        let written = file.set_len(end).and_then(|()| file.write_all(&record));
        if let Err(error) = written {
            let _ = file.set_len(end);
            return Err(LogError::io("write", &path)(error));
        }
        position.scanner.forget_pending();
        position.catch_up(&self.dir, u64::MAX)
    }

    /// Syncs what is written and signs it; sessions it names are made durable first.
    fn sync(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.hold(&self.dir.segments())?;
        let (resume, opened) = {
            let _held = self.hold(&self.dir.path)?;
            let mut position = lock(&self.position);
            position.catch_up(&self.dir, u64::MAX)?;
            let opened = std::mem::take(&mut position.opened);
            let (tree, offset) = (position.tree.clone(), position.scanner.offset());
            (Resume { tree, offset }, opened)
        };
        self.sync_files(&opened).map_err(LogError::io("sync", &self.dir.path))?;
        let origin = self.key.public().origin(HOST_LOG);
        let (size, root) = (resume.tree.size(), resume.tree.root());
        let note = Checkpoint { origin, size, root, closed: false }.signed(&self.key);
        self.dir.write_checkpoint(&note)?;
        // Behind the checkpoint: one that speaks of more than was signed is of no use.
        self.dir.write_resume(&resume.signed(&self.key))
    }

    fn sync_files(&self, opened: &[SessionId]) -> std::io::Result<()> {
        for session in opened {
            let log = LogDir::of(&files::sessions_dir(&self.state_dir).join(session.as_str()));
            // A session that is gone already will be reported as missing, whatever is done here.
            match log.sync_created() {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.dir.sync_created()?;
        File::open(self.dir.segment(0))?.sync_data()
    }
}

impl Position {
    fn at_beginning(dir: &LogDir) -> Position {
        Position { scanner: Scanner::new(dir.clone(), 0), tree: Tree::new(), opened: Vec::new() }
    }

    /// Where the host key has signed that can be read on from, if that covers at most the
    /// `signed` entries of the checkpoint and the file reaches that far.
    fn resumed(dir: &LogDir, key: &HostKey, signed: u64) -> Option<Position> {
        let mut note = Vec::new();
        let file = File::open(dir.resume()).ok()?;
        file.take(RESUME_BYTES_MAX).read_to_end(&mut note).ok()?;
        let Resume { tree, offset } = Resume::verify(&note, key)?;
        let bytes = std::fs::metadata(dir.segment(0)).ok()?.len();
        let usable = tree.size() <= signed && offset <= bytes;
        usable.then(|| Position {
            scanner: Scanner::resume(dir.clone(), offset, tree.size()),
            tree,
            opened: Vec::new(),
        })
    }

    /// Reads what was appended, up to `limit` entries in all.
    fn catch_up(&mut self, dir: &LogDir, limit: u64) -> Result<(), LogError> {
        while self.tree.size() < limit {
            match self.scanner.step().map_err(LogError::io("read", &dir.path))? {
                Found::Record(raw) => {
                    let leaf = raw.leaf();
                    let entry = serde_json::from_slice::<Entry>(raw.payload);
                    self.tree.push(leaf);
                    if let Ok(Entry { event: Event::LogOpened { session, .. }, .. }) = entry {
                        self.opened.push(session);
                    }
                }
                Found::End | Found::Incomplete | Found::Damaged(_) => return Ok(()),
            }
        }
        Ok(())
    }
}
