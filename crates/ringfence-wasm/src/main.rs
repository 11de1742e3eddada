//! Runs one WASM module, in the world that `ringfence run --wasm` has made for it.
//!
//! A program of its own, so that neither the broker nor any other world holds a compiler. What it
//! is given, and what it says at the end, is [`ringfence_core::WasmJob`] and [`WasmEnd`]. It holds
//! nothing itself but what WASI offers: mounts, filter and gate are around this process, and a flaw
//! in it opens no more than any other program of the world may.

mod limiter;
mod module;

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use ringfence_core::{WasmEnd, WasmJob};

/// A failure of ours, as `ringfence run` has it.
const OURS: u8 = 125;
/// What no module can be made of exits with, as `env(1)` has it.
const NOT_RUNNABLE: u8 = 126;
/// What is not there exits with.
const NOT_FOUND: u8 = 127;
/// `128 + SIGABRT`: what a program gets that ends itself for a flaw.
const TRAPPED: u8 = 134;
/// `128 + SIGKILL`: what a session gets that a limit has ended.
const KILLED: u8 = 137;

/// `ENOENT`.
const ENOENT: i32 = 2;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let job = match (words.next(), words.next()) {
        (Some(job), None) => serde_json::from_str::<WasmJob>(&job).ok(),
        (Some(_) | None, _) => None,
    };
    let Some(job) = job else {
        say("error: this program is started by `ringfence run --wasm MODULE`");
        return ExitCode::from(OURS);
    };
    let told_at = job.end.clone();
    let end = module::run(job);
    if let WasmEnd::Trapped(why) = &end {
        say(&format!("ringfence: the module was ended by a trap: {why}"));
    }
    let told = serde_json::to_vec(&end).map(|text| fs::write(told_at.as_path(), text));
    if !matches!(told, Ok(Ok(()))) {
        say("error: cannot say how the module ended");
        return ExitCode::from(OURS);
    }
    ExitCode::from(code(&end))
}

fn code(end: &WasmEnd) -> u8 {
    match end {
        // What a shell would see.
        WasmEnd::Exited(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        WasmEnd::Unopened(ENOENT) => NOT_FOUND,
        WasmEnd::Unopened(_) | WasmEnd::Unfit(_) => NOT_RUNNABLE,
        WasmEnd::Trapped(_) => TRAPPED,
        WasmEnd::Limit(_) => KILLED,
    }
}

fn say(line: &str) {
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stderr(), "{line}");
}
