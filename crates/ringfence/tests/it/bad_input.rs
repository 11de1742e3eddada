//! Bad input and a bad host: each is a clear error or a right answer, and nothing is let through.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use ringfence_runtime::control::{self, Reply};

use crate::run::{Ended, Person, Who, each};

/// Everything in the project, and any program.
const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
"#;

/// Policies that are wrong, each with what must be said about it.
const WRONG: &[(&str, &str)] = &[
    ("permit (principal, action, resource", "policy.cedar:1"),
    (r#"permit (principal, action == Action::"fs.wirte", resource);"#, "fs.write"),
    (
        r#"permit (principal, action == Action::"fs.read", resource) when { resource.pth == "/a" };"#,
        "pth",
    ),
    (r#"@idd("x") permit (principal, action == Action::"exec", resource);"#, "idd"),
    (r#"permit (principal, action == Action::"exec", resource == Programm::"/a");"#, "Programm"),
    (
        r#"permit (principal, action == Action::"fs.read", resource) when { context.clock.hour > 8 };"#,
        "fs",
    ),
];

#[test]
fn a_wrong_policy_starts_nothing_and_says_where() {
    for (policy, said) in WRONG {
        let person = Person::new(Who::Us, policy);
        let ended = person.sh("touch made");
        assert_eq!(ended.code, 125, "{policy}: {ended}");
        assert!(ended.err.contains(said), "{policy}: {ended}");
        assert!(ended.err.contains("policy.cedar:"), "{policy}: {ended}");
        assert!(!person.home.path("project/made").exists(), "{policy}");
        let file = person.home.path("policy.cedar");
        let checked = person.ringfence(&["policy", "check", file.to_str().unwrap()]);
        assert_eq!(checked.code, 1, "{policy}: {checked}");
    }
}

#[test]
fn a_wrong_policy_leaves_the_one_before_in_force() {
    let person = Person::new(Who::Us, POLICY);
    let (child, session) = person.start("until test -e go; do sleep 0.05; done; echo x > after");
    for (policy, _) in WRONG {
        person.home.write("policy.cedar", policy);
        let reply = control::ask(&person.runtime(), &session, &control::Command::Reload).unwrap();
        assert!(matches!(reply, Reply::Refused { .. }), "{policy}: {reply:?}");
    }
    person.home.write("project/go", "");
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{ended}");
    assert!(person.home.path("project/after").exists());
}

#[test]
fn a_missing_program_is_127_and_no_act() {
    each(POLICY, |person| {
        let ended = person.run(&["no-such-program"]);
        assert_eq!(ended.code, 127, "{ended}");
        assert!(ended.err.contains("0 permitted, 0 denied"), "{ended}");
        assert!(ended.err.contains("error: there is no program `no-such-program`"), "{ended}");
        let ended = person.run(&["/etc/passwd"]);
        assert_eq!(ended.code, 126, "{ended}");
        assert!(ended.err.contains("error: `/etc/passwd` is not a program"), "{ended}");
        // A path is relative to where the command runs.
        person.home.write("project/here", "#!/bin/sh\necho ran\n");
        person.own();
        assert_eq!(person.sh("chmod +x here").code, 0);
        let ended = person.run(&["./here"]);
        assert_eq!(ended.out, "ran\n", "{ended}");
    });
}

#[test]
fn a_name_that_no_policy_can_speak_of_is_refused_and_recorded() {
    each(POLICY, |person| {
        let ended = person.sh(r#"touch "$(printf 'a\377b')"; echo $?"#);
        assert_eq!(ended.out, "1\n", "{ended}");
        let made = std::fs::read_dir(person.home.path("project")).unwrap();
        assert_eq!(made.count(), 0);
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("refused "), "{log}");
        let shown = person.ringfence(&["show"]);
        assert!(shown.out.contains("no policy can name"), "{shown}");
        assert_eq!(person.ringfence(&["log", "verify"]).code, 0);
    });
}

#[test]
fn an_argument_that_is_not_utf_8_is_passed_as_it_is() {
    each(POLICY, |person| {
        let script = r#"env printf "$(printf 'a\377b')" | od -An -c"#;
        let ended = person.sh(script);
        assert!(ended.out.contains("a 377   b"), "{ended}");
    });
}

#[test]
fn a_working_directory_that_is_not_utf_8_is_refused() {
    let person = Person::new(Who::Us, POLICY);
    let dir = person.home.path("project").join(std::ffi::OsStr::from_bytes(b"d\xff"));
    std::fs::create_dir(&dir).unwrap();
    let policy = person.home.path("policy.cedar");
    let words = Person::under_policy(policy.to_str().unwrap(), &["touch", "made"]);
    let ended = Ended::from(person.command(&words).current_dir(&dir).output().unwrap());
    assert_eq!(ended.code, 125, "{ended}");
    assert!(ended.err.contains("UTF-8"), "{ended}");
    assert!(!dir.join("made").exists());
}

#[test]
fn an_argument_list_of_a_mebibyte_is_decided() {
    let forbidding = format!(
        "{POLICY}\nforbid (principal, action == Action::\"exec\", resource == \
         Program::\"/usr/bin/true\") when {{ context.opaque }};\n"
    );
    // Sixteen arguments of 64 KiB: one argument may have 128 KiB at most.
    let script = r#"x=$(head -c 65536 /dev/zero | tr '\0' a)
env true $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x $x"#;
    let person = Person::new(Who::Us, &forbidding);
    let ended = person.sh(script);
    assert_eq!(ended.code, 126, "{ended}");
    let ended = person.sh("env true short");
    assert_eq!(ended.code, 0, "{ended}");
    let person = Person::new(Who::Us, POLICY);
    let ended = person.sh(script);
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn a_program_that_is_only_outside_is_named_with_the_grant_that_shows_it() {
    each(POLICY, |person| {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let tool = person.home.path("tools/tool");
        person.home.write("tools/tool", "#!/bin/sh\necho it runs\n");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(person.home.path("links")).unwrap();
        let link = person.home.path("links/tool");
        symlink(&tool, &link).unwrap();
        person.own();
        // Each hint, run, is one step further; then it runs.
        for grants in [2, 0] {
            let ended = person.run(&[link.to_str().unwrap()]);
            let hints: Vec<_> =
                ended.err.lines().filter_map(|line| line.split('`').nth(1)).collect();
            let hints: Vec<_> =
                hints.iter().filter(|it| it.starts_with("ringfence grant")).collect();
            assert_eq!(hints.len(), grants, "{ended}");
            assert_eq!(ended.code, if grants == 0 { 0 } else { 127 }, "{ended}");
            for hint in hints {
                let words: Vec<_> = hint.split(' ').skip(1).chain(["--yes"]).collect();
                assert_eq!(person.ringfence(&words).code, 0, "{hint}");
            }
        }
    });
}

#[test]
fn a_script_whose_interpreter_is_missing_is_named_with_it() {
    each(POLICY, |person| {
        person.home.write("project/script", "#!/opt/no such interpreter\n");
        person.own();
        assert_eq!(person.sh("chmod +x script").code, 0);
        let ended = person.run(&["./script"]);
        assert_eq!(ended.code, 127, "{ended}");
        let said = "error: `./script` is to be run by /opt/no, which does not exist";
        assert!(ended.err.contains(said), "{ended}");
    });
}

#[test]
fn a_loop_of_links_is_the_kernels_own_error() {
    each(POLICY, |person| {
        let ended = person.sh("ln -s a b; ln -s b a; echo x > a; cat a; ./a");
        assert_eq!(ended.code, 127, "{ended}");
        assert_eq!(ended.err.matches("Too many levels of symbolic links").count(), 3, "{ended}");
    });
}

/// Runs a script of root's in a mount namespace of its own; `None` where nobody is root.
fn with_mounts(person: &Person, script: &str) -> Option<Ended> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let policy = person.home.path("policy.cedar");
    let words = Person::under_policy(policy.to_str().unwrap(), &["touch", "made"]);
    let inner = person.command(&words);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script, "sh"]).arg(inner.get_program());
    command.args(inner.get_args()).current_dir(person.home.path("project")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(Ended::from(command.output().unwrap()))
}

#[test]
fn a_full_disk_starts_nothing() {
    let person = Person::new(Who::Us, POLICY);
    assert_eq!(person.run(&["true"]).code, 0);
    let script = "d=$HOME/.local/state; mount -t tmpfs -o size=64k,nr_inodes=200 t $d; \
                  head -c 1000000 /dev/zero > $d/fill 2>/dev/null || :; exec \"$@\"";
    let Some(ended) = with_mounts(&person, script) else { return };
    assert_eq!(ended.code, 125, "{ended}");
    assert!(ended.err.contains("No space left"), "{ended}");
    assert!(!person.home.path("project/made").exists());
}

#[test]
fn a_home_that_cannot_be_written_starts_nothing() {
    let person = Person::new(Who::Us, POLICY);
    std::fs::create_dir_all(person.home.path(".local/state")).unwrap();
    let script = "mount --bind $HOME $HOME; mount -o remount,ro,bind $HOME; exec \"$@\"";
    let Some(ended) = with_mounts(&person, script) else { return };
    assert_eq!(ended.code, 125, "{ended}");
    assert!(ended.err.contains("Read-only file system"), "{ended}");
    assert!(ended.err.contains("XDG_STATE_HOME"), "{ended}");
    assert!(!person.home.path("project/made").exists());
}

#[test]
fn a_log_that_does_not_verify_is_named_and_keeps_nobody_from_working() {
    each(POLICY, |person| {
        let ended = person.sh("echo one > a");
        assert_eq!(ended.code, 0, "{ended}");
        // A log is sealed after its session has ended; what is not sealed yet is not promised.
        crate::run::wait_for(|| {
            person.ringfence(&["log", "verify"]).out.contains("closed").then_some(())
        });
        let sessions = person.home.path(".local/state/ringfence/sessions");
        let dir = std::fs::read_dir(sessions).unwrap().next().unwrap().unwrap().path();
        let id = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let segments = std::fs::read_dir(dir.join("log/segments")).unwrap();
        let segment = segments.map(|entry| entry.unwrap().path()).next().unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let ended = person.sh("echo two > b");
        assert_eq!(ended.code, 0, "{ended}");
        let verified = person.ringfence(&["log", "verify"]);
        assert_eq!(verified.code, 1, "{verified}");
        assert!(format!("{verified}").contains(&id), "{verified}");
    });
}

#[test]
fn without_user_namespaces_nothing_starts() {
    let person = Person::new(Who::Us, POLICY);
    let policy = person.home.path("policy.cedar");
    let words = Person::under_policy(policy.to_str().unwrap(), &["touch", "made"]);
    let inner = person.command(&words);
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]);
    command.args(["sh", "-ec", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(person.home.path("project")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = Ended::from(command.output().unwrap());
    assert_eq!(ended.code, 125, "{ended}");
    assert!(ended.err.contains("user namespace"), "{ended}");
    assert!(ended.err.contains("max_user_namespaces"), "{ended}");
    assert!(!person.home.path("project/made").exists());
}

/// Installs a filter that fails one system call, as a kernel without it would, and runs the rest.
const WITHOUT: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    unsigned nr = atoi(argv[1]), error = atoi(argv[2]);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 99;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 98;
    execv(argv[3], argv + 3);
    return 97;
}
"#;

/// Runs `touch made` on a kernel whose call `number` fails with `error`.
fn without(person: &Person, number: u32, error: i32) -> Ended {
    person.home.write("without.c", WITHOUT);
    let (source, program) = (person.home.path("without.c"), person.home.path("without"));
    let built = Command::new("cc").arg("-o").arg(&program).arg(&source).status().unwrap();
    assert!(built.success());
    let policy = person.home.path("policy.cedar");
    let words = Person::under_policy(policy.to_str().unwrap(), &["touch", "made"]);
    let inner = person.command(&words);
    let mut command = Command::new(&program);
    command.args([number.to_string(), error.to_string()]).arg(inner.get_program());
    command.args(inner.get_args()).current_dir(person.home.path("project")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ended::from(command.output().unwrap())
}

/// `landlock_create_ruleset`, `seccomp` and `unshare` on x86-64, and errors of Linux.
const LANDLOCK_CREATE_RULESET: u32 = 444;
const SECCOMP: u32 = 317;
const UNSHARE: u32 = 272;
const ENOSYS: i32 = 38;
const EPERM: i32 = 1;

#[test]
fn a_kernel_that_lacks_a_layer_starts_nothing() {
    let lacks = [
        (LANDLOCK_CREATE_RULESET, ENOSYS, "landlock"),
        (SECCOMP, ENOSYS, "seccomp"),
        (UNSHARE, EPERM, "namespace"),
    ];
    for (number, error, said) in lacks {
        let person = Person::new(Who::Us, POLICY);
        let ended = without(&person, number, error);
        assert_eq!(ended.code, 125, "{said}: {ended}");
        assert!(ended.err.to_lowercase().contains(said), "{said}: {ended}");
        assert!(ended.err.contains("hint:"), "{said}: {ended}");
        assert!(!person.home.path("project/made").exists(), "{said}");
    }
}

/// Everything is permitted.
const ALL: &str = "permit (principal, action, resource);";

#[test]
fn where_everything_is_permitted_ringfences_own_files_stay_out_of_reach() {
    each(ALL, |person| {
        let state = person.home.path(".local/state/ringfence");
        let script = format!(
            "echo yes > made; test -e /etc/passwd && test -d /var/lib && echo seen; \
             touch /usr/made-here; ls -A {0}; touch {0}/x; echo x > .git/hooks/post-commit",
            state.display()
        );
        std::fs::create_dir_all(person.home.path("project/.git/hooks")).unwrap();
        person.own();
        let ended = person.sh(&script);
        assert_ne!(ended.code, 125, "{ended}");
        assert!(ended.out.contains("seen"), "{ended}");
        assert!(person.home.path("project/made").exists(), "{ended}");
        assert!(!ended.out.contains("sessions"), "{ended}");
        assert!(!state.join("x").exists(), "{ended}");
        assert!(!Path::new("/usr/made-here").exists(), "{ended}");
        assert!(!person.home.path("project/.git/hooks/post-commit").exists(), "{ended}");
        assert!(ended.err.contains("stay read-only"), "{ended}");
    });
}

#[test]
fn the_plan_says_what_stays_read_only_where_everything_is_permitted() {
    let person = Person::new(Who::Us, ALL);
    person.home.write("project/.ringfence/policy.cedar", ALL);
    assert_eq!(person.ringfence(&["trust", "--yes"]).code, 0);
    let planned = person.ringfence(&["policy", "plan"]);
    assert_eq!(planned.code, 0, "{planned}");
    assert!(planned.out.contains("stay read-only"), "{planned}");
}

#[test]
fn a_command_line_that_is_wrong_is_answered_with_what_to_run() {
    let home = crate::home::Home::new();
    for (words, said) in [
        (
            ["show", "foo"].as_slice(),
            "! hint: to see what the sessions are called, run `ringfence sessions`",
        ),
        (
            &["explain", "foo"],
            "! hint: to see what the sessions are called, run `ringfence sessions`",
        ),
        (&["log", "show", "foo"], "! hint: to see what the sessions are called"),
        (&["explain"], "run `ringfence log show`"),
        (&["run", "claude"], "! hint: the command comes after two dashes: `ringfence run -- CMD`"),
        (&["rn", "--", "ls"], "a similar subcommand exists: 'run'"),
        (&["shwo"], "a similar subcommand exists: 'show'"),
        (&["policy", "chek"], "a similar subcommand exists: 'check'"),
    ] {
        let text = home.run(words);
        assert!(text.contains(said), "{text}");
    }
    let help = home.run(&["policy", "test", "--help"]);
    assert!(help.contains("[[case]]") && help.contains("expect = "), "{help}");
}
