//! What the library in a program says, and what it is answered: whole messages of a fixed length, in the
//! machine's byte order.
//!
//! The other side is `wire.rs` of `ringfence-preload`; the same bytes are tested on both.

use crate::sys::notify::Reply;

/// What begins every message: the format and its version.
const MAGIC: u64 = u64::from_le_bytes(*b"RFLINE\x00\x01");
/// Magic, thread, number and six arguments.
pub(crate) const QUESTION_BYTES: usize = 9 * 8;
/// Magic, kind and error number.
pub(crate) const ANSWER_BYTES: usize = 16;

const GO_ON: u32 = 1;
const DONE: u32 = 2;
const FAIL: u32 = 3;
const FILE: u32 = 4;

/// A system call that somebody says to be about to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// The thread, as it says; not to be believed.
    pub(crate) tid: i32,
    /// The number of the system call.
    pub(crate) number: i64,
    /// Its arguments.
    pub(crate) args: [u64; 6],
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Reply(Reply),
    /// The file that comes with it.
    File,
}

impl Question {
    pub(crate) fn encode(&self) -> [u8; QUESTION_BYTES] {
        let head = [MAGIC, u64::from(self.tid.cast_unsigned()), self.number.cast_unsigned()];
        let mut bytes = [0; QUESTION_BYTES];
        let words = head.into_iter().chain(self.args);
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_ne_bytes();
        }
        bytes
    }

    /// The question in a message; `None` where it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Question> {
        let bytes: &[u8; QUESTION_BYTES] = bytes.try_into().ok()?;
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        if words.next()? != MAGIC {
            return None;
        }
        let tid = i32::try_from(words.next()?).ok().filter(|tid| *tid > 0)?;
        let number = i64::try_from(words.next()?).ok()?;
        let mut args = [0; 6];
        for (to, word) in args.iter_mut().zip(words) {
            *to = word;
        }
        Some(Question { tid, number, args })
    }
}

impl Word {
    pub(crate) fn encode(self) -> [u8; ANSWER_BYTES] {
        let (kind, errno) = match self {
            Word::Reply(Reply::Continue) => (GO_ON, 0),
            Word::Reply(Reply::Success) => (DONE, 0),
            Word::Reply(Reply::Fail(errno @ (1..4096))) => (FAIL, errno),
            // No error number is one of these: it fails all the same.
            Word::Reply(Reply::Fail(_)) => (FAIL, libc::EACCES),
            Word::File => (FILE, 0),
        };
        let mut bytes = [0; ANSWER_BYTES];
        let numbers = MAGIC.to_ne_bytes().into_iter().chain(kind.to_ne_bytes());
        for (to, byte) in bytes.iter_mut().zip(numbers.chain(errno.to_ne_bytes())) {
            *to = byte;
        }
        bytes
    }

    /// What was answered; `None` is no answer.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Word> {
        let bytes: &[u8; ANSWER_BYTES] = bytes.try_into().ok()?;
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let errno = i32::from_ne_bytes(*rest.first_chunk::<4>()?);
        if u64::from_ne_bytes(*magic) != MAGIC {
            return None;
        }
        match (u32::from_ne_bytes(*kind), errno) {
            (GO_ON, 0) => Some(Word::Reply(Reply::Continue)),
            (DONE, 0) => Some(Word::Reply(Reply::Success)),
            (FAIL, 1..4096) => Some(Word::Reply(Reply::Fail(errno))),
            (FILE, 0) => Some(Word::File),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
