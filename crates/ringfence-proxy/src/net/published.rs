//! Ports of a world that the host's own programs reach: declared when it is started.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::{fmt, io};

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::DIAL_SECONDS_MAX;
use super::splice::SPLICE_BUFFER_BYTES;
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

/// Carries one connection of the host's into the world.
pub(super) async fn serve(inward: Inward, mut client: TcpStream) {
    // Best effort: the client only waits longer without it.
    let _ = client.set_nodelay(true);
    let Ok(mut server) = connect(&inward).await else { return reset(&client) };
    let size = SPLICE_BUFFER_BYTES;
    if copy_bidirectional_with_sizes(&mut client, &mut server, size, size).await.is_err() {
        reset(&client);
        reset(&server);
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
