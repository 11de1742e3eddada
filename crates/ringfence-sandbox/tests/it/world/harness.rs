//! Programs run outside a world (the oracle) and inside one, by root and by an ordinary user.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Longer than any test takes on a loaded machine; a world that hangs is a failed test.
const SECONDS_MAX: &str = "30";
const LINE_WAIT: Duration = Duration::from_secs(20);
/// An ordinary user that owns nothing.
const ORDINARY: u32 = 12_345;

/// Who starts the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Root, whose payload is `nobody`.
    Root,
    /// An ordinary user, whose payload is the same.
    Ordinary,
}

/// Everyone this test run can be.
pub(crate) fn everyone() -> Vec<Who> {
    if rustix::process::geteuid().is_root() {
        vec![Who::Root, Who::Ordinary]
    } else {
        vec![Who::Ordinary]
    }
}

/// How a program ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

/// A directory of one user's with everything a test needs.
pub(crate) struct Place {
    pub(crate) who: Who,
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(who: Who) -> Place {
        let dir = tempfile::Builder::new().prefix("ringfence-world-").tempdir_in("/tmp").unwrap();
        let place = Place { who, dir };
        place.own(place.dir.path());
        for name in ["scratch", "tools", "data"] {
            place.make_dir(name);
        }
        // Not by this process: a child forked meanwhile by another test would hold the program open
        // for writing, and it could not be run.
        for (program, name) in [(attack(), "tools/attack"), (&probe(), "tools/probe")] {
            let copied = Command::new("cp").arg(program).arg(place.path(name)).status();
            assert!(copied.unwrap().success());
        }
        place
    }

    /// A path within the place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn make_dir(&self, name: &str) -> String {
        fs::create_dir_all(self.path(name)).unwrap();
        self.own(&self.path(name));
        self.text(name)
    }

    pub(crate) fn make_file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.own(&self.path(name));
        self.text(name)
    }

    /// Runs the attack without a world.
    pub(crate) fn outside(&self, args: &[&str]) -> Said {
        let mut command = self.command(&self.path("tools/attack"));
        said(command.args(args))
    }

    /// Runs a shell script without a world.
    pub(crate) fn outside_script(&self, script: &str) -> Said {
        said(self.command(Path::new("/bin/sh")).args(["-c", script]))
    }

    /// Runs the attack in a world with these options.
    pub(crate) fn inside(&self, options: &[&str], args: &[&str]) -> Said {
        let attack = self.text("tools/attack");
        let command: Vec<&str> =
            std::iter::once(attack.as_str()).chain(args.iter().copied()).collect();
        self.run(options, &command)
    }

    /// Runs a shell script in a world with these options.
    pub(crate) fn script(&self, options: &[&str], script: &str) -> Said {
        self.run(options, &["sh", "-c", script])
    }

    /// Runs any command in a world with these options.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Said {
        said(self.world(options, command).stdin(Stdio::null()))
    }

    /// Runs `true` in a world that is started by `prefix`, which makes the kernel poorer.
    pub(crate) fn poorer(&self, program: &Path, prefix: &[&str]) -> Said {
        let mut command = self.command(program);
        command.args(prefix).arg(self.path("tools/probe")).arg("--layers");
        command.arg(self.path("scratch"));
        said(command.args(["--", "true"]))
    }

    /// Starts a world that takes commands while it runs.
    pub(crate) fn live(&self, options: &[&str], script: &str) -> Live {
        let options: Vec<&str> = options.iter().copied().chain(["--commands"]).collect();
        // Its standard error is where the broker answers.
        let script = &format!("exec 2>/dev/null; {script}");
        let mut child = self
            .world(&options, &["sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Live { child, input, out, err }
    }

    fn world(&self, options: &[&str], command: &[&str]) -> Command {
        let mut start = self.command(&self.path("tools/probe"));
        let tools = self.text("tools");
        // Without mounts, owners are not mapped.
        let without = ["landlock", "preload", "ptrace"].iter().any(|tier| options.contains(tier));
        let maps = self.who == Who::Root && !without;
        let map: &[&str] = if maps { &["--idmap-root"] } else { &[] };
        start.args(map).args(["--read", &tools]).args(options);
        start.arg(self.path("scratch")).arg("--").args(command);
        start
    }

    /// A command run by the place's user, with an end.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", SECONDS_MAX]).arg(program).current_dir("/");
        if self.who == Who::Ordinary && rustix::process::geteuid().is_root() {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    fn own(&self, path: &Path) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if self.who == Who::Ordinary && rustix::process::geteuid().is_root() {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }
}

/// A world that runs while the test talks to it.
pub(crate) struct Live {
    pub(crate) child: Child,
    input: ChildStdin,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Live {
    /// The payload's next line.
    pub(crate) fn line(&self) -> String {
        self.out.recv_timeout(LINE_WAIT).unwrap_or_else(|_| {
            let err: Vec<String> = self.err.try_iter().collect();
            panic!("no line from the payload, but {err:?}");
        })
    }

    /// The broker's next line.
    pub(crate) fn heard(&self) -> String {
        self.err.recv_timeout(LINE_WAIT).expect("a line from the broker")
    }

    /// Gives a command to the world's broker and returns its answer.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.err.recv_timeout(LINE_WAIT).expect("an answer")
    }

    /// Ends the world; an answer may or may not come first.
    pub(crate) fn kill(mut self) {
        writeln!(self.input, "kill").unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn end(mut self) -> i32 {
        code(self.child.wait().unwrap())
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn said(command: &mut Command) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = child.stderr.take().unwrap();
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let code = code(child.wait().unwrap());
    Said { out: out.trim_end().to_owned(), err: err.join().unwrap().trim_end().to_owned(), code }
}

fn code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// The attacks, compiled once: static, so that nothing but system calls is needed.
fn attack() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack");
        let source = "tests/it/world/attack.c";
        let fresh = program.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
            .arg(&fresh)
            .arg(source)
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        fs::rename(fresh, &program).unwrap();
        program
    })
}

/// The library of the tier `preload`, which is built beside everything else: a copy that every user can
/// read, wherever it was built.
pub(crate) fn library() -> PathBuf {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let copy = || {
        let tests = std::env::current_exe().unwrap();
        let built = tests.parent().unwrap().with_file_name("libringfence_preload.so");
        assert!(built.exists(), "`cargo build --workspace` builds {}", built.display());
        let own = rustix::process::geteuid().as_raw();
        let dir = std::env::temp_dir().join(format!("ringfence-preload-of-{own}"));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let fresh = dir.join(std::process::id().to_string());
        fs::copy(&built, &fresh).unwrap();
        let library = dir.join("libringfence_preload.so");
        fs::rename(fresh, &library).unwrap();
        library
    };
    COPY.get_or_init(copy).clone()
}

/// The program that starts worlds: an example, which `cargo test` builds beside the tests.
fn probe() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples").join("world-probe");
    assert!(program.exists(), "`cargo test` without `--test` builds {}", program.display());
    program
}
