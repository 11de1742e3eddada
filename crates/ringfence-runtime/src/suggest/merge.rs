//! Several grants made one, where they share a directory and the result stays small.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use ringfence_core::{AbsolutePath, UrlPath};
use ringfence_policy::grant::{GrantText, Paths};

/// Fewest grants that are made one: two are said as two.
const SHARED_MIN: usize = 3;

/// A grant, and which of the denied acts it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) grant: GrantText,
    pub(super) covers: Vec<usize>,
}

/// Adds a grant for one more act.
pub(super) fn add(items: &mut Vec<Item>, grant: GrantText, act: usize) {
    match items.iter_mut().find(|item| item.grant == grant) {
        Some(item) => item.covers.push(act),
        None => items.push(Item { grant, covers: vec![act] }),
    }
}

/// Makes one of those that share a directory, the deepest first, where `may` allows it.
pub(super) fn shared(items: &mut Vec<Item>, may: &dyn Fn(&GrantText) -> bool) {
    let wider: BTreeSet<(Reverse<usize>, String)> =
        items.iter().flat_map(|item| above(&item.grant)).map(|grant| key(&grant)).collect();
    let grants: Vec<GrantText> = items.iter().flat_map(|item| above(&item.grant)).collect();
    for wanted in wider {
        let Some(dir) = grants.iter().find(|grant| key(grant) == wanted) else { continue };
        let inside = items.iter().filter(|item| contains(dir, &item.grant)).count();
        if inside >= SHARED_MIN && may(dir) {
            join(items, dir);
        }
    }
    // What may be written may be read: a grant within another one says nothing.
    let writes: Vec<GrantText> = items.iter().map(|item| item.grant.clone()).collect();
    let writes = writes.iter().filter(|grant| matches!(grant, GrantText::Write(_)));
    for dir in writes {
        if items.iter().any(|item| item.grant == *dir) {
            join(items, dir);
        }
    }
}

/// Puts all that a grant contains into one item, in the place of the first.
fn join(items: &mut Vec<Item>, dir: &GrantText) {
    let is_inside = |item: &Item| item.grant == *dir || contains(dir, &item.grant);
    let mut covers: Vec<usize> =
        items.iter().filter(|item| is_inside(item)).flat_map(|item| item.covers.clone()).collect();
    covers.sort_unstable();
    covers.dedup();
    let first = items.iter().position(is_inside).unwrap_or(items.len());
    items.retain(|item| !is_inside(item));
    items.insert(first.min(items.len()), Item { grant: dir.clone(), covers });
}

/// Depth first, then the name, so that the order is the same each time.
fn key(grant: &GrantText) -> (Reverse<usize>, String) {
    let text = grant.to_string();
    (Reverse(text.matches('/').count()), text)
}

/// The same for each directory above.
fn above(grant: &GrantText) -> Vec<GrantText> {
    match grant {
        GrantText::Read(path) => path.ancestors().map(GrantText::Read).collect(),
        GrantText::Write(path) => path.ancestors().map(GrantText::Write).collect(),
        GrantText::Request { method, to, path: Paths::One(path) } => dirs(path)
            .into_iter()
            .map(|path| GrantText::Request {
                method: method.clone(),
                to: to.clone(),
                path: Paths::Beneath(path),
            })
            .collect(),
        GrantText::Request { path: Paths::Beneath(_), .. }
        | GrantText::Connect(_)
        | GrantText::ConnectUnix(_)
        | GrantText::UseSecret(_)
        | GrantText::CallTool(_)
        | GrantText::Exec { .. } => Vec::new(),
    }
}

/// The directories of a path of a URL, without the first: that would be the whole host.
fn dirs(path: &UrlPath) -> Vec<UrlPath> {
    let text = path.as_str();
    let ends = text.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    ends.filter_map(|at| UrlPath::parse(text.get(..=at)?).ok())
        // What is written in two ways is left as it is.
        .filter(|dir| text.starts_with(dir.as_str()) && dir.as_str().ends_with('/'))
        .collect()
}

/// Whether one grant is for all that another one is for, and more.
fn contains(wide: &GrantText, narrow: &GrantText) -> bool {
    let beneath = |dir: &AbsolutePath, path: &AbsolutePath| path != dir && path.is_within(dir);
    match (wide, narrow) {
        (GrantText::Read(dir), GrantText::Read(path))
        | (GrantText::Write(dir), GrantText::Write(path)) => beneath(dir, path),
        (GrantText::Write(dir), GrantText::Read(path)) => path.is_within(dir),
        (
            GrantText::Request { method, to, path: Paths::Beneath(dir) },
            GrantText::Request { method: with, to: at, path: Paths::One(path) },
        ) => method == with && to == at && path.as_str().starts_with(dir.as_str()),
        _ => false,
    }
}
