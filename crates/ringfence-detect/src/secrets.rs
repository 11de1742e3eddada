//! Credentials: one pass over a text for the words that they begin with, and a pattern where one stands.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use ringfence_core::{Finding, FindingKind};

use crate::checks;
use crate::encoded;
use crate::rules::{self, Before, Rule};
use crate::words::Words;

/// Largest pattern that is compiled, in bytes; all of ours are far below.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// The rules, and how they are found.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// With what each is the beginning of.
    words: Words<Begins>,
    rules: Vec<Ready>,
}

/// What begins with a word.
#[derive(Debug, Clone, Copy)]
enum Begins {
    /// What a rule finds.
    Rule(usize),
    /// Such a word in base64, shifted by so many bytes.
    Encoded,
}

#[derive(Debug)]
struct Ready {
    rule: &'static Rule,
    /// Compiled when its word is met first.
    pattern: OnceLock<Option<Regex>>,
}

impl Ready {
    fn pattern(&self) -> Option<&Regex> {
        let compile = || compile(self.rule).ok();
        self.pattern.get_or_init(compile).as_ref()
    }
}

/// A rule's pattern, held to the place where it is tried. A test compiles all of them.
pub(crate) fn compile(rule: &Rule) -> Result<Regex, regex::Error> {
    let anchored = format!(r"\A(?:{})", rule.pattern);
    RegexBuilder::new(&anchored).unicode(false).size_limit(PATTERN_BYTES_MAX).build()
}

impl Secrets {
    pub(crate) fn new() -> Secrets {
        let rules: Vec<Ready> =
            rules::all().map(|rule| Ready { rule, pattern: OnceLock::new() }).collect();
        let mut words = Vec::new();
        for (number, ready) in rules.iter().enumerate() {
            for word in ready.rule.words {
                let spelt = spellings(word, ready.rule.any_case).into_iter();
                words.extend(spelt.map(|word| (word.into_bytes(), Begins::Rule(number))));
                let within = encoded::words(ready.rule, word).into_iter();
                words.extend(within.map(|word| (word.into_bytes(), Begins::Encoded)));
            }
        }
        Secrets { words: Words::new(words), rules }
    }

    /// Adds what is in a text.
    pub(crate) fn look(&self, text: &str, found: &mut Vec<Finding>) {
        self.words.each(text.as_bytes(), &mut |begins, at| match begins {
            Begins::Rule(number) => found.extend(self.at(number, text, at)),
            Begins::Encoded => {
                if found.last().is_none_or(|last| !last.at.contains(&at)) {
                    let look = |text: &str| self.plain(text);
                    found.extend(encoded::look(text, at, &look));
                }
            }
        });
    }

    /// The surest of what is in a text, where nothing in it is encoded once more.
    fn plain(&self, text: &str) -> Option<Finding> {
        let mut best: Option<Finding> = None;
        self.words.each(text.as_bytes(), &mut |begins, at| {
            let Begins::Rule(number) = begins else { return };
            let one = self.at(number, text, at);
            if one.as_ref().map(|one| one.certainty) > best.as_ref().map(|best| best.certainty) {
                best = one;
            }
        });
        best
    }

    /// What a rule finds where its word stands.
    fn at(&self, number: usize, text: &str, at: usize) -> Option<Finding> {
        let ready = self.rules.get(number)?;
        let (rule, bytes) = (ready.rule, text.as_bytes());
        if rule.before == Before::Boundary && !stands_free(bytes.get(..at)?) {
            return None;
        }
        let end = at.saturating_add(rule.reach).min(bytes.len());
        let window = bytes.get(at..end)?;
        if rule.needs.is_some_and(|needed| memchr::memchr(needed, window).is_none()) {
            return None;
        }
        let pattern = ready.pattern()?;
        let place = place(pattern, window)?;
        let place = at.checked_add(place.start)?..at.checked_add(place.end)?;
        let place = to_its_end(bytes, place, end);
        let is_cut = bytes.get(place.end).is_some_and(u8::is_ascii_alphanumeric);
        if is_cut && bytes.get(place.end.wrapping_sub(1)).is_some_and(u8::is_ascii_alphanumeric) {
            // It goes on, so it is something longer that has another form.
            return None;
        }
        let (certainty, place) = checks::checked(rule, text, place)?;
        Some(Finding { rule: rule.id, kind: FindingKind::Secret, certainty, at: place })
    }
}

/// Where the credential is that a pattern finds.
fn place(pattern: &Regex, window: &[u8]) -> Option<Range<usize>> {
    // A group costs more to find than that there is a match at all.
    let whole = pattern.find(window)?.range();
    if pattern.captures_len() == 1 {
        return Some(whole);
    }
    let groups = pattern.captures(window)?;
    Some(groups.name("v").map_or(whole, |group| group.range()))
}

/// What goes on where the window ended is part of it.
fn to_its_end(bytes: &[u8], place: Range<usize>, window_end: usize) -> Range<usize> {
    if place.end < window_end || window_end == bytes.len() {
        return place;
    }
    let rest = bytes.get(place.end..).unwrap_or_default();
    let goes_on = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-+/=.".contains(byte);
    place.start..place.end.saturating_add(rest.iter().take_while(goes_on).count())
}

/// Whether what follows can begin a word: behind no letter and no digit, but for those of `\n` and `%3D`.
pub(crate) fn stands_free(before: &[u8]) -> bool {
    match before {
        [.., b'%', one, other] if one.is_ascii_hexdigit() && other.is_ascii_hexdigit() => true,
        [] | [.., b'\\', b'n' | b't' | b'r'] => true,
        [.., last] => !last.is_ascii_alphanumeric(),
    }
}

/// How a word is written.
fn spellings(word: &str, any_case: bool) -> Vec<String> {
    if !any_case {
        return vec![word.to_owned()];
    }
    let each: String = word.split_inclusive(['_', '-', ' ']).map(capital).collect();
    // `Api key`, `Api-Key`, `API_KEY`, `apiKey`.
    let mut all = vec![word.to_owned(), word.to_uppercase(), each, capital(word), camel(word)];
    all.sort_unstable();
    all.dedup();
    all
}

fn capital(part: &str) -> String {
    let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
    first.to_uppercase() + rest
}

/// `apiKey` for `api_key`, `ApiKey` is found by its own end.
fn camel(word: &str) -> String {
    let mut parts = word.split(['_', '-']);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &capital(part))
}
