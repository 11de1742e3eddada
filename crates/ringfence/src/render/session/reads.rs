//! What processes opened to read, where that is traced.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringfence_core::ReadResult;
use ringfence_runtime::view::{FileReads, SessionView};

use super::super::text::{count, fit, table};
use super::{LIST_LINES_MAX, Style, more, program};
use crate::screen::Tone;

/// What was tried to be read and the policy keeps, with who tried it.
pub(super) fn denied(view: &SessionView, style: Style) -> String {
    let mut paths: BTreeMap<&str, (ReadResult, u64, Vec<String>)> = BTreeMap::new();
    for span in &view.spans {
        for file in span.file_reads.files.iter().filter(|file| file.result.is_denied()) {
            let known = paths.entry(file.path.as_str());
            let (_, times, by) = known.or_insert((file.result, 0, Vec::new()));
            *times += file.times;
            let who = program(span);
            if !by.contains(&who) {
                by.push(who);
            }
        }
    }
    if paths.is_empty() {
        return String::new();
    }
    let title = format!("{} not readable in this world", count(paths.len(), "path", "paths"));
    let rows: Vec<Vec<String>> = paths
        .iter()
        .take(LIST_LINES_MAX)
        .map(|(path, (result, times, by))| {
            let room = style.columns.saturating_sub(40).max(30);
            let times = if *times > 1 { format!("{times} times") } else { String::new() };
            let why = if *result == ReadResult::Covered { "covered" } else { "not granted" };
            let by = fit(&by.join(", "), style.cut(18));
            vec![format!("  {}", fit(path, room)), why.to_owned(), times, by]
        })
        .collect();
    let more = more(paths.len(), LIST_LINES_MAX, "path", "paths");
    format!("{}\n{}{more}", style.paint.tone(Tone::Heading, &title), table(&rows))
}

/// How many files a process opened to read; nothing where that is not known.
pub(super) fn of_span(reads: &FileReads) -> Option<String> {
    if reads.is_empty() {
        return None;
    }
    let number = |wanted: fn(ReadResult) -> bool| {
        reads.files.iter().filter(|file| wanted(file.result)).count()
    };
    let read = number(|result| matches!(result, ReadResult::Found | ReadResult::Unknown));
    let kinds = [
        (number(|result| result == ReadResult::Absent), "that exist nowhere"),
        (number(ReadResult::is_denied), "denied"),
    ];
    let mut said = format!("opened {} to read", count(read, "file", "files"));
    for (number, what) in kinds.iter().filter(|(number, _)| *number > 0) {
        let _ = write!(said, ", {number} {what}");
    }
    if reads.unlisted > 0 {
        let _ = write!(said, ", and {} more opens", reads.unlisted);
    }
    Some(said)
}
