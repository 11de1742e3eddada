//! Standard streams and umask of a payload whose world was prepared before they were known.
//!
//! Who prepares a world for later has streams that lead nowhere. What the payload gets is read in
//! the moment in which its world is described, and goes with the description to the world's first
//! process, from which the payload inherits it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::Mode;

/// What a payload inherits of its caller.
#[derive(Debug)]
pub(super) struct Handed {
    streams: [OwnedFd; 3],
    umask: Mode,
}

impl Handed {
    /// That of the calling process, now.
    pub(super) fn of_caller() -> io::Result<Handed> {
        let copy = |stream| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let streams = [
            copy(rustix::stdio::stdin())?,
            copy(rustix::stdio::stdout())?,
            copy(rustix::stdio::stderr())?,
        ];
        // It can only be asked for by being set; the caller has one thread.
        let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
        rustix::process::umask(umask);
        Ok(Handed { streams, umask })
    }

    /// What is said of it beside its descriptors; nothing else that is said of a world has bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.umask.as_raw_mode().to_le_bytes().to_vec()
    }

    /// Its descriptors, in the order in which they are taken.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().map(|stream| stream.as_fd())
    }

    /// Takes it out of a message; `None` where the message has none.
    pub(super) fn take(
        bytes: &[u8],
        fds: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Option<Handed>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mode = bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        let mut next = || fds.next().ok_or(io::ErrorKind::InvalidData);
        let streams = [next()?, next()?, next()?];
        Ok(Some(Handed { streams, umask: Mode::from_raw_mode(u32::from_le_bytes(mode)) }))
    }

    /// Makes the streams the calling process's own; the umask is the caller's to pass on.
    pub(super) fn adopt(self) -> io::Result<Mode> {
        let [stdin, stdout, stderr] = &self.streams;
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)?;
        Ok(self.umask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_taken_whole_or_not_at_all() {
        let handed = Handed::of_caller().unwrap();
        let copies = || handed.fds().map(|fd| fd.try_clone_to_owned().unwrap());
        let taken = Handed::take(&handed.bytes(), &mut copies()).unwrap().unwrap();
        assert_eq!(taken.umask, handed.umask);
        assert!(Handed::take(&[], &mut copies()).unwrap().is_none());
        assert!(Handed::take(&handed.bytes(), &mut copies().take(2)).is_err());
        assert!(Handed::take(&handed.bytes()[1..], &mut copies()).is_err());
    }
}
