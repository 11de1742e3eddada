//! PyPI: the list of a project, as JSON (PEP 691) or HTML (PEP 503), and its files.

use ringfence_core::Ecosystem;
use serde_json::{Map, Value};

use super::registry::Wanted;
use super::{Filtered, Keep, ListError, Listed, canonical, moment, release};

/// The list as JSON, which says when each file was uploaded (PEP 700).
pub(super) const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// What source archives may be called.
const ARCHIVES: [&str; 7] = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".egg"];

/// What stands beside a file: its metadata (PEP 658), its signature.
const BESIDE: [&str; 3] = [".metadata", ".asc", ".provenance"];

/// What a path below an index is for: `/PROJECT/` is a list, a file is known by its ending.
pub(super) fn wanted(path: &str) -> Wanted {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.last().copied().unwrap_or_default();
    let file = beside(last);
    match (named(file), segments.as_slice()) {
        (Named::No, [name] | [name, ""]) if !name.is_empty() => {
            Wanted::List(canonical(Ecosystem::Pypi, name))
        }
        (Named::No, _) => Wanted::Other,
        (Named::As(name, version), _) => Wanted::Release(release(Ecosystem::Pypi, name, version)),
        (Named::Unclear, _) => Wanted::Unknown,
    }
}

/// The file that something stands beside; the same where it is a file itself.
pub(super) fn beside(place: &str) -> &str {
    BESIDE.iter().find_map(|ending| place.strip_suffix(ending)).unwrap_or(place)
}

/// What a file's name says.
enum Named<'a> {
    /// It is no release's.
    No,
    /// Project and version.
    As(&'a str, &'a str),
    /// Where the project's name ends cannot be told.
    Unclear,
}

fn named(file: &str) -> Named<'_> {
    if let Some(stem) = file.strip_suffix(".whl") {
        // name-version(-build)?-python-abi-platform (PEP 427)
        return match stem.split('-').collect::<Vec<_>>().as_slice() {
            [name, version, _, _, _] | [name, version, _, _, _, _] => Named::As(name, version),
            _ => Named::Unclear,
        };
    }
    let lower = file.to_ascii_lowercase();
    let Some(ending) = ARCHIVES.iter().find(|ending| lower.ends_with(**ending)) else {
        // Written in capitals, it may still be a wheel to somebody.
        return if lower.rsplit('.').next() == Some("whl") { Named::Unclear } else { Named::No };
    };
    // Since PEP 625 neither part holds a `-`; before, both could.
    let stem = file.get(..file.len() - ending.len()).unwrap_or_default();
    match stem.split('-').collect::<Vec<_>>().as_slice() {
        [name, version] if !name.is_empty() && !version.is_empty() => Named::As(name, version),
        _ => Named::Unclear,
    }
}

/// The version of a file of a project whose name is known.
fn version_of(file: &str, project: &str) -> Option<String> {
    match named(file) {
        Named::As(name, version) if canonical(Ecosystem::Pypi, name) == project => {
            Some(version.to_owned())
        }
        Named::As(..) | Named::No => None,
        Named::Unclear => {
            let mut ends = file.rmatch_indices('-').map(|(at, _)| at);
            let rest = ends.find_map(|at| {
                let name = file.get(..at)?;
                (canonical(Ecosystem::Pypi, name) == project).then(|| file.get(at + 1..))?
            })?;
            let stem = ARCHIVES.iter().find_map(|ending| rest.strip_suffix(ending));
            stem.map(str::to_owned)
        }
    }
}

pub(super) fn filter(
    name: &str,
    (content_type, body): (&str, &[u8]),
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        JSON | "application/json" => of_json(name, body, keep),
        "text/html" | "application/vnd.pypi.simple.v1+html" => of_html(name, body, keep),
        _ => Err(ListError::Type(kind)),
    }
}

fn of_json(
    name: &str,
    body: &[u8],
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    let mut list: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| ListError::Shape("no JSON object"))?;
    let found = list.get("name").and_then(Value::as_str).unwrap_or_default();
    if canonical(Ecosystem::Pypi, found) != name {
        return Err(ListError::Name { asked: name.to_owned(), found: found.to_owned() });
    }
    let Some(Value::Array(files)) = list.get_mut("files") else {
        return Err(ListError::Shape("no `files`"));
    };
    let (mut left, mut removed) = (Vec::new(), Vec::new());
    files.retain(|file| {
        let text = |key: &str| file.get(key).and_then(Value::as_str);
        let listed = Listed {
            name: name.to_owned(),
            version: text("filename").and_then(|file| version_of(file, name)).unwrap_or_default(),
            at_ms: text("upload-time").and_then(moment),
            file: text("url").map(str::to_owned),
        };
        let stays = keep(&listed) == Keep::Yes;
        let kind = if stays { &mut left } else { &mut removed };
        if !kind.contains(&listed.version) {
            kind.push(listed.version);
        }
        stays
    });
    let kept = files.len();
    if let Some(Value::Array(versions)) = list.get_mut("versions") {
        versions.retain(|version| {
            let gone = version.as_str().is_some_and(|it| removed.iter().any(|gone| gone == it));
            !gone || version.as_str().is_some_and(|it| left.iter().any(|stays| stays == it))
        });
    }
    let body = serde_json::to_vec(&list).map_err(|_| ListError::Shape("not to be written"))?;
    Ok(Filtered { body, kept, removed })
}

/// Anchors are taken out one by one; what is no anchor stays.
fn of_html(
    name: &str,
    body: &[u8],
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    let text = std::str::from_utf8(body).map_err(|_| ListError::Shape("not UTF-8"))?;
    let mut filtered = Filtered { body: Vec::new(), kept: 0, removed: Vec::new() };
    // Letters are replaced one for one, so that places stay the same.
    let lower = text.to_ascii_lowercase();
    let mut at = 0;
    while let Some(start) = lower.get(at..).and_then(|rest| rest.find("<a")).map(|it| at + it) {
        let end = lower.get(start..).and_then(|anchor| anchor.find("</a>"));
        let end = end.ok_or(ListError::Shape("an anchor without an end"))? + start + "</a>".len();
        let (before, anchor) = (text.get(at..start), text.get(start..end));
        filtered.body.extend_from_slice(before.unwrap_or_default().as_bytes());
        let anchor = anchor.unwrap_or_default();
        let listed = listed(name, anchor)?;
        if keep(&listed) == Keep::Yes {
            filtered.kept += 1;
            filtered.body.extend_from_slice(anchor.as_bytes());
        } else if !filtered.removed.contains(&listed.version) {
            filtered.removed.push(listed.version);
        }
        at = end;
    }
    filtered.body.extend_from_slice(text.get(at..).unwrap_or_default().as_bytes());
    Ok(filtered)
}

fn listed(name: &str, anchor: &str) -> Result<Listed, ListError> {
    let address = attribute(anchor, "href").ok_or(ListError::Shape("an anchor without `href`"))?;
    let path = address.split(['#', '?']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    Ok(Listed {
        name: name.to_owned(),
        version: version_of(&file.replace("%2B", "+").replace("%2b", "+"), name)
            .unwrap_or_default(),
        at_ms: None,
        file: Some(address),
    })
}

/// The value of an attribute of an element.
fn attribute(element: &str, name: &str) -> Option<String> {
    let at = element.to_ascii_lowercase().find(&format!("{name}="))? + name.len() + 1;
    let value = element.get(at..)?;
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let value = match quote {
        Some(quote) => value.get(1..)?.split(quote).next()?,
        None => value.split_ascii_whitespace().next()?,
    };
    Some(value.replace("&amp;", "&").replace("&#43;", "+"))
}
