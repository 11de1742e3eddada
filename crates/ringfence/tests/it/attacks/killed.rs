//! The broker dies at any moment: nothing of its world lives on, and its log verifies.

use std::fs;
use std::time::{Duration, Instant};

use super::stage::{Stage, everybody, is_long, text};
use super::targets::wait_until;

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// Longest time after the start at which a broker is killed: well into the work of its world.
const LATEST: Duration = Duration::from_millis(400);

/// Processes that carry `marker` in their arguments or environment, brokers themselves included.
fn marked(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) || name == std::process::id().to_string()
        {
            continue;
        }
        let has = |file: &str| {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            text.windows(marker.len()).any(|part| part == marker.as_bytes())
        };
        if has("cmdline") || has("environ") {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{name}: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

#[test]
fn a_killed_broker_leaves_no_process_and_a_log_that_verifies() {
    let times = if is_long() { 200 } else { 20 };
    for (at, who) in everybody().into_iter().enumerate() {
        let stage = Stage::new(who, POLICY);
        // The home is in the environment of every process of the world.
        let marker = stage.home().to_str().unwrap().to_owned();
        // Daemons, pipes, files and programs, for as long as it is let.
        let work = "(setsid sh -c 'while :; do echo x >> d; sleep 0.01; done' &) ; \
                    while :; do echo y > f; cat f | cat > g; mv g h; done";
        let mut seen = 0;
        for turn in 0..times {
            let words = ["run", "--", "sh", "-c", work];
            let mut broker = stage.ringfence_command(&words);
            let null = || std::process::Stdio::null();
            let mut broker = broker.stdout(null()).stderr(null()).spawn().unwrap();
            // Spread over start and work; the steps have no common measure with either.
            let part = u32::try_from((turn * 7 + at * 3) % 20).unwrap();
            std::thread::sleep(LATEST * part / 20);
            seen = seen.max(marked(&marker).len());
            broker.kill().unwrap();
            broker.wait().unwrap();
            wait_until("all processes are gone", || marked(&marker).is_empty());
        }
        // The oracle: there was more than the broker to be killed.
        assert!(seen >= 4, "{who:?}: never more than {seen} processes");
        let start = Instant::now();
        let verified = stage.ringfence_command(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{who:?}: {}", text(&verified));
        println!("{who:?}: verified in {:?}: {}", start.elapsed(), text(&verified));
        // What was left in the tree is taken away by the next session.
        stage.succeed(&["run", "--", "true"]);
        for name in [".vscode", ".claude", ".mcp.json"] {
            assert!(!stage.has(&format!("project/{name}")), "{who:?}: {name} was left");
        }
    }
}
