//! A person's home directory for one test, and the program run in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringfence_core::{
    AbsolutePath, Act, Agent, Carried, CommandLine, Endpoint, Entry, Event, Exec, Exit, FileChange,
    FileIdentity, Grounds, NetUsage, Outcome, Process, Record as _, Request, SessionId, Summary,
    Trace, Usage, Verdict,
};
use ringfence_log::{HostKey, HostLog, SessionLog};

/// The session that [`Home::record_session`] writes.
pub(crate) const SESSION: &str = "sabcdefgh";

/// A moment: 2026-11-21 13:03:55 UTC.
const AT_MS: u64 = 1_795_266_235_000;

/// A home with one project, `project`, in which commands run.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        Home { dir }
    }

    /// A home whose project has a policy that is trusted.
    pub(crate) fn with_policy(policy: &str) -> Home {
        let home = Home::new();
        home.write("project/.ringfence/policy.cedar", policy);
        assert!(home.run(&["trust", "--yes"]).ends_with("[0]\n"));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path(".local/state/ringfence")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs one command without a terminal and returns its transcript.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.run_with(words, "")
    }

    /// The same with something on stdin.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> String {
        self.transcript((self.command(words), words), input)
    }

    /// The same where the environment has these variables too.
    pub(crate) fn run_where(&self, variables: &[(&str, &str)], words: &[&str]) -> String {
        let mut command = self.command(words);
        command.envs(variables.iter().copied());
        self.transcript((command, words), "")
    }

    /// Runs one command in another directory of the home.
    pub(crate) fn run_in(&self, dir: &str, words: &[&str]) -> String {
        let mut command = self.command(words);
        command.current_dir(self.path(dir));
        self.transcript((command, words), "")
    }

    fn transcript(&self, (mut command, words): (Command, &[&str]), input: &str) -> String {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read closes the pipe; that is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let mut text = format!("$ ringfence {}\n", words.join(" "));
        text.push_str(&String::from_utf8(output.stdout).unwrap());
        for line in String::from_utf8(output.stderr).unwrap().lines() {
            text.push_str(&format!("! {line}\n"));
        }
        text.push_str(&format!("[{}]\n", output.status.code().unwrap()));
        self.stable(&text)
    }

    /// Several commands, one after the other.
    pub(crate) fn session(&self, commands: &[&[&str]]) -> String {
        commands.iter().map(|words| self.run(words)).collect()
    }

    /// Stdout of a command as JSON, and its exit status.
    pub(crate) fn json(&self, words: &[&str]) -> (serde_json::Value, i32) {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        let status = output.status.code().unwrap();
        (serde_json::from_slice(&output.stdout).unwrap(), status)
    }

    /// What is printed, one JSON value a line, as an array.
    pub(crate) fn json_lines(&self, words: &[&str]) -> serde_json::Value {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        crate::person::json_lines(&String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command
            .args(words)
            .current_dir(self.path("project"))
            .env_clear()
            .env("HOME", self.path(""))
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC");
        command
    }

    /// What differs from run to run, replaced by a word.
    fn stable(&self, text: &str) -> String {
        let home = self.path("").display().to_string();
        let text = text.replace(home.trim_end_matches('/'), "HOME");
        // The built-in rules name directories, so that their digest is another in each home.
        let mut parts = text.split("sha256 ");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{text}sha256 DIGEST{rest}")
        })
    }

    /// Writes the log of a session that ran, as a broker would have.
    pub(crate) fn record_session(&self) {
        let id: SessionId = SESSION.parse().unwrap();
        self.record(self.events(&id));
    }

    /// Writes the log of a session with these entries, one a second.
    pub(crate) fn record(&self, events: Vec<Event>) {
        let state = self.state();
        std::fs::create_dir_all(&state).unwrap();
        let key = HostKey::load_or_create(&state).unwrap();
        let id: SessionId = SESSION.parse().unwrap();
        let host = HostLog::open(&state, &key).unwrap();
        let dir = state.join("sessions").join(SESSION);
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        let log = SessionLog::create(&dir, &id, &key, 1 << 20).unwrap();
        host.opened(&id, AT_MS).unwrap();
        for (second, event) in (0..).zip(events) {
            let entry = Entry { at_ms: AT_MS + second * 1000, event };
            log.record(&entry, ringfence_core::Durability::Soon).unwrap();
        }
        host.closed(&id, log.close().unwrap(), AT_MS).unwrap();
        host.wait().unwrap();
    }

    /// The entries of a session that ran.
    pub(crate) fn events(&self, id: &SessionId) -> Vec<Event> {
        let project = AbsolutePath::parse(self.path("project").to_str().unwrap()).unwrap();
        let child = (12, 11);
        vec![
            Event::SessionOpened {
                session: id.clone(),
                agent: "builder".to_owned(),
                command: vec!["sh".to_owned(), "build.sh".to_owned()],
                cwd: project.clone(),
                uid: 1000,
                time_zone: "UTC".to_owned(),
                policy: Vec::new(),
                plan_sha256: String::new(),
                layers: Vec::new(),
                version: "0.1.0".to_owned(),
                trace: Trace::Off,
                warm: false,
                server: false,
                starts_in: None,
            },
            decided((11, 1), exec("/usr/bin/sh", &["sh", "build.sh"]), Verdict::Permit, None),
            Event::Finished { of: 1, outcome: Outcome::Done },
            decided(child, exec("/usr/bin/curl", &["curl", "x"]), Verdict::Permit, None),
            Event::Finished { of: 3, outcome: Outcome::Done },
            decided(child, connect("api.example.com"), Verdict::Permit, None),
            decided(
                child,
                Act::Write(project.join("out\u{1b}[31m.txt").unwrap()),
                Verdict::Permit,
                Some(FileChange::Created),
            ),
            Event::Finished { of: 5, outcome: Outcome::Connection(usage()) },
            decided(child, connect("api.stripe.com"), Verdict::Deny, None),
            Event::ProcessExited { pid: 12, exit: Exit::Code(22), usage: used(120), limit: None },
            Event::ProcessExited { pid: 11, exit: Exit::Code(0), usage: used(4), limit: None },
            Event::SessionClosed {
                summary: Summary {
                    permitted: 4,
                    denied: 1,
                    asked: 0,
                    failed: 0,
                    files_changed: 1,
                    exit_code: 0,
                },
            },
        ]
    }

    /// The only segment of the session's log.
    pub(crate) fn segment(&self) -> PathBuf {
        let dir = self.state().join("sessions").join(SESSION).join("log/segments");
        first_file(&dir)
    }
}

fn first_file(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path()
}

fn decided(pid: (i32, i32), act: Act, verdict: Verdict, change: Option<FileChange>) -> Event {
    Event::Decided {
        request: Request {
            agent: Agent("builder".to_owned()),
            act,
            process: Some(Process { pid: pid.0, parent: Some(pid.1) }),
        },
        verdict,
        grounds: Grounds::default(),
        digest: String::new(),
        approvals: Vec::new(),
        unobserved: change.is_some(),
        change,
    }
}

fn exec(program: &str, words: &[&str]) -> Act {
    let argv: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    Act::Exec(Exec {
        program: AbsolutePath::parse(program).unwrap(),
        identity: FileIdentity { device: 1, inode: 1 },
        command_line: CommandLine::new(words[0], &argv),
        cwd: AbsolutePath::root(),
    })
}

fn connect(host: &str) -> Act {
    Act::Connect(Endpoint::new(host, 443).unwrap())
}

fn usage() -> NetUsage {
    NetUsage {
        endpoint: Endpoint::new("api.example.com", 443).unwrap(),
        address: Some("192.0.2.7:443".to_owned()),
        bytes_sent: 812,
        bytes_received: 1_234_567,
        duration_ms: 90,
        carried: Some(Carried::Tls),
        error: None,
    }
}

fn used(cpu_time_ms: u64) -> Usage {
    Usage {
        cpu_time_ms: Some(cpu_time_ms),
        peak_memory_mb: Some(12),
        sampled: cpu_time_ms > 100,
        ..Usage::default()
    }
}
