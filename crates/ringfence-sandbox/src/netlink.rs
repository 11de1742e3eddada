//! Messages to the kernel's network configuration, `netlink(7)`: written, sent, and their answers read.
//!
//! No program is started for it, and nothing is read back but whether it was done.

pub(crate) mod firewall;
pub(crate) mod links;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::netlink::NETFILTER;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `struct nlmsghdr`, in bytes.
const HEADER_BYTES: usize = 16;
/// How much of an answer is read: a header, an error number, and the message it is about.
const ANSWER_BYTES: usize = 8 * 1024;
/// Messages, attributes and their values begin at multiples of this.
const ALIGNMENT: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
/// The attribute holds attributes.
const NLA_F_NESTED: u16 = 0x8000;

/// Messages that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// The number of the last message.
    sequence: u32,
}

/// A line to one part of the kernel, in the network namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
}

impl Batch {
    /// Writes a message: `header` is the fixed part of its kind, `fill` writes the attributes.
    fn message(&mut self, kind: u16, flags: u16, header: &[u8], fill: impl FnOnce(&mut Batch)) {
        self.sequence = self.sequence.wrapping_add(1);
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        // The sender: the kernel knows.
        self.bytes.extend([0; 4]);
        self.bytes.extend(header);
        fill(self);
        let length = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        self.put(start, &length.to_ne_bytes());
    }

    /// Writes an attribute.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.put_attribute(kind, |batch| batch.bytes.extend(value));
    }

    /// Writes an attribute that is a string with its end.
    fn text(&mut self, kind: u16, value: &str) {
        self.put_attribute(kind, |batch| {
            batch.bytes.extend(value.as_bytes());
            batch.bytes.push(0);
        });
    }

    /// Writes an attribute of attributes.
    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Batch)) {
        self.put_attribute(kind | NLA_F_NESTED, fill);
    }

    fn put_attribute(&mut self, kind: u16, fill: impl FnOnce(&mut Batch)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u16::MAX);
        self.put(start, &length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn put(&mut self, start: usize, length: &[u8]) {
        let field = self.bytes.iter_mut().skip(start);
        field.zip(length).for_each(|(to, from)| *to = *from);
    }
}

impl Line {
    /// To addresses and routes, `rtnetlink(7)`.
    pub(crate) fn route() -> io::Result<Line> {
        // Protocol 0, which is how a socket says that it names none.
        Line::open(None)
    }

    /// To the packet filter.
    pub(crate) fn netfilter() -> io::Result<Line> {
        Line::open(Some(NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Line> {
        // The kernel answers before a send returns: nothing is ever waited for.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let kind = SocketType::RAW;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, protocol)?;
        Ok(Line { socket })
    }

    /// Has a batch carried out, of which only `acknowledged` is answered unless something fails.
    fn carry_out(&self, batch: &Batch, acknowledged: u32) -> io::Result<()> {
        rustix::net::send(&self.socket, &batch.bytes, SendFlags::NOSIGNAL)?;
        let mut answer = vec![0; ANSWER_BYTES];
        loop {
            let (got, _) =
                rustix::net::recv(self.socket.as_fd(), answer.as_mut_slice(), RecvFlags::TRUNC)?;
            if done(answer.get(..got).unwrap_or_default(), acknowledged)? {
                return Ok(());
            }
        }
    }
}

/// Reads one datagram of answers: whether message `acknowledged` is done; a failure of any is one of
/// all.
fn done(mut answer: &[u8], acknowledged: u32) -> io::Result<bool> {
    let malformed = || io::Error::from_raw_os_error(libc::EBADMSG);
    while let Some(header) = answer.first_chunk::<HEADER_BYTES>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let length =
            usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(|_| malformed())?;
        let body = answer.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        if u16::from_ne_bytes([k0, k1]) == NLMSG_ERROR {
            let number = i32::from_ne_bytes(*body.first_chunk().ok_or_else(malformed)?);
            if number != 0 {
                return Err(io::Error::from_raw_os_error(number.saturating_neg()));
            }
            if u32::from_ne_bytes([s0, s1, s2, s3]) == acknowledged {
                return Ok(true);
            }
        }
        answer = answer.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
