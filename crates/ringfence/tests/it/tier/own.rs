//! What a session without mounts has for itself: programs start from there, and from nothing else of ours.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::*;

const TIERS: [&str; 3] = ["landlock", "preload", "ptrace"];

fn started(person: &Person, tier: &str, script: &str) -> Output {
    let words = ["run", "--tier", tier, "--", "/bin/sh", "-c", script];
    person.ringfence(&words).output().unwrap()
}

/// A person with the library, whose agent may start what `programs` says.
fn with_programs(who: Who, programs: &str) -> Person {
    let person = person(who, 1);
    let policy = person.project().join(".ringfence/policy.cedar");
    let text = std::fs::read_to_string(&policy).unwrap();
    let all = "permit (principal, action == Action::\"exec\", resource);";
    assert!(text.contains(all));
    person.write(".ringfence/policy.cedar", &text.replace(all, programs));
    person.succeed(&["trust", "--yes"]);
    give_library(&person);
    person
}

/// Makes a script and a program in each place, and says which of them started.
const MAKE: &str = "printf 'int main(void){return 7;}' > \"$TMPDIR/p.c\"; \
    for at in \"$TMPDIR\" \"$HOME\" \"$HOME/.cache/x\"; do mkdir -p \"$at\"; \
    printf '#!/bin/sh\\necho script\\n' > \"$at/s\"; chmod +x \"$at/s\"; \"$at/s\"; \
    cc \"$TMPDIR/p.c\" -o \"$at/p\"; \"$at/p\"; echo $?; done";

#[test]
fn what_a_session_makes_in_its_home_and_temporary_directory_starts_as_the_policy_says() {
    for who in owners() {
        let anywhere = "permit (principal, action == Action::\"exec\", resource);";
        let everything = with_programs(who, anywhere);
        for tier in TIERS {
            let output = started(&everything, tier, MAKE);
            assert_eq!(out(&output), "script\n7\n".repeat(3), "{tier}: {}", err(&output));
            let home = everything.home();
            let decided = everything.decided();
            for place in ["/tmp/s", "/tmp/p", &format!("{}/.cache/x/p", home.display())] {
                let told = decided.iter().any(|(_, act)| act.contains(&format!("\"{place}\"")));
                assert!(told, "{tier}: the names of every tier: {place}: {decided:?}");
            }
        }
        // The default tier is the oracle: what it starts, these start, and no more.
        let system = "permit (principal, action == Action::\"exec\", resource in Dir::\"/usr\");\n\
                      permit (principal, action == Action::\"exec\", resource in Dir::\"/tmp\");";
        let some = with_programs(who, system);
        let expected = out(&started(&some, "namespaces", MAKE));
        assert_eq!(expected, "script\n7\n126\n126\n", "the default tier");
        for tier in TIERS {
            let output = started(&some, tier, MAKE);
            assert_eq!(out(&output), expected, "{tier}: {}", err(&output));
        }
    }
}

#[test]
fn a_home_of_its_own_gives_no_program_the_name_of_another() {
    for who in owners() {
        // What it may start in the project it may not write.
        let forbid = "@id(\"tools\")\nforbid (principal, action in [Action::\"fs.write\", Action::\"fs.delete\"], \
                              resource in Dir::\"PROJECT/tools\");";
        let person =
            with_programs(who, "permit (principal, action == Action::\"exec\", resource);");
        person.write("tools/real", "#!/bin/sh\necho real\n");
        let policy = person.project().join(".ringfence/policy.cedar");
        let before = std::fs::read_to_string(&policy).unwrap();
        person.write(
            ".ringfence/policy.cedar",
            &(before + &forbid.replace("PROJECT", person.project().to_str().unwrap())),
        );
        person.succeed(&["trust", "--yes"]);
        let attack = "rm \"$HOME/project\"; mkdir -p \"$HOME/project/tools\"; \
            printf '#!/bin/sh\\necho forged\\n' > \"$HOME/project/tools/real\"; \
            chmod +x \"$HOME/project/tools/real\"; \"$HOME/project/tools/real\"";
        let oracle = format!("cd /; HOME=$(mktemp -d); ln -s / $HOME/project; {attack}");
        assert_eq!(out(&person.outside(&oracle)), "forged\n", "the attack works outside");
        for tier in TIERS {
            let output = started(&person, tier, attack);
            assert!(!out(&output).contains("forged"), "{tier}: {}", err(&output));
        }
    }
}

/// A session that waits in its world, and what it has said.
struct Waiting {
    child: Child,
    home: String,
    temporary: String,
}

impl Waiting {
    fn start(person: &Person, tier: &str) -> Waiting {
        let script = "printf '#!/bin/sh\\necho foreign\\n' > $HOME/prog; chmod 755 $HOME/prog; \
            cp $HOME/prog $TMPDIR/prog; chmod 755 $HOME $TMPDIR; echo secret > $TMPDIR/text; \
            $HOME/prog >&2; $TMPDIR/prog >&2; echo $HOME; echo $TMPDIR; read line";
        let words = ["run", "--tier", tier, "--", "/bin/sh", "-c", script];
        let mut command = person.ringfence(&words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let [home, temporary] = std::array::from_fn(|_| lines.next().unwrap().unwrap());
        Waiting { child, home, temporary }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_else_of_ours_is_started_read_or_written_by_a_session_without_mounts() {
    for who in owners() {
        let person =
            with_programs(who, "permit (principal, action == Action::\"exec\", resource);");
        person.succeed(&["run", "--", "true"]);
        let state = person.home().join(".local/state/ringfence");
        let program = state.join("sessions/prog");
        std::fs::write(&program, "#!/bin/sh\necho foreign\n").unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, everybody).unwrap();
        person.give(&program);
        for tier in TIERS {
            let other = Waiting::start(&person, tier);
            let places = [other.home.as_str(), other.temporary.as_str()];
            let of_state = program.parent().unwrap();
            for place in places.map(Path::new).into_iter().chain([of_state]) {
                let place = place.display();
                let attack = format!(
                    "{place}/prog; cat {place}/prog; cp {place}/prog prog && sh prog; \
                     echo made > {place}/made && echo written; ln -sf {place}/prog link; ./link; \
                     sh {place}/prog; mv {place}/prog {place}/moved && echo moved; \
                     mv {place}/moved {place}/prog"
                );
                let outside = out(&person.outside(&attack.replace("; ", " || :; ")));
                assert_eq!(outside.matches("foreign").count(), 5, "{place}: {outside}");
                assert!(outside.contains("written") && outside.contains("moved"), "{outside}");
                let output = started(&person, tier, &attack);
                assert_eq!(out(&output), "", "{tier} {place}: {}", err(&output));
            }
        }
    }
}

#[test]
fn a_grant_that_a_world_without_mounts_cannot_be_given_is_refused_or_said_to_come_later() {
    let who = *owners().first().unwrap();
    let person = with_programs(who, "permit (principal, action == Action::\"exec\", resource);");
    let place = person.home().join("other");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("f"), "granted\n").unwrap();
    person.give(&place);
    let (path, read) = (place.display(), format!("cat {}/f", place.display()));
    for tier in TIERS {
        let waiting = Waiting::start(&person, tier);
        let of_files = format!("fs.read:{path}");
        let words = ["grant", &of_files, "--session", "--yes"];
        let output = person.ringfence(&words).output().unwrap();
        let said = err(&output);
        assert_eq!(output.status.code(), Some(1), "{tier}: {said}");
        assert!(said.contains("has no effect") && said.contains(tier), "{said}");
        assert!(said.contains(&format!("`ringfence grant {of_files} --always`")), "{said}");
        assert!(person.succeed(&["grants", "list"]).is_empty(), "nothing is kept");
        // What is decided act by act holds at once.
        let output = person.ringfence(&["grant", "net:a.example:443", "--session", "--yes"]);
        assert!({ output }.status().unwrap().success());
        let output = person.ringfence(&["grant", &of_files, "--always", "--yes"]).output().unwrap();
        let said = err(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("not in force in this session"), "{said}");
        assert!(said.contains("it holds from the next start on"), "{said}");
        drop(waiting);
        assert_eq!(out(&started(&person, tier, &read)), "granted\n", "{tier}");
        let list = person.succeed(&["grants", "list", "--json"]);
        for grant in crate::person::json_lines(&list).as_array().unwrap() {
            person.succeed(&["grants", "revoke", grant["id"].as_str().unwrap()]);
        }
        assert_eq!(out(&started(&person, tier, &read)), "", "{tier}");
    }
}

#[test]
fn no_policy_lets_an_agent_write_the_library_that_later_sessions_load() {
    for who in owners() {
        let person =
            with_programs(who, "permit (principal, action == Action::\"exec\", resource);");
        let library = person.ringfence_program().with_file_name("libringfence_preload.so");
        let dir = library.parent().unwrap();
        person.give(dir);
        let policy = person.project().join(".ringfence/policy.cedar");
        let text = std::fs::read_to_string(&policy).unwrap();
        let all = format!(
            "permit (principal, action in Action::\"fs\", resource in Dir::\"{}\");\n",
            dir.display()
        );
        person.write(".ringfence/policy.cedar", &(text + &all));
        person.succeed(&["trust", "--yes"]);
        let real = std::fs::read(&library).unwrap();
        let attack = format!(
            "cd {}; echo x > beside; echo x >> libringfence_preload.so; rm -f libringfence_preload.so; \
             mv beside libringfence_preload.so; cat libringfence_preload.so",
            dir.display()
        );
        for tier in ["namespaces", "landlock", "preload", "ptrace"] {
            let output = started(&person, tier, &attack);
            assert!(std::fs::read(&library).unwrap() == real, "{tier}: {}", err(&output));
            assert!(dir.join("beside").exists(), "{tier}: beside it may be written");
        }
        assert_eq!(out(&person.outside(&attack)), "x\n", "the attack works outside");
    }
}
