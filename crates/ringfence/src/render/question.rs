//! A question as a person is shown it: nothing that others have written begins a line, and all of it has room on the
//! screen with the line on which it is answered.

use ringfence_runtime::wording::printable;

use super::text::{MARGIN, behind_margin, fit, fold};

/// The part of a screen's rows that what would be done may take, the reason, and what could be granted.
const TEXT_PART: usize = 4;
const REASON_PART: usize = 6;
const WIDER_PART: usize = 4;

/// Rows kept for the choices and for the line on which one is typed.
const ANSWER_ROWS: usize = 3;

/// Fewest rows that a text has, however small the screen is.
const ROWS_MIN: usize = 2;

/// Columns of the line on which the answer is typed that are left for it.
const TYPED_COLUMNS: usize = 8;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Which question it is, and for how long it waits.
    pub(crate) head: &'a str,
    /// What would be done.
    pub(crate) text: &'a str,
    /// With what.
    pub(crate) subject: Option<&'a str>,
    /// The rule that asks, and why.
    pub(crate) reason: &'a str,
    /// What could be granted with it.
    pub(crate) wider: Option<&'a str>,
}

/// A question laid out.
#[derive(Debug, Default)]
pub(crate) struct Laid {
    pub(crate) lines: Vec<String>,
    /// Whether all of it is shown.
    pub(crate) is_whole: bool,
    /// Whether what could be granted is shown, wholly: nobody grants what they do not see.
    pub(crate) offers_wider: bool,
}

/// Lays a question out for a screen of so many columns and rows; without one, a program or a file gets all of it.
pub(crate) fn lay(asked: Asked<'_>, screen: Option<(usize, usize)>) -> Laid {
    let Asked { head, text, subject, reason, wider } = asked;
    let Some((columns, rows)) = screen else {
        let rest = std::iter::once(text).chain(subject).chain([reason]);
        let rest = rest.map(|line| format!("  {}", printable(line)));
        let lines = std::iter::once(printable(head)).chain(rest).collect();
        return Laid { lines, is_whole: true, offers_wider: wider.is_some() };
    };
    let mut is_whole = true;
    let mut part = |lines: Vec<String>, most: usize| {
        is_whole &= lines.len() <= most.max(ROWS_MIN);
        cut(lines, most.max(ROWS_MIN))
    };
    let mut lines = fold(&printable(head), columns);
    lines.extend(part(opened(text, columns), rows / TEXT_PART));
    let reason = part(opened(reason, columns), rows / REASON_PART);
    let wider = wider.map(|it| opened(&format!("for this session: {it}"), columns));
    let wider = wider.filter(|lines| lines.len() <= (rows / WIDER_PART).max(ROWS_MIN));
    let offers_wider = wider.is_some();
    let wider = wider.unwrap_or_default();
    let taken = lines.len() + reason.len() + wider.len() + ANSWER_ROWS;
    if let Some(subject) = subject {
        let laid = behind_margin(&printable(subject), columns);
        lines.extend(part(laid, rows.saturating_sub(taken)));
    }
    lines.extend(reason);
    lines.extend(wider);
    Laid { lines, is_whole, offers_wider }
}

/// The line on which the answer is typed: what it is about stands there once more, whatever was shown above.
pub(crate) fn again(named: &str, text: &str, columns: usize) -> String {
    let room = columns.min(MOST_AGAIN).saturating_sub(named.len() + TYPED_COLUMNS);
    let bare = text.strip_prefix("ringfence: ").unwrap_or(text);
    format!("{named}, {}? ", fit(bare.trim_end_matches('?'), room))
}

/// Most columns of that line, where nobody says how many there are.
const MOST_AGAIN: usize = 200;

/// A sentence of ours that quotes others: only its first line begins where ours do.
fn opened(text: &str, columns: usize) -> Vec<String> {
    let lines = fold(&printable(text), columns.saturating_sub(MARGIN.len()));
    let begin = |at: usize| if at == 0 { "  " } else { MARGIN };
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}", begin(at))).collect()
}

/// As many lines, the middle left out where there are more; how much that is stands in a line of ours.
fn cut(lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() <= most {
        return lines;
    }
    let kept = most.saturating_sub(1);
    let first = kept.div_ceil(2);
    let (start, rest) = lines.split_at(first.min(lines.len()));
    let (gone, end) = rest.split_at(rest.len().saturating_sub(kept - first));
    let characters: usize =
        gone.iter().map(|line| line.chars().count().saturating_sub(MARGIN.len())).sum();
    let mark = format!("  ({characters} characters more stand here and are not shown)");
    start.iter().cloned().chain([mark]).chain(end.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Asked, again, lay};
    use crate::render::text::MARGIN;

    fn asked(subject: &str) -> Asked<'_> {
        Asked {
            head: "abc/1, for 118 s more",
            text: "ringfence: may `client` call the tool e/echo",
            subject: Some(subject),
            reason: "asked by `ask` (/p/policy.cedar:1)",
            wider: Some("tool:e/echo"),
        }
    }

    #[test]
    fn a_question_has_room_on_its_screen_whatever_its_arguments_are() {
        let padded = format!("text: \"`{}abc/1, for 118 s more\"", " ".repeat(5000));
        for subject in [padded, "A".repeat(8000), "日".repeat(4000), "` `".repeat(900)] {
            for (columns, rows) in [(80, 24), (80, 16), (200, 50), (132, 24), (40, 24)] {
                let laid = lay(asked(&subject), Some((columns, rows)));
                assert!(laid.lines.len() + 3 <= rows, "{columns} {rows} {laid:#?}");
                assert!(!laid.is_whole || laid.lines.concat().len() > subject.len());
                let ours = laid.lines.iter().filter(|it| !it.starts_with(MARGIN));
                let ours: Vec<&String> = ours.collect();
                assert_eq!(ours[0], "abc/1, for 118 s more");
                assert!(ours[1].starts_with("  ringfence: may `client` call"), "{ours:?}");
                let not_shown = "characters more stand here and are not shown)";
                assert_eq!(ours.iter().any(|it| it.ends_with(not_shown)), !laid.is_whole);
            }
        }
    }

    #[test]
    fn what_could_be_granted_is_offered_only_where_all_of_it_is_seen() {
        let long = format!("fs.write:/{}", "x".repeat(3000));
        let about = Asked { wider: Some(&long), ..asked("a") };
        assert!(!lay(about, Some((80, 24))).offers_wider);
        assert!(lay(asked("a"), Some((80, 24))).offers_wider);
        assert!(lay(about, None).offers_wider);
    }

    #[test]
    fn the_line_of_the_answer_says_what_it_is_about_and_is_one_line() {
        let text = format!("ringfence: may `a` run /bin/sh `{}`?", "x".repeat(300));
        let line = again("abc/1", &text, 80);
        assert!(line.starts_with("abc/1, may `a` run /bin/sh `xxx") && line.ends_with("…? "));
        assert!(line.chars().count() < 78, "{line}");
    }
}
