//! Attacks on the kernel, and on processes outside.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Pid;

use super::{Attack, Target, failed};
use crate::sys::attempts;

/// How long a process stays that should have ended with its world, and how often it says so.
const STAY: Duration = Duration::from_secs(10);
const STAY_BEAT: Duration = Duration::from_millis(50);

pub(super) const ALL: &[Attack] = &[
    Attack::new("user-namespace", "make a user namespace, with all capabilities in it", |_| {
        unshare(libc::CLONE_NEWUSER)
    }),
    Attack::new("mount-namespace", "make a mount namespace and mount in it", |_| {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
    }),
    Attack::new("clone3", "make a namespace by a call whose arguments no filter sees", |_| {
        there(raw(libc::SYS_clone3, [0; 6]))
    }),
    Attack::new("enter-namespace", "enter the namespace of another process", |_| {
        there(raw(libc::SYS_setns, [usize::MAX, 0, 0, 0, 0, 0]))
    }),
    Attack::new("mount", "mount something", |_| there(raw(libc::SYS_mount, [0; 6]))),
    Attack::new("unmount", "take a mount away", |_| there(raw(libc::SYS_umount2, [0; 6]))),
    Attack::new("pivot-root", "take another root", |_| there(raw(libc::SYS_pivot_root, [0; 6]))),
    Attack::new("change-root", "take another root (chroot)", |_| {
        there(raw(libc::SYS_chroot, [0; 6]))
    }),
    Attack::new("new-mount", "mount by the newer calls", |_| there(raw(libc::SYS_fsopen, [0; 6]))),
    Attack::new("copy-mounts", "copy a tree of mounts", |_| {
        there(raw(libc::SYS_open_tree, [usize::MAX, 0, 1, 0, 0, 0]))
    }),
    Attack::new("mount-attributes", "make a read-only mount writable", |_| {
        there(raw(libc::SYS_mount_setattr, [usize::MAX, 0, 0, 0, 0, 0]))
    }),
    Attack::new("io-uring", "make system calls that no filter sees (io_uring)", |_| {
        let mut ring = [0_u64; 32];
        raw(libc::SYS_io_uring_setup, [1, address(&mut ring), 0, 0, 0, 0]).map(drop)
    }),
    #[cfg(target_arch = "x86_64")]
    Attack::new("interrupt", "make system calls of 32-bit programs", |_| {
        if attempts::by_interrupt() > 0 { Ok(()) } else { failed("there are none") }
    }),
    #[cfg(target_arch = "x86_64")]
    Attack::new("x32", "make system calls of the x32 interface", |_| {
        // Whatever the answer is: inside, there is none.
        let _ = raw(0x4000_0000 | libc::SYS_getpid, [0; 6]);
        Ok(())
    }),
    Attack::new("trace", "be traced by a parent, or trace", |_| {
        raw(libc::SYS_ptrace, [0; 6]).map(drop)
    }),
    Attack::new("read-memory", "read memory by process_vm_readv", |_| {
        let own = usize::try_from(std::process::id()).unwrap_or_default();
        raw(libc::SYS_process_vm_readv, [own, 0, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("take-descriptor", "take a descriptor of another process (pidfd_getfd)", |_| {
        there(raw(libc::SYS_pidfd_getfd, [usize::MAX, 0, 0, 0, 0, 0]))
    }),
    Attack::new("signal", "signal a process outside", |t| {
        let pid = Pid::from_raw(t.pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::test_kill_process(pid)?)
    }),
    Attack::new("signal-group", "signal the process group of a process outside", |t| {
        let pid = Pid::from_raw(t.pid).ok_or(io::ErrorKind::InvalidInput)?;
        let group = rustix::process::getpgid(Some(pid))?;
        Ok(rustix::process::test_kill_process_group(group)?)
    }),
    Attack::new("priority", "slow a process outside down", |t| {
        let pid = Pid::from_raw(t.pid).ok_or(io::ErrorKind::InvalidInput)?;
        // To what it is: nobody is slower for it, and who may do that may do more.
        let now = rustix::process::getpriority_process(Some(pid))?;
        Ok(rustix::process::setpriority_process(Some(pid), now)?)
    }),
    Attack::new("new-privileges", "gain rights by a set-id program", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        let is_off = status.lines().any(|line| line == "NoNewPrivs:\t0");
        if is_off { Ok(()) } else { failed("set-id programs give nothing (no_new_privs)") }
    }),
    Attack::new("listener", "supervise system calls in one's own place", |_| {
        there(raw(libc::SYS_seccomp, [1, 8, 0, 0, 0, 0]))
    }),
    Attack::new("bpf", "load a program into the kernel", |_| {
        there(raw(libc::SYS_bpf, [0, 0, 0, 0, 0, 0]))
    }),
    Attack::new("perf", "count events of the processor", |_| {
        there(raw(libc::SYS_perf_event_open, [0; 6]))
    }),
    Attack::new("userfault", "hold the kernel up at a page (userfaultfd)", |_| {
        raw(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("module", "load a module into the kernel", |_| {
        there(raw(libc::SYS_finit_module, [usize::MAX, 0, 0, 0, 0, 0]))
    }),
    Attack::new("kexec", "start another kernel", |_| {
        there(raw(libc::SYS_kexec_load, [0, 1000, 0, 0, 0, 0]))
    }),
    Attack::new("keyring", "look into the session's keyring", |_| {
        let session = usize::MAX - 2;
        raw(libc::SYS_keyctl, [0, session, 1, 0, 0, 0]).map(drop)
    }),
    Attack::new("ports", "speak to devices by input and output ports", |_| {
        raw(libc::SYS_ioperm, [0x80, 1, 1, 0, 0, 0]).map(drop)
    }),
    Attack::new("log", "read the kernel's messages by a system call", |_| {
        let mut messages = [0_u64; 64];
        let length = std::mem::size_of_val(&messages);
        raw(libc::SYS_syslog, [3, address(&mut messages), length, 0, 0, 0]).map(drop)
    }),
    Attack::new("restart", "restart the machine", |_| there(raw(libc::SYS_reboot, [0; 6]))),
    Attack::new("host-name", "rename the machine", |_| {
        there(raw(libc::SYS_sethostname, [0, usize::MAX, 0, 0, 0, 0]))
    }),
    Attack::new("clock", "set the clock", |_| there(raw(libc::SYS_clock_settime, [0; 6]))),
    Attack::new("swap", "swap to a file", |_| there(raw(libc::SYS_swapon, [0; 6]))),
    Attack::new("quota", "change quotas", |_| {
        there(raw(libc::SYS_quotactl, [usize::MAX, 0, 0, 0, 0, 0]))
    }),
    Attack::new("type", "type into the terminal (TIOCSTI)", |_| terminal(libc::TIOCSTI)),
    Attack::new("type-high", "the same with bits set that the kernel ignores", |_| {
        terminal(libc::TIOCSTI | 1 << 32)
    }),
    Attack::new("console", "paste into the console (TIOCLINUX)", |_| terminal(libc::TIOCLINUX)),
    Attack::new("shared-memory", "reach System V shared memory of the host", |t| {
        let key = usize::try_from(t.shared_memory).unwrap_or_default();
        raw(libc::SYS_shmget, [key, 0, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("stay", "leave a process behind that outlives the session", stay)
        .beats("granted/stayed"),
];

fn raw(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    attempts::raw(number, arguments)
}

/// Succeeds where a call whose arguments are nonsense is refused for that reason: it may be made.
fn there(answer: io::Result<usize>) -> io::Result<()> {
    match answer {
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EBUSY | libc::EOPNOTSUPP) => {
                Err(error)
            }
            Some(_) | None => Ok(()),
        },
        Ok(_) => Ok(()),
    }
}

fn unshare(flags: i32) -> io::Result<()> {
    let flags = usize::try_from(flags).unwrap_or_default();
    raw(libc::SYS_unshare, [flags, 0, 0, 0, 0, 0]).map(drop)
}

fn address<T>(buffer: &mut [T]) -> usize {
    buffer.as_mut_ptr().expose_provenance()
}

/// Asks a terminal of one's own for what only the terminal's user should do.
fn terminal(request: u64) -> io::Result<()> {
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let ours = rustix::pty::openpt(flags)?;
    let fd = usize::try_from(ours.as_raw_fd()).unwrap_or_default();
    let request = usize::try_from(request).unwrap_or_default();
    let mut letter = [u64::from(b'x'); 2];
    there(raw(libc::SYS_ioctl, [fd, request, address(&mut letter), 0, 0, 0]))
}

/// The handle of an open directory; `handle` starts with the bytes that it has for it.
pub(super) fn name_to_handle(
    dir: &fs::File,
    handle: &mut [u32],
    mount: &mut i32,
) -> io::Result<()> {
    let mut empty = [0_u8; 1];
    let fd = usize::try_from(dir.as_raw_fd()).unwrap_or_default();
    let flags = usize::try_from(libc::AT_EMPTY_PATH).unwrap_or_default();
    let mount = std::slice::from_mut(mount);
    let words = [fd, address(&mut empty), address(handle), address(mount), flags, 0];
    raw(libc::SYS_name_to_handle_at, words).map(drop)
}

/// Opens what a handle stands for.
pub(super) fn open_by_handle(on: &fs::File, handle: &mut [u32]) -> io::Result<()> {
    let fd = usize::try_from(on.as_raw_fd()).unwrap_or_default();
    raw(libc::SYS_open_by_handle_at, [fd, address(handle), 0, 0, 0, 0]).map(drop)
}

/// Starts a process in a session of its own and lets it go.
fn stay(target: &Target) -> io::Result<()> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own);
    command.args(["world", "attack", "--only", "stay-on"]).args(target.words());
    let quiet = || Stdio::null();
    command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().map(drop)
}

/// What that process does: it writes the time of its life, as long as it lives.
pub(super) fn stay_on(target: &Target) -> io::Result<()> {
    let _ = rustix::process::setsid();
    let file = target.at("granted/stayed");
    let mut lived = Duration::ZERO;
    while lived < STAY {
        fs::write(&file, lived.as_millis().to_string())?;
        std::thread::sleep(STAY_BEAT);
        lived += STAY_BEAT;
    }
    Ok(())
}
