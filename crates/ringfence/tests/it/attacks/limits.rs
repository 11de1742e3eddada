//! Using up what the host has.

use super::stage::{Side, Stage, everybody, text};

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// Starts 60 processes that wait, and writes a large file.
const GREEDY: &str = "python3 -I -c 'import os, time
made = 0
try:
    for _ in range(60):
        if os.fork() == 0: time.sleep(60); os._exit(0)
        made += 1
except BlockingIOError: pass
print(made, flush=True)
os.killpg(0, 15)' &
wait; head -c 9000 /dev/zero > large; stat -c %s large";

#[test]
fn the_limits_of_the_settings_hold() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let script = GREEDY.replace("python3", "setsid python3");
        let oracle = stage.script(Side::Outside, &script);
        assert_eq!(text(&oracle), "60\n9000\n", "{who:?}");
        stage.write(
            ".config/ringfence/settings.toml",
            "[limits]\nprocesses_max = 20\nfile_bytes_max = 5000\n",
        );
        let output = stage.script(Side::Inside, &script);
        let said = text(&output);
        let numbers: Vec<u32> = said.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(matches!(numbers[..], [1..=20, 0..=5000]), "{who:?}: {said}");
    }
}
