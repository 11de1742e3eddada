//! `run`: starts an agent under the policy, and says at its end what it did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringfence_core::Action;
use ringfence_runtime::account::failed::{self, FailedStart};
use ringfence_runtime::advice::Lasts;
use ringfence_runtime::assemble::AssembleError;
use ringfence_runtime::broker::tools::SERVER_ENV;
use ringfence_runtime::broker::{self, Closing, RunError, RunRequest, Said as Told};
use ringfence_runtime::compose::Changes;
use ringfence_runtime::environment::Environment;
use ringfence_runtime::notice::Notice;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use ringfence_sandbox::world::{Tier, library_places};
use serde::Serialize;

use super::mcp::hint_at_rules;
use super::warm::caller::Asked;
use super::{context, warm};
use crate::cli::RunArgs;
use crate::exit::{Done, Failure, Message, Said};
use crate::render::{problem, text};
use crate::screen::{Screen, Stream};

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Most paths that `--why` speaks of; the log has all.
const WHY_LINES_MAX: usize = 20;

/// How a command ends that did not start, or failed; more than that is a signal, by which a server is ended.
const ENDED_BADLY: std::ops::Range<i32> = 1..128;

/// The summary, as `run --json` writes it.
#[derive(Debug, Serialize)]
struct Summed<'a> {
    schema: u32,
    #[serde(flatten)]
    closing: &'a Closing,
}

/// Where a run is asked for.
pub(crate) struct Here {
    pub(crate) dirs: StateDirs,
    pub(crate) environment: Environment,
    pub(crate) cwd: PathBuf,
}

/// What is said at the end of a run, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    json: bool,
    why: bool,
}

pub(crate) fn run(args: RunArgs, screen: &Screen) -> Result<Done, Failure> {
    let here = Here {
        dirs: context::dirs()?,
        environment: context::environment(),
        cwd: context::current_dir()?,
    };
    if let (true, Some(tier)) = (args.warm, args.tier.filter(|tier| *tier != Tier::default())) {
        screen.note(&format!(
            "warm: a cold start, for worlds of the tier `{tier}` are not kept ready"
        ));
    } else if args.warm {
        match warm::caller::ask(&here)? {
            Asked::Served(code) => return Ok(Done::Child(code)),
            Asked::Cold(why) => screen.note(&format!("warm: a cold start, for {why}")),
        }
    }
    let (request, ending) = request(args, here)?;
    let mut ended = broker::run(&request, &mut |notice| tell(notice, screen));
    keep_failed(&request, &ended);
    if let Ok(closing) = &mut ended
        && ENDED_BADLY.contains(&closing.exit_code)
    {
        closing.hints.extend(hint_at_rules(&request));
    }
    end(ended, ending, screen)
}

/// What did not start is kept for `sandbox logs`: nobody may have seen what was said.
fn keep_failed(request: &RunRequest, ended: &Result<Closing, RunError>) {
    let (why, session) = match ended {
        Err(error) => (error.to_string(), None),
        Ok(Closing { not_started: Some(missing), session, .. }) => {
            (missing.reason.clone(), Some(session.clone()))
        }
        Ok(_) => return,
    };
    let command: Vec<String> =
        request.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = command.first().map(|it| it.rsplit('/').next().unwrap_or(it).to_owned());
    let agent = request.agent.clone().or(program).unwrap_or_default();
    let (at_ms, cwd) = (context::now_ms(), request.cwd.clone());
    failed::keep(&request.dirs, FailedStart { at_ms, agent, command, cwd, why, session });
}

/// The run that is asked for.
pub(crate) fn request(args: RunArgs, here: Here) -> Result<(RunRequest, Ending), Failure> {
    let (trace, ending) = (args.traced(), Ending { json: args.json, why: args.why });
    let Here { dirs, environment, cwd } = here;
    let own_env = args.server_of.map(|_| server_env(&environment)).transpose()?.unwrap_or_default();
    let request = RunRequest {
        dirs,
        own_env,
        server_of: args.server_of,
        lasts: if args.ends_soon { Lasts::EndsSoon } else { Lasts::GoesOn },
        environment,
        cwd,
        overrides: args.policy,
        tier: args.tier,
        image: args.image,
        seccomp: args.seccomp,
        agent: args.agent,
        publish: args.publish,
        trace,
        changes: if args.review { Changes::Review } else { Changes::Host },
        wasm_runner: (!args.wasm.is_empty()).then(wasm_runner),
        library: preload_library(),
        own: std::env::current_exe().and_then(std::fs::canonicalize).ok(),
        command: args.wasm.into_iter().chain(args.command).collect(),
    };
    Ok((request, ending))
}

/// The variables of a server's world: handed over in one, so that no command line has them, and what starts
/// the world does not go by them itself.
fn server_env(environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let Some(text) = environment.text(SERVER_ENV) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(text)
        .map_err(|_| Message::new(format!("`{SERVER_ENV}` is no object of texts")).could_not())
}

/// Says how it ended.
pub(crate) fn end(
    ended: Result<Closing, RunError>,
    Ending { json, why }: Ending,
    screen: &Screen,
) -> Result<Done, Failure> {
    let closing = match ended {
        Ok(closing) => closing,
        Err(RunError::Module(error)) => {
            let message = Message::new(error.to_string());
            screen.failure(&error.hint().into_iter().fold(message, Message::hint).could_not());
            return Ok(Done::Child(error.exit_code()));
        }
        Err(error) => return Err(failure(&error, screen)),
    };
    if json {
        screen.as_it_is(
            &serde_json::to_string(&Summed { schema: SCHEMA, closing: &closing })
                .unwrap_or_default(),
        );
    } else {
        say(&closing, screen);
        if why {
            say_why(&closing, screen);
        }
    }
    // What a shell would report: codes are bytes.
    Ok(Done::Child(u8::try_from(closing.exit_code & 0xff).unwrap_or(u8::MAX)))
}

/// The program that runs WASM modules: beside this one, and nowhere else.
pub(crate) fn wasm_runner() -> PathBuf {
    let own = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
    own.with_file_name("ringfence-wasm")
}

/// The library of the tier `preload`: beside this program, or where packages put it.
pub(crate) fn preload_library() -> Option<PathBuf> {
    preload_libraries().into_iter().find(|path| path.is_file())
}

/// Where that library may be.
pub(crate) fn preload_libraries() -> Vec<PathBuf> {
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    own.as_deref().and_then(Path::parent).map(library_places).unwrap_or_default()
}

/// Why nothing ran, the quarantined files, then one line with the command to look closer.
fn say(closing: &Closing, screen: &Screen) {
    let unsaid = closing.not_started.as_ref().filter(|missing| missing.said == Told::NotYet);
    if let Some(missing) = unsaid {
        let message = missing.hints.iter().fold(Message::new(&missing.reason), Message::hint);
        screen.failure(&message.no());
    }
    for file in &closing.quarantined {
        let path = printable(&file.path.to_string_lossy());
        let why = printable(&file.why);
        if let Some(command) = file.accept() {
            screen.note(&format!("quarantined: {path} ({why})"));
            screen.hint(&format!("to accept it, run `{command}`"));
        } else {
            screen.note(&format!("not held back, look at it: {path} ({why})"));
        }
    }
    closing.notices.iter().for_each(|notice| tell(notice, screen));
    closing.hints.iter().for_each(|hint| screen.hint(hint));
    if let Some(waiting) = closing.review.filter(|waiting| *waiting > 0) {
        let changes = text::count(waiting, "change waits", "changes wait");
        screen.note(&format!("{changes} for review: nothing of it is in your files"));
        screen.hint(&format!("to look at it, run `ringfence review show {}`", closing.session));
    }
    let files = usize::try_from(closing.files_changed).unwrap_or(usize::MAX);
    let files = text::count(files, "file changed", "files changed");
    let acts = text::acts([closing.permitted, closing.denied, closing.asked, closing.failed]);
    let advisory = if closing.advisory { " advisory only, of what programs asked:" } else { "" };
    screen.note(&format!(
        "ringfence:{advisory} {acts}, {files}, {} entries; to look closer, run `ringfence show {}`",
        closing.entries, closing.session
    ));
}

/// What was tried to be read or changed and may not be, and what would let it.
fn say_why(closing: &Closing, screen: &Screen) {
    let denied = &closing.denied_reads;
    if denied.is_empty() {
        screen.note(
            "why: nothing that it opened to read was kept from it: each file was there, or is nowhere on this host either; \
             files that a program only asks about (stat, readlink) are not counted",
        );
    }
    if !denied.is_empty() {
        screen.note(
            "why: what a world does not show is no act that could be denied, and is not counted above; \
             of it, this was opened to read:",
        );
    }
    for read in denied.iter().take(WHY_LINES_MAX) {
        let line = why_line(("read", &read.path.to_string()), read.times, &read.why);
        screen.note(&line);
        read.hint.iter().for_each(|hint| screen.hint(hint));
    }
    let written = &closing.denied_writes;
    for write in written.iter().take(WHY_LINES_MAX) {
        let verb = if write.action == Action::FsDelete { "delete" } else { "write" };
        screen.note(&why_line((verb, &write.path), write.times, &write.why));
        // What is said of all denials need not be said twice.
        let hint = write.hint.iter().filter(|hint| !closing.hints.contains(hint));
        hint.for_each(|hint| screen.hint(hint));
    }
    let more = |all: usize| all.saturating_sub(WHY_LINES_MAX);
    if let more @ 1.. = more(denied.len()) + more(written.len()) {
        screen.note(&format!("why: and {more} more: `ringfence show {}`", closing.session));
    }
}

fn why_line((verb, path): (&str, &str), times: u64, why: &str) -> String {
    let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
    format!("why: could not {verb} {}{times}: {}", printable(path), printable(why))
}

/// Tells the person what they should know.
pub(crate) fn tell(notice: &Notice, screen: &Screen) {
    screen.warn(&notice.text);
    notice.hint.iter().for_each(|hint| screen.hint(hint));
}

pub(crate) fn failure(error: &RunError, screen: &Screen) -> Failure {
    if let RunError::Assemble(AssembleError::Policy(errors)) = error {
        for found in errors.problems() {
            screen.as_it_is(problem::render(found, screen.paint(Stream::Err)).trim_end());
        }
        return Failure::Said(Said::CouldNot);
    }
    let hint = error.hint();
    let message = Message::new(error.to_string());
    match hint {
        Some(hint) => message.hint(hint).could_not(),
        None => message.could_not(),
    }
}
