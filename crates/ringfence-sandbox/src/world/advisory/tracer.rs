//! The supervisor as a tracer: system calls of the world stop for it, and it tells the broker of them.
//!
//! A filter stops the calls that would be notified elsewhere (`SECCOMP_RET_TRACE`), in static programs as in
//! any. Each stop becomes a question over a connection of its own ([`crate::notify::told`]); what is
//! answered is carried out on the registers of the call. What goes on, the kernel reads again, so that another
//! thread may have changed it: that is why this is advice. Whoever is not traced is stopped by the same
//! filter with `ENOSYS`, and when the tracer ends, all end (`PTRACE_O_EXITKILL`).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

use super::super::channel::{Channel, Topic};
use super::super::on_the_host::supervisor::Watch;
use crate::notify::told;
use crate::notify::told::wire::{Question, Word};
use crate::sys::notify::Reply;
use crate::sys::ptrace::{self, Stopped};

/// Everybody who is traced and waits for an answer, by thread.
struct Tracer<'a> {
    leader: i32,
    line: &'a Path,
    waiting: HashMap<i32, OwnedFd>,
}

/// What became of the world by one event.
enum Became {
    GoesOn,
    LeaderStopped,
    LeaderEnded(i32),
}

/// Traces, reaps and forwards signals until the payload ends (its wait status), or the broker does or
/// wants the end (`None`).
pub(super) fn supervise(control: &Channel, leader: Pid, line: &Path) -> io::Result<Option<i32>> {
    let watch = Watch::new(control, leader)?;
    let leader = leader.as_raw_nonzero().get();
    let mut tracer = Tracer { leader, line, waiting: HashMap::new() };
    loop {
        // Before waiting: something may have stopped before its events were listened to.
        while let Some((tid, stopped)) = ptrace::next_stopped() {
            match tracer.take(tid, stopped) {
                Became::GoesOn => {}
                Became::LeaderStopped => control.send(Topic::Stopped, &[])?,
                Became::LeaderEnded(status) => return Ok(Some(status)),
            }
        }
        let (asked, sockets): (Vec<i32>, Vec<_>) =
            tracer.waiting.iter().map(|(tid, socket)| (*tid, socket.as_fd())).unzip();
        let Some(answered) = watch.wait(&sockets)? else { return Ok(None) };
        for (tid, _) in asked.iter().zip(answered).filter(|(_, answered)| *answered) {
            tracer.answer(*tid);
        }
    }
}

impl Tracer<'_> {
    fn take(&mut self, tid: i32, stopped: Stopped) -> Became {
        match stopped {
            Stopped::Call => self.ask(tid),
            Stopped::Exec { former } => {
                // The thread that did it has the first one's number now, and the others are gone.
                self.waiting.remove(&former);
                self.waiting.remove(&tid);
                ptrace::go_on(tid, 0);
            }
            Stopped::Event => ptrace::go_on(tid, 0),
            Stopped::Signal { signal } => ptrace::go_on(tid, signal),
            Stopped::Suspended => {
                ptrace::listen(tid);
                if tid == self.leader {
                    return Became::LeaderStopped;
                }
            }
            Stopped::Ended { status } => {
                self.waiting.remove(&tid);
                if tid == self.leader {
                    return Became::LeaderEnded(status);
                }
            }
        }
        Became::GoesOn
    }

    /// Tells the broker of a call that has stopped; where that cannot be done, the call fails.
    fn ask(&mut self, tid: i32) {
        let asked = ptrace::call(tid).and_then(|(number, args)| {
            let question = Question { tid, number, args };
            told::put(self.line, &question)
        });
        match asked {
            Ok(socket) => drop(self.waiting.insert(tid, socket)),
            Err(_) => refuse(tid, libc::EACCES),
        }
    }

    /// Carries out what was answered. No answer is a denial.
    fn answer(&mut self, tid: i32) {
        let Some(socket) = self.waiting.remove(&tid) else { return };
        match told::answer(&socket) {
            Some(Word::Reply(Reply::Continue)) => ptrace::go_on(tid, 0),
            Some(Word::Reply(Reply::Success)) => returns(tid, 0),
            Some(Word::Reply(Reply::Fail(errno))) => refuse(tid, errno),
            // Nobody can hand a file to a traced thread: none is sent.
            Some(Word::File) | None => refuse(tid, libc::EACCES),
        }
    }
}

fn refuse(tid: i32, errno: i32) {
    returns(tid, -i64::from(errno));
}

/// Has a stopped call return this without being made; a thread for which that fails is killed rather than
/// let go on.
fn returns(tid: i32, value: i64) {
    match ptrace::skip(tid, value) {
        Ok(()) => ptrace::go_on(tid, 0),
        Err(_) => ptrace::kill(tid),
    }
}
