//! Attacks on the host's network and sockets: they succeed where the host's listener answers.

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};
use std::time::Duration;

use super::{Attack, Target, failed};
use crate::sys::attempts::raw;

/// How long an answer may take.
const WAIT: Duration = Duration::from_millis(500);

pub(super) const ALL: &[Attack] = &[
    Attack::new("tcp", "connect to a service of the host on 127.0.0.1", |t| {
        tcp(t, Ipv4Addr::LOCALHOST.into(), t.ports[0])
    }),
    Attack::new("tcp-v6", "the same on ::1", |t| tcp(t, Ipv6Addr::LOCALHOST.into(), t.ports[1])),
    Attack::new("tcp-mapped", "the same by a mapped address, ::ffff:127.0.0.1", |t| {
        tcp(t, Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), t.ports[0])
    }),
    Attack::new("tcp-any", "the same by 0.0.0.0", |t| {
        tcp(t, Ipv4Addr::UNSPECIFIED.into(), t.ports[0])
    }),
    Attack::new("udp", "send the host a datagram", |t| {
        if t.ports[2] == 0 {
            return failed("no port");
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.send_to(b"x", (Ipv4Addr::LOCALHOST, t.ports[2]))?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        t.is_token(answer.get(..length).unwrap_or_default())
    }),
    Attack::new("fast-open", "connect with the first data (TCP Fast Open)", fast_open),
    Attack::new("unix", "connect to a socket of the host in a tree granted to read", |t| {
        unix(t, UnixStream::connect(t.at("readonly/socket"))?)
    }),
    Attack::new("unix-granted", "connect to a socket of the host in a granted tree", |t| {
        unix(t, UnixStream::connect(t.at("granted/socket"))?)
    }),
    Attack::new("unix-abstract", "connect to an abstract socket of the host", |t| {
        let name = format!("ringfence-verify-{}", t.pid);
        unix(t, UnixStream::connect_addr(&UnixAddress::from_abstract_name(name)?)?)
    }),
    Attack::new("unix-datagram", "send a datagram to a socket of the host", |t| {
        UnixDatagram::unbound()?.send_to(b"x", t.at("granted/datagrams")).map(drop)
    }),
    Attack::new("raw", "open a raw socket", |_| socket(libc::AF_INET, libc::SOCK_RAW, 255)),
    Attack::new("packet", "open a packet socket", |_| {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300)
    }),
    Attack::new("netlink", "open a netlink socket to the packet filter", |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)
    }),
    Attack::new("vsock", "open a socket to the hypervisor", |_| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    Attack::new("alg", "open a socket to the kernel's cryptography", |_| {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    }),
    Attack::new("xdp", "open a socket to a network device's queues", |_| {
        socket(libc::AF_XDP, libc::SOCK_RAW, 0)
    }),
    Attack::new("sctp", "open an SCTP socket", |_| {
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)
    }),
    Attack::new("mptcp", "connect by several ways at once (MPTCP)", multipath),
    Attack::new("bluetooth", "open a Bluetooth socket", |_| {
        socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)
    }),
    Attack::new("tun", "make a network device of one's own", |_| {
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").map(drop)
    }),
];

fn tcp(target: &Target, host: IpAddr, port: u16) -> io::Result<()> {
    if port == 0 {
        return failed("no port");
    }
    let stream = TcpStream::connect_timeout(&SocketAddr::new(host, port), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    greeted(target, stream)
}

fn unix(target: &Target, stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    greeted(target, stream)
}

fn greeted(target: &Target, stream: impl io::Read) -> io::Result<()> {
    let mut greeting = Vec::new();
    let length = u64::try_from(target.token.len()).unwrap_or(u64::MAX);
    stream.take(length).read_to_end(&mut greeting)?;
    target.is_token(&greeting)
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    let words = [family, kind, protocol].map(|word| usize::try_from(word).unwrap_or_default());
    raw(libc::SYS_socket, [words[0], words[1], words[2], 0, 0, 0]).map(drop)
}

/// What filters TCP by its protocol number may not see this one.
fn multipath(target: &Target) -> io::Result<()> {
    let protocol = std::num::NonZero::new(libc::IPPROTO_MPTCP.cast_unsigned());
    let protocol = protocol.map(rustix::net::Protocol::from_raw);
    let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM);
    let socket = rustix::net::socket(family, kind, protocol)?;
    rustix::net::connect(&socket, &SocketAddr::new(Ipv4Addr::LOCALHOST.into(), target.ports[0]))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(WAIT))?;
    greeted(target, stream)
}

/// The address stands beside the data, so that no `connect` is seen.
fn fast_open(target: &Target) -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )?;
    let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), target.ports[0]);
    let flags = rustix::net::SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned());
    rustix::net::sendto(&socket, b"x", flags, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(WAIT))?;
    greeted(target, stream)
}
