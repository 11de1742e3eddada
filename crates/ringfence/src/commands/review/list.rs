//! `review list`: whose changes wait.

use std::path::PathBuf;

use ringfence_core::SessionId;
use ringfence_runtime::review;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde::Serialize;

use crate::cli::ReviewListArgs;
use crate::commands::context;
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::Screen;

/// Version of what `--json` prints.
const SCHEMA: u32 = 1;

/// One session, as `review list --json` prints it.
#[derive(Debug, Serialize)]
struct Waiting {
    schema: u32,
    session: SessionId,
    running: bool,
    trees: Vec<PathBuf>,
    /// Absent where they cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Serialize)]
struct Changes {
    all: usize,
    /// Which the host would run by itself.
    host_runs: usize,
    /// Which look like secrets.
    secret: usize,
    /// Which cannot be committed.
    held: usize,
}

pub(super) fn list(args: &ReviewListArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let all: Vec<Waiting> =
        review::waiting(&dirs).into_iter().map(|session| look(&dirs, session)).collect();
    if args.json {
        screen.json_lines(all)?;
        return Ok(Done::Yes);
    }
    if all.is_empty() {
        screen.note("no changes wait for review");
        screen.hint("start one whose changes wait with `ringfence run --review -- CMD`");
        return Ok(Done::Yes);
    }
    let head = ["session", "state", "changes", "look first", "trees"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(row));
    screen.data(&text::table(&rows))?;
    screen.hint("to look at one, run `ringfence review show SESSION`");
    Ok(Done::Yes)
}

fn look(dirs: &StateDirs, session: SessionId) -> Waiting {
    let running = review::is_running(dirs, &session);
    let found = review::find(dirs, Some(&session)).and_then(|kept| {
        let changes = review::changes(dirs, &kept)?;
        Ok((kept, changes))
    });
    match found {
        Ok((kept, changes)) => {
            let count =
                |is: fn(&review::Change) -> bool| changes.iter().filter(|it| is(it)).count();
            let counts = Changes {
                all: changes.len(),
                host_runs: count(|it| it.host_runs.is_some()),
                secret: count(|it| it.secret.is_some()),
                held: count(|it| it.held.is_some()),
            };
            let trees = kept.trees.into_iter().map(|tree| tree.path).collect();
            Waiting { schema: SCHEMA, session, running, trees, changes: Some(counts), error: None }
        }
        Err(error) => {
            let error = Some(error.to_string());
            Waiting { schema: SCHEMA, session, running, trees: Vec::new(), changes: None, error }
        }
    }
}

fn row(waiting: &Waiting) -> Vec<String> {
    let Waiting { session, running, trees, changes, error, .. } = waiting;
    let of = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let first = changes.map(|it| {
        let all = [of(it.host_runs, "host runs"), of(it.held, "stay"), of(it.secret, "secret?")];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    });
    let trees: Vec<String> = trees.iter().map(|it| printable(&it.to_string_lossy())).collect();
    vec![
        session.to_string(),
        if *running { "runs" } else { "ended" }.to_owned(),
        changes.map_or_else(|| "?".to_owned(), |it| it.all.to_string()),
        first.unwrap_or_default(),
        error.as_ref().map_or_else(|| trees.join(", "), |why| printable(why)),
    ]
}
