//! The calls of tools that were permitted.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::Treatment;
use ringfence_runtime::view::{CallView, SessionView};
use ringfence_runtime::wording::printable;

use super::super::text::{count, duration, fit, table};
use super::{LIST_LINES_MAX, Style, more, total_of};
use crate::screen::Tone;

/// The calls, those of one tool that ended alike together.
pub(super) fn calls(view: &SessionView, style: Style) -> String {
    type Key<'a> = (&'a str, Option<&'a str>, Option<&'a str>);
    let mut by_tool: BTreeMap<Key<'_>, Vec<&CallView>> = BTreeMap::new();
    for call in &view.calls {
        let key = (call.tool.as_str(), call.error.as_deref(), call.not_made.as_deref());
        by_tool.entry(key).or_default().push(call);
    }
    if by_tool.is_empty() {
        return String::new();
    }
    let row = |((tool, error, not_made), list): (&Key<'_>, &Vec<&CallView>)| {
        let times = if list.len() > 1 { format!("{} times", list.len()) } else { String::new() };
        let longest = list.iter().filter_map(|one| one.duration_ms).max();
        let why = match (error, not_made) {
            (_, Some(why)) => format!("not made: {}", fit(why, style.cut(60))),
            (Some(error), None) => format!("failed: {}", fit(error, style.cut(40))),
            (None, None) => String::new(),
        };
        let gone = gone(list);
        let why = if why.is_empty() { gone } else { [why, gone].join(" ").trim().to_owned() };
        vec![
            format!("  {}", fit(tool, style.cut(40))),
            format!("sent {}", total_of(list.iter().map(|one| Some(one.bytes_sent)))),
            format!("received {}", total_of(list.iter().map(|one| one.bytes_received))),
            longest.map_or_else(String::new, |ms| format!("at most {}", duration(ms))),
            times,
            why,
        ]
    };
    let rows: Vec<Vec<String>> = by_tool.iter().take(LIST_LINES_MAX).map(row).collect();
    let title = count(view.calls.len(), "call of a tool", "calls of tools");
    let title = style.paint.tone(Tone::Heading, &title);
    let more = more(by_tool.len(), LIST_LINES_MAX, "tool", "tools");
    format!("{title}\n{}{more}", table(&rows))
}

/// What was taken out of the answers, and for what one was not passed on.
fn gone(list: &[&CallView]) -> String {
    let of = |(treatment, word): (Treatment, &str)| {
        let found = list.iter().flat_map(|one| &one.found);
        let of_it = found.filter(|found| found.treatment == treatment);
        let names: BTreeSet<&str> = of_it.map(|found| found.rule.as_str()).collect();
        let names: Vec<String> = names.into_iter().map(printable).collect();
        (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
    };
    let all = [(Treatment::Blocked, "not passed on for"), (Treatment::Redacted, "redacted")];
    all.into_iter().filter_map(of).collect::<Vec<_>>().join("; ")
}
