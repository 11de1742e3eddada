//! Starting a world, as the broker sees it.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::net::SocketType;
use rustix::process::DumpableBehavior;

use super::advisory::Advisory;
use super::channel::{Channel, Message, Topic};
use super::failure::Failure;
use super::landlocked::Landlocked;
use super::namespaces::Namespaces;
use super::tier::{Isolation, Tier};
use super::{Access, IdMap, Stdio, Watches, World, WorldError, WorldSpec};

/// Starts a world and, held back until its exec is answered, the payload in it.
///
/// Must be called while the process has one thread: it forks. At its end the calling process is
/// no longer dumpable, so that nothing else of the same user reads its memory.
pub fn start(spec: WorldSpec) -> Result<World, WorldError> {
    prepare()?.begin(spec)?.finish()
}

/// Starts the processes that will build a world of the default tier, as [`start`] does: they make
/// its namespaces while the caller finds out what it is to be. The payload will have the caller's
/// standard streams of this moment, unless it gets a terminal.
pub fn prepare() -> Result<Prepared, WorldError> {
    prepare_tier(Tier::default())
}

/// The same for a world of another tier.
pub fn prepare_tier(tier: Tier) -> Result<Prepared, WorldError> {
    prepare_watched(tier, &Watches::new()?)
}

/// The same where somebody who outlasts the world holds what watches for it.
pub fn prepare_watched(tier: Tier, watches: &Watches) -> Result<Prepared, WorldError> {
    require_one_thread()?;
    let isolation: Box<dyn Isolation> = match tier {
        Tier::Namespaces => Box::new(Namespaces::prepare(watches)?),
        Tier::Oci => Box::new(Namespaces::prepare_in_container(watches)?),
        Tier::Landlock => Box::new(Landlocked::prepare()?),
        tier @ (Tier::Preload | Tier::Ptrace) => Box::new(Advisory::prepare(tier)?),
    };
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| step("guard the broker's memory")(error.into()))?;
    Ok(Prepared { tier, isolation })
}

/// Processes that wait to be told which world to build; dropping it ends them.
#[derive(Debug)]
pub struct Prepared {
    tier: Tier,
    isolation: Box<dyn Isolation>,
}

/// A world that other processes are building; dropping it ends them.
#[derive(Debug)]
pub struct Starting {
    spec: WorldSpec,
    tier: Tier,
    isolation: Box<dyn Isolation>,
}

impl Prepared {
    /// How the world will be isolated.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Has the payload get the standard streams and the umask of the moment in which the world is
    /// described ([`Prepared::begin`]), not those of the moment in which it was prepared.
    pub fn hand_over_later(&mut self) -> Result<(), WorldError> {
        self.isolation.hand_over_later()
    }

    /// Says which world to build, and does not wait for it.
    pub fn begin(mut self, mut spec: WorldSpec) -> Result<Starting, WorldError> {
        check(&mut spec)?;
        check_container(self.tier, &mut spec)?;
        self.isolation.begin(&spec)?;
        Ok(Starting { spec, tier: self.tier, isolation: self.isolation })
    }
}

impl Starting {
    /// Waits until the payload has given up everything but its exec.
    pub fn finish(mut self) -> Result<World, WorldError> {
        let started = self.isolation.finish(&self.spec)?;
        Ok(World {
            notify: started.notify,
            confinement: started.confinement,
            network: started.network,
            tier: self.tier,
            pty: started.pty,
            root: started.root,
            layers: started.layers,
            init_pid: started.init_pid,
            payload_pid: started.payload_pid,
            stillness: (!self.spec.overlays.is_empty()).then(Arc::default),
            isolation: self.isolation,
        })
    }
}

/// The next message, which is this one or a failure.
pub(super) fn await_topic(control: &Channel, topic: Topic) -> Result<Message, WorldError> {
    let message = loop {
        let heard = control.receive().map_err(step("hear of the world"))?;
        let message = heard.ok_or(WorldError::Gone)?;
        // Nobody has seen what was covered again before the payload runs.
        if message.topic != Topic::Covered {
            break message;
        }
    };
    if message.topic == topic {
        return Ok(message);
    }
    Err(Failure::decode(&message.bytes).map_or(WorldError::Gone, Failure::explain))
}

/// Forking a process with threads would leave locks that nobody releases.
fn require_one_thread() -> Result<(), WorldError> {
    let threads = fs::read_dir("/proc/self/task").map_err(step("count threads"))?.count();
    if threads == 1 { Ok(()) } else { Err(WorldError::NotSingleThreaded { threads }) }
}

/// Refuses what cannot be meant, before anything is forked.
fn check(spec: &mut WorldSpec) -> Result<(), WorldError> {
    let wrong = |what: String| Err(WorldError::Spec(what));
    let paths = spec.binds.iter().flat_map(|bind| [&bind.source, &bind.target]);
    let layers = spec.overlays.iter().flat_map(|it| [&it.lower, &it.upper, &it.work]);
    let paths = paths.chain(layers);
    let rest = spec.masks.iter().chain(&spec.hidden).chain(&spec.grantable).chain(&spec.dirs);
    let files = spec.files.iter().map(|file| &file.target);
    for path in paths.chain(rest).chain(files).chain([&spec.cwd, &spec.scratch]) {
        if !is_plain(path) {
            return wrong(format!("`{}` is not an absolute path without `..`", path.display()));
        }
    }
    if spec.argv.is_empty() {
        return wrong("there is no command".to_owned());
    }
    let root = rustix::process::geteuid().is_root();
    if spec.identity.uid == 0 {
        return wrong("the payload would run as root; name another user".to_owned());
    }
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if !root && (spec.identity.uid, spec.identity.gid) != own {
        return wrong("an ordinary user can only start worlds of their own".to_owned());
    }
    if !root && spec.idmap != IdMap::None {
        return wrong("only root can change whose files appear as the payload's".to_owned());
    }
    if spec.stdio == Stdio::Inherit {
        check_streams()?;
    }
    spec.scratch = fs::canonicalize(&spec.scratch).map_err(step("find the scratch directory"))?;
    Ok(())
}

/// A container is for the tier `oci` and for no other; its image must be there.
fn check_container(tier: Tier, spec: &mut WorldSpec) -> Result<(), WorldError> {
    match (tier, &mut spec.container) {
        (Tier::Oci, Some(container)) => container.find_image(),
        (Tier::Namespaces | Tier::Landlock | Tier::Preload | Tier::Ptrace, None) => Ok(()),
        (Tier::Oci, None) => Err(WorldError::Spec("it has no image".to_owned())),
        (Tier::Namespaces | Tier::Landlock | Tier::Preload | Tier::Ptrace, Some(_)) => {
            Err(WorldError::Spec(format!("the tier `{tier}` has no image")))
        }
    }
}

/// What is open leads where it was opened. A directory of the host's leads through the host's mounts,
/// not the world's: nothing covers what is protected in it, and what happens in it is taken for the
/// world's own. A socket that is not bound to one peer sends from the host's network to anybody.
fn check_streams() -> Result<(), WorldError> {
    let streams = [
        ("standard input", rustix::stdio::stdin()),
        ("standard output", rustix::stdio::stdout()),
        ("standard error", rustix::stdio::stderr()),
    ];
    for (name, stream) in streams {
        // One that is closed leads nowhere.
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => "a directory, in which a world would pass its own mounts by",
            FileType::Socket if !has_one_peer(stream) => {
                "a socket without a peer, which sends past the world's network"
            }
            FileType::Socket
            | FileType::RegularFile
            | FileType::Symlink
            | FileType::Fifo
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => continue,
        };
        return Err(WorldError::Stream { name, what });
    }
    Ok(())
}

/// Whether a socket is connected, and cannot send to anybody else.
fn has_one_peer(socket: BorrowedFd<'_>) -> bool {
    let kind = rustix::net::sockopt::socket_type(socket);
    let stream = kind.is_ok_and(|it| [SocketType::STREAM, SocketType::SEQPACKET].contains(&it));
    stream && rustix::net::getpeername(socket).is_ok_and(|peer| peer.is_some())
}

fn is_plain(path: &Path) -> bool {
    let up = path.components().any(|part| part == std::path::Component::ParentDir);
    path.is_absolute() && !up
}

/// Beneath which directories Landlock lets a grant be used, and for what.
pub(super) fn ceiling_of(spec: &WorldSpec) -> Vec<(PathBuf, Access)> {
    let grantable = spec.grantable.iter().map(|path| (path.clone(), Access::Write));
    let binds = spec.binds.iter().map(|bind| (bind.target.clone(), bind.access));
    grantable.chain(binds).collect()
}

/// The places that the Landlock ceiling opens for writing.
pub(super) fn writable(spec: &WorldSpec) -> Vec<PathBuf> {
    let granted = ceiling_of(spec).into_iter().filter(|(_, access)| access.changes());
    let own = spec.base.dirs.iter().chain(&spec.dirs).cloned();
    granted.map(|(path, _)| path).chain(own).collect()
}

/// Names the step that an error belongs to.
pub(super) fn step(step: &'static str) -> impl Fn(std::io::Error) -> WorldError {
    move |source| WorldError::Step { step: step.to_owned(), source }
}
