//! One request decided: candidates from the index, each rule evaluated, an error is a denial.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Decision, PolicySet};
use ringfence_core::{
    Act, Agent, AskFor, Decide, Endpoint, Facts, Grounds, Handling, Request, Role, RuleRef, Ruling,
    SecretUse, UrlPath, Verdict,
};

use crate::engine::{Approved, Sees, Situation, check_lengths, connection, holds};
use crate::remembered::{Reads, Subject};
use crate::rule::{Approvable, Effect};
use crate::{Policy, RuleSet, handling, nearest};

/// Most declared roles that are considered for a question.
pub const ASK_ROLES_MAX: usize = 8;

/// Most roles that one question may need.
pub const ASK_SET_MAX: usize = 3;

/// Most people that one question may need.
pub const ASK_PEOPLE_MAX: u32 = 3;

/// Said where a rule wants what nobody can do.
const UNSEEN: &str = "what passes over a unix socket cannot be looked through, and a rule that permits it has \
                      `@redact` or `@block`: write `resource is Endpoint` there";

/// What one set answers; positions are into its rules.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) permits: Vec<usize>,
    pub(crate) forbids: Vec<usize>,
    pub(crate) errors: Vec<(usize, String)>,
}

/// What all sets answer.
pub(crate) struct Answers {
    pub(crate) session: Answer,
    pub(crate) ceiling: Option<Answer>,
}

impl Answer {
    pub(crate) fn permits(&self) -> bool {
        self.errors.is_empty() && self.forbids.is_empty() && !self.permits.is_empty()
    }
}

impl Answers {
    fn permit(&self) -> bool {
        self.session.permits() && self.ceiling.as_ref().is_none_or(Answer::permits)
    }
}

/// The rules that can match a request, per set.
pub(crate) struct Candidates {
    session: Found,
    ceiling: Option<Found>,
}

/// The rules of one set that can match, and what they decide about.
pub(crate) struct Found {
    pub(crate) positions: Vec<usize>,
    pub(crate) sees: Sees,
}

impl RuleSet {
    /// Evaluates the candidates under the given approvals.
    fn answer(&self, found: &Found, situation: &Situation, approved: &Approved) -> Answer {
        let evaluator = situation.seen(found.sees).evaluator(approved);
        let mut answer = Answer::default();
        for &position in &found.positions {
            let Some(rule) = self.rules.get(position) else { continue };
            match (holds(&evaluator, &rule.condition), rule.effect) {
                (Ok(true), Effect::Permit) => answer.permits.push(position),
                (Ok(true), Effect::Forbid) => answer.forbids.push(position),
                (Ok(false), Effect::Permit | Effect::Forbid) => {}
                (Err(error), Effect::Permit | Effect::Forbid) => {
                    answer.errors.push((position, error));
                }
            }
        }
        answer
    }

    /// What the rules at these positions look at.
    fn reads<'a>(&'a self, positions: &'a [usize]) -> impl Iterator<Item = &'a Reads> {
        positions.iter().filter_map(|&position| self.rules.get(position)).map(|rule| &rule.reads)
    }

    /// Where the rules at these positions stand.
    pub(crate) fn places(&self, positions: &[usize]) -> Vec<RuleRef> {
        positions
            .iter()
            .filter_map(|&position| self.rules.get(position))
            .map(|rule| rule.place.clone())
            .collect()
    }
}

impl Decide for Policy {
    fn decide(&self, request: &Request, facts: &Facts) -> Ruling {
        if let Err(oversized) = check_lengths(request, facts) {
            return failed(oversized.to_string());
        }
        if let Some(ruling) = self.remembered(request, facts) {
            return ruling;
        }
        let ruling = self.decide_as_written(request, facts);
        let ruling = match other_reading(request) {
            // What some servers read in the same words must be permitted too.
            Some(other) => stricter(ruling, self.decide_as_written(&other, facts)),
            None => ruling,
        };
        let ruling = self.with_handling_of_connection(ruling, request, facts);
        unless_unseen(ruling, &request.act)
    }

    fn inspects(&self, agent: &Agent, endpoint: &Endpoint) -> bool {
        self.speaks_of_requests(agent, endpoint) || self.has_looked_through(agent, endpoint)
    }

    fn looks_at_releases(&self, agent: &Agent, endpoint: &Endpoint) -> bool {
        self.speaks_of_releases(agent, endpoint)
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}

impl Policy {
    /// The ruling of a request in the one reading it has.
    pub(crate) fn decide_as_written(&self, request: &Request, facts: &Facts) -> Ruling {
        let situation = match Situation::new(self.of_kind(request), facts) {
            Ok(situation) => situation,
            Err(oversized) => return failed(oversized.to_string()),
        };
        let candidates = self.candidates(request);
        let (answers, approved) = self.answers(&candidates, &situation, facts);
        if answers.permit() {
            let ruling = self.permitted(&answers);
            self.remember((request, facts), &candidates, &ruling);
            return ruling;
        }
        if let Some(failure) = self.failure(&answers) {
            return failed(failure);
        }
        let mut grounds = self.denied_by(&answers);
        let asked = self.ask((&candidates, &situation), &approved);
        let verdict = match asked {
            Some(needs) => Verdict::Ask(needs),
            None => Verdict::Deny,
        };
        if grounds.rules.is_empty() {
            let set = if answers.session.permits() { self.ceiling.as_ref() } else { None };
            let set = set.unwrap_or(&self.session);
            let sees = set.found(request).sees;
            let connection = connection(request).filter(|_| sees == Sees::Connection);
            let request = connection.as_ref().unwrap_or(request);
            grounds.nearest = nearest::find(set, request, (situation.seen(sees), &approved));
        }
        Ruling { verdict, grounds }
    }

    pub(crate) fn candidates(&self, request: &Request) -> Candidates {
        Candidates {
            session: self.session.found(request),
            ceiling: self.ceiling.as_ref().map(|set| set.found(request)),
        }
    }

    /// The permit of what was decided before, under facts that are the same.
    fn remembered(&self, request: &Request, facts: &Facts) -> Option<Ruling> {
        self.remembered.ruling((&request.agent.0, Subject::of(&request.act)?), facts)
    }

    /// Remembers a permit. Denials are not: what comes near to permitting them is no candidate.
    fn remember(
        &self,
        (request, facts): (&Request, &Facts),
        candidates: &Candidates,
        ruling: &Ruling,
    ) {
        let Some(subject) = Subject::of(&request.act) else { return };
        let session = self.session.reads(&candidates.session.positions);
        let ceiling = self.ceiling.iter().zip(&candidates.ceiling);
        let ceiling = ceiling.flat_map(|(set, found)| set.reads(&found.positions));
        let reads = Reads::together(session.chain(ceiling));
        self.remembered.keep(((&request.agent.0, subject), facts), reads, ruling);
    }

    /// What the sets answer; the author of a matching grant counts as an approver.
    pub(crate) fn answers(
        &self,
        candidates: &Candidates,
        situation: &Situation,
        facts: &Facts,
    ) -> (Answers, Approved) {
        let mut approved =
            Approved { roles: facts.approvals.clone(), people: facts.approver_count };
        let answers = self.evaluate(candidates, situation, &approved);
        let granted: BTreeSet<Role> = answers
            .session
            .permits
            .iter()
            .filter_map(|&position| self.session.rules.get(position))
            .flat_map(|rule| rule.approves.iter().cloned())
            .collect();
        if answers.permit() || granted.is_empty() {
            return (answers, approved);
        }
        approved.roles.extend(granted);
        approved.people = approved.people.max(1);
        (self.evaluate(candidates, situation, &approved), approved)
    }

    pub(crate) fn evaluate(
        &self,
        candidates: &Candidates,
        situation: &Situation,
        approved: &Approved,
    ) -> Answers {
        let session = self.session.answer(&candidates.session, situation, approved);
        let ceiling = self.ceiling.as_ref().zip(candidates.ceiling.as_ref());
        let ceiling = ceiling.map(|(set, found)| set.answer(found, situation, approved));
        Answers { session, ceiling }
    }

    fn permitted(&self, answers: &Answers) -> Ruling {
        let mut rules = self.session.places(&answers.session.permits);
        if let (Some(set), Some(answer)) = (&self.ceiling, &answers.ceiling) {
            rules.extend(set.places(&answer.permits));
        }
        let handling = self.handling_by(answers);
        Ruling {
            verdict: Verdict::Permit,
            grounds: Grounds { rules, handling, ..Grounds::default() },
        }
    }

    /// What all permits that hold say of what passes.
    pub(crate) fn handling_by(&self, answers: &Answers) -> Handling {
        let all = [Some(&self.session), self.ceiling.as_ref()];
        let permits = [Some(&answers.session), answers.ceiling.as_ref()];
        let matched = all.into_iter().flatten().zip(permits.into_iter().flatten());
        handling::united(matched.flat_map(|(set, answer)| {
            answer.permits.iter().filter_map(|position| set.rules.get(*position))
        }))
    }

    fn denied_by(&self, answers: &Answers) -> Grounds {
        let mut rules = self.session.places(&answers.session.forbids);
        if let (Some(set), Some(answer)) = (&self.ceiling, &answers.ceiling) {
            rules.extend(set.places(&answer.forbids));
        }
        Grounds { rules, ..Grounds::default() }
    }

    /// The first evaluation error: Cedar alone would skip the rule, even a forbid.
    fn failure(&self, answers: &Answers) -> Option<String> {
        let sets = [
            (Some(&self.session), Some(&answers.session)),
            (self.ceiling.as_ref(), answers.ceiling.as_ref()),
        ];
        sets.into_iter().find_map(|(set, answer)| {
            let (position, error) = answer?.errors.first()?;
            let rule = set?.rules.get(*position)?;
            let RuleRef { file, line, id, .. } = &rule.place;
            Some(format!("rule `{id}` ({file}:{line}) could not be evaluated: {error}"))
        })
    }

    /// The smallest approvals that would turn a denial into a permit.
    ///
    /// Rules are monotone in approvals (checked at load), so when all roles do not help, none do.
    fn ask(
        &self,
        (candidates, situation): (&Candidates, &Situation),
        approved: &Approved,
    ) -> Option<AskFor> {
        if self.roles.is_empty() || !self.mentions_approvals(candidates) {
            return None;
        }
        let helps = |roles: &BTreeSet<Role>, people: u32| {
            let mut with = approved.clone();
            with.roles.extend(roles.iter().cloned());
            with.people = with.people.max(people);
            self.evaluate(candidates, situation, &with).permit()
        };
        let all: BTreeSet<Role> = self.roles.iter().cloned().collect();
        if !helps(&all, ASK_PEOPLE_MAX) {
            return None;
        }
        role_sets(&self.roles).into_iter().find_map(|roles| {
            if !helps(&roles, ASK_PEOPLE_MAX) {
                return None;
            }
            let people = (1..=ASK_PEOPLE_MAX).find(|&people| helps(&roles, people))?;
            Some(AskFor { roles, people })
        })
    }

    fn mentions_approvals(&self, candidates: &Candidates) -> bool {
        let any = |set: &RuleSet, positions: &[usize]| {
            positions
                .iter()
                .filter_map(|&position| set.rules.get(position))
                .any(|rule| rule.approvable == Approvable::Yes)
        };
        let ceiling = self.ceiling.as_ref().zip(candidates.ceiling.as_ref());
        any(&self.session, &candidates.session.positions)
            || ceiling.is_some_and(|(set, found)| any(set, &found.positions))
    }

    /// The same decision by Cedar's own authorizer over all rules, without index, questions and
    /// grounds: the reference that the index is tested and measured against.
    pub fn decide_by_full_scan(&self, request: &Request, facts: &Facts) -> Verdict {
        let approved = Approved { roles: facts.approvals.clone(), people: facts.approver_count };
        let all = [Some(&self.session), self.ceiling.as_ref()];
        for set in all.into_iter().flatten() {
            let connection = match set.found(request).sees {
                Sees::Act => None,
                Sees::Connection => connection(request),
            };
            let request = connection.as_ref().unwrap_or(request);
            let Ok(situation) = Situation::new(self.of_kind(request), facts) else {
                return Verdict::Deny;
            };
            let (cedar_request, entities) = situation.into_cedar(&approved);
            let scan: &PolicySet = set.all();
            if scan.num_of_policies() != set.rules.len() {
                return Verdict::Deny;
            }
            let response =
                Authorizer::new().is_authorized(&cedar_request.into(), scan, &entities.into());
            let failed = response.diagnostics().errors().next().is_some();
            if failed || response.decision() == Decision::Deny {
                return Verdict::Deny;
            }
        }
        Verdict::Permit
    }
}

/// The request as other servers read it.
pub(crate) fn other_reading(request: &Request) -> Option<Request> {
    let act = match &request.act {
        Act::Request(http) => Act::Request(http.other_reading()?),
        Act::UseSecret(used) => {
            let path = UrlPath::parse(&used.path).ok()?.loose()?.as_str().to_owned();
            Act::UseSecret(SecretUse { path, ..used.clone() })
        }
        Act::Exec(_)
        | Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::ConnectUnix(_)
        | Act::Connect(_)
        | Act::CallTool(_) => return None,
    };
    Some(Request { agent: request.agent.clone(), act, process: request.process })
}

/// What passes over a socket of the host is not looked through, so that a rule which has it so permits none.
fn unless_unseen(ruling: Ruling, act: &Act) -> Ruling {
    let permitted = ruling.verdict == Verdict::Permit && !ruling.grounds.handling.is_empty();
    if permitted && matches!(act, Act::ConnectUnix(_)) {
        return failed(UNSEEN.to_owned());
    }
    ruling
}

/// Of two rulings that must both hold, the one that stands in the way.
fn stricter(mut left: Ruling, right: Ruling) -> Ruling {
    match (&left.verdict, &right.verdict) {
        (Verdict::Permit, Verdict::Permit) => {
            left.grounds.handling.add(&right.grounds.handling);
            left
        }
        (Verdict::Deny, _) | (Verdict::Ask(_), Verdict::Permit) => left,
        (Verdict::Permit | Verdict::Ask(_), Verdict::Deny) | (Verdict::Permit, Verdict::Ask(_)) => {
            right
        }
        (Verdict::Ask(one), Verdict::Ask(other)) => {
            let roles = &one.roles | &other.roles;
            let people = one.people.max(other.people);
            Ruling { verdict: Verdict::Ask(AskFor { roles, people }), ..left }
        }
    }
}

fn failed(failure: String) -> Ruling {
    let grounds = Grounds { failure: Some(failure), ..Grounds::default() };
    Ruling { verdict: Verdict::Deny, grounds }
}

/// All sets of at most [`ASK_SET_MAX`] roles, smallest first.
fn role_sets(roles: &[Role]) -> Vec<BTreeSet<Role>> {
    let mut sets: Vec<BTreeSet<Role>> = Vec::new();
    let mut last: Vec<(usize, BTreeSet<Role>)> = vec![(0, BTreeSet::new())];
    for _ in 0..ASK_SET_MAX {
        let mut next = Vec::new();
        for (from, set) in &last {
            for (position, role) in roles.iter().enumerate().skip(*from) {
                let mut larger = set.clone();
                larger.insert(role.clone());
                next.push((position + 1, larger));
            }
        }
        sets.extend(next.iter().map(|(_, set)| set.clone()));
        last = next;
    }
    sets
}
