use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use ringfence_core::{
    AbsolutePath, Act, Agent, Checked, Clock, ClockFact, Decide, Durability, Endpoint, Entry,
    Event, Exit, Facts, Gate, GateParts, Grounds, Limits, Outcome, Record, RecordError, Request,
    Ruling, Verdict,
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

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

struct Anything;

impl Decide for Anything {
    fn decide(&self, _: &Request, _: &Facts) -> Ruling {
        Ruling { verdict: Verdict::Permit, grounds: Grounds::default() }
    }
    fn inspects(&self, _: &Agent, _: &Endpoint) -> bool {
        false
    }

    fn looks_at_releases(&self, _: &Agent, _: &Endpoint) -> bool {
        false
    }

    fn digest(&self) -> &'static str {
        ""
    }
}

impl Clock for Anything {
    fn now_ms(&self) -> u64 {
        0
    }
    fn fact(&self) -> ClockFact {
        ClockFact { weekday: 1, hour: 0, minute: 0, date: 20_260_101, zone: "UTC".to_owned() }
    }
}

fn gate(log: &Arc<Memory>) -> Gate {
    Gate::new(GateParts {
        session: "sabcdefgh".parse().unwrap(),
        policy: Arc::new(Anything),
        log: log.clone(),
        clock: Arc::new(Anything),
        limits: Limits::default(),
    })
}

fn ends_of(commands: &[&str]) -> Vec<(Exit, u64)> {
    let log = Arc::new(Memory::default());
    let gate = gate(&log);
    let processes = Processes::start(gate, None, Some(5000)).unwrap();
    let watch = processes.watch();
    for command in commands {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {command}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        watch.started(pid, pidfd);
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
fn a_process_that_a_limit_of_files_ended_names_it_and_it_is_said_at_the_end() {
    let log = Arc::new(Memory::default());
    let processes = Processes::start(gate(&log), None, Some(5000)).unwrap();
    let watch = processes.watch();
    for script in ["read go; ulimit -f 1; head -c 9000 /dev/zero >large", "read go; kill -9 $$"] {
        let dir = tempfile::tempdir().unwrap();
        let script = script.replace("head", "exec head");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        watch.started(pid, pidfd);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    let said = processes.finish();
    let entries = log.0.lock().unwrap();
    let of = |entry: &Entry| {
        let Event::ProcessExited { exit, limit, .. } = &entry.event else {
            panic!("unexpected entry {entry:?}")
        };
        (*exit, limit.clone())
    };
    let ends: Vec<_> = entries.iter().map(of).collect();
    // Kernels before 6.15 do not tell.
    if ends.iter().all(|(exit, _)| *exit != Exit::Unknown) {
        let limit = Some("file_bytes_max".to_owned());
        assert_eq!(ends, [(Exit::Signal(25), limit), (Exit::Signal(9), None)]);
        let said = said.unwrap().text;
        assert!(said.contains("`file_bytes_max = 5000` ended a process"), "{said}");
    }
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
fn a_started_program_is_recorded_before_the_end_of_the_session() {
    let log = Arc::new(Memory::default());
    let gate = gate(&log);
    let processes = Processes::start(gate.clone(), None, None).unwrap();
    let request = Request {
        agent: Agent("a".to_owned()),
        act: Act::Read(AbsolutePath::parse("/srv/x").unwrap()),
        process: None,
    };
    let Checked::Permit(permit) = gate.check(request) else { panic!("not permitted") };
    processes.watch().done(vec![permit.spend().unwrap()]);
    processes.finish();
    let entries = log.0.lock().unwrap();
    let ends: Vec<&Event> = entries.iter().skip(1).map(|entry| &entry.event).collect();
    assert_eq!(ends, [&Event::Finished { of: 0, outcome: Outcome::Done }]);
}

#[test]
fn a_process_that_lives_on_is_sampled_and_heard_when_it_ends() {
    let ends = ends_of(&["sleep 0.1; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3"]);
    let [(exit, cpu_time_ms)] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(matches!(exit, Exit::Code(3) | Exit::Unknown), "{exit:?}");
    assert!(*cpu_time_ms > 0);
}

#[test]
fn a_wait_status_is_a_code_or_a_signal() {
    assert_eq!(exit_of(0), Exit::Code(0));
    assert_eq!(exit_of(7 << 8), Exit::Code(7));
    assert_eq!(exit_of(9), Exit::Signal(9));
    assert_eq!(exit_of(0x8b), Exit::Signal(11), "with a core dump");
}
