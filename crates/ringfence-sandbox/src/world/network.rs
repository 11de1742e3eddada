//! The network of a world: its loopback, everything that leaves sent to the net gate's sockets, and
//! these handed out to the broker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink};

use super::channel::{Channel, Message, Topic};
use super::failure::{During as _, Failure, Need};
use crate::netlink::Line;
use crate::netlink::firewall::DNS_PORT;
use crate::notify::Loopback;
use crate::sys::namespaces::{Namespaces, enter_new};

/// The addresses of the world itself, from which its connections come: out of the block for
/// benchmarks (RFC 2544), which no network uses, and out of a unique local one (RFC 4193).
pub const OWN_ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The same for IPv6.
pub const OWN_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x7269, 0x6e67, 0, 0, 0, 0, 1);

/// The sockets of a world on which its net gate listens, and the one it is looked into by.
#[derive(Debug)]
pub struct Network {
    /// On 127.0.0.1, for programs that speak to a proxy; none where they are led to the other
    /// entrance.
    pub proxy: Option<TcpListener>,
    /// A `NETLINK_SOCK_DIAG` socket, to be asked of unix sockets, if the world has some of its own.
    pub unix_diag: Option<OwnedFd>,
    /// Another, to be asked of connections.
    pub inet_diag: OwnedFd,
    /// Where all other connections arrive.
    pub capture: Capture,
    /// How they come there.
    pub way: Way,
    /// Whose loopback the world's programs see.
    pub loopback: Loopback,
}

/// How connections of a world come to the net gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The packet filter sends them there, and knows where they were meant to go.
    Redirected,
    /// This kernel has no nftables, for this reason: whoever answers `connect` leads them there
    /// ([`crate::notify::Listener::lead_tcp`]).
    Led {
        /// What the kernel said.
        why: String,
    },
}

/// Where everything arrives that leaves a world.
#[derive(Debug)]
pub struct Capture {
    /// Connections; where they are redirected, with their target as `SO_ORIGINAL_DST`.
    pub tcp: TcpListener,
    /// The same for IPv6, where the kernel has it.
    pub tcp_v6: Option<TcpListener>,
    /// Questions for names, where they can be asked over UDP.
    pub dns: Option<UdpSocket>,
    /// The same for IPv6, where the kernel has it.
    pub dns_v6: Option<UdpSocket>,
}

/// A network without its proxy, whose port is not known yet.
pub(super) struct Made {
    unix_diag: OwnedFd,
    inet_diag: OwnedFd,
    capture: Capture,
    way: Way,
}

impl Made {
    /// The same with the proxy's listener.
    pub(super) fn with_proxy(self, port: u16) -> Result<Network, Failure> {
        let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .during(Need::Net, format!("listen on port {port} of the world"))?;
        let Made { unix_diag, inet_diag, capture, way } = self;
        let (proxy, unix_diag) = (Some(proxy), Some(unix_diag));
        let loopback = Loopback::World;
        Ok(Network { proxy, unix_diag, inet_diag, capture, way, loopback })
    }
}

impl Network {
    /// Leaves for a fresh network namespace and furnishes it.
    pub(super) fn make() -> Result<Made, Failure> {
        enter_new(Namespaces::NEWNET).during(Need::Namespaces, "unshare the network namespace")?;
        let line = Line::route().during(Need::Net, "reach the world's routes")?;
        line.loopback_up().during(Need::Net, "bring up the loopback interface")?;
        let (capture, way) = capture(&line)?;
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let diagnosis = || {
            let protocol = Some(netlink::SOCK_DIAG);
            rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, protocol)
                .during(Need::Net, "open the world's socket diagnosis")
        };
        Ok(Made { unix_diag: diagnosis()?, inet_diag: diagnosis()?, capture, way })
    }

    /// What of it is handed out, each with a letter for what it is.
    pub(super) fn descriptors(&self) -> Vec<(u8, BorrowedFd<'_>)> {
        let mut all = vec![(INET_DIAGNOSIS, self.inet_diag.as_fd())];
        all.extend(self.proxy.as_ref().map(|it| (PROXY, it.as_fd())));
        all.extend(self.unix_diag.as_ref().map(|it| (UNIX_DIAGNOSIS, it.as_fd())));
        let Capture { tcp, tcp_v6, dns, dns_v6 } = &self.capture;
        all.push((TCP, tcp.as_fd()));
        all.extend(dns.as_ref().map(|it| (DNS, it.as_fd())));
        all.extend(tcp_v6.as_ref().map(|it| (TCP_V6, it.as_fd())));
        all.extend(dns_v6.as_ref().map(|it| (DNS_V6, it.as_fd())));
        all
    }

    /// Why the kernel does not send connections to the net gate; empty when it does.
    pub(super) fn gap(&self) -> &str {
        match &self.way {
            Way::Redirected => "",
            Way::Led { why } => why,
        }
    }
}

const PROXY: u8 = b'p';
const UNIX_DIAGNOSIS: u8 = b'u';
const INET_DIAGNOSIS: u8 = b'i';
const TCP: u8 = b't';
const TCP_V6: u8 = b'T';
const DNS: u8 = b'n';
const DNS_V6: u8 = b'N';
/// The payload's terminal.
pub(super) const TERMINAL: u8 = b'y';
/// The letter of the world's mount namespace.
pub(super) const MOUNTS: u8 = b'm';
/// The letter of the world's root directory.
pub(super) const WORLD_ROOT: u8 = b'/';

/// What init has handed out: the network, the root, a terminal if there is one, and the mount
/// namespace where there are overlays.
pub(super) struct HandedOut {
    pub(super) network: Network,
    pub(super) root: OwnedFd,
    pub(super) terminal: Option<OwnedFd>,
    pub(super) mounts: Option<OwnedFd>,
}

/// The text beside descriptors: their letters, a NUL byte, and why nothing is redirected.
pub(super) fn announce(letters: impl Iterator<Item = u8>, gap: &str) -> Vec<u8> {
    letters.chain([0]).chain(gap.bytes()).collect()
}

impl HandedOut {
    /// Takes descriptors by their letters; `None` when one is missing.
    pub(super) fn from(message: Message) -> Option<HandedOut> {
        let mut parts = message.bytes.splitn(2, |byte| *byte == 0);
        let letters = parts.next()?.to_vec();
        let gap = String::from_utf8_lossy(parts.next()?).into_owned();
        let mut fds: Vec<(u8, OwnedFd)> = letters.into_iter().zip(message.fds).collect();
        let mut take = |letter| {
            let at = fds.iter().position(|(kind, _)| *kind == letter)?;
            Some(fds.swap_remove(at).1)
        };
        let (tcp, dns) = (take(TCP)?.into(), Some(take(DNS)?.into()));
        let (tcp_v6, dns_v6) = (take(TCP_V6).map(Into::into), take(DNS_V6).map(Into::into));
        let capture = Capture { tcp, tcp_v6, dns, dns_v6 };
        let way = if gap.is_empty() { Way::Redirected } else { Way::Led { why: gap } };
        let proxy = Some(take(PROXY)?.into());
        let (unix_diag, inet_diag) = (Some(take(UNIX_DIAGNOSIS)?), take(INET_DIAGNOSIS)?);
        let loopback = Loopback::World;
        let network = Network { proxy, unix_diag, inet_diag, capture, way, loopback };
        let (root, terminal, mounts) = (take(WORLD_ROOT)?, take(TERMINAL), take(MOUNTS));
        Some(HandedOut { network, root, terminal, mounts })
    }
}

/// Answers the broker's question for a socket of the world; an answer without one is a failure.
pub(super) fn hand_out_socket(inward: &Channel) -> io::Result<()> {
    // A broker that is gone is noticed on the other line.
    let Some(message) = inward.receive()? else { return Ok(()) };
    let family = if message.bytes == [IPV6] { AddressFamily::INET6 } else { AddressFamily::INET };
    let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
    match rustix::net::socket_with(family, kind, flags, None) {
        Ok(socket) => inward.send_with(Topic::Socket, &[], &[socket.as_fd()]),
        Err(_) => inward.send(Topic::Socket, &[]),
    }
}

/// Asks init for a socket of the world.
pub(super) fn ask_for_socket(inward: &Channel, family: IpFamily) -> io::Result<OwnedFd> {
    let byte = match family {
        IpFamily::V4 => IPV4,
        IpFamily::V6 => IPV6,
    };
    inward.send(Topic::Socket, &[byte])?;
    let answer = inward.receive()?.ok_or(io::ErrorKind::BrokenPipe)?;
    answer.fds.into_iter().next().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

const IPV4: u8 = 4;
const IPV6: u8 = 6;

/// The port that everything is brought to; as good as any, and one that settings cannot give to the
/// proxy.
const CAPTURE_PORT: u16 = 1023;

/// What a kernel says that has no nftables, or not the parts that are needed, or lets us have none:
/// nfnetlink is missing (`EPROTONOSUPPORT`, `EAFNOSUPPORT`), nf_tables is (`EOPNOTSUPP`), its chains
/// and expressions are (`ENOENT`), or a filter around us keeps us from it (`EPERM`, `EACCES`). Any
/// other error is a failure.
const WITHOUT_NFTABLES: [Errno; 6] = [
    Errno::PROTONOSUPPORT,
    Errno::AFNOSUPPORT,
    Errno::OPNOTSUPP,
    Errno::NOENT,
    Errno::PERM,
    Errno::ACCESS,
];

/// The sockets, and what brings everything to them. On failure nothing leads anywhere, as before.
fn capture(line: &Line) -> Result<(Capture, Way), Failure> {
    let listen = "listen for what leaves the world";
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, CAPTURE_PORT)).during(Need::Net, listen)?;
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, DNS_PORT)).during(Need::Net, listen)?;
    let way = redirect()?;
    let route = |address: IpAddr| match way {
        Way::Redirected => line.everything_through_loopback(address),
        // What is not led to the gate fails at once, as the packet filter would have it fail.
        Way::Led { .. } => line.nothing_leaves(address),
    };
    route(OWN_ADDRESS_V4.into()).during(Need::Net, "say where packets of the world go")?;
    // A kernel without IPv6 has no way out by it either.
    let v6 = || -> io::Result<(TcpListener, UdpSocket)> {
        let tcp = TcpListener::bind((Ipv6Addr::LOCALHOST, CAPTURE_PORT))?;
        let dns = UdpSocket::bind((Ipv6Addr::LOCALHOST, DNS_PORT))?;
        route(OWN_ADDRESS_V6.into())?;
        Ok((tcp, dns))
    };
    let (tcp_v6, dns_v6) = v6().ok().unzip();
    Ok((Capture { tcp, tcp_v6, dns: Some(dns), dns_v6 }, way))
}

/// Has the kernel send everything to the gate's sockets, where it can.
fn redirect() -> Result<Way, Failure> {
    let asked = Line::netfilter().and_then(|line| line.capture(CAPTURE_PORT));
    let Err(error) = asked else { return Ok(Way::Redirected) };
    match Errno::from_io_error(&error) {
        Some(errno) if WITHOUT_NFTABLES.contains(&errno) => Ok(Way::Led { why: error.to_string() }),
        _ => Err(error).during(Need::Net, "send everything to the net gate"),
    }
}

/// Tries the capture in the network namespace of the caller, which must be a fresh one.
pub(super) fn try_out(line: &Line) -> Result<Way, Failure> {
    capture(line).map(|(_, way)| way)
}
