//! What the client of a session cannot know, because its server's revision is newer, in words that it knows.
//!
//! Clients pass over members that they do not know, so these stay; kinds of content that they do not know fail the whole
//! result, so what is of such a kind is told as text.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::edit::{self, Change};
use super::super::frame::{Members, quoted, string};
use super::super::revision::Revision;
use super::asker::SAMPLING;
use super::{Called, Middle};

/// Kinds of content that the first revision does not have, and which has them first.
const AUDIO: (&str, Revision) = ("audio", Revision::V2025_03_26);
const LINK: (&str, Revision) = ("resource_link", Revision::V2025_06_18);

/// The first revision in which a result may have structured content.
const STRUCTURED: Revision = Revision::V2025_06_18;

/// The first revision with tasks, and in which one message of sampling may have several contents.
const TASKS: Revision = Revision::V2025_11_25;

/// What servers tell since then.
const TOLD: [&str; 2] = ["notifications/elicitation/complete", "notifications/tasks/status"];

/// What no text has.
const GONE: [&str; 8] =
    ["data", "mimeType", "uri", "name", "title", "description", "size", "icons"];

impl Middle {
    /// The revision that the client of the session speaks.
    pub(super) fn speaks(&self) -> Option<Revision> {
        self.session.as_ref()?.revision
    }

    /// Whether a notification is of a later revision than the session's: its client would not know it.
    pub(super) fn is_later_than_session(&self, method: &str) -> bool {
        TOLD.contains(&method) && self.speaks().is_some_and(|it| it < TASKS)
    }

    /// A result as the client of the session can read it; `None` where it can as it stands.
    pub(super) fn in_words_of_session(&self, what: &Called, result: &str) -> Option<String> {
        let revision = self.speaks().filter(|it| *it < STRUCTURED)?;
        match what {
            Called::Tool(_) => tool_result(revision, result),
            Called::Method(method) if method == "prompts/get" => messages(revision, result),
            Called::Method(_) => None,
        }
    }

    /// The parameters of what a server asks as the client of the session can read them; `None` where it can as they stand.
    pub(super) fn question_for_session(&self, method: &str, params: &str) -> Option<String> {
        let revision = self.speaks().filter(|it| *it < TASKS)?;
        if method == SAMPLING { messages(revision, params) } else { None }
    }
}

/// What a server says of itself, to a client of this revision.
pub(super) fn hello(revision: Revision, said: &str) -> String {
    let members = Members::of(said);
    let get = |name: &str| members.as_ref().and_then(|all| all.get(name));
    if get("protocolVersion").and_then(string).is_some_and(|it| it == revision.name()) {
        return said.to_owned();
    }
    let mut changes = vec![("protocolVersion", Some(quoted(revision.name())))];
    if revision < TASKS
        && let Some(can) = get("capabilities")
    {
        changes.push(("capabilities", Some(edit::object(Some(can), &[("tasks", None)]))));
    }
    edit::object(Some(said), &changes)
}

/// The result of a tool; structured content is told as text where there is nothing else.
fn tool_result(revision: Revision, result: &str) -> Option<String> {
    let members = Members::of(result)?;
    let content = members.get("content");
    let has_none =
        |raw: &str| serde_json::from_str(raw).is_ok_and(|all: Vec<Value>| all.is_empty());
    let new = match members.get("structuredContent") {
        Some(structured) if content.is_none_or(has_none) => {
            format!(r#"[{{"type":"text","text":{}}}]"#, quoted(structured))
        }
        Some(_) | None => each(content?, |item| block(revision, item))?,
    };
    Some(edit::object(Some(result), &[("content", Some(new))]))
}

/// The messages of a prompt or of what a model is asked.
fn messages(revision: Revision, raw: &str) -> Option<String> {
    let new = each(Members::of(raw)?.get("messages")?, |item| message(revision, item))?;
    Some(edit::object(Some(raw), &[("messages", Some(new))]))
}

/// One message; one of several contents becomes several, with commas between.
fn message(revision: Revision, raw: &str) -> Option<String> {
    let members = Members::of(raw)?;
    let content = members.get("content")?;
    let with = |content: String| edit::object(Some(raw), &[("content", Some(content))]);
    if revision >= TASKS || !content.starts_with('[') {
        return block(revision, content).map(with);
    }
    let all: Vec<&RawValue> = serde_json::from_str(content).ok()?;
    let all = all.iter().map(|it| it.get());
    let all = all.map(|it| with(block(revision, it).unwrap_or_else(|| it.to_owned())));
    Some(all.collect::<Vec<String>>().join(","))
}

/// A list with some of its items replaced; `None` where none had to be.
fn each(raw: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    let new: Vec<Option<String>> = items.iter().map(|item| change(item.get())).collect();
    if new.iter().all(Option::is_none) {
        return None;
    }
    let all = items.iter().zip(&new).map(|(item, new)| new.as_deref().unwrap_or(item.get()));
    Some(format!("[{}]", all.filter(|it| !it.is_empty()).collect::<Vec<&str>>().join(",")))
}

/// Content as text, where it is of a kind that this revision does not have.
fn block(revision: Revision, raw: &str) -> Option<String> {
    let members = Members::of(raw)?;
    let get = |name: &str| members.get(name).and_then(string);
    let kind = get("type")?;
    let is_later = |(name, since): (&str, Revision)| kind == name && revision < since;
    let mime = get("mimeType").map_or_else(String::new, |it| format!(" ({it})"));
    let told = if is_later(AUDIO) {
        format!("[audio{mime}, which MCP {revision} cannot carry]")
    } else if is_later(LINK) {
        let said: Vec<_> = ["title", "name", "description"].into_iter().filter_map(get).collect();
        format!("[resource {}{mime}] {}", get("uri").unwrap_or_default(), said.join(", "))
    } else {
        return None;
    };
    let gone = GONE.map(|name| (name, None));
    let text = [("type", Some(quoted("text"))), ("text", Some(quoted(&told)))];
    let changes: Vec<Change<'_>> = text.into_iter().chain(gone).collect();
    Some(edit::object(Some(raw), &changes))
}
