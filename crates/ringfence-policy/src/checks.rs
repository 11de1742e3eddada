//! What Cedar's validator does not know: our annotations, spellings, approvals and file rules.
#![expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]

use cedar_policy::pst::{self, BinaryOp, Clause, Expr, UnaryOp, Var};
use miette::SourceSpan;
use ringfence_core::{AbsolutePath, Action, Endpoint, Host};

use crate::FsDynamic;
use crate::engine::group;
use crate::handling;
use crate::load::{Draft, Page};
use crate::problem::{Problem, nearest_word};
use crate::rule::{Approvable, Effect, Fallible, Rule, Scope};
use crate::tree::{body, context_attribute, entities, mentions_approvals, mentions_state, walk};
use crate::validation::did_you_mean;

/// Annotations that carry what does not decide; any other is refused.
const ANNOTATIONS: [&str; 8] =
    ["id", "reason", "source", "redact", "block", "record", "inject", "severity"];

/// Which way an expression may move when approvals are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// It may only become true.
    Up,
    /// It may only become false.
    Down,
}

/// All that is wrong with one rule.
pub(crate) fn rule(page: &Page, draft: &Draft) -> Vec<Problem> {
    let mut problems = annotations(page, draft);
    for uid in entities(&draft.rule.tree) {
        if let Some((message, hint)) = misspelt(uid) {
            let span = find(page, draft.span, uid.eid.as_str());
            problems.push(page.problem(span, message, Some(hint)));
        }
    }
    if !monotone(&draft.rule) {
        let message = "more approvals could turn this rule against the act";
        let hint = "ask for presence only: `context.approvals.contains(\"ROLE\")` in a permit's \
                    `when` or a forbid's `unless`, `context.approver_count >= N`";
        let span = find(page, draft.span, "context.approv");
        problems.push(page.problem(span, message, Some(hint.to_owned())));
    }
    if names_a_group(&draft.rule.tree.action) {
        let message = "no act has this action: a group is matched with `in`";
        let hint = Some("write `action in Action::\"fs\"` or name one action".to_owned());
        problems.push(page.problem(find(page, draft.span, "Action::"), message, hint));
    }
    problems
}

/// Whether the head asks for a group itself, which no act ever is.
fn names_a_group(constraint: &pst::ActionConstraint) -> bool {
    let is_group = |uid: &pst::EntityUID| {
        Action::ALL.into_iter().any(|action| group(action).is_some_and(|name| uid.eid == name))
    };
    match constraint {
        pst::ActionConstraint::Eq(uid) => is_group(uid),
        pst::ActionConstraint::Any | pst::ActionConstraint::In(_) => false,
    }
}

/// Whether approvals occur in a rule.
pub(crate) fn approvable(tree: &pst::Template) -> Approvable {
    if tree.clauses().iter().any(|clause| mentions_approvals(body(clause))) {
        Approvable::Yes
    } else {
        Approvable::No
    }
}

/// Whether evaluating a rule can err although it was validated: overflow is found only then.
pub(crate) fn fallible(tree: &pst::Template) -> Fallible {
    let mut found = false;
    for clause in tree.clauses() {
        walk(body(clause), &mut |part| {
            found |= match part {
                Expr::UnaryOp { op: UnaryOp::Not | UnaryOp::IsEmpty, .. } => false,
                Expr::UnaryOp { .. } => true,
                Expr::BinaryOp { op, .. } => !is_total(*op),
                _ => false,
            };
        });
    }
    if found { Fallible::Yes } else { Fallible::No }
}

fn is_total(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Greater
            | BinaryOp::GreaterEq
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::In
            | BinaryOp::Contains
            | BinaryOp::ContainsAll
            | BinaryOp::ContainsAny
    )
}

/// The span of the first `text` in a rule, or the whole rule.
pub(crate) fn find(page: &Page, span: SourceSpan, text: &str) -> SourceSpan {
    let whole = page.text.get(span.offset()..span.offset() + span.len()).unwrap_or("");
    match whole.find(text) {
        Some(at) => (span.offset() + at, text.len()).into(),
        None => span,
    }
}

/// Rules on files whose conditions look at the state of things: what people answer is asked when a file
/// is opened, anything else would have to be asked all the time.
pub(crate) fn dynamic_files(page: &Page, drafts: &[Draft], allowed: FsDynamic) -> Vec<Problem> {
    if allowed == FsDynamic::Allowed {
        return Vec::new();
    }
    let on_files = |rule: &Rule| rule.actions.iter().any(|&action| is_file_action(action));
    drafts
        .iter()
        .filter(|draft| on_files(&draft.rule))
        .filter(|Draft { rule, .. }| {
            rule.tree.clauses().iter().any(|clause| mentions_state(body(clause)))
        })
        .map(|Draft { rule, span }| {
            let count = match rule.effect {
                Effect::Permit => 1,
                Effect::Forbid => drafts.iter().filter(|other| grants(rule, &other.rule)).count(),
            };
            let plural = if count == 1 { "" } else { "s" };
            let message = format!("this rule makes {count} file grant{plural} dynamic");
            let hint = "a rule on files may ask for approvals; limit one that looks at anything else \
                        to `exec` and `net.connect`, or set `[fs] dynamic = true` in settings.toml \
                        and lose these grants";
            page.problem(find(page, *span, "context."), message, Some(hint.to_owned()))
        })
        .collect()
}

/// Whether `other` permits files that the forbid `rule` may concern.
fn grants(rule: &Rule, other: &Rule) -> bool {
    let shared = |action| is_file_action(action) && other.applies_to(action);
    other.effect == Effect::Permit
        && rule.actions.iter().any(|&action| shared(action))
        && overlap(rule.scope(), other.scope())
}

/// Whether two scopes can hold the same file.
pub(crate) fn overlap(left: Scope<'_>, right: Scope<'_>) -> bool {
    let path = |uid: &pst::EntityUID| AbsolutePath::parse(uid.eid.as_str()).ok();
    match (left, right) {
        (Scope::Anything, _) | (_, Scope::Anything) => true,
        (
            Scope::Within(left) | Scope::Exactly(left),
            Scope::Within(right) | Scope::Exactly(right),
        ) => match (path(left), path(right)) {
            (Some(left), Some(right)) => left.is_within(&right) || right.is_within(&left),
            _ => true,
        },
    }
}

pub(crate) fn is_file_action(action: Action) -> bool {
    match action {
        Action::FsRead | Action::FsWrite | Action::FsDelete => true,
        Action::Exec
        | Action::NetConnect
        | Action::NetRequest
        | Action::SecretUse
        | Action::ToolCall => false,
    }
}

fn annotations(page: &Page, draft: &Draft) -> Vec<Problem> {
    let unknown = draft.rule.annotations.keys().filter(|key| !ANNOTATIONS.contains(&key.as_str()));
    let mut problems: Vec<Problem> = unknown
        .map(|key| {
            let hint = did_you_mean(nearest_word(key, ANNOTATIONS), &ANNOTATIONS);
            let span = find(page, draft.span, &format!("@{key}"));
            page.problem(span, format!("unknown annotation `@{key}`"), Some(hint))
        })
        .collect();
    if draft.rule.place.id.trim().is_empty() {
        let hint = Some("name the rule: `@id(\"no-push\")`".to_owned());
        problems.push(page.problem(find(page, draft.span, "@id"), "the id is empty", hint));
    }
    problems.extend(handling::problems(page, draft));
    problems
}

/// Why an entity can never be met, and what was probably meant.
fn misspelt(uid: &pst::EntityUID) -> Option<(String, String)> {
    let text = uid.eid.as_str();
    let canonical = match uid.ty.0.id.as_str() {
        "Dir" | "Path" | "Program" | "Socket" => match AbsolutePath::parse(text) {
            Ok(path) => path.to_string(),
            Err(error) => {
                return Some((error.to_string(), "write the whole path, from `/`".to_owned()));
            }
        },
        "Domain" => match Host::parse(text.trim_start_matches(['*', '.'])) {
            Ok(Host::Name(name)) => name,
            Ok(Host::Address(_)) => {
                let hint = "name the address with its port: `Endpoint::\"ADDRESS:PORT\"`";
                return Some((format!("`{text}` is an address, not a domain"), hint.to_owned()));
            }
            Err(error) => return Some((error.to_string(), "write a name: `example.com`".into())),
        },
        "Endpoint" => match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => {
                return Some((error.to_string(), "write `Endpoint::\"example.com:443\"`".into()));
            }
        },
        _ => return None,
    };
    if canonical == text {
        return None;
    }
    let ty = &uid.ty;
    Some((
        format!("`{ty}::\"{text}\"` can never match: it is not in canonical form"),
        format!("write `{ty}::\"{canonical}\"`"),
    ))
}

/// Whether more approvals can only help the act.
fn monotone(rule: &Rule) -> bool {
    let wanted = match rule.effect {
        Effect::Permit => Direction::Up,
        Effect::Forbid => Direction::Down,
    };
    rule.tree.clauses().iter().all(|clause| match clause {
        Clause::When(expr) => moves(expr, wanted),
        Clause::Unless(expr) => moves(expr, wanted.reverse()),
    })
}

impl Direction {
    fn reverse(self) -> Direction {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }
}

/// Whether `expr` can only move in `direction` when approvals are added.
fn moves(expr: &Expr, direction: Direction) -> bool {
    if !mentions_approvals(expr) && !bare_context(expr) {
        return true;
    }
    match expr {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => moves(expr, direction.reverse()),
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            moves(left, direction) && moves(right, direction)
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            !mentions_approvals(cond)
                && !bare_context(cond)
                && moves(then_expr, direction)
                && moves(else_expr, direction)
        }
        Expr::BinaryOp { op, left, right } => atom(*op, left, right) == Some(direction),
        _ => false,
    }
}

/// Where a comparison of approvals moves; `None` where it cannot be told.
pub(crate) fn atom(op: BinaryOp, left: &Expr, right: &Expr) -> Option<Direction> {
    let approvals = |expr: &Expr| context_attribute(expr) == Some("approvals");
    let people = |expr: &Expr| context_attribute(expr) == Some("approver_count");
    let free = |expr: &Expr| !mentions_approvals(expr) && !bare_context(expr);
    match op {
        BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny
            if approvals(left) && free(right) =>
        {
            Some(Direction::Up)
        }
        BinaryOp::ContainsAny if free(left) && approvals(right) => Some(Direction::Up),
        BinaryOp::Greater | BinaryOp::GreaterEq if people(left) && free(right) => {
            Some(Direction::Up)
        }
        BinaryOp::Less | BinaryOp::LessEq if free(left) && people(right) => Some(Direction::Up),
        BinaryOp::Less | BinaryOp::LessEq if people(left) && free(right) => Some(Direction::Down),
        BinaryOp::Greater | BinaryOp::GreaterEq if free(left) && people(right) => {
            Some(Direction::Down)
        }
        _ => None,
    }
}

/// Whether the context is used as a whole, approvals included: compared or put into a set.
fn bare_context(expr: &Expr) -> bool {
    match expr {
        Expr::Var(Var::Context) => true,
        Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } => {
            **expr != Expr::Var(Var::Context) && bare_context(expr)
        }
        Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => bare_context(expr),
        Expr::BinaryOp { left, right, .. } => bare_context(left) || bare_context(right),
        Expr::Is { expr, in_expr, .. } => {
            bare_context(expr) || in_expr.as_ref().is_some_and(|within| bare_context(within))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            bare_context(cond) || bare_context(then_expr) || bare_context(else_expr)
        }
        Expr::Set(items) => items.iter().any(|item| bare_context(item)),
        Expr::Record(fields) => fields.values().any(|field| bare_context(field)),
        _ => false,
    }
}
