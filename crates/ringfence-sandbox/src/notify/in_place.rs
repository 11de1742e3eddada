//! Making what was not there by the thread that received the call, which saves waking another.
//!
//! That thread cannot be beneath the payload's Landlock ceiling for good: it reads the payload's
//! memory, which the kernel then refuses. So it does only what needs no ceiling: a regular file or a
//! directory where nothing was, strictly beneath a place that the ceiling opens for writing, on a
//! path without symbolic links, never opening what is there. For that one call it is who the
//! payload is, with no group besides, no capability about files, and the payload's umask. Everything
//! else is left to the [opener](super::opener).

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::making::{self, Made, Making, What};
use super::opener::Confinement;
use crate::sys::file_user::{FileUser, Own};
use crate::sys::namespaces;

/// Who makes files, and where.
#[derive(Debug)]
pub(super) struct InPlace {
    user: User,
    /// As the world sees them, without a slash at the end.
    places: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    /// We are who the payload is, and nobody of consequence.
    Ourselves,
    /// Root makes them for the payload.
    Other(FileUser),
}

/// What a thread is for making files.
#[derive(Debug, Clone, Copy)]
enum Maker {
    Unprepared,
    /// It has a umask for itself.
    Ourselves,
    /// And is in no group besides its own.
    Other(Own),
    /// It cannot make files so.
    Unable,
    /// It is not what it was, and must do nothing any more.
    Lost,
}

thread_local! {
    static MAKER: Cell<Maker> = const { Cell::new(Maker::Unprepared) };
}

/// Whether the calling thread has lost what it needs to go on.
pub(super) fn is_lost() -> bool {
    matches!(MAKER.get(), Maker::Lost)
}

/// What became of something that was to be made here.
#[derive(Debug)]
pub(super) enum Attempted {
    /// It was tried, and this came of it.
    Done(Result<Made, Errno>),
    /// The opener has to do it.
    NotHere(Making),
    /// The thread is lost; nothing may be answered but no.
    Lost,
}

/// Gives a thread that one of those who answer has started a umask of its own; to be called first.
///
/// Else it shares that of its starter, which for moments is the payload's: a file of ours that is
/// made in such a moment could be read by others, or by nobody. What such a thread makes is private.
pub fn own_umask() -> std::io::Result<()> {
    namespaces::own_umask()?;
    // What it has by now may be the payload's.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

impl InPlace {
    /// Who and where, for a payload held like this.
    pub(super) fn new(confinement: &Confinement) -> InPlace {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (user, places) = match confinement.user {
            Some(user) if user == own && own.0 != 0 => (User::Ourselves, &*confinement.writable),
            Some((uid, gid)) if own.0 == 0 && uid != 0 => {
                (User::Other(FileUser { uid, gid }), &*confinement.writable)
            }
            // Root for root, or nobody knows for whom: not without a ceiling.
            Some(_) | None => (User::Ourselves, [].as_slice()),
        };
        InPlace { user, places: places.iter().filter_map(|path| place(path)).collect() }
    }

    /// Makes it, if that is something to be made here.
    pub(super) fn make(&self, root: BorrowedFd<'_>, making: Making) -> Attempted {
        let path = match &making.what {
            What::Create { path, .. } | What::Directory { path, .. } => path,
            What::Open { .. }
            | What::Reopen { .. }
            | What::Node { .. }
            | What::Socket { .. }
            | What::Address { .. }
            | What::Symlink { .. }
            | What::Link { .. }
            | What::LinkFile { .. }
            | What::Remove { .. }
            | What::Rename { .. }
            | What::Truncate { .. }
            | What::Access { .. }
            | What::Change { .. } => return Attempted::NotHere(making),
        };
        if !self.places.iter().any(|place| lies_beneath(path, place)) {
            return Attempted::NotHere(making);
        }
        let result = match self.maker() {
            Maker::Ourselves => with_umask(making.umask, || making::fresh(root, &making.what)),
            Maker::Other(own) => self
                .as_payload(own, || with_umask(making.umask, || making::fresh(root, &making.what))),
            Maker::Unprepared | Maker::Unable => return Attempted::NotHere(making),
            Maker::Lost => return Attempted::Lost,
        };
        match result {
            _ if is_lost() => Attempted::Lost,
            // Somebody else has made it meanwhile: to open that may mean to wait.
            Err(Errno::EXIST) if matches!(making.what, What::Create { .. }) => {
                Attempted::NotHere(making)
            }
            result => Attempted::Done(result),
        }
    }

    /// What the calling thread is, prepared if it has not been.
    fn maker(&self) -> Maker {
        let ready = match (MAKER.get(), self.user) {
            (Maker::Unprepared, user) => prepare(user).unwrap_or(Maker::Unable),
            // Made ready for another listener, to which another user may belong.
            (Maker::Ourselves, User::Other(_)) => prepare(self.user).unwrap_or(Maker::Unable),
            (ready, _) => ready,
        };
        MAKER.set(ready);
        ready
    }

    /// Acts as the payload; the thread is lost if it cannot come back.
    fn as_payload<T>(&self, own: Own, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let User::Other(user) = self.user else { return Err(Errno::ACCESS) };
        let back = Back(own);
        let result = match own.give_up(user) {
            Ok(()) => act(),
            Err(_) => Err(Errno::ACCESS),
        };
        drop(back);
        result
    }
}

/// Makes the thread again what it was, also where the act panics.
struct Back(Own);

impl Drop for Back {
    fn drop(&mut self) {
        if self.0.back().is_err() {
            MAKER.set(Maker::Lost);
        }
    }
}

fn prepare(user: User) -> std::io::Result<Maker> {
    namespaces::own_umask()?;
    Ok(match user {
        User::Ourselves => Maker::Ourselves,
        User::Other(_) => Maker::Other(Own::without_groups()?),
    })
}

/// The umask cannot fail to be set; the thread has one for itself.
fn with_umask<T>(umask: Mode, act: impl FnOnce() -> T) -> T {
    struct Before(Mode);
    impl Drop for Before {
        fn drop(&mut self) {
            rustix::process::umask(self.0);
        }
    }
    let _before = Before(rustix::process::umask(umask));
    act()
}

/// A place as the text of resolved paths; the root is none.
fn place(path: &Path) -> Option<Vec<u8>> {
    let path: PathBuf = path.components().collect();
    (path.is_absolute() && path.parent().is_some()).then(|| path.as_os_str().as_bytes().to_vec())
}

fn lies_beneath(path: &[u8], place: &[u8]) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.len() > 1 && rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::{lies_beneath, own_umask, place, with_umask};
    use crate::sys::namespaces;
    use rustix::fs::Mode;
    use std::path::Path;

    fn umask_now() -> Mode {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        Mode::from_raw_mode(u32::from_str_radix(mask.trim(), 8).unwrap())
    }

    #[test]
    fn a_thread_that_is_started_meanwhile_never_makes_files_with_the_umask_of_the_payload() {
        let starter = || {
            namespaces::own_umask().unwrap();
            let before = umask_now();
            let started = with_umask(Mode::empty(), || {
                let work = || {
                    own_umask().unwrap();
                    umask_now()
                };
                std::thread::spawn(work).join().unwrap()
            });
            assert_eq!(started, Mode::from_raw_mode(0o77));
            assert_eq!(umask_now(), before);
        };
        std::thread::spawn(starter).join().unwrap();
    }

    fn beneath(path: &str, writable: &str) -> bool {
        place(Path::new(writable)).is_some_and(|place| lies_beneath(path.as_bytes(), &place))
    }

    #[test]
    fn only_what_is_strictly_beneath_a_writable_place_is_made_here() {
        assert!(beneath("/home/u/p/x", "/home/u/p"));
        assert!(beneath("/home/u/p/a/b", "/home/u/p/"));
        for path in ["/home/u/p", "/home/u/p/", "/home/u/px", "/home/u", "/etc/x", "home/u/p/x"] {
            assert!(!beneath(path, "/home/u/p"), "{path}");
        }
        assert!(!beneath("/etc/passwd", "/"), "the whole root is no place");
    }
}
