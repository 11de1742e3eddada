//! The opening of a session: its log, its gate, and its first entry.

use std::sync::Arc;

use ringfence_core::{
    AbsolutePath, Agent, Clock as _, Durability, Event, Gate, GateParts, LayerState, LayerStatus,
    Limits, SessionId,
};
use ringfence_log::{Closed, HostKey, HostLog, LogError, NewLog, SessionLog};
use ringfence_sandbox::aside::Aside;
use ringfence_sandbox::world::Tier;

use super::{RunError, RunRequest};
use crate::assemble::Assembled;
use crate::clock::HostClock;
use crate::compose::Composition;
use crate::notice::Notice;
use crate::registration::Description;
use crate::settings::{Gap, LOG_BYTES_MAX_DEFAULT, Settings};
use crate::state::StateDirs;
use crate::tally::{Tallied, Tally};
use crate::whole_file::sha256_hex;

/// What a world without namespaces does not have.
const TIER_LAYERS: [&str; 3] = ["tier", "namespaces", "mounts"];
/// What a tier that advises does not have besides.
const ADVISORY_LAYERS: [&str; 3] = ["landlock", "seccomp", "notify"];

/// What a session is opened with.
pub(super) struct Parts<'a> {
    pub(super) request: &'a RunRequest,
    pub(super) session: &'a SessionId,
    pub(super) agent: &'a Agent,
    pub(super) assembled: &'a Assembled,
    pub(super) composed: &'a Composition,
    pub(super) layers: &'a [LayerStatus],
    /// Whether the world was kept ready.
    pub(super) warm: bool,
}

/// What of a session's log can be made ready before its world stands.
pub(super) struct Ready {
    host: HostLog,
    log: NewLog,
    clock: Arc<HostClock>,
}

/// An open session: every act from here on is recorded.
pub(super) struct Opened {
    pub(super) session: SessionId,
    pub(super) gate: Gate,
    pub(super) tally: Arc<Tally>,
    pub(super) clock: Arc<HostClock>,
    pub(super) started_ms: u64,
    log: SessionLog,
    host: HostLog,
}

/// A session id of the kernel's randomness.
pub(super) fn new_session_id() -> Result<SessionId, RunError> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random)
        .map_err(|error| RunError::step("name the session")(std::io::Error::other(error)))?;
    Ok(SessionId::from_random(random))
}

/// Refuses a world some layer of which does not hold, unless the settings name the gap.
pub(super) fn require_full(
    layers: &[LayerStatus],
    settings: &Settings,
    tier: Tier,
) -> Result<(), RunError> {
    let accepted = |layer: &LayerStatus| {
        let given_up = layer.layer == "notify" && !settings.unnotified.is_empty();
        // A world without a terminal of its own has no other either: its streams are files and
        // pipes, which can neither answer nor be typed into.
        // What is not captured has no other way out: the world is closed, and of less use.
        let uncaptured = layer.layer == "net" && layer.state == LayerState::Degraded;
        // What no control group holds is looked at, and whoever goes beyond is ended.
        let looked_at = layer.layer == "limits" && layer.state == LayerState::Degraded;
        // A tier that has less by its nature was named by the person, and is said again.
        let name = layer.layer.as_str();
        let of_tier = !tier.has_mounts() && TIER_LAYERS.contains(&name)
            || tier.is_advisory() && ADVISORY_LAYERS.contains(&name);
        given_up
            || of_tier
            || uncaptured
            || looked_at
            || layer.layer == "pty"
            || settings.accepted_gaps.iter().any(|gap: &Gap| gap.name() == layer.layer)
    };
    match layers.iter().find(|layer| layer.state != LayerState::Enforced && !accepted(layer)) {
        None => Ok(()),
        Some(layer) => {
            Err(RunError::Gap { layer: layer.layer.clone(), detail: layer.detail.clone() })
        }
    }
}

/// What a person should know of the layers before the agent starts: a network that is as closed, and
/// in which some things differ, and limits that are only looked at.
pub(super) fn said_of(layers: &[LayerStatus]) -> Vec<Notice> {
    let differs = |layer: &&LayerStatus| {
        ["tier", "net", "limits"].contains(&layer.layer.as_str())
            && layer.state == LayerState::Degraded
    };
    layers.iter().filter(differs).map(|layer| Notice::new(&layer.detail)).collect()
}

/// Makes the log ready that `assembled` limits, without anybody seeing it: a world that does not
/// come about leaves none.
pub(super) fn make_ready(
    dirs: &StateDirs,
    session: &SessionId,
    assembled: &Assembled,
    clock: HostClock,
) -> Result<Ready, RunError> {
    let key = HostKey::load_or_create(dirs.state())?;
    let host = HostLog::open(dirs.state(), &key)?;
    let log_bytes_max = assembled.settings.limits.log_bytes_max.unwrap_or(LOG_BYTES_MAX_DEFAULT);
    let log = SessionLog::prepare(&dirs.session(session), session, &key, log_bytes_max)?;
    Ok(Ready { host, log, clock: Arc::new(clock) })
}

/// Opens the log, the host's entry of it, and the gate, and records what is in force: the `first` entry, which
/// is told the time zone.
pub(super) fn open(
    ready: Ready,
    (session, assembled): (&SessionId, &Assembled),
    first: impl FnOnce(&str) -> Event,
) -> Result<Opened, RunError> {
    let Ready { host, log, clock } = ready;
    let started_ms = clock.now_ms();
    let limits = &assembled.settings.limits;
    let log = log.start()?;
    // The log first, then who knows of it: killed in between, what the host log knows is there.
    host.opened(session, started_ms)?;
    let tally = Arc::new(Tally::default());
    let policy = Arc::clone(&assembled.policy);
    let gate = Gate::new(GateParts {
        session: session.clone(),
        policy,
        log: Arc::new(Tallied::new(log.clone(), Arc::clone(&tally))),
        clock: Arc::clone(&clock) as _,
        limits: limits.steps_max.map_or_else(Limits::default, |steps_max| Limits { steps_max }),
    });
    gate.note(first(clock.zone_name()), Durability::Soon)
        .map_err(|error| RunError::LogFailed { reason: error.reason })?;
    Ok(Opened { session: session.clone(), gate, tally, clock, started_ms, log, host })
}

/// The first entry of a session with a world.
pub(super) fn first_entry(parts: &Parts<'_>, time_zone: &str) -> Event {
    let command = parts.request.command.iter().map(|word| word.to_string_lossy().into_owned());
    let plan = serde_json::to_vec(&parts.composed.planned.plan).unwrap_or_default();
    Event::SessionOpened {
        session: parts.session.clone(),
        agent: parts.agent.0.clone(),
        command: command.collect(),
        cwd: cwd(parts.request),
        uid: parts.composed.spec.identity.uid,
        time_zone: time_zone.to_owned(),
        policy: parts.assembled.digests.clone(),
        plan_sha256: sha256_hex(&plan),
        layers: parts.layers.to_vec(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trace: parts.request.trace,
        warm: parts.warm,
        server: parts.request.server_of.is_some(),
        starts_in: starts_in(parts),
    }
}

/// Where its program starts, where that is not the working directory, which may be called by a link.
fn starts_in(parts: &Parts<'_>) -> Option<AbsolutePath> {
    let (cwd, starts) = (&parts.request.cwd, &parts.composed.spec.cwd);
    let is_there = starts == cwd || std::fs::canonicalize(cwd).is_ok_and(|real| real == *starts);
    if is_there { None } else { AbsolutePath::parse(starts.to_str()?).ok() }
}

/// The working directory as the log names it; lossy where it is not UTF-8.
pub(super) fn cwd(request: &RunRequest) -> AbsolutePath {
    AbsolutePath::parse(&request.cwd.to_string_lossy()).unwrap_or_else(|_| AbsolutePath::root())
}

/// The session as other commands find it.
pub(super) fn description(
    (request, tier): (&RunRequest, Tier),
    agent: &Agent,
    opened: &Opened,
) -> Description {
    Description {
        session: opened.session.clone(),
        agent: agent.0.clone(),
        command: request.command.iter().map(|it| it.to_string_lossy().into_owned()).collect(),
        cwd: cwd(request),
        broker_pid: std::process::id(),
        started_ms: opened.started_ms,
        tier: tier.to_string(),
        server: request.server_of.is_some(),
    }
}

impl Opened {
    /// Leaves it to `sealer` to close the log and to record its end in the host's.
    ///
    /// Every entry is written by now, and the sealer is told which these are. Only where something
    /// is wrong is the log closed here and waited for: then the reason is told.
    pub(super) fn close(self, sealer: Aside) -> Result<(), LogError> {
        if self.tally.failure().is_none()
            && let Ok(written) = self.log.hand_over()
            && sealer.leave(&written.to_bytes()).is_ok()
        {
            // Not dropped: that would wait for the disk.
            std::mem::forget((self.log, self.host));
            return Ok(());
        }
        self.close_here()
    }

    /// Closes the log and waits until it is on the disk.
    pub(super) fn close_here(self) -> Result<(), LogError> {
        let closed: Closed = self.log.close()?;
        self.host.closed(&self.session, closed, self.clock.now_ms())?;
        self.host.wait()
    }
}
