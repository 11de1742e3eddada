//! Lines for who reads them at its own pace: written at once where that does not wait, else by a thread that waits.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use ringfence_proxy::mcp::lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::net::SendFlags;

use super::started::named;

/// Most bytes that a pipe takes without waiting where there is any room in it (`PIPE_BUF` of Linux, `pipe(7)`).
const PIPE_BYTES: usize = 4_096;

/// A stream that is written to.
pub(super) struct Voice {
    to: Arc<File>,
    kind: Kind,
    /// Bytes that were not written yet: while there are any, more are written behind them.
    waiting: Arc<AtomicUsize>,
    messages_max: usize,
    /// Who waits, once that was needed.
    waits: Option<SyncSender<Vec<u8>>>,
}

/// What it takes to write without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pipe,
    Socket,
    /// A terminal, a file: that cannot be known.
    Other,
}

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// As many messages wait as may; the line comes back.
    Full(Vec<u8>),
    /// Nobody reads any more.
    Gone,
}

/// How much of a line was written.
enum Written {
    All,
    /// So many bytes, and more without waiting is not possible.
    Part(usize),
    Gone,
}

impl Voice {
    /// One to this stream; so many messages may wait there.
    pub(super) fn new(to: OwnedFd, messages_max: usize) -> Voice {
        let mode = rustix::fs::fstat(&to).map(|it| it.st_mode).unwrap_or_default();
        let kind = match FileType::from_raw_mode(mode) {
            FileType::Fifo => Kind::Pipe,
            FileType::Socket => Kind::Socket,
            FileType::RegularFile
            | FileType::Directory
            | FileType::Symlink
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Kind::Other,
        };
        let (to, waiting) = (Arc::new(File::from(to)), Arc::default());
        Voice { to, kind, waiting, messages_max, waits: None }
    }

    /// Bytes that were not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Says a message; does not wait.
    pub(super) fn say(&mut self, message: String) -> Result<(), Unsaid> {
        self.line(lines::line(message))
    }

    /// The same of a line that came back.
    pub(super) fn line(&mut self, mut line: Vec<u8>) -> Result<(), Unsaid> {
        if self.waiting() == 0 {
            match self.at_once(&line) {
                Written::All => return Ok(()),
                Written::Gone => return Err(Unsaid::Gone),
                Written::Part(0) => {}
                Written::Part(bytes) => drop(line.drain(..bytes.min(line.len()))),
            }
        }
        self.later(line)
    }

    /// Writes as much as can be without waiting.
    fn at_once(&self, line: &[u8]) -> Written {
        match self.kind {
            Kind::Pipe if line.len() <= PIPE_BYTES => {
                let mut polled = [PollFd::new(&self.to, PollFlags::OUT)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                let is_ready = poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0);
                if !is_ready {
                    return Written::Part(0);
                }
                written(rustix::io::write(&self.to, line), line)
            }
            Kind::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                written(rustix::net::send(&self.to, line, flags), line)
            }
            Kind::Pipe | Kind::Other => Written::Part(0),
        }
    }

    /// Has the rest written by who waits.
    fn later(&mut self, line: Vec<u8>) -> Result<(), Unsaid> {
        if self.waits.is_none() {
            let (waits, lines) = sync_channel::<Vec<u8>>(self.messages_max);
            let (to, waiting) = (Arc::clone(&self.to), Arc::clone(&self.waiting));
            let writes = move || {
                while let Ok(line) = lines.recv() {
                    if std::io::Write::write_all(&mut &*to, &line).is_err() {
                        // It has ended, and that is heard of.
                        return;
                    }
                    waiting.fetch_sub(line.len(), Ordering::Release);
                }
            };
            named("writes", writes).map_err(|_| Unsaid::Gone)?;
            self.waits = Some(waits);
        }
        let Some(waits) = &self.waits else { return Err(Unsaid::Gone) };
        let bytes = line.len();
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        waits.try_send(line).map_err(|error| {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(line) => Unsaid::Full(line),
                TrySendError::Disconnected(_) => Unsaid::Gone,
            }
        })
    }
}

fn written(result: rustix::io::Result<usize>, line: &[u8]) -> Written {
    match result {
        Ok(bytes) if bytes >= line.len() => Written::All,
        Ok(bytes) => Written::Part(bytes),
        Err(error) if error == rustix::io::Errno::AGAIN || error == rustix::io::Errno::INTR => {
            Written::Part(0)
        }
        Err(_) => Written::Gone,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// All that is said arrives, in its order, and nobody waits for who reads slowly.
    fn all_arrives(to: OwnedFd, from: impl Read + Send + 'static) {
        const MESSAGES: usize = 3_000;
        let mut voice = Voice::new(to, MESSAGES);
        let message = |number: usize| format!("{number} {}", "x".repeat(number * 7 % 6_000));
        for number in 0..MESSAGES {
            voice.say(message(number)).unwrap();
        }
        let mut lines = BufReader::new(from).lines();
        for number in 0..MESSAGES {
            assert_eq!(lines.next().unwrap().unwrap(), message(number));
        }
        assert_eq!(
            (0..500)
                .find(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    voice.waiting() == 0
                })
                .map(drop),
            Some(())
        );
        voice.say("last".to_owned()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "last");
        drop(voice);
        assert!(lines.next().is_none());
    }

    #[test]
    fn what_is_said_arrives_in_its_order_however_slowly_it_is_read() {
        let (from, to) = std::io::pipe().unwrap();
        all_arrives(to.into(), from);
        let (from, to) = UnixStream::pair().unwrap();
        all_arrives(to.into(), from);
    }

    #[test]
    fn who_reads_nothing_is_told_of_and_who_is_gone_as_well() {
        for is_pipe in [true, false] {
            let (from, to): (OwnedFd, OwnedFd) = if is_pipe {
                let (from, to) = std::io::pipe().unwrap();
                (from.into(), to.into())
            } else {
                let (from, to) = UnixStream::pair().unwrap();
                (from.into(), to.into())
            };
            let mut voice = Voice::new(to, 2);
            let line = "y".repeat(4_000);
            let full = (0..10_000).find_map(|_| voice.say(line.clone()).err());
            assert!(matches!(full, Some(Unsaid::Full(_))), "{full:?}");
            drop(from);
            let gone = (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(2));
                voice.say(line.clone()) == Err(Unsaid::Gone)
            });
            assert!(gone);
        }
    }
}
