//! Installing a system-call filter.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// One instruction of the classic BPF that seccomp runs.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// What to do.
    pub(crate) code: u16,
    /// How many instructions to skip if true.
    pub(crate) jump_true: u8,
    /// How many instructions to skip if false.
    pub(crate) jump_false: u8,
    /// The operand.
    pub(crate) operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    instructions: *const Instruction,
}

/// Whether system calls can be notified through this filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    /// A listener is returned.
    Yes,
    /// The filter has no notified call.
    No,
}

/// Installs `filter` for the calling thread and all it starts; needs `no_new_privs`.
///
/// A notified call can only be interrupted by a fatal signal once the supervisor has it, so that a
/// signal (Go sends them all the time) does not make the act be decided twice.
pub(crate) fn install(filter: &[Instruction], listening: Listening) -> io::Result<Option<OwnedFd>> {
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { len, instructions: filter.as_ptr() };
    let flags = match listening {
        Listening::Yes => {
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        }
        Listening::No => 0,
    };
    // SAFETY: `program` points at `len` live instructions laid out as `struct sock_filter`; the
    // kernel copies them and keeps no pointer.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    match (RawFd::try_from(result), listening) {
        (Ok(fd), Listening::Yes) if fd >= 0 => {
            // SAFETY: with NEW_LISTENER the result is a new descriptor that nobody else owns.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        (Ok(0), Listening::No) => Ok(None),
        (Ok(_) | Err(_), _) => Err(io::Error::last_os_error()),
    }
}
