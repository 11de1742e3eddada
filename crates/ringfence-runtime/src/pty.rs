//! The user's terminal and the world's: one thread relays between them, filtered one way.
//!
//! The same thread puts questions to the user, so that nothing else is drawn or read meanwhile,
//! and passes signals on, so that no code runs in a signal handler.

mod filter;
mod jobs;
mod line;
mod prompt;
mod raw;
mod stand_in;

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use ringfence_core::Channel;
use ringfence_sandbox::signals::Signals;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, isatty, tcgetwinsize};

use line::{Flow, Line, Target};
use raw::RawMode;

pub use filter::Filter;
pub use prompt::{Choice, Codes, Prompt, Typing};
pub use stand_in::{Pipes, StandIn};

/// Questions that may wait for the terminal; one more is answered *expired* at once.
const QUESTIONS_WAITING_MAX: usize = 64;

/// Signals the broker passes on to the payload, and the terminal's change of size.
pub const RELAYED_SIGNALS: [i32; 7] =
    [line::SIGHUP, 2, 3, 15, jobs::SIGCONT, jobs::SIGTSTP, line::SIGWINCH];

/// What the relay connects.
pub struct RelayParts {
    /// The blocked signals.
    pub signals: Signals,
    /// The world's terminal, if it has one.
    pub pty: Option<OwnedFd>,
    /// Pipes that stand in for the user's terminal, where only some streams are one.
    pub pipes: Pipes,
    /// Passes a signal to the payload.
    pub signal: Box<dyn Fn(i32) + Send>,
    /// Ends the world.
    pub end: Box<dyn Fn() + Send>,
}

/// The relay's thread, and the way to it.
pub struct Relay {
    wake: OwnedFd,
    asker: Asker,
    thread: Option<JoinHandle<()>>,
}

/// Puts questions to the user of the terminal.
#[derive(Clone)]
pub struct Asker {
    way: Way,
    wake: std::sync::Arc<OwnedFd>,
}

/// The way that questions go.
#[derive(Clone)]
enum Way {
    /// To the session's terminal, and to any other.
    Terminal(SyncSender<Prompt>),
    /// To any other terminal.
    Elsewhere,
    /// To nobody.
    None,
}

/// Size of the user's terminal; `None` when input or output is not one.
pub fn terminal_size() -> Option<Winsize> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    if !isatty(stdin) || !isatty(stdout) {
        return None;
    }
    tcgetwinsize(stdout).ok()
}

/// Which of the standard streams is a terminal, the first of them.
pub fn inherited_terminal() -> Option<&'static str> {
    let streams = [
        ("standard input", rustix::stdio::stdin()),
        ("standard output", rustix::stdio::stdout()),
        ("standard error", rustix::stdio::stderr()),
    ];
    streams.into_iter().find(|(_, stream)| isatty(stream)).map(|(name, _)| name)
}

impl Relay {
    /// Starts the thread; with a pty, the user's terminal is raw from here on, unless it is somebody
    /// else's: to touch it then would stop the session.
    pub fn start(parts: RelayParts) -> io::Result<Relay> {
        let (wake_read, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (prompts, questions) = sync_channel(QUESTIONS_WAITING_MAX);
        let asker = Asker {
            way: if parts.pty.is_some() { Way::Terminal(prompts) } else { Way::None },
            wake: std::sync::Arc::new(wake.try_clone()?),
        };
        let is_ours = parts.pty.is_some() && jobs::is_in_foreground(rustix::stdio::stdin());
        let raw = is_ours.then(RawMode::set).transpose()?;
        let hangs_up = parts.pty.is_some() || parts.pipes.are_some();
        let (flows, input) = connect(parts.pty.as_ref(), parts.pipes)?;
        let mut line = Line {
            signals: parts.signals,
            pty: parts.pty,
            flows,
            input,
            signal: parts.signal,
            end: parts.end,
            raw,
            hangs_up,
            hung_up: None,
            wake: wake_read,
            questions,
            asked: None,
            put_off: None,
            typed: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            line.run();
        })?;
        Ok(Relay { wake, asker, thread: Some(thread) })
    }

    /// The way to put questions.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// The command was stopped: so is the session, until it is continued.
    pub fn suspend(&self) {
        let _ = rustix::io::write(&self.wake, b"s");
    }

    /// Passes on what the world still had to say, restores the terminal and ends the thread.
    pub fn finish(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let _ = rustix::io::write(&self.wake, b"q");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Asker {
    /// Where there is somebody to ask.
    pub fn channel(&self) -> Channel {
        match self.way {
            Way::Terminal(_) => Channel::Terminal,
            Way::Elsewhere => Channel::Elsewhere,
            Way::None => Channel::None,
        }
    }

    /// One whose questions are answered from another terminal, where a session has none but may well have a
    /// person who looks after it.
    pub fn elsewhere() -> io::Result<Asker> {
        Asker::without_terminal(Way::Elsewhere)
    }

    /// One that asks nobody: what is asked is denied at once.
    pub fn nobody() -> io::Result<Asker> {
        Asker::without_terminal(Way::None)
    }

    fn without_terminal(way: Way) -> io::Result<Asker> {
        let (_, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Asker { way, wake: std::sync::Arc::new(wake) })
    }

    /// Queues a question; `false` when there is nobody to ask or too many wait already.
    pub fn put(&self, prompt: Prompt) -> bool {
        match &self.way {
            Way::Terminal(prompts) => prompts.try_send(prompt).is_ok() && self.look(),
            Way::Elsewhere => true,
            Way::None => false,
        }
    }

    /// Has the questions looked at again: one of them was withdrawn.
    pub fn look(&self) -> bool {
        rustix::io::write(&*self.wake, b"a").is_ok()
    }
}

/// The ways between the user's streams and the world's.
fn connect(pty: Option<&OwnedFd>, pipes: Pipes) -> io::Result<(Vec<Flow>, Option<OwnedFd>)> {
    let mut flows = Vec::new();
    if let Some(pty) = pty {
        flows.push(Flow::new(pty.try_clone()?, Target::Out)?);
        return Ok((flows, Some(pty.try_clone()?)));
    }
    if let Some(out) = pipes.out {
        flows.push(Flow::new(out, Target::Out)?);
    }
    if let Some(err) = pipes.err {
        flows.push(Flow::new(err, Target::Err)?);
    }
    if let Some(input) = &pipes.input {
        fcntl_setfl(input, fcntl_getfl(input)? | OFlags::NONBLOCK)?;
    }
    Ok((flows, pipes.input))
}

/// Writes to the user's terminal.
fn show(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    // A terminal that is gone will say so by SIGHUP.
    let _ = out.write_all(bytes);
    let _ = out.flush();
}
