//! Seccomp user notification: `seccomp_unotify(2)`, and reading the memory of who waits in it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// One system call that waits for an answer, as the kernel hands it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    /// The kernel's name for the waiting call; never reused by a listener.
    pub(crate) id: u64,
    /// The waiting thread, numbered in our pid namespace; 0 where it has no number there.
    pub(crate) tid: i32,
    /// `AUDIT_ARCH_*` of the call.
    pub(crate) arch: u32,
    /// The number of the system call.
    pub(crate) number: i64,
    /// Its arguments: registers, so the one part of a call that cannot change while it waits.
    pub(crate) args: [u64; 6],
}

/// What a waiting call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The kernel carries the call out, reading its memory arguments again.
    Continue,
    /// The call returns 0 without being carried out.
    Success,
    /// The call fails with this error number without being carried out.
    Fail(i32),
}

/// Whether an open file stays when its process starts another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnExec {
    /// It does.
    Keep,
    /// `O_CLOEXEC`.
    Close,
}

/// Checks that this kernel's structures have the sizes this program was built with.
pub(crate) fn check_sizes() -> io::Result<()> {
    let mut sizes =
        libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: SECCOMP_GET_NOTIF_SIZES writes one `seccomp_notif_sizes` through the pointer, which
    // names one that is valid to write.
    let status = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes)
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // A kernel with larger structures would write beyond ours. None exists: the sizes are part of
    // the ioctl numbers, so that such a kernel would need new ones.
    let ours = (size_of::<libc::seccomp_notif>(), size_of::<libc::seccomp_notif_resp>());
    let kernel = (usize::from(sizes.seccomp_notif), usize::from(sizes.seccomp_notif_resp));
    if ours == kernel { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPROTO)) }
}

/// Waits for a call; fails with `ENOENT` when one was interrupted before it could be handed out,
/// and on Linux 6.11 or later also when nobody is left who could make one.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    // The kernel refuses (EINVAL) a structure that is not all zero.
    // SAFETY: `seccomp_notif` is plain integers, for which all-zero is a value.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes one `seccomp_notif`, whose size `check_sizes` has compared with
    // the kernel's, through a pointer that is valid to write.
    let status =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Notification {
        id: raw.id,
        tid: i32::try_from(raw.pid).unwrap_or(0),
        arch: raw.data.arch,
        number: i64::from(raw.data.nr),
        args: raw.data.args,
    })
}

/// Answers a call; `ENOENT` when it no longer waits.
pub(crate) fn send(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> io::Result<()> {
    let (error, flags) = match reply {
        Reply::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Reply::Success => (0, 0),
        Reply::Fail(errno) => (-errno.abs(), 0),
    };
    // The kernel types flags as u32; the constant is one bit.
    let flags = u32::try_from(flags).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let mut raw = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the request reads one `seccomp_notif_resp`, which the pointer names; its size was
    // compared with the kernel's by `check_sizes`.
    let status =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut raw) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Answers a call with an open file, which gets the lowest free number in the waiting process, in
/// one step (`SECCOMP_ADDFD_FLAG_SEND`, since Linux 5.14); `ENOENT` when it no longer waits,
/// `EMFILE` when it has no number left, and then it does.
pub(crate) fn hand_in(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    on_exec: OnExec,
) -> io::Result<()> {
    const FLAG_SEND: u32 = 2;
    let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let newfd_flags = match on_exec {
        OnExec::Keep => 0,
        OnExec::Close => u32::try_from(libc::O_CLOEXEC).map_err(invalid)?,
    };
    let srcfd = u32::try_from(file.as_raw_fd()).map_err(invalid)?;
    let raw = libc::seccomp_notif_addfd { id, flags: FLAG_SEND, srcfd, newfd: 0, newfd_flags };
    // SAFETY: the request reads one `seccomp_notif_addfd`, which the pointer names; its size is
    // part of the request's number.
    let number = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const raw)
    };
    if number >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the call still waits: only then does its thread id still name the thread that made it.
pub(crate) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads one u64, which the pointer names.
    let status = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    status == 0
}

/// Asks the kernel to wake the waiting thread on our processor, which is about to be idle
/// (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, since Linux 6.6); older kernels say no, at no harm.
pub(crate) fn wake_in_step(listener: BorrowedFd<'_>) -> io::Result<()> {
    const SYNC_WAKE_UP: u64 = 1;
    // SAFETY: the request takes its argument by value.
    let status = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Copies memory of a thread, from each `(address, length)` in turn into `into`, and says how much
/// it got: less than asked for where a page is not mapped, `EFAULT` where the first is not.
pub(crate) fn read_memory(tid: i32, pieces: &[(u64, usize)], into: &mut [u8]) -> io::Result<usize> {
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|&(address, length)| libc::iovec {
            iov_base: std::ptr::with_exposed_provenance_mut(
                usize::try_from(address).unwrap_or(usize::MAX),
            ),
            iov_len: length,
        })
        .collect();
    read_vectors(tid, &remote, into)
}

/// [`read_memory`] for one piece, without an allocation.
pub(crate) fn read_piece(tid: i32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(
            usize::try_from(address).unwrap_or(usize::MAX),
        ),
        iov_len: into.len(),
    };
    read_vectors(tid, std::slice::from_ref(&remote), into)
}

fn read_vectors(tid: i32, remote: &[libc::iovec], into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let count = libc::c_ulong::try_from(remote.len()).unwrap_or(libc::c_ulong::MAX);
    // SAFETY: the one local vector is `into`, valid to write for its length; the remote ones are
    // addresses in another process, which the kernel checks.
    let copied =
        unsafe { libc::process_vm_readv(tid, &raw const local, 1, remote.as_ptr(), count, 0) };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// Whether thread `tid` belongs to the thread group `tgid`; asked by sending it signal 0.
pub(crate) fn in_group(tgid: i32, tid: i32) -> bool {
    // SAFETY: tgkill(2) takes numbers only; signal 0 is not delivered.
    let status = unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, 0) };
    status == 0
}

/// A socket address as a process wrote it.
pub(crate) fn connect_raw(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(address.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: connect(2) reads `length` bytes from the pointer, all of `address`; the kernel copies
    // them and asks for no alignment.
    let status = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives a socket an address.
pub(crate) fn bind_raw(socket: BorrowedFd<'_>, address: &[u8]) -> rustix::io::Result<()> {
    let invalid = |_| rustix::io::Errno::INVAL;
    let length = libc::socklen_t::try_from(address.len()).map_err(invalid)?;
    // SAFETY: bind(2) reads `length` bytes from the pointer, all of `address`; the kernel copies
    // them and asks for no alignment.
    let status = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::ACCESS))
}

/// Has a socket of IPv4 or IPv6 choose its port when it is bound, also where it was told to wait until
/// it connects (`IP_BIND_ADDRESS_NO_PORT`, since Linux 4.2).
pub(crate) fn choose_port_when_bound(socket: impl AsFd) -> io::Result<()> {
    const IP_BIND_ADDRESS_NO_PORT: libc::c_int = 24;
    const SIZE: libc::socklen_t = 4;
    let off: libc::c_int = 0;
    // SAFETY: the option reads an int, `SIZE` bytes, through the pointer, which names one.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_IP,
            IP_BIND_ADDRESS_NO_PORT,
            (&raw const off).cast(),
            SIZE,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cookie of the network namespace a socket belongs to (`SO_NETNS_COOKIE`, since Linux 5.14).
pub(crate) fn netns_cookie(socket: impl AsFd) -> io::Result<u64> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: the option writes at most `length` bytes, which is the size of `cookie`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if status == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Makes the calling thread - this one only, unlike setresuid(3) - act for this user for good.
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: setgroups(2) with a length of 0 reads nothing.
    let groups = unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) };
    // SAFETY: takes numbers only. The raw call changes the calling thread alone.
    let group = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    // SAFETY: as above; last, because it takes away the capability the others need.
    let user = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    if groups == 0 && group == 0 && user == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The process that made the connection at the other end of a unix socket (`SO_PEERPIDFD`, since Linux
/// 6.5; before, the process that has its number now).
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd as _;
    const SO_PEERPIDFD: libc::c_int = 77;
    let mut fd: libc::c_int = -1;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the option writes at most `length` bytes, which is the size of `fd`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut length,
        )
    };
    if status == 0 && fd >= 0 {
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
        return Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) });
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOPROTOOPT) {
        return Err(error);
    }
    let named = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(rustix::process::pidfd_open(named.pid, rustix::process::PidfdFlags::empty())?)
}

/// `PIDFD_THREAD`: the pidfd names a thread, not a thread group (since Linux 6.9).
pub(crate) fn pidfd_of_thread(tid: i32) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: pidfd_open(2) takes numbers only.
    let status = unsafe { libc::syscall(libc::SYS_pidfd_open, tid, libc::O_EXCL) };
    let fd = i32::try_from(status).map_err(|_| io::Error::last_os_error())?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us, close-on-exec, and nobody else knows it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) })
}
