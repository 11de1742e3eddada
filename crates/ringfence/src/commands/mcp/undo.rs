//! `mcp import --undo`: the files of clients as they were before servers were taken over from them.

use std::path::{Path, PathBuf};

use ringfence_runtime::clients::{Backups, Brought, Client, Extent, covered, lies_beside};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::wording::{printable, shell_word};
use ringfence_secrets::store::Store;

use super::{place, proposed, request};
use crate::cli::McpImportArgs;
use crate::commands::context;
use crate::exit::{Done, Failure, Message, Said};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

/// What is said where nobody can be asked.
const ALL_BACK: &str = "to put back all that is listed, add `--all`";

/// Puts back what was made of each file, last first; of a file that others have changed since, what is as it was written.
pub(super) fn undo(
    places: &[(Client, PathBuf)],
    args: &McpImportArgs,
    screen: &Screen,
) -> Result<Done, Failure> {
    let backups = Backups::of(&context::dirs()?);
    let (mut any, mut failed) = (false, false);
    for (client, path) in places {
        let Ok(path) = std::fs::canonicalize(path) else { continue };
        match undo_one(&backups, (*client, &path), (args, screen)) {
            Ok(put) => {
                any |= put != PutBack::Nothing;
                failed |= put == PutBack::Partly;
            }
            Err(failure) => {
                screen.failure(&failure);
                failed = true;
            }
        }
    }
    if any {
        hint_at_what_stays(&backups.left_over()?, screen);
    } else {
        screen.note("nothing was put back");
    }
    match (failed, any) {
        (true, _) => Err(Failure::Said(Said::CouldNot)),
        (false, true) => Ok(Done::Yes),
        (false, false) => Ok(Done::No),
    }
}

/// Names what was added for a client, is still there, and is started by no client any more.
pub(super) fn hint_at_what_stays(brought: &[Brought], screen: &Screen) {
    let Ok((dirs, request)) =
        context::dirs().and_then(|it| Ok((it, request(Vec::new(), "import")?)))
    else {
        return;
    };
    let kept = Store::at(dirs.secrets()).list().unwrap_or_default();
    let mut commands = Vec::new();
    for Brought { server, secrets } in brought {
        if place(&request, server, false).is_ok_and(|it| it.exists()) {
            commands.push(format!("ringfence mcp remove {server}"));
        }
        let there = secrets.iter().filter(|name| kept.iter().any(|it| it.name == **name));
        commands.extend(there.map(|name| format!("ringfence secret remove {name}")));
    }
    // Each can be taken from its line as it is.
    for command in commands {
        screen.hint(&format!("what was added for it stays; to forget that, run `{command}`"));
    }
}

/// What of a client's file was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PutBack {
    Nothing,
    /// All that was written here.
    All,
    /// Not what somebody has changed since.
    Partly,
}

fn undo_one(
    backups: &Backups,
    (client, path): (Client, &Path),
    (args, screen): (&McpImportArgs, &Screen),
) -> Result<PutBack, Failure> {
    let shown = printable(&path.to_string_lossy());
    let undo = match backups.last(client, path) {
        Ok(Some(undo)) => undo,
        Ok(None) => {
            if let Some(beside) = lies_beside(path) {
                let beside = printable(&beside.to_string_lossy());
                screen.warn(&format!(
                    "`{beside}` was not made here, as far as is remembered: it is left"
                ));
            }
            return Ok(PutBack::Nothing);
        }
        Err(error) => {
            let message = Message::new(error.to_string()).detail("nothing of it was changed");
            let by_hand = backups.backup_of(path).map(|backup| compare(path, &backup));
            return Err(by_hand.into_iter().fold(message, Message::hint).could_not());
        }
    };
    let named = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let diff = unified(&named, &covered(&undo.now), &covered(&undo.before));
    screen.as_it_is(&proposed::coloured(&diff, screen));
    let question = match &undo.extent {
        Extent::Whole => format!("put `{shown}` back as it was?"),
        Extent::Entries { .. } => {
            screen.note(&format!(
                "`{shown}` was changed since it was rewritten: only what was written here goes back"
            ));
            format!("put these entries of `{shown}` back as they were?")
        }
    };
    if !args.all && prompt::consent(&question, ALL_BACK)? == Consent::Refused {
        return Ok(PutBack::Nothing);
    }
    backups.put_back(&undo)?;
    let Extent::Entries { back, changed, gone } = &undo.extent else {
        screen.note(&format!("as it was: {shown}"));
        tell_of_copy(&undo.backup, "is removed", screen);
        return Ok(PutBack::All);
    };
    screen.note(&format!("as they were in {shown}: {}", names(back)));
    if !gone.is_empty() {
        screen.note(&format!("not in it any more, and not put back: {}", names(gone)));
    }
    if changed.is_empty() {
        tell_of_copy(&undo.backup, "is removed", screen);
        return Ok(PutBack::All);
    }
    tell_of_copy(&undo.backup, "stays, to compare with", screen);
    let text = format!("changed since they were written, and left as they are: {}", names(changed));
    screen.failure(&Message::new(text).hint(compare(path, &undo.backup)).could_not());
    Ok(PutBack::Partly)
}

/// Says what became of the copy that lay beside a client's file.
fn tell_of_copy(backup: &Path, what: &str, screen: &Screen) {
    screen.note(&format!("the copy {what}: {}", printable(&backup.to_string_lossy())));
}

/// Names that a client's file has, to be printed.
fn names(all: &[String]) -> String {
    all.iter().map(|name| format!("`{}`", printable(name))).collect::<Vec<_>>().join(", ")
}

/// How a person sees what differs between a file and its copy.
fn compare(path: &Path, backup: &Path) -> String {
    let word = |path: &Path| {
        let text = path.to_string_lossy();
        shell_word(&text).unwrap_or_else(|| printable(&text))
    };
    format!("to see how they differ, run `diff {} {}`", word(path), word(backup))
}
