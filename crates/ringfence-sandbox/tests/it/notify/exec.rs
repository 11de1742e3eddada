//! Programs: what is seen of them, and that nothing else runs.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringfence_sandbox::notify::{Attempt, Attempted, Verification};

use super::harness::{Scratch, Session, copy, exec, line, tracee, unfiltered};

/// Runs a program and permits everything, verified; what was attempted, and the output.
fn verified(args: &[&str]) -> (Vec<String>, Vec<Verification>, String) {
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    let output = Session::start("e", args, &[]).run(|attempt| {
        lines.push(line(&attempt));
        ends.push(attempt.allow_verified());
    });
    (lines, ends, output)
}

fn script(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_is_seen_with_its_real_path_and_all_arguments() {
    let scratch = Scratch::new();
    let link = scratch.at("link");
    symlink(tracee(), &link).unwrap();
    let (lines, ends, output) = verified(&["run", &link, "-", "say", "a b", ""]);
    assert_eq!(lines, [format!("exec {} [{link} - say a b ]", tracee())]);
    assert_eq!(ends, [Verification::Same]);
    assert_eq!(output, "a b\n");
}

#[test]
fn a_dropped_attempt_is_denied() {
    let output = Session::start("e", &["run", tracee(), "-", "say", "x"], &[]).run(drop);
    assert_eq!(output, "execv EACCES\n");
}

#[test]
fn a_denial_has_the_given_error() {
    let deny = |attempt: Attempt| {
        attempt.deny(libc::EPERM);
    };
    let output = Session::start("e", &["run", tracee(), "-", "say", "x"], &[]).run(deny);
    assert_eq!(output, "execv EPERM\n");
}

#[test]
fn what_cannot_run_is_no_attempt() {
    let scratch = Scratch::new();
    std::fs::write(scratch.at("data"), "x").unwrap();
    std::fs::create_dir(scratch.at("dir")).unwrap();
    symlink("loop", scratch.at("loop")).unwrap();
    for (name, error) in
        [("none", "ENOENT"), ("none/x", "ENOENT"), ("data", "EACCES"), ("data/x", "ENOTDIR")]
            .into_iter()
            .chain([("dir", "EACCES"), ("loop", "ELOOP")])
    {
        let (lines, _, output) = verified(&["run", &scratch.at(name)]);
        assert_eq!((lines, output), (vec![], format!("execv {error}\n")), "{name}");
        assert_eq!(unfiltered(&["run", &scratch.at(name)]), format!("execv {error}\n"), "{name}");
    }
}

#[test]
fn an_exec_that_fails_leaves_its_process_alone() {
    let scratch = Scratch::new();
    script(&scratch.at("odd"), "neither a binary nor a script");
    let (lines, ends, output) = verified(&["run", &scratch.at("odd")]);
    assert_eq!(lines.len(), 1);
    assert_eq!(ends, [Verification::NotStarted]);
    assert_eq!(output, "execv ENOEXEC\n");
}

#[test]
fn a_script_is_seen_with_its_interpreters() {
    let scratch = Scratch::new();
    copy(tracee(), &scratch.at("say"));
    script(&scratch.at("two"), &format!("#! {} hello there \n", scratch.at("say")));
    script(&scratch.at("one"), &format!("#!{}\targ\n", scratch.at("two")));
    let (lines, ends, output) = verified(&["run", &scratch.at("one"), "x"]);
    let seen: Vec<String> = lines.iter().map(|line| scratch.short(line)).collect();
    assert_eq!(seen, ["exec $D/one [$D/one x] through $D/two through $D/say"]);
    assert_eq!(ends, [Verification::Same]);
    assert_eq!(output, "hello there\n");
}

#[test]
fn a_script_without_its_interpreter_is_no_attempt() {
    let scratch = Scratch::new();
    script(&scratch.at("one"), "#!/none/such\n");
    let (lines, _, output) = verified(&["run", &scratch.at("one")]);
    assert_eq!((lines, output), (vec![], "execv ENOENT\n".to_owned()));
}

#[test]
fn a_shell_runs_its_pipeline_under_verification() {
    let command = "echo one two | tr a-z A-Z | { read x y; /bin/echo $y $x; }; /none; exit 0";
    let (lines, ends, output) = verified(&["run", "/bin/sh", "-c", command]);
    assert_eq!(output, "TWO ONE\n");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(ends.iter().all(|end| *end == Verification::Same), "{ends:?}");
}

#[test]
fn several_threads_share_the_work() {
    let scratch = Scratch::new();
    let command = format!(
        "cd {}; for i in {{1..25}}; do {{ > $i; /bin/echo $i >> $i; cat $i; rm $i; }} & done; wait",
        scratch.path().display()
    );
    let (same, files) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let session = Session::start("ew", &["run", "/bin/bash", "-c", &command], &["/dev"]);
    let output = session.run_by(4, |attempt| {
        if matches!(attempt.kind, Attempted::Exec(_)) {
            assert_eq!(attempt.allow_verified(), Verification::Same);
            same.fetch_add(1, Ordering::SeqCst);
        } else {
            attempt.allow();
            files.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut seen: Vec<u32> = output.lines().map(|line| line.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=25).collect::<Vec<u32>>());
    assert_eq!((same.into_inner(), files.into_inner()), (1 + 3 * 25, 3 * 25));
}

#[test]
fn a_receiver_that_does_not_come_back_is_replaced() {
    let scratch = Scratch::new();
    let command = format!("cd {}; > a & > b & > c & wait; /bin/echo end", scratch.path().display());
    let session = Session::start("ew", &["run", "/bin/bash", "-c", &command], &["/dev"]);
    let first = AtomicUsize::new(0);
    let output = session.run_by(3, |attempt| {
        if let Attempted::File(_) = attempt.kind {
            // Both others must be heard while this one is not answered.
            first.fetch_add(1, Ordering::SeqCst);
            let begun = std::time::Instant::now();
            while first.load(Ordering::SeqCst) < 3 {
                assert!(begun.elapsed().as_secs() < 20, "the others were not heard meanwhile");
                std::thread::yield_now();
            }
        }
        attempt.allow();
    });
    assert_eq!(output, "end\n");
}

#[test]
fn a_thread_that_is_not_the_leader_is_verified_too() {
    let (lines, ends, output) = verified(&["thread", tracee(), "-", "say", "x"]);
    assert_eq!((lines.len(), ends), (1, vec![Verification::Same]));
    assert_eq!(output, "x\n");
}

#[test]
fn execveat_is_resolved_from_its_directory() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.at("bin")).unwrap();
    copy(tracee(), &scratch.at("bin/say"));
    let dir = scratch.at("bin");
    let (lines, ends, output) = verified(&["execveat", &dir, "../bin/say", "x"]);
    assert_eq!(scratch.short(&lines.join("")), "exec $D/bin/say [../bin/say x]");
    assert_eq!((ends, output.as_str()), (vec![Verification::Same], "x\n"));
}

#[test]
fn a_program_opened_before_has_its_path() {
    let scratch = Scratch::new();
    let say = scratch.at("say");
    copy(tracee(), &say);
    let (lines, ends, output) = verified(&["fexecve", &say, "x"]);
    assert_eq!(scratch.short(&lines.join("")), "exec $D/say [$D/say x]");
    assert_eq!((ends, output), (vec![Verification::Same], "x\n".to_owned()));
}

#[test]
fn a_script_by_descriptor_is_called_as_the_kernel_calls_it() {
    let scratch = Scratch::new();
    copy(tracee(), &scratch.at("say"));
    script(&scratch.at("one"), &format!("#!{}\n", scratch.at("say")));
    let dir = scratch.path().to_str().unwrap();
    let (_, ends, output) = verified(&["execveat", dir, "one"]);
    assert_eq!(ends, [Verification::Same], "{output}");
    assert!(output.starts_with("/dev/fd/") && output.ends_with("/one\n"), "{output}");
}

#[test]
fn a_program_in_memory_only_cannot_run() {
    let (lines, ends, output) = verified(&["memfd", tracee()]);
    let why = "the program is a file without a path";
    assert_eq!(lines, [format!("execveat: {why}"), format!("execve: {why}")]);
    assert!(ends.iter().all(|end| matches!(end, Verification::Unwatchable { .. })));
    assert_eq!(output, "execveat EACCES\nexecv EACCES\n");
    // Oracle: without the filter it runs, and says how it was called.
    assert_eq!(unfiltered(&["memfd", tracee()]), "");
}

#[test]
fn a_removed_program_cannot_run() {
    let scratch = Scratch::new();
    copy(tracee(), &scratch.at("say"));
    let say = scratch.at("say");
    let command = format!("exec 5<{say}; rm {say}; exec /proc/self/fd/5 -");
    let (lines, ..) = verified(&["run", "/bin/bash", "-c", &command]);
    assert_eq!(lines.last().unwrap(), "execve: the program is a file without a path");
}

#[test]
fn proc_self_is_the_process_that_asks() {
    let command = format!("cd {}; exec /proc/self/cwd/true", "/usr/bin");
    let (lines, ends, _) = verified(&["run", "/bin/bash", "-c", &command]);
    assert_eq!(lines.last().unwrap(), "exec /usr/bin/true [/proc/self/cwd/true]");
    assert!(ends.iter().all(|end| *end == Verification::Same));
    let (lines, ..) = verified(&["run", "/proc/self/exe", "-", "say", "x"]);
    assert!(lines.join("").starts_with(&format!("exec {} [", tracee())), "{lines:?}");
}

#[test]
fn bad_pointers_get_what_the_kernel_says() {
    let mut lines = Vec::new();
    let output = Session::start("ewc", &["bad-pointers"], &[]).run(|attempt| {
        lines.push(line(&attempt));
    });
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(output, unfiltered(&["bad-pointers"]));
    assert_eq!(output.matches("EFAULT").count(), 5, "{output}");
}

#[test]
fn a_megabyte_of_arguments_is_read_whole() {
    let mut seen = 0;
    let args = ["long-argv", "1000", "1000"];
    Session::start("e", &args, &[]).run(|attempt| {
        seen = exec(&attempt).argv.iter().map(Vec::len).sum();
        assert_eq!(attempt.allow_verified(), Verification::Same);
    });
    assert_eq!(seen, 1_000_009);
    let (lines, _, output) = verified(&["long-argv", "1", "200000"]);
    assert_eq!((lines, output), (vec![], "execv E2BIG\n".to_owned()));
    let (lines, _, output) = verified(&["long-argv", "30", "100000"]);
    assert_eq!(lines, ["execve: too many arguments"]);
    assert_eq!(output, "execv EACCES\n");
}

/// How many tries of each race: the oracle wins about one in four.
const TRIES: &str = "400";

fn decided(attempt: Attempt, is_good: impl Fn(&Attempt) -> bool, verify: Verify) -> bool {
    if !is_good(&attempt) {
        attempt.deny(libc::EACCES);
        return false;
    }
    match verify {
        Verify::Yes => matches!(attempt.allow_verified(), Verification::Mismatch(_)),
        Verify::No => {
            attempt.allow();
            false
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Verify {
    Yes,
    No,
}

fn race(args: &[&str], is_good: impl Fn(&Attempt) -> bool, verify: Verify) -> (String, usize) {
    let mut killed = 0;
    let output = Session::start("e", args, &[])
        .run(|attempt| killed += usize::from(decided(attempt, &is_good, verify)));
    (output, killed)
}

#[test]
fn arguments_swapped_while_the_decision_is_pending_never_run() {
    let args = ["race-argv", TRIES, tracee(), "good", "evil"];
    let is_good = |attempt: &Attempt| exec(attempt).argv.last().unwrap() == b"good";
    let (oracle, _) = race(&args, is_good, Verify::No);
    assert!(oracle.contains("evil"), "the attack works where nothing is verified");
    let (output, killed) = race(&args, is_good, Verify::Yes);
    assert!(!output.contains("evil"));
    assert!(output.contains("good"));
    assert!(killed > 0, "the attack was made");
}

#[test]
fn a_path_swapped_while_the_decision_is_pending_never_runs() {
    let scratch = Scratch::new();
    let (good, evil) = (scratch.at("good"), scratch.at("evil"));
    copy(tracee(), &good);
    script(&evil, "#!/bin/echo evil\n");
    let args = ["race-path", TRIES, &good, &evil];
    let is_good = |attempt: &Attempt| exec(attempt).program.as_str() == good;
    let (oracle, _) = race(&args, is_good, Verify::No);
    assert!(oracle.contains("evil"), "the attack works where nothing is verified");
    let (output, killed) = race(&args, is_good, Verify::Yes);
    assert!(!output.contains("evil") && output.contains('x'), "{output}");
    assert!(killed > 0, "the attack was made");
}

#[test]
fn a_symbolic_link_swapped_while_the_decision_is_pending_never_runs() {
    let scratch = Scratch::new();
    let (good, evil, link) = (scratch.at("good"), scratch.at("evil"), scratch.at("link"));
    copy(tracee(), &good);
    script(&evil, "#!/bin/echo evil\n");
    symlink(&good, &link).unwrap();
    let swap = |to: &str| {
        symlink(to, scratch.at("next")).unwrap();
        std::fs::rename(scratch.at("next"), &link).unwrap();
    };
    for verify in [Verify::No, Verify::Yes] {
        let output = Session::start("e", &["run", &link, "-", "say", "x"], &[]).run(|attempt| {
            assert_eq!(exec(&attempt).program.as_str(), good);
            swap(&evil);
            if verify == Verify::Yes {
                assert!(matches!(attempt.allow_verified(), Verification::Mismatch(_)));
            } else {
                attempt.allow();
            }
        });
        assert_eq!(output.contains("evil"), verify == Verify::No);
        swap(&good);
    }
}

#[test]
fn a_killed_process_is_gone_whatever_the_answer() {
    let command = "sleep 100 & sleep 0.05; kill -9 $!; wait; /bin/echo end";
    let mut late = None;
    let output = Session::start("e", &["run", "/bin/bash", "-c", command], &[]).run(|attempt| {
        if exec(&attempt).program.file_name() == "sleep" && exec(&attempt).argv[1] == b"100" {
            late = Some(attempt);
        } else {
            assert_eq!(attempt.allow_verified(), Verification::Same);
        }
    });
    assert_eq!(output, "end\n");
    let late = late.unwrap();
    assert!(late.allow_verified() != Verification::Same);
}
