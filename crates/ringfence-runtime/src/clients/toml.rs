//! TOML, as Codex writes it: changed in single places, with everything else and all comments kept.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, TableLike, value};

use super::Entry;
use super::entry::{KEPT_ASIDE, is_consumed};
use super::json::Instead;

/// The table that has the servers.
const SERVERS: &str = "mcp_servers";

/// The servers that a text tells of.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let document = read(text)?;
    let Some(servers) = document.get(SERVERS) else { return Ok(Vec::new()) };
    let servers = servers.as_table_like().ok_or(format!("`{SERVERS}` is no table"))?;
    let entry = |(name, item): (&str, &Item)| Entry {
        name: name.to_owned(),
        project: None,
        said: as_json(item),
    };
    Ok(servers.iter().map(entry).collect())
}

/// The text with other entries in the place of some.
pub(super) fn with(text: &str, instead: &[(&Entry, Instead)]) -> Result<String, String> {
    let mut document = read(text)?;
    let servers = document.get_mut(SERVERS).and_then(Item::as_table_like_mut);
    let servers = servers.ok_or(format!("`{SERVERS}` is no table"))?;
    for (entry, instead) in instead {
        let one = servers.get_mut(&entry.name).and_then(Item::as_table_like_mut);
        let one: &mut dyn TableLike = one.ok_or("an entry is gone")?;
        let names: Vec<String> = one.iter().map(|(name, _)| name.to_owned()).collect();
        let goes = |name: &&String| is_consumed(name) && !KEPT_ASIDE.contains(&name.as_str());
        for name in names.iter().filter(goes) {
            if name != "command" && name != "args" {
                one.remove(name);
            }
        }
        one.insert("command", value(&instead.program));
        one.insert("args", value(instead.args.iter().collect::<Array>()));
    }
    Ok(document.to_string())
}

/// The text with some of its entries as they stand in another; none has a project.
pub(super) fn with_those_of(
    text: &str,
    other: &str,
    entries: &[(&str, Option<&str>)],
) -> Result<String, String> {
    let (mut document, other) = (read(text)?, read(other)?);
    let no_table = || format!("`{SERVERS}` is no table");
    let others = other.get(SERVERS).and_then(Item::as_table_like).ok_or_else(no_table)?;
    let servers = document.get_mut(SERVERS).and_then(Item::as_table_like_mut);
    let servers = servers.ok_or_else(no_table)?;
    for (name, _) in entries {
        let mut as_it_was = others.get(name).ok_or("an entry was not there")?.clone();
        let now = servers.get_mut(name).ok_or("an entry is gone")?;
        // Where it stands among others is as it is now.
        if let (Some(was), Some(now)) = (as_it_was.as_table_mut(), now.as_table()) {
            was.set_position(now.position());
            *was.decor_mut() = now.decor().clone();
        }
        *now = as_it_was;
    }
    Ok(document.to_string())
}

fn read(text: &str) -> Result<DocumentMut, String> {
    text.parse()
        .map_err(|error: toml_edit::TomlError| format!("it is no TOML: {}", error.message()))
}

fn as_json(item: &Item) -> Value {
    if let Some(table) = item.as_table_like() {
        let members = table.iter().map(|(name, item)| (name.to_owned(), as_json(item)));
        return Value::Object(members.collect::<Map<_, _>>());
    }
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => Value::from(text.value().as_str()),
        Some(toml_edit::Value::Integer(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Float(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Boolean(is)) => Value::from(*is.value()),
        Some(toml_edit::Value::Array(all)) => {
            all.iter().map(|one| as_json(&Item::Value(one.clone()))).collect()
        }
        Some(toml_edit::Value::Datetime(_) | toml_edit::Value::InlineTable(_)) | None => {
            Value::Null
        }
    }
}
