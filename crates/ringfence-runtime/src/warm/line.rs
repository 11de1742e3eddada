//! Messages between a caller, a world that waits, and who keeps it.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Longest message beside its descriptors, in bytes: a reason, or how a keeper stands.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Most descriptors of a message: a letter and three streams.
const DESCRIPTORS_MAX: usize = 4;

/// How many may wait for a world that serves one: none.
const BACKLOG: i32 = 0;

/// One end of a connection; a message is whole or absent.
#[derive(Debug)]
pub struct Line {
    fd: OwnedFd,
}

/// A received message.
#[derive(Debug)]
pub struct Heard {
    /// What it says.
    pub bytes: Vec<u8>,
    /// What came with it.
    pub fds: Vec<OwnedFd>,
}

/// Listens at `path` for who connects; what is there is replaced.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    // Under its name once it listens: a socket that refuses is taken for one of a process that died,
    // and removed.
    let hidden = path.with_file_name(hidden);
    let _ = std::fs::remove_file(&hidden);
    let fd = socket()?;
    net::bind(&fd, &SocketAddrUnix::new(&hidden)?)?;
    net::listen(&fd, BACKLOG)?;
    std::fs::rename(&hidden, path)?;
    Ok(fd)
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

impl Line {
    /// Two connected ends, closed by exec.
    pub fn pair() -> io::Result<(Line, Line)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) =
            net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Line { fd: one }, Line { fd: other }))
    }

    /// Connects to who listens at `path`, without waiting for somebody else's turn.
    pub fn connect(path: &Path) -> io::Result<Line> {
        let fd = socket()?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        rustix::io::ioctl_fionbio(&fd, false)?;
        Ok(Line { fd })
    }

    /// Takes the next connection.
    pub fn accept(listener: impl AsFd) -> io::Result<Line> {
        Ok(Line { fd: net::accept_with(listener, SocketFlags::CLOEXEC)? })
    }

    /// Sends a message with copies of descriptors.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let parts = [IoSlice::new(bytes)];
        loop {
            match net::sendmsg(&self.fd, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a message, for as long as `wait` says or for ever; `None` when the other side is gone.
    /// One with more than there is room for is refused, and what came with it closed.
    pub fn receive(&self, wait: Option<Duration>) -> io::Result<Option<Heard>> {
        if let Some(wait) = wait
            && !is_readable(&self.fd, wait)?
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match net::recvmsg(&self.fd, &mut parts, &mut ancillary, flags) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.truncate(received.bytes);
        Ok((!bytes.is_empty()).then_some(Heard { bytes, fds }))
    }

    /// Another descriptor of the same connection.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

/// Whether something can be read within a time.
fn is_readable(fd: &OwnedFd, wait: Duration) -> io::Result<bool> {
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&wait)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Line> for OwnedFd {
    fn from(line: Line) -> OwnedFd {
        line.fd
    }
}

impl From<OwnedFd> for Line {
    fn from(fd: OwnedFd) -> Line {
        Line { fd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_more_than_there_is_room_for_is_refused() {
        let (one, other) = Line::pair().unwrap();
        let fd = rustix::stdio::stdin();
        one.send(b"a", &[fd; 4]).unwrap();
        assert_eq!(other.receive(None).unwrap().unwrap().fds.len(), 4);
        assert!(one.send(b"a", &[fd; 9]).is_err());
        one.send(&vec![b'a'; MESSAGE_BYTES_MAX + 1], &[]).unwrap();
        assert!(other.receive(None).is_err());
        assert!(other.receive(Some(Duration::ZERO)).is_err());
        drop(one);
        assert!(other.receive(None).unwrap().is_none());
    }

    #[test]
    fn nobody_waits_for_a_world_that_serves_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("world");
        let listener = listen(&path).unwrap();
        let first = Line::connect(&path).unwrap();
        let mut refused = 0;
        let mut waiting = Vec::new();
        for _ in 0..8 {
            match Line::connect(&path) {
                Ok(line) => waiting.push(line),
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= 7, "{refused}");
        let served = Line::accept(&listener).unwrap();
        drop(listener);
        served.send(b"taken", &[]).unwrap();
        assert_eq!(first.receive(None).unwrap().unwrap().bytes, b"taken");
        for line in waiting {
            assert!(line.receive(None).unwrap().is_none(), "somebody else was served");
        }
    }
}
