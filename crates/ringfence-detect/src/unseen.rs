//! What a person does not see: escape sequences that a terminal obeys, characters without a shape, and characters
//! that change the order of others. What scripts and emoji need stays.

use std::ops::Range;

use ringfence_core::{Certainty, Finding, FindingKind};

/// Bytes that are looked at together.
const CHUNK: usize = 32;
/// Bytes that are looked at one by one first: where a script has no plain ones, the next is near.
const NEAR: usize = 2;

/// Adds what is in a text.
pub(crate) fn look(text: &str, found: &mut Vec<Finding>) {
    let lines = Lines { text };
    let mut from = 0;
    while let Some(at) = next_odd(text.as_bytes(), from) {
        let Some(letter) = text.get(at..).and_then(|rest| rest.chars().next()) else { return };
        if found.len() > crate::FINDINGS_MAX {
            return;
        }
        let end = at.saturating_add(letter.len_utf8());
        from = match what(letter) {
            What::Plain => end,
            What::Control => {
                control(text, at..end, found);
                end
            }
            What::Hidden(hidden) => hidden_run(&lines, (at..end, hidden), found),
        };
    }
}

/// Adds characters in a row that are not seen, unless the text needs them; where they end.
fn hidden_run(
    lines: &Lines<'_>,
    (first, hidden): (Range<usize>, Hidden),
    found: &mut Vec<Finding>,
) -> usize {
    let mut run = first;
    let mut is_one = true;
    let mut letters = lines.text.get(run.end..).unwrap_or_default().chars();
    let after = loop {
        match letters.next() {
            Some(letter) if matches!(what(letter), What::Hidden(_)) => {
                run.end = run.end.saturating_add(letter.len_utf8());
                is_one = false;
            }
            after => break after,
        }
    };
    let before = lines.text.get(..run.start).and_then(|it| it.chars().next_back());
    let around = Around { before, after, rtl: lines.are_rtl(run.start) };
    let one = is_one.then_some(hidden);
    let run_text = lines.text.get(run.clone()).unwrap_or_default();
    let end = run.end;
    if !is_needed(one, run_text, &around) {
        found.push(hidden_text(run));
    }
    end
}

/// Where the next byte is that is no plain one; what is plain is passed over fast.
fn next_odd(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let first = rest.iter().take(NEAR).position(|byte| !is_plain(&[*byte]));
    if let Some(near) = first {
        return from.checked_add(near);
    }
    let (chunks, last) = rest.as_chunks::<CHUNK>();
    let number = chunks.iter().position(|chunk| !is_plain(chunk));
    let (part, start) = match number {
        Some(number) => (chunks.get(number)?.as_slice(), number.checked_mul(CHUNK)?),
        None => (last, chunks.len().checked_mul(CHUNK)?),
    };
    let at = part.iter().position(|byte| !is_plain(&[*byte]))?;
    from.checked_add(start)?.checked_add(at)
}

/// Whether bytes are ASCII that is seen, or ends of lines. Numbers in the place of truths: the compiler looks at many
/// of them at once.
fn is_plain(bytes: &[u8]) -> bool {
    let odd = |byte: u8| {
        let is_control = u8::from(byte < 0x20)
            & u8::from(byte != b'\t')
            & u8::from(byte != b'\n')
            & u8::from(byte != b'\r')
            & u8::from(byte != 0x0c);
        is_control | u8::from(byte >= 0x7f)
    };
    bytes.iter().fold(0, |any, byte| any | odd(*byte)) == 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Plain,
    /// A terminal does something on it.
    Control,
    Hidden(Hidden),
}

/// Characters without a shape of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// Letters that nobody sees (Unicode block Tags).
    Tag,
    /// Between characters: joins them, or keeps them apart.
    Joiner,
    /// A place where a line may be broken.
    Space,
    /// At the start of a file.
    ByteOrder,
    /// Says which shape the one before has.
    Selector,
    /// A mark of direction.
    Mark,
    /// Begins or ends a part in another direction.
    Direction,
    /// Turns the order of characters round.
    Override,
    /// Nothing that a text needs.
    Other,
}

fn what(letter: char) -> What {
    use Hidden::{ByteOrder, Direction, Joiner, Mark, Other, Override, Selector, Space, Tag};
    let hidden = match u32::from(letter) {
        0x09 | 0x0a | 0x0c | 0x0d | 0x20..0x7f => return What::Plain,
        0..0x20 | 0x7f..0xa0 => return What::Control,
        0x200c | 0x200d => Joiner,
        0x200b => Space,
        0xfeff => ByteOrder,
        0xfe00..=0xfe0f | 0xe_0100..=0xe_01ef | 0x180b..=0x180d | 0x180f => Selector,
        0x200e | 0x200f | 0x061c => Mark,
        0x202a..=0x202c | 0x2066..=0x2069 => Direction,
        0x202d | 0x202e => Override,
        0xe_0000..=0xe_007f => Tag,
        // Joining, filling and parting, operators that are not seen, notes between lines, signs of music, format of Khmer.
        0x00ad
        | 0x034f
        | 0x115f
        | 0x1160
        | 0x17b4
        | 0x17b5
        | 0x180e
        | 0x2060..=0x2065
        | 0x206a..=0x206f
        | 0x3164
        | 0xffa0
        | 0xfff9..=0xfffb
        | 0x1_d173..=0x1_d17a
        | 0xe_0080..=0xe_00ff
        | 0xe_01f0..=0xe_0fff => Other,
        _ => return What::Plain,
    };
    What::Hidden(hidden)
}

/// What stands on both sides.
struct Around {
    before: Option<char>,
    after: Option<char>,
    /// Whether letters that run from right to left are in the line.
    rtl: bool,
}

/// Whether a text needs characters that are not seen, of which this is one, or of which these are several.
fn is_needed(one: Option<Hidden>, run: &str, around: &Around) -> bool {
    let Some(one) = one else { return several_are_needed(run, around) };
    let not_latin = |letter: Option<char>| letter.is_some_and(|letter| u32::from(letter) >= 0x370);
    match one {
        // `👩‍💻`, `می‌خواهم`, `क्‍ष`.
        Hidden::Joiner => not_latin(around.before) && not_latin(around.after),
        // Scripts without spaces: Thai, Lao, Khmer, Burmese, Tibetan, and those of East Asia.
        Hidden::Space => is_spaceless(around.before) && is_spaceless(around.after),
        Hidden::ByteOrder => around.before.is_none(),
        Hidden::Selector => takes_selector(around.before),
        Hidden::Mark | Hidden::Direction => around.rtl,
        Hidden::Tag | Hidden::Override | Hidden::Other => false,
    }
}

/// A flag's letters, a selector and a joiner between two emoji, marks of direction that stand together.
fn several_are_needed(run: &str, around: &Around) -> bool {
    /// Longest code of a flag: `gbeng` and its end.
    const FLAG_LETTERS_MAX: usize = 7;
    let kinds: Vec<Hidden> = run
        .chars()
        .filter_map(|letter| match what(letter) {
            What::Hidden(hidden) => Some(hidden),
            What::Plain | What::Control => None,
        })
        .collect();
    if around.before == Some('\u{1f3f4}') && kinds.iter().all(|kind| *kind == Hidden::Tag) {
        return run.ends_with('\u{e007f}') && kinds.len() <= FLAG_LETTERS_MAX;
    }
    match kinds.as_slice() {
        [Hidden::Selector, Hidden::Joiner] => {
            takes_selector(around.before) && is_needed(Some(Hidden::Joiner), "", around)
        }
        [first, rest @ ..] if rest.len() < 3 => {
            let is_direction = |kind: &Hidden| matches!(kind, Hidden::Mark | Hidden::Direction);
            around.rtl && is_direction(first) && rest.iter().all(is_direction)
        }
        _ => false,
    }
}

fn is_spaceless(letter: Option<char>) -> bool {
    let Some(letter) = letter else { return false };
    matches!(u32::from(letter), 0x0e00..=0x109f | 0x1780..=0x17ff | 0x19e0..=0x1aaf | 0x2e80..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

/// Emoji, ideographs and Mongolian have several shapes; so have `1`, `#` and `©` before a selector of emoji.
fn takes_selector(letter: Option<char>) -> bool {
    let Some(letter) = letter else { return false };
    letter.is_ascii_digit()
        || matches!(letter, '#' | '*' | '©' | '®')
        || matches!(u32::from(letter), 0x1000..=0x109f | 0x1800..=0x18af | 0x2000..=0x2bff | 0x2e80..=0x9fff | 0xa840..=0xa87f | 0xf900..=0xfaff | 0x1_f000..=0x1_faff | 0x2_0000..=0x3_ffff | 0xff00..=0xffef)
}

/// Which lines have letters from right to left: found out only where it matters.
struct Lines<'a> {
    text: &'a str,
}

impl Lines<'_> {
    fn are_rtl(&self, at: usize) -> bool {
        /// How far a line is looked at to both sides, in bytes.
        const LOOK: usize = 512;
        let (before, after) = self.text.split_at_checked(at).unwrap_or((self.text, ""));
        let near = before.get(before.floor_char_boundary(before.len().saturating_sub(LOOK))..);
        let far = after.get(..after.floor_char_boundary(LOOK));
        let near = near.unwrap_or_default().rsplit('\n').next().unwrap_or_default();
        let far = far.unwrap_or_default().split('\n').next().unwrap_or_default();
        near.chars().chain(far.chars()).any(is_rtl)
    }
}

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and the scripts of their kind.
fn is_rtl(letter: char) -> bool {
    let code = u32::from(letter);
    matches!(code, 0x0590..=0x08ff | 0xfb1d..=0xfdff | 0xfe70..=0xfefc | 0x1_0800..=0x1_0fff | 0x1_e800..=0x1_efff)
        && code != 0x061c
}

/// Control characters in a row are one finding, and so is a whole row of empty sequences.
fn control(text: &str, at: Range<usize>, found: &mut Vec<Finding>) {
    let escapes = matches!(text.get(at.clone()), Some("\u{1b}" | "\u{9b}" | "\u{9d}" | "\u{90}"));
    let rule = if escapes { "terminal-escape" } else { "control-character" };
    if let Some(last) = found.last_mut().filter(|last| last.rule == rule && last.at.end == at.start)
    {
        last.at.end = at.end;
        return;
    }
    let (kind, certainty) = (FindingKind::Terminal, Certainty::Certain);
    found.push(Finding { rule, kind, certainty, at });
}

fn hidden_text(at: Range<usize>) -> Finding {
    let (kind, certainty) = (FindingKind::HiddenText, Certainty::Certain);
    Finding { rule: "hidden-text", kind, certainty, at }
}
