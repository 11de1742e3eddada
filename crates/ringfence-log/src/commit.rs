//! The committer: writes what is queued, syncs it, wakes who waits, and signs checkpoints.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, mem};

use crate::LogError;
use crate::closed::Closed;
use crate::files::{self, LogDir};
use crate::key::HostKey;
use crate::note::Checkpoint;
use crate::session::{End, Shared, Sleep, lock};
use crate::tree::Tree;

/// A new segment begins when the current one holds this many bytes.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A `Soon` entry is synced within 50 ms; this much of it may pass before the sync begins.
const SOON_SYNC_AFTER: Duration = Duration::from_millis(30);

/// Time between two checkpoints while entries come in; signing costs two syncs of its own.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// How large a log and its segments may become, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) log_bytes_max: u64,
    pub(crate) segment_bytes_max: u64,
}

impl Sizes {
    pub(crate) fn new(log_bytes_max: u64) -> Sizes {
        Sizes { log_bytes_max, segment_bytes_max: SEGMENT_BYTES_MAX }
    }
}

/// The segment files as a writer sees them.
pub(crate) struct Segments {
    dir: LogDir,
    segment_bytes_max: u64,
    pub(crate) file: Arc<File>,
    bytes: u64,
    /// Index of the first entry that is not yet written.
    written: u64,
    /// Full segments that are not yet synced.
    full: Vec<Arc<File>>,
    /// A buffer to write from, kept for its capacity.
    spare: Vec<u8>,
}

/// What has to be synced so that everything below `next` is on the disk.
struct Unsynced {
    next: u64,
    files: Vec<Arc<File>>,
    /// A segment was added: its directory entry must be synced too.
    rotated: bool,
}

impl Segments {
    pub(crate) fn open(dir: LogDir, segment_bytes_max: u64) -> Result<Segments, LogError> {
        let file = Arc::new(files::open_append(&dir.segment(0))?);
        let (full, spare) = (Vec::new(), Vec::new());
        Ok(Segments { dir, segment_bytes_max, file, bytes: 0, written: 0, full, spare })
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        mem::take(&mut self.spare)
    }

    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare = buffer;
    }

    /// Writes whole records, the last of them that of entry `next - 1`.
    pub(crate) fn write(&mut self, records: &[u8], next: u64) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.bytes >= self.segment_bytes_max {
            self.rotate()?;
        }
        if let Err(error) = (&*self.file).write_all(records) {
            // Cuts a record that was written in part; recovery does the same if this fails too.
            let _ = self.file.set_len(self.bytes);
            return Err(LogError::io("write", &self.dir.segments())(error));
        }
        self.bytes += records.len() as u64;
        self.written = next;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let file = Arc::new(files::open_append(&self.dir.segment(self.written))?);
        self.full.push(mem::replace(&mut self.file, file));
        self.bytes = 0;
        Ok(())
    }

    fn unsynced(&mut self) -> Unsynced {
        let mut files = mem::take(&mut self.full);
        let rotated = !files.is_empty();
        files.push(Arc::clone(&self.file));
        Unsynced { next: self.written, files, rotated }
    }
}

/// The thread that makes entries durable.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    dir: LogDir,
    key: HostKey,
    /// Held while the log is being written.
    _lock: File,
    /// Over the entries that are on the disk.
    tree: Tree,
    /// The directories have been synced.
    created: bool,
    checkpoint_size: u64,
    checkpoint_at: Instant,
    /// How long the last sync took.
    last_sync: Duration,
}

/// Why the committer woke up.
enum Wake {
    Sync,
    Checkpoint,
    End(End),
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, (dir, lock): (LogDir, File), key: HostKey) -> Committer {
        Committer {
            shared,
            dir,
            key,
            _lock: lock,
            tree: Tree::new(),
            created: false,
            checkpoint_size: 0,
            checkpoint_at: Instant::now(),
            last_sync: Duration::ZERO,
        }
    }

    pub(crate) fn run(mut self) {
        loop {
            let done = match self.sleep() {
                Wake::Sync => self.commit(),
                Wake::Checkpoint => self.checkpoint(Last::No),
                Wake::End(End::Closing) => return self.close(),
                Wake::End(_) => return self.leave(),
            };
            if let Err(error) = done {
                return self.shared.fail(error.to_string());
            }
        }
    }

    /// Sleeps until there is something to do.
    fn sleep(&self) -> Wake {
        let mut queue = self.shared.queue();
        loop {
            match &queue.end {
                End::Open => {}
                // Another process goes on when this one has ended.
                End::HandedOver => {
                    let woken = self.shared.work.wait(queue);
                    queue = woken.unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                end @ (End::Closing | End::Leaving | End::Closed(_) | End::Failed(_)) => {
                    return Wake::End(end.clone());
                }
            }
            let now = Instant::now();
            if queue.urgent || queue.soon_since.is_some_and(|at| at + SOON_SYNC_AFTER <= now) {
                return Wake::Sync;
            }
            let checkpoint_due = self.checkpoint_due();
            if checkpoint_due.is_some_and(|due| due <= now) {
                return Wake::Checkpoint;
            }
            let sync_due = queue.soon_since.map(|at| at + SOON_SYNC_AFTER);
            let due = sync_due.into_iter().chain(checkpoint_due).min();
            queue.sleep = if sync_due.is_none() { Sleep::UntilEntry } else { Sleep::UntilDue };
            queue = match due {
                None => self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    let woken = self.shared.work.wait_timeout(queue, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.sleep = Sleep::No;
        }
    }

    fn checkpoint_due(&self) -> Option<Instant> {
        let behind = self.tree.size() > self.checkpoint_size;
        behind.then(|| self.checkpoint_at + CHECKPOINT_EVERY)
    }

    /// Makes everything queued so far durable and says so.
    fn commit(&mut self) -> Result<(), LogError> {
        self.let_writers_run();
        {
            let mut queue = self.shared.queue();
            queue.urgent = false;
            queue.soon_since = None;
        }
        let unsynced = {
            let mut segments = lock(&self.shared.segments);
            self.shared.write_all(&mut segments)?;
            segments.unsynced()
        };
        let begin = Instant::now();
        self.sync(&unsynced).map_err(LogError::io("sync", &self.dir.path))?;
        self.last_sync = begin.elapsed();
        self.shared.advance_synced(unsynced.next);
        let tree = self.shared.grow(unsynced.next)?;
        // A tree that was handed over meanwhile may hold entries that nobody has synced.
        if tree.size() == unsynced.next {
            self.tree = tree;
        }
        if self.checkpoint_due().is_some_and(|due| due <= Instant::now()) {
            self.checkpoint(Last::No)?;
        }
        Ok(())
    }

    /// Lets writers that can run add to the batch, for as long as it grows and no longer than the
    /// last sync took.
    ///
    /// No window: with nobody else to run, the processor is given back at once.
    fn let_writers_run(&self) {
        let begin = Instant::now();
        let mut queued = self.shared.queue().next;
        while begin.elapsed() < self.last_sync {
            thread::yield_now();
            let now = self.shared.queue().next;
            if now == queued {
                return;
            }
            queued = now;
        }
    }

    fn sync(&mut self, unsynced: &Unsynced) -> io::Result<()> {
        if !self.created {
            self.dir.sync_created()?;
            self.created = true;
        } else if unsynced.rotated {
            files::sync_dir(&self.dir.segments())?;
        }
        unsynced.files.iter().try_for_each(|file| file.sync_data())
    }

    /// Signs the prefix that is on the disk.
    fn checkpoint(&mut self, last: Last) -> Result<(), LogError> {
        let checkpoint = Checkpoint {
            origin: self.key.public().origin(self.shared.session.as_str()),
            size: self.tree.size(),
            root: self.tree.root(),
            closed: last == Last::Yes,
        };
        self.dir.write_checkpoint(&checkpoint.signed(&self.key))?;
        self.checkpoint_size = checkpoint.size;
        self.checkpoint_at = Instant::now();
        Ok(())
    }

    fn close(mut self) {
        match self.commit().and_then(|()| self.checkpoint(Last::Yes)) {
            Ok(()) => {
                let closed = Closed::of(&self.tree);
                self.shared.queue().end = End::Closed(closed);
            }
            Err(error) => self.shared.fail(error.to_string()),
        }
    }

    /// Leaves an unclosed log behind, with everything synced and signed as far as possible.
    fn leave(mut self) {
        if let Err(error) = self.commit().and_then(|()| self.checkpoint(Last::No)) {
            self.shared.fail(error.to_string());
        }
    }
}

/// Whether a checkpoint is the log's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}
