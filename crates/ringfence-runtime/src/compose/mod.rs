//! What the policy in force means as a world: what is bound where, covered, a private copy, or done afterwards.

mod asked;
mod believed;
mod caches;
mod environment;
mod error;
mod everything;
mod gpg;
mod identity;
mod layout;
mod mountpoints;
mod on_the_host;
mod own_names;
mod placeholders;
mod places;
mod private;
mod review;
mod secrets;
pub(crate) mod ssh;
mod stand_ins;
mod tools;
pub(crate) mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ringfence_core::{Agent, FilePlan, SessionId};
use ringfence_sandbox::base::{Account, Base};
use ringfence_sandbox::seccomp::Profile;
use ringfence_sandbox::world::{
    Bind, Hooks, NotifyClasses, Overlay, Require, Stdio, Switch, Tier, WorldSpec,
};
use ringfence_secrets::binding::Delivery;
use ringfence_secrets::sentinel::Sentinel;

use crate::assemble::Assembled;
use crate::environment::Environment;
use crate::gitconfig;
use crate::home::{self, Home};
use crate::module::Module;
use crate::notice::Notice;
use crate::protected::{PersonsFiles, Surveys};
use crate::quarantine::After;
use crate::settings::{Gap, ProfileName};
use crate::state::StateDirs;

pub use asked::{Asked, AskedPlace};
pub use believed::Believed;
use gpg::Signers;
pub(crate) use layout::{GRANTABLE, Layout, Real, Use, real};
pub use mountpoints::Kind;
pub(crate) use placeholders::{List, Placeholder};
pub(crate) use private::Private;

pub use environment::{DENIALS_PATH, SESSION_VARIABLE};
pub use error::ComposeError;
pub use gpg::GpgOffer;
pub use identity::Payload;
pub use own_names::{Own, OwnNames};
pub use secrets::SECRET_PLACES;
pub(crate) use secrets::known as secret_places;
pub use stand_ins::covered_above;

/// One run, as the person asked for it.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The session.
    pub session: SessionId,
    /// Its agent, the principal of every act.
    pub agent: Agent,
    /// What is run.
    pub argv: Vec<OsString>,
    /// Where.
    pub cwd: PathBuf,
    /// What becomes of it where the world does not show that place.
    pub unseen: Unseen,
    /// The environment Ringfence was started with.
    pub environment: Environment,
    /// Where standard streams lead.
    pub stdio: Stdio,
    /// How the world is isolated.
    pub tier: Tier,
    /// Which system calls it may make.
    pub seccomp: Profile,
    /// Which system calls are notified.
    pub notify: NotifyClasses,
    /// The certificate of the session's authority, as PEM.
    pub authority: String,
    /// What stands in for secrets, and where programs look for it.
    pub stand_ins: Vec<(Delivery, Sentinel)>,
    /// Variables of the environment that are secrets: they stay outside, whatever else is said.
    pub withheld: Vec<String>,
    /// Variables of the world's own, whatever else has their names.
    pub own_env: BTreeMap<String, String>,
    /// Where its changes go.
    pub changes: Changes,
    /// The WASM module that is run, if it is one.
    pub module: Option<Module>,
    /// The library of the tier `preload`, where there is one.
    pub library: Option<PathBuf>,
    /// Ringfence itself, through which programs reach servers of tools; `None` where they are not to.
    pub tools: Option<PathBuf>,
}

/// What becomes of a run in a directory that its world does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unseen {
    /// It is refused: whoever runs something there means the files that are there.
    #[default]
    Refused,
    /// It starts in its temporary directory, with nothing in it: a server of tools is started wherever its client is.
    Aside,
}

/// Where the changes of a session go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changes {
    /// To the host, at once.
    #[default]
    Host,
    /// Aside, until a person commits them.
    Review,
}

/// A world ready to be started, and what goes with it.
#[derive(Debug)]
pub struct Composition {
    /// The world.
    pub spec: WorldSpec,
    /// What the policy means for files, as far as it is known beforehand.
    pub planned: Planned,
    /// Directories that exist in this world only (`/tmp`, `/dev`, the private home, caches, copies): what
    /// happens in them is no act, is not put to the gate and leaves nothing on the host.
    ///
    /// The longest path decides: a bind of the plan beneath such a directory is not private.
    pub private: Own,
    /// What is not to be written, whatever the policy says of it.
    pub closed: Closed,
    /// The agent the world is prepared for.
    pub profile: ProfileName,
    /// The file on the host behind [`DENIALS_PATH`]: the broker appends JSON lines to it.
    pub denials: PathBuf,
    /// Where the world's programs ask for signatures, if they may.
    pub agents: Agents,
    /// What is to be done on the host once the world has ended.
    pub after: After,
    /// What the person should know.
    pub notices: Vec<Notice>,
}

/// What is not to be written.
#[derive(Debug, Default)]
pub struct Closed {
    /// Where nothing may come to be: covered by a mount, unless that is taken away outside, or too small to be.
    pub covered: Vec<PathBuf>,
    /// Directories that the world may write, with the names in them that it must not.
    pub beside: BTreeMap<PathBuf, BTreeSet<OsString>>,
}

/// What the policy means for files, as far as it is known beforehand.
#[derive(Debug)]
pub struct Planned {
    /// The static part of the policy that a world was made from.
    pub plan: FilePlan,
    /// What is opened outside, file by file, once that is decided.
    pub asked: Asked,
}

/// Sockets of a world on which its programs ask for signatures, or for tools.
#[derive(Debug)]
pub struct Agents {
    /// By ssh keys.
    pub ssh: Option<UnixListener>,
    /// By gpg keys.
    pub gpg: Option<GpgOffer>,
    /// And on which they call tools.
    pub tools: Option<UnixListener>,
}

impl Agents {
    fn offer(
        of: (&Assembled, &RunRequest),
        (home, signers): (&Path, Option<&Signers>),
        (private, layout): (&Private, &mut Layout),
    ) -> Result<Agents, ComposeError> {
        let ssh = ssh::offer(of, home, (private, layout))?;
        let gpg = gpg::offer(signers, (private, layout))?;
        Ok(Agents { ssh, gpg, tools: tools::offer(of, (private, layout))? })
    }
}

impl RunRequest {
    /// Which agent the world is prepared for: as the settings say, else by the program's name.
    pub fn profile(&self, assembled: &Assembled) -> ProfileName {
        let program = self.argv.first().map(Path::new).and_then(Path::file_name);
        let by_name = program.and_then(|name| name.to_str()).map(ProfileName::of_program);
        // A known program is what it is; the settings say what a wrapper starts.
        by_name
            .filter(|profile| *profile != ProfileName::Generic)
            .or(assembled.settings.profile)
            .unwrap_or(ProfileName::Generic)
    }
}

/// Makes the world of one run; writes only below the session's directory and the caches. What its
/// programs believe is to be written before one of them runs.
pub fn compose(
    assembled: &Assembled,
    dirs: &StateDirs,
    request: &RunRequest,
) -> Result<(Composition, Believed), ComposeError> {
    let mounts = request.tier.has_mounts();
    let payload = identity::choose(assembled, request)?;
    let mut plan = assembled.policy.file_plan(&request.agent);
    let profile = request.profile(assembled);
    let store = caches::Store::of(dirs, assembled, &payload);
    let private = Private::create(&dirs.private_of(&request.session), store.of_home(), &payload)?;
    let mut layout = Layout::of_plan(&plan, &assembled.project.dir);
    if places::make_own_dirs(&layout, dirs) {
        layout = Layout::of_plan(&plan, &assembled.project.dir);
    }
    let (persons, mut surveys) = (PersonsFiles::of(dirs), Surveys::default());
    let absent = places::protect(&mut layout, &plan, &private, (&persons, &mut surveys))?;
    let mut after = After::new(&request.session, &layout.writable_roots(), &mut surveys);
    let covered: Vec<PathBuf> = absent.iter().map(|place| place.path.clone()).collect();
    after.look_for(absent);
    let signers = gpg::find(&assembled.settings, &request.environment, &mut layout.notices);
    let of_ssh = ssh::signers(&assembled.settings, &request.environment);
    let of_gpg = signers.as_ref().map(Signers::fingerprints);
    let may_sign = gitconfig::Signers { gpg: of_gpg, ssh: of_ssh.as_ref() };
    let home = Home { dir: dirs.home(), profile, environment: &request.environment, may_sign };
    home::furnish(&home, &mut layout, &private, &mut after)?;
    if mounts {
        places::copy_git_configs(&mut layout, &private, &mut after, &mut surveys)?;
        caches::share(&home, &store, &mut layout)?;
    }
    layout.bind_private(Path::new(DENIALS_PATH), &private.denials(), Use::Read);
    request.module.iter().try_for_each(|it| it.furnish(&mut layout, &private))?;
    let persons = (dirs.home(), signers.as_ref());
    let agents = Agents::offer((assembled, request), persons, (&private, &mut layout))?;
    let cwd = check_cwd(request, &layout)?;
    let (mut named, believed) = believed::show(&mut layout, &private, request)?;
    named.extend(stand_ins::show(request, dirs.home(), (&mut layout, &private))?);
    let (env, dropped) = environment::clean(&home, (assembled, named), request);
    layout.notices.extend(places::only_shown(assembled, request).chain(dropped));
    let base = base(request.tier, &payload.account(dirs.home()));
    let asked = asked::find(request, &base, &mut plan, &mut layout.notices)?;
    let scratch = private.scratch()?;
    let made = base.dirs.iter().cloned().chain([PathBuf::from("/dev")]);
    let private_dirs = made.chain(layout.private_targets()).collect();
    let permitted = secrets::Permitted::of(&assembled.policy, &request.agent, &plan);
    let masks = secrets::of_world((request, &cwd), (dirs, &permitted), (&mut layout, &private))?;
    asked.show(&masks, (&mut layout, &private))?;
    let shown = (&layout, masks.as_slice());
    let (binds, overlays) = bound((dirs, request), shown, &payload, &mut after)?;
    places::hold(&mut after, (&layout, &plan), request.notify.write);
    let mut spec = WorldSpec {
        masks: masks.into_iter().map(|(path, _)| path).collect(),
        hidden: layout.hidden(),
        grantable: layout.grantable(dirs.home(), &assembled.project.dir),
        base: with_links(base, layout.links()),
        binds,
        overlays,
        files: home::files(profile),
        env,
        cwd,
        scratch,
        notify: asked.notified(request.notify),
        ..empty(assembled, request, &payload)?
    };
    let closed = closed(&layout, &private, covered);
    let (mut notices, denials) = (layout.notices, private.denials());
    let private = if mounts {
        Own { dirs: private_dirs, names: OwnNames::default() }
    } else {
        on_the_host::adapt(&mut spec, (&private, &payload), dirs.home(), &mut notices)?
    };
    let planned = Planned { plan, asked };
    let made =
        Composition { spec, planned, private, closed, profile, denials, agents, after, notices };
    Ok((made, believed))
}

/// What is not to be written: `absent` places, what is covered as they are, and what lies beside it.
fn closed(layout: &Layout, private: &Private, absent: Vec<PathBuf>) -> Closed {
    let as_they_are = layout.covered_by(&[private.empty_dir(), private.common_dir()]);
    let covered: Vec<PathBuf> = absent.into_iter().chain(as_they_are).collect();
    Closed { beside: layout.beside(&covered), covered }
}

/// How programs ask, in a world that advises; where, is said when it has a directory.
fn hooks(request: &RunRequest) -> Result<Option<Hooks>, ComposeError> {
    match (request.tier, &request.library) {
        (Tier::Preload, Some(library)) => {
            Ok(Some(Hooks { library: Some(library.clone()), line: PathBuf::new() }))
        }
        (Tier::Ptrace, _) => Ok(Some(Hooks { library: None, line: PathBuf::new() })),
        (Tier::Preload, None) => Err(ComposeError::NoLibrary),
        (Tier::Namespaces | Tier::Oci | Tier::Landlock, _) => Ok(None),
    }
}

/// What every program has, whatever the policy says.
fn base(tier: Tier, account: &Account) -> Base {
    match tier {
        Tier::Namespaces | Tier::Landlock | Tier::Preload | Tier::Ptrace => Base::of_host(account),
        Tier::Oci => Base::of_image(account),
    }
}

/// A world with nothing in it, as the person asked for it.
fn empty(
    assembled: &Assembled,
    request: &RunRequest,
    payload: &Payload,
) -> Result<WorldSpec, ComposeError> {
    Ok(WorldSpec {
        base: Base::default(),
        binds: Vec::new(),
        overlays: Vec::new(),
        masks: Vec::new(),
        hidden: Vec::new(),
        grantable: Vec::new(),
        files: Vec::new(),
        dirs: Vec::new(),
        env: Vec::new(),
        cwd: PathBuf::new(),
        argv: request.argv.clone(),
        identity: payload.identity,
        idmap: payload.idmap,
        stdio: request.stdio,
        notify: request.notify,
        seccomp: request.seccomp,
        limits: assembled.settings.limits.of_each_process(),
        programs: assembled.settings.programs,
        landlock: landlock(assembled),
        inward: Switch::Off,
        proxy_port: assembled.settings.proxy_port,
        container: None,
        hooks: hooks(request)?,
        scratch: PathBuf::new(),
    })
}

/// What is bound, and over what an overlay is laid; the places where something is mounted are made.
fn bound(
    (dirs, request): (&StateDirs, &RunRequest),
    (layout, masks): (&Layout, &[(PathBuf, Kind)]),
    payload: &Payload,
    after: &mut After,
) -> Result<(Vec<Bind>, Vec<Overlay>), ComposeError> {
    match (request.changes, request.tier) {
        (Changes::Host, Tier::Landlock | Tier::Preload | Tier::Ptrace) => {
            Ok((layout.binds(), Vec::new()))
        }
        (Changes::Review, Tier::Landlock | Tier::Preload | Tier::Ptrace) => {
            Err(ComposeError::Review {
                path: request.cwd.clone(),
                reason: format!("the tier `{}` mounts nothing, and so no overlay", request.tier),
            })
        }
        (Changes::Host, Tier::Namespaces | Tier::Oci) => {
            let made = make_places(dirs, (layout, masks), (&request.session, payload))?;
            after.take_away(made);
            Ok((layout.binds(), Vec::new()))
        }
        (Changes::Review, Tier::Namespaces | Tier::Oci) => {
            mountpoints::make(layout, masks, payload, mountpoints::Where::OfOurs);
            let (kept, overlays) = review::lay((dirs, request), (layout, masks), payload)?;
            after.keep(dirs, kept);
            Ok((layout.binds_under_review(), overlays))
        }
    }
}

/// Makes the places where something is mounted; what of them shows in a person's tree is listed first.
fn make_places(
    dirs: &StateDirs,
    (layout, masks): (&Layout, &[(PathBuf, Kind)]),
    (session, payload): (&SessionId, &Payload),
) -> Result<List, ComposeError> {
    let turn = placeholders::turn(dirs)?;
    let used = mountpoints::used(layout, masks, &turn.known());
    let list = turn.record(session, used)?;
    mountpoints::make(layout, masks, payload, mountpoints::Where::Everywhere);
    Ok(list)
}

fn landlock(assembled: &Assembled) -> Require {
    let accepted = assembled.settings.accepted_gaps.contains(&Gap::Landlock);
    if accepted { Require::Partial } else { Require::Full }
}

fn with_links(mut base: Base, links: Vec<(PathBuf, PathBuf)>) -> Base {
    // What the base has a link for already, it knows better.
    let new = links.into_iter().filter(|(at, _)| !base.links.iter().any(|(taken, _)| taken == at));
    let new: Vec<_> = new.collect();
    base.links.extend(new);
    base
}

/// The working directory with links resolved, if the agent may see it.
fn check_cwd(request: &RunRequest, layout: &Layout) -> Result<PathBuf, ComposeError> {
    let wrong = |reason: String| ComposeError::Cwd { path: request.cwd.clone(), reason };
    let cwd = fs::canonicalize(&request.cwd).map_err(|error| wrong(error.to_string()))?;
    if cwd.to_str().is_none() {
        return Err(wrong("it is not UTF-8, so no policy can name it".to_owned()));
    }
    match request.unseen {
        _ if layout.shows(&cwd) => Ok(cwd),
        Unseen::Aside => Ok(PathBuf::from(on_the_host::TEMPORARY)),
        Unseen::Refused => Err(ComposeError::CwdHidden(cwd)),
    }
}

#[cfg(test)]
mod tests;
