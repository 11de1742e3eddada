//! What can be done at once is done at once: to wait for the kernel's word that it can be is to wait for
//! the turn of every other connection first.

use std::io;
use std::net::{SocketAddr, TcpStream as Socket};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socket_with};
use tokio::net::TcpStream;

/// Connects; within this host that is done when the call returns.
///
/// # Errors
///
/// What the system says.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = Socket::from(socket);
    let done = is_writable(&socket);
    let stream = TcpStream::from_std(socket)?;
    if !done {
        stream.writable().await?;
    }
    match stream.take_error()? {
        None => Ok(stream),
        Some(error) => Err(error),
    }
}

fn is_writable(socket: &Socket) -> bool {
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&none)).is_ok_and(|ready| ready > 0)
}

/// Appends what a socket has to read already, at most as much as `room` takes; its end and its errors
/// are left to who reads next.
pub(super) fn read(stream: &TcpStream, (into, room): (&mut Vec<u8>, &mut [u8])) {
    if let Ok((count, _)) = recv(stream, &mut *room, RecvFlags::DONTWAIT) {
        into.extend(room.iter().take(count));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use tokio::io::AsyncReadExt as _;

    use super::{connect, read};

    #[tokio::test]
    async fn what_is_there_is_read_and_the_rest_is_waited_for() {
        for host in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let listener = TcpListener::bind((host, 0)).unwrap();
            let mut stream = connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut other, _) = listener.accept().unwrap();
            let (mut said, mut room) = (Vec::new(), [0; 16]);
            read(&stream, (&mut said, &mut room));
            assert_eq!(said, b"");
            other.write_all(b"hello").unwrap();
            read(&stream, (&mut said, &mut room));
            assert_eq!(said, b"hello");
            other.write_all(b" you").unwrap();
            drop(other);
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, " you");
            // An end is no bytes.
            read(&stream, (&mut said, &mut room));
            assert_eq!(said, b"hello");
        }
    }

    #[tokio::test]
    async fn who_listens_nowhere_is_said() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = connect(address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
