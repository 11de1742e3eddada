# For browsers that build a sandbox of their own: the default, and user, process and network
# namespaces may be made inside.
#
# In a namespace of its own a process has all capabilities about that namespace, and so reaches parts of
# the kernel that are else for root: that is the price. What it could do with them to the world is
# refused as ever - mounts, tracing, keys, BPF - and what is taken away besides is the most of what a
# network namespace of one's own has opened so far.

let NO_BROWSERS = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP

base default without namespaces

[inner-namespaces]
# Mounts, hosts' names, control groups and shared memory of one's own no browser needs.
EPERM clone 0 any NO_BROWSERS try CLONE_NEWNS | CLONE_SIGHAND
EPERM clone 0 any CLONE_UNTRACED try CLONE_UNTRACED | CLONE_SIGHAND
EPERM unshare 0 any NO_BROWSERS | NEW_TIME try CLONE_NEWNS | 1
# Behind a root of its own a process's paths are its own: every later act of such a process that needs
# a decision is denied. Notified so that this is known before it happens.
notify chroot

[inner-networks]
# A network of one's own is configured by netlink, by ioctl and by socket options; a browser's has
# nothing to configure.
EAFNOSUPPORT socket 0 is AF_NETLINK try AF_NETLINK, SOCK_RAW, NETLINK_ROUTE
EPERM socket 0 not AF_UNIX, 1/SOCKET_KIND is SOCK_RAW try AF_INET, SOCK_RAW, 0
EPERM setsockopt 1 is IPPROTO_IP, 2/0xffffffc0 is 0x40
EPERM setsockopt 1 is IPPROTO_IPV6, 2/0xffffffc0 is 0x40
# Tunnels and private calls of devices, bonds and bridges, and whether a device is up.
EPERM ioctl 1/0xfff0 is 0x89f0
EPERM ioctl 1/0xfff0 is 0x8990
EPERM ioctl 1/0xfff0 is 0x89a0
EPERM ioctl 1/IOCTL is SIOCSIFFLAGS
