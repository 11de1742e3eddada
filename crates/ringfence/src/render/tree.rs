//! The processes of a session as the lines of a tree.

use std::collections::{HashMap, HashSet};

use ringfence_runtime::view::{SessionView, Span};

/// Deepest level that is still indented; what lies deeper stays at that level.
const DEPTH_MAX: usize = 12;

/// One line of the tree.
#[derive(Debug)]
pub struct Node<'a> {
    /// The branches before it: `│  └─ `.
    pub branch: String,
    /// The branches before what is said beneath it: `│     `.
    pub beneath: String,
    /// The process.
    pub span: &'a Span,
}

/// The lines in order: each process after its parent, children in order of their start.
pub fn lines(view: &SessionView) -> Vec<Node<'_>> {
    let shown: Vec<&Span> = shown(view);
    let names: HashSet<&str> = shown.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: HashMap<Option<&str>, Vec<&Span>> = HashMap::new();
    for span in shown {
        let parent = span.parent_span.as_deref().filter(|parent| names.contains(parent));
        children.entry(parent).or_default().push(span);
    }
    let mut out = Vec::new();
    let roots = children.remove(&None).unwrap_or_default();
    // A process of its own at the top has no branch; `ancestors` says where lines go on.
    let mut stack: Vec<(&Span, Vec<Follows>)> =
        roots.into_iter().rev().map(|span| (span, Vec::new())).collect();
    while let Some((span, level)) = stack.pop() {
        let below = children.remove(&Some(span.span_id.as_str())).unwrap_or_default();
        let (own, beneath) = (branch(&level), beneath(&level, &below));
        out.push(Node { branch: own, beneath, span });
        let last = below.len().saturating_sub(1);
        for (at, child) in below.into_iter().enumerate().rev() {
            let mut level = level.clone();
            level.push(if at == last { Follows::Nothing } else { Follows::Sibling });
            stack.push((child, level));
        }
    }
    out
}

/// What follows a line on its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Sibling,
    Nothing,
}

fn branch(level: &[Follows]) -> String {
    let mut text = String::new();
    let hidden = level.len().saturating_sub(DEPTH_MAX);
    let level = level.get(hidden..).unwrap_or_default();
    for (at, follows) in level.iter().enumerate() {
        let is_own = at + 1 == level.len();
        text.push_str(match (follows, is_own) {
            (Follows::Sibling, true) => "├─ ",
            (Follows::Nothing, true) => "└─ ",
            (Follows::Sibling, false) => "│  ",
            (Follows::Nothing, false) => "   ",
        });
    }
    text
}

/// The branches of the lines under a process, before its first child.
fn beneath(level: &[Follows], children: &[&Span]) -> String {
    let hidden = level.len().saturating_sub(DEPTH_MAX);
    let level = level.get(hidden..).unwrap_or_default();
    let above: String = level
        .iter()
        .map(|follows| match follows {
            Follows::Sibling => "│  ",
            Follows::Nothing => "   ",
        })
        .collect();
    above + if children.is_empty() { "   " } else { "│  " }
}

/// The processes worth a line: not a program that did nothing but exec another one, and not a
/// forked process of which nothing but its end is known.
pub(super) fn shown(view: &SessionView) -> Vec<&Span> {
    let parents: HashSet<&str> =
        view.spans.iter().filter_map(|span| span.parent_span.as_deref()).collect();
    let replaced: HashSet<&str> =
        view.spans.iter().filter_map(|span| span.replaces.as_deref()).collect();
    let denied: HashSet<&str> =
        view.denials.iter().filter_map(|denial| denial.span.as_deref()).collect();
    let busy = |span: &Span| {
        let id = span.span_id.as_str();
        parents.contains(id)
            || denied.contains(id)
            || !span.fs_changes.is_empty()
            || !span.network_activity.connections.is_empty()
            || !span.network_activity.requests.is_empty()
    };
    let idle_kind = |span: &Span| span.forked || replaced.contains(span.span_id.as_str());
    view.spans.iter().filter(|span| !idle_kind(span) || busy(span)).collect()
}
