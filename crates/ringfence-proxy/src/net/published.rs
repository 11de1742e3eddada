//! Ports of a world that the host's own programs reach: declared when it is started.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use std::{fmt, io};

use ringfence_core::{Durability, Endpoint, EntryRef, Event, Host, NetUsage, Outcome, RecordError};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::DIAL_SECONDS_MAX;
use super::join::join;
use super::line::{Bytes, Counted};
use super::open::Port;
use super::turned_away::reset;

/// Makes a TCP socket of the world's network, connected to nothing, for IPv4 or IPv6 as the address
/// that it is for; blocks.
pub type SocketFor = Arc<dyn Fn(SocketAddr) -> io::Result<OwnedFd> + Send + Sync>;

/// A port of the world, and where on the host it is reached.
pub struct Published {
    /// On the host's loopback.
    pub listener: TcpListener,
    /// On the world's.
    pub port: u16,
    /// How the world is reached.
    pub socket: SocketFor,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Where a published connection leads.
#[derive(Clone)]
pub(super) struct Inward {
    pub(super) port: u16,
    pub(super) socket: SocketFor,
}

/// Carries one connection of the host's into the world; nothing is carried that is not recorded.
pub(super) async fn serve(port: Arc<Port>, inward: Inward, client: TcpStream, peer: SocketAddr) {
    // Best effort: the client only waits longer without it.
    let _ = client.set_nodelay(true);
    let Ok(mut arrival) = Arrival::record(port, inward.port, peer) else { return reset(&client) };
    let server = match connect(&inward).await {
        Ok(server) => server,
        Err(error) => {
            arrival.usage.error = Some(error.to_string());
            return reset(&client);
        }
    };
    arrival.usage.address = server.peer_addr().ok().map(|address| address.to_string());
    let server = Counted::new(server, &arrival.bytes);
    if let Err(error) = join(&client, &server).await {
        arrival.usage.error = Some(error.to_string());
        reset(&client);
        server.reset_on_close();
    }
}

/// The account of one connection into the world; dropping it records its end.
struct Arrival {
    port: Arc<Port>,
    of: EntryRef,
    begun: Instant,
    bytes: Arc<Bytes>,
    usage: NetUsage,
}

impl Arrival {
    fn record(gate: Arc<Port>, port: u16, peer: SocketAddr) -> Result<Arrival, RecordError> {
        let event = Event::Arrived { port, peer: peer.to_string() };
        let of = gate.note(event, Durability::Soon)?;
        let usage = NetUsage {
            endpoint: Endpoint { host: Host::Name("localhost".to_owned()), port },
            address: None,
            bytes_sent: 0,
            bytes_received: 0,
            duration_ms: 0,
            carried: None,
            error: None,
        };
        Ok(Arrival { port: gate, of, begun: Instant::now(), bytes: Arc::default(), usage })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // What is sent to the world's server is what the world receives.
        let (to_world, from_world) = self.bytes.both();
        let duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (bytes_sent, bytes_received) = (from_world, to_world);
        let usage = NetUsage { bytes_sent, bytes_received, duration_ms, ..self.usage.clone() };
        let outcome = Outcome::Connection(usage);
        // A log that fails here ends the session; the connection is over already.
        let _ = self.port.note(Event::Finished { of: self.of.index, outcome }, Durability::Soon);
    }
}

/// Connects to the port of the world, by whichever family somebody listens.
async fn connect(inward: &Inward) -> io::Result<TcpStream> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, inward.port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, inward.port));
    match connect_to(inward, v4).await {
        Ok(stream) => Ok(stream),
        Err(_) => connect_to(inward, v6).await,
    }
}

async fn connect_to(inward: &Inward, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Arc::clone(&inward.socket);
    let socket = tokio::task::spawn_blocking(move || socket(address)).await;
    let socket = std::net::TcpStream::from(socket.map_err(io::Error::other)??);
    socket.set_nonblocking(true)?;
    let wait = std::time::Duration::from_secs(DIAL_SECONDS_MAX);
    let connecting = TcpSocket::from_std_stream(socket).connect(address);
    let stream = timeout(wait, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
