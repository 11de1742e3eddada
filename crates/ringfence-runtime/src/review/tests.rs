use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags};

use super::*;
use crate::state::StateDirs;

/// More than one tick of the kernel's coarse clock, by which files are stamped.
const TICK: Duration = Duration::from_millis(25);

/// A tree of a host under review, with a place beside it that nothing may reach.
struct Host {
    dir: tempfile::TempDir,
    dirs: StateDirs,
    kept: Kept,
}

impl Host {
    /// `files` as `name` (which says `old`), or `name/`.
    fn new(files: &[&str], closed: &[&str]) -> Host {
        // Not in a file system in memory: those of old kernels have no attributes.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("tree")).unwrap();
        fs::create_dir_all(at("outside")).unwrap();
        fs::write(at("outside/canary"), "alive").unwrap();
        for name in files {
            put(&at("tree").join(name), "old");
        }
        let environment = [("HOME", at("")), ("XDG_STATE_HOME", at("state"))];
        let environment = environment.into_iter();
        let environment =
            environment.map(|(name, path)| (OsString::from(name), OsString::from(path)));
        let dirs = StateDirs::locate(&environment.collect()).unwrap();
        std::thread::sleep(TICK);
        let (kept, _) = lay(&Asked {
            dirs: &dirs,
            session: &"sabcdefgh".parse().unwrap(),
            writable: vec![at("tree")],
            closed: closed.iter().map(|name| at("tree").join(name)).collect(),
            places: vec![],
            owner: None,
        })
        .unwrap();
        Host { dir, dirs, kept }
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.dir.path().join("tree").join(name)
    }

    fn upper(&self, name: &str) -> PathBuf {
        self.kept.upper(&self.dirs, 0).join(name)
    }

    fn says(&self, name: &str) -> String {
        fs::read_to_string(self.tree(name)).unwrap_or_else(|error| error.kind().to_string())
    }

    fn commit(&mut self) -> (Result<Committed, ReviewError>, Vec<String>) {
        let ready = prepare(&self.dirs, &self.kept, &Choice::All).unwrap();
        let left = ready.left.iter().map(|(it, why)| format!("{}: {why}", it.below.display()));
        let left = left.collect();
        (commit(&self.dirs, &mut self.kept, &ready, &mut || Ok(())), left)
    }

    fn unharmed(&self) {
        let outside = self.dir.path().join("outside");
        let names: Vec<_> =
            fs::read_dir(&outside).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["canary"]);
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "alive");
    }

    /// No name of ours is left in the tree.
    fn clean(&self) {
        for entry in fs::read_dir(self.tree("")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with(".ringfence-"), "{name}");
        }
    }
}

fn put(path: &Path, text: &str) {
    if path.to_str().unwrap().ends_with('/') {
        fs::create_dir_all(path).unwrap();
    } else {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn whiteout(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

fn mark(path: &Path, name: &str, value: &str) {
    rustix::fs::setxattr(path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
}

#[test]
fn all_of_a_layer_comes_to_the_host() {
    let mut host = Host::new(&["a", "gone", "dir/x", "dir/y", "file-to-dir"], &[]);
    put(&host.upper("a"), "new");
    put(&host.upper("b/c/d"), "deep");
    whiteout(&host.upper("gone"));
    put(&host.upper("dir/z"), "in its place");
    mark(&host.upper("dir"), "user.overlay.opaque", "y");
    put(&host.upper("file-to-dir/f"), "in a dir");
    symlink("../anywhere", host.upper("link")).unwrap();
    let (done, left) = host.commit();
    assert_eq!(left, [""; 0]);
    assert_eq!(done.unwrap().waiting, 0);
    assert_eq!(host.says("a"), "new");
    assert_eq!(host.says("b/c/d"), "deep");
    assert!(!host.tree("gone").exists() && !host.tree("dir/x").exists());
    assert_eq!(host.says("dir/z"), "in its place");
    assert_eq!(host.says("file-to-dir/f"), "in a dir");
    assert_eq!(fs::read_link(host.tree("link")).unwrap(), Path::new("../anywhere"));
    host.clean();
    assert!(!host.dirs.review_of(&host.kept.session).exists());
}

#[test]
fn what_changed_outside_since_is_never_overwritten_nor_deleted() {
    let mut host = Host::new(&["a", "gone", "dir/x", "mode", "fine"], &[]);
    for name in ["a", "fine"] {
        put(&host.upper(name), "agent");
    }
    put(&host.upper("new"), "agent");
    whiteout(&host.upper("gone"));
    whiteout(&host.upper("dir"));
    put(&host.upper("mode"), "old");
    fs::set_permissions(host.upper("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["a", "gone", "dir/later", "mode", "new"] {
        put(&host.tree(name), "person");
    }
    let (done, left) = host.commit();
    assert_eq!(left.len(), 5, "{left:?}");
    assert_eq!(done.unwrap().waiting, 5);
    assert_eq!(host.says("fine"), "agent");
    for name in ["a", "gone", "dir/later", "mode", "new"] {
        assert_eq!(host.says(name), "person", "{name}");
    }
}

#[test]
fn no_forged_layer_deletes_or_writes_what_the_session_could_not() {
    let mut host =
        Host::new(&["kept/hook", "dir/closed", "dir/open", "a", "b", "c"], &["kept", "dir/closed"]);
    // What a hole in the kernel, or in our mounts, might one day let an agent leave.
    whiteout(&host.upper("kept"));
    put(&host.upper("dir/"), "");
    mark(&host.upper("dir"), "user.overlay.opaque", "y");
    put(&host.upper("a"), "");
    mark(&host.upper("a"), "user.overlay.whiteout", "y");
    put(&host.upper("b"), "x");
    mark(&host.upper("b"), "user.overlay.redirect", "/outside/canary");
    put(&host.upper("c"), "");
    mark(&host.upper("c"), "user.overlay.metacopy", "");
    let (done, left) = host.commit();
    let left: Vec<&str> = left.iter().map(|it| it.split(':').next().unwrap()).collect();
    assert_eq!(left, ["a", "b", "c", "dir/closed", "kept"]);
    assert_eq!(done.unwrap().count, 1);
    for name in ["kept/hook", "dir/closed", "a", "b", "c"] {
        assert_eq!(host.says(name), "old", "{name}");
    }
    assert!(!host.tree("dir/open").exists());
    host.unharmed();
}

#[test]
fn no_directory_of_a_layer_is_written_into_what_a_link_leads_to() {
    let mut host = Host::new(&["sub/f"], &[]);
    put(&host.upper("sub/f"), "agent");
    put(&host.upper("sub/new"), "agent");
    fs::rename(host.tree("sub"), host.tree("moved")).unwrap();
    symlink(host.dir.path().join("outside"), host.tree("sub")).unwrap();
    let (done, _) = host.commit();
    // A link that the person made is theirs, and nothing goes through it.
    assert!(fs::symlink_metadata(host.tree("sub")).unwrap().is_symlink());
    assert!(done.is_err() || done.unwrap().count == 0);
    host.unharmed();
}

#[test]
fn what_is_neither_file_directory_nor_link_stays_and_no_set_id_bit_comes() {
    let mut host = Host::new(&[], &[]);
    rustix::fs::mknodat(CWD, host.upper("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.upper("socket")).unwrap();
    put(&host.upper("program"), "x");
    fs::set_permissions(host.upper("program"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::hard_link(host.upper("program"), host.upper("second-name")).unwrap();
    let (done, left) = host.commit();
    assert_eq!(left, ["pipe: it is a pipe", "socket: it is a socket"]);
    assert_eq!(done.unwrap().count, 2);
    let mode = fs::metadata(host.tree("program")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(!host.tree("pipe").exists() && !host.tree("socket").exists());
}

#[test]
fn what_the_host_would_run_comes_only_by_its_own_name() {
    let mut host = Host::new(&[".git/HEAD", ".git/objects/"], &[]);
    put(&host.upper("sub/.vscode/tasks.json"), "{}");
    put(&host.upper(".git/hooks/pre-commit"), "#!/bin/sh");
    put(&host.upper(".git/hooks/pre-push.sample"), "#!/bin/sh");
    put(&host.upper("born/HEAD"), "ref: x");
    put(&host.upper("born/refs/"), "");
    put(&host.upper("born/config"), "[core]\n\tfsmonitor = evil\n");
    put(&host.upper("notes"), "x");
    let (done, left) = host.commit();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(done.unwrap().waiting, 3);
    assert_eq!(host.says("notes"), "x");
    assert!(!host.tree(".git/hooks/pre-commit").exists());
    let above = Choice::Paths(vec![host.tree(".git")]);
    let ready = prepare(&host.dirs, &host.kept, &above).unwrap();
    assert!(ready.chosen.is_empty());
    let named = Choice::Paths(vec![host.tree(".git/hooks/pre-commit")]);
    let ready = prepare(&host.dirs, &host.kept, &named).unwrap();
    commit(&host.dirs, &mut host.kept, &ready, &mut || Ok(())).unwrap();
    assert_eq!(host.says(".git/hooks/pre-commit"), "#!/bin/sh");
}

#[test]
fn what_a_rule_opens_again_in_a_closed_place_is_no_forgery() {
    let mut host = Host::new(&["closed/a", "closed/open/b"], &["closed", "closed/open/again"]);
    host.kept.trees[0].open = vec![host.tree(""), host.tree("closed/open")];
    put(&host.upper("closed/a"), "agent");
    put(&host.upper("closed/open/b"), "agent");
    put(&host.upper("closed/open/again/c"), "agent");
    let (_, left) = host.commit();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().all(|it| !it.starts_with("closed/open/b")), "{left:?}");
    assert_eq!(host.says("closed/a"), "old");
    assert_eq!(host.says("closed/open/b"), "agent");
    assert!(!host.tree("closed/open/again/c").exists());
}

#[test]
fn holes_of_a_file_stay_holes() {
    use std::os::unix::fs::MetadataExt as _;
    let mut host = Host::new(&[], &[]);
    let sparse = fs::File::create(host.upper("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    host.commit().0.unwrap();
    let came = fs::metadata(host.tree("sparse")).unwrap();
    assert_eq!(came.len(), 1 << 30);
    assert!(came.blocks() < 1024, "{}", came.blocks());
}

#[test]
fn a_commit_to_another_tree_of_the_same_name_is_refused() {
    let host = Host::new(&["a"], &[]);
    put(&host.upper("a"), "agent");
    fs::rename(host.tree(""), host.dir.path().join("moved")).unwrap();
    put(&host.tree("a"), "person");
    let refused = prepare(&host.dirs, &host.kept, &Choice::All);
    assert!(matches!(refused, Err(ReviewError::MovedOn { .. })), "{refused:?}");
    assert_eq!(host.says("a"), "person");
}

#[test]
fn a_commit_that_fails_midway_leaves_nothing_changed() {
    let mut host = Host::new(&["a", "b", "z"], &[]);
    put(&host.upper("a"), "agent");
    whiteout(&host.upper("b"));
    put(&host.upper("y/new"), "agent");
    put(&host.upper("z"), "agent");
    let ready = prepare(&host.dirs, &host.kept, &Choice::All).unwrap();
    // After it was checked, and before it is carried out.
    std::thread::sleep(TICK);
    put(&host.tree("z"), "person");
    let refused = commit(&host.dirs, &mut host.kept, &ready, &mut || Ok(()));
    assert!(matches!(refused, Err(ReviewError::Undone { .. })), "{refused:?}");
    assert_eq!((host.says("a").as_str(), host.says("b").as_str()), ("old", "old"));
    assert_eq!(host.says("z"), "person");
    assert!(!host.tree("y").exists());
    host.clean();
}

#[test]
fn a_commit_that_was_cut_off_anywhere_is_finished_by_the_next() {
    for cut in 0..5 {
        let mut host = Host::new(&["a", "b"], &[]);
        put(&host.upper("a"), "agent");
        whiteout(&host.upper("b"));
        put(&host.upper("c/d"), "agent");
        let ready = prepare(&host.dirs, &host.kept, &Choice::All).unwrap();
        let cut_off = super::commit::cut_off_after(&host.dirs, &mut host.kept, &ready, cut);
        assert!(cut_off.is_ok());
        let mut kept = find(&host.dirs, None).unwrap();
        recover(&host.dirs, &mut kept).unwrap();
        if cut == 0 {
            // Nothing of the host had changed: it is as if it had not begun.
            assert_eq!((host.says("a").as_str(), host.says("b").as_str()), ("old", "old"));
        } else {
            assert_eq!((host.says("a").as_str(), host.says("c/d").as_str()), ("agent", "agent"));
            assert!(!host.tree("b").exists());
        }
        host.clean();
    }
}

/// The race of a rename with a commit: each time a directory on the way becomes a link to a place
/// outside, or comes back, while changes are being committed into it.
#[test]
fn no_rename_during_a_commit_leads_it_out_of_the_tree() {
    let long = std::env::var_os("RINGFENCE_TEST_LONG").is_some_and(|it| it == "1");
    let swaps_min = if long { 100_000 } else { 2_000 };
    let mut host = Host::new(&["way/f"], &[]);
    symlink(host.dir.path().join("outside"), host.tree("other")).unwrap();
    let (way, other) = (host.tree("way"), host.tree("other"));
    let stop = AtomicBool::new(false);
    let mut swaps = 0_u64;
    let mut committed = 0;
    std::thread::scope(|scope| {
        let racer = scope.spawn(|| {
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) || swaps < swaps_min {
                rustix::fs::renameat_with(CWD, &way, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        for number in 0..if long { 3_000 } else { 60 } {
            put(&host.upper(&format!("way/new{number}")), "agent");
            let Ok(ready) = prepare(&host.dirs, &host.kept, &Choice::All) else { continue };
            if let Ok(done) = commit(&host.dirs, &mut host.kept, &ready, &mut || Ok(())) {
                committed += done.count;
            }
            // One that was undone half, because the way was elsewhere, is finished or undone.
            let _ = recover(&host.dirs, &mut host.kept);
            if !host.upper("").exists() {
                fs::create_dir_all(host.upper("")).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        swaps = racer.join().unwrap();
    });
    assert!(swaps >= swaps_min);
    host.unharmed();
    // The oracle: without the race the same is committed.
    if fs::symlink_metadata(&way).unwrap().is_symlink() {
        rustix::fs::renameat_with(CWD, &way, CWD, &other, RenameFlags::EXCHANGE).unwrap();
    }
    put(&host.upper("way/last"), "agent");
    let (done, _) = host.commit();
    assert!(done.unwrap().count > 0, "{committed} were committed before");
    assert_eq!(host.says("way/last"), "agent");
    host.unharmed();
}
