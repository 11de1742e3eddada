//! Rulings on programs, on connections and on tools, remembered: the same one under the same facts is
//! decided once.
//!
//! A ruling is a function of what the rules look at. So for each program it is known which facts of
//! the exec its candidates read, and their values together with the approvals name the ruling. Where a
//! candidate reads anything else (time, the session), nothing is remembered. A connection has no facts
//! but its endpoint, and of a tool only rulings are remembered that look at no argument.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use ringfence_core::{Act, Endpoint, Exec, Facts, Ruling, ToolName};

/// Most programs, endpoints and tools whose rulings are remembered; more and all are forgotten.
const SUBJECTS_MAX: usize = 512;

/// Most rulings remembered of one of them; more and all of it are forgotten.
const RULINGS_MAX: usize = 64;

/// Longest key of a ruling, in bytes; what needs a longer one is decided each time.
const KEY_BYTES_MAX: usize = 2048;

/// A fact of the context that depends on the exec, or on approvals, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Argv,
    Subcommand,
    Flags,
    Cwd,
    Opaque,
    Approvals,
    ApproverCount,
}

impl Fact {
    fn of(attribute: &str) -> Option<Fact> {
        match attribute {
            "argv" => Some(Fact::Argv),
            "subcommand" => Some(Fact::Subcommand),
            "flags" => Some(Fact::Flags),
            "cwd" => Some(Fact::Cwd),
            "opaque" => Some(Fact::Opaque),
            "approvals" => Some(Fact::Approvals),
            "approver_count" => Some(Fact::ApproverCount),
            _ => None,
        }
    }
}

/// The facts that conditions look at; `None` if they look at anything that is no [`Fact`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reads(Option<BTreeSet<Fact>>);

impl Reads {
    /// What one condition, its scope included, looks at.
    pub(crate) fn of(condition: &Expr) -> Reads {
        let is_context = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Var(Var::Context));
        let (mut facts, mut whole, mut parts) = (Some(BTreeSet::new()), 0_usize, 0_usize);
        for part in condition.subexpressions() {
            if is_context(part) {
                whole += 1;
            }
            if let ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } =
                part.expr_kind()
                && is_context(expr)
            {
                parts += 1;
                facts = facts.zip(Fact::of(attr)).map(|(mut facts, fact)| {
                    facts.insert(fact);
                    facts
                });
            }
        }
        // The context as a whole, in whatever expression, is all of it.
        Reads(facts.filter(|_| whole == parts))
    }

    /// What several conditions look at together.
    pub(crate) fn together<'a>(all: impl Iterator<Item = &'a Reads>) -> Reads {
        let mut facts = BTreeSet::new();
        for Reads(each) in all {
            let Some(each) = each else { return Reads(None) };
            facts.extend(each);
        }
        Reads(Some(facts))
    }

    /// Names what these facts are for an act, so that different values have different names; nothing where the act
    /// has none of them.
    fn key(&self, subject: Subject<'_>, given: &Facts) -> Option<Vec<u8>> {
        let facts = self.0.as_ref()?;
        let mut key = Vec::with_capacity(128);
        for fact in facts {
            match (fact, subject) {
                (Fact::Approvals, _) => {
                    key.extend(given.approvals.len().to_le_bytes());
                    given.approvals.iter().for_each(|role| put(&mut key, &role.0));
                }
                (Fact::ApproverCount, _) => key.extend(given.approver_count.to_le_bytes()),
                (fact, Subject::Program(exec)) => put_fact(&mut key, *fact, exec),
                (
                    Fact::Argv | Fact::Subcommand | Fact::Flags | Fact::Cwd | Fact::Opaque,
                    Subject::Endpoint(_) | Subject::Tool(_),
                ) => return None,
            }
            if key.len() > KEY_BYTES_MAX {
                return None;
            }
        }
        Some(key)
    }
}

/// Names the value that a fact of an exec has.
fn put_fact(key: &mut Vec<u8>, fact: Fact, exec: &Exec) {
    let line = &exec.command_line;
    match fact {
        Fact::Argv => put(key, &line.text),
        Fact::Subcommand => {
            key.push(u8::from(line.subcommand.is_some()));
            put(key, line.subcommand.as_deref().unwrap_or(""));
        }
        Fact::Flags => {
            key.extend(line.flags.len().to_le_bytes());
            line.flags.iter().for_each(|flag| put(key, flag));
        }
        Fact::Cwd => put(key, exec.cwd.as_str()),
        Fact::Opaque => key.push(u8::from(line.opaque)),
        // Of the decision, not of the exec.
        Fact::Approvals | Fact::ApproverCount => {}
    }
}

fn put(key: &mut Vec<u8>, text: &str) {
    key.extend(text.len().to_le_bytes());
    key.extend(text.as_bytes());
}

/// What a ruling that can be remembered is about.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    Program(&'a Exec),
    Endpoint(&'a Endpoint),
    Tool(&'a ToolName),
}

impl<'a> Subject<'a> {
    /// That of an act, if rulings on it can be remembered.
    pub(crate) fn of(act: &'a Act) -> Option<Subject<'a>> {
        match act {
            Act::Exec(exec) => Some(Subject::Program(exec)),
            Act::Connect(endpoint) => Some(Subject::Endpoint(endpoint)),
            Act::CallTool(call) => Some(Subject::Tool(&call.tool)),
            Act::Read(_)
            | Act::Write(_)
            | Act::Delete(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_) => None,
        }
    }

    fn key(self, agent: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(128);
        put(&mut key, agent);
        match self {
            Subject::Program(exec) => {
                key.push(b'p');
                put(&mut key, exec.program.as_str());
            }
            Subject::Endpoint(endpoint) => {
                key.push(b'e');
                put(&mut key, &endpoint.to_string());
            }
            Subject::Tool(tool) => {
                key.push(b't');
                put(&mut key, tool.as_str());
            }
        }
        key
    }
}

/// The rulings remembered under one policy.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    known: Mutex<HashMap<Vec<u8>, Known>>,
}

#[derive(Debug)]
struct Known {
    reads: Reads,
    rulings: HashMap<Vec<u8>, Ruling>,
}

impl Remembered {
    /// The ruling on an act of this agent, if it was made before.
    pub(crate) fn ruling(
        &self,
        (agent, subject): (&str, Subject<'_>),
        given: &Facts,
    ) -> Option<Ruling> {
        let all = self.all();
        let known = all.get(&subject.key(agent))?;
        known.rulings.get(&known.reads.key(subject, given)?).cloned()
    }

    /// Keeps a ruling that looked at nothing but `reads`, and the subject.
    pub(crate) fn keep(
        &self,
        ((agent, subject), given): ((&str, Subject<'_>), &Facts),
        reads: Reads,
        made: &Ruling,
    ) {
        let Some(key) = reads.key(subject, given) else { return };
        let mut all = self.all();
        if all.len() >= SUBJECTS_MAX {
            all.clear();
        }
        let known = all
            .entry(subject.key(agent))
            .or_insert_with(|| Known { reads, rulings: HashMap::new() });
        if known.rulings.len() >= RULINGS_MAX {
            known.rulings.clear();
        }
        known.rulings.insert(key, made.clone());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        let rule = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy: cedar_policy::Policy = rule.parse().unwrap();
        Reads::of(&policy.as_ref().condition())
    }

    #[test]
    fn what_a_condition_looks_at_is_known() {
        assert_eq!(reads("true"), Reads(Some(BTreeSet::new())));
        let two = BTreeSet::from([Fact::Subcommand, Fact::Flags]);
        let rule = "context has subcommand && context.flags.contains(\"--force\")";
        assert_eq!(reads(rule), Reads(Some(two)));
        let approved = "context.approvals.contains(\"oncall\")";
        assert_eq!(reads(approved), Reads(Some(BTreeSet::from([Fact::Approvals]))));
    }

    #[test]
    fn a_condition_that_looks_at_anything_else_is_never_remembered() {
        for rule in [
            "context.clock.hour > 8",
            "context.approvals.contains(\"oncall\") && context.session == \"s\"",
            "context.arguments has path",
            "context.session == \"s\"",
            "context == {argv: \"true\"}",
            "[context].contains(context)",
            "(if true then context else context).argv == \"true\"",
            "context.argv == \"true\" && context has clock",
        ] {
            assert_eq!(reads(rule), Reads(None), "{rule}");
        }
    }
}
