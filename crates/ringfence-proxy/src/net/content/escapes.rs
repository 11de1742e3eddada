//! A text as it reads: of JSON, in which `\u0067hp_...` is a credential as well, and so is one with `\/` in it; of a
//! form, in which `%67hp_...` is one.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Form;
use super::stream::readable;

/// A text without escapes, and where each of its bytes comes from.
pub(super) struct Decoded {
    pub(super) text: String,
    /// Where in the text as it was each byte begins; one more for the end.
    from: Vec<usize>,
    /// Whether it was written in base64, and has to be again.
    is_base64: bool,
}

impl Decoded {
    /// A text as it reads in JSON; `None` where that is as it is written.
    pub(super) fn of(text: &str) -> Option<Decoded> {
        decoded(text)
    }

    /// The same, of what is itself a reading.
    fn behind(mut self, outer: &Decoded) -> Decoded {
        for from in &mut self.from {
            *from = outer.place(&(*from..*from)).start;
        }
        self.is_base64 = outer.is_base64;
        self
    }

    /// The same of a text that begins elsewhere.
    pub(super) fn from(mut self, start: usize) -> Decoded {
        self.from.iter_mut().for_each(|from| *from = from.saturating_add(start));
        self
    }

    /// What is put in the place of something, so that the text can still be read as this one was.
    pub(super) fn shown(&self, shown: String) -> String {
        if !self.is_base64 || shown.is_empty() {
            return shown;
        }
        let filled = shown.len().next_multiple_of(3);
        STANDARD.encode(format!("{shown:<filled$}"))
    }

    /// Where something stands in the text as it was.
    pub(super) fn place(&self, at: &Range<usize>) -> Range<usize> {
        let place = |at: usize| self.from.get(at).or(self.from.last()).copied().unwrap_or_default();
        let (start, mut end) = (place(at.start), at.end);
        if self.is_base64 && at.end > at.start {
            // Four letters are three bytes: all of those go.
            let last = place(at.end.saturating_sub(1));
            while end < self.from.len() && place(end) <= last {
                end = end.saturating_add(1);
            }
        }
        start..place(end)
    }
}

/// How a text reads otherwise than it is written.
pub(super) fn readings(text: &str, form: Form) -> Vec<Decoded> {
    let mut all: Vec<Decoded> = decoded(text).into_iter().collect();
    match form {
        Form::Fields => {
            if let Some(fields) = fields(text, b' ') {
                // A field may be JSON.
                all.extend(decoded(&fields.text).map(|within| within.behind(&fields)));
                all.push(fields);
            }
        }
        Form::Text | Form::Json | Form::Events | Form::Parts(_) => {}
    }
    all
}

/// How the value of a header reads otherwise than it is written: with `%XX` decoded, and `+` too or not.
pub(super) fn of_value(text: &str) -> Vec<Decoded> {
    let has_escapes = text.contains('%');
    let plain = has_escapes.then(|| fields(text, b'+')).flatten();
    decoded(text).into_iter().chain(plain).chain(fields(text, b' ')).collect()
}

/// The names and values of a form.
pub(super) fn of_field(text: &str) -> Option<Decoded> {
    fields(text, b' ')
}

/// How a form in something reads.
pub(super) fn fields_within(reading: &Decoded) -> Option<Decoded> {
    of_field(&reading.text).map(|within| within.behind(reading))
}

/// How JSON in something reads.
pub(super) fn within(reading: &Decoded) -> Option<Decoded> {
    decoded(&reading.text).map(|within| within.behind(reading))
}

/// The alphabets of base64: whoever reads one passes over the letters that are the other's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    Standard,
    Web,
}

impl Alphabet {
    pub(super) const ALL: [Alphabet; 2] = [Alphabet::Standard, Alphabet::Web];
}

/// A part in base64 (RFC 2045, section 6.8), before which so many letters stand of four that are not all there; what is
/// no letter of it is passed over.
pub(super) fn base64(text: &str, alphabet: Alphabet, phase: usize) -> Decoded {
    let (mut bytes, mut from) = (Vec::with_capacity(text.len()), Vec::new());
    let letter = |(at, byte)| Some((at, sextet(byte, alphabet)?));
    let mut letters = text.bytes().enumerate().filter_map(letter);
    let rest = if phase == 0 { 0 } else { 4_usize.saturating_sub(phase) };
    letters.by_ref().take(rest).for_each(drop);
    let (mut group, mut count, mut start) = (0_u32, 0_u32, 0_usize);
    for (at, letter) in letters {
        let is_end = letter == PADDING;
        if !is_end {
            start = if count == 0 { at } else { start };
            group = group.wrapping_shl(6) | letter;
            count = count.saturating_add(1);
        }
        if count == 4 || (is_end && count > 0) {
            push_group(&mut bytes, &mut from, (group, count, start));
            (group, count) = (0, 0);
        }
    }
    if count > 0 {
        push_group(&mut bytes, &mut from, (group, count, start));
    }
    from.push(text.len());
    Decoded { text: readable(&bytes).into_owned(), from, is_base64: true }
}

/// The bytes that so many letters of base64 are.
fn push_group(bytes: &mut Vec<u8>, from: &mut Vec<usize>, (group, count, at): (u32, u32, usize)) {
    let bits = group.wrapping_shl(6_u32.saturating_mul(4_u32.saturating_sub(count)));
    let [_, one, two, three] = bits.to_be_bytes();
    let whole = usize::try_from(count).unwrap_or_default().saturating_sub(1);
    bytes.extend([one, two, three].iter().take(whole));
    from.resize(bytes.len(), at);
}

/// What fills base64 up.
const PADDING: u32 = 64;

/// The value of a letter of base64.
fn sextet(byte: u8, alphabet: Alphabet) -> Option<u32> {
    let value = match (byte, alphabet) {
        (b'A'..=b'Z', _) => byte.wrapping_sub(b'A'),
        (b'a'..=b'z', _) => byte.wrapping_sub(b'a').wrapping_add(26),
        (b'0'..=b'9', _) => byte.wrapping_sub(b'0').wrapping_add(52),
        (b'+', Alphabet::Standard) | (b'-', Alphabet::Web) => 62,
        (b'/', Alphabet::Standard) | (b'_', Alphabet::Web) => 63,
        (b'=', _) => return Some(PADDING),
        _ => return None,
    };
    Some(u32::from(value))
}

/// How many letters of base64 stand beyond the last four behind a line, before which there were so many.
pub(super) fn phase(line: &[u8], alphabet: Alphabet, before: usize) -> usize {
    let letters = line.iter().filter_map(|byte| sextet(*byte, alphabet));
    letters.fold(
        before,
        |phase, letter| {
            if letter == PADDING { 0 } else { phase.saturating_add(1) % 4 }
        },
    )
}

/// A part in quoted-printable (RFC 2045, section 6.7); `None` where nothing in it is written otherwise.
pub(super) fn quoted(text: &str) -> Option<Decoded> {
    memchr::memchr(b'=', text.as_bytes())?;
    Some(by_bytes(text, quoted_byte))
}

/// The byte that quoted-printable begins with, and how long it is written; none for the end of a line that is none.
fn quoted_byte(rest: &[u8]) -> Option<(Option<u8>, usize)> {
    Some(match (rest.first()?, rest.get(1), rest.get(2)) {
        (b'=', Some(b'\r'), Some(b'\n')) => (None, 3),
        (b'=', Some(b'\n'), _) => (None, 2),
        (b'=', _, _) => hex(rest).map_or((Some(b'='), 1), |it| (Some(it), 3)),
        (other, _, _) => (Some(*other), 1),
    })
}

/// The fields of a form as they read, with this for a `+`; `None` where nothing in them is written otherwise.
fn fields(text: &str, plus: u8) -> Option<Decoded> {
    memchr::memchr2(b'%', b'+', text.as_bytes())?;
    Some(by_bytes(text, |rest| field_byte(rest, plus)))
}

/// The byte that a form begins with, and how long it is written.
fn field_byte(rest: &[u8], plus: u8) -> Option<(Option<u8>, usize)> {
    Some(match rest.first()? {
        b'+' => (Some(plus), 1),
        b'%' => hex(rest).map_or((Some(b'%'), 1), |it| (Some(it), 3)),
        other => (Some(*other), 1),
    })
}

/// The value of the two digits behind the first letter.
fn hex(rest: &[u8]) -> Option<u8> {
    let digit = |at: usize| rest.get(at).and_then(|it| char::from(*it).to_digit(16));
    let value = digit(1)?.saturating_mul(16).saturating_add(digit(2)?);
    u8::try_from(value).ok()
}

/// A text of which each byte is written so.
fn by_bytes(text: &str, first: impl Fn(&[u8]) -> Option<(Option<u8>, usize)>) -> Decoded {
    let (mut bytes, mut from) = (Vec::with_capacity(text.len()), Vec::new());
    let (mut at, mut rest) = (0_usize, text.as_bytes());
    while let Some((byte, length)) = first(rest) {
        if let Some(byte) = byte {
            bytes.push(byte);
            from.push(at);
        }
        at = at.saturating_add(length);
        rest = rest.get(length..).unwrap_or_default();
    }
    from.push(at);
    Decoded { text: readable(&bytes).into_owned(), from, is_base64: false }
}

/// A text without the escapes behind which letters can hide, and without the zeros between letters of two bytes;
/// `None` where it has none.
fn decoded(text: &str) -> Option<Decoded> {
    let bytes = text.as_bytes();
    let hides = |at: usize| matches!(bytes.get(at.saturating_add(1)), Some(b'u' | b'/'));
    let is_wide = memchr::memchr(0, bytes).is_some();
    if !is_wide && !memchr::memchr_iter(b'\\', bytes).any(hides) {
        return None;
    }
    let (plain, from) = (String::with_capacity(text.len()), Vec::new());
    let mut decoded = Decoded { text: plain, from, is_base64: false };
    let (mut at, mut rest) = (0_usize, text);
    while let Some(letter) = rest.chars().next() {
        let (letter, length) = escaped(rest).unwrap_or((letter, letter.len_utf8()));
        if letter != '\0' {
            decoded.text.push(letter);
        }
        decoded.from.resize(decoded.text.len(), at);
        at = at.saturating_add(length);
        rest = rest.get(length..).unwrap_or_default();
    }
    decoded.from.push(at);
    Some(decoded)
}

/// The letter that an escape stands for, and its length (RFC 8259, section 7).
fn escaped(rest: &str) -> Option<(char, usize)> {
    let after = rest.strip_prefix('\\')?;
    match after.bytes().next()? {
        plain @ (b'/' | b'"' | b'\\') => Some((char::from(plain), 2)),
        b'u' => {
            let code = u32::from_str_radix(after.get(1..5)?, 16).ok()?;
            // Halves of pairs are no letters by themselves, and none that is looked for.
            Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
        }
        b'n' => Some(('\n', 2)),
        b'r' => Some(('\r', 2)),
        b't' => Some(('\t', 2)),
        _ => None,
    }
}
