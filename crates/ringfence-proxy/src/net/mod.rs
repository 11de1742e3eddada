//! The net gate: everything that leaves a world arrives here, and is decided by name.
//!
//! Connections are captured on their way (`capture.rs`): a world's name server (`dns.rs`) gives
//! addresses that stand for names, so that a connection says which name it is for. Programs that
//! insist on a proxy find one (`serve.rs`). The path of a connection is `Port::open` in `open.rs`:
//! the name is decided before anything is looked up, then resolved once, its address checked, and
//! exactly that address dialled.
//!
//! Where the host itself needs a proxy (`upstream.rs`), connections are passed on to it by name.

mod address;
pub mod ahead;
pub mod authority;
pub(crate) mod awake;
mod aws;
mod broken;
mod bulk;
mod capture;
mod carry;
pub mod claims;
pub mod content;
pub mod dns;
mod early;
mod exchange;
pub mod first;
mod forward;
pub mod hello;
mod inspect;
mod join;
mod line;
mod live;
pub mod names;
mod open;
mod process;
pub mod published;
mod reply;
mod retry;
mod rewind;
mod secrets;
mod serve;
pub mod socks;
mod splice;
mod straight;
pub mod target;
pub mod trust;
mod turned_away;
pub mod upstream;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ringfence_core::{
    Agent, Checked, Denial, EntryRef, Gate, Inspect, Misuse, Process, Question, Request,
};
use ringfence_secrets::Held;
use tokio::sync::watch;

use ahead::Ahead;
use authority::Authority;
use claims::Claims;
use dns::Families;
pub use inspect::{Coming, Own, Secrets, header};
use open::Port;
pub use process::Holders;
use published::{Inward, Published};
use serve::{Arrives, Open};
use trust::Trust;
use upstream::HostProxies;

use crate::packages::Registries;

/// Most connections from one world at a time; one more is answered with 503.
pub const CONNECTIONS_MAX: usize = 4096;
/// Most questions and lookups at a time; one more waits for its turn.
pub const WAITS_MAX: usize = 512;
/// Largest request head, in bytes; a larger one is answered with 431.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 128;
/// How long a client may take to send a request head, also between two requests, in seconds.
pub const HEAD_SECONDS_MAX: u64 = 60;
/// How long the host's resolver may take, in seconds; resolv.conf(5) allows itself 5 per try.
pub const RESOLVE_SECONDS_MAX: u64 = 15;
/// How long dialling one address may take, in seconds.
pub const DIAL_SECONDS_MAX: u64 = 10;
/// How many addresses of one name are tried, in the resolver's order.
pub const ADDRESSES_TRIED_MAX: usize = 4;

/// Puts a question to whoever may approve; blocks until there is an answer.
pub trait AskPort: Send + Sync {
    /// The gate's last word on the question: never `Checked::Ask` again.
    fn ask(&self, question: Question) -> Checked;
}

/// Finds the addresses of a name; blocks.
pub trait Resolve: Send + Sync {
    /// Addresses in the order of preference.
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The host's own resolver, getaddrinfo(3): hosts file, split DNS and search list included.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostResolver;

/// The text of a denial for the process that was denied; called on the gate's thread, so that it
/// may tell others of the denial too, but must not block.
pub type DenialText = Box<dyn Fn(&Denial) -> String + Send + Sync>;

/// Told of a permitted connection that did not come about, and why; must not block either.
pub type Unreachable = Box<dyn Fn(&Request, &str) + Send + Sync>;

/// Told of what was refused because no policy could speak of it, and which entry says so; must not block
/// either.
pub type Refused = Box<dyn Fn(Process, &str, Option<&EntryRef>) + Send + Sync>;

/// Told of what stands in for a secret and was where it may not be, and which entry says so; must not
/// block either.
pub type Misused = Box<dyn Fn(&Misuse, Option<&EntryRef>) + Send + Sync>;

/// Told of releases that were taken out of a list: what would be said of the newest, and how many
/// they are; must not block either.
pub type KeptBack = Box<dyn Fn(&Denial, usize) + Send + Sync>;

/// The two ends of a connection, as the client's socket has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Its own address.
    pub client: SocketAddr,
    /// Where it means to have connected to.
    pub target: SocketAddr,
}

/// What kind of special place an address is, for a person; `None` for one of the internet's.
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address::reach(address) {
        address::Reach::Public => None,
        address::Reach::Special(what) => Some(what),
    }
}

/// What a net gate needs to know.
pub struct NetConfig {
    /// The agent behind every connection.
    pub agent: Agent,
    /// Makes the body of a 403.
    pub denied: DenialText,
    /// Told what a 502 says, which few programs show.
    pub unreachable: Unreachable,
    /// Told what only the log would say.
    pub refused: Refused,
    /// Told what else only a 403 and the log would say.
    pub misused: Misused,
    /// Told what package managers do not say: they never see it.
    pub kept_back: KeptBack,
    /// Where registries of packages are.
    pub registries: Registries,
    /// Where questions go.
    pub asks: Arc<dyn AskPort>,
    /// How names are resolved; [`HostResolver`] outside tests.
    pub resolve: Arc<dyn Resolve>,
    /// The proxies that the host itself needs.
    pub proxies: HostProxies,
    /// Signs what clients see of connections that are opened.
    pub authority: Arc<Authority>,
    /// The session's secrets; hosts that may be shown one are looked into.
    pub held: Arc<Held>,
    /// Looks through what passes, where a rule says so; without it nothing passes there.
    pub inspect: Option<&'static dyn Inspect>,
    /// Which servers are believed on such connections.
    pub trust: Trust,
    /// Tells the process behind a connection.
    pub process: Arc<Holders>,
    /// Limits; [`NetLimits::default`] outside tests.
    pub limits: NetLimits,
}

/// The limits of a net gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetLimits {
    /// Most connections at a time.
    pub connections_max: usize,
    /// Longest wait for a request head.
    pub head_wait: Duration,
    /// Longest wait for the resolver.
    pub resolve_wait: Duration,
    /// Longest wait for one address to answer.
    pub dial_wait: Duration,
}

/// Where a world's connections arrive.
#[derive(Debug)]
pub struct Entrances {
    /// Those of programs that speak to a proxy, if they have one of their own.
    pub proxy: Option<TcpListener>,
    /// What those who are led here name when they mean the proxy.
    pub proxy_named: Option<SocketAddr>,
    /// All others, captured on their way.
    pub captured: Vec<TcpListener>,
    /// Says where captured ones were meant to go; where it is absent, `SO_ORIGINAL_DST` does.
    pub claims: Option<Arc<Claims>>,
    /// Questions for names.
    pub dns: Vec<UdpSocket>,
    /// Which addresses can be captured.
    pub families: Families,
    /// Ports of the world that the host reaches.
    pub published: Vec<Published>,
}

impl Entrances {
    /// For programs that speak to a proxy only.
    pub fn proxy_only(proxy: TcpListener) -> Entrances {
        Entrances::through(Some(proxy))
    }

    /// The same where there may be no entrance for those.
    pub fn through(proxy: Option<TcpListener>) -> Entrances {
        Entrances {
            proxy,
            proxy_named: None,
            captured: Vec::new(),
            claims: None,
            dns: Vec::new(),
            families: Families::V4,
            published: Vec::new(),
        }
    }

    /// The same sockets, for the gate's thread.
    fn open(self) -> io::Result<Open> {
        let named = self.proxy_named;
        let arrives = self.claims.map_or(Arrives::Captured, |claims| Arrives::Led(claims, named));
        let captured = self.captured.into_iter().map(|listener| (listener, arrives.clone()));
        let published = self.published.into_iter().map(|Published { listener, port, socket }| {
            (listener, Arrives::Inward(Inward { port, socket }))
        });
        let proxy = self.proxy.into_iter().map(|listener| (listener, Arrives::ToProxy));
        let listeners = proxy.chain(captured).chain(published);
        let adopt = |(listener, arrives): (TcpListener, Arrives)| {
            listener.set_nonblocking(true)?;
            Ok((tokio::net::TcpListener::from_std(listener)?, arrives))
        };
        Ok(Open {
            listeners: listeners.map(adopt).collect::<io::Result<_>>()?,
            dns: self.dns.into_iter().map(capture::adopt).collect::<io::Result<_>>()?,
        })
    }
}

/// A net gate at work on its own thread; dropping it ends it too.
#[must_use]
pub struct NetGate {
    port: Arc<Port>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NetGate {
    /// Serves listeners, which may belong to another network namespace than the caller's.
    ///
    /// Clients are accepted there, servers are dialled from the caller's namespace.
    pub fn serve(entrances: Entrances, gate: Gate, config: NetConfig) -> io::Result<NetGate> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(WAITS_MAX)
            .thread_name("net-gate-wait")
            .build()?;
        let families = entrances.families;
        let open = {
            let _inside = runtime.enter();
            entrances.open()?
        };
        let port = Arc::new(Port::new(gate, config, families));
        let (stop, stopped) = watch::channel(());
        let served = Arc::clone(&port);
        let thread = std::thread::Builder::new().name("net-gate".to_owned()).spawn(move || {
            runtime.block_on(serve::until_stopped(open, served, stopped));
            // A question or a lookup may still be waiting; nobody waits for its answer any more.
            runtime.shutdown_background();
        })?;
        Ok(NetGate { port, stop: Some(stop), thread: Some(thread) })
    }

    /// The same gate, for whoever changes what is in force.
    pub fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.port))
    }

    /// The same gate, for whoever is asked before a connection is made.
    pub fn ahead(&self) -> Ahead {
        Ahead::of(&self.port)
    }

    /// Ends all connections, records their ends and returns.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the connections as well; their entries say `unknown`.
            let _ = thread.join();
        }
    }
}

/// Ends connections that lose their permit.
#[derive(Clone)]
pub struct Ender(Arc<Port>);

impl Ender {
    /// Ends the open connections that the policy in force does not permit; returns what they led to.
    ///
    /// To be called after a reload or a revoke: a permit is for the moment a connection is opened,
    /// and nothing else would end one that is open. Whoever approved one has approved it still.
    pub fn end_unpermitted(&self) -> Vec<String> {
        self.0.end_unpermitted()
    }
}

impl Drop for NetGate {
    fn drop(&mut self) {
        self.end();
    }
}

impl NetConfig {
    /// The host's resolver, usual limits, no process attribution.
    pub fn new(
        agent: Agent,
        asks: Arc<dyn AskPort>,
        denied: DenialText,
        authority: Arc<Authority>,
    ) -> NetConfig {
        NetConfig {
            agent,
            denied,
            unreachable: Box::new(|_, _| {}),
            refused: Box::new(|_, _, _| {}),
            misused: Box::new(|_, _| {}),
            kept_back: Box::new(|_, _| {}),
            registries: Registries::default(),
            asks,
            resolve: Arc::new(HostResolver),
            proxies: HostProxies::default(),
            authority,
            held: Arc::new(Held::none()),
            inspect: None,
            trust: Trust::of_host(None, None),
            process: Arc::new(Holders::nobody()),
            limits: NetLimits::default(),
        }
    }
}

impl Default for NetLimits {
    fn default() -> NetLimits {
        NetLimits {
            connections_max: CONNECTIONS_MAX,
            head_wait: Duration::from_secs(HEAD_SECONDS_MAX),
            resolve_wait: Duration::from_secs(RESOLVE_SECONDS_MAX),
            dial_wait: Duration::from_secs(DIAL_SECONDS_MAX),
        }
    }
}

impl Resolve for HostResolver {
    fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((name, port).to_socket_addrs()?.collect())
    }
}
