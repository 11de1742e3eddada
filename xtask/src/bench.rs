//! `cargo xtask bench`: ratios against named peers.

use crate::process::Done;

/// Runs the named benchmarks, or all.
pub(crate) fn run(names: &[&str]) -> Done {
    Err(format!("no such benchmark: {}", names.join(" ")))
}
