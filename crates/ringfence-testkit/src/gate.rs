//! A gate made of parts that a test can see into: scripted policy, log in memory, virtual clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ringfence_core::{
    Act, Action, Agent, AskFor, Clock, ClockFact, Decide, Durability, Endpoint, Entry, Event,
    Facts, Gate, GateParts, Grounds, Handling, HttpUsage, Limits, NetUsage, Outcome, Record,
    RecordError, Request, Role, RuleRef, Ruling, SessionId, SetName, Verdict,
};

/// Where a virtual clock starts: 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
pub const START_MS: u64 = 1_767_225_600_000;

/// A policy that answers from a list, by action and resource text; what is not listed is denied.
#[derive(Debug, Default)]
pub struct ScriptedPolicy {
    rules: Vec<(Action, String, Verdict)>,
    inspected: Vec<String>,
    handling: Handling,
    digest: String,
}

/// A log in memory that can be told to fail.
#[derive(Debug, Default)]
pub struct MemoryLog {
    entries: Mutex<Vec<(Entry, Durability)>>,
    broken: AtomicBool,
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct VirtualClock {
    now_ms: AtomicU64,
}

/// A gate with its parts.
pub struct TestGate {
    /// The gate.
    pub gate: Gate,
    /// What it recorded.
    pub log: Arc<MemoryLog>,
    /// Its time.
    pub clock: Arc<VirtualClock>,
}

impl ScriptedPolicy {
    /// Denies everything.
    pub fn new() -> ScriptedPolicy {
        ScriptedPolicy::default()
    }

    /// Permits an action on a resource, written as [`ringfence_core::Act::resource`] writes it.
    #[must_use]
    pub fn permit(self, action: Action, resource: &str) -> ScriptedPolicy {
        self.rule(action, resource, Verdict::Permit)
    }

    /// Permits once one person of `role` has approved.
    #[must_use]
    pub fn ask(self, action: Action, resource: &str, role: &str) -> ScriptedPolicy {
        let roles = [Role(role.to_owned())].into();
        self.rule(action, resource, Verdict::Ask(AskFor { roles, people: 1 }))
    }

    /// Speaks of the requests to an endpoint; what is permitted is `METHOD URL` without the query.
    #[must_use]
    pub fn inspect(mut self, endpoint: &str) -> ScriptedPolicy {
        self.inspected.push(endpoint.to_owned());
        self
    }

    /// Says of all that is permitted what is done about what is found in it.
    #[must_use]
    pub fn handle(mut self, handling: Handling) -> ScriptedPolicy {
        self.handling = handling;
        self
    }

    /// Gives the policy another digest, as a changed policy would have.
    #[must_use]
    pub fn with_digest(mut self, digest: &str) -> ScriptedPolicy {
        digest.clone_into(&mut self.digest);
        self
    }

    fn rule(mut self, action: Action, resource: &str, verdict: Verdict) -> ScriptedPolicy {
        self.rules.push((action, resource.to_owned(), verdict));
        self
    }
}

impl Decide for ScriptedPolicy {
    fn decide(&self, request: &Request, facts: &Facts) -> Ruling {
        let resource = match &request.act {
            Act::Request(http) => format!("{} {}", http.method, http.url()),
            Act::Exec(_)
            | Act::Read(_)
            | Act::Write(_)
            | Act::Delete(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::UseSecret(_)
            | Act::CallTool(_) => request.act.resource(),
        };
        let action = request.act.action();
        let found =
            self.rules.iter().enumerate().find(|(_, (a, r, _))| *a == action && *r == resource);
        let Some((index, (_, _, verdict))) = found else {
            return Ruling { verdict: Verdict::Deny, grounds: Grounds::default() };
        };
        let verdict = match verdict {
            Verdict::Ask(needs)
                if needs.roles.is_subset(&facts.approvals)
                    && facts.approver_count >= needs.people =>
            {
                Verdict::Permit
            }
            Verdict::Permit | Verdict::Ask(_) | Verdict::Deny => verdict.clone(),
        };
        let line = u32::try_from(index).unwrap().saturating_add(1);
        let id = format!("scripted-{line}");
        let rule =
            RuleRef { set: SetName::User, file: "scripted".to_owned(), line, id, reason: None };
        let handling = self.handling.clone();
        Ruling { verdict, grounds: Grounds { rules: vec![rule], handling, ..Grounds::default() } }
    }

    fn inspects(&self, _agent: &Agent, endpoint: &Endpoint) -> bool {
        self.inspected.contains(&endpoint.to_string())
    }

    fn looks_at_releases(&self, _agent: &Agent, _endpoint: &Endpoint) -> bool {
        false
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}

impl MemoryLog {
    /// All entries so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().iter().map(|(entry, _)| entry.clone()).collect()
    }

    /// The decisions so far: resource and verdict.
    pub fn decisions(&self) -> Vec<(String, Verdict)> {
        let decided = |entry: Entry| {
            let Event::Decided { request, verdict, .. } = entry.event else { return None };
            Some((request.act.resource(), verdict))
        };
        self.entries().into_iter().filter_map(decided).collect()
    }

    /// The ends of permitted acts so far, with the index of each act's decision.
    pub fn outcomes(&self) -> Vec<(u64, Outcome)> {
        let finished = |entry: Entry| {
            let Event::Finished { of, outcome } = entry.event else { return None };
            Some((of, outcome))
        };
        self.entries().into_iter().filter_map(finished).collect()
    }

    /// The accounts of the connections that have ended so far.
    pub fn connections(&self) -> Vec<NetUsage> {
        let usage = |(_, outcome)| {
            let Outcome::Connection(usage) = outcome else { return None };
            Some(usage)
        };
        self.outcomes().into_iter().filter_map(usage).collect()
    }

    /// What came of the requests that have been answered so far.
    pub fn requests(&self) -> Vec<HttpUsage> {
        let usage = |(_, outcome)| {
            let Outcome::Request(usage) = outcome else { return None };
            Some(usage)
        };
        self.outcomes().into_iter().filter_map(usage).collect()
    }

    /// Makes every later record fail.
    pub fn fail(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

impl Record for MemoryLog {
    fn record(&self, entry: &Entry, durability: Durability) -> Result<u64, RecordError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(RecordError { reason: "told to fail".to_owned() });
        }
        let mut entries = self.entries.lock().unwrap();
        entries.push((entry.clone(), durability));
        Ok(entries.len() as u64 - 1)
    }
}

impl VirtualClock {
    /// Moves the time.
    pub fn advance_ms(&self, by_ms: u64) {
        self.now_ms.fetch_add(by_ms, Ordering::AcqRel);
    }
}

impl Default for VirtualClock {
    fn default() -> VirtualClock {
        VirtualClock { now_ms: AtomicU64::new(START_MS) }
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Acquire)
    }

    /// Always the first of January 2026, a Thursday, at midnight.
    fn fact(&self) -> ClockFact {
        ClockFact { weekday: 4, hour: 0, minute: 0, date: 20_260_101, zone: "UTC".to_owned() }
    }
}

impl TestGate {
    /// A gate under a scripted policy.
    pub fn new(policy: ScriptedPolicy) -> TestGate {
        let (log, clock) = (Arc::new(MemoryLog::default()), Arc::new(VirtualClock::default()));
        let gate = Gate::new(GateParts {
            session: SessionId::from_random([7; 8]),
            policy: Arc::new(policy),
            log: Arc::clone(&log) as Arc<dyn Record>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            limits: Limits::default(),
        });
        TestGate { gate, log, clock }
    }
}
