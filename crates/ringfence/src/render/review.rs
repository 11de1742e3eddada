//! What waits for review, as text and as JSON.

mod bulk;

use std::fmt::Write as _;

use ringfence_core::SessionId;
use ringfence_runtime::review::{self, Change, Diff, Held, Kept, Kind, What};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde::Serialize;

use super::text;
use crate::screen::{Paint, Tone};
pub(crate) use bulk::Fold;
use bulk::{Bulk, fold};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// Most changes of a tree that the first screen names.
const NAMED_MAX: usize = 20;
/// Most of what is to be looked at first that is named.
const LOOK_FIRST_MAX: usize = 40;

/// All that waits of a session, as `review show --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    schema: u32,
    session: &'a SessionId,
    trees: Vec<ShownTree<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownTree<'a> {
    path: String,
    added: usize,
    modified: usize,
    mode: usize,
    attributes: usize,
    deleted: usize,
    bytes: u64,
    changes: Vec<ShownChange<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownChange<'a> {
    path: String,
    kind: Kind,
    what: What,
    bytes: u64,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode_before: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    attributes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    leads_out: &'a Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    within: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_runs: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: &'a Option<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// For programs.
pub(crate) fn as_json<'a>(dirs: &StateDirs, kept: &'a Kept, changes: &'a [Change]) -> Shown<'a> {
    let trees = kept.trees.iter().enumerate().map(|(number, tree)| {
        let own: Vec<&Change> = changes.iter().filter(|it| it.tree == number).collect();
        let count = |kind| own.iter().filter(|it| it.kind == kind).count();
        ShownTree {
            path: tree.path.to_string_lossy().into_owned(),
            added: count(Kind::Added),
            modified: count(Kind::Modified),
            mode: count(Kind::Mode),
            attributes: count(Kind::Attributes),
            deleted: count(Kind::Deleted),
            bytes: own.iter().filter(|it| it.kind != Kind::Deleted).map(|it| it.bytes).sum(),
            changes: own.iter().map(|change| shown(dirs, kept, change)).collect(),
        }
    });
    Shown { schema: SCHEMA, session: &kept.session, trees: trees.collect() }
}

fn shown<'a>(dirs: &StateDirs, kept: &Kept, change: &'a Change) -> ShownChange<'a> {
    let (mut diff, mut link) = (None, None);
    match review::diff(dirs, kept, change) {
        Ok(Diff::Text(text)) => diff = Some(text),
        Ok(Diff::Link(says)) => link = Some(says),
        Ok(Diff::Binary | Diff::Large | Diff::Nothing) | Err(_) => {}
    }
    let Change { kind, what, bytes, within, host_runs, secret, held, .. } = change;
    ShownChange {
        path: change.path.to_string_lossy().into_owned(),
        kind: *kind,
        what: *what,
        bytes: *bytes,
        mode: octal(change.mode),
        mode_before: change.mode_before.map(octal),
        attributes: &change.attributes,
        leads_out: &change.leads_out,
        within: *within,
        host_runs,
        secret,
        held,
        diff,
        link,
    }
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// What a person sees first: how much there is, and what to look at before all else.
pub(crate) fn first_screen(kept: &Kept, changes: &[Change], how: Fold, paint: Paint) -> String {
    let mut out = summary(kept, changes, paint);
    let (single, bulks) = fold(changes, how);
    for change in single.iter().take(NAMED_MAX) {
        let _ = writeln!(out, "  {}", line(change, paint));
    }
    let more = single.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let _ = writeln!(out, "  and {} more", text::count(more, "change", "changes"));
    }
    for bulk in bulks.iter().take(NAMED_MAX) {
        let _ = writeln!(out, "  {}", bulk_line(bulk, paint));
    }
    let more = bulks.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let _ =
            writeln!(out, "  and {} more", text::count(more, "such directory", "such directories"));
    }
    out
}

/// All changes, one a line, with how many lines of text came and went.
pub(crate) fn stat(
    dirs: &StateDirs,
    kept: &Kept,
    (changes, how): (&[Change], Fold),
    paint: Paint,
) -> String {
    let mut out = summary(kept, changes, paint);
    let (single, bulks) = fold(changes, how);
    for change in single {
        let lines = match review::diff(dirs, kept, change) {
            Ok(Diff::Text(text)) => lines_of(&text),
            Ok(Diff::Binary | Diff::Large | Diff::Link(_) | Diff::Nothing) | Err(_) => {
                String::new()
            }
        };
        let _ = writeln!(out, "  {}{lines}", line(change, paint));
    }
    for bulk in &bulks {
        let _ = writeln!(out, "  {}", bulk_line(bulk, paint));
    }
    out
}

fn lines_of(diff: &str) -> String {
    let count = |sign| diff.lines().filter(|line| line.starts_with(sign)).count();
    format!("  +{} -{}", count('+'), count('-'))
}

/// How much there is, and what to look at before all else.
fn summary(kept: &Kept, changes: &[Change], paint: Paint) -> String {
    let total = text::count(changes.len(), "change waits", "changes wait");
    let heading = format!("session {}: {total} for review", kept.session);
    let mut out = format!("{}\n", paint.tone(Tone::Heading, &heading));
    for (number, tree) in kept.trees.iter().enumerate() {
        let own: Vec<&Change> = changes.iter().filter(|it| it.tree == number).collect();
        if !own.is_empty() {
            let path = printable(&tree.path.to_string_lossy());
            let _ = writeln!(out, "  {path}  {}", counts(&own));
        }
    }
    look_first(changes, paint, &mut out);
    out.push('\n');
    out
}

/// A directory whose content is not named one by one.
fn bulk_line(bulk: &Bulk<'_>, paint: Paint) -> String {
    let path = printable(&bulk.path.to_string_lossy());
    let counts = counts(&bulk.changes);
    format!("{} {path}/ ({counts}; `--all` names them)", paint.tone(Tone::Quiet, "*"))
}

fn counts(own: &[&Change]) -> String {
    let kinds = [
        (Kind::Added, "added"),
        (Kind::Modified, "modified"),
        (Kind::Mode, "with other permissions"),
        (Kind::Attributes, "with other attributes"),
        (Kind::Deleted, "deleted"),
    ];
    let mut parts: Vec<String> = kinds
        .iter()
        .map(|(kind, word)| (own.iter().filter(|it| it.kind == *kind).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let new = own.iter().filter(|it| it.kind != Kind::Deleted).map(|it| it.bytes).sum();
    parts.push(text::bytes(new));
    parts.join(", ")
}

/// What is not as other changes are.
fn look_first(changes: &[Change], paint: Paint, out: &mut String) {
    let rows = warnings(changes, paint);
    if !rows.is_empty() {
        let _ = writeln!(out, "\n{}", paint.tone(Tone::Heading, "look at this first"));
        for row in &rows {
            let _ = writeln!(out, "  {row}");
        }
    }
}

/// The lines that warn of changes: first what the host would run, then what cannot be committed, then
/// links that lead elsewhere, then what looks like a secret, of which there may be many.
pub(crate) fn warnings(changes: &[Change], paint: Paint) -> Vec<String> {
    let row = |tone, label: &str, change: &Change, why: &str| {
        let path = printable(&change.path.to_string_lossy());
        format!("{} {path}: {}", paint.tone(tone, label), printable(why))
    };
    let runs = changes
        .iter()
        .filter_map(|change| Some(row(Tone::Bad, "host runs", change, change.host_runs.as_ref()?)));
    let held = changes.iter().filter_map(|change| {
        let held = change.held.as_ref()?;
        Some(row(Tone::Bad, label(held), change, &held.to_string()))
    });
    let secret = changes
        .iter()
        .filter_map(|change| Some(row(Tone::Warning, "secret?", change, change.secret.as_ref()?)));
    let leads_out = changes.iter().filter_map(|change| {
        let why = format!("a link out of the tree, to {}", change.leads_out.as_ref()?);
        Some(row(Tone::Warning, "leads out", change, &why))
    });
    let mut rows: Vec<String> = runs.chain(held).chain(leads_out).chain(secret).collect();
    let more = rows.len().saturating_sub(LOOK_FIRST_MAX);
    if more > 0 {
        rows.truncate(LOOK_FIRST_MAX);
        rows.push(format!("and {more} more: `ringfence review show --json` has all of them"));
    }
    rows
}

fn label(held: &Held) -> &'static str {
    match held {
        Held::Conflict(_) => "conflict",
        Held::Forged(_) => "forged",
        Held::Unreadable(_) => "unreadable",
        Held::Special(_) => "stays",
    }
}

fn line(change: &Change, paint: Paint) -> String {
    let path = printable(&change.path.to_string_lossy());
    let (letter, tone) = match change.kind {
        Kind::Added => ("A", Tone::Good),
        Kind::Modified => ("M", Tone::Warning),
        Kind::Mode => ("P", Tone::Warning),
        Kind::Attributes => ("X", Tone::Warning),
        Kind::Deleted => ("D", Tone::Bad),
    };
    let slash = if change.what == What::Dir { "/" } else { "" };
    let said = details(change).join(", ");
    let said = if said.is_empty() { said } else { format!(" ({said})") };
    format!("{} {path}{slash}{said}", paint.tone(tone, letter))
}

/// What there is to say of a change besides its name.
fn details(change: &Change) -> Vec<String> {
    let mut all = Vec::new();
    match (change.what, change.kind) {
        (What::Dir, Kind::Deleted) => {
            let within = usize::try_from(change.within).unwrap_or(usize::MAX);
            all.push(format!("{} in it", text::count(within, "name", "names")));
        }
        (What::File, Kind::Added | Kind::Modified | Kind::Deleted) => {
            all.push(text::bytes(change.bytes));
        }
        (What::File, Kind::Mode | Kind::Attributes) | (What::Dir | What::Link | What::Other, _) => {
        }
    }
    let (mode, runs) = (octal(change.mode), change.mode & 0o111 != 0);
    let is_new_file = change.what == What::File && change.kind == Kind::Added;
    match change.mode_before {
        Some(before) => all.push(format!("mode {}, now {mode}", octal(before))),
        None if is_new_file && runs => all.push(format!("executable, mode {mode}")),
        None => {}
    }
    if !change.attributes.is_empty() {
        let names: Vec<String> = change.attributes.iter().map(|it| printable(it)).collect();
        all.push(format!("attributes {}", names.join(" ")));
    }
    all
}

/// All differences, tree by tree; last what is not named one by one.
pub(crate) fn differences(
    dirs: &StateDirs,
    kept: &Kept,
    (changes, how): (&[Change], Fold),
    paint: Paint,
) -> String {
    let mut out = String::new();
    let (single, bulks) = fold(changes, how);
    for change in single {
        let heading = line(change, Paint::PLAIN);
        let body = match review::diff(dirs, kept, change) {
            Ok(Diff::Text(text)) => colored(&text, paint),
            Ok(Diff::Binary) => "  not text\n".to_owned(),
            Ok(Diff::Large) => "  too large to be compared here\n".to_owned(),
            Ok(Diff::Link(says)) => format!("  leads to {}\n", printable(&says)),
            // What has no content to compare is a change all the same.
            Ok(Diff::Nothing) => String::new(),
            Err(error) => format!("  cannot be read: {error}\n"),
        };
        let _ = writeln!(out, "{}\n{body}", paint.tone(Tone::Heading, &heading));
    }
    for bulk in &bulks {
        let _ = writeln!(out, "{}", bulk_line(bulk, paint));
    }
    out
}

fn colored(diff: &str, paint: Paint) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Quiet),
            Some(_) | None => None,
        };
        let safe = line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
        let _ = writeln!(out, "{}", tone.map_or_else(|| safe.clone(), |it| paint.tone(it, &safe)));
    }
    out
}
