# For an agent that edits files and runs ordinary programs: more of the kernel is out of reach.
#
# All that the default refuses is refused here too. What goes besides are parts of the kernel with a
# record of bugs or of side channels, each with a fallback in the programs that use it, or with no use
# in editing, compiling and testing. What is known to be missed: debuggers and `setarch -R` (addresses
# are always random), sanitizers that need fixed addresses, `ip` and lists of network interfaces
# (netlink), databases' own asynchronous disk access, sandboxes of other programs (their filters).

# Calls that libc does not name.
let SYS_io_pgetevents = 333
let SYS_cachestat = 451

base default

[strict-sockets]
# The interfaces, routes and neighbours of a world are loopback; parsers of netlink messages have had
# one bug after the other. Resolvers and runtimes go on without.
EAFNOSUPPORT socket 0 is AF_NETLINK try AF_NETLINK, SOCK_RAW, NETLINK_ROUTE
# Protocols that nothing answers inside a world: ping, and TCP over several paths. Programs that offer
# MPTCP first go on with TCP.
EPROTONOSUPPORT socket 2 is IPPROTO_ICMP try AF_INET, SOCK_RAW, IPPROTO_ICMP
EPROTONOSUPPORT socket 2 is IPPROTO_ICMPV6 try AF_INET6, SOCK_RAW, IPPROTO_ICMPV6
EPROTONOSUPPORT socket 2 is IPPROTO_MPTCP try AF_INET, SOCK_STREAM, IPPROTO_MPTCP
# Raw sockets need a capability nobody has here: refused before the kernel looks.
EPERM socket 0 not AF_UNIX, 1/SOCKET_KIND is SOCK_RAW try AF_INET, SOCK_RAW, 0
# Programs for sockets: code of the caller's that the kernel translates and runs.
EPERM setsockopt 1 is SOL_SOCKET, 2 is SO_ATTACH_FILTER
EPERM setsockopt 1 is SOL_SOCKET, 2 is SO_ATTACH_BPF
EPERM setsockopt 1 is SOL_SOCKET, 2 is SO_ATTACH_REUSEPORT_CBPF
EPERM setsockopt 1 is SOL_SOCKET, 2 is SO_ATTACH_REUSEPORT_EBPF
# Packet filters, which are the host's or nobody's (CVE-2021-22555).
EPERM setsockopt 1 is IPPROTO_IP, 2/0xffffffc0 is 0x40
EPERM setsockopt 1 is IPPROTO_IPV6, 2/0xffffffc0 is 0x40

[strict-kernel]
# Filters of the caller's own, by either way: the kernel translates them to machine code. Sandboxes of
# other programs cannot be set up inside.
EPERM seccomp 0 is SECCOMP_SET_MODE_FILTER try SECCOMP_SET_MODE_FILTER, 0
EPERM prctl 0 is PR_SET_SECCOMP, 1 is SECCOMP_MODE_FILTER
# Other personalities than the ordinary, also the one that makes addresses guessable.
EPERM personality 0 not 0, 0 not 0xffffffff try ADDR_NO_RANDOMIZE
# Memory that the host cannot take back.
EPERM mlockall
# Files without a name: what lies in them no rule on paths speaks of, and it could be made executable.
# Programs fall back to a temporary file.
ENOSYS memfd_create
ENOSYS memfd_secret
# Pages moved into pipes without a copy (CVE-2022-0847 was reached by their like).
EPERM vmsplice
# Where memory lies on machines with several: nothing to gain in a world.
EPERM mbind
EPERM set_mempolicy
EPERM set_mempolicy_home_node
# Keys of memory protection; runtimes that would use them go on without.
ENOSYS pkey_alloc
ENOSYS pkey_free
ENOSYS pkey_mprotect
# The old asynchronous disk access, which databases replace by threads.
ENOSYS io_setup
ENOSYS io_destroy
ENOSYS io_submit
ENOSYS io_cancel
ENOSYS io_getevents
ENOSYS io_pgetevents
# What of a file is in memory tells what others have read.
EPERM cachestat
EPERM mincore
# Numbers of files by which a mount is told from another.
EOPNOTSUPP name_to_handle_at
# Mappings put together anew: emulated by the kernel for programs that no longer exist.
ENOSYS remap_file_pages
ENOSYS ustat
