//! The forms that credentials have: data, written from what those who issue them say of them.
//!
//! A rule begins with a word that stands in all that it finds, and a pattern that is tried where that word is.
//! What the pattern's group `v` finds is the credential, or all of it where there is no such group.

mod chat;
mod cloud;
mod code;
mod general;
mod keys;
mod models;
mod money;
mod services;

use ringfence_core::Certainty;

/// How a rule's finding is looked at once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Its pattern says it all.
    Form,
    /// At least this much entropy, in tenths of a bit per character: no word, no row of equal letters.
    Entropy(u32),
    /// The last six characters are a CRC-32 of those before them and behind the last `_`, in base 62; what has
    /// another one has been made up and is likely only.
    Crc62,
    /// Three parts of base64 with a header that says `alg`.
    Jwt,
    /// A password that is neither a variable nor a word that stands for one.
    Password,
    /// The beginning of a key in PEM: all of it counts, to its end.
    Pem,
}

/// What may stand before the word that a rule begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing that could belong to it: no letter and no digit.
    Boundary,
    /// Anything.
    Anything,
}

/// One form of one credential.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What it is called in entries and in place of what it finds.
    pub(crate) id: &'static str,
    /// What it is, for a person.
    pub(crate) what: &'static str,
    /// One of these stands where it begins.
    pub(crate) words: &'static [&'static str],
    /// The pattern, from that word on.
    pub(crate) pattern: &'static str,
    pub(crate) certainty: Certainty,
    pub(crate) check: Check,
    pub(crate) before: Before,
    /// Words count in small letters, in capitals, and with one capital at the start.
    pub(crate) any_case: bool,
    /// How far the pattern looks, in bytes.
    pub(crate) reach: usize,
    /// A character without which there is nothing to find.
    pub(crate) needs: Option<u8>,
}

/// How far patterns look, unless they say so.
const REACH: usize = 400;
/// How far those look that find a whole key or certificate.
const REACH_KEY: usize = 16 * 1024;

/// A credential whose beginning nothing else has.
const fn token(
    id: &'static str,
    what: &'static str,
    words: &'static [&'static str],
    pattern: &'static str,
) -> Rule {
    Rule {
        id,
        what,
        words,
        pattern,
        certainty: Certainty::Certain,
        check: Check::Form,
        before: Before::Boundary,
        any_case: false,
        reach: REACH,
        needs: None,
    }
}

/// A credential without a form of its own, behind the name of what it is for.
const fn named(
    id: &'static str,
    what: &'static str,
    words: &'static [&'static str],
    pattern: &'static str,
) -> Rule {
    let rule = token(id, what, words, pattern);
    Rule {
        certainty: Certainty::Likely,
        check: Check::Entropy(30),
        before: Before::Anything,
        any_case: true,
        ..rule
    }
}

impl Rule {
    const fn check(self, check: Check) -> Rule {
        Rule { check, ..self }
    }

    const fn likely(self) -> Rule {
        Rule { certainty: Certainty::Likely, ..self }
    }

    const fn noisy(self) -> Rule {
        Rule { certainty: Certainty::Noisy, ..self }
    }

    const fn certain(self) -> Rule {
        Rule { certainty: Certainty::Certain, ..self }
    }

    const fn anywhere(self) -> Rule {
        Rule { before: Before::Anything, ..self }
    }

    const fn needs(self, needed: u8) -> Rule {
        Rule { needs: Some(needed), ..self }
    }

    const fn reach(self, reach: usize) -> Rule {
        Rule { reach, ..self }
    }
}

/// All rules, each with an id of its own.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    let files = [
        code::RULES,
        cloud::RULES,
        models::RULES,
        chat::RULES,
        money::RULES,
        services::RULES,
        keys::RULES,
        general::RULES,
    ];
    files.into_iter().flatten()
}

#[cfg(test)]
pub(crate) mod tests;
