//! A home with a project, somebody who owns it, and the same script run there outside and inside.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::oci::{Content, Images};

/// The ordinary user, when the tests run as root; nobody else has this number.
const ORDINARY: u32 = 51_234;

/// What worlds in a container are made of.
const IMAGE: &str = "ringfence-attacks";

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Root starts the world; its payload is never root.
    Root,
    /// An ordinary user, made out of root.
    Ordinary,
    /// Whoever runs the tests, who is not root.
    Caller,
}

/// Everybody as whom this test run can attack.
pub(crate) fn everybody() -> Vec<Who> {
    if is_root() { vec![Who::Root, Who::Ordinary] } else { vec![Who::Caller] }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// On which side of the walls something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Outside,
    Inside,
}

/// `DIR/bin` (our programs), `DIR/home` with `project` (granted), `readonly` and `outside`.
pub(crate) struct Stage {
    pub(crate) who: Who,
    dir: tempfile::TempDir,
}

impl Stage {
    /// A project whose policy is trusted; `HOME` in the policy's text stands for the home.
    pub(crate) fn new(who: Who, policy: &str) -> Stage {
        let stage = Stage::without_policy(who);
        let policy = policy.replace("HOME", stage.home().to_str().unwrap());
        stage.write("project/.ringfence/policy.cedar", &policy);
        stage.succeed(&["trust", "--yes"]);
        stage
    }

    pub(crate) fn without_policy(who: Who) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let stage = Stage { who, dir };
        for name in ["bin", "home/project", "home/readonly", "home/outside"] {
            fs::create_dir_all(stage.root().join(name)).unwrap();
        }
        for name in ["home", "home/project", "home/readonly", "home/outside"] {
            stage.give(&stage.root().join(name));
        }
        link(Path::new(env!("CARGO_BIN_EXE_ringfence")), &stage.ringfence());
        link(attacks(), &stage.attacks());
        stage
    }

    /// Puts the library of the tier `preload` beside our program.
    pub(crate) fn give_library(&self) {
        const NAME: &str = "libringfence_preload.so";
        let built = Path::new(env!("CARGO_BIN_EXE_ringfence")).with_file_name(NAME);
        assert!(built.exists(), "`cargo build --workspace` builds {}", built.display());
        fs::copy(built, self.ringfence().with_file_name(NAME)).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.home().join("project")
    }

    pub(crate) fn ringfence(&self) -> PathBuf {
        self.root().join("bin/ringfence")
    }

    /// The attacks as a program; a copy in the project runs inside.
    fn attacks(&self) -> PathBuf {
        self.root().join("bin/attacks")
    }

    /// Another copy of the attacks.
    pub(crate) fn copy_attacks(&self, name: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::copy(self.attacks(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.give(&path);
        path
    }

    /// Writes a file below the home, owned by whoever attacks.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.home().join(name);
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for dir in above.into_iter().rev().filter(|dir| !dir.exists()).collect::<Vec<_>>() {
            fs::create_dir(dir).unwrap();
            self.give(dir);
        }
        fs::write(&path, text).unwrap();
        self.give(&path);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(name)).unwrap_or_default()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.home().join(name)).is_ok()
    }

    /// Makes whoever attacks the owner.
    pub(crate) fn give(&self, path: &Path) {
        if self.who == Who::Ordinary {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }

    /// A program as whoever attacks, in the project.
    pub(crate) fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = if self.who == Who::Ordinary {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={ORDINARY}"), &format!("--regid={ORDINARY}")]);
            command.args(["--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(words)
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("CONTAINERS_STORAGE_CONF", Images::of(self.uid()).settings())
            .stdin(Stdio::null());
        command
    }

    /// Whoever attacks, by number.
    fn uid(&self) -> u32 {
        if self.who == Who::Ordinary { ORDINARY } else { rustix::process::geteuid().as_raw() }
    }

    /// Makes an image with a shell, for whoever attacks, and returns its name.
    pub(crate) fn image(&self) -> &'static str {
        let content = Content::busybox();
        content.libraries(&self.ringfence());
        Images::of(self.uid()).import(&content, IMAGE);
        IMAGE
    }

    /// `ringfence` with these words.
    pub(crate) fn ringfence_command(&self, words: &[&str]) -> Command {
        self.command(&self.ringfence(), words)
    }

    pub(crate) fn succeed(&self, words: &[&str]) -> String {
        let output = self.ringfence_command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    }

    /// Runs a shell script in the project, outside or under `ringfence run`, with descriptor 9 on
    /// the directory `outside`.
    pub(crate) fn script(&self, side: Side, script: &str) -> Output {
        self.script_in("namespaces", side, script)
    }

    /// The same in a world of this tier.
    pub(crate) fn script_in(&self, tier: &str, side: Side, script: &str) -> Output {
        self.write("project/script.sh", script);
        let outside = self.home().join("outside");
        let ringfence = self.ringfence();
        let start = "exec 9<\"$1\"; shift; exec \"$@\"";
        let mut words = vec!["-c", start, "sh", outside.to_str().unwrap()];
        if side == Side::Inside {
            words.extend([ringfence.to_str().unwrap(), "run", "--tier", tier]);
            if tier == "oci" {
                words.extend(["--image", self.image()]);
            }
            words.push("--");
        }
        words.extend(["sh", "./script.sh"]);
        self.command(Path::new("/bin/sh"), &words).output().unwrap()
    }

    /// The name of the one running session.
    pub(crate) fn running(&self) -> Option<String> {
        let listed = self.ringfence_command(&["sessions", "--json"]).output().unwrap();
        let lines = String::from_utf8(listed.stdout).unwrap();
        let mut all = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
        let running = all.find(|it: &serde_json::Value| it["state"] == "running")?;
        running["session"].as_str().map(str::to_owned)
    }
}

pub(crate) fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
}

/// Whether the full counts are asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("RINGFENCE_TEST_LONG").is_some_and(|value| value == "1")
}

/// The attacks, compiled once in a test run.
fn attacks() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = dir.join(format!("attacks-{}", std::process::id()));
        let source = "tests/attacks/attacks.c";
        let made = Command::new("cc")
            .args(["-O1", "-static", "-pthread", "-Wall", "-o"])
            .arg(&program)
            .arg(source)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        // The next test run finds it in place of its own: same source, same program.
        let known = dir.join("attacks");
        fs::rename(&program, &known).unwrap();
        known
    })
}

fn link(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}
