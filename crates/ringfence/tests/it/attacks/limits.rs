//! Using up what the host has.

use super::stage::{Side, Stage, Who, everybody, text};

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
        let closing = String::from_utf8_lossy(&output.stderr);
        let wanted = "`file_bytes_max = 5000` ended a process";
        assert!(closing.contains(wanted), "{who:?}: {closing}");
    }
}

/// What would use up a host, the limits that it is held by, and the one that ends it.
const BOMBS: [(&str, &str, &str); 13] = [
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
    // Children that nobody waits for take along what they have used.
    (
        "cpu_seconds_max = 2",
        "cpu_seconds_max",
        "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n  \
         if os.fork() == 0:\n    while time.process_time() < 0.5: pass\n    os._exit(0)\n  time.sleep(1)",
    ),
    (
        "written_bytes_max = 50000000",
        "written_bytes_max",
        "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n  \
         if os.fork() == 0:\n    open('large', 'wb').write(b'x' * (10 << 20)); time.sleep(0.5); \
         os._exit(0)\n  time.sleep(0.7)",
    ),
    // Nobody but root sees what this one writes.
    (
        "written_bytes_max = 50000000",
        "written_bytes_max",
        "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nf = open('large', 'wb')\n\
         while True: f.write(b'x' * (1 << 20))",
    ),
    // Nothing is written, and yet the disk fills up.
    (
        "disk_bytes_max = 50000000",
        "disk_bytes_max",
        "import os, time\nfor n in range(20):\n  f = os.open(f'l{n}', 65)\n  \
         os.posix_fallocate(f, 0, 10 << 20)\n  os.close(f)\nos.mkdir('d'); os.rename('l1', 'd/x'); \
         os.rename('d', 'e')\ntime.sleep(60)",
    ),
    (
        "disk_bytes_max = 50000000",
        "disk_bytes_max",
        "import os, time\nf = os.open('large', 65); os.unlink('large')\n\
         os.posix_fallocate(f, 0, 100 << 20)\ntime.sleep(60)",
    ),
    (
        "disk_bytes_max = 50000000",
        "disk_bytes_max",
        "import os, time\nf = os.open('large', 65); os.chmod('.', 0)\n\
         os.posix_fallocate(f, 0, 100 << 20)\nos.close(f)\ntime.sleep(60)",
    ),
    (
        "disk_bytes_max = 50000000",
        "disk_bytes_max",
        "import os, time\nos.mkdir('d'); d = os.open('d', 0); f = os.open('large', 65, dir_fd=d)\n\
         os.posix_fallocate(f, 0, 100 << 20)\nos.close(f); os.chmod('d', 0)\ntime.sleep(60)",
    ),
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
            let said = text(&run);
            let named = [format!("reached `{reached} = "), format!("be held to `{reached} = ")];
            assert!(named.iter().any(|named| said.contains(named)), "{said}");
            let shown = text(&stage.ringfence_command(&["show"]).output().unwrap());
            assert!(shown.contains(&format!("ended by its limit: {reached} = ")), "{shown}");
            let entries = text(&stage.ringfence_command(&["log", "verify"]).output().unwrap());
            assert!(!entries.contains("bad"), "{entries}");
        }
    }
}

#[test]
fn a_limit_that_a_session_goes_on_with_is_named_at_its_end() {
    // Only a control group counts what it refuses.
    let stage = Stage::new(Who::Root, POLICY);
    stage.write(".config/ringfence/settings.toml", "[limits]\nprocesses_max = 20\n");
    stage.write(
        "project/many.py",
        "import os, time\nfor _ in range(40):\n  try:\n    if os.fork() == 0: time.sleep(0.3); os._exit(0)\n\
         \x20 except OSError: pass\n",
    );
    let run = stage.ringfence_command(&["run", "--", "python3", "-I", "many.py"]).output().unwrap();
    let said = text(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert!(said.contains("`processes_max = 20` kept a process or thread from starting"), "{said}");
    assert!(said.contains("to raise it, change `[limits]`"), "{said}");
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

#[test]
fn a_limit_of_zero_or_beyond_the_machine_starts_nothing() {
    for who in everybody() {
        let cases = [
            ("memory_bytes_max = 0", "`memory_bytes_max` must be at least 4194304"),
            ("disk_bytes_max = 0", "`disk_bytes_max` must be at least 1"),
            ("memory_bytes_max = 1152921504606846976", "is more than this machine has: "),
            ("cpu_percent_max = 1000000", "percent of one processor"),
            ("disk_bytes_max = 1152921504606846976", "bytes on the disk of the project"),
        ];
        for (limit, wanted) in cases {
            let stage = Stage::new(who, POLICY);
            stage.write(".config/ringfence/settings.toml", &format!("[limits]\n{limit}\n"));
            let run = stage.ringfence_command(&["run", "--", "touch", "made"]).output().unwrap();
            assert_eq!(run.status.code(), Some(125), "{who:?} {limit}: {}", text(&run));
            assert!(text(&run).contains(wanted), "{who:?} {limit}: {}", text(&run));
            assert!(!stage.home().join("project/made").exists(), "{limit}");
        }
    }
}

/// Writes 3 MiB past the page cache, and says how many tenths of a second that took.
const DIRECT: &str = "import mmap, os, time\nf = os.open('large', os.O_WRONLY | os.O_CREAT | \
                      os.O_DIRECT, 0o600)\nb = mmap.mmap(-1, 1 << 20)\nstart = time.monotonic()\n\
                      for _ in range(3): os.write(f, b)\nprint('tenths', int((time.monotonic() - \
                      start) * 10))";

#[test]
fn a_disk_is_written_no_faster_than_the_limit_says_or_that_is_said() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        stage.write("project/direct.py", DIRECT);
        let limits = "[limits]\nio_bytes_per_second_max = 1048576\n";
        stage.write(".config/ringfence/settings.toml", limits);
        let run = stage.ringfence_command(&["run", "--", "python3", "-I", "direct.py"]).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{who:?}: {}", text(&run));
        let tenths = text(&run).lines().find_map(|line| line.strip_prefix("tenths ")?.parse().ok());
        let tenths: u32 = tenths.unwrap();
        let said = text(&stage.ringfence_command(&["show", "--json"]).output().unwrap());
        let view: serde_json::Value = serde_json::from_str(&said).unwrap();
        let layer = view["layers"].as_array().unwrap().iter().find(|it| it["layer"] == "limits");
        let detail = layer.unwrap()["detail"].as_str().unwrap();
        let is_held = !detail.contains("not all bounded") || detail.contains("version 1");
        assert!(tenths >= 15 || !is_held, "{who:?}: {tenths} tenths, and `{detail}`");
    }
}
