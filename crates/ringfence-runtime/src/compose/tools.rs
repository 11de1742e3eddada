//! The way of a world's programs to servers of tools, where there are any: a socket, and `ringfence mcp run`.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::private::listen;
use super::{ComposeError, Layout, Private, RunRequest, Use};
use crate::assemble::Assembled;
use crate::broker::tools::{OWN_PROGRAM, TOOLS_SOCKET};

/// Whether the world's programs may reach servers of tools at all.
pub(super) fn are_offered(assembled: &Assembled, request: &RunRequest) -> bool {
    request.tools.is_some() && request.tier.has_mounts() && !assembled.servers.is_empty()
}

/// Lets `ringfence` be found where the person's own is not shown.
pub(super) fn extend_path(env: &mut [(OsString, OsString)]) {
    let dir = Path::new(OWN_PROGRAM).parent().map(Path::to_owned).unwrap_or_default();
    if let Some((_, path)) = env.iter_mut().find(|(name, _)| name == "PATH") {
        path.push(":");
        path.push(dir);
    }
}

/// Makes the socket, and shows the world the program that speaks to it.
pub(super) fn offer(
    (assembled, request): (&Assembled, &RunRequest),
    (private, layout): (&Private, &mut Layout),
) -> Result<Option<UnixListener>, ComposeError> {
    let Some(own) = request.tools.as_ref().filter(|_| are_offered(assembled, request)) else {
        return Ok(None);
    };
    let path = private.tools();
    let listener = listen(&path)?;
    layout.bind_private(Path::new(TOOLS_SOCKET), &path, Use::Read);
    layout.bind_private(Path::new(OWN_PROGRAM), own, Use::Read);
    Ok(Some(listener))
}
