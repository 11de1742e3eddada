//! `warm` and `run --warm`: a session in a world that was kept ready is as any other, nothing of
//! anybody else is in it, and whatever does not fit starts as usual.

mod attacks;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::person::{Person, Who, text};
use crate::schemas::lines_conform;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
"#;

/// A person for whose project worlds are kept ready.
struct Kept {
    person: Person,
    keeper: Child,
}

impl Kept {
    fn new(who: Who) -> Kept {
        Kept::by(person(who), |person| person.ringfence(&["warm"]))
    }

    /// Kept by a command that becomes the keeper.
    fn by(person: Person, command: impl FnOnce(&Person) -> Command) -> Kept {
        let mut command = command(&person);
        let keeper = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let kept = Kept { person, keeper };
        kept.wait_until_ready();
        kept
    }

    fn standing(&self) -> Option<Value> {
        let output = self.person.ringfence(&["warm", "status", "--json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().next().map(|line| serde_json::from_str(line).unwrap())
    }

    fn wait_until_ready(&self) {
        wait_for("a world is ready", || self.standing().is_some_and(|it| it["ready"] == 1));
    }

    /// Runs a script in a world that was ready.
    fn warm(&self, script: &str) -> Output {
        self.wait_until_ready();
        let output = self.run(script);
        assert!(self.was_warm(), "{}", text(&output));
        output
    }

    fn run(&self, script: &str) -> Output {
        self.person.ringfence(&["run", "--warm", "--", "sh", "-c", script]).output().unwrap()
    }

    /// Whether the session that started last was in a world that had been ready.
    fn was_warm(&self) -> bool {
        let lines = self.person.succeed(&["log", "show", "--json"]);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        let warm = first["entry"]["warm"] == true;
        let said = self.person.succeed(&["log", "show"]);
        assert_eq!(said.contains("in a world that was kept ready"), warm, "{said}");
        warm
    }

    /// The processes of ours that this person has.
    fn processes(&self) -> Vec<u32> {
        let program = self.person.ringfence_program();
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            (exe == program).then_some(pid)
        });
        all.collect()
    }

    /// The process of the world that waits.
    fn parked(&self) -> u32 {
        let name = self.sockets("world").pop().unwrap().file_name().unwrap().to_owned();
        name.to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
    }

    fn sockets(&self, kind: &str) -> Vec<PathBuf> {
        let dir = self.person.home().join(".local/state/ringfence/run/warm");
        let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind)).collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn person(who: Who) -> Person {
    let person = Person::new(who);
    let policy = POLICY.replace("PROJECT", person.project().to_str().unwrap());
    person.write(".ringfence/policy.cedar", &policy);
    person.succeed(&["trust", "--yes"]);
    person
}

#[track_caller]
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything that a program can see of how it was started.
const SEEN: &str = r"
env | sort; pwd; umask; id; ulimit -a; ulimit -Ha; cat
ls -l /proc/self/fd | sed 's/.* \([0-9]* ->\)/\1/' | grep -v '/proc/'
for it in $$ 1; do
  grep -vE '^(Vm|Rss|Hugetlb|.*ctxt_switches|.*[Pp]id|Nspid|NStgid|NSpid|NSpgid|NSsid|Sig|Shd|State|FDSize)' /proc/$it/status
  cat /proc/$it/oom_score_adj /proc/$it/cgroup /proc/$it/loginuid /proc/$it/limits
done
cut -d' ' -f 19,40,41 /proc/$$/stat
cut -d' ' -f 4- /proc/self/mountinfo | sed 's/master:[0-9]*//'
tty; ls -lan --time-style=+ . / /tmp /dev; ip addr 2>/dev/null; hostname
awk '{print $5, $6, $7, $8}' /proc/$$/stat
";

/// What differs from session to session, made alike.
fn alike(output: &Output) -> String {
    let said = text(output);
    let session = said.rsplit_once("`ringfence show ").unwrap().1.split('`').next().unwrap();
    let said = said.replace(session, "SESSION");
    // Processes that end soon are recorded together: how many entries that makes is a matter of time.
    let (before, after) = said.rsplit_once(" entries;").unwrap();
    let (before, _) = before.rsplit_once(' ').unwrap();
    let said = format!("{before} SOME entries;{after}");
    let without_numbers = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if digits > 5 {
            word.chars().filter(|it| !it.is_ascii_alphanumeric()).collect()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(without_numbers).collect::<Vec<_>>().join(" ");
    // Which processes the host has is told by nothing but the number of directories in /proc.
    let lines = said.lines().filter(|line| {
        !line.starts_with("TRACEPARENT=") && !line.starts_with("total ") && !line.ends_with(" proc")
    });
    lines.map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_program_sees_the_same_as_after_a_cold_start() {
    for who in Who::all() {
        let kept = Kept::new(who);
        let run = |words: &[&str]| {
            kept.wait_until_ready();
            let mut command = kept.person.ringfence(words);
            command.env("ONLY_HERE", "1").env("SHLVL", "3");
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"typed\n").unwrap();
            child.wait_with_output().unwrap()
        };
        let cold = run(&["run", "--", "sh", "-c", SEEN]);
        assert!(!kept.was_warm());
        let warm = run(&["run", "--warm", "--", "sh", "-c", SEEN]);
        assert!(kept.was_warm(), "{}", text(&warm));
        let (seen, expected) = (alike(&warm), alike(&cold));
        assert!(expected.lines().count() > 100, "{expected}");
        let pairs = seen.lines().zip(expected.lines());
        let differ: Vec<_> = pairs.filter(|(one, other)| one != other).collect();
        assert_eq!(differ, Vec::new(), "{who:?}");
        assert_eq!(seen.lines().count(), expected.lines().count(), "{who:?}: {seen}\n{expected}");
        assert!(text(&warm).contains("\ntyped\n"), "{}", text(&warm));
        assert_eq!(warm.status.code(), cold.status.code());
    }
}

#[test]
fn a_session_ends_as_its_command_does_and_says_the_same() {
    for who in Who::all() {
        let kept = Kept::new(who);
        assert_eq!(kept.warm("exit 7").status.code(), Some(7));
        assert_eq!(kept.warm("kill -9 $$").status.code(), Some(137));
        kept.wait_until_ready();
        let missing = kept.person.ringfence(&["run", "--warm", "--", "no-such-program"]).output();
        let missing = missing.unwrap();
        assert_eq!(missing.status.code(), Some(127));
        assert!(
            text(&missing).contains("there is no program `no-such-program`"),
            "{}",
            text(&missing)
        );
        kept.wait_until_ready();
        let summed = kept.person.ringfence(&["run", "--warm", "--json", "--", "true"]).output();
        lines_conform(&summed.unwrap().stderr, "run-summary.schema.json");
        assert!(kept.was_warm());
        kept.person.succeed(&["log", "verify"]);
    }
}

#[test]
fn signals_reach_the_command() {
    let kept = Kept::new(Who::Caller);
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        kept.wait_until_ready();
        let script = format!(
            "trap 'exit {number}' {signal}; touch ready-{signal}; while :; do sleep 0.05; done"
        );
        let mut child = kept
            .person
            .ringfence(&["run", "--warm", "--", "sh", "-c", &script])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("it runs", || kept.person.project().join(format!("ready-{signal}")).exists());
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let signal = rustix::process::Signal::from_named_raw(number).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(number));
        assert!(kept.was_warm());
    }
}

#[test]
fn a_caller_that_is_killed_takes_its_session_along() {
    let kept = Kept::new(Who::Caller);
    let script = "touch began; while :; do date +%s%N > beat; sleep 0.05; done";
    let mut child = kept
        .person
        .ringfence(&["run", "--warm", "--", "sh", "-c", script])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it runs", || kept.person.project().join("beat").exists());
    assert!(kept.was_warm());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    // The keeper, the world that waits with its three processes, and nobody else.
    let beat = || fs::read_to_string(kept.person.project().join("beat")).unwrap_or_default();
    wait_for("its world ends", || {
        let before = beat();
        std::thread::sleep(Duration::from_millis(300));
        before == beat()
    });
    wait_for("it is closed", || {
        let sessions = kept.person.succeed(&["sessions", "--json"]);
        let last: Value = serde_json::from_str(sessions.lines().next().unwrap()).unwrap();
        last["state"] != "running"
    });
}

#[test]
fn a_session_goes_on_when_its_keeper_is_stopped() {
    let kept = Kept::new(Who::Caller);
    let child = kept
        .person
        .ringfence(&[
            "run",
            "--warm",
            "--",
            "sh",
            "-c",
            "touch began; while [ ! -e go ]; do sleep 0.05; done; echo went on",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("it runs", || kept.person.project().join("began").exists());
    kept.wait_until_ready();
    let stopped = kept.person.ringfence(&["warm", "stop", "--json"]).output().unwrap();
    lines_conform(&stopped.stdout, "warm-stop.schema.json");
    assert_eq!(kept.sockets("").len(), 0, "{:?}", kept.sockets(""));
    kept.person.write("go", "");
    let output = child.wait_with_output().unwrap();
    assert!(text(&output).starts_with("went on\n"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(0));
    wait_for("nobody is left", || kept.processes().is_empty());
    let none = kept.person.ringfence(&["warm", "stop"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
}

#[test]
fn nobody_is_left_of_a_keeper_that_is_killed() {
    for who in Who::all() {
        let mut kept = Kept::new(who);
        assert!(kept.processes().len() > 2, "{:?}", kept.processes());
        let status = kept.person.ringfence(&["warm", "status", "--json"]).output().unwrap();
        lines_conform(&status.stdout, "warm-status.schema.json");
        // The keeper itself is not its `setpriv`, which it replaced.
        kept.keeper.kill().unwrap();
        kept.keeper.wait().unwrap();
        wait_for("nobody is left", || kept.processes().is_empty());
        let status = kept.person.ringfence(&["warm", "status"]).output().unwrap();
        assert_eq!(status.status.code(), Some(1), "{}", text(&status));
        // What it could not remove is no obstacle.
        let cold = kept.run("echo ran");
        assert!(text(&cold).contains("ran\n"), "{}", text(&cold));
        assert!(
            text(&cold).contains("warm: a cold start, for no world is ready"),
            "{}",
            text(&cold)
        );
        assert!(!kept.was_warm());
        assert_eq!(kept.sockets("").len(), 0, "{:?}", kept.sockets(""));
    }
}

#[test]
fn who_waits_does_nothing() {
    let kept = Kept::new(Who::Caller);
    let switches = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(str::to_owned).collect::<String>()
    };
    // Mounts of somebody else on this machine replace a world that waits.
    wait_for("they are still", || {
        let pids = kept.processes();
        let before: Vec<String> = pids.iter().copied().map(switches).collect();
        std::thread::sleep(Duration::from_secs(2));
        pids == kept.processes() && before == pids.iter().copied().map(switches).collect::<Vec<_>>()
    });
}

#[test]
fn of_twenty_callers_each_is_served_once() {
    let kept = Kept::new(Who::Caller);
    let callers: Vec<Child> = (0..20)
        .map(|number| {
            let script = format!("echo {number} >> all");
            kept.person
                .ringfence(&["run", "--warm", "--", "sh", "-c", &script])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    let all = fs::read_to_string(kept.person.project().join("all")).unwrap();
    let mut numbers: Vec<u32> = all.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    kept.wait_until_ready();
    assert!(kept.standing().unwrap()["taken"].as_u64().unwrap() >= 1);
}

#[test]
fn a_project_without_a_policy_is_kept_no_world() {
    let person = Person::new(Who::Caller);
    let output = person.ringfence(&["warm"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("no policy"), "{}", text(&output));
    let output = person.ringfence(&["warm", "--worlds", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_keeper_ends_when_its_time_is_over() {
    let person = person(Who::Caller);
    let output = person.ringfence(&["warm", "--for", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn another_tier_and_every_option_of_run_are_as_after_a_cold_start() {
    // In the tier `landlock` root's worlds may write nothing of root's.
    let kept = Kept::new(Who::all().pop().unwrap());
    let run = |words: &[&str]| {
        kept.wait_until_ready();
        let words = [&["run", "--warm"], words].concat();
        let output = kept.person.ringfence(&words).output().unwrap();
        assert!(kept.was_warm(), "{}", text(&output));
        output
    };
    kept.wait_until_ready();
    let words = ["run", "--warm", "--tier", "landlock", "--", "sh", "-c", "echo in $PWD"];
    let output = kept.person.ringfence(&words).output().unwrap();
    assert!(!kept.was_warm(), "only worlds of the usual tier are kept: {}", text(&output));
    let said = "warm: a cold start, for worlds of the tier `landlock` are not kept ready";
    assert!(text(&output).contains(said), "{}", text(&output));
    assert!(
        text(&output).contains(&format!("in {}\n", kept.person.project().display())),
        "{}",
        text(&output)
    );
    let output = run(&["--review", "--", "sh", "-c", "echo new > made"]);
    assert!(text(&output).contains("1 change waits for review"), "{}", text(&output));
    assert!(!Path::new(&kept.person.project().join("made")).exists());
    let output =
        run(&["--trace", "files", "--seccomp", "strict", "--agent", "other", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let lines = kept.person.succeed(&["log", "show", "--json"]);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["entry"]["agent"], "other");
    assert_eq!(first["entry"]["trace"], "files");
}
