//! The profile as data: one table of rules, tried in order; what none matches is allowed.
//!
//! A world's walls are its empty root, its namespaces and Landlock. The filter takes away the calls
//! that reach around them or that have a record of kernel bugs no agent needs, and names the calls
//! that the gate wants to hear of.

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, EACCES, EAFNOSUPPORT, EBUSY, ENOSYS, EPERM,
    EPROTONOSUPPORT, SOCK_DGRAM, SOCK_RAW, c_long,
};

use crate::world::{NotifyClasses, Switch};

/// One line of the profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The system call.
    pub(super) call: c_long,
    /// What must hold of its arguments: all of these.
    pub(super) when: &'static [Test],
    /// What the caller gets.
    pub(super) answer: Answer,
}

impl Rule {
    /// The number as the filter sees it.
    pub(super) fn number(&self) -> u32 {
        u32::try_from(self.call).unwrap_or(u32::MAX)
    }
}

/// A test of the low 32 bits of one argument, after masking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    pub(super) arg: u32,
    pub(super) mask: u32,
    pub(super) is: Is,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Is {
    Equal(u32),
    Not(u32),
    AnyBitOf(u32),
}

/// What a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel goes on.
    Allow,
    /// It fails with this `errno`.
    Errno(i32),
    /// The supervisor answers.
    Notify,
    /// The process dies with `SIGSYS`.
    Kill,
}

/// The youngest system call this profile was written for (`file_setattr`, Linux 6.17).
pub(super) const NUMBER_MAX: u32 = 469;

/// Every bit of an argument's low half.
pub(super) const ALL: u32 = u32::MAX;
/// Opening with any of these can change a file: `O_WRONLY | O_RDWR | O_CREAT | O_TRUNC`.
const WRITE_INTENT: u32 = bits(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC);
/// With none of these it only reads.
const NO_MERE_READ: u32 = WRITE_INTENT | bits(libc::O_PATH);
/// The namespaces of `clone` and `unshare`; `CLONE_NEWTIME` is a signal number to `clone`.
const NEW_NAMESPACES: u32 = bits(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP,
);
/// `CLONE_NEWTIME`, which libc does not name for every target.
const NEW_TIME: u32 = 0x80;
/// Whether a task shares its umask, and whether it is a thread of the same process.
const FS_OR_THREAD: u32 = bits(libc::CLONE_FS | libc::CLONE_THREAD);
/// Set-user-id and set-group-id.
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
/// Opening with any of these makes a file, with the mode given: `O_CREAT`, `__O_TMPFILE`.
const MAKES: u32 = bits(libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY);
/// The file type within a mode.
const TYPE: u32 = libc::S_IFMT;
/// The kind of socket, without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
pub(super) const SOCKET_KIND: u32 = 0xf;
/// The type and number of an ioctl, without its direction and the size of what it points to.
pub(super) const IOCTL: u32 = 0xffff;
/// `SECCOMP_SET_MODE_FILTER`.
const SET_FILTER: u32 = 1;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 8;
/// `NETLINK_ROUTE`, which `getifaddrs(3)` asks.
const NETLINK_ROUTE: u32 = 0;
/// `UNAME26`, harmless.
const UNAME26: u32 = 0x0002_0000;
/// `ADDR_NO_RANDOMIZE`, which debuggers and build systems set.
const NO_RANDOMIZE: u32 = 0x0004_0000;
/// The argument of `personality` that only asks.
const PERSONALITY_QUERY: u32 = u32::MAX;

/// `int` flags as the filter sees them.
pub(super) const fn bits(flags: i32) -> u32 {
    flags.cast_unsigned()
}

pub(super) const fn test(arg: u32, mask: u32, is: Is) -> Test {
    Test { arg, mask, is }
}

pub(super) const fn fail(call: c_long, errno: i32) -> Rule {
    Rule { call, when: &[], answer: Answer::Errno(errno) }
}

pub(super) const fn fail_when(call: c_long, when: &'static [Test], errno: i32) -> Rule {
    Rule { call, when, answer: Answer::Errno(errno) }
}

pub(super) const fn notify(call: c_long) -> Rule {
    Rule { call, when: &[], answer: Answer::Notify }
}

const fn notify_when(call: c_long, when: &'static [Test]) -> Rule {
    Rule { call, when, answer: Answer::Notify }
}

/// The rules for these classes, the frequent ones first.
pub(super) fn rules(classes: NotifyClasses) -> Vec<Rule> {
    let notified: [(Switch, &[Rule]); 4] = [
        (classes.write, NOTIFIED_OPENS),
        (classes.read, NOTIFIED_READS),
        (classes.connect, NOTIFIED_CONNECTS),
        (classes.exec, NOTIFIED_EXECS),
    ];
    let refused = [
        SET_IDS,
        NARROWED,
        NAMES_BY_IOCTL,
        OUTSIDE_THE_FILTER,
        NAMESPACES_AND_MOUNTS,
        OTHER_PROCESSES,
        KERNEL,
    ];
    let writes = (classes.write, NOTIFIED_WRITES);
    std::iter::once((Switch::On, SET_ID_OPENS))
        .chain(notified)
        .chain(refused.map(|table| (Switch::On, table)))
        .chain([writes])
        .filter(|(switch, _)| *switch == Switch::On)
        .flat_map(|(_, table)| table.iter().copied())
        .collect()
}

/// Making a file with a set-id bit. Before the notified opens: those would let it through.
const SET_ID_OPENS: &[Rule] = &[
    fail_when(
        libc::SYS_openat,
        &[test(2, ALL, Is::AnyBitOf(MAKES)), test(3, ALL, Is::AnyBitOf(SET_ID))],
        EPERM,
    ),
    fail_when(
        libc::SYS_open,
        &[test(1, ALL, Is::AnyBitOf(MAKES)), test(2, ALL, Is::AnyBitOf(SET_ID))],
        EPERM,
    ),
];

/// Opens with write intent, told by the flags in a register; plain reads are not notified.
const NOTIFIED_OPENS: &[Rule] = &[
    notify_when(libc::SYS_openat, &[test(2, ALL, Is::AnyBitOf(WRITE_INTENT))]),
    notify_when(libc::SYS_open, &[test(1, ALL, Is::AnyBitOf(WRITE_INTENT))]),
];

/// Opens without write intent, but for mere references to files (`O_PATH`).
const NOTIFIED_READS: &[Rule] = &[
    notify_when(libc::SYS_openat, &[test(2, NO_MERE_READ, Is::Equal(0))]),
    notify_when(libc::SYS_open, &[test(1, NO_MERE_READ, Is::Equal(0))]),
];

/// Connecting: a read-only bind does not stop a connect to a unix socket beneath it.
const NOTIFIED_CONNECTS: &[Rule] = &[notify(libc::SYS_connect)];

/// Starting programs.
const NOTIFIED_EXECS: &[Rule] = &[notify(libc::SYS_execve), notify(libc::SYS_execveat)];

/// Calls that change what a name means. Behind the refusals: device nodes are refused there.
const NOTIFIED_WRITES: &[Rule] = &[
    notify(libc::SYS_creat),
    notify(libc::SYS_truncate),
    notify(libc::SYS_unlink),
    notify(libc::SYS_unlinkat),
    notify(libc::SYS_rmdir),
    notify(libc::SYS_rename),
    notify(libc::SYS_renameat),
    notify(libc::SYS_renameat2),
    notify(libc::SYS_mkdir),
    notify(libc::SYS_mkdirat),
    notify(libc::SYS_link),
    notify(libc::SYS_linkat),
    notify(libc::SYS_symlink),
    notify(libc::SYS_symlinkat),
    notify(libc::SYS_mknod),
    notify(libc::SYS_mknodat),
    // A unix socket's path is a file.
    notify(libc::SYS_bind),
    // Whatever is made is made with the umask that the process has by then.
    notify(libc::SYS_umask),
    // A group of threads has one umask for itself, unless it is asked for otherwise.
    notify_when(libc::SYS_clone, &[test(0, FS_OR_THREAD, Is::Equal(bits(libc::CLONE_FS)))]),
    notify_when(libc::SYS_clone, &[test(0, FS_OR_THREAD, Is::Equal(bits(libc::CLONE_THREAD)))]),
    notify_when(libc::SYS_unshare, &[test(0, ALL, Is::AnyBitOf(bits(libc::CLONE_FS)))]),
];

/// Set-id bits do nothing in a world, whose mounts ignore them; on the host they would outlive it:
/// what the payload makes is the person's, or root's where owners are mapped.
const SET_IDS: &[Rule] = &[
    fail_when(libc::SYS_chmod, &[test(1, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_fchmod, &[test(1, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_fchmodat, &[test(2, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_fchmodat2, &[test(2, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_creat, &[test(1, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_mkdir, &[test(1, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_mkdirat, &[test(2, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_mknod, &[test(1, ALL, Is::AnyBitOf(SET_ID))], EPERM),
    fail_when(libc::SYS_mknodat, &[test(2, ALL, Is::AnyBitOf(SET_ID))], EPERM),
];

/// Calls that stay, without some of their arguments.
const NARROWED: &[Rule] = &[
    // Typing into the terminal that the user's shell reads (CVE-2017-5226), pasting on a console.
    fail_when(libc::SYS_ioctl, &[test(1, ALL, Is::Equal(0x5412))], EPERM), // TIOCSTI
    fail_when(libc::SYS_ioctl, &[test(1, ALL, Is::Equal(0x541c))], EPERM), // TIOCLINUX
    // TIOCSETD loads line disciplines into the kernel (CVE-2017-2636, CVE-2023-6546).
    fail_when(libc::SYS_ioctl, &[test(1, ALL, Is::Equal(0x5423))], EPERM),
    fail_when(libc::SYS_clone, &[test(0, ALL, Is::AnyBitOf(NEW_NAMESPACES))], EPERM),
    fail_when(libc::SYS_unshare, &[test(0, ALL, Is::AnyBitOf(NEW_NAMESPACES | NEW_TIME))], EPERM),
    // Families other than these: packet, vsock (the hypervisor), alg, xdp, bluetooth, tipc, ...
    fail_when(
        libc::SYS_socket,
        &[
            test(0, ALL, Is::Not(bits(AF_UNIX))),
            test(0, ALL, Is::Not(bits(AF_INET))),
            test(0, ALL, Is::Not(bits(AF_INET6))),
            test(0, ALL, Is::Not(bits(AF_NETLINK))),
        ],
        EAFNOSUPPORT,
    ),
    fail_when(
        libc::SYS_socket,
        &[test(0, ALL, Is::Equal(bits(AF_NETLINK))), test(2, ALL, Is::Not(NETLINK_ROUTE))],
        EPERM,
    ),
    // A pair of any family makes a socket of it, and the kernel loads the module for that.
    fail_when(libc::SYS_socketpair, &[test(0, ALL, Is::Not(bits(AF_UNIX)))], EAFNOSUPPORT),
    // Protocols other than these are modules with a record: SCTP, DCCP, SMC, L2TP, ...
    fail_when(
        libc::SYS_socket,
        &[
            test(2, ALL, Is::Not(0)),
            test(2, ALL, Is::Not(bits(libc::IPPROTO_ICMP))),
            test(2, ALL, Is::Not(bits(libc::IPPROTO_TCP))),
            test(2, ALL, Is::Not(bits(libc::IPPROTO_UDP))),
            test(2, ALL, Is::Not(bits(libc::IPPROTO_ICMPV6))),
            test(2, ALL, Is::Not(bits(libc::IPPROTO_MPTCP))),
        ],
        EPROTONOSUPPORT,
    ),
    // A datagram names its receiver in memory the filter cannot see (`sendmsg`), so unix datagram
    // sockets are refused by type: also in pairs, whose ends may send elsewhere just as well, and
    // as SOCK_RAW, which the kernel takes for SOCK_DGRAM.
    fail_when(libc::SYS_socket, UNIX_DATAGRAM, EACCES),
    fail_when(libc::SYS_socket, UNIX_RAW, EACCES),
    fail_when(libc::SYS_socketpair, UNIX_DATAGRAM, EACCES),
    fail_when(libc::SYS_socketpair, UNIX_RAW, EACCES),
    fail_when(libc::SYS_mknod, &[test(1, TYPE, Is::Equal(libc::S_IFCHR))], EPERM),
    fail_when(libc::SYS_mknod, &[test(1, TYPE, Is::Equal(libc::S_IFBLK))], EPERM),
    fail_when(libc::SYS_mknodat, &[test(2, TYPE, Is::Equal(libc::S_IFCHR))], EPERM),
    fail_when(libc::SYS_mknodat, &[test(2, TYPE, Is::Equal(libc::S_IFBLK))], EPERM),
    fail_when(
        libc::SYS_personality,
        &[
            test(0, ALL, Is::Not(0)),
            test(0, ALL, Is::Not(UNAME26)),
            test(0, ALL, Is::Not(NO_RANDOMIZE)),
            test(0, ALL, Is::Not(PERSONALITY_QUERY)),
        ],
        EPERM,
    ),
    // A supervisor of a sandbox inside this one: the kernel allows one listener, so it says busy
    // whether or not this world has one. Filters without a listener may be added.
    fail_when(
        libc::SYS_seccomp,
        &[test(0, ALL, Is::Equal(SET_FILTER)), test(1, ALL, Is::AnyBitOf(NEW_LISTENER))],
        EBUSY,
    ),
];

const fn fail_ioctl(when: &'static [Test]) -> Rule {
    fail_when(libc::SYS_ioctl, when, EPERM)
}

/// Subvolumes and snapshots are names in a directory that are made and removed by ioctl, with the
/// name in memory: no filter sees it, and nobody would be asked.
const NAMES_BY_IOCTL: &[Rule] = &[
    // btrfs: SNAP_CREATE, SUBVOL_CREATE, SNAP_DESTROY, SNAP_CREATE_V2, SUBVOL_CREATE_V2,
    // SNAP_DESTROY_V2.
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x9401))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x940e))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x940f))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x9417))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x9418))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0x943f))]),
    // bcachefs: SUBVOLUME_CREATE, SUBVOLUME_DESTROY.
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0xbc10))]),
    fail_ioctl(&[test(1, IOCTL, Is::Equal(0xbc11))]),
];

const UNIX_DATAGRAM: &[Test] =
    &[test(0, ALL, Is::Equal(bits(AF_UNIX))), test(1, SOCKET_KIND, Is::Equal(bits(SOCK_DGRAM)))];

const UNIX_RAW: &[Test] =
    &[test(0, ALL, Is::Equal(bits(AF_UNIX))), test(1, SOCKET_KIND, Is::Equal(bits(SOCK_RAW)))];

/// Calls whose arguments lie in memory, where a filter cannot see them; programs fall back to the
/// older form when the newer does not exist.
const OUTSIDE_THE_FILTER: &[Rule] = &[
    fail(libc::SYS_clone3, ENOSYS),
    fail(libc::SYS_openat2, ENOSYS),
    fail(libc::SYS_io_uring_setup, ENOSYS),
    fail(libc::SYS_io_uring_enter, ENOSYS),
    fail(libc::SYS_io_uring_register, ENOSYS),
];

/// Rebuilding the world from within.
const NAMESPACES_AND_MOUNTS: &[Rule] = &[
    fail(libc::SYS_setns, EPERM),
    fail(libc::SYS_mount, EPERM),
    fail(libc::SYS_umount2, EPERM),
    fail(libc::SYS_pivot_root, EPERM),
    fail(libc::SYS_chroot, EPERM),
    fail(libc::SYS_open_tree, EPERM),
    fail(libc::SYS_move_mount, EPERM),
    fail(libc::SYS_fsopen, EPERM),
    fail(libc::SYS_fsconfig, EPERM),
    fail(libc::SYS_fsmount, EPERM),
    fail(libc::SYS_fspick, EPERM),
    fail(libc::SYS_mount_setattr, EPERM),
    fail(OPEN_TREE_ATTR, EPERM),
    // Opens by inode number, past every directory on the way.
    fail(libc::SYS_open_by_handle_at, EPERM),
    fail(libc::SYS_sethostname, EPERM),
    fail(libc::SYS_setdomainname, EPERM),
];

/// `open_tree_attr` (Linux 6.15).
const OPEN_TREE_ATTR: c_long = 467;

/// Reaching into other processes.
const OTHER_PROCESSES: &[Rule] = &[
    fail(libc::SYS_ptrace, EPERM),
    fail(libc::SYS_process_vm_readv, EPERM),
    fail(libc::SYS_process_vm_writev, EPERM),
    fail(libc::SYS_process_madvise, EPERM),
    fail(libc::SYS_pidfd_getfd, EPERM),
    fail(libc::SYS_kcmp, EPERM),
    fail(libc::SYS_move_pages, EPERM),
    fail(libc::SYS_migrate_pages, EPERM),
];

/// Parts of the kernel that are the host's business, or that have been its way in.
const KERNEL: &[Rule] = &[
    fail(libc::SYS_bpf, EPERM),
    fail(libc::SYS_perf_event_open, EPERM),
    fail(libc::SYS_userfaultfd, EPERM),
    fail(libc::SYS_fanotify_init, EPERM),
    fail(libc::SYS_lookup_dcookie, EPERM),
    // Keyrings belong to the user, not to a namespace: the session keyring is the host's.
    fail(libc::SYS_keyctl, EPERM),
    fail(libc::SYS_add_key, EPERM),
    fail(libc::SYS_request_key, EPERM),
    fail(libc::SYS_kexec_load, EPERM),
    fail(libc::SYS_kexec_file_load, EPERM),
    fail(libc::SYS_init_module, EPERM),
    fail(libc::SYS_finit_module, EPERM),
    fail(libc::SYS_delete_module, EPERM),
    fail(libc::SYS_reboot, EPERM),
    fail(libc::SYS_swapon, EPERM),
    fail(libc::SYS_swapoff, EPERM),
    fail(libc::SYS_acct, EPERM),
    fail(libc::SYS_quotactl, EPERM),
    fail(libc::SYS_quotactl_fd, EPERM),
    fail(libc::SYS_settimeofday, EPERM),
    fail(libc::SYS_clock_settime, EPERM),
    fail(libc::SYS_clock_adjtime, EPERM),
    fail(libc::SYS_syslog, EPERM),
    fail(libc::SYS_iopl, EPERM),
    fail(libc::SYS_ioperm, EPERM),
    fail(libc::SYS_modify_ldt, EPERM),
    fail(libc::SYS_vhangup, EPERM),
    fail(libc::SYS_nfsservctl, EPERM),
    fail(libc::SYS_uselib, EPERM),
    fail(libc::SYS_sysfs, EPERM),
];
