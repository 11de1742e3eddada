use std::collections::HashSet;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{CWD, Mode, OFlags};

use super::{DEPTH_MAX, Walk};

/// What a walk over `place` finds.
fn walk(place: &Path) -> std::io::Result<u64> {
    let over = AtomicBool::new(false);
    let mut walk = Walk {
        over: &over,
        seen: HashSet::new(),
        devices: HashSet::new(),
        bytes: 0,
        closed: Vec::new(),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty())?;
    walk.tree(root.as_fd(), place)?;
    Ok(walk.bytes)
}

#[test]
fn what_a_tree_takes_is_counted_once_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let empty = walk(dir.path()).unwrap();
    let file = dir.path().join("in/file");
    fs::write(&file, vec![1; 1 << 16]).unwrap();
    fs::File::open(&file).unwrap().sync_all().unwrap();
    fs::hard_link(&file, dir.path().join("other")).unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    let grown = walk(dir.path()).unwrap() - empty;
    assert!((1 << 16..1 << 18).contains(&grown), "{grown}");
    // What is sparse takes nothing.
    fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 30).unwrap();
    assert!(walk(dir.path()).unwrap() - empty < 1 << 18);
    assert_eq!(walk(&dir.path().join("link")).unwrap(), 0);
    assert_eq!(walk(&dir.path().join("absent")).unwrap(), 0);
}

#[test]
fn a_tree_that_is_too_deep_to_walk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join(["d"; DEPTH_MAX + 1].join("/"));
    fs::create_dir_all(deep).unwrap();
    assert!(walk(dir.path()).is_err());
}
