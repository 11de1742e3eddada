//! How a process ended, asked of its pidfd (`PIDFD_GET_INFO`, since Linux 6.13, exit since 6.15).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// `struct pidfd_info` of `linux/pidfd.h`, in its first published size of 64 bytes.
#[repr(C)]
#[derive(Debug, Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    real_uid: u32,
    real_gid: u32,
    effective_uid: u32,
    effective_gid: u32,
    saved_uid: u32,
    saved_gid: u32,
    filesystem_uid: u32,
    filesystem_gid: u32,
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: the exit status is asked for, and there.
const INFO_EXIT: u64 = 1 << 3;

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: libc::Ioctl = (3 << 30) | (0x40 << 16) | (0xFF << 8) | 0x0B;

/// `PIDFD_INFO_PID`: numbers of process and parent are asked for, and there.
const INFO_PID: u64 = 1 << 0;

/// The process's wait status, once it has been reaped; `None` where the kernel does not tell.
pub fn exit_status(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let info = ask(pidfd.as_fd(), INFO_EXIT)?;
    Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
}

/// The parent's number in our pid namespace, 0 where it has none; an error where the process is
/// gone or the kernel does not tell.
pub fn parent(pidfd: impl AsFd) -> io::Result<i32> {
    let info = ask(pidfd.as_fd(), INFO_PID)?;
    if info.mask & INFO_PID == 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(i32::try_from(info.ppid).unwrap_or(0))
}

fn ask(pidfd: BorrowedFd<'_>, mask: u64) -> io::Result<PidfdInfo> {
    let mut info = PidfdInfo { mask, ..PidfdInfo::default() };
    // SAFETY: the request encodes the size of the structure, 64 bytes, which the pointer names
    // and which is valid to read and write; other kernels answer ENOTTY or EINVAL.
    let status = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, (&raw mut info).cast::<u8>()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info)
}

const _: () = assert!(size_of::<PidfdInfo>() == 64);
