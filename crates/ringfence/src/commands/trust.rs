//! `trust` and `untrust`: whether a project's own policy counts.

use std::path::{Path, PathBuf};

use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::{Forgotten, Project, Trust, TrustError, unified, untrust as forget};
use ringfence_runtime::wording::printable;
use serde_json::json;

use super::{context, reload};
use crate::cli::{TrustArgs, UntrustArgs};
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::screen::{Screen, Stream, Tone};

/// Version of the JSON.
const SCHEMA: u32 = 1;

pub(crate) fn trust(args: &TrustArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "a project cannot be trusted")?;
    let dirs = context::dirs()?;
    let project = project(&dirs, args.dir.as_deref())?;
    if project.policy.is_none() {
        let (dir, home) = (project.dir.clone(), dirs.home().to_owned());
        return Err(TrustError::Nothing { dir, home }.into());
    }
    let (was, diff) = match project.trust(&dirs)? {
        Trust::Trusted => {
            if args.json {
                return said(screen, &project.dir, ("trusted", "trusted"));
            }
            screen.note(&format!("already trusted: {}", shown(&project.dir)));
            return Ok(Done::Yes);
        }
        Trust::Changed { diff } => {
            screen.note(&format!("changed since it was trusted: {}", shown(&project.dir)));
            ("changed", diff)
        }
        Trust::Untrusted => {
            screen.note(&format!("not trusted so far: {}", shown(&project.dir)));
            ("untrusted", whole(&project))
        }
    };
    screen.as_it_is(&coloured(&diff, screen));
    super::policy::check_project(&project, screen)?;
    if !args.yes {
        let flag = "to trust what is shown above, run `ringfence trust --yes`";
        if prompt::consent("trust this policy as it is now?", flag)? == Consent::Refused {
            return Err(Message::new("nothing changed: the project stays untrusted").no());
        }
    }
    // What was not shown is never trusted; that it is not is said now, and not at the next start.
    if Project::read(&project.dir)? != project {
        let text = format!("{} was changed meanwhile: nothing was trusted", shown(&project.dir));
        return Err(Message::new(text)
            .hint("to look at it as it is now, run `ringfence trust`")
            .no());
    }
    dirs.create()?;
    project.give_trust(&dirs, context::now_ms())?;
    if args.json {
        return said(screen, &project.dir, (was, "trusted"));
    }
    screen.note(&format!("trusted: {}", shown(&project.dir)));
    screen.hint("to start an agent under it, run `ringfence run -- CMD`");
    Ok(Done::Yes)
}

pub(crate) fn untrust(args: &UntrustArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "trust cannot be taken back")?;
    let dirs = context::dirs()?;
    let dir = match &args.dir {
        // It may be gone by now, and is forgotten all the same.
        Some(dir) => dir.clone(),
        None => project(&dirs, None)?.dir,
    };
    let forgotten = forget(&dirs, &dir)?;
    if args.json {
        let was = match forgotten {
            Forgotten::Was => "trusted",
            Forgotten::WasNot => "untrusted",
        };
        return said(screen, &dir, (was, "untrusted"));
    }
    match forgotten {
        Forgotten::Was => {
            screen.note(&format!("no longer trusted: {}", shown(&dir)));
            screen.note("its permits count for nothing in sessions that start from now on, its forbids still hold");
            if !reload::running(&dirs)?.is_empty() {
                screen.hint(
                    "running sessions keep what they have; to take it from them too, run `ringfence policy reload`",
                );
            }
        }
        Forgotten::WasNot => screen.note(&format!("was not trusted: {}", shown(&dir))),
    }
    Ok(Done::Yes)
}

/// What a project is now and was before, for programs.
fn said(screen: &Screen, dir: &Path, (was, is): (&str, &str)) -> Result<Done, Failure> {
    screen.json(&json!({ "schema": SCHEMA, "project": dir, "was": was, "is": is }))?;
    Ok(Done::Yes)
}

/// The named project, or the one around the current directory.
pub(crate) fn project(dirs: &StateDirs, dir: Option<&Path>) -> Result<Project, Failure> {
    let found = match dir {
        Some(dir) => Project::read(dir),
        None => Project::find(&context::current_dir()?, dirs.home()),
    };
    Ok(found?)
}

/// All files that trust is for, as a diff against nothing.
fn whole(project: &Project) -> String {
    let own = [("policy.cedar", &project.policy), ("settings.toml", &project.settings)];
    let own = own
        .into_iter()
        .filter_map(|(name, file)| file.as_ref().map(|file| unified(name, "", &file.text)));
    let of_servers = project.servers.iter();
    let of_servers =
        of_servers.map(|(name, file)| unified(&format!("mcp/{name}.json"), "", &file.text));
    own.chain(of_servers).collect()
}

/// A diff in colour, with everything made visible that could hide or reorder text.
pub(super) fn coloured(diff: &str, screen: &Screen) -> String {
    let paint = screen.paint(Stream::Err);
    let line = |line: &str| {
        let safe = line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
        match line.chars().next() {
            Some('+') => paint.tone(Tone::Good, &safe),
            Some('-') => paint.tone(Tone::Bad, &safe),
            Some(_) | None => safe,
        }
    };
    diff.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(dir: &Path) -> String {
    printable(&PathBuf::from(dir).display().to_string())
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Failure {
        let message = Message::new(error.to_string());
        match error.hint() {
            Some(hint) => message.hint(hint).could_not(),
            None => message.could_not(),
        }
    }
}
