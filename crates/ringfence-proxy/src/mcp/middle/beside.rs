//! What a request of the client has beside that which is decided about. A server may read it; so it is recorded with a
//! call, and does not go with what nobody decides.

use std::ops::Range;

use super::super::frame::{Members, Message};

/// Members of a request.
const REQUEST: &[&str] = &["jsonrpc", "id", "method", "params"];

/// What this revision or another has in `_meta` of requests; `NAMESPACE` stands before the others.
const META: &[&str] = &["progressToken", "traceparent", "tracestate"];
const NAMESPACE: &str = "io.modelcontextprotocol/";

/// Most members that are named, and the most characters of each.
const NAMES_MAX: usize = 16;
const NAME_CHARS_MAX: usize = 64;

/// What is known of the parameters of a method of which not all is decided about.
fn known(method: &str) -> Option<&'static [&'static str]> {
    match method {
        "tools/call" => {
            Some(&["name", "arguments", "task", "inputResponses", "requestState", "_meta"])
        }
        "prompts/get" => Some(&["name", "arguments", "inputResponses", "requestState", "_meta"]),
        "resources/read" => Some(&["uri", "inputResponses", "requestState", "_meta"]),
        "resources/subscribe" | "resources/unsubscribe" => Some(&["uri", "_meta"]),
        "completion/complete" => Some(&["ref", "argument", "_meta"]),
        _ => None,
    }
}

/// The names of what a request has that no rule sees: `top`, `params.x`, `_meta.x`; at most 16, and of each 64 characters.
pub(super) fn beside(
    message: &Message,
    (method, params): (&str, Option<&Range<usize>>),
) -> Vec<String> {
    let mut found = Vec::new();
    add(Members::of(message.text()), "", &mut found, |name| REQUEST.contains(&name));
    let params = params.and_then(|at| Members::of(message.part(at)));
    if let (Some(known), Some(params)) = (known(method), params) {
        let meta = params.get("_meta").and_then(Members::of);
        add(Some(params), "params.", &mut found, |name| known.contains(&name));
        add(meta, "_meta.", &mut found, |name| META.contains(&name) || name.starts_with(NAMESPACE));
    }
    found.truncate(NAMES_MAX);
    found
}

/// The same of a request that nobody decides about, which has these parameters besides `_meta`.
pub(super) fn beyond(
    message: &Message,
    (params, own): (Option<&Range<usize>>, &[&str]),
) -> Vec<String> {
    let mut found = Vec::new();
    add(Members::of(message.text()), "", &mut found, |name| REQUEST.contains(&name));
    let params = params.and_then(|at| Members::of(message.part(at)));
    add(params, "params.", &mut found, |name| name == "_meta" || own.contains(&name));
    found.truncate(NAMES_MAX);
    found
}

fn add(
    members: Option<Members<'_>>,
    before: &str,
    found: &mut Vec<String>,
    is_known: impl Fn(&str) -> bool,
) {
    let Some(members) = members else { return };
    let odd = members.iter().map(|(name, _)| name).filter(|name| !is_known(name));
    found.extend(odd.take(NAMES_MAX).map(|name| {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        format!("{before}{name}")
    }));
}
