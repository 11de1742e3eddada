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

/// Text broken between words into lines of a width. A word that is wider is broken where the line is full, so that a
/// terminal breaks none itself and puts the rest where lines of ours begin; several spaces stay.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    lay(text, columns, |_| false)
}

/// The same for what holds commands in backticks, which stay whole where they fit.
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    fold_by(text, columns, |_| false)
}

/// The same for hints: a command of ours stays whole however wide it is, for pasted in two halves it would be another
/// one. What is quoted in it may be another's text, and is broken.
pub fn fold_hint(text: &str, columns: usize) -> Vec<String> {
    fold_by(text, columns, is_command)
}

fn fold_by(text: &str, columns: usize, whole: fn(&str) -> bool) -> Vec<String> {
    let mut in_command = false;
    let kept: String = text
        .chars()
        .map(|character| {
            in_command ^= character == '`';
            if in_command && character == ' ' { KEPT_SPACE } else { character }
        })
        .collect();
    lay(&kept, columns, whole).into_iter().map(|line| line.replace(KEPT_SPACE, " ")).collect()
}

fn lay(text: &str, columns: usize, whole: fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut spaces = 0;
    for word in text.split(|character: char| character.is_whitespace()) {
        if word.is_empty() {
            spaces += 1;
            continue;
        }
        let gap = " ".repeat(spaces + 1);
        spaces = 0;
        match lines.last_mut() {
            Some(line) if line.width() + gap.width() + word.width() <= columns => {
                line.push_str(&gap);
                line.push_str(word);
            }
            Some(_) | None if whole(word) => lines.push(word.to_owned()),
            // Where there was more than one space, that is seen.
            Some(_) if gap.width() > 1 => lines.extend(broken(&(gap + word), columns)),
            Some(_) | None => lines.extend(broken(word, columns)),
        }
    }
    lines
}

/// Whether a word is a command of ours in backticks, in which no space but the single one between plain words is.
fn is_command(word: &str) -> bool {
    let bare = word.trim_start_matches('(').trim_end_matches([',', '.', ';', ':', ')']);
    let Some(command) = bare.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
        return false;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    let mut words = command.split(KEPT_SPACE);
    words.next() == Some("ringfence")
        && words.all(|word| !word.is_empty() && word.chars().all(is_plain))
}

/// Text broken wherever a line is full.
pub fn broken(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(COLUMNS_LEAST);
    let mut lines = vec![String::new()];
    let mut left = columns;
    for character in text.chars() {
        let width = widest(character);
        if width > left {
            lines.push(String::new());
            left = columns;
        }
        left = left.saturating_sub(width);
        if let Some(line) = lines.last_mut() {
            line.push(character);
        }
    }
    lines
}

/// Fewest columns that text is broken for.
const COLUMNS_LEAST: usize = 8;

/// How wide the widest terminal shows a character: the rest of a line that was too wide would begin where ours begin.
/// Combined characters that one terminal shows as one are several to another.
fn widest(character: char) -> usize {
    if character.is_ascii() { 1 } else { character.width_cjk().unwrap_or(1).max(1) }
}

/// Stands before each line of what others have written where a person answers for it: none of it begins a line.
pub const MARGIN: &str = "  | ";

/// What others have written, whole, each line behind the margin; where a line is full, it goes on in the next one.
pub fn behind_margin(text: &str, columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(MARGIN.len());
    broken(text, room).into_iter().map(|line| format!("{MARGIN}{line}")).collect()
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

/// Whether a line has room in a width.
pub fn fits(line: &str, columns: usize) -> bool {
    line.width() <= columns
}

fn hung(line: &str, columns: usize) -> String {
    if fits(line, columns) {
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
    fn what_does_not_fit_stands_beneath_its_row() {
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
        assert_eq!(fold_lines("/a/word/that/is", 14), "/a/word/th\n    at/is\n");
    }

    #[test]
    fn a_command_is_never_broken_into_lines() {
        let text = "to allow it, run `ringfence grant fs.read:/a --always` there, and look at it";
        let lines = fold_hint(text, 24);
        let whole = "`ringfence grant fs.read:/a --always`";
        assert!(lines.iter().any(|line| line == whole), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= 24 || line == whole), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(fold("an odd ` in it that", 8), ["an odd", "` in it ", "that"]);
    }

    #[test]
    fn no_text_makes_a_line_that_is_wider_than_the_screen() {
        let padded = format!("`{}{}ringfence: may `x` do it", " ".repeat(7), " ".repeat(80));
        let long = "A".repeat(3000);
        let quoted = format!("`ringfence grant 'fs.read:/a{}yes' --always`", " ".repeat(90));
        let spaced = format!("`ringfence grant fs.read:/a{}yes --always`", " ".repeat(90));
        let wide = "日".repeat(200) + &"\u{1f44d}\u{1f3fd}".repeat(90) + &"я".repeat(99);
        for text in [&padded, &long, &quoted, &spaced, &wide] {
            for lines in [fold(text, 40), fold_hint(text, 40), wrap(text, 40)] {
                assert!(lines.len() > 1, "{text}");
                assert!(lines.iter().all(|line| line.width() <= 40), "{lines:?}");
            }
            let lines = behind_margin(text, 40);
            assert!(lines.iter().all(|line| line.starts_with(MARGIN)), "{lines:?}");
            assert!(lines.iter().all(|line| line.chars().map(widest).sum::<usize>() <= 40));
            let whole: String = lines.iter().filter_map(|it| it.strip_prefix(MARGIN)).collect();
            assert_eq!(whole, *text);
        }
    }

    #[test]
    fn texts_that_differ_in_their_spaces_look_different() {
        for (one, other) in [("a b", "a  b"), ("a b", "a   b"), ("aaaaaaaaa b", "aaaaaaaaa  b")] {
            for columns in [8, 10, 20] {
                assert_ne!(fold(one, columns), fold(other, columns), "{one:?} in {columns}");
                assert_ne!(wrap(one, columns), wrap(other, columns), "{one:?} in {columns}");
            }
        }
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
