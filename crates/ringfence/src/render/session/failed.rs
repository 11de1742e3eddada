//! Changes of files that were permitted, and did not come about.

use std::fmt::Write as _;

use ringfence_runtime::view::{FailedAct, SessionView};

use super::super::text::{count, fit};
use super::{LIST_LINES_MAX, Style, more};
use crate::screen::Tone;

pub(super) fn failed(view: &SessionView, style: Style) -> String {
    let mut groups: Vec<(&FailedAct, usize)> = Vec::new();
    for act in &view.failed {
        let same = |other: &FailedAct| other.act == act.act && other.error == act.error;
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, times)) => *times += 1,
            None => groups.push((act, 1)),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let title = format!("{} permitted, and failed", count(view.failed.len(), "act", "acts"));
    let mut out = style.paint.tone(Tone::Heading, &title) + "\n";
    for (act, times) in groups.iter().take(LIST_LINES_MAX) {
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        let room = style.columns.saturating_sub(9);
        let (what, why) = (fit(&act.act, room.saturating_sub(times.len())), fit(&act.error, room));
        let why = style.paint.tone(Tone::Quiet, &why);
        let _ = writeln!(out, "{:>7}  {what}{times}\n         {why}", act.entry);
    }
    out + &more(groups.len(), LIST_LINES_MAX, "failure", "failures")
}
