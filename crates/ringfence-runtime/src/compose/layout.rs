//! The map from places in the world to files of the host; the deepest place decides.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ringfence_core::{Access as Allowed, FilePlan, PathRule};
use ringfence_sandbox::world::{Access, Bind};

use super::everything;
use super::way::{Straight, straight};
use crate::notice::Notice;
use crate::protected;

/// Directories beneath which later grants may be mounted, where the host has them: those that hold
/// people's files. What is elsewhere is granted by policy, before a world starts.
pub(crate) const GRANTABLE: &[&str] =
    &["/data", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var"];

/// What the kernel and each world have for themselves: rules on files are not about it.
pub(super) const WORLD_ONLY: &[&str] = &["/dev", "/proc", "/sys"];
/// Files of people all the same, where somebody works in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// What may be done with a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A part of the plan.
    Planned(Bind),
    /// Something of ours: what happens in it is no act.
    Private(Bind),
    /// Covered.
    Hidden,
}

/// A writable bind: where its files are on the host, where they appear, and whose they are.
pub(super) struct Mounted {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) is_of_person: bool,
}

/// The map, while it is being made.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    places: BTreeMap<PathBuf, Content>,
    links: BTreeMap<PathBuf, PathBuf>,
    /// Places that rules name and no world shows.
    left_out: Vec<PathBuf>,
    /// What was left out, and why.
    pub(crate) notices: Vec<Notice>,
}

impl Layout {
    /// The map of a plan: only what exists, under its real name, is bound.
    pub(super) fn of_plan(plan: &FilePlan, project: &Path) -> Layout {
        let mut layout = Layout::default();
        for rule in &plan.rules {
            layout.take(rule, plan, project);
        }
        let hidden = plan.rules.iter().filter(|rule| rule.access == Allowed::Hidden);
        hidden.for_each(|rule| layout.note_open(rule));
        layout.note_left_out();
        layout
    }

    fn take(&mut self, rule: &PathRule, plan: &FilePlan, project: &Path) {
        let path = rule.path.as_path();
        if path.parent().is_none() {
            if !plan.is_exact(&rule.path) {
                everything::take(self, rule.access, project);
            }
            return;
        }
        if rule.access != Allowed::Hidden && is_only_of_world(path) {
            return self.left_out.push(path.to_owned());
        }
        match real(path) {
            Real::Is => {}
            Real::Absent => return self.note_absent(rule, plan),
            Real::Through { link, says } => return self.take_link(rule, &link, says),
        }
        // A rule for one directory alone must not open what lies in it.
        let alone = plan.is_exact(&rule.path) && path.is_dir();
        match rule.access {
            Allowed::Read | Allowed::Write if alone => return,
            Allowed::Hidden => {
                self.places.insert(path.to_owned(), Content::Hidden);
            }
            Allowed::Read => self.bind_planned(path, path, Use::Read),
            Allowed::Write => self.bind_planned(path, path, Use::Write),
        }
        let restricts = rule.access != Allowed::Write;
        if restricts && let Some(root) = self.writable_root_of(path) {
            self.anchor(&root, path);
        }
    }

    /// A rule is about the path it names. What a link there leads to is another path, which the
    /// agent may have chosen itself in an earlier session, so that it is not bound; the link is
    /// shown as it is.
    fn take_link(&mut self, rule: &PathRule, link: &Path, says: PathBuf) {
        let inside_tree = self.root_above(link).is_some();
        let target = fs::canonicalize(rule.path.as_path()).unwrap_or_else(|_| says.clone());
        if !inside_tree {
            self.links.insert(link.to_owned(), says);
        }
        if rule.access != Allowed::Hidden && !self.shows(&target) {
            let text = format!(
                "`{}` leads through a symbolic link to `{}`, which the policy does not name",
                rule.path,
                target.display()
            );
            self.notices.push(Notice::new(text).hint("name the file or directory itself"));
        }
    }

    /// What is hidden by a name that is a link is open by its own.
    fn note_open(&mut self, rule: &PathRule) {
        let path = rule.path.as_path();
        let target = fs::canonicalize(path).ok().filter(|target| target != path);
        let Some(target) = target.filter(|target| self.shows(target)) else { return };
        let text = format!(
            "`{path}` leads through a symbolic link to `{target}`, which the policy does not forbid",
            path = path.display(),
            target = target.display()
        );
        self.notices.push(Notice::new(text).hint("forbid the file or directory itself"));
    }

    /// The kernel mounts none of it a second time: no world could start.
    fn note_left_out(&mut self) {
        if self.left_out.is_empty() {
            return;
        }
        let names: Vec<String> =
            self.left_out.iter().map(|place| format!("`{}`", place.display())).collect();
        let text = format!(
            "no rule on files shows the host's {}: each world has its own",
            names.join(", ")
        );
        let hint = "take it out of the rules that `ringfence policy check` names";
        self.notices.push(Notice::new(text).hint(hint));
    }

    fn note_absent(&mut self, rule: &PathRule, plan: &FilePlan) {
        let parent = rule.path.parent();
        let within = parent.is_some_and(|parent| plan.access(&parent).0 == Allowed::Write);
        if rule.access == Allowed::Write && !within {
            let text =
                format!("`{}` does not exist, so that it cannot be written in this run", rule.path);
            self.notices.push(Notice::new(text).hint(format!("run `mkdir -p {}`", rule.path)));
        }
    }

    /// Binds a part of the plan.
    pub(crate) fn bind_planned(&mut self, target: &Path, source: &Path, usage: Use) {
        self.places.insert(target.to_owned(), Content::Planned(bind(target, source, usage)));
    }

    /// Binds something of ours.
    pub(crate) fn bind_private(&mut self, target: &Path, source: &Path, usage: Use) {
        self.places.insert(target.to_owned(), Content::Private(bind(target, source, usage)));
    }

    /// Shows a link of the host as it is.
    pub(super) fn link(&mut self, at: &Path, says: PathBuf) {
        self.links.insert(at.to_owned(), says);
    }

    /// Takes a place, and everything beneath it, out of the map.
    pub(crate) fn remove_tree(&mut self, target: &Path) {
        self.places.retain(|place, _| !place.starts_with(target));
    }

    /// Makes every directory between the root of a writable tree and a place in it a mount point:
    /// none of them can be renamed, so that the place stays where it is.
    pub(crate) fn anchor(&mut self, root: &Path, place: &Path) {
        for dir in protected::between(root, place) {
            if !self.places.contains_key(&dir) && matches!(real(&dir), Real::Is) {
                self.bind_planned(&dir, &dir, Use::Write);
            }
        }
    }

    /// The highest places of the host that the world shows.
    pub(super) fn shown_roots(&self) -> Vec<PathBuf> {
        let shown = self.places.keys().filter(|place| self.shows(place));
        let highest = shown.filter(|place| !place.parent().is_some_and(|above| self.shows(above)));
        highest.cloned().collect()
    }

    /// Whether a link of the host is in the world, as it is or as one of ours that says the same.
    pub(crate) fn has_link(&self, link: &Path) -> bool {
        let mounted = self.places.contains_key(link) || self.shows(link);
        mounted || self.links.contains_key(link)
    }

    /// What may be done at a place, and whether it is ours.
    fn content_at(&self, path: &Path) -> Option<&Content> {
        path.ancestors().find_map(|above| self.places.get(above))
    }

    /// Whether the world shows a path of the host at its own place.
    pub(crate) fn shows(&self, path: &Path) -> bool {
        match self.content_at(path) {
            Some(Content::Planned(bind)) => bind.source == bind.target,
            Some(Content::Private(_) | Content::Hidden) | None => false,
        }
    }

    /// Whether a place is covered, or lies in what is.
    pub(super) fn hides(&self, path: &Path) -> bool {
        self.content_at(path) == Some(&Content::Hidden)
    }

    /// Whether something beneath a place is covered.
    pub(super) fn hides_within(&self, path: &Path) -> bool {
        let hidden = self.places.iter().filter(|(_, content)| **content == Content::Hidden);
        hidden.map(|(place, _)| place).any(|place| place != path && place.starts_with(path))
    }

    /// Whether a place is covered by itself, in what is not.
    pub(super) fn hides_just(&self, path: &Path) -> bool {
        let above = path.parent().is_some_and(|above| self.hides(above));
        !above && self.places.get(path) == Some(&Content::Hidden)
    }

    /// Whether the plan lets a path be written.
    pub(crate) fn is_writable(&self, path: &Path) -> bool {
        matches!(self.content_at(path), Some(Content::Planned(bind)) if bind.access == Access::Write)
    }

    /// Whether a place has a bind of the plan at it or above it.
    pub(crate) fn root_above(&self, path: &Path) -> Option<PathBuf> {
        let planned = |above: &&Path| matches!(self.places.get(*above), Some(Content::Planned(_)));
        path.ancestors().filter(planned).last().map(Path::to_owned)
    }

    /// The writable bind beneath which a place lies, the place itself left aside.
    pub(super) fn mounted_above(&self, place: &Path) -> Option<Mounted> {
        let (bind, is_of_person) = match self.content_at(place.parent()?)? {
            Content::Planned(bind) => (bind, true),
            Content::Private(bind) => (bind, false),
            Content::Hidden => return None,
        };
        let Bind { source, target, access } = bind.clone();
        (access == Access::Write).then_some(Mounted { source, target, is_of_person })
    }

    /// The root of the writable tree that a place lies in: the highest directory down from which
    /// everything is writable.
    pub(crate) fn writable_root_of(&self, path: &Path) -> Option<PathBuf> {
        let above = path.ancestors().skip(1);
        above
            .filter_map(|dir| Some((dir, self.places.get(dir)?)))
            .take_while(|(_, content)| {
                matches!(content, Content::Planned(bind) if bind.access == Access::Write)
            })
            .last()
            .map(|(dir, _)| dir.to_owned())
    }

    /// The roots of all writable trees of the plan.
    pub(crate) fn writable_roots(&self) -> Vec<PathBuf> {
        let writable = |place: &&PathBuf| self.is_writable(place);
        let is_root = |place: &&PathBuf| self.writable_root_of(place).is_none();
        self.places.keys().filter(writable).filter(is_root).cloned().collect()
    }

    /// Every place of the map, and what may be done to what the host has there.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Path, Use)> {
        self.places.iter().map(|(place, content)| match content {
            Content::Planned(bind) if bind.access == Access::Write => (place.as_path(), Use::Write),
            Content::Planned(_) | Content::Private(_) | Content::Hidden => {
                (place.as_path(), Use::Read)
            }
        })
    }

    pub(super) fn binds(&self) -> Vec<Bind> {
        let all = self.places.values().filter_map(|content| match content {
            Content::Planned(bind) | Content::Private(bind) => Some(bind.clone()),
            Content::Hidden => None,
        });
        all.collect()
    }

    /// The same where what the plan lets be written is under review.
    pub(super) fn binds_under_review(&self) -> Vec<Bind> {
        let all = self.places.values().filter_map(|content| match content {
            Content::Planned(bind) if bind.access == Access::Write => {
                Some(Bind { access: Access::Overlay, ..bind.clone() })
            }
            Content::Planned(bind) | Content::Private(bind) => Some(bind.clone()),
            Content::Hidden => None,
        });
        all.collect()
    }

    pub(super) fn hidden(&self) -> Vec<PathBuf> {
        let all = self.places.iter().filter(|(_, content)| **content == Content::Hidden);
        all.map(|(place, _)| place.clone()).collect()
    }

    /// Places that nothing of the host is at, covered by one of `sources`.
    pub(super) fn covered_by(&self, sources: &[PathBuf]) -> Vec<PathBuf> {
        let all = self.places.iter().filter(|(_, content)| {
            matches!(content, Content::Private(bind) if sources.contains(&bind.source))
        });
        all.map(|(place, _)| place.clone()).collect()
    }

    /// Directories that may be written, with the names in them that may not, those of `covered` among them.
    pub(super) fn beside(&self, covered: &[PathBuf]) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
        let mut beside: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
        for place in self.places.keys().filter(|place| !self.is_writable(place)).chain(covered) {
            let Some((dir, name)) = place.parent().zip(place.file_name()) else { continue };
            if self.is_writable(dir) {
                beside.entry(dir.to_owned()).or_default().insert(name.to_owned());
            }
        }
        beside
    }

    /// Links that lead to places in the map, under a directory the world makes itself.
    pub(super) fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        let free = |at: &PathBuf| self.content_at(at).is_none();
        let all = self.links.iter().filter(|(at, _)| free(at));
        all.map(|(at, says)| (at.clone(), says.clone())).collect()
    }

    /// Writable directories of ours.
    pub(super) fn private_targets(&self) -> Vec<PathBuf> {
        let all = self.places.iter().filter(|(_, content)| {
            matches!(content, Content::Private(bind) if bind.access == Access::Write)
        });
        all.map(|(place, _)| place.clone()).collect()
    }

    /// Directories beneath which grants may appear while the world runs.
    pub(super) fn grantable(&self, home: &Path, project: &Path) -> Vec<PathBuf> {
        let known = GRANTABLE.iter().map(PathBuf::from);
        let near = [Some(home), project.parent()].into_iter().flatten().map(Path::to_owned);
        let mut all: Vec<PathBuf> = known
            .chain(near)
            .filter(|dir| dir.parent().is_some() && matches!(real(dir), Real::Is))
            // Beneath a bind of the plan everything is there already.
            .filter(|dir| !matches!(self.content_at(dir), Some(Content::Planned(_))))
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

fn bind(target: &Path, source: &Path, usage: Use) -> Bind {
    let access = match usage {
        Use::Read => Access::Read,
        Use::Write => Access::Write,
    };
    Bind { source: source.to_owned(), target: target.to_owned(), access }
}

/// Whether no file of a person's is at a path, in no world.
fn is_only_of_world(path: &Path) -> bool {
    WORLD_ONLY.iter().any(|own| path.starts_with(own)) && !path.starts_with(SHARED_MEMORY)
}

/// What a path of the host is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Real {
    /// A file or directory under its own name.
    Is,
    /// Nothing.
    Absent,
    /// The first link on the way, and what it says.
    Through { link: PathBuf, says: PathBuf },
}

/// Looks at every component of a path, following nothing.
pub(crate) fn real(path: &Path) -> Real {
    match straight(path) {
        Some(Straight::There) => return Real::Is,
        Some(Straight::Absent) => return Real::Absent,
        None => {}
    }
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for part in above {
        match fs::symlink_metadata(part) {
            Ok(metadata) if metadata.is_symlink() => {
                let says = fs::read_link(part).unwrap_or_default();
                return Real::Through { link: part.to_owned(), says };
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Real::Absent,
            // What cannot be looked at cannot be bound either.
            Err(_) => return Real::Absent,
        }
    }
    Real::Is
}
