//! Addresses of the internet, by parsing them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ringfence_core::{Certainty, Finding, FindingKind};

use super::one;
use crate::class::{self, HEX, V6, V6_TOKEN};

/// Longest address of version 6, in bytes, with one of version 4 at its end.
const V6_BYTES_MAX: usize = 45;
/// Shortest that is looked at: what is shorter is the path of a name in a program.
const V6_BYTES_MIN: usize = 6;

/// An address of version 4, where four numbers are one.
pub(super) fn v4(text: &str, at: Range<usize>) -> Option<Finding> {
    let bytes = text.as_bytes();
    let before = at.start.checked_sub(1).and_then(|before| bytes.get(before));
    let behind = bytes.get(at.end..).unwrap_or_default();
    let is_version = before.is_some_and(|byte| b".-".contains(byte))
        || matches!(behind, [b'.', next, ..] if next.is_ascii_alphanumeric())
        || matches!(behind, [b'-', next, ..] if next.is_ascii_alphabetic());
    let address: Ipv4Addr = text.get(at.clone())?.parse().ok()?;
    let is_nobodys = address.is_loopback()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation();
    let certainty = if address.is_private() || address.is_link_local() || address.octets()[0] == 0 {
        Certainty::Noisy
    } else {
        Certainty::Likely
    };
    (!is_version && !is_nobodys).then(|| one("ipv4", FindingKind::Ip, certainty, at))
}

/// Adds the addresses of version 6.
pub(super) fn look_for_v6(text: &str, found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr::memchr_iter(b':', bytes) {
        if at < done {
            continue;
        }
        let is_hex = |byte: Option<&u8>| byte.is_some_and(|byte| class::is(*byte, HEX));
        let next = bytes.get(at.saturating_add(1));
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if next != Some(&b':') && !(is_hex(next) && is_hex(before)) {
            continue;
        }
        let (end, finding) = v6(text, at, done);
        done = end;
        found.extend(finding);
    }
}

/// The address around a colon, and how far was looked.
fn v6(text: &str, at: usize, done: usize) -> (usize, Option<Finding>) {
    let bytes = text.as_bytes();
    let belongs = |byte: &&u8| class::is(**byte, V6_TOKEN);
    let before = bytes.get(done..at).unwrap_or_default();
    let before = before.iter().rev().take(V6_BYTES_MAX).take_while(belongs).count();
    let start = at.saturating_sub(before);
    let rest = bytes.get(start..).unwrap_or_default();
    let length = rest.iter().take(V6_BYTES_MAX.saturating_add(1)).take_while(belongs).count();
    let end = start.saturating_add(length);
    let token = bytes.get(start..end).unwrap_or_default();
    if !token.iter().all(|byte| class::is(*byte, V6)) {
        // A time behind a date, a path in a program.
        return (end.max(start.saturating_add(1)), None);
    }
    let whole = text.get(start..end).unwrap_or_default();
    let whole = whole.trim_end_matches(['.', ':']);
    let at = start..start.saturating_add(whole.len());
    let digits = whole.bytes().filter(u8::is_ascii_digit).count();
    let colons = whole.bytes().filter(|byte| *byte == b':').count();
    let may_be_one = colons >= 6 || whole.contains("::");
    let address: Option<Ipv6Addr> = may_be_one.then(|| whole.parse().ok()).flatten();
    let address = address.filter(|it| !it.is_loopback() && !it.is_unspecified());
    let is_one = whole.len() >= V6_BYTES_MIN && digits >= 2;
    let finding = address.filter(|_| is_one).map(|address| {
        let is_local = address.is_unicast_link_local() || address.is_unique_local();
        let certainty = if is_local { Certainty::Noisy } else { Certainty::Likely };
        one("ipv6", FindingKind::Ip, certainty, at)
    });
    (end.max(start.saturating_add(1)), finding)
}
