//! Tools that are pinned by nobody unseen: what can be taken for another is looked at by a person first.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_runtime::servers::{Pinned, REMARKS_MAX, Remark, Server, Unusable, digest};
use ringfence_runtime::wording::printable;
use serde_json::{Value, json};

use super::permitted::Permitted;
use crate::render::text;
use crate::screen::Screen;

/// What is remarked on a tool that an agent may take for another. One that is called as another server's is none: of
/// several servers each tool is called by its server's name as well.
const SHADOWS: &[&str] = &["looks-like", "mixes-letters", "names-other-tool"];

/// Most tools that are named as unusable; a server with more has another fault.
const UNUSABLE_LINES_MAX: usize = 10;

/// Most columns of the name of one.
const UNUSABLE_NAME_COLUMNS: usize = 64;

/// What is remarked on a tool that speaks to the agent past the person, or hides what it says.
const HIDES: &[&str] = &[
    "asks-for-more",
    "control-character",
    "hidden-text",
    "hides-from-user",
    "names-secrets",
    "overrides",
    "sends-away",
    "speaks-to-model",
    "terminal-escape",
    "too-much",
];

/// Tools that were not pinned, since nobody has looked at them.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// They can be taken for other tools.
    shadows: BTreeSet<String>,
    /// They say something to the agent past the person, and would be called without a question.
    hide: BTreeSet<String>,
    /// They are of a server with so many remarks that not all were made.
    unread: BTreeSet<String>,
}

impl Unseen {
    /// Each with the reason, for programs.
    pub(super) fn as_json(&self) -> Value {
        let of = |tools: &BTreeSet<String>, why: &str| -> Vec<Value> {
            tools.iter().map(|tool| json!({"tool": tool, "why": why})).collect()
        };
        let mut all = of(&self.shadows, "can-be-taken-for-another");
        all.extend(of(&self.hide, "hidden-instructions"));
        all.extend(of(&self.unread, "too-many-remarks"));
        Value::Array(all)
    }
}

/// The server without the tools that can be taken for others, and without those that speak to the agent past the person and
/// that a rule permits without a question; but with those that are pinned just so. Which are left out.
pub(super) fn without(
    mut server: Server,
    (remarks, permitted): (&[Remark], &Permitted),
    before: Option<&Server>,
) -> (Server, Unseen) {
    let (mut shadows, mut hide) = (BTreeSet::new(), BTreeSet::new());
    for remark in remarks {
        if SHADOWS.contains(&remark.rule) {
            shadows.extend(remark.tool.clone());
        }
        // Which of two that look alike was there first does not show.
        if remark.rule == "looks-like" && server.file.tools.contains_key(&remark.text) {
            shadows.insert(remark.text.clone());
        }
        if HIDES.contains(&remark.rule) {
            hide.extend(remark.tool.clone().filter(|tool| permitted.has(tool)));
        }
    }
    let none = BTreeMap::new();
    let pinned: &BTreeMap<String, Pinned> = before.map_or(&none, |it| &it.file.tools);
    let is_as_before = |name: &String, tool: &Pinned| {
        pinned.get(name).is_some_and(|it| digest(&it.definition) == digest(&tool.definition))
    };
    let is_seen: BTreeSet<String> = server
        .file
        .tools
        .iter()
        .filter(|(name, tool)| is_as_before(name, tool))
        .map(|(name, _)| name.clone())
        .collect();
    shadows.retain(|name| !is_seen.contains(name) && server.file.tools.contains_key(name));
    hide.retain(|name| !is_seen.contains(name) && !shadows.contains(name));
    let mut unread = BTreeSet::new();
    if remarks.len() >= REMARKS_MAX {
        let is_told = |name: &&String| !shadows.contains(*name) && !hide.contains(*name);
        let all = server.file.tools.keys().filter(|name| !is_seen.contains(*name));
        unread.extend(all.filter(is_told).cloned());
    }
    for name in shadows.iter().chain(&hide).chain(&unread) {
        // What a person has looked at stays: the other definition is a change of it, neither shown nor called.
        match pinned.get(name) {
            Some(old) => drop(server.file.tools.insert(name.clone(), old.clone())),
            None => drop(server.file.tools.remove(name)),
        }
    }
    (server, Unseen { shadows, hide, unread })
}

/// Says which they are, and how a person looks at them.
pub(super) fn tell((server, is_of_project): (&Server, bool), left: &Unseen, screen: &Screen) {
    let warn = |tools: &BTreeSet<String>, why: &str| {
        if tools.is_empty() {
            return;
        }
        let names: Vec<String> = tools.iter().map(|it| format!("`{}`", printable(it))).collect();
        screen.warn(&format!(
            "not pinned, since each {why} and nobody has looked at it: {}",
            names.join(", ")
        ));
    };
    warn(&left.shadows, "can be taken for another tool");
    warn(&left.hide, "speaks to the agent past you, is permitted without a question,");
    warn(&left.unread, "is of a server with more to look at than was listed");
    if left.shadows.is_empty() && left.hide.is_empty() && left.unread.is_empty() {
        return;
    }
    let name = &server.name;
    let project = if is_of_project { " --project" } else { "" };
    screen.hint(&format!(
        "to look at them, run `ringfence mcp inspect {name} --diff`; to pin them, `ringfence mcp add {name}{project}` at a \
         terminal without `--yes`"
    ));
}

/// Says which tools of a server cannot be pinned at all, each with its reason.
pub(super) fn warn_of_unusable(all: &BTreeMap<String, Unusable>, screen: &Screen) {
    if all.is_empty() {
        return;
    }
    let tools = text::count(all.len(), "tool", "tools");
    screen.warn(&format!("{tools} left out, not pinned, and so neither shown nor called"));
    for line in unusable_lines(all) {
        screen.note(&line);
    }
}

/// The same as lines for a person.
pub(super) fn unusable_lines(all: &BTreeMap<String, Unusable>) -> Vec<String> {
    let line = |(name, it): (&String, &Unusable)| {
        let name = text::fit(&printable(name), UNUSABLE_NAME_COLUMNS);
        format!("  {name}: {}", printable(&it.why))
    };
    let mut lines: Vec<String> = all.iter().take(UNUSABLE_LINES_MAX).map(line).collect();
    if let more @ 1.. = all.len().saturating_sub(UNUSABLE_LINES_MAX) {
        lines.push(format!("  and {more} more, which `--json` has"));
    }
    lines
}
