//! Connections of TCP led to the net gate by us, where no packet filter sends them there.
//!
//! The socket gets a port first, and the gate is told where the connection from that port was meant
//! to go; only then it is connected, to the gate. The address was read once: what the gate is told is
//! what it decides about and dials, so whoever changes memory, the socket or its descriptor meanwhile
//! gets at most a connection that the gate knows nothing of, and refuses.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};

use crate::netlink::firewall::DNS_PORT;
use crate::sys::notify as sys;

/// `struct sockaddr_in`, and `struct sockaddr_in6` without its scope (RFC 2133), in bytes: shorter
/// ones are no addresses to the kernel.
const ADDRESS_V4_BYTES: usize = 16;
const ADDRESS_V6_BYTES: usize = 24;

/// Where the net gate of a world listens, and how it is told of what comes.
pub struct Lead {
    /// Its listener in the world, for IPv4.
    pub v4: SocketAddr,
    /// The same for IPv6, where the kernel has it.
    pub v6: Option<SocketAddr>,
    /// Whose loopback it is.
    pub loopback: Loopback,
    /// Told of each connection before it is made: where from, and what is to be known.
    pub tell: Box<dyn Fn(SocketAddr, Word) + Send + Sync>,
}

/// Whose loopback a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Its own: connections in it are nobody else's business.
    World,
    /// The host's: they are led like all others.
    Host,
}

/// What the net gate is told of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It was meant to go there.
    Meant(SocketAddr),
    /// It does not come.
    Withdrawn,
}

/// A connection that is to be led.
#[derive(Debug)]
pub(super) struct Led {
    /// The gate, as the socket's family writes it.
    gate: SocketAddr,
    meant: SocketAddr,
    /// The address as the program gave it.
    given: Vec<u8>,
}

impl Lead {
    /// How a socket of TCP is led that is given this address; `None` where the kernel is to answer:
    /// the loopback is the world's own, and what is no address leads nowhere.
    pub(super) fn led(&self, socket: &OwnedFd, given: &[u8]) -> Option<Led> {
        let meant = address(given)?;
        let own = meant.ip().is_loopback() || meant.ip().is_unspecified();
        if own && meant.port() != DNS_PORT && self.loopback == Loopback::World {
            return None;
        }
        let family = i32::from(u16::from_ne_bytes(*given.first_chunk()?));
        let gate = match (sockopt::socket_domain(socket).ok()?, family) {
            (AddressFamily::INET, libc::AF_INET) if given.len() >= ADDRESS_V4_BYTES => self.v4,
            (AddressFamily::INET6, libc::AF_INET6) if given.len() >= ADDRESS_V6_BYTES => {
                match (meant.ip(), self.v4.ip()) {
                    (IpAddr::V4(_), IpAddr::V4(gate)) => {
                        SocketAddr::from((gate.to_ipv6_mapped(), self.v4.port()))
                    }
                    (IpAddr::V4(_) | IpAddr::V6(_), _) => self.v6?,
                }
            }
            _ => return None,
        };
        // The unspecified address means the loopback to the kernel.
        let meant = match meant.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                SocketAddr::from((Ipv4Addr::LOCALHOST, meant.port()))
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                SocketAddr::from((Ipv6Addr::LOCALHOST, meant.port()))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => meant,
        };
        Some(Led { gate, meant, given: given.to_vec() })
    }

    /// Connects a socket to the gate, which is told before where it was meant to go.
    pub(super) fn connect(&self, socket: &OwnedFd, led: &Led) -> io::Result<()> {
        if matches!(rustix::net::getpeername(socket), Ok(Some(_))) {
            // The kernel has something to say to that, and does not look at the address.
            return sys::connect_raw(socket.as_fd(), &led.given);
        }
        let from = own_address(socket, led.gate)?;
        (self.tell)(from, Word::Meant(led.meant));
        let connected = rustix::net::connect(socket, &led.gate);
        match connected {
            // On its way, by this call or by another.
            Ok(()) | Err(Errno::INPROGRESS | Errno::ALREADY | Errno::ISCONN | Errno::INTR) => {}
            Err(_) => (self.tell)(from, Word::Withdrawn),
        }
        Ok(connected?)
    }
}

/// The address that a socket connects to the gate from; it is given a port where it has none. Only
/// that it cannot be given one tells that it has: the port of a connection that is over stays its name.
fn own_address(socket: &OwnedFd, gate: SocketAddr) -> io::Result<SocketAddr> {
    let mut own = given_a_port(socket, gate)?;
    if own.port() == 0 {
        // It was told to choose a port when it connects (`IP_BIND_ADDRESS_NO_PORT`).
        sys::choose_port_when_bound(socket)?;
        own = given_a_port(socket, gate)?;
    }
    if own.port() == 0 {
        return Err(Errno::ADDRNOTAVAIL.into());
    }
    let ip = if own.ip().is_unspecified() { gate.ip() } else { own.ip() };
    Ok(SocketAddr::new(ip.to_canonical(), own.port()))
}

fn given_a_port(socket: &OwnedFd, gate: SocketAddr) -> io::Result<SocketAddr> {
    let own = named(socket)?.ip();
    let ip = if own.is_unspecified() { gate.ip() } else { own };
    match rustix::net::bind(socket, &SocketAddr::new(ip, 0)) {
        Ok(()) | Err(Errno::INVAL) => named(socket),
        Err(errno) => Err(errno.into()),
    }
}

fn named(socket: &OwnedFd) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?)
}

/// The address in it, if it is one of the internet protocols'; an IPv4 address in an IPv6 one is the
/// former.
pub(super) fn address(given: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*given.first_chunk()?));
    let port = u16::from_be_bytes(*given.get(2..)?.first_chunk()?);
    let ip: IpAddr = match family {
        libc::AF_INET => Ipv4Addr::from(*given.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*given.get(8..)?.first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("v4", &self.v4).field("v6", &self.v6).finish_non_exhaustive()
    }
}
