//! Texts that come in parts, each in an event or a line of JSON of its own, as models send them: read as one, so that what
//! is cut in two between events is found as well, and held back while it may still become something.
//!
//! What is looked for so is credentials that are certain alone. Parts belong together by the key that they stand behind,
//! and by the numbers before it that say which of several texts one is of (`"index": 1`), as models have them that send
//! several answers in turn; by the key alone as well, for who does not look at numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use ringfence_core::{Certainty, FindingKind, Treatment};

use super::escapes::Decoded;
use super::{Form, Hit, Part, Rules};

/// Most keys behind which texts are put together.
const KEYS_MAX: usize = 64;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 64;

/// How much of a text is kept that may be the beginning of something, in bytes.
const BEGUN_BYTES_MAX: usize = 1024;

/// Longest line of which the parts are put together with those of others, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// What the texts behind each key ended with, where that may be the beginning of something.
#[derive(Debug, Default, Clone)]
pub(super) struct Joined(BTreeMap<Key, Begun>);

/// Where a part stands: how deep in its line, behind which key, and behind which numbers. Data that is no JSON has none.
type Key = (usize, String, String);

/// How keys end that have the number of a text.
const NUMBER: &str = "index";

/// Most numbers before a part that are looked at.
const NUMBERS_MAX: usize = 4;

/// What may have begun.
#[derive(Debug, Default, Clone)]
struct Begun {
    text: String,
    /// Something of it has gone on, or was taken out, with a word about it.
    is_told: bool,
}

/// A part of a text.
struct Piece<'a> {
    /// Where it stands in the lines.
    at: Range<usize>,
    written: &'a str,
    /// As it reads, where that is not as it is written.
    decoded: Option<Decoded>,
}

impl Piece<'_> {
    fn text(&self) -> &str {
        self.decoded.as_ref().map_or(self.written, |decoded| &decoded.text)
    }

    /// Where something of it stands in the lines.
    fn place(&self, at: &Range<usize>) -> Range<usize> {
        let at = self.decoded.as_ref().map_or_else(|| at.clone(), |decoded| decoded.place(at));
        self.at.start.saturating_add(at.start)..self.at.start.saturating_add(at.end)
    }
}

/// What is in lines that stand between two places of a text.
#[derive(Default)]
pub(super) struct Found {
    /// What goes from one part to another.
    pub(super) hits: Vec<Hit>,
    /// The line from which on something may go on in what is still to come.
    pub(super) open: Option<usize>,
}

impl Joined {
    /// Looks at lines between two places, behind all that has gone on.
    pub(super) fn look(
        &self,
        rules: &Rules,
        form: Form,
        (text, at): (&str, Range<usize>),
    ) -> Found {
        let mut found = Found::default();
        for (key, pieces) in pieces(form, text, at) {
            let begun = self.0.get(&key);
            let before = begun.map_or("", |begun| begun.text.as_str());
            let (joined, places) = together(before, &pieces);
            if let Some(open) = rules.inspect.open(&joined) {
                let first = places.iter().position(|place| place.end > open);
                let first = first.and_then(|first| pieces.get(first));
                let begins = first.map(|piece| beginning(form, text, piece));
                found.open = found.open.into_iter().chain(begins).min();
            }
            if before.is_empty() && !is_cut(rules, &joined, &places) {
                // What there is stands in one part, and is found there.
                continue;
            }
            let is_told = begun.is_some_and(|begun| begun.is_told);
            for hit in crossing(rules, &joined, before.len()) {
                for part in parts(&hit, (before.len(), is_told), (&pieces, &places)) {
                    let same = |known: &Hit| known.finding == part.finding;
                    if !found.hits.iter().any(same) {
                        found.hits.push(part);
                    }
                }
            }
        }
        found.hits.sort_by_key(|hit| hit.finding.at.start);
        found
    }

    /// Lines between two places have gone on; of which parts something was taken out.
    pub(super) fn gone(
        &mut self,
        rules: &Rules,
        form: Form,
        (text, at): (&str, Range<usize>),
        hits: &[Hit],
    ) {
        for (key, pieces) in pieces(form, text, at) {
            let begun = self.0.remove(&key).unwrap_or_default();
            let (joined, _) = together(&begun.text, &pieces);
            let Some(open) = rules.inspect.open(&joined) else { continue };
            let text = joined.get(open..).filter(|text| text.len() <= BEGUN_BYTES_MAX);
            let Some(text) = text.map(str::to_owned) else { continue };
            let last = pieces.last().map(|piece| piece.at.clone()).unwrap_or_default();
            let taken = |hit: &Hit| {
                hit.treatment == Treatment::Redacted
                    && hit.finding.at.start < last.end
                    && hit.finding.at.end >= last.end
            };
            let is_told = (begun.is_told && open < begun.text.len()) || hits.iter().any(taken);
            if self.0.len() < KEYS_MAX {
                self.0.insert(key, Begun { text, is_told });
            }
        }
    }
}

#[cfg(test)]
impl Joined {
    /// How many beginnings are kept, and their bytes.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.0.len(), self.0.values().map(|begun| begun.text.len()).sum())
    }
}

/// Parts as one text behind another, and where in that each of them is.
fn together(before: &str, pieces: &[Piece<'_>]) -> (String, Vec<Range<usize>>) {
    let mut joined = before.to_owned();
    let mut places = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let start = joined.len();
        joined.push_str(piece.text());
        places.push(start..joined.len());
    }
    (joined, places)
}

/// Whether something may have begun in a part that has not ended there.
fn is_cut(rules: &Rules, joined: &str, places: &[Range<usize>]) -> bool {
    let ends = places.iter().rev().skip(1).map(|place| place.end);
    ends.filter_map(|end| joined.get(..end)).any(|text| rules.inspect.open(text).is_some())
}

/// What is certain in a text and not all in what stood before.
fn crossing(rules: &Rules, joined: &str, before: usize) -> Vec<Hit> {
    let mut hits = rules.hits_as_written(joined);
    hits.retain(|hit| {
        hit.treatment != Treatment::Told
            && hit.finding.certainty == Certainty::Certain
            && hit.finding.kind == FindingKind::Secret
            && hit.finding.at.end > before
    });
    hits
}

/// What of something is in each of the parts; nothing where it is in one of them alone.
fn parts(
    hit: &Hit,
    (before, is_told): (usize, bool),
    (pieces, places): (&[Piece<'_>], &[Range<usize>]),
) -> Vec<Hit> {
    let at = &hit.finding.at;
    if places.iter().any(|place| place.start <= at.start && at.end <= place.end) {
        return Vec::new();
    }
    let mut all: Vec<Hit> = Vec::new();
    for (piece, place) in pieces.iter().zip(places) {
        let within = at.start.max(place.start)..at.end.min(place.end);
        if within.start >= within.end {
            continue;
        }
        let decoded =
            within.start.saturating_sub(place.start)..within.end.saturating_sub(place.start);
        let mut part = hit.clone();
        part.finding.at = piece.place(&decoded);
        let is_told = is_told && at.start < before;
        if !all.is_empty() || is_told {
            part.part = Part::Rest;
            part.shown.clear();
        }
        all.push(part);
    }
    all
}

/// Where the event begins that a part is in, whose data may stand behind other lines; or the line of JSON.
fn beginning(form: Form, text: &str, piece: &Piece<'_>) -> usize {
    let before = text.get(..piece.at.start).unwrap_or_default();
    let ends: &[&str] = if form == Form::Events { &["\n\n", "\n\r\n"] } else { &["\n"] };
    let ends = ends.iter().filter_map(|end| Some(before.rfind(end)?.saturating_add(end.len())));
    ends.max().unwrap_or_default()
}

/// The parts in lines that have ended, by where they stand.
fn pieces(form: Form, text: &str, at: Range<usize>) -> BTreeMap<Key, Vec<Piece<'_>>> {
    let mut all: BTreeMap<Key, Vec<Piece<'_>>> = BTreeMap::new();
    let mut start = at.start;
    for line in text.get(at).unwrap_or_default().split_inclusive('\n') {
        let (here, ended) = (start, line.strip_suffix('\n'));
        start = start.saturating_add(line.len());
        let Some(line) = ended.map(|line| line.strip_suffix('\r').unwrap_or(line)) else {
            continue;
        };
        if line.len() > LINE_BYTES_MAX {
            continue;
        }
        let (data, skipped) = match form {
            Form::Events => {
                let Some(data) = line.strip_prefix("data:") else { continue };
                let data = data.strip_prefix(' ').unwrap_or(data);
                (data, line.len().saturating_sub(data.len()))
            }
            Form::Json => (line, 0),
            Form::Text | Form::Fields | Form::Parts(_) => return all,
        };
        let here = here.saturating_add(skipped);
        if data.trim_start().starts_with('{') {
            strings(data, here, &mut all);
        } else if form == Form::Events {
            add(&mut all, (0, "", String::new()), (data, here..here.saturating_add(data.len())));
        }
    }
    all
}

/// The strings of a line of JSON, but for its keys.
fn strings<'a>(line: &'a str, start: usize, all: &mut BTreeMap<Key, Vec<Piece<'a>>>) {
    let (bytes, mut at, mut depth, mut key) = (line.as_bytes(), 0_usize, 0_usize, "");
    let mut numbers: Vec<(usize, &str, &str)> = Vec::new();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let inner = at.saturating_add(1);
                let length = length_of_string(bytes.get(inner..).unwrap_or_default());
                let text = line.get(inner..inner.saturating_add(length)).unwrap_or_default();
                at = inner.saturating_add(length);
                let behind = line.get(at.saturating_add(1)..).unwrap_or_default();
                if let Some(value) = behind.trim_ascii_start().strip_prefix(':') {
                    key = text;
                    note_number(&mut numbers, (depth, key), value);
                } else {
                    let place = start.saturating_add(inner);
                    let place = place..place.saturating_add(length);
                    if !numbers.is_empty() {
                        let of = numbers.iter().flat_map(|(_, _, number)| [*number, ","]).collect();
                        add(all, (depth, key, of), (text, place.clone()));
                    }
                    add(all, (depth, key, String::new()), (text, place));
                }
            }
            _ => {}
        }
        at = at.saturating_add(1);
    }
}

/// Takes note of the number of a text, where a key has one; those beside it and deeper are of another text.
fn note_number<'a>(
    numbers: &mut Vec<(usize, &'a str, &'a str)>,
    (depth, key): (usize, &'a str),
    value: &'a str,
) {
    if !key.ends_with(NUMBER) {
        return;
    }
    let value = value.trim_ascii_start();
    let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    let number = value.get(..end).filter(|number| (1..=KEY_BYTES_MAX).contains(&number.len()));
    numbers.retain(|(at, of, _)| *at < depth || (*at == depth && *of != key));
    if let Some(number) = number.filter(|_| numbers.len() < NUMBERS_MAX) {
        numbers.push((depth, key, number));
    }
}

/// How long a string of JSON is behind its first quote.
fn length_of_string(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at = at.saturating_add(found);
        if bytes.get(at) == Some(&b'"') {
            return at;
        }
        at = at.saturating_add(2);
    }
    bytes.len()
}

fn add<'a>(
    all: &mut BTreeMap<Key, Vec<Piece<'a>>>,
    (depth, key, of): (usize, &str, String),
    (text, at): (&'a str, Range<usize>),
) {
    let key = (depth, key.to_owned(), of);
    if key.1.len() > KEY_BYTES_MAX || (all.len() >= KEYS_MAX && !all.contains_key(&key)) {
        return;
    }
    all.entry(key).or_default().push(Piece { at, written: text, decoded: Decoded::of(text) });
}
