//! The first line of a script, read as the kernel reads it (`fs/binfmt_script.c`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;
use rustix::time::{ClockId, clock_gettime};

/// How much of a file the kernel looks at, in bytes (`BINPRM_BUF_SIZE`).
pub(super) const HEADER_BYTES: usize = 256;

/// What a `#!` line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstLine {
    /// The interpreter as it is written there.
    pub(super) interpreter: Vec<u8>,
    /// Everything behind it, as one argument.
    pub(super) argument: Option<Vec<u8>>,
}

/// Most files whose first line is remembered; more and all are forgotten.
const FILES_MAX: usize = 1024;

/// How long a file must have been left alone for its first line to be remembered, in seconds: times
/// are kept in steps of a clock tick, so that two changes can bear the same one.
const LEFT_ALONE_SECONDS: i64 = 2;

/// The first lines of files that have not changed since they were read.
///
/// Nothing is allowed by them: which interpreter runs is compared, where it matters, with what was
/// decided. A wrong line, as a file system that keeps no times may cause, denies.
#[derive(Debug, Default)]
pub(super) struct FirstLines {
    /// By device and inode.
    known: Mutex<HashMap<(u64, u64), Known>>,
}

/// A first line and what it was read from; `None` where the file is no script.
#[derive(Debug, Clone)]
struct Known {
    version: Version,
    line: Option<FirstLine>,
}

/// What changes with the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl FirstLines {
    /// The first line of a file, read if it is not known.
    pub(super) fn of(
        &self,
        stat: &Stat,
        read: impl FnOnce() -> Option<FirstLine>,
    ) -> Option<FirstLine> {
        let file = (stat.st_dev, stat.st_ino);
        let version = Version {
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&file).cloned();
        if let Some(known) = known.filter(|known| known.version == version) {
            return known.line;
        }
        let line = read();
        let now = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
        if now.saturating_sub(stat.st_ctime) > LEFT_ALONE_SECONDS {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= FILES_MAX {
                known.clear();
            }
            known.insert(file, Known { version, line: line.clone() });
        }
        line
    }
}

/// Parses the first bytes of a file; `None` if the kernel would not run it as a script.
pub(super) fn parse(file: &[u8]) -> Option<FirstLine> {
    let mut header = [0; HEADER_BYTES];
    for (to, from) in header.iter_mut().zip(file) {
        *to = *from;
    }
    let rest = header.strip_prefix(b"#!")?;
    // The search for the end of the line stops at a NUL, as strnchr() does.
    let newline = rest.iter().take_while(|byte| **byte != 0).position(|byte| *byte == b'\n');
    let line = if let Some(end) = newline {
        rest.get(..end)?
    } else {
        // Without a line end the name may have been cut off, unless something follows it.
        let name = rest.get(rest.iter().position(|byte| !is_blank(*byte))?..)?;
        name.iter().position(|byte| is_blank(*byte) || *byte == 0)?;
        rest.get(..rest.len() - 1)?
    };
    let line = line.get(..=line.iter().rposition(|byte| !is_blank(*byte))?)?;
    let line = line.get(line.iter().position(|byte| !is_blank(*byte))?..)?;
    let name_end = line.iter().position(|byte| is_blank(*byte) || *byte == 0);
    let (name, behind) = line.split_at(name_end.unwrap_or(line.len()));
    // A NUL ends both strings: what lies behind it never reaches anybody.
    let argument = if behind.first().is_some_and(|byte| *byte != 0) {
        behind
            .iter()
            .position(|byte| !is_blank(*byte))
            .and_then(|at| behind.get(at..))
            .map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    } else {
        None
    };
    Some(FirstLine { interpreter: name.to_vec(), argument })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
