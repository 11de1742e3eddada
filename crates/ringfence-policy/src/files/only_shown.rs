//! Permits to write that no world can hold: what it may write, it may also delete.

use std::collections::BTreeSet;

use ringfence_core::{AbsolutePath, Action, Agent};

use super::Compiled;
use crate::formula::{Moment, Spot};
use crate::lints::{Lint, LintKind, lint};
use crate::rule::{Effect, Rule};
use crate::{Policy, RuleSet};

impl Policy {
    /// The permits to write what stays read-only in every world of this agent: the gate permits the act, and
    /// the mount refuses it.
    pub fn only_shown(&self, agent: &Agent) -> Vec<Lint> {
        self.sets().filter(|set| tells_apart(set)).flat_map(|set| in_set(set, agent)).collect()
    }
}

/// Whether some rule is about writing or deleting alone: else nothing can be found, at no cost.
fn tells_apart(set: &RuleSet) -> bool {
    let apart = |rule: &Rule| {
        let [write, delete] = [Action::FsWrite, Action::FsDelete].map(|it| rule.applies_to(it));
        match rule.effect {
            Effect::Permit => write && !delete,
            Effect::Forbid => delete && !write,
        }
    };
    set.rules.iter().any(apart)
}

fn in_set(set: &RuleSet, agent: &Agent) -> Vec<Lint> {
    let compiled = Compiled::new(set, agent.0.as_str());
    let mut paths = BTreeSet::from([AbsolutePath::root()]);
    compiled.formulas.iter().flatten().for_each(|formula| formula.paths(&mut paths));
    let mut found: Vec<(AbsolutePath, Lint)> = Vec::new();
    for path in paths {
        // What lies in a place that was named is no news.
        if found.iter().any(|(above, _)| path.is_within(above)) {
            continue;
        }
        let at = [Spot::Beneath(&path), Spot::At(&path)];
        let rule = at.into_iter().find_map(|spot| writes_only(&compiled, spot));
        if let Some(rule) = rule {
            let text = format!(
                "`{path}` stays read-only in a world, because `fs.delete` is not permitted there: what \
                 a world may write, it may also delete; permit `action in Action::\"fs\"`"
            );
            let remark = lint(LintKind::OnlyShown, rule, text);
            found.push((path, remark));
        }
    }
    found.into_iter().map(|(_, lint)| lint).collect()
}

/// The permit to write at a spot that may be read as well, and not deleted.
fn writes_only<'a>(compiled: &Compiled<'a>, spot: Spot<'_>) -> Option<&'a Rule> {
    // What is asked about is opened by us, act by act.
    let answer = |action| compiled.permitted(action, spot, Moment::Approved);
    let write = answer(Action::FsWrite).ok()?;
    let is_shown = answer(Action::FsRead).is_ok();
    (is_shown && answer(Action::FsDelete).is_err()).then_some(write)
}
