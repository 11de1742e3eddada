//! The world's processes: how each ended and what it used, as far as the kernel tells an observer.
//!
//! Ends are heard from pidfds. CPU time, memory and bytes are looked up in `/proc` from time to
//! time and when a process ends, before its parent reaps it: figures are marked `sampled`.

mod sample;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::{Durability, Event, Exit, Gate, Usage};
use ringfence_sandbox::pidinfo;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use sample::sample;

/// How often the processes that run are looked at.
const SAMPLE_PERIOD: Duration = Duration::from_millis(200);

/// How often while one of them is young: most are gone before the first period is over.
const YOUNG_SAMPLE_PERIOD: Duration = Duration::from_millis(10);

/// Up to which age a process is young.
const YOUNG: Duration = Duration::from_millis(200);

/// Processes watched at once; more run unwatched and their end is not recorded.
pub const WATCHED_MAX: usize = 4096;

/// How long the ends of the world's last processes are waited for.
const LAST_ENDS_WAIT: Duration = Duration::from_millis(300);

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
    epoll: OwnedFd,
    wake: OwnedFd,
    stopping: AtomicBool,
    watched: Mutex<HashMap<i32, Watched>>,
}

struct Watched {
    pidfd: OwnedFd,
    usage: Usage,
    since: Instant,
    /// It has ended and waits to be reaped.
    ended: bool,
}

impl Processes {
    /// Starts watching for one session.
    pub fn start(gate: Gate) -> io::Result<Processes> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared {
            gate,
            epoll,
            wake,
            stopping: AtomicBool::new(false),
            watched: Mutex::new(HashMap::new()),
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

    /// Waits for the ends of a world that has been ended, and records them.
    pub fn finish(mut self) {
        self.stop();
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
    /// A process is about to run a program; to be told while it still waits for the answer.
    ///
    /// Of a process that ran another program before, the figures so far are kept: the peak of its
    /// memory belongs to the image that goes.
    pub fn started(&self, pid: i32) {
        let mut watched = self.shared.watched();
        if let Some(known) = watched.get_mut(&pid).filter(|known| !known.ended) {
            known.usage = merged(known.usage, sample(pid));
            return;
        }
        if watched.len() >= WATCHED_MAX {
            return;
        }
        let Some(raw) = Pid::from_raw(pid) else { return };
        let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return };
        let Ok(key) = u64::try_from(pid) else { return };
        let data = epoll::EventData::new_u64(key);
        let events = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ET;
        if epoll::add(&self.shared.epoll, &pidfd, data, events).is_ok() {
            let now = Instant::now();
            let calm = !watched.values().any(|process| process.is_young(now));
            watched
                .insert(pid, Watched { pidfd, usage: Usage::default(), since: now, ended: false });
            drop(watched);
            if calm {
                self.shared.wake();
            }
        }
    }
}

impl Watched {
    fn is_young(&self, now: Instant) -> bool {
        !self.ended && now.duration_since(self.since) < YOUNG
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

    fn run(&self) {
        let mut stop_at: Option<Instant> = None;
        let mut next_sample = Instant::now();
        let mut events = Vec::with_capacity(64);
        loop {
            if self.stopping.load(Ordering::Acquire) && stop_at.is_none() {
                stop_at = Some(Instant::now() + LAST_ENDS_WAIT);
            }
            let now = Instant::now();
            if stop_at.is_some_and(|at| now >= at || self.watched().is_empty()) {
                break;
            }
            if now >= next_sample {
                self.look();
                next_sample = now + self.period(now);
            }
            let timeout = timespec(next_sample.saturating_duration_since(now));
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
            }
            for event in &events {
                if let Ok(pid) = i32::try_from(event.data.u64()) {
                    self.heard(pid);
                } else {
                    let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
                    next_sample = next_sample.min(Instant::now() + YOUNG_SAMPLE_PERIOD);
                }
            }
        }
        let left: Vec<i32> = self.watched().keys().copied().collect();
        for pid in left {
            self.record_end(pid, Exit::Unknown);
        }
    }

    fn period(&self, now: Instant) -> Duration {
        let young = self.watched().values().any(|process| process.is_young(now));
        if young { YOUNG_SAMPLE_PERIOD } else { SAMPLE_PERIOD }
    }

    /// Takes figures of all that run; asks again for the end of those that wait to be reaped.
    fn look(&self) {
        let ended: Vec<i32> = {
            let mut watched = self.watched();
            for (pid, process) in watched.iter_mut().filter(|(_, process)| !process.ended) {
                process.usage = merged(process.usage, sample(*pid));
            }
            watched.iter().filter(|(_, process)| process.ended).map(|(pid, _)| *pid).collect()
        };
        for pid in ended {
            self.heard(pid);
        }
    }

    /// A process has ended, or has been reaped.
    fn heard(&self, pid: i32) {
        let exit = {
            let mut watched = self.watched();
            let Some(process) = watched.get_mut(&pid) else { return };
            if !process.ended {
                process.ended = true;
                process.usage = merged(process.usage, sample(pid));
            }
            match pidinfo::exit_status(&process.pidfd) {
                Ok(Some(status)) => exit_of(status),
                // Not reaped yet: the exit is told afterwards.
                Ok(None) => return,
                Err(_) => Exit::Unknown,
            }
        };
        self.record_end(pid, exit);
    }

    fn record_end(&self, pid: i32, exit: Exit) {
        let Some(process) = self.watched().remove(&pid) else { return };
        let usage = Usage { sampled: true, ..process.usage };
        // A log that fails here has already made every later check a denial.
        let _ = self.gate.note(Event::ProcessExited { pid, exit, usage }, Durability::Soon);
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

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
#[path = "processes/tests.rs"]
mod tests;
