//! `sandbox logs`: what was refused over the last sessions, and what did not start.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringfence_core::{EntryRef, SessionId};
use ringfence_runtime::account::failed::{self, FailedStart};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::view::{self, SessionView};
use ringfence_runtime::wording::printable;
use serde::Serialize;

use crate::cli::SandboxLogsArgs;
use crate::commands::context;
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::{Screen, Stream, Tone};

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Most different acts that are shown of one session; `--json` has all.
const ACTS_SHOWN_MAX: usize = 20;

/// The column at which an act is said.
const ACT_AT: usize = 10;

/// One session, as `--json` prints it, one a line.
#[derive(Debug, Serialize)]
struct Refusals {
    schema: u32,
    /// None where a start came to no session.
    session: Option<SessionId>,
    started_ms: u64,
    agent: String,
    command: Vec<String>,
    denied: Vec<DeniedOften>,
    /// System calls that no policy could speak of.
    calls_refused: usize,
    /// Why it did not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// What was denied, however often.
#[derive(Debug, Serialize)]
struct DeniedOften {
    act: String,
    rule: String,
    times: usize,
    /// The first entry of them.
    entry: String,
}

pub(super) fn logs(args: &SandboxLogsArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let mut sessions: Vec<(u64, SessionId)> = context::session_ids(&dirs)?
        .into_iter()
        .filter_map(|id| {
            let first = context::opening(&dirs, &id).filter(|it| !context::is_verification(it))?;
            Some((first.entry.at_ms, id))
        })
        .collect();
    sessions.sort_by(|a, b| b.cmp(a));
    let last = sessions.into_iter().take(args.last);
    let mut all: Vec<Refusals> = last.filter_map(|(_, id)| refusals(&dirs, id, screen)).collect();
    let sessions = all.len();
    with_failed(&mut all, failed::kept(&dirs).into_iter().rev().take(args.last));
    if args.json {
        screen.json_lines(&all)?;
        return Ok(Done::Yes);
    }
    if all.iter().all(Refusals::is_nothing) {
        let sessions = text::count(sessions, "session", "sessions");
        screen.note(&format!(
            "nothing was refused in the last {sessions}, and nothing failed to start"
        ));
        return Ok(Done::Yes);
    }
    screen.data(&render(&all, screen))?;
    if all.iter().any(|it| !it.denied.is_empty()) {
        screen.hint("to turn what a session was denied into a change of its policy, run `ringfence suggest SESSION`");
    }
    Ok(Done::Yes)
}

/// Starts that failed stand with their session, where they came to one, and by themselves elsewhere.
fn with_failed(all: &mut Vec<Refusals>, failed: impl Iterator<Item = FailedStart>) {
    for start in failed {
        let of = |it: &&mut Refusals| start.session.is_some() && it.session == start.session;
        if let Some(session) = all.iter_mut().find(of) {
            session.failed = Some(start.why);
            continue;
        }
        all.push(Refusals {
            schema: SCHEMA,
            session: start.session,
            started_ms: start.at_ms,
            agent: start.agent,
            command: start.command,
            denied: Vec::new(),
            calls_refused: 0,
            failed: Some(start.why),
        });
    }
    all.sort_by_key(|it| std::cmp::Reverse(it.started_ms));
}

impl Refusals {
    fn is_nothing(&self) -> bool {
        self.denied.is_empty() && self.calls_refused == 0 && self.failed.is_none()
    }
}

/// What can be read of a session; of what cannot, that there is more.
fn refusals(dirs: &StateDirs, session: SessionId, screen: &Screen) -> Option<Refusals> {
    let from = EntryRef { session: session.clone(), index: 0 };
    let mut damaged = false;
    let entries = context::reader(dirs, &from).map(|reader| {
        let whole = reader.map_while(|entry| {
            damaged |= entry.is_err();
            entry.ok()
        });
        view::view(whole.map(|logged| (logged.index, logged.entry)))
    });
    if damaged || entries.is_err() {
        screen.warn(&format!(
            "the log of session {session} cannot be read to its end: more may have been refused; to see \
             why, run `ringfence log verify {session}`"
        ));
    }
    Some(of_view(session, &entries.ok()?))
}

fn of_view(session: SessionId, view: &SessionView) -> Refusals {
    let mut denied: BTreeMap<(&str, &str), (usize, u64)> = BTreeMap::new();
    for act in &view.denials {
        denied.entry((&act.act, &act.rule)).or_insert((0, act.entry)).0 += 1;
    }
    let mut denied: Vec<DeniedOften> = denied
        .into_iter()
        .map(|((act, rule), (times, entry))| DeniedOften {
            act: act.to_owned(),
            rule: rule.to_owned(),
            times,
            entry: format!("{session}/{entry}"),
        })
        .collect();
    denied.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.act.cmp(&b.act)));
    Refusals {
        schema: SCHEMA,
        session: Some(session),
        started_ms: view.started_ms.unwrap_or_default(),
        agent: view.agent.clone(),
        command: view.command.clone(),
        denied,
        calls_refused: view.refused.len(),
        failed: None,
    }
}

fn render(all: &[Refusals], screen: &Screen) -> String {
    let paint = screen.paint(Stream::Out);
    let mut out = String::new();
    for it in all.iter().filter(|it| !it.is_nothing()) {
        let session = it.session.as_ref().map_or("no session".to_owned(), ToString::to_string);
        let head = format!("{session} {} {}", text::moment(it.started_ms), it.agent);
        out.push_str(&paint.tone(Tone::Heading, &printable(&head)));
        out.push('\n');
        if let Some(why) = &it.failed {
            let line = printable(&format!("did not start: {why}"));
            for line in text::fold(&line, screen.room().saturating_sub(2)) {
                let _ = writeln!(out, "  {line}");
            }
        }
        for denied in it.denied.iter().take(ACTS_SHOWN_MAX) {
            let DeniedOften { act, rule, times, entry } = denied;
            let text = format!("{act} ({rule}) {entry}");
            let mut lines = text::fold(&text, screen.room().saturating_sub(ACT_AT)).into_iter();
            let _ = writeln!(out, "  {times:>4} x  {}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(out, "{:ACT_AT$}{line}", "");
            }
        }
        let more = it.denied.len().saturating_sub(ACTS_SHOWN_MAX);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more: `ringfence show {session}`");
        }
        if it.calls_refused > 0 {
            let calls = it.calls_refused;
            let _ = writeln!(out, "  {calls:>4} x  system calls that no rule can name");
        }
    }
    out
}
