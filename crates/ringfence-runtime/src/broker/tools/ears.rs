//! What a talk hears: lines of streams, which it reads itself, and what other threads say to it. One thread waits for all
//! of that together: handing a message from thread to thread takes longer than all that is done about it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::mpsc::{SendError, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::frame::{Frame, Malformed};
use ringfence_proxy::mcp::lines::{self, Pieces};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::serving::{Heard, Inline};
use super::started::named;

/// Messages of other threads that wait until they are looked at; whoever sends more waits.
const HEARD_MAX: usize = 16;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Longest that is slept in one go, in seconds: the kernel counts in whole numbers of its own.
const SLEEP_SECONDS_MAX: u64 = 60 * 60;

/// The ears of a talk.
pub(super) struct Ears {
    heard: Receiver<Heard>,
    mouth: Mouth,
    streams: Vec<Stream>,
    /// Read, and not yet told.
    waiting: VecDeque<Heard>,
    room: Vec<u8>,
}

/// Says something to a talk.
#[derive(Clone)]
pub(super) struct Mouth {
    to: SyncSender<Heard>,
    bell: Arc<Bell>,
}

/// Wakes a talk.
struct Bell {
    rings: OwnedFd,
    /// Whether there is anybody to wake.
    sleeps: AtomicBool,
    /// A talk without a thread of its own, which whoever rings carries on.
    talk: OnceLock<Weak<Inline>>,
}

/// A stream of lines.
struct Stream {
    whose: Whose,
    from: OwnedFd,
    lines: Pieces,
}

/// Whose it is.
enum Whose {
    Client,
    /// A server's, by its number; its end is told when this is gone as well, though not for ever.
    Server(usize, Option<Receiver<()>>),
}

/// How long is waited for the last lines of a server that has closed its output.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

impl Ears {
    /// Those of a talk that nobody speaks to yet.
    pub(super) fn new() -> io::Result<Ears> {
        let (to, heard) = sync_channel(HEARD_MAX);
        let rings = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let bell = Arc::new(Bell { rings, sleeps: AtomicBool::new(false), talk: OnceLock::new() });
        let mouth = Mouth { to, bell };
        let (streams, waiting) = (Vec::new(), VecDeque::new());
        Ok(Ears { heard, mouth, streams, waiting, room: Vec::new() })
    }

    /// For who says something to this talk.
    pub(super) fn mouth(&self) -> Mouth {
        self.mouth.clone()
    }

    /// Listens to the client, of whom this was read already.
    pub(super) fn listen_to_client(&mut self, from: OwnedFd, read: &[u8]) {
        let mut lines = Pieces::default();
        lines.push(read, lines::MESSAGE_BYTES_MAX, &mut |read| {
            self.waiting.push_back(Heard::Client(read));
        });
        self.streams.push(Stream { whose: Whose::Client, from, lines });
    }

    /// Listens to a server; `last_words` is gone when there is nothing more on its stderr.
    pub(super) fn listen_to_server(
        &mut self,
        number: usize,
        from: OwnedFd,
        last_words: Receiver<()>,
    ) {
        let whose = Whose::Server(number, Some(last_words));
        self.streams.push(Stream { whose, from, lines: Pieces::default() });
    }

    /// From now on whoever says something carries the talk on; no stream is listened to then.
    pub(super) fn carried_on_by(&self, talk: &Arc<Inline>) {
        // There is one talk to these ears.
        let _ = self.mouth.bell.talk.set(Arc::downgrade(talk));
    }

    /// What was said already.
    pub(super) fn said(&mut self) -> Option<Heard> {
        self.waiting.pop_front().or_else(|| self.heard.try_recv().ok())
    }

    /// The same again, for who can do more about it.
    pub(super) fn not_yet(&mut self, heard: Heard) {
        self.waiting.push_front(heard);
    }

    /// What is heard next, at the latest at a time.
    pub(super) fn next(&mut self, until: Option<Instant>) -> Result<Heard, RecvTimeoutError> {
        loop {
            // What others say comes first: that the talk is over is among it.
            match self.heard.try_recv() {
                Ok(heard) => return Ok(heard),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            if let Some(heard) = self.waiting.pop_front() {
                return Ok(heard);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(RecvTimeoutError::Timeout);
            }
            if let Some(said) = self.wait(left).map_err(|_| RecvTimeoutError::Disconnected)? {
                return Ok(said);
            }
        }
    }

    /// Waits until there is something to read or somebody rings, and reads what is there; what was said just before
    /// it slept is told at once, ahead of what is said after it.
    fn wait(&mut self, left: Option<Duration>) -> io::Result<Option<Heard>> {
        let bell = &self.mouth.bell;
        bell.sleeps.store(true, Ordering::SeqCst);
        // Whoever has said something before that did not ring.
        let said = self.heard.try_recv();
        if let Ok(said) = said {
            bell.sleeps.store(false, Ordering::SeqCst);
            return Ok(Some(said));
        }
        let mut all = vec![PollFd::new(&bell.rings, PollFlags::IN)];
        all.extend(self.streams.iter().map(|it| PollFd::new(&it.from, PollFlags::IN)));
        let longest = Duration::from_secs(SLEEP_SECONDS_MAX);
        let left = left.map(|left| left.min(longest));
        let left = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let polled = poll(&mut all, left.as_ref());
        bell.sleeps.store(false, Ordering::SeqCst);
        match polled {
            Ok(_) => {}
            Err(error) if error == rustix::io::Errno::INTR => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut ready = all.iter().map(|it| !it.revents().is_empty());
        if ready.next() == Some(true) {
            // It is rung once for any number of messages.
            let _ = rustix::io::read(&bell.rings, &mut [0_u8; 8]);
        }
        let ready: Vec<bool> = ready.collect();
        self.read(&ready);
        Ok(None)
    }

    /// Reads once from each stream that has something.
    fn read(&mut self, ready: &[bool]) {
        self.room.resize(READ_BYTES, 0);
        let (mut ready, mouth) = (ready.iter(), &self.mouth);
        let (waiting, room) = (&mut self.waiting, &mut self.room);
        self.streams.retain_mut(|stream| {
            if ready.next() != Some(&true) {
                return true;
            }
            match rustix::io::read(&stream.from, room.as_mut_slice()) {
                Ok(0) => stream.ended(waiting, mouth),
                Ok(read) => {
                    let piece = room.get(..read).unwrap_or_default();
                    stream.lines.push(piece, lines::MESSAGE_BYTES_MAX, &mut |read| {
                        waiting.push_back(match stream.whose {
                            Whose::Client => Heard::Client(read),
                            Whose::Server(number, _) => Heard::Server(number, read),
                        });
                    });
                    return true;
                }
                Err(error) if error == rustix::io::Errno::INTR => return true,
                Err(error) if error == rustix::io::Errno::AGAIN => return true,
                Err(_) => stream.ended(waiting, mouth),
            }
            false
        });
    }
}

impl Stream {
    /// Tells that there is nothing more, of a server once its last words are there as well.
    fn ended(&mut self, waiting: &mut VecDeque<Heard>, mouth: &Mouth) {
        match &mut self.whose {
            Whose::Client => waiting.push_back(Heard::Client(lines::Read::End)),
            Whose::Server(number, last_words) => {
                let (number, last_words, mouth) = (*number, last_words.take(), mouth.clone());
                let tells = move || {
                    if let Some(last_words) = last_words {
                        let _ = last_words.recv_timeout(LAST_WORDS_WAIT);
                    }
                    // Nobody hears it where the talk has ended.
                    let _ = mouth.say(Heard::Server(number, lines::Read::End));
                };
                if named("last-words", tells).is_err() {
                    waiting.push_back(Heard::Server(number, lines::Read::End));
                }
            }
        }
    }
}

impl Mouth {
    /// Says something, and waits until there is room for it; the error is that nobody listens any more.
    pub(super) fn say(&self, heard: Heard) -> Result<(), SendError<Heard>> {
        self.to.send(heard)?;
        self.bell.ring();
        Ok(())
    }

    /// The same without waiting.
    pub(super) fn try_say(&self, heard: Heard) -> Result<(), TrySendError<Heard>> {
        self.to.try_send(heard)?;
        self.bell.ring();
        Ok(())
    }
}

impl Bell {
    fn ring(&self) {
        if let Some(talk) = self.talk.get().and_then(Weak::upgrade) {
            talk.carry_on();
        } else if self.sleeps.swap(false, Ordering::SeqCst) {
            // It cannot be full: whoever listens empties it.
            let _ = rustix::io::write(&self.rings, &1_u64.to_ne_bytes());
        }
    }
}

/// A descriptor of our own for a stream that is somebody else's as well.
pub(super) fn own(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

/// What one line says.
pub(super) fn frame(read: lines::Read) -> Result<Option<Frame>, Malformed> {
    match read {
        lines::Read::Line(line) => Frame::parse(line).map(Some),
        lines::Read::TooLong(head) => Err(Malformed::too_long(&head, lines::MESSAGE_BYTES_MAX)),
        lines::Read::End => Ok(None),
    }
}

#[cfg(test)]
mod tests;
