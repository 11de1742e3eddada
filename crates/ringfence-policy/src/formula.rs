//! A rule's condition with the agent and the action known and the path not: what remains of it.
#![expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]

use std::collections::BTreeSet;

use cedar_policy::pst::{self, BinaryOp, Clause, Expr, Literal, PatternElem, UnaryOp, Var};
use ringfence_core::{AbsolutePath, Action};

use crate::checks::{Direction, atom};
use crate::engine::group;
use crate::kinds::{self, Kind};
use crate::nearest::shown;
use crate::rule::Rule;
use crate::tree::{mentions_approvals, resource_attribute};

/// A condition on a path, as far as it can be known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Formula {
    /// It holds or it does not.
    Known(Truth),
    /// The path is this directory or lies beneath it.
    Within(AbsolutePath),
    /// The path is exactly this.
    Is(AbsolutePath),
    /// All of these hold.
    All(Vec<Formula>),
    /// One of these holds.
    Any(Vec<Formula>),
    /// This does not hold.
    Not(Box<Formula>),
    /// It depends on approvals, and on nothing else: with all of them it holds.
    Approved,
    /// It depends on what is not known beforehand; the condition as text.
    Unknown(String),
}

/// Whether a rule is about this agent, by what it says of the principal alone.
pub(crate) fn is_about(rule: &Rule, (agent, kind): (&str, Kind)) -> Truth {
    let view = View { action: Action::ToolCall, agent, kind };
    view.principal(&rule.tree.principal).at(Spot::At(&AbsolutePath::root()))
}

/// For which moment a condition is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nobody has been asked.
    Unasked,
    /// Everybody has approved. Rules are monotone in approvals, so no answer permits more.
    Approved,
}

/// Three-valued truth: what is not known is neither true nor false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// It does not hold.
    False,
    /// It may hold.
    Unknown,
    /// It holds.
    True,
}

/// A place in the tree of files: one path alone, or everything beneath it that has no place of its
/// own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot<'a> {
    /// The path itself.
    At(&'a AbsolutePath),
    /// Beneath the path, outside all deeper places that any formula names.
    Beneath(&'a AbsolutePath),
}

impl Truth {
    fn of(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }

    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::Unknown => Truth::Unknown,
            Truth::False => Truth::True,
        }
    }
}

impl Formula {
    /// The whole condition of a rule for one action and agent.
    pub(crate) fn of(rule: &Rule, action: Action, (agent, kind): (&str, Kind)) -> Formula {
        if !rule.applies_to(action) {
            return Formula::Known(Truth::False);
        }
        let view = View { action, agent, kind };
        let mut parts = vec![view.principal(&rule.tree.principal), resource(&rule.tree.resource)];
        for clause in rule.tree.clauses() {
            parts.push(match clause {
                Clause::When(expr) => view.formula(expr),
                Clause::Unless(expr) => Formula::Not(Box::new(view.formula(expr))),
            });
        }
        Formula::All(parts)
    }

    /// Whether it holds at a spot, for all that is known beforehand.
    pub(crate) fn at(&self, spot: Spot<'_>) -> Truth {
        self.when(Moment::Unasked, spot)
    }

    /// The same for a given moment.
    pub(crate) fn when(&self, moment: Moment, spot: Spot<'_>) -> Truth {
        match self {
            Formula::Known(truth) => *truth,
            Formula::Within(dir) => match spot {
                Spot::At(path) | Spot::Beneath(path) => Truth::of(path.is_within(dir)),
            },
            Formula::Is(named) => match spot {
                Spot::At(path) => Truth::of(path == named),
                Spot::Beneath(_) => Truth::False,
            },
            Formula::All(parts) => {
                parts.iter().map(|part| part.when(moment, spot)).min().unwrap_or(Truth::True)
            }
            Formula::Any(parts) => {
                parts.iter().map(|part| part.when(moment, spot)).max().unwrap_or(Truth::False)
            }
            Formula::Not(part) => part.when(moment, spot).not(),
            Formula::Approved => match moment {
                Moment::Unasked => Truth::Unknown,
                Moment::Approved => Truth::True,
            },
            Formula::Unknown(_) => Truth::Unknown,
        }
    }

    /// All paths that are named.
    pub(crate) fn paths(&self, found: &mut BTreeSet<AbsolutePath>) {
        match self {
            Formula::Known(_) | Formula::Approved | Formula::Unknown(_) => {}
            Formula::Within(path) | Formula::Is(path) => {
                found.insert(path.clone());
            }
            Formula::All(parts) | Formula::Any(parts) => {
                for part in parts {
                    part.paths(found);
                }
            }
            Formula::Not(part) => part.paths(found),
        }
    }

    /// The first condition that is not known beforehand, nor for people to answer.
    pub(crate) fn unknown(&self) -> Option<&str> {
        match self {
            Formula::Known(_) | Formula::Within(_) | Formula::Is(_) | Formula::Approved => None,
            Formula::All(parts) | Formula::Any(parts) => parts.iter().find_map(Formula::unknown),
            Formula::Not(part) => part.unknown(),
            Formula::Unknown(text) => Some(text),
        }
    }
}

/// What is known beforehand.
struct View<'a> {
    action: Action,
    agent: &'a str,
    kind: Kind,
}

impl View<'_> {
    fn principal(&self, constraint: &pst::PrincipalConstraint) -> Formula {
        match constraint {
            pst::PrincipalConstraint::Any => Formula::Known(Truth::True),
            pst::PrincipalConstraint::Is(ty) => principal_is(ty),
            pst::PrincipalConstraint::Eq(pst::EntityOrSlot::Entity(uid)) => self.agent_is(uid),
            pst::PrincipalConstraint::In(pst::EntityOrSlot::Entity(uid)) => self.agent_in(uid),
            pst::PrincipalConstraint::IsIn(ty, pst::EntityOrSlot::Entity(uid)) => {
                Formula::All(vec![principal_is(ty), self.agent_in(uid)])
            }
            _ => Formula::Unknown("principal".to_owned()),
        }
    }

    fn agent_is(&self, uid: &pst::EntityUID) -> Formula {
        Formula::Known(Truth::of(uid.ty.0.id.as_str() == "Agent" && uid.eid == self.agent))
    }

    /// An agent lies in nothing but itself and its kind.
    fn agent_in(&self, uid: &pst::EntityUID) -> Formula {
        if uid.ty.0.id.as_str() == kinds::TYPE {
            return Formula::Known(Truth::of(self.kind.is(&uid.eid)));
        }
        self.agent_is(uid)
    }

    fn formula(&self, expr: &Expr) -> Formula {
        if let Some(formula) = of_approvals(expr) {
            return formula;
        }
        match expr {
            Expr::Literal(Literal::Bool(holds)) => Formula::Known(Truth::of(*holds)),
            Expr::UnaryOp { op: UnaryOp::Not, expr } => Formula::Not(Box::new(self.formula(expr))),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                Formula::All(vec![self.formula(left), self.formula(right)])
            }
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
                Formula::Any(vec![self.formula(left), self.formula(right)])
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.branches(cond, (then_expr, else_expr))
            }
            Expr::BinaryOp { op: BinaryOp::Eq, left, right } => self.equal(expr, left, right),
            Expr::BinaryOp { op: BinaryOp::NotEq, left, right } => {
                Formula::Not(Box::new(self.equal(expr, left, right)))
            }
            Expr::BinaryOp { op: BinaryOp::In, left, right } => self.lies_in(expr, left, right),
            Expr::Is { expr: subject, entity_type, in_expr } => {
                let is = match &**subject {
                    Expr::Var(Var::Resource) => {
                        Formula::Known(Truth::of(entity_type.0.id.as_str() == "Path"))
                    }
                    Expr::Var(Var::Principal) => principal_is(entity_type),
                    _ => unknown(expr),
                };
                match in_expr {
                    Some(within) => Formula::All(vec![is, self.lies_in(expr, subject, within)]),
                    None => is,
                }
            }
            Expr::Like { expr: subject, pattern } => like(expr, subject, pattern),
            _ => unknown(expr),
        }
    }

    fn branches(&self, cond: &Expr, (then_expr, else_expr): (&Expr, &Expr)) -> Formula {
        let cond = self.formula(cond);
        let not = Formula::Not(Box::new(cond.clone()));
        Formula::Any(vec![
            Formula::All(vec![cond, self.formula(then_expr)]),
            Formula::All(vec![not, self.formula(else_expr)]),
        ])
    }

    fn equal(&self, whole: &Expr, left: &Expr, right: &Expr) -> Formula {
        match (left, right) {
            (Expr::Var(var), Expr::Literal(Literal::EntityUID(uid)))
            | (Expr::Literal(Literal::EntityUID(uid)), Expr::Var(var)) => match var {
                Var::Principal => self.agent_is(uid),
                Var::Action => Formula::Known(Truth::of(uid.eid == self.action.name())),
                Var::Resource => exactly(uid),
                Var::Context => unknown(whole),
            },
            (side, Expr::Literal(Literal::String(text)))
            | (Expr::Literal(Literal::String(text)), side)
                if resource_attribute(side) == Some("path") =>
            {
                // A text that is no canonical path equals none.
                match AbsolutePath::parse(text) {
                    Ok(path) if path.as_str() == text.as_str() => Formula::Is(path),
                    Ok(_) | Err(_) => Formula::Known(Truth::False),
                }
            }
            _ => unknown(whole),
        }
    }

    fn lies_in(&self, whole: &Expr, left: &Expr, right: &Expr) -> Formula {
        let uids: Option<Vec<&pst::EntityUID>> = match right {
            Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid]),
            Expr::Set(items) => items
                .iter()
                .map(|item| match &**item {
                    Expr::Literal(Literal::EntityUID(uid)) => Some(uid),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let (Expr::Var(var), Some(uids)) = (left, uids) else { return unknown(whole) };
        let each = |uid: &&pst::EntityUID| match var {
            Var::Principal => self.agent_in(uid),
            Var::Action => {
                let named = uid.eid == self.action.name();
                let grouped = group(self.action).is_some_and(|group| uid.eid == group);
                Formula::Known(Truth::of(named || grouped))
            }
            Var::Resource => within(uid),
            Var::Context => unknown(whole),
        };
        Formula::Any(uids.iter().map(each).collect())
    }
}

/// One test of approvals: `context.approvals.contains("owner")`, `context.approver_count < 2`.
pub(crate) fn of_approvals(expr: &Expr) -> Option<Formula> {
    let Expr::BinaryOp { op, left, right } = expr else { return None };
    if !mentions_approvals(expr) {
        return None;
    }
    Some(match atom(*op, left, right)? {
        Direction::Up => Formula::Approved,
        Direction::Down => Formula::Not(Box::new(Formula::Approved)),
    })
}

fn principal_is(ty: &pst::EntityType) -> Formula {
    Formula::Known(Truth::of(ty.0.id.as_str() == "Agent"))
}

fn resource(constraint: &pst::ResourceConstraint) -> Formula {
    match constraint {
        pst::ResourceConstraint::Any => Formula::Known(Truth::True),
        pst::ResourceConstraint::Is(ty) => is_path(ty),
        pst::ResourceConstraint::Eq(pst::EntityOrSlot::Entity(uid)) => exactly(uid),
        pst::ResourceConstraint::In(pst::EntityOrSlot::Entity(uid)) => within(uid),
        pst::ResourceConstraint::IsIn(ty, pst::EntityOrSlot::Entity(uid)) => {
            Formula::All(vec![is_path(ty), within(uid)])
        }
        _ => Formula::Unknown("resource".to_owned()),
    }
}

fn is_path(ty: &pst::EntityType) -> Formula {
    Formula::Known(Truth::of(ty.0.id.as_str() == "Path"))
}

fn exactly(uid: &pst::EntityUID) -> Formula {
    match (uid.ty.0.id.as_str(), AbsolutePath::parse(&uid.eid)) {
        ("Path", Ok(path)) if path.as_str() == uid.eid.as_str() => Formula::Is(path),
        _ => Formula::Known(Truth::False),
    }
}

fn within(uid: &pst::EntityUID) -> Formula {
    match (uid.ty.0.id.as_str(), AbsolutePath::parse(&uid.eid)) {
        ("Dir", Ok(path)) if path.as_str() == uid.eid.as_str() => Formula::Within(path),
        _ => exactly(uid),
    }
}

/// `resource.path like "/srv/app/*"` is everything beneath the directory, not the directory.
fn like(whole: &Expr, subject: &Expr, pattern: &[PatternElem]) -> Formula {
    let (Some("path"), Some((PatternElem::Wildcard, head))) =
        (resource_attribute(subject), pattern.split_last())
    else {
        return unknown(whole);
    };
    let text: Option<String> = head
        .iter()
        .map(|part| match part {
            PatternElem::Char(letter) => Some(*letter),
            PatternElem::Wildcard => None,
        })
        .collect();
    let dir = text.as_deref().and_then(|text| text.strip_suffix('/'));
    match dir.map(|dir| (dir, AbsolutePath::parse(dir))) {
        Some((dir, Ok(path))) if path.as_str() == dir => Formula::All(vec![
            Formula::Within(path.clone()),
            Formula::Not(Box::new(Formula::Is(path))),
        ]),
        _ => unknown(whole),
    }
}

fn unknown(expr: &Expr) -> Formula {
    Formula::Unknown(shown(expr))
}
