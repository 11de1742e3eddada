use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{FileUser, Own};

/// Nobody's number.
const NOBODY: FileUser = FileUser { uid: 51_777, gid: 51_777 };

/// What the kernel says of the calling thread.
fn status(label: &str) -> String {
    let text = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

const SYS_RESOURCE: u64 = 24;

/// Chown, overriding permissions of files and directories, acting as an owner, set-id bits,
/// resources, immutable files, nodes, labels.
const ABOUT_FILES: u64 = 0b11111 | 1 << 9 | 1 << SYS_RESOURCE | 1 << 27 | 1 << 32;

fn in_effect() -> u64 {
    u64::from_str_radix(&status("CapEff:"), 16).unwrap()
}

/// In a thread of its own, which keeps none of its groups.
fn in_a_thread(act: impl FnOnce(Own) + Send + 'static) {
    if rustix::process::geteuid().is_root() {
        std::thread::spawn(|| act(Own::without_groups().unwrap())).join().unwrap();
    }
}

#[test]
fn who_has_given_up_has_no_capability_about_files_and_no_group_until_it_is_back() {
    in_a_thread(|own| {
        let before = ["Uid:", "Gid:", "CapEff:", "CapPrm:"].map(status);
        assert_eq!(in_effect() & ABOUT_FILES, ABOUT_FILES & !(1 << SYS_RESOURCE));
        own.give_up(NOBODY).unwrap();
        assert_eq!(in_effect() & ABOUT_FILES, 0);
        assert_eq!(status("Groups:"), "");
        assert!(status("Uid:").ends_with(" 51777") && status("Gid:").ends_with(" 51777"));
        own.back().unwrap();
        assert_eq!(["Uid:", "Gid:", "CapEff:", "CapPrm:"].map(status), before);
    });
}

#[test]
fn who_has_given_up_makes_nothing_where_only_root_could() {
    in_a_thread(|own| {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (file, open) = (dir.path().join("f"), dir.path().join("open"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        own.give_up(NOBODY).unwrap();
        let denied = fs::write(&file, "").map_err(|error| error.raw_os_error());
        let made = fs::write(open.join("f"), "");
        let foreign = fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777));
        own.back().unwrap();
        assert_eq!(denied, Err(Some(libc::EACCES)));
        made.unwrap();
        assert_eq!(foreign.unwrap_err().raw_os_error(), Some(libc::EPERM));
        fs::write(&file, "").unwrap();
    });
}
