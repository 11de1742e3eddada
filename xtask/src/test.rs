//! `cargo xtask test`: every check, each with its time, and one closing line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::process::{Done, call, on_its_own, output, status, target_dir, top};
use crate::{setup, tidy};

/// After this long the run is stopped and fails.
const RUN_MINUTES_MAX: u64 = 80;

/// When more tests fail than this, nothing is tried again: it is not the machine.
const RETRIED_TESTS_MAX: usize = 20;

/// How often the counted tests repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// A tenth.
    Short,
    /// All; the result is written to docs/.
    Long,
}

/// What to do with generated files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generated {
    /// Write them.
    Write,
    /// Fail if they differ.
    Compare,
}

/// Tests that take long and have not ended; named when the run is stopped.
static SLOW: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// Runs every stage; a failed stage does not hide the later ones.
pub(crate) fn run(counts: Counts) -> Done {
    let begun = Instant::now();
    stop_after(Duration::from_secs(RUN_MINUTES_MAX * 60));
    provide()?;
    let mut tally = Tally::default();
    stage(&mut tally, "format", || call("cargo", &["fmt", "--all", "--check"]));
    stage(&mut tally, "clippy", clippy);
    stage(&mut tally, "licences", licences);
    let tests = Instant::now();
    println!("== tests");
    let outcome = cargo_tests(&mut tally, counts);
    report("tests", &outcome, tests.elapsed());
    if outcome.is_err() && tally.failed == 0 {
        tally.failed = 1;
    }
    let begun_wasm = Instant::now();
    println!("== wasm");
    let outcome = wasm_tests(&mut tally);
    report("wasm", &outcome, begun_wasm.elapsed());
    if outcome.is_err() && tally.failed == 0 {
        tally.failed = 1;
    }
    stage(&mut tally, "tidy", tidy::run);
    stage(&mut tally, "generated", || generate(Generated::Compare));
    println!("== all stages: {} s", begun.elapsed().as_secs());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { Ok(()) } else { Err("not all checks passed".to_owned()) }
}

/// Installs what is missing where that is expected (as root or in CI), else says what is.
fn provide() -> Done {
    let missing = setup::missing();
    if missing.is_empty() {
        return Ok(());
    }
    let root = output("id", &["-u"])?.trim() == "0";
    if root || std::env::var("CI").is_ok_and(|ci| ci == "true") {
        let begun = Instant::now();
        println!("== setup");
        let outcome = setup::install();
        report("setup", &outcome, begun.elapsed());
        return outcome;
    }
    let list = missing.join("\n  ");
    Err(format!(
        "the tests need what is missing here:\n  {list}\nhint: run `cargo xtask setup --yes`"
    ))
}

fn stage(tally: &mut Tally, name: &str, check: impl FnOnce() -> Done) {
    println!("== {name}");
    let begun = Instant::now();
    let outcome = check();
    report(name, &outcome, begun.elapsed());
    match outcome {
        Ok(()) => tally.passed += 1,
        Err(_) => tally.failed += 1,
    }
}

fn report(name: &str, outcome: &Done, took: Duration) {
    match outcome {
        Ok(()) => println!("== {name}: ok, {} s", took.as_secs()),
        Err(error) => println!("== {name}: FAILED, {} s: {error}", took.as_secs()),
    }
}

fn clippy() -> Done {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    call("cargo", &arguments)?;
    let all = ["--quiet", "--all-targets", "--locked", "--", "-D", "warnings"];
    call("cargo", &[&["clippy"][..], &WASM, &all].concat())
}

/// The program that runs WASM modules is built by itself: its compiler would be part of every build.
const WASM: [&str; 4] = ["-p", "ringfence-wasm", "--features", "wasm"];

/// Its tests, with `ringfence` itself, which the other tests have built.
fn wasm_tests(tally: &mut Tally) -> Done {
    let mut command = Command::new("cargo");
    command.arg("test").args(WASM).args(["--locked", "--no-fail-fast"]);
    command.current_dir(top()).stdin(Stdio::null()).stdout(Stdio::piped());
    let status = pass_on(&mut command, |line| count(tally, line))?;
    if status.success() { Ok(()) } else { Err(format!("cargo test ended with {status}")) }
}

fn licences() -> Done {
    let mut deny = Command::new(setup::deny());
    // Only these three: the advisory database cannot be reached from our build machines.
    status(deny.args(["--locked", "check", "licenses", "bans", "sources"]).current_dir(top()))
}

/// Runs the tests, passes their output on and adds up the closing lines of the test binaries.
fn cargo_tests(tally: &mut Tally, counts: Counts) -> Done {
    run_builds()?;
    // No test depends on it by cargo's rules: it is loaded into programs, not linked.
    call("cargo", &["build", "--quiet", "--locked", "--package", "ringfence-preload"])?;
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .current_dir(top())
        .env("RINGFENCE_TEST_AGENTS", setup::agents())
        .env("RINGFENCE_TEST_PYTHON", setup::python())
        .env("RINGFENCE_TEST_AWS", setup::aws())
        .env("RINGFENCE_TEST_MCP", setup::mcp())
        .env("RINGFENCE_TEST_LONG", if counts == Counts::Long { "1" } else { "0" })
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut failures = Failures::default();
    let status = pass_on(&mut command, |line| {
        count(tally, line);
        failures.take(line);
    })?;
    let failed = failures.names;
    if status.success() {
        return Ok(());
    }
    if failed.is_empty() || failed.len() > RETRIED_TESTS_MAX || tally.failed != failed.len() as u64
    {
        return Err(format!("cargo test ended with {status}"));
    }
    retry(tally, &failed)
}

/// Runs what failed once more, alone, and says so: a test of processes and time may fail on a
/// machine that is short of both, a broken program fails again.
fn retry(tally: &mut Tally, failed: &[String]) -> Done {
    println!("== retry: {}", failed.join(" "));
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--locked", "--no-fail-fast", "--"])
        .args(["--exact", "--test-threads", "1"])
        .args(failed)
        .current_dir(top())
        .env("RINGFENCE_TEST_AGENTS", setup::agents())
        .env("RINGFENCE_TEST_PYTHON", setup::python())
        .env("RINGFENCE_TEST_AWS", setup::aws())
        .env("RINGFENCE_TEST_MCP", setup::mcp())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut again = Tally::default();
    let status = pass_on(&mut command, |line| count(&mut again, line))?;
    if !status.success() || again.passed == 0 {
        return Err(format!("cargo test ended with {status}, also the second time"));
    }
    println!("== flaky, passed alone: {}", failed.join(" "));
    tally.failed = 0;
    tally.passed += again.passed;
    Ok(())
}

/// Runs a command, prints its lines and shows each to `look`.
fn pass_on(
    command: &mut Command,
    mut look: impl FnMut(&str),
) -> Result<std::process::ExitStatus, String> {
    let mut child =
        on_its_own(command).spawn().map_err(|error| format!("cargo did not start: {error}"))?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            println!("{line}");
            slow(&line);
            look(&line);
        }
    }
    child.wait().map_err(|error| format!("cargo was lost: {error}"))
}

/// Keeps [`SLOW`] by what a test binary prints.
fn slow(line: &str) {
    let Ok(mut slow) = SLOW.lock() else { return };
    if line.starts_with("test result: ") {
        slow.clear();
    } else if let Some(rest) = line.strip_prefix("test ") {
        match rest.strip_suffix(" has been running for over 60 seconds") {
            Some(name) => slow.push(name.to_owned()),
            None => slow.retain(|name| rest.split(" ... ").next() != Some(name.as_str())),
        }
    }
}

/// The tests that failed, by the lists at the end of each test binary: what children print may stand in the
/// middle of the line `test NAME ... FAILED`, and then nobody would know which to run once more.
#[derive(Default)]
struct Failures {
    names: Vec<String>,
    /// Those of the list that is read, which is the last of its binary.
    list: Option<Vec<String>>,
}

impl Failures {
    fn take(&mut self, line: &str) {
        if line == "failures:" {
            self.list = Some(Vec::new());
        } else if line.starts_with("test result: ") {
            self.names.extend(self.list.take().unwrap_or_default());
        } else if let (Some(list), Some(name)) = (&mut self.list, line.strip_prefix("    ")) {
            let plain =
                |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
            if !name.is_empty() && name.chars().all(plain) {
                list.push(name.to_owned());
            }
        }
    }
}

/// The tests start the program and the examples as processes: they must exist beforehand.
fn run_builds() -> Done {
    call("cargo", &["build", "--quiet", "--workspace", "--locked", "--bins", "--examples"])
}

/// Reads `test result: ok. 12 passed; 0 failed; ...`.
fn count(tally: &mut Tally, line: &str) {
    let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
    for part in rest.split([';', '.']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match what {
            "passed" => tally.passed += number,
            "failed" => tally.failed += number,
            _ => {}
        }
    }
}

/// Man pages, completions, the command-line reference and schemas, all from the program itself.
pub(crate) fn generate(mode: Generated) -> Done {
    let reference = top().join("docs/reference");
    let target = match mode {
        Generated::Write => reference.clone(),
        Generated::Compare => {
            std::env::temp_dir().join(format!("ringfence-gen-{}", std::process::id()))
        }
    };
    // The whole workspace, as the tests have it: with one package alone cargo would choose other
    // features, and build half of what there is a second time.
    let generator = target_dir().join("debug/examples/gen");
    let made =
        run_builds().and_then(|()| status(Command::new(generator).arg(&target).current_dir(top())));
    let outcome = match (made, mode) {
        (Ok(()), Generated::Compare) => compare(&target, &reference),
        (other, _) => other,
    };
    if mode == Generated::Compare {
        let _ = std::fs::remove_dir_all(&target);
    }
    outcome
}

fn compare(fresh: &Path, committed: &Path) -> Done {
    let fresh_files = files(fresh)?;
    if fresh_files != files(committed)? {
        return Err("docs/reference has other files; hint: run `cargo xtask gen`".to_owned());
    }
    for file in fresh_files {
        if std::fs::read(fresh.join(&file)).ok() != std::fs::read(committed.join(&file)).ok() {
            let file = file.display();
            return Err(format!(
                "docs/reference/{file} is not up to date; hint: run `cargo xtask gen`"
            ));
        }
    }
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(next) = left.pop() {
        let list = std::fs::read_dir(&next)
            .map_err(|error| format!("cannot list `{}`: {error}", next.display()))?;
        for entry in list.flatten() {
            if entry.path().is_dir() {
                left.push(entry.path());
            } else if let Ok(short) = entry.path().strip_prefix(dir) {
                found.push(short.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Ends the whole run when it takes too long: a hanging test must not hang CI.
fn stop_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        println!("== stopped: more than {} minutes", limit.as_secs() / 60);
        if let Ok(slow) = SLOW.lock() {
            println!("== still running: {}", slow.join(" "));
        }
        println!("0 passed, 1 failed");
        #[expect(clippy::exit, reason = "the one place that ends a hanging run")]
        std::process::exit(1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_known_whatever_children_print_in_between() {
        let mut failures = Failures::default();
        let lines = "test a::b ... childs wordsFAILED\nfailures:\n\n---- a::b stdout ----\n    left: 1\n    word\n\
                     failures:\n    a::b\n    c\n\ntest result: FAILED. 1 passed; 2 failed\n    d\n\
                     failures:\n    e\ntest result: FAILED.";
        lines.lines().for_each(|line| failures.take(line));
        assert_eq!(failures.names, ["a::b", "c", "e"]);
    }

    #[test]
    fn what_hangs_can_be_named() {
        let of = |lines: &str| {
            lines.lines().for_each(slow);
            SLOW.lock().unwrap().clone()
        };
        let both = "test a::b has been running for over 60 seconds\ntest c has been running for over 60 seconds";
        assert_eq!(of(both), ["a::b", "c"]);
        assert_eq!(of("test a::b ... ok\ntest d ... ok"), ["c"]);
        assert!(of("test result: ok.").is_empty());
    }
}
