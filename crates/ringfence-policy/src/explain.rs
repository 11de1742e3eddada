//! A decision with its whole reasoning, for `ringfence explain`.

use ringfence_core::{AskFor, Decide, Facts, Request, RuleRef, Ruling, SetName, Verdict};
use serde::Serialize;

use crate::decide::{Answer, other_reading};
use crate::engine::{Sees, Situation, connection};
use crate::grant::GrantText;
use crate::nearest::failed_condition;
use crate::rule::Effect;
use crate::{Policy, RuleSet};

/// Most rules without effect that are listed.
const UNMET_MAX: usize = 20;

/// A ruling and why it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The ruling.
    pub ruling: Ruling,
    /// What each set answered: the session's, then the ceiling's.
    pub sets: Vec<SetAnswer>,
    /// What would allow the act, if anything a person can give would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What one set answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAnswer {
    /// `session` or `system`.
    pub set: &'static str,
    /// Whether this set allows the act.
    pub allows: bool,
    /// Permits that match.
    pub permits: Vec<RuleRef>,
    /// Forbids that match.
    pub forbids: Vec<RuleRef>,
    /// Rules about this resource that do not match, each with the first condition that failed.
    pub unmet: Vec<Unmet>,
    /// Evaluation errors, which deny.
    pub errors: Vec<String>,
}

/// A rule about the resource that does not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The rule.
    pub rule: RuleRef,
    /// What it does.
    pub effect: Effect,
    /// What does not hold.
    pub failed: String,
}

/// What would allow an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// These approvals.
    Approvals(AskFor),
    /// This grant, as text for `ringfence grant`.
    Grant(String),
}

impl Policy {
    /// The ruling of a request with its reasoning.
    pub fn explain(&self, request: &Request, facts: &Facts) -> Explanation {
        let ruling = self.decide(request, facts);
        let other = other_reading(request);
        // The reading that decides is the one to explain.
        let decides = |other: &&Request| self.decide_as_written(other, facts) == ruling;
        let request = other.as_ref().filter(decides).unwrap_or(request);
        let Ok(situation) = Situation::new(self.of_kind(request), facts) else {
            return Explanation { ruling, sets: Vec::new(), remedy: None };
        };
        let candidates = self.candidates(request);
        let (answers, approved) = self.answers(&candidates, &situation, facts);
        let tell = |name, set: &RuleSet, answer: &Answer| {
            let found = set.found(request);
            let unmet = found
                .positions
                .into_iter()
                .filter(|position| {
                    !answer.permits.contains(position) && !answer.forbids.contains(position)
                })
                .filter_map(|position| set.rules.get(position))
                .filter_map(|rule| {
                    let failed = failed_condition(rule, (situation.seen(found.sees), &approved))?;
                    Some(Unmet { rule: rule.place.clone(), effect: rule.effect, failed })
                })
                .take(UNMET_MAX);
            SetAnswer {
                set: name,
                allows: answer.permits(),
                permits: set.places(&answer.permits),
                forbids: set.places(&answer.forbids),
                unmet: unmet.collect(),
                errors: answer.errors.iter().map(|(_, error)| error.clone()).collect(),
            }
        };
        let mut sets = vec![tell("session", &self.session, &answers.session)];
        if let (Some(set), Some(answer)) = (&self.ceiling, &answers.ceiling) {
            sets.push(tell("system", set, answer));
        }
        let remedy = self.remedy(request, facts, &ruling);
        Explanation { ruling, sets, remedy }
    }

    /// The smallest grant or approval that would really allow the act; it is tried, not guessed.
    fn remedy(&self, request: &Request, facts: &Facts, ruling: &Ruling) -> Option<Remedy> {
        match &ruling.verdict {
            Verdict::Permit => None,
            Verdict::Ask(needs) => Some(Remedy::Approvals(needs.clone())),
            Verdict::Deny => {
                self.grant_for(request, facts).map(|grant| Remedy::Grant(grant.to_string()))
            }
        }
    }

    /// The smallest grant that would really allow a denied act; it is tried, not guessed.
    pub fn grant_for(&self, request: &Request, facts: &Facts) -> Option<GrantText> {
        let connection = match self.session.found(request).sees {
            Sees::Act => None,
            Sees::Connection => connection(request),
        };
        let grant = GrantText::smallest(connection.as_ref().unwrap_or(request));
        self.grant_helps(&grant, request, facts).then_some(grant)
    }

    /// Whether an act would be permitted if this grant were added.
    pub fn grant_helps(&self, grant: &GrantText, request: &Request, facts: &Facts) -> bool {
        let Ok(situation) = Situation::new(self.of_kind(request), facts) else { return false };
        let candidates = self.candidates(request);
        let (answers, _) = self.answers(&candidates, &situation, facts);
        let ceiling_allows = answers.ceiling.as_ref().is_none_or(Answer::permits);
        let smallest = *grant == GrantText::smallest(request);
        let exact = smallest && other_reading(request).is_none();
        let covers = exact || covers(grant, request, facts);
        covers
            && ceiling_allows
            && answers.session.forbids.is_empty()
            && answers.session.errors.is_empty()
    }
}

/// Whether a grant alone permits a request.
fn covers(grant: &GrantText, request: &Request, facts: &Facts) -> bool {
    let source = crate::Source {
        // As a rule of a file: a grant by itself does not say that requests are decided.
        set: SetName::User,
        file: "grant".to_owned(),
        text: grant.to_cedar("grant"),
        approves: Vec::new(),
    };
    let alone = Policy::load(vec![source], &crate::Options::default());
    alone.is_ok_and(|policy| policy.decide(request, facts).verdict == Verdict::Permit)
}
