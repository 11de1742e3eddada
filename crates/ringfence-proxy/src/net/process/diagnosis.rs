//! Asks the kernel for one connection of a network namespace (`sock_diag(7)`, `struct inet_diag_req_v2`).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};

use super::Ends;

/// `struct nlmsghdr`, in bytes.
const HEADER_BYTES: usize = 16;
/// A header and `struct inet_diag_req_v2`, in bytes.
const QUESTION_BYTES: u32 = 72;
/// Where `struct inet_diag_msg` has the inode.
const INODE_AT: usize = 68;
/// Where it has the cookie.
const COOKIE_AT: usize = 44;
/// How much of an answer is read, in bytes: one message and its attributes.
const ANSWER_BYTES: usize = 4 * 1024;
/// Most answers to earlier questions that are passed over.
const STALE_MAX: usize = 16;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const ANY_STATE: u32 = u32::MAX;
const NO_COOKIE: u32 = u32::MAX;

/// The client's end of a connection, as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// None once the process has closed it.
    pub(super) inode: Option<u32>,
    /// Never given to another one (`SO_COOKIE`).
    pub(super) cookie: u64,
}

/// A line to the kernel's knowledge of sockets.
pub(super) struct Diagnosis {
    socket: OwnedFd,
    sequence: u32,
}

impl Diagnosis {
    /// By a `NETLINK_SOCK_DIAG` socket.
    pub(super) fn new(socket: OwnedFd) -> Diagnosis {
        Diagnosis { socket, sequence: 0 }
    }

    /// The client's end of a connection; `None` where the kernel knows none, or nothing of connections.
    pub(super) fn socket(&mut self, ends: Ends) -> Option<Socket> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(ends, self.sequence)?;
        rustix::net::send(&self.socket, &question, SendFlags::NOSIGNAL).ok()?;
        let mut answer = [0; ANSWER_BYTES];
        for _ in 0..STALE_MAX {
            let (got, _) =
                rustix::net::recv(self.socket.as_fd(), &mut answer[..], RecvFlags::empty()).ok()?;
            let answer = answer.get(..got)?;
            // One that was not waited for, for instance because a signal came.
            if u32_at(answer, 8)? != self.sequence {
                continue;
            }
            // Anything else is an error number.
            return if u16_at(answer, 4)? == SOCK_DIAG_BY_FAMILY { socket(answer) } else { None };
        }
        None
    }
}

/// What `struct inet_diag_msg` tells.
fn socket(answer: &[u8]) -> Option<Socket> {
    let message = answer.get(HEADER_BYTES..)?;
    let inode = u32_at(message, INODE_AT).filter(|inode| *inode != 0);
    let high = COOKIE_AT.saturating_add(4);
    let (low, high) = (u32_at(message, COOKIE_AT)?, u32_at(message, high)?);
    Some(Socket { inode, cookie: u64::from(high) << 32 | u64::from(low) })
}

/// The question for the socket of exactly these ends; `None` where they are of two families.
fn question(ends: Ends, sequence: u32) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(72);
    message.extend(QUESTION_BYTES.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    let family = match (ends.client.ip(), ends.target.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    message.extend([family, IPPROTO_TCP, 0, 0]);
    message.extend(ANY_STATE.to_ne_bytes());
    message.extend(ends.client.port().to_be_bytes());
    message.extend(ends.target.port().to_be_bytes());
    message.extend(address(ends.client));
    message.extend(address(ends.target));
    message.extend([0; 4]);
    message.extend(NO_COOKIE.to_ne_bytes());
    message.extend(NO_COOKIE.to_ne_bytes());
    Some(message)
}

/// An address in the room of the longer kind.
fn address(of: SocketAddr) -> [u8; 16] {
    match of.ip() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}
