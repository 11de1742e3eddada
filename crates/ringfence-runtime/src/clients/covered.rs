//! Texts in which every value that looks like a secret is covered, to be shown.

use super::sensitive::{Looks, is_switch, option_of, parts_of_addresses, word_looks};

/// What stands in the place of what is covered.
const COVERED: &str = "[secret]";

/// A command line with its secrets covered.
pub fn covered_words(words: &[String]) -> Vec<String> {
    let mut option = "";
    let mut all = Vec::new();
    for word in words {
        all.push(match word_looks(option, word) {
            Looks::Plain => word.clone(),
            Looks::Unsure | Looks::Credential | Looks::Bare(_) => covered_word(word),
        });
        option = option_of(word);
    }
    all
}

fn covered_word(word: &str) -> String {
    if word.contains("://") {
        let covered = covered_address(word);
        if covered != word {
            return covered;
        }
    }
    let name = word.split_once('=').map(|(name, _)| format!("{name}="));
    format!("{}{COVERED}", name.unwrap_or_default())
}

/// An address with its secrets covered.
pub fn covered_address(text: &str) -> String {
    let mut parts = parts_of_addresses(text);
    // The longest first: one may be within another.
    parts.sort_by_key(|part| std::cmp::Reverse(part.value.len()));
    parts.iter().fold(text.to_owned(), |text, part| text.replace(part.value, COVERED))
}

/// The settings of a client with every value covered that looks like a secret, whoever's it is.
///
/// Read line by line, and by what stands in quotation marks: so comments, and files that are no JSON any more, are covered too.
pub fn covered(text: &str) -> String {
    let mut lines = Lines { name: String::new() };
    text.split_inclusive('\n').map(|line| lines.covered(line)).collect()
}

/// The lines of a client's settings, of which each is read as what comes behind the one before.
struct Lines {
    /// What the next value is called: by its member, or by the option before it.
    name: String,
}

impl Lines {
    fn covered(&mut self, line: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(line.len()), line);
        while let Some((before, quote, inner, after)) = next_quoted(rest) {
            out.push_str(&self.bare(before));
            out.push(quote);
            if after.trim_start_matches(quote).trim_start().starts_with([':', '=']) {
                inner.clone_into(&mut self.name);
                out.push_str(inner);
            } else {
                let value = meant(inner);
                let looks = word_looks(&self.name, &value);
                out.push_str(if looks == Looks::Plain { inner } else { COVERED });
                let option = option_of(&value);
                if !option.is_empty() {
                    option.clone_into(&mut self.name);
                }
            }
            let end = after.strip_prefix(quote);
            if end.is_some() {
                out.push(quote);
            }
            rest = end.unwrap_or_default();
        }
        out.push_str(&self.bare(rest));
        out
    }

    /// What stands in no quotation marks: names, numbers, comments.
    fn bare(&mut self, text: &str) -> String {
        let punctuation = |letter: char| letter.is_whitespace() || ",[]{}()".contains(letter);
        let mut out = String::new();
        for piece in text.split_inclusive(punctuation) {
            let word = piece.trim_end_matches(punctuation);
            let value = word.trim_start_matches([':', '=']);
            let is_number = value.starts_with(|it: char| it.is_ascii_digit() || it == '-');
            let of_name = if is_number { self.name.as_str() } else { "" };
            match word_looks(of_name, value) {
                _ if value.is_empty() || is_switch(value) => out.push_str(piece),
                Looks::Plain => out.push_str(piece),
                Looks::Unsure | Looks::Credential | Looks::Bare(_) => {
                    out.push_str(&piece.replace(value, COVERED));
                }
            }
            let is_name = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
            if !value.is_empty() && !is_number && value.chars().all(is_name) {
                value.clone_into(&mut self.name);
            }
        }
        out
    }
}

/// What stands before a quotation mark, the mark, what is between it and the next, and the rest, which begins with that.
fn next_quoted(text: &str) -> Option<(&str, char, &str, &str)> {
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        let begins = letter == '"' || (letter == '\'' && !before.is_alphanumeric());
        before = letter;
        if !begins {
            continue;
        }
        let (head, tail) = text.split_at_checked(at)?;
        let inner = tail.get(1..)?;
        let end = end_of_quoted(inner, letter).unwrap_or(inner.len());
        let (inner, after) = inner.split_at_checked(end)?;
        return Some((head, letter, inner, after));
    }
    None
}

fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        if letter == quote && !is_escaped {
            return Some(at);
        }
        is_escaped = letter == '\\' && !is_escaped && quote == '"';
    }
    None
}

/// What a text in quotation marks means, if it is one of JSON; else as it stands.
fn meant(inner: &str) -> String {
    serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_else(|_| inner.to_owned())
}
