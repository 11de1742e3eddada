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

/// What would use up a host, the limits that it is held by, and the one that ends it.
const BOMBS: [(&str, &str, &str); 6] = [
    (
        "processes_max = 60",
        "processes_max",
        "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
    ),
    (
        "processes_max = 60",
        "processes_max",
        "import threading, time\nwhile True:\n  try: threading.Thread(target=lambda: time.sleep(60)).start()\n  \
         except RuntimeError: pass",
    ),
    (
        "memory_bytes_max = 80000000",
        "memory_bytes_max",
        "a = []\nwhile True: a.append(bytearray(1 << 20))",
    ),
    (
        "memory_bytes_max = 80000000\nprocesses_max = 100",
        "memory_bytes_max",
        "import os\nfor _ in range(40):\n  if os.fork() == 0: break\nl = []\nwhile True:\n  try:\n    \
         l.append(os.memfd_create('x')); os.write(l[-1], b'x' * 4096)\n  except OSError: pass",
    ),
    (
        "written_bytes_max = 50000000",
        "written_bytes_max",
        "f = open('large', 'wb')\nwhile True: f.write(b'x' * (1 << 20))",
    ),
    ("cpu_seconds_max = 1", "cpu_seconds_max", "while True: pass"),
];

#[test]
fn a_bomb_ends_its_own_session_and_is_recorded() {
    for who in everybody() {
        for (limits, reached, bomb) in BOMBS {
            let stage = Stage::new(who, POLICY);
            stage.write(".config/ringfence/settings.toml", &format!("[limits]\n{limits}\n"));
            stage.write("project/bomb.py", bomb);
            let run = stage.ringfence_command(&["run", "--", "python3", "-I", "bomb.py"]).output();
            let run = run.unwrap();
            assert_eq!(run.status.code(), Some(137), "{who:?} {reached}: {}", text(&run));
            assert!(text(&run).contains(&format!("it reached `{reached} = ")), "{}", text(&run));
            let shown = text(&stage.ringfence_command(&["show"]).output().unwrap());
            assert!(shown.contains(&format!("ended by its limit: {reached} = ")), "{shown}");
            let entries = text(&stage.ringfence_command(&["log", "verify"]).output().unwrap());
            assert!(!entries.contains("bad"), "{entries}");
        }
    }
}

#[test]
fn a_session_within_its_limits_ends_by_itself() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let limits = "memory_bytes_max = 500000000\nprocesses_max = 100\ncpu_percent_max = 200\n\
                      cpu_seconds_max = 20\nwall_seconds_max = 60\nwritten_bytes_max = 50000000";
        stage.write(".config/ringfence/settings.toml", &format!("[limits]\n{limits}\n"));
        let run = stage.ringfence_command(&["run", "--", "sh", "-c", "echo done"]);
        let run = { run }.output().unwrap();
        assert!(run.status.success(), "{who:?}: {}", text(&run));
        assert!(text(&run).contains("done"));
        let groups = "/sys/fs/cgroup/memory";
        let left = std::fs::read_dir(groups).into_iter().flatten().flatten();
        let said = text(&stage.ringfence_command(&["show", "--json"]).output().unwrap());
        let view: serde_json::Value = serde_json::from_str(&said).unwrap();
        let session = view["session"].as_str().unwrap();
        let layer = view["layers"].as_array().unwrap().iter().find(|it| it["layer"] == "limits");
        assert!(
            layer.is_some_and(|it| it["detail"].as_str().unwrap().contains("500000000")),
            "{said}"
        );
        let own = format!("ringfence-{session}");
        assert!(left.into_iter().all(|it| it.file_name() != *own), "a group is left");
    }
}
