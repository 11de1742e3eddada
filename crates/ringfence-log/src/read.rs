//! Reads a log's entries in order, also while it is being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ringfence_core::Entry;

use crate::files::LogDir;
use crate::scan::{Found, Scanner};

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its index.
    pub index: u64,
    /// What it says.
    pub entry: Entry,
    /// The JSON it was written as, byte for byte.
    pub json: String,
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The log's directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no log.
    #[error("there is no log in `{}`", .0.display())]
    NoLog(PathBuf),
    /// The bytes are not an entry's record; nothing after them can be read.
    #[error("entry {index} is damaged: {what}")]
    Damaged {
        /// The index the entry would have.
        index: u64,
        /// What is wrong.
        what: String,
    },
    /// The record is whole, but this version does not know what the entry says.
    #[error("entry {index} is not understood: {source}")]
    Unknown {
        /// The entry's index.
        index: u64,
        /// The JSON as written, lossy where not UTF-8.
        json: String,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// Iterates over the entries of a log; after `None` it may be asked again for entries written since.
pub struct LogReader {
    dir: LogDir,
    scanner: Scanner,
    from: u64,
    /// A damaged record was reported: there is nothing after it.
    damaged: bool,
}

impl LogReader {
    /// Reads the log of the session whose directory is `dir` from its first entry.
    pub fn open(dir: &Path) -> Result<LogReader, ReadError> {
        LogReader::open_at(dir, 0)
    }

    /// Reads from entry `index` on; starts in the segment that holds it.
    pub fn open_at(dir: &Path, index: u64) -> Result<LogReader, ReadError> {
        let log = LogDir::of(dir);
        let first = last_segment_before(&log, index).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                ReadError::NoLog(dir.to_owned())
            } else {
                ReadError::Io { path: log.segments(), source }
            }
        })?;
        let scanner = Scanner::new(log.clone(), first);
        Ok(LogReader { dir: log, scanner, from: index, damaged: false })
    }
}

impl Iterator for LogReader {
    type Item = Result<Logged, ReadError>;

    fn next(&mut self) -> Option<Result<Logged, ReadError>> {
        while !self.damaged {
            let index = self.scanner.next_index();
            let raw = match self.scanner.step() {
                Ok(Found::Record(raw)) => raw,
                Ok(Found::End | Found::Incomplete) => return None,
                Ok(Found::Damaged(what)) => {
                    self.damaged = true;
                    return Some(Err(ReadError::Damaged { index, what }));
                }
                Err(source) => {
                    self.damaged = true;
                    return Some(Err(ReadError::Io { path: self.dir.segments(), source }));
                }
            };
            if index >= self.from {
                return Some(understand(index, raw.payload));
            }
        }
        None
    }
}

fn understand(index: u64, payload: &[u8]) -> Result<Logged, ReadError> {
    let json = String::from_utf8_lossy(payload).into_owned();
    match serde_json::from_slice(payload) {
        Ok(entry) => Ok(Logged { index, entry, json }),
        Err(source) => Err(ReadError::Unknown { index, json, source }),
    }
}

/// First entry of the segment that holds `index`, as far as there is one.
fn last_segment_before(log: &LogDir, index: u64) -> io::Result<u64> {
    let mut first = 0;
    for file in fs::read_dir(log.segments())? {
        let begins = segment_name(&file?.file_name()).unwrap_or(0);
        if begins <= index {
            first = first.max(begins);
        }
    }
    Ok(first)
}

/// The first entry of a segment file, from its name.
pub(crate) fn segment_name(name: &std::ffi::OsStr) -> Option<u64> {
    name.to_str()?.strip_suffix(".log")?.parse().ok()
}
