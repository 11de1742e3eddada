//! Which unix sockets the world itself has bound, asked of its network namespace (`sock_diag(7)`).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use super::BoundInside;
use crate::sys::notify as sys;

/// `struct nlmsghdr`, `struct unix_diag_msg` and `struct nlattr`, in bytes.
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;

/// How much of an answer is read at once; the kernel fills at most 32 KiB.
const ANSWER_BYTES: usize = 32 * 1024;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const UDIAG_SHOW_VFS: u32 = 2;
const UNIX_DIAG_VFS: u16 = 1;

/// Sockets that listen, and datagram sockets: `1 << TCP_LISTEN | 1 << TCP_CLOSE`.
const STATES: u32 = 1 << 10 | 1 << 7;

/// The world's network namespace, as seen through a socket made in it.
#[derive(Debug)]
pub(super) struct Inside {
    socket: Mutex<Socket>,
    /// Its network namespace; `None` before Linux 5.14.
    pub(super) cookie: Option<u64>,
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

/// A bound socket's file, as the kernel reports it: the low 32 bits of the inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BoundFile {
    pub(super) inode: u32,
    pub(super) device: u32,
}

impl Inside {
    pub(super) fn new(fd: OwnedFd) -> Inside {
        let cookie = sys::netns_cookie(&fd).ok();
        Inside { socket: Mutex::new(Socket { fd, sequence: 0 }), cookie }
    }

    /// That of our own, if the kernel tells of it.
    pub(super) fn of_ours() -> Option<Inside> {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let kind = Some(rustix::net::netlink::SOCK_DIAG);
        socket_with(family, SocketType::RAW, flags, kind).ok().map(Inside::new)
    }

    /// Whether a socket of the namespace is bound to this file.
    pub(super) fn holds(&self, file: &Stat) -> BoundInside {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        match socket.bound() {
            Ok(bound) if bound.contains(&BoundFile::of(file)) => BoundInside::Yes,
            Ok(_) => BoundInside::No,
            Err(_) => BoundInside::Unknown,
        }
    }
}

impl BoundFile {
    fn of(file: &Stat) -> BoundFile {
        #[expect(clippy::cast_possible_truncation, reason = "the kernel reports the low half")]
        let inode = file.st_ino as u32;
        // The kernel's own packing of a device number, MKDEV().
        let device = rustix::fs::major(file.st_dev) << 20 | rustix::fs::minor(file.st_dev);
        BoundFile { inode, device }
    }
}

impl Socket {
    /// The files of all sockets bound in the namespace.
    fn bound(&mut self) -> io::Result<Vec<BoundFile>> {
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::send(&self.fd, &request(self.sequence), SendFlags::NOSIGNAL)?;
        let mut found = Vec::new();
        let mut answer = vec![0; ANSWER_BYTES];
        loop {
            let (got, whole) =
                rustix::net::recv(self.fd.as_fd(), answer.as_mut_slice(), RecvFlags::TRUNC)?;
            if whole > got {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            let text = answer.get(..got).unwrap_or_default();
            if collect(text, self.sequence, &mut found)? == Dump::Done {
                return Ok(found);
            }
        }
    }
}

/// The question for all unix sockets: `nlmsghdr` and `unix_diag_req`.
fn request(sequence: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + 24);
    message.extend_from_slice(&40_u32.to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(&[1, 0, 0, 0]);
    message.extend_from_slice(&STATES.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(&UDIAG_SHOW_VFS.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message
}

/// Whether more of the answer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dump {
    More,
    Done,
}

/// Reads the messages of one datagram that answer question `sequence`.
pub(super) fn collect(
    mut text: &[u8],
    sequence: u32,
    found: &mut Vec<BoundFile>,
) -> io::Result<Dump> {
    let malformed = || io::Error::from_raw_os_error(libc::EBADMSG);
    while let Some(header) = text.first_chunk::<HEADER_BYTES>() {
        let length = usize::try_from(u32_at(header, 0)).map_err(|_| malformed())?;
        let message = text.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        // An answer to an earlier question, which was given up, is passed over.
        if u32_at(header, 8) == sequence {
            match u16_at(header, 4) {
                NLMSG_DONE => return Ok(Dump::Done),
                NLMSG_ERROR => return Err(malformed()),
                _ => found.extend(bound_file(message)),
            }
        }
        text = text.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Dump::More)
}

/// The file of one reported socket, if it has one.
fn bound_file(message: &[u8]) -> Option<BoundFile> {
    let mut attributes = message.get(MESSAGE_BYTES..)?;
    while attributes.len() >= ATTRIBUTE_BYTES {
        let length = usize::from(u16_at(attributes, 0));
        let value = attributes.get(ATTRIBUTE_BYTES..length)?;
        if u16_at(attributes, 2) == UNIX_DIAG_VFS && value.len() >= 8 {
            return Some(BoundFile { inode: u32_at(value, 0), device: u32_at(value, 4) });
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    u16::from_ne_bytes(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    u32::from_ne_bytes(bytes)
}
