//! One rule of a policy: where it stands, what it says, and its condition ready to be evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst;
use cedar_policy_core::ast::Expr;
use ringfence_core::{Action, Handling, Role, RuleRef};

use crate::engine::group;
use crate::kinds;
use crate::remembered::Reads;
use crate::requests::OnRequests;

/// What a rule does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It allows, unless a forbid matches.
    Permit,
    /// It forbids, whatever is permitted.
    Forbid,
}

/// Whether approvals can change a rule's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approvable {
    Yes,
    No,
}

/// Whether the evaluation of a rule can err, which denies the act whatever else is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallible {
    /// It calculates or calls an extension: numbers can overflow.
    Yes,
    No,
}

/// A checked rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) place: RuleRef,
    pub(crate) effect: Effect,
    /// Whether the person wrote an `@id`.
    pub(crate) named: Named,
    /// The whole condition, the scope included.
    pub(crate) condition: Arc<Expr>,
    /// The rule as it was written, for the full scan.
    pub(crate) text: Box<str>,
    /// The rule as a tree that can be taken apart.
    pub(crate) tree: pst::Template,
    pub(crate) actions: Vec<Action>,
    pub(crate) approvable: Approvable,
    pub(crate) fallible: Fallible,
    pub(crate) reads: Reads,
    pub(crate) on_requests: OnRequests,
    pub(crate) annotations: BTreeMap<String, String>,
    /// What it says about what comes back.
    pub(crate) handling: Handling,
    /// Roles of a grant's author; a match counts as their approval.
    pub(crate) approves: Vec<Role>,
}

/// Whether a rule's id was written or derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    ById,
    ByPlace,
}

/// What the resource must be for a rule to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// Within a directory or domain.
    Within(&'a pst::EntityUID),
    /// Exactly this.
    Exactly(&'a pst::EntityUID),
    /// Anything (of a type).
    Anything,
}

impl Rule {
    /// The resource's scope as written in the rule's head.
    pub(crate) fn scope(&self) -> Scope<'_> {
        match &self.tree.resource {
            pst::ResourceConstraint::Eq(pst::EntityOrSlot::Entity(uid)) => Scope::Exactly(uid),
            pst::ResourceConstraint::In(pst::EntityOrSlot::Entity(uid))
            | pst::ResourceConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) => {
                if is_container(uid) { Scope::Within(uid) } else { Scope::Exactly(uid) }
            }
            pst::ResourceConstraint::Eq(pst::EntityOrSlot::Slot(_))
            | pst::ResourceConstraint::In(pst::EntityOrSlot::Slot(_))
            | pst::ResourceConstraint::IsIn(_, pst::EntityOrSlot::Slot(_))
            | pst::ResourceConstraint::Any
            | pst::ResourceConstraint::Is(_) => Scope::Anything,
        }
    }

    /// The one agent the rule is about, as written in its head.
    pub(crate) fn agent(&self) -> Option<&str> {
        match &self.tree.principal {
            pst::PrincipalConstraint::Eq(pst::EntityOrSlot::Entity(uid)) => Some(uid.eid.as_str()),
            pst::PrincipalConstraint::Eq(pst::EntityOrSlot::Slot(_))
            | pst::PrincipalConstraint::In(_)
            | pst::PrincipalConstraint::IsIn(..)
            | pst::PrincipalConstraint::Any
            | pst::PrincipalConstraint::Is(_) => None,
        }
    }

    /// Whether its head is for servers of tools alone.
    pub(crate) fn is_for_servers(&self) -> bool {
        match &self.tree.principal {
            pst::PrincipalConstraint::In(pst::EntityOrSlot::Entity(uid))
            | pst::PrincipalConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) => {
                kinds::is_tool_server(uid)
            }
            pst::PrincipalConstraint::Eq(_)
            | pst::PrincipalConstraint::In(pst::EntityOrSlot::Slot(_))
            | pst::PrincipalConstraint::IsIn(_, pst::EntityOrSlot::Slot(_))
            | pst::PrincipalConstraint::Any
            | pst::PrincipalConstraint::Is(_) => false,
        }
    }

    /// Whether the rule has no condition besides agent and action.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.tree.clauses().is_empty() && self.scope() == Scope::Anything
    }

    pub(crate) fn applies_to(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }
}

/// The tools that a rule's head names as actions; empty where it names none, or more than tools.
pub(crate) fn tools_of(constraint: &pst::ActionConstraint) -> Vec<&str> {
    let uids: Vec<&pst::EntityUID> = match constraint {
        pst::ActionConstraint::Any => Vec::new(),
        pst::ActionConstraint::Eq(uid) => vec![uid],
        pst::ActionConstraint::In(uids) => uids.iter().collect(),
    };
    let are_tools = uids.iter().all(|uid| uid.eid.contains('/'));
    if are_tools { uids.into_iter().map(|uid| uid.eid.as_str()).collect() } else { Vec::new() }
}

/// Whether entities of other types lie in this one.
pub(crate) fn is_container(uid: &pst::EntityUID) -> bool {
    matches!(uid.ty.0.id.as_str(), "Dir" | "Domain" | "Server")
}

/// The acts' actions that a rule's head names.
pub(crate) fn actions_of(constraint: &pst::ActionConstraint) -> Vec<Action> {
    let own = |uid: &pst::EntityUID, action: Action| match action {
        // Each tool is an action, and the group has the name that they have here together.
        Action::ToolCall => uid.eid.contains('/'),
        Action::Exec
        | Action::FsRead
        | Action::FsWrite
        | Action::FsDelete
        | Action::NetConnect
        | Action::NetRequest
        | Action::SecretUse => uid.eid == action.name(),
    };
    let named = |uid: &pst::EntityUID, action: Action| {
        own(uid, action) || group(action).is_some_and(|group| uid.eid == group)
    };
    Action::ALL
        .into_iter()
        .filter(|&action| match constraint {
            pst::ActionConstraint::Any => true,
            // `action == Action::"fs"` names the group itself, which no act ever is.
            pst::ActionConstraint::Eq(uid) => own(uid, action),
            pst::ActionConstraint::In(uids) => uids.iter().any(|uid| named(uid, action)),
        })
        .collect()
}
