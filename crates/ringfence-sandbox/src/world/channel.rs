//! Messages and descriptors between the broker and the processes that hold up its world.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Two paths and a few numbers fit with room to spare.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// The sockets of a world's network, its root and its terminal, with room: the most that are ever sent at once.
const DESCRIPTORS_MAX: usize = 12;

/// What a message is about; its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Topic {
    /// Init: the world stands. Carries the sockets of its network, and a terminal.
    WorldReady = 1,
    /// Payload: everything is given up but the exec itself. Carries the seccomp listener.
    PayloadReady,
    /// Anyone: a step failed.
    Failed,
    /// Payload: the program could not be started.
    NotStarted,
    /// Init: the payload's wait status.
    Ended,
    /// Broker to init: send this signal.
    Signal,
    /// Broker to mount helper: mount this.
    Mount,
    /// Broker to mount helper: unmount this.
    Unmount,
    /// Done as asked.
    Done,
    /// Init: the payload was stopped.
    Stopped,
    /// Broker to mount helper: this is the world to build. Carries a file with its specification,
    /// and init's line for sockets of the world where something is published.
    Spec,
    /// Broker to init, and its answer: a socket of the world's network, of the family in the byte.
    Socket,
    /// Broker to init: stop every process of the world.
    Still,
    /// Broker to init: they go on, whoever was stopped.
    Going,
    /// Broker to mount helper: copy what the overlays hold, or put it back.
    Layers,
    /// Mount helper: what covers this path was taken away from outside, and covers it again.
    Covered,
    /// Broker to mount helper: open this tree for those who open its files one by one.
    View,
}

impl Topic {
    const EVERY: [Topic; 17] = [
        Topic::WorldReady,
        Topic::PayloadReady,
        Topic::Failed,
        Topic::NotStarted,
        Topic::Ended,
        Topic::Signal,
        Topic::Mount,
        Topic::Unmount,
        Topic::Done,
        Topic::Stopped,
        Topic::Spec,
        Topic::Socket,
        Topic::Covered,
        Topic::Still,
        Topic::Going,
        Topic::Layers,
        Topic::View,
    ];
}

/// A received message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Topic,
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// The sender, as the receiver counts processes; 0 unless credentials are passed.
    pub(super) pid: i32,
}

/// One end of a connected pair; a message is whole or absent.
#[derive(Debug)]
pub(super) struct Channel {
    fd: OwnedFd,
}

impl Channel {
    /// Two connected ends, closed by exec.
    pub(super) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) = net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Channel { fd: one }, Channel { fd: other }))
    }

    /// Makes the kernel name the sender of every message received from now on.
    pub(super) fn pass_credentials(&self) -> io::Result<()> {
        Ok(net::sockopt::set_socket_passcred(&self.fd, true)?)
    }

    /// Sends one message.
    pub(super) fn send(&self, topic: Topic, bytes: &[u8]) -> io::Result<()> {
        self.send_with(topic, bytes, &[])
    }

    /// Sends one message with copies of descriptors.
    pub(super) fn send_with(
        &self,
        topic: Topic,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let topic = [topic as u8];
        let parts = [IoSlice::new(&topic), IoSlice::new(bytes)];
        loop {
            match net::sendmsg(&self.fd, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for one message; `None` when the other side is gone.
    pub(super) fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit();
            rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
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
        let (mut fds, mut pid) = (Vec::new(), 0);
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
                RecvAncillaryMessage::ScmCredentials(sender) => {
                    pid = sender.pid.as_raw_nonzero().get();
                }
                _ => {}
            }
        }
        bytes.truncate(received.bytes);
        let Some(first) = bytes.first().copied() else { return Ok(None) };
        let topic = Topic::EVERY.into_iter().find(|topic| *topic as u8 == first);
        let topic = topic.ok_or(io::ErrorKind::InvalidData)?;
        bytes.remove(0);
        Ok(Some(Message { topic, bytes, fds, pid }))
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Channel {
        Channel { fd }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
