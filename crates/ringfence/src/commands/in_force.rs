//! The policy that is in force here, or the one that was named on the command line.

use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Access, Agent, ServerName, SessionId, SetName};
use ringfence_policy::{Lint, LintKind, Options, Policy, PolicyErrors};
use ringfence_runtime::assemble::{
    AssembleError, Assembled, Inputs, assemble_as, options_here, settings_in_force,
};
use ringfence_runtime::init::logins;
use ringfence_runtime::notice::Notice;
use ringfence_runtime::settings::Settings;
use ringfence_runtime::trust::Project;
use ringfence_runtime::whole_file::FileError;
use ringfence_runtime::wording::{printable, rule_place};

use super::context;
use crate::exit::{Failure, Message, Said};
use crate::render::problem;
use crate::screen::{Screen, Stream};

/// How a project's policy is called.
pub(crate) const PROJECT_POLICY: &str = ".ringfence/policy.cedar";

/// Whose grants count where no session is meant: nobody's, it is never made by chance.
const NO_SESSION: &str = "s00000000";

/// Whose rules are looked at where no agent is named.
const ANY_AGENT: &str = "agent";

/// The name that stands for no session.
pub(crate) fn no_session() -> Result<SessionId, Failure> {
    NO_SESSION.parse().map_err(|_| Message::new("there is no session").could_not())
}

/// Loads the policy; `files` stand in for the user's and the project's.
pub(crate) fn load(files: &[PathBuf], screen: &Screen) -> Result<Assembled, Failure> {
    load_for(&no_session()?, files, screen)
}

/// The same with the grants of a session.
pub(crate) fn load_for(
    session: &SessionId,
    files: &[PathBuf],
    screen: &Screen,
) -> Result<Assembled, Failure> {
    let here = context::current_dir()?;
    try_load((&here, session, None), files, screen)?.map_err(|errors| {
        say(&errors, screen);
        Failure::Said(Said::CouldNot)
    })
}

/// The same where a server of tools is the agent, pinned or not.
pub(crate) fn load_as(server: &ServerName, screen: &Screen) -> Result<Assembled, Failure> {
    let (here, nobodys) = (context::current_dir()?, no_session()?);
    try_load((&here, &nobodys, Some(server.clone())), &[], screen)?.map_err(|errors| {
        say(&errors, screen);
        Failure::Said(Said::CouldNot)
    })
}

/// The same where nothing is said of it, since something else will be; none where it cannot be loaded.
pub(crate) fn quietly(files: &[PathBuf]) -> Result<Option<Assembled>, Failure> {
    quietly_in(&context::current_dir()?, files)
}

/// The same in a directory.
pub(crate) fn quietly_in(cwd: &Path, files: &[PathBuf]) -> Result<Option<Assembled>, Failure> {
    quietly_for((cwd, None), files)
}

/// The same where a server of tools is the agent, pinned or not.
pub(crate) fn quietly_as(
    server: Option<ServerName>,
    files: &[PathBuf],
) -> Result<Option<Assembled>, Failure> {
    quietly_for((&context::current_dir()?, server), files)
}

fn quietly_for(
    (cwd, server): (&Path, Option<ServerName>),
    files: &[PathBuf],
) -> Result<Option<Assembled>, Failure> {
    let (session, dirs) = (no_session()?, context::dirs()?);
    let here =
        Inputs { dirs: &dirs, cwd, session: &session, overrides: files, now_ms: context::now_ms() };
    Ok(assemble_as(server, here, None).ok())
}

/// The same in a directory, where the caller has its own use for what is wrong with the policy.
pub(crate) fn try_load(
    (cwd, session, server): (&Path, &SessionId, Option<ServerName>),
    files: &[PathBuf],
    screen: &Screen,
) -> Result<Result<Assembled, PolicyErrors>, Failure> {
    let dirs = if files.is_empty() { context::dirs()? } else { context::dirs_anywhere()? };
    let inputs = Inputs { dirs: &dirs, cwd, session, overrides: files, now_ms: context::now_ms() };
    match assemble_as(server, inputs, None) {
        Ok(assembled) => {
            assembled.notices.iter().for_each(|notice| notify(notice, screen));
            Ok(Ok(assembled))
        }
        Err(AssembleError::Policy(errors)) => Ok(Err(errors)),
        Err(error) => Err(refused(error, screen)),
    }
}

/// The settings that hold here.
pub(crate) fn settings_here(screen: &Screen) -> Result<Settings, Failure> {
    let (settings, _) = settings_in_force(&context::dirs()?, &context::current_dir()?)
        .map_err(|error| refused(error, screen))?;
    Ok(settings)
}

/// What a policy for this project is loaded with.
pub(crate) fn options_of(
    project: &Project,
    settings: &Settings,
    screen: &Screen,
) -> Result<Options, Failure> {
    options_here(settings, &context::dirs()?, project).map_err(|error| refused(error, screen))
}

/// Says on stderr what is wrong with a policy.
pub(crate) fn say(errors: &PolicyErrors, screen: &Screen) {
    for found in errors.problems() {
        screen.as_it_is(problem::render(found, screen.paint(Stream::Err)).trim_end());
    }
}

/// The rules that cannot do what they say: they wait for an approval that nobody can give, or compare
/// something with what it never is, or name no file that could be asked about, or what is each world's own,
/// or what stays read-only, or a tool that nobody has pinned.
pub(crate) fn vain(policy: &Policy) -> Vec<Lint> {
    let is_vain = |lint: &Lint| {
        use LintKind::{AsksNobody, NeverTrue, OfEveryWorld, UndeclaredRole, Unpinned};
        matches!(lint.kind, UndeclaredRole | NeverTrue | AsksNobody | OfEveryWorld | Unpinned)
    };
    let vain = policy.lints().into_iter().filter(is_vain);
    vain.chain(policy.only_shown(&Agent(ANY_AGENT.to_owned()))).collect()
}

/// Warns of these.
pub(crate) fn warn_of_vain(policy: &Policy, screen: &Screen) {
    warn_of_vain_beside(&[], policy, screen);
}

/// The same for those that were not there before.
pub(crate) fn warn_of_vain_beside(before: &[Lint], policy: &Policy, screen: &Screen) {
    let is_new = |lint: &Lint| !before.iter().any(|it| it.message == lint.message);
    for lint in vain(policy).into_iter().filter(is_new) {
        screen.warn(&format!("{}: {}", rule_place(&lint.rule), lint.message));
    }
}

/// Says which permits of everybody let servers of tools to the login of an agent, as policies did that were written
/// before rules could leave servers out.
pub(crate) fn hint_at_logins(found: &Assembled, home: &Path, screen: &Screen) {
    let anybody = Agent(ANY_AGENT.to_owned());
    let shown = |agent: &Agent, dir: &AbsolutePath| {
        let plan = found.policy.file_plan(agent);
        let (access, rule) = plan.access(dir);
        rule.filter(|_| access > Access::Hidden)?.because.clone()
    };
    for dir in logins(home) {
        let Some(dir) = dir.to_str().and_then(|dir| AbsolutePath::parse(dir).ok()) else {
            continue;
        };
        let Some(rule) = shown(&anybody, &dir) else { continue };
        let has_it =
            |name: &&ServerName| shown(&Agent(name.to_string()), &dir).as_ref() == Some(&rule);
        let servers: Vec<String> =
            found.servers.keys().filter(has_it).map(|name| format!("`{name}`")).collect();
        if servers.is_empty() {
            continue;
        }
        screen.hint(&format!(
            "{} shows `{}`, where an agent has its login, to servers of tools as well ({}): to leave them out, {}\
             write `unless {{ principal in AgentKind::\"tool-server\" }}` behind it",
            rule_place(&rule), printable(dir.as_str()), servers.join(", "), opened_by(rule.set)
        ));
    }
}

/// How a person comes to a rule of this set that is to be changed; a file that was named is known to them.
fn opened_by(set: SetName) -> &'static str {
    match set {
        SetName::Project => "run `ringfence policy edit` and ",
        SetName::User => "run `ringfence policy edit --user` and ",
        SetName::UntrustedProject
        | SetName::OuterProject
        | SetName::Grants
        | SetName::Override
        | SetName::System
        | SetName::BuiltIn => "",
    }
}

/// Where rules that somebody wrote speak of one of these, as `FILE:LINE  RULE`; grants are no such rules.
pub(crate) fn spoken_of(found: &Assembled, named: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    let written = |set: SetName| !matches!(set, SetName::BuiltIn | SetName::Grants);
    for source in found.sources.iter().filter(|it| written(it.set)) {
        for (number, line) in source.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && named.iter().any(|it| line.contains(it)) {
                let (file, line) = (printable(&source.file), printable(line.trim()));
                all.push(format!("{file}:{}  {line}", number.saturating_add(1)));
            }
        }
    }
    all
}

/// Tells the person something they should know.
pub(crate) fn notify(notice: &Notice, screen: &Screen) {
    screen.notice(notice);
}

/// What could not be put together; a place in a file is shown as such.
pub(crate) fn refused(error: AssembleError, screen: &Screen) -> Failure {
    let hint = error.hint();
    match error {
        AssembleError::Settings(error) => {
            screen.note(problem::settings(&error, screen.paint(Stream::Err)).trim_end());
            Failure::Said(Said::CouldNot)
        }
        AssembleError::Policy(errors) => {
            say(&errors, screen);
            Failure::Said(Said::CouldNot)
        }
        error @ (AssembleError::File(_)
        | AssembleError::Trust(_)
        | AssembleError::Grants(_)
        | AssembleError::NoOverride(_)
        | AssembleError::OuterChanged(_)
        | AssembleError::NoPolicy(_)) => {
            let message = Message::new(error.to_string());
            hint.into_iter().fold(message, Message::hint).could_not()
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Message::new(error.to_string()).could_not()
    }
}
