//! A server that is started without rules that it was added with: how these are proposed again.

use std::path::Path;

use ringfence_core::ServerName;
use ringfence_runtime::broker::RunRequest;
use ringfence_runtime::clients::covered_words;
use ringfence_runtime::servers::{Server, ServerFile};
use ringfence_runtime::whole_file::{self, Links};
use ringfence_runtime::wording::{printable, shell_word};

use super::{in_force, place, proposed, request};
use crate::exit::Failure;
use crate::screen::Screen;

/// What helps a server of tools that did not end well, where it may not read something that it is made of, or not use what
/// it was given: all rules that it lacks, as `mcp add` proposes them. None where other files stand in for the policy, and
/// where the rules are there and something else forbids it.
pub(crate) fn hint(of: &RunRequest) -> Option<String> {
    let name = of.server().filter(|_| of.overrides.is_empty())?;
    let words = of.command.iter().map(|word| word.to_str().map(str::to_owned));
    let mut file = ServerFile::started_by(words.collect::<Option<_>>()?);
    file.env.clone_from(&of.own_env);
    let assembled = in_force::quietly_as(Some(name.clone()), &[]).ok().flatten()?;
    let rules = proposed::lacking((&name, &file), &assembled).ok()?.rules;
    let given = rules.files.iter().chain(&rules.works);
    let mut rules = rules.reads.iter().chain(&rules.runs).chain(given);
    let is_written = |rule: &String| assembled.sources.iter().any(|it| it.text.contains(rule));
    if rules.all(is_written) {
        return None;
    }
    let own = of.dirs.user_servers().join(format!("{name}.json"));
    let is_of_project = !own.exists() && assembled.project.servers.contains_key(name.as_str());
    let project = if is_of_project { "--project " } else { "" };
    let lacks = format!("`{name}` may not read what it is made of, or use what it was given");
    Some(match command(&file.command) {
        Some(command) => format!(
            "{lacks}: to have the rules for that proposed again, run `ringfence mcp add {project}{name} -- {command}`"
        ),
        None => format!(
            "{lacks}: to have the rules for that proposed again, run `ringfence mcp add {project}{name}`"
        ),
    })
}

/// A command to be typed; none where a word of it cannot be, or looks like a secret.
fn command(words: &[String]) -> Option<String> {
    if covered_words(words) != words {
        return None;
    }
    let words = words.iter().map(|word| shell_word(word)).collect::<Option<Vec<_>>>()?;
    Some(words.join(" "))
}

/// Keeps the variables of a server that is added once more with the same command and without any: they stand on no command
/// line that is hinted at.
pub(super) fn keep_variables(
    (name, is_of_project): (&ServerName, bool),
    file: &mut ServerFile,
    screen: &Screen,
) -> Result<(), Failure> {
    if !file.env.is_empty() || file.url.is_some() {
        return Ok(());
    }
    let place = place(&request(Vec::new(), "add")?, name, is_of_project)?;
    let Some(old) = whole_file::read_text(&place, Links::Follow)? else { return Ok(()) };
    let old = Server::read(&old).ok().filter(|old| is_same(&old.file.command, &file.command));
    if let Some(old) = old.filter(|old| !old.file.env.is_empty()) {
        let names: Vec<String> =
            old.file.env.keys().map(|it| format!("`{}`", printable(it))).collect();
        screen.note(&format!("its variables stay as they are: {}", names.join(", ")));
        file.env = old.file.env;
    }
    Ok(())
}

/// Whether a command is the one that was kept, whose program may stand there without its directory.
fn is_same(kept: &[String], now: &[String]) -> bool {
    let (Some((was, words)), Some((is, rest))) = (kept.split_first(), now.split_first()) else {
        return kept == now;
    };
    let is_found_as = || !was.contains('/') && Path::new(is).file_name() == Some(was.as_ref());
    words == rest && (was == is || is_found_as())
}
