//! Stand-ins: what a world holds in a secret's place. One looks like the real thing, is made anew for
//! each session, and opens nothing.

use std::io;

use serde::{Deserialize, Serialize};

/// Fewest random characters of a stand-in: fewer could turn up by chance.
const RANDOM_CHARS_MIN: usize = 16;
/// Most characters of a stand-in.
const CHARS_MAX: usize = 8 * 1024;

/// Beginnings that say what kind of secret something is, and that programs check.
const PREFIXES: [&str; 35] = [
    "sk-ant-api03-",
    "sk-ant-admin01-",
    "sk-ant-oat01-",
    "sk-ant-",
    "sk-proj-",
    "sk-svcacct-",
    "sk-or-v1-",
    "sk-",
    "AIza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "pk_live_",
    "pk_test_",
    "whsec_",
    "npm_",
    "pypi-",
    "xoxb-",
    "xoxp-",
    "hvs.",
    "hf_",
    "dop_v1_",
    "SG.",
    "eyJ",
    "ya29.",
];

/// What stand-ins for a secret look like; says no more of the secret than its kind and its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// How it begins.
    pub prefix: String,
    /// Length of all of it, in characters.
    pub length: usize,
    /// What follows the beginning is made of these.
    pub alphabet: Alphabet,
}

/// The characters a stand-in is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// 0 to 9.
    Digits,
    /// 0 to 9, a to f.
    Hex,
    /// Capitals and digits.
    Capitals,
    /// Small letters and digits.
    Small,
    /// Letters and digits.
    Letters,
    /// Letters, digits, `-` and `_`.
    Url,
}

/// What a world holds in a secret's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sentinel(String);

impl Alphabet {
    fn characters(self) -> &'static [u8] {
        match self {
            Alphabet::Digits => b"0123456789",
            Alphabet::Hex => b"0123456789abcdef",
            Alphabet::Capitals => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            Alphabet::Small => b"abcdefghijklmnopqrstuvwxyz0123456789",
            Alphabet::Letters => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Alphabet::Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }

    /// The smallest one that holds a text; anything else becomes letters, digits, `-` and `_`.
    fn of(text: &str) -> Alphabet {
        let all = [
            Alphabet::Digits,
            Alphabet::Hex,
            Alphabet::Capitals,
            Alphabet::Small,
            Alphabet::Letters,
        ];
        let holds = |it: &Alphabet| text.bytes().all(|byte| it.characters().contains(&byte));
        all.into_iter().find(holds).unwrap_or(Alphabet::Url)
    }
}

impl Shape {
    /// The shape of a value; of its characters it tells the kind only.
    pub fn of(value: &str) -> Shape {
        let known = PREFIXES.iter().find(|prefix| value.starts_with(**prefix));
        let prefix = known.copied().unwrap_or_default();
        let rest = value.strip_prefix(prefix).unwrap_or(value);
        Shape { prefix: prefix.to_owned(), length: value.len(), alphabet: Alphabet::of(rest) }
    }

    /// A shape for a value that is not known yet.
    pub fn unknown() -> Shape {
        Shape { prefix: String::new(), length: 40, alphabet: Alphabet::Letters }
    }

    /// Makes a stand-in out of the kernel's randomness.
    pub fn sentinel(&self) -> io::Result<Sentinel> {
        let wanted = self.length.min(CHARS_MAX).saturating_sub(self.prefix.len());
        let count = wanted.max(RANDOM_CHARS_MIN);
        let characters = self.alphabet.characters();
        let mut text = self.prefix.clone();
        // Bytes beyond the last full round of the alphabet would make some characters likelier.
        let fair = 256 / characters.len() * characters.len();
        let mut random = [0; 64];
        while text.len() < self.prefix.len() + count {
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let missing = self.prefix.len() + count - text.len();
            let drawn = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
            let drawn = drawn.filter_map(|byte| characters.get(byte % characters.len()));
            text.extend(drawn.take(missing).map(|byte| char::from(*byte)));
        }
        Ok(Sentinel(text))
    }
}

impl Sentinel {
    /// A text with stand-ins in it.
    pub(crate) fn text(text: String) -> Sentinel {
        Sentinel(text)
    }

    /// The text a world finds.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
