//! A session of tool calls: a client of MCP on one side, servers on the other, each of them in a world of its
//! own, and every call decided in between.
//!
//! The session has no world: what its agent does besides calling tools is another session's. It has a policy,
//! a gate and a log like any other, and is found, granted to, reloaded and ended like any other.

mod calls;
mod control;
mod decider;
mod ears;
mod front;
mod history;
mod kept_back;
pub mod login;
mod look;
mod looking;
mod metrics;
mod mismatch;
mod needs;
mod paths;
mod questions;
mod recordable;
mod refusals;
mod relayed;
mod remote;
mod results;
mod said;
mod serving;
mod started;
mod tasks;
mod voice;

use std::ffi::OsString;
use std::num::NonZeroI32;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_core::{
    AbsolutePath, Agent, Clock as _, Durability, Event, Gate, ServerName, SessionId,
};
use ringfence_core::{Summary, Trace};
use ringfence_sandbox::signals::Signals;
use ringfence_sandbox::world::Tier;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use super::RunError;
use super::opening::{self, Opened};
use crate::advice::Lasts;
use crate::approvals::Approvals;
use crate::assemble::{Assembled, Inputs, assemble};
use crate::clock::HostClock;
use crate::environment::Environment;
use crate::in_force::InForce;
use crate::notice::Notice;
use crate::pty::RELAYED_SIGNALS;
use crate::registration::{self, Description};
use crate::servers::Server;
use crate::state::StateDirs;
use crate::tally::Totals;
pub use front::{At, Listening, Ready};
pub use look::{LookError, LookFailed, tools as look_at};
pub use questions::{Answers, Ask};
pub use relayed::{Answered, OWN_PROGRAM, TOOLS_SOCKET, TOOLS_VARIABLE, Wanted};
pub(super) use relayed::{Clients, Open};
pub use serving::ENDED_EARLY;
pub use started::{LastWords, SERVER_ENV};

use control::Seat;
use decider::Decider;
use front::{Rooms, Serves};
use history::History;
use metrics::Metrics;
use questions::{Questions, approvals, asked_here, waits};
use remote::Remotes;
use results::Results;
use serving::{Client, Heard, Serving, Stopper};
use started::named;

/// Whose tools are called by whom.
#[derive(Debug, Clone)]
pub struct ToolsRequest {
    /// Where the files are.
    pub dirs: StateDirs,
    /// The environment it is asked for in.
    pub environment: Environment,
    /// The working directory, of the servers as well.
    pub cwd: PathBuf,
    /// Files that stand in for the user's and the project's policy.
    pub overrides: Vec<PathBuf>,
    /// The agent's name.
    pub agent: String,
    /// Which servers; all that there are where empty.
    pub servers: Vec<ServerName>,
    /// The command that starts a program in a world of its own, for what comes behind it.
    pub run: Vec<OsString>,
    /// Whether the sessions of its servers, and its own, go on after what is denied in them.
    pub lasts: Lasts,
    /// Which command of `ringfence mcp` wants it.
    pub called: &'static str,
    /// What keeps what its servers print; it is passed on where there is nothing.
    pub printed: Option<LastWords>,
}

/// What is said at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolsClosing {
    /// The session.
    pub session: SessionId,
    /// Calls permitted, and what they needed.
    pub permitted: u64,
    /// Denied.
    pub denied: u64,
    /// Questions.
    pub asked: u64,
    /// Permitted calls that failed.
    pub failed: u64,
    /// Entries in the log.
    pub entries: u64,
}

/// Serves one client until it has nothing more to say. To be called while the process has one thread.
pub fn run(
    request: &ToolsRequest,
    (from, to): (BorrowedFd<'_>, BorrowedFd<'_>),
    tell: &mut dyn FnMut(&Notice),
) -> Result<ToolsClosing, RunError> {
    let session = Session::begin(request, Questions::Elsewhere, tell)?;
    serve_one(session, request, (from, to), tell)
}

/// The same for a client that is a part of this process: `client` speaks on its end of a socket, and is over when it
/// drops that. What a rule asks about is asked by `ask`, and denied at once where there is nobody.
pub fn run_for(
    request: &ToolsRequest,
    (client, ask): (impl FnOnce(UnixStream) + Send + 'static, Option<Ask>),
    tell: &mut dyn FnMut(&Notice),
) -> Result<ToolsClosing, RunError> {
    let questions = if ask.is_some() { Questions::Elsewhere } else { Questions::Nowhere };
    let session = Session { ask, ..Session::begin(request, questions, tell)? };
    let failed = || RunError::step("speak to the client");
    let (own, its) = UnixStream::pair().map_err(failed())?;
    named("client", move || client(its)).map_err(failed())?;
    serve_one(session, request, (own.as_fd(), own.as_fd()), tell)
}

fn serve_one(
    session: Session,
    request: &ToolsRequest,
    (from, to): (BorrowedFd<'_>, BorrowedFd<'_>),
    tell: &mut dyn FnMut(&Notice),
) -> Result<ToolsClosing, RunError> {
    let serving = match session.serving(request, (from, to)) {
        Ok(serving) => serving,
        Err(error) => return Err(session.failed(error)),
    };
    let told = serving.stopper();
    session.who.2.on_change(move || told.reloaded());
    let client = rustix::process::getppid().map(rustix::process::Pid::as_raw_nonzero);
    let ending = session.obey(request, serving.stopper(), client.map(NonZeroI32::get))?;
    serving.until_the_end(tell);
    ending.close(tell)
}

/// Serves all clients that come in, until it is ended. To be called while the process has one thread.
pub fn serve(
    request: &ToolsRequest,
    listening: &Listening,
    ready: &mut dyn FnMut(&Ready),
    tell: &mut dyn FnMut(&Notice),
) -> Result<ToolsClosing, RunError> {
    let session = Session::begin(request, Questions::Elsewhere, tell)?;
    let (stopper, mut heard) = Stopper::alone().map_err(RunError::step("wait for the end"))?;
    let rooms = Rooms {
        gate: session.opened.gate.clone(),
        who: session.who.clone(),
        servers: session.servers.clone(),
        request: request.clone(),
        remotes: session.remotes.clone(),
        results: session.assembled.settings.results.clone(),
        metrics: Arc::new(Metrics::of(&session.servers)),
    };
    let ending = session.obey(request, stopper, None)?;
    let (serves, told) = match Serves::start(listening, rooms) {
        Ok(started) => started,
        Err(error) => {
            ending.close(tell)?;
            return Err(error);
        }
    };
    ready(&told);
    // Nothing else is heard here but what is told, and the end.
    while let Ok(Heard::Tell(notice)) = heard.next(None) {
        tell(&notice);
    }
    serves.end();
    ending.close(tell)
}

/// A session of tool calls that has begun.
struct Session {
    signals: Signals,
    assembled: Assembled,
    servers: Vec<Server>,
    opened: Opened,
    who: (Agent, Arc<Approvals>, Arc<InForce>),
    remotes: Option<Arc<Remotes>>,
    registered: registration::Registered,
    line: UnixListener,
    description: Description,
    /// Asks here what is otherwise asked elsewhere.
    ask: Option<Ask>,
}

/// The same while it is found by others.
struct Ending {
    opened: Opened,
    remotes: Option<Arc<Remotes>>,
    registered: registration::Registered,
}

impl Session {
    fn begin(
        request: &ToolsRequest,
        questions: Questions,
        tell: &mut dyn FnMut(&Notice),
    ) -> Result<Session, RunError> {
        request.dirs.create()?;
        let signals = Signals::block(&RELAYED_SIGNALS).map_err(RunError::step("block signals"))?;
        let session = opening::new_session_id()?;
        let assembled = assemble(Inputs {
            dirs: &request.dirs,
            cwd: &request.cwd,
            session: &session,
            overrides: &request.overrides,
            now_ms: HostClock::utc().now_ms(),
        })?;
        assembled.notices.iter().for_each(&mut *tell);
        let servers = chosen(&assembled, &request.servers)?;
        if servers.is_empty() {
            let notice =
                Notice::new("no server of tools is there: whoever asks is told of no tool");
            tell(&notice.hint("to add one, run `ringfence mcp add NAME -- COMMAND`"));
        }
        let (clock, notice) = HostClock::new(assembled.settings.time_zone.as_deref())?;
        notice.iter().for_each(&mut *tell);
        let ready = opening::make_ready(&request.dirs, &session, &assembled, clock)?;
        let agent = Agent(request.agent.clone());
        let first = |zone: &str| first_entry(request, (&session, Of::Client), &assembled, zone);
        let opened = opening::open(ready, (&session, &assembled), first)?;
        let description = description(request, &opened);
        let begin = |opened: &Opened| {
            let registered = registration::register(request.dirs.runtime(), &description)?;
            let approvals = Arc::new(approvals(opened, &assembled, questions)?);
            let remotes = Remotes::of(&servers, request, around(opened, &assembled, &approvals))?;
            Ok((registered, approvals, remotes))
        };
        let begun = begin(&opened);
        let (opened, ((registered, line), approvals, remotes)) = or_closed(opened, begun)?;
        let in_force = Arc::new(InForce::new(&assembled, agent.clone()));
        let who = (agent, approvals, in_force);
        Ok(Session {
            signals,
            assembled,
            servers,
            opened,
            who,
            remotes,
            registered,
            line,
            description,
            ask: None,
        })
    }

    /// Starts the talk with one client.
    fn serving(
        &self,
        request: &ToolsRequest,
        (from, to): (BorrowedFd<'_>, BorrowedFd<'_>),
    ) -> Result<Serving, RunError> {
        let Session { opened, servers, who, remotes, .. } = self;
        let decider = Decider::new(&opened.gate, who.clone(), (servers.clone(), request));
        let all = (servers.clone(), request, remotes.as_deref());
        let metrics = Arc::new(Metrics::of(servers));
        let settings = &self.assembled.settings.results;
        let results = Results::new(settings, metrics, &History::new(settings));
        let own = |stream| ears::own(stream).map_err(RunError::step("speak to the client"));
        let client = Client { from: own(from)?, read: Vec::new(), to: own(to)? };
        Serving::start((decider, results), all, client)
    }

    /// Ends one that came to nothing, in order; why it did.
    fn failed(self, error: RunError) -> RunError {
        self.remotes.iter().for_each(|it| drop(it.end()));
        drop(self.registered);
        closed_for(self.opened, error)
    }

    /// From here on others can answer its questions, grant to it, reload it and end it; but `client`, who is
    /// governed by it, answers none.
    fn obey(
        self,
        request: &ToolsRequest,
        stopper: Stopper,
        client: Option<i32>,
    ) -> Result<Ending, RunError> {
        let Session { signals, assembled, opened, who, remotes, registered, line, ask, .. } = self;
        mind(signals, stopper.clone()).map_err(RunError::step("watch for signals"))?;
        let ends = stopper.clone();
        opened.tally.on_failure(move || ends.stop());
        let (told, session) = (stopper.clone(), opened.session.clone());
        who.1.tell_with(match ask {
            Some(ask) => asked_here(&who.1, ask),
            None => Box::new(move |index, text| told.tell(waits(&session, index, text))),
        });
        let ends = (stopper, remotes.clone());
        let of = (request, self.description, client);
        Seat::new(of, &opened, (assembled, who), ends).obey(line);
        Ok(Ending { opened, remotes, registered })
    }
}

impl Ending {
    fn close(self, tell: &mut dyn FnMut(&Notice)) -> Result<ToolsClosing, RunError> {
        self.remotes.iter().flat_map(|it| it.end()).for_each(|notice| tell(&notice));
        drop(self.registered);
        close(self.opened, 0)
    }
}

/// What servers behind addresses need of a session.
fn around<'a>(
    opened: &'a Opened,
    assembled: &'a Assembled,
    approvals: &'a Arc<Approvals>,
) -> (&'a Gate, &'a Path, &'a Arc<Approvals>) {
    (&opened.gate, &assembled.project.dir, approvals)
}

/// The servers that are named, or all; one that nobody knows is no session.
fn chosen(assembled: &Assembled, named: &[ServerName]) -> Result<Vec<Server>, RunError> {
    let all = assembled.served();
    let one = |name: &ServerName| {
        let found = all.iter().find(|server| server.name == *name).cloned();
        found.ok_or_else(|| RunError::NoServer { name: name.clone() })
    };
    let chosen: Vec<Server> = match named {
        [] => all,
        named => named.iter().map(one).collect::<Result<_, _>>()?,
    };
    match chosen.iter().map(Server::is_left_out).collect::<Option<Vec<_>>>().as_deref() {
        // Nothing of it is there.
        Some([why, ..]) => Err(RunError::ServerLeftOut { why: (*why).to_owned() }),
        Some([]) | None => Ok(chosen),
    }
}

/// Whose a session of tool calls is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A client's.
    Client,
    /// A server's, which is asked about itself.
    Server,
}

fn first_entry(
    request: &ToolsRequest,
    (session, of): (&SessionId, Of),
    assembled: &Assembled,
    zone: &str,
) -> Event {
    Event::SessionOpened {
        session: session.clone(),
        agent: request.agent.clone(),
        command: command(request),
        cwd: cwd(request),
        uid: rustix::process::getuid().as_raw(),
        time_zone: zone.to_owned(),
        policy: assembled.digests.clone(),
        plan_sha256: String::new(),
        layers: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trace: Trace::default(),
        warm: false,
        server: of == Of::Server,
        starts_in: None,
    }
}

/// What the session is, as a command line.
fn command(request: &ToolsRequest) -> Vec<String> {
    let words = ["ringfence", "mcp", request.called].into_iter().map(str::to_owned);
    words.chain(request.servers.iter().map(ToString::to_string)).collect()
}

fn cwd(request: &ToolsRequest) -> AbsolutePath {
    AbsolutePath::parse(&request.cwd.to_string_lossy()).unwrap_or_else(|_| AbsolutePath::root())
}

fn description(request: &ToolsRequest, opened: &Opened) -> Description {
    Description {
        session: opened.session.clone(),
        agent: request.agent.clone(),
        command: command(request),
        cwd: cwd(request),
        broker_pid: std::process::id(),
        started_ms: opened.started_ms,
        // It has no world: what is granted to it holds at once, as where files are mounted.
        tier: Tier::default().to_string(),
        server: false,
    }
}

/// How a session ends that came to nothing, as exit codes have it.
const COULD_NOT: i32 = 2;

/// What the session goes on with; where that failed it is closed, so that it is not taken for one that was lost.
fn or_closed<T>(opened: Opened, begun: Result<T, RunError>) -> Result<(Opened, T), RunError> {
    match begun {
        Ok(begun) => Ok((opened, begun)),
        Err(error) => Err(closed_for(opened, error)),
    }
}

/// Closes a session that came to nothing; why it did, or why its log could not be closed.
fn closed_for(opened: Opened, error: RunError) -> RunError {
    close(opened, COULD_NOT).err().unwrap_or(error)
}

/// Records the end, and waits until all of it is on the disk.
fn close(opened: Opened, exit_code: i32) -> Result<ToolsClosing, RunError> {
    let Totals { permitted, denied, asked, failed, files_changed, .. } = opened.tally.totals();
    let summary = Summary { permitted, denied, asked, failed, files_changed, exit_code };
    opened.gate.stop();
    // A failure is reported by the close below, with its reason.
    let _ = opened.gate.note(Event::SessionClosed { summary }, Durability::Soon);
    let (tally, session) = (Arc::clone(&opened.tally), opened.session.clone());
    let failure = tally.failure().map(str::to_owned);
    let closed = opened.close_here();
    if let Some(reason) = failure {
        return Err(RunError::LogFailed { reason });
    }
    closed?;
    let entries = tally.totals().entries;
    Ok(ToolsClosing { session, permitted, denied, asked, failed, entries })
}

/// A signal ends the session in order.
fn mind(signals: Signals, stopper: Stopper) -> std::io::Result<()> {
    named("signals", move || {
        loop {
            let ready = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
            let ends = matches!(signals.next_pending(), Ok(Some(1 | 2 | 3 | 15)));
            if ends || ready.is_err_and(|error| error != rustix::io::Errno::INTR) {
                stopper.stop();
                return;
            }
        }
    })
}
