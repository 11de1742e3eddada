//! A session as `show` prints it: processes as a tree, then files, connections and denials.

mod calls;
mod failed;
mod processes;
mod questions;
mod reads;
mod requests;
mod secrets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use ringfence_core::{AbsolutePath, LayerState};
use ringfence_runtime::view::{ConnectionView, EndpointView, FsChanges, SessionView, Span, State};
use ringfence_runtime::wording::printable;

use super::entry;
use super::text::{self, bytes, count, duration, fit, moment, table, wrap};
use crate::screen::{Paint, Tone};

pub(super) use processes::command;

/// Most lines of one list; `--json` has them all.
const LIST_LINES_MAX: usize = 40;
/// Most reasons for which connections to one endpoint failed; `--json` has them all.
const REASONS_MAX: usize = 3;

/// Width of sentences where nothing is cut, in columns.
const PROSE_COLUMNS: usize = 80;

/// How wide, and how coloured.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Width, in columns; `usize::MAX` where nothing is cut.
    pub columns: usize,
    /// Colour.
    pub paint: Paint,
}

impl Style {
    /// Width of sentences, which nobody reads line by line.
    fn prose(self) -> usize {
        if self.columns == usize::MAX { PROSE_COLUMNS } else { self.columns }
    }

    /// Room for a text that is cut to so many columns where lines are cut at all.
    fn cut(self, columns: usize) -> usize {
        if self.columns == usize::MAX { usize::MAX } else { columns }
    }
}

/// The whole text.
pub fn render(view: &SessionView, style: Style) -> String {
    let parts = [
        head(view, style),
        processes::table(view, style),
        files(view, style),
        connections(view, style),
        requests::requests(view, style),
        calls::calls(view, style),
        arrivals(view, style),
        denials(view, style),
        failed::failed(view, style),
        reads::denied(view, style),
        refused(view, style),
        secrets::used(view, style),
        secrets::misused(view, style),
        secrets::leases(view, style),
        questions::questions(view, style),
        grants(view, style),
        quarantine(view, style),
        taken_back(view, style),
        covered_again(view, style),
        foot(view, style),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The processes alone, each with what it changed and what it was denied.
pub fn render_tree(view: &SessionView, style: Style) -> String {
    [head(view, style), processes::tree(view, style)].join("\n")
}

pub(super) fn head(view: &SessionView, style: Style) -> String {
    let session = view.session.as_ref().map_or("?".to_owned(), ToString::to_string);
    let length = view.ended_ms.zip(view.started_ms).map(|(end, start)| end.saturating_sub(start));
    let end = match (&view.summary, length) {
        (Some(summary), Some(ms)) => format!("exit {} after {}", summary.exit_code, duration(ms)),
        (Some(summary), None) => format!("exit {}", summary.exit_code),
        (None, _) => match view.state {
            State::Running => "it is running".to_owned(),
            State::Stopped => "it is stopped".to_owned(),
            State::Unreadable => "how it ended cannot be read".to_owned(),
            State::Ended | State::Lost => "no end recorded: its broker died".to_owned(),
        },
    };
    let title = style.paint.tone(Tone::Heading, &format!("session {session}"));
    let agent = fit(&view.agent, style.cut(30));
    let command = fit(&view.command.join(" "), style.columns.saturating_sub(2));
    let place = view.cwd.as_ref().map_or("?".to_owned(), |cwd| fit(cwd.as_str(), style.cut(46)));
    let started = view.started_ms.map_or("?".to_owned(), moment);
    let advisory = if view.advisory { format!("  {}\n", entry::ADVISORY) } else { String::new() };
    let is = if view.server { "server of tools" } else { "agent" };
    format!("{title}  {is} `{agent}`  {end}\n  {command}\n  in {place}, {started}\n{advisory}")
}

/// The name of the program a span runs, for lists.
fn program(span: &Span) -> String {
    let name = span.program.as_ref().map(ringfence_core::AbsolutePath::file_name);
    let first = || span.command.split(' ').next().unwrap_or("").to_owned();
    fit(&name.map_or_else(first, str::to_owned), 20)
}

fn files(view: &SessionView, style: Style) -> String {
    let spans = view.spans.iter().map(|span| (&span.fs_changes, program(span)));
    let nobody = std::iter::once((&view.unattributed.fs_changes, String::new()));
    let mut changed: BTreeMap<String, (BTreeSet<&str>, Vec<String>)> = BTreeMap::new();
    for (changes, who) in spans.chain(nobody) {
        for (mark, path) in marked(changes) {
            let (marks, by) = changed.entry(path).or_default();
            marks.insert(mark);
            if !who.is_empty() && !by.contains(&who) {
                by.push(who.clone());
            }
        }
    }
    if changed.is_empty() {
        return String::new();
    }
    let title = count(changed.len(), "file changed", "files changed");
    let mut rows = Vec::new();
    for (path, (marks, by)) in changed.iter().take(LIST_LINES_MAX) {
        let marks: String = marks.iter().copied().collect();
        let path = relative(view, path);
        let room = style.columns.saturating_sub(28).max(30);
        rows.push(vec![format!("  {marks}"), fit(&path, room), fit(&by.join(", "), style.cut(18))]);
    }
    let legend = style.paint.tone(Tone::Quiet, "  + created  ~ modified  - deleted");
    let title = style.paint.tone(Tone::Heading, &title);
    let more = more(changed.len(), LIST_LINES_MAX, "file", "files");
    format!("{title}{legend}\n{}{more}", table(&rows))
}

fn marked(changes: &FsChanges) -> impl Iterator<Item = (&'static str, String)> + '_ {
    let list = |mark, paths: &'_ [ringfence_core::AbsolutePath]| {
        paths.iter().map(move |path| (mark, path.to_string())).collect::<Vec<_>>()
    };
    let created = list("+", &changes.created);
    let modified = list("~", &changes.modified);
    let deleted = list("-", &changes.deleted);
    created.into_iter().chain(modified).chain(deleted)
}

/// A path as seen from where the session began.
fn relative(view: &SessionView, path: &str) -> String {
    let inside =
        view.cwd.as_ref().filter(|cwd| cwd.as_str() != "/").and_then(|cwd| {
            path.strip_prefix(cwd.as_str()).and_then(|rest| rest.strip_prefix('/'))
        });
    inside.unwrap_or(path).to_owned()
}

/// The sums by endpoint, with the programs behind them.
fn connections(view: &SessionView, style: Style) -> String {
    let mut behind: BTreeMap<&str, (BTreeSet<String>, Vec<&ConnectionView>)> = BTreeMap::new();
    let spans = view.spans.iter().map(|span| (program(span), &span.network_activity));
    let nobody = ("?".to_owned(), &view.unattributed.network_activity);
    for (who, activity) in spans.chain([nobody]) {
        for connection in &activity.connections {
            let (programs, list) = behind.entry(&connection.endpoint).or_default();
            programs.insert(who.clone());
            list.push(connection);
        }
    }
    if behind.is_empty() {
        return String::new();
    }
    let total = behind.values().map(|(_, list)| list.len()).sum();
    let row = |sum: &EndpointView| {
        let nobody = (BTreeSet::new(), Vec::new());
        let (programs, list) = behind.get(sum.endpoint.as_str()).unwrap_or(&nobody);
        let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
        let known = |bytes_known: Option<u64>| bytes_known.map_or("-".to_owned(), bytes);
        vec![
            format!("  {}", fit(&sum.endpoint, style.cut(40))),
            format!("sent {}", known(sum.bytes_sent)),
            format!("received {}", known(sum.bytes_received)),
            if sum.connections > 1 { format!("{} times", sum.connections) } else { String::new() },
            requests::sum(sum),
            fit(&programs.join(", "), style.cut(20)),
            failed(list, style),
        ]
    };
    let rows: Vec<Vec<String>> = view.endpoints.iter().take(LIST_LINES_MAX).map(row).collect();
    let title = style.paint.tone(Tone::Heading, &count(total, "connection", "connections"));
    let more = more(view.endpoints.len(), LIST_LINES_MAX, "endpoint", "endpoints");
    format!("{title}\n{}{more}", table(&rows))
}

fn arrivals(view: &SessionView, style: Style) -> String {
    let mut by_port: BTreeMap<&str, Vec<&ConnectionView>> = BTreeMap::new();
    for arrival in &view.arrivals {
        by_port.entry(&arrival.connection.endpoint).or_default().push(&arrival.connection);
    }
    if by_port.is_empty() {
        return String::new();
    }
    let row = |(endpoint, list): (&&str, &Vec<&ConnectionView>)| {
        let times = if list.len() > 1 { format!("{} times", list.len()) } else { String::new() };
        vec![
            format!("  {}", fit(endpoint, style.cut(40))),
            format!("sent {}", sum(list, |one| one.bytes_sent)),
            format!("received {}", sum(list, |one| one.bytes_received)),
            times,
            failed(list, style),
        ]
    };
    let rows: Vec<Vec<String>> = by_port.iter().take(LIST_LINES_MAX).map(row).collect();
    let title = count(view.arrivals.len(), "connection", "connections") + " from this host";
    let more = more(by_port.len(), LIST_LINES_MAX, "port", "ports");
    format!("{}\n{}{more}", style.paint.tone(Tone::Heading, &title), table(&rows))
}

/// Why connections failed, if some did: each reason with its number.
fn failed(list: &[&ConnectionView], style: Style) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for error in list.iter().filter_map(|one| one.error.as_deref()) {
        *reasons.entry(error).or_default() += 1;
    }
    let said = reasons.iter().take(REASONS_MAX).map(|(error, times)| {
        let times = if *times > 1 { format!(" {times} times") } else { String::new() };
        format!("failed{times}: {}", fit(error, style.cut(40)))
    });
    let mut said: Vec<String> = said.collect();
    if let more @ 1.. = reasons.len().saturating_sub(REASONS_MAX) {
        said.push(format!("and for {}", count(more, "other reason", "other reasons")));
    }
    said.join("; ")
}

/// The sum of what is known; `-` when nothing is.
fn sum(list: &[&ConnectionView], of: fn(&ConnectionView) -> Option<u64>) -> String {
    total_of(list.iter().map(|one| of(one)))
}

fn total_of(all: impl Iterator<Item = Option<u64>>) -> String {
    let known: Vec<u64> = all.flatten().collect();
    if known.is_empty() {
        return "-".to_owned();
    }
    bytes(known.into_iter().fold(0, u64::saturating_add))
}

fn denials(view: &SessionView, style: Style) -> String {
    let mut order: Vec<(&str, &str)> = Vec::new();
    let mut groups: HashMap<(&str, &str), Vec<u64>> = HashMap::new();
    for denial in &view.denials {
        let key = (denial.act.as_str(), denial.rule.as_str());
        let entries = groups.entry(key).or_default();
        if entries.is_empty() {
            order.push(key);
        }
        entries.push(denial.entry);
    }
    if order.is_empty() {
        return String::new();
    }
    let title = format!("{} denied", count(view.denials.len(), "act", "acts"));
    let mut out = style.paint.tone(Tone::Heading, &title) + "\n";
    for key in order.iter().take(LIST_LINES_MAX) {
        let entries = groups.get(key).map_or(&[][..], Vec::as_slice);
        let first = entries.first().copied().unwrap_or(0);
        let times = match entries.len() {
            0 | 1 => String::new(),
            times => format!(" ({times} times)"),
        };
        let room = style.columns.saturating_sub(9);
        let (act, rule) = (fit(key.0, room.saturating_sub(times.len())), fit(key.1, room));
        let rule = style.paint.tone(Tone::Quiet, &rule);
        let _ = writeln!(out, "{first:>7}  {act}{times}\n         {rule}");
    }
    out + &more(order.len(), LIST_LINES_MAX, "denial", "denials")
}

fn refused(view: &SessionView, style: Style) -> String {
    if view.refused.is_empty() {
        return String::new();
    }
    let title = format!("{} that no policy can name", count(view.refused.len(), "call", "calls"));
    let mut out = style.paint.tone(Tone::Heading, &title) + "\n";
    for call in view.refused.iter().take(LIST_LINES_MAX) {
        let said = fit(&format!("{}: {}", call.syscall, call.why), style.columns.saturating_sub(9));
        let _ = writeln!(out, "{:>7}  {said}", call.entry);
    }
    out + &more(view.refused.len(), LIST_LINES_MAX, "call", "calls")
}

fn grants(view: &SessionView, style: Style) -> String {
    if view.grants.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = view
        .grants
        .iter()
        .map(|grant| {
            let text = grant.text.as_deref().map_or(String::new(), |text| fit(text, style.cut(40)));
            let scope = grant.scope.as_deref().map_or(String::new(), printable);
            let survivors = match grant.survivors.len() {
                0 => String::new(),
                left => format!("{left} open uses survive it"),
            };
            vec![
                format!("{:>7}", grant.entry),
                grant.change.to_owned(),
                printable(&grant.id),
                text,
                scope,
                format!("by {}", printable(&grant.by)),
                survivors,
            ]
        })
        .collect();
    format!("{}\n{}", style.paint.tone(Tone::Heading, "grants"), table(&rows))
}

fn quarantine(view: &SessionView, style: Style) -> String {
    let title = "held back: these would run code outside until accepted";
    paths(title, &view.quarantined, style)
}

fn covered_again(view: &SessionView, style: Style) -> String {
    paths("covered again: replaced from outside while it ran", &view.covered_again, style)
}

fn paths(title: &str, paths: &[AbsolutePath], style: Style) -> String {
    if paths.is_empty() {
        return String::new();
    }
    let lines = paths.iter().take(LIST_LINES_MAX).fold(String::new(), |out, path| {
        out + "  " + &fit(path.as_str(), style.columns.saturating_sub(2)) + "\n"
    });
    let more = more(paths.len(), LIST_LINES_MAX, "file", "files");
    format!("{}\n{lines}{more}", style.paint.tone(Tone::Warning, title))
}

fn taken_back(view: &SessionView, style: Style) -> String {
    if view.taken_back.is_empty() {
        return String::new();
    }
    let title = style.paint.tone(Tone::Heading, "changes of git configuration");
    let mut out = format!("{title}\n");
    for back in view.taken_back.iter().take(LIST_LINES_MAX) {
        let mut entry = back.entry.to_string();
        for line in wrap(&entry::taken_back(&back.what), style.prose().saturating_sub(9)) {
            let _ = writeln!(out, "{entry:>7}  {line}");
            entry.clear();
        }
    }
    out + &more(view.taken_back.len(), LIST_LINES_MAX, "file", "files")
}

fn foot(view: &SessionView, style: Style) -> String {
    let mut out = String::new();
    if let Some(reached) = &view.limit_reached {
        let why = reached.unseen.as_deref().map(printable);
        let why = why.map(|why| format!(", which could not be seen: {why}")).unwrap_or_default();
        let text = format!("ended by its limit: {} = {}{why}", reached.limit, reached.most);
        out.push_str(&(style.paint.tone(Tone::Warning, &text) + "\n"));
    }
    for layer in &view.layers {
        let state = match layer.state {
            LayerState::Enforced => continue,
            LayerState::Degraded => "degraded",
            LayerState::Off => "off",
        };
        let text = format!("{} is {state}: {}", printable(&layer.layer), printable(&layer.detail));
        out.push_str(&(style.paint.tone(Tone::Warning, &text) + "\n"));
    }
    if let Some(summary) = &view.summary {
        let acts = [summary.permitted, summary.denied, summary.asked, summary.failed];
        let files = usize::try_from(summary.files_changed).unwrap_or(usize::MAX);
        let files = count(files, "file changed", "files changed");
        let _ = writeln!(out, "{}, {files}", text::acts(acts));
    }
    for line in wrap(view.reads, style.prose()) {
        let _ = writeln!(out, "{}", style.paint.tone(Tone::Quiet, &line));
    }
    out
}

pub(super) fn more(all: usize, shown: usize, one: &str, many: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => format!("  and {} more: `--json` prints all\n", count(left, one, many)),
    }
}

#[cfg(test)]
mod tests;
