//! The version of Landlock this kernel speaks, asked of the kernel itself.

use std::io;

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
