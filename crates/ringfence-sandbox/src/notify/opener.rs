//! Makes files and directories in place of the process that asks for it, at the path that was
//! decided about.
//!
//! After `CONTINUE` the kernel reads a path again, and another thread may have changed it. Where
//! something stands, the world's mounts bound what that can do; where nothing does yet, no mount
//! can, so that whatever can make a name is carried out here, on our own copy of the path, which
//! is walked without following a symbolic link. The threads that do it are who the payload is,
//! beneath its Landlock ceiling, and with nobody's capabilities.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;

use super::NotifyError;
use super::answer::{Delivery, Pending};
use super::making::{Later, Made, Making, make};
use super::places::Places;
use crate::seccomp::Profile;
use crate::sys::notify::{self as sys, Reply};
use crate::sys::{landlock, namespaces};

/// Threads that make files. Each call takes microseconds; two keep one that the disk holds up from
/// holding up all.
const THREADS: usize = 2;

/// Most calls that wait for one of them; the world's next one waits to be heard.
const JOBS_MAX: usize = 256;

/// Who the payload is, and what it may never do: files are made as it would make them.
#[derive(Debug, Default)]
pub struct Confinement {
    /// Its user and group, as they are called outside.
    pub user: Option<(u32, u32)>,
    /// Its Landlock rules.
    pub ceiling: Option<OwnedFd>,
    /// The places that these rules open for writing, as the world sees them; what is new beneath
    /// them may be made by a thread that only takes on the user.
    pub writable: Vec<PathBuf>,
    /// Which system calls the payload may make.
    pub seccomp: Profile,
    /// What may be done where, for a world without mounts; all it changes is then changed by us.
    pub places: Option<Places>,
}

/// The threads that make files; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Opener {
    jobs: Arc<Jobs>,
}

/// What the threads have to do. A lock around a channel would wake two of them for each call: the
/// one that gets it, and the one that takes its place at the channel.
#[derive(Debug, Default)]
struct Jobs {
    state: Mutex<State>,
    /// There is something to do.
    more: Condvar,
    /// There is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Making, Pending)>,
    /// Threads that serve; without one nothing is taken, and so denied.
    serving: usize,
    end: End,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Closed,
}

/// One thread that serves, until it ends in whatever way.
struct Serving<'a>(&'a Jobs);

impl Opener {
    /// Starts the threads; the error is that of the first that cannot be confined.
    pub(super) fn start(confinement: Confinement) -> Result<Opener, NotifyError> {
        let opener = Opener { jobs: Arc::new(Jobs::default()) };
        let confinement = Arc::new(confinement);
        let (tell, told) = sync_channel(THREADS);
        for _ in 0..THREADS {
            let (jobs, confinement) = (Arc::clone(&opener.jobs), Arc::clone(&confinement));
            let tell = tell.clone();
            let work = move || {
                let serving = jobs.serve_from_now();
                let confined = confine(&confinement);
                let go_on = confined.is_ok();
                if tell.send(confined).is_ok() && go_on {
                    serving.serve();
                }
            };
            thread::Builder::new()
                .name("opener".to_owned())
                .spawn(work)
                .map_err(NotifyError::Unusable)?;
        }
        drop(tell);
        for _ in 0..THREADS {
            let gone = |_| NotifyError::Unusable(Errno::SRCH.into());
            told.recv().map_err(gone)?.map_err(NotifyError::Unusable)?;
        }
        Ok(opener)
    }

    /// Has it made, and the call answered with how that ended.
    pub(super) fn make(&self, making: Making, pending: Pending) -> Delivery {
        let jobs = &*self.jobs;
        let mut state = jobs.state();
        while state.waiting.len() >= JOBS_MAX && state.serving > 0 {
            state = jobs.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.serving == 0 {
            // The threads are gone; the call is dropped, and so denied.
            return Delivery::Refused;
        }
        state.waiting.push_back((making, pending));
        drop(state);
        jobs.more.notify_one();
        Delivery::Delivered
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.jobs.state().end = End::Closed;
        self.jobs.more.notify_all();
    }
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve_from_now(&self) -> Serving<'_> {
        self.state().serving += 1;
        Serving(self)
    }

    /// Waits for something to do; `None` when nothing will come any more.
    fn next(&self) -> Option<(Making, Pending)> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                if state.waiting.len() + 1 == JOBS_MAX {
                    self.room.notify_all();
                }
                return Some(job);
            }
            if state.end == End::Closed {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Serving<'_> {
    fn serve(&self) {
        while let Some((making, pending)) = self.0.next() {
            carry_out(making, pending);
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.serving -= 1;
        // Nobody would ever answer these: dropped, they are denied.
        let left =
            if state.serving == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        self.0.room.notify_all();
        drop(left);
    }
}

/// Takes from the calling thread, and from it alone, all that the payload has not.
fn confine(confinement: &Confinement) -> std::io::Result<()> {
    namespaces::own_umask()?;
    rustix::thread::set_no_new_privs(true)?;
    if let Some(ceiling) = &confinement.ceiling {
        landlock::restrict_thread(ceiling.as_fd())?;
    }
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match confinement.user {
        Some(user) if user != own => sys::become_user(user.0, user.1),
        Some(_) | None => Ok(()),
    }
}

fn carry_out(making: Making, pending: Pending) {
    let shared = Arc::clone(&pending.shared);
    // Without it nothing was looked up either; the call is dropped, and so denied.
    let tree = making.tree.as_ref().map(|tree| tree.as_fd());
    let Some(root) = tree.or_else(|| shared.known_root()) else { return };
    rustix::process::umask(making.umask);
    answer(make(root, making.what), pending);
}

/// Answers with what came of it.
pub(super) fn answer(made: Result<Made, Errno>, pending: Pending) {
    match made {
        Ok(Made::Nothing) => {
            // What was renamed may have been on the way to something.
            pending.shared.straight.forget();
            pending.answer(Reply::Success);
        }
        Ok(Made::File { file, on_exec }) => {
            pending.hand_in(file, on_exec);
        }
        Ok(Made::Waiting(later)) => wait_for(later, pending),
        Err(errno) => {
            pending.answer(Reply::Fail(errno.raw_os_error()));
        }
    }
}

/// A thread of its own waits for what others have to do first, so that they cannot keep this one.
fn wait_for(later: Later, mut pending: Pending) {
    pending.waits();
    let Some(place) = pending.shared.workers.place() else {
        pending.answer(Reply::Fail(libc::EAGAIN));
        return;
    };
    let work = move || {
        let _place = place;
        match later.open() {
            Ok((file, on_exec)) => pending.hand_in(file, on_exec),
            Err(errno) => pending.answer(Reply::Fail(errno.raw_os_error())),
        }
    };
    // It inherits what this thread has given up. One that cannot be started drops the call.
    let _ = thread::Builder::new().name("open-later".to_owned()).spawn(work);
}
