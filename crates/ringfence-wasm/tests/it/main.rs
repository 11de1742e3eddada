//! Modules in their worlds: what they may, what they may not, and what ends them.
//!
//! They are run by `ringfence` itself, which `cargo build --bin ringfence` puts beside the runner.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::needless_raw_string_hashes,
    reason = "a test that cannot go on fails, and expect-test writes the snapshots"
)]

#[allow(dead_code, reason = "shared with the tests of the program, which use all of it")]
#[path = "../../../ringfence/tests/it/person.rs"]
mod person;

mod attacks;
mod limits;
mod modules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use person::{Person, Who};

/// A project that may be written, with a `.env` that may not be read, and a directory to read.
const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource in Dir::"PROJECT");
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal, action == Action::"fs.read", resource in Dir::"SHARED");
@id("keys")
forbid (principal, action in Action::"fs", resource == Path::"PROJECT/.env");
@id("never")
forbid (principal, action == Action::"fs.write", resource == Path::"PROJECT/never.txt");
"#;

/// The program under test: beside the runner.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_ringfence-wasm")).with_file_name("ringfence");
    assert!(program.is_file(), "`cargo build --workspace --bins` makes {}", program.display());
    program
}

fn runner() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ringfence-wasm"))
}

/// Somebody with a policy, and with the runner beside `ringfence`.
fn person(who: Who) -> Person {
    let person = Person::new(who);
    let at = person.ringfence_program().with_file_name("ringfence-wasm");
    if fs::hard_link(runner(), &at).is_err() {
        fs::copy(runner(), &at).unwrap();
    }
    let shared = person.home().join("shared");
    fs::create_dir_all(&shared).unwrap();
    fs::write(shared.join("text"), "shared\n").unwrap();
    fs::write(person.home().join("outside"), "outside\n").unwrap();
    person.give(&shared);
    person.give(&person.home().join("outside"));
    let policy = POLICY.replace("PROJECT", person.project().to_str().unwrap());
    person.write(".ringfence/policy.cedar", &policy.replace("SHARED", shared.to_str().unwrap()));
    person.write(".env", "KEY=1\n");
    person.write("text", "hello\n");
    person.succeed(&["trust", "--yes"]);
    person
}

/// Puts a module into the project.
fn put(person: &Person, name: &str, text: &str) {
    let file = person.project().join(name);
    fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    person.give(&file);
}

/// Settings of the project, which is trusted anew.
fn settle(person: &Person, settings: &str) {
    person.write(".ringfence/settings.toml", settings);
    person.succeed(&["trust", "--yes"]);
}

fn run(person: &Person, words: &[&str]) -> Output {
    let all: Vec<&str> = ["run", "--wasm"].into_iter().chain(words.iter().copied()).collect();
    person.ringfence(&all).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the session that started last has recorded.
fn recorded(person: &Person) -> Vec<Value> {
    let lines = person.succeed(&["log", "show", "--json"]);
    let entry = |line: &str| serde_json::from_str::<Value>(line).unwrap()["entry"].clone();
    lines.lines().map(entry).collect()
}

/// A module whose `_start` is `body`, with what WASI offers by short names, and texts at 1024 and 2048.
fn module(body: &str, one: &str, other: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "path_open" (func $open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink
    (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir
    (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename
    (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink
    (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes
    (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (global $one i32 (i32.const {one_bytes}))
  (global $other i32 (i32.const {other_bytes}))
  (data (i32.const 1024) "{one}")
  (data (i32.const 2048) "{other}")
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  ;; Writes LENGTH bytes at PLACE to a descriptor.
  (func $put (param $fd i32) (param $place i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $place))
    (i32.store (i32.const 4) (local.get $length))
    (call $must (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  ;; Copies what a descriptor has to standard output.
  (func $cat (param $fd i32)
    (loop $more
      (i32.store (i32.const 0) (i32.const 8192))
      (i32.store (i32.const 4) (i32.const 4096))
      (call $must (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (call $put (i32.const 1) (i32.const 8192) (i32.load (i32.const 8)))
        (br $more)))))
  ;; Opens the first text beneath a descriptor.
  (func $opened (param $dir i32) (param $flags i32) (param $rights i64) (result i32)
    (call $must (call $open (local.get $dir) (i32.const 1) (i32.const 1024) (global.get $one)
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.load (i32.const 16)))
  (func (export "_start") {body}))"#,
        one_bytes = one.len(),
        other_bytes = other.len() - 2 * other.matches("\\0a").count(),
    )
}

/// Prints a file beneath the open directory `dir`.
fn reads(dir: u32, path: &str) -> String {
    let body = format!("(call $cat (call $opened (i32.const {dir}) (i32.const 0) (i64.const 2)))");
    module(&body, path, "")
}

/// Creates a file beneath the open directory `dir`, or shortens it, and writes to it.
fn writes(dir: u32, path: &str) -> String {
    let body = format!(
        "(call $put (call $opened (i32.const {dir}) (i32.const 9) (i64.const 64)) \
         (i32.const 2048) (global.get $other))"
    );
    module(&body, path, "written\\0a")
}
