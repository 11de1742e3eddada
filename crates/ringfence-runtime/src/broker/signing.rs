//! The world's agents that sign, and its way to servers of tools, joined with the session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_core::{Agent, Gate};
use ringfence_sandbox::notify::WorldStderr;

use super::tools::{Clients, Open, TOOLS_SOCKET, ToolsRequest};
use super::{RunError, RunRequest};
use crate::advice::Lasts;
use crate::approvals::Approvals;
use crate::assemble::Assembled;
use crate::compose::{Composition, GpgOffer, ssh};
use crate::denials::Denials;
use crate::in_force::InForce;
use crate::signing::{
    self, Arrivals, GPG_SOCKET, GpgAgent, KnownHosts, SSH_SOCKET, SshAgent, Verdicts,
};

/// What of the session a signature needs.
pub(super) type Session<'a> = (&'a Gate, &'a Agent, &'a Arc<Approvals>, &'a Arc<Denials>);

/// What serves the world's programs.
pub(super) struct Served {
    /// Their ways to it.
    pub(super) arrivals: Vec<Arrivals>,
    /// Their talks with servers of tools.
    pub(super) clients: Option<Arc<Open>>,
}

/// Serves the agents that the world was given.
pub(super) fn serve(
    composed: &mut Composition,
    (request, assembled, in_force): (&RunRequest, &Assembled, &Arc<InForce>),
    (gate, agent, approvals, denials): Session<'_>,
    init_pid: i32,
) -> Result<Served, RunError> {
    let verdicts = Verdicts {
        gate: gate.clone(),
        agent: agent.clone(),
        approvals: Arc::clone(approvals),
        denials: Arc::clone(denials),
        stderr: WorldStderr::below(init_pid),
    };
    let mut agents = Vec::new();
    if let Some((listener, agent)) =
        composed.agents.ssh.take().zip(ssh_agent((request, assembled), verdicts.clone()))
    {
        let arrivals = signing::serve(SSH_SOCKET, listener, agent);
        agents.push(arrivals.map_err(RunError::step("offer an ssh agent"))?);
    }
    if let Some(GpgOffer { listener, keys, upstream, version }) = composed.agents.gpg.take() {
        let verdicts = verdicts.clone();
        let agent = GpgAgent { verdicts, keys, upstream, version };
        let arrivals = signing::serve(GPG_SOCKET, listener, agent);
        agents.push(arrivals.map_err(RunError::step("offer a gpg agent"))?);
    }
    let tools = composed.agents.tools.take().zip(request.own.clone());
    let Some((listener, own)) = tools else {
        return Ok(Served { arrivals: agents, clients: None });
    };
    let clients = Clients::new(
        (verdicts, Arc::clone(in_force)),
        assembled.settings.results.clone(),
        (of_servers((request, agent), own), assembled.project.dir.clone()),
    );
    let open = clients.open();
    let told = Arc::clone(&open);
    in_force.on_change(move || told.reloaded());
    let arrivals = signing::serve(TOOLS_SOCKET, listener, clients);
    agents.push(arrivals.map_err(RunError::step("offer servers of tools"))?);
    Ok(Served { arrivals: agents, clients: Some(open) })
}

/// How servers of tools are started for the programs of this world.
fn of_servers((request, agent): (&RunRequest, &Agent), own: PathBuf) -> ToolsRequest {
    ToolsRequest {
        dirs: request.dirs.clone(),
        environment: request.environment.clone(),
        cwd: request.cwd.clone(),
        overrides: request.overrides.clone(),
        agent: agent.0.clone(),
        servers: Vec::new(),
        run: vec![own.into(), "run".into()],
        lasts: Lasts::GoesOn,
        called: "run",
        printed: None,
    }
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
