//! Which policy and which settings are in force, out of all files that have a say.

mod outer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_core::{PolicyDigest, Role, ServerName, SessionId, SetName, ToolName, ToolShape};
use ringfence_policy::{FsDynamic, Options, Policy, PolicyErrors, Source};

use crate::builtin;
use crate::grants::{self, Grant, GrantError, Moment};
use crate::notice::Notice;
use crate::servers::{self, Server, ServerError};
use crate::settings::{self, FsDynamicSetting, Origin, Settings, SettingsError, SettingsFile};
use crate::state::StateDirs;
use crate::trust::{Project, TOO_HIGH_HINT, Trust, TrustError, is_too_high};
use crate::validated::Validated;
use crate::whole_file::{self, FileError, FileText, Links};
use outer::Outer;

/// What the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Where the files are.
    pub dirs: &'a StateDirs,
    /// The working directory: it lies in the project.
    pub cwd: &'a Path,
    /// The session, for its grants.
    pub session: &'a SessionId,
    /// Files that stand in for the user's and the project's policy.
    pub overrides: &'a [PathBuf],
    /// Milliseconds since the Unix epoch, for grants that end.
    pub now_ms: u64,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The policy, all sets together.
    pub policy: Arc<Policy>,
    /// Each source's digest.
    pub digests: Vec<PolicyDigest>,
    /// The texts that the policy was made of.
    pub sources: Vec<Source>,
    /// The settings.
    pub settings: Settings,
    /// The project.
    pub project: Project,
    /// Projects that it lies in, the nearest first: they can only restrict.
    pub around: Vec<Project>,
    /// Whether the project's files count.
    pub trust: Trust,
    /// Grants in force.
    pub grants: Vec<Grant>,
    /// The servers of tools that count: the person's own, and those of a project that is trusted.
    pub servers: BTreeMap<ServerName, Server>,
    /// Servers whose files cannot be used, and why: they are left out.
    pub left_out: BTreeMap<ServerName, String>,
    /// The tools that rules may name, those of a project that is not trusted among them: what is said of
    /// those can only forbid.
    pub tools: Vec<ToolShape>,
    /// The server of tools whose session it is, where it is one's.
    pub is_server: Option<ServerName>,
    /// What the person should know.
    pub notices: Vec<Notice>,
}

/// Why there is nothing in force; the policy that was in force before, if any, stays so.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Trust cannot be told.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Grants cannot be read.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyErrors),
    /// A file named with `--policy` does not exist.
    #[error("no policy file `{}`", .0.display())]
    NoOverride(PathBuf),
    /// Nothing permits anything.
    #[error("{0}")]
    NoPolicy(NoPolicy),
    /// What a project around this one forbade when it was trusted may be gone.
    #[error(
        "this project lies in `{}`, which changed its policy or settings since you trusted it",
        .0.dir.display()
    )]
    OuterChanged(Box<Project>),
}

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPolicy {
    /// The project.
    pub project: PathBuf,
    /// Whether the project has a policy that does not count.
    pub untrusted: Option<Trust>,
    /// The user's home, for which `init` writes none.
    pub home: PathBuf,
}

impl NoPolicy {
    /// Whether it is missing where `init` writes none.
    pub fn is_too_high(&self) -> bool {
        self.untrusted.is_none() && is_too_high(&self.project, &self.home)
    }
}

impl fmt::Display for NoPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let project = self.project.display();
        match &self.untrusted {
            None => {
                write!(f, "no policy: neither you nor `{project}` has one, so nothing is allowed")
            }
            Some(Trust::Changed { .. }) => {
                write!(f, "the policy of `{project}` changed since you trusted it")
            }
            Some(Trust::Untrusted | Trust::Trusted) => {
                write!(f, "`{project}` has a policy, but you have not trusted it")
            }
        }
    }
}

impl AssembleError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            AssembleError::Settings(error) => error.hint.clone(),
            AssembleError::Trust(error) => error.hint(),
            AssembleError::Grants(error) => error.hint(),
            AssembleError::NoPolicy(none) if none.is_too_high() => Some(TOO_HIGH_HINT.to_owned()),
            AssembleError::NoPolicy(NoPolicy { untrusted: None, .. }) => {
                Some("to write one for this project, run `ringfence init`".to_owned())
            }
            AssembleError::NoPolicy(NoPolicy { untrusted: Some(_), .. }) => {
                Some("to look at it and trust it as it is now, run `ringfence trust`".to_owned())
            }
            AssembleError::OuterChanged(project) => Some(outer::changed_hint(project)),
            AssembleError::File(_) | AssembleError::Policy(_) | AssembleError::NoOverride(_) => {
                None
            }
        }
    }
}

/// Puts together what is in force.
pub fn assemble(inputs: Inputs<'_>) -> Result<Assembled, AssembleError> {
    assemble_knowing(inputs, None)
}

/// The same where something was assembled before: everything is read again, and only what the very
/// same texts mean is not worked out a second time.
pub fn assemble_knowing(
    inputs: Inputs<'_>,
    known: Option<&Assembled>,
) -> Result<Assembled, AssembleError> {
    assemble_as(None, inputs, known)
}

/// The same for a session that is one server of tools: it is one for rules, whether or not it is pinned.
pub fn assemble_as(
    server: Option<ServerName>,
    inputs: Inputs<'_>,
    known: Option<&Assembled>,
) -> Result<Assembled, AssembleError> {
    let project = Project::find(inputs.cwd, inputs.dirs.home())?;
    let around = project.around(inputs.dirs.home())?;
    assemble_in((project, around), (inputs, server), known)
}

/// The same for a session that runs: its project is the one that it began in, whatever was made since.
pub fn assemble_again(inputs: Inputs<'_>, running: &Assembled) -> Result<Assembled, AssembleError> {
    let around: Result<_, _> = running.around.iter().map(|it| Project::read(&it.dir)).collect();
    let of = (inputs, running.is_server.clone());
    assemble_in((Project::read(&running.project.dir)?, around?), of, Some(running))
}

/// What is in force with the grants of this moment; every text of the policy is the one that a session runs
/// under, for a file of it may have been changed since and nobody has looked at it.
pub fn with_grants(inputs: Inputs<'_>, running: &Assembled) -> Result<Assembled, AssembleError> {
    let moment =
        Moment { session: inputs.session, project: &running.project.dir, now_ms: inputs.now_ms };
    let grants = grants::in_force(inputs.dirs, moment)?;
    let is_text = |source: &&Source| source.set != SetName::Grants;
    let mut sources: Vec<Source> = running.sources.iter().filter(is_text).cloned().collect();
    sources.extend(grants.iter().map(|grant| grant_source(grant, &running.settings.roles)));
    let policy = load(inputs.dirs, &sources, running.options())?;
    let digests = policy.digests();
    Ok(Assembled { policy, digests, sources, grants, ..running.clone() })
}

fn assemble_in(
    (project, around): (Project, Vec<Project>),
    (inputs, is_server): (Inputs<'_>, Option<ServerName>),
    known: Option<&Assembled>,
) -> Result<Assembled, AssembleError> {
    let trust = project.trust(inputs.dirs)?;
    let mut notices = trust_notices(&project, &trust);
    let outer = Outer::read(&around, inputs)?;
    notices.extend(outer.notices);
    let (settings, more) = read_settings(inputs.dirs, trusted(&project, &trust), &outer.settings)?;
    notices.extend(more);
    let moment = Moment { session: inputs.session, project: &project.dir, now_ms: inputs.now_ms };
    let grants = grants::in_force(inputs.dirs, moment)?;
    let mut sources = policy_files(inputs, &project, &trust)?;
    sources.extend(outer.sources);
    sources.extend(grants.iter().map(|grant| grant_source(grant, &settings.roles)));
    let overrides: Vec<PathBuf> = inputs.overrides.iter().map(|it| inputs.cwd.join(it)).collect();
    sources.push(Source {
        set: SetName::BuiltIn,
        file: builtin::FILE.to_owned(),
        text: builtin::cedar(
            inputs.dirs,
            (&project.dir, &around, &overrides),
            &settings.unprotected,
        ),
        approves: Vec::new(),
    });
    let Servers { there: servers, left_out, tools, notices: of_servers } =
        servers(inputs.dirs, (&project, &around), &trust)?;
    // In a server's own session the others are nobody's, and whoever starts it has told of them.
    if is_server.is_none() {
        notices.extend(of_servers);
    }
    let kinds = kinds(&servers, &left_out, is_server.as_ref());
    let wanted = Options { tools: tools.clone(), servers: kinds, ..options(&settings) };
    let same = |known: &&Assembled| known.sources == sources && known.options() == wanted;
    let policy = match known.filter(same) {
        Some(known) => Arc::clone(&known.policy),
        None => load(inputs.dirs, &sources, wanted)?,
    };
    let digests = policy.digests();
    Ok(Assembled {
        policy,
        digests,
        sources,
        settings,
        project,
        around,
        trust,
        grants,
        servers,
        left_out,
        tools,
        is_server,
        notices,
    })
}

/// The agents that are servers of tools: those that count, those whose files are wrong, and the one whose session it is.
/// What a project says that is not trusted makes no agent one.
fn kinds(
    servers: &BTreeMap<ServerName, Server>,
    left_out: &BTreeMap<ServerName, String>,
    is_server: Option<&ServerName>,
) -> BTreeSet<ServerName> {
    servers.keys().chain(left_out.keys()).chain(is_server).cloned().collect()
}

impl Assembled {
    /// What the policy was loaded with.
    pub fn options(&self) -> Options {
        let servers = kinds(&self.servers, &self.left_out, self.is_server.as_ref());
        Options { tools: self.tools.clone(), servers, ..options(&self.settings) }
    }

    /// The servers whose tools an agent is served, those among them that are left out.
    pub fn served(&self) -> Vec<Server> {
        let left_out = self.left_out.iter();
        let left_out = left_out.map(|(name, why)| Server::left_out(name.clone(), why.clone()));
        let mut all: Vec<Server> = self.servers.values().cloned().chain(left_out).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

/// What the files of servers come to.
struct Servers {
    there: BTreeMap<ServerName, Server>,
    left_out: BTreeMap<ServerName, String>,
    tools: Vec<ToolShape>,
    notices: Vec<Notice>,
}

/// The servers that count, and the tools that rules may name. A file that cannot be used keeps nothing but its server from
/// being there: not the policy, and no other server.
fn servers(
    dirs: &StateDirs,
    (project, around): (&Project, &[Project]),
    trust: &Trust,
) -> Result<Servers, AssembleError> {
    let own = servers::texts_in(&dirs.user_servers(), Links::Follow)?;
    let (mut all, mut wrong) = servers::read_all(own.values());
    let (of_project, wrong_there) = servers::read_all(project.servers.values());
    if *trust == Trust::Trusted {
        wrong.extend(wrong_there);
    }
    let mut tools: BTreeMap<ToolName, ToolShape> = BTreeMap::new();
    // Those of projects around it may be named, as their forbids hold; they are not started.
    for outer in around.iter().rev() {
        for server in servers::read_all(outer.servers.values()).0.values() {
            tools.extend(server.shapes().into_iter().map(|shape| (shape.tool.clone(), shape)));
        }
    }
    // The person's own come last: a project's server of the same name is not theirs.
    for server in of_project.values().chain(all.values()) {
        tools.extend(server.shapes().into_iter().map(|shape| (shape.tool.clone(), shape)));
    }
    // No other takes the place of one that is left out.
    let why = |error: &ServerError| Some((error.name.clone()?, error.to_string()));
    let mut left_out: BTreeMap<ServerName, String> = wrong.iter().filter_map(why).collect();
    if *trust == Trust::Trusted {
        for (name, server) in of_project {
            if !left_out.contains_key(&name) {
                all.entry(name).or_insert(server);
            }
        }
    }
    // The person's own counts, whatever a project's of that name looks like.
    left_out.retain(|name, _| !all.contains_key(name));
    let notices = wrong.iter().map(left_out_notice).collect();
    Ok(Servers { there: all, left_out, tools: tools.into_values().collect(), notices })
}

fn left_out_notice(error: &ServerError) -> Notice {
    let Some(name) = &error.name else {
        return Notice::new(format!("{error}: it is left out"));
    };
    let notice =
        Notice::new(format!("the server `{name}` is left out, its file is wrong: {error}"));
    notice.hint(format!(
        "mend it there; or, to have it written anew, run `ringfence mcp add {name} -- COMMAND`"
    ))
}

fn load(
    dirs: &StateDirs,
    sources: &[Source],
    options: Options,
) -> Result<Arc<Policy>, AssembleError> {
    let validated = Validated::read(dirs);
    let options = Options { validated: validated.keys(), ..options };
    let policy = Arc::new(Policy::load(sources.to_vec(), &options)?);
    validated.remember(sources, &options.tools);
    Ok(policy)
}

/// The settings alone, for commands that need no policy.
pub fn settings_in_force(
    dirs: &StateDirs,
    cwd: &Path,
) -> Result<(Settings, Vec<Notice>), AssembleError> {
    let project = Project::find(cwd, dirs.home())?;
    let trust = project.trust(dirs)?;
    let around = project.around(dirs.home())?;
    let settings = outer::settings(&around, dirs)?;
    read_settings(dirs, trusted(&project, &trust), &settings)
}

/// What a policy would be loaded with that is written for this directory: its rules may name the tools of the
/// project's own servers, trusted or not, and of the person's.
pub fn options_here(
    settings: &Settings,
    dirs: &StateDirs,
    project: &Project,
) -> Result<Options, AssembleError> {
    let around = project.around(dirs.home())?;
    let all = servers(dirs, (project, &around), &Trust::Trusted)?;
    let servers = kinds(&all.there, &all.left_out, None);
    Ok(Options { tools: all.tools, servers, ..options(settings) })
}

/// What the settings mean for a policy that is loaded.
pub fn options(settings: &Settings) -> Options {
    let fs_dynamic = match settings.fs_dynamic {
        FsDynamicSetting::Refused => FsDynamic::Refused,
        FsDynamicSetting::Allowed => FsDynamic::Allowed,
    };
    Options { roles: settings.roles.clone(), fs_dynamic, ..Options::default() }
}

fn trusted<'a>(project: &'a Project, trust: &Trust) -> Option<&'a FileText> {
    project.settings.as_ref().filter(|_| *trust == Trust::Trusted)
}

fn trust_notices(project: &Project, trust: &Trust) -> Vec<Notice> {
    let dir = project.dir.display();
    let text = match trust {
        Trust::Trusted => return Vec::new(),
        Trust::Untrusted if !project.is_configured() => return Vec::new(),
        Trust::Untrusted => format!(
            "`{dir}` is not trusted: its settings and its permits are ignored, its forbids hold"
        ),
        Trust::Changed { .. } => format!(
            "`{dir}` changed its policy or settings since you trusted it: they are ignored, but its forbids hold"
        ),
    };
    vec![Notice::new(text).hint("to see what it says and trust it, run `ringfence trust`")]
}

fn read_settings(
    dirs: &StateDirs,
    project: Option<&FileText>,
    around: &[SettingsFile],
) -> Result<(Settings, Vec<Notice>), AssembleError> {
    let parse = |file: &FileText, origin| SettingsFile::parse(file, origin);
    let system = whole_file::read_text(&dirs.system_settings(), Links::Follow)?;
    let user = whole_file::read_text(&dirs.user_settings(), Links::Follow)?;
    let system = system.map(|file| parse(&file, Origin::System)).transpose()?;
    let user = user.map(|file| parse(&file, Origin::User)).transpose()?;
    let project = project.map(|file| parse(file, Origin::Project)).transpose()?;
    Ok(settings::join(system.as_ref(), user.as_ref(), project.as_ref(), around))
}

/// The policy files, the person's first, the ceiling last.
fn policy_files(
    inputs: Inputs<'_>,
    project: &Project,
    trust: &Trust,
) -> Result<Vec<Source>, AssembleError> {
    let mut sources = Vec::new();
    for path in inputs.overrides {
        let file = whole_file::read_text(&inputs.cwd.join(path), Links::Follow)?
            .ok_or_else(|| AssembleError::NoOverride(path.clone()))?;
        sources.push(source(SetName::Override, path.display().to_string(), file));
    }
    let own = sources.is_empty();
    if own && let Some(file) = whole_file::read_text(&inputs.dirs.user_policy(), Links::Follow)? {
        sources.push(source(SetName::User, shown(&file.path, inputs.dirs.home()), file));
    }
    // With `--policy` a project that is not trusted has no say at all: it is stood in for.
    if own && let Some(file) = project.policy.clone() {
        let set = match trust {
            Trust::Trusted => SetName::Project,
            Trust::Changed { .. } | Trust::Untrusted => SetName::UntrustedProject,
        };
        sources.push(source(set, ".ringfence/policy.cedar".to_owned(), file));
    }
    if sources.iter().all(|source| source.set == SetName::UntrustedProject) {
        let untrusted = project.policy.is_some().then(|| trust.clone());
        let (project, home) = (project.dir.clone(), inputs.dirs.home().to_owned());
        return Err(AssembleError::NoPolicy(NoPolicy { project, untrusted, home }));
    }
    if let Some(file) = whole_file::read_text(&inputs.dirs.system_policy(), Links::Follow)? {
        sources.push(source(SetName::System, file.path.display().to_string(), file));
    }
    Ok(sources)
}

fn source(set: SetName, shown: String, file: FileText) -> Source {
    Source { set, file: shown, text: file.text, approves: Vec::new() }
}

fn grant_source(grant: &Grant, roles: &[Role]) -> Source {
    Source {
        set: SetName::Grants,
        file: format!("grant {}", grant.id),
        text: grant.cedar.clone(),
        // Until people are told apart, whoever makes a grant holds every declared role.
        approves: roles.to_vec(),
    }
}

/// A path with the home directory as `~`.
fn shown(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) => format!("~/{}", rest.display()),
        Err(_) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests;
