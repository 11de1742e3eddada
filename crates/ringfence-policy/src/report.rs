//! What a policy means for one agent: what the kernel holds, what is decided act by act, the cost.

use ringfence_core::{Action, Agent, FilePlan, RuleRef, SetName};
use serde::Serialize;

use crate::Policy;
use crate::lints::Lint;
use crate::nearest::shown;
use crate::rule::{Approvable, Effect, Rule, Scope};
use crate::tree::body;

/// A policy's plan for one agent, for `ringfence policy plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// The agent.
    pub agent: Agent,
    /// What becomes mounts: no cost while the agent runs.
    pub files: FilePlan,
    /// What is decided when it happens.
    pub acts: Vec<ActPlan>,
    /// Remarks on rules.
    pub lints: Vec<Lint>,
}

/// One action's rules and what their decision costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActPlan {
    /// The action.
    pub action: Action,
    /// What each such act costs.
    pub cost: Cost,
    /// The rules, forbids first, each in the order of the sets.
    pub rules: Vec<PlannedRule>,
}

/// What an act costs, over the act itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Nothing: the kernel holds it.
    Nothing,
    /// One notification for each file that is opened, and a decision for those that are asked about.
    EveryOpenNotified,
    /// One notification and one decision.
    Decided,
    /// The same, and the new program is checked before its first instruction.
    DecidedAndVerified,
}

/// A rule as the plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRule {
    /// Where it stands.
    pub rule: RuleRef,
    /// What it does.
    pub effect: Effect,
    /// The resource it names, as in the policy; `None`: any.
    pub resource: Option<String>,
    /// Its conditions as text: `when { ... }`, `unless { ... }`.
    pub conditions: Vec<String>,
    /// Whether approvals can change its answer, so that the act is asked about.
    pub asks: bool,
}

impl Policy {
    /// What this policy means for one agent.
    pub fn plan(&self, agent: &Agent) -> PlanReport {
        let files = self.file_plan(agent);
        let acts = Action::ALL.into_iter().map(|action| self.act_plan(action, agent, &files));
        let acts = acts.collect();
        PlanReport { agent: agent.clone(), files, acts, lints: self.lints() }
    }

    /// Whether an exec must be checked again when its program starts.
    ///
    /// True as soon as any rule on `exec` is more than a permit of all programs: then arguments or
    /// file could be exchanged between the decision and the start. Built-in rules that hide a
    /// directory do not count: no world has anything there that could be exchanged for.
    pub fn exec_needs_verification(&self) -> bool {
        *self.exec_needs_verification.get_or_init(|| {
            self.sets()
                .flat_map(|set| &set.rules)
                .filter(|rule| rule.applies_to(Action::Exec) && !hides_by_mount(rule))
                .any(|rule| rule.effect == Effect::Forbid || !rule.is_unconditional())
        })
    }

    fn act_plan(&self, action: Action, agent: &Agent, files: &FilePlan) -> ActPlan {
        let concerned =
            |rule: &&Rule| rule.applies_to(action) && rule.agent().is_none_or(|one| one == agent.0);
        let mut rules: Vec<PlannedRule> =
            self.sets().flat_map(|set| &set.rules).filter(concerned).map(planned).collect();
        rules.sort_by_key(|rule| rule.effect == Effect::Permit);
        ActPlan { action, cost: self.cost(action, files), rules }
    }

    /// Reads are held by the kernel alone, unless some are asked about; writes are notified for the
    /// record of changed files.
    fn cost(&self, action: Action, files: &FilePlan) -> Cost {
        match action {
            Action::FsRead if files.asked.iter().any(|it| it.asks.contains(&action)) => {
                Cost::EveryOpenNotified
            }
            Action::FsRead => Cost::Nothing,
            Action::Exec if self.exec_needs_verification() => Cost::DecidedAndVerified,
            Action::Exec
            | Action::FsWrite
            | Action::FsDelete
            | Action::NetConnect
            | Action::NetRequest
            | Action::SecretUse
            | Action::ToolCall => Cost::Decided,
        }
    }
}

/// Whether a rule is one of ours that keeps a whole directory out of every world, so that it adds
/// nothing on `exec` that the kernel does not hold.
///
/// A person's rule of the same form is decided and verified: it may name what the runtime base
/// shows whatever the policy says.
fn hides_by_mount(rule: &Rule) -> bool {
    rule.place.set == SetName::BuiltIn
        && rule.effect == Effect::Forbid
        && rule.applies_to(Action::FsRead)
        && rule.agent().is_none()
        && rule.tree.clauses().is_empty()
        && matches!(rule.scope(), Scope::Within(_))
}

fn planned(rule: &Rule) -> PlannedRule {
    let resource = match rule.scope() {
        Scope::Within(uid) | Scope::Exactly(uid) => Some(uid.to_string()),
        Scope::Anything => None,
    };
    let conditions = rule.tree.clauses().iter().map(|clause| {
        let word = match clause {
            cedar_policy::pst::Clause::When(_) => "when",
            cedar_policy::pst::Clause::Unless(_) => "unless",
        };
        format!("{word} {{ {} }}", shown(body(clause)))
    });
    PlannedRule {
        rule: rule.place.clone(),
        effect: rule.effect,
        resource,
        conditions: conditions.collect(),
        asks: rule.approvable == Approvable::Yes,
    }
}
