//! `review checkpoint|rollback|checkpoints`: the way back while a session runs.

use ringfence_core::SessionId;
use ringfence_runtime::control::Command;
use ringfence_runtime::review::{self, Checkpoint};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde::Serialize;

use crate::cli::{ReviewCheckpointArgs, ReviewCheckpointsArgs, ReviewRollbackArgs};
use crate::commands::context;
use crate::commands::reload::{running, tell};
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::render::text;
use crate::screen::Screen;

pub(super) fn make(args: &ReviewCheckpointArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "no checkpoint can be made")?;
    let dirs = context::dirs()?;
    // One word is the session if it looks like one, as with the other commands.
    let (session, name) = match (&args.session, &args.name) {
        (Some(first), None) => match first.parse() {
            Ok(session) => (Some(session), None),
            Err(_) => (None, Some(first.clone())),
        },
        (Some(first), Some(name)) => (Some(session_of(first)?), Some(name.clone())),
        (None, name) => (None, name.clone()),
    };
    let session = one(&dirs, session)?;
    let done = tell(&dirs, &session, &Command::Checkpoint { name }, screen)?;
    if done == Done::Yes {
        let hint =
            "to come back to it, run `ringfence review rollback NAME` while the session runs";
        screen.hint(hint);
    }
    Ok(done)
}

pub(super) fn roll_back(args: &ReviewRollbackArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "nothing can be taken back")?;
    let dirs = context::dirs()?;
    let (session, name) = match args.words.as_slice() {
        [session, name] => (Some(session_of(session)?), name.clone()),
        words => (None, words.first().cloned().unwrap_or_default()),
    };
    let session = one(&dirs, session)?;
    tell(&dirs, &session, &Command::Rollback { name }, screen)
}

fn session_of(word: &str) -> Result<SessionId, Failure> {
    word.parse().map_err(|_| {
        Message::new(format!("`{}` is no session", printable(word)))
            .hint("to see which sessions run, run `ringfence sessions`")
            .could_not()
    })
}

/// The named session, or the only one under review that runs.
fn one(dirs: &StateDirs, named: Option<SessionId>) -> Result<SessionId, Failure> {
    if let Some(session) = named {
        return Ok(session);
    }
    let under_review = review::waiting(dirs);
    let running = running(dirs)?.into_iter().filter(|it| under_review.contains(it));
    match running.collect::<Vec<_>>().as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Message::new("no session under review is running")
            .hint("start one with `ringfence run --review -- CMD`")
            .could_not()),
        [first, ..] => Err(Message::new("several sessions under review are running: name one")
            .hint(format!("one of them is {first}"))
            .could_not()),
    }
}

/// One checkpoint, as `review checkpoints --json` prints it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    session: &'a SessionId,
    #[serde(flatten)]
    checkpoint: &'a Checkpoint,
}

pub(super) fn list(args: &ReviewCheckpointsArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = review::find(&dirs, args.session.as_ref())?.session;
    let all = review::checkpoints(&dirs, &session);
    if args.json {
        let lines = all.iter().map(|checkpoint| Listed { session: &session, checkpoint });
        screen.json_lines(lines.collect::<Vec<_>>())?;
        return Ok(Done::Yes);
    }
    if all.is_empty() {
        screen.note(&format!("session {session} has no checkpoints"));
        screen.hint("to make one while it runs, run `ringfence review checkpoint`");
        return Ok(Done::Yes);
    }
    let mut rows = vec![["name", "made", "changes", "on disk"].map(str::to_owned).to_vec()];
    for it in &all {
        let (at, bytes) = (text::moment(it.at_ms), text::bytes(it.bytes));
        rows.push(vec![it.name.clone(), at, it.count.to_string(), bytes]);
    }
    screen.data(&text::table(&rows))?;
    Ok(Done::Yes)
}
