//! A session while it runs, and its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ringfence_core::{AbsolutePath, Agent, Durability, Event, Gate, Summary};
use ringfence_proxy::net::{Entrances, NetGate};
use ringfence_sandbox::aside::Aside;
use ringfence_sandbox::notify::{Confinement, Lead, Line, Listener, Members};
use ringfence_sandbox::signals::Signals;
use ringfence_sandbox::world::{Happening, Tier, World};
use ringfence_secrets::Held;

use super::caller;
use super::covered::Covered;
use super::ended::{code, held_back, not_started, waits};
use super::leading::lead;
use super::live::{Changing, Live};
use super::net::{Outside, entrances, open_net_gate};
use super::not_started::Wanted;
use super::opening::{self, Opened};
use super::signing;
use super::tools::Open;
use super::watching::{watch_exits, watch_processes};
use super::why::Why;
use super::{Closing, RunError, RunRequest};
use crate::advice::Advice;
use crate::approvals::Approvals;
use crate::assemble::Assembled;
use crate::bounds::{Bounds, Limited, Looking};
use crate::compose::{Asked, Composition};
use crate::denials::{Denials, Helps};
use crate::in_force::InForce;
use crate::module::ModuleEnd;
use crate::ports::{self, Claims, Closed, Parents, Ports, PrivatePlaces};
use crate::processes::Processes;
use crate::pty::{Pipes, Relay, RelayParts};
use crate::quarantine::{After, Finished};
use crate::registration::{self, Description, Registered};
use crate::settings::Settings;
use crate::state::StateDirs;
use crate::tally::Totals;
use crate::users;

/// Directories of the kernel's that are the world's own: nothing is ever granted beneath them.
const WORLD_ONLY: [&str; 2] = ["/dev", "/proc"];

/// What a started world leaves to the broker's threads.
pub(super) struct Taken {
    /// Absent where the settings leave every class of acts undecided.
    notify: Option<Line>,
    confinement: Confinement,
    unix_diag: Option<OwnedFd>,
    pty: Option<OwnedFd>,
    entrances: Entrances,
    lead: Option<Lead>,
    signals: Signals,
    stops: Option<Signals>,
    pipes: Pipes,
    bounds: Bounds,
    module: ModuleEnd,
}

/// What a session is started from.
pub(super) struct Start<'a> {
    pub(super) request: &'a RunRequest,
    pub(super) agent: Agent,
    pub(super) assembled: Assembled,
    pub(super) in_force: Arc<InForce>,
    pub(super) composed: Composition,
    pub(super) opened: Opened,
    pub(super) world: World,
    pub(super) taken: Taken,
    pub(super) network: Outside,
}

/// A session that runs.
pub(super) struct Running {
    world: Arc<World>,
    gate: Gate,
    net: NetGate,
    processes: Processes,
    relay: Relay,
    registered: Registered,
    opened: Opened,
    after: After,
    wanted: Wanted,
    denials: Arc<Denials>,
    held: Arc<Held>,
    looking: Looking,
    why: Why,
    /// Talks of the world's programs with servers of tools.
    clients: Option<Arc<Open>>,
}

impl Taken {
    /// Takes out of the world what threads will own.
    pub(super) fn from(
        world: &mut World,
        (signals, stops, pipes): (Signals, Option<Signals>, Pipes),
        (bounds, module, proxy_port): (Bounds, ModuleEnd, u16),
    ) -> Result<Taken, RunError> {
        let step = "take over the world";
        let network = &world.network;
        let entrances = entrances(network, proxy_port).map_err(RunError::step(step))?;
        let diagnosis = network.unix_diag.as_ref().map(OwnedFd::try_clone);
        Ok(Taken {
            notify: world.notify.take(),
            confinement: std::mem::take(&mut world.confinement),
            unix_diag: diagnosis.transpose().map_err(RunError::step(step))?,
            pty: world.pty.take(),
            lead: lead(network, entrances.claims.as_ref()).map_err(RunError::step(step))?,
            entrances,
            signals,
            stops,
            pipes,
            bounds,
            module,
        })
    }
}

/// What is not to be written, with what other sessions say of it.
fn closed(composed: &Composition, dirs: &StateDirs, opened: &Opened) -> Closed {
    let claims = Claims::of(dirs.made(), &opened.session, Arc::clone(&opened.clock) as _);
    Closed::of(composed, claims, opened.started_ms)
}

impl Running {
    /// Starts everything that serves the world; the payload goes on with the first answer.
    pub(super) fn start(start: Start<'_>) -> Result<Running, RunError> {
        let Start { request, agent, assembled, in_force, .. } = start;
        let Start { mut composed, opened, world, taken, network, .. } = start;
        let (gate, world) = (opened.gate.clone(), ended_with_log(&opened, world));
        let relay = relay(&world, taken.signals, taken.pty, taken.pipes)?;
        let approvals = approvals(&gate, &relay, &assembled.settings, world.init_pid);
        let places = (request.dirs.home(), assembled.project.dir.as_path());
        let denials = denials((&composed, world.tier), places, (&in_force, &gate), request)?;
        let private = Arc::new(PrivatePlaces::of(&composed));
        let why = Why::of((request, places.1), &composed, (&in_force, &agent, &gate));
        let processes = watch_processes(&gate, &why, &assembled.settings.limits)?;
        let (description, registered, control) = register((request, &world), &agent, &opened)?;
        let session = (&gate, &agent, &approvals, &denials);
        let of = (request, &assembled, &in_force);
        let agents = signing::serve(&mut composed, of, session, world.init_pid)?;
        let network = (request, network, &assembled.settings);
        let (net, held) = open_net_gate(network, taken.entrances, session, &world)?;
        Arc::new(Live {
            dirs: request.dirs.clone(),
            cwd: request.cwd.clone(),
            overrides: request.overrides.clone(),
            session: opened.session.clone(),
            agent: agent.clone(),
            gate: gate.clone(),
            clock: Arc::clone(&opened.clock),
            in_force: Arc::clone(&in_force),
            approvals: Arc::clone(&approvals),
            tally: Arc::clone(&opened.tally),
            description,
            world: Arc::downgrade(&world),
            private: Arc::clone(&private),
            opened: composed.after.opened(),
            net: net.ender(),
            changing: Mutex::new(Changing::from_start(&assembled, &composed.planned.plan)),
        })
        .obey(control);
        let ports = Arc::new(Ports {
            gate: gate.clone(),
            agent,
            in_force,
            approvals,
            denials: Arc::clone(&denials),
            watch: processes.watch(),
            exits: watch_exits(taken.stops, &processes)?,
            parents: Parents::default(),
            agents: agents.arrivals,
            ahead: net.ahead(),
            private,
            names: std::mem::take(&mut composed.private.names),
            closed: closed(&composed, &request.dirs, &opened),
            module: taken.module.start(&composed.spec.cwd),
        });
        let looking = taken.bounds.look(&world, &gate)?;
        let heard = (taken.notify, taken.confinement, taken.unix_diag, taken.lead);
        listen(&ports, &world, std::mem::take(&mut composed.planned.asked), heard)?;
        Ok(Running {
            world,
            gate,
            net,
            processes,
            relay,
            registered,
            opened,
            wanted: Wanted::of(request, &composed.spec, taken.module),
            after: composed.after,
            denials,
            held,
            looking,
            why,
            clients: agents.clients,
        })
    }

    /// Ends the world when the caller at the other end of `line` is gone.
    pub(super) fn end_without(&self, line: OwnedFd) -> Result<(), RunError> {
        caller::end_without(line, self.gate.clone(), Arc::downgrade(&self.world))
            .map_err(RunError::step("watch who asked for the session"))
    }

    /// Waits for the payload's end and brings everything to its own.
    pub(super) fn until_the_end(self, sealer: Aside) -> Result<Closing, RunError> {
        let (world, relay) = (&self.world, &self.relay);
        let advisory = world.tier.is_advisory();
        let mut covered = Covered::new(self.gate.clone());
        let ended = world.wait(&mut |what| match what {
            Happening::Stopped => relay.suspend(),
            Happening::Covered(place) => covered.add(place),
        });
        // What was called is answered, or recorded as not, while the log is open.
        self.clients.iter().for_each(|clients| clients.end_all());
        self.gate.stop();
        self.world.kill();
        self.net.stop();
        // Nothing more is asked for from here on.
        let kept = super::held::end(&self.held);
        let too_large = self.processes.finish();
        self.relay.finish();
        drop(self.registered);
        // The last one who holds it: the mount helper takes away what it made.
        drop(self.world);
        let Limited { ended: limit, refused } = self.looking.finish();
        let limit = limit.or_else(|| self.wanted.module.limit(&self.gate));
        let exit_code = code(&ended, limit.as_ref());
        let Finished { quarantined, taken_back, mut notices, review } = self.after.finish();
        notices.extend(covered.notices().into_iter().chain(kept));
        notices.extend([refused, too_large, limit].into_iter().flatten());
        let Totals { permitted, denied, asked, failed, files_changed, .. } =
            self.opened.tally.totals();
        let summary = Summary { permitted, denied, asked, failed, files_changed, exit_code };
        let mut last: Vec<_> = taken_back.into_iter().map(Event::TakenBack).collect();
        last.extend(held_back(&quarantined));
        last.extend(review.map(|changes| waits(&self.opened.session, changes)));
        last.push(Event::SessionClosed { summary });
        for event in last {
            // A failure is reported by the close below, with its reason.
            let _ = self.gate.note(event, Durability::Soon);
        }
        let tally = Arc::clone(&self.opened.tally);
        let session = self.opened.session.clone();
        // Asked before: what comes too late for the log is denied, and no failure of it.
        let failure = tally.failure().map(str::to_owned);
        let closed = self.opened.close(sealer);
        if let Some(reason) = failure {
            return Err(RunError::LogFailed { reason });
        }
        closed?;
        let so_far = self.denials.so_far();
        let not_started = not_started(&ended?, &self.wanted, so_far.first.as_ref());
        let hints = so_far.hints(&session);
        let entries = tally.totals().entries;
        Ok(Closing {
            session,
            advisory,
            permitted,
            denied,
            asked,
            failed,
            files_changed,
            entries,
            denied_reads: self.why.denied(),
            denied_writes: self.why.not_changed(&so_far.changes),
            quarantined,
            review,
            notices,
            hints,
            not_started,
            exit_code,
        })
    }
}

/// Lets other commands find the session.
fn register(
    (request, world): (&RunRequest, &World),
    agent: &Agent,
    opened: &Opened,
) -> Result<(Description, Registered, UnixListener), RunError> {
    let description = opening::description((request, world.tier), agent, opened);
    let (registered, control) = registration::register(request.dirs.runtime(), &description)?;
    Ok((description, registered, control))
}

/// Who answers on the terminal is the person who started it.
fn approvals(gate: &Gate, relay: &Relay, settings: &Settings, init_pid: i32) -> Arc<Approvals> {
    let approver = (users::own_name(), settings.roles.iter().cloned().collect());
    Arc::new(Approvals::new(gate.clone(), relay.asker(), Members::below(init_pid), approver))
}

/// A log that cannot be written ends the world: nothing goes on unrecorded.
fn ended_with_log(opened: &Opened, world: World) -> Arc<World> {
    let world = Arc::new(world);
    let same = Arc::downgrade(&world);
    opened.tally.on_failure(move || {
        if let Some(world) = same.upgrade() {
            world.kill();
        }
    });
    world
}

fn relay(
    world: &Arc<World>,
    signals: Signals,
    pty: Option<OwnedFd>,
    pipes: Pipes,
) -> Result<Relay, RunError> {
    let (world, same) = (Arc::downgrade(world), Arc::downgrade(world));
    let end = Box::new(move || {
        if let Some(world) = same.upgrade() {
            world.kill();
        }
    });
    let signal = Box::new(move |number| {
        if let Some(world) = world.upgrade() {
            // Gone already is as good as told.
            let _ = world.signal(number);
        }
    });
    Relay::start(RelayParts { signals, pty, pipes, signal, end })
        .map_err(RunError::step("open the terminal"))
}

/// Denials go to the world's file, with the grant that helps by the policy of that moment.
fn denials(
    (composed, tier): (&Composition, Tier),
    (home, project): (&Path, &Path),
    (in_force, gate): (&Arc<InForce>, &Gate),
    request: &RunRequest,
) -> Result<Arc<Denials>, RunError> {
    let file = File::options()
        .append(true)
        .open(&composed.denials)
        .map_err(RunError::step("open the file of denials"))?;
    let (in_force, gate) = (Arc::clone(in_force), gate.clone());
    let (home, project) = (home.to_owned(), project.to_owned());
    let (server, overrides, lasts) = (request.server(), request.overrides.clone(), request.lasts);
    let suggest = Box::new(move |request: &_| {
        let grant = in_force.smallest_grant(request, &gate.facts_now())?;
        let places = (home.as_path(), project.as_path());
        let to = |advice: Advice| advice.to_server(server.as_ref(), (&grant, &overrides));
        let outside = to(Advice::in_tier(tier, &grant, places));
        Some(Helps { outside, inside: to(Advice::inside(tier, &grant, places)) })
    });
    Ok(Arc::new(Denials::new(suggest, Some(file), lasts)))
}

/// Serves the world's acts; without anybody who decides there is no world.
fn listen(
    ports: &Arc<Ports>,
    world: &Arc<World>,
    asked: Asked,
    (notify, confinement, unix_diag, lead): (
        Option<Line>,
        Confinement,
        Option<OwnedFd>,
        Option<Lead>,
    ),
) -> Result<(), RunError> {
    let Some(notify) = notify else { return Ok(()) };
    let kernel_places = WORLD_ONLY.iter().filter_map(|path| AbsolutePath::parse(path).ok());
    let listener = Listener::new(notify, unix_diag, kernel_places.collect(), confinement)?;
    if let Some(lead) = lead {
        listener.lead_tcp(lead);
    }
    if let Some(stillness) = &world.stillness {
        listener.stand_still_with(Arc::clone(stillness));
    }
    super::asked::open(&listener, world, asked)?;
    let world = Arc::downgrade(world);
    let broken = move |_| {
        if let Some(world) = world.upgrade() {
            world.kill();
        }
    };
    ports::serve(ports, listener, broken).map_err(RunError::step("serve the world"))
}
