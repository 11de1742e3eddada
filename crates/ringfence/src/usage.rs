//! What helps after a command line that was not understood, beyond what its parser says.
#![expect(clippy::wildcard_enum_match_arm, reason = "clap's enums are non-exhaustive")]

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Error};
use ringfence_core::SessionId;

use crate::cli::Cli;

/// Puts the likeliest name in place of the parser's guess: one that differs by one letter.
pub(crate) fn correct(error: &mut Error) {
    let Some(typed) = text_of(error, ContextKind::InvalidSubcommand) else { return };
    let root = Cli::command();
    let nested = root.get_subcommands().flat_map(clap::Command::get_subcommands);
    let all = root.get_subcommands().chain(nested);
    let near = all.map(clap::Command::get_name).find(|name| is_near(&typed, name));
    if let Some(name) = near.filter(|_| error.get(ContextKind::SuggestedSubcommand).is_some()) {
        let name = ContextValue::Strings(vec![name.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, name);
    }
}

/// A command that helps, as a sentence after *hint:*.
pub(crate) fn hint(error: &Error) -> Option<String> {
    let argument = text_of(error, ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::ValueValidation if named_the_other(error).is_some() => named_the_other(error),
        ErrorKind::ValueValidation if argument.contains("SESSION") => {
            Some("to see what the sessions are called, run `ringfence sessions`".to_owned())
        }
        ErrorKind::MissingRequiredArgument if argument.contains("INDEX") => Some(
            "to see the entries of the last session, run `ringfence log show`; a denial names its own".to_owned(),
        ),
        ErrorKind::UnknownArgument if is_of("run", error) && !argument.starts_with('-') => {
            Some("the command comes after two dashes: `ringfence run -- CMD`".to_owned())
        }
        ErrorKind::MissingRequiredArgument | ErrorKind::UnknownArgument
            if is_of("mcp add", error) && !argument.starts_with('-') =>
        {
            Some("what is to be started comes after two dashes: `ringfence mcp add NAME -- COMMAND`".to_owned())
        }
        _ => None,
    }
}

/// What was meant, where a session was named for an entry or an entry for a session.
fn named_the_other(error: &Error) -> Option<String> {
    let typed = text_of(error, ContextKind::InvalidValue)?;
    let argument = text_of(error, ContextKind::InvalidArg)?;
    if argument.contains("INDEX") && typed.parse::<SessionId>().is_ok() {
        return Some(format!(
            "that is a session, of which an entry is `{typed}/INDEX`: to see them, run \
             `ringfence log show {typed}`"
        ));
    }
    let (session, index) = typed.split_once('/')?;
    let is_entry = session.parse::<SessionId>().is_ok() && index.parse::<u64>().is_ok();
    (argument.contains("SESSION") && is_entry).then(|| {
        format!("that is an entry: to see why it was decided so, run `ringfence explain {typed}`")
    })
}

fn is_of(command: &str, error: &Error) -> bool {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    usage.contains(&format!("ringfence {command} "))
}

fn text_of(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(" ")),
        _ => None,
    }
}

/// Whether one letter added, left out, changed or swapped with its neighbour makes the other.
fn is_near(typed: &str, name: &str) -> bool {
    let (typed, name): (Vec<char>, Vec<char>) = (typed.chars().collect(), name.chars().collect());
    let same = typed.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let rest = |word: &[char], skipped: usize| word.get(same + skipped..).map(<[char]>::to_vec);
    let swapped = rest(&typed, 0).map(|mut rest| {
        if let [first, second, ..] = rest.as_mut_slice() {
            std::mem::swap(first, second);
        }
        rest
    });
    rest(&typed, 1) == rest(&name, 0)
        || rest(&typed, 0) == rest(&name, 1)
        || rest(&typed, 1) == rest(&name, 1)
        || swapped == rest(&name, 0)
}
