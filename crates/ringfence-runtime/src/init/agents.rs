//! What each agent needs: where its program and its state are, and which hosts its model has.

use std::fs;
use std::path::{Path, PathBuf};

use super::found::{Surroundings, programs};
use crate::environment::Environment;
use crate::notice::Notice;
use crate::settings::ProfileName;

/// An agent's own directory, and what in it runs code.
pub(super) struct AgentHome {
    /// Below the home directory.
    pub(super) dir: &'static str,
    /// Names in it that the agent may read and not write.
    pub(super) read_only: &'static [&'static str],
}

/// Where agents that are known keep their logins, below a home.
pub(super) fn logins(home: &Path) -> Vec<PathBuf> {
    let known = PROGRAMS.iter().filter_map(|(_, profile)| home_of(*profile));
    known.map(|known| home.join(known.dir)).collect()
}

pub(super) fn home_of(profile: ProfileName) -> Option<AgentHome> {
    match profile {
        ProfileName::ClaudeCode => Some(AgentHome {
            dir: ".claude",
            read_only: &[
                "settings.json",
                "settings.local.json",
                "hooks",
                "agents",
                "commands",
                "skills",
                "plugins",
                "output-styles",
                "CLAUDE.md",
            ],
        }),
        ProfileName::Codex => Some(AgentHome {
            dir: ".codex",
            read_only: &["config.toml", "prompts", "rules", "skills", "hooks.json", "AGENTS.md"],
        }),
        ProfileName::Generic => None,
    }
}

/// Program names of the agents, most wanted first.
const PROGRAMS: &[(&str, ProfileName)] =
    &[("claude", ProfileName::ClaudeCode), ("codex", ProfileName::Codex)];

/// The first agent that is installed.
pub(super) fn installed(path: &str) -> ProfileName {
    let found = PROGRAMS.iter().find(|(name, _)| !programs(name, path).is_empty());
    found.map_or(ProfileName::Generic, |(_, profile)| *profile)
}

/// Where the agent's program really lies: the whole package of a script, else its directory.
pub(super) fn program_dir(profile: ProfileName, path: &str, project: &Path) -> Option<PathBuf> {
    let (name, _) = PROGRAMS.iter().find(|(_, of)| *of == profile)?;
    let program = programs(name, path).into_iter().find(|it| !it.starts_with(project))?;
    let modules = program
        .ancestors()
        .filter(|dir| dir.file_name().is_some_and(|name| name == "node_modules"))
        .last();
    // A native install keeps its versions side by side: an update must not end in a denial.
    let dir = modules.or_else(|| program.parent())?;
    let versions = dir.file_name().is_some_and(|name| name == "versions");
    Some(if versions { dir.parent().unwrap_or(dir) } else { dir }.to_owned())
}

/// The hosts of the agent's model and login: as its environment says, else its vendor's.
pub(super) fn endpoints(profile: ProfileName, environment: &Environment) -> Vec<String> {
    let (variable, vendor): (&str, &[&str]) = match profile {
        ProfileName::ClaudeCode => (
            "ANTHROPIC_BASE_URL",
            &["api.anthropic.com:443", "console.anthropic.com:443", "platform.claude.com:443"],
        ),
        ProfileName::Codex => {
            ("OPENAI_BASE_URL", &["api.openai.com:443", "auth.openai.com:443", "chatgpt.com:443"])
        }
        ProfileName::Generic => return Vec::new(),
    };
    match environment.text(variable).and_then(super::registries::endpoint) {
        Some(own) => vec![own],
        None => vendor.iter().map(|host| (*host).to_owned()).collect(),
    }
}

/// Makes the agent's own directory where it has none yet, so that its login survives the run.
pub(super) fn make_home(surroundings: &Surroundings) -> Vec<Notice> {
    let Some(home) = home_of(surroundings.profile) else { return Vec::new() };
    let dir = surroundings.home.join(home.dir);
    if dir.exists() {
        return Vec::new();
    }
    let text = match fs::create_dir(&dir) {
        Ok(()) => {
            format!("made `{}`, where {} keeps its state", dir.display(), surroundings.profile)
        }
        Err(error) => format!(
            "`{}` does not exist and cannot be made ({error}): logins will not survive a run",
            dir.display()
        ),
    };
    vec![Notice::new(text)]
}
