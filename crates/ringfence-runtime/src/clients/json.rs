//! JSON with comments and commas at ends, as editors write it: read by what it says, and changed in single places.

use std::collections::BTreeSet;
use std::ops::Range;

use ringfence_proxy::mcp::frame::Members;
use serde_json::{Map, Value};

use super::entry::{KEPT_ASIDE, is_consumed};
use super::{Client, Entry};

/// Deepest nesting that is read, in levels.
const DEPTH_MAX: usize = 100;

/// What is started in place of a server.
#[derive(Debug, Clone)]
pub(super) struct Instead {
    pub(super) program: String,
    pub(super) args: Vec<String>,
}

/// Where a file has servers: the object, in bytes of the text, and the project that they are for.
struct Place {
    at: Range<usize>,
    project: Option<String>,
}

/// The servers that a text tells of.
pub(super) fn entries(text: &str, member: &str) -> Result<Vec<Entry>, String> {
    let plain = plain(text);
    let mut all = Vec::new();
    for place in places(&plain, member)? {
        let raw = part(&plain, &place.at);
        for (name, value) in members(raw, "the servers")?.iter() {
            let said = serde_json::from_str(value).map_err(|error| error.to_string())?;
            all.push(Entry { name: name.to_owned(), project: place.project.clone(), said });
        }
    }
    Ok(all)
}

/// The text with other entries in the place of some, and the names of those that had comments.
pub(super) fn with(
    text: &str,
    member: &str,
    instead: &[(&Entry, Instead)],
    client: Client,
) -> Result<(String, Vec<String>), String> {
    let plain = plain(text);
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    let mut lose = Vec::new();
    for place in places(&plain, member)? {
        let of_place = members(part(&plain, &place.at), "the servers")?;
        for (entry, instead) in instead.iter().filter(|(entry, _)| entry.project == place.project) {
            let at = of_place.at(&entry.name).ok_or("an entry is gone")?;
            let at = shifted(&at, place.at.start);
            if part(text, &at) != part(&plain, &at) {
                lose.push(entry.name.clone());
            }
            let new = value(&entry.said, instead, client);
            changes.push((at.clone(), pretty(&new, indent_of(text, at.start))));
        }
    }
    changes.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut new = text.to_owned();
    for (at, with) in changes {
        new.replace_range(at, &with);
    }
    Ok((new, lose))
}

/// The text with some of its entries, by name and project, as they stand in another, byte for byte.
pub(super) fn with_those_of(
    text: &str,
    other: &str,
    (member, entries): (&str, &[(&str, Option<&str>)]),
) -> Result<String, String> {
    let (plain_text, plain_other) = (plain(text), plain(other));
    let mut changes = Vec::new();
    for entry in entries {
        let at = place_of(&plain_text, member, *entry)?.ok_or("an entry is gone")?;
        let from = place_of(&plain_other, member, *entry)?.ok_or("an entry was not there")?;
        changes.push((at, part(other, &from)));
    }
    changes.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut new = text.to_owned();
    for (at, with) in changes {
        new.replace_range(at, with);
    }
    Ok(new)
}

/// Where an entry stands, in bytes of the text.
fn place_of(
    plain: &str,
    member: &str,
    (name, project): (&str, Option<&str>),
) -> Result<Option<Range<usize>>, String> {
    let all = places(plain, member)?;
    let Some(place) = all.iter().find(|it| it.project.as_deref() == project) else {
        return Ok(None);
    };
    let of_place = members(part(plain, &place.at), "the servers")?;
    Ok(of_place.at(name).map(|at| shifted(&at, place.at.start)))
}

/// An entry with what starts it replaced; what the client says of it besides stays.
fn value(said: &Value, instead: &Instead, client: Client) -> Value {
    let mut new = Map::new();
    let had_type = said.get("type").is_some();
    if had_type || client == Client::Vscode {
        new.insert("type".to_owned(), Value::from("stdio"));
    }
    new.insert("command".to_owned(), Value::from(instead.program.as_str()));
    new.insert("args".to_owned(), Value::from(instead.args.clone()));
    let others = said.as_object().into_iter().flatten();
    for (name, value) in others.filter(|(name, _)| !is_consumed(name)) {
        new.insert(name.clone(), value.clone());
    }
    for name in KEPT_ASIDE {
        if let Some(value) = said.get(*name) {
            new.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(new)
}

/// JSON whose lines stand as far in as those around it.
fn pretty(value: &Value, indent: &str) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('\n', &format!("\n{indent}"))
}

/// The spaces that the line of a place begins with.
fn indent_of(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |end| end.saturating_add(1))..);
    let line = line.unwrap_or_default();
    let end = line.find(|letter| letter != ' ' && letter != '\t').unwrap_or(0);
    line.get(..end).unwrap_or_default()
}

/// Where servers are: in the file itself, and in each project that Claude Code keeps there.
fn places(plain: &str, member: &str) -> Result<Vec<Place>, String> {
    let mut all = Vec::new();
    let whole = members(plain, "the file")?;
    if let Some(at) = whole.at(member) {
        all.push(Place { at, project: None });
    }
    let Some(projects) = whole.at("projects") else { return Ok(all) };
    for (name, _) in members(part(plain, &projects), "the projects")?.iter() {
        let of_all = members(part(plain, &projects), "the projects")?;
        let Some(at) = of_all.at(name) else { continue };
        let at = shifted(&at, projects.start);
        let Some(of_one) = Members::of(part(plain, &at)) else { continue };
        if let Some(servers) = of_one.at(member) {
            all.push(Place { at: shifted(&servers, at.start), project: Some(name.to_owned()) });
        }
    }
    Ok(all)
}

/// The members of an object, each of which has a name of its own.
fn members<'a>(text: &'a str, what: &str) -> Result<Members<'a>, String> {
    let all = Members::of(text).ok_or_else(|| match serde_json::from_str::<Value>(text) {
        Ok(_) => format!("{what} are no object of JSON"),
        Err(error) => format!("it is no JSON: {error}"),
    })?;
    let mut names = BTreeSet::new();
    let twice = all.iter().find(|(name, _)| !names.insert((*name).to_owned()));
    if let Some((name, _)) = twice {
        return Err(format!("{what} have two members called `{name}`"));
    }
    Ok(all)
}

fn part<'a>(text: &'a str, at: &Range<usize>) -> &'a str {
    text.get(at.clone()).unwrap_or_default()
}

fn shifted(at: &Range<usize>, by: usize) -> Range<usize> {
    at.start.saturating_add(by)..at.end.saturating_add(by)
}

/// The same text with spaces where comments and commas at ends are, so that every other byte stays where it is.
fn plain(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    let mut comma: Option<usize> = None;
    // What stood before, but for spaces and comments: a comma ends nothing where there was nothing.
    let mut before = 0_u8;
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at).copied() {
        let next = bytes.get(at.saturating_add(1)).copied();
        let end = match (byte, next) {
            (b'"', _) => end_of_string(&bytes, at),
            (b'/', Some(b'/')) => blank(&mut bytes, at, |all, at| all.get(at) == Some(&b'\n')),
            (b'/', Some(b'*')) => blank(&mut bytes, at, ends_comment),
            _ => at.saturating_add(1),
        };
        match byte {
            b',' => comma = Some(at).filter(|_| !b"[{,".contains(&before)),
            b']' | b'}' => {
                if let Some(last) = comma.take().and_then(|at| bytes.get_mut(at)) {
                    *last = b' ';
                }
                depth = depth.saturating_sub(1);
            }
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                comma = None;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'/' if matches!(next, Some(b'/' | b'*')) => {}
            _ => comma = None,
        }
        let is_blank =
            byte.is_ascii_whitespace() || (byte == b'/' && matches!(next, Some(b'/' | b'*')));
        if !is_blank {
            before = byte;
        }
        if depth > DEPTH_MAX {
            // Nobody writes settings so; what is read of it is no JSON.
            return String::new();
        }
        at = end;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(1);
    while let Some(byte) = bytes.get(at) {
        at = at.saturating_add(1);
        match byte {
            b'"' => return at,
            b'\\' => at = at.saturating_add(1),
            _ => {}
        }
    }
    bytes.len()
}

/// Whether a comment that was begun by `/*` has ended before this byte.
fn ends_comment(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(2).and_then(|from| bytes.get(from..at)) == Some(b"*/".as_slice())
}

/// Makes spaces of all until `ends`; where that is.
fn blank(bytes: &mut [u8], start: usize, ends: impl Fn(&[u8], usize) -> bool) -> usize {
    let mut end = start.saturating_add(2);
    // The first two are not part of what may end it: `/*/` is no comment.
    if bytes.get(start.saturating_add(1)) == Some(&b'*') {
        end = end.saturating_add(2).min(bytes.len());
    }
    while end < bytes.len() && !ends(bytes, end) {
        end = end.saturating_add(1);
    }
    if let Some(all) = bytes.get_mut(start..end) {
        all.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    end
}
