//! The policy that is in force here, or the one that was named on the command line.

use std::path::{Path, PathBuf};

use ringfence_core::SetName;
use ringfence_policy::{FsDynamic, Options, Policy, PolicyErrors, Source};
use ringfence_runtime::grants::{self, Grant, Scope};
use ringfence_runtime::settings::{self, FsDynamicSetting, Origin, Settings, SettingsFile};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::whole_file::{self, FileError, FileText, Links};

use super::{context, trust};
use crate::exit::{Failure, Message, Said};
use crate::render::problem;
use crate::screen::{Screen, Stream};

/// How a project's policy is called.
pub(crate) const PROJECT_POLICY: &str = ".ringfence/policy.cedar";

/// Everything a command needs of the policy.
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) texts: Texts,
}

/// What the policy is made of.
pub(crate) struct Texts {
    pub(crate) sources: Vec<Source>,
    pub(crate) settings: Settings,
    pub(crate) project: Project,
    pub(crate) trust: Trust,
    pub(crate) grants: Vec<Grant>,
}

/// Loads the policy; `files` stand in for the user's and the project's.
pub(crate) fn load(files: &[PathBuf], screen: &Screen) -> Result<InForce, Failure> {
    let texts = gather(files, screen)?;
    match check(&texts) {
        Ok(policy) => Ok(InForce { policy, texts }),
        Err(errors) => {
            say(&errors, screen);
            Err(Failure::Said(Said::CouldNot))
        }
    }
}

/// Parses and checks the texts together.
pub(crate) fn check(texts: &Texts) -> Result<Policy, PolicyErrors> {
    Policy::load(texts.sources.clone(), &options(&texts.settings))
}

/// Says on stderr what is wrong with a policy.
pub(crate) fn say(errors: &PolicyErrors, screen: &Screen) {
    for found in errors.problems() {
        screen.note(problem::render(found, screen.paint(Stream::Err)).trim_end());
    }
}

/// What settings say about the policy.
pub(crate) fn options(settings: &Settings) -> Options {
    let fs_dynamic = match settings.fs_dynamic {
        FsDynamicSetting::Refused => FsDynamic::Refused,
        FsDynamicSetting::Allowed => FsDynamic::Allowed,
    };
    Options { roles: settings.roles.clone(), fs_dynamic }
}

/// Reads the texts that count here; says what the person should know about them.
pub(crate) fn gather(files: &[PathBuf], screen: &Screen) -> Result<Texts, Failure> {
    let dirs = context::dirs()?;
    let project = trust::project(&dirs, None)?;
    let trusted = project.trust(&dirs)?;
    let settings = settings_in_force(&dirs, &project, &trusted, screen)?;
    let mut sources = Vec::new();
    sources.extend(source(SetName::System, &dirs.system_policy(), Links::Follow)?);
    if files.is_empty() {
        sources.extend(source(SetName::User, &dirs.user_policy(), Links::Follow)?);
        sources.extend(project_source(&project, &trusted, screen));
    }
    for file in files {
        let found = source(SetName::Override, file, Links::Follow)?;
        sources.push(found.ok_or_else(|| missing(file))?);
    }
    let has_policy = sources.iter().any(|source| source.set != SetName::System);
    let grants = grants_in_force(&dirs, &project)?;
    sources.extend(grants.iter().map(|grant| grant_source(grant, &settings)));
    if !has_policy {
        return Err(Message::new("there is no policy here, so nothing is permitted")
            .hint("to write one that fits this project, run `ringfence init`")
            .could_not());
    }
    Ok(Texts { sources, settings, project, trust: trusted, grants })
}

/// The settings that hold here.
pub(crate) fn settings_here(screen: &Screen) -> Result<Settings, Failure> {
    let dirs = context::dirs()?;
    let project = trust::project(&dirs, None)?;
    let trusted = project.trust(&dirs)?;
    settings_in_force(&dirs, &project, &trusted, screen)
}

/// The settings that hold when a project is trusted or not.
pub(crate) fn settings_in_force(
    dirs: &StateDirs,
    project: &Project,
    trusted: &Trust,
    screen: &Screen,
) -> Result<Settings, Failure> {
    let file = |path: &Path, origin| -> Result<Option<SettingsFile>, Failure> {
        let text = whole_file::read_text(path, Links::Follow)?;
        text.map(|text| parse_settings(&text, origin, screen)).transpose()
    };
    let system = file(&dirs.system_settings(), Origin::System)?;
    let user = file(&dirs.user_settings(), Origin::User)?;
    let own = match (trusted, &project.settings) {
        (Trust::Trusted, Some(text)) => Some(parse_settings(text, Origin::Project, screen)?),
        (Trust::Trusted | Trust::Changed { .. } | Trust::Untrusted, _) => None,
    };
    let (settings, notices) = settings::join(system.as_ref(), user.as_ref(), own.as_ref());
    for notice in notices {
        screen.warn(&notice.text);
        notice.hint.iter().for_each(|hint| screen.hint(hint));
    }
    Ok(settings)
}

/// Parses a settings file and says what is wrong with it.
pub(crate) fn parse_settings(
    text: &FileText,
    origin: Origin,
    screen: &Screen,
) -> Result<SettingsFile, Failure> {
    SettingsFile::parse(text, origin).map_err(|error| {
        screen.note(problem::settings(&error, screen.paint(Stream::Err)).trim_end());
        Failure::Said(Said::CouldNot)
    })
}

fn project_source(project: &Project, trusted: &Trust, screen: &Screen) -> Option<Source> {
    let policy = project.policy.as_ref()?;
    let set = match trusted {
        Trust::Trusted => SetName::Project,
        Trust::Changed { .. } => {
            screen.warn("the project's policy changed since it was trusted: only its forbids hold");
            screen.hint("to see what changed and trust it again, run `ringfence trust`");
            SetName::UntrustedProject
        }
        Trust::Untrusted => {
            screen.warn("the project's policy is not trusted: only its forbids hold");
            screen.hint("to read it and trust it, run `ringfence trust`");
            SetName::UntrustedProject
        }
    };
    Some(Source {
        set,
        file: PROJECT_POLICY.to_owned(),
        text: policy.text.clone(),
        approves: Vec::new(),
    })
}

fn grants_in_force(dirs: &StateDirs, project: &Project) -> Result<Vec<Grant>, Failure> {
    let now = context::now_ms();
    let holds = |grant: &Grant| {
        let here = match &grant.scope {
            Scope::Session(_) => false,
            Scope::Project(dir) => *dir == project.dir,
            Scope::Everywhere => true,
        };
        here && grant.expires.is_none_or(|end| now < end)
    };
    Ok(grants::list(dirs)?.into_iter().filter(holds).collect())
}

fn grant_source(grant: &Grant, settings: &Settings) -> Source {
    Source {
        set: SetName::Grants,
        file: format!("grant {}", grant.id),
        text: grant.cedar.clone(),
        approves: settings.roles.clone(),
    }
}

fn source(set: SetName, path: &Path, links: Links) -> Result<Option<Source>, Failure> {
    let file = whole_file::read_text(path, links)?;
    Ok(file.map(|file| Source {
        set,
        file: path.display().to_string(),
        text: file.text,
        approves: Vec::new(),
    }))
}

fn missing(file: &Path) -> Failure {
    Message::new(format!("there is no file `{}`", file.display())).could_not()
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Message::new(error.to_string()).could_not()
    }
}
