//! What changes names, files and what is known of them.

use libc::{
    c_char, c_int, c_uint, c_void, dev_t, mode_t, off_t, size_t, timespec, timeval, utimbuf,
};

use super::decided;
use crate::memory::string;
use crate::raw::{self, Register as _};

/// Functions that are one system call, which is asked about.
macro_rules! asked {
    ($($name:ident = $number:ident($($arg:ident: $kind:ty),*);)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($arg: $kind),*) -> c_int {
            decided(libc::$number, raw::args([$($arg.register()),*]))
        }
    )*};
}

asked! {
    unlink = SYS_unlink(path: *const c_char);
    unlinkat = SYS_unlinkat(dir: c_int, path: *const c_char, flags: c_int);
    rmdir = SYS_rmdir(path: *const c_char);
    rename = SYS_rename(from: *const c_char, to: *const c_char);
    renameat = SYS_renameat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char);
    renameat2 = SYS_renameat2(
        from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_uint);
    mkdir = SYS_mkdir(path: *const c_char, mode: mode_t);
    mkdirat = SYS_mkdirat(dir: c_int, path: *const c_char, mode: mode_t);
    mknod = SYS_mknod(path: *const c_char, mode: mode_t, device: dev_t);
    mknodat = SYS_mknodat(dir: c_int, path: *const c_char, mode: mode_t, device: dev_t);
    link = SYS_link(from: *const c_char, to: *const c_char);
    linkat = SYS_linkat(
        from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_int);
    symlink = SYS_symlink(says: *const c_char, path: *const c_char);
    symlinkat = SYS_symlinkat(says: *const c_char, dir: c_int, path: *const c_char);
    truncate = SYS_truncate(path: *const c_char, length: off_t);
    truncate64 = SYS_truncate(path: *const c_char, length: off_t);
    chmod = SYS_chmod(path: *const c_char, mode: mode_t);
    fchmod = SYS_fchmod(file: c_int, mode: mode_t);
    utime = SYS_utime(path: *const c_char, times: *const utimbuf);
    utimes = SYS_utimes(path: *const c_char, times: *const timeval);
    futimesat = SYS_futimesat(dir: c_int, path: *const c_char, times: *const timeval);
    utimensat = SYS_utimensat(
        dir: c_int, path: *const c_char, times: *const timespec, flags: c_int);
}

#[unsafe(no_mangle)]
extern "C" fn fchmodat(dir: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
    let args = [dir.register(), path.register(), mode.register(), flags.register()];
    let number = if flags == 0 { libc::SYS_fchmodat } else { libc::SYS_fchmodat2 };
    decided(number, raw::args(args))
}

#[unsafe(no_mangle)]
extern "C" fn futimens(file: c_int, times: *const timespec) -> c_int {
    decided(libc::SYS_utimensat, raw::args([file.register(), 0, times.register(), 0]))
}

/// A file or an empty directory, as `remove(3)` has it.
#[unsafe(no_mangle)]
extern "C" fn remove(path: *const c_char) -> c_int {
    let (at, path) = (libc::AT_FDCWD.register(), path.register());
    match super::ask(libc::SYS_unlinkat, raw::args([at, path, 0])) {
        super::Answer::Fail(libc::EISDIR) => {
            decided(libc::SYS_unlinkat, raw::args([at, path, libc::AT_REMOVEDIR.register()]))
        }
        super::Answer::Done => 0,
        super::Answer::Fail(errno) => raw::fail(errno),
        // A name is taken away by the broker or not at all.
        super::Answer::GoOn => raw::fail(libc::EACCES),
        super::Answer::File(file) => {
            raw::close(file);
            raw::fail(libc::EACCES)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn mkfifo(path: *const c_char, mode: mode_t) -> c_int {
    mknod(path, mode & !libc::S_IFMT | libc::S_IFIFO, 0)
}

#[unsafe(no_mangle)]
extern "C" fn mkfifoat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    mknodat(dir, path, mode & !libc::S_IFMT | libc::S_IFIFO, 0)
}

/// What is refused to every program of such a world, as by the filter of the tier `landlock`: owners and
/// attributes of files.
macro_rules! refused {
    ($($name:ident($($arg:ident: $kind:ty),*) = $errno:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($arg: $kind),*) -> c_int {
            raw::fail(libc::$errno)
        }
    )*};
}

refused! {
    chown(_path: *const c_char, _uid: c_uint, _gid: c_uint) = EPERM;
    lchown(_path: *const c_char, _uid: c_uint, _gid: c_uint) = EPERM;
    fchown(_file: c_int, _uid: c_uint, _gid: c_uint) = EPERM;
    fchownat(_dir: c_int, _path: *const c_char, _uid: c_uint, _gid: c_uint, _flags: c_int) = EPERM;
    setxattr(_path: *const c_char, _name: *const c_char, _value: *const c_void, _size: size_t,
        _flags: c_int) = EOPNOTSUPP;
    lsetxattr(_path: *const c_char, _name: *const c_char, _value: *const c_void, _size: size_t,
        _flags: c_int) = EOPNOTSUPP;
    fsetxattr(_file: c_int, _name: *const c_char, _value: *const c_void, _size: size_t,
        _flags: c_int) = EOPNOTSUPP;
    removexattr(_path: *const c_char, _name: *const c_char) = EOPNOTSUPP;
    lremovexattr(_path: *const c_char, _name: *const c_char) = EOPNOTSUPP;
    fremovexattr(_file: c_int, _name: *const c_char) = EOPNOTSUPP;
}

/// A path with six `X` before a suffix, which are to become a name that is not there.
pub(super) fn is_template(path: *const c_char, suffix: usize) -> Option<usize> {
    let length = string(path)?.len();
    let start = length.checked_sub(suffix)?.checked_sub(6)?;
    let xs = string(path)?.get(start..start + 6)?;
    (xs == b"XXXXXX").then_some(start)
}
