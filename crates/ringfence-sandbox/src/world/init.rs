//! The world's first process: closes the world around itself, starts the payload, reaps, and ends
//! the world when the payload or the broker ends.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::channel::{Channel, Message, Topic};
use super::failure::{During as _, Failure, Need};
use super::handed::Handed;
use super::helper::Lines;
use super::network::{self, MOUNTS, Network, TERMINAL, WORLD_ROOT, announce};
use super::root::ROOT;
use super::{Stdio, WorldSpec, ceiling, identity, payload, wire};
use crate::sys::mount::{Attributes, NODEV, NOEXEC, NOSUID, RDONLY, Reach, set_attributes};
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::{
    child_events, close_all_but, fork, retitle, signal_group, signal_namespace,
};

/// Most pseudoterminals of a world; the host has 4,096 for all (`kernel.pty.max`).
const TERMINALS_MAX: u32 = 128;
/// Parts of `/proc` through which the kernel is told what to do.
const PROC_READ_ONLY: &[&str] = &["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"];

/// What the world's first process is called.
const TITLE: &CStr = c"ringfence-init";

/// Both sides of a terminal.
pub(super) struct Terminal {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// What the mount helper gives init.
pub(super) struct From {
    /// Says when the world's root is built, and brings the specification.
    pub(super) until_ready: Channel,
    /// The broker's, for the payload.
    pub(super) umask: Mode,
}

/// The code of pid 1; its result is the exit code, which nobody reads.
pub(super) fn run(from: &From, lines: &Lines) -> i32 {
    let control = &lines.control;
    // What a world can see of it is no business of the payload's.
    if retitle(TITLE).is_err() {
        return 1;
    }
    // Not the mount helper's: their other ends must close when the helper dies.
    let kept = [control.as_fd().as_raw_fd(), from.until_ready.as_fd().as_raw_fd()];
    if close_all_but(&kept).is_err() {
        return 1;
    }
    let ended = start(from, control).and_then(|started| match started {
        Some((leader, inward)) => supervise((control, inward.as_ref()), leader)
            .during(Need::Payload, "watch over the world"),
        None => Ok(None),
    });
    let sent = match ended {
        Ok(None) => Ok(()),
        Ok(Some(status)) => control.send(Topic::Ended, &status.as_raw().to_le_bytes()),
        Err(failure) => control.send(Topic::Failed, &failure.encode()),
    };
    // Leaving kills whatever is left in the world.
    i32::from(sent.is_err())
}

/// What waiting for the root is called in errors.
const BUILT: &str = "wait for the world's root";
/// What taking the payload's streams is called in errors.
const ADOPT: &str = "take the standard streams";

/// The payload's process, and the line for sockets of the world where there is one.
type Started = (Pid, Option<Channel>);

/// Everything up to the payload's process; `None` when the mount helper has failed, and said so.
fn start(from: &From, control: &Channel) -> Result<Option<Started>, Failure> {
    let network = Network::make()?;
    let built = from.until_ready.receive().during(Need::Mounts, BUILT)?;
    let Some(built) = built else { return Ok(None) };
    let missing = || Failure { need: Need::Mounts, errno: libc::EINVAL, step: BUILT.to_owned() };
    let mut fds = built.fds.into_iter();
    let memory = fds.next().ok_or_else(missing)?;
    let handed = Handed::take(&built.bytes, &mut fds).during(Need::Payload, ADOPT)?;
    let umask = match handed {
        Some(handed) => handed.adopt().during(Need::Payload, ADOPT)?,
        None => from.umask,
    };
    let inward = fds.next().map(Channel::from);
    let spec = &wire::receive(&memory).during(Need::Mounts, BUILT)?;
    drop(memory);
    let network = network.with_proxy(spec.proxy_port)?;
    close_world(spec, &spec.scratch.join(ROOT))?;
    let terminal = match spec.stdio {
        Stdio::Inherit => None,
        Stdio::Pty(size) => Some(terminal(c"/dev/pts/ptmx", size)?),
    };
    let root = open_here("/")?;
    let mut out = network.descriptors();
    out.push((WORLD_ROOT, root.as_fd()));
    let mounts = match spec.overlays.as_slice() {
        [] => None,
        _ => Some(own_mounts().during(Need::Mounts, "open the world's mount namespace")?),
    };
    out.extend(mounts.as_ref().map(|mounts| (MOUNTS, mounts.as_fd())));
    out.extend(terminal.as_ref().map(|terminal| (TERMINAL, terminal.master.as_fd())));
    let (letters, fds): (Vec<u8>, Vec<_>) = out.into_iter().unzip();
    let text = announce(letters.into_iter(), network.gap());
    control
        .send_with(Topic::WorldReady, &text, &fds)
        .during(Need::Payload, "hand out the world's descriptors")?;
    let slave = terminal.map(|terminal| terminal.slave);
    let leader = payload(spec, control, payload::Parts { slave, umask })?;
    Ok(Some((leader, inward)))
}

/// Starts the payload's process and gives it its user.
fn payload(spec: &WorldSpec, control: &Channel, parts: payload::Parts) -> Result<Pid, Failure> {
    let (ours, theirs) = Channel::pair().during(Need::Payload, "reach the payload")?;
    let pid = fork(move || payload::run(spec, control, &theirs, parts))
        .during(Need::Payload, "start the payload's process")?;
    // While the payload's process makes its namespaces.
    let ceiling = match ceiling::build(spec) {
        Ok(ceiling) => ceiling,
        Err(failure) => {
            // Left open: it would say that nothing came, before this can be told.
            std::mem::forget(ours);
            return Err(failure);
        }
    };
    // One that failed has told the broker so.
    if ours.receive().during(Need::Payload, "wait for the payload")?.is_some() {
        if !spec.identity.is_caller() {
            identity::map_one(&pid.as_raw_nonzero().to_string(), spec.identity)?;
        }
        ours.send_with(Topic::Done, &[], &[ceiling.as_fd()])
            .during(Need::Payload, "let the payload go on")?;
    }
    // Not before: a forked process inherits this, and its user map could not be written.
    identity::dumpable(identity::Dumpable::No)?;
    Ok(pid)
}

/// Makes `root` the only file system there is.
fn close_world(spec: &WorldSpec, root: &Path) -> Result<(), Failure> {
    enter_new(Namespaces::NEWNS).during(Need::Namespaces, "unshare the world's mount namespace")?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).during(Need::Mounts, "detach the world's mounts")?;
    rustix::process::chdir(root).during(Need::Mounts, "enter the world's root")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Before the host's is gone: the kernel only gives a fresh one to who can see a whole one.
    rustix::mount::mount("proc", "proc", "proc", flags, None).during(Need::Proc, "mount /proc")?;
    for part in PROC_READ_ONLY {
        read_only_on_itself(part)?;
    }
    let uid = spec.identity.uid;
    let options = format!("newinstance,ptmxmode=0666,mode=620,max={TERMINALS_MAX},uid={uid}");
    let options = std::ffi::CString::new(options).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount("devpts", "dev/pts", "devpts", flags, Some(options.as_c_str()))
        .during(Need::Mounts, "mount /dev/pts")?;
    let here = open_here(".")?;
    let attributes = Attributes { set: RDONLY | NOSUID | NODEV, propagation: 0, idmap: None };
    set_attributes(&here, Reach::One, attributes)
        .during(Need::Mounts, "make the world's root read-only")?;
    rustix::process::pivot_root(".", ".").during(Need::Mounts, "change to the world's root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .during(Need::Mounts, "leave the host's root")?;
    rustix::process::chdir("/").during(Need::Mounts, "enter the world's root")?;
    rustix::system::sethostname(b"ringfence").during(Need::Namespaces, "name the world")
}

/// Puts a read-only view of a part of `/proc` on top of it.
fn read_only_on_itself(part: &str) -> Result<(), Failure> {
    match rustix::mount::mount_bind(part, part) {
        // Kernels are built without some of these.
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        result => result.during(Need::Mounts, format!("cover /{part}"))?,
    }
    let set = RDONLY | NOSUID | NODEV | NOEXEC;
    let attributes = Attributes { set, propagation: 0, idmap: None };
    set_attributes(open_here(part)?, Reach::One, attributes)
        .during(Need::Mounts, format!("make /{part} read-only"))
}

fn open_here(path: &str) -> Result<OwnedFd, Failure> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).during(Need::Mounts, format!("open {path}"))
}

fn own_mounts() -> std::io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty())?)
}

/// A terminal of the world's own, given out by `multiplexer`.
pub(super) fn terminal(multiplexer: &CStr, size: super::TerminalSize) -> Result<Terminal, Failure> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ptmx = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let master = rustix::fs::open(multiplexer, ptmx, Mode::empty())
        .during(Need::Terminal, "open a terminal")?;
    rustix::pty::unlockpt(&master).during(Need::Terminal, "unlock the terminal")?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
        .during(Need::Terminal, "open the terminal's other side")?;
    let size = Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).during(Need::Terminal, "size the terminal")?;
    Ok(Terminal { master, slave })
}

/// Reaps and forwards signals until the payload ends (its status) or the broker does (`None`).
fn supervise(
    (control, inward): (&Channel, Option<&Channel>),
    leader: Pid,
) -> std::io::Result<Option<WaitStatus>> {
    let children = child_events()?;
    // While the broker has stopped everybody: that is nothing to tell it.
    let mut still = false;
    loop {
        // Before waiting: a child may have ended before its events were listened to.
        while let Some((pid, status)) = reap()? {
            if pid == leader && status.stopped() {
                if !still {
                    control.send(Topic::Stopped, &[])?;
                }
            } else if pid == leader {
                return Ok(Some(status));
            }
        }
        // Where nothing is published, the same line twice: the poll needs a fixed number.
        let mut fds = [
            PollFd::new(control, PollFlags::IN),
            PollFd::new(&children, PollFlags::IN),
            PollFd::new(inward.unwrap_or(control), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [from_broker, from_children, from_inward] = fds;
        if let (false, Some(inward)) = (from_inward.revents().is_empty(), inward) {
            network::hand_out_socket(inward)?;
        }
        if !from_children.revents().is_empty() {
            let mut events = [0; 1024];
            let _ = rustix::io::read(&children, &mut events);
        }
        if !from_broker.revents().is_empty() {
            let Some(message) = control.receive()? else { return Ok(None) };
            still = obey(&message, leader, still);
        }
    }
}

/// Does what the broker says; the result is whether it has stopped everybody.
fn obey(message: &Message, leader: Pid, still: bool) -> bool {
    match (message.topic, message.bytes.first()) {
        (Topic::Signal, Some(signal)) => {
            // A group that is gone has nobody to be told.
            let _ = signal_group(leader, i32::from(*signal));
            still
        }
        (Topic::Still, _) => {
            // A world without a process that can be stopped is about to end.
            let _ = signal_namespace(libc::SIGSTOP);
            true
        }
        (Topic::Going, _) => false,
        (_, _) => still,
    }
}

/// Who has ended or was stopped meanwhile.
pub(super) fn reap() -> std::io::Result<Option<(Pid, WaitStatus)>> {
    match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        Ok(found) => Ok(found),
        Err(rustix::io::Errno::CHILD | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
