//! The world's processes: how each ended and what it used, as far as the kernel tells an observer.
//!
//! Most processes are gone within milliseconds, and to be woken for each of their ends costs more
//! than all else that is done for them. So a new one is only remembered, and all new ones together
//! are looked at every few milliseconds; whoever lives longer is heard from when it ends. CPU time,
//! memory and bytes are looked up in `/proc` from time to time and, where the end is heard, before
//! the parent reaps it: figures are marked `sampled`, and those of the shortest lives are unknown.

mod sample;

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::{Durability, Event, Exit, Gate, Outcome, Running, Usage};
use ringfence_sandbox::notify::Moment;
use ringfence_sandbox::pidinfo;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};

use crate::bounds::RAISE_HINT;
use crate::notice::Notice;
use crate::reads::Reads;

pub use sample::sample;

/// How often new processes are looked at. The end of one, and that its program was started, is
/// recorded that much later at worst.
const LOOK_PERIOD: Duration = Duration::from_millis(4);

/// How often the processes that run are sampled.
const SAMPLE_PERIOD: Duration = Duration::from_millis(200);

/// How often the young among them are: most are gone before the first period is over.
const YOUNG_SAMPLE_PERIOD: Duration = Duration::from_millis(10);

/// Up to which age a process is young.
const YOUNG: Duration = Duration::from_millis(200);

/// Processes watched at once; more run unwatched and their end is not recorded.
pub const WATCHED_MAX: usize = 4096;

/// How long the ends of the world's last processes are waited for.
const LAST_ENDS_WAIT: Duration = Duration::from_millis(300);

/// What ends a process that makes a file larger than it may (`setrlimit(2)`).
const SIGXFSZ: i32 = 25;
/// What that limit is called in the settings.
const FILE_BYTES: &str = "file_bytes_max";

/// Marks the descriptor that wakes the thread; no process has this id.
const WAKE: u64 = u64::MAX;

/// Watches processes and records their ends.
pub struct Processes {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A handle that tells of started processes.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    gate: Gate,
    /// What processes read, where that is traced.
    reads: Option<Arc<Reads>>,
    epoll: OwnedFd,
    wake: OwnedFd,
    stopping: AtomicBool,
    /// Raised while a look is due, so that the thread need not be woken.
    looking: AtomicBool,
    watched: Mutex<HashMap<i32, Watched>>,
    /// Programs that were started; the log does not have that yet.
    done: Mutex<Vec<Running>>,
    /// Acts that were seen to fail, by their entries; the log does not have that yet.
    failed: Mutex<Vec<(u64, String)>>,
    /// The largest file that a process may write.
    file_bytes_max: Option<u64>,
    /// How many processes were ended for a larger one.
    too_large: AtomicU64,
}

struct Watched {
    pidfd: Arc<OwnedFd>,
    usage: Usage,
    /// How it will end, once it was looked at for the last time before it does.
    last: Option<Exit>,
    since: Instant,
    phase: Phase,
}

/// How the end of a process becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// By looking.
    New,
    /// By an event.
    Heard,
    /// It has ended and waits to be reaped.
    Ended,
}

/// When what is due next.
struct Due {
    look: Option<Instant>,
    sample_young: Option<Instant>,
    sample: Instant,
}

/// Which processes are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampled {
    All,
    Young,
}

impl Processes {
    /// Starts watching for one session, and recording what was read, where somebody hears of that.
    ///
    /// No process may write a file of more than `file_bytes_max` bytes, if that is given.
    pub fn start(
        gate: Gate,
        reads: Option<Arc<Reads>>,
        file_bytes_max: Option<u64>,
    ) -> io::Result<Processes> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared {
            gate,
            reads,
            epoll,
            wake,
            stopping: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            watched: Mutex::default(),
            done: Mutex::default(),
            failed: Mutex::default(),
            file_bytes_max,
            too_large: AtomicU64::new(0),
        });
        let watcher = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("processes".to_owned())
            .spawn(move || watcher.run())?;
        Ok(Processes { shared, thread: Some(thread) })
    }

    /// The handle for ports.
    pub fn watch(&self) -> Watch {
        Watch { shared: Arc::clone(&self.shared) }
    }

    /// Waits for the ends of a world that has been ended, and records them; what a limit did to them.
    pub fn finish(mut self) -> Option<Notice> {
        self.stop();
        let times = self.shared.too_large.load(Ordering::Acquire);
        let most = self.shared.file_bytes_max.filter(|_| times > 0)?;
        let ended = if times == 1 { "a process".to_owned() } else { format!("{times} processes") };
        let text = format!(
            "`{FILE_BYTES} = {most}` ended {ended} (signal {SIGXFSZ}, SIGXFSZ): a file would have grown beyond it"
        );
        Some(Notice::new(text).hint(RAISE_HINT))
    }

    fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watch {
    /// Who hears of what processes read, where that is traced.
    pub fn reads(&self) -> Option<&Arc<Reads>> {
        self.shared.reads.as_ref()
    }

    /// A process is about to run a program; to be told while it still waits for the answer.
    ///
    /// Of a process that ran another program before, the figures so far are kept: the peak of its
    /// memory belongs to the image that goes.
    pub fn started(&self, pid: i32, pidfd: OwnedFd) {
        let mut watched = self.shared.watched();
        if let Some(known) = watched.get_mut(&pid).filter(|known| known.phase != Phase::Ended) {
            known.usage = merged(known.usage, sample(pid));
            return;
        }
        if watched.len() >= WATCHED_MAX {
            return;
        }
        let process = Watched {
            pidfd: Arc::new(pidfd),
            usage: Usage::default(),
            last: None,
            since: Instant::now(),
            phase: Phase::New,
        };
        watched.insert(pid, process);
        drop(watched);
        self.shared.look_soon();
    }

    /// A watched process begins a program, or is about to exit and has used all it will; it waits until
    /// this returns.
    pub fn at(&self, pid: i32, moment: Moment) {
        let (usage, last) = match moment {
            Moment::Begins => (Usage::default(), None),
            Moment::Ends(status) => (sample(pid), Some(exit_of(status))),
        };
        if let Some(process) = self.shared.watched().get_mut(&pid) {
            process.usage = merged(process.usage, usage);
            process.last = last;
        }
    }

    /// The program of an act runs; to be recorded with the next look.
    ///
    /// If the broker dies before, its act has no outcome in the log, which means *unknown*.
    pub fn done(&self, running: Vec<Running>) {
        self.shared.done.lock().unwrap_or_else(PoisonError::into_inner).extend(running);
        self.shared.look_soon();
    }
}

impl Watch {
    /// What was left to the kernel was carried out elsewhere, and failed; to be recorded with the next
    /// look: whoever saw it may be able to open no file of ours.
    pub fn failed(&self, entries: Vec<u64>, error: &str) {
        let failed = entries.into_iter().map(|of| (of, error.to_owned()));
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
        self.shared.look_soon();
    }
}

impl Watched {
    /// Whether it is worth a sample of its own: those that have ended unseen are looked at first.
    fn is_young(&self, now: Instant) -> bool {
        self.phase == Phase::Heard && now.duration_since(self.since) < YOUNG
    }
}

impl Due {
    /// How long to wait for the first of them.
    fn timeout(&self, now: Instant) -> Timespec {
        let first = [self.look, self.sample_young, Some(self.sample)].into_iter().flatten().min();
        let wait = first.unwrap_or(now).saturating_duration_since(now);
        Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Full means that it is about to wake anyway.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Has the thread look within the period, by waking it if it does not do so already.
    fn look_soon(&self) {
        if !self.looking.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn run(&self) {
        let mut stop_at: Option<Instant> = None;
        let mut due = Due { look: None, sample_young: None, sample: Instant::now() };
        let mut events = Vec::with_capacity(64);
        loop {
            let now = Instant::now();
            if self.stopping.load(Ordering::Acquire) && stop_at.is_none() {
                stop_at = Some(now + LAST_ENDS_WAIT);
                due.look = Some(now);
            }
            self.do_what_is_due(&mut due, now);
            if stop_at.is_some_and(|at| now >= at || self.watched().is_empty()) {
                break;
            }
            events.clear();
            let timeout = due.timeout(Instant::now());
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
            }
            for event in &events {
                if let Ok(pid) = i32::try_from(event.data.u64()) {
                    self.ended(pid);
                } else {
                    let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
                    due.look.get_or_insert(Instant::now() + LOOK_PERIOD);
                }
            }
        }
        self.record_done();
        let left: Vec<i32> = self.watched().keys().copied().collect();
        for pid in left {
            self.record_end(pid, Exit::Unknown);
        }
        self.reads.iter().for_each(|reads| reads.finish());
    }

    fn do_what_is_due(&self, due: &mut Due, now: Instant) {
        if due.look.is_some_and(|at| now >= at) {
            // Lowered first: who raises it from here on wakes us, or is seen below.
            self.looking.store(false, Ordering::Release);
            self.record_done();
            // Where some were new there will be more soon.
            let again = self.look(now) > 0;
            if again {
                self.looking.store(true, Ordering::Release);
            }
            due.look = again.then(|| now + LOOK_PERIOD);
            due.sample_young.get_or_insert(now + YOUNG_SAMPLE_PERIOD);
        }
        if now >= due.sample {
            self.sample(Sampled::All, now);
            self.reads.iter().for_each(|reads| reads.record());
            due.sample = now + SAMPLE_PERIOD;
        } else if due.sample_young.is_some_and(|at| now >= at) {
            self.sample(Sampled::Young, now);
            let young = self.watched().values().any(|process| process.is_young(now));
            due.sample_young = young.then(|| now + YOUNG_SAMPLE_PERIOD);
        }
    }

    fn record_done(&self) {
        let done = mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        for running in done {
            // A log that fails here has already made every later check a denial.
            let _ = running.finish(Outcome::Done);
        }
        let failed = mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        for (of, error) in failed {
            let event = Event::Finished { of, outcome: Outcome::Failed { error } };
            // The same.
            let _ = self.gate.note(event, Durability::Soon);
        }
    }

    /// Finds out which of the new processes have ended; who has lived for a while is heard from
    /// here on, and at the end everybody. Says how many were new.
    fn look(&self, now: Instant) -> usize {
        let stopping = self.stopping.load(Ordering::Acquire);
        let mut new: Vec<(Instant, i32, Arc<OwnedFd>)> = self
            .watched()
            .iter()
            .filter(|(_, process)| process.phase == Phase::New)
            .map(|(pid, process)| (process.since, *pid, Arc::clone(&process.pidfd)))
            .collect();
        new.sort_unstable_by_key(|(since, pid, _)| (*since, *pid));
        let mut polled: Vec<PollFd<'_>> =
            new.iter().map(|(.., pidfd)| PollFd::new(&**pidfd, PollFlags::IN)).collect();
        // If it fails all seem to live, and are heard from.
        let _ = poll(&mut polled, Some(&Timespec::default()));
        for ((since, pid, pidfd), seen) in new.iter().zip(&polled) {
            if !seen.revents().is_empty() {
                self.ended(*pid);
            } else if stopping || now.duration_since(*since) >= LOOK_PERIOD {
                self.listen_to(*pid, pidfd);
            }
        }
        new.len()
    }

    /// Asks the kernel to tell the end of a process, also one that has come in the meantime.
    fn listen_to(&self, pid: i32, pidfd: &OwnedFd) {
        let Ok(key) = u64::try_from(pid) else { return };
        let data = epoll::EventData::new_u64(key);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ET;
        if epoll::add(&self.epoll, pidfd, data, flags).is_ok()
            && let Some(process) = self.watched().get_mut(&pid)
        {
            process.phase = Phase::Heard;
        }
    }

    /// Takes figures of those that run; asks again for the end of those that wait to be reaped.
    fn sample(&self, which: Sampled, now: Instant) {
        let (running, ended): (Vec<_>, Vec<_>) = self
            .watched()
            .iter()
            .filter(|(_, process)| which == Sampled::All || process.is_young(now))
            .map(|(pid, process)| (*pid, process.phase))
            .partition(|(_, phase)| *phase != Phase::Ended);
        for (pid, _) in running {
            self.add(pid, sample(pid));
        }
        for (pid, _) in ended {
            self.ended(pid);
        }
    }

    fn add(&self, pid: i32, usage: Usage) {
        if let Some(process) = self.watched().get_mut(&pid) {
            process.usage = merged(process.usage, usage);
        }
    }

    /// A process has ended, or has been reaped.
    fn ended(&self, pid: i32) {
        let known = self.watched().get(&pid).map(|it| (Arc::clone(&it.pidfd), it.phase));
        let Some((pidfd, phase)) = known else { return };
        let mut told = pidinfo::exit_status(&pidfd);
        if phase != Phase::Ended && !matches!(told, Ok(Some(_))) {
            // It keeps its number until it is reaped.
            self.add(pid, sample::of_ended(pid));
            told = pidinfo::exit_status(&pidfd);
        }
        match told {
            Ok(Some(status)) => self.record_end(pid, exit_of(status)),
            Err(_) => self.record_end(pid, Exit::Unknown),
            // Not reaped yet: the exit is told afterwards.
            Ok(None) => self.wait_for_reaping(pid, &pidfd, phase),
        }
    }

    fn wait_for_reaping(&self, pid: i32, pidfd: &OwnedFd, phase: Phase) {
        if phase == Phase::New {
            self.listen_to(pid, pidfd);
        }
        if let Some(process) = self.watched().get_mut(&pid) {
            process.phase = Phase::Ended;
        }
    }

    fn record_end(&self, pid: i32, exit: Exit) {
        let Some(process) = self.watched().remove(&pid) else { return };
        let usage = Usage { sampled: process.last.is_none(), ..process.usage };
        let exit = match (exit, process.last) {
            // The kernel does not tell who has not reaped it, unless it is a new one.
            (Exit::Unknown, Some(last)) => last,
            (told, _) => told,
        };
        // While it is still known whose they are.
        self.reads.iter().for_each(|reads| reads.ended(pid));
        let is_too_large = self.file_bytes_max.is_some() && exit == Exit::Signal(SIGXFSZ);
        if is_too_large {
            self.too_large.fetch_add(1, Ordering::AcqRel);
        }
        let limit = is_too_large.then(|| FILE_BYTES.to_owned());
        // A log that fails here has already made every later check a denial.
        let _ = self.gate.note(Event::ProcessExited { pid, exit, usage, limit }, Durability::Soon);
    }
}

/// A wait status in words.
fn exit_of(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// All figures only grow; what is unknown now may have been known before.
fn merged(before: Usage, now: Usage) -> Usage {
    Usage {
        cpu_time_ms: before.cpu_time_ms.max(now.cpu_time_ms),
        peak_memory_mb: before.peak_memory_mb.max(now.peak_memory_mb),
        disk_read_bytes: before.disk_read_bytes.max(now.disk_read_bytes),
        disk_write_bytes: before.disk_write_bytes.max(now.disk_write_bytes),
        sampled: true,
    }
}

#[cfg(test)]
#[path = "processes/tests.rs"]
mod tests;
