//! The version of Landlock this kernel speaks, asked of the kernel itself; holding one thread by
//! rules that were made elsewhere.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const CREATE_RULESET_VERSION: u32 = 1;

/// The ABI version, or why there is none: `ENOSYS` not built in, `EOPNOTSUPP` switched off.
///
/// `/sys/kernel/security/lsm` is no substitute: it is absent where securityfs is not mounted.
pub(crate) fn abi() -> io::Result<i32> {
    // SAFETY: with this flag landlock_create_ruleset(2) wants a null attribute of size 0 and
    // touches no memory of ours.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    match i32::try_from(version) {
        Ok(version) if version > 0 => Ok(version),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Holds the calling thread, and all it starts, by these rules for good; needs `no_new_privs`.
pub(crate) fn restrict_thread(rules: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: landlock_restrict_self(2) takes numbers only.
    let status = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
