//! Sockets: connections and addresses are asked about, and kinds that nobody leads do not exist.

use libc::{c_int, sockaddr, socklen_t};

use super::decided;
use crate::raw::{self, Register as _};

/// The bits of a socket's kind that are not flags.
const KIND: c_int = 0xf;

#[unsafe(no_mangle)]
extern "C" fn connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let args = [socket.register(), address.register(), length.register()];
    decided(libc::SYS_connect, raw::args(args))
}

#[unsafe(no_mangle)]
extern "C" fn bind(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let args = [socket.register(), address.register(), length.register()];
    decided(libc::SYS_bind, raw::args(args))
}

#[unsafe(no_mangle)]
extern "C" fn listen(socket: c_int, most: c_int) -> c_int {
    decided(libc::SYS_listen, raw::args([socket.register(), most.register()]))
}

#[unsafe(no_mangle)]
extern "C" fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    super::result(made(family, kind, protocol))
}

/// The same sockets as in the tier `landlock`: TCP, which is led to the net gate, and unix sockets.
pub(super) fn made(family: c_int, kind: c_int, protocol: c_int) -> Result<c_int, c_int> {
    let stream = kind & KIND == libc::SOCK_STREAM;
    match (family, protocol) {
        (libc::AF_UNIX, _) if kind & KIND != libc::SOCK_DGRAM => {}
        (libc::AF_INET | libc::AF_INET6, 0 | libc::IPPROTO_TCP) if stream => {}
        (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_MPTCP) => return Err(libc::EPROTONOSUPPORT),
        _ => return Err(libc::EACCES),
    }
    let args = [family.register(), kind.register(), protocol.register()];
    raw::number(libc::SYS_socket, raw::args(args))
}
