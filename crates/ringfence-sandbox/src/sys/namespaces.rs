//! Leaving namespaces for fresh ones.

use std::io;

pub(crate) use rustix::thread::UnshareFlags as Namespaces;

/// Moves the calling process, which must have one thread, into fresh namespaces.
pub(crate) fn enter_new(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: the flags are namespaces only (no `CLONE_FILES`, which is what makes this call
    // unsafe: it would pull descriptors from under other threads).
    unsafe { rustix::thread::unshare_unsafe(namespaces & !Namespaces::FILES) }?;
    Ok(())
}

/// Gives the calling thread a working directory and a umask of its own, which threads else share.
pub(crate) fn own_umask() -> io::Result<()> {
    // SAFETY: `CLONE_FS` leaves the table of open files, which is what makes this call unsafe,
    // shared by all threads.
    unsafe { rustix::thread::unshare_unsafe(Namespaces::FS) }?;
    Ok(())
}
