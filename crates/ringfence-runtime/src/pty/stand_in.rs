//! Pipes in place of a terminal, where only some of the standard streams are one.
//!
//! `run -- make | less` has a terminal for input and a pipe for output: a pty would merge what is
//! apart, and the terminal itself would let the world ask it questions. So each stream that is a
//! terminal is replaced by a pipe while the world starts, and relayed afterwards.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::isatty;

/// The broker's ends of the pipes.
#[derive(Debug, Default)]
pub struct Pipes {
    /// Where the world reads what is typed.
    pub(super) input: Option<OwnedFd>,
    /// What the world writes to its standard output.
    pub(super) out: Option<OwnedFd>,
    /// What the world writes to its standard error.
    pub(super) err: Option<OwnedFd>,
}

impl Pipes {
    /// Whether one of the standard streams is a terminal.
    pub(super) fn are_some(&self) -> bool {
        self.input.is_some() || self.out.is_some() || self.err.is_some()
    }
}

/// Standard streams that were replaced; they come back when this is dropped.
#[derive(Debug, Default)]
pub struct StandIn {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl StandIn {
    /// Replaces every standard stream that is a terminal by a pipe.
    pub fn replace() -> io::Result<(StandIn, Pipes)> {
        let (mut saved, mut pipes) = (StandIn::default(), Pipes::default());
        if isatty(stdin()) {
            let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            saved.stdin = Some(keep(stdin())?);
            dup2_stdin(theirs)?;
            pipes.input = Some(ours);
        }
        if isatty(stdout()) {
            let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
            saved.stdout = Some(keep(stdout())?);
            dup2_stdout(theirs)?;
            pipes.out = Some(ours);
        }
        if isatty(stderr()) {
            let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
            saved.stderr = Some(keep(stderr())?);
            dup2_stderr(theirs)?;
            pipes.err = Some(ours);
        }
        Ok((saved, pipes))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // dup2(2) of an open descriptor onto an open one does not fail.
        if let Some(stdin) = &self.stdin {
            let _ = dup2_stdin(stdin);
        }
        if let Some(stdout) = &self.stdout {
            let _ = dup2_stdout(stdout);
        }
        if let Some(stderr) = &self.stderr {
            let _ = dup2_stderr(stderr);
        }
    }
}

/// The same open file under a number that the world does not inherit.
fn keep(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(stream.as_fd(), 3)?)
}
