//! Opening files and directories by a path.

use libc::{c_char, c_int, mode_t};

use crate::ask::{Answer, ask};
use crate::raw::{self, Register as _};

/// Opens what the broker lets be opened; -1 and `errno` where it does not.
pub(super) fn open_at(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let args = [dir.register(), path.register(), flags.register(), mode.register()];
    let args = raw::args(args);
    match ask(libc::SYS_openat, args) {
        Answer::GoOn => super::result(raw::number(libc::SYS_openat, args)),
        Answer::Fail(errno) => raw::fail(errno),
        Answer::Done => raw::fail(libc::EACCES),
        Answer::File(file) => {
            if flags & libc::O_CLOEXEC == 0 {
                let args = [file.register(), libc::F_SETFD.register(), 0];
                // It is our own, and open.
                let _ = raw::number(libc::SYS_fcntl, raw::args(args));
            }
            file
        }
    }
}

/// The mode where flags say that there is one. These functions take it as one of any number of arguments;
/// where the program passed none, the register holds anything.
fn mode_of(flags: c_int, mode: mode_t) -> mode_t {
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    if makes { mode } else { 0 }
}

macro_rules! opens {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            open_at(libc::AT_FDCWD, path, flags, mode_of(flags, mode))
        }
    )*};
}

macro_rules! opens_at {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            open_at(dir, path, flags, mode_of(flags, mode))
        }
    )*};
}

macro_rules! creates {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(path: *const c_char, mode: mode_t) -> c_int {
            open_at(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
        }
    )*};
}

// Those with an underscore are called where a program was built with `_FORTIFY_SOURCE`.
opens! { open open64 __open __open64 __open_2 __open64_2 }
opens_at! { openat openat64 __openat_2 __openat64_2 }
creates! { creat creat64 }
