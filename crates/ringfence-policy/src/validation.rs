//! Cedar's own errors, said in the words of this project.

use cedar_policy::{ParseError, PolicySet, ValidationError};
use miette::{Diagnostic, SourceSpan};

use crate::load::{Page, place_of};
use crate::problem::{Problem, nearest_word};

/// Entity types a policy on acts may name.
const ENTITY_TYPES: [&str; 9] =
    ["Agent", "Dir", "Path", "Program", "Domain", "Endpoint", "Socket", "Secret", "Action"];

/// Actions and groups a policy may name.
const ACTIONS: [&str; 9] = [
    "exec",
    "fs",
    "fs.read",
    "fs.write",
    "fs.delete",
    "net",
    "net.connect",
    "net.request",
    "secret.use",
];

/// Everything that can be asked of the context, with its path.
const CONTEXT: [&str; 19] = [
    "clock",
    "approvals",
    "approver_count",
    "session",
    "argv",
    "subcommand",
    "flags",
    "cwd",
    "opaque",
    "method",
    "path",
    "query",
    "query_names",
    "headers",
    "size",
    "findings",
    "scheme",
    "host",
    "port",
];

/// Attributes of resources and of the clock.
const ATTRIBUTES: [&str; 9] =
    ["path", "name", "port", "host", "weekday", "hour", "minute", "date", "zone"];

/// A text that does not parse.
pub(crate) fn parse_problem(page: &Page, error: &ParseError) -> Problem {
    let hint = error.help().map(|help| help.to_string());
    let label = error.labels().and_then(|mut labels| labels.next());
    let wanted = label.and_then(|label| label.label().map(str::to_owned));
    let message = plain(&error.to_string());
    page.problem(place_of(error), message, hint.or(wanted))
}

/// A text that parses and is not a policy over our vocabulary.
pub(crate) fn problem(page: &Page, set: &PolicySet, error: &ValidationError) -> Problem {
    let full = error.to_string();
    let text = without_rule(&full);
    let mut span = place_of(error);
    if span.is_empty() {
        span = whole_rule(set, &full);
    }
    let (message, hint) = reworded(text);
    let hint = hint.or_else(|| error.help().map(|help| without_rule(&help.to_string()).to_owned()));
    page.problem(span, plain(&message), hint)
}

/// Cedar's text without the rule's internal name.
fn without_rule(text: &str) -> &str {
    let rest = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
    rest.map_or(text, |(_, text)| text)
}

fn whole_rule(set: &PolicySet, text: &str) -> SourceSpan {
    let id = text.split('`').nth(1).unwrap_or("");
    let policy = set.policies().find(|policy| policy.id().to_string() == id);
    let loc = policy.and_then(|policy| policy.as_ref().loc().map(|loc| loc.span));
    loc.unwrap_or_else(|| (0, 0).into())
}

fn reworded(text: &str) -> (String, Option<String>) {
    let quoted = text.split('`').nth(1).unwrap_or("");
    if text.starts_with("unrecognized action") {
        let action = quoted.split('"').nth(1).unwrap_or(quoted);
        let near = nearest_word(action, ACTIONS);
        return (format!("unknown action `{action}`"), Some(did_you_mean(near, &ACTIONS)));
    }
    if text.starts_with("unrecognized entity type") {
        let near = nearest_word(quoted, ENTITY_TYPES);
        let hint = did_you_mean(near, &ENTITY_TYPES);
        return (format!("unknown entity type `{quoted}`"), Some(hint));
    }
    if text.starts_with("attribute ") && text.ends_with(" not found") {
        let known: &[&str] = if text.contains("context") { &CONTEXT } else { &ATTRIBUTES };
        let near = nearest_word(quoted, known.iter().copied());
        if near == Some(quoted) {
            // One error per action that lacks it; all say the same and are reported once.
            let hint = "name the action or type that has it, in the rule's head or with `is`";
            let message = format!("not every act of this rule has the attribute `{quoted}`");
            return (message, Some(hint.to_owned()));
        }
        let hint = did_you_mean(near, known);
        return (format!("unknown {}", text.trim_end_matches(" not found")), Some(hint));
    }
    (text.to_owned(), None)
}

pub(crate) fn did_you_mean(near: Option<&str>, all: &[&str]) -> String {
    match near {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known are `{}`", all.join("`, `")),
    }
}

/// One line, starting in lower case, without a full stop.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or("").trim_end_matches('.');
    line.to_owned()
}
