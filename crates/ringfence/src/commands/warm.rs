//! `warm`: keeps worlds ready, each in a process of its own that serves one session.
//!
//! This process reads nothing and serves nobody: it starts those that wait ([`parked`]), one for each
//! that was taken. They end when it does, however that happens, because the lines to it close;
//! sessions that run in one do not.

pub(crate) mod caller;
mod keeper;
pub(crate) mod parked;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfence_runtime::assemble::{Inputs, assemble};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::Project;
use ringfence_runtime::warm::line::Line;
use ringfence_runtime::warm::place::{self, Kind};
use ringfence_runtime::wording::printable;
use serde::{Deserialize, Serialize};

use super::{context, in_force};
use crate::cli::{WarmArgs, WarmCommand, WarmStatusArgs, WarmStopArgs};
use crate::exit::{Done, Failure, Message};
use crate::render::text;
use crate::screen::Screen;

use keeper::Keeper;

/// A world to its keeper: it waits.
const READY: u8 = b'r';
/// A world to its keeper: it cannot be made, and why.
const FAILED: u8 = b'f';
/// A world, to its keeper and to its caller: it is the caller's.
const TAKEN: u8 = b't';
/// A world to its caller: it does not fit, and why.
const REFUSED: u8 = b'n';
/// A caller to its world, before the name that proves what holds it: a letter and streams.
const LETTER: &[u8] = b"letter ";
/// A caller to its world: the session may begin.
const GO: u8 = b'g';
/// A world to its caller: the session has ended with the code that follows.
const ENDED: u8 = b'e';

/// How long one who has connected may take to say what they want, and a keeper to answer.
const CALLER_WAIT: Duration = Duration::from_secs(5);

/// What is said where a world ended without a word.
const WORLD_GONE: &str = "the process that ran the session has ended, and the session with it";

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// How one who keeps worlds stands, as `warm status --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    schema: u32,
    /// The project.
    project: PathBuf,
    /// The process.
    pid: u32,
    /// How many worlds it keeps.
    worlds: usize,
    /// How many of them wait now.
    ready: usize,
    /// How many were taken so far.
    taken: u64,
    /// Milliseconds since the Unix epoch.
    started_ms: u64,
}

impl Standing {
    fn as_text(&self) -> String {
        format!(
            "{}: {} of {} ready, {} taken, process {}",
            printable(&self.project.to_string_lossy()),
            self.ready,
            self.worlds,
            self.taken,
            self.pid
        )
    }
}

pub(crate) fn warm(args: &WarmArgs, screen: &Screen) -> Result<Done, Failure> {
    match &args.command {
        None => keep(args, screen),
        Some(WarmCommand::Status(args)) => status(args, screen),
        Some(WarmCommand::Stop(args)) => stop(args, screen),
    }
}

fn keep(args: &WarmArgs, screen: &Screen) -> Result<Done, Failure> {
    let (dirs, cwd) = (context::dirs()?, context::current_dir()?);
    dirs.create()?;
    // What this process inherited is nobody else's.
    ringfence_sandbox::close_on_exec_from(3)
        .map_err(|error| Message::new(format!("cannot close descriptors: {error}")).could_not())?;
    let inputs = Inputs {
        dirs: &dirs,
        cwd: &cwd,
        session: &in_force::no_session()?,
        overrides: &args.policy,
        now_ms: context::now_ms(),
    };
    // What no world could be made of is said here, once.
    let assembled = assemble(inputs).map_err(|error| in_force::refused(error, screen))?;
    let project = assembled.project.dir;
    screen.note(&format!(
        "warm: keeps {} ready for {}, until it is interrupted or `ringfence warm stop` ends it",
        text::count(usize::from(args.worlds), "world", "worlds"),
        printable(&project.to_string_lossy())
    ));
    for other in ask_all(&dirs, Some(&project), b"status").unwrap_or_default() {
        screen.warn(&format!("process {} keeps worlds ready for it as well", other.pid));
    }
    screen.hint("to start an agent in one, run `ringfence run --warm -- CMD`");
    let standing = Standing {
        schema: SCHEMA,
        project,
        pid: std::process::id(),
        worlds: usize::from(args.worlds),
        ready: 0,
        taken: 0,
        started_ms: context::now_ms(),
    };
    Keeper::start((&dirs, cwd), standing, args.duration)
        .and_then(|keeper| keeper.keep(screen))
        .map_err(|error| Message::new(format!("cannot keep worlds ready: {error}")).could_not())?;
    Ok(Done::Yes)
}

fn status(args: &WarmStatusArgs, screen: &Screen) -> Result<Done, Failure> {
    let all = ask_all(&context::dirs()?, None, b"status")?;
    if args.json {
        screen.json_lines(&all)?;
    } else if all.is_empty() {
        screen.note("no worlds are kept ready");
        screen.hint("to keep one for this project, run `ringfence warm`");
    } else {
        for one in &all {
            screen.data(&format!("{}\n", one.as_text()))?;
        }
    }
    Ok(if all.is_empty() { Done::No } else { Done::Yes })
}

fn stop(args: &WarmStopArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let project = if args.all {
        None
    } else {
        let found = Project::find(&context::current_dir()?, dirs.home());
        Some(found.map_err(|error| Message::new(error.to_string()).could_not())?.dir)
    };
    let all = ask_all(&dirs, project.as_deref(), b"stop")?;
    if args.json {
        screen.json_lines(&all)?;
    } else if all.is_empty() {
        screen.note("no worlds are kept ready here");
        screen.hint("to see for which projects some are, run `ringfence warm status`");
    } else {
        for one in &all {
            let project = printable(&one.project.to_string_lossy());
            screen.note(&format!("no worlds are kept ready for {project} any more"));
        }
        screen.hint("to keep some again, run `ringfence warm`");
    }
    Ok(if all.is_empty() { Done::No } else { Done::Yes })
}

/// What is kept ready, a line for each project, for `doctor`.
pub(crate) fn kept(dirs: &StateDirs) -> Vec<String> {
    let all = ask_all(dirs, None, b"status").unwrap_or_default();
    all.iter().map(Standing::as_text).collect()
}

/// Says a word to every keeper, and returns how each stands; what killed ones left is removed.
fn ask_all(
    dirs: &StateDirs,
    project: Option<&Path>,
    word: &[u8],
) -> Result<Vec<Standing>, Failure> {
    let sockets = place::sockets(dirs.runtime(), Kind::Keeper, project).map_err(|error| {
        let dir = dirs.runtime().display();
        Message::new(format!("cannot read `{dir}`: {error}")).could_not()
    })?;
    let mut all: Vec<Standing> = sockets.iter().filter_map(|socket| ask(socket, word)).collect();
    all.sort_by(|a, b| (&a.project, a.pid).cmp(&(&b.project, b.pid)));
    Ok(all)
}

fn ask(socket: &Path, word: &[u8]) -> Option<Standing> {
    let line = match Line::connect(socket) {
        Ok(line) => line,
        Err(error) => {
            if error.kind() == std::io::ErrorKind::ConnectionRefused {
                let _ = std::fs::remove_file(socket);
            }
            return None;
        }
    };
    line.send(word, &[]).ok()?;
    let heard = line.receive(Some(CALLER_WAIT)).ok()??;
    serde_json::from_slice(&heard.bytes).ok()
}
