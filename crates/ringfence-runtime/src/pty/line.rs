//! The thread between the user's terminal and the world's.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use super::jobs::{self, SIGCONT, SIGSTOP, SIGTSTP, is_job};
use super::raw::RawMode;
use super::{Filter, Prompt, show};

/// How many bytes are moved at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the world has written and nobody has read is drained for at most this many chunks.
const DRAIN_CHUNKS_MAX: usize = 1024;

/// How often the relay looks again although nothing was heard: whether it is in the foreground is
/// not told by any event.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How long a command may go on when its terminal has gone, to put its things in order.
const HANGUP_GRACE: Duration = Duration::from_secs(2);

pub(super) const SIGHUP: i32 = 1;
pub(super) const SIGWINCH: i32 = 28;

/// What the thread works with.
pub(super) struct Line {
    pub(super) signals: Signals,
    /// The world's terminal; without one, its streams are inherited or pipes.
    pub(super) pty: Option<OwnedFd>,
    pub(super) flows: Vec<Flow>,
    /// Where typed bytes go.
    pub(super) input: Option<OwnedFd>,
    pub(super) signal: Box<dyn Fn(i32) + Send>,
    pub(super) end: Box<dyn Fn() + Send>,
    /// The user's terminal, while its keys are the world's; restored whenever this goes.
    pub(super) raw: Option<RawMode>,
    /// Whether there is a terminal whose end is the session's.
    pub(super) hangs_up: bool,
    /// When the terminal went.
    pub(super) hung_up: Option<Instant>,
    pub(super) wake: OwnedFd,
    pub(super) questions: Receiver<Prompt>,
    /// What is asked on the screen now.
    pub(super) asked: Option<Prompt>,
    /// The next question, which came while the terminal was somebody else's.
    pub(super) put_off: Option<Prompt>,
    /// Typed and not yet taken by the world.
    pub(super) typed: Vec<u8>,
}

/// One stream of output on its way from the world to the user's terminal.
pub(super) struct Flow {
    from: OwnedFd,
    to: Target,
    filter: Filter,
}

/// Which of the user's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
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
    pub(super) fn run(&mut self) {
        loop {
            let ready = match self.poll() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            };
            if ready.signals == Heard::Ready {
                self.pass_signals();
            }
            if ready.wake == Heard::Ready {
                let said = self.woken();
                if said.contains(&b'q') {
                    break;
                }
                if said.contains(&b's') {
                    // What the command wrote before it stopped is seen before the session stops.
                    if self.asked.is_none() {
                        self.drain();
                    }
                    self.suspend();
                }
            }
            self.take_terminal();
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
            if self.hung_up.is_some_and(|at| at.elapsed() >= HANGUP_GRACE) {
                (self.end)();
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
        self.input.is_some()
            && self.typed.is_empty()
            && jobs::is_in_foreground(rustix::stdio::stdin())
    }

    fn pass_signals(&mut self) {
        while let Ok(Some(number)) = self.signals.next_pending() {
            self.pass_signal(number);
        }
    }

    fn pass_signal(&mut self, number: i32) {
        match number {
            SIGWINCH => self.pass_size(),
            SIGCONT => self.go_on(),
            // The command first: its stop is heard of, and is the session's then.
            SIGTSTP if is_job() => (self.signal)(SIGSTOP),
            SIGTSTP => {}
            SIGHUP if self.hangs_up => {
                self.hung_up.get_or_insert_with(Instant::now);
                (self.signal)(SIGHUP);
            }
            other => (self.signal)(other),
        }
    }

    /// Stops with the command and goes on with it. Where nobody could continue it, it goes on at
    /// once.
    fn suspend(&mut self) {
        if !is_job() {
            return (self.signal)(SIGCONT);
        }
        self.raw = None;
        let missed = jobs::stop(&self.signals);
        self.go_on();
        for number in missed {
            self.pass_signal(number);
        }
    }

    /// Continued: the terminal may have been somebody else's meanwhile.
    fn go_on(&mut self) {
        if jobs::is_in_foreground(rustix::stdio::stdin()) {
            self.raw = None;
        }
        self.take_terminal();
        (self.signal)(SIGCONT);
        self.nudge();
        if let Some(prompt) = self.asked.take() {
            self.put(prompt);
        }
    }

    /// In the background the terminal is left as it is: changing it would stop the session.
    fn take_terminal(&mut self) {
        if self.raw.is_none()
            && self.pty.is_some()
            && jobs::is_in_foreground(rustix::stdio::stdin())
        {
            self.raw = RawMode::set().ok();
        }
    }

    fn pass_size(&self) {
        let size = tcgetwinsize(rustix::stdio::stdout()).ok();
        if let Some((pty, size)) = self.pty.as_ref().zip(size) {
            let _ = tcsetwinsize(pty, size);
        }
    }

    /// What the session asks of the relay.
    fn woken(&self) -> Vec<u8> {
        let mut said = vec![0_u8; 64];
        let got = rustix::io::read(&self.wake, &mut said).unwrap_or(0);
        said.truncate(got);
        said
    }

    fn next_question(&mut self) {
        if self.asked.is_some() {
            return;
        }
        self.put_off.take_if(Prompt::expire_if_due);
        if self.put_off.is_some() {
            if jobs::is_in_foreground(rustix::stdio::stdin()) {
                self.asked = self.put_off.take().inspect(Prompt::draw);
            }
            return;
        }
        while let Ok(mut prompt) = self.questions.try_recv() {
            if !prompt.expire_if_due() {
                return self.put(prompt);
            }
        }
    }

    /// In the background a question is only told of, as a job tells things: it is put when the
    /// session is brought back.
    fn put(&mut self, prompt: Prompt) {
        if jobs::is_in_foreground(rustix::stdio::stdin()) {
            prompt.draw();
            self.asked = Some(prompt);
        } else {
            show(prompt.told().as_bytes());
            self.put_off = Some(prompt);
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
        } else {
            prompt.draw_typed();
        }
    }

    fn end_question(&mut self) {
        if let Some(prompt) = self.asked.take() {
            prompt.erase();
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
    pub(super) fn new(from: OwnedFd, to: Target) -> io::Result<Flow> {
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
