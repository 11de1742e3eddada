//! Ports of a world that the host's own programs reach.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::{Arc, Weak};

use ringfence_proxy::net::published::Published;
use ringfence_sandbox::world::{IpFamily, World};

use super::RunError;

/// A port of the world, and the one on the host's loopback by which it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// On the host's 127.0.0.1.
    pub host: u16,
    /// On the world's localhost.
    pub world: u16,
}

impl FromStr for Publish {
    type Err = String;
    /// `PORT`, or `HOST_PORT:WORLD_PORT`.
    fn from_str(text: &str) -> Result<Publish, String> {
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            Ok(0) | Err(_) => Err(format!("`{text}` is not a port")),
        };
        let (host, world) = text.split_once(':').unwrap_or((text, text));
        Ok(Publish { host: port(host)?, world: port(world)? })
    }
}

/// The host's side of a published port.
pub(super) struct Bound {
    listener: TcpListener,
    world: u16,
}

/// Takes the ports on the host, before anything is started.
pub(super) fn bind(ports: &[Publish]) -> Result<Vec<Bound>, RunError> {
    let bind = |port: &Publish| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.host))
            .map_err(|source| RunError::Publish { port: port.host, world: port.world, source })?;
        Ok(Bound { listener, world: port.world })
    };
    ports.iter().map(bind).collect()
}

/// The same with the way into a world.
pub(super) fn into_world(bound: Vec<Bound>, world: &Arc<World>) -> Vec<Published> {
    let world = Arc::downgrade(world);
    let socket = Arc::new(move |address: SocketAddr| {
        let world = Weak::upgrade(&world).ok_or(io::ErrorKind::NotConnected)?;
        world.socket(match address {
            SocketAddr::V4(_) => IpFamily::V4,
            SocketAddr::V6(_) => IpFamily::V6,
        })
    });
    let published = |Bound { listener, world: port }| {
        let socket = Arc::clone(&socket);
        Published { listener, port, socket }
    };
    bound.into_iter().map(published).collect()
}
