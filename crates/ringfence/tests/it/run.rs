//! `run`, end to end: a world is started, acts are decided, the log says what happened.
//!
//! Each test runs as whoever runs the tests, and, where that is root, as an ordinary user too.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ringfence_core::SessionId;
use ringfence_runtime::control::{self, Reply};
use ringfence_runtime::registration;

use crate::home::Home;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An ordinary user for tests that root runs; nobody's name, nobody's files.
const ORDINARY: &str = "54321";

/// A home that belongs to the user who starts the sessions.
pub(crate) struct Person {
    pub(crate) home: Home,
    who: Who,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever runs the tests.
    Us,
    /// An ordinary user, started by root.
    Ordinary,
}

impl Person {
    pub(crate) fn new(who: Who, policy: &str) -> Person {
        let home = Home::new();
        let project = home.path("project").display().to_string();
        let policy = policy
            .replace("PROJECT", &project)
            .replace("HOME", home.path("").to_str().unwrap().trim_end_matches('/'));
        home.write("policy.cedar", &policy);
        let person = Person { home, who };
        person.own();
        person
    }

    /// Gives all files of the home to its person.
    pub(crate) fn own(&self) {
        if self.who == Who::Ordinary {
            let owner = format!("{ORDINARY}:{ORDINARY}");
            let done = Command::new("chown").args(["-R", &owner]).arg(self.home.path("")).status();
            assert!(done.unwrap().success());
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = match self.who {
            Who::Us => Command::new(env!("CARGO_BIN_EXE_ringfence")),
            Who::Ordinary => {
                let ids = ["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups", "--"];
                let mut command = Command::new("setpriv");
                command.args(ids).arg(program_for_all());
                command
            }
        };
        command
            .args(words)
            .current_dir(self.home.path("project"))
            .env_clear()
            .env("HOME", self.home.path(""))
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// The arguments that run a command under this person's policy.
    pub(crate) fn under_policy<'a>(policy: &'a str, command: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["run", "--policy", policy, "--agent", "builder", "--"];
        words.extend(command);
        words
    }

    pub(crate) fn run(&self, command: &[&str]) -> Ended {
        let policy = self.home.path("policy.cedar");
        let words = Person::under_policy(policy.to_str().unwrap(), command);
        Ended::from(self.command(&words).output().unwrap())
    }

    pub(crate) fn sh(&self, script: &str) -> Ended {
        self.run(&["sh", "-c", script])
    }

    /// Starts a session and waits until it is registered.
    pub(crate) fn start(&self, script: &str) -> (Child, SessionId) {
        let policy = self.home.path("policy.cedar");
        let words = Person::under_policy(policy.to_str().unwrap(), &["sh", "-c", script]);
        let mut command = self.command(&words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let runtime = self.runtime();
        let found = wait_for(|| registration::running(&runtime).unwrap().pop());
        (child, found.session)
    }

    pub(crate) fn runtime(&self) -> PathBuf {
        self.home.path(".local/state/ringfence/run")
    }

    pub(crate) fn ringfence(&self, words: &[&str]) -> Ended {
        Ended::from(self.command(words).output().unwrap())
    }
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]\nstdout:\n{}\nstderr:\n{}", self.code, self.out, self.err)
    }
}

/// The program where every user can read it: a build directory may be private.
fn program_for_all() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_ringfence"));
        let ids = ["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups", "--"];
        let readable = Command::new("setpriv").args(ids).args(["test", "-x"]).arg(built).status();
        if readable.unwrap().success() {
            return built.to_owned();
        }
        let dir = std::env::temp_dir().join(format!("ringfence-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = dir.join("ringfence");
        std::fs::copy(built, &copy).unwrap();
        copy
    })
}

/// Everybody who can start sessions here.
fn everybody() -> Vec<Who> {
    if rustix::process::geteuid().is_root() { vec![Who::Us, Who::Ordinary] } else { vec![Who::Us] }
}

pub(crate) fn each(policy: &str, check: impl Fn(&Person)) {
    for who in everybody() {
        let person = Person::new(who, policy);
        // The home is reached through its parents, which only `mktemp` made private.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(person.home.path(""), open).unwrap();
        check(&person);
    }
}

/// Lines of a session's output as they come; nobody waits for one for ever.
pub(crate) struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    pub(crate) fn of(child: &mut Child) -> Lines {
        let (sender, lines) = std::sync::mpsc::sync_channel(1000);
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines(lines)
    }

    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).unwrap()
    }
}

pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) const POLICY: &str = r#"
@id("programs") permit (principal, action == Action::"exec", resource);
@id("project") permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("no-id") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/id");
@id("no-push") @reason("ask before publishing")
forbid (principal, action == Action::"exec", resource)
when { context has subcommand && context.subcommand == "push" };
@id("no-secret")
forbid (principal, action in Action::"fs", resource in Dir::"PROJECT/secret");
"#;

#[test]
fn the_exit_code_is_the_commands_own() {
    each(POLICY, |person| {
        assert_eq!(person.run(&["true"]).code, 0);
        assert_eq!(person.run(&["false"]).code, 1);
        assert_eq!(person.sh("exit 7").code, 7);
        assert_eq!(person.sh("kill -9 $$").code, 137);
        assert_eq!(person.run(&["no-such-program"]).code, 127);
        assert_eq!(person.run(&["/etc/passwd"]).code, 126);
    });
}

#[test]
fn a_command_that_policy_denies_is_126() {
    each(POLICY, |person| {
        let ended = person.run(&["/usr/bin/id"]);
        assert_eq!(ended.code, 126, "{ended}");
        assert!(ended.err.contains("1 denied"), "{ended}");
        assert!(!ended.out.contains("uid="), "{ended}");
    });
}

#[test]
fn a_session_without_a_policy_does_not_start() {
    for who in everybody() {
        let person = Person::new(who, POLICY);
        person.own();
        let ended = person.ringfence(&["run", "--", "true"]);
        assert_eq!(ended.code, 125, "{ended}");
        assert!(ended.err.contains("ringfence init"), "{ended}");
    }
}

#[test]
fn a_policy_that_is_wrong_starts_nothing() {
    each("permit (principal, action == Action::\"fs.wirte\", resource);", |person| {
        let ended = person.sh("touch PROJECT");
        assert_eq!(ended.code, 125, "{ended}");
        assert!(ended.err.contains("fs.wirte"), "{ended}");
    });
}

#[test]
fn files_change_where_the_policy_says_and_nowhere_else() {
    each(POLICY, |person| {
        let ended = person.sh("echo yes > allowed; echo no > /usr/forbidden; echo no > secret/x");
        assert_ne!(ended.code, 0, "{ended}");
        let project = person.home.path("project");
        assert_eq!(std::fs::read_to_string(project.join("allowed")).unwrap(), "yes\n");
        assert!(!Path::new("/usr/forbidden").exists());
        assert!(!project.join("secret/x").exists());
        assert!(ended.err.contains("1 file changed"), "{ended}");
    });
}

#[test]
fn what_is_not_granted_does_not_exist() {
    each(POLICY, |person| {
        person.home.write("elsewhere/file", "host");
        person.own();
        let outside = person.home.path("elsewhere/file");
        let ended = person.sh(&format!("cat {}", outside.display()));
        assert!(ended.err.contains("No such file"), "{ended}");
        let state = person.home.path(".local/state/ringfence");
        assert!(state.exists());
        let ended = person.sh(&format!("ls -A {}", state.display()));
        assert_ne!(ended.code, 0, "{ended}");
    });
}

/// All of the home, to read and, but for the project, not to write.
const WHOLE_HOME: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action == Action::"fs.read", resource in Dir::"HOME");
permit (principal, action == Action::"fs.write", resource in Dir::"PROJECT");
"#;

#[test]
fn credentials_that_the_environment_names_stay_covered_in_a_home_that_is_shown() {
    each(WHOLE_HOME, |person| {
        for file in ["keys/cloud.json", "project/deep/kube.yaml", "cargo/credentials.toml", "seen"]
        {
            person.home.write(file, "a-credential");
        }
        person.own();
        let at = |name: &str| person.home.path(name).display().to_string();
        let policy = at("policy.cedar");
        // No tool has a cache here: what is shown read-only has no place for one.
        let script = format!(
            "cat {} {} {} {}; mv deep moved; cat moved/kube.yaml; ls {}/.cache",
            at("keys/cloud.json"),
            at("project/deep/kube.yaml"),
            at("cargo/credentials.toml"),
            at("seen"),
            at("")
        );
        let words = Person::under_policy(&policy, &["sh", "-c", &script]);
        let mut command = person.command(&words);
        command.env("GOOGLE_APPLICATION_CREDENTIALS", at("keys/cloud.json"));
        command.env("KUBECONFIG", at("project/deep/kube.yaml")).env("CARGO_HOME", at("cargo"));
        let ended = Ended::from(command.output().unwrap());
        assert_eq!(ended.out, "a-credential", "{ended}");
        assert_eq!(ended.err.matches("cloud.json: Permission denied").count(), 1, "{ended}");
        assert!(ended.err.contains("kube.yaml` stays covered: it holds secrets"), "{ended}");
        assert_eq!(std::fs::read_to_string(at("keys/cloud.json")).unwrap(), "a-credential");
    });
}

#[test]
fn a_denied_process_is_told_on_its_stderr_and_in_the_worlds_file() {
    each(POLICY, |person| {
        let ended = person.sh("id 2>&1 | cat; cat $RINGFENCE_DENIALS");
        assert!(ended.out.contains("denied: agent `builder` may not run /usr/bin/id"), "{ended}");
        assert!(ended.out.contains("`no-id`"), "{ended}");
        let line = ended.out.lines().find(|line| line.starts_with('{')).unwrap();
        let denial: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(denial["resource"], "/usr/bin/id");
        assert_eq!(denial["action"], "exec");
    });
}

#[test]
fn nothing_is_said_into_a_file() {
    each(POLICY, |person| {
        let ended = person.sh("id 2> said; cat said");
        assert!(!ended.out.contains("denied: agent"), "{ended}");
    });
}

#[test]
fn the_arguments_of_a_program_decide() {
    each(POLICY, |person| {
        let ended = person.sh("env echo pull; env echo push");
        assert!(ended.out.contains("pull"), "{ended}");
        assert!(!ended.out.contains("push"), "{ended}");
    });
}

#[test]
fn a_script_is_not_a_way_around_a_forbidden_interpreter() {
    each(POLICY, |person| {
        person.home.write("project/script", "#!/usr/bin/id\n");
        person.own();
        let ended = person.sh("chmod +x script; ./script");
        assert!(!ended.out.contains("uid="), "{ended}");
        assert_ne!(ended.code, 0, "{ended}");
    });
}

#[test]
fn a_connection_is_denied_by_name_with_a_reason() {
    each(POLICY, |person| {
        let ended = person.run(&[
            "bash",
            "-c",
            r"exec 3<>/dev/tcp/127.0.0.1/3128
              printf 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n' >&3
              head -c 300 <&3",
        ]);
        assert!(ended.out.contains(" 403 "), "{ended}");
        assert!(ended.err.contains("1 denied"), "{ended}");
    });
}

#[test]
fn there_is_no_way_out_but_the_net_gate() {
    each(POLICY, |person| {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        // The oracle: outside, the same works.
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
        let ended = person.run(&["bash", "-c", &script]);
        assert!(!ended.out.contains("reached"), "{ended}");
    });
}

#[test]
fn the_log_of_a_session_verifies_and_shows_what_happened() {
    each(POLICY, |person| {
        assert_eq!(person.sh("echo x > made; rm made; id").code, 126);
        let verified = person.ringfence(&["log", "verify"]);
        assert_eq!(verified.code, 0, "{verified}");
        let shown = person.ringfence(&["show"]);
        assert!(shown.out.contains("made"), "{shown}");
        assert!(shown.out.contains("/usr/bin/id"), "{shown}");
    });
}

#[test]
fn nothing_but_the_log_is_left_behind() {
    each(POLICY, |person| {
        assert_eq!(person.run(&["true"]).code, 0);
        let state = person.home.path(".local/state/ringfence");
        let session = std::fs::read_dir(state.join("sessions")).unwrap().next().unwrap().unwrap();
        let names: Vec<_> = std::fs::read_dir(session.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["log"]);
        let session = session.file_name();
        let own = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path());
        let left = own.map(|dir| dir.join(&session)).find(|dir| dir.exists());
        assert_eq!(left, None);
        assert!(!state.join("private").join(&session).exists());
        assert_eq!(std::fs::read_dir(person.runtime()).unwrap().count(), 0);
    });
}

#[test]
fn the_summary_can_be_read_by_a_program() {
    each(POLICY, |person| {
        let policy = person.home.path("policy.cedar");
        let words = ["run", "--json", "--policy", policy.to_str().unwrap(), "--", "false"];
        let ended = person.ringfence(&words);
        assert_eq!(ended.code, 1, "{ended}");
        let summary: serde_json::Value =
            serde_json::from_str(ended.err.lines().last().unwrap()).unwrap();
        assert_eq!(summary["permitted"], 1);
        assert_eq!(summary["exit_code"], 1);
    });
}

#[test]
fn killing_the_broker_ends_the_world_and_leaves_a_log_that_verifies() {
    each(POLICY, |person| {
        let (mut child, _session) = person.start("echo started; sleep 1000 & sleep 1001");
        assert_eq!(Lines::of(&mut child).next(), "started");
        let broker = registration::running(&person.runtime()).unwrap().pop().unwrap().broker_pid;
        let below = wait_for(|| Some(descendants(broker)).filter(|found| found.len() > 2));
        let killed = Command::new("kill").args(["-9", &broker.to_string()]).status().unwrap();
        assert!(killed.success());
        child.wait().unwrap();
        wait_for(|| below.iter().all(|pid| !runs(*pid)).then_some(()));
        let verified = person.ringfence(&["log", "verify"]);
        assert_eq!(verified.code, 0, "{verified}");
    });
}

#[test]
fn a_session_that_is_killed_ends_and_says_so() {
    each(POLICY, |person| {
        let (child, session) = person.start("sleep 1000");
        let shown = person.ringfence(&["show"]);
        assert!(shown.out.contains("  it is running\n"), "{shown}");
        let shown = person.ringfence(&["show", "--json"]);
        assert!(shown.out.contains(r#""state":"running""#), "{shown}");
        let reply = control::ask(&person.runtime(), &session, &control::Command::Kill).unwrap();
        assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_ne!(ended.code, 0, "{ended}");
        let shown = person.ringfence(&["show", "--json"]);
        assert!(shown.out.contains(r#""state":"ended""#), "{shown}");
        let verified = person.ringfence(&["log", "verify"]);
        assert_eq!(verified.code, 0, "{verified}");
    });
}

#[test]
fn a_signal_for_the_broker_reaches_the_command() {
    each(POLICY, |person| {
        let (mut child, _session) = person
            .start("trap 'echo caught; exit 9' TERM; echo started; while :; do sleep 0.05; done");
        let out = Lines::of(&mut child);
        assert_eq!(out.next(), "started");
        let broker = registration::running(&person.runtime()).unwrap().pop().unwrap().broker_pid;
        assert!(Command::new("kill").arg(broker.to_string()).status().unwrap().success());
        assert_eq!(out.next(), "caught");
        assert_eq!(child.wait().unwrap().code(), Some(9));
    });
}

#[test]
fn a_grant_opens_a_directory_in_a_running_session_and_a_revoke_closes_it() {
    each(POLICY, |person| {
        person.home.write("shared/file", "shared\n");
        person.own();
        let file = person.home.path("shared/file");
        let script = format!(
            "until cat {0} 2>/dev/null; do sleep 0.05; done; while cat {0} >/dev/null 2>&1; do sleep 0.05; done; echo gone",
            file.display()
        );
        let (mut child, session) = person.start(&script);
        let out = Lines::of(&mut child);
        let grant = format!("fs.read:{}", person.home.path("shared").display());
        let words = ["grant", &grant, "--session", session.as_str(), "--yes"];
        let granted = person.ringfence(&words);
        assert_eq!(granted.code, 0, "{granted}");
        assert_eq!(out.next(), "shared", "{granted}");
        let list = person.ringfence(&["grants", "list", "--json"]);
        let list = crate::person::json_lines(&list.out);
        let revoked = person.ringfence(&["grants", "revoke", list[0]["id"].as_str().unwrap()]);
        assert_eq!(revoked.code, 0, "{revoked}");
        assert_eq!(out.next(), "gone", "{revoked}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let shown = person.ringfence(&["log", "show"]);
        assert!(shown.out.contains("granted") && shown.out.contains("revoked"), "{shown}");
    });
}

#[test]
fn a_policy_that_is_wrong_is_not_loaded_into_a_running_session() {
    each(POLICY, |person| {
        let (child, session) = person.start("sleep 1000");
        person.home.write("policy.cedar", "permit (principal, action, resource");
        let reply = control::ask(&person.runtime(), &session, &control::Command::Reload).unwrap();
        assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
        control::ask(&person.runtime(), &session, &control::Command::Kill).unwrap();
        let _ = child.wait_with_output().unwrap();
    });
}

/// All processes that descend from one, by the kernel's account.
fn descendants(of: u32) -> Vec<u32> {
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let tasks = format!("/proc/{0}/task/{0}/children", found[at]);
        let children = std::fs::read_to_string(tasks).unwrap_or_default();
        found.extend(children.split_ascii_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        at += 1;
    }
    found
}

/// Whether a process runs: a zombie does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// A session on a terminal of its own, as a person sits at it.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    master: std::fs::File,
    pub(crate) seen: String,
    /// How much of it was there at the last answer.
    answered: usize,
}

impl Terminal {
    /// Starts a script; `setsid` makes the terminal its own.
    pub(crate) fn start(person: &Person, script: &str) -> Terminal {
        let policy = person.home.path("policy.cedar");
        let words = Person::under_policy(policy.to_str().unwrap(), &["sh", "-c", script]);
        Terminal::of(person, &person.command(&words))
    }

    /// A shell with job control, in which the program is `ringfence`.
    pub(crate) fn shell(person: &Person) -> Terminal {
        let inner = person.command(&[]);
        let (program, before) = match person.who {
            Who::Us => (inner.get_program(), Vec::new()),
            Who::Ordinary => (program_for_all().as_os_str(), inner.get_args().collect()),
        };
        let script = format!("ringfence() {{ {} \"$@\"; }}", program.to_str().unwrap());
        let mut shell = match before.split_last() {
            None => Command::new("bash"),
            Some((_, ids)) => {
                let mut shell = Command::new(inner.get_program());
                shell.args(ids).arg("bash");
                shell
            }
        };
        shell.args(["--norc", "--noprofile", "-i"]).env_clear();
        shell.current_dir(inner.get_current_dir().unwrap());
        shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut terminal = Terminal::of(person, &shell);
        terminal.types(&format!("{script}\r"));
        terminal
    }

    fn of(person: &Person, inner: &Command) -> Terminal {
        let owner = (person.who == Who::Ordinary).then_some(ORDINARY);
        Terminal::owned_by(owner, inner)
    }

    /// Starts a command on a terminal that is somebody else's.
    pub(crate) fn owned_by(owner: Option<&str>, inner: &Command) -> Terminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        if let Some(owner) = owner {
            assert!(Command::new("chown").args([owner, &name]).status().unwrap().success());
        }
        let open = || std::fs::File::options().read(true).write(true).open(&name).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(inner.get_program()).args(inner.get_args());
        command.env_clear().current_dir(inner.get_current_dir().unwrap());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        Terminal { child, master: master.into(), seen: String::new(), answered: 0 }
    }

    /// Reads until the terminal has shown `text`.
    pub(crate) fn shows(&mut self, text: &str) {
        while !self.seen.contains(text) {
            self.more(text);
        }
    }

    /// Reads what is shown next, in the hope of `text`.
    fn more(&mut self, text: &str) {
        use std::io::Read as _;
        let mut chunk = [0; 4096];
        let mut polled = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
        let wait = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut polled, Some(&wait)).unwrap();
        assert_ne!(ready, 0, "waited for {text:?}, saw {:?}", self.seen);
        // EIO: nobody is left who could write.
        let got = self.master.read(&mut chunk).unwrap_or(0);
        assert_ne!(got, 0, "ended before {text:?}, saw {:?}", self.seen);
        self.seen.push_str(&String::from_utf8_lossy(&chunk[..got]));
    }

    /// Reads until nobody is left who could write; how it ended.
    pub(crate) fn ends(&mut self) -> std::process::ExitStatus {
        use std::io::Read as _;
        let mut chunk = [0; 4096];
        while let Ok(got @ 1..) = self.master.read(&mut chunk) {
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..got]));
        }
        self.child.wait().unwrap()
    }

    /// The code that the question shows before `answer`.
    pub(crate) fn code(&mut self, answer: &str) -> String {
        let after = format!("] {answer}");
        self.shows(&after);
        let (before, _) = self.seen.split_once(&after).unwrap();
        before.rsplit('[').next().unwrap().to_owned()
    }

    /// Answers the question that is shown next with the code before `answer`; returns what is asked.
    /// While a question is shown nothing of the world's own output is.
    pub(crate) fn answers(&mut self, answer: &str) -> String {
        let after = format!("] {answer}");
        loop {
            let new = self.seen.get(self.answered..).unwrap();
            let question =
                new.rfind("ringfence: may").and_then(|at| new.get(at..)).unwrap_or_default();
            if let Some((asked, _)) = question.split_once(&after) {
                let code = asked.rsplit('[').next().unwrap().to_owned();
                let asked = asked.to_owned();
                self.answered = self.seen.len();
                self.types(&code);
                return asked;
            }
            self.more(&after);
        }
    }

    /// Answers every question until the terminal has shown `end`; returns what is asked.
    pub(crate) fn answers_until(&mut self, end: &str, answer: &str) -> Vec<String> {
        let after = format!("] {answer}");
        let mut asked = Vec::new();
        loop {
            let new = self.seen.get(self.answered..).unwrap();
            if new.contains(&after) {
                asked.push(self.answers(answer));
            } else if new.contains(end) {
                return asked;
            } else {
                self.more(end);
            }
        }
    }

    /// Waits for a question, and leaves it unanswered.
    pub(crate) fn leaves(&mut self) {
        self.code("allow once");
        self.answered = self.seen.len();
    }

    /// Forgets what was shown.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
        self.answered = 0;
    }

    pub(crate) fn types(&mut self, text: &str) {
        use std::io::Write as _;
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Closes the terminal, and waits for what ran on it.
    pub(crate) fn hang_up(self) -> std::process::ExitStatus {
        let Terminal { mut child, master, .. } = self;
        drop(master);
        child.wait().unwrap()
    }
}

#[test]
fn a_permitted_connection_that_does_not_come_about_says_why() {
    let policy = format!(
        "{POLICY}\n{}",
        r#"permit (principal, action == Action::"net.connect", resource == Endpoint::"host.ringfence.internal:1");"#
    );
    each(&policy, |person| {
        let ended = person.sh("curl -sS https://host.ringfence.internal:1 2>&1 | cat");
        let said = "permitted, but it did not come about: connect to host.ringfence.internal:1: ";
        assert!(ended.out.contains(said) && ended.out.contains("refused"), "{ended}");
    });
}

#[test]
fn explain_tells_of_an_act_that_was_permitted_and_that_the_system_refused() {
    each(POLICY, |person| {
        let ended = person.sh("mkdir locked && chmod 555 locked && echo x > locked/f");
        assert_ne!(ended.code, 0, "{ended}");
        let log = person.ringfence(&["log", "show", "--json"]).out;
        let entries = log.lines().map(serde_json::from_str::<serde_json::Value>);
        let of = |entry: &serde_json::Value| {
            let event = &entry["entry"];
            (event["outcome"]["end"] == "failed").then(|| event["of"].as_u64().unwrap())
        };
        let failed = entries.map(Result::unwrap).find_map(|entry| of(&entry));
        let failed = failed.unwrap_or_else(|| panic!("no act failed: {log}")).to_string();
        let said = person.ringfence(&["explain", &failed]).out;
        assert!(said.contains("permitted: ") && said.contains("outcome  failed: "), "{said}");
        assert!(said.contains("the policy let it, the system did not"), "{said}");
        let json = person.ringfence(&["explain", &failed, "--json"]).out;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["finished"]["outcome"]["error"].is_string(), "{json}");
    });
}

/// `id` needs approval by a role that the settings declare.
const ASKING: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("ask-id") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/id")
unless { context.approvals.contains("oncall") };
"#;

pub(crate) fn each_asking(check: impl Fn(&Person)) {
    each(ASKING, |person| {
        person.home.write(".config/ringfence/settings.toml", "roles = [\"oncall\"]\n");
        person.own();
        check(person);
    });
}

#[test]
fn a_question_is_answered_with_the_code_it_shows() {
    each_asking(|person| {
        let mut terminal = Terminal::start(person, "id; echo ended $?");
        let code = terminal.code("allow once");
        terminal.types(&code);
        terminal.shows("uid=");
        terminal.shows("ended 0");
        assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("approved"), "{log}");
    });
}

#[test]
fn a_refused_question_is_a_denial_and_is_not_asked_again_at_once() {
    each_asking(|person| {
        let mut terminal = Terminal::start(person, "id; echo ended $?");
        let code = terminal.code("refuse");
        terminal.types("y\r");
        terminal.types(&code);
        terminal.shows("ended 126");
        assert!(!terminal.seen.contains("uid="), "{}", terminal.seen);
        assert_eq!(terminal.seen.matches("asked by").count(), 1, "{}", terminal.seen);
    });
}

#[test]
fn a_stray_key_does_not_spoil_the_code_and_wrong_ones_are_nobodys_refusal() {
    each_asking(|person| {
        let mut terminal = Terminal::start(person, "id; echo ended $?");
        let code = terminal.code("allow once");
        // No code has a zero.
        terminal.types("00");
        terminal.shows("`00` is a wrong code, 4 keys left");
        terminal.types(&code);
        terminal.shows("ended 0");
        let mut terminal = Terminal::start(person, "id; echo ended $?");
        terminal.code("refuse");
        terminal.types("000000");
        terminal.shows("ended 126");
        assert!(terminal.seen.contains("no valid answer was typed"), "{}", terminal.seen);
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("no valid answer") && !log.out.contains("refused"), "{log}");
    });
}

#[test]
fn without_a_terminal_a_question_is_a_denial_that_names_the_way() {
    each_asking(|person| {
        let ended = person.sh("id 2>&1 | cat");
        assert!(ended.out.contains("no terminal to ask on"), "{ended}");
        assert!(ended.out.contains("ringfence grant exec:/usr/bin/id"), "{ended}");
        assert!(!ended.out.contains("uid="), "{ended}");
        // The shell tries two directories of PATH.
        assert!(ended.err.contains(" 2 denied, 2 asked"), "{ended}");
        let always = "ringfence grant exec:/usr/bin/id --always";
        assert!(ended.err.contains(always), "{ended}");
        let session = ended.err.split("ringfence show ").nth(1).unwrap().split('`').next().unwrap();
        let shown = person.ringfence(&["show"]);
        assert!(shown.out.contains("ask-id") && shown.out.contains("no terminal"), "{shown}");
        let explain = format!("ringfence explain {session}/");
        assert!(shown.err.contains(&explain), "{shown}");
        // What the denial named while the session ran says what to do after it.
        let late = person.ringfence(&["grant", "exec:/usr/bin/id", "--session", session, "--yes"]);
        assert!(late.err.contains("has ended") && late.err.contains(always), "{late}");
        let policy = person.home.path("policy.cedar");
        let words = ["run", "--json", "--policy", policy.to_str().unwrap(), "--", "/usr/bin/id"];
        let itself = person.ringfence(&words);
        let summary: serde_json::Value =
            serde_json::from_str(itself.err.lines().last().unwrap()).unwrap();
        assert_eq!((&summary["denied"], &summary["asked"]), (&1.into(), &1.into()), "{itself}");
        let why = summary["not_started"]["reason"].as_str().unwrap();
        assert!(why.contains("ask-id") && why.contains("no terminal to ask on"), "{itself}");
        assert!(summary["not_started"]["hints"].to_string().contains(always), "{itself}");
        // The hint is true: the same is allowed afterwards.
        let granted = person.ringfence(&["grant", "exec:/usr/bin/id", "--always", "--yes"]);
        assert_eq!(granted.code, 0, "{granted}");
        let ended = person.sh("id");
        assert!(ended.out.contains("uid="), "{ended}");
    });
}

#[test]
fn a_grant_for_a_time_ends_by_itself_in_a_running_session() {
    each(POLICY, |person| {
        person.home.write("shared/file", "shared\n");
        person.own();
        let file = person.home.path("shared/file");
        let script = format!(
            "until cat {0} 2>/dev/null; do sleep 0.05; done; while cat {0} >/dev/null 2>&1; do sleep 0.05; done; echo gone",
            file.display()
        );
        let (mut child, _session) = person.start(&script);
        let out = Lines::of(&mut child);
        let grant = format!("fs.read:{}", person.home.path("shared").display());
        let granted = person.ringfence(&["grant", &grant, "--for", "2s", "--yes"]);
        assert_eq!(granted.code, 0, "{granted}");
        assert_eq!(out.next(), "shared", "{granted}");
        assert_eq!(out.next(), "gone", "{granted}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn a_log_that_is_full_ends_the_session_and_says_so() {
    each(POLICY, |person| {
        let settings = "[limits]\nlog_bytes_max = 65536\n";
        person.home.write(".config/ringfence/settings.toml", settings);
        person.own();
        let ended = person.sh("while :; do echo x > a; done");
        assert_eq!(ended.code, 125, "{ended}");
        assert!(ended.err.contains("log could not be written"), "{ended}");
        let verified = person.ringfence(&["log", "verify"]);
        assert_eq!(verified.code, 0, "{verified}");
    });
}

#[test]
fn a_terminal_is_not_made_to_answer() {
    each(POLICY, |person| {
        let mut terminal = Terminal::start(person, r"printf 'a\033[6n\033[c\033]11;?\007b\n'");
        terminal.shows("ab\r\n");
        assert!(!terminal.seen.contains('\u{1b}'), "{:?}", terminal.seen);
    });
}

#[test]
fn what_only_the_person_outside_can_see_is_refused_inside_in_one_line() {
    each(POLICY, |person| {
        let dir = program_for_all().parent().unwrap();
        let policy = std::fs::read_to_string(person.home.path("policy.cedar")).unwrap();
        let program = dir.display();
        let more = format!(
            "permit (principal, action == Action::\"fs.read\", resource in Dir::\"{program}\");\n"
        );
        person.home.write("policy.cedar", &(policy + &more));
        person
            .home
            .write("project/a.cedar", "permit (principal, action == Action::\"exec\", resource);");
        person.own();
        let commands = ["sessions", "explain 1", "grants list", "show", "log show", "log verify"];
        let secrets = ["secret list", "secret test a", "secret remove a"];
        let more = ["policy plan", "grant net:a.example:1 --always --yes", "trust", "doctor"];
        for command in commands.iter().chain(&more).chain(&secrets) {
            let ended = person.sh(&format!("{program}/ringfence {command}; echo $?"));
            assert_eq!(ended.out, "2\n", "{command}: {ended}");
            let said: Vec<_> = ended.err.lines().collect();
            assert_eq!(said.len(), 2, "{command}: {ended}");
            assert!(said[0].ends_with("from inside a world: ask the person outside"), "{ended}");
        }
        let ended = person.sh(&format!("{program}/ringfence policy check a.cedar"));
        assert_eq!(ended.code, 0, "an agent may check what it wrote: {ended}");
    });
}

#[test]
fn a_refused_command_is_not_asked_about_again_for_the_next_program_of_its_name() {
    let both = format!(
        "{ASKING}\n{}",
        r#"@id("ask-other") forbid (principal, action == Action::"exec", resource == Program::"PROJECT/bin/id")
unless { context.approvals.contains("oncall") };"#
    );
    each(&both, |person| {
        person.home.write(".config/ringfence/settings.toml", "roles = [\"oncall\"]\n");
        person.home.write("project/bin/id", "#!/bin/sh\necho uid=\n");
        person.own();
        let script = "chmod +x bin/id; PATH=$PWD/bin:$PATH; id; echo ended $?";
        let mut terminal = Terminal::start(person, script);
        let code = terminal.code("refuse");
        terminal.types(&code);
        terminal.shows("ended 126");
        assert!(!terminal.seen.contains("uid="), "{}", terminal.seen);
        assert_eq!(terminal.seen.matches("asked by").count(), 1, "{}", terminal.seen);
    });
}

#[test]
fn a_socket_that_nobody_listens_at_refuses_and_one_that_somebody_does_is_denied() {
    each(POLICY, |person| {
        person.home.write("project/x", "");
        let at = |name: &str| person.home.path("project").join(name);
        drop(std::os::unix::net::UnixListener::bind(at("stale")).unwrap());
        let live = std::os::unix::net::UnixListener::bind(at("live")).unwrap();
        person.own();
        let script = "python3 -I -c \"
import socket, errno
for name in 'stale', 'live':
    try: socket.socket(socket.AF_UNIX).connect(name); print(name, 'REACHED')
    except OSError as error: print(name, errno.errorcode[error.errno])\"";
        let ended = person.sh(script);
        assert!(ended.out.contains("stale ECONNREFUSED\nlive EACCES\n"), "{ended}");
        let log = person.ringfence(&["log", "show"]);
        assert_eq!(log.out.matches("connect to the socket").count(), 2, "{log}");
        drop(live);
    });
}
