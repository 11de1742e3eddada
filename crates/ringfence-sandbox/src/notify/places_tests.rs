use rustix::fs::{AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Held, Places, Reads};
use crate::notify::making::{Shown, What};

fn map() -> Places {
    let places = [
        ("/usr", Held::Read),
        ("/home/u/p", Held::Write),
        ("/home/u/p/.git/hooks", Held::Read),
        ("/home/u/p/.env", Held::Hidden),
        ("/home/u/p/.env.d/open", Held::Write),
        ("/home/u/p/.env.d", Held::Hidden),
    ];
    Places::new(places.map(|(path, held)| (path.into(), held)), Reads::ByUs)
}

fn open(path: &str, flags: OFlags) -> Result<(), Errno> {
    map().allow(&What::Open { path: path.into(), flags, mode: 0 })
}

fn remove(path: &str) -> Result<(), Errno> {
    map().allow(&What::Remove { path: path.into(), flags: AtFlags::empty() })
}

fn rename(from: &str, to: &str) -> Result<(), Errno> {
    let flags = RenameFlags::empty();
    map().allow(&What::Rename { from: from.into(), to: to.into(), flags })
}

fn link(from: &str, path: &str) -> Result<(), Errno> {
    map().allow(&What::Link { from: from.into(), path: path.into() })
}

#[test]
fn the_deepest_place_decides_what_is_opened() {
    for (path, flags, expected) in [
        ("/home/u/p/a", OFlags::RDWR, Ok(())),
        ("/home/u/p/.git/config", OFlags::RDWR, Ok(())),
        ("/home/u/p/.env.d/open/a", OFlags::RDWR, Ok(())),
        ("/usr/bin/sh", OFlags::RDONLY, Ok(())),
        ("/usr/bin/sh", OFlags::WRONLY, Err(Errno::ROFS)),
        ("/usr/bin/sh", OFlags::TRUNC, Err(Errno::ROFS)),
        ("/usr/bin/new", OFlags::CREATE, Err(Errno::ROFS)),
        ("/home/u/p/.git/hooks", OFlags::WRONLY, Err(Errno::ROFS)),
        ("/home/u/p/.git/hooks/pre-commit", OFlags::RDWR, Err(Errno::ROFS)),
        ("/home/u/p/.env", OFlags::RDONLY, Err(Errno::ACCESS)),
        ("/home/u/p/.env", OFlags::WRONLY, Err(Errno::ACCESS)),
        ("/home/u/p/.env.d/k", OFlags::RDONLY, Err(Errno::ACCESS)),
        ("/home/u/pp", OFlags::RDONLY, Err(Errno::ACCESS)),
        ("/home/u/.bashrc", OFlags::WRONLY, Err(Errno::ACCESS)),
        ("/etc/shadow", OFlags::RDONLY, Err(Errno::ACCESS)),
        ("/", OFlags::RDONLY, Err(Errno::ACCESS)),
    ] {
        assert_eq!(open(path, flags), expected, "{path} {flags:?}");
    }
}

#[test]
fn no_place_and_nothing_above_one_can_be_renamed_or_removed() {
    assert_eq!(rename("/home/u/p/a", "/home/u/p/b"), Ok(()));
    assert_eq!(remove("/home/u/p/a"), Ok(()));
    for fixed in [".git", ".git/hooks", ".env", ".env.d", ".env.d/open", ""] {
        let path = format!("/home/u/p/{fixed}");
        let path = path.trim_end_matches('/');
        assert_eq!(remove(path), Err(Errno::BUSY), "{path}");
        assert_eq!(rename(path, "/home/u/p/b"), Err(Errno::BUSY), "{path}");
        assert_eq!(rename("/home/u/p/b", path), Err(Errno::BUSY), "{path}");
    }
    assert_eq!(rename("/home/u/p/a", "/home/u/p/.git/hooks/x"), Err(Errno::ROFS));
    assert_eq!(rename("/usr/bin/sh", "/home/u/p/a"), Err(Errno::ROFS));
    assert_eq!(rename("/home/u/x", "/home/u/p/a"), Err(Errno::ACCESS));
}

#[test]
fn nothing_gets_a_second_name_that_may_not_be_written_by_its_first() {
    assert_eq!(link("/home/u/p/a", "/home/u/p/b"), Ok(()));
    assert_eq!(link("/usr/bin/sh", "/home/u/p/b"), Err(Errno::ROFS));
    assert_eq!(link("/home/u/.ssh/id", "/home/u/p/b"), Err(Errno::ACCESS));
    assert_eq!(link("/home/u/p/.env", "/home/u/p/b"), Err(Errno::BUSY));
    assert_eq!(link("/home/u/p/.git/hooks/x", "/home/u/p/b"), Err(Errno::ROFS));
    assert_eq!(link("/home/u/p/a", "/home/u/p/.git/hooks/x"), Err(Errno::ROFS));
    let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let linked = map().allow(&What::LinkFile { file, path: b"/home/u/p/b".to_vec() });
    assert_eq!(linked, Err(Errno::XDEV));
}

#[test]
fn names_that_are_no_files_are_the_hosts() {
    let socket = || rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let named = What::Address { socket: socket(), address: b"\x01\0\0name".to_vec() };
    assert_eq!(map().allow(&named), Err(Errno::ACCESS));
    for (path, expected) in [("/home/u/p/s", Ok(())), ("/run/x.sock", Err(Errno::ACCESS))] {
        let path = path.as_bytes().to_vec();
        let bound = What::Socket { socket: socket(), path, shown: Shown::AsGiven };
        assert_eq!(map().allow(&bound), expected);
    }
}
