//! What kind an agent is of, as rules can name it: `principal in AgentKind::"tool-server"`.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringfence_core::ServerName;

/// The entity type of kinds.
pub(crate) const TYPE: &str = "AgentKind";

/// The kind of agents that are servers of tools.
pub(crate) const TOOL_SERVER: &str = "tool-server";

/// What an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whoever a person runs.
    Agent,
    /// A server of tools, which others call.
    ToolServer,
}

impl Kind {
    /// Whether the kind is called so.
    pub(crate) fn is(self, id: &str) -> bool {
        match self {
            Kind::Agent => false,
            Kind::ToolServer => id == TOOL_SERVER,
        }
    }
}

/// The agents that are servers of tools, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers(Arc<BTreeSet<String>>);

impl Servers {
    pub(crate) fn new(names: &BTreeSet<ServerName>) -> Servers {
        Servers(Arc::new(names.iter().map(ToString::to_string).collect()))
    }

    /// What an agent of this name is.
    pub(crate) fn kind(&self, agent: &str) -> Kind {
        if self.0.contains(agent) { Kind::ToolServer } else { Kind::Agent }
    }
}
