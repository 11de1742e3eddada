//! Credentials within base64, as the secrets of Kubernetes and logins of HTTP are: where the beginning of one stands
//! encoded, what is around it is decoded and looked at. One layer, and no other encoding.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use ringfence_core::{Certainty, Finding};

use crate::rules::{Before, Rule};

/// Longest text that is decoded, in bytes.
const ENCODED_BYTES_MAX: usize = 32 * 1024;
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

/// What is in the base64 around a place.
pub(crate) fn look(
    text: &str,
    at: usize,
    plain: &dyn Fn(&str) -> Option<Finding>,
) -> Option<Finding> {
    let bytes = text.as_bytes();
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let before = bytes.get(..at)?.iter().rev().take(ENCODED_BYTES_MAX).take_while(belongs).count();
    let start = at.checked_sub(before)?;
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(ENCODED_BYTES_MAX).take_while(belongs).count();
    let end = start.checked_add(length)?;
    let letters = bytes.get(start..end)?;
    let is_url = letters.iter().any(|byte| b"-_".contains(byte));
    let engine = if is_url { &LENIENT_URL } else { &LENIENT };
    // A last letter that stands alone has no byte.
    let whole = if length % 4 == 1 { letters.get(..length.checked_sub(1)?)? } else { letters };
    let decoded = engine.decode(whole).ok()?;
    let decoded = String::from_utf8_lossy(&decoded);
    let found = plain(&decoded)?;
    let padding = bytes.get(end..)?.iter().take(2).take_while(|byte| **byte == b'=').count();
    Some(Finding { at: start..end.checked_add(padding)?, ..found })
}

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);
