//! Changes to files by path: what each system call would create, change and remove.

use std::os::fd::OwnedFd;

use ringfence_core::{AbsolutePath, FileChange};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::asked::Asked;
use super::listen::Judged;
use super::locate::{Found, Last, Place};
use super::making::{Making, What};
use super::roots;
use super::tracee::{Call, Trouble};
use super::{Appears, Deed, FileAttempt};
use crate::sys::notify::Reply;

/// What a call would do, once its arguments are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Open(At, i32, u32),
    Directory(At, u32),
    Node(At, u32),
    /// What it says, and where.
    Symlink(u64, At),
    Link(At, At, i32),
    Remove(At, i32),
    Rename(At, At, u32),
    Truncate(At),
}

/// A directory descriptor and the address of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    dir: i32,
    path: u64,
}

/// Paths that change, and how what makes a name is made.
struct Seen {
    acts: Vec<(FileChange, Vec<u8>)>,
    what: Option<What>,
    appears: Appears,
    /// What is read where that is decided.
    reads: Option<Vec<u8>>,
}

impl Seen {
    /// The kernel carries it out.
    fn by_kernel(acts: Vec<(FileChange, Vec<u8>)>) -> Seen {
        Seen { acts, what: None, appears: Appears::Nothing, reads: None }
    }

    fn by_us(acts: Vec<(FileChange, Vec<u8>)>, what: What) -> Seen {
        Seen { what: Some(what), ..Seen::by_kernel(acts) }
    }

    fn made(path: Vec<u8>, what: What) -> Seen {
        Seen::by_us(vec![(FileChange::Created, path)], what)
    }

    fn out_of_elsewhere(self) -> Seen {
        Seen { appears: Appears::Elsewhere, ..self }
    }
}

/// Where terminals are.
const TERMINALS: &[u8] = b"/dev/pts/";

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
/// What can make or remove a name is carried out by us. The rest, once permitted, is carried out by the
/// kernel, which reads the path again. That is safe, whoever changes it meanwhile: what stands
/// somewhere is bounded by the world's mounts and Landlock.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let change = change(call);
    if matches!(change, Some(Change::Remove(..) | Change::Rename(..))) {
        call.shared.straight.forget();
    }
    let seen = match change {
        Some(Change::Open(at, flags, mode)) => open(call, at, flags, mode)?,
        Some(Change::Directory(at, mode)) => {
            let path = absent(call, at, Named::Anything)?;
            Seen::made(path.clone(), What::Directory { path, mode })
        }
        Some(Change::Node(at, mode)) => {
            let path = absent(call, at, Named::NoDirectory)?;
            Seen::made(path.clone(), What::Node { path, mode })
        }
        Some(Change::Symlink(says, at)) => {
            let says = call.path(says)?;
            let path = absent(call, at, Named::NoDirectory)?;
            Seen::made(path.clone(), What::Symlink { says, path }).out_of_elsewhere()
        }
        Some(Change::Link(from, to, flags)) => link(call, from, to, flags)?.out_of_elsewhere(),
        Some(Change::Remove(at, flags)) => remove(call, at, flags)?,
        Some(Change::Rename(from, to, flags)) => rename(call, from, to, flags)?.out_of_elsewhere(),
        Some(Change::Truncate(at)) => match place(call, at, Last::Follow)? {
            Place { found: Found::Directory, .. } => return Err(Trouble::Errno(libc::EISDIR)),
            Place { found: Found::Nameless, .. } => Seen::by_kernel(Vec::new()),
            place if call.is_carried_out(&place.path) => {
                let (path, length) = (existing(place)?, call.arg(1));
                let acts = vec![(FileChange::Modified, path.clone())];
                Seen::by_us(acts, What::Truncate { path, length })
            }
            place if leads_elsewhere(call, at.dir, &call.path(at.path)?, &place.path)? => {
                return Err(Trouble::unresolvable("it shortens a file by a link", libc::EACCES));
            }
            place => Seen::by_kernel(vec![(FileChange::Modified, existing(place)?)]),
        },
        None => return Err(Trouble::unresolvable("it is not known here", libc::EACCES)),
    };
    hand_out(call, seen)
}

/// Leaves out what happens in private places; nothing else means nobody has to decide.
fn hand_out(call: &Call<'_>, seen: Seen) -> Result<Judged, Trouble> {
    let Seen { acts, what, appears, reads } = seen;
    what.as_ref().map_or(Ok(()), |what| call.can_be(what))?;
    let acts: Vec<(FileChange, AbsolutePath)> = acts
        .into_iter()
        .filter(|(_, path)| !call.shared.is_private(path))
        .map(|(change, path)| Ok((change, named(&path)?)))
        .collect::<Result<_, Trouble>>()?;
    let reads = reads.map(|path| named(&path)).transpose()?;
    let deed = what.as_ref().map_or(Deed::Open, Deed::from);
    let making = what.map(|what| making(call, what)).transpose()?;
    Ok(match making {
        making if !acts.is_empty() || reads.is_some() => {
            Judged::File(FileAttempt { acts, reads, appears, deed }, making)
        }
        Some(making) => Judged::Make(making),
        None => Judged::Answer(Reply::Continue),
    })
}

/// Something made at a path, or that has none.
pub(super) fn made(call: &Call<'_>, path: Option<Vec<u8>>, what: What) -> Result<Judged, Trouble> {
    match path {
        Some(path) => hand_out(call, Seen::made(path, what)),
        None => Ok(Judged::Make(making(call, what)?)),
    }
}

/// Something that changes at a path, or that has none.
pub(super) fn changed(
    call: &Call<'_>,
    path: Option<Vec<u8>>,
    what: What,
) -> Result<Judged, Trouble> {
    let acts = path.into_iter().map(|path| (FileChange::Modified, path)).collect();
    hand_out(call, Seen::by_us(acts, what))
}

/// With the umask where it counts.
fn making(call: &Call<'_>, what: What) -> Result<Making, Trouble> {
    let umask = match &what {
        What::Open { .. }
        | What::Create { .. }
        | What::Directory { .. }
        | What::Node { .. }
        | What::Socket { .. } => call.umask()?,
        What::Reopen { .. }
        | What::Address { .. }
        | What::Remove { .. }
        | What::Truncate { .. }
        | What::Access { .. }
        | What::Change { .. }
        | What::Symlink { .. }
        | What::Link { .. }
        | What::LinkFile { .. }
        | What::Rename { .. } => Mode::empty(),
    };
    Ok(Making { what, umask, tree: None })
}

/// A resolved path as the policy reads it.
pub(super) fn named(path: &[u8]) -> Result<AbsolutePath, Trouble> {
    AbsolutePath::from_bytes(path)
        .map_err(|error| Trouble::unresolvable(error.to_string(), libc::EILSEQ))
}

fn change(call: &Call<'_>) -> Option<Change> {
    let at = |dir: usize, path: usize| At { dir: call.int(dir), path: call.arg(path) };
    let cwd = |path: usize| At { dir: libc::AT_FDCWD, path: call.arg(path) };
    let bits = |at: usize| call.int(at).cast_unsigned();
    let creat = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    Some(match call.notification.number {
        libc::SYS_open => Change::Open(cwd(0), call.int(1), bits(2)),
        libc::SYS_openat => Change::Open(at(0, 1), call.int(2), bits(3)),
        libc::SYS_creat => Change::Open(cwd(0), creat, bits(1)),
        libc::SYS_unlink => Change::Remove(cwd(0), 0),
        libc::SYS_rmdir => Change::Remove(cwd(0), libc::AT_REMOVEDIR),
        libc::SYS_unlinkat => Change::Remove(at(0, 1), call.int(2)),
        libc::SYS_rename => Change::Rename(cwd(0), cwd(1), 0),
        libc::SYS_renameat => Change::Rename(at(0, 1), at(2, 3), 0),
        libc::SYS_renameat2 => Change::Rename(at(0, 1), at(2, 3), bits(4)),
        libc::SYS_mkdir => Change::Directory(cwd(0), bits(1)),
        libc::SYS_mkdirat => Change::Directory(at(0, 1), bits(2)),
        libc::SYS_mknod => Change::Node(cwd(0), bits(1)),
        libc::SYS_mknodat => Change::Node(at(0, 1), bits(2)),
        // What a link points to is not changed by it.
        libc::SYS_link => Change::Link(cwd(0), cwd(1), 0),
        libc::SYS_linkat => Change::Link(at(0, 1), at(2, 3), call.int(4)),
        libc::SYS_symlink => Change::Symlink(call.arg(0), cwd(1)),
        libc::SYS_symlinkat => Change::Symlink(call.arg(0), at(1, 2)),
        libc::SYS_truncate => Change::Truncate(cwd(0)),
        _ => return None,
    })
}

fn place(call: &Call<'_>, at: At, last: Last) -> Result<Place, Trouble> {
    call.locate(at.dir, &call.path(at.path)?, last)
}

fn existing(place: Place) -> Result<Vec<u8>, Trouble> {
    if place.found == Found::Absent { Err(Trouble::Errno(libc::ENOENT)) } else { Ok(place.path) }
}

/// What a path with a slash at its end may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Anything,
    NoDirectory,
}

/// The last component of a path itself, also where a slash behind it asks for a directory; and
/// whether one does.
fn last_itself(call: &Call<'_>, dir: i32, path: &[u8]) -> Result<(Place, bool), Trouble> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len(), |last| last + 1);
    let (name, slashes) = path.split_at_checked(end).unwrap_or((path, &[]));
    Ok((call.locate(dir, name, Last::Keep)?, !slashes.is_empty()))
}

/// A path at which something is to be made.
fn absent(call: &Call<'_>, at: At, named: Named) -> Result<Vec<u8>, Trouble> {
    absent_at(call, at.dir, &call.path(at.path)?, named)
}

/// The same for a path that has been read.
pub(super) fn absent_at(
    call: &Call<'_>,
    dir: i32,
    path: &[u8],
    named: Named,
) -> Result<Vec<u8>, Trouble> {
    let (place, slash) = last_itself(call, dir, path)?;
    match place.found {
        Found::Absent if slash && named == Named::NoDirectory => Err(Trouble::Errno(libc::ENOENT)),
        Found::Absent => Ok(place.path),
        Found::Directory | Found::Symlink | Found::File | Found::Nameless => {
            Err(Trouble::Errno(libc::EEXIST))
        }
    }
}

fn open(call: &Call<'_>, at: At, flags: i32, mode: u32) -> Result<Seen, Trouble> {
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
    let creates = flags & libc::O_CREAT != 0;
    // Registers cannot change: these cannot turn into an open that makes or changes a named file.
    if flags & libc::O_PATH != 0 || flags & TMPFILE != 0 {
        return Ok(Seen::by_kernel(Vec::new()));
    }
    if !writes && !creates {
        return match &call.shared.places {
            Some(places) if places.opens_all() => read(call, at, flags),
            Some(_) | None => Ok(Seen::by_kernel(Vec::new())),
        };
    }
    let exclusive = creates && flags & libc::O_EXCL != 0;
    let keep = exclusive || flags & libc::O_NOFOLLOW != 0;
    let path = call.path(at.path)?;
    let Place { path: resolved, found } =
        call.locate(at.dir, &path, if keep { Last::Keep } else { Last::Follow })?;
    if creates && path.ends_with(b"/") {
        return Err(Trouble::Errno(libc::EISDIR));
    }
    if !creates && found == Found::File && roots::is_id_map(call, &resolved) {
        // It is for the kernel to say whether this process may.
        return Ok(Seen::by_kernel(Vec::new()));
    }
    let acts = match found {
        Found::Absent if !creates => return Err(Trouble::Errno(libc::ENOENT)),
        Found::Absent => vec![(FileChange::Created, resolved.clone())],
        _ if exclusive => return Err(Trouble::Errno(libc::EEXIST)),
        Found::Directory => return Err(Trouble::Errno(libc::EISDIR)),
        Found::Symlink => return Err(Trouble::Errno(libc::ELOOP)),
        Found::File if writes => vec![(FileChange::Modified, resolved.clone())],
        // Nothing that has a name changes.
        Found::File | Found::Nameless => Vec::new(),
    };
    let reads = call.reads_asked(flags, (&resolved, found));
    let ours = creates
        || reads.is_some()
        || call.is_carried_out(&resolved)
        || found == Found::File && leads_elsewhere(call, at.dir, &path, &resolved)?;
    if !ours {
        return Ok(Seen::by_kernel(acts));
    }
    let mut flags = OFlags::from_bits_retain(flags.cast_unsigned());
    if acts.is_empty() {
        // Nobody decides about making it: gone by then, it stays gone.
        flags -= OFlags::CREATE | OFlags::EXCL;
    }
    let what = if found == Found::Nameless {
        What::Reopen { file: call.nameless(&resolved)?, flags }
    } else if resolved == b"/dev/tty" {
        terminal(call, call.terminal()?, flags, mode)?
    } else if resolved.starts_with(TERMINALS) && call.terminal().as_deref() == Ok(&resolved) {
        terminal(call, resolved, flags, mode)?
    } else if found == Found::Absent {
        What::Create { path: resolved, flags, mode }
    } else {
        What::Open { path: resolved, flags, mode }
    };
    Ok(Seen { reads, ..Seen::by_us(acts, what) })
}

/// An open that only reads, if that is decided. What cannot be told is left to the kernel, which finds
/// nothing in such a place.
pub(super) fn look_asked(call: &Call<'_>) -> Result<Option<Judged>, Trouble> {
    if !call.shared.asked.get().is_some_and(Asked::hides_any) {
        return Ok(None);
    }
    let Some(Change::Open(at, flags, _)) = change(call) else { return Ok(None) };
    let last = if flags & libc::O_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    let Ok(Place { path, found }) = place(call, at, last) else { return Ok(None) };
    let Some(reads) = call.reads_asked(flags, (&path, found)) else { return Ok(None) };
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    let what = What::Open { path, flags, mode: 0 };
    hand_out(call, Seen { reads: Some(reads), ..Seen::by_us(Vec::new(), what) }).map(Some)
}

/// An open that changes nothing, in a world whose payload opens nothing by itself.
fn read(call: &Call<'_>, at: At, flags: i32) -> Result<Seen, Trouble> {
    let last = if flags & libc::O_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    let Place { path, found } = place(call, at, last)?;
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    let own_terminal = || path.starts_with(TERMINALS) && call.terminal().as_deref() == Ok(&path);
    let what = match found {
        Found::Absent => return Err(Trouble::Errno(libc::ENOENT)),
        Found::Symlink => return Err(Trouble::Errno(libc::ELOOP)),
        Found::Nameless => What::Reopen { file: call.nameless(&path)?, flags },
        Found::File if path == b"/dev/tty" => terminal(call, call.terminal()?, flags, 0)?,
        Found::File if own_terminal() => terminal(call, path, flags, 0)?,
        Found::File | Found::Directory => What::Open { path, flags, mode: 0 },
    };
    Ok(Seen::by_us(Vec::new(), what))
}

/// The terminal that the process has, which is the world's: nobody in it could get another.
fn terminal(call: &Call<'_>, path: Vec<u8>, flags: OFlags, mode: u32) -> Result<What, Trouble> {
    if call.shared.places.is_none() {
        return Ok(What::Open { path, flags, mode });
    }
    // The host's terminals lie beside it: it is no place, but this very file.
    Ok(What::Reopen { file: call.reference(&path)?, flags })
}

/// Whether a path leads elsewhere than it says. A link that covers a file of the host's is gone for a
/// moment when another program replaces that file: the kernel must not look once more.
fn leads_elsewhere(
    call: &Call<'_>,
    dir: i32,
    path: &[u8],
    resolved: &[u8],
) -> Result<bool, Trouble> {
    if call.shared.is_private(resolved) {
        return Ok(false);
    }
    if path.starts_with(b"/") {
        return Ok(path != resolved);
    }
    let mut full = call.directory(dir)?;
    full.push(b'/');
    full.extend_from_slice(path.strip_prefix(b"./").unwrap_or(path));
    Ok(full != resolved)
}

fn link(call: &Call<'_>, from: At, to: At, flags: i32) -> Result<Seen, Trouble> {
    let text = call.path(from.path)?;
    let source = if text.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        Source::File(call.open_nameless(from.dir)?)
    } else {
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let last = if follow { Last::Follow } else { Last::Keep };
        let place = call.locate(from.dir, &text, last)?;
        match place.found {
            Found::Absent => return Err(Trouble::Errno(libc::ENOENT)),
            Found::Directory => return Err(Trouble::Errno(libc::EPERM)),
            Found::Nameless => Source::File(call.nameless(&place.path)?),
            Found::Symlink | Found::File => Source::Name(place.path),
        }
    };
    let path = absent(call, to, Named::NoDirectory)?;
    let what = match source {
        Source::Name(from) => What::Link { from, path: path.clone() },
        Source::File(file) => What::LinkFile { file, path: path.clone() },
    };
    Ok(Seen::made(path, what))
}

/// What gets a second name: by the name it has, or the file, which may have none.
enum Source {
    Name(Vec<u8>),
    File(OwnedFd),
}

fn remove(call: &Call<'_>, at: At, flags: i32) -> Result<Seen, Trouble> {
    if flags & !libc::AT_REMOVEDIR != 0 {
        return Err(Trouble::Errno(libc::EINVAL));
    }
    let directory = flags == libc::AT_REMOVEDIR;
    let text = call.path(at.path)?;
    let (place, slash) = last_itself(call, at.dir, &text)?;
    let errno = match (last_name(&text), place.found) {
        (_, Found::Absent) => libc::ENOENT,
        (_, Found::Directory) if !directory => libc::EISDIR,
        (_, Found::Symlink | Found::File | Found::Nameless) if directory || slash => libc::ENOTDIR,
        (Some(b"."), _) => libc::EINVAL,
        (Some(b".."), _) => libc::ENOTEMPTY,
        (None, _) => libc::EBUSY,
        (Some(_), Found::Directory | Found::Symlink | Found::File | Found::Nameless) => {
            let acts = vec![(FileChange::Deleted, place.path.clone())];
            let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            return Ok(Seen::by_us(acts, What::Remove { path: place.path, flags }));
        }
    };
    Err(Trouble::Errno(errno))
}

/// The last component of a path; the root has none.
fn last_name(path: &[u8]) -> Option<&[u8]> {
    path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty())
}

fn rename(call: &Call<'_>, from: At, to: At, flags: u32) -> Result<Seen, Trouble> {
    let flags = RenameFlags::from_bits_retain(flags);
    let (from_text, to_text) = (call.path(from.path)?, call.path(to.path)?);
    if ends_in_dots(&from_text) || ends_in_dots(&to_text) {
        return Err(Trouble::Errno(libc::EBUSY));
    }
    let (from, from_slash) = last_itself(call, from.dir, &from_text)?;
    let (to, to_slash) = last_itself(call, to.dir, &to_text)?;
    let is_directory = from.found == Found::Directory;
    let from = existing(from)?;
    if (from_slash || to_slash) && !is_directory {
        return Err(Trouble::Errno(libc::ENOTDIR));
    }
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    let there = to.found != Found::Absent;
    let (left, made) = match (exchange, there) {
        (true, false) => return Err(Trouble::Errno(libc::ENOENT)),
        (false, true) if flags.contains(RenameFlags::NOREPLACE) => {
            return Err(Trouble::Errno(libc::EEXIST));
        }
        (true, true) => (FileChange::Modified, FileChange::Modified),
        (false, true) => (FileChange::Deleted, FileChange::Modified),
        (false, false) => (FileChange::Deleted, FileChange::Created),
    };
    if is_directory && (call.is_asked(&from) || call.is_asked(&to.path)) {
        // What lies in it would move along without a question: who renames copies then, file by file.
        return Err(Trouble::Errno(libc::EXDEV));
    }
    let acts = vec![(left, from.clone()), (made, to.path.clone())];
    Ok(Seen::by_us(acts, What::Rename { from, to: to.path, flags }).out_of_elsewhere())
}

/// Whether a path ends in what has no name of its own: the root, `.` or `..`.
fn ends_in_dots(path: &[u8]) -> bool {
    let last = last_name(path);
    matches!(last, Some(b"." | b"..")) || last.is_none() && !path.is_empty()
}
