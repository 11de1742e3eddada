//! What the projects around a project say: they restrict it, and give it nothing.

use ringfence_core::SetName;
use ringfence_policy::Source;

use super::{AssembleError, Inputs, shown, source};
use crate::notice::Notice;
use crate::settings::{Origin, SettingsFile};
use crate::state::StateDirs;
use crate::trust::{Project, Trust};
use crate::wording::shell_word;

/// What holds of all of them.
#[derive(Debug, Default)]
pub(super) struct Outer {
    /// Their policies, of which the forbids count.
    pub(super) sources: Vec<Source>,
    /// The settings of those that are trusted.
    pub(super) settings: Vec<SettingsFile>,
    /// What the person should know.
    pub(super) notices: Vec<Notice>,
}

impl Outer {
    /// Reads what was found; `--policy` stands in for their policies as it does for the project's.
    ///
    /// One that changed since it was trusted ends the start: what it forbade then may be gone from it, while
    /// the permits of the project within still count.
    pub(super) fn read(around: &[Project], inputs: Inputs<'_>) -> Result<Outer, AssembleError> {
        let mut outer = Outer { settings: settings(around, inputs.dirs)?, ..Outer::default() };
        if !inputs.overrides.is_empty() {
            return Ok(outer);
        }
        for project in around {
            match project.trust(inputs.dirs)? {
                Trust::Trusted => {}
                // Settings by themselves cannot be trusted, and say nothing here.
                Trust::Untrusted if project.policy.is_none() => {}
                Trust::Untrusted => outer.notices.push(untrusted(project)),
                Trust::Changed { .. } => {
                    return Err(AssembleError::OuterChanged(Box::new(project.clone())));
                }
            }
            if let Some(file) = project.policy.clone() {
                let name = shown(&file.path, inputs.dirs.home());
                outer.sources.push(source(SetName::OuterProject, name, file));
            }
        }
        Ok(outer)
    }
}

/// The settings of those that are trusted.
pub(super) fn settings(
    around: &[Project],
    dirs: &StateDirs,
) -> Result<Vec<SettingsFile>, AssembleError> {
    let mut all = Vec::new();
    for project in around {
        if let Some(file) = &project.settings
            && project.trust(dirs)? == Trust::Trusted
        {
            all.push(SettingsFile::parse(file, Origin::Project)?);
        }
    }
    Ok(all)
}

fn untrusted(project: &Project) -> Notice {
    let text = format!(
        "this project lies in `{}`, which is not trusted: its settings are ignored, its forbids hold",
        project.dir.display()
    );
    Notice::new(text).hint(format!("to see what it says and trust it, {}", run("trust", project)))
}

/// What can be done about one that is not what was trusted.
pub(super) fn changed_hint(project: &Project) -> String {
    if project.policy.is_none() {
        return format!("it has no policy any more; to do without it, {}", run("untrust", project));
    }
    let what = "what it forbids holds here, too; to look at it and trust it as it is now";
    format!("{what}, {}", run("trust", project))
}

/// A command about a project that is not the one here.
fn run(command: &str, project: &Project) -> String {
    match project.dir.to_str().and_then(shell_word) {
        Some(dir) => format!("run `ringfence {command} {dir}`"),
        None => format!("run `ringfence {command}` in {}", project.dir.display()),
    }
}
