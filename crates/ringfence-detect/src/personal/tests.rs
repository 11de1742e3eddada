#![expect(clippy::string_slice, reason = "places of ASCII")]

//! What finds numbers and addresses in one pass, against what looks at every byte by itself.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// All of [`look`], without anything that makes it fast.
fn plainly(text: &str) -> Vec<Finding> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    email::look(bytes, &mut found);
    addresses_plainly(text, &mut found);
    let mut from = 0;
    while let Some(near) = bytes[from..].iter().position(u8::is_ascii_digit) {
        let at = from + near;
        let number = number_plainly(bytes, at);
        from = number.end.max(at + 1);
        if let Some(account) = iban::at(bytes, at) {
            from = from.max(account.end);
            found.push(one("iban", FindingKind::Iban, Certainty::Certain, account));
            continue;
        }
        let before = &bytes[..at];
        if before.last().is_some_and(|last| last.is_ascii_alphanumeric() || *last == b'_') {
            continue;
        }
        if let Some(finding) = number.what(text, before) {
            from = from.max(finding.at.end);
            found.push(finding);
        }
    }
    found
}

fn number_plainly(bytes: &[u8], start: usize) -> Number {
    let mut number = Number { start, end: start, groups: [(0, 0); GROUPS_MAX], count: 0 };
    let mut before = 0;
    while number.count < GROUPS_MAX {
        let rest = &bytes[number.end..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            number.end -= 1;
            break;
        }
        number.groups[number.count] = (digits, before);
        number.end += digits;
        number.count += 1;
        match rest.get(digits) {
            Some(separator @ (b' ' | b'-' | b'.')) if number.count < GROUPS_MAX => {
                before = *separator;
                number.end += 1;
            }
            Some(_) | None => break,
        }
    }
    number
}

fn addresses_plainly(text: &str, found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b":._".contains(byte);
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut done = 0;
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b':') {
        let doubled = bytes.get(at + 1) == Some(&b':');
        let begins = at > 0 && is_hex(at - 1) || doubled;
        if at < done || !begins || !(is_hex(at + 1) || doubled) {
            continue;
        }
        let start = at - bytes[done..at].iter().rev().take(45).take_while(belongs).count();
        let end = start + bytes[start..].iter().take(46).take_while(belongs).count();
        done = end.max(start + 1);
        let whole = text[start..end].trim_end_matches(['.', ':']);
        let count = |what: fn(&u8) -> bool| whole.bytes().filter(what).count();
        let Ok(address) = whole.parse::<Ipv6Addr>() else { continue };
        let is_long = whole.len() >= 6 && count(u8::is_ascii_digit) >= 2;
        let may_be_one = count(|byte| *byte == b':') >= 6 || whole.contains("::");
        if is_long && may_be_one && !address.is_loopback() && !address.is_unspecified() {
            let is_local = address.is_unicast_link_local() || address.is_unique_local();
            let certainty = if is_local { Certainty::Noisy } else { Certainty::Likely };
            found.push(one("ipv6", FindingKind::Ip, certainty, start..start + whole.len()));
        }
    }
}

fn found(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    look(text, &mut found);
    found
}

/// What texts with numbers are made of, whole and broken.
const PARTS: [&str; 34] = [
    "2026-11-22T10:05:59.123Z",
    "10.0.17.255",
    "93.184.216.34",
    "1.2.3.4.5",
    "8.8.8.8:53",
    "2001:db8:85a3::8a2e:370:7334",
    "2001:0db8:0000:0000:0000:ff00:0042:8329",
    "fe80::1%eth0",
    "::ffff:93.184.216.34",
    "a::b",
    "std::net::Ipv4Addr",
    "DE89 3704 0044 0532 0130 00",
    "GB29NWBK60161331926819",
    "4111 1111 1111 1111",
    "4111111111111111",
    "378282246310005",
    "536-90-4399",
    "+49 30 123456",
    "(212) 555-0123",
    "212-555-0123",
    "555.867.5309",
    "jo@mail.example.com",
    "worker[17]:",
    "status=200",
    "id=9e3779b97f4a7c15",
    "0x1F",
    "v1.2.3-rc.4",
    "é",
    "\u{a0}",
    "_",
    "+",
    "(",
    ":",
    "9",
];

#[test]
fn what_is_fast_finds_the_same_in_texts_as_there_are() {
    for text in [
        include_str!("../../../../docs/mcp.md"),
        include_str!("../../../../docs/benchmarks.md"),
        include_str!("../../../../CHANGELOG.md"),
        include_str!("phone.rs"),
        include_str!("../tests.rs"),
        include_str!("../rules/tests.rs"),
    ] {
        assert_eq!(found(text), plainly(text));
        for line in text.lines() {
            assert_eq!(found(line), plainly(line), "{line}");
        }
    }
    for one in PARTS {
        for other in PARTS {
            for between in ["", " ", "-", ".", ":", ",", "\n"] {
                let text = [one, between, other].concat();
                assert_eq!(found(&text), plainly(&text), "{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_fast_finds_the_same_in_any_text(
        parts in prop::collection::vec(
            prop_oneof![
                3 => prop::sample::select(&PARTS[..]).prop_map(str::to_owned),
                3 => "[0-9]{1,5}",
                3 => "[ .:+(),_/-]",
                1 => "[A-Za-z]{1,3}",
                1 => "\\PC",
            ],
            0..40,
        ),
    ) {
        let text = parts.concat();
        prop_assert_eq!(found(&text), plainly(&text));
    }
}
