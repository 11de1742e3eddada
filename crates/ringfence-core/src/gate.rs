//! The gate: decide, reserve, record, permit; the only maker of [`Permit`]s.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::entry::{Entry, Event, FileChange, Outcome};
use crate::limits::{Reservation, StepLimit};
use crate::question::{Approval, Approvals, Denial, Ending, Question};
use crate::verdict::{ClockFact, Facts, Grounds, Role, Ruling, Verdict};
use crate::{Act, Agent, Endpoint, EntryRef, Handling, Limits, Request, SecretName, SessionId};

/// Said of an act that the policy permits, and that comes after the last step.
const OUT_OF_STEPS: &str = "the session has used up `limits.steps_max`: start another, or raise it under \
                            `[limits]` in the settings";

/// How long a permit may wait to be spent, in milliseconds: an act follows its decision at once.
const PERMIT_LIFE_MS_MAX: u64 = 10_000;

/// When an entry must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before the act.
    Before,
    /// Written before the act, synced soon after: a crash of the process loses nothing, a loss of
    /// power may lose the last moments.
    Soon,
}

/// Why an entry could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be written: {reason}")]
pub struct RecordError {
    /// What the log said.
    pub reason: String,
}

/// Decides by policy: same request and facts, same ruling.
pub trait Decide: Send + Sync {
    /// The ruling of all sets together.
    fn decide(&self, request: &Request, facts: &Facts) -> Ruling;
    /// Whether any rule speaks of the requests over an agent's connections to an endpoint, so that
    /// each one has to be decided; elsewhere the permit of a connection covers them.
    fn inspects(&self, agent: &Agent, endpoint: &Endpoint) -> bool;
    /// Whether any rule looks at the releases that an agent fetches from an endpoint, so that each
    /// request has to be decided if a registry is there.
    fn looks_at_releases(&self, agent: &Agent, endpoint: &Endpoint) -> bool;
    /// Digest of the whole policy, lower-case hex.
    fn digest(&self) -> &str;
}

/// Records entries in a session's log.
pub trait Record: Send + Sync {
    /// Appends and returns the entry's index; returns only when `durability` holds.
    fn record(&self, entry: &Entry, durability: Durability) -> Result<u64, RecordError>;
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// The same moment as facts for the policy.
    fn fact(&self) -> ClockFact;
}

/// What a gate is made of.
pub struct GateParts {
    /// The session it guards.
    pub session: SessionId,
    /// The policy.
    pub policy: Arc<dyn Decide>,
    /// The log.
    pub log: Arc<dyn Record>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The limits.
    pub limits: Limits,
}

/// The one place where acts are decided.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    session: SessionId,
    policy: RwLock<Versioned>,
    log: Arc<dyn Record>,
    clock: Arc<dyn Clock>,
    steps: StepLimit,
    /// Raised by [`Gate::stop`]; a permit of an older epoch cannot be spent.
    session_epoch: AtomicU64,
    /// Secrets whose use is on the disk already, and whom they were shown to.
    secrets_shown: Mutex<BTreeSet<Shown>>,
}

/// A secret, and whom it was shown to.
type Shown = (SecretName, Option<Endpoint>);

#[derive(Clone)]
struct Versioned {
    policy: Arc<dyn Decide>,
    /// Raised by [`Gate::reload`]; a permit of an older epoch cannot be spent.
    epoch: u64,
}

/// The gate's answer to a request.
#[must_use]
pub enum Checked {
    /// It may happen: spend the permit.
    Permit(Permit),
    /// It may happen once approved.
    Ask(Question),
    /// It may not happen.
    Deny(Denial),
}

/// The right to carry out one act once, soon, under the policy that decided it.
#[must_use]
pub struct Permit {
    shared: Arc<Shared>,
    request: Request,
    entry: EntryRef,
    approved: Approved,
    handling: Handling,
    policy_epoch: u64,
    session_epoch: u64,
    expires_ms: u64,
    reservation: Option<Reservation>,
}

/// Who had approved an act when it was permitted; nobody, where the policy alone permits it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approved {
    roles: BTreeSet<Role>,
    people: u32,
}

/// A permitted act under way; [`Running::finish`] records its end, dropping it records *unknown*.
#[must_use]
pub struct Running {
    shared: Arc<Shared>,
    entry: EntryRef,
    reservation: Option<Reservation>,
    finished: bool,
}

impl Gate {
    /// Makes a gate.
    pub fn new(parts: GateParts) -> Gate {
        Gate {
            shared: Arc::new(Shared {
                session: parts.session,
                policy: RwLock::new(Versioned { policy: parts.policy, epoch: 0 }),
                log: parts.log,
                clock: parts.clock,
                steps: StepLimit::new(parts.limits.steps_max),
                session_epoch: AtomicU64::new(0),
                secrets_shown: Mutex::default(),
            }),
        }
    }

    /// Decides a request: decide, reserve, record, permit.
    pub fn check(&self, request: Request) -> Checked {
        self.decide(request, Ending::Told)
    }

    /// Decides a request for a file act, whose end nobody tells of: what it does to the file is known
    /// beforehand, and is nothing where it only reads.
    pub fn check_file(&self, request: Request, change: Option<FileChange>) -> Checked {
        self.decide(request, Ending::Unobserved(change))
    }

    fn decide(&self, request: Request, ending: Ending) -> Checked {
        let policy = self.policy();
        let ruling = policy.policy.decide(&request, &self.facts_now());
        self.conclude(&policy, Attempt { request, ending, approvals: Vec::new() }, ruling)
    }

    /// Decides a question again with approvals as facts; those bound to another act do not count.
    pub fn check_approved(&self, question: Question, approvals: Approvals) -> Checked {
        let policy = self.policy();
        let digest = question.request.act.digest(policy.policy.digest());
        let valid: Approvals = approvals.into_iter().filter(|a| a.digest == digest).collect();
        let ruling = policy.policy.decide(&question.request, &self.facts(Approved::by(&valid)));
        let Question { request, ending, .. } = question;
        let attempt = Attempt { request, ending, approvals: valid };
        self.conclude(&policy, attempt, ruling)
    }

    /// Puts another policy in force; permits given under the old one can no longer be spent.
    pub fn reload(&self, policy: Arc<dyn Decide>) {
        let mut current = self.shared.policy.write().unwrap_or_else(PoisonError::into_inner);
        *current = Versioned { policy, epoch: current.epoch.saturating_add(1) };
    }

    /// The session that it guards.
    pub fn session(&self) -> &SessionId {
        &self.shared.session
    }

    /// Ends the session for the gate; permits already given can no longer be spent.
    pub fn stop(&self) {
        self.shared.session_epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether an act that goes on would be permitted now, by the approvals that it began with.
    ///
    /// Neither a permit nor an entry comes of it.
    pub fn still_permits(&self, request: &Request, approved: &Approved) -> bool {
        let facts = self.facts(approved.clone());
        self.policy().policy.decide(request, &facts).verdict == Verdict::Permit
    }

    /// The policy in force.
    pub fn policy_in_force(&self) -> Arc<dyn Decide> {
        self.policy().policy
    }

    /// The facts as they are now, without approvals.
    pub fn facts_now(&self) -> Facts {
        self.facts(Approved::default())
    }

    /// The time that entries are given, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// Records an entry that is not a decision: an exit, a question, a grant.
    pub fn note(&self, event: Event, durability: Durability) -> Result<EntryRef, RecordError> {
        self.shared.record(event, durability)
    }

    fn policy(&self) -> Versioned {
        self.shared.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn facts(&self, approved: Approved) -> Facts {
        Facts {
            session: self.shared.session.clone(),
            clock: self.shared.clock.fact(),
            approvals: approved.roles,
            approver_count: approved.people,
        }
    }

    fn conclude(&self, policy: &Versioned, attempt: Attempt, ruling: Ruling) -> Checked {
        let session_epoch = self.shared.session_epoch.load(Ordering::Acquire);
        let (ruling, reservation) = self.reserve(ruling);
        let digest = attempt.request.act.digest(policy.policy.digest());
        let entry = match self.record_decision(&attempt, &ruling, &digest) {
            Ok(entry) => entry,
            Err(error) => {
                if let Some(reservation) = reservation {
                    self.shared.steps.give_back(reservation);
                }
                let failure = Some(error.to_string());
                let grounds = Grounds { failure, ..ruling.grounds };
                return Checked::Deny(Denial { request: attempt.request, grounds, entry: None });
            }
        };
        let request = attempt.request;
        match (ruling.verdict, reservation) {
            (Verdict::Permit, Some(reservation)) => Checked::Permit(Permit {
                shared: Arc::clone(&self.shared),
                request,
                entry,
                approved: Approved::by(&attempt.approvals),
                handling: ruling.grounds.handling,
                policy_epoch: policy.epoch,
                session_epoch,
                expires_ms: self.shared.clock.now_ms().saturating_add(PERMIT_LIFE_MS_MAX),
                reservation: Some(reservation),
            }),
            (Verdict::Ask(needs), _) => {
                let (grounds, ending) = (ruling.grounds, attempt.ending);
                Checked::Ask(Question { request, needs, grounds, digest, entry, ending })
            }
            (Verdict::Permit | Verdict::Deny, _) => {
                Checked::Deny(Denial { request, grounds: ruling.grounds, entry: Some(entry) })
            }
        }
    }

    /// Reserves what a permit will use; a permit that cannot be reserved becomes a denial.
    fn reserve(&self, ruling: Ruling) -> (Ruling, Option<Reservation>) {
        if ruling.verdict != Verdict::Permit {
            return (ruling, None);
        }
        if let Some(reservation) = self.shared.steps.reserve() {
            return (ruling, Some(reservation));
        }
        let failure = Some(OUT_OF_STEPS.to_owned());
        let grounds = Grounds { failure, ..ruling.grounds };
        (Ruling { verdict: Verdict::Deny, grounds }, None)
    }

    fn record_decision(
        &self,
        attempt: &Attempt,
        ruling: &Ruling,
        digest: &str,
    ) -> Result<EntryRef, RecordError> {
        let approvals: BTreeSet<&str> = attempt
            .approvals
            .iter()
            .flat_map(|approval| approval.roles.iter().map(|role| role.0.as_str()))
            .collect();
        // An approved act, and the first use of a secret towards a host, are recorded before they
        // happen, also across a loss of power.
        let shown = self.first_shown(attempt, ruling);
        let durability = match (approvals.is_empty(), &shown) {
            (true, None) => Durability::Soon,
            (false, _) | (true, Some(_)) => Durability::Before,
        };
        let event = Event::Decided {
            request: attempt.request.clone(),
            verdict: ruling.verdict.clone(),
            grounds: ruling.grounds.clone(),
            digest: digest.to_owned(),
            approvals: approvals.into_iter().map(str::to_owned).collect(),
            unobserved: matches!(attempt.ending, Ending::Unobserved(_)),
            change: match attempt.ending {
                Ending::Told => None,
                Ending::Unobserved(change) => change,
            },
        };
        let entry = self.shared.record(event, durability)?;
        if let Some(shown) = shown {
            self.shared.secrets_shown().insert(shown);
        }
        Ok(entry)
    }

    /// What a permit would show, and to whom, for the first time in this session.
    fn first_shown(&self, attempt: &Attempt, ruling: &Ruling) -> Option<Shown> {
        let Act::UseSecret(used) = &attempt.request.act else { return None };
        let shown = (used.secret.clone(), used.endpoint.clone());
        let first = !self.shared.secrets_shown().contains(&shown);
        (ruling.verdict == Verdict::Permit && first).then_some(shown)
    }
}

impl Approved {
    fn by(approvals: &[Approval]) -> Approved {
        let people: BTreeSet<&str> = approvals.iter().map(|a| a.approver.as_str()).collect();
        Approved {
            roles: approvals.iter().flat_map(|a| a.roles.iter().cloned()).collect(),
            people: u32::try_from(people.len()).unwrap_or(u32::MAX),
        }
    }
}

/// One attempt on its way through the gate.
struct Attempt {
    request: Request,
    ending: Ending,
    approvals: Approvals,
}

impl Shared {
    fn record(&self, event: Event, durability: Durability) -> Result<EntryRef, RecordError> {
        let entry = Entry { at_ms: self.clock.now_ms(), event };
        let index = self.log.record(&entry, durability)?;
        Ok(EntryRef { session: self.session.clone(), index })
    }

    fn secrets_shown(&self) -> std::sync::MutexGuard<'_, BTreeSet<Shown>> {
        self.secrets_shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy_epoch(&self) -> u64 {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).epoch
    }
}

impl Permit {
    /// The request that was permitted.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The entry of the decision.
    pub fn entry(&self) -> &EntryRef {
        &self.entry
    }

    /// Who had approved the act.
    pub fn approved(&self) -> &Approved {
        &self.approved
    }

    /// What the rules that permit it say about what comes back.
    pub fn handling(&self) -> &Handling {
        &self.handling
    }

    /// Spends the permit to cause the effect; refused when kill, revoke, reload or time came first.
    pub fn spend(mut self) -> Result<Running, Denial> {
        let stale = self.stale();
        let reservation = self.reservation.take();
        if let Some(failure) = stale {
            if let Some(reservation) = reservation {
                self.shared.steps.give_back(reservation);
            }
            let outcome = Outcome::Failed { error: failure.to_owned() };
            // The denial stands whether or not its trace could be written.
            let _ = self
                .shared
                .record(Event::Finished { of: self.entry.index, outcome }, Durability::Soon);
            let grounds = Grounds { failure: Some(failure.to_owned()), ..Grounds::default() };
            return Err(Denial {
                request: self.request.clone(),
                grounds,
                entry: Some(self.entry.clone()),
            });
        }
        Ok(Running {
            shared: Arc::clone(&self.shared),
            entry: self.entry.clone(),
            reservation,
            finished: false,
        })
    }

    fn stale(&self) -> Option<&'static str> {
        if self.shared.session_epoch.load(Ordering::Acquire) != self.session_epoch {
            Some("the session was stopped before the act began")
        } else if self.shared.policy_epoch() != self.policy_epoch {
            Some("the policy changed before the act began")
        } else if self.shared.clock.now_ms() > self.expires_ms {
            Some("the permit expired before the act began")
        } else {
            None
        }
    }
}

impl Drop for Permit {
    /// An unspent permit caused nothing: its reservation goes back.
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.shared.steps.give_back(reservation);
        }
    }
}

impl Running {
    /// The entry of the decision.
    pub fn entry(&self) -> &EntryRef {
        &self.entry
    }

    /// Records how the act ended and settles its reservation.
    pub fn finish(mut self, outcome: Outcome) -> Result<(), RecordError> {
        self.finished = true;
        self.end(outcome)
    }

    /// Leaves the act to the kernel: its decision says `unobserved`; only a failure may follow, as a note.
    ///
    /// Only for file acts checked with [`Gate::check_file`], whose entry already says so.
    pub fn leave_to_kernel(mut self) {
        self.finished = true;
        self.reservation = None;
    }

    fn end(&mut self, outcome: Outcome) -> Result<(), RecordError> {
        // Spent: dropping the token without giving it back settles it.
        self.reservation = None;
        let event = Event::Finished { of: self.entry.index, outcome };
        self.shared.record(event, Durability::Soon).map(|_| ())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            // A log that fails here has already made every later check a denial.
            let _ = self.end(Outcome::Unknown);
        }
    }
}
