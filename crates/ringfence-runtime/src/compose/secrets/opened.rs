//! What of secret places a policy opens: what a permit names itself, and nothing around it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Access, Agent, FilePlan};
use ringfence_policy::{Policy, Reach};

use super::super::layout::{Layout, Real, Use, real};
use super::super::private::Private;
use super::super::{ComposeError, Kind};
use crate::notice::Notice;

/// What the policy permits, and what of it permits name.
pub(in super::super) struct Permitted<'a> {
    pub(in super::super) plan: &'a FilePlan,
    pub(in super::super) by_name: BTreeMap<AbsolutePath, Reach>,
}

impl<'a> Permitted<'a> {
    /// What it permits to an agent, whose plan this is.
    pub(in super::super) fn of(
        policy: &Policy,
        agent: &Agent,
        plan: &'a FilePlan,
    ) -> Permitted<'a> {
        Permitted { plan, by_name: policy.permitted_by_name(agent) }
    }

    /// Whether a permit names the place as a whole.
    pub(super) fn names(&self, (place, kind): (&Path, Kind)) -> bool {
        let named = absolute(place).and_then(|path| self.by_name.get(&path).copied());
        let whole = match kind {
            Kind::File => named.is_some(),
            Kind::Dir => named == Some(Reach::Beneath),
        };
        whole && self.shows(place)
    }

    /// Whether the plan shows something at a path.
    pub(super) fn shows(&self, path: &Path) -> bool {
        absolute(path).is_some_and(|path| self.plan.access(&path).0 != Access::Hidden)
    }

    /// What permits name beneath a place.
    pub(super) fn parts_of(&self, place: &Path) -> impl Iterator<Item = (&AbsolutePath, Access)> {
        let parts = self.by_name.iter().filter(move |(path, reach)| {
            let path = path.as_path();
            let whole = **reach == Reach::Beneath || !path.is_dir();
            path != place && path.starts_with(place) && whole
        });
        let parts = parts.map(|(path, _)| (path, self.plan.access(path).0));
        parts.filter(|(_, access)| *access != Access::Hidden)
    }
}

fn absolute(path: &Path) -> Option<AbsolutePath> {
    AbsolutePath::parse(path.to_str()?).ok()
}

/// Puts a directory of ours in place of the cover of each place of which the policy names a part: it has those
/// parts, and there is nothing else in it.
pub(super) fn open(
    covers: &mut Vec<(PathBuf, Kind)>,
    permitted: &Permitted<'_>,
    (layout, private): (&mut Layout, &Private),
) -> Result<(), ComposeError> {
    let mut closed = Vec::new();
    for (place, kind) in covers.drain(..) {
        let parts: Vec<(PathBuf, Use)> = permitted
            .parts_of(&place)
            .filter(|(path, _)| is_itself(path.as_path(), layout))
            .map(|(path, access)| {
                let usage = if access == Access::Write { Use::Write } else { Use::Read };
                (path.as_path().to_owned(), usage)
            })
            .collect();
        if parts.is_empty() {
            closed.push((place, kind));
            continue;
        }
        let dir = private.opened()?;
        layout.remove_tree(&place);
        layout.bind_private(&place, &dir, Use::Read);
        for (part, usage) in parts {
            let kind = if part.is_dir() { Kind::Dir } else { Kind::File };
            private.make_place(&dir, part.strip_prefix(&place).unwrap_or(&part), kind)?;
            layout.bind_planned(&part, &part, usage);
        }
    }
    *covers = closed;
    Ok(())
}

/// Whether something is there under its own name; a link leads to what the policy does not name.
fn is_itself(path: &Path, layout: &mut Layout) -> bool {
    match real(path) {
        Real::Is => true,
        Real::Absent => false,
        Real::Through { link, .. } => {
            let text = format!(
                "`{}` stays covered: `{}` is a symbolic link",
                path.display(),
                link.display()
            );
            layout.notices.push(Notice::new(text).hint("name the file or directory itself"));
            false
        }
    }
}
