//! Which tools of a server rules permit already, without a question, while it is pinned: pinning is what lets them be called.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::{Agent, ToolName};
use ringfence_policy::Policy;
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::servers::{Server, digest};
use ringfence_runtime::wording::printable;
use serde::Serialize;

use super::proposed;
use crate::exit::Failure;

/// What is said behind the number of tools that were pinned, before the lines that say which.
pub(super) const SOME: &str = "of these, rules permit some already";

/// Most tools that are named in one line.
const NAMED_MAX: usize = 8;

/// Tools that may be called as soon as they are pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Permitted(Vec<One>);

/// A tool, and the rule by which an agent may call it without anybody being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct One {
    tool: String,
    rule: String,
    /// The agent that the rule is for; all where none is named.
    agent: Option<String>,
}

impl Permitted {
    /// Those among the tools of a server, as it is now, by the policy that is in force.
    pub(super) fn of(server: &Server, known: &Assembled) -> Result<Permitted, Failure> {
        let with_these = with_tools_of(server, known);
        let policy = with_these.as_ref().unwrap_or(&known.policy);
        let facts = proposed::facts()?;
        let (anybody, named) = agents(known);
        let mut all = Vec::new();
        for tool in server.file.tools.keys() {
            let Ok(name) = ToolName::new(&server.name, tool) else { continue };
            let by = |agent: &String| {
                let rule = policy.permits_unasked(&Agent(agent.clone()), &name, &facts)?;
                Some(One { tool: tool.clone(), rule: rule.id, agent: Some(agent.clone()) })
            };
            match by(&anybody) {
                Some(of_all) => all.push(One { agent: None, ..of_all }),
                None => all.extend(named.iter().filter_map(by)),
            }
        }
        Ok(Permitted(all))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody may call this tool.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.0.iter().any(|it| it.tool == tool)
    }

    /// Keeps those that a server has.
    pub(super) fn retain(&mut self, server: &Server) {
        self.0.retain(|it| server.file.tools.contains_key(&it.tool));
    }

    /// Those that are new in a server, or others than they were before.
    pub(super) fn of_others_than(&self, server: &Server, before: Option<&Server>) -> Permitted {
        let is_other = |tool: &String| {
            let said = |it: &Server| it.file.tools.get(tool).map(|it| digest(&it.definition));
            before.and_then(said) != said(server)
        };
        Permitted(self.0.iter().filter(|it| is_other(&it.tool)).cloned().collect())
    }

    /// By their rules, for a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut by: BTreeMap<(&Option<String>, &String), Vec<&String>> = BTreeMap::new();
        for it in &self.0 {
            by.entry((&it.agent, &it.rule)).or_default().push(&it.tool);
        }
        by.into_iter().map(|((agent, rule), tools)| line(&tools, rule, agent.as_deref())).collect()
    }
}

fn line(tools: &[&String], rule: &str, agent: Option<&str>) -> String {
    let quoted = |it: &str| format!("`{}`", printable(it));
    let named = tools.iter().take(NAMED_MAX).map(|it| quoted(it)).collect::<Vec<_>>().join(", ");
    let more = match tools.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let are = if tools.len() == 1 { "is" } else { "are" };
    let to = agent.map_or_else(String::new, |it| format!(" to {}", quoted(it)));
    format!("{named}{more} {are} permitted already{to} by {}", quoted(rule))
}

/// The policy with the tools of a server as they are now; none where it would be none.
fn with_tools_of(server: &Server, known: &Assembled) -> Option<Policy> {
    let mut options = known.options();
    options.tools.retain(|shape| *shape.tool.server() != server.name);
    options.tools.extend(server.shapes());
    Policy::load(known.sources.clone(), &options).ok()
}

/// A name that no rule has, and those that stand in rules, but for servers.
fn agents(known: &Assembled) -> (String, BTreeSet<String>) {
    let mut named = BTreeSet::new();
    for source in &known.sources {
        for part in source.text.split("Agent::\"").skip(1) {
            named.extend(part.split_once('"').map(|(name, _)| name.to_owned()));
        }
    }
    named.retain(|name| !known.servers.keys().any(|server| server.as_str() == name));
    let mut anybody = "anybody".to_owned();
    while named.contains(&anybody) {
        anybody.push('-');
    }
    (anybody, named)
}
