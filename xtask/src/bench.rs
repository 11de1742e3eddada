//! `cargo xtask bench`: ratios against named peers, in one interleaved run of the release build.

mod commands;
mod floor;
mod mcp;
mod net;
mod peers;
mod place;
mod warm;

use std::time::{Duration, Instant};

use crate::process::{Done, call, output, target_dir};

/// Counted runs of each side, after one that is not counted.
const ROUNDS: usize = 15;

/// Between two runs: what one leaves to the background (sealing a log, taking namespaces down)
/// must not be paid by the other.
const SETTLE: Duration = Duration::from_millis(60);

/// One row of the table: what, must, aim, and what was measured at best and at the median, as a
/// ratio where no other unit is named.
pub(crate) struct Row {
    what: String,
    must: &'static str,
    aim: &'static str,
    min: f64,
    median: f64,
    unit: &'static str,
    note: String,
}

/// What is only measured by name.
const NAMED: [&str; 7] = ["floor", "calls", "posts", "between", "clients", "sessions", "detectors"];

type Bench = fn() -> Result<Vec<Row>, String>;

/// Runs the named benchmarks, or all of them.
pub(crate) fn run(names: &[&str]) -> Done {
    call("cargo", &["build", "--quiet", "--release", "--package", "ringfence", "--locked"])?;
    let all: &[(&str, Bench)] = &[
        ("decide", decide),
        ("start", commands::start),
        ("peers", peers::peers),
        ("warm", warm::warm),
        ("build", peers::build),
        ("install", peers::install),
        ("tree", peers::tree),
        ("worlds", peers::worlds),
        ("work", commands::work),
        ("exec", commands::exec),
        ("write", commands::write),
        ("trace", commands::trace),
        ("asked", commands::asked),
        ("log", log),
        ("requests", net::requests),
        ("connections", net::connections),
        ("download", net::download),
        ("events", net::events),
        ("open", net::open),
        ("mcp", mcp::all),
        ("floor", floor::floor),
        ("calls", mcp::calls),
        ("posts", mcp::posts),
        ("between", mcp::between),
        ("clients", mcp::clients),
        ("sessions", mcp::sessions),
        ("detectors", mcp::detectors),
    ];
    if let Some(wrong) = names.iter().find(|name| !all.iter().any(|(known, _)| known == *name)) {
        let known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        return Err(format!("no benchmark `{wrong}`; there are: {}", known.join(", ")));
    }
    println!("| what | must | aim | min | median | note |\n| --- | --- | --- | --- | --- | --- |");
    for (name, bench) in all {
        // Only by name: the floor, which is no row of ours, and the parts of `mcp`.
        let is_named = NAMED.contains(name);
        if !names.contains(name) && (!names.is_empty() || is_named) {
            continue;
        }
        match bench() {
            Ok(rows) => rows.iter().for_each(print),
            Err(error) => println!("| {name} | | | not measured | not measured | {error} |"),
        }
    }
    Ok(())
}

fn print(row: &Row) {
    let Row { what, must, aim, min, median, unit, note } = row;
    println!("| {what} | {must} | {aim} | {min:.2}{unit} | {median:.2}{unit} | {note} |");
}

/// Decisions at 10, 1,000 and 10,000 policies, and unindexed Cedar with the same entities.
fn decide() -> Result<Vec<Row>, String> {
    example("ringfence-policy", "bench_decide")
}

/// Appends of 16 writers with 100 in flight, and a bare append with group fdatasync.
fn log() -> Result<Vec<Row>, String> {
    example("ringfence-log", "bench_append")
}

/// Benchmarks inside one process are examples of their crate; each prints a row a line:
/// `what | must | aim | ratio of minima | ratio of medians | note`.
fn example(package: &str, name: &str) -> Result<Vec<Row>, String> {
    let arguments =
        ["run", "--quiet", "--release", "--locked", "--package", package, "--example", name];
    let text = output("cargo", &arguments)?;
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Result<Row, String> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [what, must, aim, min, median, note] = parts.as_slice() else {
        return Err(format!("`{line}` is not a row"));
    };
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a ratio"));
    Ok(Row {
        what: (*what).to_owned(),
        // A handful of short texts per run; they live as long as the program.
        must: String::from(*must).leak(),
        aim: String::from(*aim).leak(),
        min: number(min)?,
        median: number(median)?,
        unit: "x",
        note: (*note).to_owned(),
    })
}

/// Times of one side.
struct Times(Vec<Duration>);

impl Times {
    fn min(&self) -> f64 {
        self.0.iter().min().map_or(f64::NAN, Duration::as_secs_f64)
    }
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }
}

/// Runs both sides in turn, A B A B, so that a drift of the machine meets both alike.
fn interleave(
    ours: impl FnMut() -> Done,
    peer: impl FnMut() -> Done,
) -> Result<(Times, Times), String> {
    interleave_for(ROUNDS, ours, peer)
}

/// The same for a number of counted rounds.
fn interleave_for(
    rounds: usize,
    mut ours: impl FnMut() -> Done,
    mut peer: impl FnMut() -> Done,
) -> Result<(Times, Times), String> {
    let (mut a, mut b) = (Times(Vec::new()), Times(Vec::new()));
    for round in 0..=rounds {
        let begun = Instant::now();
        ours()?;
        let first = begun.elapsed();
        std::thread::sleep(SETTLE);
        let begun = Instant::now();
        peer()?;
        let second = begun.elapsed();
        std::thread::sleep(SETTLE);
        if round > 0 {
            a.0.push(first);
            b.0.push(second);
        }
    }
    Ok((a, b))
}

fn row(what: &str, marks: (&'static str, &'static str), times: &(Times, Times)) -> Row {
    let (ours, peer) = times;
    row_of(what, marks, ours, peer)
}

fn row_of(what: &str, marks: (&'static str, &'static str), ours: &Times, peer: &Times) -> Row {
    let ms = |seconds: f64| seconds * 1000.0;
    Row {
        what: what.to_owned(),
        must: marks.0,
        aim: marks.1,
        min: ours.min() / peer.min(),
        median: ours.median() / peer.median(),
        unit: "x",
        note: format!(
            "min {:.2} and median {:.2} ms against {:.2} and {:.2} ms, {} rounds",
            ms(ours.min()),
            ms(ours.median()),
            ms(peer.min()),
            ms(peer.median()),
            ours.0.len()
        ),
    }
}

/// The release binary.
fn ringfence() -> std::path::PathBuf {
    target_dir().join("release/ringfence")
}
