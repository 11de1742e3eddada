//! What came of a call, wherever its server says so: in the answer, or where it says that the task is over that it made
//! of it. That a task was made, how far it is, and that the server wants to know more, is no outcome.

use std::ops::Range;

use super::frame::{Answer, Kind, Members, Message, quoted, string};

/// What a message answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A call, or somebody who wants the result of its task (`tasks/result`).
    Call,
    /// Somebody who wants to know how far a task is (`tasks/get`), or has told it something.
    Task,
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    message: &'a Message,
    at: Range<usize>,
    form: Form,
    /// Whether it failed.
    pub failed: bool,
}

/// How it says what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In a list, as results do.
    Content,
    /// In a sentence, as errors of the protocol do.
    Error,
}

impl<'a> Outcome<'a> {
    /// What came of a call, if this message says it.
    pub fn of(message: &'a Message, of: Of) -> Option<Outcome<'a>> {
        let Kind::Response { answer, .. } = message.kind() else { return None };
        let (at, form, failed) = match (answer, of) {
            (Answer::Error(at), _) => (at.clone(), Form::Error, true),
            (Answer::Result(at), Of::Call) => {
                let (place, failed) = of_result(message.part(at))?;
                (within(at, &place), Form::Content, failed)
            }
            (Answer::Result(at), Of::Task) => {
                let (place, form, failed) = of_task(message.part(at))?;
                (within(at, &place), form, failed)
            }
        };
        Some(Outcome { message, at, form, failed })
    }

    /// It as it stands, without anything that is another each time.
    pub fn text(&self) -> &'a str {
        self.message.part(&self.at)
    }

    /// The message with a text more for whoever reads the answer: in the `content` of it, or in the `message` of an error,
    /// which is what clients of all revisions show. `None` where it has neither.
    pub fn with_more(&self, more: &str) -> Option<String> {
        let members = Members::of(self.text())?;
        if self.form == Form::Error {
            let said = string(members.get("message")?)?;
            let place = within(&self.at, &members.at("message")?);
            return Some(self.message.with(vec![(place, &quoted(&format!("{said}\n{more}")))]));
        }
        let content = members.get("content").filter(|raw| raw.starts_with('['))?;
        let list = within(&self.at, &members.at("content")?);
        let end = list.end.checked_sub(1)?;
        let is_empty = content.trim_start_matches('[').trim_start().starts_with(']');
        let comma = if is_empty { "" } else { "," };
        let item = format!(r#"{comma}{{"type":"text","text":{}}}"#, quoted(more));
        Some(self.message.with(vec![(end..end, &item)]))
    }
}

/// Where a result of a call has what came of it, and whether that is a failure.
fn of_result(result: &str) -> Option<(Range<usize>, bool)> {
    let Some(members) = Members::of(result) else { return Some((0..result.len(), false)) };
    // Who reads content reads it, whatever stands beside it.
    if members.get("content").is_none() {
        let kind = members.get("resultType").and_then(string);
        let task = members.get("task").and_then(Members::of);
        let is_task = task.is_some_and(|task| task.get("taskId").is_some());
        if is_task || matches!(kind.as_deref(), Some("task" | "input_required")) {
            return None;
        }
    }
    Some((0..result.len(), is_error(&members)))
}

/// The same of what says how far a task is.
fn of_task(result: &str) -> Option<(Range<usize>, Form, bool)> {
    let members = Members::of(result)?;
    let whole = |name: &str| {
        let has = members.get(name).is_some_and(|raw| raw.starts_with('{'));
        members.at(name).filter(|_| has)
    };
    match members.get("status").and_then(string).as_deref() {
        Some("working" | "input_required") => None,
        Some("completed") => {
            let inner = members.get("result").and_then(Members::of);
            // Of 2025-11-25 the result is asked for by itself.
            Some((whole("result")?, Form::Content, inner.as_ref().is_some_and(is_error)))
        }
        // The rest of it has times in it.
        Some("failed") => {
            Some((whole("error").or_else(|| members.at("status"))?, Form::Error, true))
        }
        Some(_) => Some((members.at("status")?, Form::Error, true)),
        // What a rule has put in the place of an answer.
        None => is_error(&members).then_some((0..result.len(), Form::Content, true)),
    }
}

fn is_error(members: &Members<'_>) -> bool {
    members.get("isError") == Some("true")
}

fn within(at: &Range<usize>, place: &Range<usize>) -> Range<usize> {
    at.start.saturating_add(place.start)..at.start.saturating_add(place.end)
}

#[cfg(test)]
mod tests;
