//! A process beside the broker that does what is left to do when the broker has ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::sys::process::{close_all_but, fork};

/// Longest word with which something is left to the process, in bytes.
pub const WORD_BYTES_MAX: usize = 64;

/// The line to a process that waits; when the broker ends without a word, so does that process.
#[derive(Debug)]
pub struct Aside {
    line: OwnedFd,
}

/// What is done aside.
pub trait Chore {
    /// Done as soon as the rest is left to this process with `word`, before the broker goes on.
    fn accept(&mut self, word: &[u8]) -> io::Result<()>;
    /// Done once the broker has ended.
    fn finish(self);
}

impl Aside {
    /// Starts the process. To be called while the calling process has one thread: it forks. Until its
    /// end it holds `held` open, so that nobody who is waited for closes that last.
    pub fn start(chore: impl Chore, held: impl AsFd) -> io::Result<Aside> {
        let (line, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let held = held.as_fd().as_raw_fd();
        fork(move || i32::from(wait(&theirs, held, chore).is_err()))?;
        Ok(Aside { line })
    }

    /// Leaves the rest to the process, with a word of 1 to [`WORD_BYTES_MAX`] bytes that it needs
    /// for that; it begins when the calling process has ended.
    pub fn leave(self, word: &[u8]) -> io::Result<()> {
        if word.is_empty() || word.len() > WORD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::io::write(&self.line, word)?;
        if rustix::io::read(&self.line, &mut [0_u8; 1])? == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Not closed: the kernel does that when this process has ended, and that is the signal.
        std::mem::forget(self.line);
        Ok(())
    }
}

fn wait(line: &OwnedFd, held: RawFd, mut chore: impl Chore) -> io::Result<()> {
    close_all_but(&[line.as_raw_fd(), held])?;
    // Whoever reads the broker's output must not wait for this process.
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // Out of the terminal's reach, and out of sight of the user's other processes.
    rustix::process::setsid()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut word = [0_u8; WORD_BYTES_MAX];
    let bytes = rustix::io::read(line, &mut word)?;
    if bytes == 0 {
        return Ok(());
    }
    chore.accept(word.get(..bytes).unwrap_or_default())?;
    rustix::io::write(line, b"a")?;
    // Says nothing more: this is its end.
    let _ = rustix::io::read(line, &mut [0_u8; 1]);
    chore.finish();
    Ok(())
}
