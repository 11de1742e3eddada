//! What a notified call costs at the least: the programs of the other rows beneath a supervisor that
//! decides nothing and records nothing. It is started outside, because a world refuses a second one.

use std::path::Path;
use std::process::{Command, Stdio};

use super::commands::{FILES, PROGRAMS, WORK, build_spawner, build_writer, compile, fill};
use super::{Row, Times, interleave, row};
use crate::process::{Done, status};

/// The supervisor, with the filter.
const SUPERVISOR: &str = include_str!("floor.c");

/// Calls that are continued, files that are made in place of the caller, each against no filter.
pub(crate) fn floor() -> Result<Vec<Row>, String> {
    let dir = Dir::new()?;
    compile(&dir.0, "floor", SUPERVISOR)?;
    build_writer(&dir.0)?;
    build_spawner(&dir.0)?;
    let (write, exec): (&[&str], &[&str]) = (&["./write"], &["./spawn", "./nothing"]);
    let notified = [
        ("2,000 files, opens continued", "continue", write, FILES),
        ("2,000 files, made and handed in", "hand-in", write, FILES),
        ("1,000 execs, continued", "continue-execs", exec, PROGRAMS),
        ("1,000 execs, each stopped once", "stop-execs", exec, PROGRAMS),
    ];
    let mut rows = Vec::new();
    for (what, mode, command, calls) in notified {
        let times = interleave(|| dir.run(mode, command), || dir.run("off", command))?;
        let mut row = row(&format!("floor: {what}, against no filter"), ("", ""), &times);
        row.note = format!("{}, {:.1} us for each call", row.note, each(&times, calls));
        rows.push(row);
    }
    fill(&dir.0)?;
    for (what, command) in WORK {
        let times = interleave(|| dir.run("confined", command), || dir.run("off", command))?;
        rows.push(row(&format!("floor: {what}, Landlock and a filter alone"), ("", ""), &times));
    }
    Ok(rows)
}

/// Microseconds that the filter adds to one call, by the minima.
fn each((ours, peer): &(Times, Times), calls: usize) -> f64 {
    let calls = u32::try_from(calls).map_or(f64::NAN, f64::from);
    (ours.min() - peer.min()) * 1_000_000.0 / calls
}

/// A directory for the programs and what they make; removed when dropped.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new() -> Result<Dir, String> {
        let path =
            std::env::temp_dir().join(format!("ringfence-bench-{}-floor", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Dir(path))
    }

    fn run(&self, mode: &str, command: &[&str]) -> Done {
        let floor: &Path = &self.0.join("floor");
        let mut run = Command::new(floor);
        status(run.arg(mode).args(command).current_dir(&self.0).stdout(Stdio::null()))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
