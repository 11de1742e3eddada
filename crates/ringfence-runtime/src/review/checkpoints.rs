//! Checkpoints: copies of what a session has changed so far, to which it can be taken back.
//!
//! They are in `STATE/reviews/SESSION/checkpoints/NAME/N`, each a copy of the upper layer of tree N,
//! and are gone with the session's changes.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use ringfence_sandbox::world::{Account, Keeping, World};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::kept::{Kept, remove_tree};
use super::walk::changes;
use crate::state::StateDirs;
use crate::whole_file::{self, create_private_dir};

/// Most checkpoints of a session.
pub const CHECKPOINTS_MAX: usize = 32;
/// What all checkpoints of a session may take of the disk together, in bytes.
pub const CHECKPOINT_BYTES_MAX: u64 = 16 << 30;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The file that says what a checkpoint is; one without it is not whole.
const FILE: &str = "checkpoint.json";
/// Version of that file.
const SCHEMA: u32 = 1;

/// A checkpoint, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    schema: u32,
    /// What it is called.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: u64,
    /// Changes in it, as a review counts them.
    pub count: u64,
    /// What it takes of the disk, in bytes.
    pub bytes: u64,
    /// What it has not: sockets, and what is too deep.
    pub left: u64,
}

/// Why there is no such checkpoint, or none can be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The name cannot be one.
    #[error(
        "`{0}` is no name for a checkpoint: it has up to {NAME_BYTES_MAX} letters, digits, `.`, `_` \
         and `-`, and begins with a letter or digit"
    )]
    Name(String),
    /// It is taken.
    #[error("there is a checkpoint `{0}` already")]
    Taken(String),
    /// There are enough.
    #[error("there are {CHECKPOINTS_MAX} checkpoints already (CHECKPOINTS_MAX)")]
    TooMany,
    /// There is none.
    #[error("there is no checkpoint `{name}`; there {}", listed(there))]
    None {
        /// What was asked for.
        name: String,
        /// Those that there are.
        there: Vec<String>,
    },
    /// It could not be made or put back.
    #[error("cannot {what} checkpoint `{name}`: {why}")]
    Failed {
        /// `make`, `go back to`.
        what: &'static str,
        /// Which one.
        name: String,
        /// Why.
        why: String,
    },
}

fn listed(there: &[String]) -> String {
    match there {
        [] => "is none".to_owned(),
        [only] => format!("is `{only}`"),
        several => format!("are `{}`", several.join("`, `")),
    }
}

/// Whether this can be the name of a checkpoint.
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric());
    let fits = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    first && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}

/// The checkpoints of a session, oldest first.
pub fn checkpoints(dirs: &StateDirs, session: &SessionId) -> Vec<Checkpoint> {
    let entries = fs::read_dir(shelf(dirs, session)).into_iter().flatten().flatten();
    let read = |dir: PathBuf| -> Option<Checkpoint> {
        let found: Checkpoint = serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()?;
        (found.schema == SCHEMA).then_some(found)
    };
    let mut found: Vec<Checkpoint> = entries.filter_map(|entry| read(entry.path())).collect();
    found.sort_by(|one, other| (one.at_ms, &one.name).cmp(&(other.at_ms, &other.name)));
    found
}

fn shelf(dirs: &StateDirs, session: &SessionId) -> PathBuf {
    dirs.review_of(session).join("checkpoints")
}

/// Makes a checkpoint of a world that stands still; `stood` says at the end whether it did.
pub(crate) fn make(
    (dirs, kept): (&StateDirs, &Kept),
    (world, stood): (&World, &dyn Fn() -> Result<(), String>),
    (name, at_ms): (Option<&str>, u64),
) -> Result<(Checkpoint, Account), CheckpointError> {
    let there = checkpoints(dirs, &kept.session);
    let name = new_name(name, &there)?;
    let failed = |why: String| CheckpointError::Failed { what: "make", name: name.clone(), why };
    let shelf = shelf(dirs, &kept.session);
    let (dir, aside) = (shelf.join(&name), shelf.join(format!(".{name}")));
    let taken: u64 = there.iter().map(|it| it.bytes).sum();
    let bytes_max = CHECKPOINT_BYTES_MAX.saturating_sub(taken);
    let copied = create_private_dir(&shelf)
        .map_err(io::Error::other)
        .and_then(|()| remove_tree(&aside))
        .and_then(|()| fs::create_dir(&aside))
        .and_then(|()| open(&aside))
        .map_err(|error| error.to_string())
        .and_then(|to| carry_out(world, Keeping::Copy { bytes_max }, (&to, kept)))
        .and_then(|account| stood().map(|()| account))
        .and_then(|account| {
            // What is beneath also has the directories on the way there, and what covers places.
            let changes = changes(dirs, kept).map_err(|error| error.to_string())?.len();
            let count = u64::try_from(changes).unwrap_or(u64::MAX);
            let (bytes, left) = (account.bytes, account.left_count);
            let made = Checkpoint { schema: SCHEMA, name: name.clone(), at_ms, count, bytes, left };
            let text = serde_json::to_vec_pretty(&made).map_err(|error| error.to_string())?;
            whole_file::replace(&aside.join(FILE), &text, 0o600)
                .map_err(|error| error.to_string())?;
            fs::rename(&aside, &dir).map_err(|error| error.to_string())?;
            Ok((made, account))
        });
    copied.map_err(|why| {
        // What is left of it is no checkpoint: the next one of this name takes it away.
        let _ = remove_tree(&aside);
        failed(why)
    })
}

/// A name that was asked for, if it can be had, or the next number.
fn new_name(asked: Option<&str>, there: &[Checkpoint]) -> Result<String, CheckpointError> {
    if there.len() >= CHECKPOINTS_MAX {
        return Err(CheckpointError::TooMany);
    }
    let taken = |name: &str| there.iter().any(|it| it.name == name);
    match asked {
        Some(name) if !is_name(name) => Err(CheckpointError::Name(name.to_owned())),
        Some(name) if taken(name) => Err(CheckpointError::Taken(name.to_owned())),
        Some(name) => Ok(name.to_owned()),
        None => {
            let mut numbers = (1..).map(|number: u32| number.to_string());
            Ok(numbers.find(|name| !taken(name)).unwrap_or_default())
        }
    }
}

/// The checkpoint of a name.
pub(crate) fn named(
    dirs: &StateDirs,
    session: &SessionId,
    name: &str,
) -> Result<Checkpoint, CheckpointError> {
    let there = checkpoints(dirs, session);
    let names = there.iter().map(|it| it.name.clone()).collect();
    let none = CheckpointError::None { name: name.to_owned(), there: names };
    there.into_iter().find(|it| it.name == name).ok_or(none)
}

/// Takes a world that stands still back to a checkpoint.
pub(crate) fn put_back(
    dirs: &StateDirs,
    kept: &Kept,
    world: &World,
    checkpoint: &Checkpoint,
) -> Result<Account, CheckpointError> {
    let name = checkpoint.name.clone();
    let dir = shelf(dirs, &kept.session).join(&name);
    let failed = |why| CheckpointError::Failed { what: "go back to", name: name.clone(), why };
    let from = open(&dir).map_err(|error| failed(error.to_string()))?;
    carry_out(world, Keeping::PutBack, (&from, kept)).map_err(failed)
}

fn carry_out(
    world: &World,
    what: Keeping,
    (dir, kept): (&OwnedFd, &Kept),
) -> Result<Account, String> {
    let account = world.keep(what, dir.as_fd(), &guarded(kept)).map_err(|it| it.to_string())?;
    match &account.failed {
        Some(why) => Err(why.clone()),
        None => Ok(account),
    }
}

/// Places of each tree that no process of the world could change.
fn guarded(kept: &Kept) -> Vec<Vec<PathBuf>> {
    let of = |tree: &super::Tree| {
        let all = tree.closed.iter().chain(&tree.ours);
        let below = all.filter_map(|place| place.strip_prefix(&tree.path).ok());
        below.filter(|below| !below.as_os_str().is_empty()).map(Path::to_owned).collect()
    };
    kept.trees.iter().map(of).collect()
}

fn open(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}
