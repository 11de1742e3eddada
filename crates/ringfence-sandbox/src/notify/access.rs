//! What may be done with a file, asked by a process before it tries.
//!
//! Where changes are asked about the world's mounts are read-only, and what is read after a question is
//! closed: the kernel would say no to what an open may well get, and programs that believe it would never
//! try. For such places the answer comes of the file itself; everywhere else the kernel gives it. It is
//! told and grants nothing: each open is decided all the same.

use super::asked::AskedPlace;
use super::listen::Judged;
use super::locate::{Found, Last, Place};
use super::making::{Making, What};
use super::tracee::{Call, Trouble};
use crate::sys::notify::Reply;

/// The name of a system call that only asks.
pub(super) fn name(number: i64) -> Option<&'static str> {
    Some(match number {
        libc::SYS_access => "access",
        libc::SYS_faccessat => "faccessat",
        libc::SYS_faccessat2 => "faccessat2",
        _ => return None,
    })
}

/// Who answers such a call. What cannot be told is left to the kernel, which knows of the mounts alone.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let (dir, path, mode, flags) = match call.notification.number {
        libc::SYS_access => (libc::AT_FDCWD, call.arg(0), call.int(1), 0),
        libc::SYS_faccessat => (call.int(0), call.arg(1), call.int(2), 0),
        _ => (call.int(0), call.arg(1), call.int(2), call.int(3)),
    };
    let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    let found = call.path(path).and_then(|path| call.locate(dir, &path, last));
    let asked = match found {
        Ok(place) => asked(call, place, mode),
        Err(Trouble::Gone) => return Err(Trouble::Gone),
        Err(Trouble::Errno(_) | Trouble::Unresolvable { .. }) => None,
    };
    Ok(asked.map_or(Judged::Answer(Reply::Continue), Judged::Make))
}

/// The question, where we answer it.
fn asked(call: &Call<'_>, Place { path, found }: Place, mode: i32) -> Option<Making> {
    let place = call.shared.asked.get()?.place(&path)?;
    let mode = match found {
        Found::Absent | Found::Nameless => return None,
        Found::Directory | Found::Symlink => mode,
        Found::File => mode_of_file(place, mode)?,
    };
    let what = What::Access { path, mode: mode.cast_unsigned() };
    Some(Making { what, umask: rustix::fs::Mode::empty(), tree: None })
}

/// What is asked of a file's tree, from which nothing is started: whether a program that the mounts
/// show can be, they say themselves.
fn mode_of_file(place: &AskedPlace, mode: i32) -> Option<i32> {
    if place.is_hidden() {
        return Some(mode);
    }
    (mode & libc::W_OK != 0).then_some(mode & !libc::X_OK)
}
