//! Files that programs outside make beside what a world must not write, and rename over it: whoever opens one of
//! these in between, or gives it a second name, writes to what the host runs.

use std::path::Path;
use std::process::Stdio;

use super::stage::{Side, Stage, everybody, text};
use super::targets::wait_until;

/// Everything in the project, with the programs of the host.
const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// Waits for the file that is about to take another's place, and does everything to it. Descriptors that it had before are
/// used when the file has its final name.
const ATTACK: &str = r#"
file=$1
echo > ready
n=0; while [ ! -e "$file" ] && [ $n -lt 600 ]; do sleep 0.02; n=$((n + 1)); done
[ -e "$file" ] || exit 3
echo evil-1 >> "$file"
ln "$file" second && echo evil-2 >> second
python3 - "$file" <<'X'
import os, sys
try:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    again = os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_APPEND)
    os.write(again, b"evil-3\n")
except OSError as error:
    print(error)
X
mv "$file" third && { echo evil-4 >> third; mv third "$file"; }
(exec 8>> "$file" && { echo > held; sleep 3; echo evil-5 >&8; })
echo > done
"#;

/// What takes a place, and which: as git does it, as we do, and as sed does.
const REPLACED: [(&str, &str); 4] = [
    (".git/config.lock", ".git/config"),
    (".git/.config.1a2b3c4d", ".git/config"),
    ("sedAbCdEf", ".envrc"),
    (".git/4913", ".git/config"),
];

/// Has the attack wait, replaces a file, and says what is in that in the end.
fn attacked(stage: &Stage, side: Side, (made, place): (&str, &str)) -> String {
    let project = stage.project();
    for left in ["ready", "held", "done", "second", "third"] {
        let _ = std::fs::remove_file(project.join(left));
    }
    stage.write("project/attack.sh", ATTACK);
    let words = ["run", "--", "sh", "./attack.sh", made];
    let mut command = match side {
        Side::Inside => stage.ringfence_command(&words),
        Side::Outside => stage.command(Path::new("/bin/sh"), &["./attack.sh", made]),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("the attack waits", || stage.has("project/ready"));
    // As programs do it, but for the time that they leave.
    let script = format!("cp {place} {made} && sleep 1 && mv {made} {place}");
    stage.command(Path::new("/bin/sh"), &["-c", &script]).output().unwrap();
    let said = text(&child.wait_with_output().unwrap());
    assert!(stage.has("project/done"), "{side:?} {made}: {said}");
    stage.read(&format!("project/{place}"))
}

#[test]
fn what_a_program_outside_puts_in_place_is_not_written_before_it_is_there() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let git =
            |words: &[&str]| stage.command(Path::new("/usr/bin/git"), words).output().unwrap();
        git(&["init", "-q"]);
        stage.write("project/.envrc", "export A=1\n");
        for (made, place) in REPLACED {
            let found = attacked(&stage, Side::Inside, (made, place));
            assert!(!found.contains("evil"), "{who:?} {made}: {found}");
        }
        // What the world makes itself it may write and rename at once.
        let own = "git config user.name a; git config user.email a@b; echo > f; git add f && git commit -qm x \
                   && echo x > .git/own && echo y >> .git/own && mv .git/own .git/moved && echo z >> .git/moved \
                   && sed -i s/x/y/ f && ! mv -T .git/moved .git/missing/x && echo >> .git/moved && echo it-works";
        let said =
            text(&stage.ringfence_command(&["run", "--", "sh", "-c", own]).output().unwrap());
        assert!(said.contains("it-works"), "{who:?}: {said}");
        // The oracle.
        let (made, place) = REPLACED[0];
        let found = attacked(&stage, Side::Outside, (made, place));
        assert!(found.contains("evil"), "{who:?}: {found}");
    }
}

/// Each in a session of its own, at the same time.
#[test]
fn what_another_session_makes_is_not_taken_for_a_strangers() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let waits = "echo > ready; n=0; while [ ! -e go ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done; \
                     echo two >> shared && mv renamed again && echo two >> again && echo it-works";
        let mut waiting = stage.ringfence_command(&["run", "--", "sh", "-c", waits]);
        waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
        let waiting = waiting.spawn().unwrap();
        wait_until("the other session waits", || stage.has("project/ready"));
        let makes = "echo one > shared && echo one > made && mv made renamed && echo > go";
        let made = stage.ringfence_command(&["run", "--", "sh", "-c", makes]).output().unwrap();
        let said = text(&waiting.wait_with_output().unwrap());
        assert!(said.contains("it-works"), "{who:?}: {said}{}", text(&made));
    }
}
