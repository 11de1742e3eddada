//! Tools as part of the vocabulary: each is an action whose context has its arguments with their types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cedar_policy::pst::{self, Expr, SmolStr};
use cedar_policy::{ActionConstraint, EntityUid};
use cedar_policy_core::ast::{RestrictedExpr, Value};
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;
use ringfence_core::{Action, Fact, FactType, Field, Fields, Meaning, ToolName, ToolShape};

use crate::SCHEMA;
use crate::rule::tools_of;
use crate::tree::{body, walk};

/// What the context calls the arguments.
pub(crate) const ARGUMENTS: &str = "args";

/// The facts that every act has, as the schema's text has them.
const FACTS: &str = "clock: Clock, approvals: Set<String>, approver_count: Long, session: String, \
                     sql: Set<String>, tables: Set<String>, programs: Set<String>, \
                     recipients: Set<String>, opaque: Bool";

/// The facts that the calls of all tools have besides, whatever their arguments are called.
pub(crate) const OF_ALL_TOOLS: [&str; 5] = ["sql", "tables", "programs", "recipients", "opaque"];

/// Stands for all tools where none is pinned yet, so that rules on the group can be written before.
const UNKNOWN: &str = "tool.call/unknown";

/// The schema that policies are checked against, with the typed arguments of these tools.
pub fn schema_text(tools: &[ToolShape]) -> String {
    schema(tools, &BTreeSet::new())
}

/// The committed schema with an action for each tool. Tools that rules name and nobody has pinned are
/// actions that no act ever is.
pub(crate) fn schema(tools: &[ToolShape], unpinned: &BTreeSet<ToolName>) -> String {
    let mut text = SCHEMA.to_owned();
    let group = Action::ToolCall.name();
    for tool in unpinned {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "action {} in [\"{group}\"];", quoted(tool.as_str()));
    }
    if tools.is_empty() {
        let _ = writeln!(
            text,
            "action \"{UNKNOWN}\" in [\"{group}\"] appliesTo {{ principal: [Agent], resource: [Tool], \
             context: {{ {FACTS} }} }};"
        );
    }
    for ToolShape { tool, arguments } in tools {
        let action = quoted(tool.as_str());
        let arguments = fields(arguments);
        let _ = write!(
            text,
            "\naction {action} in [\"{group}\"] appliesTo {{ principal: [Agent], resource: [Tool], \
             context: {{ {FACTS}, {ARGUMENTS}: {arguments} }} }};\n"
        );
    }
    text
}

/// The tools that a rule names in its head or its conditions and that nobody has pinned.
pub(crate) fn unpinned<'a>(
    trees: impl Iterator<Item = &'a pst::Template>,
    tools: &[ToolShape],
) -> BTreeSet<ToolName> {
    let mut named: BTreeSet<ToolName> = BTreeSet::new();
    for tree in trees {
        named.extend(tools_of(&tree.action).into_iter().filter_map(|name| name.parse().ok()));
        for clause in tree.clauses() {
            walk(body(clause), &mut |part| {
                if let Expr::Literal(pst::Literal::EntityUID(uid)) = part
                    && uid.ty.0.id.as_str() == "Action"
                {
                    named.extend(uid.eid.parse::<ToolName>().ok());
                }
            });
        }
    }
    for shape in tools {
        named.remove(&shape.tool);
    }
    named
}

/// The servers that a rule names, in its head or its conditions.
pub(crate) fn servers_of(tree: &pst::Template) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut add = |uid: &pst::EntityUID| {
        if uid.ty.0.id.as_str() == "Server" {
            named.insert(uid.eid.to_string());
        }
    };
    match &tree.resource {
        pst::ResourceConstraint::Eq(pst::EntityOrSlot::Entity(uid))
        | pst::ResourceConstraint::In(pst::EntityOrSlot::Entity(uid))
        | pst::ResourceConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) => add(uid),
        pst::ResourceConstraint::Any
        | pst::ResourceConstraint::Is(_)
        | pst::ResourceConstraint::Eq(_)
        | pst::ResourceConstraint::In(_)
        | pst::ResourceConstraint::IsIn(..) => {}
    }
    for clause in tree.clauses() {
        walk(body(clause), &mut |part| {
            if let Expr::Literal(pst::Literal::EntityUID(uid)) = part {
                add(uid);
            }
        });
    }
    named
}

/// Whether all that a rule's head names are tools that nobody has pinned: it is about no act.
pub(crate) fn is_about_none(head: &ActionConstraint, unpinned: &BTreeSet<ToolName>) -> bool {
    let is_one = |uid: &EntityUid| {
        uid.id().unescaped().parse::<ToolName>().is_ok_and(|tool| unpinned.contains(&tool))
    };
    match head {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(uid) => is_one(uid),
        ActionConstraint::In(uids) => uids.iter().all(is_one),
    }
}

fn fields(all: &Fields) -> String {
    let field = |(name, Field { kind, required }): (&String, &Field)| {
        let mark = if *required { "" } else { "?" };
        format!("{}{mark}: {}", quoted(name), kind_of(kind))
    };
    let all: Vec<String> = all.iter().map(field).collect();
    format!("{{ {} }}", all.join(", "))
}

fn kind_of(kind: &FactType) -> String {
    match kind {
        FactType::Bool => "Bool".to_owned(),
        FactType::Long => "Long".to_owned(),
        FactType::Decimal => "decimal".to_owned(),
        FactType::Text => "String".to_owned(),
        FactType::Set(of) => format!("Set<{}>", kind_of(of)),
        FactType::Record(all) => fields(all),
    }
}

/// A Cedar string literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// What a call's arguments do, as facts.
pub(crate) fn meaning(of: &Meaning) -> [(&'static str, Value); 5] {
    let set = |all: &BTreeSet<String>| {
        Value::set(all.iter().map(|text| Value::from(text.as_str())), None)
    };
    [
        ("sql", set(&of.sql)),
        ("tables", set(&of.tables)),
        ("programs", set(&of.programs)),
        ("recipients", set(&of.recipients)),
        ("opaque", Value::from(of.opaque)),
    ]
}

/// Facts as Cedar has them.
pub(crate) fn record(facts: &BTreeMap<String, Fact>) -> Value {
    let members = facts.iter().map(|(name, fact)| (SmolStr::new(name), value(fact)));
    Value::record(members, None)
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Bool(is) => Value::from(*is),
        Fact::Long(number) => Value::from(*number),
        Fact::Decimal(units) => decimal(*units),
        Fact::Text(text) => Value::from(text.as_str()),
        Fact::Set(all) => Value::set(all.iter().map(value), None),
        Fact::Record(all) => record(all),
    }
}

/// A number of ten-thousandths.
fn decimal(units: i64) -> Value {
    let (sign, size) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let text = format!("{sign}{}.{:04}", size / 10_000, size % 10_000);
    // Every number of ten-thousandths that fits is one of Cedar's; a text in its place would make whatever
    // rule compares it err, which denies.
    let made = DECIMAL.parse().ok().and_then(|name| {
        let call = RestrictedExpr::call_extension_fn(name, [RestrictedExpr::val(text.as_str())]);
        let evaluator = RestrictedEvaluator::new(Extensions::all_available());
        match evaluator.partial_interpret(call.as_borrowed()) {
            Ok(cedar_policy_core::ast::PartialValue::Value(value)) => Some(value),
            Ok(cedar_policy_core::ast::PartialValue::Residual(_)) | Err(_) => None,
        }
    });
    made.unwrap_or_else(|| Value::from(text.as_str()))
}

/// The extension's constructor.
const DECIMAL: &str = "decimal";
