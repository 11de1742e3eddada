//! `syscall(2)`: the same calls by their numbers.

use core::ffi::c_long;

use libc::c_int;

use super::{decided, exec, open, sockets};
use crate::raw;

/// The call with the numbers of a path and other things in registers. It takes any number of arguments; those
/// that were not passed are anything, as they are for libc's own.
#[unsafe(no_mangle)]
extern "C" fn syscall(
    number: c_long,
    first: u64,
    second: u64,
    third: u64,
    fourth: u64,
    fifth: u64,
    sixth: u64,
) -> c_long {
    let args = [first, second, third, fourth, fifth, sixth];
    match number {
        libc::SYS_open => c_long::from(open::open_at(
            libc::AT_FDCWD,
            pointer(first),
            int(second),
            int(third).cast_unsigned(),
        )),
        libc::SYS_openat => c_long::from(open::open_at(
            int(first),
            pointer(second),
            int(third),
            int(fourth).cast_unsigned(),
        )),
        libc::SYS_execve => {
            raw::fail(exec::by_path(pointer(first), pointer(second), pointer(third))).into()
        }
        libc::SYS_execveat => {
            let lists = (pointer(third), pointer(fourth));
            raw::fail(exec::at(int(first), pointer(second), lists, int(fifth))).into()
        }
        libc::SYS_socket => {
            super::result(sockets::made(int(first), int(second), int(third))).into()
        }
        // What names its path in a structure is not read by the broker.
        libc::SYS_openat2 | libc::SYS_io_uring_setup => raw::fail(libc::ENOSYS).into(),
        _ if is_asked(number) => decided(number, args).into(),
        _ => match raw::call(number, args) {
            error @ -4095..0 => raw::fail(c_int::try_from(-error).unwrap_or(libc::EIO)).into(),
            result => result,
        },
    }
}

fn is_asked(number: c_long) -> bool {
    matches!(
        number,
        libc::SYS_creat
            | libc::SYS_unlink
            | libc::SYS_unlinkat
            | libc::SYS_rmdir
            | libc::SYS_rename
            | libc::SYS_renameat
            | libc::SYS_renameat2
            | libc::SYS_mkdir
            | libc::SYS_mkdirat
            | libc::SYS_mknod
            | libc::SYS_mknodat
            | libc::SYS_link
            | libc::SYS_linkat
            | libc::SYS_symlink
            | libc::SYS_symlinkat
            | libc::SYS_truncate
            | libc::SYS_chmod
            | libc::SYS_fchmod
            | libc::SYS_fchmodat
            | libc::SYS_fchmodat2
            | libc::SYS_utime
            | libc::SYS_utimes
            | libc::SYS_futimesat
            | libc::SYS_utimensat
            | libc::SYS_connect
            | libc::SYS_bind
            | libc::SYS_listen
    )
}

/// The low half of a register, as the kernel takes an `int` out of it.
fn int(register: u64) -> c_int {
    u32::try_from(register & 0xffff_ffff).unwrap_or(0).cast_signed()
}

fn pointer<T>(register: u64) -> *const T {
    std::ptr::with_exposed_provenance(usize::try_from(register).unwrap_or(0))
}
