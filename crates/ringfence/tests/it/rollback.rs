//! Checkpoints of a running session, and the way back to them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

use serde_json::Value;

use crate::person::{Person, Who, text};
use crate::schemas::conforms;

/// A shell under review that does what it is told while the test does something else outside.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(person: &Person, words: &[&str]) -> Shell {
        let mut command = person.ringfence(&[&["run"], words, &["--", "/bin/sh"]].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut shell = Shell { child, input, output: BufReader::new(output) };
        assert_eq!(shell.does(":"), "");
        shell
    }

    /// Has it run a script, and waits for its end; what it printed.
    fn does(&mut self, script: &str) -> String {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{{ {script}\n}} 2>&1; echo :done:").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it has ended: {said}");
            if line == ":done:\n" {
                return said;
            }
            said += &line;
        }
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn review(person: &Person, words: &[&str]) -> Output {
    person.ringfence(&[&["review"], words].concat()).output().unwrap()
}

fn done(person: &Person, words: &[&str]) {
    let output = review(person, words);
    assert!(output.status.success(), "{words:?}: {}", text(&output));
}

const BEFORE: &str = "
    mkdir -p tree/deep lower ../other; for f in changed deleted tree/a tree/deep/b lower/x lower/y; do
    echo host > $f; done; echo host > ../other/kept; echo host > ../other/deleted";

/// What was there, changed before the checkpoint.
const FIRST: &str = "
    echo first > changed; rm deleted; echo first > new; ln new second; ln -s new link; mkfifo pipe
    rm -r lower; mkdir lower; echo first > lower/z; mkdir made; echo first > made/f; chmod 710 made
    touch -d 2020-01-01 new; truncate -s 3M sparse; chmod 755 tree/a; echo first > ../other/new";

/// And everything turned round after it.
const SECOND: &str = "
    echo second > changed; echo second > deleted; rm second; echo second > new; ln -sf elsewhere link
    rm pipe; mkdir pipe; rm -r lower; rm -r tree; echo second > tree; mv made moved; chmod 000 moved
    echo second >> sparse; mkdir added; echo second > added/f; chmod 000 added; chmod 700 .
    rm ../other/*; ln -s / ../other/kept; mkfifo ../other/new";

/// Names, kinds, permissions, numbers of links, times, and what is in the files.
const LOOK: &str = "
    for d in . ../other; do
    find $d -path './.*' -prune -o -printf '%p %y %m %l %T@\\n' | sort
    find $d -path './.*' -prune -o -type f -printf '%p %n\\n' | sort
    find $d -path './.*' -prune -o -type f -print | sort | xargs -r md5sum; done";

fn person(who: Who) -> Person {
    let person = Person::new(who);
    let before = person.outside(BEFORE);
    assert!(before.status.success(), "{}", text(&before));
    person.succeed(&["init", "--agent", "generic"]);
    let other = format!("fs.write:{}", person.home().join("other").display());
    person.succeed(&["grant", &other, "--always", "--yes"]);
    person
}

#[test]
fn a_session_goes_back_to_a_checkpoint_while_it_runs_in_all_its_trees() {
    for who in Who::all() {
        let person = person(who);
        let host = text(&person.outside(LOOK));
        let mut shell = Shell::start(&person, &["--review"]);
        assert_eq!(shell.does(FIRST), "", "{who:?}");
        let first = shell.does(LOOK);
        done(&person, &["checkpoint", "first"]);
        assert_eq!(shell.does(LOOK), first, "{who:?}: a checkpoint changes nothing");
        assert_eq!(shell.does(SECOND), "", "{who:?}");
        assert_ne!(shell.does(LOOK), first);
        let back = review(&person, &["rollback", "first"]);
        assert!(back.status.success(), "{who:?}: {}", text(&back));
        assert!(!text(&back).contains("not put back"), "{who:?}: {}", text(&back));
        assert_eq!(shell.does(LOOK), first, "{who:?}");
        assert_eq!(text(&person.outside(LOOK)), host, "{who:?}: the host");

        // Twice, and on from there.
        assert_eq!(shell.does("rm -r made; echo third > third"), "", "{who:?}");
        done(&person, &["checkpoint"]);
        done(&person, &["rollback", "first"]);
        assert_eq!(shell.does(LOOK), first, "{who:?}");
        done(&person, &["rollback", "1"]);
        assert_eq!(shell.does("cat third; ls made 2>&1 | tail -c 10"), "third\ndirectory\n");
        done(&person, &["rollback", "first"]);
        for line in person.succeed(&["review", "checkpoints", "--json"]).lines() {
            conforms(&serde_json::from_str(line).unwrap(), "review-checkpoints.schema.json");
        }
        let listed = person.succeed(&["review", "checkpoints"]);
        assert!(listed.contains("first") && listed.lines().count() == 3, "{listed}");
        // As many as a review shows: neither the ways there nor what covers places.
        let made = text(&review(&person, &["checkpoint", "counted"]));
        let shown = person.succeed(&["review", "show", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let trees = shown["trees"].as_array().unwrap().iter();
        let changes: usize = trees.map(|it| it["changes"].as_array().unwrap().len()).sum();
        let wanted = format!("made checkpoint counted: {changes} changes");
        assert!(made.contains(&wanted), "{wanted}: {made}");
        shell.end();

        let committed = review(&person, &["commit", "--yes"]);
        assert!(text(&committed).contains("pipe (it is a pipe)"), "{who:?}: {}", text(&committed));
        let committed = person.outside("cat changed lower/z made/f new ../other/new; ls -A lower");
        assert_eq!(text(&committed), "first\nfirst\nfirst\nfirst\nfirst\nz\n", "{who:?}");
        let steps: Vec<Value> = person
            .succeed(&["log", "show", "--json"])
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["entry"]["event"] == "reviewed")
            .map(|line| line["entry"]["step"].clone())
            .collect();
        assert_eq!(steps[..3], ["checkpoint", "rolling-back", "rolled-back"], "{steps:?}");
    }
}

#[test]
fn a_world_that_keeps_forking_and_writing_stands_still_for_a_checkpoint_and_goes_on() {
    for who in Who::all() {
        let person = person(who);
        let mut shell = Shell::start(&person, &["--review"]);
        // Each number is in `one` before it is in `two`; and processes come and go all the time.
        let busy = "(n=0; while [ ! -e stop ]; do n=$((n+1)); echo $n > one; echo $n > two; done; echo > over) &
            (while [ ! -e stop ]; do (:) & (:); done) & sleep 1";
        assert_eq!(shell.does(busy), "", "{who:?}");
        for _ in 0..3 {
            done(&person, &["checkpoint"]);
        }
        done(&person, &["rollback", "2"]);
        // Between its being emptied and written there is nothing in it.
        let on = "now() { until [ -s one ] && it=$(cat one) && [ -n \"$it\" ]; do :; done; echo $it; }
            a=$(now); for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; [ \"$(now)\" = \"$a\" ] || break; done; [ \"$(now)\" != \"$a\" ] && echo on";
        assert_eq!(shell.does(on), "on\n", "{who:?}: it goes on");
        let stop = "echo > stop; while [ ! -e over ]; do sleep 0.1; done; wait";
        assert_eq!(shell.does(stop), "", "{who:?}");
        done(&person, &["rollback", "3"]);
        let pair = shell.does("cat one two");
        let pair: Vec<i64> = pair.split_whitespace().map(|it| it.parse().unwrap()).collect();
        assert!(pair.len() == 2 && (pair[0] - pair[1]).abs() <= 1, "{who:?}: {pair:?}");
        shell.end();
    }
}

#[test]
fn what_a_process_that_is_continued_meanwhile_wrote_is_no_checkpoint() {
    for who in Who::all() {
        let person = person(who);
        let mut shell = Shell::start(&person, &["--review"]);
        // Enough to copy that it takes longer than the time between two signals; and what is open already
        // is written to without asking.
        let name = person.home().display().to_string();
        let busy = format!(
            "i=0; while [ $i -lt 1000 ]; do echo $i > many-$i; i=$((i+1)); done
            /bin/sh -c 'exec 3> one; n=0; while [ ! -e stop ]; do n=$((n+1)); echo $n >&3; done' writer={name} & sleep 0.2"
        );
        assert_eq!(shell.does(&busy), "", "{who:?}");
        done(&person, &["checkpoint", "before"]);
        // What a timer of the program's own does as well (`timer_create` with `SIGCONT`).
        let again = format!(
            "while :; do for it in $(grep -ls writer={name} /proc/[0-9]*/cmdline); do
            it=${{it#/proc/}}; kill -CONT ${{it%/cmdline}}; done 2>/dev/null; sleep 0.01; done"
        );
        let mut continued = person.command("/bin/sh".as_ref(), &["-c", &again]);
        let mut continued = continued.stdin(Stdio::null()).spawn().unwrap();
        let refused = review(&person, &["checkpoint", "torn"]);
        continued.kill().unwrap();
        continued.wait().unwrap();
        assert!(!refused.status.success(), "{who:?}: {}", text(&refused));
        let why = text(&refused);
        assert!(why.contains("ran on while") || why.contains("could be stopped"), "{why}");
        let listed = person.succeed(&["review", "checkpoints"]);
        assert!(listed.contains("before") && !listed.contains("torn"), "{listed}");
        assert_eq!(shell.does("echo > stop; wait"), "", "{who:?}: it goes on");
        done(&person, &["checkpoint", "after"]);
        shell.end();
    }
}

#[test]
fn who_is_not_asked_for_or_not_there_is_refused_and_nothing_changes() {
    let person = person(Who::Caller);
    let refused = |words: &[&str], code: i32, says: &str| {
        let output = review(&person, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{words:?}: {}", text(&output));
    };
    refused(&["checkpoint"], 2, "no session under review is running");
    let open = Shell::start(&person, &[]);
    refused(&["checkpoint"], 2, "no session under review is running");
    open.end();
    let mut shell = Shell::start(&person, &["--review"]);
    shell.does("echo first > new; sleep 30 & kill -STOP $!");
    for name in ["../x", ".x", "a/b", "x y", ""] {
        refused(&["checkpoint", name], 1, "is no name for a checkpoint");
        refused(&["rollback", name], 1, "there is no checkpoint");
    }
    done(&person, &["checkpoint", "x"]);
    refused(&["checkpoint", "x"], 1, "already");
    refused(&["rollback", "y"], 1, "there is `x`");
    let mut inside = person.ringfence(&["review", "rollback", "x"]);
    let inside = inside.env("RINGFENCE_DENIALS", "/x").output().unwrap();
    assert_eq!(inside.status.code(), Some(2), "{}", text(&inside));
    // Who was stopped before stays so, and `new` is what it was.
    let state = shell.does("sed -n 's/^State:.//p' /proc/$!/status; kill -9 $!; cat new");
    assert_eq!(state, "T (stopped)\nfirst\n");
    shell.end();
    refused(&["rollback", "x"], 2, "no session under review is running");
}

#[test]
fn protected_places_stay_covered_when_a_session_goes_back() {
    for who in Who::all() {
        let person = person(who);
        assert!(person.outside("git init -q . && git config user.name Ann").status.success());
        let mut shell = Shell::start(&person, &["--review"]);
        done(&person, &["checkpoint", "x"]);
        shell.does(
            "rm -rf .git; mv .git moved; mkdir .git/objects; echo x > .git/HEAD; echo x > made",
        );
        done(&person, &["rollback", "x"]);
        let said = shell.does(
            "echo evil > .git/hooks/pre-commit; mkdir .vscode/x; mv .git gone; cat .git/HEAD; ls made",
        );
        assert!(said.contains("ref: refs/heads"), "{who:?}: {said}");
        for denied in ["pre-commit", ".vscode/x", "'.git'", "'made'"] {
            assert!(said.contains(denied), "{who:?}: {denied}: {said}");
        }
        shell.end();
        let hooks = text(&person.outside("ls .git/hooks; ls -A .vscode 2>&1 | tail -c 10"));
        assert!(!hooks.contains("pre-commit\n"), "{who:?}: {hooks}");
    }
}
