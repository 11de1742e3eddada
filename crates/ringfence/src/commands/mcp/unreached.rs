//! Files that a call was permitted to name and that its server's world does not have.

use ringfence_core::{Act, Agent, Decide as _, Event, Request, Verdict};
use ringfence_log::Logged;
use ringfence_policy::grant::GrantText;
use ringfence_runtime::advice::{Advice, Session};
use ringfence_runtime::broker::tools::ToolsRequest;
use ringfence_runtime::servers::Server;
use ringfence_runtime::wording::describe;

use super::{in_force, proposed};
use crate::exit::Failure;
use crate::screen::Screen;

/// Says which files of a call that failed the server may not use itself, and the rule that lets it. That may not be why it
/// failed: a server comes to what it answers by ways of its own.
pub(super) fn tell(
    server: &Server,
    (recorded, request): (&[Logged], &ToolsRequest),
    screen: &Screen,
) -> Result<(), Failure> {
    if server.file.url.is_some() {
        return Ok(());
    }
    let Some(known) = in_force::quietly_as(Some(server.name.clone()), &request.overrides)? else {
        return Ok(());
    };
    let (facts, agent) = (proposed::facts()?, Agent(server.name.to_string()));
    let mut told: Vec<&Act> = Vec::new();
    for act in recorded.iter().filter_map(named) {
        let own = Request { agent: agent.clone(), act: act.clone(), process: None };
        if told.contains(&act) || known.policy.decide(&own, &facts).verdict == Verdict::Permit {
            continue;
        }
        told.push(act);
        let grant = GrantText::smallest(&own);
        let what = describe(act);
        screen.warn(&format!(
            "the caller may {what}, but the server `{0}` itself may not: the world that `{0}` runs in does not have that file",
            server.name
        ));
        let advice = Advice::of(&grant, request.dirs.home(), &known.project.dir);
        let advice = advice.to_server(Some(&server.name), (&grant, &request.overrides));
        if let Some(hint) = advice.hint(Session::Ended) {
            screen.hint(&hint);
        }
    }
    Ok(())
}

/// What a call was permitted to do with a file.
fn named(logged: &Logged) -> Option<&Act> {
    let Event::Decided { request, verdict: Verdict::Permit, .. } = &logged.entry.event else {
        return None;
    };
    match &request.act {
        act @ (Act::Read(_) | Act::Write(_) | Act::Delete(_)) => Some(act),
        Act::Exec(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => None,
    }
}
