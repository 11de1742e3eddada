//! Streams and directories: libc opens them inside itself, so they are opened here and handed to it.

use libc::{DIR, FILE, c_char, c_int};

use super::open::open_at;
use crate::memory::string;
use crate::raw;

/// What a stream's mode asks for (fopen(3)); none where it is none.
fn flags_of(mode: *const c_char) -> Option<c_int> {
    let (first, rest) = string(mode)?.split_first()?;
    // A character set would be lost when the stream is made of an open file.
    if rest.contains(&b',') {
        return None;
    }
    let (only, both) = (libc::O_WRONLY | libc::O_CREAT, libc::O_RDWR | libc::O_CREAT);
    let more = match first {
        b'r' if rest.contains(&b'+') => libc::O_RDWR,
        b'r' => libc::O_RDONLY,
        b'w' if rest.contains(&b'+') => both | libc::O_TRUNC,
        b'w' => only | libc::O_TRUNC,
        b'a' if rest.contains(&b'+') => both | libc::O_APPEND,
        b'a' => only | libc::O_APPEND,
        _ => return None,
    };
    let exclusive = if rest.contains(&b'x') { libc::O_EXCL } else { 0 };
    let closed = if rest.contains(&b'e') { libc::O_CLOEXEC } else { 0 };
    Some(more | exclusive | closed)
}

fn opened(path: *const c_char, mode: *const c_char) -> *mut FILE {
    let Some(flags) = flags_of(mode) else { return raw::null(libc::EINVAL) };
    let file = open_at(libc::AT_FDCWD, path, flags, 0o666);
    if file < 0 {
        return std::ptr::null_mut();
    }
    // SAFETY: the file is ours to give away, and the mode a string that was read above.
    let stream = unsafe { libc::fdopen(file, mode) };
    if stream.is_null() {
        raw::close(file);
    }
    stream
}

#[unsafe(no_mangle)]
extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
    opened(path, mode)
}

#[unsafe(no_mangle)]
extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE {
    opened(path, mode)
}

/// The stream is opened anew by libc, on the file that was decided about.
fn reopened(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    type Reopen = unsafe extern "C" fn(*const c_char, *const c_char, *mut FILE) -> *mut FILE;
    let behind = raw::next(c"freopen");
    if behind.is_null() {
        return raw::null(libc::ENOSYS);
    }
    // SAFETY: libc's function of this name has this type (freopen(3)).
    let reopen = unsafe { std::mem::transmute::<*mut libc::c_void, Reopen>(behind) };
    if path.is_null() {
        // SAFETY: the program's own arguments, as it passed them.
        return unsafe { reopen(path, mode, stream) };
    }
    let Some(flags) = flags_of(mode) else { return raw::null(libc::EINVAL) };
    let file = open_at(libc::AT_FDCWD, path, flags | libc::O_CLOEXEC, 0o666);
    if file < 0 {
        return std::ptr::null_mut();
    }
    let mut name = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    write_number(file, name.iter_mut().skip(14));
    // It is there by now: a mode that wants it to be new is not passed on.
    let mut kept = [0_u8; 16];
    let letters = string(mode).unwrap_or_default().iter().filter(|it| **it != b'x');
    for (to, from) in kept.iter_mut().take(15).zip(letters) {
        *to = *from;
    }
    // SAFETY: both are strings with a NUL behind them, and the stream is the program's.
    let stream = unsafe { reopen(name.as_ptr().cast(), kept.as_ptr().cast(), stream) };
    raw::close(file);
    stream
}

/// Writes a number that is not negative in decimal digits.
fn write_number<'a>(number: c_int, mut to: impl Iterator<Item = &'a mut u8>) {
    let mut unit = 1;
    while number / unit > 9 {
        unit *= 10;
    }
    while unit > 0 {
        let digit = u8::try_from(number / unit % 10).unwrap_or(0);
        if let Some(place) = to.next() {
            *place = b'0' + digit;
        }
        unit /= 10;
    }
}

#[unsafe(no_mangle)]
extern "C" fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    reopened(path, mode, stream)
}

#[unsafe(no_mangle)]
extern "C" fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    reopened(path, mode, stream)
}

#[unsafe(no_mangle)]
extern "C" fn opendir(path: *const c_char) -> *mut DIR {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = open_at(libc::AT_FDCWD, path, flags, 0);
    if file < 0 {
        return std::ptr::null_mut();
    }
    // SAFETY: the file is ours to give away.
    let directory = unsafe { libc::fdopendir(file) };
    if directory.is_null() {
        raw::close(file);
    }
    directory
}
