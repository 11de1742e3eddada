//! What is allowed in a policy and is probably not what its author thinks.

use std::collections::BTreeSet;

use cedar_policy::pst::{Expr, Var};
use ringfence_core::{Action, RuleRef, SetName};
use serde::Serialize;

use crate::checks::{is_file_action, overlap};
use crate::never;
use crate::problem::nearest_word;
use crate::rule::{Approvable, Effect, Rule, Scope, tools_of};
use crate::tools;
use crate::tree::{approvers, body};
use crate::{Policy, RuleSet};

/// A remark on one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// What kind of remark it is.
    pub kind: LintKind,
    /// The rule.
    pub rule: RuleRef,
    /// The remark, for a person.
    pub message: String,
}

/// Kinds of remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintKind {
    /// A forbidden program that can still be read can be run in other ways.
    NotAWall,
    /// A permit without action: it also holds for actions that come later.
    AnyAction,
    /// A rule on exec or net that names no resource is looked at for every such act.
    AnyResource,
    /// A permit that nothing can be permitted by, because a forbid always matches too.
    AlwaysForbidden,
    /// A rule that does not count, because its project is not trusted.
    Untrusted,
    /// A shell or interpreter runs programs that the rule does not see by their arguments.
    OpaqueUnseen,
    /// A rule compares something with what it never is.
    NeverTrue,
    /// A rule waits for approval by a role that nobody can hold.
    UndeclaredRole,
    /// A rule on files waits for approvals, and names no file that could be asked about.
    AsksNobody,
    /// A rule on files is about what every world has of its own.
    OfEveryWorld,
    /// A permit to write where deleting is not permitted, so that worlds only show it.
    OnlyShown,
    /// A rule names a tool or a server that nobody has pinned.
    Unpinned,
}

/// What the kernel and each world have for themselves: no rule on files is about it.
const OF_EVERY_WORLD: &[&str] = &["/dev", "/proc", "/sys"];
/// Files of people all the same, where somebody works in memory.
const SHARED_MEMORY: &str = "/dev/shm";

impl Policy {
    /// Remarks on all rules, in their order.
    pub fn lints(&self) -> Vec<Lint> {
        let mut lints = self.untrusted.clone();
        for set in self.sets() {
            for rule in &set.rules {
                lints.extend(any_action(rule));
                lints.extend(never::found(rule).map(|text| lint(LintKind::NeverTrue, rule, text)));
                lints.extend(self.not_a_wall(rule));
                lints.extend(always_forbidden(set, rule));
                lints.extend(opaque_unseen(rule));
                lints.extend(any_resource(rule));
                lints.extend(asks_about_all_files(rule));
                lints.extend(of_every_world(rule));
                lints.extend(self.undeclared_role(rule));
                lints.extend(self.not_pinned(rule));
                lints.extend(self.unknown_server(rule));
            }
        }
        lints
    }

    /// Runs through ld.so, an interpreter or a copy need only read the file.
    fn not_a_wall(&self, rule: &Rule) -> Option<Lint> {
        let (Scope::Exactly(program) | Scope::Within(program)) = rule.scope() else { return None };
        let forbids_exec = rule.effect == Effect::Forbid && rule.applies_to(Action::Exec);
        if !forbids_exec || !rule.tree.clauses().is_empty() {
            return None;
        }
        let hidden = self.sets().flat_map(|set| &set.rules).any(|other| {
            other.effect == Effect::Forbid
                && other.applies_to(Action::FsRead)
                && other.tree.clauses().is_empty()
                && (other.scope() == Scope::Anything || names(other.scope(), &program.eid))
        });
        let text = format!(
            "`{}` may not be started but stays readable where files or the runtime base show it: \
             it can still be run through a copy, an interpreter or the loader; forbid `fs.read` \
             of it too",
            program.eid
        );
        (!hidden).then(|| lint(LintKind::NotAWall, rule, text))
    }

    /// A role that no settings declare can approve nothing: the act is denied, not asked about.
    fn undeclared_role(&self, rule: &Rule) -> Option<Lint> {
        let mut named = BTreeSet::new();
        rule.tree.clauses().iter().for_each(|clause| approvers(body(clause), &mut named));
        let missing =
            named.into_iter().find(|name| !self.roles.iter().any(|role| role.0 == *name))?;
        let text = format!(
            "no settings declare the role `{missing}`, so that nobody can approve and the act is \
             denied; add it to `roles` in settings.toml"
        );
        Some(lint(LintKind::UndeclaredRole, rule, text))
    }

    /// Rules that name tools which nobody has pinned: they match none of their calls, which are denied.
    pub fn unpinned(&self) -> Vec<Lint> {
        self.sets().flat_map(|set| &set.rules).filter_map(|rule| self.not_pinned(rule)).collect()
    }

    fn not_pinned(&self, rule: &Rule) -> Option<Lint> {
        let named = tools_of(&rule.tree.action);
        let unpinned = tools::unpinned(std::iter::once(&rule.tree), &self.tools);
        let first = unpinned.iter().find(|tool| named.contains(&tool.as_str()))?;
        let known = self.tools.iter().map(|shape| shape.tool.as_str());
        let help = match nearest_word(first.as_str(), known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "to pin a server's tools, run `ringfence mcp add NAME -- COMMAND`".to_owned(),
        };
        let text =
            format!("no tool `{first}` is pinned, so that this rule never matches it; {help}");
        Some(lint(LintKind::Unpinned, rule, text))
    }

    /// A server that nobody has added has no tools: a rule on all of its tools is about none.
    fn unknown_server(&self, rule: &Rule) -> Option<Lint> {
        let named = tools::servers_of(&rule.tree);
        let known: BTreeSet<&str> =
            self.tools.iter().map(|shape| shape.tool.server().as_str()).collect();
        let first = named.iter().find(|name| !known.contains(name.as_str()))?;
        let help = match nearest_word(first, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "which there are says `ringfence mcp list`".to_owned(),
        };
        let text = format!("no server `{first}` is pinned, so that no tool is of it; {help}");
        Some(lint(LintKind::Unpinned, rule, text))
    }

    /// Remarks on the permits of a project that is not trusted.
    pub(crate) fn untrusted(rules: &[Rule]) -> Vec<Lint> {
        rules
            .iter()
            .filter(|rule| {
                rule.place.set == SetName::UntrustedProject && rule.effect == Effect::Permit
            })
            .map(|rule| {
                let text = "this permit does not count: the project is not trusted; look at it, \
                            then run `ringfence trust`";
                lint(LintKind::Untrusted, rule, text.to_owned())
            })
            .collect()
    }
}

fn names(scope: Scope<'_>, id: &str) -> bool {
    match scope {
        Scope::Exactly(uid) | Scope::Within(uid) => uid.eid == id,
        Scope::Anything => true,
    }
}

fn any_action(rule: &Rule) -> Option<Lint> {
    let any = rule.effect == Effect::Permit && rule.actions.len() == Action::ALL.len();
    let text = "this permit names no action: it allows programs, files and connections alike";
    any.then(|| lint(LintKind::AnyAction, rule, text.to_owned()))
}

/// A forbid of programs by name says nothing less than it means: they may lie anywhere.
fn any_resource(rule: &Rule) -> Option<Lint> {
    let mut by_name = false;
    for clause in rule.tree.clauses() {
        crate::tree::walk(crate::tree::body(clause), &mut |part| {
            by_name |= crate::tree::resource_attribute(part) == Some("name");
        });
    }
    if by_name && rule.effect == Effect::Forbid && rule.actions == [Action::Exec] {
        return None;
    }
    let act_by_act = rule.actions.iter().any(|&action| !is_file_action(action));
    let conditional = !rule.tree.clauses().is_empty();
    let text = "this rule names no resource in its head, so that it is evaluated for every act \
                of its kind; name one where you can";
    (act_by_act && conditional && rule.scope() == Scope::Anything)
        .then(|| lint(LintKind::AnyResource, rule, text.to_owned()))
}

/// What is asked about is opened in a tree of its own, and there is none for all files.
fn asks_about_all_files(rule: &Rule) -> Option<Lint> {
    let of_all = match rule.scope() {
        Scope::Anything => true,
        Scope::Exactly(uid) | Scope::Within(uid) => uid.eid == "/",
    };
    // Where it lies says which file it is; what it is called does not.
    let (mut named, mut described) = (0, 0);
    for clause in rule.tree.clauses() {
        crate::tree::walk(body(clause), &mut |part| {
            named += usize::from(*part == Expr::Var(Var::Resource));
            described += usize::from(crate::tree::resource_attribute(part).is_some());
        });
    }
    let on_files = rule.actions.iter().any(|&action| is_file_action(action));
    let asks = rule.approvable == Approvable::Yes;
    let what = if rule.effect == Effect::Permit {
        "nobody is asked about files by this permit, and none is opened"
    } else {
        "nobody is asked about files by this forbid, and what it is about is denied"
    };
    let text = format!("{what}: name the file or the directory");
    (asks && on_files && of_all && named == described)
        .then(|| lint(LintKind::AsksNobody, rule, text))
}

/// Each world has its own, with its own processes and devices: a rule neither shows the host's nor hides it.
fn of_every_world(rule: &Rule) -> Option<Lint> {
    let (Scope::Exactly(named) | Scope::Within(named)) = rule.scope() else { return None };
    let place = named.eid.as_str();
    let beneath = |own: &&&str| {
        place.strip_prefix(**own).is_some_and(|it| it.is_empty() || it.starts_with('/'))
    };
    let own = OF_EVERY_WORLD.iter().find(beneath)?;
    if beneath(&&SHARED_MEMORY) {
        return None;
    }
    let on_files = rule.actions.iter().any(|&action| is_file_action(action));
    let text = format!(
        "`{own}` is each world's own: no rule on files shows the host's or hides it, and a session leaves \
         this one out"
    );
    (on_files && rule.place.set != SetName::BuiltIn)
        .then(|| lint(LintKind::OfEveryWorld, rule, text))
}

fn always_forbidden(set: &RuleSet, rule: &Rule) -> Option<Lint> {
    if rule.effect != Effect::Permit {
        return None;
    }
    let covers = |forbid: &&Rule| {
        forbid.effect == Effect::Forbid
            && forbid.tree.clauses().is_empty()
            && forbid.agent().is_none_or(|agent| rule.agent() == Some(agent))
            && rule.actions.iter().all(|&action| forbid.applies_to(action))
            && match (forbid.scope(), rule.scope()) {
                (Scope::Anything, _) => true,
                (Scope::Exactly(left), Scope::Exactly(right)) => left == right,
                (Scope::Within(left), Scope::Within(right)) => {
                    overlap(forbid.scope(), rule.scope())
                        && right.eid.len() >= left.eid.len()
                        && right.ty == left.ty
                        && left.ty.0.id.as_str() == "Dir"
                }
                (Scope::Exactly(_) | Scope::Within(_), _) => false,
            }
    };
    let forbid = set.rules.iter().take(FORBIDS_MAX).find(covers)?;
    let text =
        format!("nothing is permitted by this rule: `{}` always forbids it", forbid.place.id);
    Some(lint(LintKind::AlwaysForbidden, rule, text))
}

/// Most rules that each permit is compared with: the comparison is quadratic.
const FORBIDS_MAX: usize = 1_000;

/// A rule that looks at a program's arguments, and the code given to an interpreter.
fn opaque_unseen(rule: &Rule) -> Option<Lint> {
    let mut opaque = false;
    let mut argv = false;
    for clause in rule.tree.clauses() {
        crate::tree::walk(crate::tree::body(clause), &mut |part| {
            match crate::tree::context_attribute(part) {
                Some("opaque") => opaque = true,
                Some("argv") => argv = true,
                Some(_) | None => {}
            }
        });
    }
    let text = "this rule looks for a text in `context.argv`, which quoting, variables or a \
                script can hide; `context.subcommand`, `context.flags` and `context.opaque` are \
                harder to evade";
    let concerned = rule.effect == Effect::Forbid && argv && !opaque;
    concerned.then(|| lint(LintKind::OpaqueUnseen, rule, text.to_owned()))
}

pub(crate) fn lint(kind: LintKind, rule: &Rule, message: String) -> Lint {
    Lint { kind, rule: rule.place.clone(), message }
}
