//! Takes real values out of what a server answers, as it streams by: each is replaced by its
//! stand-in, also where it is spelled in another way or cut in two.
//!
//! A value is looked for as it is, in base64 (all three alignments, both alphabets) and in hex, these two also
//! broken into lines of any length (MIME, PEM); each character of any of these, and the end of a line, may be
//! spelled as it is, as `%XX`, as `\u00XX`, or, where JSON allows, behind a backslash. What replaces a value
//! is as long as what it replaces, so that lengths and frames around it stay true. Best effort: a server that enciphers or compresses what it was sent
//! is not seen through.

use std::collections::VecDeque;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::sentinel::Sentinel;

/// Most bytes that one character is spelled with: `\u0041`.
const SPELLING_BYTES_MAX: usize = 6;
/// So much of the beginning of something, in characters, goes on at once where nothing comes behind it
/// yet: who waits for an answer to the last word of a text must have that word.
const SAID_CHARS: usize = 3;
/// Shortest part of a base64 text that is looked for, in characters: less turns up by chance.
const BASE64_CHARS_MIN: usize = 8;

/// What is looked for, and what is put in its place.
struct Pattern {
    units: Zeroizing<Vec<Unit>>,
    lines: Lines,
    replacement: Vec<u8>,
}

/// Whether a text may be broken into lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

/// One character, in the spellings of its alphabet.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Unit(u8, u8);

impl zeroize::DefaultIsZeroes for Unit {}

/// All that is looked for on one connection.
#[derive(Default)]
pub struct Patterns {
    all: Vec<Pattern>,
    /// Whether a byte can begin something that is looked for.
    begins: Vec<bool>,
    /// The same of two bytes, one after the other: in most texts few pairs do.
    pairs: Vec<bool>,
}

/// A stream of bytes out of which values are taken.
pub struct Scrubber<P> {
    patterns: P,
    /// Bytes that went on already and may be the beginning of something.
    gone: VecDeque<u8>,
    /// Bytes behind these that may be the beginning of something, or its rest.
    kept: VecDeque<u8>,
    /// Attempts under way, each with where it began.
    attempts: Vec<Attempt>,
    /// How many bytes were kept or passed so far.
    seen: u64,
    /// How often something was replaced.
    replaced: u64,
}

/// One pattern that holds so far.
#[derive(Clone, Copy)]
struct Attempt {
    pattern: usize,
    /// The unit that comes next.
    unit: usize,
    spelling: Spelling,
    /// What of the end of a line is right before it.
    line_end: LineEnd,
    /// Where in the stream it began.
    began: u64,
    /// Where in the stream its first [`SAID_CHARS`] ended, if they have.
    said: Option<u64>,
}

/// How far into one character's spelling an attempt is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Begins,
    Percent,
    PercentHigh(u8),
    Backslash,
    /// After `\u`, with how many digits were read, and their value.
    Unicode(u8, u16),
}

/// How far into the end of a line an attempt is: there is one at most between two characters, so that what is
/// kept stays bounded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    No,
    Return,
    Whole,
}

/// What one more byte of a spelling is.
enum Spelled {
    Fails,
    Goes(Spelling),
    Character(u8),
}

impl Unit {
    fn holds(self, byte: u8) -> bool {
        self.0 == byte || self.1 == byte
    }
}

impl Patterns {
    /// Looks for a value, in the spellings above, to be replaced by its stand-in.
    pub fn add(&mut self, value: &str, sentinel: &Sentinel) {
        let stand_in = sentinel.as_str().as_bytes();
        self.push(exactly(value.as_bytes()), Lines::One, stand_in);
        self.push(hex(value.as_bytes()), Lines::Many, hex_text(stand_in).as_bytes());
        for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
            let core = |bytes: &[u8]| base64_core(bytes, before, skipped);
            let looked_for = core(value.as_bytes());
            if looked_for.len() >= BASE64_CHARS_MIN {
                let units = looked_for.iter().map(|byte| match byte {
                    b'+' => Unit(b'+', b'-'),
                    b'/' => Unit(b'/', b'_'),
                    other => Unit(*other, *other),
                });
                self.push(Zeroizing::new(units.collect()), Lines::Many, &core(stand_in));
            }
        }
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// As much from the front as begins nothing that is looked for.
    fn free<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let may = |pair: &[u8]| {
            matches!(pair, [first, second]
                if self.pairs.get(pair_at(*first, *second)).is_some_and(|it| *it))
        };
        let begins = |byte: &u8| self.begins.get(usize::from(*byte)).is_some_and(|it| *it);
        // Of the last byte it is not known what follows.
        let whole = bytes.len() - usize::from(bytes.last().is_some_and(begins));
        let count = bytes.windows(2).position(may).unwrap_or(whole);
        bytes.get(..count).unwrap_or_default()
    }

    /// All of a text that does not stream.
    pub fn scrubbed(&self, bytes: &[u8]) -> Vec<u8> {
        let mut scrubber = Scrubber::new(self);
        let mut out = scrubber.push(bytes);
        out.extend(scrubber.finish());
        out
    }

    fn push(&mut self, units: Zeroizing<Vec<Unit>>, lines: Lines, stand_in: &[u8]) {
        let Some(first) = units.first().copied() else { return };
        self.begins.resize(256, false);
        for byte in [first.0, first.1, b'%', b'\\'] {
            if let Some(begins) = self.begins.get_mut(usize::from(byte)) {
                *begins = true;
            }
        }
        let second = units.get(1).copied().unwrap_or_default();
        self.pairs.resize(1 << 16, false);
        let mut follows = vec![second.0, second.1, b'%', b'\\'];
        if lines == Lines::Many {
            follows.extend(b"\r\n");
        }
        let plain = [first.0, first.1]
            .into_iter()
            .flat_map(|byte| follows.iter().map(move |next| pair_at(byte, *next)));
        let percent = b"0123456789abcdefABCDEF".iter().map(|digit| pair_at(b'%', *digit));
        let escaped = b"u/\\\"".iter().map(|next| pair_at(b'\\', *next));
        for pair in plain.chain(percent).chain(escaped) {
            if let Some(may) = self.pairs.get_mut(pair) {
                *may = true;
            }
        }
        // As long as what it replaces in its plain spelling; longer ones are filled up with `x`.
        let replacement = stand_in.to_vec();
        self.all.push(Pattern { units, lines, replacement });
    }
}

/// Where a pair is in the table of pairs.
fn pair_at(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn exactly(bytes: &[u8]) -> Zeroizing<Vec<Unit>> {
    Zeroizing::new(bytes.iter().map(|byte| Unit(*byte, *byte)).collect())
}

fn hex_text(bytes: &[u8]) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn hex(bytes: &[u8]) -> Zeroizing<Vec<Unit>> {
    let text = hex_text(bytes);
    let units = text.bytes().map(|byte| Unit(byte, byte.to_ascii_uppercase()));
    Zeroizing::new(units.collect())
}

/// The characters of a base64 text that are the same whatever stands around `bytes`, with `before`
/// bytes in front of them in their group.
fn base64_core(bytes: &[u8], before: usize, skipped: usize) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0; before]);
    padded.extend_from_slice(bytes);
    let text = Zeroizing::new(STANDARD_NO_PAD.encode(&*padded));
    // The last character holds bits of what follows, unless the group ends with the bytes.
    let full = padded.len() * 8 / 6;
    let core = text.as_bytes().get(skipped..full).unwrap_or_default();
    Zeroizing::new(core.to_vec())
}

impl<P: Deref<Target = Patterns>> Scrubber<P> {
    /// Begins a stream.
    pub fn new(patterns: P) -> Scrubber<P> {
        Scrubber {
            patterns,
            gone: VecDeque::new(),
            kept: VecDeque::new(),
            attempts: Vec::new(),
            seen: 0,
            replaced: 0,
        }
    }

    /// Takes what came, and gives what can go on; what may be the beginning of a value is kept.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len() + self.kept.len());
        let mut rest = chunk;
        while let Some((first, after)) = rest.split_first() {
            // Most of what passes begins nothing.
            let free = if self.attempts.is_empty() { self.patterns.free(rest) } else { &[] };
            if free.is_empty() {
                self.take(*first, &mut out);
                rest = after;
            } else {
                self.gone.clear();
                out.extend(self.kept.drain(..));
                out.extend_from_slice(free);
                self.seen += free.len() as u64;
                rest = rest.get(free.len()..).unwrap_or_default();
            }
        }
        self.say(&mut out);
        out
    }

    /// Looks for other things from here on; gives what of the kept can go on by these.
    pub fn renew(&mut self, patterns: P) -> Vec<u8> {
        let gone = self.gone.len();
        let again: Vec<u8> = self.gone.drain(..).chain(self.kept.drain(..)).collect();
        self.attempts.clear();
        self.seen = self.seen.saturating_sub(again.len() as u64);
        self.patterns = patterns;
        let mut out = self.push(&again);
        // What went on already goes on no second time.
        let kept = gone.saturating_sub(out.len()).min(self.kept.len());
        self.gone.extend(self.kept.drain(..kept));
        out.drain(..gone.min(out.len()));
        out
    }

    /// Gives what was kept: nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        self.attempts.clear();
        self.gone.clear();
        self.kept.drain(..).collect()
    }

    /// What is looked for.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Whether all that came has gone on.
    pub fn keeps_nothing(&self) -> bool {
        self.kept.is_empty()
    }

    /// How often something was replaced so far.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        let begins = self.patterns.begins.get(usize::from(byte)).is_some_and(|begins| *begins);
        if self.attempts.is_empty() && !begins {
            self.gone.clear();
            out.extend(self.kept.drain(..));
            out.push(byte);
            self.seen += 1;
            return;
        }
        self.kept.push_back(byte);
        let at = self.seen;
        self.seen += 1;
        let fresh = (0..self.patterns.all.len()).map(|pattern| Attempt {
            pattern,
            unit: 0,
            spelling: Spelling::Begins,
            line_end: LineEnd::No,
            began: at,
            said: None,
        });
        let mut tried = std::mem::take(&mut self.attempts);
        if begins {
            tried.extend(fresh);
        }
        let mut complete: Option<Attempt> = None;
        for attempt in tried {
            for next in self.step(attempt, byte).into_iter().flatten() {
                if self.is_complete(&next) {
                    // The one that began first hides the most.
                    complete = match complete {
                        Some(best) if best.began <= next.began => Some(best),
                        Some(_) | None => Some(next),
                    };
                } else {
                    self.attempts.push(next);
                }
            }
        }
        if let Some(found) = complete {
            self.replace(found);
        }
        self.release(out);
    }

    fn is_complete(&self, attempt: &Attempt) -> bool {
        let pattern = self.patterns.all.get(attempt.pattern);
        pattern.is_none_or(|pattern| attempt.unit >= pattern.units.len())
    }

    /// What one byte makes of an attempt: two at most, where a character also begins a spelling.
    fn step(&self, attempt: Attempt, byte: u8) -> [Option<Attempt>; 2] {
        let plain = attempt.spelling == Spelling::Begins;
        let plain = plain.then(|| self.read(attempt, byte)).flatten();
        let spelled = match spelled(attempt.spelling, byte) {
            Spelled::Fails => None,
            Spelled::Goes(spelling) => Some(Attempt { spelling, ..attempt }),
            Spelled::Character(character) => self.read(attempt, character),
        };
        [plain, spelled]
    }

    /// What a character, however it was spelled, makes of an attempt.
    fn read(&self, attempt: Attempt, character: u8) -> Option<Attempt> {
        let pattern = self.patterns.all.get(attempt.pattern)?;
        let attempt = Attempt { spelling: Spelling::Begins, ..attempt };
        if pattern.units.get(attempt.unit)?.holds(character) {
            let unit = attempt.unit + 1;
            let said = if unit == SAID_CHARS { Some(self.seen) } else { attempt.said };
            return Some(Attempt { unit, line_end: LineEnd::No, said, ..attempt });
        }
        if pattern.lines == Lines::One || attempt.unit == 0 {
            return None;
        }
        let line_end = match (attempt.line_end, character) {
            (LineEnd::No, b'\r') => LineEnd::Return,
            (LineEnd::No | LineEnd::Return, b'\n') => LineEnd::Whole,
            (LineEnd::No | LineEnd::Return | LineEnd::Whole, _) => return None,
        };
        // Who waits for a last word may wait for its line.
        let said = if attempt.unit == SAID_CHARS { Some(self.seen) } else { attempt.said };
        Some(Attempt { line_end, said, ..attempt })
    }

    /// Puts the stand-in where a value ended, as long as what was there; where lines end stays as it is.
    fn replace(&mut self, found: Attempt) {
        let Some(pattern) = self.patterns.all.get(found.pattern) else { return };
        let length = usize::try_from(self.seen - found.began).unwrap_or(usize::MAX);
        let from = self.kept.len().saturating_sub(length);
        // Its first characters may have gone on.
        let gone = length.saturating_sub(self.kept.len()).min(self.gone.len());
        let first = self.gone.len() - gone;
        let all = self.gone.iter().skip(first).chain(self.kept.iter().skip(from)).copied();
        let all = Zeroizing::new(all.collect::<Vec<u8>>());
        let mut stand_in = pattern.replacement.iter().copied();
        for at in 0..all.len() {
            if pattern.lines == Lines::Many && ends_line(&all, at) {
                continue;
            }
            let byte = stand_in.next().unwrap_or(b'x');
            let place = at.checked_sub(gone).and_then(|at| self.kept.get_mut(from + at));
            if let Some(place) = place {
                *place = byte;
            }
        }
        self.attempts.clear();
        self.replaced += 1;
    }

    /// Gives what no attempt can reach back to.
    fn release(&mut self, out: &mut Vec<u8>) {
        let began = self.attempts.iter().map(|attempt| attempt.began).min().unwrap_or(self.seen);
        let needed = usize::try_from(self.seen - began).unwrap_or(usize::MAX);
        let free = self.kept.len().saturating_sub(needed);
        out.extend(self.kept.drain(..free));
        let reached = needed.saturating_sub(self.kept.len());
        let forgotten = self.gone.len().saturating_sub(reached);
        self.gone.drain(..forgotten);
    }

    /// Gives what is no more than the first characters of anything.
    fn say(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        let said = self.attempts.iter().filter_map(|attempt| attempt.said).min();
        let held = usize::try_from(self.seen - said.unwrap_or(self.seen)).unwrap_or(usize::MAX);
        let free = self.kept.len().saturating_sub(held);
        let free: Vec<u8> = self.kept.drain(..free).collect();
        out.extend_from_slice(&free);
        self.gone.extend(free);
    }
}

/// Whether a byte of a text is of the end of a line: as it is, or as JSON writes it.
fn ends_line(text: &[u8], at: usize) -> bool {
    let byte = |at: usize| text.get(at).copied();
    match byte(at) {
        Some(b'\r' | b'\n') => true,
        Some(b'\\') => matches!(byte(at + 1), Some(b'r' | b'n')),
        Some(b'r' | b'n') => at.checked_sub(1).and_then(byte) == Some(b'\\'),
        Some(_) | None => false,
    }
}

/// One byte of a spelling that is more than the character itself.
fn spelled(spelling: Spelling, byte: u8) -> Spelled {
    let value = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let character = |it: u16| u8::try_from(it).map_or(Spelled::Fails, Spelled::Character);
    match (spelling, byte) {
        (Spelling::Begins, b'%') => Spelled::Goes(Spelling::Percent),
        (Spelling::Begins, b'\\') => Spelled::Goes(Spelling::Backslash),
        (Spelling::Backslash, b'u') => Spelled::Goes(Spelling::Unicode(0, 0)),
        (Spelling::Backslash, b'/' | b'\\' | b'"') => Spelled::Character(byte),
        (Spelling::Backslash, b'n') => Spelled::Character(b'\n'),
        (Spelling::Backslash, b'r') => Spelled::Character(b'\r'),
        (Spelling::Percent, byte) => {
            value(byte).map_or(Spelled::Fails, |high| Spelled::Goes(Spelling::PercentHigh(high)))
        }
        (Spelling::PercentHigh(high), byte) => {
            value(byte).map_or(Spelled::Fails, |low| Spelled::Character(high << 4 | low))
        }
        (Spelling::Unicode(read, so_far), byte) => match value(byte) {
            Some(digit) => {
                let so_far = so_far << 4 | u16::from(digit);
                let goes = Spelled::Goes(Spelling::Unicode(read + 1, so_far));
                if read == 3 { character(so_far) } else { goes }
            }
            None => Spelled::Fails,
        },
        (Spelling::Begins | Spelling::Backslash, _) => Spelled::Fails,
    }
}

/// Longest text that can be kept back for a value of this length, in bytes.
pub fn kept_bytes_max(value_bytes: usize) -> usize {
    // Hex doubles the characters; each may be spelled with six bytes, and so may the two that end a line
    // before it.
    value_bytes * 2 * 3 * SPELLING_BYTES_MAX
}

#[cfg(test)]
mod tests;
