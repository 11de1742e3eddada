//! Small logs to break.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_core::{Durability, Entry, Event, SessionId};
use ringfence_log::{Closed, HostKey, SessionLog, State, Verified, VerifyError, verify_session};

/// Bytes of a record before its payload (docs/log-format.md).
pub(crate) const HEADER: usize = 48;

pub(crate) struct Small {
    /// Removed when dropped.
    pub(crate) state: tempfile::TempDir,
    pub(crate) key: HostKey,
    pub(crate) session: SessionId,
}

impl Small {
    pub(crate) fn new() -> Small {
        let state = tempfile::tempdir().unwrap();
        let key = HostKey::load_or_create(state.path()).unwrap();
        Small { state, key, session: "stestsession".parse().unwrap() }
    }

    /// A closed log of `count` entries.
    pub(crate) fn closed(count: u64) -> (Small, Closed) {
        let small = Small::new();
        let log = small.log();
        append(&log, 0..count);
        let closed = log.close().unwrap();
        (small, closed)
    }

    /// A log of `count` signed entries whose broker is gone.
    pub(crate) fn unclosed(count: u64) -> Small {
        let small = Small::new();
        append(&small.log(), 0..count);
        small
    }

    pub(crate) fn log(&self) -> SessionLog {
        SessionLog::create(&self.dir(), &self.session, &self.key, 1 << 30).unwrap()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.state.path().join("sessions").join(self.session.as_str())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir().join("log").join(name)
    }

    pub(crate) fn segment(&self) -> PathBuf {
        self.file("segments/00000000000000000000.log")
    }

    pub(crate) fn verify(&self) -> Result<Verified, VerifyError> {
        verify_session(&self.dir(), &self.session, &self.key.public())
    }

    /// The first bad index of a log that must not verify.
    #[track_caller]
    pub(crate) fn bad_index(&self) -> Option<u64> {
        match self.verify() {
            Err(VerifyError::Tampered(tampered)) => tampered.index,
            other => panic!("not reported as tampered: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn state(&self) -> State {
        self.verify().unwrap().state
    }
}

pub(crate) fn append(log: &SessionLog, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        log.append(&entry(number), Durability::Soon).unwrap();
    }
}

pub(crate) fn entry(number: u64) -> Entry {
    Entry { at_ms: number, event: Event::PolicyReloaded { policy: Vec::new() } }
}

/// Cuts a segment into its records.
pub(crate) fn records(segment: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(segment).unwrap();
    let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let payload = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let (record, tail) = rest.split_at(HEADER + payload);
        records.push(record.to_vec());
        rest = tail;
    }
    records
}

/// Gives a record another index and payload, with the checksum that belongs to them.
pub(crate) fn forged(record: &[u8], index: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    for part in [&length[..], &index.to_le_bytes(), &record[16..48], payload] {
        sum.update(part);
    }
    let mut forged = length.to_vec();
    forged.extend_from_slice(&sum.finalize().to_le_bytes());
    forged.extend_from_slice(&index.to_le_bytes());
    forged.extend_from_slice(&record[16..48]);
    forged.extend_from_slice(payload);
    forged
}
