//! Rules that no policy lifts: Ringfence's own files, and what the host would run by itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::compose::way::Way;
use crate::protected::{self, Kind, PersonsFiles, Place};
use crate::state::StateDirs;
use crate::trust::{PROJECT_DIR, Project};

/// How the built-in rules are named where a file would be.
pub const FILE: &str = "built in";

/// The built-in rules as Cedar, for one user and one project.
///
/// `unprotected` are names of [`protected::IN_PROJECT`] that settings let the agent write.
///
/// `around` are projects that the project lies in; `overrides` are files that stand in for the person's and the project's policy.
pub fn cedar(
    dirs: &StateDirs,
    (project, around, overrides): (&Path, &[Project], &[PathBuf]),
    unprotected: &[String],
) -> String {
    let mut text = String::new();
    let own = own_dirs(dirs);
    for dir in &own {
        let _ = write!(
            text,
            "@id(\"ringfence-own-files\")\n@reason(\"Ringfence's own state, configuration and sockets are out of reach\")\nforbid (principal, action, resource in Dir::{});\n",
            quoted(dir)
        );
    }
    let engines = with_real(dirs.of_engines());
    let engines = engines.into_iter().map(|path| Place {
        path,
        kind: Kind::Dir,
        why: "podman and docker start programs on the host that are named here",
    });
    let libraries = with_real(dirs.libraries().to_vec());
    let libraries = libraries.into_iter().map(|path| Place {
        path,
        kind: Kind::File,
        why: "it is loaded into the programs of each session of the tier `preload`",
    });
    // Where links lead to them they lie elsewhere, and may be the agent's to write.
    let texts =
        [dirs.user_policy(), dirs.user_settings(), dirs.system_policy(), dirs.system_settings()];
    let texts = texts.into_iter().chain(overrides.iter().cloned()).flat_map(|file| way_to(&file));
    let texts = texts.filter(|path| !own.iter().any(|dir| path.starts_with(dir)));
    let texts =
        texts.map(|path| Place { path, kind: Kind::File, why: "what it says is the policy" });
    let persons = PersonsFiles::of(dirs);
    let git_dir = protected::git_dir_of(project);
    let named = git_dir.iter().flat_map(|it| protected::named_in_git(it, project, &persons));
    let in_project = protected::in_project(project, unprotected);
    let around = around.iter().map(|outer| Place {
        path: outer.dir.join(PROJECT_DIR),
        kind: Kind::Dir,
        why: "what it says is the policy",
    });
    for place in in_project
        .into_iter()
        .chain(named)
        .chain(engines)
        .chain(libraries)
        .chain(texts)
        .chain(around)
    {
        let _ = write!(
            text,
            "@id(\"protected\")\n@reason(\"{}\")\nforbid (principal, action in [Action::\"fs.write\", Action::\"fs.delete\"], resource in Dir::{});\n",
            place.why,
            quoted(&place.path)
        );
    }
    number_ids(&text)
}

/// The directories of ours, also as they are called once links are resolved.
fn own_dirs(dirs: &StateDirs) -> Vec<PathBuf> {
    let named = [dirs.config(), dirs.state(), dirs.runtime(), dirs.private(), dirs.system()];
    with_real(named.iter().map(|dir| (*dir).to_owned()).collect())
}

/// A file by its name, each link on the way to it, and the file itself.
fn way_to(file: &Path) -> Vec<PathBuf> {
    let Way { links, end } = Way::of(file);
    let mut all: Vec<PathBuf> = links.into_iter().map(|(link, _)| link).collect();
    all.extend([file.components().collect(), end]);
    all.sort();
    all.dedup();
    all
}

/// Paths, also as they are called once links are resolved.
fn with_real(named: Vec<PathBuf>) -> Vec<PathBuf> {
    let real: Vec<PathBuf> = named.iter().filter_map(|dir| fs::canonicalize(dir).ok()).collect();
    let mut all = named;
    all.extend(real);
    all.sort();
    all.dedup();
    all
}

/// Each rule needs a name of its own: `protected`, `protected-2`, ...
fn number_ids(text: &str) -> String {
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    let mut numbered = String::with_capacity(text.len());
    for line in text.lines() {
        let count = seen.entry(line).or_default();
        *count += 1;
        match line.strip_suffix("\")").filter(|_| *count > 1 && line.starts_with("@id(")) {
            Some(start) => {
                let _ = writeln!(numbered, "{start}-{count}\")");
            }
            None => {
                let _ = writeln!(numbered, "{line}");
            }
        }
    }
    numbered
}

/// A path as a Cedar string. Paths that are not UTF-8 cannot be named in a policy, and no agent's
/// act on them is understood either.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
}
