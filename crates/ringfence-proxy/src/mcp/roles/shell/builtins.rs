//! Words of the shell itself, which start nothing and open nothing as long as their arguments have a form that is
//! known.
//!
//! Many take the name of a variable, and its index is arithmetic, in which a substitution is run also where it came
//! as a text: `test -v 'a[$(id)]'`. Others assign variables (`printf -v PATH`), or run a command (`jobs -x`). Sources:
//! the manuals of bash ("Shell Builtin Commands", "Shell Arithmetic"), dash, and mksh.

use super::programs::is_telling;
use super::read::Word;

/// Whether a word of the shell with these arguments does nothing but what its name says.
pub(super) fn is_harmless(name: &str, words: &[Word]) -> bool {
    match name {
        ":" | "true" | "false" | "echo" => true,
        "pwd" | "times" | "type" => !words.iter().any(may_be_an_index),
        "[" | "test" => is_harmless_test(name, words),
        "break" | "continue" | "exit" | "logout" | "return" | "shift" => match words {
            [] => true,
            [one] => is_number(one),
            [_, _, ..] => false,
        },
        "printf" => is_harmless_printf(words),
        "set" => is_harmless_set(words),
        "unset" => words.iter().all(|word| {
            let option = |text: &str| matches!(text, "-f" | "-v");
            word.text.as_deref().is_some_and(|text| option(text) || is_own_name(text))
        }),
        "jobs" => words.iter().all(|word| has_letters(word, "-lnprs")),
        "dirs" => words.iter().all(|word| has_letters(word, "-+clpv0123456789")),
        "umask" => words.iter().all(|word| has_letters(word, "01234567ugoarwxXstS=+-,p")),
        "ulimit" => words.iter().all(|word| {
            let limit = matches!(word.text.as_deref(), Some("unlimited" | "hard" | "soft"));
            let option = word.text.as_deref().is_some_and(is_option);
            limit || option || is_number(word)
        }),
        "wait" => words.iter().all(|word| {
            let job = |text: &str| {
                let number = text.strip_prefix('%').unwrap_or_default();
                text == "-n" || (!number.is_empty() && is_digits(number))
            };
            is_number(word) || word.text.as_deref().is_some_and(job)
        }),
        _ => false,
    }
}

/// Whether a name is that of a variable, and of one that decides about nothing.
pub(super) fn is_own_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let first = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    first && text.chars().all(plain) && !is_telling(text)
}

fn is_option(text: &str) -> bool {
    let letters = text.strip_prefix('-').unwrap_or_default();
    !letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_alphabetic())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(word: &Word) -> bool {
    let signed = |text: &str| is_digits(text.strip_prefix('-').unwrap_or(text));
    word.number || word.text.as_deref().is_some_and(signed)
}

fn has_letters(word: &Word, letters: &str) -> bool {
    let known = |text: &str| text.chars().all(|letter| letters.contains(letter));
    !word.globs && word.text.as_deref().is_some_and(known)
}

/// Whether it may be evaluated where a number is awaited, and then runs something.
fn may_be_an_index(word: &Word) -> bool {
    word.text.as_deref().is_none_or(|text| text.contains('[') && text.contains(['$', '`']))
}

fn is_harmless_test(name: &str, words: &[Word]) -> bool {
    let words = match words {
        [words @ .., last] if name == "[" && last.text.as_deref() == Some("]") => words,
        _ if name == "[" => return false,
        words => words,
    };
    // What makes several words, or other ones, may make an operator too.
    words.iter().all(|word| !word.splits && !word.globs) && is_harmless_expression(words)
}

fn is_harmless_expression(words: &[Word]) -> bool {
    const UNARY: &str = "abcdefghkLnNOGprsSuwxz";
    let text = |word: &Word| word.text.clone();
    let is_joint = |word: &Word| matches!(word.text.as_deref(), Some("-a" | "-o"));
    match words {
        [] | [_] => true,
        [not, rest @ ..] if text(not).as_deref() == Some("!") => is_harmless_expression(rest),
        [operator, operand] => match operator.text.as_deref() {
            Some("-t") => is_number(operand),
            Some(operator) => {
                let letter = operator.strip_prefix('-').unwrap_or_default();
                letter.chars().count() == 1 && UNARY.contains(letter)
            }
            None => false,
        },
        [one, operator, other] => match operator.text.as_deref() {
            Some("=" | "==" | "!=" | "<" | ">" | "-nt" | "-ot" | "-ef") => true,
            Some("-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge") => {
                is_number(one) && is_number(other)
            }
            Some(_) | None => false,
        },
        // Which word is an operator depends on all of them: they have to be known.
        longer if longer.iter().all(|word| word.text.is_some()) => {
            let parts: Vec<&[Word]> = longer.split(is_joint).collect();
            let is_short = |part: &&[Word]| (1..=3).contains(&part.len());
            parts.len() > 1
                && parts.iter().all(is_short)
                && parts.iter().all(|part| is_harmless_expression(part))
        }
        _ => false,
    }
}

fn is_harmless_printf(words: &[Word]) -> bool {
    let words = match words {
        [first, rest @ ..] if first.text.as_deref() == Some("--") => rest,
        [first, ..] if first.text.as_deref().is_some_and(|it| it.starts_with('-')) => return false,
        words => words,
    };
    let Some((format, values)) = words.split_first() else { return true };
    let Some(text) = format.text.as_deref().filter(|_| !format.globs) else { return false };
    // `%n` assigns a variable.
    let assigns = text.split('%').skip(1).any(|rest| {
        let modifiers = |letter: char| letter.is_ascii_digit() || " .*#+-'hljztL".contains(letter);
        rest.trim_start_matches(modifiers).starts_with('n')
    });
    let index = |word: &Word| word.text.is_some() && may_be_an_index(word);
    !assigns && !values.iter().any(index)
}

/// Options that only say when the script ends and what it shows, and its own arguments.
fn is_harmless_set(words: &[Word]) -> bool {
    const NAMES: &[&str] =
        &["errexit", "noclobber", "noglob", "nounset", "pipefail", "verbose", "xtrace"];
    let mut rest = words;
    while let Some((first, others)) = rest.split_first() {
        let Some(text) = first.text.as_deref() else { return false };
        rest = others;
        match text.strip_prefix(['-', '+']) {
            Some("-") => return true,
            Some(letters) if !letters.is_empty() => {
                if !letters.chars().all(|letter| "eufvxCo".contains(letter)) {
                    return false;
                }
                for _ in letters.matches('o') {
                    let Some((name, others)) = rest.split_first() else { return false };
                    if !name.text.as_deref().is_some_and(|name| NAMES.contains(&name)) {
                        return false;
                    }
                    rest = others;
                }
            }
            Some(_) | None => return true,
        }
    }
    true
}
