//! Sockets that get an address: one with a path makes a file there, like anything that makes a name.
//!
//! The address lies in memory, so that any `bind` could become one with a path. All of them are
//! carried out by us, on a copy of the socket and of the address.

use rustix::net::{AddressFamily, sockopt};

use super::connect::{ADDRESS_BYTES_MAX, UNIX_ADDRESS_BYTES_MAX, socket};
use super::file::{Named, absent_at, made};
use super::listen::Judged;
use super::making::{Shown, What};
use super::tracee::{Call, Trouble};
use crate::sys::notify::Reply;

/// What a notified `bind` would make.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let socket = socket(call)?;
    let length = usize::try_from(call.int(2)).map_err(|_| Trouble::Errno(libc::EINVAL))?;
    if length > ADDRESS_BYTES_MAX {
        return Err(Trouble::Errno(libc::EINVAL));
    }
    let address = call.bytes(call.arg(1), length)?;
    let Some(path) = path_of(&address).map_err(Trouble::Errno)? else {
        // Who carries something out takes a world that was never looked at for none.
        call.root()?;
        return made(call, None, What::Address { socket, address });
    };
    let place = absent_at(call, libc::AT_FDCWD, path, Named::NoDirectory);
    let place = place.map_err(|trouble| match trouble {
        Trouble::Errno(libc::EEXIST) => Trouble::Errno(libc::EADDRINUSE),
        Trouble::Errno(_) | Trouble::Gone | Trouble::Unresolvable { .. } => trouble,
    })?;
    let shown = if path.contains(&b'/') { Shown::Elsewhere } else { Shown::AsGiven };
    made(call, Some(place.clone()), What::Socket { socket, path: place, shown })
}

/// A notified `listen`, on a copy of the socket: of unix sockets only. One of another kind that has
/// no address would be given one, which the whole network could reach.
pub(super) fn listens(call: &Call<'_>) -> Result<Judged, Trouble> {
    let socket = socket(call)?;
    if sockopt::socket_domain(&socket)? != AddressFamily::UNIX {
        return Err(Trouble::Errno(libc::EACCES));
    }
    rustix::net::listen(&socket, call.int(1))?;
    Ok(Judged::Answer(Reply::Success))
}

/// The path in an address; none in one that makes no file: of another family than unix, abstract,
/// or to be chosen by the kernel.
pub(super) fn path_of(address: &[u8]) -> Result<Option<&[u8]>, i32> {
    let (family, path) = address.split_first_chunk::<2>().ok_or(libc::EINVAL)?;
    if i32::from(u16::from_ne_bytes(*family)) != libc::AF_UNIX {
        return Ok(None);
    }
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    match path.get(..end).unwrap_or_default() {
        [] => Ok(None),
        _ if address.len() > UNIX_ADDRESS_BYTES_MAX => Err(libc::EINVAL),
        path => Ok(Some(path)),
    }
}
