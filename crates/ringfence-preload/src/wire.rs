//! What is said to the broker and by it: whole messages of a fixed length, in the machine's byte order.
//!
//! The other side is `notify/told/wire.rs` of `ringfence-sandbox`; the same bytes are tested on both.

/// What begins every message: the format and its version.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"RFLINE\x00\x01");
/// Magic, thread, number and six arguments.
pub(crate) const QUESTION_BYTES: usize = 9 * 8;
/// Magic, kind and error number.
pub(crate) const ANSWER_BYTES: usize = 16;

const GO_ON: u32 = 1;
const DONE: u32 = 2;
const FAIL: u32 = 3;
const FILE: u32 = 4;

/// What a call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The program may make it.
    GoOn,
    /// It has been made, and returns 0.
    Done,
    /// It fails with this error number.
    Fail(i32),
    /// It has been made, and the open file comes with the answer.
    File,
}

/// A system call that this thread is about to make.
pub(crate) fn question(tid: i32, number: i64, args: [u64; 6]) -> [u8; QUESTION_BYTES] {
    let head = [MAGIC, u64::from(tid.cast_unsigned()), number.cast_unsigned()];
    let mut bytes = [0; QUESTION_BYTES];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(head.into_iter().chain(args)) {
        *to = word.to_ne_bytes();
    }
    bytes
}

/// What was answered; `None` is no answer.
pub(crate) fn answer(bytes: &[u8]) -> Option<Word> {
    let bytes: &[u8; ANSWER_BYTES] = bytes.try_into().ok()?;
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let errno = i32::from_ne_bytes(*rest.first_chunk::<4>()?);
    if u64::from_ne_bytes(*magic) != MAGIC {
        return None;
    }
    match (u32::from_ne_bytes(*kind), errno) {
        (GO_ON, 0) => Some(Word::GoOn),
        (DONE, 0) => Some(Word::Done),
        (FAIL, 1..4096) => Some(Word::Fail(errno)),
        (FILE, 0) => Some(Word::File),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_the_broker_reads_it() {
        let bytes = question(7, 257, [1, 2, 3, 4, 5, u64::MAX]);
        let mut expected = b"RFLINE\x00\x01".to_vec();
        for word in [7, 257, 1, 2, 3, 4, 5, u64::MAX] {
            expected.extend_from_slice(&word.to_le_bytes());
        }
        assert_eq!(bytes.as_slice(), expected);
    }

    #[test]
    fn an_answer_is_read_as_the_broker_writes_it() {
        let of = |kind: u8, errno: u8| {
            let mut bytes = b"RFLINE\x00\x01".to_vec();
            bytes.extend_from_slice(&[kind, 0, 0, 0, errno, 0, 0, 0]);
            answer(&bytes)
        };
        assert_eq!(of(1, 0), Some(Word::GoOn));
        assert_eq!(of(2, 0), Some(Word::Done));
        assert_eq!(of(3, 13), Some(Word::Fail(13)));
        assert_eq!(of(4, 0), Some(Word::File));
        for (kind, errno) in [(0, 0), (1, 13), (2, 1), (3, 0), (4, 1), (5, 0), (255, 0)] {
            assert_eq!(of(kind, errno), None, "{kind} {errno}");
        }
    }

    #[test]
    fn half_an_answer_and_more_than_one_are_none() {
        let mut bytes = b"RFLINE\x00\x01".to_vec();
        bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        for length in 0..bytes.len() {
            assert_eq!(answer(&bytes[..length]), None, "{length}");
        }
        bytes.push(0);
        assert_eq!(answer(&bytes), None);
        assert_eq!(answer(&[255; ANSWER_BYTES]), None);
    }
}
