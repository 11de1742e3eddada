//! Rulings on programs, remembered: the same program under the same facts is decided once.
//!
//! A ruling is a function of what the rules look at. So for each program it is known which facts of
//! the exec its candidates read, and their values together name the ruling. Where a candidate reads
//! anything else (time, approvals, the session), nothing is remembered.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use ringfence_core::{Exec, Ruling};

/// Most programs whose rulings are remembered; more and all are forgotten.
const PROGRAMS_MAX: usize = 512;

/// Most rulings remembered of one program; more and all of it are forgotten.
const RULINGS_MAX: usize = 64;

/// Longest key of a ruling, in bytes; what needs a longer one is decided each time.
const KEY_BYTES_MAX: usize = 2048;

/// A fact of the context that depends on the exec alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Argv,
    Subcommand,
    Flags,
    Cwd,
    Opaque,
}

impl Fact {
    fn of(attribute: &str) -> Option<Fact> {
        match attribute {
            "argv" => Some(Fact::Argv),
            "subcommand" => Some(Fact::Subcommand),
            "flags" => Some(Fact::Flags),
            "cwd" => Some(Fact::Cwd),
            "opaque" => Some(Fact::Opaque),
            _ => None,
        }
    }
}

/// The facts of an exec that conditions look at; `None` if they look at anything else.
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

    /// Names what these facts are for an exec, so that different values have different names.
    fn key(&self, exec: &Exec) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(128);
        let line = &exec.command_line;
        for fact in self.0.as_ref()? {
            match fact {
                Fact::Argv => put(&mut key, &line.text),
                Fact::Subcommand => {
                    key.push(u8::from(line.subcommand.is_some()));
                    put(&mut key, line.subcommand.as_deref().unwrap_or(""));
                }
                Fact::Flags => {
                    key.extend(line.flags.len().to_le_bytes());
                    line.flags.iter().for_each(|flag| put(&mut key, flag));
                }
                Fact::Cwd => put(&mut key, exec.cwd.as_str()),
                Fact::Opaque => key.push(u8::from(line.opaque)),
            }
            if key.len() > KEY_BYTES_MAX {
                return None;
            }
        }
        Some(key)
    }
}

fn put(key: &mut Vec<u8>, text: &str) {
    key.extend(text.len().to_le_bytes());
    key.extend(text.as_bytes());
}

/// The rulings remembered under one policy.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    programs: Mutex<HashMap<Vec<u8>, Known>>,
}

#[derive(Debug)]
struct Known {
    reads: Reads,
    rulings: HashMap<Vec<u8>, Ruling>,
}

impl Remembered {
    /// The ruling on an exec by this agent, if it was made before.
    pub(crate) fn ruling(&self, agent: &str, exec: &Exec) -> Option<Ruling> {
        let programs = self.programs();
        let known = programs.get(&program_key(agent, exec))?;
        known.rulings.get(&known.reads.key(exec)?).cloned()
    }

    /// Keeps a ruling that looked at nothing but `reads`, and the program.
    pub(crate) fn keep(&self, (agent, exec): (&str, &Exec), reads: Reads, ruling: &Ruling) {
        let Some(key) = reads.key(exec) else { return };
        let mut programs = self.programs();
        if programs.len() >= PROGRAMS_MAX {
            programs.clear();
        }
        let known = programs
            .entry(program_key(agent, exec))
            .or_insert_with(|| Known { reads, rulings: HashMap::new() });
        if known.rulings.len() >= RULINGS_MAX {
            known.rulings.clear();
        }
        known.rulings.insert(key, ruling.clone());
    }

    fn programs(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Known>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn program_key(agent: &str, exec: &Exec) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    put(&mut key, agent);
    put(&mut key, exec.program.as_str());
    key
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
    }

    #[test]
    fn a_condition_that_looks_at_anything_else_is_never_remembered() {
        for rule in [
            "context.clock.hour > 8",
            "context.approvals.contains(\"oncall\")",
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
