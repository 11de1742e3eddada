//! What a byte of ASCII may be part of, looked up in one step: scanners that ask for each byte whether it is a digit, a
//! letter or one of some marks take most of their time to ask.

/// `0` to `9`.
pub(crate) const DIGIT: u8 = 1;
/// Letters and digits.
pub(crate) const ALNUM: u8 = 1 << 1;
/// What stands between groups of digits of one number.
pub(crate) const SEPARATOR: u8 = 1 << 2;
/// What a token with an address of version 6 is cut out by.
pub(crate) const V6_TOKEN: u8 = 1 << 3;
/// What such an address is made of.
pub(crate) const V6: u8 = 1 << 4;
/// Capitals.
pub(crate) const UPPER: u8 = 1 << 5;
/// Digits to the base 16.
pub(crate) const HEX: u8 = 1 << 6;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut all = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut class = 0;
        if byte.is_ascii_digit() {
            class |= DIGIT;
        }
        if byte.is_ascii_alphanumeric() {
            class |= ALNUM | V6_TOKEN;
        }
        if byte.is_ascii_uppercase() {
            class |= UPPER;
        }
        if byte.is_ascii_hexdigit() {
            class |= V6 | HEX;
        }
        match byte {
            b' ' | b'-' => class |= SEPARATOR,
            b'.' => class |= SEPARATOR | V6 | V6_TOKEN,
            b':' => class |= V6 | V6_TOKEN,
            b'_' => class |= V6_TOKEN,
            _ => {}
        }
        #[expect(clippy::indexing_slicing, reason = "there is a place for each byte")]
        {
            all[byte as usize] = class;
        }
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => return all,
        }
    }
}

/// What a byte may be part of.
#[inline]
pub(crate) fn of(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Whether a byte is one of these.
#[inline]
pub(crate) fn is(byte: u8, classes: u8) -> bool {
    of(byte) & classes != 0
}

/// How many bytes at the beginning are of these.
#[inline]
pub(crate) fn count(bytes: &[u8], classes: u8) -> usize {
    bytes.iter().position(|byte| !is(*byte, classes)).unwrap_or(bytes.len())
}
