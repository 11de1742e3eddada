//! Where in a text of JSON one is: within a string or not. A string has no end of line in it, so that each line says it
//! anew, and what is no JSON does no harm beyond its line.

use std::ops::Range;

/// Where one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Quotes {
    inside: bool,
    escaped: bool,
}

impl Quotes {
    /// Behind a text.
    pub(super) fn over(self, text: &str) -> Quotes {
        let mut now = self;
        let last_line = text.rfind('\n').and_then(|at| text.get(at.saturating_add(1)..));
        if last_line.is_some() {
            now = Quotes::default();
        }
        for byte in last_line.unwrap_or(text).bytes() {
            now = match byte {
                _ if now.escaped => Quotes { escaped: false, ..now },
                b'\\' if now.inside => Quotes { escaped: true, ..now },
                b'"' => Quotes { inside: !now.inside, ..now },
                _ => now,
            };
        }
        now
    }

    /// Whether that is within a string.
    pub(super) fn inside(self) -> bool {
        self.inside
    }
}

/// Where in a text there is JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json {
    /// Where in it the text begins.
    pub(super) quotes: Quotes,
    /// Whether the line is of JSON in which the text begins.
    pub(super) first_line: bool,
    /// The same of others.
    pub(super) lines: Lines,
}

/// Which lines are of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    None,
    All,
    /// Data of events that begins like JSON.
    Data,
}

impl Json {
    /// There is none.
    pub(super) fn none() -> Json {
        Json { quotes: Quotes::default(), first_line: false, lines: Lines::None }
    }

    /// Whether a place is in some.
    pub(super) fn is_at(self, text: &str, at: usize) -> bool {
        let before = text.get(..at).unwrap_or_default();
        match (self.lines, before.rfind('\n')) {
            (Lines::None, _) => false,
            (Lines::All, _) => true,
            (Lines::Data, None) => self.first_line,
            (Lines::Data, Some(end)) => {
                begins_like_json(text.get(end.saturating_add(1)..).unwrap_or_default())
            }
        }
    }
}

/// Whether a line of events has data that begins like JSON.
pub(super) fn begins_like_json(line: &str) -> bool {
    line.strip_prefix("data:").is_some_and(|data| data.trim_start().starts_with(['{', '[']))
}

/// What of a place is in the string that it begins in: to its quote, and without a part of an escape.
pub(super) fn within_string(text: &str, at: Range<usize>, quotes: Quotes) -> Range<usize> {
    let start = match escape_around(text, at.start) {
        Some(escape) => escape.end,
        // It began before this text.
        None if quotes.escaped => at.start.saturating_add(1),
        None => at.start,
    };
    let end = at.end.min(end_of_string(text, at.start, quotes));
    let end = escape_around(text, end).map_or(end, |escape| escape.end);
    start..end.min(text.len())
}

/// The escape that a place is in the middle of.
fn escape_around(text: &str, at: usize) -> Option<Range<usize>> {
    /// `\u0067`
    const LONGEST: usize = 6;
    let bytes = text.as_bytes();
    let first = at.saturating_sub(LONGEST.saturating_sub(1));
    let start = first.checked_add(bytes.get(first..at)?.iter().rposition(|it| *it == b'\\')?)?;
    let before = bytes.get(..start)?.iter().rev().take_while(|it| **it == b'\\').count();
    let start = if before % 2 == 0 { start } else { start.checked_sub(1)? };
    let length = if bytes.get(start.checked_add(1)?) == Some(&b'u') { LONGEST } else { 2 };
    let escape = start..start.checked_add(length)?;
    (escape.start < at && at < escape.end).then_some(escape)
}

/// Where the string ends that a place is in: before its quote.
pub(super) fn end_of_string(text: &str, from: usize, quotes: Quotes) -> usize {
    let mut now = Quotes { inside: true, ..quotes };
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'\n' => return at,
            _ if now.escaped => now.escaped = false,
            b'\\' => now.escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The whole of the number that a place is in, not before `from`; `None` where it is something else.
pub(super) fn number_around(text: &str, at: &Range<usize>, from: usize) -> Option<Range<usize>> {
    let belongs = |byte: &u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
    let bytes = text.as_bytes();
    if !bytes.get(at.clone())?.iter().all(belongs) {
        return None;
    }
    let before = bytes.get(from..at.start)?.iter().rev().take_while(|byte| belongs(byte)).count();
    let after = bytes.get(at.end..)?.iter().take_while(|byte| belongs(byte)).count();
    Some(at.start.checked_sub(before)?..at.end.checked_add(after)?)
}
