use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, XattrFlags};

use super::*;
use crate::beneath::Dir;

/// Layers and what they show, as plain directories, beside a place that nothing may reach.
struct Layers {
    dir: tempfile::TempDir,
}

impl Layers {
    /// Each of these has the first file, which says what its directory is called.
    fn new() -> Layers {
        // Not in a file system in memory: those of old kernels have no attributes.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        for name in ["upper", "lower", "merged", "copy", "outside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("outside/canary"), "alive").unwrap();
        Layers { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    fn whiteout(&self, name: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, self.at(name), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
    }

    fn mark(&self, name: &str, attribute: &str) {
        rustix::fs::setxattr(self.at(name), attribute, b"y", XattrFlags::empty()).unwrap();
    }

    fn copy(&self) -> Account {
        let mut done = Account::default();
        let (from, to) = (Dir::at(&self.at("upper")).unwrap(), Dir::at(&self.at("copy")).unwrap());
        copy::Copy::new(&mut done, &to, u64::MAX).whole(&from).unwrap();
        done
    }

    fn back(&self, guarded: &[&str]) -> Account {
        let mut done = Account::default();
        let open = |name| Dir::at(&self.at(name)).unwrap();
        let (upper, lower, merged) = (open("upper"), open("lower"), open("merged"));
        let tree = back::Tree { upper, lower, merged };
        let guarded = guarded.iter().map(PathBuf::from).collect();
        back::Back::new(&mut done, &tree, guarded).whole(&open("copy"));
        done
    }

    fn says(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| error.kind().to_string())
    }

    fn unharmed(&self) {
        let names: Vec<_> = fs::read_dir(self.at("outside")).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(self.says("outside/canary"), "alive");
        for entry in fs::read_dir(self.at("merged")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with(".ringfence-back"), "{name}");
        }
    }
}

#[test]
fn a_copy_has_the_marks_links_holes_times_and_modes_of_its_layer() {
    let layers = Layers::new();
    layers.put("upper/dir/file", "text");
    layers.mark("upper/dir", "user.overlay.opaque");
    layers.mark("upper/dir/file", "user.own");
    fs::hard_link(layers.at("upper/dir/file"), layers.at("upper/second")).unwrap();
    layers.whiteout("upper/gone");
    symlink("/anywhere", layers.at("upper/link")).unwrap();
    let sparse = fs::File::create(layers.at("upper/sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    fs::set_permissions(layers.at("upper/dir"), fs::Permissions::from_mode(0o1550)).unwrap();
    assert_eq!(layers.copy().left, []);
    let of = |name: &str| fs::symlink_metadata(layers.at(name)).unwrap();
    assert_eq!(of("copy/dir").mode(), of("upper/dir").mode());
    assert_eq!(of("copy/dir").mtime_nsec(), of("upper/dir").mtime_nsec());
    assert_eq!(of("copy/second").ino(), of("copy/dir/file").ino());
    assert_eq!(of("copy/sparse").len(), 1 << 30);
    assert!(of("copy/sparse").blocks() < 1024, "{}", of("copy/sparse").blocks());
    assert_eq!(of("copy/gone").rdev(), 0);
    let dir = Dir::at(&layers.at("copy")).unwrap().beneath(Path::new("dir")).unwrap();
    assert!(tree::is_opaque(&dir).unwrap());
    let own = crate::beneath::attributes(dir.file("file".as_ref()).unwrap()).unwrap();
    assert_eq!(own, [(b"user.own".to_vec(), b"y".to_vec())]);
    fs::set_permissions(layers.at("upper/dir"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(layers.at("copy/dir"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_copy_that_would_take_too_much_is_none() {
    let layers = Layers::new();
    layers.put("upper/large", &"x".repeat(1 << 20));
    let (from, to) = (Dir::at(&layers.at("upper")).unwrap(), Dir::at(&layers.at("copy")).unwrap());
    let copied = copy::Copy::new(&mut Account::default(), &to, 1 << 16).whole(&from);
    assert!(copied.unwrap_err().to_string().contains("65536"));
}

#[test]
fn what_is_put_back_never_goes_through_a_planted_link() {
    let layers = Layers::new();
    layers.put("copy/dir/file", "then");
    layers.put("copy/file", "then");
    layers.put("upper/dir/file", "now");
    layers.put("upper/file", "now");
    // Planted where a directory, and where a file, is to be.
    symlink(layers.at("outside"), layers.at("merged/dir")).unwrap();
    symlink(layers.at("outside/canary"), layers.at("merged/file")).unwrap();
    assert_eq!(layers.back(&[]).left, []);
    assert_eq!(
        (layers.says("merged/dir/file"), layers.says("merged/file")),
        ("then".into(), "then".into())
    );
    layers.unharmed();
    // The other way round: what is to be removed is the link, and not what it leads to.
    fs::remove_dir_all(layers.at("copy")).unwrap();
    fs::create_dir(layers.at("copy")).unwrap();
    fs::remove_dir_all(layers.at("merged/dir")).unwrap();
    symlink(layers.at("outside"), layers.at("merged/dir")).unwrap();
    assert_eq!(layers.back(&[]).left, []);
    assert!(fs::symlink_metadata(layers.at("merged/dir")).is_err());
    layers.unharmed();
}

#[test]
fn no_pipe_is_waited_for_and_no_closed_directory_keeps_what_is_in_it() {
    let layers = Layers::new();
    layers.put("copy/file", "then");
    layers.put("upper/file", "now");
    let pipe = |name: &str| {
        rustix::fs::mknodat(CWD, layers.at(name), FileType::Fifo, Mode::RUSR, 0).unwrap();
    };
    pipe("merged/file");
    pipe("upper/pipe");
    pipe("merged/pipe");
    pipe("copy/pipe");
    layers.put("upper/closed/x", "now");
    layers.put("merged/closed/x", "now");
    if rustix::process::geteuid().is_root() {
        for name in ["merged/closed", "upper/closed"] {
            fs::set_permissions(layers.at(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
    }
    assert_eq!(layers.back(&[]).left, []);
    assert_eq!(layers.says("merged/file"), "then");
    assert!(!layers.at("merged/closed").exists());
    layers.unharmed();
}

#[test]
fn no_whiteout_of_a_copy_removes_what_the_world_could_not_change() {
    let layers = Layers::new();
    for name in ["git/hooks/hook", "git/file", "plain/file"] {
        layers.put(&format!("lower/{name}"), "host");
        layers.put(&format!("merged/{name}"), "host");
    }
    layers.whiteout("copy/git");
    layers.whiteout("copy/plain");
    let done = layers.back(&["git/hooks"]);
    let left: Vec<_> = done.left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(left, ["git"]);
    assert_eq!(layers.says("merged/git/hooks/hook"), "host");
    // The oracle: without the guard it is gone.
    assert!(!layers.at("merged/plain").exists());
}

#[test]
fn what_was_deleted_since_comes_back_from_the_lower_layer() {
    let layers = Layers::new();
    layers.put("lower/dir/deep/file", "host");
    layers.put("lower/file", "host");
    layers.whiteout("upper/dir");
    layers.put("upper/file", "now");
    layers.put("merged/file", "now");
    layers.put("upper/new", "now");
    layers.put("merged/new", "now");
    assert_eq!(layers.back(&[]).left, []);
    assert_eq!(layers.says("merged/dir/deep/file"), "host");
    assert_eq!(layers.says("merged/file"), "host");
    assert!(!layers.at("merged/new").exists());
}

#[test]
fn a_request_and_an_account_are_read_as_they_were_written() {
    let places = [vec![PathBuf::from("a"), PathBuf::from("b/c")], vec![], vec![PathBuf::from("d")]];
    let request = Request::new(Keeping::Copy { bytes_max: 7 }, &places).unwrap();
    let bytes = whole(&File::from(request.text.try_clone().unwrap())).unwrap();
    let (what, guarded) = asked(&bytes).unwrap();
    assert_eq!(what, Keeping::Copy { bytes_max: 7 });
    assert_eq!(guarded, [(0, "a".into()), (0, "b/c".into()), (2, "d".into())]);
    assert!(request.account().is_err(), "a child that died has told nothing");
    let mut done = Account { count: 3, ..Account::default() };
    done.leave(Path::new("x"), io::Error::other("why"));
    request.account.write_all_at(&done.encode(), 0).unwrap();
    assert_eq!(request.account().unwrap(), done);
}
