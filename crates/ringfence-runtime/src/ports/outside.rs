//! What programs outside put in the place of a file that a world must not write: they make it beside that file,
//! write it, and rename it.
//!
//! Until then it is a file like any other in a directory that the world may write. Who opened it, or gave it a
//! second name, would write to what the host runs, whatever covers the name that it gets. So in those
//! directories what somebody else made a moment ago is left alone, and so are the names that git and we
//! ourselves give such files, from the beginning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ringfence_core::{AbsolutePath, FileChange};
use ringfence_sandbox::notify::{Deed, FileAttempt};

use crate::compose::{self, Composition};

use super::claims::Claims;

/// How long a file that somebody else made is left alone: programs write and rename it within moments.
const SETTLES: Duration = Duration::from_secs(5);

/// What programs put behind a file's name for what is to take its place.
const GUESSED: [&[u8]; 4] = [b".lock", b".tmp", b".temp", b".new"];

/// How names of what is staged by `review commit` begin.
const STAGED: &[u8] = b".ringfence-";

/// Most files of the world's own that are remembered for that time.
const MADE_MAX: usize = 4_096;

/// What is not to be written, whatever the policy says.
pub struct Closed {
    /// Places at which nothing may come to be.
    pub(super) covered: Vec<PathBuf>,
    /// Where programs outside replace what is covered.
    pub(super) beside: Beside,
}

impl Closed {
    /// That of one world, whose session began at `started_ms` after the Unix epoch.
    pub(crate) fn of(composed: &Composition, claims: Claims, started_ms: u64) -> Closed {
        let compose::Closed { covered, beside } = &composed.closed;
        let covered = covered.iter().map(|it| it.components().collect()).collect();
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(started_ms);
        Closed { covered, beside: Beside::new(beside.clone(), since, claims) }
    }
}

/// The directories that hold both what a world may write and what it must not, with the names of the latter.
pub(super) struct Beside {
    dirs: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// When the session began.
    since: SystemTime,
    /// What the world has made there itself.
    made: Mutex<HashMap<PathBuf, Made>>,
    /// What other sessions made there.
    claims: Claims,
}

/// What the world made under a name, as it was decided; whether it came to be is not known.
#[derive(Debug)]
struct Made {
    at: Instant,
    /// Which file it was when the world was about to take the name from it; where that fails, it stays the world's.
    left: Option<Which>,
}

/// One file, whatever it is called: its device, inode and when it came to be.
type Which = (u64, u64, SystemTime);

impl Made {
    fn now(left: Option<Which>) -> Made {
        Made { at: Instant::now(), left }
    }
}

/// A change that is refused.
pub(super) struct Refused {
    pub(super) change: FileChange,
    pub(super) path: AbsolutePath,
    pub(super) why: String,
}

impl Beside {
    /// Those of one world.
    fn new(
        dirs: BTreeMap<PathBuf, BTreeSet<OsString>>,
        since: SystemTime,
        claims: Claims,
    ) -> Beside {
        Beside { dirs, since, made: Mutex::default(), claims }
    }

    /// Whether a change is to a file that a program outside may be about to put in place; what the
    /// world makes, moves and removes is remembered otherwise.
    pub(super) fn refuses(&self, file: &FileAttempt) -> Option<Refused> {
        let first = file.acts.first()?;
        let linked = match &file.deed {
            Deed::Link(Some(from)) => Some(PathBuf::from(OsString::from_vec(from.clone()))),
            Deed::Link(None)
            | Deed::Open
            | Deed::Create
            | Deed::Directory
            | Deed::Node
            | Deed::Symlink(_)
            | Deed::Remove
            | Deed::RemoveDirectory
            | Deed::Rename { .. }
            | Deed::Truncate(_)
            | Deed::Mode(_)
            | Deed::Times => None,
        };
        if let Some(why) = linked.and_then(|from| self.forbids(&from, None)) {
            let (change, path) = first.clone();
            return Some(Refused { change, path, why });
        }
        for (change, path) in &file.acts {
            if let Some(why) = self.forbids(path.as_path(), Some(*change)) {
                return Some(Refused { change: *change, path: path.clone(), why });
            }
        }
        self.remember(file);
        None
    }

    fn forbids(&self, path: &Path, change: Option<FileChange>) -> Option<String> {
        if path.iter().any(|part| part.as_bytes().starts_with(STAGED)) {
            return Some(
                "it is what `ringfence review commit` is about to put in place".to_owned(),
            );
        }
        let (dir, name) = (path.parent()?, path.file_name()?);
        let kept = self.dirs.get(dir)?;
        if let Some(kept) = kept.iter().find(|kept| is_named_for(name, kept)) {
            return Some(format!(
                "`{}` is how programs outside call what they put in the place of `{}`, which is not the agent's to change",
                name.display(),
                kept.display()
            ));
        }
        let is_new = change == Some(FileChange::Created);
        let young = !is_new && !is_own(&self.made(), path) && self.is_young(path);
        young.then(|| {
            format!(
                "`{}` was made outside a moment ago, and may be about to take the place of a file that is not the agent's to change: try again in {} s",
                name.display(),
                SETTLES.as_secs()
            )
        })
    }

    /// Whether another session made a file, a moment ago.
    fn is_anothers(&self, path: &Path) -> bool {
        let made = made_at(path).ok().flatten().filter(|at| settles(*at));
        made.is_some_and(|at| self.claims.is_anothers(path, at))
    }

    /// Whether a file is there that came to be while the session ran, and a moment ago.
    fn is_young(&self, path: &Path) -> bool {
        // What cannot be looked at is left alone.
        made_at(path).map_or(true, |at| {
            at.is_some_and(|at| {
                at >= self.since && settles(at) && !self.claims.is_anothers(path, at)
            })
        })
    }

    fn remember(&self, file: &FileAttempt) {
        let concerned = |path: &AbsolutePath| {
            path.as_path().parent().is_some_and(|dir| self.dirs.contains_key(dir))
        };
        if !file.acts.iter().any(|(_, path)| concerned(path)) {
            return;
        }
        let mut made = self.made();
        if made.len() >= MADE_MAX {
            made.retain(|_, it| it.at.elapsed() < SETTLES);
        }
        if made.len() >= MADE_MAX {
            // Forgotten files are left alone for a while, like others'.
            made.clear();
        }
        let is_rename = matches!(file.deed, Deed::Rename { .. });
        // What was somebody else's stays so under another name.
        let own = if let Deed::Rename { from, .. } = &file.deed {
            let from = Path::new(OsStr::from_bytes(from));
            is_own(&made, from) || self.is_anothers(from)
        } else {
            true
        };
        for (change, path) in file.acts.iter().filter(|(_, path)| concerned(path)) {
            let path = path.as_path();
            let now = match change {
                FileChange::Deleted if is_own(&made, path) => {
                    which(path).map(|it| Made::now(Some(it)))
                }
                FileChange::Created | FileChange::Modified if own => Some(Made::now(None)),
                FileChange::Created | FileChange::Modified => continue,
                FileChange::Deleted => None,
            };
            let is_new = match change {
                FileChange::Created => true,
                FileChange::Modified => is_rename,
                FileChange::Deleted => false,
            };
            if is_new && now.is_some() {
                self.claims.tell(path);
            }
            match now {
                Some(now) => made.insert(path.to_owned(), now),
                None => made.remove(path),
            };
        }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<PathBuf, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it was a moment ago; a time to come is as young as can be.
fn settles(at: SystemTime) -> bool {
    at.elapsed().map_or(true, |age| age < SETTLES)
}

/// Whether what has this name is what the world made.
fn is_own(made: &HashMap<PathBuf, Made>, path: &Path) -> bool {
    made.get(path).is_some_and(|it| it.left.is_none() || it.left == which(path))
}

fn which(path: &Path) -> Option<Which> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.created().ok()?))
}

/// `config.lock` for `config`, as git has it, `.config.1f2e` as we have it, and what else is easily guessed: a program
/// that writes to such a name without looking whether it is taken writes to what the agent has made there.
fn is_named_for(name: &OsStr, kept: &OsStr) -> bool {
    let (name, kept) = (name.as_bytes(), kept.as_bytes());
    let behind = name.strip_prefix(kept).unwrap_or_default();
    let is_guessed = GUESSED.iter().any(|end| behind.eq_ignore_ascii_case(end));
    let rest = name.strip_prefix(b".").and_then(|rest| rest.strip_prefix(kept));
    is_guessed || rest.is_some_and(|rest| rest.starts_with(b"."))
}

/// When a file that is there came to be, by a time that nobody sets; `None` where there is none.
fn made_at(path: &Path) -> io::Result<Option<SystemTime>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(None),
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    let changed =
        Duration::from_secs(part(found.ctime())) + Duration::from_nanos(part(found.ctime_nsec()));
    Ok(Some(found.created().unwrap_or(SystemTime::UNIX_EPOCH + changed)))
}

#[cfg(test)]
mod tests {
    use super::is_named_for;

    #[test]
    fn names_of_what_takes_a_files_place_are_known() {
        let is = |name: &str| is_named_for(name.as_ref(), "config".as_ref());
        assert!(is("config.tmp") && is("config.new"));
        assert!(is("config.lock") && is("config.LOCK") && is(".config.12ab") && is(".config.swp"));
        for name in
            ["config", "config.locks", "xconfig.lock", ".config", ".configs.1", "index.lock"]
        {
            assert!(!is(name), "{name}");
        }
    }
}
