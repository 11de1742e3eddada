//! Whether any call of a tool could be permitted, for who is shown it.

use std::collections::BTreeMap;

use cedar_policy::pst::Clause;
use ringfence_core::{Act, Agent, Facts, Request, RuleRef, ToolCall, ToolName};
use serde_json::Value;

use crate::engine::{Approved, Situation, holds};
use crate::formula::{Formula, Truth, is_about, of_approvals};
use crate::nearest::conjuncts;
use crate::rule::{Effect, Rule, Scope};
use crate::{Policy, RuleSet};

impl Policy {
    /// Whether some call of this tool by this agent could be permitted, or asked about: `false` only where no
    /// arguments, no moment and no approval change that it is denied.
    pub fn may_call(&self, agent: &Agent, tool: &ToolName, facts: &Facts) -> bool {
        let call = ToolCall::of(tool.clone(), BTreeMap::new(), &Value::Null);
        let request = Request { agent: agent.clone(), act: Act::CallTool(call), process: None };
        let Ok(situation) = Situation::new(self.of_kind(&request), facts) else { return false };
        let may = |set: &RuleSet| set.may_permit(&request, &situation);
        may(&self.session) && self.ceiling.as_ref().is_none_or(may)
    }

    /// The rule by which some call of this tool by this agent may be permitted without anybody being asked; none only
    /// where no arguments and no moment make it so.
    pub fn permits_unasked(
        &self,
        agent: &Agent,
        tool: &ToolName,
        facts: &Facts,
    ) -> Option<RuleRef> {
        let call = ToolCall::of(tool.clone(), BTreeMap::new(), &Value::Null);
        let request = Request { agent: agent.clone(), act: Act::CallTool(call), process: None };
        let situation = Situation::new(self.of_kind(&request), facts).ok()?;
        let by = |set: &RuleSet| {
            let is_permitted = set.may_permit(&request, &situation);
            is_permitted.then(|| set.unasked(&request, tool)).flatten()
        };
        let rule = by(&self.session)?;
        let ceiling = self.ceiling.as_ref();
        ceiling.is_none_or(|set| by(set).is_some()).then_some(rule)
    }
}

impl RuleSet {
    fn may_permit(&self, request: &Request, situation: &Situation) -> bool {
        let found = self.found(request);
        let evaluator = situation.seen(found.sees).evaluator(&Approved::nobody());
        // Without conditions a rule says the same of every call.
        let always = |rule: &Rule| {
            rule.tree.clauses().is_empty() && holds(&evaluator, &rule.condition) == Ok(true)
        };
        let agent = request.agent.0.as_str();
        let may = |rule: &Rule| {
            let about = is_about(rule, (agent, self.servers.kind(agent))) != Truth::False;
            always(rule) || (!rule.tree.clauses().is_empty() && about)
        };
        let rules = || found.positions.iter().filter_map(|&position| self.rules.get(position));
        let is = |effect: Effect| move |rule: &&Rule| rule.effect == effect;
        !rules().filter(is(Effect::Forbid)).any(always)
            && rules().filter(is(Effect::Permit)).any(may)
    }
    /// The permit that needs no approval, where no forbid wants one of every call.
    fn unasked(&self, request: &Request, tool: &ToolName) -> Option<RuleRef> {
        let agent = request.agent.0.as_str();
        let about = |rule: &Rule| is_about(rule, (agent, self.servers.kind(agent)));
        let found = self.found(request);
        let rules = || found.positions.iter().filter_map(|&position| self.rules.get(position));
        let is = |effect: Effect| move |rule: &&Rule| rule.effect == effect;
        let mut forbids = rules().filter(is(Effect::Forbid));
        if forbids.any(|it| about(it) == Truth::True && is_of(it, tool) && asks_always(it)) {
            return None;
        }
        let permits = rules().filter(is(Effect::Permit));
        let mut permits = permits.filter(|it| about(it) != Truth::False && is_of(it, tool));
        permits.find(|it| !asks(it)).map(|it| it.place.clone())
    }
}

/// Whether the resource in a rule's head can be this tool.
fn is_of(rule: &Rule, tool: &ToolName) -> bool {
    match rule.scope() {
        Scope::Anything => true,
        Scope::Within(uid) | Scope::Exactly(uid) => {
            let named = uid.eid.as_str();
            named == tool.as_str() || named == tool.server().as_str()
        }
    }
}

/// Whether a permit wants approvals, whatever else it wants.
fn asks(rule: &Rule) -> bool {
    rule.tree.clauses().iter().any(|clause| match clause {
        Clause::When(expr) => {
            conjuncts(expr).into_iter().any(|it| of_approvals(it) == Some(Formula::Approved))
        }
        Clause::Unless(_) => false,
    })
}

/// Whether a forbid holds until there are approvals, and wants nothing else.
fn asks_always(rule: &Rule) -> bool {
    match rule.tree.clauses().as_slice() {
        [Clause::Unless(expr)] => of_approvals(expr) == Some(Formula::Approved),
        _ => false,
    }
}
