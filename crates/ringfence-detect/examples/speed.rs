//! How long the detectors take for 4 KiB of text, beside one regular expression set of the same patterns:
//! `cargo run --release -p ringfence-detect --example speed [FILE...]`.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use regex::bytes::{RegexSet, RegexSetBuilder};
use ringfence_detect::{Detectors, patterns};
use rustix::time::{ClockId, clock_gettime};

/// How much is looked at in one go, in bytes.
const TEXT_BYTES: usize = 4096;
/// How often each text is.
const ROUNDS: usize = 400;
/// How often by the peer, which takes its time.
const PEER_ROUNDS: usize = 3;

fn main() {
    let begun = Instant::now();
    let detectors = Detectors::shared();
    println!("built in {} ms", begun.elapsed().as_millis());
    let set: Option<RegexSet> = RegexSetBuilder::new(patterns())
        .unicode(false)
        .size_limit(1 << 30)
        .dfa_size_limit(64 << 20)
        .build()
        .ok();
    let mut kinds = vec![
        ("code", include_str!("../src/personal.rs").repeat(2)),
        ("json", json()),
        ("logs", logs()),
        ("prose", include_str!("../../../docs/mcp.md").repeat(3)),
    ];
    let files: Vec<String> =
        std::env::args().skip(1).filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    if !files.is_empty() {
        kinds.push(("files", files.concat()));
    }
    println!("{:6} {:>9} {:>9} {:>9} {:>12}", "text", "p50 us", "p99 us", "max us", "set p50 us");
    for (kind, text) in &kinds {
        let texts: Vec<&str> = pieces(text);
        for text in &texts {
            black_box(detectors.look(text));
        }
        let ours = times(&texts, ROUNDS, |text| detectors.look(text).len());
        let peer = set.as_ref().map(|set| {
            times(&texts, PEER_ROUNDS, |text| set.matches(text.as_bytes()).iter().count())
        });
        let peer = peer.map_or_else(|| "-".to_owned(), |times| format!("{:.0}", part(&times, 50)));
        println!(
            "{kind:6} {:9.1} {:9.1} {:9.1} {peer:>12}",
            part(&ours, 50),
            part(&ours, 99),
            part(&ours, 100)
        );
    }
}

/// How long each took, in microseconds, in order.
fn times(texts: &[&str], rounds: usize, look: impl Fn(&str) -> usize) -> Vec<f64> {
    let mut all: Vec<f64> = (0..rounds)
        .flat_map(|_| texts)
        .map(|text| {
            let begun = processor_time();
            black_box(look(black_box(text)));
            processor_time().saturating_sub(begun).as_secs_f64() * 1e6
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Of this thread: what else runs on the machine does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// The value below which so many of a hundred are.
fn part(times: &[f64], of_100: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    times.get(last.saturating_mul(of_100) / 100).copied().unwrap_or_default()
}

fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > TEXT_BYTES {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(TEXT_BYTES));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

fn json() -> String {
    let mut text = String::new();
    for number in 0..300 {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            r#"{{"id": {number}, "name": "item {number}", "url": "https://api.example.com/v1/items/{number}?page=2", "created_at": "2026-11-22T10:{:02}:{:02}Z", "tags": ["a", "b"], "owner": {{"login": "user{number}", "email": "user{number}@example.com"}}, "size": {}}}"#,
            number % 60,
            number * 7 % 60,
            number * 4_711
        );
    }
    text
}

fn logs() -> String {
    let mut text = String::new();
    for number in 0..500 {
        let _ = writeln!(
            text,
            "2026-11-22T10:{:02}:{:02}.{:03}Z INFO worker[{number}]: request from 10.0.{}.{} GET /api/items/{number} took {} ms status=200 id={:016x}",
            number % 60,
            number * 7 % 60,
            number * 13 % 1000,
            number % 256,
            number * 3 % 256,
            number % 97,
            u64::try_from(number).unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
    }
    text
}
