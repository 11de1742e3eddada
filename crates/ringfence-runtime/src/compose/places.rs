//! Covers the protected places of writable trees, and puts copies in place of git configurations.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use ringfence_core::{Access, FilePlan, PathRule, SetName};
use ringfence_sandbox::world::Switch;

use super::layout::{Layout, Real, Use, real};
use super::private::Private;
use super::way::Way;
use super::{ComposeError, Composition, RunRequest};
use crate::assemble::Assembled;
use crate::notice::Notice;
use crate::protected::{self, COMMON_DIR, Kind, PersonsFiles, Place, Surveys};
use crate::quarantine::{After, GitCopy, Held};
use crate::state::StateDirs;
use crate::whole_file::{self, Links};
use crate::wording::rule_place;

/// Makes those of our own directories that the agent could otherwise make: moved in from elsewhere
/// within a home that it may write, `~/.config/ringfence` would be the policy of its next session.
/// Says whether any was made, so that the plan has something to cover.
pub(super) fn make_own_dirs(layout: &Layout, dirs: &StateDirs) -> bool {
    let own = [dirs.config(), dirs.runtime()];
    let open = own.into_iter().filter(|dir| real(dir) == Real::Absent && layout.is_writable(dir));
    // What we cannot make, the agent, who is nobody more, cannot make either.
    open.filter(|dir| make_like_parent(dir).is_ok()).count() > 0
}

/// Permits to write that the mounts do not follow: said before the first act fails for it.
pub(super) fn only_shown(
    assembled: &Assembled,
    request: &RunRequest,
) -> impl Iterator<Item = Notice> {
    let found = assembled.policy.only_shown(&request.agent).into_iter();
    found.map(|lint| Notice::new(format!("{}: {}", rule_place(&lint.rule), lint.message)))
}

/// Makes a directory and those above it, owned like what was there.
fn make_like_parent(dir: &Path) -> io::Result<()> {
    let absent: Vec<&Path> =
        dir.ancestors().take_while(|above| fs::symlink_metadata(above).is_err()).collect();
    let there = absent.last().and_then(|highest| highest.parent()).unwrap_or(dir);
    let owner = fs::symlink_metadata(there)?;
    for each in absent.iter().rev() {
        fs::DirBuilder::new().mode(0o700).create(each)?;
        lchown(each, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Covers what the host runs by itself, everywhere in what the agent may write.
///
/// The plan has the places of the project itself, because they are rules; here come those that do
/// not exist yet, and those of other repositories. A place that a rule of the policy protects and
/// that does not exist is covered only where the rule is built in: elsewhere a directory that
/// appears for the length of a run would surprise, and the gate holds it. Returns what the person's
/// git would run or read and what does not exist: it is looked for at the end.
pub(super) fn protect(
    layout: &mut Layout,
    plan: &FilePlan,
    private: &Private,
    (persons, surveys): (&PersonsFiles, &mut Surveys),
) -> Result<Vec<Place>, ComposeError> {
    let mut absent = Vec::new();
    let is_absent = |rule: &&PathRule| real(rule.path.as_path()) == Real::Absent;
    for rule in plan.rules.iter().filter(is_absent) {
        if !is_built_in(rule) {
            continue;
        }
        let path = rule.path.as_path();
        let name = path.file_name().unwrap_or_default();
        let listed = protected::IN_PROJECT.iter().find(|(listed, _, _)| name == *listed);
        let hooks = name == "hooks";
        if hooks || listed.is_some_and(|(_, kind, _)| *kind == Kind::Dir) {
            cover_absent(layout, path, private);
        }
    }
    for root in layout.writable_roots() {
        let survey = surveys.of(&root);
        if survey.cut_short {
            let text = format!(
                "`{}` is large, or cannot all be read: not all repositories in it were found",
                root.display()
            );
            layout.notices.push(Notice::new(text));
        }
        for path in &survey.dot_git_files {
            let end = hold_links(layout, path, private)?;
            // A link may lead to the repository itself, which has places of its own.
            if !end.is_dir() {
                protect_place(layout, &Place::of_dot_git_file(end), private)?;
            }
        }
        for git_dir in &survey.git_dirs {
            if !layout.is_writable(git_dir) {
                continue;
            }
            for place in protected::in_git_dir(git_dir) {
                protect_place(layout, &place, private)?;
            }
            for place in protected::named_in_git(git_dir, &root, persons) {
                let end = protect_place(layout, &place, private)?;
                if end.starts_with(&root) && real(&end) == Real::Absent {
                    absent.push(Place { path: end, ..place });
                }
            }
        }
    }
    Ok(absent)
}

fn is_built_in(rule: &PathRule) -> bool {
    let set = rule.because.as_ref().map(|because| because.set);
    rule.access == Access::Read && set == Some(SetName::BuiltIn)
}

/// Protects a place: the links on the way to it, and where they end, which is returned.
fn protect_place(
    layout: &mut Layout,
    place: &Place,
    private: &Private,
) -> Result<PathBuf, ComposeError> {
    let end = hold_links(layout, &place.path, private)?;
    let path = end.as_path();
    // What is the root of a writable tree, or lies outside of them, is for the policy.
    let Some(root) = layout.writable_root_of(path) else { return Ok(end) };
    layout.anchor(&root, path);
    match real(path) {
        Real::Is if layout.is_writable(path) => layout.bind_planned(path, path, Use::Read),
        Real::Absent if place.kind == Kind::Dir => cover_absent(layout, path, private),
        Real::Absent if path.ends_with(COMMON_DIR) && can_be_made(layout, path) => {
            layout.bind_private(path, &private.common_dir(), Use::Read);
        }
        Real::Is | Real::Absent | Real::Through { .. } => {}
    }
    Ok(end)
}

/// Puts a link that says the same over each link on the way to a place, for nobody can remove a
/// mount point and make something else there; where they end.
fn hold_links(
    layout: &mut Layout,
    path: &Path,
    private: &Private,
) -> Result<PathBuf, ComposeError> {
    let way = Way::of(path);
    for (link, says) in &way.links {
        if let Some(root) = layout.writable_root_of(link).filter(|_| layout.is_writable(link)) {
            layout.anchor(&root, link);
            layout.bind_private(link, &private.link_to(says)?, Use::Read);
        }
    }
    Ok(way.end)
}

/// Whether the agent could make something at a place, and so can we.
fn can_be_made(layout: &Layout, path: &Path) -> bool {
    let Some(parent) = path.parent() else { return false };
    let ours = rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_ok();
    layout.is_writable(parent) && real(parent) == Real::Is && ours
}

/// Covers a place that does not exist with an empty directory; the world takes it away again.
fn cover_absent(layout: &mut Layout, path: &Path, private: &Private) {
    if can_be_made(layout, path) {
        if let Some(root) = layout.writable_root_of(path) {
            layout.anchor(&root, path);
        }
        layout.bind_private(path, &private.empty_dir(), Use::Read);
    }
}

/// Puts a copy in place of the configuration of every repository in a writable tree.
pub(super) fn copy_git_configs(
    layout: &mut Layout,
    private: &Private,
    after: &mut After,
    surveys: &mut Surveys,
) -> Result<(), ComposeError> {
    for root in layout.writable_roots() {
        for git_dir in &surveys.of(&root).git_dirs {
            let config = git_dir.join("config");
            if !layout.is_writable(git_dir) || real(&config) != Real::Is {
                continue;
            }
            let Some(file) = whole_file::read_text(&config, Links::Refuse)? else { continue };
            let copy = private.copy("config", file.text.as_bytes())?;
            layout.bind_private(&copy.dir_in_world, &copy.dir, Use::Write);
            layout.bind_private(&config, &copy.link, Use::Read);
            after.take_back_git(GitCopy { host: config, copy: copy.file, base: file.text });
        }
    }
    Ok(())
}

/// Says what the world is kept from. Without notification of writes the gate holds nothing, and
/// whatever changes may have been changed from within.
pub(super) fn hold(after: &mut After, (layout, plan): (&Layout, &FilePlan), writes: Switch) {
    if writes == Switch::Off {
        return;
    }
    let is_file = |rule: &&PathRule| protected::is_single_file(rule.path.as_path());
    let files = plan.rules.iter().filter(is_file).map(|rule| rule.path.as_path().to_owned());
    after.hold(Held::of(layout.places()), plan, files.collect());
}

impl Composition {
    /// Takes away what was made for this world and is of no use once it has ended.
    pub fn scratch_is_done(&self) {
        // It is empty unless a mount still lies on it, and then it must stay.
        let _ = fs::remove_dir(&self.spec.scratch);
    }
}
