//! What kind an agent is of, as rules can name it: `principal in AgentKind::"tool-server"`.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::pst::EntityUID;
use ringfence_core::{RuleRef, ServerName};

use crate::Policy;
use crate::problem::nearest_word;
use crate::rule::{Effect, Rule};

impl Policy {
    /// Where a rule stands that permits something to this one agent, by name; the first of them.
    pub fn permit_for(&self, agent: &str) -> Option<&RuleRef> {
        let is_for = |rule: &&Rule| rule.effect == Effect::Permit && rule.agent() == Some(agent);
        self.session.rules.iter().find(is_for).map(|rule| &rule.place)
    }

    /// The agent that was probably meant by a name that no rule has; none where one has it, or none is near.
    pub fn agent_meant(&self, agent: &str) -> Option<&str> {
        let named = || self.session.rules.iter().filter_map(Rule::agent);
        if named().any(|name| name == agent) {
            return None;
        }
        nearest_word(agent, named())
    }
}

/// The entity type of kinds.
pub(crate) const TYPE: &str = "AgentKind";

/// The kind of agents that are servers of tools.
pub(crate) const TOOL_SERVER: &str = "tool-server";

/// Whether an entity is that kind.
pub(crate) fn is_tool_server(uid: &EntityUID) -> bool {
    uid.ty.0.id.as_str() == TYPE && uid.eid == TOOL_SERVER
}

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
