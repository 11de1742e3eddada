//! Bringing chosen changes to the host: all of them, or none.
//!
//! What is chosen is checked whole first. Then every new file is staged beside its place under a
//! name of ours, and only when all are there do renames put them in, each undone again if a later
//! one fails. What is replaced or deleted is moved aside by the same renames and looked at once
//! more before it is removed: what somebody changed in that moment comes back. A journal says what
//! is under way, so that a commit which was cut off is finished by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::journal::{Journal, Phase};
use super::kept::{Kept, drop_changes, is_running};
use super::stage::{Act, Stage, Step};
use super::walk::{changes, key};
use super::{Change, Held, Kind, ReviewError, What};
use crate::state::StateDirs;
use crate::whole_file::random_hex;
use ringfence_sandbox::beneath::Dir;

/// Which changes are to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All that the host would not run by itself.
    All,
    /// What is at and beneath these paths; what the host would run only by its own.
    Paths(Vec<PathBuf>),
}

/// Changes that were checked, and that can be committed.
#[derive(Debug)]
pub struct Ready {
    /// They.
    pub chosen: Vec<Change>,
    /// Those of the choice that stay where they are, each with the reason.
    pub left: Vec<(Change, String)>,
    /// Paths at which nothing waits.
    pub unknown: Vec<PathBuf>,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Changes that are on the host now.
    pub count: usize,
    /// Changes that still wait.
    pub waiting: usize,
}

/// Says what a commit of `choice` would do; changes nothing.
pub fn prepare(dirs: &StateDirs, kept: &Kept, choice: &Choice) -> Result<Ready, ReviewError> {
    for tree in &kept.trees {
        same_tree(&tree.path, tree.identity)?;
    }
    let all = changes(dirs, kept)?;
    let mut ready = Ready { chosen: Vec::new(), left: Vec::new(), unknown: Vec::new() };
    if let Choice::Paths(paths) = choice {
        let waits = |path: &PathBuf| all.iter().any(|change| change.path.starts_with(path));
        ready.unknown = paths.iter().filter(|path| !waits(path)).cloned().collect();
    }
    let mut stays: BTreeSet<(usize, PathBuf)> = BTreeSet::new();
    let mut taken = vec![false; all.len()];
    for (change, taken) in all.iter().zip(&mut taken) {
        let named = names(choice, &change.path);
        if named == Named::No {
            continue;
        }
        let above = stays
            .iter()
            .any(|(tree, below)| *tree == change.tree && change.below.starts_with(below));
        match why_not(change, named).or_else(|| above.then(|| OF_ABOVE.to_owned())) {
            Some(why) => {
                let alone = change.what == What::File || change.kind == Kind::Attributes;
                if change.kind == Kind::Deleted || !alone {
                    stays.insert((change.tree, change.below.clone()));
                }
                ready.left.push((change.clone(), why));
            }
            None => *taken = true,
        }
    }
    with_ways(&all, &mut taken);
    let chosen = all.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(it, _)| it);
    ready.chosen = chosen.collect();
    Ok(ready)
}

/// Why something stays that is itself without fault.
const OF_ABOVE: &str = "what it takes the place of, or lies in, stays";

/// How a choice names a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    No,
    Along,
    Itself,
}

fn names(choice: &Choice, path: &Path) -> Named {
    match choice {
        Choice::All => Named::Along,
        Choice::Paths(paths) if paths.iter().any(|named| named == path) => Named::Itself,
        Choice::Paths(paths) if paths.iter().any(|named| path.starts_with(named)) => Named::Along,
        Choice::Paths(_) => Named::No,
    }
}

fn why_not(change: &Change, named: Named) -> Option<String> {
    match (&change.held, &change.host_runs) {
        (Some(held), _) => Some(held.to_string()),
        (None, Some(why)) if named != Named::Itself => {
            Some(format!("{why}; it is committed only where it is named"))
        }
        (None, _) => None,
    }
}

/// New directories go with what is chosen in them.
fn with_ways(all: &[Change], taken: &mut [bool]) {
    let ways: BTreeMap<(usize, &Path), usize> = all
        .iter()
        .enumerate()
        .filter(|(_, it)| it.kind == Kind::Added && it.what == What::Dir && it.held.is_none())
        .map(|(at, it)| ((it.tree, it.below.as_path()), at))
        .collect();
    let chosen: Vec<&Change> =
        all.iter().zip(taken.iter()).filter(|(_, taken)| **taken).map(|(it, _)| it).collect();
    for change in chosen {
        for above in change.below.ancestors().skip(1) {
            if let Some(taken) = ways.get(&(change.tree, above)).and_then(|at| taken.get_mut(*at)) {
                *taken = true;
            }
        }
    }
}

/// That a tree is still the directory over which the overlay was laid.
fn same_tree(path: &Path, identity: (u64, u64)) -> Result<Dir, ReviewError> {
    let moved = |why: String| ReviewError::MovedOn { path: path.to_owned(), why };
    let dir = Dir::at(path).map_err(|error| moved(error.to_string()))?;
    let stat = dir.own_stat().map_err(|error| moved(error.to_string()))?;
    if (stat.st_dev, stat.st_ino) == identity {
        Ok(dir)
    } else {
        Err(moved("another directory has its name now".to_owned()))
    }
}

/// Commits what was prepared; `record` is told before the first change of the host.
pub fn commit(
    dirs: &StateDirs,
    kept: &mut Kept,
    ready: &Ready,
    record: &mut dyn FnMut() -> Result<(), ReviewError>,
) -> Result<Committed, ReviewError> {
    if is_running(dirs, &kept.session) {
        return Err(ReviewError::Running(kept.session.clone()));
    }
    let _alone = alone(dirs, kept)?;
    let roots = roots(kept)?;
    let failed = ReviewError::io("name", dirs.review_of(&kept.session));
    let stage = Stage {
        roots: &roots,
        uppers: uppers(dirs, kept)?,
        owner: kept.owner,
        started: kept.started,
        prefix: format!(".ringfence-{}", random_hex(8).map_err(failed)?),
    };
    let steps = stage.steps(&ready.chosen);
    let done = ready.chosen.iter().map(key).collect();
    let mut journal = Journal { phase: Phase::Staging, steps, done };
    record()?;
    journal.save(dirs, kept)?;
    if let Err((path, why)) = stage.make(&mut journal.steps, &ready.chosen) {
        stage.sweep(&journal.steps);
        Journal::remove(dirs, kept)?;
        return Err(ReviewError::Undone { path, why });
    }
    journal.phase = Phase::Applying;
    journal.save(dirs, kept)?;
    finish(dirs, kept, &stage, &journal)?;
    let waiting = changes(dirs, kept)?.len();
    if waiting == 0 {
        drop_changes(dirs, &kept.session)?;
    }
    Ok(Committed { count: ready.chosen.len(), waiting })
}

/// Applies what is staged, or undoes it; then nothing of it is left beside.
pub(super) fn finish(
    dirs: &StateDirs,
    kept: &mut Kept,
    stage: &Stage<'_>,
    journal: &Journal,
) -> Result<(), ReviewError> {
    for (at, step) in journal.steps.iter().enumerate() {
        let Err(why) = stage.apply(step) else { continue };
        let path = path_of(kept, step);
        let before = journal.steps.get(..at).unwrap_or_default();
        for done in before.iter().rev() {
            if let Err(why) = stage.undo(done) {
                return Err(ReviewError::Stuck { path: path_of(kept, done), why });
            }
        }
        stage.sweep(&journal.steps);
        Journal::remove(dirs, kept)?;
        return Err(ReviewError::Undone { path, why });
    }
    kept.done.extend(journal.done.iter().cloned());
    kept.save(dirs)?;
    stage.sweep(&journal.steps);
    Journal::remove(dirs, kept)
}

/// What a machine that dies leaves of a commit: `steps` of them made, nothing put in order.
#[cfg(test)]
pub(super) fn cut_off_after(
    dirs: &StateDirs,
    kept: &mut Kept,
    ready: &Ready,
    steps: usize,
) -> Result<(), ReviewError> {
    let roots = roots(kept)?;
    let stage = Stage {
        roots: &roots,
        uppers: uppers(dirs, kept)?,
        owner: kept.owner,
        started: kept.started,
        prefix: ".ringfence-cut".to_owned(),
    };
    let all = stage.steps(&ready.chosen);
    let done = ready.chosen.iter().map(key).collect();
    let mut journal = Journal { phase: Phase::Staging, steps: all, done };
    journal.save(dirs, kept)?;
    stage.make(&mut journal.steps, &ready.chosen).unwrap();
    if steps > 0 {
        journal.phase = Phase::Applying;
        journal.save(dirs, kept)?;
        journal.steps.iter().take(steps - 1).for_each(|step| stage.apply(step).unwrap());
    }
    Ok(())
}

fn path_of(kept: &Kept, step: &Step) -> PathBuf {
    let tree = kept.trees.get(step.tree).map(|tree| tree.path.clone()).unwrap_or_default();
    tree.join(&step.dir).join(&step.name)
}

/// One commit of a session at a time.
pub(super) fn alone(dirs: &StateDirs, kept: &Kept) -> Result<File, ReviewError> {
    let path = dirs.review_of(&kept.session);
    let dir = File::open(&path).map_err(ReviewError::io("open", &path))?;
    flock(&dir, FlockOperation::LockExclusive)
        .map_err(|error| ReviewError::io("lock", &path)(error.into()))?;
    Ok(dir)
}

/// The trees on the host, each still the one that it was.
pub(super) fn roots(kept: &Kept) -> Result<Vec<Dir>, ReviewError> {
    kept.trees.iter().map(|tree| same_tree(&tree.path, tree.identity)).collect()
}

/// The upper layers.
pub(super) fn uppers(dirs: &StateDirs, kept: &Kept) -> Result<Vec<Dir>, ReviewError> {
    (0..kept.trees.len())
        .map(|tree| {
            let path = kept.upper(dirs, tree);
            Dir::at(&path).map_err(ReviewError::io("read", &path))
        })
        .collect()
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Held::Conflict(why) | Held::Forged(why) | Held::Unreadable(why) | Held::Special(why)) =
            self;
        f.write_str(why)
    }
}

impl Act {
    /// What a change asks for, where the directory that it is in is on the host already.
    pub(super) fn of(change: &Change) -> Act {
        match change.kind {
            Kind::Added => Act::Put,
            // A file is put in whole, with its attributes.
            Kind::Modified | Kind::Attributes => Act::Swap,
            Kind::Mode => Act::Mode,
            Kind::Deleted => Act::Take,
        }
    }
}
