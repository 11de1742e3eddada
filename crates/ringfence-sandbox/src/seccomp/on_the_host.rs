//! What else the filter takes away, and notifies, where a world has no namespaces and no mounts: the
//! processes, the network, the shared memory and the files are the host's.

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, EACCES, ENOPROTOOPT, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    SOCK_STREAM,
};

use super::profile::{
    self, ALL, IOCTL, Is, Rule, SOCKET_KIND, bits, fail, fail_when, notify, test,
};
use crate::world::{NotifyClasses, Switch};

/// `PRIO_PROCESS`, of a process and not of a group or a user.
const PRIO_PROCESS: u32 = 0;
/// `IOPRIO_WHO_PROCESS`, the same.
const IOPRIO_WHO_PROCESS: u32 = 1;
/// `MSG_FASTOPEN`, which connects without `connect`.
const FAST_OPEN: u32 = bits(libc::MSG_FASTOPEN);
/// Calls that libc does not name.
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const FILE_SETATTR: libc::c_long = 469;

/// The rules for these classes.
pub(super) fn rules(classes: NotifyClasses) -> Vec<Rule> {
    // Metadata last: set-id bits are refused before.
    let all = [SOCKETS, SHARED_MEMORY, OTHERS_LIMITS, ATTRIBUTES];
    let first = all.into_iter().flatten().copied();
    let last = NOTIFIED_METADATA.iter().chain(NOTIFIED_SOCKETS).copied();
    first.chain(profile::rules(classes)).chain(last).collect()
}

/// The same where the payload opens nothing by itself, but for mere references (`O_PATH`).
pub(super) fn rules_with_holes(classes: NotifyClasses) -> Vec<Rule> {
    rules(NotifyClasses { read: Switch::On, ..classes })
}

/// Nothing but TCP, whose connections are led to the net gate, and unix sockets: a datagram names its
/// receiver in memory (`sendmsg`), and the host's routes and interfaces are nobody's business.
const SOCKETS: &[Rule] = &[
    fail_when(
        libc::SYS_socket,
        &[test(0, ALL, Is::Equal(bits(AF_INET))), test(1, SOCKET_KIND, Is::Not(bits(SOCK_STREAM)))],
        EACCES,
    ),
    fail_when(
        libc::SYS_socket,
        &[
            test(0, ALL, Is::Equal(bits(AF_INET6))),
            test(1, SOCKET_KIND, Is::Not(bits(SOCK_STREAM))),
        ],
        EACCES,
    ),
    fail_when(libc::SYS_socket, &[test(0, ALL, Is::Equal(bits(AF_NETLINK)))], EACCES),
    // Landlock's rules for TCP do not hold it.
    fail_when(
        libc::SYS_socket,
        &[test(2, ALL, Is::Equal(bits(libc::IPPROTO_MPTCP)))],
        EPROTONOSUPPORT,
    ),
    fail_when(libc::SYS_sendto, &[test(3, ALL, Is::AnyBitOf(FAST_OPEN))], EOPNOTSUPP),
    fail_when(libc::SYS_sendmsg, &[test(2, ALL, Is::AnyBitOf(FAST_OPEN))], EOPNOTSUPP),
    fail_when(libc::SYS_sendmmsg, &[test(3, ALL, Is::AnyBitOf(FAST_OPEN))], EOPNOTSUPP),
    fail_when(
        libc::SYS_setsockopt,
        &[
            test(1, ALL, Is::Equal(bits(libc::IPPROTO_TCP))),
            test(2, ALL, Is::Equal(bits(libc::TCP_FASTOPEN_CONNECT))),
        ],
        ENOPROTOOPT,
    ),
];

/// Segments, semaphores and queues that other processes of the same user have too.
const SHARED_MEMORY: &[Rule] = &[
    fail(libc::SYS_shmget, ENOSYS),
    fail(libc::SYS_shmat, ENOSYS),
    fail(libc::SYS_shmctl, ENOSYS),
    fail(libc::SYS_semget, ENOSYS),
    fail(libc::SYS_semop, ENOSYS),
    fail(libc::SYS_semtimedop, ENOSYS),
    fail(libc::SYS_semctl, ENOSYS),
    fail(libc::SYS_msgget, ENOSYS),
    fail(libc::SYS_msgsnd, ENOSYS),
    fail(libc::SYS_msgrcv, ENOSYS),
    fail(libc::SYS_msgctl, ENOSYS),
    fail(libc::SYS_mq_open, ENOSYS),
    fail(libc::SYS_mq_unlink, ENOSYS),
];

/// Limits and priorities of other processes of the same user, the broker among them: Landlock bounds
/// signals, and these end or starve a process as well. Of itself a caller says 0.
const OTHERS_LIMITS: &[Rule] = &[
    fail_when(libc::SYS_prlimit64, &[test(0, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_sched_setscheduler, &[test(0, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_sched_setparam, &[test(0, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_sched_setattr, &[test(0, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_sched_setaffinity, &[test(0, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_setpriority, &[test(0, ALL, Is::Not(PRIO_PROCESS))], EPERM),
    fail_when(libc::SYS_setpriority, &[test(1, ALL, Is::Not(0))], EPERM),
    fail_when(libc::SYS_ioprio_set, &[test(0, ALL, Is::Not(IOPRIO_WHO_PROCESS))], EPERM),
    fail_when(libc::SYS_ioprio_set, &[test(1, ALL, Is::Not(0))], EPERM),
    fail(libc::SYS_process_mrelease, EPERM),
];

/// Owners and attributes of files, which Landlock does not govern: those of any file of the user's
/// could be changed.
const ATTRIBUTES: &[Rule] = &[
    fail(libc::SYS_chown, EPERM),
    fail(libc::SYS_lchown, EPERM),
    fail(libc::SYS_fchown, EPERM),
    fail(libc::SYS_fchownat, EPERM),
    fail(libc::SYS_setxattr, EOPNOTSUPP),
    fail(libc::SYS_lsetxattr, EOPNOTSUPP),
    fail(libc::SYS_fsetxattr, EOPNOTSUPP),
    fail(libc::SYS_removexattr, EOPNOTSUPP),
    fail(libc::SYS_lremovexattr, EOPNOTSUPP),
    fail(libc::SYS_fremovexattr, EOPNOTSUPP),
    fail(SETXATTRAT, EOPNOTSUPP),
    fail(REMOVEXATTRAT, EOPNOTSUPP),
    fail(FILE_SETATTR, EOPNOTSUPP),
    // FS_IOC_SETFLAGS, FS_IOC_SETVERSION, FS_IOC_FSSETXATTR, FS_IOC_SET_ENCRYPTION_POLICY.
    fail_when(libc::SYS_ioctl, &[test(1, IOCTL, Is::Equal(0x6602))], EOPNOTSUPP),
    fail_when(libc::SYS_ioctl, &[test(1, IOCTL, Is::Equal(0x7602))], EOPNOTSUPP),
    fail_when(libc::SYS_ioctl, &[test(1, IOCTL, Is::Equal(0x5820))], EOPNOTSUPP),
    fail_when(libc::SYS_ioctl, &[test(1, IOCTL, Is::Equal(0x6613))], EOPNOTSUPP),
];

/// Permissions and times: decided like any other change, and carried out by us.
const NOTIFIED_METADATA: &[Rule] = &[
    notify(libc::SYS_chmod),
    notify(libc::SYS_fchmod),
    notify(libc::SYS_fchmodat),
    notify(libc::SYS_fchmodat2),
    notify(libc::SYS_utime),
    notify(libc::SYS_utimes),
    notify(libc::SYS_futimesat),
    notify(libc::SYS_utimensat),
];

/// A socket that listens without an address gets one from the kernel, of the whole host.
const NOTIFIED_SOCKETS: &[Rule] = &[notify(libc::SYS_listen)];
