//! What belongs to a person: addresses, numbers of telephones, cards, accounts and insurances, each with its check.

mod card;
mod email;
mod iban;
mod ip;
mod phone;

use std::ops::Range;

use ringfence_core::{Certainty, Finding, FindingKind};

use crate::class::{self, ALNUM, DIGIT, SEPARATOR, UPPER};

/// Bytes that are looked at together for digits.
const CHUNK: usize = 32;
/// Bytes that are looked at one by one first.
const NEAR: usize = 8;

/// Adds what is in a text.
pub(crate) fn look(text: &str, found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    email::look(bytes, found);
    ip::look_for_v6(text, found);
    let mut from = 0;
    while let Some(at) = next_digit(bytes, from) {
        if let Some(end) = plain_number(bytes, at) {
            from = end;
            continue;
        }
        let number = Number::at(bytes, at);
        from = number.end.max(at.saturating_add(1));
        let before = bytes.get(..at).unwrap_or_default();
        let last = before.last().copied().unwrap_or_default();
        if class::is(last, UPPER)
            && let Some(account) = iban::at(bytes, at)
        {
            from = from.max(account.end);
            found.push(one("iban", FindingKind::Iban, Certainty::Certain, account));
            continue;
        }
        if class::is(last, ALNUM) || last == b'_' {
            continue;
        }
        if let Some(finding) = number.what(text, before) {
            from = from.max(finding.at.end);
            found.push(finding);
        }
    }
}

fn one(rule: &'static str, kind: FindingKind, certainty: Certainty, at: Range<usize>) -> Finding {
    Finding { rule, kind, certainty, at }
}

/// Where the next digit is; texts without any are passed over fast.
fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    // Where there are numbers, the next is near.
    if let Some(near) = rest.iter().take(NEAR).position(u8::is_ascii_digit) {
        return from.checked_add(near);
    }
    let (chunks, last) = rest.as_chunks::<CHUNK>();
    // Numbers in the place of truths: the compiler looks at many of them at once.
    let digit = |byte: &u8| u8::from(byte.is_ascii_digit());
    let has_digit = |chunk: &[u8; CHUNK]| chunk.iter().fold(0, |any, byte| any | digit(byte)) != 0;
    let number = chunks.iter().position(has_digit);
    let (part, start) = match number {
        Some(number) => (chunks.get(number)?.as_slice(), number.checked_mul(CHUNK)?),
        None => (last, chunks.len().checked_mul(CHUNK)?),
    };
    let at = part.iter().position(u8::is_ascii_digit)?;
    from.checked_add(start)?.checked_add(at)
}

/// Where a number ends that can be nothing of what is looked for: one group of digits, too short for a card, behind no
/// country, no `+` and no bracket.
fn plain_number(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let digits = class::count(rest, DIGIT);
    let goes_on = matches!(
        (rest.get(digits), rest.get(digits.saturating_add(1))),
        (Some(b' ' | b'-' | b'.' | b')'), Some(b' ' | b'0'..=b'9'))
    );
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let may_be_more =
        before.is_some_and(|byte| class::is(*byte, UPPER) || matches!(byte, b'+' | b'('));
    (!goes_on && !may_be_more && !card::fits(digits)).then(|| at.saturating_add(digits))
}

/// Most groups of digits that are read as one number.
const GROUPS_MAX: usize = 8;

/// Digits in groups, with one character between each two.
#[derive(Debug)]
struct Number {
    start: usize,
    end: usize,
    /// How many digits each group has, and what stands before it.
    groups: [(usize, u8); GROUPS_MAX],
    count: usize,
}

impl Number {
    fn at(bytes: &[u8], start: usize) -> Number {
        let mut number = Number { start, end: start, groups: [(0, 0); GROUPS_MAX], count: 0 };
        let mut rest = bytes.get(start..).unwrap_or_default();
        let mut before = 0;
        for group in &mut number.groups {
            let digits = class::count(rest, DIGIT);
            if digits == 0 {
                // The separator before belongs to no number.
                number.end = number.end.saturating_sub(1);
                break;
            }
            *group = (digits, before);
            number.end = number.end.saturating_add(digits);
            number.count = number.count.saturating_add(1);
            match rest.get(digits..) {
                Some([separator, behind @ ..])
                    if class::is(*separator, SEPARATOR) && number.count < GROUPS_MAX =>
                {
                    (before, rest) = (*separator, behind);
                    number.end = number.end.saturating_add(1);
                }
                Some(_) | None => break,
            }
        }
        number
    }

    fn groups(&self) -> &[(usize, u8)] {
        self.groups.get(..self.count).unwrap_or_default()
    }

    /// Whether all groups have the same character between them.
    fn separator(&self) -> Option<u8> {
        let mut all = self.groups().iter().skip(1).map(|(_, separator)| *separator);
        let first = all.next()?;
        all.all(|separator| separator == first).then_some(first)
    }

    fn digits(&self) -> usize {
        self.groups().iter().map(|(digits, _)| digits).sum()
    }

    /// What it is the number of.
    fn what(&self, text: &str, before: &[u8]) -> Option<Finding> {
        let bytes = text.as_bytes();
        let at = self.start..self.end;
        let after = bytes.get(self.end);
        if after.is_some_and(|after| after.is_ascii_alphanumeric() || *after == b'_') {
            return None;
        }
        if before.last() == Some(&b'+') {
            return phone::international(text, self.start.checked_sub(1)?);
        }
        let lengths = self.groups().iter().map(|(digits, _)| *digits);
        let digits = self.digits();
        match (self.separator(), digits) {
            (Some(b'.'), 4..=12) if self.count == 4 => return ip::v4(text, at),
            (Some(b'-'), 9) if lengths.eq([3, 2, 4]) => return ssn(text, at),
            _ => {}
        }
        if card::fits(digits) {
            return card::at(text, self);
        }
        phone::american(text, self)
    }
}

/// A social security number, by the areas, groups and serials that are given out (SSA, "SSN randomization").
fn ssn(text: &str, at: Range<usize>) -> Option<Finding> {
    let found = text.get(at.clone())?;
    let (area, rest) = found.split_once('-')?;
    let (group, serial) = rest.split_once('-')?;
    let is_given = area != "000" && area != "666" && !area.starts_with('9');
    // Numbers that were printed on cards for show.
    let is_shown = ["078-05-1120", "219-09-9999", "123-45-6789"].contains(&found);
    (is_given && group != "00" && serial != "0000" && !is_shown)
        .then(|| one("ssn", FindingKind::Ssn, Certainty::Likely, at))
}

#[cfg(test)]
mod tests;
