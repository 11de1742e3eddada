//! A person with a home outside /tmp (where Codex refuses to work), and a project in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The ordinary user, when the tests run as root.
const ORDINARY: u32 = 51_235;

/// Who starts the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever runs the tests; for root, the payload is nobody.
    Caller,
    /// An ordinary user, made out of root.
    Ordinary,
}

impl Who {
    /// Everybody as whom this test run can act.
    pub(crate) fn all() -> Vec<Who> {
        let root = rustix::process::geteuid().is_root();
        if root { vec![Who::Caller, Who::Ordinary] } else { vec![Who::Caller] }
    }
}

/// `DIR/own/ringfence`, `DIR/bin` (in `PATH`), `DIR/home` with `project`.
pub(crate) struct Person {
    who: Who,
    dir: tempfile::TempDir,
    path: String,
}

impl Person {
    pub(crate) fn new(who: Who) -> Person {
        let dir = tempfile::Builder::new().prefix("ringfence-person").tempdir_in("/var/tmp");
        let dir = dir.unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", dir.path().display());
        let person = Person { who, dir, path };
        for name in ["own", "bin", "home/project"] {
            fs::create_dir_all(person.dir.path().join(name)).unwrap();
        }
        person.give(&person.home());
        person.give(&person.project());
        link(&crate::program(), &person.ringfence_program());
        person
    }

    /// Puts a program into the person's `PATH`.
    pub(crate) fn install(&self, program: &Path) -> PathBuf {
        let at = self.dir.path().join("bin").join(program.file_name().unwrap());
        link(program, &at);
        at
    }

    /// Puts a directory in front of the person's `PATH`.
    pub(crate) fn prepend_path(&mut self, dir: &Path) {
        self.path = format!("{}:{}", dir.display(), self.path);
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.home().join("project")
    }

    pub(crate) fn ringfence_program(&self) -> PathBuf {
        self.dir.path().join("own/ringfence")
    }

    /// Makes the person the owner of a file and of what is in it.
    pub(crate) fn give(&self, path: &Path) {
        if self.who != Who::Ordinary {
            return;
        }
        chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        let inner = if path.is_dir() { fs::read_dir(path).ok() } else { None };
        inner.into_iter().flatten().for_each(|entry| self.give(&entry.unwrap().path()));
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.give(&self.project());
    }

    /// A program as this person, in the project.
    pub(crate) fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = match self.who {
            Who::Caller => Command::new(program),
            Who::Ordinary => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={ORDINARY}"), &format!("--regid={ORDINARY}")]);
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        };
        command
            .args(words)
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", &self.path)
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// `ringfence` with these words.
    pub(crate) fn ringfence(&self, words: &[&str]) -> Command {
        self.command(&self.ringfence_program(), words)
    }

    /// `ringfence` with these words, which must succeed; its stdout.
    pub(crate) fn succeed(&self, words: &[&str]) -> String {
        let output = self.ringfence(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A shell script in the project, outside any world.
    pub(crate) fn outside(&self, script: &str) -> Output {
        self.command(Path::new("/bin/sh"), &["-ec", script]).output().unwrap()
    }

    /// The same in a world.
    pub(crate) fn inside(&self, script: &str) -> Output {
        self.ringfence(&["run", "--", "/bin/sh", "-ec", script]).output().unwrap()
    }

    /// What was decided in the session that started last: verdict, and the act as JSON text.
    pub(crate) fn decided(&self) -> Vec<(String, String)> {
        let lines = self.succeed(&["log", "show", "--json"]);
        let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let decided = entries.filter(|line| line["entry"]["event"] == "decided");
        let pair = |line: Value| {
            let verdict = line["entry"]["verdict"].to_string();
            (verdict, line["entry"]["request"]["act"].to_string())
        };
        decided.map(pair).collect()
    }

    /// That this person's directory does not show in what is printed.
    pub(crate) fn stable(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.replace(&self.dir.path().display().to_string(), "DIR")
    }
}

impl Drop for Person {
    /// A session's log may still be on its way to the disk when its `run` has ended: a file that
    /// appears meanwhile keeps its directory from being removed.
    fn drop(&mut self) {
        for _ in 0..20 {
            if fs::remove_dir_all(self.dir.path()).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

pub(crate) fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
}

fn link(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// One JSON value a line, as an array.
pub(crate) fn json_lines(text: &str) -> serde_json::Value {
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect()
}
