//! Makes files and directories in place of the process that asks for it, at the path that was
//! decided about.
//!
//! After `CONTINUE` the kernel reads a path again, and another thread may have changed it. Where
//! something stands, the world's mounts bound what that can do; where nothing does yet, no mount
//! can, so that whatever can make a name is carried out here, on our own copy of the path, which
//! is walked without following a symbolic link. The threads that do it are who the payload is,
//! beneath its Landlock ceiling, and with nobody's capabilities.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;

use super::NotifyError;
use super::answer::{Delivery, Pending};
use super::making::{Made, Making, Pipe, make};
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
}

/// The threads that make files.
#[derive(Debug)]
pub(super) struct Opener {
    jobs: SyncSender<(Making, Pending)>,
}

impl Opener {
    /// Starts the threads; the error is that of the first that cannot be confined.
    pub(super) fn start(confinement: Confinement) -> Result<Opener, NotifyError> {
        let (jobs, waiting) = sync_channel(JOBS_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let confinement = Arc::new(confinement);
        for _ in 0..THREADS {
            let (waiting, confinement) = (Arc::clone(&waiting), Arc::clone(&confinement));
            let (tell, told) = sync_channel(1);
            let work = move || {
                let confined = confine(&confinement);
                let go_on = confined.is_ok();
                if tell.send(confined).is_ok() && go_on {
                    serve(&waiting);
                }
            };
            thread::Builder::new()
                .name("opener".to_owned())
                .spawn(work)
                .map_err(NotifyError::Unusable)?;
            let gone = |_| NotifyError::Unusable(Errno::SRCH.into());
            told.recv().map_err(gone)?.map_err(NotifyError::Unusable)?;
        }
        Ok(Opener { jobs })
    }

    /// Has it made, and the call answered with how that ended.
    pub(super) fn make(&self, making: Making, pending: Pending) -> Delivery {
        match self.jobs.send((making, pending)) {
            Ok(()) => Delivery::Delivered,
            // The threads are gone; the call is dropped, and so denied.
            Err(_) => Delivery::Refused,
        }
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

fn serve(waiting: &Mutex<Receiver<(Making, Pending)>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((making, pending)) = next else { return };
        carry_out(making, pending);
    }
}

fn carry_out(making: Making, pending: Pending) {
    let shared = Arc::clone(&pending.shared);
    // Without it nothing was looked up either; the call is dropped, and so denied.
    let Some(root) = shared.known_root() else { return };
    rustix::process::umask(making.umask);
    match make(root, making.what) {
        Ok(Made::Nothing) => {
            // What was renamed may have been on the way to something.
            shared.straight.forget();
            pending.answer(Reply::Success);
        }
        Ok(Made::File { file, on_exec }) => {
            pending.hand_in(&file, on_exec);
        }
        Ok(Made::Waiting(pipe)) => wait_for_other_end(pipe, pending),
        Err(errno) => {
            pending.answer(Reply::Fail(errno.raw_os_error()));
        }
    }
}

/// A pipe opens when somebody has the other end: a thread of its own waits for that.
fn wait_for_other_end(pipe: Pipe, pending: Pending) {
    let Some(place) = pending.shared.workers.place() else {
        pending.answer(Reply::Fail(libc::EAGAIN));
        return;
    };
    let work = move || {
        let _place = place;
        match pipe.open() {
            Ok((file, on_exec)) => pending.hand_in(&file, on_exec),
            Err(errno) => pending.answer(Reply::Fail(errno.raw_os_error())),
        }
    };
    // It inherits what this thread has given up. One that cannot be started drops the call.
    let _ = thread::Builder::new().name("pipe".to_owned()).spawn(work);
}
