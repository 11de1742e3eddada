//! What servers answer to the question whether they begin.

use serde_json::{Value, json};

use super::super::super::frame::{
    Answer, INTERNAL_ERROR, INVALID_PARAMS, Members, Message, UNSUPPORTED_REVISION,
};
use super::super::super::revision::Revision;
use super::super::string;

/// What an answer to `server/discover` says.
pub(super) enum Discovery {
    Modern(Box<Value>, String),
    Older,
    Unusable(String),
}

pub(super) fn discovery(message: &Message, answer: &Answer) -> Discovery {
    let modern = Revision::V2026_07_28.name();
    let has = |list: Option<&Value>, fits: &dyn Fn(&str) -> bool| {
        let all = list.and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).any(fits)
    };
    match answer {
        Answer::Result(at) => {
            let said = message.part(at);
            let value: Value = serde_json::from_str(said).unwrap_or_default();
            if has(value.get("supportedVersions"), &|version| version == modern) {
                return Discovery::Modern(Box::new(value), said.to_owned());
            }
            Discovery::Older
        }
        Answer::Error(at) => {
            let error: Value = serde_json::from_str(message.part(at)).unwrap_or_default();
            if error.get("code").and_then(Value::as_i64) != Some(UNSUPPORTED_REVISION) {
                return Discovery::Older;
            }
            // It is of a later era; whether it is of an earlier one as well, it says.
            let has_sessions =
                |version: &str| version.parse::<Revision>().is_ok_and(Revision::has_sessions);
            if has(error.pointer("/data/supported"), &has_sessions) {
                return Discovery::Older;
            }
            Discovery::Unusable(message.part(at).to_owned())
        }
    }
}

/// An answer that says which revision, and one that is spoken here; else the error that the client gets.
pub(in super::super) fn usable(text: &str) -> Result<(Value, String), String> {
    let wrong = |why: &str| Err(json!({"code": INTERNAL_ERROR, "message": why}).to_string());
    let Ok(value) = serde_json::from_str::<Value>(text) else { return wrong("no JSON") };
    let version = Members::of(text).and_then(|all| all.get("protocolVersion").and_then(string));
    match version.as_deref().map(str::parse::<Revision>) {
        Some(Ok(revision)) if revision.has_sessions() => Ok((value, text.to_owned())),
        Some(Ok(other)) => {
            wrong(&format!("the revision `{other}` does not begin with `initialize`"))
        }
        Some(Err(other)) => {
            wrong(&format!("the server speaks the revision `{other}`, which is not known here"))
        }
        None => wrong("the server does not say which revision it speaks"),
    }
}

/// The revision to begin with, of those that were not `tried`, where a server has refused one by this error: the newest
/// that it says it speaks; else the newest that there is, if it may be older than all that is new.
pub(super) fn another(error: &str, tried: &[Revision], is_older: bool) -> Option<Revision> {
    let error: Value = serde_json::from_str(error).ok()?;
    let all = Revision::ALL.into_iter().rev().filter(|it| it.has_sessions());
    let mut left = all.filter(|it| !tried.contains(it));
    if let Some(spoken) = error.pointer("/data/supported").and_then(Value::as_array) {
        return left.find(|it| spoken.iter().any(|name| name == it.name()));
    }
    let code = error.get("code").and_then(Value::as_i64);
    let is_of_revision = [Some(INVALID_PARAMS), Some(UNSUPPORTED_REVISION)].contains(&code);
    left.next().filter(|_| is_older && is_of_revision)
}
