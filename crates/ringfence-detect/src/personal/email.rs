//! E-mail addresses: RFC 5321 as people write them, without quotes and comments.

use ringfence_core::{Certainty, Finding, FindingKind};

use super::one;

/// Longest part before the `@` and longest name of a host, in bytes (RFC 5321 section 4.5.3.1).
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;

/// Ends of file names that stand behind an `@` in names of images and packages.
const FILES: [&[u8]; 10] =
    [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"ts", b"css", b"json"];

/// Adds those of a text.
pub(super) fn look(bytes: &[u8], found: &mut Vec<Finding>) {
    let mut done = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        if let Some(finding) = address(bytes, at, done) {
            done = finding.at.end;
            found.push(finding);
        }
    }
}

fn address(bytes: &[u8], at: usize, done: usize) -> Option<Finding> {
    let is_local = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte);
    let before = bytes.get(done.min(at)..at)?;
    let local = before.iter().rev().take(LOCAL_BYTES_MAX).take_while(is_local).count();
    let mut start = at.checked_sub(local)?;
    // What begins with a dot or a quote begins behind it.
    while start < at && bytes.get(start).is_some_and(|first| b".'%-+".contains(first)) {
        start = start.saturating_add(1);
    }
    let local = bytes.get(start..at)?;
    let rest = bytes.get(at.checked_add(1)?..)?;
    let is_domain = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let mut length = rest.iter().take(DOMAIN_BYTES_MAX).take_while(is_domain).count();
    while length > 0 && rest.get(length.wrapping_sub(1)).is_some_and(|last| b".-".contains(last)) {
        length = length.saturating_sub(1);
    }
    let domain = rest.get(..length)?;
    let top = domain.rsplit(|byte| *byte == b'.').next()?;
    let has_name = domain.len() > top.len().saturating_add(1) && !domain.contains(&b'@');
    let is_top = top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic) && !FILES.contains(&top);
    let has_empty = domain.split(|byte| *byte == b'.').any(<[u8]>::is_empty);
    // `git@github.com:owner/name`, `https://user@host/`, and what is no part of an address.
    let is_login = bytes.get(..start)?.ends_with(b"//")
        || (local == b"git" && rest.get(length) == Some(&b':'));
    let is_address = !local.is_empty() && has_name && is_top && !has_empty && !is_login;
    let end = at.checked_add(1)?.checked_add(length)?;
    is_address.then(|| one("email", FindingKind::Email, Certainty::Likely, start..end))
}
