//! Finds the few rules that can match a request, whatever the size of the policy.
//!
//! INVARIANT: every rule whose condition could be true or could err for a request is found for it;
//! rules found in vain cost time only. The scope is evaluated before the rest of a condition, so a
//! rule whose scope does not hold can neither match nor err.

use std::collections::HashMap;

use ringfence_core::{Act, Action, Endpoint, Request};

use crate::engine::dirs_of;
use crate::rule::{Rule, Scope, tools_of};

/// Rules by action, resource scope and agent.
#[derive(Debug, Default)]
pub(crate) struct Index {
    actions: HashMap<Action, ByResource>,
}

#[derive(Debug, Default)]
struct ByResource {
    within: HashMap<Box<str>, ByAgent>,
    exactly: HashMap<Box<str>, ByAgent>,
    anything: ByAgent,
}

#[derive(Debug, Default)]
struct ByAgent {
    one: HashMap<Box<str>, Vec<usize>>,
    all: Vec<usize>,
}

impl Index {
    /// Indexes rules by their position.
    pub(crate) fn new(rules: &[Rule]) -> Index {
        let mut index = Index::default();
        for (position, rule) in rules.iter().enumerate() {
            for &action in &rule.actions {
                let by_resource = index.actions.entry(action).or_default();
                let tools = tools_of(&rule.tree.action);
                if action == Action::ToolCall && !tools.is_empty() {
                    // As an action a tool is called what it is called as a resource.
                    for tool in tools {
                        by_resource
                            .exactly
                            .entry(tool.into())
                            .or_default()
                            .add(rule.agent(), position);
                    }
                    continue;
                }
                let by_agent = match rule.scope() {
                    Scope::Within(uid) => by_resource.within.entry(uid.eid.as_str().into()),
                    Scope::Exactly(uid) => by_resource.exactly.entry(uid.eid.as_str().into()),
                    Scope::Anything => {
                        by_resource.anything.add(rule.agent(), position);
                        continue;
                    }
                };
                by_agent.or_default().add(rule.agent(), position);
            }
        }
        index
    }

    /// Positions of the rules that can match, in ascending order.
    pub(crate) fn candidates(&self, request: &Request) -> Vec<usize> {
        let agent = request.agent.0.as_str();
        let action = request.act.action();
        match &request.act {
            Act::Exec(exec) => self.file(action, agent, exec.program.as_str()),
            Act::Read(path) | Act::Write(path) | Act::Delete(path) | Act::ConnectUnix(path) => {
                self.file(action, agent, path.as_str())
            }
            Act::Connect(to) => self.endpoint(action, agent, to),
            Act::Request(http) => self.endpoint(action, agent, &http.endpoint),
            Act::UseSecret(used) => {
                self.find(action, agent, (used.secret.as_str(), std::iter::empty()))
            }
            Act::CallTool(call) => {
                let server = std::iter::once(call.tool.server().as_str());
                self.find(action, agent, (call.tool.as_str(), server))
            }
        }
    }

    /// The same for an endpoint by action.
    pub(crate) fn endpoint(&self, action: Action, agent: &str, to: &Endpoint) -> Vec<usize> {
        let domains = to.domains();
        let domains = domains.iter().map(String::as_str);
        self.find(action, agent, (&to.to_string(), domains))
    }

    /// The same for a file by action and path.
    pub(crate) fn file(&self, action: Action, agent: &str, path: &str) -> Vec<usize> {
        self.find(action, agent, (path, dirs_of(path)))
    }

    fn find<'a>(
        &self,
        action: Action,
        agent: &str,
        (exactly, within): (&str, impl Iterator<Item = &'a str>),
    ) -> Vec<usize> {
        let Some(by_resource) = self.actions.get(&action) else { return Vec::new() };
        let mut found = Vec::new();
        by_resource.anything.collect(agent, &mut found);
        if let Some(by_agent) = by_resource.exactly.get(exactly) {
            by_agent.collect(agent, &mut found);
        }
        for container in within {
            if let Some(by_agent) = by_resource.within.get(container) {
                by_agent.collect(agent, &mut found);
            }
        }
        found.sort_unstable();
        found
    }
}

impl ByAgent {
    fn add(&mut self, agent: Option<&str>, position: usize) {
        match agent {
            Some(agent) => self.one.entry(agent.into()).or_default().push(position),
            None => self.all.push(position),
        }
    }

    fn collect(&self, agent: &str, found: &mut Vec<usize>) {
        found.extend(&self.all);
        found.extend(self.one.get(agent).into_iter().flatten());
    }
}
