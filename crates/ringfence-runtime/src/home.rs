//! The home directory of a world: private, with copies of what tools need from the person's.
//!
//! Programs write to the home directory as they like; nothing of it reaches the person's, except
//! the parts that the policy binds there, and what is taken back at the end.

mod claude;
mod codex;
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ringfence_sandbox::world::PrivateFile;

use crate::compose::{ComposeError, Layout, Private, Use};
use crate::environment::Environment;
use crate::gitconfig;
use crate::quarantine::After;
use crate::settings::ProfileName;
use crate::whole_file::{self, Links};

pub(crate) use claude::merge as merge_claude;
pub(crate) use tools::for_world;

/// The person's home, and for whom it is furnished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) profile: ProfileName,
    pub(crate) environment: &'a Environment,
    /// The keys that the world may have sign.
    pub(crate) may_sign: gitconfig::Signers<'a>,
}

/// Makes the home of one world.
pub(crate) fn furnish(
    home: &Home<'_>,
    layout: &mut Layout,
    private: &Private,
    after: &mut After,
) -> Result<(), ComposeError> {
    // Where the policy shows the whole home, or a directory above it, that is the home.
    if layout.root_above(home.dir).is_none() {
        layout.bind_private(home.dir, &private.home(), Use::Write);
        let cache = home.dir.join(".cache");
        if !layout.shows(&cache) {
            layout.bind_private(&cache, private.cache()?, Use::Write);
        }
        let text = gitconfig::render(&git_config(home));
        private.write(&private.home().join(".gitconfig"), text.as_bytes(), 0o644)?;
        tools::furnish(home, layout, private)?;
    }
    match home.profile {
        ProfileName::ClaudeCode => claude::furnish(home, layout, private, after),
        ProfileName::Codex => codex::furnish(home, layout, private),
        ProfileName::Generic => Ok(()),
    }
}

/// What an agent needs outside its home, in this world only.
pub(crate) fn files(profile: ProfileName) -> Vec<PrivateFile> {
    match profile {
        ProfileName::ClaudeCode => claude::managed(),
        ProfileName::Codex | ProfileName::Generic => Vec::new(),
    }
}

/// The person's git configuration as the agent sees it, with includes resolved away.
fn git_config(home: &Home<'_>) -> Vec<gitconfig::Setting> {
    let config = home.environment.path("XDG_CONFIG_HOME").unwrap_or(home.dir.join(".config"));
    let texts: String = [config.join("git/config"), home.dir.join(".gitconfig")]
        .iter()
        .filter_map(|path| read(path))
        .collect::<Vec<String>>()
        .join("\n");
    let included = |written: &str| {
        let path = match written.strip_prefix("~/") {
            Some(below) => home.dir.join(below),
            None => home.dir.join(written),
        };
        read(&path)
    };
    gitconfig::for_agent(&texts, &included, home.may_sign)
}

/// A file that is of use but not needed: what cannot be read is as good as absent.
fn read(path: &Path) -> Option<String> {
    whole_file::read_text(path, Links::Follow).ok().flatten().map(|file| file.text)
}

/// The agent's own directory: as a variable says, else below the home.
fn agent_dir(home: &Home<'_>, variable: &str, name: &str) -> PathBuf {
    home.environment.path(variable).unwrap_or_else(|| home.dir.join(name))
}

/// Covers each of `names` in an agent's writable directory: what is there is read-only, and what
/// is not cannot come to be.
fn cover(
    dir: &Path,
    names: &[(&str, &[u8])],
    (layout, private): (&mut Layout, &Private),
) -> Result<(), ComposeError> {
    if !layout.is_writable(dir) {
        return Ok(());
    }
    for (name, content) in names {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                // What the link leads to is read-only or hidden by the policy; the link itself
                // must stay.
                let says = private.link_to(&fs::read_link(&path).unwrap_or_default())?;
                layout.bind_private(&path, &says, Use::Read);
            }
            Ok(_) => layout.bind_planned(&path, &path, Use::Read),
            Err(_) if Path::new(OsStr::new(name)).extension().is_some() => {
                let file = private.supply(name, content)?;
                layout.bind_private(&path, &file, Use::Read);
            }
            Err(_) => layout.bind_private(&path, &private.empty_dir(), Use::Read),
        }
    }
    Ok(())
}
