//! Starts the governed program and supervises it.

use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use ringfence_core::AbsolutePath;
use ringfence_sandbox::notify::{Attempt, Attempted, Confinement, ExecAttempt, Listener};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};

/// The governed program, compiled once.
pub(super) fn tracee() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = format!("{}/tracee", env!("CARGO_TARGET_TMPDIR"));
        let source = "tests/it/tracee.c";
        let fresh = format!("{program}.{}", std::process::id());
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-static", "-o", &fresh])
            .arg(source)
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        std::fs::rename(fresh, &program).unwrap();
        program
    })
}

/// A governed program that waits for its supervisor.
pub(super) struct Session {
    child: Child,
    socket: OwnedFd,
    pub(super) listener: Listener,
    output: JoinHandle<String>,
}

impl Session {
    /// Starts `tracee CLASSES ARGS...`; changes beneath `private` need no decision.
    pub(super) fn start(classes: &str, args: &[&str], private: &[&str]) -> Session {
        let flags = SocketFlags::CLOEXEC;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let mut child = Command::new(tracee())
            .arg(classes)
            .args(args)
            // A shell whose input is a socket reads `~/.bashrc`, which may run anything.
            .env("HOME", "/nonexistent")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let output = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let mut fds = receive(&socket).into_iter();
        let (listener, diagnosis) = (fds.next().unwrap(), fds.next().unwrap());
        let private = private.iter().map(|path| AbsolutePath::parse(path).unwrap()).collect();
        let listener =
            Listener::new(listener, Some(diagnosis), private, Confinement::default()).unwrap();
        Session { child, socket, listener, output }
    }

    /// Answers every attempt until the program and all it started are gone; its output.
    pub(super) fn run(mut self, mut decide: impl FnMut(Attempt)) -> String {
        rustix::io::write(&self.socket, b"G").unwrap();
        while let Some(attempt) = self.listener.next().unwrap() {
            decide(attempt);
        }
        // A process that was watched through an exec may already have been waited for.
        let _ = self.child.wait();
        self.output.join().unwrap()
    }
}

impl Session {
    /// [`Session::run`] with several threads that take attempts.
    pub(super) fn run_by(mut self, threads: usize, decide: impl Fn(Attempt) + Sync) -> String {
        rustix::io::write(&self.socket, b"G").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(attempt) = self.listener.next().unwrap() {
                        decide(attempt);
                    }
                });
            }
        });
        let _ = self.child.wait();
        self.output.join().unwrap()
    }
}

fn receive(socket: &OwnedFd) -> Vec<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [rustix::io::IoSliceMut::new(&mut byte)];
    recvmsg(socket, into, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut found = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            found.extend(fds);
        }
    }
    found
}

/// Whether the counted tests repeat in full.
pub(super) fn is_long() -> bool {
    std::env::var_os("RINGFENCE_TEST_LONG").is_some_and(|value| value == "1")
}

/// Runs the governed program without a filter: the oracle.
pub(super) fn unfiltered(args: &[&str]) -> String {
    let output = Command::new(tracee()).arg("-").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The exec behind an attempt.
pub(super) fn exec(attempt: &Attempt) -> &ExecAttempt {
    let Attempted::Exec(exec) = &attempt.kind else { panic!("not an exec: {attempt:?}") };
    exec
}

/// An attempt in one line.
pub(super) fn line(attempt: &Attempt) -> String {
    match &attempt.kind {
        Attempted::Exec(exec) => {
            let argv: Vec<_> = exec.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let through = exec.interpreters.iter().map(|interpreter| &interpreter.program);
            through.fold(format!("exec {} [{}]", exec.program, argv.join(" ")), |line, program| {
                format!("{line} through {program}")
            })
        }
        Attempted::File(file) => file
            .acts
            .iter()
            .map(|(change, path)| format!("{change:?} {path}"))
            .collect::<Vec<_>>()
            .join(", "),
        Attempted::Unix(connect) => format!("connect {} {:?}", connect.path, connect.bound_inside),
        Attempted::Tcp(connect) => format!("connect {}", connect.target),
        Attempted::Unresolvable(it) => format!("{}: {}", it.syscall, it.why),
    }
}

/// A directory of the test's own, by its real path.
pub(super) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub(super) fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// Text with the directory's path replaced by `$D`.
    pub(super) fn short(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "$D")
    }
}

/// A copy of a program under another name.
pub(super) fn copy(from: &str, to: &str) -> PathBuf {
    std::fs::copy(from, to).unwrap();
    PathBuf::from(to)
}
