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
    let before = line.get(..start)?.to_owned();
    let end = start.saturating_add(span.len()).min(line.len());
    let meant = line.get(start..end).filter(|meant| !meant.is_empty());
    let shown: String = line.chars().take(QUOTED_CHARACTERS_MAX).collect();
    let number = problem.summary().line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(visible(&before).width());
    let carets = "^".repeat(meant.map_or(1, |meant| visible(meant).width()).max(1));
    let carets: String = carets.chars().take(QUOTED_CHARACTERS_MAX).collect();
    let bar = paint.tone(Tone::Quiet, "|");
    Some(format!(
        "{gutter} {bar}\n{} {bar} {}\n{gutter} {bar} {indent}{}\n",
        paint.tone(Tone::Quiet, &number),
        visible(&shown),
        paint.tone(Tone::Bad, &carets),
    ))
}

/// A piece of the quoted line: tabs as four spaces, nothing that moves the cursor.
fn visible(text: &str) -> String {
    printable(&text.replace('\t', "    "))
}
