//! What texts from outside have in them - credentials, personal data, what is not seen - and how an agent behaves.
//!
//! Pure: a text or a history comes in, findings come out. What is done about them is the policy's affair
//! ([`ringfence_core::Handling`]).

mod begins;
mod checks;
mod class;
mod encoded;
mod instructions;
mod loops;
mod names;
mod personal;
mod rules;
mod secrets;
mod unseen;
mod words;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::LazyLock;

use ringfence_core::{Certainty, Finding, FindingKind, Inspect};

use begins::Beginnings;
pub use instructions::instructions;
pub use loops::{Behaviour, Loops, LoopsMax, Sign};
pub use names::{Looks, looks, mixes_scripts};
use secrets::Secrets;

/// Most findings in one text; what comes behind is told together, and not passed on.
const FINDINGS_MAX: usize = 100_000;

/// All detectors, ready to look at texts.
#[derive(Debug)]
pub struct Detectors {
    secrets: Secrets,
    beginnings: Beginnings,
}

impl Detectors {
    /// The same for the whole process: they keep nothing of what they look at.
    pub fn shared() -> &'static Detectors {
        static SHARED: LazyLock<Detectors> = LazyLock::new(Detectors::new);
        &SHARED
    }

    fn new() -> Detectors {
        Detectors { secrets: Secrets::new(), beginnings: Beginnings::new() }
    }

    /// What is in a text, in the order of where it begins.
    pub fn look(&self, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        unseen::look(text, &mut found);
        personal::look(text, &mut found);
        self.secrets.look(text, &mut found);
        // Most texts have their findings in order already, and nothing in them hides another.
        if !found.is_sorted_by(|one, other| one.at.end <= other.at.start) {
            found.sort_by(|one, other| {
                let places = (one.at.start, other.at.end).cmp(&(other.at.start, one.at.end));
                places.then(other.certainty.cmp(&one.certainty)).then(one.rule.cmp(other.rule))
            });
            found.dedup_by(|later, first| later.rule == first.rule && later.at == first.at);
            found = tell_the_better(found);
        }
        if found.len() > FINDINGS_MAX {
            let from = found.get(FINDINGS_MAX).map_or(text.len(), |one| one.at.start);
            found.truncate(FINDINGS_MAX);
            found.push(too_much(from..text.len()));
        }
        found
    }
}

/// The patterns of all rules on credentials, for those who want to compare ways of finding them.
pub fn patterns() -> impl Iterator<Item = &'static str> {
    rules::all().map(|rule| rule.pattern)
}

/// All detectors and their rules, as a page of the documentation.
pub fn reference() -> String {
    let mut page = String::from(REFERENCE);
    for rule in rules::all() {
        let certainty = match rule.certainty {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
            Certainty::Noisy => "told only",
        };
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{}` | {} | {certainty} |", rule.id, rule.what);
    }
    page
}

const REFERENCE: &str = "\
# Detectors

<!-- Made from the rules themselves: `UPDATE_EXPECT=1 cargo test -p ringfence-detect` -->

What results of tools are looked through for, and what passes over the network where a rule says so: [Results](mcp.md#results) and
[What passes is looked through](network.md#what-passes-is-looked-through) say what is done about it.

| name in `@redact` and `@block` | what it finds | how it is checked |
| --- | --- | --- |
| `secrets` | credentials, by the rules below | form, entropy, checksum where there is one |
| `email` | e-mail addresses | form |
| `phone` | telephone numbers with `+`, and those of North America | length by country |
| `card` | numbers of payment cards | issuer, length, check digit (Luhn) |
| `iban` | numbers of bank accounts | country, length, check digits (mod 97) |
| `ssn` | social security numbers of the United States | areas, groups and serials that are given out |
| `ip` | addresses of the internet; local ones are told only | parsed |
| `pii` | all from `email` to `ip` | |
| `terminal` | control characters and escape sequences | made visible, of results of tools always |
| `hidden-text` | characters that are not seen, and those that turn the order of others round | made visible, of results of tools always |

Credentials that are *certain* are taken out of every result of a tool unless the settings say otherwise, those that are *likely* where a
rule says so; of what passes over the network both where a rule says so. What is told only is counted in the log and stays.

| rule | what it finds | certainty |
| --- | --- | --- |
";

impl Inspect for Detectors {
    fn inspect(&self, text: &str) -> Vec<Finding> {
        self.look(text)
    }

    fn open(&self, text: &str) -> Option<usize> {
        self.beginnings.open(text)
    }
}

/// All that is left of a text with more findings than anybody wants to know of.
fn too_much(at: Range<usize>) -> Finding {
    let (kind, certainty) = (FindingKind::HiddenText, Certainty::Certain);
    Finding { rule: "too-much", kind, certainty, at }
}

/// Of two credentials at one place the one that is surer is told; so is a credential of which a part is a number.
fn tell_the_better(found: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(found.len());
    let gives_way = |one: &Finding| one.kind == FindingKind::Secret || is_number(one.kind);
    // What reaches beyond is told as well: else the rest of it would stay.
    let hides = |one: &Finding, other: &Finding| {
        let covers = one.at.start <= other.at.start && other.at.end <= one.at.end;
        covers && one.kind == FindingKind::Secret && one.certainty > other.certainty
    };
    for one in found {
        while kept.last().is_some_and(|last| gives_way(last) && hides(&one, last)) {
            kept.pop();
        }
        if !kept.last().is_some_and(|last| gives_way(&one) && hides(last, &one)) {
            kept.push(one);
        }
    }
    kept
}

/// Whether a kind is found by its digits, which a credential has too.
fn is_number(kind: FindingKind) -> bool {
    match kind {
        FindingKind::Phone | FindingKind::Card | FindingKind::Ssn | FindingKind::Ip => true,
        FindingKind::Secret
        | FindingKind::Email
        | FindingKind::Iban
        | FindingKind::Terminal
        | FindingKind::HiddenText
        | FindingKind::Instruction => false,
    }
}

#[cfg(test)]
mod tests;
