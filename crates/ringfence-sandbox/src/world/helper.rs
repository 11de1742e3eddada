//! The mount helper: builds the world's root, starts its init, then mounts and unmounts grants.
//!
//! It stays in the outer user namespace with a slave copy of the host's mounts, where it may do
//! what the broker, an ordinary user outside, may not. It hears the broker only.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::channel::{Channel, Message, Topic};
use super::container::Inside;
use super::failure::{During as _, Failure, Need};
use super::root::{Covers, Root};
use super::{Access, Identity, Watches, identity, init, keeping, wire};
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::{close_all_but, fork};

/// By how much a world's processes are worse off when memory runs out, of -1000 to 1000.
const OOM_SCORE_ADJ: i32 = 500;

/// The two lines to the broker, and what tells of changes of the host's files.
pub(super) struct Lines {
    /// Grants.
    pub(super) grants: Channel,
    /// Init and payload.
    pub(super) control: Channel,
    /// Nothing is watched by it yet.
    pub(super) watches: Watches,
}

impl Lines {
    /// What is not closed when all else is.
    pub(super) fn kept(&self) -> [RawFd; 3] {
        [&self.grants.as_fd(), &self.control.as_fd(), &self.watches.as_fd()].map(AsRawFd::as_raw_fd)
    }
}

/// The code of the mount helper's process; its result is the exit code.
pub(super) fn run(lines: Lines) -> i32 {
    if close_all_but(&lines.kept()).is_err() {
        return 1;
    }
    // Out of the terminal's reach: its signals are for the payload.
    let _ = rustix::process::setsid();
    let umask = rustix::process::umask(Mode::from_raw_mode(0o022));
    match start(&lines, umask) {
        // The broker has thought better of it.
        Ok(None) => 0,
        Ok(Some(built)) => hold(built, lines),
        Err(failure) => failed(&lines, &failure),
    }
}

/// The same within a container that was entered, for the world that it was made for.
pub(super) fn run_inside(lines: Lines, umask: Mode, inside: Inside) -> i32 {
    match start_inside(&lines, umask, inside) {
        Ok(built) => hold(built, lines),
        Err(failure) => failed(&lines, &failure),
    }
}

fn failed(lines: &Lines, failure: &Failure) -> i32 {
    // The broker is told, or gone.
    let _ = lines.control.send(Topic::Failed, &failure.encode());
    1
}

/// Serves the world until its end.
fn hold((mut root, init): (Root, Pid), lines: Lines) -> i32 {
    if let Err(failure) = serve(&mut root, &lines, init) {
        end(init, &failure, &lines.control);
    }
    drop(lines.control);
    if root.left_traces() {
        let _ = rustix::process::waitpid(Some(init), WaitOptions::empty());
        root.leave();
    }
    0
}

/// Everything up to the world's root. The namespaces are made, and its first process is started,
/// before the broker says which world it is to be.
fn start(lines: &Lines, umask: Mode) -> Result<Option<(Root, Pid)>, Failure> {
    // The broker may have guarded its memory already, for an earlier world.
    identity::dumpable(identity::Dumpable::Yes)?;
    first_to_go();
    let caller = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let holder = identity::begin_mount_map()?;
    if rustix::process::geteuid().is_root() {
        enter_new(Namespaces::NEWNS).during(Need::Namespaces, "unshare the mount namespace")?;
    } else {
        enter_new(Namespaces::NEWUSER | Namespaces::NEWNS)
            .during(Need::UserNamespace, "unshare the user namespace")?;
        identity::map_one("self", Identity { uid: caller.0, gid: caller.1 })?;
    }
    let (ready, init) = first_process(lines, umask)?;
    let Some(told) = told(&lines.grants)? else { return Ok(None) };
    let spec = wire::receive(&told.memory).during(Need::Mounts, TOLD)?;
    let idmap = match &holder {
        Some(holder) => holder.finish(spec.idmap, spec.identity)?,
        None => None,
    };
    drop(holder);
    let root = Root::build(&spec, idmap, None)?;
    go_on(&ready, &told.memory, &told)?;
    Ok(Some((root, init)))
}

/// The same, with the image's files for a root.
fn start_inside(lines: &Lines, umask: Mode, inside: Inside) -> Result<(Root, Pid), Failure> {
    let Inside { caller, image, idmap, mut spec, told } = inside;
    identity::dumpable(identity::Dumpable::Yes)?;
    if caller.0 == 0 {
        enter_new(Namespaces::NEWNS).during(Need::Namespaces, "unshare the mount namespace")?;
    } else {
        // Who the container's user is, the world's is again who the caller is outside.
        let here = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        enter_new(Namespaces::NEWUSER | Namespaces::NEWNS)
            .during(Need::UserNamespace, "unshare the user namespace")?;
        identity::map_own((caller.0, here.0), (caller.1, here.1))?;
    }
    let (ready, init) = first_process(lines, umask)?;
    let tops = image_tops(&image).during(Need::Mounts, "look at the image's files")?;
    let root = Root::build(&spec, idmap, Some(image))?;
    // Read by every program, as the host's are in other worlds.
    spec.base.binds = tops;
    let memory = wire::send(&spec).during(Need::Mounts, "write down the world")?;
    go_on(&ready, &memory, &told)?;
    Ok((root, init))
}

/// What lies at the top of an image, but for what every world has of its own.
fn image_tops(image: &OwnedFd) -> std::io::Result<Vec<PathBuf>> {
    let mut tops = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = rustix::fs::openat(image, ".", flags, Mode::empty())?;
    for entry in Dir::read_from(&here)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let own = ["dev", "proc", "sys", "tmp", "run"].iter().any(|own| name == *own);
        if entry.file_type() == FileType::Directory && !own && name != "." && name != ".." {
            tops.push(Path::new("/").join(name));
        }
    }
    Ok(tops)
}

/// Starts init first: it makes the world's network while the root is being built. Returns the line
/// on which it waits for that.
fn first_process(lines: &Lines, umask: Mode) -> Result<(Channel, Pid), Failure> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave)
        .during(Need::Mounts, "detach from the host's mounts")?;
    let fresh =
        Namespaces::NEWPID | Namespaces::NEWIPC | Namespaces::NEWUTS | Namespaces::NEWCGROUP;
    enter_new(fresh).during(Need::Namespaces, "unshare pid, ipc, uts and cgroup namespaces")?;
    let (ready, until_ready) = Channel::pair().during(Need::Mounts, "reach init")?;
    let from = init::From { until_ready, umask };
    let init = fork(move || init::run(&from, lines))
        .during(Need::Namespaces, "start the world's first process")?;
    identity::dumpable(identity::Dumpable::No)?;
    Ok((ready, init))
}

/// Tells init that the root stands, and what world it is.
fn go_on(ready: &Channel, memory: &OwnedFd, told: &Told) -> Result<(), Failure> {
    let fds: Vec<_> = std::iter::once(memory).chain(&told.rest).map(|fd| fd.as_fd()).collect();
    ready.send_with(Topic::Done, &told.handed, &fds).during(Need::Mounts, "reach init")
}

/// When memory runs out, the world's processes go before those of the person (proc_pid_oom_score_adj(5)).
pub(super) fn first_to_go() {
    let file = "/proc/self/oom_score_adj";
    let now = fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if now.is_some_and(|now| now < OOM_SCORE_ADJ) {
        // A system that does not let one be worse off has a reason.
        let _ = fs::write(file, OOM_SCORE_ADJ.to_string());
    }
}

/// What being told is called in errors.
const TOLD: &str = "hear which world to build";

/// Waits for the specification; none comes when the broker is gone.
pub(super) fn told(grants: &Channel) -> Result<Option<Told>, Failure> {
    let Some(message) = grants.receive().during(Need::Mounts, TOLD)? else { return Ok(None) };
    let mut fds = message.fds.into_iter();
    let memory = fds.next().filter(|_| message.topic == Topic::Spec);
    let missing = || Failure { need: Need::Mounts, errno: libc::EINVAL, step: TOLD.to_owned() };
    let handed = message.bytes;
    memory.map(|memory| Some(Told { memory, handed, rest: fds.collect() })).ok_or_else(missing)
}

/// What the broker says of the world to build.
pub(super) struct Told {
    /// The specification.
    pub(super) memory: OwnedFd,
    /// For init: what the payload inherits of the caller ([`super::handed`]), and the line for sockets
    /// of the world where there is one.
    pub(super) handed: Vec<u8>,
    pub(super) rest: Vec<OwnedFd>,
}

/// Answers grants and revokes, and keeps what is covered covered, until the broker or the world is
/// gone. The error ends the world.
fn serve(root: &mut Root, lines: &Lines, init: Pid) -> Result<(), Failure> {
    let Ok(init) = rustix::process::pidfd_open(init, PidfdFlags::empty()) else { return Ok(()) };
    // What was replaced so far nobody has seen: the payload waits for the broker.
    let mut covers = Covers::over(root, &lines.watches)?;
    loop {
        let mut fds = [
            PollFd::new(&lines.grants, PollFlags::IN),
            PollFd::new(&init, PollFlags::IN),
            PollFd::new(&covers, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, covers.wait().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(()),
        }
        let [from_broker, from_init, from_host] = fds.map(|fd| !fd.revents().is_empty());
        if from_init {
            return Ok(());
        }
        if from_host {
            for path in covers.look(root)? {
                // A broker that is gone has ended the world.
                let _ = lines.control.send(Topic::Covered, path.as_os_str().as_bytes());
            }
        }
        covers.show_settled(root);
        if from_broker && !answer(root, &mut covers, &lines.grants)? {
            return Ok(());
        }
    }
}

/// Does what the broker asks for; `false` when it is gone.
fn answer(root: &mut Root, covers: &mut Covers, grants: &Channel) -> Result<bool, Failure> {
    let Ok(Some(message)) = grants.receive() else { return Ok(false) };
    let done = match message.topic {
        Topic::Mount => mount(root, &message),
        Topic::Unmount => unmount(root, &message),
        Topic::Layers => return Ok(keep(root, message, grants)),
        Topic::View => return Ok(view(root, &message, grants)),
        Topic::WorldReady
        | Topic::PayloadReady
        | Topic::Failed
        | Topic::NotStarted
        | Topic::Ended
        | Topic::Signal
        | Topic::Stopped
        | Topic::Spec
        | Topic::Socket
        | Topic::Covered
        | Topic::Still
        | Topic::Going
        | Topic::Done => return Ok(false),
    };
    if done.is_ok() {
        covers.follow(root)?;
    }
    if message.topic == Topic::Unmount {
        // What came, went and was replaced beneath the grant.
        root.show_everything();
    }
    let sent = match done {
        Ok(()) => grants.send(Topic::Done, &[]),
        Err(failure) => grants.send(Topic::Failed, &failure.encode()),
    };
    Ok(sent.is_ok())
}

/// `ACCESS SOURCE`: hands out a tree that is mounted nowhere. `false` when the broker is gone.
fn view(root: &Root, message: &Message, grants: &Channel) -> bool {
    let opened = match message.bytes.split_first().map(|(first, path)| {
        let path = Path::new(OsStr::from_bytes(path));
        (Access::from_byte(*first), path)
    }) {
        Some((Some(access), path)) => root.view(path, access),
        Some((None, _)) | None => Err(malformed()),
    };
    let sent = match opened {
        Ok(tree) => grants.send_with(Topic::Done, &[], &[tree.as_fd()]),
        Err(failure) => grants.send(Topic::Failed, &failure.encode()),
    };
    sent.is_ok()
}

/// Has a child copy what the overlays hold, or put it back, and waits for it: meanwhile the broker
/// has stopped the world. `false` when the broker is gone.
fn keep(root: &Root, message: Message, grants: &Channel) -> bool {
    let child = fork(|| keeping::run(root, message));
    // What came of it is in a file; one that has none has failed.
    if let Ok(child) = child {
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitpid(Some(child), WaitOptions::empty())
        {}
    }
    grants.send(Topic::Done, &[]).is_ok()
}

/// Ends a world in which something might be open that is to be covered.
fn end(init: Pid, failure: &Failure, control: &Channel) {
    // First of all that it ends; gone already is as good.
    let _ = rustix::process::kill_process(init, Signal::KILL);
    let _ = control.send(Topic::Failed, &failure.encode());
}

fn malformed() -> Failure {
    Failure { need: Need::Bind, errno: libc::EINVAL, step: "\nread the request".to_owned() }
}

/// `ACCESS SOURCE NUL TARGET`
fn mount(root: &mut Root, message: &Message) -> Result<(), Failure> {
    let (access, paths) = message.bytes.split_first().ok_or_else(malformed)?;
    let access = Access::from_byte(*access).ok_or_else(malformed)?;
    let mut paths = paths.split(|byte| *byte == 0).map(|path| Path::new(OsStr::from_bytes(path)));
    let source = paths.next().ok_or_else(malformed)?;
    let target = paths.next().ok_or_else(malformed)?;
    root.grant(source, target, access)
}

fn unmount(root: &mut Root, message: &Message) -> Result<(), Failure> {
    let target = Path::new(OsStr::from_bytes(&message.bytes));
    root.revoke(target).unwrap_or_else(|| {
        let step = format!("{}\nfind the grant", target.display());
        Err(Failure { need: Need::Bind, errno: libc::ENOENT, step })
    })
}
