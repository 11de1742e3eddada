//! Numbers of bank accounts: ISO 13616, with the length that each country has and the check digits of ISO 7064.

use std::ops::Range;

/// Countries and how long their numbers are (SWIFT IBAN registry).
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// An account whose check digits begin at a digit.
pub(super) fn at(bytes: &[u8], digit: usize) -> Option<Range<usize>> {
    let start = digit.checked_sub(2)?;
    let country = bytes.get(start..digit)?;
    if !country.iter().all(u8::is_ascii_uppercase) {
        // Most numbers: no list has to be looked through for them.
        return None;
    }
    let (_, length) = LENGTHS.iter().find(|(name, _)| name.as_slice() == country)?;
    let is_free = start
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .is_none_or(|before| !before.is_ascii_alphanumeric());
    if !is_free || !bytes.get(digit.checked_add(1)?)?.is_ascii_digit() {
        return None;
    }
    let (mut letters, mut end) = (Vec::with_capacity(*length), start);
    while letters.len() < *length {
        match bytes.get(end)? {
            letter if letter.is_ascii_digit() || letter.is_ascii_uppercase() => {
                letters.push(*letter);
            }
            // In groups of four.
            b' ' if letters.len().is_multiple_of(4)
                && bytes.get(end.wrapping_sub(1)) != Some(&b' ') => {}
            _ => return None,
        }
        end = end.checked_add(1)?;
    }
    let goes_on = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on && remainder(&letters) == 1).then_some(start..end)
}

/// The number modulo 97, its first four characters last, letters as 10 to 35.
fn remainder(letters: &[u8]) -> u32 {
    let (first, rest) = letters.split_at_checked(4).unwrap_or((letters, &[]));
    rest.iter().chain(first).fold(0, |so_far, letter| {
        let value = char::from(*letter).to_digit(36).unwrap_or_default();
        let shift = if value > 9 { 100 } else { 10 };
        (so_far * shift + value) % 97
    })
}
