//! The user's terminal and the world's: one thread relays between them, filtered one way.
//!
//! The same thread puts questions to the user, so that nothing else is drawn or read meanwhile,
//! and passes signals on, so that no code runs in a signal handler.

mod filter;
mod prompt;

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::Channel;
use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

pub use filter::Filter;
pub use prompt::{Codes, Prompt};

/// How many bytes are moved at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Questions that may wait for the terminal; one more is answered *expired* at once.
const QUESTIONS_WAITING_MAX: usize = 16;

/// What the world has written and nobody has read is drained for at most this many chunks.
const DRAIN_CHUNKS_MAX: usize = 1024;

const SIGWINCH: i32 = 28;

/// Signals the broker passes on to the payload, and the terminal's change of size.
pub const RELAYED_SIGNALS: [i32; 5] = [1, 2, 3, 15, SIGWINCH];

/// What the relay connects.
pub struct RelayParts {
    /// The blocked signals.
    pub signals: Signals,
    /// The world's terminal, if it has one.
    pub pty: Option<OwnedFd>,
    /// Passes a signal to the payload.
    pub signal: Box<dyn Fn(i32) + Send>,
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
    prompts: Option<SyncSender<Prompt>>,
    wake: std::sync::Arc<OwnedFd>,
}

/// Size of the user's terminal; `None` when input or output is not one.
pub fn terminal_size() -> Option<Winsize> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    if !isatty(stdin) || !isatty(stdout) {
        return None;
    }
    tcgetwinsize(stdout).ok()
}

/// Whether one of the standard streams is a terminal.
pub fn inherits_a_terminal() -> bool {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    streams.into_iter().any(isatty)
}

impl Relay {
    /// Starts the thread; with a pty, the user's terminal is raw from here on.
    pub fn start(parts: RelayParts) -> io::Result<Relay> {
        let (wake_read, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (prompts, questions) = sync_channel(QUESTIONS_WAITING_MAX);
        let asker = Asker {
            prompts: parts.pty.is_some().then_some(prompts),
            wake: std::sync::Arc::new(wake.try_clone()?),
        };
        let raw = match &parts.pty {
            Some(pty) => {
                fcntl_setfl(pty, fcntl_getfl(pty)? | OFlags::NONBLOCK)?;
                Some(RawMode::set()?)
            }
            None => None,
        };
        let mut line = Line {
            signals: parts.signals,
            pty: parts.pty,
            signal: parts.signal,
            wake: wake_read,
            questions,
            asked: None,
            filter: Filter::default(),
            typed: Vec::new(),
            stdin_open: true,
        };
        let thread = std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            // Restored when the thread ends, in whatever way it does.
            let _raw = raw;
            line.run();
        })?;
        Ok(Relay { wake, asker, thread: Some(thread) })
    }

    /// The way to put questions.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
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
    /// Whether there is a terminal to ask on.
    pub fn channel(&self) -> Channel {
        if self.prompts.is_some() { Channel::Terminal } else { Channel::None }
    }

    /// Queues a question; `false` when there is no terminal or too many wait already.
    pub fn put(&self, prompt: Prompt) -> bool {
        let Some(prompts) = &self.prompts else { return false };
        prompts.try_send(prompt).is_ok() && rustix::io::write(&*self.wake, b"a").is_ok()
    }
}

/// The user's terminal in raw mode, as it was before again when dropped.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn set() -> io::Result<RawMode> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Drain, &raw)?;
        Ok(RawMode { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// What the thread works with.
struct Line {
    signals: Signals,
    pty: Option<OwnedFd>,
    signal: Box<dyn Fn(i32) + Send>,
    wake: OwnedFd,
    questions: Receiver<Prompt>,
    asked: Option<Prompt>,
    filter: Filter,
    /// Typed and not yet taken by the world.
    typed: Vec<u8>,
    stdin_open: bool,
}

/// What the descriptors have to say after a poll.
#[expect(clippy::struct_excessive_bools, reason = "one per descriptor and direction, as polled")]
#[derive(Default)]
struct Ready {
    signals: bool,
    wake: bool,
    stdin: bool,
    pty_read: bool,
    pty_write: bool,
}

impl Line {
    fn run(&mut self) {
        loop {
            let ready = match self.poll() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            };
            if ready.signals {
                self.pass_signals();
            }
            if ready.wake && self.woken() {
                break;
            }
            self.next_question();
            if ready.stdin {
                self.read_stdin();
            }
            if ready.pty_write {
                self.write_typed();
            }
            if ready.pty_read && self.asked.is_none() {
                self.read_pty();
            }
            if self.asked.as_mut().is_some_and(Prompt::expire_if_due) {
                self.end_question();
            }
        }
        if let Some(prompt) = self.asked.take() {
            prompt.give_up();
        }
        self.drain();
    }

    fn poll(&self) -> Result<Ready, rustix::io::Errno> {
        let timeout = self.asked.as_ref().map(|prompt| timespec(prompt.time_left(Instant::now())));
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        let stdin = rustix::stdio::stdin();
        let want_stdin = self.pty.is_some() && self.stdin_open && self.typed.is_empty();
        fds.push(polled(stdin, want_stdin, PollFlags::IN));
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.asked.is_none());
        wanted.set(PollFlags::OUT, !self.typed.is_empty());
        if let Some(pty) = &self.pty {
            fds.push(polled(pty.as_fd(), !wanted.is_empty(), wanted));
        }
        poll(&mut fds, timeout.as_ref())?;
        let heard = |at: usize| fds.get(at).map_or(PollFlags::empty(), PollFd::revents);
        let gone = PollFlags::HUP | PollFlags::ERR;
        Ok(Ready {
            signals: heard(0).contains(PollFlags::IN),
            wake: heard(1).contains(PollFlags::IN),
            stdin: want_stdin && heard(2).intersects(PollFlags::IN | gone),
            pty_read: self.asked.is_none() && heard(3).intersects(PollFlags::IN | gone),
            pty_write: heard(3).contains(PollFlags::OUT),
        })
    }

    fn pass_signals(&self) {
        while let Ok(Some(number)) = self.signals.next_pending() {
            if number == SIGWINCH {
                self.pass_size();
                continue;
            }
            (self.signal)(number);
        }
    }

    fn pass_size(&self) {
        let size = tcgetwinsize(rustix::stdio::stdout()).ok();
        if let Some((pty, size)) = self.pty.as_ref().zip(size) {
            let _ = tcsetwinsize(pty, size);
        }
    }

    /// Whether the session asks the relay to end.
    fn woken(&self) -> bool {
        let mut said = [0_u8; 64];
        let got = rustix::io::read(&self.wake, &mut said).unwrap_or(0);
        said.iter().take(got).any(|byte| *byte == b'q')
    }

    fn next_question(&mut self) {
        if self.asked.is_some() {
            return;
        }
        if let Ok(prompt) = self.questions.try_recv() {
            prompt.draw();
            self.asked = Some(prompt);
        }
    }

    fn read_stdin(&mut self) {
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        let got = match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
            Ok(0) | Err(rustix::io::Errno::IO) => {
                self.stdin_open = false;
                return;
            }
            Ok(got) => got,
            Err(_) => return,
        };
        chunk.truncate(got);
        let Some(prompt) = &mut self.asked else {
            self.typed.extend_from_slice(&chunk);
            return self.write_typed();
        };
        if prompt.typed(&chunk) {
            self.end_question();
        }
    }

    fn end_question(&mut self) {
        if self.asked.take().is_some() {
            Prompt::erase();
        }
        self.nudge();
        self.next_question();
    }

    /// A full-screen program draws anew when told that its terminal changed size and back.
    fn nudge(&self) {
        let size = tcgetwinsize(rustix::stdio::stdout()).ok();
        if let Some((pty, size)) = self.pty.as_ref().zip(size) {
            let smaller = Winsize { ws_row: size.ws_row.saturating_sub(1).max(1), ..size };
            let _ = tcsetwinsize(pty, smaller);
            let _ = tcsetwinsize(pty, size);
        }
    }

    fn write_typed(&mut self) {
        let Some(pty) = &self.pty else { return };
        match rustix::io::write(pty, &self.typed) {
            Ok(taken) => {
                self.typed.drain(..taken);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.typed.clear(),
        }
    }

    /// Passes one chunk of output on; `false` when there is none now.
    fn read_pty(&mut self) -> bool {
        let Some(pty) = &self.pty else { return false };
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        match rustix::io::read(pty, &mut chunk) {
            Ok(got) if got > 0 => {
                chunk.truncate(got);
                let mut output = Vec::with_capacity(got);
                self.filter.pass(&chunk, &mut output);
                show(&output);
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            // EIO: no process of the world holds the terminal any more.
            Ok(_) | Err(_) => {
                self.pty = None;
                false
            }
        }
    }

    fn drain(&mut self) {
        for _ in 0..DRAIN_CHUNKS_MAX {
            if !self.read_pty() {
                return;
            }
        }
    }
}

/// A descriptor in a poll set; unwanted ones are watched for nothing.
fn polled(fd: BorrowedFd<'_>, wanted: bool, flags: PollFlags) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, if wanted { flags } else { PollFlags::empty() })
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// Writes to the user's terminal.
fn show(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    // A terminal that is gone will say so by SIGHUP.
    let _ = out.write_all(bytes);
    let _ = out.flush();
}
