//! What must not come of worlds that are kept ready: a session with less than the policy of its own
//! moment, with something of anybody else, or for somebody else.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{Kept, person, wait_for};
use crate::person::{Who, text};

/// Says whether it could read a file of the project.
const READ: &str = "cat secret 2>&1; echo read: $?";

fn reads(output: &Output) -> bool {
    text(output).contains("value\nread: 0\n")
}

#[test]
fn a_policy_that_was_edited_meanwhile_is_in_force() {
    for who in Who::all() {
        let kept = Kept::new(who);
        kept.person.write("secret", "value\n");
        assert!(reads(&kept.warm(READ)), "the attack does not work anyway");
        kept.wait_until_ready();
        let policy = kept.person.project().join(".ringfence/policy.cedar");
        let forbids = format!(
            "{}\n@id(\"kept\") forbid (principal, action in Action::\"fs\", resource == Path::\"{}/secret\");\n",
            fs::read_to_string(&policy).unwrap(),
            kept.person.project().display()
        );
        kept.person.write(".ringfence/policy.cedar", &forbids);
        kept.person.succeed(&["trust", "--yes"]);
        let output = kept.run(READ);
        assert!(kept.was_warm(), "{}", text(&output));
        assert!(!reads(&output), "{who:?}: {}", text(&output));
    }
}

#[test]
fn a_trust_that_was_withdrawn_meanwhile_is_gone() {
    let kept = Kept::new(Who::Caller);
    assert_eq!(kept.warm("true").status.code(), Some(0), "the attack does not work anyway");
    kept.wait_until_ready();
    kept.person.succeed(&["untrust"]);
    let output = kept.run("touch made");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    assert!(text(&output).contains("you have not trusted it"), "{}", text(&output));
    assert!(!kept.person.project().join("made").exists());
}

#[test]
fn a_grant_that_was_revoked_meanwhile_is_gone() {
    let kept = Kept::new(Who::Caller);
    let outside = kept.person.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "value\n").unwrap();
    let grant = format!("fs.read:{}", outside.display());
    let said = kept.person.succeed(&["grant", &grant, "--always", "--yes", "--json"]);
    let id = said.split("\"g-").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let script = format!("cd {}; {READ}", outside.display());
    assert!(reads(&kept.warm(&script)), "the attack does not work anyway");
    kept.wait_until_ready();
    kept.person.succeed(&["grants", "revoke", &format!("g-{id}")]);
    let output = kept.run(&script);
    assert!(kept.was_warm(), "{}", text(&output));
    assert!(!reads(&output), "{}", text(&output));
}

/// A place that is protected wherever it is: it came while the world waited.
#[test]
fn what_came_meanwhile_is_protected() {
    for who in Who::all() {
        let kept = Kept::new(who);
        for dir in ["hooks", "objects", "refs"] {
            kept.person.write(&format!(".git/{dir}/keep"), "");
        }
        kept.person.write(".git/HEAD", "ref: refs/heads/main\n");
        let plant = "echo evil > .git/hooks/pre-commit";
        let output = kept.run(plant);
        assert!(kept.was_warm(), "{}", text(&output));
        let hook = kept.person.project().join(".git/hooks/pre-commit");
        assert!(!hook.exists(), "{who:?}: {}", text(&output));
        kept.person.outside(plant);
        assert!(hook.exists(), "the attack does not work anyway");
    }
}

#[test]
fn nothing_of_who_keeps_a_world_is_in_it() {
    for who in Who::all() {
        let kept = Kept::by(person(who), |person| {
            let program = person.ringfence_program().display().to_string();
            let script = format!("exec 7</etc/hostname; umask 000; exec {program} warm");
            let mut command = person.command(Path::new("/bin/sh"), &["-c", &script]);
            command.env("KEEPERS_OWN", "1");
            command
        });
        let waiting = kept.parked();
        let read = |name: &str| fs::read(format!("/proc/{waiting}/{name}")).unwrap_or_default();
        if rustix::process::geteuid().is_root() {
            assert_eq!(String::from_utf8(read("environ")).unwrap(), "TZ=UTC\0");
            let open = fs::read_dir(format!("/proc/{waiting}/fd")).unwrap();
            let open = open.map(|entry| fs::read_link(entry.unwrap().path()).unwrap_or_default());
            let open: Vec<String> = open.map(|it| it.display().to_string()).collect();
            let own = ["/dev/null", "socket:", "/proc/", "/memfd:ringfence-proof-"];
            let foreign = open.iter().filter(|it| !own.iter().any(|own| it.starts_with(own)));
            assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new(), "{who:?}");
        }
        let seen = kept.warm("env; umask; ls -l /proc/self/fd; cat /proc/1/environ 2>&1");
        let seen = text(&seen);
        assert!(!seen.contains("KEEPERS_OWN"), "{who:?}: {seen}");
        assert!(!seen.contains("hostname"), "{who:?}: {seen}");
        assert!(seen.contains("\n0022\n"), "{who:?}: {seen}");
    }
}

/// What a message cannot hand over is not left behind either: who is held tighter stays so.
#[test]
fn who_is_held_tighter_than_the_keeper_gets_no_world_of_its() {
    let tighter = [
        ("ulimit -n 64", "the resource limit `Max open files` (64 64 files)"),
        ("renice -n 7 -p $$ >/dev/null", "the scheduling priority"),
        ("echo 700 > /proc/$$/oom_score_adj", "oom_score_adj"),
        ("exec setpriv --no-new-privs", "no_new_privs"),
        ("exec taskset -c 0", "the processors"),
        ("exec unshare --user --map-current-user", "differs"),
        ("export TZ=Europe/Vienna", "TZ"),
    ];
    for who in Who::all() {
        let kept = Kept::new(who);
        let program = kept.person.ringfence_program().display().to_string();
        for (held, said) in tighter {
            kept.wait_until_ready();
            let run = format!("{program} run --warm -- sh -c 'ulimit -n'");
            let script = match held.strip_prefix("exec ") {
                Some(wrapper) => format!("exec {wrapper} {run}"),
                None => format!("{held}; {run}"),
            };
            let output = kept.person.outside(&script);
            let all = text(&output);
            assert!(all.contains("warm: a cold start, for "), "{who:?}, {held}: {all}");
            assert!(all.contains(said), "{who:?}, {held}: {all}");
        }
        assert_eq!(kept.warm("true").status.code(), Some(0), "the attack does not work anyway");
    }
}

/// Confines itself by Landlock, as who has `CAP_SYS_ADMIN` can without `no_new_privs`, and starts a program.
/// Nothing shows it: no line of `/proc/PID/status` differs.
const HELD_UNSEEN: &str = "import ctypes, os, struct, sys
call = ctypes.CDLL(None, use_errno=True).syscall
made = call(444, struct.pack('Q', 1 << 10), 8, 0)
if made < 0 or call(446, made, 0) < 0: sys.exit(os.strerror(ctypes.get_errno()))
os.close(made)
os.execv(sys.argv[1], sys.argv[1:])";

#[test]
fn who_is_confined_in_a_way_that_nothing_shows_gets_no_world_of_a_keeper_that_is_not() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can confine itself so.
        return;
    }
    let kept = Kept::new(Who::Caller);
    let program = kept.person.ringfence_program().display().to_string();
    kept.person.write("held.py", HELD_UNSEEN);
    kept.wait_until_ready();
    let held = kept.person.project().join("held.py").display().to_string();
    let status = "/bin/grep NoNewPrivs /proc/self/status";
    let oracle = text(&kept.person.outside(&format!("{PYTHON} {held} {status}")));
    assert!(oracle.contains("NoNewPrivs:\t0"), "{oracle}");
    let script = format!("{PYTHON} {held} {program} run --warm -- sh -c 'echo was here'");
    let refused = text(&kept.person.outside(&script));
    let said = "warm: a cold start, for who calls may be confined";
    assert!(refused.contains(said), "{refused}");
    assert_eq!(kept.warm("true").status.code(), Some(0), "who is held alike is served");
}

const PYTHON: &str = "/usr/bin/python3";

/// Connects to each socket of the directory; says how many it reached.
const CONNECT: &str = "import os, socket, sys
reached = 0
for name in sys.argv[1:]:
    try:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(20)
        line.connect(name)
        reached += 1
    except OSError: pass
print('reached', reached)";

#[test]
fn no_world_and_no_other_user_reaches_one_that_waits() {
    for who in Who::all() {
        let kept = Kept::new(who);
        let sockets: Vec<String> =
            kept.sockets("").iter().map(|path| path.display().to_string()).collect();
        let mut words = vec!["-I", "-c", CONNECT];
        words.extend(sockets.iter().map(String::as_str));
        let inside = [&["run", "--", PYTHON], words.as_slice()].concat();
        // Root's worlds may write nothing of root's in the other tier, and are refused.
        let both = ["namespaces", "landlock"];
        let tiers = if Who::all().last() == Some(&who) { &both[..] } else { &both[..1] };
        for tier in tiers {
            let inside = [&["run", "--tier", tier], &inside[1..]].concat();
            let output = kept.person.ringfence(&inside).output().unwrap();
            assert!(text(&output).contains("reached 0"), "{who:?}, {tier}: {}", text(&output));
        }
        if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=51299", "--regid=51299", "--clear-groups", PYTHON]);
            let output = command.args(&words).output().unwrap();
            assert!(text(&output).contains("reached 0"), "{who:?}: {}", text(&output));
        }
        let sockets = kept.sockets("");
        let mut words = vec!["-I", "-c", CONNECT];
        words.extend(sockets.iter().map(|path| path.to_str().unwrap()));
        let output = kept.person.command(Path::new(PYTHON), &words).output().unwrap();
        let reached = format!("reached {}", sockets.len());
        assert!(
            text(&output).contains(&reached),
            "the attack does not work anyway: {}",
            text(&output)
        );
    }
}

/// Says something to the world that waits, as its message and with as many descriptors; prints the
/// first letter of the answer.
const SAY: &str = "import os, socket, sys, array
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.settimeout(30)
line.connect(sys.argv[1])
kind, count = sys.argv[2], int(sys.argv[3])
fd = os.memfd_create('letter', os.MFD_ALLOW_SEALING)
letter = {
    'nothing': b'', 'garbage': os.urandom(4000), 'huge': b'x' * (9 << 20),
    'other': b'ringfence-warm 1\\0/\\0' + b'2\\0ringfence\\0parked\\0',
}[kind]
os.write(fd, letter)
import fcntl
fcntl.fcntl(fd, 1033, 1 | 2 | 4 | 8)
sent = [fd] + [0] * (count - 1)
try:
    line.sendmsg([b'letter'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', sent))] if count else [])
    print('answer', line.recv(1000)[:1])
except OSError as error: print('answer', error)";

#[test]
fn what_is_no_letter_starts_nothing() {
    let kept = Kept::new(Who::Caller);
    let before = kept.person.succeed(&["sessions", "--json"]);
    let said = [
        ("nothing", "0"),
        ("nothing", "4"),
        ("garbage", "1"),
        ("garbage", "4"),
        ("garbage", "9"),
        ("garbage", "200"),
        ("huge", "4"),
        ("other", "4"),
    ];
    for (kind, count) in said {
        kept.wait_until_ready();
        let socket = kept.sockets("world").pop().unwrap().display().to_string();
        let words = ["-I", "-c", SAY, &socket, kind, count];
        let output = kept.person.command(Path::new(PYTHON), &words).output().unwrap();
        assert!(text(&output).contains("answer b'n'"), "{kind} {count}: {}", text(&output));
    }
    assert_eq!(kept.person.succeed(&["sessions", "--json"]), before);
    assert_eq!(kept.warm("exit 5").status.code(), Some(5));
}

/// A caller that is gone before it has given its word.
#[test]
fn who_hangs_up_starts_nothing() {
    let kept = Kept::new(Who::Caller);
    let before = kept.person.succeed(&["sessions", "--json"]);
    for _ in 0..3 {
        kept.wait_until_ready();
        let world = kept.parked();
        let socket = kept.sockets("world").pop().unwrap().display().to_string();
        let output = kept.person.command(Path::new(PYTHON), &["-I", "-c", CONNECT, &socket]);
        let output = { output }.output().unwrap();
        assert!(text(&output).contains("reached 1"), "{}", text(&output));
        wait_for("it is gone", || !Path::new(&format!("/proc/{world}")).exists());
    }
    assert_eq!(kept.person.succeed(&["sessions", "--json"]), before);
}

/// A directory that took the place of the caller's own.
#[test]
fn a_project_that_was_replaced_is_not_taken_for_the_one_that_was() {
    let kept = Kept::new(Who::Caller);
    let program = kept.person.ringfence_program().display().to_string();
    let script = format!(
        "cd ..; cp -r project other; cd project; mv ../project ../old; mv ../other ../project; \
         {program} run --warm -- sh -c 'touch made'"
    );
    let output = kept.person.outside(&script);
    assert!(text(&output).contains("warm: a cold start, for "), "{}", text(&output));
    assert!(!kept.person.home().join("project/made").exists(), "{}", text(&output));
}

/// A new version takes no world of the one before.
#[test]
fn a_program_that_was_replaced_gets_no_world_of_the_old_one() {
    let kept = Kept::new(Who::Caller);
    kept.wait_until_ready();
    let program = kept.person.ringfence_program();
    fs::rename(&program, program.with_file_name("old")).unwrap();
    // Written by another process: a child of another test could have this one's descriptor, and the program be busy.
    let mut copy = Command::new("cp");
    assert!(copy.arg(program.with_file_name("old")).arg(&program).status().unwrap().success());
    let output = kept.run("true");
    assert!(text(&output).contains("the version of ringfence differs"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(0));
}
