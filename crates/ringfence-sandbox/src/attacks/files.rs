//! Attacks on files that are not granted, or only to read.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, XattrFlags};

use super::{Attack, Target, failed};

pub(super) const ALL: &[Attack] = &[
    Attack::new("read", "open a file that is not granted", |t| t.holds_token(&secret(t))),
    Attack::new("read-dotdot", "reach it by `..` from a granted tree", |t| {
        t.holds_token(&t.at("granted/../granted/./..//outside/secret"))
    }),
    Attack::new("read-proc-root", "reach it through /proc/self/root", |t| {
        t.holds_token(&beneath("/proc/self/root", &secret(t)))
    }),
    Attack::new("read-thread-root", "reach it through /proc/thread-self/root", |t| {
        t.holds_token(&beneath("/proc/thread-self/root", &secret(t)))
    }),
    Attack::new("read-symlink", "reach it through a link in a granted tree", |t| {
        let link = fresh(t, "granted/link");
        symlink(secret(t), &link)?;
        t.holds_token(&link)
    }),
    Attack::new("read-symlink-dir", "reach it through a link to its directory", |t| {
        let link = fresh(t, "granted/links");
        symlink(t.at("outside"), &link)?;
        t.holds_token(&link.join("secret"))
    }),
    Attack::new("read-hard-link", "give it another name in a granted tree", |t| {
        let link = fresh(t, "granted/hard");
        fs::hard_link(secret(t), &link)?;
        t.holds_token(&link)
    }),
    Attack::new("read-moved", "move it into a granted tree", |t| {
        let moved = t.at("granted/moved");
        fs::rename(t.at("outside/movable"), &moved)?;
        t.holds_token(&moved)
    }),
    Attack::new("read-handle", "open it by a file handle", handle),
    Attack::new("read-other-root", "read through the root of a process outside", |t| {
        t.holds_token(&beneath(&format!("/proc/{}/root", t.pid), &secret(t)))
    }),
    Attack::new("read-other-directory", "read in the directory of a process outside", |t| {
        let cwd = fs::read_link(format!("/proc/{}/cwd", t.pid))?;
        if cwd == Path::new("/") { failed("it is the root directory") } else { Ok(()) }
    }),
    Attack::new("read-other-descriptors", "open what a process outside has open", |t| {
        fs::read_dir(format!("/proc/{}/fd", t.pid)).map(drop)
    }),
    Attack::new("reopen-other-descriptor", "open anew what a process outside has open", |t| {
        let all = (0..64).map(|number| format!("/proc/{}/fd/{number}", t.pid));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let opened = all.map(|it| rustix::fs::open(it, flags, Mode::empty()).map(drop));
        Ok(opened.reduce(Result::or).unwrap_or(Ok(()))?)
    }),
    Attack::new("read-other-memory", "open the memory of a process outside", |t| {
        fs::File::open(format!("/proc/{}/mem", t.pid)).map(drop)
    }),
    Attack::new("read-other-environment", "read the environment of a process outside", |t| {
        fs::read(format!("/proc/{}/environ", t.pid)).map(drop)
    }),
    Attack::new("read-first-memory", "open the memory of process 1", |_| {
        fs::File::open("/proc/1/mem").map(drop)
    }),
    Attack::new("stat", "learn that it exists", |t| fs::metadata(secret(t)).map(drop)),
    Attack::new("open-path", "open it without reading (O_PATH)", |t| {
        Ok(rustix::fs::open(secret(t), OFlags::PATH, Mode::empty()).map(drop)?)
    }),
    Attack::new("read-link", "read where a link outside leads", |t| {
        fs::read_link(t.at("outside/link")).map(drop)
    }),
    Attack::new("list", "list a directory that is not granted", |t| {
        fs::read_dir(t.at("outside")).map(drop)
    }),
    Attack::new("watch", "watch a directory that is not granted", |t| {
        let inotify = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC)?;
        let all = rustix::fs::inotify::WatchFlags::ALL_EVENTS;
        Ok(rustix::fs::inotify::add_watch(&inotify, t.at("outside"), all).map(drop)?)
    }),
    Attack::new("change-directory", "make it the working directory", |t| {
        std::env::set_current_dir(t.at("outside"))
    }),
    Attack::new("write", "make a file where nothing is granted", |t| {
        fs::write(t.at("outside/made"), "x")
    })
    .leaves("outside/made"),
    Attack::new("write-readonly", "append to a file that is granted to read", |t| {
        OpenOptions::new().append(true).open(t.at("readonly/file"))?.write_all(b"x")
    }),
    Attack::new("make-readonly", "make a file in a tree that is granted to read", |t| {
        fs::write(t.at("readonly/made"), "x")
    })
    .leaves("readonly/made"),
    Attack::new("make-unnamed", "make a file without a name there (O_TMPFILE)", |t| {
        let flags = OFlags::TMPFILE | OFlags::WRONLY;
        Ok(rustix::fs::open(t.at("readonly"), flags, Mode::RUSR).map(drop)?)
    }),
    Attack::new("make-directory-readonly", "make a directory there", |t| {
        fs::create_dir(t.at("readonly/dir"))
    })
    .leaves("readonly/dir"),
    Attack::new("make-pipe-readonly", "make a named pipe there", |t| {
        let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::RUSR);
        Ok(rustix::fs::mknodat(CWD, t.at("readonly/pipe"), kind, mode, 0)?)
    })
    .leaves("readonly/pipe"),
    Attack::new("make-link-readonly", "make a link there", |t| {
        symlink("x", t.at("readonly/new-link"))
    })
    .leaves("readonly/new-link"),
    Attack::new("truncate-readonly", "cut off a file there", |t| {
        OpenOptions::new().write(true).truncate(true).open(t.at("readonly/file")).map(drop)
    }),
    Attack::new("delete-readonly", "delete a file there", |t| {
        fs::remove_file(t.at("readonly/deletable"))
    }),
    Attack::new("move-out-readonly", "move a file from there", |t| {
        fs::rename(t.at("readonly/movable"), t.at("granted/taken"))
    })
    .leaves("granted/taken"),
    Attack::new("exchange-readonly", "exchange a file there for another (RENAME_EXCHANGE)", |t| {
        fs::write(t.at("granted/for-exchange"), "x")?;
        let (from, to) = (t.at("granted/for-exchange"), t.at("readonly/file"));
        Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?)
    }),
    Attack::new("link-readonly", "write through another name of a file there", |t| {
        let link = fresh(t, "granted/of-readonly");
        fs::hard_link(t.at("readonly/file"), &link)?;
        OpenOptions::new().append(true).open(&link)?.write_all(b"x")
    }),
    Attack::new("mode-readonly", "change the mode of a file there", |t| {
        fs::set_permissions(t.at("readonly/file"), Permissions::from_mode(0o777))
    }),
    Attack::new("owner-readonly", "change the owner of a file there", |t| {
        let own = rustix::process::getuid();
        Ok(rustix::fs::chownat(CWD, t.at("readonly/file"), Some(own), None, AtFlags::empty())?)
    }),
    Attack::new("times-readonly", "change the times of a file there", |t| {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let times = Timestamps { last_access: zero, last_modification: zero };
        Ok(rustix::fs::utimensat(CWD, t.at("readonly/file"), &times, AtFlags::empty())?)
    }),
    Attack::new("attribute-readonly", "set an extended attribute of a file there", |t| {
        let flags = XattrFlags::empty();
        Ok(rustix::fs::setxattr(t.at("readonly/file"), "user.attack", b"x", flags)?)
    }),
    Attack::new("git-hook", "plant a hook that the host's git runs", |t| {
        hook(t, "granted/repo/.git")
    })
    .leaves("granted/repo/.git/hooks/pre-commit"),
    Attack::new("git-config", "have the host's git run a program by its configuration", |t| {
        let mut file = OpenOptions::new().append(true).open(t.at("granted/repo/.git/config"))?;
        file.write_all(b"[core]\n\tfsmonitor = touch /attack\n")
    })
    .leaves("granted/repo/.git/config"),
    Attack::new("git-config-closed", "the same by a descriptor, its directory closed", |t| {
        let git = t.at("granted/repo/.git");
        let config = rustix::fs::open(git.join("config"), OFlags::PATH, Mode::empty())?;
        fs::set_permissions(&git, Permissions::from_mode(0o0))?;
        let own = format!("/proc/self/fd/{}", config.as_raw_fd());
        let opened = OpenOptions::new().append(true).open(own);
        fs::set_permissions(&git, Permissions::from_mode(0o755))?;
        opened?.write_all(b"[core]\n\tfsmonitor = touch /attack\n")
    })
    .leaves("granted/repo/.git/config"),
    Attack::new("git-hook-moved", "move the repository aside and plant a hook in a copy", |t| {
        fs::rename(t.at("granted/repo/.git"), t.at("granted/repo/aside"))?;
        fs::create_dir(t.at("granted/repo/.git"))?;
        hook(t, "granted/repo/.git")
    })
    .leaves("granted/repo/.git/hooks/pre-commit"),
    Attack::new("git-hook-above", "move the directory of the repository aside", |t| {
        fs::rename(t.at("granted/repo"), t.at("granted/other"))?;
        fs::create_dir_all(t.at("granted/repo/.git"))?;
        hook(t, "granted/repo/.git")
    })
    .leaves("granted/repo/.git/hooks/pre-commit"),
    Attack::new("own-state", "read Ringfence's own state", |t| fs::read_dir(&t.state).map(drop)),
    Attack::new("core-pattern", "have the kernel run a program (core_pattern)", |_| {
        write_open("/proc/sys/kernel/core_pattern")
    }),
    Attack::new("sysrq", "tell the kernel to restart (sysrq-trigger)", |_| {
        write_open("/proc/sysrq-trigger")
    }),
    Attack::new("uevent-helper", "have the kernel run a program (uevent_helper)", |_| {
        write_open("/sys/kernel/uevent_helper")
    }),
    Attack::new("release-agent", "have the kernel run a program (release_agent)", |_| {
        write_open("/sys/fs/cgroup/memory/release_agent")
    }),
    Attack::new("kernel-messages", "read the kernel's messages", |_| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = rustix::fs::open("/dev/kmsg", flags, Mode::empty())?;
        fs::File::from(file).read(&mut [0; 8192]).map(drop)
    }),
    Attack::new("disk", "open a disk of the host", |_| {
        let disks = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda"];
        let opened = disks.iter().map(|disk| fs::File::open(disk).map(drop));
        opened.reduce(Result::or).unwrap_or(Ok(()))
    }),
    Attack::new("device", "make a device of one's own", |t| {
        let (kind, mode) = (rustix::fs::FileType::CharacterDevice, Mode::RUSR);
        let null = rustix::fs::makedev(1, 3);
        Ok(rustix::fs::mknodat(CWD, fresh(t, "granted/device"), kind, mode, null)?)
    })
    .leaves("granted/device"),
    Attack::new("host-tmp", "find a file of the host's /tmp", |t| {
        t.holds_token(&Path::new("/tmp").join(format!("ringfence-verify-{}", t.pid)))
    }),
    Attack::new("host-shm", "find a file of the host's /dev/shm", |t| {
        t.holds_token(&Path::new("/dev/shm").join(format!("ringfence-verify-{}", t.pid)))
    }),
];

fn secret(target: &Target) -> PathBuf {
    target.at("outside/secret")
}

fn beneath(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

/// A path at which there is nothing of an earlier attack.
fn fresh(target: &Target, name: &str) -> PathBuf {
    let path = target.at(name);
    let _ = fs::remove_file(&path);
    path
}

/// Opens for writing, and writes nothing.
fn write_open(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}

fn hook(target: &Target, git: &str) -> io::Result<()> {
    let hooks = target.at(git).join("hooks");
    fs::create_dir_all(&hooks)?;
    fs::write(hooks.join("pre-commit"), "#!/bin/sh\n")
}

/// A handle of the granted tree, opened anew: whoever may do that may open any file by its number.
fn handle(target: &Target) -> io::Result<()> {
    let granted = fs::File::open(target.at("granted"))?;
    let mut handle = [0_u32; 64];
    handle[0] = 120;
    let mut mount = 0_i32;
    super::kernel::name_to_handle(&granted, &mut handle, &mut mount)?;
    super::kernel::open_by_handle(&granted, &mut handle)
}
