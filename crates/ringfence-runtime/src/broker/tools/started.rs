//! A server that runs: in a world of its own, by a session of its own, spoken to over its standard streams.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::lines;
use rustix::process::{Pid, Signal, kill_process};

use super::ToolsRequest;
use super::serving::Heard;
use crate::servers::Server;

/// Messages that may wait until a server reads them; one that reads none of so many is ended.
const WAITING_MAX: usize = 1_024;

/// Their bytes; the same holds of a server that leaves as many.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a server may take to end by itself once its input has ended, and then once it was told to.
const END_WAIT: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// A server that runs.
pub(super) struct Started {
    child: Child,
    to: Option<SyncSender<String>>,
    /// Bytes of messages that it has not read.
    waiting: Arc<AtomicUsize>,
}

impl Started {
    /// Starts a server; what it says is heard under its number.
    pub(super) fn start(
        (number, server): (usize, &Server),
        request: &ToolsRequest,
        heard: SyncSender<Heard>,
    ) -> io::Result<Started> {
        if server.file.command.is_empty() {
            let why =
                format!("`{}` is one behind an address, which is not spoken to yet", server.name);
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let words = words(server, request);
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&request.cwd);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, messages) = sync_channel(WAITING_MAX);
        let waiting = Arc::<AtomicUsize>::default();
        if let Some(input) = child.stdin.take() {
            let waiting = Arc::clone(&waiting);
            named("to-server", move || write_all(input, &messages, &waiting))?;
        }
        if let Some(output) = child.stdout.take() {
            named("from-server", move || {
                let mut output = BufReader::new(output);
                while let Ok(read) = lines::read(&mut output, lines::MESSAGE_BYTES_MAX) {
                    let is_end = read == lines::Read::End;
                    if heard.send(Heard::Server(number, read)).is_err() || is_end {
                        return;
                    }
                }
                let _ = heard.send(Heard::Server(number, lines::Read::End));
            })?;
        }
        Ok(Started { child, to: Some(to), waiting })
    }

    /// Sends it a message; the error is that it reads none any more.
    pub(super) fn send(&self, message: String) -> Result<(), ()> {
        let bytes = message.len();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before.saturating_add(bytes) > WAITING_BYTES_MAX {
            return Err(());
        }
        self.to.as_ref().ok_or(())?.try_send(message).map_err(|_| ())
    }

    /// Nothing more is sent, which tells it to end.
    pub(super) fn close(&mut self) {
        self.to = None;
    }

    /// Waits until it has ended, and sees to it.
    pub(super) fn end(mut self) {
        self.close();
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

/// The command that starts a server in its world; its environment is its own.
fn words(server: &Server, request: &ToolsRequest) -> Vec<OsString> {
    let mut words = request.run.clone();
    words.extend(["--agent".into(), server.name.as_str().into()]);
    for policy in &request.overrides {
        words.extend(["--policy".into(), policy.into()]);
    }
    words.push("--".into());
    let env = &server.file.env;
    if !env.is_empty() {
        words.push("env".into());
        words.extend(env.iter().map(|(name, value)| format!("{name}={value}").into()));
    }
    words.extend(server.file.command.iter().map(OsString::from));
    words
}

fn write_all(mut input: ChildStdin, messages: &Receiver<String>, waiting: &AtomicUsize) {
    while let Ok(message) = messages.recv() {
        if lines::write(&mut input, &message).is_err() {
            // It has ended, and that is heard of.
            return;
        }
        waiting.fetch_sub(message.len(), Ordering::Relaxed);
    }
}

pub(super) fn named(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
