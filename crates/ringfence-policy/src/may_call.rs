//! Whether any call of a tool could be permitted, for who is shown it.

use std::collections::BTreeMap;

use ringfence_core::{Act, Agent, Facts, Request, ToolCall, ToolName};
use serde_json::Value;

use crate::engine::{Approved, Situation, holds};
use crate::formula::{Truth, is_about};
use crate::rule::{Effect, Rule};
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
}
