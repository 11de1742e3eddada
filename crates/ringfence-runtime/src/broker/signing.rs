//! The world's agents that sign, joined with the session.

use std::path::Path;
use std::sync::Arc;

use ringfence_core::{Agent, Gate};
use ringfence_sandbox::notify::WorldStderr;

use super::{RunError, RunRequest};
use crate::approvals::Approvals;
use crate::assemble::Assembled;
use crate::compose::{Composition, GpgOffer, ssh};
use crate::denials::Denials;
use crate::signing::{
    self, Arrivals, GPG_SOCKET, GpgAgent, KnownHosts, SSH_SOCKET, SshAgent, Verdicts,
};

/// What of the session a signature needs.
pub(super) type Session<'a> = (&'a Gate, &'a Agent, &'a Arc<Approvals>, &'a Arc<Denials>);

/// Serves the agents that the world was given.
pub(super) fn serve(
    composed: &mut Composition,
    started: (&RunRequest, &Assembled),
    (gate, agent, approvals, denials): Session<'_>,
    init_pid: i32,
) -> Result<Vec<Arrivals>, RunError> {
    let verdicts = Verdicts {
        gate: gate.clone(),
        agent: agent.clone(),
        approvals: Arc::clone(approvals),
        denials: Arc::clone(denials),
        stderr: WorldStderr::below(init_pid),
    };
    let mut agents = Vec::new();
    if let Some((listener, agent)) =
        composed.agents.ssh.take().zip(ssh_agent(started, verdicts.clone()))
    {
        let arrivals = signing::serve(SSH_SOCKET, listener, agent);
        agents.push(arrivals.map_err(RunError::step("offer an ssh agent"))?);
    }
    if let Some(GpgOffer { listener, keys, upstream, version }) = composed.agents.gpg.take() {
        let agent = GpgAgent { verdicts, keys, upstream, version };
        let arrivals = signing::serve(GPG_SOCKET, listener, agent);
        agents.push(arrivals.map_err(RunError::step("offer a gpg agent"))?);
    }
    Ok(agents)
}

fn ssh_agent(
    (request, assembled): (&RunRequest, &Assembled),
    verdicts: Verdicts,
) -> Option<SshAgent> {
    let upstream = ssh::upstream(&assembled.settings, &request.environment)?;
    // They were checked when the settings were read; a name that is none would name no secret.
    let named = assembled.settings.ssh_keys.iter();
    let keys = named.filter_map(|(name, key)| Some((key.clone(), name.parse().ok()?))).collect();
    let files = ssh::known_hosts(request.dirs.home());
    let hosts = KnownHosts::read(&files.each_ref().map(Path::new));
    Some(SshAgent { verdicts, keys, upstream, hosts })
}
