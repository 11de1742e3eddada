//! The static part of the `fs` rules as a plan that never allows more than the policy.
//!
//! Every path that a rule names is a spot at which each rule holds, does not hold, or may hold. A
//! permit counts only where it holds, a forbid wherever it may hold; between two spots nothing
//! changes. So a forbid that cannot be known beforehand drops every grant it could overlap.

mod asked;
mod only_shown;

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::{AbsolutePath, Access, Action, Agent, FilePlan, PathRule, RuleRef};

use crate::formula::{Formula, Moment, Spot, Truth};
use crate::rule::{Effect, Fallible, Rule};
use crate::{Policy, RuleSet};

const FILE_ACTIONS: [Action; 3] = [Action::FsRead, Action::FsWrite, Action::FsDelete];

/// What a set says at a spot.
struct Standing<'a> {
    access: Access,
    because: Option<&'a Rule>,
}

/// One set, its formulas computed once per action.
struct Compiled<'a> {
    set: &'a RuleSet,
    agent: &'a str,
    formulas: Vec<[Formula; 3]>,
}

/// How far a permit that names a path reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The path alone.
    Alone,
    /// What lies beneath it too.
    Beneath,
}

impl Policy {
    /// The paths that permits on files of this agent name themselves, where they hold: a plan says nothing of
    /// those that another permit holds anyway.
    pub fn permitted_by_name(&self, agent: &Agent) -> BTreeMap<AbsolutePath, Reach> {
        let set = Compiled::new(&self.session, agent.0.as_str());
        let mut all: BTreeMap<AbsolutePath, Reach> = BTreeMap::new();
        for (rule, formulas) in set.set.rules.iter().zip(&set.formulas) {
            for formula in formulas.iter().filter(|_| rule.effect == Effect::Permit) {
                let mut paths = BTreeSet::new();
                formula.paths(&mut paths);
                for path in paths {
                    let holds = |spot| formula.at(spot) == Truth::True;
                    let reach = match (holds(Spot::At(&path)), holds(Spot::Beneath(&path))) {
                        (_, true) => Reach::Beneath,
                        (true, false) => Reach::Alone,
                        (false, false) => continue,
                    };
                    let known = all.entry(path).or_insert(reach);
                    *known = reach.max(*known);
                }
            }
        }
        all
    }

    /// What the policy means for files, for one agent, as far as it is known beforehand.
    pub fn file_plan(&self, agent: &Agent) -> FilePlan {
        let sets: Vec<Compiled<'_>> =
            self.sets().map(|set| Compiled::new(set, agent.0.as_str())).collect();
        let mut paths = BTreeSet::from([AbsolutePath::root()]);
        for formula in sets.iter().flat_map(|set| set.formulas.iter().flatten()) {
            formula.paths(&mut paths);
        }
        let mut plan = FilePlan::default();
        for path in &paths {
            let at = standing(&sets, Spot::At(path));
            let beneath = standing(&sets, Spot::Beneath(path));
            place(&mut plan, path, (&at, &beneath));
        }
        plan.left_out = sets.iter().flat_map(|set| set.left_out(&paths)).collect();
        if !self.roles.is_empty() {
            asked::add(&mut plan, &sets, &paths);
        }
        plan
    }
}

/// What all sets together say at a spot: the least of them.
fn standing<'a>(sets: &[Compiled<'a>], spot: Spot<'_>) -> Standing<'a> {
    sets.iter()
        .map(|set| set.standing(spot))
        .min_by_key(|standing| standing.access)
        .unwrap_or(Standing { access: Access::Hidden, because: None })
}

/// Adds a rule for `path` where it differs from what holds there already.
fn place(plan: &mut FilePlan, path: &AbsolutePath, (at, beneath): (&Standing<'_>, &Standing<'_>)) {
    // A rule reaches downwards, so it may say no more than what holds beneath; only where nothing
    // is allowed beneath, the path itself can still be named alone.
    let alone = beneath.access == Access::Hidden && at.access > Access::Hidden;
    let (access, because) = if alone || at.access < beneath.access {
        (at.access, at.because)
    } else {
        (beneath.access, beneath.because)
    };
    let (inherited, _) = plan.access(path);
    if access == inherited && !alone {
        return;
    }
    if alone {
        plan.exact.push(path.clone());
    }
    let because: Option<RuleRef> = because.map(|rule| rule.place.clone());
    plan.rules.push(PathRule { path: path.clone(), access, because });
}

impl<'a> Compiled<'a> {
    fn new(set: &'a RuleSet, agent: &'a str) -> Compiled<'a> {
        let kind = set.servers.kind(agent);
        let formulas = set
            .rules
            .iter()
            .map(|rule| FILE_ACTIONS.map(|action| Formula::of(rule, action, (agent, kind))))
            .collect();
        Compiled { set, agent, formulas }
    }

    fn standing(&self, spot: Spot<'_>) -> Standing<'a> {
        let now = |action| self.permitted(action, spot, Moment::Unasked);
        let [read, write, delete] = FILE_ACTIONS.map(now);
        match (read, write, delete) {
            (Ok(_), Ok(rule), Ok(_)) => Standing { access: Access::Write, because: Some(rule) },
            (Ok(rule), forbidden, _) => {
                // A forbid that leaves a place readable says more than the permit to read it.
                let because = forbidden.err().flatten().unwrap_or(rule);
                Standing { access: Access::Read, because: Some(because) }
            }
            (Err(because), _, _) => Standing { access: Access::Hidden, because },
        }
    }

    /// The permit that holds, or the forbid that may hold against it.
    fn permitted(
        &self,
        action: Action,
        spot: Spot<'_>,
        moment: Moment,
    ) -> Result<&'a Rule, Option<&'a Rule>> {
        let mut permit = None;
        for (rule, formula) in self.rules(action, spot) {
            if rule.fallible == Fallible::Yes {
                // An error while any rule is evaluated is a denial.
                return Err(Some(rule));
            }
            match (rule.effect, formula.when(moment, spot)) {
                (Effect::Forbid, Truth::True | Truth::Unknown) => return Err(Some(rule)),
                (Effect::Permit, Truth::True) => permit = permit.or(Some(rule)),
                (Effect::Permit, Truth::False | Truth::Unknown)
                | (Effect::Forbid, Truth::False) => {}
            }
        }
        permit.ok_or(None)
    }

    /// The rules that can say something at a spot, with their formulas.
    fn rules(&self, action: Action, spot: Spot<'_>) -> Vec<(&'a Rule, &Formula)> {
        let (Spot::At(path) | Spot::Beneath(path)) = spot;
        let slot = FILE_ACTIONS.iter().position(|&other| other == action).unwrap_or(0);
        let candidates = self.set.index.file(action, self.agent, path.as_str());
        candidates
            .into_iter()
            .filter_map(|position| {
                let rule = self.set.rules.get(position)?;
                Some((rule, self.formulas.get(position)?.get(slot)?))
            })
            .collect()
    }

    /// What the set permits and the plan does not hold, each with its reason.
    fn left_out(&self, paths: &BTreeSet<AbsolutePath>) -> Vec<String> {
        let mut notes = BTreeSet::new();
        for (rule, formulas) in self.set.rules.iter().zip(&self.formulas) {
            for (formula, action) in formulas.iter().zip(FILE_ACTIONS) {
                match (rule.effect, formula.unknown()) {
                    (Effect::Permit, Some(unknown)) => {
                        notes.insert(format!(
                            "{}: its `{action}` depends on `{unknown}`, which is not known \
                             beforehand",
                            named(rule)
                        ));
                    }
                    (Effect::Permit, None) | (Effect::Forbid, _) => {}
                }
            }
        }
        for path in paths {
            for spot in [Spot::At(path), Spot::Beneath(path)] {
                notes.extend(self.lost(path, spot));
            }
        }
        notes.into_iter().collect()
    }

    /// What is permitted at a spot and lost to another rule or to a missing one.
    fn lost(&self, path: &AbsolutePath, spot: Spot<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        for action in FILE_ACTIONS {
            let rules = self.rules(action, spot);
            let holds = |effect, truth| {
                rules
                    .iter()
                    .find(|(rule, formula)| rule.effect == effect && formula.at(spot) == truth)
            };
            let (Some((permit, _)), Some((forbid, formula)), None) = (
                holds(Effect::Permit, Truth::True),
                holds(Effect::Forbid, Truth::Unknown),
                holds(Effect::Forbid, Truth::True),
            ) else {
                continue;
            };
            // What is asked about is not lost.
            let Some(unknown) = formula.unknown() else { continue };
            notes.push(format!(
                "{}: `{action}` of `{path}` is dropped, because {} may forbid it: `{unknown}` is \
                 not known beforehand",
                named(permit),
                named(forbid),
            ));
        }
        notes.extend(self.not_whole(path, spot));
        notes
    }

    /// A tree that may be written needs all three actions.
    fn not_whole(&self, path: &AbsolutePath, spot: Spot<'_>) -> Option<String> {
        let answers =
            FILE_ACTIONS.map(|action| (action, self.permitted(action, spot, Moment::Approved)));
        let [(_, read), (_, write), (_, delete)] = &answers;
        let (permit, Spot::Beneath(_)) = (write.as_ref().or(delete.as_ref()).ok()?, spot) else {
            return None;
        };
        let missing: Vec<String> = answers
            .iter()
            .filter(|(_, answer)| answer.is_err())
            .map(|(action, _)| format!("`{action}`"))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let stays = if read.is_ok() { "stays read-only" } else { "stays hidden" };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let missing = missing.join(" and ");
        Some(format!("{}: `{path}` {stays}, because {missing} {verb} not permitted", named(permit)))
    }
}

fn named(rule: &Rule) -> String {
    let RuleRef { id, file, line, .. } = &rule.place;
    format!("`{id}` ({file}:{line})")
}
