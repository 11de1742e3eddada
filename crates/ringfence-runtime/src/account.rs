//! What makes every start of a known agent on this account a governed one: small programs of the agents'
//! names, in a directory that the shells have first in their `PATH`.
//!
//! Programs and not functions of shells: scripts, `make`, `xargs` and `command` find them too. The directory
//! is one of Ringfence's own, which no world has, so that inside a world an agent's name is the agent itself.

pub mod block;
pub mod failed;
pub mod shells;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::state::StateDirs;
use crate::whole_file::{self, FileError};

/// Agents whose starts are governed, by the names of their programs.
pub const AGENTS: &[&str] = &[
    "aider",
    "amp",
    "claude",
    "codex",
    "copilot",
    "crush",
    "cursor-agent",
    "gemini",
    "goose",
    "opencode",
    "qwen",
];

/// Permission bits of what stands in for an agent.
const MODE: u32 = 0o755;

/// The directory of what stands in for the agents.
pub fn dir(dirs: &StateDirs) -> PathBuf {
    dirs.state().join("agents")
}

/// Variables that choose whose policy a start is decided by. A project's environment may set them (`.envrc`),
/// so that a stand-in takes those of the account.
const BASES: [&str; 3] = ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];

/// The account as it was when its agents were enabled.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The program that stand-ins start.
    pub ringfence: &'a Path,
    /// The person's environment.
    pub environment: &'a Environment,
}

/// What stands in for an agent, as a program of the shell.
pub fn stand_in(owner: Owner<'_>, agent: &str) -> String {
    let program = shells::quoted(&owner.ringfence.to_string_lossy());
    let base = |name: &&str| match owner.environment.path(name) {
        Some(dir) => format!("export {name}={}\n", shells::quoted(&dir.to_string_lossy())),
        None => format!("unset {name}\n"),
    };
    let bases: String = BASES.iter().map(base).collect();
    format!(
        "#!/bin/sh\n\
         # Starts {agent} under Ringfence; written by `ringfence sandbox enable`, and taken away by\n\
         # `ringfence sandbox disable`.\n\
         # Whose policy it is started with, whatever the environment of a project says:\n\
         {bases}\
         ringfence={program}\n\
         if ! [ -x \"$ringfence\" ]; then\n\
         \x20   echo \"{agent}: not started: $ringfence, which would govern it, is gone\" >&2\n\
         \x20   exit 127\n\
         fi\n\
         exec \"$ringfence\" sandbox start -- {agent} \"$@\"\n"
    )
}

/// Whether a stand-in is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandIn {
    /// It is there.
    Ready,
    /// There is none.
    Absent,
    /// There is another program in its place, or one that would not run.
    Changed,
}

/// What is in the place of an agent's stand-in.
pub fn look(dirs: &StateDirs, owner: Owner<'_>, agent: &str) -> StandIn {
    let path = dir(dirs).join(agent);
    let Ok(found) = fs::symlink_metadata(&path) else { return StandIn::Absent };
    let runs = found.is_file() && found.permissions().mode() & 0o100 != 0;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    let same = || fs::read(&path).is_ok_and(|text| text == stand_in(owner, agent).as_bytes());
    if runs && ours && same() { StandIn::Ready } else { StandIn::Changed }
}

/// Writes what stands in for each agent.
pub fn write(dirs: &StateDirs, owner: Owner<'_>) -> Result<(), FileError> {
    let dir = dir(dirs);
    whole_file::create_private_dir(&dir)?;
    for agent in AGENTS {
        if look(dirs, owner, agent) != StandIn::Ready {
            whole_file::replace(&dir.join(agent), stand_in(owner, agent).as_bytes(), MODE)?;
        }
    }
    Ok(())
}

/// Takes them away again, and the directory if nothing else is in it.
pub fn remove(dirs: &StateDirs) -> Result<(), FileError> {
    let dir = dir(dirs);
    for agent in AGENTS {
        match fs::remove_file(dir.join(agent)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::io("remove", &dir.join(agent), error)),
        }
    }
    // What somebody else has put there stays.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// A `PATH` without the directory of the stand-ins, by whatever name it is in there.
pub fn path_without(path: &str, own: &Path) -> String {
    let real = fs::canonicalize(own).ok();
    let is_own = |dir: &str| {
        let dir = Path::new(dir.trim_end_matches('/'));
        dir == own || real.is_some() && fs::canonicalize(dir).ok() == real
    };
    path.split(':').filter(|dir| dir.is_empty() || !is_own(dir)).collect::<Vec<_>>().join(":")
}

/// The first program of this name in a `PATH`, as a shell finds it.
pub fn find(name: &str, path: &str) -> Option<PathBuf> {
    let candidates = path.split(':').filter(|dir| dir.starts_with('/'));
    candidates.map(|dir| Path::new(dir).join(name)).find(|candidate| {
        fs::metadata(candidate)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests;
