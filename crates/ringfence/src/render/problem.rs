//! What is wrong with a text, at its place: message, line, caret, hint.

use miette::Diagnostic as _;
use ringfence_policy::Problem;
use ringfence_runtime::settings::SettingsError;
use ringfence_runtime::wording::printable;
use unicode_width::UnicodeWidthStr as _;

use crate::screen::{Paint, Tone};

/// Widest part of a line that is quoted, in characters.
const QUOTED_CHARACTERS_MAX: usize = 100;

/// A problem of a policy, with its line.
///
/// Drawn here and not by miette's own handlers, which pass control characters of the quoted text
/// on to the terminal: a policy that is not trusted could drive it.
pub fn render(problem: &Problem, paint: Paint) -> String {
    let summary = problem.summary();
    let mut out = head(paint, &summary.message);
    out.push_str(&place(&summary.file, summary.line, summary.column));
    out.push_str(&quote(problem, paint).unwrap_or_default());
    out.push_str(&hint(paint, summary.hint.as_deref()));
    out
}

/// A problem of a settings file.
pub fn settings(error: &SettingsError, paint: Paint) -> String {
    let mut out = head(paint, &error.message);
    out.push_str(&place(&error.file, error.line, error.column));
    out.push_str(&hint(paint, error.hint.as_deref()));
    out
}

fn head(paint: Paint, message: &str) -> String {
    let message = message.lines().map(printable).collect::<Vec<_>>().join(" ");
    format!("{} {message}\n", paint.tone(Tone::Bad, "error:"))
}

fn place(file: &str, line: impl std::fmt::Display, column: impl std::fmt::Display) -> String {
    format!("  --> {}:{line}:{column}\n", printable(file))
}

fn hint(paint: Paint, hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| {
        format!("{} {}\n", paint.tone(Tone::Good, "hint:"), printable(hint))
    })
}

/// The first line of the span, with carets under what is meant.
fn quote(problem: &Problem, paint: Paint) -> Option<String> {
    let label = problem.labels()?.next()?;
    let span = label.inner();
    let source = problem.source_code()?;
    let found = source.read_span(span, 1, 1).ok()?;
    let text = std::str::from_utf8(found.data()).ok()?;
    let start = span.offset().checked_sub(found.span().offset())?;
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..)?.lines().next().unwrap_or("");
    let start = start - line_start;
    let end = start.saturating_add(span.len()).min(line.len());
    let meant = line.get(start..end).filter(|meant| !meant.is_empty());
    let cut = Cut::of(line, start);
    let number = problem.summary().line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(visible(&cut.before).width());
    let carets = meant.map_or(1, |meant| visible(cut.within(meant)).width()).max(1);
    let carets = "^".repeat(carets);
    let bar = paint.tone(Tone::Quiet, "|");
    Some(format!(
        "{gutter} {bar}\n{} {bar} {}\n{gutter} {bar} {indent}{}\n",
        paint.tone(Tone::Quiet, &number),
        visible(&cut.shown()),
        paint.tone(Tone::Bad, &carets),
    ))
}

/// As much of a line as is quoted: around what is meant.
struct Cut {
    before: String,
    from: String,
    after: &'static str,
}

impl Cut {
    fn of(line: &str, start: usize) -> Cut {
        let (before, from) = line.split_at_checked(start).unwrap_or((line, ""));
        let (many_before, many_from) = (before.chars().count(), from.chars().count());
        let kept_before = if many_before + many_from <= QUOTED_CHARACTERS_MAX {
            many_before
        } else {
            // What is meant begins in the middle, unless the line ends soon.
            let room = QUOTED_CHARACTERS_MAX.saturating_sub(many_from);
            many_before.min(room.max(QUOTED_CHARACTERS_MAX / 2))
        };
        let left_out = if kept_before < many_before { ELLIPSIS } else { "" };
        let kept = before.chars().skip(many_before - kept_before);
        let room = QUOTED_CHARACTERS_MAX - kept_before;
        Cut {
            before: left_out.chars().chain(kept).collect(),
            from: from.chars().take(room).collect(),
            after: if many_from > room { ELLIPSIS } else { "" },
        }
    }

    /// What of this, which begins where the cut does, is shown.
    fn within<'a>(&'a self, meant: &'a str) -> &'a str {
        if meant.len() <= self.from.len() { meant } else { &self.from }
    }

    fn shown(&self) -> String {
        format!("{}{}{}", self.before, self.from, self.after)
    }
}

/// Stands for what is left out of a line.
const ELLIPSIS: &str = "...";

/// A piece of the quoted line: tabs as four spaces, nothing that moves the cursor.
fn visible(text: &str) -> String {
    printable(&text.replace('\t', "    "))
}
