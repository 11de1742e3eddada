//! What notification costs; run with `--ignored --nocapture` in a release build.

use ringfence_sandbox::notify::{Attempt, Attempted};

use super::harness::{Scratch, Session, tracee, unfiltered};

/// How many interleaved rounds are measured.
const ROUNDS: usize = 15;

fn allow(attempt: Attempt) {
    attempt.allow();
}

fn verify(attempt: Attempt) {
    if matches!(attempt.kind, Attempted::Exec(_)) {
        attempt.allow_verified();
    } else {
        attempt.allow();
    }
}

fn show(what: &str, mut columns: [Vec<f64>; 3]) {
    for column in &mut columns {
        column.sort_by(f64::total_cmp);
    }
    let [plain, decided, verified] = columns.map(|column| (column[0], column[column.len() / 2]));
    println!(
        "{what}: plain {:.1}/{:.1} us, decided {:.3}/{:.3}, verified {:.3}/{:.3} (minimum/median)",
        plain.0,
        plain.1,
        decided.0 / plain.0,
        decided.1 / plain.1,
        verified.0 / plain.0,
        verified.1 / plain.1,
    );
}

fn compare(what: &str, classes: &str, act: impl Fn() -> Vec<String>) {
    let mut columns = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let time = |output: String| output.trim().parse::<f64>().unwrap();
        let run = |decide: fn(Attempt)| {
            let args = act();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            time(Session::start(classes, &args, &[]).run(decide))
        };
        let args = act();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        columns[0].push(time(unfiltered(&args)));
        columns[1].push(run(allow));
        columns[2].push(run(verify));
    }
    show(what, columns);
}

#[test]
#[ignore = "a measurement"]
fn files() {
    for bytes in ["100", "4096", "65536"] {
        let scratch = Scratch::new();
        let count = std::cell::Cell::new(0);
        compare(&format!("2000 files of {bytes} bytes"), "w", || {
            count.set(count.get() + 1);
            let dir = scratch.at(&count.get().to_string());
            std::fs::create_dir(&dir).unwrap();
            ["bench-files".to_owned(), dir, "2000".to_owned(), bytes.to_owned()].to_vec()
        });
    }
}

/// In memory, where nothing but the calls themselves takes time.
#[test]
#[ignore = "a measurement"]
fn files_in_memory() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let count = std::cell::Cell::new(0);
    compare("2000 files of 100 bytes in memory", "w", || {
        count.set(count.get() + 1);
        let dir = scratch.path().join(count.get().to_string());
        std::fs::create_dir(&dir).unwrap();
        let dir = dir.to_str().unwrap().to_owned();
        ["bench-files".to_owned(), dir, "2000".to_owned(), "100".to_owned()].to_vec()
    });
}

#[test]
#[ignore = "a measurement"]
fn programs() {
    let program = tracee();
    compare("1000 execs of a static program", "e", || {
        ["bench-exec", "1000", program].map(str::to_owned).to_vec()
    });
}
