//! Cedar's own errors, said in the words of this project.

use cedar_policy::{ParseError, PolicySet, ValidationError};
use miette::{Diagnostic, SourceSpan};

use ringfence_core::ToolShape;

use crate::load::{Page, place_of};
use crate::problem::{Problem, nearest_word};
use crate::tools::{ARGUMENTS, OF_ALL_TOOLS};

/// Entity types a policy on acts may name.
const ENTITY_TYPES: [&str; 12] = [
    "Agent",
    "AgentKind",
    "Dir",
    "Path",
    "Program",
    "Domain",
    "Endpoint",
    "Socket",
    "Secret",
    "Server",
    "Tool",
    "Action",
];

/// Actions and groups a policy may name.
const ACTIONS: [&str; 10] = [
    "exec",
    "fs",
    "fs.read",
    "fs.write",
    "fs.delete",
    "net",
    "net.connect",
    "net.request",
    "secret.use",
    "tool.call",
];

/// What the context of every act has.
const CONTEXT: [&str; 4] = ["clock", "approvals", "approver_count", "session"];

/// What it has besides, by action.
const CONTEXT_OF: [(&str, &[&str]); 3] = [
    ("exec", &["argv", "subcommand", "flags", "cwd", "opaque"]),
    (
        "net.request",
        &[
            "method",
            "path",
            "query",
            "query_names",
            "headers",
            "size",
            "findings",
            "scheme",
            "package",
        ],
    ),
    ("secret.use", &["host", "port", "method", "path"]),
];

/// Attributes of what the context has.
const CLOCK: [&str; 5] = ["weekday", "hour", "minute", "date", "zone"];
const PACKAGE: [&str; 4] = ["ecosystem", "name", "version", "age_hours"];

/// Attributes of resources, by type; the others have none.
const OF_FILES: [&str; 2] = ["path", "name"];
const OF_ENDPOINTS: [&str; 2] = ["port", "host"];

/// A text that does not parse.
pub(crate) fn parse_problem(page: &Page, error: &ParseError) -> Problem {
    let hint = error.help().map(|help| help.to_string());
    let label = error.labels().and_then(|mut labels| labels.next());
    let wanted = label.and_then(|label| label.label().map(str::to_owned));
    let message = plain(&error.to_string());
    let place = place_of(error);
    let is_shell = page.text.get(place.offset()..).is_some_and(|rest| rest.starts_with('#'));
    let comment = is_shell.then(|| "a comment begins with `//`".to_owned());
    page.problem(place, message, comment.or(hint).or(wanted))
}

/// A text that parses and is not a policy over our vocabulary.
pub(crate) fn problem(
    page: &Page,
    (set, tools): (&PolicySet, &[ToolShape]),
    error: &ValidationError,
) -> Problem {
    let full = error.to_string();
    let text = without_rule(&full);
    let mut span = place_of(error);
    if span.is_empty() {
        span = whole_rule(set, &full);
    }
    let (message, hint) = reworded(text, tools);
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

fn reworded(text: &str, tools: &[ToolShape]) -> (String, Option<String>) {
    let quoted = text.split('`').nth(1).unwrap_or("");
    if text.starts_with("unrecognized action") {
        let action = quoted.split('"').nth(1).unwrap_or(quoted);
        return unknown_action(action, tools);
    }
    if text.starts_with("unrecognized entity type") {
        let near = nearest_word(quoted, ENTITY_TYPES);
        let hint = did_you_mean(near, &ENTITY_TYPES);
        return (format!("unknown entity type `{quoted}`"), Some(hint));
    }
    if text.starts_with("attribute ") && text.ends_with(" not found") {
        return unknown_attribute(text, quoted, tools);
    }
    (text.to_owned(), None)
}

/// An action that is none, or a tool that is not pinned.
fn unknown_action(action: &str, tools: &[ToolShape]) -> (String, Option<String>) {
    if !action.contains('/') {
        let near = nearest_word(action, ACTIONS);
        return (format!("unknown action `{action}`"), Some(did_you_mean(near, &ACTIONS)));
    }
    let known: Vec<&str> = tools.iter().map(|shape| shape.tool.as_str()).collect();
    let hint = match nearest_word(action, known.iter().copied()) {
        Some(near) => did_you_mean(Some(near), &known),
        None => "to pin the tools of a server, run `ringfence mcp add NAME -- COMMAND`".to_owned(),
    };
    (format!("no tool `{action}` is pinned"), Some(hint))
}

/// An attribute that an act or a type does not have, by Cedar's text about it.
fn unknown_attribute(text: &str, quoted: &str, tools: &[ToolShape]) -> (String, Option<String>) {
    // `attribute `package.age` in context for Action::"net.request" not found`
    let (of, name) = quoted.rsplit_once('.').unwrap_or(("", quoted));
    let in_context = text.contains(" in context ");
    if in_context && of.is_empty() && some_context_has(name) {
        // One error per action that lacks it; all say the same and are reported once.
        let hint = "name the action or type that has it, in the rule's head or with `is`";
        let message = format!("not every act of this rule has the attribute `{name}`");
        return (message, Some(hint.to_owned()));
    }
    let has_it = |shape: &ToolShape| shape.arguments.contains_key(name);
    if in_context && of == ARGUMENTS && tools.iter().any(has_it) {
        let hint = "name the tool that has it: `action == Action::\"SERVER/TOOL\"`";
        let message = format!("not every tool of this rule has the argument `{name}`");
        return (message, Some(hint.to_owned()));
    }
    let known: Vec<&str> = match of {
        _ if !in_context => attributes_of_type(text),
        "" => context_of(text),
        "clock" => CLOCK.to_vec(),
        "package" => PACKAGE.to_vec(),
        ARGUMENTS => arguments_of(text, tools),
        _ => Vec::new(),
    };
    // `age` is rather `age_hours` than `name`.
    let longer = known.iter().copied().find(|it| name.len() > 2 && it.contains(name));
    let near = longer.or_else(|| nearest_word(name, known.iter().copied()));
    let hint = match (known.as_slice(), near) {
        ([], _) => "it has no attributes".to_owned(),
        (_, Some(near)) => format!("{} {}", did_you_mean(Some(near), &known), there_are(&known)),
        (_, None) => there_are(&known),
    };
    (format!("unknown {}", text.trim_end_matches(" not found")), Some(hint))
}

/// The arguments of the tool that a text names, as `Action::"files/read_file"`.
fn arguments_of<'a>(text: &str, tools: &'a [ToolShape]) -> Vec<&'a str> {
    let action = text.split('"').nth(1).unwrap_or("");
    let shape = tools.iter().find(|shape| shape.tool.as_str() == action);
    shape.into_iter().flat_map(|shape| shape.arguments.keys().map(String::as_str)).collect()
}

fn there_are(known: &[&str]) -> String {
    format!("there are `{}`", known.join("`, `"))
}

fn some_context_has(name: &str) -> bool {
    CONTEXT.contains(&name)
        || OF_ALL_TOOLS.contains(&name)
        || CONTEXT_OF.iter().any(|(_, names)| names.contains(&name))
}

/// What the context of the act has that a text names, as `Action::"exec"`.
fn context_of(text: &str) -> Vec<&'static str> {
    let action = text.split('"').nth(1).unwrap_or("");
    let of_tools: &[&str] = if action.contains('/') { &OF_ALL_TOOLS } else { &[] };
    let own = CONTEXT_OF.iter().find(|(name, _)| *name == action).map_or(of_tools, |(_, own)| own);
    own.iter().chain(&CONTEXT).copied().collect()
}

/// What the type has that a text names, as `on entity type `Path``.
fn attributes_of_type(text: &str) -> Vec<&'static str> {
    match text.split('`').nth(3).unwrap_or("") {
        "Path" | "Program" | "Socket" => OF_FILES.to_vec(),
        "Endpoint" => OF_ENDPOINTS.to_vec(),
        _ => Vec::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::SCHEMA;

    /// The names that a block of the schema declares.
    fn declared(from: &str) -> Vec<&'static str> {
        let block = SCHEMA.split_once(from).unwrap().1;
        let block = block.split_once("context:").filter(|_| from.starts_with("action"));
        let block = block.map_or_else(|| SCHEMA.split_once(from).unwrap().1, |(_, rest)| rest);
        let block = block.split_once('{').unwrap().1.split_once('}').unwrap().0;
        let lines = block.lines().filter(|line| !line.trim_start().starts_with("//"));
        let fields = lines.flat_map(|line| line.split(','));
        fields
            .filter_map(|field| Some(field.split_once(':')?.0.trim().trim_end_matches('?')))
            .collect()
    }

    #[test]
    fn hints_name_every_attribute_that_the_schema_has() {
        for (action, own) in CONTEXT_OF {
            let all: Vec<&str> = CONTEXT.iter().chain(own).copied().collect();
            assert_eq!(declared(&format!("action \"{action}\" ")), all, "{action}");
        }
        assert_eq!(declared("type Facts"), CONTEXT);
        assert_eq!(declared("type Clock"), CLOCK);
        assert_eq!(declared("type Package"), PACKAGE);
        for name in ["Path", "Program", "Socket"] {
            assert_eq!(declared(&format!("entity {name} ")), OF_FILES, "{name}");
        }
        assert_eq!(declared("entity Endpoint"), OF_ENDPOINTS);
    }
}
