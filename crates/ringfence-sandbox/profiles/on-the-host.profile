# What else is taken away, and notified, where a world has no namespaces and no mounts: the processes,
# the network, the shared memory and the files are the host's. Parts before `[profile]` are tried before
# the world's profile, those behind it after it.

let FAST_OPEN = MSG_FASTOPEN
# Calls and priorities of one process, and not of a group or a user.
let PRIO_ONE = 0
let IOPRIO_ONE = 1
let SYS_setxattrat = 463
let SYS_removexattrat = 466
let SYS_file_setattr = 469

[host-sockets]
# Nothing but TCP, whose connections are led to the net gate, and unix sockets: a datagram names its
# receiver in memory (sendmsg), and the host's routes and interfaces are nobody's business.
EACCES socket 0 is AF_INET, 1/SOCKET_KIND not SOCK_STREAM
EACCES socket 0 is AF_INET6, 1/SOCKET_KIND not SOCK_STREAM
EACCES socket 0 is AF_NETLINK
# Landlock's rules for TCP do not hold it.
EPROTONOSUPPORT socket 2 is IPPROTO_MPTCP
# These connect without `connect`.
EOPNOTSUPP sendto 3 any FAST_OPEN
EOPNOTSUPP sendmsg 2 any FAST_OPEN
EOPNOTSUPP sendmmsg 3 any FAST_OPEN
ENOPROTOOPT setsockopt 1 is IPPROTO_TCP, 2 is TCP_FASTOPEN_CONNECT

[host-shared-memory]
# Segments, semaphores and queues that other processes of the same user have too.
ENOSYS shmget
ENOSYS shmat
ENOSYS shmctl
ENOSYS semget
ENOSYS semop
ENOSYS semtimedop
ENOSYS semctl
ENOSYS msgget
ENOSYS msgsnd
ENOSYS msgrcv
ENOSYS msgctl
ENOSYS mq_open
ENOSYS mq_unlink

[others-limits]
# Limits and priorities of other processes of the same user, the broker among them: Landlock bounds
# signals, and these end or starve a process as well. Of itself a caller says 0.
EPERM prlimit64 0 not 0
EPERM sched_setscheduler 0 not 0
EPERM sched_setparam 0 not 0
EPERM sched_setattr 0 not 0
EPERM sched_setaffinity 0 not 0
EPERM setpriority 0 not PRIO_ONE
EPERM setpriority 1 not 0
EPERM ioprio_set 0 not IOPRIO_ONE
EPERM ioprio_set 1 not 0
EPERM process_mrelease

[attributes]
# Owners and attributes of files, which Landlock does not govern: those of any file of the user's could
# be changed.
EPERM chown
EPERM lchown
EPERM fchown
EPERM fchownat
EOPNOTSUPP setxattr
EOPNOTSUPP lsetxattr
EOPNOTSUPP fsetxattr
EOPNOTSUPP removexattr
EOPNOTSUPP lremovexattr
EOPNOTSUPP fremovexattr
EOPNOTSUPP setxattrat
EOPNOTSUPP removexattrat
EOPNOTSUPP file_setattr
# FS_IOC_SETFLAGS, FS_IOC_SETVERSION, FS_IOC_FSSETXATTR, FS_IOC_SET_ENCRYPTION_POLICY.
EOPNOTSUPP ioctl 1/IOCTL is 0x6602
EOPNOTSUPP ioctl 1/IOCTL is 0x7602
EOPNOTSUPP ioctl 1/IOCTL is 0x5820
EOPNOTSUPP ioctl 1/IOCTL is 0x6613

[profile]

[metadata]
# Permissions and times: decided like any other change, and carried out by us. Behind the profile, which
# refuses set-id bits.
notify chmod
notify fchmod
notify fchmodat
notify fchmodat2
notify utime
notify utimes
notify futimesat
notify utimensat

[listens]
# A socket that listens without an address gets one from the kernel, of the whole host.
notify listen
