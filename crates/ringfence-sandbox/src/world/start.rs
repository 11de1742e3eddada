//! Starting a world, as the broker sees it.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rustix::fs::FileType;
use rustix::net::SocketType;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, WaitOptions};

use super::channel::{Channel, Message, Topic};
use super::failure::Failure;
use super::helper::{self, Lines};
use super::network::HandedOut;
use super::{
    Access, IdMap, NotifyClasses, Stdio, Switch, World, WorldError, WorldSpec, layers, wire,
};
use crate::notify::Confinement;
use crate::sys::process::fork;

/// Starts a world and, held back until its exec is answered, the payload in it.
///
/// Must be called while the process has one thread: it forks. At its end the calling process is
/// no longer dumpable, so that nothing else of the same user reads its memory.
pub fn start(spec: WorldSpec) -> Result<World, WorldError> {
    prepare()?.begin(spec)?.finish()
}

/// Starts the processes that will build a world, as [`start`] does: they make its namespaces while
/// the caller finds out what it is to be. The payload will have the caller's standard streams of
/// this moment, unless it gets a terminal.
pub fn prepare() -> Result<Prepared, WorldError> {
    require_one_thread()?;
    let (grants, helper_grants) = Channel::pair().map_err(step("reach the mount helper"))?;
    let (control, world_control) = Channel::pair().map_err(step("reach the world"))?;
    control.pass_credentials().map_err(step("know who speaks"))?;
    let lines = Lines { grants: helper_grants, control: world_control };
    let helper = fork(move || helper::run(lines)).map_err(step("start the mount helper"))?;
    let prepared = Prepared { lines: Some((control, grants)), helper };
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| step("guard the broker's memory")(error.into()))?;
    Ok(prepared)
}

/// Processes that wait to be told which world to build; dropping it ends them.
#[derive(Debug)]
pub struct Prepared {
    /// To init and to the mount helper, which leave when these are closed.
    lines: Option<(Channel, Channel)>,
    helper: Pid,
}

/// A world that other processes are building; dropping it ends them.
#[derive(Debug)]
pub struct Starting {
    spec: WorldSpec,
    inward: Option<Channel>,
    prepared: Prepared,
}

impl Prepared {
    /// Says which world to build, and does not wait for it.
    pub fn begin(self, mut spec: WorldSpec) -> Result<Starting, WorldError> {
        check(&mut spec)?;
        let memory = wire::send(&spec).map_err(step("write down the world"))?;
        let (inward, world_inward) = match spec.inward {
            Switch::On => {
                let (ours, theirs) = Channel::pair().map_err(step("reach into the world"))?;
                (Some(ours), Some(theirs))
            }
            Switch::Off => (None, None),
        };
        if let Some((_, grants)) = &self.lines {
            // A mount helper that has failed and is gone has said why.
            let fds: Vec<_> = std::iter::once(memory.as_fd())
                .chain(world_inward.as_ref().map(|line| line.as_fd()))
                .collect();
            let _ = grants.send_with(Topic::Spec, &[], &fds);
        }
        Ok(Starting { spec, inward, prepared: self })
    }
}

impl Starting {
    /// Waits until the payload has given up everything but its exec.
    pub fn finish(mut self) -> Result<World, WorldError> {
        let Some((control, _)) = &self.prepared.lines else { return Err(WorldError::Gone) };
        let (ready, payload, init) = await_start(control)?;
        let (control, grants) = self.prepared.lines.take().ok_or(WorldError::Gone)?;
        let listens = self.spec.notify != NotifyClasses::NONE;
        let mut fds = payload.fds.into_iter();
        let notify = if listens { fds.next() } else { None };
        let user = Some((self.spec.identity.uid, self.spec.identity.gid));
        Ok(World {
            notify,
            confinement: Confinement { user, ceiling: fds.next(), writable: writable(&self.spec) },
            pty: ready.out.terminal,
            root: ready.out.root,
            layers: layers::of(&self.spec, &ready.out.network.way),
            network: ready.out.network,
            init_pid: ready.pid,
            payload_pid: payload.pid,
            init,
            control,
            grants: Mutex::new(grants),
            inward: self.inward.take().map(Mutex::new),
            granted: AtomicBool::new(false),
            helper: self.prepared.helper,
            ceiling: ceiling_of(&self.spec),
        })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // A world that has started has taken the lines, and waits for its helper itself.
        if let Some(lines) = self.lines.take() {
            drop(lines);
            let _ = rustix::process::waitpid(Some(self.helper), WaitOptions::empty());
        }
    }
}

/// Waits until the payload has given up everything but its exec.
fn await_start(control: &Channel) -> Result<(Ready, Message, OwnedFd), WorldError> {
    let ready = await_world(control)?;
    let payload = await_topic(control, Topic::PayloadReady)?;
    let init = Pid::from_raw(ready.pid).ok_or(WorldError::Gone)?;
    let init = rustix::process::pidfd_open(init, PidfdFlags::empty())
        .map_err(|error| step("hold on to the world")(error.into()))?;
    Ok((ready, payload, init))
}

/// What init hands out.
struct Ready {
    pid: i32,
    out: HandedOut,
}

fn await_world(control: &Channel) -> Result<Ready, WorldError> {
    let message = await_topic(control, Topic::WorldReady)?;
    let pid = message.pid;
    let out = HandedOut::from(message).ok_or(WorldError::Gone)?;
    Ok(Ready { pid, out })
}

/// The next message, which is this one or a failure.
fn await_topic(control: &Channel, topic: Topic) -> Result<Message, WorldError> {
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
fn ceiling_of(spec: &WorldSpec) -> Vec<(PathBuf, Access)> {
    let grantable = spec.grantable.iter().map(|path| (path.clone(), Access::Write));
    let binds = spec.binds.iter().map(|bind| (bind.target.clone(), bind.access));
    grantable.chain(binds).collect()
}

/// The places that the Landlock ceiling opens for writing.
fn writable(spec: &WorldSpec) -> Vec<PathBuf> {
    let granted = ceiling_of(spec).into_iter().filter(|(_, access)| *access == Access::Write);
    let own = spec.base.dirs.iter().chain(&spec.dirs).cloned();
    granted.map(|(path, _)| path).chain(own).collect()
}

/// Names the step that an error belongs to.
fn step(step: &'static str) -> impl Fn(std::io::Error) -> WorldError {
    move |source| WorldError::Step { step: step.to_owned(), source }
}
