//! `review`: what a session changed aside is looked at, committed, or thrown away.

mod checkpoints;
mod list;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ringfence_core::{Entry, Event, ReviewStep, Reviewed, SessionId};
use ringfence_log::{HostKey, HostLog, LogError};
use ringfence_runtime::review::{self, Change, Choice, Kept, Ready, ReviewError};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::users;
use ringfence_runtime::wording::printable;

use super::context;
use crate::cli::{ReviewCommand, ReviewCommitArgs, ReviewDropArgs, ReviewShowArgs};
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::review::{self as render, Fold};
use crate::render::text;
use crate::screen::{Screen, Stream};

/// Most references that are named for one file.
const REFERENCES_NAMED_MAX: usize = 5;

/// Most changes that stay behind which are named one by one.
const NAMED_MAX: usize = 50;

pub(crate) fn review(command: &ReviewCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        ReviewCommand::List(args) => list::list(args, screen),
        ReviewCommand::Show(args) => show(args, screen),
        ReviewCommand::Commit(args) => commit(args, screen),
        ReviewCommand::Drop(args) => throw_away(args, screen),
        ReviewCommand::Checkpoint(args) => checkpoints::make(args, screen),
        ReviewCommand::Rollback(args) => checkpoints::roll_back(args, screen),
        ReviewCommand::Checkpoints(args) => checkpoints::list(args, screen),
    }
}

impl From<ReviewError> for Failure {
    fn from(error: ReviewError) -> Failure {
        let message = Message::new(error.to_string());
        let message = match error.hint() {
            Some(hint) => message.hint(hint),
            None => message,
        };
        match error {
            ReviewError::Undone { .. } => message.no(),
            ReviewError::None(_)
            | ReviewError::Nothing
            | ReviewError::Several(_)
            | ReviewError::Running(_)
            | ReviewError::MovedOn { .. }
            | ReviewError::Stuck { .. }
            | ReviewError::Io { .. } => message.could_not(),
        }
    }
}

fn show(args: &ReviewShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let kept = review::find(&dirs, args.session.as_ref())?;
    let changes = review::changes(&dirs, &kept)?;
    say(&dirs, &kept.session, ReviewStep::Shown, (changes.len(), 0))?;
    if args.json {
        screen.json(&render::as_json(&dirs, &kept, &changes))?;
        return Ok(Done::Yes);
    }
    let paint = screen.paint(Stream::Out);
    let how = if args.all { Fold::Nothing } else { Fold::Bulk };
    let shown = if args.stat {
        render::stat(&dirs, &kept, (&changes, how), paint)
    } else {
        let first = render::first_screen(&kept, &changes, how, paint);
        let differences = render::differences(&dirs, &kept, (&changes, how), paint);
        format!("{first}\n{differences}")
    };
    page(&shown, screen)?;
    let all: Vec<&Change> = changes.iter().collect();
    come_again((&dirs, &kept), (&all, &all), screen);
    if review::is_running(&dirs, &kept.session) {
        screen.warn("the session is still running, and goes on changing this");
    }
    let session = &kept.session;
    screen.hint(&format!("to bring it to your files, run `ringfence review commit {session}`"));
    screen.hint(&format!("to throw it away, run `ringfence review drop {session}`"));
    Ok(Done::Yes)
}

/// Through the person's pager on a terminal, else as it is.
fn page(text: &str, screen: &Screen) -> Result<(), Failure> {
    let pager = context::environment().text("PAGER").unwrap_or("less").to_owned();
    if !std::io::stdout().is_terminal() || pager.is_empty() || pager == "cat" {
        return screen.data(text);
    }
    // The shell of the person's own variable, as git and man have it; not one that `PATH` finds, which may
    // lead into the tree that is looked at.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if context::environment().text("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else { return screen.data(text) };
    if let Some(mut input) = child.stdin.take() {
        // Whoever leaves the pager early has seen enough.
        let _ = input.write_all(text.as_bytes());
    }
    match child.wait() {
        // No such pager.
        Ok(status) if status.code() == Some(127) => screen.data(text),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn commit(args: &ReviewCommitArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "nothing can be committed")?;
    let dirs = context::dirs()?;
    let (session, paths) = named(args)?;
    let mut kept = review::find(&dirs, session.as_ref())?;
    if review::is_running(&dirs, &kept.session) {
        return Err(ReviewError::Running(kept.session).into());
    }
    let finished = review::recover(&dirs, &mut kept)?;
    if finished > 0 {
        let changes = text::count(finished, "change", "changes");
        screen.note(&format!("finished a commit that was cut off: {changes}"));
        say(&dirs, &kept.session, ReviewStep::Committed, (finished, 0))?;
    }
    let choice = if paths.is_empty() { Choice::All } else { Choice::Paths(paths) };
    let ready = review::prepare(&dirs, &kept, &choice)?;
    if let [unknown, ..] = ready.unknown.as_slice() {
        let path = printable(&unknown.to_string_lossy());
        return Err(Message::new(format!("nothing waits at `{path}`"))
            .hint(format!("to see what waits, run `ringfence review show {}`", kept.session))
            .could_not());
    }
    left(&ready, screen);
    if ready.chosen.is_empty() {
        if ready.left.is_empty() {
            review::drop_changes(&dirs, &kept.session)?;
            screen.note("nothing is left to commit");
            return Ok(Done::Yes);
        }
        return Err(Message::new("nothing was committed: all of it is left where it is").no());
    }
    screen.note(&format!(
        "commit {} of session {}",
        text::count(ready.chosen.len(), "change", "changes"),
        kept.session
    ));
    for warning in render::warnings(&ready.chosen, screen.paint(Stream::Err)) {
        screen.note(&format!("  {warning}"));
    }
    let all: Vec<&Change> =
        ready.chosen.iter().chain(ready.left.iter().map(|(it, _)| it)).collect();
    let stays: Vec<&Change> = ready.left.iter().map(|(it, _)| it).collect();
    come_again((&dirs, &kept), (&all, &stays), screen);
    if !args.yes {
        let flag = "to commit without being asked, add `--yes`";
        let question = format!("bring them to your files?{}", behind(&stays));
        if prompt::consent(&question, flag)? == Consent::Refused {
            return Err(Message::new("nothing changed: it was not committed").no());
        }
    }
    carry_out(&dirs, &mut kept, &ready, screen)
}

fn carry_out(
    dirs: &StateDirs,
    kept: &mut Kept,
    ready: &Ready,
    screen: &Screen,
) -> Result<Done, Failure> {
    let session = kept.session.clone();
    let counts = (ready.chosen.len(), ready.left.len());
    let mut before = || {
        record(dirs, &session, ReviewStep::Committing, counts).map_err(|error| ReviewError::Io {
            what: "record it in",
            path: dirs.host(),
            source: std::io::Error::other(error),
        })
    };
    let done = match review::commit(dirs, kept, ready, &mut before) {
        Ok(done) => done,
        Err(error) => {
            if matches!(error, ReviewError::Undone { .. }) {
                say(dirs, &kept.session, ReviewStep::Undone, counts)?;
            }
            return Err(error.into());
        }
    };
    say(dirs, &kept.session, ReviewStep::Committed, counts)?;
    screen.note(&format!("committed: {}", text::count(done.count, "change", "changes")));
    if done.waiting > 0 {
        let waiting = text::count(done.waiting, "change waits", "changes wait");
        screen.note(&format!("{waiting} still"));
        screen.hint(&format!("to look at it, run `ringfence review show {}`", kept.session));
    }
    Ok(if ready.left.is_empty() { Done::Yes } else { Done::No })
}

/// The session, which may be left out, and the paths as they are on the host.
fn named(args: &ReviewCommitArgs) -> Result<(Option<SessionId>, Vec<PathBuf>), Failure> {
    let cwd = context::current_dir()?;
    let mut paths = args.paths.clone();
    let session = match args.session.as_deref().map(|first| (first, first.parse())) {
        None => None,
        Some((_, Ok(session))) => Some(session),
        Some((first, Err(_))) => {
            paths.insert(0, PathBuf::from(first));
            None
        }
    };
    let absolute = |path: PathBuf| {
        let path = cwd.join(path);
        // The last part may be what is new, or gone, or a link of the session's.
        let parent = path.parent().map(|dir| std::fs::canonicalize(dir).unwrap_or(dir.to_owned()));
        match (parent, path.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            (_, _) => path,
        }
    };
    Ok((session, paths.into_iter().map(absolute).collect()))
}

/// What a commit leaves behind, in short, for who has to say yes now.
fn behind(stays: &[&Change]) -> String {
    let runs = stays.iter().filter(|it| it.host_runs.is_some()).count();
    let runs =
        if runs > 0 { format!(", {runs} of which the host would run") } else { String::new() };
    match stays.len() {
        0 => String::new(),
        count => format!(" {} behind{runs}", text::count(count, "change stays", "changes stay")),
    }
}

/// What may come again out of git, although it is held back.
fn come_again(of: (&StateDirs, &Kept), (all, held): (&[&Change], &[&Change]), screen: &Screen) {
    for it in review::through_git(of, all, held).iter().take(NAMED_MAX) {
        let path = printable(&it.path.to_string_lossy());
        let references = it.references.iter().take(REFERENCES_NAMED_MAX);
        let names: Vec<String> = references.map(|it| format!("`{}`", printable(it))).collect();
        let first = it.references.first().map(|it| printable(it)).unwrap_or_default();
        screen.warn(&format!(
            "{path} is held back, and may be in what the session committed in git, on {}: `git checkout`, \
             `git reset --hard`, `git merge` or `git pull` in {} would bring it",
            names.join(", "),
            printable(&it.repository.to_string_lossy())
        ));
        screen.hint(&format!(
            "to look at it before that, when the commit is in your files, run `git show {first}:{path}` there"
        ));
    }
}

/// What stays where it is, and why.
fn left(ready: &Ready, screen: &Screen) {
    for (change, why) in ready.left.iter().take(NAMED_MAX) {
        let path = printable(&change.path.to_string_lossy());
        screen.note(&format!("left: {path} ({})", printable(why)));
    }
    let more = ready.left.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        screen.note(&format!("left: {} more", text::count(more, "change", "changes")));
    }
}

fn throw_away(args: &ReviewDropArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "nothing can be thrown away")?;
    let dirs = context::dirs()?;
    let mut kept = review::find(&dirs, args.session.as_ref())?;
    if review::is_running(&dirs, &kept.session) {
        return Err(ReviewError::Running(kept.session).into());
    }
    review::recover(&dirs, &mut kept)?;
    // What nobody can read can be thrown away all the same.
    let (count, changes) = match review::changes(&dirs, &kept) {
        Ok(all) => (all.len(), text::count(all.len(), "change", "changes")),
        Err(error) => (0, format!("changes that cannot be read ({error})")),
    };
    screen.note(&format!("throw away {changes} of session {}", kept.session));
    if !args.yes {
        let flag = "to throw it away without being asked, add `--yes`";
        if prompt::consent("are you sure?", flag)? == Consent::Refused {
            return Err(Message::new("nothing changed: it still waits").no());
        }
    }
    say(&dirs, &kept.session, ReviewStep::Dropped, (count, 0))?;
    review::drop_changes(&dirs, &kept.session)?;
    screen.note(&format!("thrown away: {changes}"));
    Ok(Done::Yes)
}

/// Records in the host log what is done: the session's own is closed.
fn say(
    dirs: &StateDirs,
    session: &SessionId,
    step: ReviewStep,
    (changes, left): (usize, usize),
) -> Result<(), Failure> {
    record(dirs, session, step, (changes, left)).map_err(|error| {
        Message::new(format!("it could not be recorded: {error}"))
            .hint("to see what is wrong with the log, run `ringfence log verify`")
            .could_not()
    })
}

fn record(
    dirs: &StateDirs,
    session: &SessionId,
    step: ReviewStep,
    (changes, left): (usize, usize),
) -> Result<(), LogError> {
    let uid = rustix::process::getuid().as_raw();
    let by = users::by_id(uid).map_or_else(|| format!("uid {uid}"), |user| user.name);
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let (session, by) = (session.clone(), Some(by));
    let (changes, left) = (number(changes), number(left));
    let event = Event::Reviewed(Reviewed { session, step, by, changes, left, name: None });
    let key = HostKey::load_or_create(dirs.state())?;
    let host = HostLog::open(dirs.state(), &key)?;
    host.record(&Entry { at_ms: context::now_ms(), event })?;
    host.wait()
}
