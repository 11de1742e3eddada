//! How fast entries become durable, against a bare loop that appends and syncs groups of them.
//!
//! Prints a row: `what | must | aim | ratio of minima | ratio of medians | note`. The ratio is
//! throughput of ours by throughput of the bare loop: larger is better.
#![expect(clippy::print_stdout, reason = "a benchmark prints its row")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ringfence_core::{
    AbsolutePath, Act, Agent, Durability, Entry, Event, Grounds, Process, Request, RuleRef,
    SessionId, SetName, Verdict,
};
use ringfence_log::{HostKey, SessionLog, Ticket};

/// Threads that append.
const WRITERS: usize = 16;
/// Entries of each writer that are not yet known to be on the disk.
const IN_FLIGHT: usize = 100;
/// Entries of each writer in a round: long enough that one late wake-up does not decide it.
const ENTRIES: usize = 5_000;
/// Counted rounds of each side, after one that is not counted.
const ROUNDS: usize = 11;
/// More than all rounds write.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    // Beside the program itself, which lies on a disk; a temporary directory may not.
    let program = std::env::current_exe()?;
    let dir = tempfile::tempdir_in(program.parent().unwrap_or(Path::new(".")))?;
    let entry = entry()?;
    let log = open(dir.path())?;
    let bare = Bare::new(File::create(dir.path().join("bare"))?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // In turn, so that a drift of the machine meets both alike.
        let first = timed(|| append_ours(&log, &entry))?;
        let second = timed(|| append_bare(&bare, &entry))?;
        if round > 0 {
            ours.push(first);
            theirs.push(second);
        }
    }
    let appended = u64::try_from(WRITERS * ENTRIES * (ROUNDS + 1))?;
    let closed = log.close()?;
    assert_eq!((closed.size, bare.synced()), (appended, appended), "every entry must be there");
    ours.sort();
    theirs.sort();
    let (first, middle) = (|times: &[Duration]| at(times, 0), |times: &[Duration]| at(times, 2));
    println!(
        "log append, {WRITERS} writers x {IN_FLIGHT} in flight, on disk, throughput | 0.75x | \
         0.95x | {} | {} | median {:.0}k against {:.0}k entries a second, {ROUNDS} rounds",
        first(&theirs) / first(&ours),
        middle(&theirs) / middle(&ours),
        rate(middle(&ours)),
        rate(middle(&theirs)),
    );
    Ok(())
}

/// The smallest of sorted times (`part` 0) or the middle one (`part` 2), in seconds.
fn at(times: &[Duration], part: usize) -> f64 {
    let index = times.len().checked_div(part).unwrap_or(0);
    times.get(index).map_or(f64::NAN, Duration::as_secs_f64)
}

/// Thousands of entries a second.
fn rate(seconds: f64) -> f64 {
    f64::from(u32::try_from(WRITERS * ENTRIES).unwrap_or(u32::MAX)) / seconds / 1000.0
}

fn timed(act: impl FnOnce() -> Result<(), Failed>) -> Result<Duration, Failed> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

/// Runs `writer` in every thread at once.
fn all(writer: impl Fn() -> Result<(), Failed> + Sync) -> Result<(), Failed> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(&writer)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a writer panicked".into()))
        })
    })
}

fn open(dir: &Path) -> Result<SessionLog, Failed> {
    let key = HostKey::load_or_create(dir)?;
    let session = SessionId::from_random([7; 8]);
    Ok(SessionLog::create(&dir.join("sessions/s"), &session, &key, LOG_BYTES_MAX)?)
}

fn append_ours(log: &SessionLog, entry: &Entry) -> Result<(), Failed> {
    all(|| {
        let mut tickets: VecDeque<Ticket<'_>> = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..ENTRIES {
            if tickets.len() == IN_FLIGHT
                && let Some(ticket) = tickets.pop_front()
            {
                ticket.wait()?;
            }
            tickets.push_back(log.submit(entry, Durability::Before)?);
        }
        for ticket in tickets {
            ticket.wait()?;
        }
        Ok(())
    })
}

/// What the bare loop's writers hand to its committer.
struct Bare {
    file: File,
    queue: Mutex<Queue>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    buffer: Vec<u8>,
    next: u64,
    synced: u64,
    writers: usize,
}

impl Bare {
    fn new(file: File) -> Bare {
        Bare { file, queue: Mutex::default(), work: Condvar::new(), done: Condvar::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn synced(&self) -> u64 {
        self.queue().synced
    }

    /// Hands one record over and answers its number.
    fn submit(&self, record: &[u8]) -> u64 {
        let mut queue = self.queue();
        queue.buffer.extend_from_slice(record);
        queue.next += 1;
        self.work.notify_one();
        queue.next
    }

    fn wait(&self, number: u64) {
        let waiting = self.done.wait_while(self.queue(), |queue| queue.synced < number);
        drop(waiting);
    }

    /// Appends what is queued and syncs it, until no writer is left.
    fn commit(&self) -> Result<(), Failed> {
        let mut batch = Vec::new();
        loop {
            let idle = |queue: &mut Queue| queue.buffer.is_empty() && queue.writers > 0;
            let waiting = self.work.wait_while(self.queue(), idle);
            let mut queue = waiting.unwrap_or_else(PoisonError::into_inner);
            if queue.buffer.is_empty() {
                return Ok(());
            }
            batch.clear();
            std::mem::swap(&mut queue.buffer, &mut batch);
            let next = queue.next;
            drop(queue);
            (&self.file).write_all(&batch)?;
            self.file.sync_data()?;
            self.queue().synced = next;
            self.done.notify_all();
        }
    }
}

fn append_bare(bare: &Bare, entry: &Entry) -> Result<(), Failed> {
    bare.queue().writers = WRITERS;
    let write = || {
        let mut pending = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..ENTRIES {
            if pending.len() == IN_FLIGHT
                && let Some(number) = pending.pop_front()
            {
                bare.wait(number);
            }
            pending.push_back(bare.submit(&serde_json::to_vec(entry)?));
        }
        for number in pending {
            bare.wait(number);
        }
        bare.queue().writers -= 1;
        bare.work.notify_one();
        Ok(())
    };
    thread::scope(|scope| {
        let committer = scope.spawn(|| bare.commit());
        all(write)?;
        committer.join().unwrap_or_else(|_| Err("the committer panicked".into()))
    })
}

/// A typical entry: the decision on a file act.
fn entry() -> Result<Entry, Failed> {
    let rule = RuleRef {
        set: SetName::Project,
        file: ".ringfence/policy.cedar".to_owned(),
        line: 12,
        id: "project".to_owned(),
        reason: Some("the agent works on this project".to_owned()),
    };
    let request = Request {
        agent: Agent("claude".to_owned()),
        act: Act::Write(AbsolutePath::parse("/home/ada/project/src/main.rs")?),
        process: Some(Process { pid: 4242, parent: Some(4200) }),
    };
    let event = Event::Decided {
        digest: request.act.digest("0f"),
        request,
        verdict: Verdict::Permit,
        grounds: Grounds { rules: vec![rule], ..Grounds::default() },
        approvals: Vec::new(),
        unobserved: true,
        change: None,
    };
    Ok(Entry { at_ms: 1_763_700_000_000, event })
}
