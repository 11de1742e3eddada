//! Any bytes as a segment: read without a panic, entry after entry, and never taken for signed.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ringfence_core::SessionId;
use ringfence_log::{HostKey, LogReader, PublicKey, ReadError, SessionLog, verify_session};
use tempfile::TempDir;

struct Log {
    state: TempDir,
    key: PublicKey,
    session: SessionId,
}

/// One log that signed nothing; its only segment is replaced.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let state = tempfile::tempdir().unwrap();
    let key = HostKey::load_or_create(state.path()).unwrap();
    let session: SessionId = "stestsession".parse().unwrap();
    drop(SessionLog::create(state.path(), &session, &key, 1 << 20).unwrap());
    Log { state, key: key.public(), session }
});

fuzz_target!(|bytes: &[u8]| {
    let Log { state, key, session } = &*LOG;
    fs::write(state.path().join("log/segments/00000000000000000000.log"), bytes).unwrap();
    let mut whole = 0;
    for entry in LogReader::open(state.path()).unwrap() {
        match entry {
            Ok(logged) => assert_eq!(logged.index, whole),
            // A whole record that is no entry of ours still has its index.
            Err(ReadError::Unknown { index, .. }) => assert_eq!(index, whole),
            Err(_) => break,
        }
        whole += 1;
    }
    if let Ok(verified) = verify_session(state.path(), session, key) {
        assert_eq!((verified.size, verified.signed), (whole, 0));
    }
});
