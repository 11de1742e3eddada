//! Credentials within base64, as the secrets of Kubernetes and logins of HTTP are: where the beginning of one stands
//! encoded, what is around it is decoded and looked at. One layer, and no other encoding.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use ringfence_core::{Certainty, Finding};

use crate::rules::{Before, Rule};

/// Longest text that is decoded, in bytes.
const ENCODED_BYTES_MAX: usize = 32 * 1024;
/// How much of it is looked for before the place, in bytes: the rest is behind it.
const BEFORE_BYTES_MAX: usize = ENCODED_BYTES_MAX / 2;
/// How far behind a place nothing is looked for again where nothing was found, in bytes: what follows there has been decoded
/// as well, with as much behind it. Words that begin nothing would be decoded over and over.
const COVERED_BYTES: usize = ENCODED_BYTES_MAX / 4;
/// Shortest word that is looked for encoded, in bytes: shorter ones are everywhere.
const WORD_BYTES_MIN: usize = 5;
/// Shorter ones that are, for what they begin.
const ALSO: [&str; 5] = ["ghp_", "ghs_", "AKIA", "AIza", "npm_"];
/// Shortest text in base64 that is looked for, in letters.
const LETTERS_MIN: usize = 4;

/// How a word stands in base64, by where its first byte is among three; only of rules whose words say enough.
pub(crate) fn words(rule: &Rule, word: &str) -> Vec<String> {
    let tells = word.len() >= WORD_BYTES_MIN || ALSO.contains(&word);
    let is_name = rule.any_case || rule.certainty != Certainty::Certain;
    if !tells || is_name || rule.before == Before::Anything && !word.starts_with("-----") {
        return Vec::new();
    }
    let mut all = Vec::new();
    for shift in 0..3_usize {
        let mut bytes = vec![0_u8; shift];
        bytes.extend_from_slice(word.as_bytes());
        let letters = STANDARD_NO_PAD.encode(&bytes);
        // Letters that have bits of the bytes before or behind are not the word's own.
        let first = shift.saturating_mul(8).div_ceil(6);
        let last = bytes.len().saturating_mul(8) / 6;
        if let Some(own) = letters.get(first..last).filter(|own| own.len() >= LETTERS_MIN) {
            all.push(own.to_owned());
        }
    }
    all
}

/// What is in the base64 around a place; the error is up to where there is nothing more in it.
pub(crate) fn look(
    text: &str,
    at: usize,
    plain: &dyn Fn(&str) -> Option<Finding>,
) -> Result<Finding, usize> {
    let bytes = text.as_bytes();
    let nothing = at.saturating_add(1);
    let around = around(bytes, at).ok_or(nothing)?;
    let looked_at = around.end.min(at.saturating_add(COVERED_BYTES)).max(nothing);
    within(bytes, around, plain).ok_or(looked_at)
}

fn around(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_\r\n".contains(byte);
    let before = bytes.get(..at)?.iter().rev().take(BEFORE_BYTES_MAX).take_while(belongs).count();
    let start = at.checked_sub(before)?;
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(ENCODED_BYTES_MAX).take_while(belongs).count();
    Some(start..start.checked_add(length)?)
}

fn within(
    bytes: &[u8],
    around: Range<usize>,
    plain: &dyn Fn(&str) -> Option<Finding>,
) -> Option<Finding> {
    // Lines of mail and of files, and the letters of either alphabet.
    let letter = |byte: &u8| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'\r' | b'\n' => None,
        _ => Some(*byte),
    };
    let letters: Vec<u8> = bytes.get(around.clone())?.iter().filter_map(letter).collect();
    // What stands before, in one word with it or on a line of its own, may not be a whole number of fours.
    let found = (0..4).find_map(|skipped| {
        let letters = letters.get(skipped..)?;
        // A last letter that stands alone has no byte.
        let alone = usize::from(letters.len() % 4 == 1);
        let whole = letters.get(..letters.len().checked_sub(alone)?)?;
        plain(&String::from_utf8_lossy(&LENIENT.decode(whole).ok()?))
    })?;
    let behind = bytes.get(around.end..)?;
    let padding = behind.iter().take(2).take_while(|byte| **byte == b'=').count();
    Some(Finding { at: around.start..around.end.checked_add(padding)?, ..found })
}

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
