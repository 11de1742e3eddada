# The system calls of a world, unless its settings name another profile.
#
# A world's walls are its empty root, its namespaces and Landlock. This takes away the calls that reach
# around them or that have a record of kernel bugs no agent needs, and names the calls that the gate
# wants to hear of. Rules are tried from top to bottom; a call that none is about is allowed, and a call
# that is younger than the profile does not exist.
#
#   ANSWER CALL [CONDITION, ...] [try ARGUMENT, ...]
#
# ANSWER is an error number or `notify`. A condition is about the low 32 bits of one argument, counted
# from 0, as the kernel takes all that are looked at here as 32-bit (comparing 64 bits let
# CVE-2019-10063 through): `0 is V`, `0 not V`, `1 any BITS`; `1/MASK is V` looks at some bits only. All
# of a rule's conditions must hold. `try` gives arguments with which tests prove the rule, where those
# that follow from the conditions would not do. `let` names a value; other names are libc's.
# `[PART]` begins a part, which another profile can leave out; `[PART] when CLASS` is there only where
# acts of that class are decided.

# Opening with any of these can change a file.
let WRITE_INTENT = O_ACCMODE | O_CREAT | O_TRUNC
# With none of these it only reads.
let NO_MERE_READ = WRITE_INTENT | O_PATH
# Opening with any of these makes a file, with the mode given.
let MAKES = O_CREAT | (O_TMPFILE & !O_DIRECTORY)
# Asking for any of these is more than asking whether a file is there.
let ANY_ACCESS = R_OK | W_OK | X_OK
let SET_ID = S_ISUID | S_ISGID
# The namespaces of `clone` and `unshare`; CLONE_NEWTIME is a signal number to `clone`.
let NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
let NEW_TIME = 0x80
# Whether a task shares its umask, and whether it is a thread of the same process.
let FS_OR_THREAD = CLONE_FS | CLONE_THREAD
# The kind of socket, without SOCK_CLOEXEC and SOCK_NONBLOCK.
let SOCKET_KIND = 0xf
# The type and number of an ioctl, without its direction and the size of what it points to.
let IOCTL = 0xffff
let NEW_LISTENER = 8
let SYS_open_tree_attr = 467

[made-set-id]
# Making a file with a set-id bit. Before the notified opens: those would let it through.
EPERM openat 2 any MAKES, 3 any SET_ID
EPERM open 1 any MAKES, 2 any SET_ID

[opens] when write
# Opens with write intent, told by the flags in a register; plain reads are not notified.
notify openat 2 any WRITE_INTENT
notify open 1 any WRITE_INTENT

[reads] when read
# Opens without write intent, but for mere references to files (O_PATH).
notify openat 2/NO_MERE_READ is 0
notify open 1/NO_MERE_READ is 0

[connects] when connect
# A read-only bind does not stop a connect to a unix socket beneath it.
notify connect

[execs] when exec
notify execve
notify execveat

# Here come the parts that another profile has of its own.
[own]

[set-id]
# Set-id bits do nothing in a world, whose mounts ignore them; on the host they would outlive it: what
# the payload makes is the person's, or root's where owners are mapped.
EPERM chmod 1 any SET_ID
EPERM fchmod 1 any SET_ID
EPERM fchmodat 2 any SET_ID
EPERM fchmodat2 2 any SET_ID
EPERM creat 1 any SET_ID
EPERM mkdir 1 any SET_ID
EPERM mkdirat 2 any SET_ID
EPERM mknod 1 any SET_ID
EPERM mknodat 2 any SET_ID

[terminals]
# Typing into the terminal that the user's shell reads (CVE-2017-5226), pasting on a console.
EPERM ioctl 1 is TIOCSTI
EPERM ioctl 1 is TIOCLINUX
# Line disciplines are loaded into the kernel (CVE-2017-2636, CVE-2023-6546).
EPERM ioctl 1 is TIOCSETD

[namespaces]
EPERM clone 0 any NEW_NAMESPACES try CLONE_NEWUSER | CLONE_SIGHAND
EPERM unshare 0 any NEW_NAMESPACES | NEW_TIME try CLONE_NEWUSER | 1
# A child that who traces its parent does not hear of, and does not end.
EPERM clone 0 any CLONE_UNTRACED try CLONE_UNTRACED | CLONE_SIGHAND
# Taking another root: paths are decided as the world's one root has them.
EPERM chroot

[sockets]
# Families other than these: packet, vsock (the hypervisor), alg, xdp, bluetooth, tipc, ...
EAFNOSUPPORT socket 0 not AF_UNIX, 0 not AF_INET, 0 not AF_INET6, 0 not AF_NETLINK try AF_PACKET, SOCK_RAW, 0
# NETLINK_ROUTE is what getifaddrs(3) asks; others configure the kernel.
EPERM socket 0 is AF_NETLINK, 2 not NETLINK_ROUTE try AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT
# A pair of any family makes a socket of it, and the kernel loads the module for that.
EAFNOSUPPORT socketpair 0 not AF_UNIX try AF_INET, SOCK_STREAM, 0
# Protocols other than these are modules with a record: SCTP, DCCP, SMC, L2TP, ...
EPROTONOSUPPORT socket 2 not 0, 2 not IPPROTO_ICMP, 2 not IPPROTO_TCP, 2 not IPPROTO_UDP, 2 not IPPROTO_ICMPV6, 2 not IPPROTO_MPTCP try AF_INET, SOCK_RAW, IPPROTO_SCTP
# A datagram names its receiver in memory the filter cannot see (sendmsg), so unix datagram sockets are
# refused by type: also in pairs, whose ends may send elsewhere just as well, and as SOCK_RAW, which
# the kernel takes for SOCK_DGRAM.
EACCES socket 0 is AF_UNIX, 1/SOCKET_KIND is SOCK_DGRAM try AF_UNIX, SOCK_DGRAM, 0
EACCES socket 0 is AF_UNIX, 1/SOCKET_KIND is SOCK_RAW try AF_UNIX, SOCK_RAW, 0
EACCES socketpair 0 is AF_UNIX, 1/SOCKET_KIND is SOCK_DGRAM try AF_UNIX, SOCK_DGRAM, 0
EACCES socketpair 0 is AF_UNIX, 1/SOCKET_KIND is SOCK_RAW try AF_UNIX, SOCK_RAW, 0

[devices]
EPERM mknod 1/S_IFMT is S_IFCHR try -1, S_IFCHR
EPERM mknod 1/S_IFMT is S_IFBLK try -1, S_IFBLK
EPERM mknodat 2/S_IFMT is S_IFCHR try -1, -1, S_IFCHR
EPERM mknodat 2/S_IFMT is S_IFBLK try -1, -1, S_IFBLK

[personality]
# All but none, the harmless UNAME26, ADDR_NO_RANDOMIZE, which debuggers and build systems set, and the
# argument that only asks: others make memory executable that is not meant to be.
EPERM personality 0 not 0, 0 not UNAME26, 0 not ADDR_NO_RANDOMIZE, 0 not 0xffffffff try READ_IMPLIES_EXEC

[listeners]
# A supervisor of a sandbox inside this one: the kernel allows one listener, so it says busy whether or
# not this world has one. Filters without a listener may be added.
EBUSY seccomp 0 is SECCOMP_SET_MODE_FILTER, 1 any NEW_LISTENER try SECCOMP_SET_MODE_FILTER, NEW_LISTENER

[names-by-ioctl]
# Subvolumes and snapshots are names in a directory that are made and removed by ioctl, with the name in
# memory: no filter sees it, and nobody would be asked. Of btrfs: SNAP_CREATE, SUBVOL_CREATE,
# SNAP_DESTROY, SNAP_CREATE_V2, SUBVOL_CREATE_V2, SNAP_DESTROY_V2.
EPERM ioctl 1/IOCTL is 0x9401
EPERM ioctl 1/IOCTL is 0x940e
EPERM ioctl 1/IOCTL is 0x940f
EPERM ioctl 1/IOCTL is 0x9417
EPERM ioctl 1/IOCTL is 0x9418
EPERM ioctl 1/IOCTL is 0x943f
# Of bcachefs: SUBVOLUME_CREATE, SUBVOLUME_DESTROY.
EPERM ioctl 1/IOCTL is 0xbc10
EPERM ioctl 1/IOCTL is 0xbc11

[unseen]
# Calls whose arguments lie in memory, where a filter cannot see them; programs fall back to the older
# form when the newer does not exist.
ENOSYS clone3
ENOSYS openat2
ENOSYS io_uring_setup
ENOSYS io_uring_enter
ENOSYS io_uring_register

[mounts]
# Rebuilding the world from within.
EPERM setns
EPERM mount
EPERM umount2
EPERM pivot_root
EPERM open_tree
EPERM move_mount
EPERM fsopen
EPERM fsconfig
EPERM fsmount
EPERM fspick
EPERM mount_setattr
EPERM open_tree_attr
# Opens by inode number, past every directory on the way.
EPERM open_by_handle_at
EPERM sethostname
EPERM setdomainname

[tracing]
# Reaching into other processes.
EPERM ptrace
EPERM process_vm_readv
EPERM process_vm_writev
EPERM kcmp

[other-processes]
EPERM process_madvise
EPERM pidfd_getfd
EPERM move_pages
EPERM migrate_pages

[kernel]
# Parts of the kernel that are the host's business, or that have been its way in.
EPERM bpf
EPERM perf_event_open
EPERM userfaultfd
EPERM fanotify_init
EPERM lookup_dcookie
# Keyrings belong to the user, not to a namespace: the session keyring is the host's.
EPERM keyctl
EPERM add_key
EPERM request_key
EPERM kexec_load
EPERM kexec_file_load
EPERM init_module
EPERM finit_module
EPERM delete_module
EPERM reboot
EPERM swapon
EPERM swapoff
EPERM acct
EPERM quotactl
EPERM quotactl_fd
EPERM settimeofday
EPERM clock_settime
EPERM clock_adjtime
EPERM syslog
EPERM iopl
EPERM ioperm
EPERM modify_ldt
EPERM vhangup
EPERM nfsservctl
EPERM uselib
EPERM sysfs

[changes] when write
# Calls that change what a name means. Behind the refusals: device nodes are refused there.
notify creat
notify truncate
notify unlink
notify unlinkat
notify rmdir
notify rename
notify renameat
notify renameat2
notify mkdir
notify mkdirat
notify link
notify linkat
notify symlink
notify symlinkat
notify mknod
notify mknodat
# A unix socket's path is a file.
notify bind
# Whatever is made is made with the umask that the process has by then.
notify umask
# A group of threads has one umask for itself, unless it is asked for otherwise.
notify clone 0/FS_OR_THREAD is CLONE_FS
notify clone 0/FS_OR_THREAD is CLONE_THREAD
notify unshare 0 any CLONE_FS

[asked] when ask
# Where changes are asked about, the mounts are read-only: whether a file could be written, the gate says.
notify access 1 any ANY_ACCESS
notify faccessat 2 any ANY_ACCESS
notify faccessat2 2 any ANY_ACCESS
# Permissions and times are asked about as other changes are. Behind what refuses set-id bits.
notify chmod
notify fchmod
notify fchmodat
notify fchmodat2
notify utime
notify utimes
notify futimesat
notify utimensat
