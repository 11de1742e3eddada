//! Submodules that a repository's index names: git enters them on `git status`, wherever they are.
//!
//! The index is read as git writes it (gitformat-index(5), versions 2 to 4). An agent may have
//! written it, so every length is checked, and what cannot be read is said to be so.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Largest index that is read, in bytes: about half a million files.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Bytes of an entry before its name: times, identity, mode, size, object id, flags.
const ENTRY_BYTES: usize = 62;
/// Where the mode stands in an entry.
const MODE_AT: usize = 24;
/// Where the flags stand in an entry.
const FLAGS_AT: usize = 60;
/// The flag that says that two more bytes of flags follow.
const EXTENDED: u16 = 0x4000;
/// The mode of a gitlink.
const GITLINK: u32 = 0o160_000;

/// What the indexes of a git directory say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gitlinks {
    /// Paths of submodules, relative to the working tree.
    pub(super) paths: Vec<PathBuf>,
    /// An index was there that could not be read to its end.
    pub(super) unreadable: bool,
}

/// The submodules named by `git_dir/index` and by the shared indexes it may build on.
pub(super) fn of(git_dir: &Path) -> Gitlinks {
    let mut found = Gitlinks::default();
    let names = fs::read_dir(git_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let indexes = names.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == "index" || name.starts_with("sharedindex.")
    });
    for index in indexes {
        match read(&index).as_deref().and_then(parse) {
            Some(paths) => found.paths.extend(paths),
            None => found.unreadable = true,
        }
    }
    found
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > INDEX_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(INDEX_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The gitlinks of one index; `None` where it is not one.
fn parse(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    let version = number(bytes, 4)?;
    if bytes.get(..4)? != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let (mut at, mut name, mut found) = (12, Vec::new(), Vec::new());
    for _ in 0..number(bytes, 8)? {
        let flags = u16::from_be_bytes(bytes.get(at + FLAGS_AT..)?.get(..2)?.try_into().ok()?);
        let mode = number(bytes, at + MODE_AT)?;
        let extra = if version >= 3 && flags & EXTENDED != 0 { 2 } else { 0 };
        let mut name_at = at + ENTRY_BYTES + extra;
        if version == 4 {
            let (strip, length) = varint(bytes.get(name_at..)?)?;
            name.truncate(name.len().checked_sub(strip)?);
            name_at += length;
        } else {
            name.clear();
        }
        let rest = bytes.get(name_at..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(rest.get(..length)?);
        // Versions 2 and 3 fill up to a multiple of eight bytes, with at least one NUL.
        let end = name_at + length;
        at = if version == 4 { end + 1 } else { at + (end - at + 8) / 8 * 8 };
        if mode == GITLINK {
            found.push(PathBuf::from(OsStr::from_bytes(&name)));
        }
    }
    Some(found)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

/// The variable-length number of version 4 (as in pack files' offsets), and its length in bytes.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at > 0 {
            value = value.checked_add(1)?;
        }
        value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests;
