//! Small pieces of text: amounts, times, fitting into a width.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringfence_runtime::wording::printable;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// An amount of bytes: `812B`, `12.3K`, `1.2M` (powers of 1024).
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    if amount < 1024 {
        return format!("{amount}B");
    }
    let mut tenths = u128::from(amount) * 10 / 1024;
    for unit in UNITS {
        if tenths < 10 * 1024 || unit == "T" {
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if whole < 100 {
                format!("{whole}.{tenth}{unit}")
            } else {
                format!("{whole}{unit}")
            };
        }
        tenths /= 1024;
    }
    String::new()
}

/// How many acts were decided, and how: permitted, denied, asked about, failed.
pub fn acts([permitted, denied, asked, failures]: [u64; 4]) -> String {
    format!("{permitted} permitted, {denied} denied, {asked} asked{}", failed(failures))
}

/// A length of time: `4ms`, `12.1s`, `3m12s`, `2h05m`, `3d04h`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A moment in the reader's time zone: `2026-11-21 14:03:55 CET`.
pub fn moment(ms: u64) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(
        || format!("{ms} ms since 1970"),
        |stamp| stamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}

/// A moment for programs: `2026-11-21T13:03:55.000Z` (RFC 3339).
pub fn rfc3339(ms: u64) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Text made printable and cut to a width, with `…` where something is missing.
pub fn fit(text: &str, columns: usize) -> String {
    let safe = printable(text);
    if safe.width() <= columns {
        return safe;
    }
    let mut room = columns.saturating_sub(1);
    let mut out = String::new();
    for character in safe.chars() {
        let width = character.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        out.push(character);
    }
    out.push('…');
    out
}

/// Text broken between words into lines of a width.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The same for what holds commands in backticks, which stay whole: pasted in two halves, a command would be
/// another one.
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut in_command = false;
    let kept: String = text
        .chars()
        .map(|character| {
            in_command ^= character == '`';
            if in_command && character == ' ' { KEPT_SPACE } else { character }
        })
        .collect();
    wrap(&kept, columns).into_iter().map(|line| line.replace(KEPT_SPACE, " ")).collect()
}

/// Stands for a space at which no line is broken; none of what is printed has one.
const KEPT_SPACE: char = '\u{1}';

/// Text padded with spaces to a width.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// Text put at the right end of a width.
pub fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(text.width())))
}

/// A count with its noun: `1 entry`, `3 entries`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// `, 3 failed` of a session's totals, where there is something to say.
pub fn failed(number: u64) -> String {
    if number == 0 { String::new() } else { format!(", {number} failed") }
}

/// Rows as aligned columns, two spaces apart; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|c| c.width()).max().unwrap_or(0))
        .collect();
    rows.iter().fold(String::new(), |mut out, row| {
        let last = row.len().saturating_sub(1);
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            out.push_str(&if at == last { cell.clone() } else { pad(cell, width + 2) });
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        out
    })
}

/// Spaces before what did not fit into its row or line.
const HANGING: usize = 4;

/// The same within a width: the columns that do not fit stand beneath their row.
pub fn table_within(rows: &[Vec<String>], columns: usize) -> String {
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let first = |kept: usize| -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().take(kept).cloned().collect()).collect()
    };
    let fits = |kept: &usize| table(&first(*kept)).lines().all(|line| line.width() <= columns);
    let kept = (1..=most).rev().find(fits).unwrap_or(1);
    let heads = table(&first(kept));
    heads.lines().zip(rows).fold(String::new(), |out, (head, row)| {
        let indent = indent_of(head) + HANGING;
        let rest: Vec<&str> = row.iter().skip(kept).map(String::as_str).collect();
        let out = out + &hung(head, columns);
        let lines = fold(&rest.join(", "), columns.saturating_sub(indent));
        lines.iter().fold(out, |out, line| out + &format!("{:indent$}{line}\n", ""))
    })
}

/// Lines that are too long for a width, broken between their words and set in.
pub fn fold_lines(text: &str, columns: usize) -> String {
    text.lines().map(|line| hung(line, columns)).collect()
}

fn hung(line: &str, columns: usize) -> String {
    if line.width() <= columns {
        return format!("{line}\n");
    }
    let indent = indent_of(line);
    let room = columns.saturating_sub(indent + HANGING);
    fold(line, room).iter().enumerate().fold(String::new(), |out, (at, part)| {
        let indent = if at == 0 { indent } else { indent + HANGING };
        out + &format!("{:indent$}{part}\n", "")
    })
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_stands_beneath_its_row_and_no_word_is_broken() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows =
            [row(["  id", "place", "why it is so"]), row(["  a", "/long/er", "because of it"])];
        assert_eq!(table_within(&rows, usize::MAX), table(&rows));
        let narrow = table_within(&rows, 18);
        assert_eq!(
            narrow,
            "  id  place\n      why it is so\n  a   /long/er\n      because of\n      it\n"
        );
        assert_eq!(table_within(&rows, 10).lines().next(), Some("  id"));
        assert_eq!(
            fold_lines("  one two three\nfour\n", 11),
            "  one\n      two\n      three\nfour\n"
        );
        assert_eq!(fold_lines("/a/word/that/is/too/long", 5), "/a/word/that/is/too/long\n");
    }

    #[test]
    fn a_command_is_never_broken_into_lines() {
        let text = "to allow it, run `ringfence grant fs.read:/a --always` there, and look at it";
        let lines = fold(text, 24);
        let whole = "`ringfence grant fs.read:/a --always`";
        assert!(lines.iter().any(|line| line == whole), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= 24 || line == whole), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(fold("an odd ` in it", 6), ["an odd", "` in it"]);
    }

    #[test]
    fn amounts_stay_short() {
        let shown: Vec<String> =
            [0, 1023, 1024, 12_600, 150 << 10, 1 << 20, 3 << 40].map(bytes).to_vec();
        assert_eq!(shown, ["0B", "1023B", "1.0K", "12.3K", "150K", "1.0M", "3.0T"]);
    }

    #[test]
    fn times_stay_short() {
        let shown: Vec<String> =
            [4, 12_140, 192_000, 7_500_000, 273_600_000].map(duration).to_vec();
        assert_eq!(shown, ["4ms", "12.1s", "3m12s", "2h05m", "3d04h"]);
    }

    #[test]
    fn text_of_others_cannot_break_the_line_or_the_width() {
        assert_eq!(fit("a\nb", 20), "a\\nb");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
    }
}
