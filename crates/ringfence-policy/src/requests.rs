//! Which rules speak of requests, as opposed to the connections they go over.
//!
//! A set that has no rule on the requests to an endpoint decides them as their connection: a permit of
//! `net.connect` covers them, and nothing needs to be opened to enforce it. As soon as it has one,
//! permit or forbid, each request to that endpoint needs a permit by that set. A rule that can hold only
//! where a release is fetched (`context has package && ...`) speaks of those requests alone.
//!
//! A permit with `@redact` or `@block` speaks of no request, but has them all looked through: the connection is
//! opened, and what the permits of the connection say holds for each request over it.

use cedar_policy::pst::{self, Expr, Var};
use ringfence_core::{
    Act, Action, Agent, Endpoint, Facts, HttpRequest, Request, Ruling, SetName, Verdict,
};

use crate::checks::fallible;
use crate::decide::{ASK_PEOPLE_MAX, Found};
use crate::engine::{Approved, PACKAGE, REQUEST_FACTS, Sees, Situation, connection, holds};
use crate::kinds::Kind;
use crate::nearest::conjuncts;
use crate::rule::{Fallible, Rule};
use crate::tree::{body, context_attribute, mentions_context, walk};
use crate::{Policy, RuleSet};

/// Whether a rule can answer otherwise on a request than on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRequests {
    /// It says so: its head names `net.request`, or its condition asks what only requests have.
    Speaks,
    /// The same, and it holds for no request but one that fetches a release.
    SpeaksOfReleases,
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
    match (in_head || asked, needs_release(tree)) {
        (true, true) => OnRequests::SpeaksOfReleases,
        (true, false) => OnRequests::Speaks,
        (false, _) => OnRequests::Silent,
    }
}

/// Whether one of the parts that all have to hold is `context has package`; the first of them where
/// others could err before it is asked.
fn needs_release(tree: &pst::Template) -> bool {
    let clauses = tree.clauses();
    let mut parts = clauses.iter().flat_map(|clause| match clause {
        pst::Clause::When(expr) => conjuncts(expr).into_iter().map(Some).collect(),
        pst::Clause::Unless(_) => vec![None],
    });
    match fallible(tree) {
        Fallible::No => parts.flatten().any(has_package),
        Fallible::Yes => parts.next().flatten().is_some_and(has_package),
    }
}

fn has_package(part: &Expr) -> bool {
    matches!(part, Expr::HasAttr { expr, attrs }
        if **expr == Expr::Var(Var::Context) && attrs.first() == PACKAGE)
}

/// Whether a condition looks at the release that is fetched; the context as a whole has it too.
#[expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]
fn looks_at_release(part: &Expr) -> bool {
    let context = |expr: &Expr| *expr == Expr::Var(Var::Context);
    match part {
        Expr::HasAttr { expr, attrs } => {
            context(expr) && attrs.iter().any(|attr| attr.as_str() == PACKAGE)
        }
        Expr::GetAttr { .. } => context_attribute(part) == Some(PACKAGE),
        Expr::BinaryOp { left, right, .. } => context(left) || context(right),
        _ => false,
    }
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
        self.sets().any(|set| set.speaks(&[OnRequests::Speaks], (agent, to)))
    }

    /// Whether any permit has what passes between an agent and an endpoint looked through.
    pub(crate) fn has_looked_through(&self, agent: &Agent, to: &Endpoint) -> bool {
        let has = |rule: &Rule| !rule.handling.is_empty();
        let actions = [Action::NetConnect, Action::NetRequest];
        let any = |set: &RuleSet| actions.iter().any(|it| set.any_on((agent, to), *it, has));
        self.sets().any(|set| set.handles_net && any(set))
    }

    /// What the permits of a request's connection say of what passes over it holds for the request too, whichever
    /// rules permit that.
    pub(crate) fn with_handling_of_connection(
        &self,
        ruling: Ruling,
        request: &Request,
        facts: &Facts,
    ) -> Ruling {
        let is_permit = ruling.verdict == Verdict::Permit;
        let Some(connection) = connection(request).filter(|_| is_permit && self.handles_net())
        else {
            return ruling;
        };
        let Ok(situation) = Situation::new(self.of_kind(&connection), facts) else { return ruling };
        // The connection may have been approved, which the request need not be.
        let roles = self.roles.iter().cloned().collect();
        let approved = Approved { roles, people: ASK_PEOPLE_MAX };
        let answers = self.evaluate(&self.candidates(&connection), &situation, &approved);
        let mut ruling = ruling;
        ruling.grounds.handling.add(&self.handling_by(&answers));
        ruling
    }

    /// Whether any rule has what passes over the network looked through.
    fn handles_net(&self) -> bool {
        self.sets().any(|set| set.handles_net)
    }

    /// Whether any set looks at the releases that an agent fetches from an endpoint.
    pub(crate) fn speaks_of_releases(&self, agent: &Agent, to: &Endpoint) -> bool {
        self.sets().any(|set| set.any_on_requests((agent, to), reads_release))
    }
}

fn reads_release(rule: &Rule) -> bool {
    let mut found = false;
    for clause in rule.tree.clauses() {
        walk(body(clause), &mut |part| found |= looks_at_release(part));
    }
    rule.on_requests != OnRequests::Silent && found
}

impl RuleSet {
    /// The rules that can match a request, and what they decide about.
    pub(crate) fn found(&self, request: &Request) -> Found {
        let connection = match &request.act {
            Act::Request(http) if !self.speaks_of(http, &request.agent) => connection(request),
            Act::Exec(_)
            | Act::Read(_)
            | Act::Write(_)
            | Act::Delete(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_)
            | Act::CallTool(_) => None,
        };
        match connection {
            Some(connection) => {
                Found { positions: self.index.candidates(&connection), sees: Sees::Connection }
            }
            None => Found { positions: self.index.candidates(request), sees: Sees::Act },
        }
    }

    fn speaks_of(&self, http: &HttpRequest, agent: &Agent) -> bool {
        let kinds: &[OnRequests] = match http.package {
            Some(_) => &[OnRequests::Speaks, OnRequests::SpeaksOfReleases],
            None => &[OnRequests::Speaks],
        };
        self.speaks(kinds, (agent, &http.endpoint))
    }

    fn speaks(&self, kinds: &[OnRequests], whose: (&Agent, &Endpoint)) -> bool {
        self.any_on_requests(whose, |rule| kinds.contains(&rule.on_requests))
    }

    /// Whether a rule that may concern some request of an agent to an endpoint is `wanted`. Grants
    /// are not asked: a grant is for what was denied, and does not make more to be denied.
    fn any_on_requests(
        &self,
        (agent, to): (&Agent, &Endpoint),
        wanted: impl Fn(&Rule) -> bool,
    ) -> bool {
        self.any_on((agent, to), Action::NetRequest, wanted)
    }

    /// The same of rules on an action.
    fn any_on(
        &self,
        (agent, to): (&Agent, &Endpoint),
        action: Action,
        wanted: impl Fn(&Rule) -> bool,
    ) -> bool {
        let wanted = |rule: &&Rule| rule.place.set != SetName::Grants && wanted(rule);
        if !self.rules.iter().any(|rule| wanted(&rule)) {
            return false;
        }
        let found = self.index.endpoint(action, &agent.0, to);
        let rules = found.into_iter().filter_map(|position| self.rules.get(position));
        let kind = self.servers.kind(&agent.0);
        rules.filter(wanted).any(|rule| can_concern(rule, (agent, kind), to))
    }
}

/// Whether a rule's condition can hold for some request to an endpoint: parts that ask for agent and
/// resource only are evaluated, others may hold.
fn can_concern(rule: &Rule, (agent, kind): (&Agent, Kind), to: &Endpoint) -> bool {
    if rule.fallible == Fallible::Yes {
        return true;
    }
    let request = Request { agent: agent.clone(), act: Act::Connect(to.clone()), process: None };
    let Ok(situation) = Situation::without_facts((&request, kind)) else { return true };
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
