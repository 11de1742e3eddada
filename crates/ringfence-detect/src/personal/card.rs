//! Numbers of payment cards: ISO/IEC 7812, the check digit of Luhn, and who issues what begins so.

use ringfence_core::{Certainty, Finding, FindingKind};

use super::{Number, one};

pub(super) fn fits(digits: usize) -> bool {
    (13..=19).contains(&digits)
}

/// A card, where a number is one: alone, or in the groups that are on cards.
pub(super) fn at(text: &str, number: &Number) -> Option<Finding> {
    let at = number.start..number.end;
    let digits: Vec<u8> = text
        .get(at.clone())?
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| digit.wrapping_sub(b'0'))
        .collect();
    let lengths: Vec<usize> = number.groups().iter().map(|(digits, _)| *digits).collect();
    let is_grouped =
        matches!(lengths.as_slice(), [4, 4, 4, 4 | 1] | [4, 4, 4, 4, 1..=3] | [4, 6, 5 | 4])
            && matches!(number.separator(), Some(b' ' | b'-'));
    let is_alone = lengths.len() == 1
        && text.as_bytes().get(at.end) != Some(&b'.')
        && text.as_bytes().get(at.start.wrapping_sub(1)) != Some(&b'.');
    let certainty = match (is_grouped, is_alone) {
        (true, _) => Certainty::Certain,
        (false, true) => Certainty::Likely,
        (false, false) => return None,
    };
    let varies = digits.iter().any(|digit| Some(digit) != digits.first());
    (varies && is_issued(&digits) && luhn(&digits))
        .then(|| one("card", FindingKind::Card, certainty, at))
}

/// Whether a network has cards that begin so and are as long.
fn is_issued(digits: &[u8]) -> bool {
    let first = |count: usize| {
        digits.iter().take(count).fold(0_u32, |number, digit| {
            number.saturating_mul(10).saturating_add(u32::from(*digit))
        })
    };
    let (one, two, three, four, six) = (first(1), first(2), first(3), first(4), first(6));
    match digits.len() {
        // Visa of old.
        13 => one == 4,
        // Diners Club.
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        // American Express.
        15 => matches!(two, 34 | 37),
        // Visa; Mastercard; Discover; JCB; UnionPay; RuPay; Mir.
        16 => {
            one == 4
                || matches!(two, 51..=55 | 60 | 62 | 65)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011 | 2200..=2204)
                || matches!(three, 644..=649)
                || matches!(six, 508_500..=508_999)
        }
        // UnionPay, Maestro, Visa.
        17 | 18 => two == 62,
        19 => one == 4 || two == 62,
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let weighed = |(place, digit): (usize, &u8)| {
        let doubled = if place % 2 == 1 { digit.saturating_mul(2) } else { *digit };
        u32::from(if doubled > 9 { doubled.saturating_sub(9) } else { doubled })
    };
    digits.iter().rev().enumerate().map(weighed).sum::<u32>() % 10 == 0
}
