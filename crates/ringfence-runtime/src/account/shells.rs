//! Files that shells read when they start, and what is put into them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::block::{self, Broken};
use crate::environment::Environment;
use crate::whole_file::{self, FileError};

/// Largest file of a shell that is read, in bytes: nobody writes one by hand.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Permission bits of a file that was not there.
const MODE: u32 = 0o644;

/// Where fish has its settings, in the directory of all settings.
const FISH_DIR: &str = "fish";

/// A shell that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// Every shell.
    pub const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }

    /// The files that are written for it: those it reads last, so that what stands before them in `PATH`
    /// is there by then. A login bash reads the first of three and no other.
    pub fn files(self, home: &Path, environment: &Environment) -> Vec<PathBuf> {
        match self {
            Shell::Bash => {
                let login = [".bash_profile", ".bash_login", ".profile"];
                let login = login.map(|name| home.join(name));
                let first = login.iter().find(|path| fs::symlink_metadata(path).is_ok());
                let first = first.or(login.last()).cloned();
                std::iter::once(home.join(".bashrc")).chain(first).collect()
            }
            Shell::Zsh => {
                let dir = environment.path("ZDOTDIR").unwrap_or_else(|| home.to_owned());
                vec![dir.join(".zshrc")]
            }
            Shell::Fish => {
                let config =
                    environment.path("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
                vec![config.join(FISH_DIR).join("config.fish")]
            }
        }
    }

    /// Lines that put a directory first in `PATH`, once.
    pub fn lines(self, dir: &Path) -> String {
        let dir = dir.to_string_lossy();
        let note = "# Agents start under Ringfence; `ringfence sandbox disable` takes this away.\n";
        match self {
            Shell::Bash | Shell::Zsh => {
                let word = quoted(&dir);
                format!(
                    "{note}case \"$PATH\" in\n    {word}:*) ;;\n    *) PATH={word}:\"$PATH\"; export \
                     PATH ;;\nesac\n"
                )
            }
            Shell::Fish => {
                let word = dir.replace('\\', "\\\\").replace('\'', "\\'");
                format!(
                    "{note}if test \"$PATH[1]\" != '{word}'\n    set -gx PATH '{word}' $PATH\nend\n"
                )
            }
        }
    }
}

/// A word as every shell of the family of `sh` reads it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A file of a shell as it is, and as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file, links resolved.
    pub path: PathBuf,
    /// Its content; `None` where there is no such file.
    pub then: Option<Vec<u8>>,
    /// What it is to hold; `None` where it is to go.
    pub now: Option<Vec<u8>>,
    mode: u32,
}

/// A file that is left alone.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Whose it is or where it lies is another's business.
    #[error("`{path}` {why}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// It has half a block.
    #[error("`{path}`: {error}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Broken,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// It holds these lines.
    Lines(&'a str),
    /// It holds nothing of ours.
    Nothing,
}

impl Change {
    /// What would be done to a file; nothing is written.
    pub fn plan(path: &Path, home: &Path, wanted: Wanted<'_>) -> Result<Change, Refused> {
        let Some((path, mode, then)) = read(path, home)? else {
            let now = match wanted {
                Wanted::Lines(lines) => Some(edit(path, None, lines)?),
                Wanted::Nothing => None,
            };
            return Ok(Change { path: path.to_owned(), then: None, now, mode: MODE });
        };
        let now = match wanted {
            Wanted::Lines(lines) => Some(edit(&path, Some(&then), lines)?),
            Wanted::Nothing => {
                let rest = block::without(&then)
                    .map_err(|error| Refused::Broken { path: path.clone(), error })?;
                // One that was made for the block alone goes with it.
                (!rest.is_empty() || !block::was_made(&then)).then_some(rest)
            }
        };
        Ok(Change { path, then: Some(then), now, mode })
    }

    /// Whether anything is to be done.
    pub fn is_needed(&self) -> bool {
        self.then != self.now
    }

    /// Does it: whole or not at all.
    pub fn carry_out(&self) -> Result<(), FileError> {
        match &self.now {
            _ if !self.is_needed() => Ok(()),
            Some(bytes) => {
                if let Some(dir) = self.path.parent().filter(|dir| !dir.exists()) {
                    whole_file::create_private_dir(dir)?;
                }
                whole_file::replace(&self.path, bytes, self.mode)
            }
            None => {
                fs::remove_file(&self.path)
                    .map_err(|error| FileError::io("remove", &self.path, error))?;
                // Made for the file; one that holds anything else stays.
                if let Some(dir) = self.path.parent().filter(|dir| dir.ends_with(FISH_DIR)) {
                    let _ = fs::remove_dir(dir);
                }
                Ok(())
            }
        }
    }
}

fn edit(path: &Path, file: Option<&[u8]>, lines: &str) -> Result<Vec<u8>, Refused> {
    block::with(file, lines).map_err(|error| Refused::Broken { path: path.to_owned(), error })
}

/// Whether a file holds these lines; one that cannot be looked at does not.
pub fn holds(path: &Path, home: &Path, lines: &str) -> bool {
    read(path, home).ok().flatten().is_some_and(|(_, _, file)| block::holds(&file, lines))
}

/// The first line of a file that may put something before ours in `PATH`.
pub fn overtaken(path: &Path, home: &Path) -> Option<usize> {
    block::overtaken(&read(path, home).ok().flatten()?.2)
}

/// The file behind a path with its mode and content; `None` where there is none.
fn read(path: &Path, home: &Path) -> Result<Option<(PathBuf, u32, Vec<u8>)>, Refused> {
    let refused = |why| Refused::NotOurs { path: path.to_owned(), why };
    let io = |error: io::Error| FileError::io("read", path, error);
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let real = fs::canonicalize(path).map_err(io)?;
    let inside = fs::canonicalize(home).map_err(io)?;
    if !real.starts_with(inside) {
        return Err(refused("leads out of the home directory"));
    }
    let found = fs::metadata(&real).map_err(io)?;
    if !found.is_file() {
        return Err(refused("is not a regular file"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("belongs to another user"));
    }
    if found.nlink() > 1 {
        return Err(refused("has another name, which would keep the old content"));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(refused("is larger than any file that a person writes"));
    }
    let content = fs::read(&real).map_err(io)?;
    Ok(Some((real, found.permissions().mode() & 0o7777, content)))
}

/// Aliases of agents in a shell's file, which pass `PATH` by.
pub fn aliases(path: &Path, home: &Path, agents: &[&str]) -> Vec<String> {
    let Ok(Some((_, _, file))) = read(path, home) else { return Vec::new() };
    let text = String::from_utf8_lossy(&file);
    let is_alias = |line: &str, agent: &str| {
        let line = line.trim_start();
        let rest = line.strip_prefix("alias ").map(str::trim_start);
        let rest = rest.and_then(|rest| rest.strip_prefix(agent));
        rest.is_some_and(|rest| rest.starts_with(['=', ' ']))
    };
    let known = agents.iter().filter(|agent| text.lines().any(|line| is_alias(line, agent)));
    known.map(|agent| (*agent).to_owned()).collect()
}
