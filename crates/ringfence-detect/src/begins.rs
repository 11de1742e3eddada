//! Where a credential may have begun of which the end is still to come: for who has to let a text go in pieces.

use ringfence_core::Certainty;

use crate::rules::{self, Before, Check, Rule};
use crate::secrets::stands_free;

/// The words with which what is certain begins, by their first bytes.
#[derive(Debug)]
pub(crate) struct Beginnings {
    by_first: Vec<Vec<&'static str>>,
    reach: usize,
}

impl Beginnings {
    pub(crate) fn new() -> Beginnings {
        let mut by_first: Vec<Vec<&'static str>> = vec![Vec::new(); usize::from(u8::MAX) + 1];
        let mut reach = 0;
        for rule in rules::all().filter(|rule| is_one_word(rule)) {
            reach = reach.max(rule.reach);
            for word in rule.words {
                let first = word.bytes().next().map(usize::from);
                if let Some(words) = first.and_then(|first| by_first.get_mut(first)) {
                    words.push(word);
                }
            }
        }
        Beginnings { by_first, reach }
    }

    /// The first place in the last word of a text where such a credential may begin that has not ended.
    pub(crate) fn open(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let run = bytes.iter().rev().take(self.reach).take_while(|byte| goes_on(**byte)).count();
        let start = bytes.len().checked_sub(run)?;
        (start..bytes.len()).find(|at| {
            let (Some(before), Some(rest)) = (bytes.get(..*at), bytes.get(*at..)) else {
                return false;
            };
            let words = rest.first().and_then(|first| self.by_first.get(usize::from(*first)));
            let begins = |word: &&str| {
                rest.starts_with(word.as_bytes()) || word.as_bytes().starts_with(rest)
            };
            words.is_some_and(|words| words.iter().any(begins)) && stands_free(before)
        })
    }
}

/// Whether what a rule finds is certain, and has nothing in it that ends a word.
fn is_one_word(rule: &Rule) -> bool {
    rule.certainty == Certainty::Certain
        && rule.before == Before::Boundary
        && rule.check != Check::Pem
        && rule.words.iter().all(|word| word.bytes().all(goes_on))
}

/// Whether a credential can have this in it.
fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/=.:~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_beginning_of_a_credential_is_told() {
        let all = Beginnings::new();
        for (text, at) in [
            ("say ghp_012", Some(4)),
            ("say ghp", Some(4)),
            ("say g", Some(4)),
            ("x=AKIA", Some(2)),
            ("say ghp_012 ", None),
            ("highp_01", None),
            ("", None),
            ("42", None),
            ("a\n", None),
        ] {
            assert_eq!(all.open(text), at, "{text}");
        }
    }

    #[test]
    fn every_beginning_of_every_word_is_one() {
        let all = Beginnings::new();
        for rule in rules::all().filter(|rule| is_one_word(rule)) {
            for word in rule.words {
                for end in 1..=word.len() {
                    let text = format!("a \"{}", word.get(..end).unwrap());
                    assert_eq!(all.open(&text), Some(3), "{}: {text}", rule.id);
                }
            }
        }
    }
}
