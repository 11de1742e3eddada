//! Walks through the conditions of rules.
#![expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]

use std::collections::BTreeSet;

use cedar_policy::pst::{self, Clause, Expr, Literal, Var};

/// Calls `visit` for an expression and everything within it.
pub(crate) fn walk<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    match expr {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => walk(expr, visit),
        Expr::BinaryOp { left, right, .. } => {
            walk(left, visit);
            walk(right, visit);
        }
        Expr::Is { expr, in_expr, .. } => {
            walk(expr, visit);
            if let Some(within) = in_expr {
                walk(within, visit);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            walk(cond, visit);
            walk(then_expr, visit);
            walk(else_expr, visit);
        }
        Expr::Set(items) => items.iter().for_each(|item| walk(item, visit)),
        Expr::Record(fields) => fields.values().for_each(|field| walk(field, visit)),
        _ => {}
    }
}

/// The expression of a `when` or `unless` clause.
pub(crate) fn body(clause: &Clause) -> &Expr {
    match clause {
        Clause::When(expr) | Clause::Unless(expr) => expr,
    }
}

/// The name `X` of `context.X`.
pub(crate) fn context_attribute(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::GetAttr { expr, attr } if **expr == Expr::Var(Var::Context) => Some(attr.as_str()),
        _ => None,
    }
}

/// The name `X` of `resource.X`.
pub(crate) fn resource_attribute(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::GetAttr { expr, attr } if **expr == Expr::Var(Var::Resource) => Some(attr.as_str()),
        _ => None,
    }
}

/// Whether an expression looks at approvals.
pub(crate) fn mentions_approvals(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |part| {
        found |= matches!(context_attribute(part), Some("approvals" | "approver_count"));
    });
    found
}

/// The roles that an expression looks for in `context.approvals`.
pub(crate) fn approvers<'a>(expr: &'a Expr, found: &mut BTreeSet<&'a str>) {
    walk(expr, &mut |part| {
        let Expr::BinaryOp { left, right, .. } = part else { return };
        for (side, other) in [(left, right), (right, left)] {
            if context_attribute(side) == Some("approvals") {
                walk(other, &mut |part| {
                    if let Expr::Literal(Literal::String(name)) = part {
                        found.insert(name.as_str());
                    }
                });
            }
        }
    });
}

/// Whether an expression looks at the context at all.
pub(crate) fn mentions_context(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |part| found |= *part == Expr::Var(Var::Context));
    found
}

/// Whether an expression looks at anything in the context besides approvals.
pub(crate) fn mentions_state(expr: &Expr) -> bool {
    let (mut contexts, mut approvals) = (0_usize, 0_usize);
    walk(expr, &mut |part| {
        contexts += usize::from(*part == Expr::Var(Var::Context));
        let asked = matches!(context_attribute(part), Some("approvals" | "approver_count"));
        approvals += usize::from(asked);
    });
    contexts > approvals
}

/// All entities that a rule names.
pub(crate) fn entities(tree: &pst::Template) -> Vec<&pst::EntityUID> {
    let mut found = Vec::new();
    if let pst::PrincipalConstraint::Eq(pst::EntityOrSlot::Entity(uid))
    | pst::PrincipalConstraint::In(pst::EntityOrSlot::Entity(uid))
    | pst::PrincipalConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) = &tree.principal
    {
        found.push(uid);
    }
    if let pst::ResourceConstraint::Eq(pst::EntityOrSlot::Entity(uid))
    | pst::ResourceConstraint::In(pst::EntityOrSlot::Entity(uid))
    | pst::ResourceConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) = &tree.resource
    {
        found.push(uid);
    }
    for clause in tree.clauses() {
        walk(body(clause), &mut |part| {
            if let Expr::Literal(pst::Literal::EntityUID(uid)) = part {
                found.push(uid);
            }
        });
    }
    found
}
