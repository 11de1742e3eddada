//! The permit that came nearest to a request that none matched, and what it lacked.

use std::collections::BTreeMap;
use std::ops::Bound;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Var};
use cedar_policy_core::ast;
use ringfence_core::{AbsolutePath, Act, Action, Endpoint, Nearest, Request, ToolName};

use crate::RuleSet;
use crate::engine::{Approved, Situation, holds};
use crate::kinds::{self, Kind};
use crate::problem::distance;
use crate::rule::{Effect, Rule, Scope, tools_of};

/// Most permits whose scope holds that are looked at.
const CANDIDATES_MAX: usize = 64;

/// Said of a permit that leaves servers of tools out.
const NOT_FOR_SERVERS: &str = "it is for no server of tools";

/// Longest condition that is shown, in characters.
const CONDITION_CHARS_MAX: usize = 160;

/// Permits in the order of their places, so that neighbours are found without a scan.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    actions: BTreeMap<Action, BTreeMap<String, Vec<usize>>>,
    /// Those that name tools, by their servers: the tool and the rule's position.
    tools: BTreeMap<String, Vec<(String, usize)>>,
}

impl Neighbours {
    pub(crate) fn new(rules: &[Rule]) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for (position, rule) in rules.iter().enumerate() {
            if rule.effect != Effect::Permit {
                continue;
            }
            for tool in tools_of(&rule.tree.action) {
                let server = tool.split_once('/').map_or(tool, |(server, _)| server);
                let of_server = neighbours.tools.entry(server.to_owned()).or_default();
                of_server.push((tool.to_owned(), position));
            }
            let (Scope::Within(uid) | Scope::Exactly(uid)) = rule.scope() else { continue };
            for &action in &rule.actions {
                let places = neighbours.actions.entry(action).or_default();
                places.entry(place(&uid.eid)).or_default().push(position);
            }
        }
        neighbours
    }

    /// The position of the permit that names the tool most like one, among those that fit and name tools of its server.
    fn of_its_server(&self, tool: &ToolName, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let named = self.tools.get(tool.server().as_str())?;
        let fit = named.iter().filter(|(_, position)| fits(*position)).take(CANDIDATES_MAX);
        let nearest = fit.min_by_key(|(name, _)| distance(name, tool.as_str()));
        nearest.map(|(_, position)| *position)
    }

    /// The position of the permit nearest to a resource among those that fit; so many are looked at on either side.
    fn nearest(
        &self,
        (action, resource): (Action, &str),
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let places = self.actions.get(&action)?;
        let key = place(resource);
        let before = places.range::<str, _>((Bound::Unbounded, Bound::Included(key.as_str())));
        let behind = places.range::<str, _>((Bound::Excluded(key.as_str()), Bound::Unbounded));
        let each = |(other, all): (&String, &Vec<usize>)| {
            let shared = common(&key, other);
            all.iter().map(move |&position| (shared, position)).collect::<Vec<_>>()
        };
        let before = before.rev().flat_map(each).take(CANDIDATES_MAX);
        let behind = behind.flat_map(each).take(CANDIDATES_MAX);
        let fit = |found: &(usize, usize)| fits(found.1);
        let near = before.filter(fit).take(2).chain(behind.filter(fit).take(2));
        near.min_by_key(|&(shared, position)| (std::cmp::Reverse(shared), position))
            .map(|(_, position)| position)
    }
}

/// A sortable spelling in which what lies close together begins alike: hosts from the right.
fn place(resource: &str) -> String {
    if resource.starts_with('/') {
        return resource.to_owned();
    }
    let (host, port) = resource.rsplit_once(':').unwrap_or((resource, ""));
    let mut labels: Vec<&str> = host.split('.').rev().collect();
    labels.push(port);
    labels.join(".")
}

fn common(left: &str, right: &str) -> usize {
    left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count()
}

/// The nearest permit of a set.
pub(crate) fn find(
    set: &RuleSet,
    request: &Request,
    state: (&Situation, &Approved),
) -> Option<Nearest> {
    let by_scope = set.index.candidates(request);
    let in_scope = by_scope
        .into_iter()
        .filter_map(|position| set.rules.get(position))
        .filter(|rule| rule.effect == Effect::Permit)
        .take(CANDIDATES_MAX);
    // Of permits that lack as little, the one with the narrowest scope says most about what its
    // author had in mind.
    let lacking = in_scope.map(|rule| (rule, failed_conditions(rule, state)));
    let least = lacking.min_by_key(|(rule, failed)| (failed.len(), std::cmp::Reverse(width(rule))));
    if let Some((rule, failed)) = least {
        let failed = failed.into_iter().next()?;
        return Some(Nearest { rule: rule.place.clone(), failed });
    }
    let rule = for_another(set, request).or_else(|| elsewhere(set, request))?;
    if is_for_another_secret(rule, request) {
        return None;
    }
    let failed = failed_scope((rule, set), request).or_else(|| failed_condition(rule, state))?;
    Some(Nearest { rule: rule.place.clone(), failed })
}

/// A permit of just this for another agent: nothing else is between them. One for another and for something else is not near.
fn for_another<'a>(set: &'a RuleSet, request: &Request) -> Option<&'a Rule> {
    let is_just_this = |rule: &Rule| {
        let is_for_another = rule.agent().is_some_and(|agent| agent != request.agent.0);
        is_for_another && failed_place(rule, request).is_none()
    };
    found(set, request, is_just_this)
}

/// A permit that could be for this agent, of something else.
fn elsewhere<'a>(set: &'a RuleSet, request: &Request) -> Option<&'a Rule> {
    let agent = request.agent.0.as_str();
    let kind = set.servers.kind(agent);
    let could_be =
        |rule: &Rule| rule.agent().is_none_or(|it| it == agent) && is_for_kind(rule, kind);
    found(set, request, could_be)
}

/// The nearest permit of an action that fits, else the first of those that begin the policy.
fn found<'a>(
    set: &'a RuleSet,
    request: &Request,
    fits: impl Fn(&Rule) -> bool,
) -> Option<&'a Rule> {
    let action = request.act.action();
    let at = |position: usize| set.rules.get(position);
    if let Act::CallTool(call) = &request.act
        && let Some(position) =
            set.neighbours.of_its_server(&call.tool, |it| at(it).is_some_and(&fits))
    {
        return at(position);
    }
    let near = set
        .neighbours
        .nearest((action, &request.act.resource()), |position| at(position).is_some_and(&fits));
    near.and_then(at).or_else(|| {
        let permits = |rule: &Rule| rule.effect == Effect::Permit && rule.applies_to(action);
        set.rules.iter().take(CANDIDATES_MAX).find(|rule| permits(rule) && fits(rule))
    })
}

/// Whether a rule does not leave out agents of this kind as a whole.
fn is_for_kind(rule: &Rule, kind: Kind) -> bool {
    let for_servers_alone = rule.is_for_servers()
        || rule.tree.clauses().iter().any(|clause| match clause {
            Clause::When(expr) => conjuncts(expr).into_iter().any(is_tool_server),
            Clause::Unless(_) => false,
        });
    match kind {
        Kind::Agent => !for_servers_alone,
        Kind::ToolServer => !rule
            .tree
            .clauses()
            .iter()
            .any(|clause| matches!(clause, Clause::Unless(expr) if is_tool_server(expr))),
    }
}

/// Secrets are not near to each other: what permits another one says nothing about this one.
fn is_for_another_secret(rule: &Rule, request: &Request) -> bool {
    let (Act::UseSecret(used), Scope::Exactly(uid) | Scope::Within(uid)) =
        (&request.act, rule.scope())
    else {
        return false;
    };
    uid.eid.as_str() != used.secret.as_str()
}

fn width(rule: &Rule) -> usize {
    match rule.scope() {
        Scope::Exactly(_) => usize::MAX,
        Scope::Within(uid) => uid.eid.len(),
        Scope::Anything => 0,
    }
}

/// What differs between a request and a rule's head, for a person.
fn failed_scope((rule, set): (&Rule, &RuleSet), request: &Request) -> Option<String> {
    if let Some(agent) = rule.agent().filter(|agent| *agent != request.agent.0) {
        return Some(match set.servers.kind(agent) {
            Kind::Agent => format!("it is for agent `{agent}`"),
            Kind::ToolServer => format!("it is for the server `{agent}`"),
        });
    }
    failed_place(rule, request)
}

/// The same of what it is about.
fn failed_place(rule: &Rule, request: &Request) -> Option<String> {
    if let Act::CallTool(call) = &request.act {
        let mut tools = tools_of(&rule.tree.action);
        // What was probably meant comes first.
        tools.sort_by_key(|name| distance(name, call.tool.as_str()));
        if !tools.is_empty() && !tools.contains(&call.tool.as_str()) {
            return Some(format!("tool differs: it permits `{}`", tools.join("`, `")));
        }
    }
    let (Scope::Exactly(uid) | Scope::Within(uid)) = rule.scope() else { return None };
    let id = uid.eid.as_str();
    let exactly = matches!(rule.scope(), Scope::Exactly(_));
    match &request.act {
        Act::Connect(to) => failed_endpoint(id, to),
        Act::Request(http) => failed_endpoint(id, &http.endpoint),
        Act::Exec(exec) => failed_path(("program", exactly), id, &exec.program),
        Act::Read(path) | Act::Write(path) | Act::Delete(path) => {
            failed_path(("path", exactly), id, path)
        }
        Act::ConnectUnix(path) => failed_path(("socket", exactly), id, path),
        Act::UseSecret(used) => {
            (id != used.secret.as_str()).then(|| format!("secret differs: it permits `{id}`"))
        }
        Act::CallTool(call) if exactly => {
            (id != call.tool.as_str()).then(|| format!("tool differs: it permits `{id}`"))
        }
        Act::CallTool(call) => (id != call.tool.server().as_str())
            .then(|| format!("server differs: it permits `{id}`")),
    }
}

fn failed_endpoint(id: &str, to: &Endpoint) -> Option<String> {
    match id.parse::<Endpoint>() {
        Ok(named) if named.host != to.host => Some(format!("host differs: it permits `{id}`")),
        Ok(named) if named.port != to.port => Some(format!("port differs: it permits `{id}`")),
        Ok(_) => None,
        Err(_) if to.domains().iter().any(|domain| domain == id) => None,
        Err(_) => Some(format!("host is not in domain `{id}`")),
    }
}

fn failed_path((what, exactly): (&str, bool), id: &str, path: &AbsolutePath) -> Option<String> {
    if exactly {
        return (id != path.as_str()).then(|| format!("{what} differs: it permits `{id}`"));
    }
    let dir = AbsolutePath::parse(id).ok()?;
    (!path.is_within(&dir)).then(|| format!("{what} is not below `{id}`"))
}

/// The first part of a rule's conditions that does not hold, for a person.
pub(crate) fn failed_condition(rule: &Rule, state: (&Situation, &Approved)) -> Option<String> {
    failed_conditions(rule, state).into_iter().next()
}

/// The parts of a rule's conditions that do not hold, for a person, in their order.
fn failed_conditions(rule: &Rule, (situation, approved): (&Situation, &Approved)) -> Vec<String> {
    let evaluator = situation.evaluator(approved);
    let value = |expr: &Expr| holds(&evaluator, &ast::Expr::from(expr.clone()));
    let failed = |clause: &Clause| match clause {
        Clause::When(expr) => conjuncts(expr)
            .into_iter()
            .filter_map(|part| match value(part) {
                Ok(true) => None,
                Ok(false) => Some(format!("`{}` is false", shown(part))),
                Err(error) => Some(error),
            })
            .collect(),
        Clause::Unless(expr) => match value(expr) {
            Ok(false) => Vec::new(),
            Ok(true) if is_tool_server(expr) => vec![NOT_FOR_SERVERS.to_owned()],
            Ok(true) => vec![format!("`{}` is true", shown(expr))],
            Err(error) => vec![error],
        },
    };
    rule.tree.clauses().iter().flat_map(failed).collect()
}

/// Whether a condition is that the agent is a server of tools.
fn is_tool_server(expr: &Expr) -> bool {
    let Expr::BinaryOp { op: BinaryOp::In, left, right } = expr else { return false };
    matches!((&**left, &**right), (Expr::Var(Var::Principal), Expr::Literal(Literal::EntityUID(uid)))
        if kinds::is_tool_server(uid))
}

/// The parts of `a && b && c`, in the order of evaluation.
pub(crate) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    if let Expr::BinaryOp { op: BinaryOp::And, left, right } = expr {
        let mut parts = conjuncts(left);
        parts.extend(conjuncts(right));
        return parts;
    }
    vec![expr]
}

/// An expression as text, cut to a readable length.
pub(crate) fn shown(expr: &Expr) -> String {
    let text = expr.to_string();
    if text.chars().count() <= CONDITION_CHARS_MAX {
        return text;
    }
    text.chars().take(CONDITION_CHARS_MAX).chain("...".chars()).collect()
}
