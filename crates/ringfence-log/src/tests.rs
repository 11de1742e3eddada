//! Unit tests of the log; whole logs under attack are in `tests/it`.

use std::fs;
use std::fs::OpenOptions;
use std::sync::Arc;

use ringfence_core::{Durability, Entry, Event, SessionId};

use super::*;
use crate::NewLog;
use crate::commit::Sizes;

fn entry(number: u64) -> Entry {
    Entry { at_ms: number, event: Event::PolicyReloaded { policy: Vec::new() } }
}

fn session() -> SessionId {
    "stestsession".parse().unwrap()
}

#[test]
fn what_is_recorded_is_read_back_and_verifies() {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap();
    let dir = state.path().join("sessions/stestsession");
    let host = HostLog::open(state.path(), &key).unwrap();
    let log = SessionLog::create(&dir, &session(), &key, 1 << 20).unwrap();
    host.opened(&session(), 1).unwrap();
    assert_eq!(log.append(&entry(7), Durability::Soon).unwrap(), 0);
    assert_eq!(log.append(&entry(8), Durability::Before).unwrap(), 1);
    let read: Vec<u64> = LogReader::open(&dir).unwrap().map(|e| e.unwrap().entry.at_ms).collect();
    assert_eq!(read, [7, 8]);
    let closed = log.close().unwrap();
    host.closed(&session(), closed, 2).unwrap();
    host.wait().unwrap();
    let report = verify_all(state.path(), &key.public()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    let verified = verify_session(&dir, &session(), &key.public()).unwrap();
    assert_eq!((verified.size, verified.signed, verified.state), (2, 2, State::Closed));
    assert_eq!(verified.root, closed.root);
}

/// A log of `count` entries with a few entries in each segment.
fn in_many_segments(count: u64) -> (tempfile::TempDir, HostKey) {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap();
    let sizes = Sizes { log_bytes_max: 1 << 20, segment_bytes_max: 300 };
    let log = NewLog::prepare(state.path(), &session(), &key, sizes).unwrap().start().unwrap();
    for number in 0..count {
        let durability = if number % 4 == 0 { Durability::Before } else { Durability::Soon };
        log.append(&entry(number), durability).unwrap();
    }
    log.close().unwrap();
    (state, key)
}

fn segments(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("log/segments"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_log_in_many_segments_is_one_log() {
    let (state, key) = in_many_segments(40);
    assert!(segments(state.path()).len() > 5);
    let verified = verify_session(state.path(), &session(), &key.public()).unwrap();
    assert_eq!((verified.size, verified.state), (40, State::Closed));
    for from in 0..40 {
        let indices = LogReader::open_at(state.path(), from).unwrap().map(|e| e.unwrap().index);
        assert!(indices.eq(from..40));
    }
}

#[test]
fn a_dropped_segment_is_found_with_its_first_entry() {
    let (state, key) = in_many_segments(40);
    for path in segments(state.path()) {
        let first = read::segment_name(path.file_name().unwrap()).unwrap();
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let Err(VerifyError::Tampered(found)) =
            verify_session(state.path(), &session(), &key.public())
        else {
            panic!("{} was dropped and not missed", path.display());
        };
        assert_eq!(found.index, Some(first));
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn segments_in_each_others_place_are_found() {
    let (state, key) = in_many_segments(40);
    let files = segments(state.path());
    let (one, other) = (std::fs::read(&files[2]).unwrap(), std::fs::read(&files[3]).unwrap());
    std::fs::write(&files[2], other).unwrap();
    std::fs::write(&files[3], one).unwrap();
    let found = verify_session(state.path(), &session(), &key.public());
    let first = read::segment_name(files[2].file_name().unwrap());
    assert!(matches!(found, Err(VerifyError::Tampered(Tampered { index, .. })) if index == first));
}

/// A log whose segment is a device, so that the kernel refuses what is asked of it.
fn log_on(device: &str) -> (tempfile::TempDir, HostKey, SessionLog) {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap();
    let log = SessionLog::create(state.path(), &session(), &key, 1 << 20).unwrap();
    assert_eq!(log.append(&entry(0), Durability::Before).unwrap(), 0);
    log.replace_segment(Arc::new(OpenOptions::new().append(true).open(device).unwrap()));
    (state, key, log)
}

#[test]
fn a_write_that_fails_is_an_error_and_so_is_every_later_entry() {
    for durability in [Durability::Soon, Durability::Before] {
        let (state, key, log) = log_on("/dev/full");
        assert!(log.append(&entry(1), durability).is_err());
        for later in [Durability::Soon, Durability::Before] {
            let error = log.append(&entry(2), later).unwrap_err();
            assert!(matches!(error, LogError::Stopped { .. }), "{error}");
        }
        assert!(log.close().is_err());
        let verified = verify_session(state.path(), &session(), &key.public()).unwrap();
        assert_eq!(verified.size, 1);
    }
}

#[test]
fn a_sync_that_fails_is_an_error_is_not_retried_and_signs_nothing() {
    // fdatasync(2) on a device that cannot sync is EINVAL.
    let (state, key, log) = log_on("/dev/null");
    assert!(log.append(&entry(1), Durability::Before).is_err());
    let error = log.append(&entry(2), Durability::Soon).unwrap_err();
    assert!(matches!(error, LogError::Stopped { .. }), "{error}");
    assert!(log.close().is_err());
    let verified = verify_session(state.path(), &session(), &key.public()).unwrap();
    assert!(verified.signed <= 1);
}

#[test]
fn the_documented_leaf_is_the_leaf() {
    use sha2::{Digest, Sha256};
    let (salt, payload) = ([3_u8; 32], b"{}");
    let commitment = Sha256::digest([&salt[..], payload].concat());
    let leaf = Sha256::digest([&[0_u8, 1][..], &commitment].concat());
    assert_eq!(leaf_of(&salt, payload).as_slice(), &leaf[..]);
}

#[test]
fn a_log_that_is_only_prepared_is_none_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap();
    let dir = state.path().join("sessions/s");
    let names =
        || fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    let new = SessionLog::prepare(&dir, &session(), &key, 1 << 20).unwrap();
    assert_eq!(names().len(), 1);
    assert!(!dir.join("log").exists());
    drop(new);
    assert!(names().is_empty(), "{:?}", names());
    // Killed in between: nothing was dropped.
    std::mem::forget(SessionLog::prepare(&dir, &session(), &key, 1 << 20).unwrap());
    let log = SessionLog::create(&dir, &session(), &key, 1 << 20).unwrap();
    crate::remove_unfinished(&dir);
    assert_eq!(names(), ["log"]);
    drop(log);
}
