//! How a session of tool calls is reached while it runs: grants, a policy that is loaded anew, its end.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use ringfence_core::{Agent, Clock as _, Durability, Event, Gate, RecordError, Request, SessionId};
use ringfence_policy::grant::GrantText;

use super::super::live::granted;
use super::super::opening::Opened;
use super::super::wider::{self, Widen};
use super::ToolsRequest;
use super::remote::Remotes;
use super::serving::Stopper;
use crate::approvals::Approvals;
use crate::assemble::{Assembled, Inputs, assemble_again, with_grants};
use crate::clock::HostClock;
use crate::control::{self, Caller, Command, Reply, Status};
use crate::grants::{self, Grant};
use crate::in_force::InForce;
use crate::registration::Description;
use crate::state::StateDirs;
use crate::tally::Tally;
use crate::trust::Project;

/// Why something is loaded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Policy,
    Grants,
    Expiry,
}

/// A running session of tool calls, as the control socket sees it.
pub(super) struct Seat {
    dirs: StateDirs,
    cwd: PathBuf,
    overrides: Vec<PathBuf>,
    session: SessionId,
    gate: Gate,
    clock: Arc<HostClock>,
    tally: Arc<Tally>,
    description: Description,
    in_force: Mutex<Assembled>,
    /// The policy that denials take their advice from.
    advised: Arc<InForce>,
    approvals: Arc<Approvals>,
    /// Who calls the tools, where that is one process; it answers no questions.
    client: Option<i32>,
    stopper: Stopper,
    remotes: Option<Arc<Remotes>>,
    /// The thread that revokes grants when their time is over.
    timer: OnceLock<Thread>,
}

impl Seat {
    pub(super) fn new(
        (request, description, client): (&ToolsRequest, Description, Option<i32>),
        opened: &Opened,
        (assembled, who): (Assembled, (Agent, Arc<Approvals>, Arc<InForce>)),
        (stopper, remotes): (Stopper, Option<Arc<Remotes>>),
    ) -> Arc<Seat> {
        let (_, approvals, advised) = who;
        Arc::new(Seat {
            dirs: request.dirs.clone(),
            cwd: request.cwd.clone(),
            overrides: request.overrides.clone(),
            session: opened.session.clone(),
            gate: opened.gate.clone(),
            clock: Arc::clone(&opened.clock),
            tally: Arc::clone(&opened.tally),
            description,
            in_force: Mutex::new(assembled),
            advised,
            approvals,
            client,
            stopper,
            remotes,
            timer: OnceLock::new(),
        })
    }

    /// Obeys whoever the line leads to, until the session ends.
    pub(super) fn obey(self: Arc<Seat>, line: UnixListener) {
        self.watch_expiry();
        wider::offer(&self);
        control::serve(line, Arc::new(move |command, caller| self.answer(&command, caller)));
    }

    /// Revokes grants when their time is over. A session whose grants cannot be watched over is ended.
    fn watch_expiry(self: &Arc<Seat>) {
        let seat = Arc::clone(self);
        let watch = move || loop {
            thread::park_timeout(seat.until_next_expiry());
            if seat.has_expired() {
                // What cannot be read leaves nothing in force that has ended.
                if let Reply::Refused { .. } = seat.load_anew(Cause::Expiry) {
                    seat.gate.stop();
                    seat.stopper.stop();
                    return;
                }
            }
        };
        match thread::Builder::new().name("expiry".to_owned()).spawn(watch) {
            // Set once, here.
            Ok(thread) => drop(self.timer.set(thread.thread().clone())),
            Err(_) => self.stopper.stop(),
        }
    }

    fn has_expired(&self) -> bool {
        grants::any_has_ended(&self.in_force().grants, self.clock.now_ms())
    }

    fn until_next_expiry(&self) -> Duration {
        grants::until_next_end(&self.in_force().grants, self.clock.now_ms())
    }

    fn in_force(&self) -> MutexGuard<'_, Assembled> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, command: &Command, caller: Caller) -> Reply {
        match command {
            Command::Questions => Reply::Questions(self.approvals.desk().waiting()),
            Command::Answer { question, said } => {
                caller.answer(self.approvals.desk(), (*question, *said), self.client)
            }
            Command::Status => Reply::Status(self.status()),
            Command::Reload => self.load_anew(Cause::Policy),
            Command::GrantsChanged => self.load_anew(Cause::Grants),
            Command::Checkpoint { .. } | Command::Rollback { .. } => Reply::Refused {
                why: "a session of tool calls has no files of its own".to_owned(),
                hint: None,
            },
            Command::Kill => {
                self.gate.stop();
                self.stopper.stop();
                Reply::Done(vec![format!("session {} was ended", self.session)])
            }
        }
    }

    fn status(&self) -> Status {
        let totals = self.tally.totals();
        Status {
            description: self.description.clone(),
            permitted: totals.permitted,
            denied: totals.denied,
            asked: totals.asked,
            waiting: self.approvals.waiting(),
        }
    }

    /// What is in force stays so unless all that is new can be used, and is recorded.
    fn load_anew(&self, cause: Cause) -> Reply {
        let mut in_force = self.in_force();
        let inputs = Inputs {
            dirs: &self.dirs,
            cwd: &self.cwd,
            session: &self.session,
            overrides: &self.overrides,
            now_ms: self.clock.now_ms(),
        };
        let loaded = match cause {
            Cause::Policy => assemble_again(inputs, &in_force),
            Cause::Grants | Cause::Expiry => with_grants(inputs, &in_force),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return Reply::Refused { why: error.to_string(), hint: error.hint() },
        };
        let refused = |error: RecordError| Reply::Refused { why: error.to_string(), hint: None };
        let mut lines = match self.record_new(cause, &in_force, &loaded) {
            Ok(lines) => lines,
            Err(error) => return refused(error),
        };
        self.gate.reload(Arc::clone(&loaded.policy) as _);
        self.advised.replace(&loaded);
        self.remotes.iter().for_each(|it| it.end_unpermitted());
        let before = std::mem::replace(&mut *in_force, loaded);
        let gone = self.record_gone(cause, &before, &in_force);
        drop(in_force);
        if let Some(timer) = self.timer.get() {
            timer.unpark();
        }
        match gone {
            Ok(gone) => lines.extend(gone),
            Err(error) => return refused(error),
        }
        Reply::Done(lines)
    }

    /// Records what comes into force, before it does; a line for each.
    fn record_new(
        &self,
        cause: Cause,
        before: &Assembled,
        after: &Assembled,
    ) -> Result<Vec<String>, RecordError> {
        let mut lines = Vec::new();
        if cause == Cause::Policy {
            let policy = after.digests.clone();
            self.gate.note(Event::PolicyReloaded { policy }, Durability::Before)?;
            lines.push("the policy was loaded anew".to_owned());
        }
        for grant in after.grants.iter().filter(|grant| !is_among(grant, &before.grants)) {
            self.gate.note(granted(grant), Durability::Before)?;
            lines.push(format!("in force: {} ({})", grant.text, grant.id));
        }
        Ok(lines)
    }

    /// Records what was revoked, after it was: what was permitted by it stands before that.
    fn record_gone(
        &self,
        cause: Cause,
        before: &Assembled,
        after: &Assembled,
    ) -> Result<Vec<String>, RecordError> {
        let mut lines = Vec::new();
        for grant in before.grants.iter().filter(|grant| !is_among(grant, &after.grants)) {
            let by = if cause == Cause::Expiry { "expired" } else { grant.author.as_str() };
            let (id, by) = (grant.id.clone(), by.to_owned());
            let revoked = Event::Revoked { id, by, survivors: Vec::new() };
            self.gate.note(revoked, Durability::Before)?;
            lines.push(format!("revoked: {} ({})", grant.text, grant.id));
        }
        Ok(lines)
    }
}

fn is_among(grant: &Grant, all: &[Grant]) -> bool {
    all.iter().any(|other| other.id == grant.id)
}

impl Widen for Seat {
    fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    fn wider(&self, request: &Request) -> Option<GrantText> {
        let grant = self.advised.smallest_grant(request, &self.gate.facts_now())?;
        let home = self.dirs.home();
        let project = Project::find(&self.cwd, home).ok()?.dir;
        wider::is_offered(&grant, home, &project).then_some(grant)
    }

    fn kept_in(&self) -> (&StateDirs, &SessionId, &HostClock) {
        (&self.dirs, &self.session, &self.clock)
    }

    fn grants_changed(self: &Arc<Seat>) {
        self.load_anew(Cause::Grants);
    }
}
