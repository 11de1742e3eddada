//! A start in a world that was kept ready, against nothing at all and against a cold start.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::place::{DECIDED, Place};
use super::{Row, SETTLE, Times, row_of};

/// Counted rounds of all sides, after one that is not counted.
const ROUNDS: usize = 31;

/// How long a world may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Who keeps worlds while the benchmark runs.
struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `true` in a world kept ready, in a cold one, and bare; the world is ready before each round.
pub(crate) fn warm() -> Result<Vec<Row>, String> {
    let place = Place::new("warm", DECIDED, "")?;
    let mut keeper = place.ours(&["warm"]);
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _keeper = Keeper(keeper.spawn().map_err(|error| error.to_string())?);
    let (mut warm, mut cold, mut bare) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
    for round in 0..=ROUNDS {
        wait_until_ready(&place)?;
        let mut in_turn = [
            (&mut warm, place.command_with(&["--warm"], &["/bin/true"])),
            (&mut cold, place.command(&["/bin/true"])),
            (&mut bare, place.bare(&["/bin/true"])),
        ];
        for (times, command) in &mut in_turn {
            std::thread::sleep(SETTLE);
            let begun = Instant::now();
            place.finish(command)?;
            if round > 0 {
                times.0.push(begun.elapsed());
            }
        }
    }
    let taken = standing(&place)?.split("\"taken\":").nth(1).unwrap_or_default().to_owned();
    let taken: usize = taken.split(',').next().and_then(|it| it.parse().ok()).unwrap_or_default();
    let mut rows = vec![
        row_of("`run --warm -- true` against bare fork and exec", ("2.0x", "1.5x"), &warm, &bare),
        row_of("`run --warm -- true` against a cold start", ("-", "-"), &warm, &cold),
    ];
    for row in &mut rows {
        row.note = format!("{}; {taken} of {} in a warm world", row.note, ROUNDS + 1);
    }
    Ok(rows)
}

fn standing(place: &Place) -> Result<String, String> {
    let output = place.ours(&["warm", "status", "--json"]).output();
    let output = output.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn wait_until_ready(place: &Place) -> Result<(), String> {
    let begun = Instant::now();
    while !standing(place)?.contains("\"ready\":1") {
        if begun.elapsed() > READY_WITHIN {
            return Err("no world became ready".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // What was made for it must not be paid by who takes it.
    std::thread::sleep(SETTLE);
    Ok(())
}
