//! One question to the broker, and its answer.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_long};

use crate::raw::{self, Register as _};
use crate::told;
use crate::wire::{self, Word};

/// Longest path in a unix socket's address, with its NUL, in bytes (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// What is to become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The program may make it itself.
    GoOn,
    /// It has been made, and returns 0.
    Done,
    /// It fails with this error number.
    Fail(c_int),
    /// It has been made, and this is the open file, closed by an exec.
    File(c_int),
}

/// Asks the broker about a system call; waits as long as the answer takes. No answer is a denial.
pub(crate) fn ask(number: c_long, args: [u64; 6]) -> Answer {
    let kind = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC).register();
    let socket = raw::number(libc::SYS_socket, raw::args([libc::AF_UNIX.register(), kind, 0]));
    // As many open files as there may be is the program's own affair.
    let socket = match socket {
        Ok(socket) => socket,
        Err(errno @ (libc::EMFILE | libc::ENFILE)) => return Answer::Fail(errno),
        Err(_) => return unanswered(),
    };
    let heard = connect(socket).and_then(|()| {
        say(socket, &wire::question(raw::tid(), number, args))?;
        hear(socket)
    });
    let answer = match heard {
        Some((Word::GoOn, None)) => Answer::GoOn,
        Some((Word::Done, None)) => Answer::Done,
        Some((Word::Fail(errno), None)) => Answer::Fail(errno),
        // It gets the number that the socket had, which was the lowest free one when the program asked.
        Some((Word::File, Some(file))) => {
            let args = [file.register(), socket.register(), libc::O_CLOEXEC.register()];
            let moved = raw::number(libc::SYS_dup3, raw::args(args));
            raw::close(file);
            if moved == Ok(socket) {
                return Answer::File(socket);
            }
            unanswered()
        }
        Some((_, file)) => {
            file.into_iter().for_each(raw::close);
            unanswered()
        }
        None => unanswered(),
    };
    raw::close(socket);
    answer
}

/// Nobody answers, or nothing that makes sense.
fn unanswered() -> Answer {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        raw::write(2, b"ringfence: the broker does not answer: what this program does is denied\n");
    }
    Answer::Fail(libc::EACCES)
}

fn connect(socket: c_int) -> Option<()> {
    let path = told::line()?;
    let mut address =
        libc::sockaddr_un { sun_family: libc::AF_UNIX.try_into().ok()?, sun_path: [0; 108] };
    if path.is_empty() || path.len() >= SOCKET_PATH_BYTES_MAX {
        return None;
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = from.cast_signed();
    }
    let length = size_of::<libc::sockaddr_un>();
    let args = raw::args([socket.register(), (&raw const address).register(), length.register()]);
    loop {
        match raw::number(libc::SYS_connect, args) {
            Ok(_) | Err(libc::EISCONN) => return Some(()),
            Err(libc::EINTR) => {}
            Err(_) => return None,
        }
    }
}

fn say(socket: c_int, bytes: &[u8]) -> Option<()> {
    let (start, length) = (bytes.as_ptr().register(), bytes.len().register());
    let args = [socket.register(), start, length, libc::MSG_NOSIGNAL.register(), 0, 0];
    loop {
        match raw::number(libc::SYS_sendto, args) {
            Ok(sent) => return (usize::try_from(sent) == Ok(bytes.len())).then_some(()),
            Err(libc::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Room for one descriptor: `struct cmsghdr` and a number, as the kernel aligns them.
#[repr(C, align(8))]
struct Ancillary {
    header: libc::cmsghdr,
    file: c_int,
    rest: c_int,
}

fn hear(socket: c_int) -> Option<(Word, Option<c_int>)> {
    let mut bytes = [0_u8; wire::ANSWER_BYTES + 1];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: both are plain integers and pointers, for which all-zero is a value.
    let (mut ancillary, mut message) = unsafe {
        (
            MaybeUninit::<Ancillary>::zeroed().assume_init(),
            MaybeUninit::<libc::msghdr>::zeroed().assume_init(),
        )
    };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut ancillary).cast();
    message.msg_controllen = size_of::<Ancillary>();
    let flags = libc::MSG_CMSG_CLOEXEC.register();
    let args = raw::args([socket.register(), (&raw mut message).register(), flags]);
    let got = loop {
        match raw::number(libc::SYS_recvmsg, args) {
            Ok(got) => break usize::try_from(got).ok()?,
            Err(libc::EINTR) => {}
            Err(_) => return None,
        }
    };
    let rights = message.msg_controllen >= size_of::<libc::cmsghdr>() + size_of::<c_int>()
        && ancillary.header.cmsg_level == libc::SOL_SOCKET
        && ancillary.header.cmsg_type == libc::SCM_RIGHTS;
    let file = rights.then_some(ancillary.file);
    let word = wire::answer(bytes.get(..got)?);
    if word.is_none() {
        file.into_iter().for_each(raw::close);
    }
    Some((word?, file))
}
