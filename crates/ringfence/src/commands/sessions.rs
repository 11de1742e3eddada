//! `sessions`: the sessions of this user, running and ended.

use ringfence_core::{Entry, Event, LayerStatus, SessionId, Summary};
use ringfence_log::LogReader;
use ringfence_runtime::registration::Description;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::view::State;
use serde::Serialize;

use super::context;
use crate::cli::SessionsArgs;
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::Screen;

/// What is said behind the state of a session in which nothing held a program against its will.
const ADVISORY: &str = ", advisory";

/// What is said behind the name of a server of tools.
const SERVER: &str = ", server";

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Columns of a screen on which a command has a line of its own, and those before it there.
const NARROW: usize = 100;
const COMMAND_AT: usize = 8;

/// One session, as `sessions --json` prints it, one per line.
#[derive(Debug, Serialize)]
struct Listed {
    schema: u32,
    session: SessionId,
    agent: String,
    command: Vec<String>,
    cwd: String,
    started_ms: u64,
    ended_ms: Option<u64>,
    state: State,
    /// Whether nothing held a program that did not want to be held.
    advisory: bool,
    /// Whether it is one server of tools, which began for another session or to be looked at.
    server: bool,
    summary: Option<Summary>,
}

pub(crate) fn list(args: &SessionsArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let running = context::running(&dirs)?;
    let mut sessions: Vec<Listed> = context::session_ids(&dirs)?
        .into_iter()
        .filter_map(|id| listed(&dirs, &running, id))
        .collect();
    sessions.sort_by(|a, b| (b.started_ms, &b.session).cmp(&(a.started_ms, &a.session)));
    if args.json {
        screen.json_lines(&sessions)?;
    } else if sessions.is_empty() {
        screen.note("no session of this user has left a log");
        screen.hint("to start one, run `ringfence run -- CMD`");
    } else {
        screen.data(&render(&sessions, screen.room()))?;
        screen.hint("to see what happened in one, run `ringfence show SESSION`");
    }
    Ok(Done::Yes)
}

fn listed(dirs: &StateDirs, running: &[Description], id: SessionId) -> Option<Listed> {
    let first = context::opening(dirs, &id)?;
    let Event::SessionOpened { agent, command, cwd, layers, server, .. } = first.entry.event else {
        return None;
    };
    let last = closing(dirs, &id);
    let (ended_ms, summary) = match last {
        Some(Entry { at_ms, event: Event::SessionClosed { summary } }) => {
            (Some(at_ms), Some(summary))
        }
        Some(_) | None => (None, None),
    };
    let state = State::of(summary.as_ref(), context::broker(dirs, &id, running));
    Some(Listed {
        schema: SCHEMA,
        session: id,
        agent,
        command,
        cwd: cwd.to_string(),
        started_ms: first.entry.at_ms,
        ended_ms,
        state,
        advisory: layers.iter().any(LayerStatus::is_advisory),
        server,
        summary,
    })
}

/// The last entry that can be read.
fn closing(dirs: &StateDirs, id: &SessionId) -> Option<Entry> {
    let reader = LogReader::open(&dirs.session(id)).ok()?;
    reader.filter_map(Result::ok).last().map(|logged| logged.entry)
}

/// Who a session is for; of a server of tools, that it is one.
fn agent(session: &Listed, columns: usize) -> String {
    let room = (columns / 8).max(16);
    if !session.server {
        return text::fit(&session.agent, room);
    }
    let name = text::fit(&session.agent, room.saturating_sub(SERVER.len()));
    format!("{name}{SERVER}")
}

fn render(sessions: &[Listed], columns: usize) -> String {
    let head = ["session", "started", "state", "denied", "agent", "command"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let marked = if sessions.iter().any(|it| it.advisory) { ADVISORY.len() } else { 0 };
    let before = if columns < NARROW { COMMAND_AT } else { 58 + marked };
    let command = columns.saturating_sub(before);
    for session in sessions {
        let (state, denied) = match (&session.summary, session.state) {
            (Some(summary), _) => {
                (format!("exit {}", summary.exit_code), summary.denied.to_string())
            }
            (None, State::Running) => ("running".to_owned(), "-".to_owned()),
            (None, State::Stopped) => ("stopped".to_owned(), "-".to_owned()),
            (None, State::Ended | State::Lost | State::Unreadable) => {
                ("lost".to_owned(), "-".to_owned())
            }
        };
        let state = if session.advisory { format!("{state}{ADVISORY}") } else { state };
        rows.push(vec![
            session.session.to_string(),
            text::moment(session.started_ms),
            state,
            denied,
            agent(session, columns),
            text::fit(&session.command.join(" "), command.max(20)),
        ]);
    }
    text::table_within(&rows, columns)
}
