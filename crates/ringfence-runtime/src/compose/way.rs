//! The links on the way to a path.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// Most links that the kernel follows in one path, path_resolution(7).
const LINKS_MAX: usize = 40;

/// Where a path leads, and over which links.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Each link under its real name, and what it says.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// The end, which may be absent.
    pub(crate) end: PathBuf,
}

/// What lies at the end of a way without links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Straight {
    /// Something.
    There,
    /// Nothing, or a part of the way is missing or no directory.
    Absent,
}

/// Goes the whole way at once; `None` where there may be a link on it, or where it cannot be told.
pub(super) fn straight(path: &Path) -> Option<Straight> {
    let goes_down = path.components().all(|part| part != Component::ParentDir);
    if !path.is_absolute() || !goes_down {
        return None;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(found) => {
            let kind = FileType::from_raw_mode(fstat(&found).ok()?.st_mode);
            (kind != FileType::Symlink).then_some(Straight::There)
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Some(Straight::Absent),
        Err(_) => None,
    }
}

impl Way {
    pub(crate) fn of(path: &Path) -> Way {
        if straight(path).is_some() {
            return Way { links: Vec::new(), end: path.components().collect() };
        }
        let mut way = Way { links: Vec::new(), end: PathBuf::from("/") };
        let mut rest: Vec<PathBuf> = parts(path);
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                way.end.pop();
                continue;
            }
            let next = way.end.join(&part);
            match fs::read_link(&next) {
                Ok(says) if way.links.len() < LINKS_MAX => {
                    if says.is_absolute() {
                        way.end = PathBuf::from("/");
                    }
                    rest.extend(parts(&says));
                    way.links.push((next, says));
                }
                // No link, absent, or in a circle.
                Ok(_) | Err(_) => way.end = next,
            }
        }
        way
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(named).map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_whole_way_at_once_says_what_each_step_would() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "").unwrap();
        symlink("d", root.join("link")).unwrap();
        symlink("nowhere", root.join("d/loose")).unwrap();
        let at = |name: &str| straight(&root.join(name));
        assert_eq!(at("d/f"), Some(Straight::There));
        for absent in ["none", "none/at/all", "d/f/beneath"] {
            assert_eq!(at(absent), Some(Straight::Absent), "{absent}");
        }
        for with_link in ["link", "link/f", "link/none", "d/loose", "d/loose/x", "d/../d/f"] {
            assert_eq!(at(with_link), None, "{with_link}");
        }
        assert_eq!(straight(Path::new("d/f")), None);
    }

    #[test]
    fn every_link_on_the_way_is_named_and_the_end_need_not_be() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir_all(root.join("t/h")).unwrap();
        symlink("x", root.join("a")).unwrap();
        symlink(root.join("t/h"), root.join("x")).unwrap();
        symlink("../../t/none", root.join("t/h/up")).unwrap();
        let way = Way::of(&root.join("a/up/f"));
        let links = [("a", "x".into()), ("x", root.join("t/h")), ("t/h/up", "../../t/none".into())];
        assert_eq!(way.links, links.map(|(link, says)| (root.join(link), says)));
        assert_eq!(way.end, root.join("t/none/f"));
    }

    #[test]
    fn a_circle_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert_eq!(Way::of(&root.path().join("a")).links.len(), LINKS_MAX);
    }
}
