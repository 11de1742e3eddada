//! The world's ssh agent, joined with the session.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use ringfence_core::{Agent, Gate};

use super::{RunError, RunRequest};
use crate::approvals::Approvals;
use crate::assemble::Assembled;
use crate::compose::ssh;
use crate::denials::Denials;
use crate::signing::{Arrivals, KnownHosts, Signing};

/// What of the session a signature needs.
pub(super) type Session<'a> = (&'a Gate, &'a Agent, &'a Arc<Approvals>, &'a Arc<Denials>);

/// Serves the agent, where the world was given one.
pub(super) fn serve(
    listener: Option<UnixListener>,
    (request, assembled): (&RunRequest, &Assembled),
    (gate, agent, approvals, denials): Session<'_>,
) -> Result<Option<Arrivals>, RunError> {
    let upstream = ssh::upstream(&assembled.settings, &request.environment);
    let (Some(listener), Some(upstream)) = (listener, upstream) else { return Ok(None) };
    // They were checked when the settings were read; a name that is none would name no secret.
    let named = assembled.settings.ssh_keys.iter();
    let keys = named.filter_map(|(name, key)| Some((key.clone(), name.parse().ok()?))).collect();
    let files = ssh::known_hosts(request.dirs.home());
    let signing = Signing {
        gate: gate.clone(),
        agent: agent.clone(),
        approvals: Arc::clone(approvals),
        denials: Arc::clone(denials),
        keys,
        upstream,
        hosts: KnownHosts::read(&files.each_ref().map(Path::new)),
    };
    signing.serve(listener).map(Some).map_err(RunError::step("offer an ssh agent"))
}
