//! Comparisons that are never true, although they are well typed: facts have one spelling each.
#![expect(clippy::wildcard_enum_match_arm, reason = "cedar's syntax tree is non-exhaustive")]

use cedar_policy::pst::{self, BinaryOp, Expr, Literal, PatternElem, Var};
use ringfence_core::{AbsolutePath, Action, Host};

use crate::rule::{Rule, Scope};
use crate::tree::{body, walk};

/// Methods of uses of secrets that are no request's.
const SIGNING_METHODS: [&str; 3] = ["ssh-login", "ssh-sign", "gpg-sign"];

/// Where releases come from.
const ECOSYSTEMS: [&str; 4] = ["npm", "pypi", "cargo", "debian"];

/// What of a rule is never true, and why; the first such thing.
pub(crate) fn found(rule: &Rule) -> Option<String> {
    if let Scope::Exactly(uid) | Scope::Within(uid) = rule.scope()
        && let Some(why) = resource(rule, uid, how(rule))
    {
        return Some(why);
    }
    let mut found = None;
    for clause in rule.tree.clauses() {
        walk(body(clause), &mut |part| {
            if found.is_none() {
                found = comparison(rule, part);
            }
        });
    }
    found
}

/// How a resource is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Is,
    In,
}

fn how(rule: &Rule) -> How {
    match rule.tree.resource {
        pst::ResourceConstraint::Eq(_) => How::Is,
        _ => How::In,
    }
}

/// What a resource of a rule's acts can be.
fn types(action: Action) -> &'static [&'static str] {
    match action {
        Action::Exec => &["Program"],
        Action::FsRead | Action::FsWrite | Action::FsDelete => &["Path"],
        Action::NetConnect => &["Endpoint", "Socket"],
        Action::NetRequest => &["Endpoint"],
        Action::SecretUse => &["Secret"],
        Action::ToolCall => &["Tool"],
    }
}

fn resource(rule: &Rule, uid: &pst::EntityUID, how: How) -> Option<String> {
    let (ty, text) = (uid.ty.0.id.as_str(), uid.eid.as_str());
    if how == How::Is && matches!(ty, "Dir" | "Domain" | "Server") {
        return Some(format!(
            "`resource == {ty}::\"{text}\"` is never true: it holds what acts are about; write \
             `resource in {ty}::\"{text}\"`"
        ));
    }
    let fits = |action: &Action| match ty {
        "Dir" => types(*action).iter().any(|it| matches!(*it, "Path" | "Program" | "Socket")),
        "Domain" => types(*action).contains(&"Endpoint"),
        "Server" => types(*action).contains(&"Tool"),
        _ => types(*action).contains(&ty),
    };
    if rule.actions.is_empty() || rule.actions.iter().any(fits) {
        return None;
    }
    let names: Vec<String> =
        rule.actions.iter().map(|action| format!("`{}`", action.name())).collect();
    let takes: Vec<&str> = rule.actions.iter().flat_map(|action| types(*action)).copied().collect();
    Some(format!(
        "`{ty}::\"{text}\"` is never the resource of {}, which is a `{}`",
        names.join(", "),
        takes.first().copied().unwrap_or(""),
    ))
}

fn comparison(rule: &Rule, part: &Expr) -> Option<String> {
    match part {
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right } => {
            [(left, right), (right, left)].into_iter().find_map(|(side, other)| {
                entity(rule, side, other, How::Is).or_else(|| literal(rule, side, other))
            })
        }
        Expr::BinaryOp { op: BinaryOp::In, left, right } => entity(rule, left, right, How::In),
        // `["get", "post"].contains(context.method)`, and `context.headers.contains("Accept")`.
        Expr::BinaryOp { op: BinaryOp::Contains, left, right } => match &**left {
            Expr::Set(items) => items.iter().find_map(|item| literal(rule, right, item)),
            _ => literal(rule, left, right),
        },
        Expr::BinaryOp { op: BinaryOp::ContainsAny | BinaryOp::ContainsAll, left, right } => {
            match &**right {
                Expr::Set(items) => items.iter().find_map(|item| literal(rule, left, item)),
                _ => None,
            }
        }
        Expr::Like { expr, pattern } => like(rule, expr, pattern),
        _ => None,
    }
}

fn entity(rule: &Rule, side: &Expr, other: &Expr, how: How) -> Option<String> {
    match (side, other) {
        (Expr::Var(Var::Resource), Expr::Literal(Literal::EntityUID(uid))) => {
            resource(rule, uid, how)
        }
        _ => None,
    }
}

fn literal(rule: &Rule, fact: &Expr, value: &Expr) -> Option<String> {
    let name = name_of(fact)?;
    match value {
        Expr::Literal(Literal::String(text)) => {
            let why = spelling(rule, &name, text)?;
            Some(format!("`{name}` is never `\"{text}\"`: {why}"))
        }
        Expr::Literal(Literal::Long(number)) => {
            let why = range(&name, *number)?;
            Some(format!("`{name}` is never {number}: {why}"))
        }
        _ => None,
    }
}

/// A pattern whose letters are none of the fact's.
fn like(rule: &Rule, fact: &Expr, pattern: &[PatternElem]) -> Option<String> {
    let name = name_of(fact)?;
    let letters: String = pattern
        .iter()
        .filter_map(|part| match part {
            PatternElem::Char(letter) => Some(*letter),
            PatternElem::Wildcard => None,
        })
        .collect();
    let why = match name.as_str() {
        "context.method" if methods_are_capital(rule) && has_small(&letters) => CAPITAL_METHODS,
        "context.host" | "resource.host" if has_capital(&letters) => SMALL_HOSTS,
        _ => return None,
    };
    Some(format!("`{name}` is never like that: {why}"))
}

/// `context.package.ecosystem`, for facts that have a name.
fn name_of(fact: &Expr) -> Option<String> {
    match fact {
        Expr::Var(Var::Context) => Some("context".to_owned()),
        Expr::Var(Var::Resource) => Some("resource".to_owned()),
        Expr::GetAttr { expr, attr } => Some(format!("{}.{attr}", name_of(expr)?)),
        _ => None,
    }
}

const CAPITAL_METHODS: &str = "methods are in capital letters";
const SMALL_HOSTS: &str = "names of hosts are in small letters";

fn has_small(text: &str) -> bool {
    text.contains(|letter: char| letter.is_ascii_lowercase())
}

fn has_capital(text: &str) -> bool {
    text.contains(|letter: char| letter.is_ascii_uppercase())
}

/// Whether a rule is about nothing but requests; uses of secrets have other methods too.
fn methods_are_capital(rule: &Rule) -> bool {
    !rule.applies_to(Action::SecretUse)
}

/// Why a fact never has this spelling.
fn spelling(rule: &Rule, name: &str, text: &str) -> Option<String> {
    let write = |right: &str| Some(format!("write `\"{right}\"`"));
    match name {
        "context.method" => {
            let signs = !methods_are_capital(rule) && SIGNING_METHODS.contains(&text);
            (!signs && has_small(text))
                .then(|| format!("{CAPITAL_METHODS}; write `\"{}\"`", text.to_ascii_uppercase()))
        }
        "context.host" | "resource.host" => host(text),
        "context.scheme" => {
            let known = matches!(text, "http" | "https");
            (!known).then(|| "it is `\"https\"` or `\"http\"`".to_owned())
        }
        "context.headers" => has_capital(text).then(|| {
            format!(
                "names of headers are in small letters; write `\"{}\"`",
                text.to_ascii_lowercase()
            )
        }),
        "context.flags" => match text.split_once('=') {
            Some((flag, _)) => Some(format!("a flag ends before its `=`; write `\"{flag}\"`")),
            None if text.starts_with('-') => None,
            None => Some("flags begin with `-`".to_owned()),
        },
        "context.subcommand" => {
            text.starts_with('-').then(|| "it is no flag; see `context.flags`".to_owned())
        }
        "context.cwd" | "resource.path" => match AbsolutePath::parse(text) {
            Ok(path) if path.as_str() == text => None,
            Ok(path) => write(path.as_str()),
            Err(_) => Some("it is a whole path, from `/`".to_owned()),
        },
        "context.package.ecosystem" => (!ECOSYSTEMS.contains(&text))
            .then(|| format!("it is one of `{}`", ECOSYSTEMS.join("`, `"))),
        _ => None,
    }
}

fn host(text: &str) -> Option<String> {
    if text.contains('*') {
        return Some("it is one host; write `resource in Domain::\"...\"`, or `like`".to_owned());
    }
    match Host::parse(text) {
        Ok(Host::Name(name)) if name == text => None,
        Ok(Host::Name(name)) => {
            Some(format!("{SMALL_HOSTS}, without a dot at the end; write `\"{name}\"`"))
        }
        Ok(Host::Address(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Why a fact never is this number.
fn range(name: &str, number: i64) -> Option<String> {
    let (from, to, what) = match name {
        "context.clock.weekday" => (1, 7, "it is 1 (Monday) to 7 (Sunday)"),
        "context.clock.hour" => (0, 23, "it is 0 to 23"),
        "context.clock.minute" => (0, 59, "it is 0 to 59"),
        "context.clock.date" => (1_000_101, 99_991_231, "it is the number YYYYMMDD"),
        "context.port" | "resource.port" => (1, 65_535, "it is 1 to 65535"),
        _ => return None,
    };
    (number < from || number > to).then(|| what.to_owned())
}
