//! What a module finds and may do.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::{err, module, out, person, put, reads, recorded, run, settle, writes};
use crate::person::Who;

/// The open directories of [`super::person`], as a module numbers them.
const HERE: u32 = 3;
const PROJECT: u32 = 4;
const SHARED: u32 = 5;
const TEMPORARY: u32 = 6;

#[test]
fn a_module_reads_and_writes_what_the_policy_grants_and_each_act_is_recorded() {
    for who in Who::all() {
        let person = person(who);
        for (name, text) in [
            ("here.wasm", reads(HERE, "text")),
            ("project.wasm", reads(PROJECT, "text")),
            ("shared.wasm", reads(SHARED, "text")),
            ("write.wasm", writes(HERE, "made")),
            ("temporary.wasm", writes(TEMPORARY, "made")),
        ] {
            put(&person, name, &text);
        }
        for (name, said) in
            [("here.wasm", "hello\n"), ("project.wasm", "hello\n"), ("shared.wasm", "shared\n")]
        {
            let output = run(&person, &[name]);
            assert_eq!(out(&output), said, "{name}: {}", err(&output));
            assert!(output.status.success(), "{name}: {}", err(&output));
        }
        let output = run(&person, &["temporary.wasm"]);
        assert!(output.status.success(), "{}", err(&output));
        let output = run(&person, &["write.wasm"]);
        assert!(output.status.success(), "{}", err(&output));
        assert_eq!(fs::read_to_string(person.project().join("made")).unwrap(), "written\n");
        assert!(err(&output).contains("1 file changed"), "{}", err(&output));
        let decided = person.decided();
        let acts: Vec<&str> = decided.iter().map(|(_, act)| act.as_str()).collect();
        assert!(decided.iter().all(|(verdict, _)| verdict.contains("permit")), "{decided:?}");
        assert!(acts[0].contains("project/write.wasm") && acts[0].contains("exec"), "{acts:?}");
        assert!(acts[1].contains("project/made"), "{acts:?}");
        assert_eq!(acts.len(), 2, "the runner's own start is the module's: {acts:?}");
    }
}

#[test]
fn its_layers_and_its_world_are_recorded_like_any_other() {
    let person = person(Who::Caller);
    put(&person, "m.wasm", &module("", "", ""));
    let output = run(&person, &["m.wasm"]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("1 permitted, 0 denied"), "{}", err(&output));
    let recorded = recorded(&person);
    let layers = recorded[0]["layers"].as_array().unwrap();
    for layer in ["namespaces", "mounts", "landlock", "seccomp", "notify", "net", "tier", "wasm"] {
        let found = layers.iter().find(|it| it["layer"] == layer).unwrap();
        assert_eq!(found["state"], "enforced", "{found}");
    }
    let wasm = layers.iter().find(|it| it["layer"] == "wasm").unwrap()["detail"].to_string();
    assert!(wasm.contains("4 directories open, 3 of them to write"), "{wasm}");
    assert!(wasm.contains("no sockets"), "{wasm}");
    assert_eq!(recorded[0]["command"][0], "m.wasm");
}

#[test]
fn arguments_streams_and_the_exit_code_are_the_modules() {
    let person = person(Who::Caller);
    put(&person, "cat.wasm", &module("(call $cat (i32.const 0))", "", ""));
    let mut child = person.ringfence(&["run", "--wasm", "cat.wasm"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped").unwrap();
    assert_eq!(out(&child.wait_with_output().unwrap()), "piped");

    let echo = "(call $must (call $args_sizes (i32.const 24) (i32.const 28)))
        (call $must (call $args (i32.const 4096) (i32.const 16384)))
        (call $put (i32.const 1) (i32.const 16384) (i32.load (i32.const 28)))
        (call $exit (i32.load (i32.const 24)))";
    put(&person, "echo.wasm", &module(echo, "", ""));
    let output = run(&person, &["echo.wasm", "one", "--", "-two"]);
    assert_eq!(out(&output), "echo.wasm\0one\0-two\0");
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let decided = person.decided();
    assert!(decided[0].1.contains("echo.wasm one -two"), "{decided:?}");
}

#[test]
fn a_component_of_preview_2_runs_too() {
    let person = person(Who::Caller);
    for (name, result, code) in [("good.wasm", 0, 0), ("bad.wasm", 1, 1)] {
        let text = format!(
            r#"(component
  (core module $m (func (export "run") (result i32) i32.const {result}))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $r (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $r)))"#
        );
        put(&person, name, &text);
        let output = run(&person, &[name]);
        assert_eq!(output.status.code(), Some(code), "{}", err(&output));
    }
}

#[test]
fn what_is_no_module_says_so_with_a_code_of_its_own_and_leaves_nothing() {
    let person = person(Who::Caller);
    person.write("text.wasm", "(module)");
    person.write("short.wasm", "\0as");
    let sessions = || person.succeed(&["sessions", "--json"]);
    let before = sessions();
    for (words, code, said) in [
        (["text.wasm"], 126, "`text.wasm` is no WASM module: it does not begin with"),
        (["short.wasm"], 126, "`short.wasm` is no WASM module"),
        (["."], 126, "`.` is no WASM module"),
        (["absent.wasm"], 127, "cannot read the module `absent.wasm`: No such file"),
    ] {
        let output = run(&person, &words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{words:?}: {}", err(&output));
    }
    assert_eq!(sessions(), before, "no session was begun");

    person.write("broken.wasm", "\0asm\u{1}\0\0\0broken");
    let no_start = "(module (func (export \"other\")))";
    let unknown = "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))";
    put(&person, "library.wasm", no_start);
    put(&person, "unknown.wasm", unknown);
    for (name, said) in [
        ("broken.wasm", "cannot run `broken.wasm`: "),
        ("library.wasm", "it has no `_start`"),
        ("unknown.wasm", "unknown import"),
    ] {
        let output = run(&person, &[name]);
        assert_eq!(output.status.code(), Some(126), "{name}: {}", err(&output));
        assert!(err(&output).contains(said), "{name}: {}", err(&output));
    }
}

#[test]
fn a_module_that_the_policy_does_not_let_run_or_read_does_not_run() {
    let person = person(Who::Caller);
    let denied = person.home().join("shared/m.wasm");
    fs::write(&denied, wat::parse_str(module("", "", "")).unwrap()).unwrap();
    let output = run(&person, &[denied.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(126), "{}", err(&output));
    assert!(err(&output).contains("may not run"), "{}", err(&output));
    let policy = "permit (principal, action == Action::\"exec\", resource);
        permit (principal, action in Action::\"fs\", resource in Dir::\"PROJECT\");";
    let policy = policy.replace("PROJECT", person.project().to_str().unwrap());
    person.write(".ringfence/policy.cedar", &policy);
    person.succeed(&["trust", "--yes"]);
    let output = run(&person, &[denied.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(127), "{}", err(&output));
    assert!(err(&output).contains("is not in this world, only outside of it"), "{}", err(&output));
    assert!(err(&output).contains("ringfence grant fs.read:"), "{}", err(&output));
}

#[test]
fn without_the_runner_a_module_is_refused_with_how_to_get_it() {
    let person = person(Who::Caller);
    put(&person, "m.wasm", &module("", "", ""));
    fs::remove_file(person.ringfence_program().with_file_name("ringfence-wasm")).unwrap();
    let output = run(&person, &["m.wasm"]);
    assert_eq!(output.status.code(), Some(125), "{}", err(&output));
    let hint = "cargo install --path crates/ringfence-wasm --features wasm";
    assert!(err(&output).contains(hint), "{}", err(&output));
    // Named in PATH it is not taken either.
    person.install(super::runner());
    assert_eq!(run(&person, &["m.wasm"]).status.code(), Some(125));
}

#[test]
fn a_module_runs_in_no_other_tier() {
    let person = person(Who::Caller);
    put(&person, "m.wasm", &module("", "", ""));
    let output = run(&person, &["m.wasm", "--tier", "landlock"]);
    assert_eq!(output.status.code(), Some(125), "{}", err(&output));
    let own = person.home().join(".config/ringfence/settings.toml");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "[world]\ntier = \"landlock\"\n").unwrap();
    let output = run(&person, &["m.wasm"]);
    assert_eq!(output.status.code(), Some(125), "{}", err(&output));
    assert!(
        err(&output).contains("of the tier `namespaces`, not of `landlock`"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_module_runs_in_a_world_of_the_strictest_profile() {
    let person = person(Who::Caller);
    put(&person, "here.wasm", &reads(HERE, "text"));
    let output = run(&person, &["here.wasm", "--seccomp", "strict"]);
    assert_eq!(out(&output), "hello\n", "{}", err(&output));
}

#[test]
fn changes_of_a_module_can_be_put_under_review() {
    let person = person(Who::Caller);
    settle(&person, "");
    put(&person, "write.wasm", &writes(HERE, "made"));
    let output = run(&person, &["write.wasm", "--review"]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(!person.project().join("made").exists());
    assert!(err(&output).contains("1 change waits for review"), "{}", err(&output));
}
