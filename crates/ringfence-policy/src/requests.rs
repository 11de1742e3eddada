//! Which rules speak of requests, as opposed to the connections they go over.
//!
//! A set that has no rule on the requests to an endpoint decides them as their connection: a permit of
//! `net.connect` covers them, and nothing needs to be opened to enforce it. As soon as it has one,
//! permit or forbid, each request to that endpoint needs a permit by that set.

use cedar_policy::pst::{self, Expr, Var};
use ringfence_core::{Act, Action, Agent, Endpoint, Request, SetName};

use crate::decide::Found;
use crate::engine::{Approved, REQUEST_FACTS, Sees, Situation, holds};
use crate::nearest::conjuncts;
use crate::rule::{Fallible, Rule};
use crate::tree::{body, context_attribute, mentions_context, walk};
use crate::{Policy, RuleSet};

/// Whether a rule can answer otherwise on a request than on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRequests {
    /// It says so: its head names `net.request`, or its condition asks what only requests have.
    Speaks,
    /// It is for connections, or for both alike.
    Silent,
}

/// Reads from a rule whether it speaks of requests.
pub(crate) fn on_requests(tree: &pst::Template) -> OnRequests {
    let named = |uid: &pst::EntityUID| uid.eid == Action::NetRequest.name();
    let in_head = match &tree.action {
        pst::ActionConstraint::Any => false,
        pst::ActionConstraint::Eq(uid) => named(uid),
        pst::ActionConstraint::In(uids) => uids.iter().any(named),
    };
    let mut asked = false;
    for clause in tree.clauses() {
        walk(body(clause), &mut |part| asked |= tells_apart(part));
    }
    if in_head || asked { OnRequests::Speaks } else { OnRequests::Silent }
}

/// Whether an expression has another value for a request than for its connection.
#[expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]
fn tells_apart(part: &Expr) -> bool {
    let net = [Action::NetConnect.name(), Action::NetRequest.name()];
    let context = |expr: &Expr| *expr == Expr::Var(Var::Context);
    match part {
        Expr::Literal(pst::Literal::EntityUID(uid)) => net.iter().any(|name| uid.eid == *name),
        Expr::HasAttr { expr, attrs } => {
            context(expr) && attrs.iter().any(|attr| REQUEST_FACTS.contains(&attr.as_str()))
        }
        Expr::GetAttr { .. } => {
            context_attribute(part).is_some_and(|name| REQUEST_FACTS.contains(&name))
        }
        // The context as a whole.
        Expr::BinaryOp { left, right, .. } => context(left) || context(right),
        _ => false,
    }
}

impl Policy {
    /// Whether any set speaks of the requests of an agent to an endpoint.
    pub(crate) fn speaks_of_requests(&self, agent: &Agent, to: &Endpoint) -> bool {
        self.sets().any(|set| set.speaks_of_requests(agent, to))
    }
}

impl RuleSet {
    /// The rules that can match a request, and what they decide about.
    pub(crate) fn found(&self, request: &Request) -> Found {
        let connection = match &request.act {
            Act::Request(http) if !self.speaks_of_requests(&request.agent, &http.endpoint) => {
                crate::engine::connection(request)
            }
            Act::Exec(_)
            | Act::Read(_)
            | Act::Write(_)
            | Act::Delete(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_) => None,
        };
        match connection {
            Some(connection) => {
                Found { positions: self.index.candidates(&connection), sees: Sees::Connection }
            }
            None => Found { positions: self.index.candidates(request), sees: Sees::Act },
        }
    }

    fn speaks_of_requests(&self, agent: &Agent, to: &Endpoint) -> bool {
        if !self.rules.iter().any(speaks) {
            return false;
        }
        let found = self.index.endpoint(Action::NetRequest, &agent.0, to);
        let rules = found.into_iter().filter_map(|position| self.rules.get(position));
        rules.filter(|rule| speaks(rule)).any(|rule| can_concern(rule, (agent, to)))
    }
}

/// A grant is for what was denied: it does not make more to be denied.
fn speaks(rule: &Rule) -> bool {
    rule.on_requests == OnRequests::Speaks && rule.place.set != SetName::Grants
}

/// Whether a rule's condition can hold for some request to an endpoint: parts that ask for agent and
/// resource only are evaluated, others may hold.
fn can_concern(rule: &Rule, (agent, to): (&Agent, &Endpoint)) -> bool {
    if rule.fallible == Fallible::Yes {
        return true;
    }
    let request = Request { agent: agent.clone(), act: Act::Connect(to.clone()), process: None };
    let Ok(situation) = Situation::without_facts(&request) else { return true };
    let evaluator = situation.evaluator(&Approved::nobody());
    let never = |part: &Expr, wanted: bool| {
        let fixed = !mentions_context(part) && !mentions_action(part);
        let value = || holds(&evaluator, &cedar_policy_core::ast::Expr::from(part.clone()));
        fixed && value().is_ok_and(|value| value != wanted)
    };
    !rule.tree.clauses().iter().any(|clause| match clause {
        pst::Clause::When(expr) => conjuncts(expr).into_iter().any(|part| never(part, true)),
        pst::Clause::Unless(expr) => never(expr, false),
    })
}

fn mentions_action(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |part| found |= *part == Expr::Var(Var::Action));
    found
}
