//! Changes to files by path: what each system call would create, change and remove.

use ringfence_core::{AbsolutePath, FileChange};

use super::listen::Judged;
use super::locate::{Found, Last, Place};
use super::tracee::{Call, Trouble};
use super::{Attempted, FileAttempt};
use crate::sys::notify::Reply;

/// What a call would do, once its arguments are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Open(At, i32),
    Create(At),
    Remove(At),
    Rename(At, At, i32),
    Truncate(At),
}

/// A directory descriptor and the address of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    dir: i32,
    path: u64,
}

/// `O_TMPFILE` without the `O_DIRECTORY` in it.
const TMPFILE: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// The name of a system call that changes files.
pub(super) fn name(number: i64) -> &'static str {
    match number {
        libc::SYS_open => "open",
        libc::SYS_openat => "openat",
        libc::SYS_creat => "creat",
        libc::SYS_unlink => "unlink",
        libc::SYS_unlinkat => "unlinkat",
        libc::SYS_rmdir => "rmdir",
        libc::SYS_rename => "rename",
        libc::SYS_renameat => "renameat",
        libc::SYS_renameat2 => "renameat2",
        libc::SYS_link => "link",
        libc::SYS_linkat => "linkat",
        libc::SYS_symlink => "symlink",
        libc::SYS_symlinkat => "symlinkat",
        libc::SYS_mkdir => "mkdir",
        libc::SYS_mkdirat => "mkdirat",
        libc::SYS_mknod => "mknod",
        libc::SYS_mknodat => "mknodat",
        libc::SYS_truncate => "truncate",
        _ => "an unknown system call",
    }
}

/// What a notified call does to files.
///
/// Permitted ones are carried out by the kernel, which reads the path again. That is safe, whoever
/// changes it meanwhile: what can be changed at all is bounded by the world's mounts and Landlock,
/// and no rule on files is decided by anything they do not enforce.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let change = change(call);
    if matches!(change, Some(Change::Remove(_) | Change::Rename(..))) {
        call.shared.straight.forget();
    }
    let acts = match change {
        Some(Change::Open(at, flags)) => open(call, at, flags)?,
        Some(Change::Create(at)) => {
            let place = place(call, at, Last::Keep)?;
            if place.found != Found::Absent {
                return Err(Trouble::Errno(libc::EEXIST));
            }
            vec![(FileChange::Created, place.path)]
        }
        Some(Change::Remove(at)) => {
            vec![(FileChange::Deleted, existing(place(call, at, Last::Keep)?)?)]
        }
        Some(Change::Rename(from, to, flags)) => rename(call, from, to, flags)?,
        Some(Change::Truncate(at)) => match place(call, at, Last::Follow)? {
            Place { found: Found::Directory, .. } => return Err(Trouble::Errno(libc::EISDIR)),
            Place { found: Found::Nameless, .. } => Vec::new(),
            place => vec![(FileChange::Modified, existing(place)?)],
        },
        None => return Err(Trouble::unresolvable("it is not known here", libc::EACCES)),
    };
    hand_out(call, acts)
}

/// Leaves out what happens in private places; nothing else means nobody has to decide.
fn hand_out(call: &Call<'_>, acts: Vec<(FileChange, Vec<u8>)>) -> Result<Judged, Trouble> {
    let acts: Vec<(FileChange, AbsolutePath)> = acts
        .into_iter()
        .filter(|(_, path)| !call.shared.is_private(path))
        .map(|(change, path)| Ok((change, named(&path)?)))
        .collect::<Result<_, Trouble>>()?;
    if acts.is_empty() {
        return Ok(Judged::Answer(Reply::Continue));
    }
    Ok(Judged::Attempt(Attempted::File(FileAttempt { acts })))
}

/// A resolved path as the policy reads it.
pub(super) fn named(path: &[u8]) -> Result<AbsolutePath, Trouble> {
    AbsolutePath::from_bytes(path)
        .map_err(|error| Trouble::unresolvable(error.to_string(), libc::EILSEQ))
}

fn change(call: &Call<'_>) -> Option<Change> {
    let at = |dir: usize, path: usize| At { dir: call.int(dir), path: call.arg(path) };
    let cwd = |path: usize| At { dir: libc::AT_FDCWD, path: call.arg(path) };
    Some(match call.notification.number {
        libc::SYS_open => Change::Open(cwd(0), call.int(1)),
        libc::SYS_openat => Change::Open(at(0, 1), call.int(2)),
        libc::SYS_creat => Change::Open(cwd(0), libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
        libc::SYS_unlink | libc::SYS_rmdir => Change::Remove(cwd(0)),
        libc::SYS_unlinkat => Change::Remove(at(0, 1)),
        libc::SYS_rename => Change::Rename(cwd(0), cwd(1), 0),
        libc::SYS_renameat => Change::Rename(at(0, 1), at(2, 3), 0),
        libc::SYS_renameat2 => Change::Rename(at(0, 1), at(2, 3), call.int(4)),
        libc::SYS_mkdir | libc::SYS_mknod => Change::Create(cwd(0)),
        libc::SYS_mkdirat | libc::SYS_mknodat => Change::Create(at(0, 1)),
        // What a link points to is not changed by it.
        libc::SYS_link | libc::SYS_symlink => Change::Create(cwd(1)),
        libc::SYS_linkat => Change::Create(at(2, 3)),
        libc::SYS_symlinkat => Change::Create(at(1, 2)),
        libc::SYS_truncate => Change::Truncate(cwd(0)),
        _ => return None,
    })
}

fn place(call: &Call<'_>, at: At, last: Last) -> Result<Place, Trouble> {
    let path = call.path(at.path)?;
    call.locate(at.dir, &path, last)
}

fn existing(place: Place) -> Result<Vec<u8>, Trouble> {
    if place.found == Found::Absent { Err(Trouble::Errno(libc::ENOENT)) } else { Ok(place.path) }
}

fn open(call: &Call<'_>, at: At, flags: i32) -> Result<Vec<(FileChange, Vec<u8>)>, Trouble> {
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
    // Registers cannot change: these cannot turn into an open that makes or changes a named file.
    if flags & libc::O_PATH != 0 || flags & TMPFILE != 0 || !writes && flags & libc::O_CREAT == 0 {
        return Ok(Vec::new());
    }
    let exclusive = flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0;
    let keep = exclusive || flags & libc::O_NOFOLLOW != 0;
    let place = place(call, at, if keep { Last::Keep } else { Last::Follow })?;
    match place.found {
        Found::Absent if flags & libc::O_CREAT == 0 => Err(Trouble::Errno(libc::ENOENT)),
        Found::Absent => Ok(vec![(FileChange::Created, place.path)]),
        _ if exclusive => Err(Trouble::Errno(libc::EEXIST)),
        Found::Directory => Err(Trouble::Errno(libc::EISDIR)),
        Found::Symlink => Err(Trouble::Errno(libc::ELOOP)),
        Found::File if writes => Ok(vec![(FileChange::Modified, place.path)]),
        // Nothing that has a name changes.
        Found::File | Found::Nameless => Ok(Vec::new()),
    }
}

fn rename(
    call: &Call<'_>,
    from: At,
    to: At,
    flags: i32,
) -> Result<Vec<(FileChange, Vec<u8>)>, Trouble> {
    let exchange = flags & libc::RENAME_EXCHANGE.cast_signed() != 0;
    let replace = flags & libc::RENAME_NOREPLACE.cast_signed() == 0;
    let from = existing(place(call, from, Last::Keep)?)?;
    let to = place(call, to, Last::Keep)?;
    let there = to.found != Found::Absent;
    match (exchange, there) {
        (true, true) => Ok(vec![(FileChange::Modified, from), (FileChange::Modified, to.path)]),
        (true, false) => Err(Trouble::Errno(libc::ENOENT)),
        (false, true) if !replace => Err(Trouble::Errno(libc::EEXIST)),
        (false, true) => Ok(vec![(FileChange::Deleted, from), (FileChange::Modified, to.path)]),
        (false, false) => Ok(vec![(FileChange::Deleted, from), (FileChange::Created, to.path)]),
    }
}
