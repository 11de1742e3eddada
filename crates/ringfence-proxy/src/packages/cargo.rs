//! Cargo: the sparse index, one JSON object per line, and `.crate` files.

use ringfence_core::Ecosystem;
use serde_json::Value;

use super::registry::Wanted;
use super::{Filtered, Keep, ListError, Listed, canonical, moment, release};

/// What a path below a registry's place is for.
///
/// `/1/a`, `/2/ab`, `/3/a/abc` and `/ab/cd/abcde` are lists; `/NAME/VERSION/download` and
/// `/NAME-VERSION.crate` files, the forms in which an index may say where they are.
pub(super) fn wanted(path: &str) -> Wanted {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        [.., name, version, "download"] if !name.is_empty() && !version.is_empty() => {
            Wanted::Release(release(Ecosystem::Cargo, name, version))
        }
        [.., file] if file.to_ascii_lowercase().ends_with(".crate") => of_file(file),
        ["1", name] if name.len() == 1 => list(name),
        ["2", name] if name.len() == 2 => list(name),
        ["3", first, name] if name.len() == 3 && name.starts_with(first) => list(name),
        [one, two, name] if lies_at(name, one, two) => list(name),
        _ => Wanted::Other,
    }
}

fn lies_at(name: &str, one: &str, two: &str) -> bool {
    one.len() == 2 && two.len() == 2 && name.strip_prefix(one).is_some_and(|it| it.starts_with(two))
}

fn list(name: &str) -> Wanted {
    Wanted::List(canonical(Ecosystem::Cargo, name))
}

/// Where the list of a crate may be: its canonical name does not tell `-` from `_`.
pub(super) fn list_paths(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if name.contains('-') {
        names.push(name.replace('-', "_"));
    }
    names.iter().filter_map(|name| place(name)).collect()
}

fn place(name: &str) -> Option<String> {
    match name.len() {
        0 => None,
        1 | 2 => Some(format!("/{}/{name}", name.len())),
        3 => Some(format!("/3/{}/{name}", name.get(..1)?)),
        _ => Some(format!("/{}/{}/{name}", name.get(..2)?, name.get(2..4)?)),
    }
}

/// No name holds a `.`, every version does: it begins behind the last `-` before the first `.`.
fn of_file(file: &str) -> Wanted {
    let stem = file.get(..file.len().saturating_sub(".crate".len())).unwrap_or_default();
    let dot = stem.find('.').unwrap_or(stem.len());
    let split = stem.get(..dot).and_then(|head| head.rfind('-'));
    match split.map(|at| stem.split_at(at)) {
        Some((name, version)) if !name.is_empty() => {
            Wanted::Release(release(Ecosystem::Cargo, name, version.trim_start_matches('-')))
        }
        Some(_) | None => Wanted::Unknown,
    }
}

pub(super) fn filter(
    name: &str,
    body: &[u8],
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    let text = std::str::from_utf8(body).map_err(|_| ListError::Shape("not UTF-8"))?;
    let mut filtered = Filtered { body: Vec::new(), kept: 0, removed: Vec::new() };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let entry: Value =
            serde_json::from_str(line).map_err(|_| ListError::Shape("a line is no JSON"))?;
        let text = |key| entry.get(key).and_then(Value::as_str);
        let (Some(found), Some(version)) = (text("name"), text("vers")) else {
            return Err(ListError::Shape("a line without `name` or `vers`"));
        };
        if canonical(Ecosystem::Cargo, found) != name {
            return Err(ListError::Name { asked: name.to_owned(), found: found.to_owned() });
        }
        let listed = Listed {
            name: name.to_owned(),
            version: version.to_owned(),
            at_ms: text("pubtime").and_then(moment),
            file: None,
        };
        match keep(&listed) {
            Keep::Yes => {
                filtered.kept += 1;
                filtered.body.extend_from_slice(line.as_bytes());
                filtered.body.push(b'\n');
            }
            Keep::No => filtered.removed.push(version.to_owned()),
        }
    }
    Ok(filtered)
}
