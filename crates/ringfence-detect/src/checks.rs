//! A second look at what a pattern found: checksums, entropy, and what is no credential although it has its form.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringfence_core::Certainty;

use crate::rules::{Check, Rule};

/// What ends a key in PEM.
const PEM_END: &str = "-----END ";
/// Longest key in PEM, in bytes: RSA of 16,384 bits has 13 KiB.
const PEM_BYTES_MAX: usize = 32 * 1024;

/// How sure a finding is, and where it is in full; `None` where it is none.
pub(crate) fn checked(
    rule: &Rule,
    text: &str,
    at: Range<usize>,
) -> Option<(Certainty, Range<usize>)> {
    let found = text.get(at.clone())?;
    let holds = match rule.check {
        Check::Form => true,
        Check::Entropy(tenths) => entropy(found) >= f64::from(tenths) / 10.0 && !is_example(found),
        Check::Jwt => is_jwt(found),
        Check::Password => is_password(found),
        Check::Crc62 => {
            let certainty = if crc62(found) { rule.certainty } else { Certainty::Likely };
            // Forty letters of which most are one are the place of a token in a text about tokens.
            return (entropy(found) >= 2.5).then_some((certainty, at));
        }
        Check::Pem => return Some((rule.certainty, at.start..pem_end(text, at.end))),
    };
    holds.then_some((rule.certainty, at))
}

/// Entropy of the characters, in bits for each (Shannon); a random text of n letters has at most log2(n).
pub(crate) fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let all = u32::try_from(text.len()).map_or(f64::INFINITY, f64::from);
    let share = |count: &u32| {
        let share = f64::from(*count) / all;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(share).sum()
}

/// Whether the last six letters are the checksum of those before (GitHub and npm: CRC-32 of them, in base 62 with `0`
/// in front).
fn crc62(found: &str) -> bool {
    let Some((_, body)) = found.rsplit_once('_') else { return false };
    let Some((random, sum)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at))
    else {
        return false;
    };
    sum == base62(crc32fast::hash(random.as_bytes()))
}

/// Six digits to the base 62.
pub(crate) fn base62(number: u32) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = number;
    let mut digits = Vec::new();
    for _ in 0..6 {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        digits.push(DIGITS.get(digit).copied().map_or('0', char::from));
        rest /= 62;
    }
    digits.iter().rev().collect()
}

/// Whether the header says how it was signed, RFC 7515 section 4.1.1.
fn is_jwt(found: &str) -> bool {
    let header = found.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let has = |wanted: &[u8]| memchr::memmem::find(&header, wanted).is_some();
    header.starts_with(b"{") && header.ends_with(b"}") && has(br#""alg""#)
}

/// Whether something that stands in a password's place is one, and not what is filled in later.
fn is_password(found: &str) -> bool {
    let is_variable = found.contains(['$', '{', '<', '%', '*'])
        || found.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    let names =
        ["password", "passwd", "pass", "secret", "changeme", "postgres", "root", "user", "test"];
    let lower = found.to_ascii_lowercase();
    !is_variable && !names.contains(&lower.as_str()) && !is_example(found)
}

/// Whether somebody wrote that it is none.
fn is_example(found: &str) -> bool {
    let lower = found.to_ascii_lowercase();
    ["example", "placeholder", "your_", "your-", "xxxx", "redacted", "dummy", "0123456789abcdef"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Where a key ends that begins before `from`: behind its last line, or where no line of one goes on.
fn pem_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let within = rest.get(..rest.floor_char_boundary(PEM_BYTES_MAX)).unwrap_or_default();
    let end = within.find(PEM_END).and_then(|at| {
        let last = within.get(at.saturating_add(PEM_END.len())..)?;
        let dashes = last.find("-----")?.saturating_add("-----".len());
        Some(at.saturating_add(PEM_END.len()).saturating_add(dashes))
    });
    if let Some(end) = end {
        return from.saturating_add(end);
    }
    // Torn off: what can belong to one does.
    let belongs =
        |letter: char| letter.is_ascii_alphanumeric() || "+/=\\ \r\n\t:,\"-".contains(letter);
    let length = within.find(|letter| !belongs(letter)).unwrap_or(within.len());
    from.saturating_add(length)
}
