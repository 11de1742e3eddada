//! Whether a grant that is about to be made would have any effect: a forbid is stronger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringfence_core::{Facts, RuleRef, SetName};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{Extent, Overrule, Policy, Source};
use ringfence_runtime::assemble::{Inputs, assemble};
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::grants::Scope;
use ringfence_runtime::protected::lifted_by;
use ringfence_runtime::registration;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::{printable, rule_place};

use super::{context, in_force, trust};
use crate::exit::{Failure, Message};
use crate::screen::Screen;

/// Most forbids that are named in one warning.
const NAMED_MAX: usize = 5;

/// Warns of forbids that leave a part of a grant without effect; refuses a grant of which none
/// would leave anything.
pub(crate) fn check(
    grant: &GrantText,
    scope: &Scope,
    dirs: &StateDirs,
    screen: &Screen,
) -> Result<(), Failure> {
    let found = overrules(grant, scope, dirs).unwrap_or_default();
    let text = printable(&grant.to_string());
    let whole = found.iter().find(|it| it.extent == Extent::Whole && counts(it.rule.set, scope));
    if let Some(Overrule { rule, .. }) = whole {
        let message = Message::new(format!("nothing changed: granting {text} has no effect"))
            .detail(format!("forbidden by {}", place(rule)))
            .detail("a forbid is stronger than a grant");
        if let Some(lifted) = lifted(grant, rule, dirs) {
            return Err(message.hint(lifted).no());
        }
        return Err(hint(rule.set).iter().fold(message, |it, hint| it.hint(*hint)).no());
    }
    if found.is_empty() {
        return Ok(());
    }
    screen.warn("a forbid is stronger than a grant, and leaves a part of this one without effect");
    for overrule in found.iter().take(NAMED_MAX) {
        screen.note(&format!("  {}", place(&overrule.rule)));
    }
    if let Some(more) = found.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        screen.note(&format!("  and {more} more"));
    }
    Ok(())
}

/// What lifts a built-in rule, where something does.
fn lifted(grant: &GrantText, rule: &RuleRef, dirs: &StateDirs) -> Option<String> {
    let (GrantText::Write(path), SetName::BuiltIn) = (grant, rule.set) else { return None };
    let project = trust::project(dirs, None).ok()?;
    lifted_by(&project.dir, path.as_path())
}

fn place(rule: &RuleRef) -> String {
    let reason = rule.reason.as_ref().map(|text| format!(": {}", printable(text)));
    rule_place(rule) + &reason.unwrap_or_default()
}

/// Whether a rule found here holds wherever the grant does.
fn counts(set: SetName, scope: &Scope) -> bool {
    let always = matches!(set, SetName::BuiltIn | SetName::System);
    match scope {
        Scope::Project(_) => true,
        // It may have been started with other files.
        Scope::Session(_) => always,
        Scope::Everywhere => always || matches!(set, SetName::User | SetName::Grants),
    }
}

fn hint(set: SetName) -> Option<&'static str> {
    match set {
        SetName::Project | SetName::UntrustedProject => {
            Some("to change the rule, run `ringfence policy edit`")
        }
        SetName::User | SetName::OuterProject => {
            Some("to see the rule, run `ringfence policy show`")
        }
        SetName::BuiltIn | SetName::System | SetName::Grants | SetName::Override => None,
    }
}

/// The forbids that the grant runs into; `None` where the policy cannot be loaded, which the
/// commands that need one say.
fn overrules(grant: &GrantText, scope: &Scope, dirs: &StateDirs) -> Option<Vec<Overrule>> {
    let session = match scope {
        Scope::Session(session) => session.clone(),
        Scope::Project(_) | Scope::Everywhere => in_force::no_session().ok()?,
    };
    let (cwd, now_ms) = (directory(scope, dirs.runtime())?, context::now_ms());
    let inputs = Inputs { dirs, cwd: &cwd, session: &session, overrides: &[], now_ms };
    let assembled = assemble(inputs).ok()?;
    let wanted = assembled.options();
    let mut sources = assembled.sources;
    sources.push(Source {
        set: SetName::Grants,
        file: "grant".to_owned(),
        text: grant.to_cedar("the-new-grant"),
        approves: assembled.settings.roles.clone(),
    });
    let policy = Policy::load(sources, &wanted).ok()?;
    let (clock, _) = HostClock::new(assembled.settings.time_zone.as_deref()).ok()?;
    let clock = clock.fact_at(now_ms);
    let facts = Facts { session, clock, approvals: BTreeSet::new(), approver_count: 0 };
    Some(policy.overrules(grant, &facts))
}

/// Where the policy is that a grant has to live with.
fn directory(scope: &Scope, runtime: &Path) -> Option<PathBuf> {
    match scope {
        Scope::Project(dir) => Some(dir.clone()),
        Scope::Everywhere => context::current_dir().ok(),
        Scope::Session(session) => {
            let running = registration::running(runtime).ok()?;
            let found = running.into_iter().find(|it| it.session == *session)?;
            Some(found.cwd.as_path().to_owned())
        }
    }
}
