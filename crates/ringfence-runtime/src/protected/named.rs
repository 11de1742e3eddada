//! What a person's own git configuration names: programs, hooks and further configuration.
//!
//! Git runs them outside. Where they lie in what an agent may write, they are protected like the
//! places that git knows by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Kind, Place};
use crate::gitconfig::{self, Setting};
use crate::state::StateDirs;
use crate::whole_file::{self, Links};

/// How deep includes are followed, as git itself does.
const INCLUDE_DEPTH_MAX: usize = 10;

/// Most files that are read for one repository; a person has two or three.
const FILES_MAX: usize = 64;

const RUNS: &str = "your git configuration names it, and git runs it on the host";
const INCLUDES: &str = "your git configuration includes it on the host";
const HOOKS: &str = "your git configuration has git run these hooks on the host";

/// Sections in which every key is a command line.
const COMMAND_SECTIONS: &[&str] = &["alias", "pager"];

/// Keys that are command lines, or paths of programs, in whatever section.
const COMMAND_KEYS: &[&str] = &[
    "alternaterefscommand",
    "askpass",
    "clean",
    "cmd",
    "command",
    "defaultkeycommand",
    "difffilter",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "helper",
    "packobjectshook",
    "pager",
    "process",
    "program",
    "receivepack",
    "smudge",
    "sshcommand",
    "textconv",
    "update",
    "uploadpack",
];

/// Sections in which `path` is the path of a program.
const TOOL_SECTIONS: &[&str] = &["browser", "difftool", "man", "mergetool"];

/// The files of a person, and of the system, that hold for every repository.
#[derive(Debug, Clone)]
pub(crate) struct PersonsFiles {
    home: PathBuf,
    files: Vec<PathBuf>,
}

impl PersonsFiles {
    pub(crate) fn of(dirs: &StateDirs) -> PersonsFiles {
        let home = dirs.home().to_owned();
        // Ours lies beside git's, wherever that is.
        let config = dirs.config().parent().map(|dir| dir.join("git/config"));
        let own = [PathBuf::from("/etc/gitconfig"), home.join(".gitconfig")];
        PersonsFiles { files: own.into_iter().chain(config).collect(), home }
    }
}

/// The places in `tree` that git would run, or take settings from, in this working tree: as they
/// are named, and where links lead from there.
pub(crate) fn places(worktree: &Path, tree: &Path, persons: &PersonsFiles) -> Vec<Place> {
    let mut search = Search { worktree, persons, read: BTreeSet::new(), found: Vec::new() };
    for file in &persons.files {
        search.look_into(file, INCLUDE_DEPTH_MAX);
    }
    let git_dir = worktree.join(".git");
    for name in ["config", "config.worktree"] {
        search.look_into(&git_dir.join(name), INCLUDE_DEPTH_MAX);
    }
    let mut places = Vec::new();
    for place in search.found {
        let real = fs::canonicalize(&place.path).ok().filter(|real| *real != place.path);
        let behind = real.map(|path| Place { path, ..place.clone() });
        for place in [Some(place), behind].into_iter().flatten() {
            // The tree itself, or what lies above it, is not one place in it.
            let within = place.path.starts_with(tree) && place.path != tree;
            if within && place.path != worktree && !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// What has been seen so far.
struct Search<'a> {
    worktree: &'a Path,
    persons: &'a PersonsFiles,
    read: BTreeSet<PathBuf>,
    found: Vec<Place>,
}

impl Search<'_> {
    fn look_into(&mut self, file: &Path, depth: usize) {
        if depth == 0 || self.read.len() >= FILES_MAX || !self.read.insert(file.to_owned()) {
            return;
        }
        // What cannot be read, git cannot read either; what it does not parse, it refuses.
        let Ok(Some(text)) = whole_file::read_text(file, Links::Follow) else { return };
        for setting in gitconfig::parse(&text.text).unwrap_or_default() {
            self.take(&setting, file, depth);
        }
    }

    fn take(&mut self, setting: &Setting, file: &Path, depth: usize) {
        let Some(value) = setting.value.as_deref().filter(|value| !value.is_empty()) else {
            return;
        };
        match (setting.section.as_str(), setting.key.as_str()) {
            // Whatever the condition is: it may hold some day.
            ("include" | "includeif", "path") => {
                let path = self.path(value, file.parent().unwrap_or(file));
                self.note(&path, Kind::File, INCLUDES);
                self.look_into(&path, depth - 1);
            }
            ("core", "hookspath") | ("init", "templatedir") => {
                let path = self.path(value, self.worktree);
                self.note(&path, Kind::Dir, HOOKS);
            }
            // Without it, what follows is for git itself.
            ("alias", _) if !value.trim_start().starts_with('!') => {}
            (section, key) if is_command(section, key) => self.note_words(value),
            _ => {}
        }
    }

    /// A command line is one for a shell; each word of it that is a file may be what runs.
    fn note_words(&mut self, command: &str) {
        let apart = |letter: char| letter.is_whitespace() || "\"'`;|&<>()$=!".contains(letter);
        let words = command.split(apart).chain([command]).filter(|word| !word.is_empty());
        for word in words {
            let path = self.path(word, self.worktree);
            if path.is_file() {
                self.note(&path, Kind::File, RUNS);
            }
        }
    }

    fn note(&mut self, path: &Path, kind: Kind, why: &'static str) {
        self.found.push(Place { path: path.to_owned(), kind, why });
    }

    /// A path as git reads it, without `.` and `..`.
    fn path(&self, written: &str, base: &Path) -> PathBuf {
        let path = match written.strip_prefix("~/") {
            Some(below) => self.persons.home.join(below),
            None => base.join(written),
        };
        plain(&path)
    }
}

fn is_command(section: &str, key: &str) -> bool {
    COMMAND_SECTIONS.contains(&section)
        || COMMAND_KEYS.contains(&key)
        || key == "path" && TOOL_SECTIONS.contains(&section)
}

/// A path without `.` and `..`, read as text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::Prefix(_)
            | std::path::Component::RootDir
            | std::path::Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
