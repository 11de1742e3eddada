//! One run of an agent: policy, world, gate, ports, and the end of all of them.
//!
//! [`run`] is the whole story. Whatever fails on the way ends the world: it is owned by the
//! session, and dropping it kills every process in it.

mod asked;
mod begun;
mod caller;
mod covered;
mod ended;
mod error;
mod held;
mod leading;
mod live;
mod mounted;
mod net;
mod not_started;
mod opening;
mod publish;
mod rolling;
mod running;
mod signing;
mod standing;
pub mod tools;
mod traces;
mod watching;
mod why;
mod wider;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_core::{Agent, Clock as _, ServerName, SessionId, Trace};
use ringfence_proxy::net::authority::Authority;
use ringfence_sandbox::notify::STOPPED;
use ringfence_sandbox::signals::Signals;
use ringfence_sandbox::world::{
    self, Container, NotifyClasses, Prepared, Stdio, Switch, TerminalSize, Watches,
};
use rustix::termios::Winsize;
use serde::Serialize;

use crate::advice::Lasts;
use crate::assemble::{Assembled, Inputs, assemble_as};
use crate::bounds::Bounds;
use crate::clock::HostClock;
use crate::compose::{self, Changes, Unseen};
use crate::environment::Environment;
use crate::in_force::InForce;
use crate::module::{Module, ModuleEnd};
use crate::notice::Notice;
use crate::pty::{self, Pipes, RELAYED_SIGNALS, StandIn};
use crate::quarantine::Quarantined;
use crate::settings::ActClass;
use crate::state::StateDirs;

pub use begun::Parked;
pub use error::RunError;
pub use not_started::{NotStarted, Said};
pub(crate) use not_started::{Whose, grants_for};
pub use publish::Publish;
pub use ringfence_sandbox::seccomp::Profile;
pub use ringfence_sandbox::world::{Engine, Tier};
pub use why::{DeniedRead, DeniedWrite};

use begun::Begun;
use held::Secrets;
use net::Outside;
use running::{Running, Start, Taken};
use traces::Traces;

/// What is to be run, by whom and where.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Where the files are.
    pub dirs: StateDirs,
    /// The caller's environment.
    pub environment: Environment,
    /// The working directory.
    pub cwd: PathBuf,
    /// Files that stand in for the user's and the project's policy.
    pub overrides: Vec<PathBuf>,
    /// How the world is isolated; as the settings have it where absent.
    pub tier: Option<Tier>,
    /// Of which image the container of the tier `oci` is; as the settings have it where absent.
    pub image: Option<String>,
    /// Which system calls it may make; as the settings have it where absent.
    pub seccomp: Option<Profile>,
    /// The agent's name; the base name of the command where absent.
    pub agent: Option<String>,
    /// Variables of the world's own, besides what it finds of the caller's.
    pub own_env: BTreeMap<String, String>,
    /// The process that started this one as a server of tools, with which the session ends.
    pub server_of: Option<u32>,
    /// Whether it goes on after what is denied in it.
    pub lasts: Lasts,
    /// Ports of the world that are reached from the host.
    pub publish: Vec<Publish>,
    /// What is recorded besides acts.
    pub trace: Trace,
    /// Where its changes go.
    pub changes: Changes,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The program that runs the command, where that is a WASM module.
    pub wasm_runner: Option<PathBuf>,
    /// The library that is loaded into the programs of a world of the tier `preload`, where there is one.
    pub library: Option<PathBuf>,
    /// Ringfence itself: programs of the world reach servers of tools through it, and it starts those.
    pub own: Option<PathBuf>,
}

impl RunRequest {
    /// The server of tools that it is, if it is one.
    pub fn server(&self) -> Option<ServerName> {
        self.server_of.and(self.agent.as_deref())?.parse().ok()
    }
}

/// What is said at the end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closing {
    /// The session.
    pub session: SessionId,
    /// Whether the world was only advised: what programs did without asking is not in here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// Acts permitted.
    pub permitted: u64,
    /// Acts denied, with the questions that were not approved.
    pub denied: u64,
    /// Acts that were questions.
    pub asked: u64,
    /// Permitted acts that were seen to fail.
    pub failed: u64,
    /// Distinct files of the host that were created, modified or deleted.
    pub files_changed: u64,
    /// Entries in the log.
    pub entries: u64,
    /// What was opened to read and is denied by the policy; empty unless that is traced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_reads: Vec<DeniedRead>,
    /// Changes of files that were denied, with their reasons; empty unless reads are traced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_writes: Vec<DeniedWrite>,
    /// Files that would run code outside and are held back until accepted.
    pub quarantined: Vec<Quarantined>,
    /// How many changes wait for review; absent where the session was not under review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<usize>,
    /// What the person should know.
    pub notices: Vec<Notice>,
    /// What would allow what was denied, from the next session on.
    pub hints: Vec<String>,
    /// Why the command did not start; absent where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started: Option<NotStarted>,
    /// The command's exit code, 128+N for a signal.
    pub exit_code: i32,
}

/// Runs an agent from start to end. To be called while the process has one thread.
///
/// `tell` is given what the person should know before the agent starts.
pub fn run(request: &RunRequest, tell: &mut dyn FnMut(&Notice)) -> Result<Closing, RunError> {
    go_on(Begun::now(&request.dirs, request.tier.unwrap_or_default())?, request, tell)
}

/// The rest of a run that has begun.
fn go_on(
    begun: Begun,
    request: &RunRequest,
    tell: &mut dyn FnMut(&Notice),
) -> Result<Closing, RunError> {
    let Begun { session, sealer, mut prepared, mut pipes, known, caller } = begun;
    let module = Module::of(request)?;
    let size = pty::terminal_size();
    let agent = Agent(request.agent.clone().unwrap_or_else(|| base_name(&request.command)));
    let (assembled, clock) = in_force((request, known.as_deref()), &session, tell)?;
    let tier = assembled.settings.tier.chosen(request.tier)?;
    Module::fits(module.as_ref(), tier)?;
    if tier != prepared.tier() {
        if caller.is_some() {
            let text =
                format!("warm: a cold start, for worlds of the tier `{tier}` are not kept ready");
            tell(&Notice::new(text));
        }
        drop(prepared);
        (prepared, pipes) = prepare(size, tier, &Watches::new()?)?;
    }
    let container = container_of(request, tier, (&assembled, &session))?;
    // Removed at the end, whatever the end is: only the log stays.
    let _traces = Traces::of(&request.dirs, &session);
    let authority = authority(&session, &clock)?;
    let seccomp = profile_of(request, tier, &assembled)?;
    let asked = asked_of_compose((request, tier, seccomp), (&session, &agent), &assembled, size);
    let home = (&request.dirs, &request.environment);
    let Secrets { held, backends, withheld } = held::held(home, &session, &assembled.project.dir)?;
    let stand_ins = held::stand_ins(&held);
    let asked =
        compose::RunRequest { authority: authority.pem(), stand_ins, withheld, module, ..asked };
    let bound = publish::bind(&request.publish)?;
    let limits = &assembled.settings.limits;
    let mut bounds = Bounds::make(&session, limits, &assembled.project.dir)?;
    let (mut composed, believed) = compose::compose(&assembled, &request.dirs, &asked)?;
    composed.spec.container = container;
    if !bound.is_empty() {
        composed.spec.inward = Switch::On;
    }
    let module = ModuleEnd::of(&asked, &request.dirs, limits);
    let of_module = module.take_over(&mut composed.spec)?;
    composed.notices.iter().for_each(&mut *tell);
    let starting = prepared.begin(composed.spec.clone())?;
    // While the world is being built.
    believed.write()?;
    let ready = opening::make_ready(&request.dirs, &session, &assembled, clock)?;
    let in_force = Arc::new(InForce::new(&assembled, agent.clone()));
    ringfence_policy::make_ready();
    let mut world = starting.finish()?;
    bounds.take_in(&world).map_err(RunError::step("hold the world to its limits"))?;
    world.layers.extend(bounds.layer().into_iter().chain(of_module));
    opening::require_full(&world.layers, &assembled.settings, tier)?;
    opening::said_of(&world.layers).iter().for_each(&mut *tell);
    let signals = Signals::block(&RELAYED_SIGNALS).map_err(RunError::step("block signals"))?;
    let stops = stops_of(request.trace)?;
    let bounds = (bounds, module, assembled.settings.proxy_port);
    let taken = Taken::from(&mut world, (signals, stops, pipes), bounds)?;
    let parts = opening::Parts {
        request,
        session: &session,
        agent: &agent,
        assembled: &assembled,
        composed: &composed,
        layers: &world.layers,
        warm: caller.is_some(),
    };
    let first = |zone: &str| opening::first_entry(&parts, zone);
    let opened = opening::open(ready, (&session, &assembled), first)?;
    let network = Outside { bound, authority, held, backends };
    let start =
        Start { request, agent, assembled, in_force, composed, opened, world, taken, network };
    let running = Running::start(start)?;
    for line in caller.into_iter().chain(caller::starter(request.server_of)?) {
        running.end_without(line)?;
    }
    running.until_the_end(sealer)
}

/// The stops of processes that are watched to their end; blocked before there are threads.
fn stops_of(trace: Trace) -> Result<Option<Signals>, RunError> {
    match trace {
        Trace::Off | Trace::Files => Ok(None),
        Trace::Full => {
            Signals::block(&[STOPPED]).map(Some).map_err(RunError::step("block signals"))
        }
    }
}

/// Starts those who will build the world; it never holds the user's own terminal, for which it gets
/// one of its own where `size` is known.
fn prepare(
    size: Option<Winsize>,
    tier: Tier,
    watches: &Watches,
) -> Result<(Prepared, Pipes), RunError> {
    if size.is_some() || pty::inherited_terminal().is_none() {
        return Ok((world::prepare_watched(tier, watches)?, Pipes::default()));
    }
    let (_terminal, pipes) =
        StandIn::replace().map_err(RunError::step("keep the terminal out of the world"))?;
    Ok((world::prepare_watched(tier, watches)?, pipes))
}

/// The seccomp profile of a world; one that somebody named is not ignored.
fn profile_of(
    request: &RunRequest,
    tier: Tier,
    assembled: &Assembled,
) -> Result<Profile, RunError> {
    let profile = assembled.settings.seccomp.chosen(request.seccomp)?;
    let named = request.seccomp.is_some() || profile != Profile::default();
    if tier == Tier::Preload && named {
        return Err(RunError::SeccompUnused { tier, profile });
    }
    Ok(profile)
}

/// The container that the world is made in, where its tier has one.
fn container_of(
    request: &RunRequest,
    tier: Tier,
    (assembled, session): (&Assembled, &SessionId),
) -> Result<Option<Container>, RunError> {
    let setting = &assembled.settings.container;
    match (tier, setting.chosen(request.image.as_deref())?, &request.image) {
        (Tier::Oci, Some(image), _) => {
            let name = format!("ringfence-{session}");
            Ok(Some(Container::new(setting.engine, &image, name)))
        }
        (Tier::Oci, None, _) => Err(RunError::NoImage),
        (Tier::Namespaces | Tier::Landlock | Tier::Preload | Tier::Ptrace, _, Some(_)) => {
            Err(RunError::ImageUnused(tier))
        }
        (Tier::Namespaces | Tier::Landlock | Tier::Preload | Tier::Ptrace, _, None) => Ok(None),
    }
}

/// Policy and settings of this moment, and the clock that the settings name.
fn in_force(
    (request, known): (&RunRequest, Option<&Assembled>),
    session: &SessionId,
    tell: &mut dyn FnMut(&Notice),
) -> Result<(Assembled, HostClock), RunError> {
    let inputs = Inputs {
        dirs: &request.dirs,
        cwd: &request.cwd,
        session,
        overrides: &request.overrides,
        now_ms: HostClock::utc().now_ms(),
    };
    let assembled = assemble_as(request.server(), inputs, known)?;
    assembled.notices.iter().for_each(&mut *tell);
    let (clock, notice) = HostClock::new(assembled.settings.time_zone.as_deref())?;
    notice.iter().for_each(tell);
    Ok((assembled, clock))
}

/// Servers of tools are started wherever their clients are; so is whoever is run under the name of one, to see what it
/// lacks.
fn unseen(request: &RunRequest, agent: &Agent, assembled: &Assembled) -> Unseen {
    let is_known = assembled.servers.keys().any(|name| name.as_str() == agent.0);
    if request.server_of.is_some() || is_known { Unseen::Aside } else { Unseen::Refused }
}

/// The run as composition wants to know it.
fn asked_of_compose(
    (request, tier, seccomp): (&RunRequest, Tier, Profile),
    (session, agent): (&SessionId, &Agent),
    assembled: &Assembled,
    size: Option<Winsize>,
) -> compose::RunRequest {
    compose::RunRequest {
        session: session.clone(),
        agent: agent.clone(),
        argv: request.command.clone(),
        cwd: request.cwd.clone(),
        environment: request.environment.clone(),
        stdio: size.map_or(Stdio::Inherit, |size| {
            Stdio::Pty(TerminalSize { rows: size.ws_row, cols: size.ws_col })
        }),
        tier,
        seccomp,
        notify: NotifyClasses {
            read: if request.trace.is_off() { Switch::Off } else { Switch::On },
            ..ActClass::notified(&assembled.settings.unnotified)
        },
        authority: String::new(),
        stand_ins: Vec::new(),
        withheld: Vec::new(),
        own_env: request.own_env.clone(),
        changes: request.changes,
        module: None,
        library: request.library.clone(),
        tools: request.own.clone().filter(|_| request.server_of.is_none()),
        unseen: unseen(request, agent, assembled),
    }
}

/// Who signs what the world's programs see where TLS is opened; known to this session only.
fn authority(session: &SessionId, clock: &HostClock) -> Result<Arc<Authority>, RunError> {
    let name = format!("Ringfence session {session}");
    Authority::new(&name, Arc::new(clock.clone()))
        .map(Arc::new)
        .map_err(|error| RunError::step("make the session's authority")(io::Error::other(error)))
}

/// The name of the program that is run, without its directories.
fn base_name(command: &[OsString]) -> String {
    let program = command.first().map(|word| word.to_string_lossy().into_owned());
    program.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
}
