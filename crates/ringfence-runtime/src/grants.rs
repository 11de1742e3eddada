//! Grants: what a person allowed with `ringfence grant`, one file each, visible and revocable.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfence_core::SessionId;
use serde::{Deserialize, Serialize};

use crate::state::StateDirs;
use crate::whole_file::{self, FileError, Links};

/// Most grants that are kept at once; more would be a policy.
pub const GRANTS_MAX: usize = 1000;

/// How many random identifiers are tried before giving up; two in a row being taken is unlikely.
const ID_TRIES_MAX: usize = 32;

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its name, `g-` and four letters or digits.
    pub id: String,
    /// What is granted, as on the command line, with programs and paths resolved.
    pub text: String,
    /// Where and how long.
    pub scope: Scope,
    /// Login name of the person who made it.
    pub author: String,
    /// When, in milliseconds since the Unix epoch.
    pub created: u64,
    /// When it ends, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The grant as Cedar.
    pub cedar: String,
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "of")]
pub enum Scope {
    /// In one session.
    Session(SessionId),
    /// In one project, named by its directory.
    Project(PathBuf),
    /// In every session of this user.
    Everywhere,
}

/// What a person asks to have granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// What is granted, resolved (see [`Grant::text`]).
    pub text: String,
    /// Where.
    pub scope: Scope,
    /// Who.
    pub author: String,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
}

/// Where and when grants are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The session.
    pub session: &'a SessionId,
    /// The project's directory, canonical.
    pub project: &'a Path,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// Why grants could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A grant's file is not what was written.
    #[error("grant file `{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No grant has this name.
    #[error("no grant `{0}`")]
    Unknown(String),
    /// More than [`GRANTS_MAX`].
    #[error("there are {GRANTS_MAX} grants already")]
    TooMany,
    /// A program that is granted was not found.
    #[error("no program `{0}` in PATH")]
    NoProgram(String),
}

impl GrantError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            GrantError::Unknown(_) => "to see all grants, run `ringfence grants list`",
            GrantError::TooMany => {
                "write rules instead with `ringfence policy edit`, and revoke grants with `ringfence grants revoke ID`"
            }
            GrantError::Damaged { .. } => "remove the file: what it granted is then denied",
            GrantError::NoProgram(_) => "name the program by its path",
            GrantError::File(_) => return None,
        };
        Some(text.to_owned())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Session(id) => write!(f, "session {id}"),
            Scope::Project(dir) => write!(f, "in {}", dir.display()),
            Scope::Everywhere => f.write_str("everywhere"),
        }
    }
}

impl Grant {
    /// Whether the grant is in force there and then.
    pub fn holds(&self, moment: Moment<'_>) -> bool {
        let there = match &self.scope {
            Scope::Session(id) => id == moment.session,
            Scope::Project(dir) => dir == moment.project,
            Scope::Everywhere => true,
        };
        there && self.expires.is_none_or(|end| moment.now_ms < end)
    }
}

/// All grants, oldest first. A damaged file is an error: what it said cannot be told.
pub fn list(dirs: &StateDirs) -> Result<Vec<Grant>, GrantError> {
    let dir = dirs.grants();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("read", &dir, error).into()),
    };
    let mut grants = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| FileError::io("read", &dir, error))?.path();
        let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"g-"));
        if named && path.extension().is_some_and(|extension| extension == "json") {
            // A grant revoked between the listing and the reading is simply not there.
            grants.extend(read(&path)?);
        }
    }
    grants.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(grants)
}

/// The grants in force there and then, oldest first.
pub fn in_force(dirs: &StateDirs, moment: Moment<'_>) -> Result<Vec<Grant>, GrantError> {
    Ok(list(dirs)?.into_iter().filter(|grant| grant.holds(moment)).collect())
}

/// Keeps a new grant under a name of its own; `cedar` makes its Cedar text from that name.
pub fn add(
    dirs: &StateDirs,
    new: NewGrant,
    now_ms: u64,
    cedar: impl FnOnce(&str) -> String,
) -> Result<Grant, GrantError> {
    whole_file::create_private_dir(&dirs.grants())?;
    let kept = list(dirs)?;
    if kept.len() >= GRANTS_MAX {
        return Err(GrantError::TooMany);
    }
    let id = free_id(dirs)?;
    let cedar = cedar(&id);
    let NewGrant { text, scope, author, expires } = new;
    let grant = Grant { id, text, scope, author, created: now_ms, expires, cedar };
    let path = path_of(dirs, &grant.id);
    let json = serde_json::to_vec_pretty(&grant)
        .map_err(|error| GrantError::Damaged { path: path.clone(), reason: error.to_string() })?;
    whole_file::replace(&path, &json, 0o600)?;
    Ok(grant)
}

/// Takes a grant back and returns what it was.
pub fn revoke(dirs: &StateDirs, id: &str) -> Result<Grant, GrantError> {
    let unknown = || GrantError::Unknown(id.to_owned());
    if !is_id(id) {
        return Err(unknown());
    }
    let path = path_of(dirs, id);
    let grant = read(&path)?.ok_or_else(unknown)?;
    fs::remove_file(&path).map_err(|error| FileError::io("remove", &path, error))?;
    Ok(grant)
}

/// Removes the grants of sessions that ended and those that expired; returns them.
pub fn sweep(
    dirs: &StateDirs,
    now_ms: u64,
    is_running: impl Fn(&SessionId) -> bool,
) -> Result<Vec<Grant>, GrantError> {
    let is_over = |grant: &Grant| {
        let session_over = matches!(&grant.scope, Scope::Session(id) if !is_running(id));
        session_over || grant.expires.is_some_and(|end| end <= now_ms)
    };
    let over: Vec<Grant> = list(dirs)?.into_iter().filter(is_over).collect();
    for grant in &over {
        let path = path_of(dirs, &grant.id);
        fs::remove_file(&path).map_err(|error| FileError::io("remove", &path, error))?;
    }
    Ok(over)
}

/// Finds a program as `execvp(3)` does and resolves symbolic links: a grant is for that file, so
/// a name that is later found elsewhere in `PATH` is not granted.
pub fn resolve_program(name: &str, path: &str, cwd: &Path) -> Result<PathBuf, GrantError> {
    let missing = || GrantError::NoProgram(name.to_owned());
    if name.is_empty() {
        return Err(missing());
    }
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![cwd.join(name)]
    } else {
        path.split(':').filter(|dir| !dir.is_empty()).map(|dir| cwd.join(dir).join(name)).collect()
    };
    let found = candidates.into_iter().find(|candidate| {
        fs::metadata(candidate).is_ok_and(|metadata| metadata.is_file())
            && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
    });
    found.and_then(|program| fs::canonicalize(program).ok()).ok_or_else(missing)
}

fn read(path: &Path) -> Result<Option<Grant>, GrantError> {
    let Some(file) = whole_file::read_text(path, Links::Refuse)? else { return Ok(None) };
    let damaged = |reason: String| GrantError::Damaged { path: path.to_owned(), reason };
    let grant: Grant =
        serde_json::from_str(&file.text).map_err(|error| damaged(error.to_string()))?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    if stem != Some(grant.id.as_str()) {
        return Err(damaged(format!("it names the grant `{}`", grant.id)));
    }
    Ok(Some(grant))
}

fn path_of(dirs: &StateDirs, id: &str) -> PathBuf {
    dirs.grants().join(format!("{id}.json"))
}

fn is_id(text: &str) -> bool {
    text.strip_prefix("g-").is_some_and(|rest| {
        (1..=16).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn free_id(dirs: &StateDirs) -> Result<String, GrantError> {
    for _ in 0..ID_TRIES_MAX {
        let random = whole_file::random_hex(2)
            .map_err(|error| FileError::io("write", &dirs.grants(), error))?;
        let id = format!("g-{random}");
        if !path_of(dirs, &id).exists() {
            return Ok(id);
        }
    }
    Err(GrantError::TooMany)
}

/// Longest time between two looks at grants that end by themselves.
const END_LOOK_MAX: Duration = Duration::from_hours(1);

/// Whether the time of one of these is over.
pub(crate) fn any_has_ended<'a>(grants: impl IntoIterator<Item = &'a Grant>, now_ms: u64) -> bool {
    grants.into_iter().any(|grant| grant.expires.is_some_and(|end| end <= now_ms))
}

/// How long to wait until they are looked at again: to the next end, and no longer than an hour.
pub(crate) fn until_next_end<'a>(
    grants: impl IntoIterator<Item = &'a Grant>,
    now_ms: u64,
) -> Duration {
    let next = grants.into_iter().filter_map(|grant| grant.expires).min();
    let wait = next.map(|end| Duration::from_millis(end.saturating_sub(now_ms).max(1)));
    wait.unwrap_or(END_LOOK_MAX).min(END_LOOK_MAX)
}

#[cfg(test)]
mod tests;
