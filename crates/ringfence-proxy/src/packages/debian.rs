//! Debian: files of a pool. Its lists are signed as a whole and pass as they are.

use ringfence_core::Ecosystem;

use super::registry::Wanted;
use super::release;

/// What a path below an archive's place is for: `.../NAME_VERSION_ARCHITECTURE.deb` is a file.
pub(super) fn wanted(path: &str) -> Wanted {
    let file = path.rsplit('/').next().unwrap_or_default();
    let lower = file.to_ascii_lowercase();
    let Some(ending) = [".deb", ".udeb"].into_iter().find(|ending| lower.ends_with(ending)) else {
        return Wanted::Other;
    };
    let stem = file.get(..file.len() - ending.len()).unwrap_or_default();
    // No part holds an underscore (Debian policy, 5.6.1 and 5.6.12).
    match stem.split('_').collect::<Vec<_>>().as_slice() {
        [name, version, _architecture] if !name.is_empty() && !version.is_empty() => {
            Wanted::Release(release(Ecosystem::Debian, name, version))
        }
        _ => Wanted::Unknown,
    }
}
