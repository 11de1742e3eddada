//! SIGKILL at any moment leaves a log that verifies and holds every acknowledged entry.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use ringfence_core::Durability;
use ringfence_log::{HostKey, HostLog, SessionLog, State, verify_all};

use crate::small::{Small, entry};

/// Where the child writes its log.
const STATE: &str = "RINGFENCE_LOG_TEST_STATE";

#[test]
#[ignore = "run by `a_broker_that_is_killed_leaves_a_log_that_verifies` in a process of its own"]
fn child_that_writes_until_it_is_killed() {
    let state = std::path::PathBuf::from(std::env::var_os(STATE).unwrap());
    let key = HostKey::load_or_create(&state).unwrap();
    let host = HostLog::open(&state, &key).unwrap();
    let session = "stestsession".parse().unwrap();
    let log = SessionLog::create(&state.join("sessions/stestsession"), &session, &key, 1 << 30);
    let log = log.unwrap();
    host.opened(&session, 0).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let log = &log;
            scope.spawn(move || {
                for number in 0.. {
                    let before = (number + writer).is_multiple_of(64);
                    let durability = if before { Durability::Before } else { Durability::Soon };
                    let index = log.append(&entry(number), durability).unwrap();
                    // One write per line, straight to the pipe: not captured, not buffered.
                    let line = format!("ack {index}\n");
                    std::io::stderr().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_broker_that_is_killed_leaves_a_log_that_verifies() {
    let mut torn_or_unclosed = 0;
    for round in 0..24_u64 {
        let small = Small::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::child_that_writes_until_it_is_killed"])
            .env(STATE, small.state.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        std::thread::sleep(Duration::from_millis(2 + round * 5 % 61));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader
            .join()
            .unwrap()
            .lines()
            .map(|line| line.strip_prefix("ack ").unwrap_or_else(|| panic!("child: {line}")))
            .map(|index| index.parse::<u64>().unwrap())
            .max();
        let report = verify_all(small.state.path(), &small.key.public()).unwrap();
        if !small.state.path().join("host/log").exists() {
            // Killed before it had a log at all.
            assert_eq!(acknowledged, None);
            continue;
        }
        assert!(report.host.is_ok(), "round {round}: {report:?}");
        if small.file("checkpoint").exists() {
            assert!(report.is_intact(), "round {round}: {report:?}");
            let verified = small.verify().unwrap();
            assert!(acknowledged.is_none_or(|index| index < verified.size), "round {round}");
            assert!(matches!(verified.state, State::Unclosed | State::TornTail { .. }));
            torn_or_unclosed += 1;
        } else {
            assert_eq!(acknowledged, None);
        }
    }
    assert!(torn_or_unclosed > 0, "every child was killed before it had a log");
}
