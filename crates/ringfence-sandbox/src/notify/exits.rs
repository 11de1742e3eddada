//! Processes watched to their end, so that the last figures of each are there to be read.
//!
//! A process is seized while its exec waits for an answer, and stops once more when it is about to
//! exit (`PTRACE_EVENT_EXIT`): its memory and accounting are still there then. One thread does all
//! of it, for only who seized a process may let it go (`ptrace(2)`); execs that are verified come to
//! it too. Nobody inside can do the same or undo it: the filter refuses `ptrace`.
//!
//! Not watched: children that never run a program, and who is killed by `SIGKILL`, which the kernel
//! does not stop. Their figures are sampled, as they are without this.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::verify::{self, Expected};
use super::{Attempt, Attempted, Delivery, Verification};
use crate::sys::notify::Reply;
use crate::sys::ptrace::{self, Event};
use crate::sys::signals::Signals;

/// Execs that may wait for the thread at once: each holds a thread of a port.
const WAITING_MAX: usize = 64;

/// The signal that says that a watched process has stopped.
pub const STOPPED: i32 = libc::SIGCHLD;

/// How an exec is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Any program may run with any arguments.
    Trusting,
    /// What comes to run is compared with what was decided, before its first instruction.
    Verified,
}

/// A moment in the life of a watched process; it waits until whoever is told of it has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A new program is loaded and has not begun.
    Begins,
    /// It is about to exit with this wait status.
    Ends(i32),
}

/// Lets programs run and watches them to their end.
#[derive(Debug)]
pub struct Exits {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
}

struct Command {
    attempt: Attempt,
    care: Care,
    reply: SyncSender<Verification>,
}

impl Exits {
    /// Starts the thread. `stops` has [`STOPPED`], which must be blocked in every thread; `ending` is
    /// told of each program that begins and each process that is about to exit, while it can be looked at.
    pub fn start(stops: Signals, told: impl Fn(i32, Moment) + Send + 'static) -> io::Result<Exits> {
        let (commands, received) = sync_channel(WAITING_MAX);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let watcher = Watcher {
            stops,
            wake: Arc::clone(&wake),
            received,
            told: Box::new(told),
            leaders: HashSet::new(),
            waiting: HashMap::new(),
        };
        std::thread::Builder::new().name("exits".to_owned()).spawn(move || watcher.run())?;
        Ok(Exits { commands, wake })
    }

    /// Lets an exec happen, and watches its process from there on.
    pub fn let_run(&self, attempt: Attempt, care: Care) -> Verification {
        let (reply, answered) = sync_channel(1);
        let gone = || Verification::Unwatchable { why: "nobody watches any more".to_owned() };
        // What cannot be handed over is dropped, and so denied.
        if self.commands.send(Command { attempt, care, reply }).is_err() {
            return gone();
        }
        // Full means that it is about to wake anyway.
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        answered.recv().unwrap_or_else(|_| gone())
    }
}

/// An exec that goes on and is to be compared.
struct Waiting {
    pid: i32,
    expected: Expected,
    delivery: Delivery,
    reply: SyncSender<Verification>,
}

struct Watcher {
    stops: Signals,
    wake: Arc<OwnedFd>,
    received: Receiver<Command>,
    told: Box<dyn Fn(i32, Moment) + Send>,
    /// The first threads of the processes that are watched.
    leaders: HashSet<i32>,
    /// By the thread that makes the exec.
    waiting: HashMap<i32, Waiting>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            let mut polled =
                [PollFd::new(&self.stops, PollFlags::IN), PollFd::new(&*self.wake, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Whoever is watched is let go when the thread ends.
                Err(_) => return,
            }
            // Taken before the stops are: one that comes meanwhile is heard of again.
            while let Ok(Some(_)) = self.stops.next_pending() {}
            let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
            while let Ok(command) = self.received.try_recv() {
                self.let_run(command);
            }
            while let Some((tid, event)) = ptrace::next_event() {
                self.take(tid, event);
            }
        }
    }

    fn let_run(&mut self, command: Command) {
        let Command { attempt, care, reply } = command;
        let (pid, tid) = (attempt.pid, attempt.tid);
        let Attempted::Exec(exec) = attempt.kind else {
            let why = "it is no exec".to_owned();
            let _ = reply.send(Verification::Unwatchable { why });
            return;
        };
        if !self.leaders.contains(&tid) {
            match ptrace::seize_to_the_end(tid) {
                Ok(()) if pid == tid => drop(self.leaders.insert(tid)),
                Ok(()) => {}
                // Unwatched, its figures are sampled; what must be compared does not run.
                Err(_) if care == Care::Trusting || attempt.pending.shared.line.is_told() => {}
                Err(error) => {
                    attempt.pending.answer(Reply::Fail(libc::EACCES));
                    let _ = reply.send(Verification::Unwatchable { why: error.to_string() });
                    return;
                }
            }
        }
        if attempt.pending.shared.line.is_told() {
            let _ = reply.send(attempt.pending.unproven());
            return;
        }
        let delivery = attempt.pending.answer(Reply::Continue);
        if care == Care::Trusting {
            let ran = delivery == Delivery::Delivered;
            let _ = reply.send(if ran { Verification::Same } else { Verification::NotStarted });
            return;
        }
        // As in `Attempt::allow_verified`: an exec that fails stops for this one.
        let _ = ptrace::interrupt(tid);
        let expected = exec.expected;
        self.waiting.insert(tid, Waiting { pid, expected, delivery, reply });
    }

    fn take(&mut self, tid: i32, event: Event) {
        match event {
            Event::Exec { former } => self.executed(tid, former),
            Event::Exit { status } => {
                if self.leaders.contains(&tid) {
                    (self.told)(tid, Moment::Ends(status));
                }
                ptrace::go_on(tid, 0);
            }
            Event::Signal { signal } => {
                self.not_started(tid);
                ptrace::go_on(tid, signal);
            }
            Event::Interrupted => {
                self.not_started(tid);
                ptrace::go_on(tid, 0);
            }
            // It stays stopped until somebody continues it, and can still be killed.
            Event::Suspended => {
                self.not_started(tid);
                ptrace::listen(tid);
            }
            Event::Gone => {
                self.leaders.remove(&tid);
                self.not_started(tid);
            }
        }
    }

    /// A new program is loaded; a thread that was not the first one is so now.
    fn executed(&mut self, pid: i32, former: i32) {
        self.leaders.insert(pid);
        // Also where its first thread has just ended in favour of another.
        (self.told)(pid, Moment::Begins);
        let Some(waiting) = self.waiting.remove(&former) else {
            ptrace::go_on(pid, 0);
            return;
        };
        let same = waiting.delivery == Delivery::Delivered && verify::is(pid, &waiting.expected);
        let answer = if same {
            ptrace::go_on(pid, 0);
            Verification::Same
        } else {
            let ran = verify::ran(pid);
            ptrace::kill(pid);
            Verification::Mismatch(ran)
        };
        let _ = waiting.reply.send(answer);
        // Its other threads are gone, and with them what they waited for.
        self.waiting.retain(|_, other| other.pid != pid);
    }

    /// Whatever a thread stops for, or its end: an exec that it waits for did not come about.
    fn not_started(&mut self, tid: i32) {
        if let Some(waiting) = self.waiting.remove(&tid) {
            let _ = waiting.reply.send(Verification::NotStarted);
        }
    }
}
