//! The secrets that a session used, and where stand-ins of them did not belong.

use std::fmt::Write as _;

use ringfence_core::LeaseStep;
use ringfence_runtime::view::{LeaseView, SecretView, SessionView};
use ringfence_runtime::wording;

use super::super::text::{count, fit, table, wrap};
use super::{LIST_LINES_MAX, Style, more};
use crate::screen::Tone;

pub(super) fn used(view: &SessionView, style: Style) -> String {
    if view.secrets.is_empty() {
        return String::new();
    }
    let title = count(view.secrets.len(), "use of a secret", "uses of secrets");
    let row = |it: &SecretView| {
        let why = |error: &Option<String>| {
            fit(error.as_deref().unwrap_or(""), style.cut(style.columns / 2))
        };
        let to = it.endpoint.clone().unwrap_or_else(|| "-".to_owned());
        let uses = usize::try_from(it.uses).unwrap_or(usize::MAX);
        let failed = match (it.failed, &it.error) {
            (0, _) => String::new(),
            (1, error) => format!("failed: {}", why(error)),
            (times, error) => format!("failed {times} times: {}", why(error)),
        };
        vec![
            format!("  {}", it.secret),
            fit(&to, style.cut(46)),
            // It failed each time.
            if uses == 0 { String::new() } else { count(uses, "time", "times") },
            failed,
        ]
    };
    let rows: Vec<_> = view.secrets.iter().take(LIST_LINES_MAX).map(row).collect();
    let more = more(view.secrets.len(), LIST_LINES_MAX, "use", "uses");
    format!("{}\n{}{more}", style.paint.tone(Tone::Heading, &title), table(&rows))
}

pub(super) fn misused(view: &SessionView, style: Style) -> String {
    if view.misused.is_empty() {
        return String::new();
    }
    let title = count(view.misused.len(), "incident with a secret", "incidents with secrets");
    let mut out = style.paint.tone(Tone::Bad, &title) + "\n";
    for it in view.misused.iter().take(LIST_LINES_MAX) {
        let text = wording::misuse(&it.what);
        let mut entry = it.entry.to_string();
        for line in wrap(&text, style.columns.saturating_sub(9)) {
            let _ = writeln!(out, "{entry:>7}  {line}");
            entry.clear();
        }
    }
    out + &more(view.misused.len(), LIST_LINES_MAX, "incident", "incidents")
}

pub(super) fn leases(view: &SessionView, style: Style) -> String {
    if view.leases.is_empty() {
        return String::new();
    }
    let open = |it: &LeaseView| matches!(it.change.step, LeaseStep::NotReturned { .. });
    let tone = if view.leases.iter().any(open) { Tone::Bad } else { Tone::Heading };
    let title = count(view.leases.len(), "lease of a vault", "leases of vaults");
    let mut out = style.paint.tone(tone, &title) + "\n";
    for it in view.leases.iter().take(LIST_LINES_MAX) {
        let mut entry = it.entry.to_string();
        for line in wrap(&wording::lease(&it.change), style.columns.saturating_sub(9)) {
            let _ = writeln!(out, "{entry:>7}  {line}");
            entry.clear();
        }
    }
    out + &more(view.leases.len(), LIST_LINES_MAX, "lease", "leases")
}
