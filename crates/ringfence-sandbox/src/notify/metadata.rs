//! Permissions and times of files: notified where no mount holds them, and where files are asked about.
//!
//! Landlock does not govern them, so that the payload could change those of any file of its user. In a
//! world with mounts those hold them, and let go on what is not asked about: a place that is has a
//! read-only one, whatever path the kernel reads in the end.

use std::os::fd::OwnedFd;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::file::changed;
use super::listen::Judged;
use super::locate::{Found, Last};
use super::making::{Changing, Metadata, What};
use super::tracee::{Call, Trouble};
use crate::sys::notify::Reply;

/// `struct timespec` and `struct timeval`, in bytes; `struct utimbuf` is two numbers.
const TIME_BYTES: usize = 16;
const NANOSECONDS_OF_A_MICROSECOND: i64 = 1000;
const MICROSECONDS_MAX: i64 = 999_999;

/// The name of a system call that changes permissions or times.
pub(super) fn name(number: i64) -> Option<&'static str> {
    Some(match number {
        libc::SYS_chmod => "chmod",
        libc::SYS_fchmod => "fchmod",
        libc::SYS_fchmodat => "fchmodat",
        libc::SYS_fchmodat2 => "fchmodat2",
        libc::SYS_utime => "utime",
        libc::SYS_utimes => "utimes",
        libc::SYS_futimesat => "futimesat",
        libc::SYS_utimensat => "utimensat",
        _ => return None,
    })
}

/// Which file a call names.
enum Named {
    /// An open one.
    File(i32),
    /// By a path, or with a flag by none.
    Path(i32, u64, i32),
}

/// What a notified call would change.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    if call.shared.places.is_some() {
        let (path, what) = change(call)?;
        return changed(call, path, what);
    }
    match change(call) {
        Ok((Some(path), what)) if call.shows_asked(&path) => changed(call, Some(path), what),
        Err(Trouble::Gone) => Err(Trouble::Gone),
        // An open file as well: it is of a mount or of a tree that lets it be changed, or not.
        Ok(_) | Err(Trouble::Errno(_) | Trouble::Unresolvable { .. }) => {
            Ok(Judged::Answer(Reply::Continue))
        }
    }
}

/// The path of what would change, if it has one, and how.
fn change(call: &Call<'_>) -> Result<(Option<Vec<u8>>, What), Trouble> {
    let bits = |at: usize| Changing::Mode(call.int(at).cast_unsigned());
    let (named, changing) = match call.notification.number {
        libc::SYS_chmod => (Named::Path(libc::AT_FDCWD, call.arg(0), 0), bits(1)),
        libc::SYS_fchmod => (Named::File(call.int(0)), bits(1)),
        libc::SYS_fchmodat => (Named::Path(call.int(0), call.arg(1), 0), bits(2)),
        libc::SYS_fchmodat2 => (Named::Path(call.int(0), call.arg(1), call.int(3)), bits(2)),
        libc::SYS_utime => {
            let named = Named::Path(libc::AT_FDCWD, call.arg(0), 0);
            (named, Changing::Times(times(call, 1, Unit::Seconds)?))
        }
        libc::SYS_utimes => {
            let named = Named::Path(libc::AT_FDCWD, call.arg(0), 0);
            (named, Changing::Times(times(call, 1, Unit::Microseconds)?))
        }
        libc::SYS_futimesat => {
            (of_descriptor(call, 0), Changing::Times(times(call, 2, Unit::Microseconds)?))
        }
        libc::SYS_utimensat => {
            (of_descriptor(call, call.int(3)), Changing::Times(times(call, 2, Unit::Nanoseconds)?))
        }
        _ => return Err(Trouble::unresolvable("it is not known here", libc::EACCES)),
    };
    let (path, which) = match file(call, &named)? {
        Ok(path) => (Some(path.clone()), Metadata::At { path }),
        Err(nameless) => (None, Metadata::Of(nameless)),
    };
    Ok((path, What::Change { which, changing }))
}

/// Without a path, the descriptor itself is meant.
fn of_descriptor(call: &Call<'_>, flags: i32) -> Named {
    match call.arg(1) {
        0 => Named::File(call.int(0)),
        path => Named::Path(call.int(0), path, flags),
    }
}

/// The path that a file has, or else the file.
fn file(call: &Call<'_>, named: &Named) -> Result<Result<Vec<u8>, OwnedFd>, Trouble> {
    let (dir, path, flags) = match named {
        Named::File(number) => return of_open(call, *number),
        Named::Path(dir, path, flags) => (*dir, call.path(*path)?, *flags),
    };
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Trouble::Errno(libc::EINVAL));
    }
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        return of_open(call, dir);
    }
    let keep = flags & libc::AT_SYMLINK_NOFOLLOW != 0;
    let place = call.locate(dir, &path, if keep { Last::Keep } else { Last::Follow })?;
    match place.found {
        Found::Absent => Err(Trouble::Errno(libc::ENOENT)),
        Found::Nameless => Ok(Err(call.nameless(&place.path)?)),
        Found::Directory | Found::Symlink | Found::File => Ok(Ok(place.path)),
    }
}

fn of_open(call: &Call<'_>, number: i32) -> Result<Result<Vec<u8>, OwnedFd>, Trouble> {
    if number == libc::AT_FDCWD {
        return call.directory(number).map(Ok);
    }
    // Who carries something out takes a world that was never looked at for none.
    call.root()?;
    let open = call.open_file(number)?;
    Ok(call.name_of(&open)?.ok_or(open))
}

/// What a time is counted in besides seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Microseconds,
    Nanoseconds,
}

/// The two times an argument points to; none are now.
fn times(call: &Call<'_>, arg: usize, unit: Unit) -> Result<Timestamps, Trouble> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let address = call.arg(arg);
    if address == 0 {
        return Ok(Timestamps { last_access: now, last_modification: now });
    }
    let length = if unit == Unit::Seconds { TIME_BYTES } else { 2 * TIME_BYTES };
    let bytes = call.bytes(address, length)?;
    let numbers = bytes.as_chunks::<8>().0.iter().map(|bytes| i64::from_ne_bytes(*bytes));
    let numbers: Vec<i64> = numbers.collect();
    let time = |seconds: i64, rest: i64| match unit {
        Unit::Seconds => Ok(Timespec { tv_sec: seconds, tv_nsec: 0 }),
        Unit::Nanoseconds => Ok(Timespec { tv_sec: seconds, tv_nsec: rest }),
        Unit::Microseconds if (0..=MICROSECONDS_MAX).contains(&rest) => {
            Ok(Timespec { tv_sec: seconds, tv_nsec: rest * NANOSECONDS_OF_A_MICROSECOND })
        }
        Unit::Microseconds => Err(Trouble::Errno(libc::EINVAL)),
    };
    let (access, modification) = match numbers.as_slice() {
        [access, modification] => (time(*access, 0)?, time(*modification, 0)?),
        [access, rest, modification, other] => {
            (time(*access, *rest)?, time(*modification, *other)?)
        }
        _ => return Err(Trouble::Errno(libc::EFAULT)),
    };
    Ok(Timestamps { last_access: access, last_modification: modification })
}
