//! Unit tests of the log; whole logs under attack are in `tests/it`.

use ringfence_core::{Durability, Entry, Event, SessionId};

use super::*;

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
