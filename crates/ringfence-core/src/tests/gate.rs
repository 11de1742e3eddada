use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::*;

/// Permits reads; asks `owner` for programs; denies the rest.
struct Policy;

impl Decide for Policy {
    fn decide(&self, request: &Request, facts: &Facts) -> Ruling {
        let owner = Role("owner".to_owned());
        let verdict = match &request.act {
            Act::Read(_) | Act::UseSecret(_) | Act::CallTool(_) => Verdict::Permit,
            Act::Exec(_) if facts.approvals.contains(&owner) => Verdict::Permit,
            Act::Exec(_) => Verdict::Ask(AskFor { roles: BTreeSet::from([owner]), people: 1 }),
            Act::Write(_)
            | Act::Delete(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::Request(_) => Verdict::Deny,
        };
        Ruling { verdict, grounds: Grounds::default() }
    }
    fn inspects(&self, _: &Agent, _: &Endpoint) -> bool {
        false
    }

    fn looks_at_releases(&self, _: &Agent, _: &Endpoint) -> bool {
        false
    }

    fn digest(&self) -> &'static str {
        "p"
    }
}

#[derive(Default)]
struct Log {
    entries: Mutex<Vec<(Event, Durability)>>,
    broken: Mutex<bool>,
}

impl Record for Log {
    fn record(&self, entry: &Entry, durability: Durability) -> Result<u64, RecordError> {
        if *self.broken.lock().unwrap() {
            return Err(RecordError { reason: "disk full".to_owned() });
        }
        let mut entries = self.entries.lock().unwrap();
        entries.push((entry.event.clone(), durability));
        Ok(entries.len() as u64 - 1)
    }
}

#[derive(Default)]
struct Time(AtomicU64);

impl Clock for Time {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn fact(&self) -> ClockFact {
        ClockFact { weekday: 6, hour: 1, minute: 2, date: 20_261_121, zone: "UTC".to_owned() }
    }
}

struct Bench {
    gate: Gate,
    log: Arc<Log>,
    time: Arc<Time>,
}

fn bench(steps_max: u64) -> Bench {
    let (log, time) = (Arc::new(Log::default()), Arc::new(Time::default()));
    let gate = Gate::new(GateParts {
        session: SessionId::from_random([1; 8]),
        policy: Arc::new(Policy),
        log: Arc::clone(&log) as Arc<dyn Record>,
        clock: Arc::clone(&time) as Arc<dyn Clock>,
        limits: Limits { steps_max },
    });
    Bench { gate, log, time }
}

fn request(act: Act) -> Request {
    Request { agent: Agent("a".to_owned()), act, process: None }
}

fn read() -> Request {
    request(Act::Read(AbsolutePath::parse("/x").unwrap()))
}

fn exec(argument: &str) -> Request {
    let argv = [b"x".to_vec(), argument.as_bytes().to_vec()];
    request(Act::Exec(Exec {
        program: AbsolutePath::parse("/x").unwrap(),
        identity: FileIdentity { device: 1, inode: 1 },
        command_line: CommandLine::new("x", &argv),
        cwd: AbsolutePath::root(),
    }))
}

fn permit(checked: Checked) -> Permit {
    match checked {
        Checked::Permit(permit) => permit,
        Checked::Ask(_) | Checked::Deny(_) => panic!("not permitted"),
    }
}

fn question(checked: Checked) -> Question {
    match checked {
        Checked::Ask(question) => question,
        Checked::Permit(_) | Checked::Deny(_) => panic!("not a question"),
    }
}

fn denial(checked: Checked) -> Denial {
    match checked {
        Checked::Deny(denial) => denial,
        Checked::Permit(_) | Checked::Ask(_) => panic!("not denied"),
    }
}

fn approval(digest: &str, who: &str) -> Approval {
    let roles = BTreeSet::from([Role("owner".to_owned())]);
    Approval { digest: digest.to_owned(), approver: who.to_owned(), roles }
}

fn last(log: &Log) -> Event {
    log.entries.lock().unwrap().last().unwrap().0.clone()
}

#[test]
fn an_unrecorded_allow_is_a_denial() {
    let bench = bench(10);
    *bench.log.broken.lock().unwrap() = true;
    let denial = denial(bench.gate.check(read()));
    assert!(denial.entry.is_none());
    assert!(denial.grounds.failure.unwrap().contains("disk full"));
}

#[test]
fn an_unrecorded_question_is_a_denial() {
    let bench = bench(10);
    *bench.log.broken.lock().unwrap() = true;
    assert!(denial(bench.gate.check(exec("a"))).entry.is_none());
}

#[test]
fn the_intent_is_recorded_before_and_the_outcome_after() {
    let bench = bench(10);
    let permit = permit(bench.gate.check(read()));
    assert!(matches!(last(&bench.log), Event::Decided { verdict: Verdict::Permit, .. }));
    permit.spend().unwrap().finish(Outcome::Done).unwrap();
    assert!(matches!(last(&bench.log), Event::Finished { of: 0, outcome: Outcome::Done }));
}

#[test]
fn a_dropped_running_act_is_recorded_as_unknown() {
    let bench = bench(10);
    drop(permit(bench.gate.check(read())).spend().unwrap());
    assert!(matches!(last(&bench.log), Event::Finished { of: 0, outcome: Outcome::Unknown }));
}

#[test]
fn stop_reload_and_time_win_the_race_against_a_permit() {
    let effects: [fn(&Bench); 3] = [
        |bench| bench.gate.stop(),
        |bench| bench.gate.reload(Arc::new(Policy)),
        |bench| bench.time.0.store(10_001, Ordering::Relaxed),
    ];
    for effect in effects {
        let bench = bench(10);
        let permit = permit(bench.gate.check(read()));
        effect(&bench);
        assert!(permit.spend().is_err());
        assert!(matches!(
            last(&bench.log),
            Event::Finished { outcome: Outcome::Failed { .. }, .. }
        ));
    }
}

#[test]
fn the_step_limit_denies_by_name() {
    let bench = bench(1);
    permit(bench.gate.check(read())).spend().unwrap().finish(Outcome::Done).unwrap();
    let denial = denial(bench.gate.check(read()));
    let said = denial.grounds.failure.unwrap();
    assert!(
        said.contains("limits.steps_max") && said.contains("raise it under `[limits]`"),
        "{said}"
    );
}

#[test]
fn an_unspent_permit_gives_its_step_back() {
    let bench = bench(1);
    drop(permit(bench.gate.check(read())));
    drop(permit(bench.gate.check(read())));
}

#[test]
fn a_denied_act_uses_no_step() {
    let bench = bench(1);
    let write = request(Act::Write(AbsolutePath::root()));
    assert!(denial(bench.gate.check(write)).entry.is_some());
    drop(permit(bench.gate.check(read())));
}

#[test]
fn an_approval_of_another_act_does_not_count() {
    let bench = bench(10);
    let other = question(bench.gate.check(exec("b")));
    let asked = question(bench.gate.check(exec("a")));
    let answer = bench.gate.check_approved(asked, vec![approval(&other.digest, "ann")]);
    let again = question(answer);
    assert_eq!(again.needs.people, 1);
}

#[test]
fn an_approval_of_another_policy_does_not_count() {
    let bench = bench(10);
    let asked = question(bench.gate.check(exec("a")));
    let stale = asked.request.act.digest("older policy");
    drop(question(bench.gate.check_approved(asked, vec![approval(&stale, "ann")])));
}

#[test]
fn an_approved_act_passes_the_same_check_and_is_recorded_before_it_happens() {
    let bench = bench(10);
    let asked = question(bench.gate.check(exec("a")));
    let digest = asked.digest.clone();
    let permit = permit(bench.gate.check_approved(asked, vec![approval(&digest, "ann")]));
    let (event, durability) = bench.log.entries.lock().unwrap().last().unwrap().clone();
    assert_eq!(durability, Durability::Before);
    assert!(matches!(event, Event::Decided { approvals, .. } if approvals == ["owner"]));
    permit.spend().unwrap().finish(Outcome::Done).unwrap();
}

#[test]
fn every_entry_survives_its_json() {
    let bench = bench(10);
    drop(permit(bench.gate.check(read())).spend().unwrap());
    drop(question(bench.gate.check(exec("a"))));
    for (event, _) in bench.log.entries.lock().unwrap().iter() {
        let entry = Entry { at_ms: 5, event: event.clone() };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
    }
}

#[test]
fn the_first_use_of_a_secret_towards_a_host_is_on_the_disk_before_it_happens() {
    let bench = bench(100);
    let using = |secret: &str, host: &str| {
        let act = Act::UseSecret(SecretUse {
            secret: secret.parse().unwrap(),
            endpoint: Some(Endpoint::new(host, 443).unwrap()),
            method: "GET".to_owned(),
            path: "/".to_owned(),
        });
        let request = Request { agent: Agent("a".to_owned()), act, process: None };
        assert!(matches!(bench.gate.check(request), Checked::Permit(_)));
        bench.log.entries.lock().unwrap().last().unwrap().1
    };
    assert_eq!(using("one", "a.example"), Durability::Before);
    assert_eq!(using("one", "a.example"), Durability::Soon);
    assert_eq!(using("one", "b.example"), Durability::Before);
    assert_eq!(using("two", "a.example"), Durability::Before);
    assert_eq!(using("two", "a.example"), Durability::Soon);
}
