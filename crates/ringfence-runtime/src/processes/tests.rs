use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use ringfence_core::{
    Clock, ClockFact, Decide, Durability, Entry, Event, Exit, Facts, Gate, GateParts, Grounds,
    Limits, Record, RecordError, Request, Ruling, Verdict,
};

use super::{Processes, exit_of};

#[derive(Default)]
struct Memory(Mutex<Vec<Entry>>);

impl Record for Memory {
    fn record(&self, entry: &Entry, _: Durability) -> Result<u64, RecordError> {
        let mut entries = self.0.lock().unwrap();
        entries.push(entry.clone());
        Ok(entries.len() as u64 - 1)
    }
}

struct Nobody;

impl Decide for Nobody {
    fn decide(&self, _: &Request, _: &Facts) -> Ruling {
        Ruling { verdict: Verdict::Deny, grounds: Grounds::default() }
    }
    fn digest(&self) -> &'static str {
        ""
    }
}

impl Clock for Nobody {
    fn now_ms(&self) -> u64 {
        0
    }
    fn fact(&self) -> ClockFact {
        ClockFact { weekday: 1, hour: 0, minute: 0, date: 20_260_101, zone: "UTC".to_owned() }
    }
}

fn ends_of(commands: &[&str]) -> Vec<(Exit, u64)> {
    let log = Arc::new(Memory::default());
    let gate = Gate::new(GateParts {
        session: "sabcdefgh".parse().unwrap(),
        policy: Arc::new(Nobody),
        log: log.clone(),
        clock: Arc::new(Nobody),
        limits: Limits::default(),
    });
    let processes = Processes::start(gate).unwrap();
    let watch = processes.watch();
    for command in commands {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {command}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        watch.started(i32::try_from(child.id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    processes.finish();
    let entries = log.0.lock().unwrap();
    entries
        .iter()
        .map(|entry| {
            let Event::ProcessExited { exit, usage, .. } = &entry.event else {
                panic!("unexpected entry {entry:?}")
            };
            assert!(usage.sampled);
            (*exit, usage.cpu_time_ms.unwrap_or(0))
        })
        .collect()
}

#[test]
fn every_watched_process_has_one_recorded_end() {
    let ends = ends_of(&["exit 0", "exit 7", "kill -9 $$"]);
    assert_eq!(ends.len(), 3);
    let known: Vec<Exit> = ends.into_iter().map(|(exit, _)| exit).collect();
    // Kernels before 6.15 do not tell.
    if !known.contains(&Exit::Unknown) {
        assert_eq!(known, vec![Exit::Code(0), Exit::Code(7), Exit::Signal(9)]);
    }
}

#[test]
fn a_wait_status_is_a_code_or_a_signal() {
    assert_eq!(exit_of(0), Exit::Code(0));
    assert_eq!(exit_of(7 << 8), Exit::Code(7));
    assert_eq!(exit_of(9), Exit::Signal(9));
    assert_eq!(exit_of(0x8b), Exit::Signal(11), "with a core dump");
}
