//! Processes as a table whose last column is a tree.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use ringfence_core::Exit;
use ringfence_runtime::view::{FsChanges, ResourceUsage, SessionView, Span};

use super::super::text::{bytes, count, duration, fit, right};
use super::super::tree;
use super::{Style, more};
use crate::screen::Tone;

/// Most lines of the tree; `--json` has them all.
const TREE_LINES_MAX: usize = 400;
/// Most denials and questions under one process; `--json` has them all.
const NOTES_MAX: usize = 5;
/// Width of a number in the tree, in columns.
const NUMBER_COLUMNS: usize = 7;
/// Least room of a command, in columns.
const COMMAND_COLUMNS_MIN: usize = 20;

/// A number of the tree.
#[derive(Debug, Clone, Copy)]
enum Column {
    Exit,
    Time,
    Cpu,
    Memory,
    Read,
    Written,
    Sent,
    Received,
}

/// The processes, each on one line.
pub(super) fn table(view: &SessionView, style: Style) -> String {
    lines(view, (&columns(view, Network::Elsewhere), style), |_, _| Vec::new())
}

/// The processes, each with what it changed and what it was denied beneath it.
pub(super) fn tree(view: &SessionView, style: Style) -> String {
    let stopped = stopped(view);
    let images = Images::of(view);
    let notes = |view: &SessionView, span: &Span| {
        let stopped = stopped.get(span.span_id.as_str()).map_or(&[][..], Vec::as_slice);
        let mut notes = notes(view, span, stopped);
        notes.splice(0..0, images.before(span));
        notes
    };
    let text = lines(view, (&columns(view, Network::Here), style), notes);
    let nobody = view.denials.iter().filter(|denial| denial.span.is_none()).count();
    if nobody == 0 {
        return text;
    }
    let nobody = count(nobody, "denied act", "denied acts");
    format!("{text}{nobody} of processes that could not be told: `ringfence show` has them\n")
}

/// The programs that processes ran one after the other.
struct Images<'a> {
    all: HashMap<&'a str, &'a Span>,
    /// Those with a line of their own.
    shown: HashSet<&'a str>,
}

impl<'a> Images<'a> {
    fn of(view: &'a SessionView) -> Images<'a> {
        let name = |span: &'a Span| span.span_id.as_str();
        Images {
            all: view.spans.iter().map(|span| (name(span), span)).collect(),
            shown: tree::shown(view).into_iter().map(name).collect(),
        }
    }

    /// What a process ran before and replaced by exec, the first of it first, where no line says so.
    fn before(&self, span: &Span) -> Vec<String> {
        let replaced = |span: &Span| self.all.get(span.replaces.as_deref()?).copied();
        let hidden =
            |span: &Span| replaced(span).filter(|it| !self.shown.contains(it.span_id.as_str()));
        let mut all: Vec<String> = std::iter::successors(hidden(span), |it| hidden(it))
            .take(NOTES_MAX)
            .map(|it| format!("in place of (exec)  {}", command(it)))
            .collect();
        all.reverse();
        all
    }
}

/// Whether bytes over the network have columns, or a list of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Here,
    Elsewhere,
}

fn columns(view: &SessionView, network: Network) -> Vec<Column> {
    let known = |of: fn(&ResourceUsage) -> Option<u64>| {
        view.spans.iter().any(|span| of(&span.resource_usage).is_some())
    };
    let mut columns = vec![Column::Exit, Column::Time, Column::Cpu, Column::Memory];
    if known(|usage| usage.disk_read_bytes) || known(|usage| usage.disk_write_bytes) {
        columns.extend([Column::Read, Column::Written]);
    }
    let carried = view.spans.iter().any(|span| span.network_activity.bytes_sent.is_some());
    if network == Network::Here && carried {
        columns.extend([Column::Sent, Column::Received]);
    }
    columns
}

fn lines(
    view: &SessionView,
    (columns, style): (&[Column], Style),
    notes: impl Fn(&SessionView, &Span) -> Vec<String>,
) -> String {
    let lines = tree::lines(view);
    if lines.is_empty() {
        return String::new();
    }
    let title = columns
        .iter()
        .fold(String::new(), |line, column| line + &right(column_title(*column), NUMBER_COLUMNS));
    let mut out = style.paint.tone(Tone::Quiet, &format!("{title}  process")) + "\n";
    let numbers_columns = columns.len() * NUMBER_COLUMNS;
    let room = style.columns.saturating_sub(numbers_columns + 2).max(COMMAND_COLUMNS_MIN);
    for node in lines.iter().take(TREE_LINES_MAX) {
        let numbers = columns.iter().fold(String::new(), |line, column| {
            line + &right(&number(*column, node.span), NUMBER_COLUMNS)
        });
        let text = fit(&format!("{}{}", node.branch, command(node.span)), room);
        let _ = writeln!(out, "{numbers}  {text}");
        for note in notes(view, node.span) {
            let text = fit(&format!("{}{note}", node.beneath), room);
            let _ = writeln!(out, "{}  {text}", " ".repeat(numbers_columns));
        }
    }
    out.push_str(&more(lines.len(), TREE_LINES_MAX, "process", "processes"));
    if view.spans.iter().any(|span| span.resource_usage.sampled) {
        let note = "~ sampled while it ran, the last moments may be missing; - not known";
        out.push_str(&(style.paint.tone(Tone::Quiet, note) + "\n"));
    }
    out
}

fn column_title(column: Column) -> &'static str {
    match column {
        Column::Exit => "exit",
        Column::Time => "time",
        Column::Cpu => "cpu",
        Column::Memory => "memory",
        Column::Read => "read",
        Column::Written => "wrote",
        Column::Sent => "sent",
        Column::Received => "recvd",
    }
}

fn number(column: Column, span: &Span) -> String {
    let usage = &span.resource_usage;
    let sampled = |value: Option<String>| match value {
        Some(value) if usage.sampled => format!("~{value}"),
        Some(value) => value,
        None => "-".to_owned(),
    };
    let counted = |value: Option<u64>| value.map_or("-".to_owned(), bytes);
    match column {
        Column::Exit => match span.exit {
            Some(Exit::Code(code)) => code.to_string(),
            Some(Exit::Signal(signal)) => format!("sig {signal}"),
            Some(Exit::Unknown) | None => "-".to_owned(),
        },
        Column::Time => span.duration_ms.map_or("-".to_owned(), duration),
        Column::Cpu => sampled(usage.cpu_time_ms.map(duration)),
        Column::Memory => sampled(usage.peak_memory_mb.map(|mb| bytes(mb << 20))),
        Column::Read => sampled(usage.disk_read_bytes.map(bytes)),
        Column::Written => sampled(usage.disk_write_bytes.map(bytes)),
        Column::Sent => counted(span.network_activity.bytes_sent),
        Column::Received => counted(span.network_activity.bytes_received),
    }
}

/// What a process runs, as lists and trees name it.
pub(in super::super) fn command(span: &Span) -> String {
    let forked = if span.forked { "(fork of) " } else { "" };
    let error = span.error.as_ref().map_or(String::new(), |error| format!("  [{error}]"));
    format!("{forked}{}{error}", span.command)
}

/// What was denied or asked, by the span that tried it, in order.
fn stopped(view: &SessionView) -> HashMap<&str, Vec<(u64, String)>> {
    let mut all: Vec<(u64, &str, String)> = Vec::new();
    for denial in &view.denials {
        let span = denial.span.as_deref().unwrap_or_default();
        all.push((denial.entry, span, format!("denied  {}", denial.act)));
    }
    for asked in &view.questions {
        let span = asked.span.as_deref().unwrap_or_default();
        all.push((asked.entry, span, format!("asked   {}", asked.act)));
    }
    for call in &view.refused {
        let span = call.span.as_deref().unwrap_or_default();
        all.push((call.entry, span, format!("refused {}: {}", call.syscall, call.why)));
    }
    all.sort_by_key(|(entry, ..)| *entry);
    let mut by_span: HashMap<&str, Vec<(u64, String)>> = HashMap::new();
    for (entry, span, text) in all {
        by_span.entry(span).or_default().push((entry, text));
    }
    by_span
}

fn notes(view: &SessionView, span: &Span, stopped: &[(u64, String)]) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(cwd) = span.cwd.as_ref().filter(|cwd| view.cwd.as_ref() != Some(cwd)) {
        notes.push(format!("in {cwd}"));
    }
    notes.extend(span.limit.iter().map(|limit| format!("ended by `{limit}`")));
    if let Some(changes) = changes(&span.fs_changes) {
        notes.push(changes);
    }
    notes.extend(super::reads::of_span(&span.file_reads));
    let shown = stopped.iter().take(NOTES_MAX);
    notes.extend(shown.map(|(entry, text)| format!("{entry} {text}")));
    if let left @ 1.. = stopped.len().saturating_sub(NOTES_MAX) {
        notes.push(format!("and {left} more: `--json` prints all"));
    }
    notes
}

/// How many files were changed; nothing where none were.
fn changes(changes: &FsChanges) -> Option<String> {
    let FsChanges { created, modified, deleted } = changes;
    let kinds = [(created, "created"), (modified, "modified"), (deleted, "deleted")];
    let said: Vec<String> = kinds
        .iter()
        .filter(|(files, _)| !files.is_empty())
        .map(|(files, what)| format!("{} {what}", files.len()))
        .collect();
    (!said.is_empty()).then(|| format!("files: {}", said.join(", ")))
}
