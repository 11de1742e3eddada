//! Which tools an agent sees, which it does not, and why.

use std::collections::BTreeMap;

use ringfence_core::{
    Act, Agent, Decide as _, Facts, Request, ServerName, ToolCall, ToolName, Verdict,
};
use ringfence_policy::LintKind;
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::broker::tools::ToolsRequest;
use ringfence_runtime::servers::{Remark, Server};
use ringfence_runtime::wording::{asked_by, printable, rule_place, shell_word};
use serde_json::{Value, json};

use super::shown::as_json;
use super::{in_force, proposed};
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::Screen;

/// A tool as an agent has it.
struct Had {
    tool: String,
    /// Whether the agent is told of it.
    is_seen: bool,
    /// Whether a person is asked about it, whatever its arguments are.
    is_asked: bool,
    why: String,
}

/// Lists the tools of all servers as an agent has them.
pub(super) fn list(
    known: &Assembled,
    agent: &Agent,
    (json, screen): (bool, &Screen),
) -> Result<Done, Failure> {
    let all = known.served();
    if json {
        let facts = proposed::facts()?;
        screen.json_lines(all.iter().map(|server| {
            let others = known.servers.values();
            let remarks = Remark::all(&server.name, &server.file.said(), others);
            with_agent(as_json(server, &remarks), (agent, &seen(known, agent, (server, &facts))))
        }))?;
        return Ok(Done::Yes);
    }
    let mut rows = Vec::new();
    for server in &all {
        if let Some(why) = server.is_left_out() {
            rows.push(vec![server.name.to_string(), "not seen".to_owned(), printable(why)]);
        }
        for Had { tool, is_seen, why, .. } in seen(known, agent, (server, &proposed::facts()?)) {
            let name = printable(&format!("{}/{tool}", server.name));
            let sees = if is_seen { "seen" } else { "not seen" };
            rows.push(vec![name, sees.to_owned(), why]);
        }
    }
    if rows.is_empty() {
        screen.note("no tool of any server; to add one, run `ringfence mcp add NAME -- COMMAND`");
        return Ok(Done::Yes);
    }
    screen.data(&text::table_within(&rows, screen.room()))?;
    tell_meant(known, agent, screen);
    screen.note(
        "what a server says of its tools when it is started counts as well: one that is new or another than it was \
         pinned is not seen, which `ringfence mcp test` tells",
    );
    Ok(Done::Yes)
}

/// An agent that no rule names may be one that is written otherwise, and rules for that one do not hold for it.
pub(super) fn tell_meant(known: &Assembled, agent: &Agent, screen: &Screen) {
    if let Some(meant) = known.policy.agent_meant(&agent.0) {
        let (agent, meant) = (printable(&agent.0), printable(meant));
        screen.warn(&format!("no rule names an agent `{agent}`; did you mean `{meant}`?"));
    }
}

fn with_agent(mut server: Value, (agent, all): (&Agent, &[Had])) -> Value {
    let tools = all.iter().map(
        |it| json!({"name": it.tool, "seen": it.is_seen, "asked": it.is_asked, "why": it.why}),
    );
    let seen = json!({"agent": agent.0, "tools": tools.collect::<Vec<_>>()});
    if let Some(members) = server.as_object_mut() {
        members.insert("seen".to_owned(), seen);
    }
    server
}

/// The tools of a server that are pinned, as an agent has them.
fn seen(known: &Assembled, agent: &Agent, (server, facts): (&Server, &Facts)) -> Vec<Had> {
    let one = |tool: &String| {
        let name = ToolName::new(&server.name, tool).ok();
        let is_seen = name.as_ref().is_some_and(|it| known.policy.may_call(agent, it, facts));
        let (is_asked, why) = name.map_or_else(
            || (false, "its name is none that a rule can have".to_owned()),
            |name| why(known, agent, (name, facts, is_seen)),
        );
        Had { tool: tool.clone(), is_seen, is_asked, why }
    };
    server.file.tools.keys().map(one).collect()
}

/// Whether a person is asked about a tool, and why an agent sees it or does not, by a call of it without arguments.
fn why(
    known: &Assembled,
    agent: &Agent,
    (tool, facts, is_seen): (ToolName, &Facts, bool),
) -> (bool, String) {
    let call = ToolCall::of(tool, BTreeMap::new(), &Value::Null);
    let request = Request { agent: agent.clone(), act: Act::CallTool(call), process: None };
    let ruling = known.policy.decide(&request, facts);
    if let (true, Verdict::Ask(_)) = (is_seen, &ruling.verdict) {
        return (true, format!("a person is {}", asked_by(&ruling.grounds)));
    }
    let rule = ruling.grounds.rules.first();
    let rule =
        rule.map(|it| format!("`{}` ({}:{})", printable(&it.id), printable(&it.file), it.line));
    let why = match (is_seen, &ruling.verdict, rule) {
        (true, Verdict::Permit, Some(rule)) => format!("permitted by {rule}"),
        (true, _, _) => "permitted with some arguments".to_owned(),
        (false, _, Some(rule)) => format!("forbidden by {rule}"),
        (false, _, None) => format!("no rule permits it to `{}`", printable(&agent.0)),
    };
    (false, why)
}

/// Says that none of the tools that are served can be called, where that is so: a client shows no reason.
pub(super) fn warn_of_none(request: &ToolsRequest, screen: &Screen) -> Result<(), Failure> {
    let Some(known) = in_force::quietly(&request.overrides)? else { return Ok(()) };
    // A name that no tool has is no error, and the denial of the one that was meant comes late.
    for lint in known.policy.lints().iter().filter(|it| it.kind == LintKind::Unpinned) {
        screen.warn(&format!("{}: {}", rule_place(&lint.rule), lint.message));
    }
    let is_served =
        |name: &ServerName| request.servers.is_empty() || request.servers.contains(name);
    let (agent, facts) = (Agent(request.agent.clone()), proposed::facts()?);
    tell_meant(&known, &agent, screen);
    let served = known.servers.values().filter(|it| is_served(&it.name));
    let all: Vec<Had> = served.flat_map(|it| seen(&known, &agent, (it, &facts))).collect();
    if all.is_empty() || all.iter().any(|it| it.is_seen) {
        return Ok(());
    }
    let number = text::count(all.len(), "tool is", "tools are");
    screen.warn(&format!("0 of {number} permitted to `{}`", printable(&agent.0)));
    if let Some(word) = shell_word(&agent.0) {
        screen.hint(&format!("to see why, run `ringfence mcp list --agent {word}`"));
    }
    Ok(())
}
