//! The mounts of a world, as the kernel lists them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use ringfence_sandbox::cgroup::Disk;

/// File systems that lie in memory, or show something of the kernel.
const NOT_ON_DISK: [&str; 9] =
    ["tmpfs", "ramfs", "proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2"];

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is in the world.
    pub(super) place: PathBuf,
    /// The device that its files say they are on.
    pub(super) device: Disk,
    kind: String,
    options: String,
}

/// Those of the world whose first process is `init`.
pub(super) fn of_world(init: i32) -> io::Result<Vec<Mount>> {
    Ok(fs::read_to_string(format!("/proc/{init}/mountinfo"))?.lines().filter_map(parse).collect())
}

impl Mount {
    pub(super) fn is_writable(&self) -> bool {
        self.options.split(',').any(|option| option == "rw")
    }

    pub(super) fn is_on_disk(&self) -> bool {
        !NOT_ON_DISK.contains(&self.kind.as_str())
    }
}

/// A line of proc_pid_mountinfo(5).
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let (major, minor) = fields.next()?.split_once(':')?;
    let device = Disk { major: major.parse().ok()?, minor: minor.parse().ok()? };
    let place = unescape(fields.nth(1)?);
    let options = fields.next()?.to_owned();
    Some(Mount { place, device, kind: after.split(' ').next()?.to_owned(), options })
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Disk, parse};

    #[test]
    fn a_mount_is_read_with_its_options_and_odd_name() {
        let line = r"31 28 254:1 /a /home/a\040b\134c rw,nosuid master:9 - ext4 /dev/vda1 ro";
        let mount = parse(line).unwrap();
        assert_eq!(mount.place, Path::new(r"/home/a b\c"));
        assert_eq!(mount.device, Disk { major: 254, minor: 1 });
        assert!(mount.is_writable() && mount.is_on_disk());
        let tmp = parse("31 28 0:27 / /tmp ro,relatime - tmpfs tmpfs rw").unwrap();
        assert!(!tmp.is_writable() && !tmp.is_on_disk());
        assert_eq!(parse("31 28 nonsense"), None);
        assert_eq!(parse(""), None);
    }
}
