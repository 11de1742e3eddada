//! Lines of bodies of several parts, one by one: what ends them, and what of them readers do not take in one way.

use super::super::kind::{self, Sniffed};
use super::LINE_BYTES_MAX;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Lf,
    CrLf,
}

impl End {
    /// What ends this one; nothing where its end is still to come.
    pub(super) fn of(line: &[u8]) -> Option<End> {
        let before = line.strip_suffix(b"\n")?;
        Some(if before.ends_with(b"\r") { End::CrLf } else { End::Lf })
    }
}

/// How much of what has passed can be forgotten: no line in the middle, which may have a boundary.
pub(in super::super) fn whole_lines(passed: &[u8]) -> usize {
    match memchr::memrchr(b'\n', passed) {
        Some(end) => end.saturating_add(1),
        // What ends a line is not cut in two.
        None if passed.len() > LINE_BYTES_MAX => {
            passed.len().saturating_sub(usize::from(passed.ends_with(b"\r")))
        }
        None => 0,
    }
}

/// The last line of a head, without its end.
pub(super) fn last_line(head: &str) -> &str {
    let head = head.strip_suffix('\n').unwrap_or(head);
    head.rsplit('\n').next().unwrap_or_default()
}

/// Whether a line has only what may stand beside the bodies of parts: no bytes of no text, none of letters of two bytes,
/// and no end of a line that is one to some readers alone.
pub(super) fn is_beside(line: &[u8]) -> bool {
    let plain = line.strip_suffix(b"\n").unwrap_or(line);
    let plain = plain.strip_suffix(b"\r").unwrap_or(plain);
    !plain.iter().any(|byte| *byte == b'\r' || kind::is_binary(*byte))
}

/// Whether a line is of UTF-8, but for a letter that is cut in two at either end of what is there of it.
pub(super) fn is_utf8(line: &[u8], continues: bool) -> bool {
    let is_rest = |byte: &&u8| continues && matches!(byte, 0x80..=0xbf);
    let rest = line.iter().take(3).take_while(is_rest).count();
    match std::str::from_utf8(line.get(rest..).unwrap_or_default()) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

pub(super) fn is_text(bytes: &[u8]) -> bool {
    kind::sniff(bytes.get(..kind::SNIFF_BYTES).unwrap_or(bytes)) == Sniffed::Text
}

/// Whether base64 goes on behind what fills it up, where some readers end, some begin anew and some go on.
pub(super) fn goes_on_filled(line: &[u8], was_filled: bool) -> bool {
    let behind = match memchr::memchr(b'=', line) {
        Some(at) if !was_filled => line.get(at..).unwrap_or_default(),
        Some(_) | None if was_filled => line,
        Some(_) | None => return false,
    };
    behind.iter().any(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
}

/// Whether there is a `=` in quoted-printable that is no part of it, of which each reader makes something else. What may
/// be one by what is still to come is none.
pub(super) fn has_stray(line: &[u8]) -> bool {
    let is_stray = |at: usize| {
        let behind = line.get(at.saturating_add(1)..).unwrap_or_default();
        match behind {
            [] | [b'\r'] | [b'\n', ..] | [b'\r', b'\n', ..] => false,
            [one] => !one.is_ascii_hexdigit(),
            [one, two, ..] => !(one.is_ascii_hexdigit() && two.is_ascii_hexdigit()),
        }
    };
    memchr::memchr_iter(b'=', line).any(is_stray)
}
