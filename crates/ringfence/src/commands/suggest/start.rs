//! What a server of tools was denied when it was started, as rules that it could be started with.

use ringfence_core::{Act, Agent, ServerName, SessionId};
use ringfence_runtime::suggest::{Around, Denied, Suggested, World, suggest as find};

use super::{context, explain, found, in_force, now};
use crate::exit::{Failure, Said};
use crate::screen::Screen;

/// The rules without which a server did not start, by the log of a start that failed: what it was to read, to run and to
/// reach. Nothing is said of what it was to change: a start is no reason for that.
pub(in super::super) fn for_start(
    session: &SessionId,
    server: &ServerName,
    screen: &Screen,
) -> Result<Option<Vec<String>>, Failure> {
    let dirs = context::dirs()?;
    let opening = context::opening(&dirs, session);
    let agent = Agent(server.to_string());
    let cwd = explain::directory(opening.as_ref());
    let found = found(&dirs, (session, &agent), opening.as_ref())?;
    let only_needs =
        |act: &Act| matches!(act, Act::Read(_) | Act::Exec(_) | Act::Connect(_) | Act::Request(_));
    let denied: Vec<Denied> =
        found.denied.into_iter().filter(|it| only_needs(&it.request.act)).collect();
    let assembled = in_force::load_as(server, screen)?;
    let environment = context::environment();
    let facts = now(session)?;
    let around = Around {
        assembled: &assembled,
        dirs: &dirs,
        environment: &environment,
        cwd: &cwd,
        agent: &agent,
        facts: &facts,
        world: World::Own,
    };
    let made = find(&denied, &around, session.as_str()).map_err(|errors| {
        in_force::say(&errors, screen);
        Failure::Said(Said::CouldNot)
    })?;
    let Some(made) = made.filter(|made| !made.rules.is_empty()) else { return Ok(None) };
    // A grant is for whoever the session's agent is; this is for the server alone.
    let rule = |rule: &Suggested| rule.grant.rule_for(server.as_str());
    Ok(Some(made.rules.iter().map(rule).collect()))
}
