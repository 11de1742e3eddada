//! What a server says that wants a login: `WWW-Authenticate: Bearer ...` (RFC 6750, RFC 9728 section 5.1).

use hyper::StatusCode;
use hyper::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a server wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where it says who gives out its tokens.
    pub resource_metadata: Option<String>,
    /// What a token has to be for.
    pub scope: Option<String>,
    /// What was wrong with the one that it was given.
    pub error: Option<String>,
}

/// What a request lacked that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacks {
    /// A token: it had none, or one that is not taken.
    Login(Challenge),
    /// One that is for more.
    More(Challenge),
}

impl Lacks {
    /// What it lacked by its answer, if that is it.
    pub fn of(status: StatusCode, headers: &HeaderMap) -> Option<Lacks> {
        let challenge = Challenge::of(headers);
        if status == StatusCode::UNAUTHORIZED {
            return Some(Lacks::Login(challenge.unwrap_or_default()));
        }
        let more = challenge.filter(|it| it.error.as_deref() == Some("insufficient_scope"));
        more.filter(|_| status == StatusCode::FORBIDDEN).map(Lacks::More)
    }

    /// What the server says of that.
    pub fn challenge(&self) -> &Challenge {
        match self {
            Lacks::Login(challenge) | Lacks::More(challenge) => challenge,
        }
    }
}

impl Challenge {
    /// What the headers of an answer say of tokens, if anything.
    pub fn of(headers: &HeaderMap) -> Option<Challenge> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .find_map(|value| Challenge::read(value.to_str().ok()?))
    }

    /// The first challenge for a bearer's token in the value of a header.
    pub fn read(value: &str) -> Option<Challenge> {
        let mut rest = value;
        loop {
            let (scheme, behind) = word(rest)?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            let (pairs, next) = pairs(behind);
            if is_bearer {
                let get = |name: &str| {
                    let mut all = pairs.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
                    // What stands twice has two readings.
                    all.next().filter(|_| all.next().is_none()).map(|(_, value)| value.clone())
                };
                return Some(Challenge {
                    resource_metadata: get("resource_metadata"),
                    scope: get("scope"),
                    error: get("error"),
                });
            }
            if next.len() >= rest.len() {
                return None;
            }
            rest = next;
        }
    }
}

/// The first word of a text, and what is behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let end = text.find(|it: char| !is_token(it)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

/// The parameters of a challenge, and what is behind them: the next one.
fn pairs(text: &str) -> (Vec<(String, String)>, &str) {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((name, behind)) = word(rest) {
        let Some(value) = behind.trim_start().strip_prefix('=') else { return (all, rest) };
        let value = value.trim_start();
        let Some((value, behind)) = quoted(value).or_else(|| {
            let (word, behind) = word(value)?;
            Some((word.to_owned(), behind))
        }) else {
            // A token of another scheme, with `=` behind it.
            return (all, value);
        };
        all.push((name.to_owned(), value));
        rest = behind;
    }
    (all, "")
}

/// A quoted text, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at.checked_add(2)?..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}
