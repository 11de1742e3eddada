//! npm: the full list of a package (a "packument"), and tarballs.

use ringfence_core::Ecosystem;
use semver::Version;
use serde_json::{Map, Value};

use super::registry::Wanted;
use super::{Filtered, Keep, ListError, Listed, canonical, moment, release};

/// What a path below a registry's place is for.
///
/// `/NAME`, `/@SCOPE/NAME` or `/@SCOPE%2FNAME` is a list, `/NAME/-/FILE-VERSION.tgz` a file.
pub(super) fn wanted(path: &str) -> Wanted {
    let path = path.replace("%2F", "/");
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (name, rest) = match segments.as_slice() {
        [scope, name, rest @ ..] if scope.starts_with('@') => (format!("{scope}/{name}"), rest),
        [name, rest @ ..] => ((*name).to_owned(), rest),
        [] => return Wanted::Other,
    };
    let bare = name.rsplit('/').next().unwrap_or(&name);
    match rest {
        // `/-/ping` and the like are the registry's own.
        _ if name.is_empty() || name == "-" => other(&path),
        [] | [""] => Wanted::List(canonical(Ecosystem::Npm, &name)),
        ["-", file] => match file.strip_suffix(".tgz").and_then(|file| version(file, bare)) {
            Some(version) => Wanted::Release(release(Ecosystem::Npm, &name, version)),
            None => other(&path),
        },
        _ => other(&path),
    }
}

/// A tarball at a place of which nothing is known is some release, of no known name.
fn other(path: &str) -> Wanted {
    if path.to_ascii_lowercase().ends_with(".tgz") || path.to_ascii_lowercase().ends_with(".tar.gz")
    {
        Wanted::Unknown
    } else {
        Wanted::Other
    }
}

fn version<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.strip_prefix(name)?.strip_prefix('-').filter(|version| !version.is_empty())
}

pub(super) fn filter(
    name: &str,
    body: &[u8],
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    let mut list: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| ListError::Shape("no JSON object"))?;
    let found = list.get("name").and_then(Value::as_str).unwrap_or_default();
    if canonical(Ecosystem::Npm, found) != name {
        return Err(ListError::Name { asked: name.to_owned(), found: found.to_owned() });
    }
    let times = list.get("time").and_then(Value::as_object).cloned().unwrap_or_default();
    let Some(Value::Object(versions)) = list.get_mut("versions") else {
        return Err(ListError::Shape("no `versions`"));
    };
    let mut removed = Vec::new();
    versions.retain(|version, about| {
        let listed = Listed {
            name: name.to_owned(),
            version: version.clone(),
            at_ms: times.get(version).and_then(Value::as_str).and_then(moment),
            file: about.pointer("/dist/tarball").and_then(Value::as_str).map(str::to_owned),
        };
        let stays = keep(&listed) == Keep::Yes;
        if !stays {
            removed.push(version.clone());
        }
        stays
    });
    let kept = versions.len();
    let newest = newest(versions.keys());
    if let Some(Value::Object(times)) = list.get_mut("time") {
        times.retain(|version, _| !removed.contains(version));
    }
    if let Some(Value::Object(tags)) = list.get_mut("dist-tags") {
        tags.retain(|_, version| !is_one_of(version, &removed));
        if let (false, Some(newest)) = (tags.contains_key("latest"), newest) {
            tags.insert("latest".to_owned(), Value::String(newest));
        }
    }
    let body = serde_json::to_vec(&list).map_err(|_| ListError::Shape("not to be written"))?;
    Ok(Filtered { body, kept, removed })
}

fn is_one_of(version: &Value, removed: &[String]) -> bool {
    version.as_str().is_some_and(|version| removed.iter().any(|gone| gone == version))
}

/// The newest release that is not a preview, or the newest preview.
fn newest<'a>(versions: impl Iterator<Item = &'a String>) -> Option<String> {
    let parsed = versions.filter_map(|text| Some((Version::parse(text).ok()?, text)));
    let newest = parsed.max_by(|(one, _), (other, _)| {
        (one.pre.is_empty(), one).cmp(&(other.pre.is_empty(), other))
    });
    newest.map(|(_, text)| text.clone())
}
