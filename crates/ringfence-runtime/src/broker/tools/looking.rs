//! A session in which one server behind an address is asked about itself, before it is anybody's.

use std::path::Path;
use std::sync::Arc;

use ringfence_core::{Clock as _, Gate};

use super::super::RunError;
use super::super::opening::{self, Opened};
use super::remote::Remotes;
use super::{COULD_NOT, Of, Questions, ToolsRequest, closed_for, first_entry, or_closed};
use crate::approvals::Approvals;
use crate::assemble::{Assembled, Inputs, assemble_as};
use crate::clock::HostClock;
use crate::servers::Server;

/// A session in which one server behind an address is only looked at.
pub(super) struct Looking {
    opened: Opened,
    assembled: Assembled,
    approvals: Arc<Approvals>,
    pub(super) remotes: Option<Arc<Remotes>>,
}

impl Looking {
    pub(super) fn open(server: &Server, request: &ToolsRequest) -> Result<Looking, RunError> {
        let looking = Looking::without_servers(server, request)?;
        let servers = std::slice::from_ref(server);
        match Remotes::of(servers, request, looking.around()) {
            Ok(remotes) => Ok(Looking { remotes, ..looking }),
            Err(error) => Err(looking.failed(error)),
        }
    }

    /// The same where it is not spoken to as a server, but asked about itself.
    pub(super) fn without_servers(
        server: &Server,
        request: &ToolsRequest,
    ) -> Result<Looking, RunError> {
        request.dirs.create()?;
        let session = opening::new_session_id()?;
        let inputs = Inputs {
            dirs: &request.dirs,
            cwd: &request.cwd,
            session: &session,
            overrides: &request.overrides,
            now_ms: HostClock::utc().now_ms(),
        };
        let assembled = assemble_as(Some(server.name.clone()), inputs, None)?;
        let (clock, _) = HostClock::new(assembled.settings.time_zone.as_deref())?;
        let ready = opening::make_ready(&request.dirs, &session, &assembled, clock)?;
        let name = server.name.to_string();
        let looks = ToolsRequest { agent: name, servers: Vec::new(), ..request.clone() };
        let first = |zone: &str| first_entry(&looks, (&session, Of::Server), &assembled, zone);
        let opened = opening::open(ready, (&session, &assembled), first)?;
        let approvals = super::approvals(&opened, &assembled, Questions::Elsewhere);
        let (opened, approvals) = or_closed(opened, approvals.map(Arc::new))?;
        Ok(Looking { opened, assembled, approvals, remotes: None })
    }

    pub(super) fn around(&self) -> (&Gate, &Path, &Arc<Approvals>) {
        super::around(&self.opened, &self.assembled, &self.approvals)
    }

    pub(super) fn close(self) -> Result<(), RunError> {
        self.close_after(&Ok::<(), RunError>(()))
    }

    /// The same where something else came of it, or nothing: a session that did not reach its server did not end well.
    pub(super) fn close_after<T, E>(self, came: &Result<T, E>) -> Result<(), RunError> {
        self.remotes.iter().for_each(|it| drop(it.end()));
        let exit_code = if came.is_ok() { 0 } else { COULD_NOT };
        super::close(self.opened, exit_code).map(drop)
    }

    /// Ends one that came to nothing, in order; why it did.
    pub(super) fn failed(self, error: RunError) -> RunError {
        self.remotes.iter().for_each(|it| drop(it.end()));
        closed_for(self.opened, error)
    }
}
