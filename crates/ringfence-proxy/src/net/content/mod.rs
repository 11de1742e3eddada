//! What passes the net gate, looked through: texts as they come, in whatever pieces, with what is found replaced
//! where it stands. What could still become something that is looked for is held back until more comes.
//!
//! Pure: bytes in, bytes out. Who waits for whom is `net::inspect::looked`'s affair.

mod escapes;
mod head;
mod joined;
mod kind;
mod parts;
mod quotes;
mod stream;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ringfence_core::{
    Certainty, Finding, FindingKind, Found, Handling, Inspect, Treatment, placeholder,
};

pub use head::{in_headers, out_headers, out_target};
pub use kind::{Closed, Declared, SNIFF_BYTES, declared, form};
pub use parts::Boundary;
pub use stream::{Form, Passing};

use escapes::Decoded;
use quotes::Json;

/// How often what goes on is looked through at most: of each time that something was taken out, what is left is looked
/// at again, for a text may have a form only once what stood beside it is gone.
const LOOKS_MAX: usize = 4;

/// Which way something passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From a server: all is done that the rules say.
    In,
    /// To a server: what is certain and may not pass stops it, and nothing is replaced.
    Out,
}

/// What is looked for in what passes one way, and what is done about it.
#[derive(Clone)]
pub struct Rules {
    handling: Handling,
    inspect: &'static dyn Inspect,
    /// What stands in for secrets, which has their form and is worth nothing.
    stand_ins: Arc<BTreeSet<String>>,
    way: Way,
}

/// What may not pass was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is in it")]
pub struct Blocked {
    /// The rule that found it.
    pub rule: String,
}

/// What was found, by rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<(&'static str, FindingKind, Certainty, Treatment), u64>);

/// Something that was found, and what stands for it.
#[derive(Debug, Clone)]
struct Hit {
    finding: Finding,
    treatment: Treatment,
    shown: String,
    part: Part,
}

/// Whether something that was found is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Or its beginning.
    First,
    /// It goes on from another place, where it was counted.
    Rest,
}

impl Rules {
    /// What the rules say that permit a request, done by these detectors.
    pub fn new(
        handling: Handling,
        inspect: &'static dyn Inspect,
        stand_ins: Arc<BTreeSet<String>>,
        way: Way,
    ) -> Rules {
        Rules { handling, inspect, stand_ins, way }
    }

    /// Where in a text something stands in for a secret.
    fn stand_ins_in(&self, text: &str) -> Vec<Range<usize>> {
        let known = self.stand_ins.iter().filter(|known| !known.is_empty());
        let places = known.flat_map(|known| text.match_indices(known.as_str()));
        places.map(|(at, known)| at..at.saturating_add(known.len())).collect()
    }

    /// A text with spaces where something stands in for a secret.
    fn without_stand_ins<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known = self.stand_ins.iter().filter(|known| !known.is_empty());
        known.fold(Cow::Borrowed(text), |text, known| {
            if !text.contains(known.as_str()) {
                return text;
            }
            Cow::Owned(text.replace(known.as_str(), &" ".repeat(known.len())))
        })
    }

    /// Whether something may not pass at all.
    pub fn blocks(&self) -> bool {
        !self.handling.block.is_empty()
    }

    /// What is in a text, as it is written and as it reads without escapes; in the order of the text.
    fn hits(&self, text: &str, form: Form) -> Vec<Hit> {
        self.hits_as(text, escapes::readings(text, form))
    }

    /// The same where it reads so as well.
    fn hits_as(&self, text: &str, readings: Vec<Decoded>) -> Vec<Hit> {
        let mut hits = self.hits_as_written(text);
        for decoded in readings {
            for mut hit in self.hits_as_written(&decoded.text) {
                hit.finding.at = decoded.place(&hit.finding.at);
                hit.shown = decoded.shown(hit.shown);
                let known = |one: &Hit| {
                    one.finding.rule == hit.finding.rule
                        && one.finding.at.start <= hit.finding.at.start
                        && hit.finding.at.end <= one.finding.at.end
                };
                if !hits.iter().any(known) {
                    hits.push(hit);
                }
            }
        }
        hits.sort_by_key(|hit| (hit.finding.at.start, std::cmp::Reverse(hit.finding.at.end)));
        hits
    }

    fn hits_as_written(&self, text: &str) -> Vec<Hit> {
        let hit = |finding: Finding| {
            let found = text.get(finding.at.clone())?;
            let treatment = self.treatment(&finding, found);
            let shown = placeholder(&finding, found);
            Some(Hit { finding, treatment, shown, part: Part::First })
        };
        self.inspect.inspect(text).into_iter().filter_map(hit).collect()
    }

    fn treatment(&self, finding: &Finding, found: &str) -> Treatment {
        let treatment = self.handling.treatment_in_passing(finding);
        let is_stand_in = || {
            let bare = found.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
            self.stand_ins.iter().any(|known| known == found || known == bare)
        };
        match (self.way, treatment) {
            (_, Treatment::Told) | (Way::Out, Treatment::Redacted) => Treatment::Told,
            (Way::Out, Treatment::Blocked) if finding.certainty != Certainty::Certain => {
                Treatment::Told
            }
            (_, _) if is_stand_in() => Treatment::Told,
            (_, treatment) => treatment,
        }
    }

    /// A text that is whole without what must not pass; `None` where nothing had to be replaced.
    pub fn clean(&self, text: &str, tally: &mut Tally) -> Result<Option<String>, Blocked> {
        self.cleaned(text, tally, |text| escapes::readings(text, Form::Text))
    }

    /// The same of the value of a header, which may be written with `%XX`.
    fn clean_value(&self, text: &str, tally: &mut Tally) -> Result<Option<String>, Blocked> {
        self.cleaned(text, tally, escapes::of_value)
    }

    fn cleaned(
        &self,
        text: &str,
        tally: &mut Tally,
        readings: impl Fn(&str) -> Vec<Decoded>,
    ) -> Result<Option<String>, Blocked> {
        let mut clean: Option<String> = None;
        for _ in 0..LOOKS_MAX {
            let now = clean.as_deref().unwrap_or(text);
            let hits = self.hits_as(now, readings(now));
            if clean.is_none() || hits.iter().any(|hit| hit.treatment != Treatment::Told) {
                for hit in &hits {
                    self.count(hit, tally);
                }
            }
            let edits = edits(now, &hits, Json::none())?;
            if edits.is_empty() {
                break;
            }
            clean = Some(String::from_utf8_lossy(&edited(now.as_bytes(), &edits)).into_owned());
        }
        Ok(clean)
    }

    fn count(&self, hit: &Hit, tally: &mut Tally) {
        if hit.part == Part::Rest {
            return;
        }
        // What goes out is the agent's own: only what stops it is of interest.
        if self.way == Way::In || hit.treatment != Treatment::Told {
            let sort = (hit.finding.rule, hit.finding.kind, hit.finding.certainty, hit.treatment);
            let count = tally.0.entry(sort).or_default();
            *count = count.saturating_add(1);
        }
    }
}

impl Tally {
    /// As entries have it.
    pub fn found(&self) -> Vec<Found> {
        let found = |(&(rule, kind, certainty, treatment), &count): (&(_, _, _, _), &u64)| Found {
            rule: str::to_owned(rule),
            kind,
            certainty,
            treatment,
            count,
        };
        self.0.iter().map(found).collect()
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Tally) {
        for (sort, count) in &other.0 {
            let sum = self.0.entry(*sort).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// What is put in place of what.
type Edit = (Range<usize>, String);

/// What has to be replaced in a text. In JSON what is replaced stays within its string, no escape is cut in two, and a
/// number becomes a string.
fn edits(text: &str, hits: &[Hit], json: Json) -> Result<Vec<Edit>, Blocked> {
    let mut edits: Vec<Edit> = Vec::new();
    let (mut done, mut quotes, mut seen) = (0, json.quotes, 0);
    for hit in hits {
        match hit.treatment {
            Treatment::Told => continue,
            Treatment::Blocked => return Err(Blocked { rule: hit.finding.rule.to_owned() }),
            Treatment::Redacted => {}
        }
        let mut at = text.floor_char_boundary(hit.finding.at.start).max(done)
            ..text.ceil_char_boundary(hit.finding.at.end);
        let mut shown = hit.shown.clone();
        if json.is_at(text, at.start) {
            quotes = quotes.over(text.get(seen..at.start).unwrap_or_default());
            seen = at.start.max(seen);
            if quotes.inside() {
                at = quotes::within_string(text, at, quotes);
            } else if let Some(number) = quotes::number_around(text, &at, done) {
                at = number;
                shown = format!("\"{shown}\"");
            }
        }
        if at.start < at.end {
            done = at.end;
            edits.push((at, shown));
        }
    }
    Ok(edits)
}

/// Bytes with some of them replaced, in their order.
fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for (at, shown) in edits {
        out.extend_from_slice(bytes.get(done..at.start).unwrap_or_default());
        out.extend_from_slice(shown.as_bytes());
        done = at.end;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
