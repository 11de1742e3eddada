//! Trust in a project: which exact texts of its policy and settings a person has accepted.
//!
//! A project's files come with the project, so anybody who can get a file into a clone could
//! write policy. They count only while they are byte for byte what was trusted.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::state::StateDirs;
use crate::whole_file::{self, FileError, FileText, Links};

/// The directory in a project that holds its policy and settings.
pub const PROJECT_DIR: &str = ".ringfence";

/// A project's own files, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The project's directory, symbolic links resolved.
    pub dir: PathBuf,
    /// `.ringfence/policy.cedar`.
    pub policy: Option<FileText>,
    /// `.ringfence/settings.toml`.
    pub settings: Option<FileText>,
}

/// Whether a project's files count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trust", rename_all = "kebab-case")]
pub enum Trust {
    /// They are what was trusted.
    Trusted,
    /// They were trusted, and differ now.
    Changed {
        /// Unified diff from what was trusted to what is there.
        diff: String,
    },
    /// Nobody trusted them.
    Untrusted,
}

/// Why trust could not be told, given or taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory cannot be resolved.
    #[error("cannot open project directory `{}`: {source}", dir.display())]
    Dir {
        /// As given.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `.ringfence` is not a directory of the project itself.
    #[error("`{}` is not a real directory: a symbolic link could change what was trusted", .0.display())]
    NotADirectory(PathBuf),
    /// There is nothing to trust.
    #[error("`{}` has no {PROJECT_DIR}/policy.cedar", dir.display())]
    Nothing {
        /// The directory.
        dir: PathBuf,
        /// The user's home.
        home: PathBuf,
    },
    /// What was remembered cannot be read.
    #[error("the trust record `{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What is said where `init` writes nothing.
pub(crate) const TOO_HIGH_HINT: &str = "no policy is written for a home or the root directory: \
    change to a project and run `ringfence init` there, or name a policy with \
    `ringfence run --policy FILE -- CMD`";

/// Whether a directory holds too much to be a project: the user's home, or the root.
pub fn is_too_high(dir: &Path, home: &Path) -> bool {
    dir == home || dir.parent().is_none()
}

impl TrustError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            TrustError::Nothing { dir, home } if is_too_high(dir, home) => {
                Some(TOO_HIGH_HINT.to_owned())
            }
            TrustError::Nothing { dir, .. } => {
                Some(format!("to write one, run `ringfence init` in {}", dir.display()))
            }
            TrustError::Damaged { .. } => {
                Some("to look at the project and trust it again, run `ringfence trust`".to_owned())
            }
            TrustError::NotADirectory(path) => {
                Some(format!("replace {} by a directory", path.display()))
            }
            TrustError::File(_) | TrustError::Dir { .. } => None,
        }
    }
}

/// What is remembered: whole texts, so that a change can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    dir: PathBuf,
    policy: Option<Remembered>,
    settings: Option<Remembered>,
    at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    sha256: String,
    text: String,
}

impl Project {
    /// Reads the files of the project at `dir`; nothing in them is followed or interpreted.
    pub fn read(dir: &Path) -> Result<Project, TrustError> {
        let canonical = fs::canonicalize(dir)
            .map_err(|source| TrustError::Dir { dir: dir.to_owned(), source })?;
        let own = canonical.join(PROJECT_DIR);
        match fs::symlink_metadata(&own) {
            Ok(metadata) if !metadata.is_dir() => return Err(TrustError::NotADirectory(own)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Project { dir: canonical, policy: None, settings: None });
            }
            Err(source) => return Err(TrustError::Dir { dir: own, source }),
        }
        let policy = whole_file::read_text(&own.join("policy.cedar"), Links::Refuse)?;
        let settings = whole_file::read_text(&own.join("settings.toml"), Links::Refuse)?;
        Ok(Project { dir: canonical, policy, settings })
    }

    /// Finds the project that `start` lies in: the nearest directory upwards with a `.ringfence`,
    /// not above `home` and never the root. Without one, `start` itself is the project.
    pub fn find(start: &Path, home: &Path) -> Result<Project, TrustError> {
        let canonical = fs::canonicalize(start)
            .map_err(|source| TrustError::Dir { dir: start.to_owned(), source })?;
        let has_own = |dir: &&Path| fs::symlink_metadata(dir.join(PROJECT_DIR)).is_ok();
        let bounded =
            canonical.ancestors().take_while(|dir| *dir != home && dir.parent().is_some());
        let found = bounded.into_iter().find(has_own).map(Path::to_owned);
        Project::read(&found.unwrap_or(canonical))
    }

    /// Whether the project has any file of ours.
    pub fn is_configured(&self) -> bool {
        self.policy.is_some() || self.settings.is_some()
    }

    /// Whether the files count.
    pub fn trust(&self, dirs: &StateDirs) -> Result<Trust, TrustError> {
        let path = record_path(dirs, &self.dir);
        let Some(record) = read_record(&path)? else { return Ok(Trust::Untrusted) };
        if record.dir != self.dir {
            return Ok(Trust::Untrusted);
        }
        let same = |now: Option<&FileText>, then: Option<&Remembered>| {
            now.map(|file| &file.text) == then.map(|remembered| &remembered.text)
        };
        let policy_same = same(self.policy.as_ref(), record.policy.as_ref());
        if policy_same && same(self.settings.as_ref(), record.settings.as_ref()) {
            return Ok(Trust::Trusted);
        }
        Ok(Trust::Changed { diff: self.diff(&record) })
    }

    /// Remembers the texts that were read as trusted. A later change of a file undoes it.
    pub fn give_trust(&self, dirs: &StateDirs, now_ms: u64) -> Result<(), TrustError> {
        if self.policy.is_none() {
            let (dir, home) = (self.dir.clone(), dirs.home().to_owned());
            return Err(TrustError::Nothing { dir, home });
        }
        let remember =
            |file: &FileText| Remembered { sha256: file.sha256.clone(), text: file.text.clone() };
        let record = Record {
            version: 1,
            dir: self.dir.clone(),
            policy: self.policy.as_ref().map(remember),
            settings: self.settings.as_ref().map(remember),
            at_ms: now_ms,
        };
        let path = record_path(dirs, &self.dir);
        let json = serde_json::to_vec_pretty(&record).map_err(|error| TrustError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        whole_file::create_private_dir(&dirs.trust())?;
        Ok(whole_file::replace(&path, &json, 0o600)?)
    }

    fn diff(&self, record: &Record) -> String {
        let pairs = [
            ("policy.cedar", record.policy.as_ref(), self.policy.as_ref()),
            ("settings.toml", record.settings.as_ref(), self.settings.as_ref()),
        ];
        pairs
            .into_iter()
            .map(|(name, then, now)| {
                let then = then.map_or("", |remembered| remembered.text.as_str());
                unified(name, then, now.map_or("", |file| file.text.as_str()))
            })
            .collect()
    }
}

/// Unified diff of one file from what was trusted to what is there; empty when equal.
pub fn unified(name: &str, then: &str, now: &str) -> String {
    if then == now {
        return String::new();
    }
    similar::TextDiff::from_lines(then, now)
        .unified_diff()
        .context_radius(2)
        .header(&format!("trusted {PROJECT_DIR}/{name}"), &format!("now {PROJECT_DIR}/{name}"))
        .to_string()
}

/// Forgets that a project was trusted; says whether it was. The directory may be gone by now.
pub fn untrust(dirs: &StateDirs, dir: &Path) -> Result<Forgotten, TrustError> {
    let canonical = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let path = record_path(dirs, &canonical);
    match fs::remove_file(&path) {
        Ok(()) => Ok(Forgotten::Was),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Forgotten::WasNot),
        Err(error) => Err(FileError::io("remove", &path, error).into()),
    }
}

/// Whether there was trust to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// The project was trusted until now.
    Was,
    /// It was not.
    WasNot,
}

/// A file name that says nothing about the project: the digest of its path.
fn record_path(dirs: &StateDirs, project: &Path) -> PathBuf {
    let digest = whole_file::sha256_hex(project.as_os_str().as_bytes());
    dirs.trust().join(format!("{digest}.json"))
}

fn read_record(path: &Path) -> Result<Option<Record>, TrustError> {
    // A record holds two files with quoting, so it may be larger than either.
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", path, error).into()),
    };
    let damaged = |reason: String| TrustError::Damaged { path: path.to_owned(), reason };
    let record: Record =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if record.version != 1 {
        return Err(damaged(format!("version {} is not known", record.version)));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests;
