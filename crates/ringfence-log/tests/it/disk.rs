//! A disk that refuses: the entry is an error, so is every later one, and the log verifies.

use std::path::PathBuf;
use std::process::Command;

use ringfence_core::Durability;
use ringfence_log::{HostKey, LogError, SessionLog, verify_session};

use crate::small::entry;

/// Where the child writes its log.
const STATE: &str = "RINGFENCE_LOG_TEST_STATE";

#[test]
#[ignore = "run by the other tests of this file in a process of its own"]
fn child_that_fills_the_disk() {
    let state = PathBuf::from(std::env::var_os(STATE).unwrap());
    let key = HostKey::load_or_create(&state).unwrap();
    let (dir, session) = (state.join("s"), "stestsession".parse().unwrap());
    let log = SessionLog::create(&dir, &session, &key, 1 << 30).unwrap();
    let mut good = 0;
    let first = loop {
        match log.append(&entry(good), Durability::Soon) {
            Ok(index) => assert_eq!(index, good),
            Err(error) => break error,
        }
        good += 1;
    };
    // Either this write met the full disk, or the committer's did a moment earlier.
    assert!(matches!(first, LogError::Io { .. } | LogError::Stopped { .. }), "{first:?}");
    for durability in [Durability::Soon, Durability::Before] {
        let later = log.append(&entry(0), durability);
        assert!(matches!(later, Err(LogError::Stopped { .. })), "{later:?}");
    }
    assert!(log.close().is_err());
    let verified = verify_session(&dir, &session, &key.public()).unwrap();
    assert_eq!(verified.size, good);
    assert!(good > 100);
}

fn child(shell: &str, state: &std::path::Path) {
    let output = Command::new("sh")
        .args(["-c", shell, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "disk::child_that_fills_the_disk"])
        .env(STATE, state)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_segment_that_may_not_grow_stops_the_log() {
    let state = tempfile::tempdir().unwrap();
    // Files of at most 64 KiB; SIGXFSZ ignored, so that write(2) fails in the middle of a record.
    child("trap '' XFSZ; ulimit -f 128; exec \"$@\"", state.path());
}

#[test]
fn a_full_disk_stops_the_log() {
    let state = tempfile::tempdir().unwrap();
    // A mount namespace of its own, so that nothing has to be unmounted; 256 KiB of disk.
    let mount = "mount -t tmpfs -o size=256k none \"$RINGFENCE_LOG_TEST_STATE\" && exec \"$@\"";
    let script = if rustix::process::geteuid().is_root() {
        format!("exec unshare --mount sh -c '{mount}' sh \"$@\"")
    } else {
        format!("exec unshare --user --map-root-user --mount sh -c '{mount}' sh \"$@\"")
    };
    child(&script, state.path());
}
