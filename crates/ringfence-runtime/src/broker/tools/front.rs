//! Clients that come over HTTP: each has a talk of its own with servers of its own, all by one session's gate and log.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringfence_core::{Agent, Gate};
use ringfence_proxy::mcp::frame::Frame;
use ringfence_proxy::mcp::headers::Repeated;
use ringfence_proxy::mcp::http::front::desk::{Desk, GENERAL};
use ringfence_proxy::mcp::http::front::guard::Guard;
use ringfence_proxy::mcp::http::front::{Busy, Door, Front, Hears, Opens, PATH};
use ringfence_proxy::mcp::http::remote::Unheard;
use ringfence_proxy::mcp::middle::{OddKind, qualified};

use super::super::RunError;
use super::super::net::allow_descriptors;
use super::ToolsRequest;
use super::decider::Decider;
use super::ears::{Ears, Mouth};
use super::history::History;
use super::metrics::Metrics;
use super::refusals::Refusals;
use super::remote::{Remotes, repeated_by};
use super::results::Results;
use super::serving::{Heard, Inline, Serving, Stopper, ToClient};
use super::started::named;
use crate::approvals::Approvals;
use crate::in_force::InForce;
use crate::notice::Notice;
use crate::servers::Server;
use crate::settings::ResultSettings;
use crate::whole_file;

/// How often it is looked whether a talk without a thread has waited for something long enough.
const CLOCK: Duration = Duration::from_millis(250);

/// How long the end of all talks is waited for: a server may take seven seconds.
const END_WAIT: Duration = Duration::from_secs(15);

/// Bytes of randomness in a token, and in the name of a client's session.
const TOKEN_BYTES: usize = 32;
const NAME_BYTES: usize = 16;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 4 * 1024;

/// Where clients come in, and who may.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Where.
    pub at: At,
    /// A file that has the token; one is made where absent.
    pub token_file: Option<PathBuf>,
    /// Pages of others that may ask as well.
    pub origins: Vec<String>,
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// An address of this host's loopback.
    Tcp(SocketAddr),
    /// A socket of this host.
    Unix(PathBuf),
}

/// What clients have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Where they are served.
    pub at: String,
    /// The file that has their token.
    pub token_file: PathBuf,
}

/// Who serves clients.
pub(super) struct Serves {
    front: Front,
    /// Hears nothing once all talks have ended.
    ended: Receiver<()>,
    made: Vec<PathBuf>,
}

/// What the talks of all clients share.
pub(super) struct Rooms {
    pub(super) gate: Gate,
    pub(super) who: (Agent, Arc<Approvals>, Arc<InForce>),
    pub(super) servers: Vec<Server>,
    pub(super) request: ToolsRequest,
    pub(super) remotes: Option<Arc<Remotes>>,
    pub(super) results: ResultSettings,
    pub(super) metrics: Arc<Metrics>,
}

impl Serves {
    /// Lets clients in.
    pub(super) fn start(listening: &Listening, rooms: Rooms) -> Result<(Serves, Ready), RunError> {
        let mut made = Vec::new();
        allow_descriptors();
        // First, so that no token is left of a start that fails.
        let (door, at, hosts) = open(&listening.at).map_err(RunError::step("listen"))?;
        if let At::Unix(path) = &listening.at {
            made.push(path.clone());
        }
        let token_file = if let Some(file) = &listening.token_file {
            file.clone()
        } else {
            let name = format!("mcp-{}.token", rooms.gate.session());
            let file = rooms.request.dirs.runtime().join(name);
            make_token(&file).map_err(RunError::step("make a token"))?;
            made.push(file.clone());
            file
        };
        let token = read_token(&token_file).map_err(|error| {
            let why = format!("`{}`: {error}", token_file.display());
            RunError::step("read the token")(io::Error::other(why))
        })?;
        let guard = Guard::new(&token, hosts, listening.origins.clone())
            .map_err(|why| RunError::step("read the token")(io::Error::other(why)))?;
        let (alive, ended) = sync_channel(0);
        let talks = Talks::default();
        let all = Arc::clone(&talks);
        rooms.who.2.on_change(move || {
            // Whoever is told may end, and is not among them then.
            let told: Vec<Stopper> = lock(&all).values().map(|it| it.stopper.clone()).collect();
            told.iter().for_each(Stopper::reloaded);
        });
        let is_inline = rooms.servers.iter().all(|server| server.file.url.is_some());
        let remotes = rooms.remotes.clone().filter(|_| is_inline);
        if remotes.is_some() {
            let clock = Arc::downgrade(&talks);
            named("clock", move || tell_time(&clock)).map_err(RunError::step("tell the time"))?;
        }
        let (repeated, clients) = (repeated_of(&rooms.servers), AtomicU32::new(0));
        let trace_differs = AtomicBool::new(false);
        let refusals = Refusals::of(&rooms.gate, None);
        let opens =
            Opening { rooms, clients, repeated, alive, talks, is_inline, trace_differs, refusals };
        let opens = Arc::new(opens);
        let front = match remotes {
            Some(remotes) => remotes.front(door, guard, opens),
            None => Front::serve(door, guard, opens),
        };
        let front = front.map_err(RunError::step("serve clients"))?;
        Ok((Serves { front, ended, made }, Ready { at, token_file }))
    }

    /// Lets nobody in any more, ends all talks and waits for that, though not for ever.
    pub(super) fn end(self) {
        drop(self.front);
        let _ = self.ended.recv_timeout(END_WAIT);
        for path in self.made {
            // Of the runtime's directory nothing outlives a login anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

struct Opening {
    rooms: Rooms,
    /// How many clients have come in.
    clients: AtomicU32,
    /// Arguments that clients repeat as headers, by what they call the tool.
    repeated: BTreeMap<String, Vec<Repeated>>,
    alive: SyncSender<()>,
    talks: Talks,
    /// No server has a process of its own.
    is_inline: bool,
    /// That headers differ from what requests say was told.
    trace_differs: AtomicBool,
    /// What was refused to whom nobody knows.
    refusals: Refusals,
}

/// The talks that go on, by the addresses of their desks.
type Talks = Arc<Mutex<HashMap<usize, Talk>>>;

/// A talk that goes on.
struct Talk {
    stopper: Stopper,
    /// Where it has no thread of its own.
    inline: Option<Arc<Inline>>,
}

fn lock(talks: &Mutex<HashMap<usize, Talk>>) -> MutexGuard<'_, HashMap<usize, Talk>> {
    talks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells talks without threads of their own that time has passed, for as long as there is somebody to open any.
fn tell_time(talks: &Weak<Mutex<HashMap<usize, Talk>>>) {
    while let Some(talks) = talks.upgrade() {
        let all: Vec<Arc<Inline>> =
            lock(&talks).values().filter_map(|it| it.inline.clone()).collect();
        drop(talks);
        all.iter().for_each(Inline::carry_on);
        std::thread::sleep(CLOCK);
    }
}

impl Opens for Opening {
    fn name(&self) -> io::Result<String> {
        random::<NAME_BYTES>()
    }

    fn metrics(&self) -> String {
        self.rooms.metrics.text(lock(&self.talks).len())
    }

    fn trace_differs(&self) {
        if self.trace_differs.swap(true, Ordering::Relaxed) {
            return;
        }
        let what = "mcp: a client's header `traceparent` is not what its request says in `_meta`, which counts";
        // Where nobody reads it, the request counts all the same.
        let _ = writeln!(io::stderr().lock(), "{}", Notice::new(what.to_owned()));
    }

    fn refused(&self, kind: OddKind, what: &str) {
        self.refusals.tell(kind, what);
    }

    fn repeated(&self, tool: &str) -> Vec<Repeated> {
        self.repeated.get(tool).cloned().unwrap_or_default()
    }

    fn open(&self, desk: Arc<Desk>) -> Result<Box<dyn Hears>, String> {
        let Rooms { gate, who, servers, request, remotes, results, metrics } = &self.rooms;
        let mut decider = Decider::new(gate, who.clone(), (servers.clone(), request));
        let client = self.clients.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        decider.client = Some(client);
        let refusals = Refusals::of(gate, Some(client));
        let ears = Ears::new().map_err(|error| error.to_string())?;
        let (mouth, to) = (ears.mouth(), Arc::clone(&desk));
        let tells = Box::new(move |stream, text| match stream {
            GENERAL => to.give(text),
            stream => {
                to.give_alone(stream, text);
                Ok(())
            }
        });
        let all = (servers.clone(), request, remotes.as_deref());
        let decides = (decider, Results::new(results, Arc::clone(metrics), &History::new(results)));
        let serving = Serving::open(decides, all, ears, ToClient::Elsewhere(tells))
            .map_err(|error| error.to_string())?;
        let (stopper, alive) = (serving.stopper(), self.alive.clone());
        let (talks, number) = (Arc::clone(&self.talks), Arc::as_ptr(&desk).addr());
        lock(&talks).insert(number, Talk { stopper: stopper.clone(), inline: None });
        let all = Arc::clone(&talks);
        let then = move || {
            lock(&all).remove(&number);
            desk.close();
            drop(alive);
        };
        if self.is_inline {
            let inline = Inline::new(serving, Box::new(then));
            if let Some(talk) = lock(&talks).get_mut(&number) {
                talk.inline = Some(inline);
            }
            return Ok(Box::new(Room { mouth, stopper, refusals }));
        }
        let talk = move || {
            serving.until_the_end(&mut |notice| {
                // Where nobody reads it, the talk goes on all the same.
                let _ = writeln!(io::stderr().lock(), "{notice}");
            });
            then();
        };
        named("client", talk).map_err(|error| error.to_string())?;
        Ok(Box::new(Room { mouth, stopper, refusals }))
    }
}

/// The talk of one client.
struct Room {
    mouth: Mouth,
    stopper: Stopper,
    refusals: Refusals,
}

impl Hears for Room {
    fn refused(&self, kind: OddKind, what: &str) {
        self.refusals.tell(kind, what);
    }

    fn hear(&self, stream: u64, frame: Frame) -> Result<(), Unheard<Frame>> {
        let said = self.mouth.try_say(Heard::Request(stream, frame));
        said.map_err(|error| match error {
            TrySendError::Full(Heard::Request(_, frame)) => Unheard::Full(frame),
            TrySendError::Full(
                Heard::Client(_)
                | Heard::Closed(_)
                | Heard::Server(..)
                | Heard::Answer(..)
                | Heard::Forgot(..)
                | Heard::Decided(..)
                | Heard::Tell(_)
                | Heard::Reloaded
                | Heard::Stop,
            )
            | TrySendError::Disconnected(_) => Unheard::Gone,
        })
    }

    fn closed(&self, stream: u64) -> Result<(), Busy> {
        match self.mouth.try_say(Heard::Closed(stream)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Busy),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

fn repeated_of(servers: &[Server]) -> BTreeMap<String, Vec<Repeated>> {
    let is_merged = servers.len() > 1;
    let all = servers.iter().flat_map(|server| {
        repeated_by(server).into_iter().map(move |(tool, repeated)| {
            let called = if is_merged { qualified(&server.name.to_string(), &tool) } else { tool };
            (called, repeated)
        })
    });
    all.collect()
}

/// The door, where it is for a client, and what clients call this host.
fn open(at: &At) -> io::Result<(Door, String, Vec<String>)> {
    match at {
        At::Tcp(address) if !address.ip().is_loopback() => {
            let why =
                format!("`{address}` is no address of the loopback: tokens would go unencrypted");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
        At::Tcp(address) => {
            let listener =
                TcpListener::bind(address).map_err(|error| in_use(&error, &address.to_string()))?;
            let address = listener.local_addr()?;
            let port = address.port();
            let mut hosts = vec![address.to_string(), format!("localhost:{port}")];
            if port == 80 {
                hosts.extend([address.ip().to_string(), "localhost".to_owned()]);
            }
            Ok((Door::Tcp(listener), format!("http://{address}{PATH}"), hosts))
        }
        At::Unix(path) => {
            let listener = UnixListener::bind(path)
                .map_err(|error| in_use(&error, &path.display().to_string()))?;
            // Who may write to the directory could have asked in between, and has no token.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok((Door::Unix(listener), path.display().to_string(), vec!["localhost".to_owned()]))
        }
    }
}

/// An error of listening, with where that was to be and what helps.
fn in_use(error: &io::Error, at: &str) -> io::Error {
    let what = match (error.kind(), at.starts_with('/')) {
        (io::ErrorKind::AddrInUse, true) => format!(
            "`{at}` is there already: remove it if nobody listens there any more, or name another with `--listen`"
        ),
        (io::ErrorKind::AddrInUse, false) => format!(
            "`{at}` is in use: name another port with `--listen`, or 0 for one that is free"
        ),
        (_, _) => format!("`{at}`: {error}"),
    };
    io::Error::new(error.kind(), what)
}

fn make_token(file: &Path) -> io::Result<()> {
    let token = random::<TOKEN_BYTES>()? + "\n";
    whole_file::replace(file, token.as_bytes(), 0o600).map_err(io::Error::other)
}

/// The token in a file that nobody else may read.
fn read_token(file: &Path) -> io::Result<String> {
    let found = std::fs::symlink_metadata(file)?;
    if !found.is_file() || found.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read it: `chmod 600` it"));
    }
    if found.len() > TOKEN_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }
    std::fs::read_to_string(file).map(|text| text.trim().to_owned())
}

fn random<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
