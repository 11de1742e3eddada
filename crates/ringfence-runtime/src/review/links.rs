//! Where symbolic links of a session lead.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Most links on the way of one, as the kernel has it: path_resolution(7).
const LINKS_MAX: usize = 40;

/// Whether a link in a tree leads out of it, by itself or through another link; `link_at` tells what the
/// link at a place of the tree says, if there is one.
pub(super) fn leads_out(
    tree: &Path,
    (below, says): (&Path, &Path),
    link_at: &dyn Fn(&Path) -> Option<PathBuf>,
) -> bool {
    let mut at = below.parent().map(Path::to_owned).unwrap_or_default();
    let mut ahead = Vec::new();
    let mut says = says.to_owned();
    for _ in 0..LINKS_MAX {
        if says.is_absolute() {
            let Ok(inside) = says.strip_prefix(tree) else { return true };
            (says, at) = (inside.to_owned(), PathBuf::new());
        }
        ahead.extend(steps(&says));
        match walk(&mut at, &mut ahead, link_at) {
            Way::Ends => return false,
            Way::LeavesTheTree => return true,
            Way::Link(next) => says = next,
        }
    }
    // A circle leads nowhere.
    false
}

enum Way {
    Ends,
    LeavesTheTree,
    Link(PathBuf),
}

/// Goes on to the next link, or to the end.
fn walk(
    at: &mut PathBuf,
    ahead: &mut Vec<OsString>,
    link_at: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Way {
    while let Some(step) = ahead.pop() {
        if step == ".." {
            if !at.pop() {
                return Way::LeavesTheTree;
            }
            continue;
        }
        at.push(step);
        if let Some(says) = link_at(at) {
            at.pop();
            return Way::Link(says);
        }
    }
    Way::Ends
}

/// The names on a path, last first.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let names = path
        .components()
        .rev()
        .filter(|it| matches!(it, Component::Normal(_) | Component::ParentDir));
    names.map(|it| it.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_by_itself_above_the_tree_or_through_another_link() {
        let links = [("dir/up", ".."), ("etc", "/etc"), ("loop", "loop"), ("home", "/t/dir")];
        let link_at = |at: &Path| {
            links.iter().find(|(name, _)| at == Path::new(name)).map(|(_, says)| says.into())
        };
        let out = |below: &str, says: &str| {
            leads_out(Path::new("/t"), (Path::new(below), Path::new(says)), &link_at)
        };
        for (below, says) in [
            ("x", "/etc/passwd"),
            ("x", ".."),
            ("x", "../t/x"),
            ("dir/x", "../../secret"),
            ("x", "etc/passwd"),
            ("x", "dir/up/../y"),
            ("x", "/t/../etc"),
            ("x", "/tree"),
            ("x", "none/../../y"),
            ("x", "home/../../y"),
        ] {
            assert!(out(below, says), "{below} -> {says}");
        }
        for (below, says) in [
            ("x", "y"),
            ("dir/x", "../y"),
            ("dir/x", "./../dir/y"),
            ("x", "dir/up/y"),
            ("x", "/t/y"),
            ("x", "home/y"),
            ("x", "loop"),
        ] {
            assert!(!out(below, says), "{below} -> {says}");
        }
    }
}
