//! Attempts of a module to get at what it was not given. Each works where the same runner has the
//! same file in an open directory and no world around it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ringfence_core::{AbsolutePath, Preopen, PreopenAccess, WasmJob, WasmLimits};

use super::{err, module, out, person, put, reads, run, runner, writes};
use crate::person::{Person, Who};

const HERE: u32 = 3;
const SHARED: u32 = 5;

/// One attempt: the module, and the same beneath the root directory, which is open to nobody inside.
struct Attack {
    name: &'static str,
    module: String,
    outside: String,
    /// What must be as it was on the host.
    untouched: &'static str,
}

/// A place of the person's, as it is named beneath the root directory.
fn at(person: &Person, path: &str) -> String {
    let path = person.home().join(path);
    path.to_str().unwrap().trim_start_matches('/').to_owned()
}

/// Reading and writing by every way there.
fn opens(person: &Person) -> Vec<Attack> {
    let read = |name, dir, path: &str, target: &str| Attack {
        name,
        module: reads(dir, path),
        outside: reads(HERE, &at(person, target)),
        untouched: "outside",
    };
    let write = |name, dir, path: &str, target: &'static str| Attack {
        name,
        module: writes(dir, path),
        outside: writes(HERE, &at(person, target)),
        untouched: target,
    };
    let absolute = person.home().join("outside");
    vec![
        read("up", HERE, "../outside", "outside"),
        read("up-and-down", HERE, "sub/../../outside", "outside"),
        read("absolute", HERE, absolute.to_str().unwrap(), "outside"),
        read("link-out", HERE, "link", "outside"),
        read("absolute-link-out", HERE, "absolute-link", "outside"),
        read("link-to-directory", HERE, "above/outside", "outside"),
        read("forbidden-file", HERE, ".env", "project/.env"),
        read("forbidden-by-link", HERE, "env-link", "project/.env"),
        read("forbidden-by-dots", HERE, "sub/../.env", "project/.env"),
        write("write-what-is-read-only", SHARED, "text", "shared/text"),
        write("make-where-it-is-read-only", SHARED, "new", "shared/new"),
        write("forbidden-write", HERE, ".env", "project/.env"),
        write("forbidden-new", HERE, "never.txt", "project/never.txt"),
        write("git-hook", HERE, ".git/hooks/pre-commit", "project/.git/hooks/pre-commit"),
        write("git-config", HERE, ".git/config", "project/.git/config"),
        write("policy", HERE, ".ringfence/policy.cedar", "project/.ringfence/policy.cedar"),
        write("editor-settings", HERE, ".vscode/tasks.json", "project/.vscode/tasks.json"),
    ]
}

/// Everything else that changes something.
fn changes(person: &Person) -> Vec<Attack> {
    let at = |path: &str| at(person, path);
    let unlink = |dir: u32, path: &str| {
        let body = "(call $must (call $unlink (i32.const DIR) (i32.const 1024) (global.get $one)))";
        module(&body.replace("DIR", &dir.to_string()), path, "")
    };
    let rename = |from: &str, to: &str| {
        let body = "(call $must (call $rename (i32.const 3) (i32.const 1024) (global.get $one) \
                    (i32.const 3) (i32.const 2048) (global.get $other)))";
        module(body, from, to)
    };
    let link = |at: &str, says: &str| {
        let body = "(call $must (call $symlink (i32.const 2048) (global.get $other) \
                    (i32.const 3) (i32.const 1024) (global.get $one))) \
                    (call $cat (call $opened (i32.const 3) (i32.const 0) (i64.const 2)))";
        module(body, at, says)
    };
    vec![
        Attack {
            name: "unlink-what-is-read-only",
            module: unlink(SHARED, "text"),
            outside: unlink(HERE, &at("shared/text")),
            untouched: "shared/text",
        },
        Attack {
            name: "rename-out",
            module: rename("text", "../taken"),
            outside: rename(&at("project/text"), &at("taken")),
            untouched: "taken",
        },
        Attack {
            name: "rename-a-protected-directory",
            module: rename(".git", "moved"),
            outside: rename(&at("project/.git"), &at("project/moved")),
            untouched: "project/.git/config",
        },
        Attack {
            name: "own-link-out",
            module: link("mine", "../outside"),
            outside: link(&at("project/theirs"), "../outside"),
            untouched: "outside",
        },
        Attack {
            name: "a-directory-nobody-opened",
            module: reads(9, "sub"),
            outside: reads(HERE, &at("taken")),
            untouched: "outside",
        },
    ]
}

/// A person with something to attack.
fn victim(who: Who) -> Person {
    let person = person(who);
    let project = person.project();
    fs::create_dir_all(project.join("sub")).unwrap();
    fs::create_dir_all(project.join(".vscode")).unwrap();
    fs::create_dir_all(project.join(".git/hooks")).unwrap();
    for (name, text) in [
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/config", "[core]\n"),
        (".git/hooks/pre-commit", "#!/bin/sh\n"),
        (".vscode/tasks.json", "{}\n"),
    ] {
        fs::write(project.join(name), text).unwrap();
    }
    fs::create_dir_all(project.join(".git/objects")).unwrap();
    fs::create_dir_all(project.join(".git/refs")).unwrap();
    person.give(&project);
    symlink("../outside", project.join("link")).unwrap();
    symlink(person.home().join("outside"), project.join("absolute-link")).unwrap();
    symlink("..", project.join("above")).unwrap();
    symlink(".env", project.join("env-link")).unwrap();
    person
}

/// The same runner, and nothing around it: whether the attack works at all.
fn outside(person: &Person, module: &str) -> bool {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (file, end) = (dir.path().join("m.wasm"), dir.path().join("end"));
    fs::write(&file, wat::parse_str(module).unwrap()).unwrap();
    let path = |path: &Path| AbsolutePath::parse(path.to_str().unwrap()).unwrap();
    let job = WasmJob {
        module: path(&file),
        args: vec!["m".to_owned()],
        preopens: vec![Preopen {
            dir: AbsolutePath::root(),
            name: "/".to_owned(),
            access: PreopenAccess::Write,
        }],
        limits: WasmLimits::default(),
        end: path(&end),
    };
    let job = serde_json::to_string(&job).unwrap();
    let output = Command::new(runner()).arg(job).current_dir(person.home()).output().unwrap();
    output.status.success()
}

#[test]
fn no_module_gets_at_what_it_was_not_given() {
    for who in Who::all() {
        let mut escaped = Vec::new();
        let person = victim(who);
        let attacks: Vec<Attack> = opens(&person).into_iter().chain(changes(&person)).collect();
        for attack in &attacks {
            let file = person.home().join(attack.untouched);
            let before = fs::read(&file).ok();
            put(&person, "attack.wasm", &attack.module);
            let output = run(&person, &["attack.wasm"]);
            let said = out(&output);
            let changed = fs::read(&file).ok() != before;
            // 125 and 126 would be no answer: then nothing was tried.
            let tried = !matches!(output.status.code(), Some(125..=127) | None);
            assert!(tried, "{}: {}", attack.name, err(&output));
            if output.status.success() || !said.is_empty() || changed {
                escaped.push((attack.name, said, err(&output)));
            }
        }
        assert!(escaped.is_empty(), "{who:?}, of {}: {escaped:#?}", attacks.len());
        let works = |attack: &Attack| outside(&person, &attack.outside);
        let vain: Vec<&str> = attacks.iter().filter(|it| !works(it)).map(|it| it.name).collect();
        assert!(vain.is_empty(), "not even outside: {vain:?}");
    }
}

#[test]
fn what_the_gate_denies_a_module_has_an_entry_and_is_told() {
    let person = victim(Who::Caller);
    put(&person, "never.wasm", &writes(HERE, "never.txt"));
    let output = run(&person, &["never.wasm"]);
    assert!(err(&output).contains("1 denied"), "{}", err(&output));
    let decided = person.decided();
    let denied: Vec<_> = decided.iter().filter(|(verdict, _)| verdict.contains("deny")).collect();
    assert!(denied.len() == 1 && denied[0].1.contains("never.txt"), "{decided:?}");
    assert!(decided[0].1.contains("exec"), "{decided:?}");
}

#[test]
fn a_runner_started_by_hand_says_whose_it_is() {
    let output = Command::new(runner()).arg("{}").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(err(&output).contains("started by `ringfence run --wasm MODULE`"), "{}", err(&output));
}
