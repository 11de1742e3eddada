//! The control socket: how `grant`, `policy reload`, `sessions` and `kill` reach a running broker.
//!
//! One JSON object per line each way. Only this user (and root) from outside every world is heard:
//! what governs an agent must not be commanded by it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringfence_core::SessionId;
use rustix::net::sockopt::socket_peercred;
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Said, Waiting};
use crate::registration::Description;

/// Longest line of the protocol, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// How long a caller may take to say what it wants: one caller is served at a time.
const CALLER_WAIT: Duration = Duration::from_secs(5);

/// How long a client waits for an answer; a reload mounts and scans.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a client waits until files were copied: as many as a session may have changed.
const COPY_WAIT: Duration = Duration::from_mins(30);

/// How many ancestors of a caller are looked at.
const ANCESTORS_MAX: usize = 256;

/// What a broker can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Say what the session is and how it stands.
    Status,
    /// Load policy and settings anew.
    Reload,
    /// Load the grants anew.
    GrantsChanged,
    /// Copy what a session under review has changed so far.
    Checkpoint {
        /// What it is to be called; the next number where absent.
        name: Option<String>,
    },
    /// Take what it has changed back to a checkpoint.
    Rollback {
        /// Which one.
        name: String,
    },
    /// Say which questions wait for a person.
    Questions,
    /// Answer one of them.
    Answer {
        /// Its entry in the log.
        question: u64,
        /// The answer.
        said: Said,
    },
    /// End the session now.
    Kill,
}

impl Command {
    fn answer_wait(&self) -> Duration {
        match self {
            Command::Status
            | Command::Reload
            | Command::GrantsChanged
            | Command::Questions
            | Command::Answer { .. }
            | Command::Kill => ANSWER_WAIT,
            Command::Checkpoint { .. } | Command::Rollback { .. } => COPY_WAIT,
        }
    }
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What the broker said of it when it began.
    pub description: Description,
    /// Acts permitted so far.
    pub permitted: u64,
    /// Acts denied so far.
    pub denied: u64,
    /// Acts that were questions so far.
    pub asked: u64,
    /// Questions that wait for an answer now.
    pub waiting: u64,
}

/// A broker's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The session's status.
    Status(Status),
    /// The questions that wait.
    Questions(Vec<Waiting>),
    /// It is done; each line says one thing that changed, or that could not change now.
    Done(Vec<String>),
    /// It was not done, and nothing changed.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// Why a broker could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("session `{session}` is not running")]
    NotRunning {
        /// The session.
        session: SessionId,
    },
    /// The socket failed, or the broker took too long.
    #[error("cannot reach the broker at `{}`: {source}", socket.display())]
    Io {
        /// The control socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The broker is of another version, or not a broker.
    #[error("the broker at `{}` gave an answer that is not understood: {reason}", socket.display())]
    Answer {
        /// The control socket.
        socket: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Asks a session's broker to do something and waits for its answer.
pub fn ask(runtime: &Path, session: &SessionId, command: &Command) -> Result<Reply, ControlError> {
    let socket = crate::registration::socket_path(runtime, session);
    let failed = |source: io::Error| {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        if nobody.contains(&source.kind()) {
            ControlError::NotRunning { session: session.clone() }
        } else {
            ControlError::Io { socket: socket.clone(), source }
        }
    };
    let mut stream = UnixStream::connect(&socket).map_err(failed)?;
    stream.set_read_timeout(Some(command.answer_wait())).map_err(failed)?;
    stream.set_write_timeout(Some(CALLER_WAIT)).map_err(failed)?;
    write_line(&mut stream, command).map_err(failed)?;
    let line = read_line(&stream).map_err(failed)?;
    if line.is_empty() {
        // It ended while it was asked.
        return Err(ControlError::NotRunning { session: session.clone() });
    }
    serde_json::from_str(&line)
        .map_err(|error| ControlError::Answer { socket: socket.clone(), reason: error.to_string() })
}

/// Who asks: a process of this user, outside of every world.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pid: i32,
}

impl Caller {
    /// Answers a question. Whoever the session governs does not: neither `client`, the process that calls its
    /// tools, nor what that has started. One that detaches itself is not known any more; nothing but a world
    /// holds a program of the same user.
    pub fn answer(self, desk: &Desk, (question, said): (u64, Said), client: Option<i32>) -> Reply {
        let proc = Path::new("/proc");
        if client.is_some_and(|client| descends(proc, self.pid, client)) {
            return Reply::Refused {
                why: "what the session governs may not answer its questions".to_owned(),
                hint: Some("answer from a terminal that the agent has not started".to_owned()),
            };
        }
        match desk.answer(question, said) {
            Ok(()) => Reply::Done(Vec::new()),
            Err(error) => Reply::Refused { why: error.to_string(), hint: None },
        }
    }
}

/// What does as callers ask.
pub type Answers = Arc<dyn Fn(Command, Caller) -> Reply + Send + Sync>;

/// Serves callers one after the other until the listener fails; `answer` does what they ask.
pub fn serve(listener: UnixListener, answer: Answers) {
    let run = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A caller that hangs up early only loses its answer.
            let _ = serve_one(stream, &*answer);
        }
    };
    // Without the thread the session runs on; callers are told that nobody answers.
    let _ = std::thread::Builder::new().name("control".to_owned()).spawn(run);
}

fn serve_one(
    mut stream: UnixStream,
    answer: &(dyn Fn(Command, Caller) -> Reply + Send + Sync),
) -> io::Result<()> {
    stream.set_read_timeout(Some(CALLER_WAIT))?;
    stream.set_write_timeout(Some(CALLER_WAIT))?;
    let reply = match caller(&stream) {
        Err(why) => Reply::Refused { why, hint: None },
        Ok(caller) => {
            let line = read_line(&stream)?;
            if line.is_empty() {
                return Ok(());
            }
            let asked = serde_json::from_str(&line);
            asked.map_or_else(|error| not_understood(&error), |command| answer(command, caller))
        }
    };
    write_line(&mut stream, &reply)
}

fn not_understood(error: &serde_json::Error) -> Reply {
    Reply::Refused {
        why: format!("the command is not understood: {error}"),
        hint: Some("use the same version of ringfence as the session".to_owned()),
    }
}

/// Who calls, or why this caller is not heard.
fn caller(stream: &UnixStream) -> Result<Caller, String> {
    let peer = socket_peercred(stream).map_err(|_| "the caller cannot be identified".to_owned())?;
    let ours = rustix::process::geteuid();
    if peer.uid != ours && !peer.uid.is_root() {
        return Err(format!("user {} may not command this session", peer.uid.as_raw()));
    }
    let pid = peer.pid.as_raw_nonzero().get();
    if governed(Path::new("/proc"), pid) {
        return Err("a governed process may not command a session".to_owned());
    }
    Ok(Caller { pid })
}

/// Whether a process is `of` or descends from it. What cannot be read counts as such.
fn descends(proc: &Path, pid: i32, of: i32) -> bool {
    let mut pid = pid;
    for _ in 0..ANCESTORS_MAX {
        if pid == of {
            return true;
        }
        match parent(&proc.join(pid.to_string())) {
            Some(0 | 1) => return false,
            Some(next) => pid = next,
            None => return true,
        }
    }
    true
}

/// Whether a process, or one it descends from, lives in a world: in another pid namespace or user
/// namespace than ours. What cannot be read counts as governed.
fn governed(proc: &Path, pid: i32) -> bool {
    let ours = namespaces(&proc.join("self"));
    let mut pid = pid;
    for _ in 0..ANCESTORS_MAX {
        let dir = proc.join(pid.to_string());
        // Namespace links of other users' processes (init, a login) are not readable for us; they
        // are not in a world of this user's, and beyond them nobody is.
        let Some(theirs) = namespaces(&dir) else { return !belongs_to_another(&dir) };
        if Some(&theirs) != ours.as_ref() {
            return true;
        }
        match parent(&dir) {
            Some(0 | 1) => return false,
            Some(next) => pid = next,
            None => return true,
        }
    }
    true
}

fn namespaces(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    Some((fs::read_link(dir.join("ns/pid")).ok()?, fs::read_link(dir.join("ns/user")).ok()?))
}

fn belongs_to_another(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(dir).is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw())
}

fn parent(dir: &Path) -> Option<i32> {
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
