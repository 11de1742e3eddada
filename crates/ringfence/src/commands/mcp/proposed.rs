//! A policy for a server and its tools, proposed as a diff of the person's own or the project's, and written when the
//! person agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ringfence_core::{
    Act, Agent, Decide as _, Endpoint, Facts, Request, SecretName, ServerName, SessionId, SetName,
    ToolName, Verdict,
};
use ringfence_policy::{Options, Policy, Source};
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::kept::typed::Places;
use ringfence_runtime::servers::proposal::{self, Around, Does};
use ringfence_runtime::servers::written::{self, Written, WrittenError, Wrote};
use ringfence_runtime::servers::{Remark, Server, ServerFile};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::trust::Project;
use ringfence_runtime::wording::printable;
use ringfence_runtime::writing::Replaced;
use serde::Serialize;

use super::add::{Asks, YES};
use super::places;
use super::secrets::Uses;
use crate::commands::edit::{self, Target};
pub(super) use crate::commands::trust::coloured;
use crate::commands::{context, in_force, suggest};
use crate::exit::{Failure, Message, Said};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

/// Agents that are looked at where none is named: whoever of them may call a tool is asked nothing anew.
const ANY_AGENT: &str = "mcp-client";

/// How what a failed start was denied is agreed to.
const BY_HAND: &str =
    "to agree to it, add the server at a terminal without `--yes` and `--all`, or write the rules";

/// What is proposed for whom.
#[derive(Clone, Copy)]
pub(super) struct Proposing<'a> {
    /// The directory of the project whose policy is changed; the person's own is where there is none.
    pub(super) project: Option<&'a Path>,
    /// The agent that its tools are for.
    pub(super) agent: Option<&'a str>,
    pub(super) asks: Asks,
}

/// A change of a policy, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    file: String,
    /// What each tool looks like it does.
    tools: BTreeMap<String, Does>,
    /// What was proposed.
    diff: String,
    /// Whether the file has a change now, which may be another than was proposed.
    written: bool,
}

/// Most times that a change is made anew since its file was changed meanwhile: whoever changes it so often is no person.
const TRIES_MAX: usize = 32;

/// What became of a change that was made from a file as it was read.
pub(super) enum Tried<T> {
    Done(T),
    /// The file is another by now: nothing was written.
    Changed,
}

impl<T> Tried<T> {
    pub(super) fn map<U>(self, of: impl FnOnce(T) -> U) -> Tried<U> {
        match self {
            Tried::Done(done) => Tried::Done(of(done)),
            Tried::Changed => Tried::Changed,
        }
    }
}

/// Makes a change, shows it and asks, and all of that anew while its file is another than it was made from.
pub(super) fn anew<T>(
    mut once: impl FnMut() -> Result<Tried<T>, Failure>,
    screen: &Screen,
) -> Result<T, Failure> {
    for _ in 0..TRIES_MAX {
        if let Tried::Done(done) = once()? {
            return Ok(done);
        }
        screen.note("the change is made anew, from the file as it is now");
    }
    Err(Message::new(format!("the file was changed meanwhile, {TRIES_MAX} times")).could_not())
}

/// Says why nothing was written.
pub(super) fn warn_of_change(file: &str, screen: &Screen) {
    screen.warn(&format!("`{}` was changed meanwhile: nothing was written", printable(file)));
}

/// Proposes rules by which a server reaches what it needs, where there are none: its own address, if it is behind one,
/// and where its secrets go.
pub(super) fn address(
    of: (&Server, &Uses),
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Consent, Failure> {
    anew(|| address_once(of, proposing, screen), screen)
}

fn address_once(
    (server, uses): (&Server, &Uses),
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Tried<Consent>, Failure> {
    let Some(target) = target(proposing.project)? else { return Ok(Tried::Done(Consent::Given)) };
    let assembled = in_force::load_as(&server.name, screen)?;
    let facts = facts()?;
    let agent = Agent(server.name.to_string());
    let is_denied = |act: Act| {
        let request = Request { agent: agent.clone(), act, process: None };
        assembled.policy.decide(&request, &facts).verdict == Verdict::Deny
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    // Where its own secrets go is its own address.
    for endpoint in server.endpoint().into_iter().chain(uses.endpoints.iter().cloned()) {
        if !endpoints.contains(&endpoint) && is_denied(Act::Connect(endpoint.clone())) {
            endpoints.push(endpoint);
        }
    }
    let all: BTreeSet<SecretName> =
        secrets(server).into_iter().chain(uses.secrets.iter().cloned()).collect();
    let secrets: Vec<String> = all
        .into_iter()
        .filter(|name| !is_named(&assembled, name))
        .map(|name| name.to_string())
        .collect();
    let more = proposal::address(&server.name, &endpoints, (&secrets, &target.text));
    if more.is_empty() {
        return Ok(Tried::Done(Consent::Given));
    }
    let options = assembled.options();
    let text = format!("{}{more}", whole(&target.text));
    check(&target, &text, (&assembled, &options), screen)?;
    screen.as_it_is(&coloured(&diff(&target, &text), screen));
    settle((&target, text, &more), (&server.name, proposing), ("let it reach that?", YES), screen)
}

/// Proposes rules by which a server may read what it is made of, and work in the directories that its command names,
/// where there are none.
pub(super) fn places(
    server: &Server,
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<(), Failure> {
    anew(|| places_once(server, proposing, screen), screen)
}

fn places_once(
    server: &Server,
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Tried<()>, Failure> {
    let Some(target) = target(proposing.project)? else { return Ok(Tried::Done(())) };
    let assembled = in_force::load_as(&server.name, screen)?;
    let options = assembled.options();
    // What is a person's own counts from everywhere, and no project's rules do.
    let of_person = match proposing.project {
        None => of_person(&assembled, &options),
        Some(_) => None,
    };
    let policy = of_person.as_ref().unwrap_or(&assembled.policy);
    let mut all = lacking_by((&server.name, &server.file), (&assembled, policy))?;
    all.notes.iter().chain(&all.kept_back).for_each(|note| screen.note(note));
    if !all.kept_back.is_empty() {
        hint_at_kept(&server.name, proposing, screen);
    }
    // Where a rule forbids what one of these permits, the latter is there already, and in vain.
    let rules = &mut all.rules;
    for rules in [&mut rules.reads, &mut rules.files, &mut rules.works, &mut rules.runs] {
        rules.retain(|rule| !target.text.contains(rule));
    }
    let more = proposal::places(&server.name, rules, &target.text);
    if more.is_empty() {
        return Ok(Tried::Done(()));
    }
    let text = format!("{}{more}", whole(&target.text));
    check(&target, &text, (&assembled, &options), screen)?;
    screen.as_it_is(&coloured(&diff(&target, &text), screen));
    let question = ("let it have that?", YES);
    // Without it, it may start all the same.
    settle((&target, text, &more), (&server.name, proposing), question, screen)
        .map(|it| it.map(drop))
}

/// What a server may not read of itself, and what it was given and may not use.
pub(super) fn lacking(
    (server, file): (&ServerName, &ServerFile),
    assembled: &Assembled,
) -> Result<places::Proposed, Failure> {
    lacking_by((server, file), (assembled, &assembled.policy))
}

/// The same by another policy than what is in force here.
fn lacking_by(
    (server, file): (&ServerName, &ServerFile),
    (assembled, policy): (&Assembled, &Policy),
) -> Result<places::Proposed, Failure> {
    let (dirs, cwd) = (context::dirs()?, context::current_dir()?);
    let path = places::search_path(file);
    let cwd = std::fs::canonicalize(&cwd).unwrap_or(cwd);
    let project = assembled.project.dir.as_path();
    let kept = Places::of(dirs.home(), &cwd, &context::environment());
    let around = places::Around { cwd: &cwd, home: dirs.home(), path: &path, project, kept: &kept };
    Ok(places::proposed((server, file), around, (policy, &facts()?)))
}

/// What holds for a person wherever they are; none where it does not load without the project that they are in.
fn of_person(assembled: &Assembled, options: &Options) -> Option<Policy> {
    let of_project = |it: &&Source| !matches!(it.set, SetName::Project | SetName::Grants);
    let sources = assembled.sources.iter().filter(of_project).cloned().collect();
    Policy::load(sources, options).ok()
}

/// Says how a server is given what is kept back, by a person who means it.
fn hint_at_kept(server: &ServerName, proposing: Proposing<'_>, screen: &Screen) {
    let edit = match proposing.project {
        None => "`ringfence policy edit --user`",
        Some(_) => "`ringfence policy edit`",
    };
    screen.hint(&format!(
        "to let it have something of that all the same, run {edit} and write the rule yourself: \
         permit (principal == Agent::\"{server}\", action == Action::\"fs.read\", resource in Dir::\"PATH\"); \
         for all that lies there to be changed as well, with action in Action::\"fs\""
    ));
}

/// Proposes rules on the tools of a server that no rule speaks of yet; `None` where there is nothing to propose.
pub(super) fn tools(
    server: &Server,
    remarks: &[Remark],
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Option<Change>, Failure> {
    anew(|| tools_once((server, remarks), proposing, screen), screen)
}

fn tools_once(
    (server, remarks): (&Server, &[Remark]),
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Tried<Option<Change>>, Failure> {
    let Some(target) = target(proposing.project)? else {
        screen.hint("the project has no policy that a rule could be written in: to write one, run `ringfence init`");
        return Ok(Tried::Done(None));
    };
    let assembled = in_force::load(&[], screen)?;
    let facts = facts()?;
    let agent = Agent(proposing.agent.unwrap_or(ANY_AGENT).to_owned());
    let may_call = |tool: &str| {
        let name = ToolName::new(&server.name, tool);
        name.is_ok_and(|name| assembled.policy.may_call(&agent, &name, &facts))
    };
    let new = server.file.tools.iter().filter(|(tool, _)| !may_call(tool));
    let all: BTreeMap<String, Does> =
        new.map(|(tool, it)| (tool.clone(), Does::of(tool, it, remarks))).collect();
    let asks = assembled.settings.roles.first();
    let around = Around { agent: proposing.agent, asks, text: &target.text };
    let more = proposal::tools(server, &all, around);
    if more.is_empty() {
        return Ok(Tried::Done(None));
    }
    let mut options = assembled.options();
    // A project that is not trusted has servers whose tools may be named all the same.
    let known = |shape: &ringfence_core::ToolShape| *shape.tool.server() == server.name;
    options.tools.retain(|shape| !known(shape));
    options.tools.extend(server.shapes());
    let text = format!("{}{more}", whole(&target.text));
    check(&target, &text, (&assembled, &options), screen)?;
    let diff = diff(&target, &text);
    screen.as_it_is(&coloured(&diff, screen));
    let file = target.path.display().to_string();
    let of = (&server.name, proposing);
    let settled = settle((&target, text, &more), of, ("change the policy so?", YES), screen)?;
    Ok(settled.map(|it| Some(Change { file, tools: all, diff, written: it == Consent::Given })))
}

/// The secrets that the headers of a server name.
pub(super) fn secrets(server: &Server) -> Vec<SecretName> {
    let named = |value: &String| {
        let parts = value.split("${secret:").skip(1);
        let names = parts.filter_map(|rest| rest.split_once('}')?.0.parse().ok());
        names.collect::<Vec<SecretName>>()
    };
    server.file.headers.values().flat_map(named).collect()
}

/// Whether some rule of the policy speaks of a secret by its name.
fn is_named(assembled: &Assembled, name: &SecretName) -> bool {
    let name = format!("Secret::\"{name}\"");
    assembled.sources.iter().any(|source| source.text.contains(&name))
}

/// The file that is changed, as it is now; `None` where a project has none.
fn target(project: Option<&Path>) -> Result<Option<Target>, Failure> {
    let dirs = context::dirs()?;
    let Some(dir) = project else { return edit::user_target(&dirs).map(Some) };
    let project = Project::read(dir)?;
    if project.policy.is_none() {
        return Ok(None);
    }
    edit::project_target(&project, dirs.home()).map(Some)
}

/// Whether the policy would be one with this text in place of the target's.
fn check(
    target: &Target,
    text: &str,
    (assembled, options): (&Assembled, &Options),
    screen: &Screen,
) -> Result<(), Failure> {
    let mut sources = assembled.sources.clone();
    let source = Source {
        set: target.set,
        file: target.shown.clone(),
        text: text.to_owned(),
        approves: Vec::new(),
    };
    match sources.iter_mut().find(|it| it.set == target.set) {
        Some(old) => *old = source,
        None => sources.push(source),
    }
    Policy::load(sources, options).map(drop).map_err(|errors| {
        in_force::say(&errors, screen);
        Failure::Said(Said::CouldNot)
    })
}

/// Rules for what a server was denied when it was started, so that it can be started: the least that was found.
pub(super) fn needs(
    server: &Server,
    session: &SessionId,
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Option<Consent>, Failure> {
    anew(|| needs_once((server, session), proposing, screen), screen)
}

fn needs_once(
    (server, session): (&Server, &SessionId),
    proposing: Proposing<'_>,
    screen: &Screen,
) -> Result<Tried<Option<Consent>>, Failure> {
    let Some(target) = target(proposing.project)? else { return Ok(Tried::Done(None)) };
    let rules = suggest::for_start(session, &server.name, screen)?;
    let Some(rules) = rules else { return Ok(Tried::Done(None)) };
    let assembled = in_force::load_as(&server.name, screen)?;
    let more = proposal::needs(&server.name, &rules, &target.text);
    let options = assembled.options();
    let text = format!("{}{more}", whole(&target.text));
    check(&target, &text, (&assembled, &options), screen)?;
    screen.as_it_is(&coloured(&diff(&target, &text), screen));
    if proposing.asks == Asks::Nothing {
        // What a start was denied is what the server chose to try: nobody agrees to that before they see it.
        screen.warn(&format!(
            "`{}` was denied that, and is not given it: nobody has agreed to it; {BY_HAND}",
            server.name
        ));
        return Ok(Tried::Done(Some(Consent::Refused)));
    }
    let question = ("let it have that, and start it again?", BY_HAND);
    settle((&target, text, &more), (&server.name, proposing), question, screen)
        .map(|it| it.map(Some))
}

/// Takes the rules that were written for a server out of the policies that they stand in unchanged; with `asks`, as a diff,
/// and where the person agrees. Which are gone.
pub(super) fn take_out(
    rules: &[Wrote],
    (asks, screen): (Option<Asks>, &Screen),
) -> Result<Vec<Wrote>, Failure> {
    let dirs = context::dirs()?;
    let project = Project::find(&context::current_dir()?, dirs.home())?;
    let of_project = project.policy.is_some().then_some(project.dir.as_path());
    let mut all_gone = Vec::new();
    for of in [None].into_iter().chain(of_project.map(Some)) {
        all_gone.extend(anew(|| take_out_of(of, rules, (asks, screen)), screen)?);
    }
    Written::of(&dirs).forget(&all_gone).map_err(|error| unknown(&error))?;
    Ok(all_gone)
}

/// The same for one policy: a project's, or the person's own.
fn take_out_of(
    project: Option<&Path>,
    rules: &[Wrote],
    (asks, screen): (Option<Asks>, &Screen),
) -> Result<Tried<Vec<Wrote>>, Failure> {
    let Some(target) = target(project)? else { return Ok(Tried::Done(Vec::new())) };
    let of_file: Vec<Wrote> = rules.iter().filter(|it| it.file == target.path).cloned().collect();
    let (text, gone) = written::without(&target.text, &of_file);
    if gone.is_empty() {
        return Ok(Tried::Done(gone));
    }
    if asks.is_some() {
        screen.as_it_is(&coloured(&diff(&target, &text), screen));
    }
    let wanted = match asks {
        Some(Asks::Person) => prompt::consent("take these rules out?", YES)?,
        Some(Asks::Nothing) | None => Consent::Given,
    };
    if wanted == Consent::Refused {
        return Ok(Tried::Done(Vec::new()));
    }
    match edit::save(&context::dirs()?, &target, text, screen)? {
        Replaced::Yes => Ok(Tried::Done(gone)),
        Replaced::ChangedMeanwhile => {
            warn_of_change(&target.shown, screen);
            Ok(Tried::Changed)
        }
    }
}

/// What was written for a server so far.
pub(super) fn written_for(server: &ServerName) -> Result<Vec<Wrote>, Failure> {
    Written::of(&context::dirs()?).rules_of(server).map_err(|error| unknown(&error))
}

fn unknown(error: &WrittenError) -> Failure {
    Message::new(error.to_string()).could_not()
}

/// Writes the new text of a policy, or what the person makes of it, if they agree and the policy is what they were shown.
fn settle(
    (target, text, more): (&Target, String, &str),
    (server, proposing): (&ServerName, Proposing<'_>),
    (question, otherwise): (&str, &str),
    screen: &Screen,
) -> Result<Tried<Consent>, Failure> {
    let dirs = context::dirs()?;
    let wish = match proposing.asks {
        Asks::Nothing => prompt::Wish::Yes,
        Asks::Person => prompt::consent_or_edit(question, otherwise)?,
    };
    let text = match wish {
        prompt::Wish::Yes => Some(text),
        prompt::Wish::Edit => edit::edited(&dirs, target, &text, screen)?,
        prompt::Wish::No => None,
    };
    let Some(text) = text else {
        screen.note("the policy is as it was");
        return Ok(Tried::Done(Consent::Refused));
    };
    if edit::save(&dirs, target, text.clone(), screen)? == Replaced::ChangedMeanwhile {
        warn_of_change(&target.shown, screen);
        if wish == prompt::Wish::Edit {
            screen.note(&format!("your text is in {}", edit::kept(&dirs, &text)?.display()));
        }
        return Ok(Tried::Changed);
    }
    Written::of(&dirs)
        .remember((server, &target.path), (more, &text))
        .map_err(|error| unknown(&error))?;
    Ok(Tried::Done(Consent::Given))
}

/// A text that ends with a line's end.
fn whole(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn diff(target: &Target, text: &str) -> String {
    let name = Path::new(&target.shown).file_name().unwrap_or_default().to_string_lossy();
    unified(&name, &target.text, text)
}

/// What is so now, with nobody's approval.
pub(super) fn facts() -> Result<Facts, Failure> {
    let (clock, _) =
        HostClock::new(None).map_err(|error| Message::new(error.to_string()).could_not())?;
    let clock = clock.fact_at(context::now_ms());
    let (session, approvals) = (in_force::no_session()?, std::collections::BTreeSet::new());
    Ok(Facts { session, clock, approvals, approver_count: 0 })
}
