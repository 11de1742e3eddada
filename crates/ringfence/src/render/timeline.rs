//! A session along its time: one line per process with a bar, and decisions between them.

use std::fmt::Write as _;

use ringfence_runtime::view::{SessionView, Span};

use super::session::{Style, command, head, more};
use super::text::{duration, fit, right};
use super::tree;
use crate::screen::Tone;

/// Most lines; `--json` has them all.
const LINES_MAX: usize = 1000;
/// Width of the bars where lines are not cut, in columns.
const BAR_COLUMNS: usize = 40;
/// Least and greatest width of the bars on a terminal, in columns.
const BAR_COLUMNS_LIMITS: (usize, usize) = (10, 60);
/// Width of a time, in columns.
const TIME_COLUMNS: usize = 8;

/// One line.
struct Line<'a> {
    at_ms: u64,
    what: What<'a>,
}

enum What<'a> {
    Process(&'a Span),
    /// Something that was stopped: its mark, and its words.
    Stopped(char, String),
}

/// The whole text.
pub fn render(view: &SessionView, style: Style) -> String {
    let mut lines: Vec<Line<'_>> = tree::shown(view).into_iter().map(process).collect();
    lines.extend(stopped(view));
    lines.sort_by_key(|line| line.at_ms);
    let scale = Scale::of(view, &lines, style);
    let titles = [right("start", TIME_COLUMNS), right("time", TIME_COLUMNS)].concat();
    let axis = scale.axis();
    let title = style.paint.tone(Tone::Quiet, &format!("{titles}  {axis}  process"));
    let mut out = format!("{}\n{title}\n", head(view, style));
    for line in lines.iter().take(LINES_MAX) {
        out.push_str(&text(line, &scale, style));
    }
    out + &more(lines.len(), LINES_MAX, "line", "lines")
}

fn process(span: &Span) -> Line<'_> {
    Line { at_ms: span.started_ms, what: What::Process(span) }
}

fn stopped(view: &SessionView) -> impl Iterator<Item = Line<'_>> {
    let denied = view.denials.iter().map(|denial| {
        let text = format!("denied {}: {}", denial.entry, denial.act);
        Line { at_ms: denial.at_ms, what: What::Stopped('×', text) }
    });
    let asked = view.questions.iter().map(|asked| {
        let text = format!("asked {}: {}", asked.entry, asked.act);
        Line { at_ms: asked.at_ms, what: What::Stopped('?', text) }
    });
    let refused = view.refused.iter().map(|call| {
        let text = format!("refused {}: {}: {}", call.entry, call.syscall, call.why);
        Line { at_ms: call.at_ms, what: What::Stopped('×', text) }
    });
    denied.chain(asked).chain(refused)
}

fn text(line: &Line<'_>, scale: &Scale, style: Style) -> String {
    let start =
        right(&format!("+{}", duration(line.at_ms.saturating_sub(scale.from_ms))), TIME_COLUMNS);
    let (length, bar, said) = match &line.what {
        What::Process(span) => {
            let length = span.duration_ms.map_or("-".to_owned(), duration);
            (length, scale.bar(span), command(span))
        }
        What::Stopped(mark, said) => (String::new(), scale.mark(line.at_ms, *mark), said.clone()),
    };
    let before = 2 * TIME_COLUMNS + scale.columns + 4;
    let said = fit(&said, style.columns.saturating_sub(before).max(20));
    let (length, bar) = (right(&length, TIME_COLUMNS), style.paint.tone(line.tone(), &bar));
    let mut out = String::new();
    let _ = writeln!(out, "{start}{length}  {bar}  {said}");
    out
}

impl Line<'_> {
    fn tone(&self) -> Tone {
        match self.what {
            What::Process(_) => Tone::Good,
            What::Stopped('?', _) => Tone::Warning,
            What::Stopped(..) => Tone::Bad,
        }
    }
}

/// How moments become columns.
struct Scale {
    from_ms: u64,
    to_ms: u64,
    columns: usize,
}

impl Scale {
    fn of(view: &SessionView, lines: &[Line<'_>], style: Style) -> Scale {
        let first = lines.iter().map(|line| line.at_ms).min();
        let from_ms = view.started_ms.into_iter().chain(first).min().unwrap_or(0);
        let ends = view.spans.iter().filter_map(|span| span.ended_ms);
        let last = ends.chain(view.ended_ms).chain(view.last_ms).max().unwrap_or(from_ms);
        let (least, most) = BAR_COLUMNS_LIMITS;
        let columns = match style.columns {
            usize::MAX => BAR_COLUMNS,
            columns => (columns / 3).clamp(least, most),
        };
        // A session that took no time has a column all the same.
        Scale { from_ms, to_ms: last.max(from_ms + 1), columns }
    }

    /// The column of a moment.
    fn column(&self, at_ms: u64) -> usize {
        let span = u128::from(self.to_ms - self.from_ms);
        let passed = u128::from(at_ms.clamp(self.from_ms, self.to_ms) - self.from_ms);
        let columns = self.columns as u128;
        usize::try_from(passed * columns / span).unwrap_or(0).min(self.columns.saturating_sub(1))
    }

    /// From start to end, at least one column; what goes on ends in an arrow.
    fn bar(&self, span: &Span) -> String {
        let first = self.column(span.started_ms);
        let last = self.column(span.ended_ms.unwrap_or(self.to_ms)).max(first);
        let length = last - first + 1;
        let body = match span.ended_ms {
            Some(_) => "━".repeat(length),
            None => "━".repeat(length - 1) + "▸",
        };
        self.padded(first, &body, length)
    }

    fn mark(&self, at_ms: u64, mark: char) -> String {
        self.padded(self.column(at_ms), &mark.to_string(), 1)
    }

    fn padded(&self, before: usize, body: &str, length: usize) -> String {
        let after = self.columns.saturating_sub(before + length);
        format!("{}{body}{}", " ".repeat(before), " ".repeat(after))
    }

    fn axis(&self) -> String {
        let length = duration(self.to_ms - self.from_ms);
        let line = self.columns.saturating_sub(length.len() + 4);
        format!("0 {} {length} ", "─".repeat(line))
    }
}
