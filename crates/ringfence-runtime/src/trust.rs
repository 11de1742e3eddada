//! Trust in a project: which exact texts of its policy and settings a person has accepted.
//!
//! A project's files come with the project, so anybody who can get a file into a clone could
//! write policy. They count only while they are byte for byte what was trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::servers::{self, SERVERS_DIR};
use crate::state::StateDirs;
use crate::whole_file::{self, FileError, FileText, Links};

/// The directory in a project that holds its policy and settings.
pub const PROJECT_DIR: &str = ".ringfence";

/// Its files.
const POLICY: &str = "policy.cedar";
const SETTINGS: &str = "settings.toml";

/// A project's own files, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The project's directory, symbolic links resolved.
    pub dir: PathBuf,
    /// `.ringfence/policy.cedar`.
    pub policy: Option<FileText>,
    /// `.ringfence/settings.toml`.
    pub settings: Option<FileText>,
    /// `.ringfence/mcp/NAME.json`, by name.
    pub servers: BTreeMap<String, FileText>,
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
pub(crate) const TOO_HIGH_HINT: &str = "no policy is written for a home, the root, or what is everybody's: \
    change to a project and run `ringfence init` there, or name a policy with \
    `ringfence run --policy FILE -- CMD`";

/// Whether a directory holds too much to be a project: the user's home, the root, or what everybody keeps
/// files in, as `/tmp`.
pub fn is_too_high(dir: &Path, home: &Path) -> bool {
    dir == home || dir.parent().is_none() || is_everybodys(dir)
}

/// Whether everybody may make files there that others may not remove: what lies there is nobody's project,
/// and whoever came first would have a say in everybody's.
fn is_everybodys(dir: &Path) -> bool {
    const STICKY_AND_OPEN: u32 = 0o1002;
    // An own directory is made open by whoever may change it: that takes no rules out of force. Root's are the usual.
    let usual = ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|usual| dir == Path::new(usual));
    let others = |found: &fs::Metadata| usual || found.uid() != rustix::process::geteuid().as_raw();
    let is_open = |found: &fs::Metadata| found.mode() & STICKY_AND_OPEN == STICKY_AND_OPEN;
    fs::metadata(dir).is_ok_and(|found| is_open(&found) && others(&found))
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
    #[serde(default)]
    servers: BTreeMap<String, Remembered>,
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
                let servers = BTreeMap::new();
                return Ok(Project { dir: canonical, policy: None, settings: None, servers });
            }
            Err(source) => return Err(TrustError::Dir { dir: own, source }),
        }
        let policy = whole_file::read_text(&own.join(POLICY), Links::Refuse)?;
        let settings = whole_file::read_text(&own.join(SETTINGS), Links::Refuse)?;
        let servers = servers::texts_in(&own.join(SERVERS_DIR), Links::Refuse)?;
        Ok(Project { dir: canonical, policy, settings, servers })
    }

    /// Finds the project that `start` lies in: the nearest directory upwards with a policy or settings in a
    /// `.ringfence`, not above `home` and never the root. Without one, `start` itself is the project.
    ///
    /// An empty `.ringfence` makes none: whoever may make a directory would take the rules of the
    /// project around it out of force.
    pub fn find(start: &Path, home: &Path) -> Result<Project, TrustError> {
        let canonical = fs::canonicalize(start)
            .map_err(|source| TrustError::Dir { dir: start.to_owned(), source })?;
        let found = configured(&canonical, home).next().map(Path::to_owned);
        Project::read(&found.unwrap_or(canonical))
    }

    /// The projects that this one lies in, the nearest first, as far up as [`Project::find`] looks.
    ///
    /// What they forbid holds here too: else a clone that brings a policy of its own would take theirs
    /// out of force.
    pub fn around(&self, home: &Path) -> Result<Vec<Project>, TrustError> {
        let outside = self.dir.parent().filter(|_| self.dir != home);
        outside.into_iter().flat_map(|dir| configured(dir, home)).map(Project::read).collect()
    }

    /// Whether the project has any file of ours.
    pub fn is_configured(&self) -> bool {
        self.policy.is_some() || self.settings.is_some() || !self.servers.is_empty()
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
        let servers_same = self.servers.len() == record.servers.len()
            && self.servers.iter().all(|(name, text)| same(Some(text), record.servers.get(name)));
        if policy_same && servers_same && same(self.settings.as_ref(), record.settings.as_ref()) {
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
            servers: self.servers.iter().map(|(name, it)| (name.clone(), remember(it))).collect(),
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
        let of_servers: BTreeSet<&String> =
            self.servers.keys().chain(record.servers.keys()).collect();
        let of_servers = of_servers.into_iter().map(|name| {
            let file = format!("{SERVERS_DIR}/{name}.json");
            (file, record.servers.get(name), self.servers.get(name))
        });
        let pairs = [
            ("policy.cedar".to_owned(), record.policy.as_ref(), self.policy.as_ref()),
            ("settings.toml".to_owned(), record.settings.as_ref(), self.settings.as_ref()),
        ];
        pairs
            .into_iter()
            .chain(of_servers)
            .map(|(name, then, now)| {
                let then = then.map_or("", |remembered| remembered.text.as_str());
                unified(&name, then, now.map_or("", |file| file.text.as_str()))
            })
            .collect()
    }
}

/// The directories from `start` upwards that have a policy or settings, not as high as `home` or the root.
fn configured<'a>(start: &'a Path, home: &'a Path) -> impl Iterator<Item = &'a Path> {
    let bounded = start.ancestors().take_while(move |dir| *dir != home && dir.parent().is_some());
    bounded.filter(|dir| {
        let own = dir.join(PROJECT_DIR);
        let is_there = |file: &&str| fs::symlink_metadata(own.join(file)).is_ok();
        !is_everybodys(dir) && [POLICY, SETTINGS].iter().any(is_there)
    })
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
