//! The user's terminal and the world's: one thread relays between them, filtered one way.
//!
//! The same thread puts questions to the user, so that nothing else is drawn or read meanwhile,
//! and passes signals on, so that no code runs in a signal handler.

mod filter;
mod prompt;
mod stand_in;

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::Channel;
use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
    tcsetwinsize,
};

pub use filter::Filter;
pub use prompt::{Codes, Prompt};
pub use stand_in::{Pipes, StandIn};

/// How many bytes are moved at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Questions that may wait for the terminal; one more is answered *expired* at once.
const QUESTIONS_WAITING_MAX: usize = 16;

/// What the world has written and nobody has read is drained for at most this many chunks.
const DRAIN_CHUNKS_MAX: usize = 1024;

/// How often the relay looks again although nothing was heard: whether it is in the foreground is
/// not told by any event.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

const SIGWINCH: i32 = 28;

/// Signals the broker passes on to the payload, and the terminal's change of size.
pub const RELAYED_SIGNALS: [i32; 5] = [1, 2, 3, 15, SIGWINCH];

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
        let raw = parts.pty.as_ref().map(|_| RawMode::set()).transpose()?;
        let (flows, input) = connect(parts.pty.as_ref(), parts.pipes)?;
        let mut line = Line {
            signals: parts.signals,
            pty: parts.pty,
            flows,
            input,
            signal: parts.signal,
            wake: wake_read,
            questions,
            asked: None,
            typed: Vec::new(),
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
    /// The world's terminal; without one, its streams are inherited or pipes.
    pty: Option<OwnedFd>,
    flows: Vec<Flow>,
    /// Where typed bytes go.
    input: Option<OwnedFd>,
    signal: Box<dyn Fn(i32) + Send>,
    wake: OwnedFd,
    questions: Receiver<Prompt>,
    asked: Option<Prompt>,
    /// Typed and not yet taken by the world.
    typed: Vec<u8>,
}

/// One stream of output on its way from the world to the user's terminal.
struct Flow {
    from: OwnedFd,
    to: Target,
    filter: Filter,
}

/// Which of the user's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Out,
    Err,
}

/// What the descriptors have to say after a poll.
#[derive(Default)]
struct Ready {
    signals: Heard,
    wake: Heard,
    stdin: Heard,
    input: Heard,
    flows: Vec<Heard>,
}

/// Whether a descriptor is ready for what was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Ready,
}

impl Line {
    fn run(&mut self) {
        loop {
            let ready = match self.poll() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            };
            if ready.signals == Heard::Ready {
                self.pass_signals();
            }
            if ready.wake == Heard::Ready && self.woken() {
                break;
            }
            self.next_question();
            if ready.stdin == Heard::Ready {
                self.read_stdin();
            }
            if ready.input == Heard::Ready {
                self.write_typed();
            }
            if self.asked.is_none() {
                self.pass_output(&ready.flows);
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
        let timeout = self.asked.as_ref().map(|prompt| prompt.time_left(Instant::now()));
        let timeout = timeout.unwrap_or(LOOK_PERIOD).min(LOOK_PERIOD);
        let listens = if self.wants_stdin() { PollFlags::IN } else { PollFlags::empty() };
        let flowing = if self.asked.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        if !listens.is_empty() {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), listens));
        }
        let typing = self.input.as_ref().filter(|_| !self.typed.is_empty());
        if let Some(input) = typing {
            fds.push(PollFd::from_borrowed_fd(input.as_fd(), PollFlags::OUT));
        }
        if !flowing.is_empty() {
            let flows = self.flows.iter();
            fds.extend(flows.map(|flow| PollFd::from_borrowed_fd(flow.from.as_fd(), flowing)));
        }
        poll(&mut fds, Some(&timespec(timeout)))?;
        let mut heard = fds.iter().map(|fd| heard(fd.revents()));
        let mut next = || heard.next().unwrap_or_default();
        Ok(Ready {
            signals: next(),
            wake: next(),
            stdin: if listens.is_empty() { Heard::Nothing } else { next() },
            input: if typing.is_none() { Heard::Nothing } else { next() },
            flows: heard.collect(),
        })
    }

    /// Whether typed bytes are to be read: they are the world's, or answer a question, and what was
    /// typed before has been taken. In the background they belong to somebody else.
    fn wants_stdin(&self) -> bool {
        let stdin = rustix::stdio::stdin();
        self.input.is_some()
            && self.typed.is_empty()
            && tcgetpgrp(stdin).is_ok_and(|group| group == rustix::process::getpgrp())
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
        match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
            Ok(got) if got > 0 => chunk.truncate(got),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return,
            // The end of what is typed is the end of the world's input too.
            Ok(_) | Err(_) => {
                self.input = None;
                return;
            }
        }
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
        let Some(input) = &self.input else { return };
        match rustix::io::write(input, &self.typed) {
            Ok(taken) => {
                self.typed.drain(..taken);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // Nobody reads there any more.
            Err(_) => {
                self.typed.clear();
                self.input = None;
            }
        }
    }

    fn pass_output(&mut self, ready: &[Heard]) {
        let mut ready = ready.iter();
        self.flows.retain_mut(|flow| match ready.next() {
            Some(Heard::Ready) => flow.pass() != Passed::Ended,
            Some(Heard::Nothing) | None => true,
        });
    }

    fn drain(&mut self) {
        for flow in &mut self.flows {
            for _ in 0..DRAIN_CHUNKS_MAX {
                if flow.pass() != Passed::Some {
                    break;
                }
            }
        }
    }
}

/// What became of one attempt to pass output on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    Some,
    Nothing,
    Ended,
}

impl Flow {
    fn new(from: OwnedFd, to: Target) -> io::Result<Flow> {
        fcntl_setfl(&from, fcntl_getfl(&from)? | OFlags::NONBLOCK)?;
        Ok(Flow { from, to, filter: Filter::default() })
    }

    /// Passes one chunk of output on.
    fn pass(&mut self) -> Passed {
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        match rustix::io::read(&self.from, &mut chunk) {
            Ok(got) if got > 0 => {
                chunk.truncate(got);
                let mut output = Vec::with_capacity(got);
                self.filter.pass(&chunk, &mut output);
                match self.to {
                    Target::Out => show(&output),
                    Target::Err => {
                        let _ = io::stderr().lock().write_all(&output);
                    }
                }
                Passed::Some
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Passed::Nothing,
            // EIO on a pty, the end on a pipe: no process of the world holds it any more.
            Ok(_) | Err(_) => Passed::Ended,
        }
    }
}

fn heard(events: PollFlags) -> Heard {
    let any = PollFlags::IN | PollFlags::OUT | PollFlags::HUP | PollFlags::ERR;
    if events.intersects(any) { Heard::Ready } else { Heard::Nothing }
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
