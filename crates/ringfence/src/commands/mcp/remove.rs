//! `mcp remove`: a server is forgotten, and the rules that were written for it where the person agrees.

use std::io::ErrorKind;
use std::path::Path;

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::ToolsRequest;
use ringfence_runtime::registration::Description;
use ringfence_runtime::servers::written::Wrote;
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::writing::Writing;

use super::add::Asks;
use super::{found, in_force, place, proposed, request};
use crate::cli::McpRemoveArgs;
use crate::commands::context;
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::render::text;
use crate::screen::Screen;

pub(super) fn remove(args: &McpRemoveArgs, screen: &Screen) -> Result<Done, Failure> {
    let request = request(Vec::new(), "remove")?;
    let project = Project::find(&request.cwd, request.dirs.home())?;
    let place = place(&request, &args.name, args.project)?;
    let rules = rules_of(args, &request, &project)?;
    if !args.project && rules.is_empty() && !place.exists() {
        is_of_project(&args.name, &project)?;
    }
    let before = in_force::quietly(&[])?.map(|it| in_force::vain(&it.policy)).unwrap_or_default();
    match forget((&args.name, &place), args.project.then_some(&project), &request) {
        Ok(()) => {
            screen.note(&format!("forgotten: {}", args.name));
            still_served(&args.name, screen)?;
        }
        // It was forgotten before, and its rules were left.
        Err(Forgot::None) if !rules.is_empty() => {}
        Err(Forgot::None) => {
            let none = Message::new(format!("no server in `{}`", place.display()));
            return Err(match in_force::quietly(&[])? {
                Some(known) => none.hint(found::instead(&known, &args.name)),
                None => none.hint(
                    "without a policy there is no server: `ringfence init` writes one, and `ringfence policy check` says what is \
                     wrong with one that is there",
                ),
            }
            .could_not());
        }
        Err(Forgot::Failed(failure)) => return Err(failure),
    }
    if args.yes || prompt::can_ask() {
        let asks = if args.yes { Asks::Nothing } else { Asks::Person };
        proposed::take_out(&rules, (Some(asks), screen))?;
    } else if !rules.is_empty() {
        let number = text::count(rules.len(), "rule that was", "rules that were");
        screen.note(&format!("left as they are: {number} written for `{}`", args.name));
        let project = if args.project { " --project" } else { "" };
        screen.hint(&format!(
            "to take out those that nobody has changed, run `ringfence mcp remove {}{project} --yes`",
            args.name
        ));
    }
    still_spoken_of(&args.name, screen);
    // Rules on its tools mean nothing any more.
    match in_force::load(&[], screen) {
        // What was so before is no matter of this server.
        Ok(assembled) => in_force::warn_of_vain_beside(&before, &assembled.policy, screen),
        Err(_) => screen
            .warn("the policy cannot be used as it is: no session starts until that is mended"),
    }
    Ok(Done::Yes)
}

/// The rules that were written for this server: of the project's or of the person's own, which may have the same name.
fn rules_of(
    args: &McpRemoveArgs,
    request: &ToolsRequest,
    project: &Project,
) -> Result<Vec<Wrote>, Failure> {
    let has_own = place(request, &args.name, false)?.exists();
    let is_of_project = |it: &Wrote| it.file.starts_with(project.dir.join(".ringfence"));
    let all = proposed::written_for(&args.name)?.into_iter();
    Ok(match (args.project, has_own) {
        // A login of the project's server is the person's own.
        (true, false) => all.collect(),
        (true, true) => all.filter(is_of_project).collect(),
        (false, _) => all.filter(|it| !is_of_project(it)).collect(),
    })
}

/// Refuses where only the project has a server of this name.
fn is_of_project(name: &ServerName, project: &Project) -> Result<(), Failure> {
    if !project.servers.contains_key(name.as_str()) {
        return Ok(());
    }
    Err(Message::new(format!("`{name}` is a server of the project: nothing was changed"))
        .hint(format!("to remove it there, run `ringfence mcp remove {name} --project`"))
        .could_not())
}

/// Why a server is not forgotten.
enum Forgot {
    /// There is none.
    None,
    Failed(Failure),
}

/// Removes the file of a server; a project that is trusted with it is trusted without it, too.
fn forget(
    (name, place): (&ServerName, &Path),
    project: Option<&Project>,
    request: &ToolsRequest,
) -> Result<(), Forgot> {
    let failed = |it: Failure| Forgot::Failed(it);
    let _writing = Writing::begin(request.dirs.state()).map_err(|it| failed(it.into()))?;
    let project = project.map(|it| Project::read(&it.dir)).transpose();
    let project = project.map_err(|it| failed(it.into()))?;
    let trusted = match project {
        Some(project) => {
            let was = project.trust(&request.dirs).map_err(|it| failed(it.into()))?;
            (was == Trust::Trusted).then_some(project)
        }
        None => None,
    };
    std::fs::remove_file(place).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            Forgot::None
        } else {
            failed(context::cannot_read(place, &error))
        }
    })?;
    if let Some(mut project) = trusted {
        // Not what is on the disk by now, but what was trusted.
        project.servers.remove(name.as_str());
        let given = project.give_trust(&request.dirs, context::now_ms());
        given.map_err(|it| failed(it.into()))?;
    }
    Ok(())
}

/// Most sessions that are named as going on with a server.
const NAMED_MAX: usize = 10;

/// Says which sessions began with a server and go on with it: what they serve was read when they began.
fn still_served(name: &ServerName, screen: &Screen) -> Result<(), Failure> {
    let all = context::running(&context::dirs()?)?;
    let of = |it: &&Description| is_served_by(name, it);
    let named: Vec<String> = all.iter().filter(of).map(|it| it.session.to_string()).collect();
    if named.is_empty() {
        return Ok(());
    }
    let more = match named.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let go_on = match named.len() {
        1 => "a session that runs goes on with it until it ends",
        _ => "sessions that run go on with it until they end",
    };
    let first: Vec<&str> = named.iter().take(NAMED_MAX).map(String::as_str).collect();
    screen.warn(&format!("`{name}`: {go_on}: {}{more}", first.join(", ")));
    screen.hint(
        "to deny its calls there now, take out the rules that permit them, and run `ringfence policy reload`; to end one, end \
         its client",
    );
    Ok(())
}

/// Whether a session began with a server, by what it was started as: one that serves all may have begun before there was
/// this one. A server that was started is a session by itself, whoever serves it.
fn is_served_by(name: &ServerName, session: &Description) -> bool {
    if session.server {
        return session.agent == name.as_str();
    }
    match session.command.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ringfence", "mcp", "run" | "serve"] => true,
        ["ringfence", "mcp", "run" | "serve", servers @ ..] => servers.contains(&name.as_str()),
        _ => false,
    }
}

/// Says which rules speak of a server that is not there any more.
fn still_spoken_of(name: &ServerName, screen: &Screen) {
    let Ok(assembled) = in_force::load(&[], screen) else { return };
    let named = [format!("Agent::\"{name}\""), format!("Server::\"{name}\""), format!("\"{name}/")];
    for place in in_force::spoken_of(&assembled, &named) {
        screen.note(&format!("still spoken of: {place}"));
    }
}
