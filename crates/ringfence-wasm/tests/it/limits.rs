//! What ends a module that would not end.

use std::process::Stdio;

use super::{err, module, person, put, recorded, run, settle};
use crate::person::Who;

const FOREVER: &str = "(loop $again (br $again))";
const BOMB: &str = "(loop $again (drop (memory.grow (i32.const 16))) (br $again))";

#[test]
fn each_limit_ends_a_module_with_its_name_an_entry_and_a_code() {
    for who in Who::all() {
        for (settings, body) in [
            ("wasm_fuel_max = 1000000", FOREVER),
            ("wasm_seconds_max = 1", FOREVER),
            ("wasm_memory_bytes_max = 16777216", BOMB),
            ("wall_seconds_max = 2", FOREVER),
        ] {
            let person = person(who);
            settle(&person, &format!("[limits]\n{settings}\n"));
            put(&person, "bomb.wasm", &module(body, "", ""));
            let output = run(&person, &["bomb.wasm"]);
            assert_eq!(output.status.code(), Some(137), "{settings}: {}", err(&output));
            let said = format!("it reached `{settings}`");
            assert!(err(&output).contains(&said), "{settings}: {}", err(&output));
            let (name, most) = settings.split_once(" = ").unwrap();
            let entries = recorded(&person);
            let reached = entries.iter().find(|it| it["event"] == "limit-reached").unwrap();
            assert_eq!(
                (&reached["limit"], reached["most"].to_string()),
                (&name.into(), most.into())
            );
        }
    }
}

/// Waits ten minutes by the clock (tag 0 of a subscription, in nanoseconds), and says if it could not.
const SLEEPER: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 600000000000))
    (call $exit (i32.add (i32.const 50)
      (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200))))))"#;

#[test]
fn a_module_that_waits_is_ended_when_its_time_is_over() {
    let person = person(Who::Caller);
    settle(&person, "[limits]\nwasm_seconds_max = 1\n");
    put(&person, "sleeps.wasm", SLEEPER);
    let reader = module("(call $cat (i32.const 0)) (call $exit (i32.const 51))", "", "");
    put(&person, "reads.wasm", &reader);
    put(&person, "quick.wasm", &module("(call $exit (i32.const 7))", "", ""));
    for (name, code) in [("sleeps.wasm", 137), ("reads.wasm", 137), ("quick.wasm", 7)] {
        let mut command = person.ringfence(&["run", "--wasm", name]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Held open: nobody ever writes to it.
        let never = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(never);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", err(&output));
        let said = err(&output).contains("it reached `wasm_seconds_max = 1`");
        assert_eq!(said, code == 137, "{name}: {}", err(&output));
        let of_limits =
            recorded(&person).iter().filter(|it| it["event"] == "limit-reached").count();
        assert_eq!(of_limits, usize::from(code == 137), "{name}");
    }
}

#[test]
fn a_table_is_memory_too_and_the_first_memory_counts() {
    let person = person(Who::Caller);
    settle(&person, "[limits]\nwasm_memory_bytes_max = 1048576\n");
    let table = "(module (table $t 1 funcref) (func (export \"_start\")
        (loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again))))";
    let large = "(module (memory 17) (func (export \"_start\")))";
    for (name, text) in [("table.wasm", table), ("large.wasm", large)] {
        put(&person, name, text);
        let output = run(&person, &[name]);
        assert_eq!(output.status.code(), Some(137), "{name}: {}", err(&output));
        assert!(err(&output).contains("`wasm_memory_bytes_max = 1048576`"), "{}", err(&output));
    }
}

#[test]
fn a_module_within_its_limits_ends_as_it_would() {
    let person = person(Who::Caller);
    let all = "wasm_fuel_max = 1000000\nwasm_seconds_max = 600\nwasm_memory_bytes_max = 1048576";
    settle(&person, &format!("[limits]\n{all}\n"));
    put(&person, "m.wasm", &module("(call $exit (i32.const 7))", "", ""));
    let output = run(&person, &["m.wasm"]);
    assert_eq!(output.status.code(), Some(7), "{}", err(&output));
    let layers = recorded(&person)[0]["layers"].to_string();
    for limit in ["at most 1000000 fuel", "at most 600 seconds", "at most 1048576 bytes of memory"]
    {
        assert!(layers.contains(limit), "{layers}");
    }
}

#[test]
fn a_trap_ends_it_as_an_abort_would() {
    let person = person(Who::Caller);
    for (name, text, said) in [
        ("unreachable.wasm", module("unreachable", "", ""), "unreachable"),
        ("far.wasm", module("(drop (i32.load (i32.const -4)))", "", ""), "out of bounds"),
        ("deep.wasm", "(module (func $f (export \"_start\") (call $f)))".to_owned(), "call stack"),
    ] {
        put(&person, name, &text);
        let output = run(&person, &[name]);
        assert_eq!(output.status.code(), Some(134), "{name}: {}", err(&output));
        assert!(err(&output).contains("the module was ended by a trap"), "{}", err(&output));
        assert!(err(&output).contains(said), "{name}: {}", err(&output));
    }
}

#[test]
fn a_limit_of_zero_starts_nothing() {
    let person = person(Who::Caller);
    put(&person, "m.wasm", &module("", "", ""));
    for (name, least) in
        [("wasm_fuel_max", 1), ("wasm_seconds_max", 1), ("wasm_memory_bytes_max", 65536)]
    {
        let own = person.home().join(".config/ringfence/settings.toml");
        std::fs::create_dir_all(own.parent().unwrap()).unwrap();
        std::fs::write(&own, format!("[limits]\n{name} = 0\n")).unwrap();
        let output = run(&person, &["m.wasm"]);
        assert_eq!(output.status.code(), Some(125), "{}", err(&output));
        assert!(err(&output).contains(&format!("must be at least {least}")), "{}", err(&output));
    }
}
