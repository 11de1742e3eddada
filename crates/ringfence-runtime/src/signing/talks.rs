//! The connections of a world's programs to one of its agents: how many there are, how long one may take
//! over a message, and which one makes room.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// Most programs that speak to one agent at a time.
pub(super) const TALKS_MAX: usize = 32;

/// How long one message may take to come, and each part of an answer to be taken, in seconds: both are on this
/// machine, and nobody is asked meanwhile.
const MESSAGE_WAIT: Duration = Duration::from_mins(1);

/// One program's connection to an agent: read from and written to as messages begin and end.
pub struct Talk {
    stream: UnixStream,
    wait: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// Nothing is under way, since then.
    Rests(Instant),
    /// A message began, and must have come by then.
    Speaks(Instant),
    /// It goes on by itself.
    Kept,
}

/// All connections to one agent.
#[derive(Default)]
pub(super) struct Talks {
    all: Mutex<Vec<Arc<Talk>>>,
}

impl Talk {
    /// A connection that was just made.
    pub(super) fn new(stream: UnixStream) -> io::Result<Talk> {
        Talk::with(stream, MESSAGE_WAIT)
    }

    fn with(stream: UnixStream, wait: Duration) -> io::Result<Talk> {
        stream.set_write_timeout(Some(wait))?;
        Ok(Talk { stream, wait, state: Mutex::new(State::Rests(Instant::now())) })
    }

    /// Waits for the next message, for as long as nobody else needs the place, unless some of it is `here`.
    pub(crate) fn rest(&self, here: &[u8]) -> io::Result<()> {
        if here.is_empty() {
            self.set(State::Rests(Instant::now()));
            let mut polled = [PollFd::new(&self.stream, PollFlags::IN)];
            while let Err(error) = poll(&mut polled, None) {
                if error != rustix::io::Errno::INTR {
                    return Err(error.into());
                }
            }
        }
        self.set(State::Speaks(Instant::now() + self.wait));
        Ok(())
    }

    /// The stream itself, for a talk that goes on by itself and makes room for nobody.
    pub(crate) fn keep(&self) -> io::Result<UnixStream> {
        self.set(State::Kept);
        self.stream.set_read_timeout(None)?;
        self.stream.try_clone()
    }

    fn set(&self, state: State) {
        *lock(&self.state) = state;
    }

    fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Since when nothing is under way.
    fn rests_since(&self) -> Option<Instant> {
        match self.state() {
            State::Rests(since) => Some(since),
            State::Speaks(_) | State::Kept => None,
        }
    }
}

impl Read for &Talk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Speaks(until) = self.state() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        (&self.stream).read(buffer)
    }
}

impl Write for &Talk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.stream).flush()
    }
}

impl Talks {
    /// Takes one more in. Where there are too many already, the one that has rested longest is given up;
    /// where none rests, the new one is turned away.
    pub(super) fn admit(&self, talk: &Arc<Talk>) -> bool {
        let mut all = lock(&self.all);
        if all.len() >= TALKS_MAX {
            let resting = all.iter().enumerate();
            let resting = resting.filter_map(|(at, talk)| Some((talk.rests_since()?, at)));
            let Some((_, oldest)) = resting.min() else { return false };
            // Who waits for it sees its end.
            let _ = all.remove(oldest).stream.shutdown(Shutdown::Both);
        }
        all.push(Arc::clone(talk));
        true
    }

    /// It is over.
    pub(super) fn forget(&self, talk: &Arc<Talk>) {
        lock(&self.all).retain(|other| !Arc::ptr_eq(other, talk));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(wait: Duration) -> (Arc<Talk>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Arc::new(Talk::with(ours, wait).unwrap()), theirs)
    }

    #[test]
    fn a_message_that_does_not_end_is_not_waited_for_and_one_that_does_not_begin_is() {
        let (talk, mut theirs) = pair(Duration::from_millis(40));
        theirs.write_all(b"ab").unwrap();
        talk.rest(&[]).unwrap();
        let mut from = talk.as_ref();
        let mut read = [0; 4];
        let error = from.read_exact(&mut read).unwrap_err();
        let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        assert!(kinds.contains(&error.kind()), "{error}");
        // A byte now and then is no reprieve.
        theirs.write_all(b"c").unwrap();
        assert!(from.read_exact(&mut read).is_err());
        // Between messages it may rest.
        let (talk, mut theirs) = pair(Duration::from_millis(40));
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            theirs.write_all(b"abcd").map(|()| theirs)
        });
        talk.rest(&[]).unwrap();
        talk.as_ref().read_exact(&mut read).unwrap();
        assert_eq!(&read, b"abcd");
        drop(later.join().unwrap().unwrap());
        talk.rest(&[]).unwrap();
        assert_eq!(talk.as_ref().read(&mut read).unwrap(), 0);
    }

    #[test]
    fn the_one_that_rested_longest_makes_room_and_no_one_that_speaks_does() {
        let wait = Duration::from_mins(1);
        let talks = Talks::default();
        let mut all: Vec<_> = (0..TALKS_MAX).map(|_| pair(wait)).collect();
        for (talk, theirs) in &mut all {
            assert!(talks.admit(talk));
            theirs.write_all(b"x").unwrap();
            talk.rest(&[]).unwrap();
        }
        let (one_more, _theirs) = pair(wait);
        assert!(!talks.admit(&one_more), "all of them speak");
        // Two of them have said all.
        for at in [7, 3] {
            all[at].0.set(State::Rests(Instant::now()));
        }
        assert!(talks.admit(&one_more));
        let mut end = [0; 1];
        assert_eq!(all[7].1.read(&mut end).unwrap(), 0, "the seventh has rested longest");
        talks.forget(&all[5].0);
        let (another, _theirs) = pair(wait);
        assert!(talks.admit(&another), "one is over");
        all[3].1.set_nonblocking(true).unwrap();
        assert_eq!(all[3].1.read(&mut end).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
