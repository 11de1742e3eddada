//! A text as it reads: of JSON, in which `\u0067hp_...` is a credential as well, and so is one with `\/` in it; of a
//! form, in which `%67hp_...` is one.

use std::ops::Range;

use super::Form;
use super::stream::readable;

/// A text without escapes, and where each of its bytes comes from.
pub(super) struct Decoded {
    pub(super) text: String,
    /// Where in the text as it was each byte begins; one more for the end.
    from: Vec<usize>,
}

impl Decoded {
    /// The same, of what is itself a reading.
    fn behind(mut self, outer: &Decoded) -> Decoded {
        for from in &mut self.from {
            *from = outer.place(&(*from..*from)).start;
        }
        self
    }

    /// Where something stands in the text as it was.
    pub(super) fn place(&self, at: &Range<usize>) -> Range<usize> {
        let place = |at: usize| self.from.get(at).or(self.from.last()).copied().unwrap_or_default();
        place(at.start)..place(at.end)
    }
}

/// How a text reads otherwise than it is written.
pub(super) fn readings(text: &str, form: Form) -> Vec<Decoded> {
    let mut all: Vec<Decoded> = decoded(text).into_iter().collect();
    match form {
        Form::Fields => {
            if let Some(fields) = fields(text) {
                // A field may be JSON.
                all.extend(decoded(&fields.text).map(|within| within.behind(&fields)));
                all.push(fields);
            }
        }
        Form::Text | Form::Json | Form::Events => {}
    }
    all
}

/// The fields of a form as they read; `None` where nothing in them is written otherwise.
fn fields(text: &str) -> Option<Decoded> {
    memchr::memchr2(b'%', b'+', text.as_bytes())?;
    let (mut bytes, mut from) = (Vec::with_capacity(text.len()), Vec::new());
    let (mut at, mut rest) = (0_usize, text.as_bytes());
    while let Some((byte, length)) = field_byte(rest) {
        bytes.push(byte);
        from.push(at);
        at = at.saturating_add(length);
        rest = rest.get(length..).unwrap_or_default();
    }
    from.push(at);
    Some(Decoded { text: readable(&bytes).into_owned(), from })
}

/// The byte that a form begins with, and how long it is written.
fn field_byte(rest: &[u8]) -> Option<(u8, usize)> {
    let digit = |at: usize| rest.get(at).and_then(|it| char::from(*it).to_digit(16));
    match rest.first()? {
        b'+' => Some((b' ', 1)),
        b'%' => {
            let value = digit(1)
                .zip(digit(2))
                .map(|(high, low)| high.saturating_mul(16).saturating_add(low));
            Some(value.and_then(|it| u8::try_from(it).ok()).map_or((b'%', 1), |it| (it, 3)))
        }
        other => Some((*other, 1)),
    }
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
    let mut decoded = Decoded { text: String::with_capacity(text.len()), from: Vec::new() };
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
