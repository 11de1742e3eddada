//! Worlds of the tier that needs no namespaces: named by the person, as useful as it can be, and honest.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::Output;

use serde_json::Value;

use crate::person::{Person, Who};

mod own;

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("keys")
forbid (principal, action in Action::"fs", resource == Path::"PROJECT/.env");
permit (principal, action == Action::"net.connect", resource == Endpoint::"host.ringfence.internal:PORT");
"#;

/// Who can have a world in which files keep their owners.
fn owners() -> Vec<Who> {
    let root = rustix::process::geteuid().is_root();
    Who::all().into_iter().filter(|who| !root || *who == Who::Ordinary).collect()
}

fn person(who: Who, port: u16) -> Person {
    let person = Person::new(who);
    let project = person.project();
    let policy = POLICY.replace("PROJECT", project.to_str().unwrap());
    person.write(".ringfence/policy.cedar", &policy.replace("PORT", &port.to_string()));
    person.write(".env", "KEY=1\n");
    person.succeed(&["trust", "--yes"]);
    person
}

fn run(person: &Person, script: &str) -> Output {
    let words = ["run", "--tier", "landlock", "--", "/bin/sh", "-ec", script];
    person.ringfence(&words).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server of the host's that says one line to each who comes.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello\n";
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

#[test]
fn a_world_without_namespaces_is_named_by_the_person_and_says_what_it_is() {
    for who in owners() {
        let person = person(who, 1);
        let output = run(
            &person,
            "echo x > made; cat made; cp made copy; chmod 700 copy; mkdir d; mv copy d/; \
             ls; ! cat .env; echo $HOME; test -d $HOME/project; echo y > $HOME/.rc; mktemp >/dev/null; \
             printf '#!/bin/sh\\necho ran\\n' > s; chmod +x s; ./s",
        );
        let (out, err) = (out(&output), err(&output));
        assert!(output.status.success(), "{out}{err}");
        assert!(out.starts_with("x\n") && out.ends_with("ran\n"), "{out}{err}");
        assert!(out.contains("made") && !out.contains("KEY=1"), "{out}{err}");
        assert!(err.contains("holds less (`ringfence doctor` says what)"), "{err}");
        assert!(!person.home().join(".rc").exists(), "the home is its own");
        let shown: Value = serde_json::from_str(&person.succeed(&["show", "--json"])).unwrap();
        let text = shown.to_string();
        for layer in ["tier", "namespaces", "mounts"] {
            assert!(text.contains(&format!("\"layer\":\"{layer}\"")), "{text}");
        }
        let decided = person.decided();
        let made = decided
            .iter()
            .any(|(verdict, act)| verdict.contains("permit") && act.contains("/project/made"));
        assert!(made, "{decided:?}");
    }
}

#[test]
fn connections_of_such_a_world_are_decided_by_the_gate_whatever_they_are_called() {
    let port = server();
    for who in owners() {
        let person = person(who, port);
        let get = |url: &str| format!("curl -sS --max-time 20 {url}");
        for script in [
            get(&format!("http://127.0.0.1:{port}/")),
            get(&format!("--noproxy '*' http://127.0.0.1:{port}/")),
            get(&format!("--noproxy '*' http://localhost:{port}/")),
            get(&format!("--noproxy '*' http://host.ringfence.internal:{port}/")),
        ] {
            let output = run(&person, &script);
            assert_eq!(out(&output), "hello\n", "{who:?} {script}: {}", err(&output));
        }
        let other = server();
        for script in [
            get(&format!("--noproxy '*' http://127.0.0.1:{other}/")),
            get(&format!("--noproxy '*' 'http://[::1]:{other}/'")),
            get(&format!("http://127.0.0.1:{other}/")),
            get("--noproxy '*' http://192.0.2.1/"),
            get("--noproxy '*' http://example.com/"),
        ] {
            let output = run(&person, &format!("{script} || echo refused"));
            assert!(!out(&output).contains("hello"), "{script}: {}", out(&output));
            let decided = person.decided();
            let denied = decided.iter().any(|(verdict, _)| verdict.contains("deny"));
            assert!(denied, "{script}: {decided:?} {}", err(&output));
        }
        let names = run(&person, "getent ahosts example.com | head -n 1");
        assert!(!out(&names).is_empty(), "names are answered over TCP: {}", err(&names));
    }
}

#[test]
fn root_starts_no_such_world_where_its_user_could_write_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let person = person(Who::Caller, 1);
    assert_eq!(std::fs::metadata(person.project()).unwrap().uid(), 0);
    let output = run(&person, "true");
    assert_eq!(output.status.code(), Some(125));
    let err = err(&output);
    assert!(err.contains("may write nothing that the policy lets it write"), "{err}");
    assert!(err.contains("hint: run it as the owner of the files"), "{err}");
}

#[test]
fn the_tier_is_what_settings_and_command_line_say_and_no_other() {
    let who = *owners().first().unwrap();
    let person = person(who, 1);
    let layers = |person: &Person| {
        let shown: Value = serde_json::from_str(&person.succeed(&["show", "--json"])).unwrap();
        shown["layers"].to_string()
    };
    person.succeed(&["run", "--", "true"]);
    assert!(!layers(&person).contains("landlock`"), "{}", layers(&person));
    let settings = person.home().join(".config/ringfence/settings.toml");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    std::fs::write(&settings, "[world]\ntier = \"landlock\"\n").unwrap();
    person.give(&person.home());
    person.succeed(&["run", "--", "true"]);
    assert!(layers(&person).contains("`landlock`"), "{}", layers(&person));
    person.succeed(&["run", "--tier", "namespaces", "--", "true"]);
    assert!(!layers(&person).contains("`landlock`"), "{}", layers(&person));
    for (words, said) in [
        (vec!["run", "--tier", "chroot", "--", "true"], "no tier `chroot`"),
        (
            vec!["run", "--publish", "8000", "--tier", "landlock", "--", "true"],
            "no ports of its own",
        ),
    ] {
        let output = person.ringfence(&words).output().unwrap();
        assert!(!output.status.success());
        assert!(err(&output).contains(said), "{}", err(&output));
    }
    std::fs::write(&settings, "[dangerous]\nunnotified = [\"write\"]\n").unwrap();
    let output = run(&person, "true");
    assert!(err(&output).contains("decides every class of acts"), "{}", err(&output));
}

#[test]
fn doctor_says_what_each_tier_holds_here() {
    let person = Person::new(*owners().first().unwrap());
    let short = out(&person.ringfence(&["doctor"]).output().unwrap());
    assert!(short.lines().count() < 30, "{short}");
    assert!(short.contains("in order") && short.contains("namespaces, mounts"), "{short}");
    assert!(short.contains("note     other tiers      landlock, "), "{short}");
    assert!(!short.contains("names, sizes, owners"), "{short}");
    // What is not in order is there in full, with what to do.
    assert!(short.contains("note     policy") && short.contains("`ringfence init`"), "{short}");
    let output = person.ringfence(&["doctor", "--all"]).output().unwrap();
    let text = out(&output);
    assert!(text.contains("tier landlock"), "{text}");
    assert!(text.contains("limits           held by control groups: "), "{text}");
    assert!(text.contains("can be started: landlock enforced, seccomp enforced"), "{text}");
    assert!(text.contains("names, sizes, owners and times of all files"), "{text}");
}

/// Puts the library of the tier `preload` beside the person's `ringfence`.
fn give_library(person: &Person) {
    let built = crate::program().with_file_name("libringfence_preload.so");
    assert!(built.exists(), "`cargo build --workspace` builds {}", built.display());
    let beside = person.ringfence_program().with_file_name("libringfence_preload.so");
    std::fs::copy(built, &beside).unwrap();
}

/// The tiers that advise, each as whom it can be tried.
fn advising() -> Vec<(&'static str, Who)> {
    let tiers = ["preload", "ptrace"];
    tiers.into_iter().flat_map(|tier| owners().into_iter().map(move |who| (tier, who))).collect()
}

fn advised(person: &Person, tier: &str, script: &str) -> Output {
    let words = ["run", "--tier", tier, "--", "/bin/sh", "-ec", script];
    person.ringfence(&words).output().unwrap()
}

#[test]
fn a_world_that_advises_is_named_by_the_person_and_says_so_everywhere() {
    for (tier, who) in advising() {
        let person = person(who, 1);
        give_library(&person);
        let output = advised(
            &person,
            tier,
            "echo x > made; cat made; cp made copy; chmod 700 copy; mkdir d; mv copy d/; rm d/copy; \
             ! cat .env; ! echo y > $HOME/../out; test -d $HOME/project; \
             printf '#!/bin/sh\\necho ran\\n' > s; chmod +x s; ./s; mktemp >/dev/null; echo end",
        );
        let (out, err) = (out(&output), err(&output));
        assert!(output.status.success(), "{out}{err}");
        assert_eq!(out, "x\nran\nend\n", "{err}");
        assert!(err.contains(&format!("advisory: tier `{tier}`")), "{err}");
        let loud = match tier {
            "preload" => "nothing holds a program that does not ask",
            _ => "a program with threads can change it in between",
        };
        assert!(err.contains(loud), "{err}");
        assert!(err.contains("ringfence: advisory only, of what programs asked:"), "{err}");
        let shown = person.succeed(&["show"]);
        assert!(shown.contains(&format!("tier is degraded: advisory: tier `{tier}`")), "{shown}");
        let head = shown.split("\n\n").next().unwrap();
        assert!(head.contains("advisory only: programs can pass it by"), "{head}");
        let listed = person.succeed(&["sessions"]);
        assert!(listed.contains("exit 0, advisory"), "{listed}");
        let listed: Value = serde_json::from_str(&person.succeed(&["sessions", "--json"])).unwrap();
        assert_eq!(listed["advisory"], true, "{listed}");
        let logged = person.succeed(&["log", "show"]);
        assert!(logged.contains("advisory only: programs can pass it by"), "{logged}");
        let shown: Value = serde_json::from_str(&person.succeed(&["show", "--json"])).unwrap();
        assert_eq!(shown["advisory"], true, "{shown}");
        for layer in shown["layers"].as_array().unwrap() {
            let mut known = vec!["pty", "rlimits", "limits"];
            // The kernel's own, and nothing to be passed by.
            known.extend((tier == "ptrace").then_some("seccomp"));
            let is_known = known.contains(&layer["layer"].as_str().unwrap());
            assert!(is_known || layer["state"] != "enforced", "{layer}");
        }
        let decided = person.decided();
        for made in ["/project/made", "/project/d", "/project/s"] {
            let made = decided
                .iter()
                .any(|(verdict, act)| verdict.contains("permit") && act.contains(made));
            assert!(made, "{decided:?}");
        }
        let words = ["run", "--tier", tier, "--json", "--", "true"];
        let said = person.ringfence(&words).output().unwrap();
        let last: Value =
            serde_json::from_str(self::err(&said).lines().next_back().unwrap()).unwrap();
        assert_eq!(last["advisory"], true, "{last}");
    }
}

#[test]
fn programs_that_a_world_advises_are_decided_by_whatever_they_are_started() {
    for (tier, who) in advising() {
        let person = person(who, 1);
        give_library(&person);
        let policy = person.project().join(".ringfence/policy.cedar");
        let text = std::fs::read_to_string(&policy).unwrap();
        let forbid = "@id(\"no-id\")\nforbid (principal, action == Action::\"exec\", resource == \
                      Program::\"/usr/bin/id\");\n";
        person.write(".ringfence/policy.cedar", &(text + forbid));
        person.succeed(&["trust", "--yes"]);
        for start in [
            "id",
            "env -i /usr/bin/id",
            "env -u LD_PRELOAD /usr/bin/id",
            "unset LD_PRELOAD RINGFENCE_LINE; /usr/bin/id",
            "echo 'all:; id' > Makefile; make",
            "git -c alias.x='!id' x",
            "perl -e 'exec \"id\" or exit 1'",
            "perl -e 'print `id`; exit($? != 0)'",
            "perl -e 'exit(system(\"env -i id\") != 0)'",
            "setsid -w id",
            "find . -maxdepth 0 -exec id {} +",
        ] {
            let output = advised(&person, tier, &format!("{start} || echo refused"));
            let (out, err) = (out(&output), err(&output));
            assert!(!out.contains("uid="), "{start}: {out}{err}");
            assert!(out.contains("refused"), "{start}: {out}{err}");
            let denied = person
                .decided()
                .iter()
                .any(|(verdict, act)| verdict.contains("deny") && act.contains("/usr/bin/id\""));
            assert!(denied, "{start}: {:?} {err}", person.decided());
        }
        let output = advised(
            &person,
            tier,
            "git init -q g; cd g; git -c user.name=a -c user.email=b commit -q --allow-empty -m one; \
             git log --format=%s; echo 'int main(void){return 7;}' > a.c; cc a.c -o a; ./a || echo $?; \
             perl -e 'open(F,\">p\"); print F 1; close F; rename(\"p\",\"q\"); unlink(\"q\") and print 2'",
        );
        assert_eq!(out(&output), "one\n7\n2", "{}", err(&output));
    }
}

#[test]
fn what_is_hidden_from_a_world_without_mounts_runs_under_no_other_name() {
    let tiers = advising().into_iter().chain(owners().into_iter().map(|who| ("landlock", who)));
    for (tier, who) in tiers {
        let person = person(who, 1);
        give_library(&person);
        let policy = person.project().join(".ringfence/policy.cedar");
        let text = std::fs::read_to_string(&policy).unwrap();
        let hidden = person.project().join("hidden");
        let forbid = format!(
            "@id(\"hidden\") forbid (principal, action in Action::\"fs\", resource == Path::\"{}\");\n",
            hidden.display()
        );
        person.write(".ringfence/policy.cedar", &(text + &forbid));
        std::fs::copy("/usr/bin/echo", &hidden).unwrap();
        person.give(&hidden);
        person.write("script", &format!("#!{} ran\n", hidden.display()));
        person.write("second", &format!("#!{}/script\n", person.project().display()));
        person.write("a.c", "int main(void){return 0;}");
        let loaded = format!("cc a.c -o loaded -Wl,--dynamic-linker={}", hidden.display());
        let make = format!("{loaded}; chmod 755 script second loaded hidden; ./script; ./second");
        // The oracle: without us the kernel runs it, by both names.
        let made = person.outside(&make);
        assert_eq!(self::out(&made).matches("ran").count(), 2, "{}", err(&made));
        person.succeed(&["trust", "--yes"]);
        for name in ["hidden ran", "script", "second", "loaded"] {
            let script = format!("./{name} && echo ran; echo \"= $?\"");
            let words = ["run", "--tier", tier, "--", "/bin/sh", "-c", &script];
            let output = person.ringfence(&words).output().unwrap();
            let (out, err) = (out(&output), err(&output));
            assert!(!out.contains("ran"), "{tier} {name}: {out}{err}");
            assert!(
                out.contains("= 126") && err.contains("ermission denied"),
                "{name}: {out}{err}"
            );
        }
    }
}

#[test]
fn connections_of_a_world_that_advises_are_led_to_the_gate() {
    let port = server();
    for (tier, who) in advising() {
        let person = person(who, port);
        give_library(&person);
        let get = |url: &str| format!("curl -sS --max-time 20 {url}");
        for script in [
            get(&format!("http://127.0.0.1:{port}/")),
            get(&format!("--noproxy '*' http://localhost:{port}/")),
        ] {
            let output = advised(&person, tier, &script);
            assert_eq!(out(&output), "hello\n", "{who:?} {script}: {}", err(&output));
        }
        let other = server();
        for script in [
            get(&format!("--noproxy '*' http://127.0.0.1:{other}/")),
            get(&format!("http://127.0.0.1:{other}/")),
            get("--noproxy '*' http://192.0.2.1/"),
        ] {
            let output = advised(&person, tier, &format!("{script} || echo refused"));
            assert!(!out(&output).contains("hello"), "{script}: {}", out(&output));
            let decided = person.decided();
            let denied = decided.iter().any(|(verdict, _)| verdict.contains("deny"));
            assert!(denied, "{script}: {decided:?} {}", err(&output));
        }
    }
}

#[test]
fn a_world_that_advises_is_refused_where_it_cannot_do_what_is_asked() {
    let person = person(*owners().first().unwrap(), 1);
    let words = ["run", "--tier", "preload", "--", "true"];
    let output = person.ringfence(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(err(&output).contains("needs its library"), "{}", err(&output));
    give_library(&person);
    for (more, said) in [
        (vec!["--review"], "mounts nothing, and so no overlay"),
        (vec!["--publish", "8000"], "no ports of its own"),
        (vec!["--image", "x"], "an image is for the tier `oci`"),
        (vec!["--seccomp", "strict"], "the seccomp profile `strict` would hold nothing"),
        (vec!["--seccomp", "default"], "the seccomp profile `default` would hold nothing"),
    ] {
        let words: Vec<&str> = ["run"].into_iter().chain(more).chain(words[1..].to_vec()).collect();
        let output = person.ringfence(&words).output().unwrap();
        assert!(!output.status.success(), "{words:?}");
        assert!(err(&output).contains(said), "{words:?}: {}", err(&output));
    }
    assert!(person.ringfence(&words).output().unwrap().status.success());
    let warm = person.ringfence(&["run", "--warm", "--tier", "preload", "--", "true"]);
    let said = err(&{ warm }.output().unwrap());
    assert!(said.contains("warm: a cold start, for worlds of the tier `preload`"), "{said}");
    let settings = person.home().join(".config/ringfence/settings.toml");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    std::fs::write(&settings, "[world]\nseccomp = \"strict\"\n").unwrap();
    person.give(&person.home());
    let output = person.ringfence(&words).output().unwrap();
    assert!(!output.status.success());
    assert!(err(&output).contains("`strict` would hold nothing"), "{}", err(&output));
    std::fs::remove_file(&settings).unwrap();
    let doctor = out(&person.ringfence(&["doctor", "--all"]).output().unwrap());
    assert!(doctor.contains("tier preload     advisory, never chosen by itself"), "{doctor}");
    assert!(doctor.contains("static programs"), "{doctor}");
    assert!(doctor.contains("tier ptrace      advisory, never chosen by itself"), "{doctor}");
}

#[test]
fn a_denied_program_hears_the_reason_on_its_standard_error_in_every_tier() {
    let other = server();
    for who in owners() {
        let person = person(who, 1);
        give_library(&person);
        for tier in ["namespaces", "landlock", "preload", "ptrace"] {
            let to = if tier == "namespaces" { "host.ringfence.internal" } else { "127.0.0.1" };
            // The harness reads by a pipe that is not the person's, and by one that is.
            for more in ["", " 2>&1 | cat >&2"] {
                for how in ["", "--noproxy '*'"] {
                    let get = format!("curl -s --max-time 20 {how} http://{to}:{other}/");
                    let output = advised(&person, tier, &format!("{{ {get} || :; }}{more}"));
                    let said = err(&output);
                    let line = said.lines().find(|line| line.starts_with("denied: agent"));
                    let named = line.is_some_and(|line| line.contains("may not connect to"));
                    assert!(named, "{tier} {get}{more}: {said}");
                }
            }
        }
    }
}
