//! The host log, the host key, and what they say about sessions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ringfence_core::{Entry, Event, SessionId};
use ringfence_log::{
    HostKey, HostLog, HostLogKnows, LogError, PublicKey, Report, SessionLog, State, VerifyError,
    verify_all, verify_host,
};

use crate::small::{Small, append, forged, records};

fn segment(small: &Small) -> PathBuf {
    small.state.path().join("host/log/segments/00000000000000000000.log")
}

fn report(small: &Small) -> Report {
    verify_all(small.state.path(), &small.key.public()).unwrap()
}

/// Three sessions, opened and closed.
fn three() -> Small {
    let small = Small::new();
    let host = HostLog::open(small.state.path(), &small.key).unwrap();
    for name in ["saaaaaaaa", "sbbbbbbbb", "scccccccc"] {
        let session: SessionId = name.parse().unwrap();
        let dir = small.state.path().join("sessions").join(name);
        let log = SessionLog::create(&dir, &session, &small.key, 1 << 20).unwrap();
        host.opened(&session, 1).unwrap();
        append(&log, 0..3);
        host.closed(&session, log.close().unwrap(), 2).unwrap();
    }
    host.wait().unwrap();
    small
}

#[test]
fn a_missing_session_is_found() {
    let small = three();
    assert!(report(&small).is_intact());
    fs::remove_dir_all(small.state.path().join("sessions/sbbbbbbbb")).unwrap();
    let report = report(&small);
    let bad: Vec<&str> = report
        .sessions
        .iter()
        .filter(|session| matches!(session.result, Err(VerifyError::Tampered(_))))
        .map(|session| session.session.as_str())
        .collect();
    assert_eq!(bad, ["sbbbbbbbb"]);
}

#[test]
fn a_session_without_its_log_is_found() {
    let small = three();
    fs::remove_dir_all(small.state.path().join("sessions/sbbbbbbbb/log")).unwrap();
    assert!(!report(&small).is_intact());
}

#[test]
fn a_session_that_the_host_log_does_not_know_is_said() {
    let small = three();
    append(&small.log(), 0..2);
    let report = report(&small);
    assert!(report.is_intact());
    let unknown: Vec<&str> = report
        .sessions
        .iter()
        .filter(|session| session.host_log == HostLogKnows::Nothing)
        .map(|session| session.session.as_str())
        .collect();
    assert_eq!(unknown, [small.session.as_str()]);
}

#[test]
fn a_session_under_another_sessions_name_is_found() {
    let small = three();
    let sessions = small.state.path().join("sessions");
    fs::rename(sessions.join("saaaaaaaa"), sessions.join("sxxxxxxxx")).unwrap();
    fs::rename(sessions.join("sbbbbbbbb"), sessions.join("saaaaaaaa")).unwrap();
    fs::rename(sessions.join("sxxxxxxxx"), sessions.join("sbbbbbbbb")).unwrap();
    let bad = report(&small).sessions.iter().filter(|session| session.result.is_err()).count();
    assert_eq!(bad, 2);
}

/// Removes what lets a broker read on from the last checkpoint.
fn forget_resume(small: &Small) {
    fs::remove_file(small.state.path().join("host/log/resume")).unwrap();
}

#[test]
fn a_changed_bit_anywhere_in_the_host_log_is_found() {
    let small = three();
    let path = segment(&small);
    let good = fs::read(&path).unwrap();
    let resume = fs::read(small.state.path().join("host/log/resume")).unwrap();
    for offset in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[offset] ^= 1;
        fs::write(&path, &bad).unwrap();
        let report = report(&small);
        assert!(matches!(report.host, Err(VerifyError::Tampered(_))), "at {offset}");
        // Whoever reads it from its beginning refuses it.
        forget_resume(&small);
        let opened = HostLog::open(small.state.path(), &small.key);
        assert!(matches!(opened, Err(LogError::Tampered(_))), "at {offset}");
        fs::write(small.state.path().join("host/log/resume"), &resume).unwrap();
    }
}

#[test]
fn a_change_that_the_next_broker_does_not_read_gets_no_signature() {
    let small = three();
    let path = segment(&small);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let host = HostLog::open(small.state.path(), &small.key).unwrap();
    append(&small.log(), 0..1);
    host.opened(&small.session, 3).unwrap();
    host.wait().unwrap();
    let Err(VerifyError::Tampered(found)) = report(&small).host else { panic!("not found") };
    assert_eq!(found.index, Some(0));
    bytes[100] ^= 1;
    let appended = fs::read(&path).unwrap().split_off(bytes.len());
    fs::write(&path, [bytes, appended].concat()).unwrap();
    assert_eq!(report(&small).host.unwrap().signed, 7);
}

#[test]
fn a_host_log_shorter_than_was_signed_is_refused_by_the_next_broker() {
    let small = three();
    let path = segment(&small);
    let good = fs::read(&path).unwrap();
    for bytes in [0, 1, records(&path)[..5].concat().len(), good.len() - 1] {
        fs::write(&path, &good[..bytes]).unwrap();
        let opened = HostLog::open(small.state.path(), &small.key);
        assert!(matches!(opened, Err(LogError::Tampered(_))), "cut to {bytes} bytes");
        assert!(!report(&small).is_intact());
    }
    fs::remove_file(&path).unwrap();
    assert!(HostLog::open(small.state.path(), &small.key).is_err());
}

#[test]
fn a_resume_note_that_was_changed_or_is_of_another_log_is_not_believed() {
    let small = three();
    let resume = small.state.path().join("host/log/resume");
    let good = fs::read(&resume).unwrap();
    let checkpoint = fs::read(small.state.path().join("host/log/checkpoint")).unwrap();
    let mut bad: Vec<Vec<u8>> = vec![Vec::new(), checkpoint, good[..good.len() - 1].to_vec()];
    bad.extend((0..good.len()).step_by(5).map(|at| {
        let mut changed = good.clone();
        changed[at] ^= 1;
        changed
    }));
    // Were it believed, the change would not be seen.
    let path = segment(&small);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for note in bad {
        fs::write(&resume, &note).unwrap();
        let opened = HostLog::open(small.state.path(), &small.key);
        let text = String::from_utf8_lossy(&note);
        assert!(matches!(opened, Err(LogError::Tampered(_))), "{text}");
    }
}

/// Bytes this thread has read so far, from files and elsewhere.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// Bytes that opening the host log reads.
fn read_by_opening(small: &Small) -> u64 {
    let before = bytes_read();
    HostLog::open(small.state.path(), &small.key).unwrap();
    bytes_read() - before
}

#[test]
fn opening_the_host_log_after_5000_sessions_reads_only_what_is_new() {
    let small = Small::new();
    drop(HostLog::open(small.state.path(), &small.key).unwrap());
    let mut bytes = Vec::new();
    for number in 0..5_000_u64 {
        let session = SessionId::from_random(number.to_le_bytes());
        let key = small.key.public().verifier(session.as_str());
        let opened = Event::LogOpened { session: session.clone(), key };
        let closed = Event::LogClosed { session, size: 1, root: "r".repeat(44) };
        for (event, index) in [(opened, number * 2), (closed, number * 2 + 1)] {
            let payload = serde_json::to_vec(&Entry { at_ms: number, event }).unwrap();
            bytes.extend(forged(&[0; 48], index, &payload));
        }
    }
    fs::write(segment(&small), &bytes).unwrap();
    let host = HostLog::open(small.state.path(), &small.key).unwrap();
    host.opened(&small.session, 1).unwrap();
    host.wait().unwrap();
    assert_eq!(verify_host(small.state.path(), &small.key.public()).unwrap().signed, 10_001);
    let read = read_by_opening(&small);
    assert!(read < 16 * 1024, "read {read} bytes");
    forget_resume(&small);
    let read = read_by_opening(&small);
    assert!(read > bytes.len() as u64, "read {read} bytes of all {}", bytes.len());
}

#[test]
fn a_host_log_that_is_gone_is_found() {
    let small = three();
    fs::remove_dir_all(small.state.path().join("host/log")).unwrap();
    assert!(!report(&small).is_intact());
}

#[test]
fn the_host_log_may_not_lose_its_end() {
    let small = three();
    let path = segment(&small);
    let records = records(&path);
    fs::write(&path, records[..5].concat()).unwrap();
    let Err(VerifyError::Tampered(found)) = report(&small).host else { panic!("not found") };
    assert_eq!(found.index, Some(5));
}

#[test]
fn a_torn_tail_of_the_host_log_is_cut_by_the_next_broker() {
    let small = three();
    let path = segment(&small);
    let good = fs::read(&path).unwrap();
    fs::write(&path, [good.as_slice(), &good[..30]].concat()).unwrap();
    let host = verify_host(small.state.path(), &small.key.public()).unwrap();
    assert_eq!(host.state, State::TornTail { bytes: 30 });
    let log = HostLog::open(small.state.path(), &small.key).unwrap();
    append(&small.log(), 0..1);
    log.opened(&small.session, 3).unwrap();
    log.wait().unwrap();
    let host = verify_host(small.state.path(), &small.key.public()).unwrap();
    assert_eq!((host.size, host.signed, host.state), (7, 7, State::Unclosed));
}

#[test]
fn brokers_write_the_host_log_at_the_same_time() {
    let small = Small::new();
    let names: Vec<SessionId> = (0..8).map(|n| SessionId::from_random([n; 8])).collect();
    std::thread::scope(|scope| {
        for session in &names {
            scope.spawn(|| {
                let host = HostLog::open(small.state.path(), &small.key).unwrap();
                let dir = small.state.path().join("sessions").join(session.as_str());
                let log = SessionLog::create(&dir, session, &small.key, 1 << 20).unwrap();
                host.opened(session, 1).unwrap();
                host.closed(session, log.close().unwrap(), 2).unwrap();
                host.wait().unwrap();
            });
        }
    });
    let report = report(&small);
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.host.unwrap().signed, 16);
    assert!(report.sessions.iter().all(|session| session.host_log == HostLogKnows::Closed));
}

#[test]
fn a_host_key_that_others_can_read_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap().public();
    let path = state.path().join("host/key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(HostKey::load_or_create(state.path()).unwrap().public(), key);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(
            HostKey::load_or_create(state.path()),
            Err(LogError::DangerousKey { mode: found, .. }) if found == mode
        ));
    }
    assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
}

#[test]
fn a_damaged_host_key_is_refused_and_never_replaced() {
    let state = tempfile::tempdir().unwrap();
    HostKey::load_or_create(state.path()).unwrap();
    let path = state.path().join("host/key");
    let good = fs::read_to_string(&path).unwrap();
    for bad in ["", "x", &good[1..], good.trim_end(), &format!("{good}x")] {
        fs::write(&path, bad).unwrap();
        assert!(matches!(HostKey::load_or_create(state.path()), Err(LogError::BadKey(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
}

#[test]
fn processes_that_make_the_host_key_at_once_end_up_with_one() {
    let state = tempfile::tempdir().unwrap();
    let keys = std::thread::scope(|scope| {
        let load = || HostKey::load_or_create(state.path()).unwrap().public().to_string();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}
