//! A text that comes in pieces: lines go on once they have ended, and what a finding may still reach into is held back.

use std::borrow::Cow;

use ringfence_core::Treatment;

use super::escapes;
use super::joined::Joined;
use super::kind;
use super::parts::{self, Boundary, Parts, Unreadable};
use super::quotes::{Json, Lines, Quotes, begins_like_json, end_of_string};
use super::{Blocked, Hit, LOOKS_MAX, Rules, Tally, edited, edits};

/// How much of what has gone on is looked at again with what comes next, in bytes: names stand before what they name.
const CONTEXT_BYTES: usize = 4 * 1024;

/// How much of a line that does not end is held back, in bytes: the longest that a form of a credential reaches.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much is held back at most, in bytes, for something of which the end is not there: the longest key in PEM has
/// 32 KiB. What has been found of it by then is taken out.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// How much of a part is held back whose lines end anywhere, in bytes.
const WRAPPED_BYTES: usize = 2 * 1024;

/// What stops a body with a part that cannot be looked into, where something may not pass.
const UNREADABLE_PART: &str = "unreadable-part";

/// What stops a body of parts with something beside them that is no text, or that cannot be told from it; and a form that
/// names letters of its own.
pub(super) const UNCLEAR: &str = "unclear";

/// How much has to come until it is looked at again where no line ends, or shortly after, in bytes: small pieces must
/// not cost more than large ones.
const STEP_BYTES: usize = 2 * 1024;

/// Longest group of digits with others beside it, in bytes.
const GROUP_BYTES_MAX: usize = 12;

/// How much of a text that pauses is held back for groups of digits with a space between them, in bytes.
const GROUPS_BYTES_MAX: usize = 64;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Text,
    /// JSON, or lines of it: it stays JSON.
    Json,
    /// Server-sent events, whose data may be JSON.
    Events,
    /// Names and values of a form, with `%XX` and `+` in them.
    Fields,
    /// Several parts, with this between them.
    Parts(Boundary),
}

/// One body on its way.
pub struct Passing {
    rules: Rules,
    form: Form,
    /// What was there last of what has gone on, and what is held back behind it.
    buffer: Vec<u8>,
    /// How much of it has gone on.
    gone: usize,
    /// Where in JSON that is.
    quotes: Quotes,
    /// How much has to come until it is worth to look again for the end of what is open, in bytes.
    patience: usize,
    /// How much has come that has not been looked at, in bytes.
    new: usize,
    /// Where in a body of several parts the buffer begins.
    parts: Option<Parts>,
    /// What has begun in one event and may go on in the next.
    pub(super) joined: Joined,
    /// The rule that found what had to be cut in two, of which the rest is still to come.
    cut: Option<&'static str>,
    tally: Tally,
}

/// How far what is there may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Lines that have ended.
    Lines,
    /// Words that have ended: nothing comes for now.
    Words,
    /// All: nothing more comes.
    End,
}

impl Passing {
    /// For a text of this form.
    pub fn new(rules: Rules, form: Form) -> Passing {
        let (buffer, quotes) = (Vec::new(), Quotes::default());
        let (patience, new, cut, tally) = (0, 0, None, Tally::default());
        let joined = Joined::default();
        let parts = match form {
            Form::Parts(boundary) => Some(Parts::new(boundary)),
            Form::Text | Form::Json | Form::Events | Form::Fields => None,
        };
        Passing { rules, form, buffer, gone: 0, quotes, patience, new, parts, joined, cut, tally }
    }

    /// What of it can go on now that this has come.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Blocked> {
        self.take(bytes);
        self.lines()
    }

    /// The same shortly after it was looked at: small pieces wait for others, or for [`Passing::lines`].
    pub fn gather(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Blocked> {
        self.take(bytes);
        if self.new < STEP_BYTES { Ok(Vec::new()) } else { self.lines() }
    }

    /// What can go on of what has come: lines that have ended.
    pub fn lines(&mut self) -> Result<Vec<u8>, Blocked> {
        self.new = 0;
        if self.patience > 0 { Ok(Vec::new()) } else { self.release(Until::Lines) }
    }

    /// Whether something has come that has not been looked at.
    pub fn waits(&self) -> bool {
        self.new > 0
    }

    fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.patience = self.patience.saturating_sub(bytes.len());
        self.new = self.new.saturating_add(bytes.len());
    }

    /// The same of a text that has come whole.
    pub fn whole(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, Blocked> {
        self.buffer = bytes;
        self.release(Until::End)
    }

    /// What of it can go on because nothing has come for a while: all but the last word.
    pub fn pause(&mut self) -> Result<Vec<u8>, Blocked> {
        self.new = 0;
        self.release(Until::Words)
    }

    /// All that is left: nothing more comes.
    pub fn finish(&mut self) -> Result<Vec<u8>, Blocked> {
        self.release(Until::End)
    }

    /// Whether something is held back.
    pub fn holds(&self) -> bool {
        self.gone < self.buffer.len()
    }

    /// What was found so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Notes what was found beside it.
    pub fn add(&mut self, tally: &Tally) {
        self.tally.add(tally);
    }

    fn release(&mut self, until: Until) -> Result<Vec<u8>, Blocked> {
        let buffer = std::mem::take(&mut self.buffer);
        if let Some(parts) = self.parts.as_ref().filter(|_| until == Until::End) {
            parts.check_end(&buffer).map_err(stopped)?;
        }
        let text = readable(&buffer);
        let end = match until {
            // A letter of which a part is still to come.
            Until::Lines | Until::Words => self.end(&text, until).min(whole_letters(&buffer)),
            Until::End => text.len(),
        };
        let end = end.max(self.gone);
        let mut out = Vec::new();
        if end > self.gone {
            let lines = (&*text, self.gone..end);
            let begun = self.joined.look(&self.rules, self.form, lines);
            let mut hits = self.hits((&buffer, &text), until)?;
            hits.extend(begun.hits);
            hits.sort_by_key(|hit| (hit.finding.at.start, std::cmp::Reverse(hit.finding.at.end)));
            let open = self.before_what_is_open(&text, &hits, (end, until));
            self.patience = if open < end { STEP_BYTES } else { 0 };
            let end = self.before_line(begun.open, (open, until), &text);
            if end > self.gone {
                out = self.pass((&buffer, &text), &hits, end)?;
                self.joined.gone(&self.rules, self.form, (&text, self.gone..end), &hits);
                self.gone = end;
            }
        }
        self.buffer = buffer;
        let mut old = self.gone.saturating_sub(CONTEXT_BYTES);
        if let Some(parts) = &mut self.parts {
            let passed = self.buffer.get(..old).unwrap_or_default();
            old = parts::whole_lines(passed);
            parts.pass(passed.get(..old).unwrap_or_default());
        }
        self.buffer.drain(..old);
        self.gone = self.gone.saturating_sub(old);
        Ok(out)
    }

    /// What is in what there is, as it is written and as it reads.
    fn hits(&self, (buffer, text): (&[u8], &str), until: Until) -> Result<Vec<Hit>, Blocked> {
        let mut readings = escapes::readings(text, self.form);
        let names_letters = || kind::fields_name_letters(text, until == Until::End);
        if self.form == Form::Fields && self.rules.blocks() && names_letters() {
            return Err(stopped(Unreadable::Unclear));
        }
        if let Some(parts) = &self.parts {
            parts.check_beside(buffer).map_err(stopped)?;
            if self.rules.blocks() {
                parts.check(buffer).map_err(stopped)?;
            }
            readings.extend(parts.readings(text));
        }
        Ok(self.rules.hits_as(text, readings))
    }

    /// How far lines, or words, have ended.
    fn end(&self, text: &str, until: Until) -> usize {
        let held = text.get(self.gone..).unwrap_or_default();
        let place = |at: usize| self.gone.saturating_add(at);
        let line = held.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let end = match until {
            // Lines of base64 end anywhere.
            Until::Lines
                if self.parts.as_ref().is_some_and(|it| it.is_wrapped(text.as_bytes())) =>
            {
                let wrapped = text.len().saturating_sub(WRAPPED_BYTES);
                place(line).min(text.floor_char_boundary(wrapped))
            }
            Until::Lines => place(line),
            Until::Words => place(line.max(last_word(held))),
            Until::End => return text.len(),
        };
        let longest = match held.len().checked_sub(LINE_BYTES_MAX) {
            Some(more) if more >= STEP_BYTES => text.len().saturating_sub(LINE_BYTES_MAX),
            Some(_) | None => 0,
        };
        let longest = before_escape(text, text.floor_char_boundary(longest));
        end.max(longest).max(self.gone)
    }

    /// The same, but before what is found and may go on behind it.
    fn before_what_is_open(&self, text: &str, hits: &[Hit], (end, until): (usize, Until)) -> usize {
        if until == Until::End {
            return end;
        }
        let mut end = end;
        // A place before one that is open may be within another.
        for hit in hits.iter().rev().filter(|hit| hit.treatment != Treatment::Told) {
            let at = &hit.finding.at;
            let is_open = at.end > end || at.end == text.len();
            if is_open && at.start < end {
                end = text.floor_char_boundary(at.start);
            }
        }
        // What does not end in all that is held goes on as far as it must.
        let longest = text.floor_char_boundary(text.len().saturating_sub(HELD_BYTES_MAX));
        end.max(longest).max(self.gone)
    }

    /// The same, but before the event in which something begins that may go on in the next. It is not waited for where
    /// nothing comes.
    fn before_line(&self, line: Option<usize>, (end, until): (usize, Until), text: &str) -> usize {
        let Some(line) = line.filter(|_| until == Until::Lines) else { return end };
        let longest = text.floor_char_boundary(text.len().saturating_sub(HELD_BYTES_MAX));
        end.min(line).max(longest).max(self.gone)
    }

    /// What goes on of the text up to a place.
    fn pass(
        &mut self,
        (buffer, text): (&[u8], &str),
        hits: &[Hit],
        end: usize,
    ) -> Result<Vec<u8>, Blocked> {
        let mut within: Vec<Hit> = Vec::new();
        let mut cut = None;
        for hit in hits {
            let at = &hit.finding.at;
            if at.end <= self.gone || at.start >= end {
                continue;
            }
            if at.start < self.gone && self.is_in_a_string_before(text, at.start) {
                continue;
            }
            let goes_on = at.start < self.gone && self.cut == Some(hit.finding.rule);
            if !goes_on && (at.end <= end || hit.treatment == Treatment::Redacted) {
                self.rules.count(hit, &mut self.tally);
            }
            let mut part = hit.clone();
            part.finding.at = at.start.max(self.gone).saturating_sub(self.gone)
                ..at.end.min(end).saturating_sub(self.gone);
            if goes_on && hit.treatment == Treatment::Redacted {
                // It has been said already.
                part.shown.clear();
            }
            if at.end > end && hit.treatment == Treatment::Redacted {
                cut = Some(hit.finding.rule);
            }
            within.push(part);
        }
        self.cut = cut;
        let part = text.get(self.gone..end).unwrap_or_default();
        let json = self.json(text);
        let edits = edits(part, &within, json)?;
        self.quotes = self.quotes.over(part);
        let part = buffer.get(self.gone..end).unwrap_or_default();
        if edits.is_empty() { Ok(part.to_vec()) } else { self.again(edited(part, &edits), json) }
    }

    /// Whether a place before what comes next is in a string of JSON that has ended since: a key without its end seems to
    /// go on behind the quote.
    fn is_in_a_string_before(&self, text: &str, start: usize) -> bool {
        let before = text.get(..start).unwrap_or_default();
        // Of a line whose beginning has been forgotten it is not known.
        let Some(line) = before.rfind('\n') else { return false };
        let quotes = Quotes::default().over(text.get(line..start).unwrap_or_default());
        self.form == Form::Json && quotes.inside() && end_of_string(text, start, quotes) < self.gone
    }

    /// Looks again at what something was taken out of.
    fn again(&mut self, mut clean: Vec<u8>, json: Json) -> Result<Vec<u8>, Blocked> {
        for _ in 1..LOOKS_MAX {
            let text = readable(&clean);
            let mut hits = self.rules.hits(&text, self.form);
            hits.retain(|hit| hit.treatment != Treatment::Told);
            for hit in &hits {
                self.rules.count(hit, &mut self.tally);
            }
            let edits = edits(&text, &hits, json)?;
            if edits.is_empty() {
                break;
            }
            clean = edited(&clean, &edits);
        }
        Ok(clean)
    }

    /// Where in what comes next there is JSON.
    fn json(&self, text: &str) -> Json {
        let gone = text.get(..self.gone).unwrap_or_default();
        let line = gone.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let first_line = begins_like_json(text.get(line..).unwrap_or_default());
        let lines = match self.form {
            Form::Text | Form::Fields | Form::Parts(_) => Lines::None,
            Form::Json => Lines::All,
            Form::Events => Lines::Data,
        };
        Json { quotes: self.quotes, first_line, lines }
    }
}

/// What stops a body of which this is so.
fn stopped(why: Unreadable) -> Blocked {
    let rule = match why {
        Unreadable::Part => UNREADABLE_PART,
        Unreadable::Unclear => UNCLEAR,
    };
    Blocked { rule: rule.to_owned() }
}

/// Where the last word begins, with groups of digits before it that may belong to it.
fn last_word(text: &str) -> usize {
    let mut start = text.rfind(char::is_whitespace).map_or(0, |at| after(text, at));
    loop {
        let Some(before) = text.get(..start).and_then(|before| before.strip_suffix(' ')) else {
            return start;
        };
        let word = before.rfind(char::is_whitespace).map_or(0, |at| after(before, at));
        let has_digit =
            before.get(word..).is_some_and(|it| it.contains(|it: char| it.is_ascii_digit()));
        let is_group = has_digit && before.len().saturating_sub(word) <= GROUP_BYTES_MAX;
        if !is_group || text.len().saturating_sub(word) > GROUPS_BYTES_MAX {
            return start;
        }
        start = word;
    }
}

/// Behind the letter at a place.
fn after(text: &str, at: usize) -> usize {
    let letter = text.get(at..).and_then(|rest| rest.chars().next());
    at.saturating_add(letter.map_or(1, char::len_utf8))
}

/// A place, or that before it where an escape begins that it may cut in two: of JSON, or of a form.
fn before_escape(text: &str, at: usize) -> usize {
    let first = at.saturating_sub(6);
    let near = text.as_bytes().get(first..at).unwrap_or_default();
    near.iter()
        .position(|it| matches!(it, b'\\' | b'%'))
        .map_or(at, |escape| first.saturating_add(escape))
}

/// Where the last letter ends that is whole.
fn whole_letters(bytes: &[u8]) -> usize {
    match bytes.utf8_chunks().last() {
        Some(last)
            if std::str::from_utf8(last.invalid()).is_err_and(|it| it.error_len().is_none()) =>
        {
            bytes.len().saturating_sub(last.invalid().len())
        }
        Some(_) | None => bytes.len(),
    }
}

/// Bytes as a text of the same length: what is none is as many spaces.
pub(super) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| text.push(' '));
    }
    Cow::Owned(text)
}
