//! Walks a log's segments record by record, also while they are being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::files::LogDir;
use crate::record::{self, Parsed, Raw};

/// How much is read at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// What comes next in the segments.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// The next entry's record.
    Record(Raw<'a>),
    /// Nothing: the last record is complete.
    End,
    /// The beginning of a record.
    Incomplete,
    /// Bytes that are not the next entry's record.
    Damaged(String),
}

/// What the buffer holds next, without borrowing it.
enum Next {
    Record { bytes: usize },
    Empty,
    Incomplete,
    Damaged(String),
}

/// A position in a log.
pub(crate) struct Scanner {
    dir: LogDir,
    file: Option<File>,
    /// First entry of the segment in `file`.
    segment: u64,
    /// Where in the file the buffer ends, in bytes.
    read_to: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is used up.
    start: usize,
    /// Index of the next record.
    next: u64,
}

impl Scanner {
    /// Starts at the first entry of the segment that begins with `first`.
    pub(crate) fn new(dir: LogDir, first: u64) -> Scanner {
        Scanner {
            dir,
            file: None,
            segment: first,
            read_to: 0,
            buffer: Vec::new(),
            start: 0,
            next: first,
        }
    }

    /// Starts in the first segment, `offset` bytes from its beginning, where entry `next` begins.
    pub(crate) fn resume(dir: LogDir, offset: u64, next: u64) -> Scanner {
        Scanner { read_to: offset, next, ..Scanner::new(dir, 0) }
    }

    /// Index of the record that comes next.
    pub(crate) fn next_index(&self) -> u64 {
        self.next
    }

    /// First entry of the segment the position is in.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Where in that segment the position is, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.read_to - self.pending() as u64
    }

    /// Bytes that were read and are not a record yet.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Forgets bytes that are not a record: the file was cut there and is written anew.
    pub(crate) fn forget_pending(&mut self) {
        self.read_to = self.offset();
        self.buffer.truncate(self.start);
    }

    /// The next record, which is passed by; anything else stays where it is and may be asked again.
    pub(crate) fn step(&mut self) -> io::Result<Found<'_>> {
        loop {
            match self.look() {
                Next::Record { bytes } => {
                    let at = self.start;
                    self.start += bytes;
                    self.next += 1;
                    let record = self.buffer.get(at..self.start).unwrap_or_default();
                    return Ok(match record::parse(record) {
                        Parsed::Record(raw) => Found::Record(raw),
                        Parsed::Incomplete => Found::Incomplete,
                        Parsed::Damaged(what) => Found::Damaged(what.to_owned()),
                    });
                }
                Next::Damaged(what) => return Ok(Found::Damaged(what)),
                Next::Incomplete if !self.fill()? => return Ok(Found::Incomplete),
                Next::Empty if !self.fill()? && !self.open_next()? => return Ok(Found::End),
                Next::Incomplete | Next::Empty => {}
            }
        }
    }

    fn look(&self) -> Next {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        if rest.is_empty() {
            return Next::Empty;
        }
        match record::parse(rest) {
            Parsed::Record(raw) if raw.index == self.next => {
                Next::Record { bytes: raw.record_bytes() }
            }
            Parsed::Record(raw) => {
                Next::Damaged(format!("entry {} stands in its place", raw.index))
            }
            Parsed::Incomplete => Next::Incomplete,
            Parsed::Damaged(what) => Next::Damaged(what.to_owned()),
        }
    }

    /// Reads more of the segment; `false` at its present end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            match File::open(self.dir.segment(self.segment)) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &self.file else { return Ok(false) };
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        self.buffer.resize(kept + READ_BYTES, 0);
        let read = match self.buffer.get_mut(kept..) {
            Some(space) => file.read_at(space, self.read_to),
            None => Ok(0),
        };
        self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
        let read = read?;
        self.read_to += read as u64;
        Ok(read > 0)
    }

    /// Goes on to the segment that begins with the next entry, if there is one.
    fn open_next(&mut self) -> io::Result<bool> {
        if self.next == self.segment {
            return Ok(false);
        }
        match File::open(self.dir.segment(self.next)) {
            Ok(file) => {
                self.file = Some(file);
                self.segment = self.next;
                self.read_to = 0;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
