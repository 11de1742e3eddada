//! Answering a waiting call, exactly once.

use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::asked::Carried;
use super::listen::Shared;
use super::making::Making;
use super::stillness::{Busy, Stillness};
use super::{Attempt, Attempted, in_place, opener, tracee};
use crate::sys::notify::{OnExec, Reply};

/// Whether an answer reached the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The call has been answered, or is about to be by who carries it out.
    Delivered,
    /// It no longer waits: its process was killed.
    Gone,
    /// It may not be answered so, and was denied.
    Refused,
}

/// The right to answer one call; dropped without an answer, it denies.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    answered: Answered,
    told: Told,
    /// Held from when it is carried out to when it is answered.
    busy: Option<Busy>,
}

/// Who is told, with the error number, that what was let go on has failed.
#[derive(Default)]
struct Told(Option<Box<dyn FnOnce(i32) + Send>>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "somebody" } else { "nobody" })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    No,
    Yes,
}

impl Pending {
    pub(super) fn new(shared: Arc<Shared>, (id, tid): (u64, i32)) -> Pending {
        if shared.stillness.get().is_some_and(|it| it.arrived(id, tid)) {
            shared.straight.forget();
        }
        Pending { shared, id, answered: Answered::No, told: Told::default(), busy: None }
    }

    /// Nothing is carried out, nor answered, while the world is to stand still.
    fn begin(&mut self) {
        if self.busy.is_none() {
            self.busy = self.shared.stillness.get().map(Stillness::busy);
        }
    }

    /// It is carried out by somebody who may have to wait for others.
    pub(super) fn waits(&mut self) {
        self.busy = None;
    }

    pub(super) fn answer(mut self, reply: Reply) -> Delivery {
        self.answered = Answered::Yes;
        self.begin();
        match reply {
            Reply::Fail(errno) => self.tell(errno),
            // It may be the start of a program.
            Reply::Continue => self.shared.handing.wait(),
            Reply::Success => {}
        }
        self.shared.reply(self.id, reply)
    }

    fn tell(&mut self, errno: i32) {
        if let Some(told) = self.told.0.take() {
            told(errno);
        }
    }

    /// Answers with an open file, which becomes the process's own.
    pub(super) fn hand_in(mut self, file: OwnedFd, on_exec: OnExec) -> Delivery {
        self.answered = Answered::Yes;
        self.begin();
        let shared = Arc::clone(&self.shared);
        let handed = shared.handing.begin(file);
        let Some(file) = handed.file() else { return Delivery::Refused };
        match shared.line.hand_in(self.id, file.as_fd(), on_exec) {
            Ok(()) => Delivery::Delivered,
            // It may have as many open files as it may: then it still waits.
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EACCES);
                self.tell(errno);
                self.shared.reply(self.id, Reply::Fail(errno))
            }
        }
    }
}

impl Pending {
    /// Has something made in place of the process, and the call answered with how that ended.
    pub(super) fn make(mut self, making: Making) -> Delivery {
        self.begin();
        let shared = Arc::clone(&self.shared);
        // Without it nothing was looked up either; the call is dropped, and so denied.
        let Some(root) = shared.known_root() else { return Delivery::Refused };
        let making = match shared.asked.get() {
            Some(asked) => match asked.carry(making) {
                Carried::AsEver(making) => making,
                Carried::Aside(making) => return asked.opener.make(making, self),
                Carried::Refused(errno) => return self.answer(Reply::Fail(errno.raw_os_error())),
            },
            None => making,
        };
        if let Some(Err(errno)) = shared.places.as_ref().map(|places| places.allow(&making.what)) {
            return self.answer(Reply::Fail(errno.raw_os_error()));
        }
        if shared.line.is_traced() && making.what.opens() {
            return self.answer(Reply::Continue);
        }
        match shared.in_place.make(root, making) {
            in_place::Attempted::Done(made) => {
                opener::answer(made, self);
                Delivery::Delivered
            }
            in_place::Attempted::NotHere(making) => shared.opener.make(making, self),
            in_place::Attempted::Lost => Delivery::Refused,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.answered == Answered::No {
            self.begin();
            self.tell(libc::EACCES);
            self.shared.reply(self.id, Reply::Fail(libc::EACCES));
        }
        if let Some(stillness) = self.shared.stillness.get() {
            stillness.answered(self.id);
        }
    }
}

impl Shared {
    /// Answers a call. Whatever goes wrong, the call is not carried out: a descriptor that is
    /// closed makes it fail with `ENOSYS`.
    pub(super) fn reply(&self, id: u64, reply: Reply) -> Delivery {
        match self.line.send(id, reply) {
            Ok(()) => Delivery::Delivered,
            Err(_) => Delivery::Gone,
        }
    }
}

impl Attempt {
    /// The parent of the process, if it can still be told.
    pub fn parent(&self) -> Option<i32> {
        let opened = if self.pidfd.is_none() { tracee::pidfd(self.pid) } else { None };
        tracee::parent(self.pid, self.pidfd.as_ref().or(opened.as_ref()))
    }

    /// A descriptor of the process, if it is still there.
    pub fn take_pidfd(&mut self) -> Option<OwnedFd> {
        self.pidfd.take().or_else(|| tracee::pidfd(self.pid))
    }

    /// Has the act carried out: what makes or removes a name at the path that was decided about,
    /// everything else by the kernel, which reads its arguments again.
    ///
    /// For files that is safe because the world's mounts bound it, whatever the path is by then;
    /// for programs only where any program with any arguments may run
    /// (else [`Attempt::allow_verified`]). Other acts are denied instead.
    pub fn allow(self) -> Delivery {
        match self.kind {
            Attempted::File(_) => match self.making {
                Some(making) => self.pending.make(making),
                // No mount would bound what the kernel finds at the path.
                None if self.pending.shared.places.is_some() => {
                    self.pending.answer(Reply::Fail(libc::EACCES));
                    Delivery::Refused
                }
                None => self.pending.answer(Reply::Continue),
            },
            Attempted::Exec(_) => self.pending.answer(Reply::Continue),
            Attempted::Tcp(_) | Attempted::Unix(_) | Attempted::Unresolvable(_) => {
                self.pending.answer(Reply::Fail(libc::EACCES));
                Delivery::Refused
            }
        }
    }

    /// The same, and tells with its error number of what is carried out here and fails; what the kernel
    /// carries out nobody sees. Told is a thread that may hold nothing of the teller's but memory.
    pub fn allow_or_tell(mut self, failed: impl FnOnce(i32) + Send + 'static) -> Delivery {
        if self.making.is_some() {
            self.pending.told = Told(Some(Box::new(failed)));
        }
        self.allow()
    }

    /// Whether the call still waits: it no longer does when its process was killed.
    pub fn still_waits(&self) -> bool {
        self.pending.shared.line.still_waits(self.pending.id)
    }

    /// Makes the act fail with this error number.
    pub fn deny(self, errno: i32) -> Delivery {
        let errno = if errno > 0 { errno } else { libc::EACCES };
        self.pending.answer(Reply::Fail(errno))
    }
}
