use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use ringfence_core::Process;

use rustix::net::sockopt::socket_cookie;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink};

use super::super::Ends;
use super::{Diagnosis, Holders, hex};

/// By both ways in which a holder is found; they agree.
fn holder_below(root: i32, client: SocketAddr, target: SocketAddr) -> Option<Process> {
    let ends = Ends { client, target };
    let (read, asked) = (Holders::below(root, None), Holders::below(root, Some(diagnosis())));
    let found = read.of(ends);
    assert_eq!(asked.of(ends), found);
    found
}

fn diagnosis() -> OwnedFd {
    let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let protocol = Some(netlink::SOCK_DIAG);
    rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, protocol).unwrap()
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

#[test]
fn addresses_are_written_as_procfs_does() {
    #[cfg(target_endian = "little")]
    assert_eq!(hex(&[127, 0, 0, 1]), "0100007F");
    #[cfg(target_endian = "big")]
    assert_eq!(hex(&[127, 0, 0, 1]), "7F000001");
}

#[test]
fn a_socket_of_ones_own_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let found = holder_below(own_pid(), from, to).unwrap();
    assert_eq!((found.pid, found.parent), (own_pid(), None));
}

#[test]
fn the_kernel_is_asked_for_connections_of_both_families() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(host) else { continue };
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap();
        let ends =
            Ends { client: stream.local_addr().unwrap(), target: stream.peer_addr().unwrap() };
        let mut asked = Diagnosis::new(diagnosis());
        assert_eq!(asked.socket(ends).unwrap().inode.map(u64::from), Some(inode.ino()), "{host}");
        let other = Ends { target: SocketAddr::new(ends.target.ip(), 9), ..ends };
        assert_eq!(asked.socket(other), None);
        assert_eq!(asked.socket(ends).unwrap().inode.map(u64::from), Some(inode.ino()), "{host}");
    }
}

#[test]
fn who_was_seen_to_connect_is_known_by_the_number_of_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let streams = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let ends = streams.each_ref().map(|stream| Ends {
        client: stream.local_addr().unwrap(),
        target: stream.peer_addr().unwrap(),
    });
    let holders = Holders::below(own_pid(), Some(diagnosis()));
    assert_eq!(holders.connected(ends[0]), None);
    let seen = Process { pid: 4242, parent: Some(1) };
    holders.told(socket_cookie(&streams[0]).unwrap(), seen);
    assert_eq!(holders.connected(ends[0]), Some(seen));
    assert_eq!(holders.connected(ends[1]), None);
    for number in 0..u64::try_from(super::TOLD_MAX).unwrap() {
        holders.told(u64::MAX - number, seen);
    }
    assert_eq!(holders.connected(ends[0]), None);
}

#[test]
fn a_socket_of_a_child_is_the_childs_and_nobody_elses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo ok; read");
    let spawn = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = spawn(&script);
    let mut stranger = spawn("echo ok; read");
    for process in [&mut child, &mut stranger] {
        process.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
    }
    let (server, from) = listener.accept().unwrap();
    let to = server.local_addr().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let found = holder_below(own_pid(), from, to).unwrap();
    assert_eq!((found.pid, found.parent), (pid, Some(own_pid())));
    assert_eq!(holder_below(i32::try_from(stranger.id()).unwrap(), from, to), None);
    for mut process in [child, stranger] {
        drop(process.stdin.take());
        process.wait().unwrap();
    }
}

#[test]
fn a_socket_that_is_gone_belongs_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(holder_below(own_pid(), address, address), None);
    assert_eq!(holder_below(i32::MAX, address, address), None);
}
