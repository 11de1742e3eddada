//! The difference of one change as text.

use std::io::{self, Read as _};
use std::path::Path;

use similar::TextDiff;

use super::{Change, Kept, Kind, What};
use crate::state::StateDirs;
use ringfence_sandbox::beneath::Dir;

/// Largest file whose difference is shown, in bytes.
pub const DIFF_BYTES_MAX: u64 = 512 * 1024;

/// Lines around a difference.
const CONTEXT: usize = 3;

/// What a change looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diff {
    /// A unified diff, without the names of the files.
    Text(String),
    /// One of the two is no text.
    Binary,
    /// One of the two has more than [`DIFF_BYTES_MAX`].
    Large,
    /// A symbolic link: what it says now.
    Link(String),
    /// There is nothing to compare.
    Nothing,
}

/// Compares what a change has with what the host has.
pub fn diff(dirs: &StateDirs, kept: &Kept, change: &Change) -> io::Result<Diff> {
    let text_of = |root: &Path| read(root, &change.below);
    let tree = kept.trees.get(change.tree).ok_or(io::ErrorKind::NotFound)?;
    let upper = kept.upper(dirs, change.tree);
    match (change.what, change.kind) {
        (What::Link, Kind::Added | Kind::Modified) => {
            let dir = Dir::at(&upper)?.beneath(change.below.parent().unwrap_or(Path::new("")))?;
            let says = dir.link(change.below.file_name().unwrap_or_default())?;
            return Ok(Diff::Link(says.to_string_lossy().into_owned()));
        }
        (What::File, Kind::Added | Kind::Modified | Kind::Deleted) => {}
        (What::File | What::Dir | What::Link | What::Other, _) => return Ok(Diff::Nothing),
    }
    let old = if change.kind == Kind::Added { Side::Absent } else { text_of(&tree.path)? };
    let new = if change.kind == Kind::Deleted { Side::Absent } else { text_of(&upper)? };
    Ok(match (old, new) {
        (Side::Large, _) | (_, Side::Large) => Diff::Large,
        (Side::Binary, _) | (_, Side::Binary) => Diff::Binary,
        (old, new) => {
            let (old, new) = (old.text(), new.text());
            let diff = TextDiff::from_lines(&old, &new);
            Diff::Text(diff.unified_diff().context_radius(CONTEXT).to_string())
        }
    })
}

enum Side {
    Absent,
    Text(String),
    Binary,
    Large,
}

impl Side {
    fn text(self) -> String {
        match self {
            Side::Text(text) => text,
            Side::Absent | Side::Binary | Side::Large => String::new(),
        }
    }
}

fn read(root: &Path, below: &Path) -> io::Result<Side> {
    let dir = Dir::at(root)?.beneath(below.parent().unwrap_or(Path::new("")))?;
    let name = below.file_name().unwrap_or_default();
    let Some(stat) = dir.stat(name)? else { return Ok(Side::Absent) };
    if super::walk::what(&stat) != What::File {
        return Ok(Side::Binary);
    }
    let mut bytes = Vec::new();
    dir.file(name)?.take(DIFF_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DIFF_BYTES_MAX {
        return Ok(Side::Large);
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Side::Text(text),
        Ok(_) | Err(_) => Side::Binary,
    })
}
