//! The smallest change of a policy that would have permitted what a session was denied.
//!
//! A log is made by the broker, but what was tried is the agent's choice: every name in it is the
//! agent's. So nothing is suggested that opens secrets, sockets of the host or what the host runs,
//! whoever asked for it, and what is suggested is decided again before a person sees it: each
//! denied act under the changed policy, and a fixed list of acts that must stay denied.

mod canaries;
mod merge;
mod never;
mod patch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringfence_core::{
    Act, Agent, AskFor, Decide as _, EntryRef, Facts, Request, RuleRef, SetName, Verdict,
};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{Policy, PolicyErrors, Source};

use crate::advice::Advice;
use crate::assemble::Assembled;
use crate::compose::{Real, real};
use crate::environment::Environment;
use crate::kept;
use crate::state::StateDirs;
use crate::wording;

use merge::Item;
pub use patch::unified;

/// Most rules of one suggestion: a longer list is a policy, which a person writes.
pub const RULES_MAX: usize = 40;

/// An act that was denied, once for all the times it was tried.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The act, and whose it was.
    pub request: Request,
    /// What was so at that time.
    pub facts: Facts,
    /// The entry that says so first.
    pub entry: EntryRef,
    /// How often it was tried.
    pub times: u64,
    /// Whether it was to read what is covered in every world.
    pub covered: bool,
    /// The no of a person who was asked about it.
    pub refused: Option<Refusal>,
    /// Why it was refused before any rule was asked, where it was.
    pub before_rules: Option<String>,
}

/// Whether a session had a world of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It had.
    Own,
    /// It was about tools alone: what their calls name are the host's own files.
    None,
}

/// A person's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who said it.
    pub by: String,
    /// The entry of the question.
    pub entry: EntryRef,
}

/// What a suggestion is made for.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The policy under which the session ran, as it is now, without grants for one session.
    pub assembled: &'a Assembled,
    /// The user's directories.
    pub dirs: &'a StateDirs,
    /// The user's environment.
    pub environment: &'a Environment,
    /// Where the session ran.
    pub cwd: &'a Path,
    /// Whose acts they are.
    pub agent: &'a Agent,
    /// What is so now, with nobody's approval.
    pub facts: &'a Facts,
    /// Whether files are shown to a world.
    pub world: World,
}

/// A rule that is suggested.
#[derive(Debug, Clone)]
pub struct Suggested {
    /// Its `@id`.
    pub id: String,
    /// What it permits.
    pub grant: GrantText,
    /// The rule, as it is put into the policy.
    pub cedar: String,
    /// Which of the denied acts it permits, as positions.
    pub covers: Vec<usize>,
    /// How often those were tried.
    pub denials: u64,
}

/// Something that nothing is suggested for.
#[derive(Debug, Clone)]
pub struct Left {
    /// Which of the denied acts, as a position.
    pub denied: usize,
    /// Why.
    pub why: Why,
}

/// Why nothing is suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The policy in force now permits it.
    Permitted,
    /// A person is asked about it.
    Asks(AskFor),
    /// A person was asked about it, and said no.
    Refused(Refusal),
    /// A rule forbids it, which no permit lifts.
    Forbidden(Box<RuleRef>),
    /// It must not be opened by a list of rules that an agent's acts make.
    Never(String),
    /// No rule would help.
    NoRule(String),
}

impl Why {
    /// One word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Why::Permitted => "permitted",
            Why::Asks(_) => "asks",
            Why::Refused(_) => "refused",
            Why::Forbidden(_) => "forbidden",
            Why::Never(_) => "never",
            Why::NoRule(_) => "no-rule",
        }
    }

    /// The same in words.
    pub fn text(&self) -> String {
        match self {
            Why::Permitted => "the policy that is in force now permits it".to_owned(),
            Why::Asks(needs) => format!("the policy asks: {}", wording::needs(needs)),
            Why::Refused(Refusal { by, entry }) => {
                let by = wording::printable(by);
                format!("a person refused this; nothing is suggested (`{by}`, entry {entry})")
            }
            Why::Forbidden(rule) => {
                format!("forbidden by {}{}", wording::rule_place(rule), wording::reason(rule))
            }
            Why::Never(why) | Why::NoRule(why) => why.clone(),
        }
    }
}

/// How a suggestion came out when it was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Denied acts that rules are suggested for, and how many of them the changed policy permits.
    pub wanted: usize,
    /// See above.
    pub permitted: usize,
    /// Acts that must stay denied, and how many of them the changed policy denies.
    pub canaries: usize,
    /// See above.
    pub denied: usize,
}

/// A change of a policy.
#[derive(Debug, Clone)]
pub struct Suggestion {
    /// The rules; none where nothing can be suggested.
    pub rules: Vec<Suggested>,
    /// What none is suggested for.
    pub left: Vec<Left>,
    /// The file they are for.
    pub target: Target,
    /// Its text with them.
    pub changed: String,
    /// How it came out.
    pub checked: Checked,
}

/// The file of a policy that a suggestion is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which of the texts in force.
    at: usize,
    /// The set it belongs to.
    pub set: SetName,
    /// As it is shown to a person.
    pub file: String,
    /// Its text as it is.
    pub text: String,
}

/// Where a suggestion goes: the file that was named, else the project's, else the person's own.
fn target(sources: &[Source]) -> Option<Target> {
    let find = |set: SetName| sources.iter().rposition(|source| source.set == set);
    let at = [SetName::Override, SetName::Project, SetName::User].into_iter().find_map(find)?;
    let source = sources.get(at)?;
    Some(Target { at, set: source.set, file: source.file.clone(), text: source.text.clone() })
}

/// Finds the rules for what was denied; `session` is named in them. `None` where no text of the policy is
/// the person's to change.
pub fn suggest(
    denied: &[Denied],
    around: &Around<'_>,
    session: &str,
) -> Result<Option<Suggestion>, PolicyErrors> {
    let Some(target) = target(&around.assembled.sources) else { return Ok(None) };
    let never = never::Never::of(around);
    let canaries = canaries::all(around, denied);
    let mut left = Vec::new();
    let mut items: Vec<Item> = Vec::new();
    for (position, act) in denied.iter().enumerate() {
        match grant_for(act, around, &never) {
            Ok(grant) => merge::add(&mut items, grant, position),
            Err(why) => left.push(Left { denied: position, why }),
        }
    }
    let opens = |grant: &GrantText| canaries.opened_by(grant);
    let may = |grant: &GrantText| never.widely(grant) && opens(grant).is_none();
    merge::shared(&mut items, &may);
    items.retain(|item| {
        let Some(what) = opens(&item.grant) else { return true };
        let why = Why::Never(format!("a rule for it would also let the agent {what}"));
        left.extend(item.covers.iter().map(|denied| Left { denied: *denied, why: why.clone() }));
        false
    });
    for item in items.drain(items.len().min(RULES_MAX)..) {
        let why = Why::NoRule(format!("there are {RULES_MAX} rules before it"));
        left.extend(item.covers.into_iter().map(|denied| Left { denied, why: why.clone() }));
    }
    let mut suggestion = verified((items, left), (denied, around), (target, session))?;
    suggestion.checked.canaries = canaries.count();
    suggestion.checked.denied = canaries.denied_under(&changed(around, &suggestion)?);
    if suggestion.checked.denied < suggestion.checked.canaries {
        withdraw(&mut suggestion);
    }
    suggestion.left.sort_by_key(|left| left.denied);
    Ok(Some(suggestion))
}

/// The rule for one denied act, if there may be one.
fn grant_for(
    act: &Denied,
    around: &Around<'_>,
    never: &never::Never<'_>,
) -> Result<GrantText, Why> {
    let policy = &around.assembled.policy;
    if act.covered {
        return Err(Why::Never(kept::SHUT.to_owned()));
    }
    if let Some(why) = &act.before_rules {
        return Err(Why::NoRule(format!("no rule was asked, and none can permit it: {why}")));
    }
    let ruling = policy.decide(&act.request, &act.facts);
    match (&ruling.verdict, around.world) {
        (Verdict::Permit, World::None) => return Err(Why::Permitted),
        (Verdict::Permit, World::Own) => {
            return Err(behind_link(&act.request.act).unwrap_or(Why::Permitted));
        }
        (Verdict::Ask(_) | Verdict::Deny, _) => {}
    }
    if let Some(no) = &act.refused {
        return Err(Why::Refused(no.clone()));
    }
    if let Verdict::Ask(needs) = &ruling.verdict {
        return Err(Why::Asks(needs.clone()));
    }
    if let Some(rule) = ruling.grounds.rules.first() {
        return Err(Why::Forbidden(Box::new(rule.clone())));
    }
    if let Some(why) = never.at_all(&act.request.act) {
        return Err(Why::Never(why));
    }
    let failure = ruling.grounds.failure.clone();
    let grant = policy.grant_for(&act.request, &act.facts).ok_or_else(|| {
        Why::NoRule(failure.unwrap_or_else(|| "the system's ceiling does not permit it".to_owned()))
    })?;
    let (home, project) = (around.dirs.home(), &around.assembled.project.dir);
    let advice = match around.world {
        World::Own => Advice::of(&grant, home, project),
        World::None => Advice::without_a_world(&grant, home),
    };
    match advice {
        Advice::Grant(_) | Advice::ForServer { .. } => Ok(grant),
        Advice::NextSession { .. } => match behind_link(&act.request.act) {
            Some(why) => Err(why),
            None => Ok(grant),
        },
        Advice::Make { place, .. } => directory_of(&grant, never).ok_or_else(|| {
            let place = wording::printable(place.as_str());
            Why::NoRule(format!(
                "`{place}` does not exist: make it yourself, then a rule can open it"
            ))
        }),
        Advice::Engine(_) => Err(Why::Never("it is a socket of the host".to_owned())),
        Advice::Kept { why, .. } => Err(Why::Never(why)),
        Advice::Base(dir) => Err(Why::NoRule(format!(
            "what is in `{}` is of the runtime base, which no rule changes",
            dir.display()
        ))),
    }
}

/// A place that only a link leads to is not opened by its name.
fn behind_link(act: &Act) -> Option<Why> {
    let (Act::Read(path) | Act::Write(path) | Act::Delete(path)) = act else { return None };
    let Real::Through { link, .. } = real(path.as_path()) else { return None };
    let link = wording::printable(&link.to_string_lossy());
    Some(Why::NoRule(format!(
        "`{link}` is a link, and a rule opens only the place itself: name what it leads to"
    )))
}

/// What is to be made needs the directory that it is made in.
fn directory_of(grant: &GrantText, never: &never::Never<'_>) -> Option<GrantText> {
    let GrantText::Write(path) = grant else { return None };
    let dir = GrantText::Write(path.parent()?);
    never.widely(&dir).then_some(dir)
}

/// Writes the rules, loads the policy with them, and leaves out what they do not permit.
fn verified(
    (mut items, mut left): (Vec<Item>, Vec<Left>),
    (denied, around): (&[Denied], &Around<'_>),
    (target, session): (Target, &str),
) -> Result<Suggestion, PolicyErrors> {
    loop {
        let taken = around.assembled.sources.iter().map(|source| source.text.as_str());
        let rules = patch::rules(&items, denied, (&taken.collect::<Vec<_>>(), session));
        let suggestion = Suggestion {
            changed: patch::with(&target.text, &rules),
            rules,
            left: left.clone(),
            target: target.clone(),
            checked: Checked::default(),
        };
        let policy = changed(around, &suggestion)?;
        let permits = |at: &usize| {
            let act = denied.get(*at);
            act.is_some_and(|act| {
                policy.decide(&act.request, &act.facts).verdict == Verdict::Permit
            })
        };
        let wanted: Vec<usize> = items.iter().flat_map(|item| item.covers.clone()).collect();
        let failed: BTreeSet<usize> = wanted.iter().filter(|at| !permits(at)).copied().collect();
        if failed.is_empty() {
            let checked =
                Checked { wanted: wanted.len(), permitted: wanted.len(), ..Checked::default() };
            return Ok(Suggestion { checked, ..suggestion });
        }
        for item in &mut items {
            item.covers.retain(|at| !failed.contains(at));
        }
        items.retain(|item| !item.covers.is_empty());
        let why = Why::NoRule("a rule for it was tried, and does not permit it".to_owned());
        left.extend(failed.into_iter().map(|denied| Left { denied, why: why.clone() }));
    }
}

/// The policy with a suggestion in it.
fn changed(around: &Around<'_>, suggestion: &Suggestion) -> Result<Policy, PolicyErrors> {
    let mut sources = around.assembled.sources.clone();
    if let Some(source) = sources.get_mut(suggestion.target.at) {
        source.text.clone_from(&suggestion.changed);
    }
    Policy::load(sources, &around.assembled.options())
}

/// Takes back all of it: rules that each open nothing, and open something together.
fn withdraw(suggestion: &mut Suggestion) {
    let why = Why::Never("the rules together would open what must stay denied".to_owned());
    let rules = std::mem::take(&mut suggestion.rules);
    let covered = rules.into_iter().flat_map(|rule| rule.covers);
    suggestion.left.extend(covered.map(|denied| Left { denied, why: why.clone() }));
    suggestion.changed.clone_from(&suggestion.target.text);
    let Checked { canaries, .. } = suggestion.checked;
    suggestion.checked = Checked { canaries, denied: canaries, ..Checked::default() };
}

/// The file behind a target, and the directory in which a difference of it is applied.
pub fn file_of(target: &Target, around: &Around<'_>) -> PathBuf {
    match target.set {
        SetName::User => around.dirs.user_policy(),
        SetName::Override => around.cwd.join(&target.file),
        SetName::Project
        | SetName::UntrustedProject
        | SetName::OuterProject
        | SetName::Grants
        | SetName::System
        | SetName::BuiltIn => around.assembled.project.dir.join(&target.file),
    }
}

#[cfg(test)]
mod tests;
