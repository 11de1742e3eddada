//! `ringfence init`: a first policy and settings for a project, right for what is found in it.
//!
//! The stance: any program that can be seen may run, and the walls are files and the network. What
//! leaves the machine by a program that is allowed to talk (push, publish, deploy) asks first.

mod agents;
mod asks;
mod found;
mod registries;
mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::builtin;
use crate::environment::Environment;
use crate::notice::Notice;
use crate::settings::ProfileName;
use crate::state::StateDirs;
use crate::trust::{self, PROJECT_DIR, Project, TrustError};
use crate::whole_file::{self, FileError, FileText, Links};
use crate::writing::Writing;

pub use found::Language;

/// What is to be written, and for whom.
pub struct InitRequest<'a> {
    /// The project's directory.
    pub dir: &'a Path,
    /// The agent; found by what is installed where not given.
    pub profile: Option<ProfileName>,
    /// The person's environment.
    pub environment: &'a Environment,
    /// What happens to files that are there.
    pub existing: Existing<'a>,
    /// Milliseconds since the Unix epoch, for the record of trust.
    pub now_ms: u64,
}

/// What happens to files that are there.
#[derive(Clone, Copy)]
pub enum Existing<'a> {
    /// They stay, and nothing is written.
    Keep,
    /// They are replaced.
    Replace,
    /// A person is asked about each.
    Ask(&'a dyn Fn(&Path) -> Answer),
}

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Replace it.
    Replace,
    /// Leave it.
    Keep,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The project.
    pub project: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
    /// The agent it was written for.
    pub profile: ProfileName,
    /// What was found in the project.
    pub languages: Vec<Language>,
    /// What the person should know.
    pub notices: Vec<Notice>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is there.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// Somebody else has written a file while the person was asked whether it is replaced.
    #[error("`{}` was changed meanwhile: nothing was written", .0.display())]
    Changed(PathBuf),
    /// The directory is not one for a project.
    #[error("`{}` is not a project: a policy for it would cover everything below it", .0.display())]
    TooHigh(PathBuf),
    /// The directory's name cannot stand in a policy.
    #[error("`{}` is not UTF-8, so no policy can name it", .0.display())]
    NotUtf8(PathBuf),
    /// The project cannot be read or trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl InitError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            InitError::Exists(_) => {
                Some("to replace it, run `ringfence init --force`; to change it, run `ringfence policy edit`".to_owned())
            }
            InitError::Changed(_) => {
                Some("to replace it as it is now, run `ringfence init` once more".to_owned())
            }
            InitError::TooHigh(_) => Some("change to the directory of a project first".to_owned()),
            InitError::Trust(error) => error.hint(),
            InitError::NotUtf8(_) | InitError::File(_) => None,
        }
    }
}

/// Where agents that are known keep their logins.
pub fn logins(home: &Path) -> Vec<PathBuf> {
    agents::logins(home)
}

/// Writes `.ringfence/policy.cedar` and `.ringfence/settings.toml`, and trusts what it wrote.
pub fn init(request: &InitRequest<'_>, dirs: &StateDirs) -> Result<Written, InitError> {
    let before = Project::read(request.dir)?;
    let project = before.dir.clone();
    if trust::is_too_high(&project, dirs.home()) {
        return Err(InitError::TooHigh(project));
    }
    if project.to_str().is_none() {
        return Err(InitError::NotUtf8(project));
    }
    let own = project.join(PROJECT_DIR);
    let (policy, settings) = (own.join("policy.cedar"), own.join("settings.toml"));
    let texts = [&policy, &settings].map(|path| text_of(path));
    for path in [&policy, &settings] {
        if fs::symlink_metadata(path).is_ok() && !may_replace(path, request.existing) {
            return Err(InitError::Exists(path.clone()));
        }
    }
    let surroundings = found::look(&project, dirs.home(), request);
    let mut notices = agents::make_home(&surroundings);
    notices.extend(surroundings.notices());
    fs::create_dir_all(&own).map_err(|error| FileError::io("create", &own, error))?;
    let _writing = Writing::begin(dirs.state())?;
    for (path, before) in [&policy, &settings].into_iter().zip(texts) {
        if text_of(path) != before {
            return Err(InitError::Changed(path.clone()));
        }
    }
    let (made_policy, made_settings) =
        (template::policy(&surroundings), template::settings(&surroundings));
    whole_file::replace(&policy, made_policy.as_bytes(), 0o644)?;
    whole_file::replace(&settings, made_settings.as_bytes(), 0o644)?;
    // Not what is on the disk by now, but what was written.
    let written = Project {
        policy: Some(FileText::new(policy.clone(), made_policy)),
        settings: Some(FileText::new(settings.clone(), made_settings)),
        ..Project::read(&project)?
    };
    written.give_trust(dirs, request.now_ms)?;
    let files = vec![policy, settings];
    let found::Surroundings { profile, languages, .. } = surroundings;
    Ok(Written { project, files, profile, languages, notices })
}

/// What a file says; `None` where there is none, or none that anybody could have looked at.
fn text_of(path: &Path) -> Option<String> {
    whole_file::read_text(path, Links::Refuse).ok().flatten().map(|file| file.text)
}

fn may_replace(path: &Path, existing: Existing<'_>) -> bool {
    match existing {
        Existing::Keep => false,
        Existing::Replace => true,
        Existing::Ask(ask) => ask(path) == Answer::Replace,
    }
}

/// A directory's entity in Cedar.
fn dir(path: &Path) -> String {
    format!("Dir::{}", builtin::quoted(path))
}

/// Whether a path exists, links followed; what cannot be looked at does not.
fn exists(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound && path.exists(),
    }
}

#[cfg(test)]
mod tests;
