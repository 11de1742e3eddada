//! What tells a world's mount helper of changes of the host's files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{CreateFlags, init};

use super::WorldError;
use super::start::step;

/// An instance of `inotify(7)`.
///
/// Whoever closes the last descriptor of one that watches waits until no processor of the machine can be
/// looking at what was watched, 8 to 15 ms. So it is made where somebody else can hold it as well, who
/// outlasts the world and for whom nobody waits.
#[derive(Debug)]
pub struct Watches(OwnedFd);

impl Watches {
    /// One that watches nothing yet.
    pub fn new() -> Result<Watches, WorldError> {
        let made = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        made.map(Watches).map_err(|error| step("watch covered places")(error.into()))
    }

    /// The same one, by another descriptor.
    pub(super) fn another(&self) -> io::Result<Watches> {
        self.share().map(Watches)
    }

    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl AsFd for Watches {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
