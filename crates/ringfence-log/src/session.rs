//! A session's log: appends entries, many writers at once, with natural group commit.
//!
//! One committer thread syncs whatever arrived during its last sync; there is no batching window.
//! [`NewLog::start`] starts that thread, so call it after the last `fork` of the process.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use ringfence_core::{Durability, Entry, Event, Record, RecordError, SessionId};

use crate::closed::Closed;
use crate::commit::{Segments, Sizes};
use crate::key::HostKey;
use crate::record::{Prepared, Salt};
use crate::tree::{Hash, Tree};
use crate::{LogError, NewLog};

/// Written by the submitter itself when the queue holds this many bytes, so that it stays bounded.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Room above the size cap for the entry that closes the session, in bytes.
const CLOSING_BYTES: u64 = 64 * 1024;

/// What a thread keeps of the room in which it prepared an entry, in bytes.
const ROOM_BYTES_MAX: usize = 64 * 1024;

/// How many salts are fetched from the kernel at a time.
const SALTS: usize = 128;

/// An open log of one session; clones share it. Dropping the last clone syncs without closing.
#[derive(Clone)]
pub struct SessionLog {
    handle: Arc<Handle>,
}

/// An entry that was submitted; wait for it to be on the disk.
#[must_use]
pub struct Ticket<'log> {
    shared: &'log Shared,
    index: u64,
}

/// Owns the committer thread.
struct Handle {
    shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// What writers and the committer share. Lock order: `segments`, `growth`, `queue`.
pub(crate) struct Shared {
    pub(crate) session: SessionId,
    bytes_max: u64,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) work: Condvar,
    pub(crate) segments: Mutex<Segments>,
    growth: Mutex<Growth>,
    /// Entries below this index are on the disk.
    synced: AtomicU64,
    waiters: Mutex<Vec<(u64, Thread)>>,
}

/// The tree and the leaf file, which grow by the leaves of the queue in their order.
struct Growth {
    tree: Tree,
    file: File,
}

/// Entries that have their index and are not yet committed.
pub(crate) struct Queue {
    pub(crate) next: u64,
    /// Records that are not yet written.
    pub(crate) buffer: Vec<u8>,
    /// Leaves that are not yet in the tree.
    leaves: Vec<Hash>,
    /// Somebody waits for a sync.
    pub(crate) urgent: bool,
    /// Since when a `Soon` entry waits for its sync.
    pub(crate) soon_since: Option<Instant>,
    /// What the committer must be woken for; a wake-up costs a system call.
    pub(crate) sleep: Sleep,
    bytes: u64,
    pub(crate) end: End,
}

/// Whether the committer sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// It is at work and looks at the queue before it sleeps.
    No,
    /// Until a `Soon` entry's sync is due: only those who wait need to wake it.
    UntilDue,
    /// Until the next entry.
    UntilEntry,
}

/// Whether the log takes more entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It does.
    Open,
    /// All of it is written, and another process closes it; see [`SessionLog::hand_over`].
    HandedOver,
    /// It was asked to close.
    Closing,
    /// The last clone is gone.
    Leaving,
    /// It is closed.
    Closed(Closed),
    /// An entry could not be written.
    Failed(String),
}

impl SessionLog {
    pub(crate) fn of(shared: Arc<Shared>, committer: JoinHandle<()>) -> SessionLog {
        let handle = Handle { shared, committer: Mutex::new(Some(committer)) };
        SessionLog { handle: Arc::new(handle) }
    }

    /// Makes the log of `session` in `dir/log` and starts its committer thread.
    ///
    /// Nothing is synced here; the committer syncs the directories with the first entries.
    pub fn create(
        dir: &Path,
        session: &SessionId,
        key: &HostKey,
        size_max_bytes: u64,
    ) -> Result<SessionLog, LogError> {
        SessionLog::prepare(dir, session, key, size_max_bytes)?.start()
    }

    /// Makes the files of the log of `session`, for [`NewLog::start`] to put them in `dir/log`.
    pub fn prepare(
        dir: &Path,
        session: &SessionId,
        key: &HostKey,
        size_max_bytes: u64,
    ) -> Result<NewLog, LogError> {
        NewLog::prepare(dir, session, key, Sizes::new(size_max_bytes))
    }

    /// Appends and returns the entry's index once `durability` holds.
    pub fn append(&self, entry: &Entry, durability: Durability) -> Result<u64, LogError> {
        let ticket = self.submit(entry, durability)?;
        match durability {
            Durability::Before => ticket.wait(),
            Durability::Soon => Ok(ticket.index),
        }
    }

    /// Appends without waiting for the sync: a `Soon` entry is written, a `Before` entry is queued
    /// and on the disk when [`Ticket::wait`] returns.
    pub fn submit(&self, entry: &Entry, durability: Durability) -> Result<Ticket<'_>, LogError> {
        let shared = &*self.handle.shared;
        let closing = matches!(entry.event, Event::SessionClosed { .. });
        let (index, queued) = AHEAD.with_borrow_mut(|ahead| {
            let salt = ahead.salt()?;
            let queued = Prepared::new(entry, &salt, &mut ahead.room)
                .and_then(|mut prepared| shared.enqueue(&mut prepared, durability, closing));
            ahead.room.clear();
            ahead.room.shrink_to(ROOM_BYTES_MAX);
            queued
        })?;
        if durability == Durability::Soon || queued > QUEUE_BYTES_MAX {
            shared.write_queued(index)?;
        }
        Ok(Ticket { shared, index })
    }

    /// Syncs everything, signs the final checkpoint and ends the log; clones can no longer append.
    pub fn close(self) -> Result<Closed, LogError> {
        self.handle.end(End::Closing);
        match &self.handle.shared.queue().end {
            End::Closed(closed) => Ok(*closed),
            End::Failed(reason) => Err(LogError::Stopped { reason: reason.clone() }),
            End::Open | End::HandedOver | End::Closing | End::Leaving => {
                Err(LogError::Stopped { reason: "its committer has died".to_owned() })
            }
        }
    }

    /// Writes what is queued, takes no entry any more, and says what has been written.
    ///
    /// Waits for no disk: whoever [`seal`](crate::seal)s the log with this answer does, once this
    /// process has ended. [`SessionLog::close`] is still possible where that fails.
    pub fn hand_over(&self) -> Result<Closed, LogError> {
        self.handle.shared.hand_over()
    }

    /// The session whose log this is.
    pub fn session(&self) -> &SessionId {
        &self.handle.shared.session
    }

    #[cfg(test)]
    pub(crate) fn replace_segment(&self, file: Arc<std::fs::File>) {
        lock(&self.handle.shared.segments).file = file;
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.handle.shared.queue().next
    }
}

impl Record for SessionLog {
    fn record(&self, entry: &Entry, durability: Durability) -> Result<u64, RecordError> {
        Ok(self.append(entry, durability)?)
    }
}

impl Ticket<'_> {
    /// The entry's index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Waits until the entry is on the disk.
    pub fn wait(self) -> Result<u64, LogError> {
        self.shared.wait_synced(self.index)?;
        Ok(self.index)
    }
}

impl Handle {
    /// Asks the committer to end and waits for it.
    fn end(&self, how: End) {
        {
            let mut queue = self.shared.queue();
            if matches!(queue.end, End::Open | End::HandedOver) {
                queue.end = how;
            }
            self.shared.work.notify_one();
        }
        let thread = lock(&self.committer).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            self.shared.fail("its committer has died".to_owned());
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end(End::Leaving);
    }
}

impl Shared {
    pub(crate) fn new(
        session: SessionId,
        bytes_max: u64,
        segments: Segments,
        leaves: File,
    ) -> Shared {
        let queue = Queue {
            next: 0,
            buffer: Vec::new(),
            leaves: Vec::new(),
            urgent: false,
            soon_since: None,
            sleep: Sleep::No,
            bytes: 0,
            end: End::Open,
        };
        Shared {
            session,
            bytes_max,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            segments: Mutex::new(segments),
            growth: Mutex::new(Growth { tree: Tree::new(), file: leaves }),
            synced: AtomicU64::new(0),
            waiters: Mutex::default(),
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Gives the entry its index; also says how many bytes wait to be written.
    fn enqueue(
        &self,
        prepared: &mut Prepared<'_>,
        durability: Durability,
        closing: bool,
    ) -> Result<(u64, usize), LogError> {
        let mut queue = self.queue();
        self.check_open(&queue.end)?;
        let bytes = queue.bytes.saturating_add(prepared.record_bytes() as u64);
        let reserve = if closing { CLOSING_BYTES } else { 0 };
        if bytes > self.bytes_max.saturating_add(reserve) {
            // INVARIANT: the cap stays reached, so that a smaller entry does not slip in later.
            queue.bytes = queue.bytes.max(self.bytes_max);
            let session = self.session.clone();
            return Err(LogError::Full { session, max_bytes: self.bytes_max });
        }
        queue.bytes = bytes;
        let index = queue.next;
        queue.next += 1;
        prepared.append_to(&mut queue.buffer, index);
        queue.leaves.push(prepared.leaf);
        match durability {
            Durability::Before => queue.urgent = true,
            Durability::Soon if queue.soon_since.is_none() => {
                queue.soon_since = Some(Instant::now());
            }
            Durability::Soon => {}
        }
        let wake = match queue.sleep {
            Sleep::No => false,
            Sleep::UntilDue => durability == Durability::Before,
            Sleep::UntilEntry => true,
        };
        let queued = queue.buffer.len();
        if wake {
            queue.sleep = Sleep::No;
            drop(queue);
            self.work.notify_one();
        }
        Ok((index, queued))
    }

    fn check_open(&self, end: &End) -> Result<(), LogError> {
        match end {
            End::Open => Ok(()),
            End::HandedOver | End::Closing | End::Leaving | End::Closed(_) => {
                Err(LogError::Closed(self.session.clone()))
            }
            End::Failed(reason) => Err(LogError::Stopped { reason: reason.clone() }),
        }
    }

    /// Writes what is queued, unless another writer has already written entry `index`.
    fn write_queued(&self, index: u64) -> Result<(), LogError> {
        let mut segments = lock(&self.segments);
        if segments.written() > index {
            return Ok(());
        }
        self.write_all(&mut segments)
    }

    /// Writes what is queued with one write; a failure ends the log.
    pub(crate) fn write_all(&self, segments: &mut Segments) -> Result<(), LogError> {
        let mut buffer = segments.take_spare();
        let next = {
            let mut queue = self.queue();
            self.check_writable(&queue.end)?;
            mem::swap(&mut queue.buffer, &mut buffer);
            queue.next
        };
        let written = segments.write(&buffer, next);
        segments.give_back(buffer);
        written.inspect_err(|error| self.fail(error.to_string()))
    }

    /// Entries queued before the end are still written, those queued before a failure never.
    fn check_writable(&self, end: &End) -> Result<(), LogError> {
        match end {
            End::Open | End::HandedOver | End::Closing | End::Leaving => Ok(()),
            End::Closed(_) | End::Failed(_) => self.check_open(end),
        }
    }

    fn hand_over(&self) -> Result<Closed, LogError> {
        let mut segments = lock(&self.segments);
        {
            let mut queue = self.queue();
            self.check_open(&queue.end)?;
            queue.end = End::HandedOver;
        }
        self.write_all(&mut segments)?;
        let next = segments.written();
        drop(segments);
        let closed = Closed::of(&self.grow(next)?);
        // Nobody will sync for them any more: their entries stand, and their acts are denied.
        self.wake_all();
        Ok(closed)
    }

    /// Lets the tree and the leaf file grow up to entry `next`, and answers the tree.
    pub(crate) fn grow(&self, next: u64) -> Result<Tree, LogError> {
        let mut growth = lock(&self.growth);
        let Growth { tree, file } = &mut *growth;
        let count = usize::try_from(next.saturating_sub(tree.size())).unwrap_or(usize::MAX);
        let leaves = {
            let leaves = &mut self.queue().leaves;
            let rest = leaves.split_off(count.min(leaves.len()));
            mem::replace(leaves, rest)
        };
        for leaf in &leaves {
            tree.push(*leaf);
        }
        let written = file.write_all(leaves.as_flattened());
        written
            .map_err(LogError::io("write", Path::new("leaves")))
            .inspect_err(|error| self.fail(error.to_string()))?;
        Ok(tree.clone())
    }

    /// Ends the log: no later entry is taken and everybody who waits gets the error.
    pub(crate) fn fail(&self, reason: String) {
        {
            let mut queue = self.queue();
            if !matches!(queue.end, End::Failed(_)) {
                queue.end = End::Failed(reason);
            }
            self.work.notify_one();
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        for (_, thread) in lock(&self.waiters).drain(..) {
            thread.unpark();
        }
    }

    /// Tells the waiters one by one that everything below `next` is on the disk.
    pub(crate) fn advance_synced(&self, next: u64) {
        self.synced.store(next, Ordering::SeqCst);
        lock(&self.waiters).retain(|(index, thread)| {
            let waits = *index >= next;
            if !waits {
                thread.unpark();
            }
            waits
        });
    }

    fn wait_synced(&self, index: u64) -> Result<(), LogError> {
        let mut registered = false;
        loop {
            if self.synced.load(Ordering::SeqCst) > index {
                return Ok(());
            }
            if registered {
                let queue = self.queue();
                if matches!(queue.end, End::Failed(_) | End::HandedOver) {
                    return self.check_open(&queue.end);
                }
                drop(queue);
                thread::park();
            } else {
                lock(&self.waiters).push((index, thread::current()));
                registered = true;
            }
        }
    }
}

/// What a thread that appends keeps for its next entries.
#[derive(Default)]
struct Ahead {
    /// Salts fetched ahead; none is used twice.
    salts: Vec<Salt>,
    /// Where an entry is prepared.
    room: Vec<u8>,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = RefCell::default();
}

impl Ahead {
    fn salt(&mut self) -> Result<Salt, LogError> {
        if let Some(salt) = self.salts.pop() {
            return Ok(salt);
        }
        let mut random = [[0_u8; 32]; SALTS];
        getrandom::fill(random.as_flattened_mut()).map_err(LogError::Random)?;
        let [first, rest @ ..] = random;
        self.salts.extend(rest);
        Ok(first)
    }
}

/// A lock whose holder panicked still guards plain data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
