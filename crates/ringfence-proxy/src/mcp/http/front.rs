//! Streamable HTTP towards clients: who may ask is checked here, and each client has a session of its own, or, with
//! MCP 2026-07-28, none: then its requests stand for themselves.
//!
//! What a session is comes from [`Opens`]; here are its name, its streams and its end.

mod alone;
pub mod desk;
pub mod guard;
mod messages;
mod newcomers;
mod refusal;
mod reply;
mod sessions;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::super::frame::Frame;
use super::super::headers::Repeated;
use super::super::middle::OddKind;
use super::carriers::Carriers;
use super::remote::Unheard;
use crate::net::{WAITS_MAX, awake};
use desk::Desk;
use guard::{Guard, Refused};
use newcomers::{Ended, Known, Newcomers};
use refusal::Refusal;
use reply::{Reply, metrics, plain};
use sessions::Sessions;

/// Most connections at a time. One more takes the place of the oldest over which nobody has shown the token; where all
/// have it waits until another ends.
pub const CONNECTIONS_MAX: usize = 1_024;
/// How long a client that came in may take to show the token, in seconds.
const FIRST_SECONDS_MAX: u64 = 5;
/// How long a client may take to send the head of a request, also between two, in seconds.
const HEAD_SECONDS_MAX: u64 = 60;
/// How long it may take to send the body, in seconds.
const BODY_SECONDS_MAX: u64 = 30;
/// Largest head, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How often it is looked for sessions that nobody uses, in seconds.
const LOOK_SECONDS: u64 = 10;

/// What a client is told that has asked too much.
const TOO_MANY: &str = "too many requests are under way";

/// Where clients are served.
pub const PATH: &str = "/mcp";

/// Where what was counted is told, to who has the same token.
pub const METRICS_PATH: &str = "/metrics";

/// Opens sessions; may block.
pub trait Opens: Send + Sync + 'static {
    /// What a session is called: nobody can guess it.
    fn name(&self) -> io::Result<String>;
    /// What was counted, as Prometheus reads it.
    fn metrics(&self) -> String;
    /// Opens one, which says what it has to say at this desk. The error is for the client.
    fn open(&self, desk: Arc<Desk>) -> Result<Box<dyn Hears>, String>;
    /// A client says by a header that a request stands elsewhere in a trace than the request itself says, which counts.
    fn trace_differs(&self);
    /// Something was refused, of whom nothing is known or no session is there.
    fn refused(&self, kind: OddKind, what: &str);
    /// The arguments of a tool that clients repeat as headers, by what they call it.
    fn repeated(&self, tool: &str) -> Vec<Repeated>;
}

/// A session, or what stands in for one; dropping it ends it.
pub trait Hears: Send + Sync {
    /// Takes what the client sent on this stream; does not block.
    fn hear(&self, stream: u64, frame: Frame) -> Result<(), Unheard<Frame>>;
    /// Nobody waits for what was asked on this stream any more; the error is that it has to be told again.
    fn closed(&self, stream: u64) -> Result<(), Busy>;
    /// Something that its client has sent was refused before this could hear it.
    fn refused(&self, kind: OddKind, what: &str);
}

/// Something is not taken just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Where clients come in.
#[derive(Debug)]
pub enum Door {
    /// By TCP.
    Tcp(TcpListener),
    /// By a socket of this host.
    Unix(UnixListener),
}

/// What serves clients, on a thread of its own; dropping it ends all sessions.
pub struct Front {
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Hears nothing once nobody is served any more.
    ended: Option<Receiver<()>>,
}

/// How long the end of what is under way is waited for.
const END_WAIT: Duration = Duration::from_secs(3);

/// What all connections share.
struct Shared {
    guard: Guard,
    sessions: Sessions,
}

impl Front {
    /// Serves whoever comes in by the door and passes the guard.
    pub fn serve(door: Door, guard: Guard, opens: Arc<dyn Opens>) -> io::Result<Front> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(WAITS_MAX)
            .thread_name("mcp-front-wait")
            .build()?;
        let entered = runtime.enter();
        let door = Opened::of(door)?;
        drop(entered);
        let shared = Arc::new(Shared { guard, sessions: Sessions::of(opens) });
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new().name("mcp-front".to_owned()).spawn(move || {
            runtime.block_on(until_stopped(door, shared, stopped));
            runtime.shutdown_background();
        })?;
        Ok(Front { stop: Some(stop), thread: Some(thread), ended: None })
    }
}

impl Front {
    /// The same on the thread that carries the sessions with servers, so that nothing is handed from one to another.
    pub fn serve_beside(
        carriers: &Carriers,
        door: Door,
        guard: Guard,
        opens: Arc<dyn Opens>,
    ) -> io::Result<Front> {
        let entered = carriers.handle().enter();
        let door = Opened::of(door)?;
        drop(entered);
        let shared = Arc::new(Shared { guard, sessions: Sessions::of(opens) });
        let (stop, stopped) = watch::channel(());
        let (ends, ended) = sync_channel::<()>(0);
        carriers.handle().spawn(async move {
            until_stopped(door, shared, stopped).await;
            drop(ends);
        });
        Ok(Front { stop: Some(stop), thread: None, ended: Some(ended) })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the connections as well.
            let _ = thread.join();
        }
        if let Some(ended) = self.ended.take() {
            let _ = ended.recv_timeout(END_WAIT);
        }
    }
}

/// The door within the runtime.
enum Opened {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A client that came in.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Opened {
    fn of(door: Door) -> io::Result<Opened> {
        match door {
            Door::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener).map(Opened::Tcp)
            }
            Door::Unix(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(listener).map(Opened::Unix)
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Opened::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Opened::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }
}

async fn until_stopped(door: Opened, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let (mut clients, mut newcomers) = (JoinSet::new(), Newcomers::default());
    let mut looks = interval(Duration::from_secs(LOOK_SECONDS));
    loop {
        let has_room = clients.len() < CONNECTIONS_MAX || newcomers.has_any();
        tokio::select! {
            changed = stopped.changed() => if changed.is_err() { return },
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            _ = looks.tick() => shared.sessions.end_unused(),
            entered = door.accept(), if has_room => {
                // A client that was gone before it came in, or no descriptor left: the next may fare better.
                let Ok(stream) = entered else {
                    newcomers.end_oldest();
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if clients.len() >= CONNECTIONS_MAX && newcomers.end_oldest() == Ended::One {
                    // It has its place until it has ended, which is at once.
                    clients.join_next().await;
                }
                let (shared, known) = (Arc::clone(&shared), Known::default());
                let client = clients.spawn(serve(stream, shared, known.clone()));
                newcomers.came(known, client);
            }
        }
    }
}

async fn serve(stream: Box<dyn Stream>, shared: Arc<Shared>, known: Known) {
    let shows = known.clone();
    let service = service_fn(move |request| {
        let (shared, shows) = (Arc::clone(&shared), shows.clone());
        async move {
            awake::beat();
            let response = answer(request, &shared, &shows).await;
            awake::beat();
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
        .max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Whoever breaks off is told nothing any more.
    tokio::select! {
        _ = &mut connection => return,
        () = sleep(Duration::from_secs(FIRST_SECONDS_MAX)) => {}
    }
    if known.is() {
        let _ = connection.await;
    }
}

/// The answer to whoever has not shown that they may ask. Nothing of what they say is told.
fn stranger(refused: Refused, sessions: &Sessions) -> Response<Reply> {
    let (what, why, challenge) = match refused {
        Refused::Elsewhere(why) => {
            let refusal = Refusal::of(StatusCode::FORBIDDEN, OddKind::Stranger, why);
            return refusal.told(None, sessions);
        }
        Refused::Unknown => ("a request without a token", "a token is needed", "Bearer"),
        // RFC 6750, section 3.1.
        Refused::Wrong => (
            "a request with another token than ours",
            "this is not the token",
            "Bearer error=\"invalid_token\"",
        ),
    };
    sessions.opens.refused(OddKind::Stranger, what);
    let mut response = plain(StatusCode::UNAUTHORIZED, why);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The path of a request: whoever may not ask learns nothing of what is here.
async fn answer(request: Request<Incoming>, shared: &Shared, known: &Known) -> Response<Reply> {
    match shared.guard.check(request.uri(), request.headers()) {
        Ok(()) => known.is_now(),
        Err(refused) => return stranger(refused, &shared.sessions),
    }
    let no = |status, why| {
        let refusal = Refusal::of(status, OddKind::Http, why);
        refusal.told(None, &shared.sessions)
    };
    match (request.uri().path(), request.method()) {
        (PATH, _) => {}
        (METRICS_PATH, &Method::GET) => return metrics(shared.sessions.metrics()),
        (METRICS_PATH, _) => return no(StatusCode::METHOD_NOT_ALLOWED, "counts are there to GET"),
        _ => return no(StatusCode::NOT_FOUND, "tools are at `/mcp`"),
    }
    match *request.method() {
        Method::POST => messages::post(request, &shared.sessions).await,
        Method::GET => messages::get(&request, &shared.sessions),
        Method::DELETE => messages::delete(&request, &shared.sessions),
        _ => no(StatusCode::METHOD_NOT_ALLOWED, "tools are there to POST, GET or DELETE"),
    }
}
