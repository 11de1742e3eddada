//! Sessions under review: what they do stays aside until a person commits it.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::person::{Person, Who, text};
use crate::schemas::conforms;

/// Every way of changing files that the broker carries out itself, and those that the kernel does.
const CHANGES: &str = "
    echo new > created; echo more >> appended; : > emptied; echo other > written
    mv renamed has-moved; rm removed; chmod 755 mode; mkdir -p d/e; echo x > d/e/f
    ln -s written link; ln written second; rm -r tree; mkdir replaced-dir.new
    rm -r replaced; mkdir replaced; echo y > replaced/only; truncate -s 3 cut; touch -r cut created
    cp written copied; mv copied over; mkfifo pipe; rm pipe; mkdir gone; rmdir gone; rmdir replaced-dir.new";

const BEFORE: &str = "
    mkdir tree replaced; for f in appended emptied written renamed removed mode cut over; do
    echo before > $f; done; echo t > tree/t; mkdir tree/u; echo r > replaced/r; chmod 644 mode
    touch -d 2020-01-01 appended emptied written; sleep 0.05";

/// All names with their kind, mode, and where links lead; and what is in the files. Without what
/// begins with a dot: in the world such places are covered where they do not exist.
const LOOK: &str = "
    find . -path './.*' -prune -o -printf '%P %y %m %l\\n' | sort
    find . -path './.*' -prune -o -type f -print | sort | xargs md5sum";

/// The same of all that there is.
const LOOK_AT_ALL: &str = "
    find . -printf '%P %y %m %l\\n' | sort; find . -type f -print | sort | xargs md5sum";

fn person(who: Who) -> Person {
    let person = Person::new(who);
    let before = person.outside(BEFORE);
    assert!(before.status.success(), "{}", text(&before));
    person.succeed(&["init", "--agent", "generic"]);
    person
}

fn look(person: &Person) -> String {
    String::from_utf8(person.outside(LOOK).stdout).unwrap()
}

fn look_at_all(person: &Person) -> String {
    String::from_utf8(person.outside(LOOK_AT_ALL).stdout).unwrap()
}

fn under_review(person: &Person, script: &str) -> Output {
    person.ringfence(&["run", "--review", "--", "/bin/sh", "-ec", script]).output().unwrap()
}

#[test]
fn nothing_that_a_session_under_review_does_is_on_the_host_before_a_commit() {
    for who in Who::all() {
        // The oracle: without review the same changes the host.
        let open = person(who);
        let untouched = look(&open);
        let ran = open.inside(CHANGES);
        assert!(ran.status.success(), "{}", text(&ran));
        let changed = look(&open);
        assert_ne!(changed, untouched);

        let reviewed = person(who);
        let all_before = look_at_all(&reviewed);
        let ran = under_review(&reviewed, &format!("{CHANGES}\n{LOOK}"));
        assert!(ran.status.success(), "{who:?}: {}", text(&ran));
        assert_eq!(String::from_utf8_lossy(&ran.stdout), changed, "{who:?}: what it saw itself");
        assert_eq!(look(&reviewed), untouched, "{who:?}");
        assert_eq!(look_at_all(&reviewed), all_before, "{who:?}");
        assert!(
            text(&ran).contains("for review: nothing of it is in your files"),
            "{}",
            text(&ran)
        );
        let denied = reviewed.decided().into_iter().filter(|(verdict, _)| verdict != "\"permit\"");
        assert_eq!(denied.count(), 0);

        let shown: Value =
            serde_json::from_str(&reviewed.succeed(&["review", "show", "--json"])).unwrap();
        conforms(&shown, "review-show.schema.json");
        let shown = reviewed.succeed(&["review", "show"]);
        assert!(shown.contains("created") && shown.contains("+new"), "{shown}");
        let unasked = reviewed.ringfence(&["review", "commit"]).output().unwrap();
        assert_eq!(unasked.status.code(), Some(2), "{}", text(&unasked));
        assert!(text(&unasked).contains("--yes"), "{}", text(&unasked));
        assert_eq!(look(&reviewed), untouched, "{who:?}");

        let done = reviewed.ringfence(&["review", "commit", "--yes"]).output().unwrap();
        assert!(done.status.success(), "{who:?}: {}", text(&done));
        assert_eq!(look(&reviewed), changed, "{who:?}");
        let owners = reviewed.outside("find . -printf '%u:%g\\n' | sort -u | wc -l");
        assert_eq!(text(&owners).trim(), "1", "{who:?}");
        let again = reviewed.ringfence(&["review", "commit", "--yes"]).output().unwrap();
        assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    }
}

#[test]
fn the_sessions_whose_changes_wait_are_listed() {
    let person = person(Who::Caller);
    assert_eq!(person.succeed(&["review", "list", "--json"]), "", "none waits");
    for script in [
        "echo a > one",
        "echo b > one; mkdir -p .github/workflows; echo AKIAABCDEFGHIJKLMNOP > two",
    ] {
        let ran = under_review(&person, script);
        assert!(ran.status.success(), "{}", text(&ran));
    }
    let unnamed = person.ringfence(&["review", "show"]).output().unwrap();
    assert!(text(&unnamed).contains("run `ringfence review list`"), "{}", text(&unnamed));
    let listed = person.succeed(&["review", "list", "--json"]);
    let listed: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &listed {
        conforms(line, "review-list.schema.json");
        assert!(!line["running"].as_bool().unwrap(), "{line}");
    }
    let counts: Vec<u64> =
        listed.iter().map(|line| line["changes"]["all"].as_u64().unwrap()).collect();
    assert!(counts.len() == 2 && counts[0] > 1 && counts[1] == 1, "newest first: {counts:?}");
    assert_eq!(listed[0]["changes"]["secret"], 1);
    let shown = person.succeed(&["review", "list"]);
    assert!(shown.contains("1 secret?") && shown.lines().count() == 3, "{shown}");
}

#[test]
fn what_was_changed_outside_meanwhile_is_left_and_what_is_dropped_is_gone() {
    for who in Who::all() {
        let person = person(who);
        let ran = under_review(&person, "echo agent > written; rm removed; echo agent > fine");
        assert!(ran.status.success(), "{}", text(&ran));
        assert!(person.outside("echo person > written; echo person > removed").status.success());
        let done = person.ringfence(&["review", "commit", "--yes"]).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", text(&done));
        let said = text(&done);
        assert!(said.contains("written (it was changed outside since"), "{said}");
        assert!(said.contains("removed (it was changed outside since"), "{said}");
        let says = |name: &str| fs::read_to_string(person.project().join(name)).unwrap();
        assert_eq!((says("written"), says("removed")), ("person\n".into(), "person\n".into()));
        assert_eq!(says("fine"), "agent\n");
        person.succeed(&["review", "drop", "--yes"]);
        let gone = person.ringfence(&["review", "show"]).output().unwrap();
        assert_eq!(gone.status.code(), Some(2), "{}", text(&gone));
        let verified = person.ringfence(&["log", "verify", "--host"]).output().unwrap();
        let verified = if verified.status.success() {
            verified
        } else {
            person.ringfence(&["log", "verify"]).output().unwrap()
        };
        assert!(verified.status.success(), "{}", text(&verified));
    }
}

#[test]
fn protected_places_stay_closed_under_review_and_leave_no_trace() {
    for who in Who::all() {
        let person = person(who);
        assert!(person.outside("git init -q .; git config user.name Ann").status.success());
        let untouched = look_at_all(&person);
        let script = "! (echo x > .git/hooks/pre-commit) 2>&-; ! mkdir .vscode/x 2>&-
                      ! mv .git moved 2>&-; ! rm -r .git/hooks 2>&-; ! touch .mcp.json 2>&-
                      git remote add origin https://example.com/x.git; echo x > made";
        let ran = under_review(&person, script);
        assert!(ran.status.success(), "{who:?}: {}", text(&ran));
        assert_eq!(look_at_all(&person), untouched, "{who:?}");
        let shown = person.succeed(&["review", "show"]);
        assert!(shown.contains("/.git/config") && shown.contains("+[remote"), "{shown}");
        assert!(!shown.contains(".vscode") && !shown.contains("hooks"), "{shown}");
        person.succeed(&["review", "commit", "--yes"]);
        let remote = person.outside("git remote -v; ls -A");
        assert!(text(&remote).contains("example.com"), "{}", text(&remote));
        assert!(!text(&remote).contains(".vscode"), "{}", text(&remote));
    }
}

#[test]
fn what_a_session_closed_to_its_owner_is_shown_and_committed_as_it_was() {
    for who in Who::all() {
        let person = person(who);
        let script =
            "echo x > .env; echo y > private; mkdir dir; echo z > dir/f; chmod 000 private dir .";
        let ran = under_review(&person, script);
        assert!(ran.status.success(), "{who:?}: {}", text(&ran));
        let shown = person.succeed(&["review", "show"]);
        assert!(shown.contains("+y") && shown.contains("+z"), "{who:?}: {shown}");
        let done = person.ringfence(&["review", "commit", "--yes"]).output().unwrap();
        assert!(done.status.success(), "{who:?}: {}", text(&done));
        assert!(text(&done).contains("secret?"), "{who:?}: {}", text(&done));
        let modes = person.outside("stat -c %a private dir .; chmod 700 dir; cat dir/f");
        assert_eq!(text(&modes), "0\n0\n755\nz\n", "{who:?}");
    }
}

/// Work that leaves much to be read through, and a few things that must not be overlooked in it.
const WORK: &str = "
    git add -A && git commit -qm all
    mkdir -p node_modules/pkg target few/target; for n in $(seq 40); do echo $n > node_modules/pkg/$n.js; done
    echo AKIAABCDEFGHIJKLMNOP > node_modules/pkg/config.js; echo x > few/target/one
    ln -s ../../../.ssh/id_rsa node_modules/pkg/notes; ln -s written inside; ln -s /etc/passwd users
    chmod +x mode; echo more >> written";

#[test]
fn what_a_person_must_see_is_not_lost_in_what_programs_leave_in_bulk() {
    for who in Who::all() {
        let person = person(who);
        let git = "git init -q .; git config user.name Ann; git config user.email a@b.c";
        assert!(person.outside(git).status.success());
        let ran = under_review(&person, WORK);
        assert!(ran.status.success(), "{who:?}: {}", text(&ran));
        let shown = person.succeed(&["review", "show"]);
        for said in [
            "node_modules/pkg/notes: a link out of the tree, to ../../../.ssh/id_rsa",
            "/users: a link out of the tree, to /etc/passwd",
            "secret? ",
            "/mode (mode 0644, now 0755)",
            "few/target/one",
        ] {
            assert!(shown.contains(said), "{who:?}: {said}: {shown}");
        }
        assert!(!shown.contains("inside: a link out"), "{shown}");
        assert!(!shown.contains("pkg/7.js") && shown.contains("pkg/config.js"), "{shown}");
        let last: Vec<&str> = shown.lines().rev().take(2).collect();
        assert!(last.iter().any(|it| it.contains("node_modules/ (4")), "{last:?}");
        assert!(last.iter().any(|it| it.contains(".git/objects/ (")), "{last:?}");
        let all = person.succeed(&["review", "show", "--all"]);
        assert!(all.contains("pkg/7.js") && !all.contains("`--all`"), "{all}");
        let stat = person.succeed(&["review", "show", "--stat"]);
        assert!(stat.contains("/written (12B)  +1 -0") && !stat.contains("+more"), "{stat}");
        let json: Value =
            serde_json::from_str(&person.succeed(&["review", "show", "--json"])).unwrap();
        conforms(&json, "review-show.schema.json");
        let done = person.ringfence(&["review", "commit", "--yes"]).output().unwrap();
        assert!(text(&done).contains("leads out"), "{}", text(&done));
    }
}

#[test]
fn attributes_of_files_are_shown_and_committed_and_those_of_directories_that_stay_are_named() {
    let person = person(Who::Caller);
    let mark = "import os; os.setxattr('mode', 'user.mark', b'1'); os.chmod('mode', 0o755); \
                os.mkdir('new'); os.setxattr('new', 'user.mark', b'2'); \
                os.setxattr('tree', 'user.mark', b'3'); open('tree/more', 'w').close()";
    let ran = person.ringfence(&["run", "--review", "--", "python3", "-c", mark]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    let shown = person.succeed(&["review", "show"]);
    assert!(shown.contains("X ") && shown.contains("attributes user.mark"), "{shown}");
    assert!(shown.contains("/mode (mode 0644, now 0755, attributes user.mark)"), "{shown}");
    assert!(shown.contains("attributes of a directory that was there stay"), "{shown}");
    let done = person.ringfence(&["review", "commit", "--yes"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done));
    assert!(text(&done).contains("/tree (attributes of a directory"), "{}", text(&done));
    let read = "import os; print(os.getxattr('mode', 'user.mark'), os.getxattr('new', 'user.mark'), \
                oct(os.stat('mode').st_mode & 0o777), os.listxattr('tree'), os.listdir('tree'))";
    let read = person.command(Path::new("/usr/bin/python3"), &["-c", read]).output().unwrap();
    let said = text(&read);
    assert!(said.starts_with("b'1' b'2' 0o755 []"), "{said}");
    assert!(said.contains("more"), "{said}");
}

#[test]
fn what_is_held_back_and_in_a_commit_of_the_sessions_is_said_with_the_reference() {
    for who in Who::all() {
        let person = person(who);
        let git = "git -c user.name=a -c user.email=a@b";
        let script = format!(
            "mkdir -p sub other; echo evil > sub/.envrc; echo evil > other/.envrc; echo fine > fine
             {git} init -q -b main inner; cd inner; mkdir deep; echo evil > deep/.envrc
             echo evil > .envrc-not; git add deep; {git} commit -qm inner; cd ..
             {git} init -q -b topic . && git add sub fine && {git} commit -qm second"
        );
        let ran = person.ringfence(&["run", "--review", "--", "sh", "-c", &script]).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{who:?}: {}", text(&ran));
        let shown = text(&person.ringfence(&["review", "show"]).output().unwrap());
        let done = text(&person.ringfence(&["review", "commit", "--yes"]).output().unwrap());
        for said in [&shown, &done] {
            let of = |path: &str| format!("{path} is held back, and may be in what the session");
            assert!(said.contains(&of("sub/.envrc")), "{who:?}: {said}");
            assert!(said.contains("`refs/heads/topic`"), "{who:?}: {said}");
            assert!(said.contains(&of("deep/.envrc")), "{who:?}: {said}");
            assert!(said.contains("`refs/heads/main`"), "{who:?}: {said}");
            // Nobody gave this one to git.
            assert!(!said.contains(&of("other/.envrc")), "{who:?}: {said}");
        }
        // The oracle: it does come again that way.
        let came = "(test ! -e sub/.envrc; git checkout -q -- sub; cat sub/.envrc) 2>&1";
        assert_eq!(text(&person.outside(came)), "evil\n", "{who:?}");
    }
}

#[test]
fn a_tier_without_mounts_has_no_review() {
    let person = person(Who::Caller);
    let words = ["run", "--tier", "landlock", "--review", "--", "/bin/sh", "-c", "echo > ran"];
    let refused = person.ringfence(&words).output().unwrap();
    assert_eq!(refused.status.code(), Some(125), "{}", text(&refused));
    assert!(text(&refused).contains("cannot be put under review"), "{}", text(&refused));
    assert!(!person.project().join("ran").exists());
}

#[test]
fn what_cannot_have_an_overlay_starts_nothing() {
    let person = person(Who::Caller);
    let inside = person.project().join("state");
    let mut command =
        person.ringfence(&["run", "--review", "--", "/bin/sh", "-c", "echo ran > ran"]);
    let refused = command.env("XDG_STATE_HOME", &inside).output().unwrap();
    // Trust is kept in the state directory too: what is asked first is that.
    assert_eq!(refused.status.code(), Some(125), "{}", text(&refused));
    assert!(!person.project().join("ran").exists());

    let ran = under_review(&person, "echo agent > written");
    assert!(ran.status.success(), "{}", text(&ran));
    let (project, away) = (person.project(), person.home().join("away"));
    fs::rename(&project, &away).unwrap();
    fs::create_dir(&project).unwrap();
    let moved = person.ringfence(&["review", "commit", "--yes"]).output().unwrap();
    assert_eq!(moved.status.code(), Some(2), "{}", text(&moved));
    assert!(text(&moved).contains("has moved on"), "{}", text(&moved));
    assert!(fs::read_dir(Path::new(&project)).unwrap().next().is_none());
}
