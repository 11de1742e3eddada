//! A server that runs: in a world of its own, by a session of its own, spoken to over its standard streams; or
//! behind an address.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::http::carriers::Carried;
use ringfence_proxy::mcp::lines;
use rustix::process::{Pid, Signal, kill_process};

use super::ToolsRequest;
use super::ears::Ears;
use super::remote::Remotes;
use super::voice::Voice;
use crate::advice::Lasts;
use crate::servers::Server;
use crate::wording::printable;

/// The variable in which a server's own variables are handed over: no command line has them, and what starts
/// its world does not go by them itself.
pub const SERVER_ENV: &str = "RINGFENCE_SERVER_ENV";

/// Messages that may wait until a server reads them; one that reads none of so many is ended.
const WAITING_MAX: usize = 1_024;

/// Their bytes; the same holds of a server that leaves as many.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a server may take to end by itself once its input has ended, and then once it was told to.
const END_WAIT: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// Longest line of a server's stderr that is passed on, in bytes.
const STDERR_LINE_BYTES_MAX: usize = 64 * 1024;

/// How many of its last lines are kept for whoever asks why it ended, and how much of each, in characters.
const LAST_WORDS_MAX: usize = 20;
/// How many of these are told in one line.
const TOLD_WORDS_MAX: usize = 4;
const LAST_WORD_CHARS_MAX: usize = 400;

/// A server that runs.
pub(super) struct Started {
    line: Line,
    last_words: LastWords,
}

/// Who hears what a server prints beside its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// Whoever reads our own stderr.
    Passed,
    /// Nobody, unless it does not work.
    Held,
}

/// How it is spoken to.
enum Line {
    /// By its standard streams.
    Streams(Streams),
    /// Over HTTP.
    Http(Carried),
}

/// The process of a server.
struct Streams {
    child: Child,
    to: Option<Voice>,
}

/// The last lines of a server's stderr.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl Started {
    /// Starts a server; what it says is heard under its number.
    pub(super) fn start(
        (number, server): (usize, &Server),
        (request, remotes): (&ToolsRequest, Option<&Remotes>),
        (aside, ears): (Aside, &mut Ears),
    ) -> io::Result<Started> {
        if server.file.url.is_some() {
            let remotes = remotes.ok_or(io::ErrorKind::NotFound)?;
            let carried = remotes.start((number, &server.name), ears.mouth())?;
            return Ok(Started { line: Line::Http(carried), last_words: LastWords::default() });
        }
        let mut child = command(server, request)?.spawn()?;
        let to = child.stdin.take().map(|input| Voice::new(input.into(), WAITING_MAX));
        let last_words = request.printed.clone().unwrap_or_default();
        // Both ends of this are dropped when there is nothing more on stderr.
        let (ends, ended) = sync_channel::<()>(0);
        if let Some(output) = child.stderr.take() {
            let (name, kept) = (server.name.to_string(), last_words.clone());
            named("stderr-of-server", move || {
                pass_on((&name, output), &kept, aside);
                drop(ends);
            })?;
        }
        if let Some(output) = child.stdout.take() {
            ears.listen_to_server(number, output.into(), ended);
        }
        Ok(Started { line: Line::Streams(Streams { child, to }), last_words })
    }

    /// Sends it a message; the error is that it reads none any more.
    pub(super) fn send(&mut self, message: String) -> Result<(), ()> {
        match &mut self.line {
            Line::Streams(streams) => streams.send(message),
            Line::Http(carried) => carried.send(message).map_err(|_| ()),
        }
    }

    /// What it printed last, in one line; empty where that is nothing.
    pub(super) fn last_words(&self) -> String {
        let lines = self.last_lines();
        let from = lines.len().saturating_sub(TOLD_WORDS_MAX);
        lines.get(from..).unwrap_or_default().join("; ")
    }

    /// The same, line by line, and more of it.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.last_words.lines()
    }

    /// Nothing more is sent, which tells it to end.
    pub(super) fn close(&mut self) {
        match &mut self.line {
            Line::Streams(streams) => streams.to = None,
            Line::Http(carried) => carried.close(),
        }
    }

    /// Waits until all have ended, at once, and sees to it.
    pub(super) fn end_all(mut all: Vec<Started>) {
        all.iter_mut().for_each(Started::close);
        thread::scope(|scope| {
            for one in all {
                scope.spawn(move || one.end());
            }
        });
    }

    /// Waits until it has ended, and sees to it.
    pub(super) fn end(self) {
        match self.line {
            Line::Streams(streams) => streams.end(),
            Line::Http(carried) => carried.end(),
        }
    }
}

impl Streams {
    fn send(&mut self, message: String) -> Result<(), ()> {
        let to = self.to.as_mut().ok_or(())?;
        let before = to.waiting();
        if before > 0 && before.saturating_add(message.len()) > WAITING_BYTES_MAX {
            return Err(());
        }
        to.say(message).map_err(|_| ())
    }

    fn end(mut self) {
        self.to = None;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if self.has_ended(END_WAIT[0]) {
            return;
        }
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if !self.has_ended(END_WAIT[1]) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn has_ended(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return true,
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
                Ok(None) | Err(_) => return false,
            }
        }
    }
}

impl LastWords {
    /// What was printed last, line by line.
    pub fn lines(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    fn add(&self, line: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= LAST_WORDS_MAX {
            kept.pop_front();
        }
        kept.push_back(line.chars().take(LAST_WORD_CHARS_MAX).collect());
    }
}

/// The command that starts a server in its world, which ends with this process however that ends.
fn command(server: &Server, request: &ToolsRequest) -> io::Result<Command> {
    let (program, first) = request.run.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut words: Vec<OsString> = first.to_vec();
    words.extend(["--agent".into(), server.name.as_str().into()]);
    words.extend(["--server-of".into(), std::process::id().to_string().into()]);
    if request.lasts == Lasts::EndsSoon {
        words.push("--ends-soon".into());
    }
    for policy in &request.overrides {
        words.extend(["--policy".into(), policy.into()]);
    }
    words.push("--".into());
    words.extend(server.file.command.iter().map(OsString::from));
    let mut command = Command::new(program);
    command.args(words).current_dir(&request.cwd).env_remove(SERVER_ENV);
    let env = &server.file.env;
    if let Some(odd) = env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        let why = format!("`{}` is no name of a variable", printable(odd));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if !env.is_empty() {
        command.env(SERVER_ENV, serde_json::to_string(env).map_err(io::Error::other)?);
    }
    // What is typed at the terminal is the agent's: a group of its own gets no signal from there.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Passes on what a server prints beside its messages: clients keep that for whoever looks why something does
/// not work.
fn pass_on((name, output): (&str, ChildStderr), kept: &LastWords, aside: Aside) {
    let mut output = BufReader::new(output);
    loop {
        let line = match lines::read(&mut output, STDERR_LINE_BYTES_MAX) {
            Ok(lines::Read::Line(line)) => line,
            Ok(lines::Read::TooLong(_)) => b"(a line that is too long)".to_vec(),
            Ok(lines::Read::End) | Err(_) => return,
        };
        let line = printable(&String::from_utf8_lossy(&line));
        kept.add(&line);
        if aside == Aside::Held {
            continue;
        }
        // Where nobody reads it, the server goes on all the same.
        let _ = writeln!(io::stderr().lock(), "{name}: {line}");
    }
}

/// A thread of this name.
pub(super) fn named(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
