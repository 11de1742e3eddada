//! What was mounted into a running world, and what of it a new plan leaves there.

use ringfence_core::{AbsolutePath, Access, FilePlan};

/// A tree that was mounted while the session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) path: AbsolutePath,
    pub(super) access: Access,
}

/// All of them, oldest first. A later one may lie on, above or beneath an earlier one, which is
/// then still there.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    trees: Vec<Tree>,
}

/// What has to leave the world.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leaving {
    /// Trees to unmount, newest first; those that may stay are mounted again.
    pub(super) trees: Vec<Tree>,
    /// Those of them that the plan no longer allows.
    pub(super) revoked: Vec<Tree>,
}

impl Mounted {
    /// To be said when a tree was mounted.
    pub(super) fn add(&mut self, path: &AbsolutePath, access: Access) {
        self.trees.push(Tree { path: path.clone(), access });
    }

    /// What these mounts allow at a path.
    pub(super) fn access(&self, path: &AbsolutePath) -> Access {
        let above = self.trees.iter().filter(|tree| path.is_within(&tree.path));
        above.map(|tree| tree.access).max().unwrap_or(Access::Hidden)
    }

    /// Takes out what `plan` no longer allows, with everything that lies on, above or beneath it:
    /// a mount above holds copies of those beneath, and a newer one hides an older one.
    pub(super) fn take_stale(&mut self, plan: &FilePlan, start: &FilePlan) -> Leaving {
        let stale = |tree: &Tree| {
            plan.access(&tree.path).0 < tree.access || newly_restricted(tree, plan, start).is_some()
        };
        let revoked: Vec<Tree> = self.trees.iter().filter(|tree| stale(tree)).cloned().collect();
        let mut leaving = revoked.clone();
        loop {
            let touches = |tree: &&Tree| {
                !leaving.contains(tree) && leaving.iter().any(|other| overlap(tree, other))
            };
            let more: Vec<Tree> = self.trees.iter().filter(touches).cloned().collect();
            if more.is_empty() {
                break;
            }
            leaving.extend(more);
        }
        let (gone, kept): (Vec<Tree>, Vec<Tree>) =
            self.trees.drain(..).partition(|tree| leaving.contains(tree));
        self.trees = kept;
        Leaving { trees: gone.into_iter().rev().collect(), revoked }
    }
}

fn overlap(one: &Tree, other: &Tree) -> bool {
    one.path.is_within(&other.path) || other.path.is_within(&one.path)
}

/// A place beneath a tree that the plan restricts, and that nothing covers in a world which was
/// started without that rule.
pub(super) fn newly_restricted(
    tree: &Tree,
    plan: &FilePlan,
    start: &FilePlan,
) -> Option<AbsolutePath> {
    let known = |path: &AbsolutePath, access| {
        start.rules.iter().any(|rule| rule.path == *path && rule.access <= access)
    };
    let beneath = |path: &AbsolutePath| *path != tree.path && path.is_within(&tree.path);
    let mut rules = plan.rules.iter();
    let found = rules.find(|rule| {
        beneath(&rule.path) && rule.access < tree.access && !known(&rule.path, rule.access)
    });
    found.map(|rule| rule.path.clone())
}

#[cfg(test)]
#[path = "mounted_tests.rs"]
mod tests;
