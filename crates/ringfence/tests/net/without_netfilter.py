"""Runs a command on a kernel without netfilter: no netlink socket of that protocol can be had."""
import ctypes, errno, os, struct, sys

SOCKET, AF_NETLINK, NETLINK_NETFILTER = 41, 16, 12
STEPS = [
    (0x20, 0, 0, 0), (0x15, 0, 5, SOCKET), (0x20, 0, 0, 16), (0x15, 0, 3, AF_NETLINK),
    (0x20, 0, 0, 32), (0x15, 0, 1, NETLINK_NETFILTER), (6, 0, 0, 0x00050000 | errno.EPROTONOSUPPORT),
    (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in STEPS))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(STEPS), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
# PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP.
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
