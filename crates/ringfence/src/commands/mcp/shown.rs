//! Servers and what is to be said of them, as a person and a program read it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::{LookError, LookFailed};
use ringfence_runtime::clients::{covered_address, covered_words};
use ringfence_runtime::servers::{
    Difference, Pinned, REMARKS_MAX, Remark, Said, Server, Unusable, digest,
};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::wording::{printable, shell_word};
use serde_json::{Value, json};

use super::again;
use super::unseen::unusable_lines;
use crate::exit::Message;
use crate::render::text;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Most columns of what a server says of a tool.
const DESCRIPTION_COLUMNS: usize = 76;

/// Most columns of what is pointed at.
const REMARK_COLUMNS: usize = 160;

/// How a server differs from what is pinned, tool by tool.
pub(super) fn changes(server: &Server, said: &Said, differences: &[Difference]) -> String {
    let instructions = "what it says to agents".to_owned();
    let lines = |it: Option<&Value>| match it {
        Some(Value::String(text)) => whole_lines(text),
        Some(value) => pretty(value),
        None => String::new(),
    };
    let mut out = String::new();
    for difference in differences {
        let (what, name) = match difference {
            Difference::New(name) => ("new", name),
            Difference::Changed(name) => ("changed", name),
            Difference::Gone(name) => ("gone", name),
            Difference::Twice(name) => ("told of twice", name),
            Difference::Instructions => ("changed", &instructions),
        };
        let _ = writeln!(out, "{what}: {}", printable(name));
        let (old, new) = before_and_now(server, said, difference);
        let change = unified(name, &lines(old.as_ref()), &lines(new.as_ref()));
        for line in change.lines().skip(2) {
            let _ = writeln!(out, "  {}", printable(line));
        }
    }
    out
}

/// What was pinned of something that differs, and what is said of it now.
fn before_and_now(
    server: &Server,
    said: &Said,
    difference: &Difference,
) -> (Option<Value>, Option<Value>) {
    let before = |name: &String| server.file.tools.get(name).map(|it| it.definition.clone());
    let now = |name: &String| said.tools.iter().find(|it| it["name"] == **name).cloned();
    match difference {
        Difference::New(name) => (None, now(name)),
        Difference::Changed(name) => (before(name), now(name)),
        Difference::Gone(name) => (before(name), None),
        Difference::Twice(_) => (None, None),
        Difference::Instructions => {
            let text = |it: &Option<String>| it.clone().map(Value::from);
            (text(&server.file.instructions), text(&said.instructions))
        }
    }
}

/// The same for programs: each with what was pinned and what is said now, whole.
pub(super) fn differences_as_json(
    server: &Server,
    said: &Said,
    differences: &[Difference],
) -> Value {
    let one = |difference: &Difference| {
        let (before, now) = before_and_now(server, said, difference);
        let mut one = json!(difference);
        if let Some(members) = one.as_object_mut() {
            members.insert("before".to_owned(), json!(before));
            members.insert("now".to_owned(), json!(now));
        }
        one
    };
    differences.iter().map(one).collect()
}

/// A text of lines that all end, as a diff wants it.
fn whole_lines(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

/// A server's tools, for a person who decides about them.
pub(super) fn shown(server: &Server) -> String {
    let mut out = format!("{}: {}\n", server.name, covered_command(server));
    if let Some(instructions) = &server.file.instructions {
        out.push_str("  it says to agents\n");
        for line in instructions.lines() {
            let _ = writeln!(out, "    | {}", printable(line));
        }
    }
    for (name, pinned) in &server.file.tools {
        let described = pinned.definition.get("description").and_then(Value::as_str);
        let first = described.unwrap_or_default().lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {}", printable(name));
        if !first.is_empty() {
            let _ = writeln!(out, "    {}", text::fit(&printable(first), DESCRIPTION_COLUMNS));
        }
        for (argument, role) in &pinned.roles {
            let _ = writeln!(out, "    {}: {role}", printable(&argument.to_string()));
        }
    }
    if !server.file.unusable.is_empty() {
        out.push_str("left out, neither shown nor called:\n");
        for line in unusable_lines(&server.file.unusable) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// The text of a server's file in two: what starts it, and what it said of itself when it was pinned. One that cannot be
/// read is all of the first.
pub(super) fn in_two(text: &str) -> (String, String) {
    let Ok(Value::Object(mut starts)) = serde_json::from_str(text) else {
        return (text.to_owned(), String::new());
    };
    let mut said = serde_json::Map::new();
    for name in ["instructions", "tools", "unusable"] {
        said.extend(starts.remove(name).map(|value| (name.to_owned(), value)));
    }
    (pretty(&Value::Object(starts)), pretty(&Value::Object(said)))
}

/// How a person agrees to what a server is now.
pub(super) fn how_to_pin(name: &ServerName) -> String {
    format!("to pin what it is now, run `{}`", again::command(name))
}

/// What starts a server, or its address, to be seen: what of it looks like a secret is covered.
pub(super) fn covered_command(server: &Server) -> String {
    let url = server.file.url.as_ref().map(|url| printable(&covered_address(url)));
    url.unwrap_or_else(|| words(&covered_words(&server.file.command)))
}

fn words(all: &[String]) -> String {
    let word = |word: &String| shell_word(word).unwrap_or_else(|| printable(word));
    all.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A server that could not be looked at, with what it printed last.
pub(super) fn not_looked_at(failed: &LookFailed) -> Message {
    let message = Message::new(why(failed));
    failed.said.iter().fold(message, |message, line| message.detail(format!("| {line}")))
}

/// Why it could not be, beside the lines that it printed last.
pub(super) fn why(failed: &LookFailed) -> String {
    if matches!(failed.why, LookError::Ended(_)) && !failed.said.is_empty() {
        return "the server ended before it said what it has".to_owned();
    }
    failed.why.to_string()
}

/// What a person should look at before they say yes.
pub(super) fn pointed_at(remarks: &[Remark]) -> String {
    if remarks.is_empty() {
        return String::new();
    }
    let mut out = String::from("look at this:\n");
    for remark in remarks {
        let Remark { tool, place, rule, text } = remark;
        let tool = tool.as_ref().map_or_else(String::new, |it| format!("{}, ", printable(it)));
        let text = text::fit(&printable(text), REMARK_COLUMNS);
        let text = if text.is_empty() { text } else { format!(": {text}") };
        let (place, says) = (printable(place), remark.says());
        let _ = writeln!(out, "  {tool}{place}: {says} ({rule}){text}");
    }
    let advice: BTreeSet<&str> = remarks.iter().map(Remark::advice).collect();
    for advice in advice {
        let _ = writeln!(out, "  {advice}");
    }
    if remarks.len() >= REMARKS_MAX {
        out.push_str("  and more of that\n");
    }
    out
}

pub(super) fn as_json(server: &Server, remarks: &[Remark]) -> Value {
    let tool = |(name, pinned): (&String, &Pinned)| json!({"name": name, "sha256": digest(&pinned.definition), "roles": pinned.roles});
    let unusable = |(name, it): (&String, &Unusable)| json!({"name": name, "sha256": it.sha256, "why": it.why});
    json!({
        "schema": SCHEMA,
        "name": server.name,
        "command": server.file.command,
        "url": server.file.url,
        "error": server.is_left_out(),
        "instructions": server.file.instructions,
        "tools": server.file.tools.iter().map(tool).collect::<Vec<_>>(),
        "unusable": server.file.unusable.iter().map(unusable).collect::<Vec<_>>(),
        "remarks": remarks,
    })
}
