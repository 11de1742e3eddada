//! Other names of covered files: hard links, by which the same secrets could be read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::super::layout::Layout;
use super::{ENTRIES_MAX, Kind, Permitted};
use crate::notice::Notice;

/// Most entries of what a world sees among which other names are looked for; it takes a second.
const SHOWN_ENTRIES_MAX: usize = 300_000;

/// A file that has several names, by its device and its number.
type Files = BTreeMap<(u64, u64), PathBuf>;

/// Covers them too, wherever the world would see them. They are looked for only where a covered file
/// has several names, which hardly ever is.
pub(super) fn cover(
    covers: &mut Vec<(PathBuf, Kind)>,
    permitted: &Permitted<'_>,
    layout: &mut Layout,
) {
    let files = of_several_names(covers);
    if files.is_empty() {
        return;
    }
    let mut walk = Walk { files: &files, left: SHOWN_ENTRIES_MAX, found: Vec::new() };
    for root in layout.shown_roots() {
        walk.within(root);
    }
    let (found, left) = (walk.found, walk.left);
    for (name, file) in found {
        let covered = covers.iter().any(|(cover, _)| name.starts_with(cover));
        if covered || !layout.shows(&name) || permitted.names((&name, Kind::File)) {
            continue;
        }
        let text = format!(
            "`{}` is covered: it is another name of `{}`, which holds secrets",
            name.display(),
            file.display()
        );
        layout.notices.push(Notice::new(text).hint("to open it, name it in a rule of its own"));
        covers.push((name, Kind::File));
    }
    if left == 0 {
        for file in files.values() {
            let text = format!(
                "`{}` holds secrets and has other names (hard links), of which not all may have been found",
                file.display()
            );
            let hint = format!("run `find / -xdev -samefile {}`", file.display());
            layout.notices.push(Notice::new(text).hint(hint));
        }
    }
}

/// The covered files with several names, and those directly in covered directories.
fn of_several_names(covers: &[(PathBuf, Kind)]) -> Files {
    let mut files = Files::new();
    let mut note = |path: &Path| {
        let found = fs::symlink_metadata(path).ok();
        if let Some(found) = found.filter(|it| it.is_file() && it.nlink() > 1) {
            files.insert((found.dev(), found.ino()), path.to_owned());
        }
    };
    for (cover, kind) in covers {
        match kind {
            Kind::File => note(cover),
            Kind::Dir => {
                let entries = fs::read_dir(cover).into_iter().flatten().take(ENTRIES_MAX);
                entries.flatten().for_each(|entry| note(&entry.path()));
            }
        }
    }
    files
}

/// A walk through what a world sees.
struct Walk<'a> {
    files: &'a Files,
    left: usize,
    found: Vec<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    fn within(&mut self, root: PathBuf) {
        let mut dirs = Vec::new();
        if fs::symlink_metadata(&root).is_ok_and(|it| it.is_dir()) {
            dirs.push(root);
        } else {
            self.look(root);
        }
        while let Some(dir) = dirs.pop() {
            // What cannot be listed by us is not listed by the payload, who is nobody more.
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if self.left == 0 {
                    return;
                }
                self.left -= 1;
                if entry.file_type().is_ok_and(|it| it.is_dir()) {
                    dirs.push(entry.path());
                } else if self.files.keys().any(|(_, number)| *number == entry.ino()) {
                    self.look(entry.path());
                }
            }
        }
    }

    fn look(&mut self, path: PathBuf) {
        let Ok(found) = fs::symlink_metadata(&path) else { return };
        if let Some(file) = self.files.get(&(found.dev(), found.ino())) {
            self.found.push((path, file.clone()));
        }
    }
}
