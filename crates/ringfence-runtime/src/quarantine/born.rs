//! Why the host would run a file.

use std::path::Path;

use crate::gitconfig;
use crate::protected;
use crate::whole_file::{self, Links};

/// The reason, or `None` where the file runs nothing as it is.
///
/// The classes are those of [`protected::IN_PROJECT`], git hooks that are not samples, and git
/// configurations that name a program. Scripts that a person starts (`package.json`, `Makefile`,
/// `build.rs`) are not among them: reading what one starts is the person's part.
pub(super) fn why(path: &Path) -> Option<String> {
    let dir = path.parent()?;
    let name = path.file_name()?;
    if dir.file_name().is_some_and(|dir| dir == "hooks")
        && dir.parent().is_some_and(protected::may_become_git_dir)
    {
        return Some("git runs this hook".to_owned());
    }
    if protected::is_dot_git(path) {
        let why = "git takes configuration and hooks from where this leads";
        return (!protected::is_plain_dot_git(path)).then(|| why.to_owned());
    }
    let in_git_dir = protected::may_become_git_dir(dir);
    if in_git_dir && name == protected::COMMON_DIR {
        let says = whole_file::read_text(path, Links::Refuse).ok().flatten();
        let plain = says.is_some_and(|file| protected::is_plain_common_dir(dir, &file.text));
        let why = "git takes configuration and hooks from where this says";
        return (!plain).then(|| why.to_owned());
    }
    if in_git_dir && (name == "config" || name == "config.worktree") {
        let keys = match whole_file::read_text(path, Links::Refuse) {
            Ok(Some(file)) => gitconfig::runs_code(&file.text),
            Ok(None) => return None,
            Err(_) => vec!["(not readable)".to_owned()],
        };
        let keys = keys.join(", ");
        return (!keys.is_empty()).then(|| format!("git may run what this says: {keys}"));
    }
    let listed = protected::IN_PROJECT.iter().find(|(listed, _, _)| {
        name == *listed || path.components().any(|part| part.as_os_str() == *listed)
    });
    listed.map(|(_, _, why)| (*why).to_owned())
}
