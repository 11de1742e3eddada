//! What a server sends, looked through before its client has it: every text and every key of it, as they read and not as
//! they are escaped. What is found is replaced where it stands; all else stays byte for byte as it came.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ringfence_core::{
    Certainty, Detector, Finding, FindingKind, Found, Handling, Inspect, Treatment, redacted,
};

use super::frame::{Frame, Message, quoted, string};

/// What is done about what is found.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What the rules say that permitted the call.
    pub handling: &'a Handling,
    /// What is taken out of all results where it is certain.
    pub always: &'a BTreeSet<Detector>,
    /// Members of the message's body that are echoed and not read: a changed one would be another.
    pub echoed: &'a [&'a str],
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// The message as it is passed on; `None` where nothing was replaced.
    pub text: Option<String>,
    /// What was found, by rule.
    pub found: Vec<Found>,
}

impl Looked {
    /// Whether it has something that is not passed on at all.
    pub fn is_blocked(&self) -> bool {
        self.found.iter().any(|found| found.treatment == Treatment::Blocked)
    }
}

/// Shortest number that is looked at, in digits.
const NUMBER_BYTES_MIN: usize = 12;

/// Longest value that is looked at together with its key, in bytes.
const NAMED_BYTES_MAX: usize = 512;

/// Names behind which something secret may stand that does not look it.
const NAMES: [&str; 5] = ["pass", "secret", "token", "key", "auth"];

/// How often a message is looked through at most: of each time that something was taken out, what is left is looked at
/// again, for a text may have a form only once what stood beside it is gone.
const LOOKS_MAX: usize = 4;

/// Looks through a message.
pub fn look(message: &Message, inspect: &dyn Inspect, rules: Rules<'_>) -> Looked {
    let mut looked = look_once(message, inspect, rules);
    for _ in 1..LOOKS_MAX {
        let Some(text) = &looked.text else { break };
        let Ok(Frame::One(left)) = Frame::parse(text.clone().into_bytes()) else { break };
        let again = look_once(&left, inspect, rules);
        let Some(text) = again.text.filter(|new| new != text) else { break };
        // What stays was found before.
        let taken = again.found.into_iter().filter(|found| found.treatment != Treatment::Told);
        looked.found.extend(taken);
        looked.text = Some(text);
    }
    looked
}

fn look_once(message: &Message, inspect: &dyn Inspect, rules: Rules<'_>) -> Looked {
    let mut walk = Walk {
        inspect,
        rules,
        changes: Vec::new(),
        tally: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    walk.through(message.text());
    let text = (!walk.changes.is_empty()).then(|| {
        message.with(walk.changes.iter().map(|(at, new)| (at.clone(), new.as_str())).collect())
    });
    Looked { text, found: walk.found() }
}

/// The members of a message that say what it is about.
const BODIES: [&str; 3] = ["params", "result", "error"];

/// Those that say whose it is: names of requests are ours, or are given back to whoever gave them.
const OWNERS: [&str; 2] = ["jsonrpc", "id"];

/// One rule's findings of one certainty, and what becomes of them.
type Sort = (&'static str, FindingKind, Certainty, Treatment);

/// A way through a value of JSON, which has been found to be one.
struct Walk<'a> {
    inspect: &'a dyn Inspect,
    rules: Rules<'a>,
    changes: Vec<(Range<usize>, String)>,
    tally: BTreeMap<Sort, u64>,
    /// How often a key has been given in place of others.
    names: BTreeMap<String, u64>,
}

impl Walk<'_> {
    fn through(&mut self, raw: &str) {
        let bytes = raw.as_bytes();
        let (mut at, mut depth, mut key) = (0_usize, 0_usize, None::<Cow<'_, str>>);
        let (mut is_name, mut is_body) = (false, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = end_of_text(bytes, at);
                    let inner =
                        raw.get(at.saturating_add(1)..end.saturating_sub(1)).unwrap_or_default();
                    if next_is_colon(bytes, end) {
                        key = string(raw.get(at..end).unwrap_or_default());
                        if depth == 1 {
                            let key = key.as_deref();
                            (is_name, is_body) = (is_one_of(key, &OWNERS), is_one_of(key, &BODIES));
                        }
                        self.key(raw, at..end);
                    } else if !(is_name
                        || depth == 2 && is_body && is_one_of(key.as_deref(), self.rules.echoed))
                    {
                        self.text(raw, (at..end, inner), key.as_deref());
                    }
                    at = end;
                }
                b'-' | b'0'..=b'9' => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let belongs = |byte: &&u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
                    let end = at.saturating_add(rest.iter().take_while(belongs).count());
                    if !is_name {
                        self.number(raw, at..end);
                    }
                    at = end;
                }
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    at = at.saturating_add(1);
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    at = at.saturating_add(1);
                }
                b',' if depth == 2 => {
                    key = None;
                    at = at.saturating_add(1);
                }
                _ => at = at.saturating_add(1),
            }
        }
    }

    fn key(&mut self, raw: &str, at: Range<usize>) {
        let quoted_key = raw.get(at.clone()).unwrap_or_default();
        let Some(key) = string(quoted_key) else { return };
        let Some(clean) = self.cleaned(&key) else { return };
        let count = self.names.entry(clean.clone()).or_default();
        *count = count.saturating_add(1);
        let name = if *count == 1 { clean } else { format!("{clean} ({count})") };
        self.changes.push((at, quoted(&name)));
    }

    fn text(&mut self, raw: &str, (at, inner): (Range<usize>, &str), key: Option<&str>) {
        let text = if inner.contains('\\') {
            let Some(text) = string(raw.get(at.clone()).unwrap_or_default()) else { return };
            text
        } else {
            Cow::Borrowed(inner)
        };
        if key == Some("blob")
            && let Some(inside) = decoded(&text)
        {
            // It may be a text of its own that only looks encoded.
            if let Some(clean) = self.cleaned(&text) {
                self.changes.push((at, quoted(&clean)));
                return;
            }
            // What is no text is nothing that a model reads.
            if let Some(clean) = text_of(&inside).and_then(|inside| self.cleaned(&inside)) {
                self.changes.push((at, quoted(&STANDARD.encode(clean))));
            }
            return;
        }
        let named = key.filter(|key| may_name_a_secret(key) && text.len() <= NAMED_BYTES_MAX);
        let clean = match named {
            Some(key) => self.cleaned_behind(key, &text),
            None => self.cleaned(&text),
        };
        if let Some(clean) = clean {
            self.changes.push((at, quoted(&clean)));
        }
    }

    /// A long number may be a card's; what takes its place is a text.
    fn number(&mut self, raw: &str, at: Range<usize>) {
        let digits = raw.get(at.clone()).unwrap_or_default();
        if digits.len() < NUMBER_BYTES_MIN {
            return;
        }
        if let Some(clean) = self.cleaned(digits) {
            self.changes.push((at, quoted(&clean)));
        }
    }

    /// A text without what must not be passed on; `None` where nothing had to be replaced.
    fn cleaned(&mut self, text: &str) -> Option<String> {
        let found = self.inspect.inspect(text);
        self.without(text, &found)
    }

    /// The same of a text that says more behind its name.
    fn cleaned_behind(&mut self, key: &str, text: &str) -> Option<String> {
        let before = format!("\"{key}\": \"");
        let together = format!("{before}{text}\"");
        let moved = |finding: Finding| {
            let start = finding.at.start.checked_sub(before.len())?;
            let end = finding.at.end.checked_sub(before.len())?.min(text.len());
            (start < end).then_some(Finding { at: start..end, ..finding })
        };
        let behind = self.inspect.inspect(&together).into_iter().filter_map(moved);
        let mut found = self.inspect.inspect(text);
        for finding in behind {
            if !found.iter().any(|known| known.rule == finding.rule && known.at == finding.at) {
                found.push(finding);
            }
        }
        self.without(text, &found)
    }

    fn without(&mut self, text: &str, found: &[Finding]) -> Option<String> {
        let mut gone: Vec<&Finding> = Vec::new();
        for finding in found {
            let treatment = self.rules.handling.treatment(finding, self.rules.always);
            let sort = (finding.rule, finding.kind, finding.certainty, treatment);
            let count = self.tally.entry(sort).or_default();
            *count = count.saturating_add(1);
            match treatment {
                Treatment::Told => {}
                Treatment::Redacted | Treatment::Blocked => gone.push(finding),
            }
        }
        (!gone.is_empty()).then(|| redacted(text, &gone).into_owned())
    }

    fn found(self) -> Vec<Found> {
        let found = |((rule, kind, certainty, treatment), count): (Sort, u64)| Found {
            rule: rule.to_owned(),
            kind,
            certainty,
            treatment,
            count,
        };
        self.tally.into_iter().map(found).collect()
    }
}

fn is_one_of(key: Option<&str>, all: &[&str]) -> bool {
    key.is_some_and(|key| all.contains(&key))
}

/// What is encoded in base64, as the most lenient receivers decode it: in either alphabet, with or without its end, and
/// whatever else stands in between passed over (RFC 2045 section 6.8).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let plain = |byte: u8| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(byte),
        other => other.is_ascii_alphanumeric().then_some(other),
    };
    let mut letters: Vec<u8> = text.bytes().filter_map(plain).collect();
    // A last letter alone is no byte.
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(letters).ok()
}

/// The text that bytes are, in UTF-8 or UTF-16; a zero in every second byte is a sign of that.
fn text_of(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let wide = |of: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let (pairs, _) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| of(*pair)).collect();
        Some(Cow::Owned(String::from_utf16_lossy(&units)))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] | rest @ [1..=0x7f, 0, ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] | rest @ [0, 1..=0x7f, ..] => wide(u16::from_be_bytes, rest),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    }
}

/// Behind the quote that ends the text that begins at a quote.
fn end_of_text(bytes: &[u8], at: usize) -> usize {
    let mut at = at.saturating_add(1);
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        let place = at.saturating_add(found);
        if bytes.get(place) == Some(&b'"') {
            return place.saturating_add(1);
        }
        at = place.saturating_add(2);
    }
    bytes.len()
}

fn next_is_colon(bytes: &[u8], at: usize) -> bool {
    let mut rest = bytes.get(at..).unwrap_or_default().iter();
    rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn may_name_a_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

#[cfg(test)]
mod tests;
