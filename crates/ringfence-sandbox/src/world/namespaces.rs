//! The default tier: a world in namespaces of its own, as the broker sees it; and the tier `oci`, in
//! which these are within a container's.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::channel::{Channel, Message, Topic};
use super::container;
use super::failure::Failure;
use super::handed::Handed;
use super::helper::{self, Lines};
use super::keeping::{self, Account, Keeping, Request};
use super::network::{self, HandedOut};
use super::start::{await_topic, ceiling_of, step, writable};
use super::tier::{Isolation, Started};
use super::{
    Access, IpFamily, NotifyClasses, Switch, Watches, WorldError, WorldSpec, layers, wire,
};
use crate::notify::{Confinement, Line};
use crate::sys::process::fork;

/// The processes that hold a world up.
#[derive(Debug)]
pub(super) struct Namespaces {
    /// To init and to the mount helper, which leave when these are closed.
    lines: Option<(Channel, Mutex<Channel>)>,
    helper: Pid,
    /// The world's first process, once it stands.
    init: Option<OwnedFd>,
    inward: Option<Mutex<Channel>>,
    /// Whether the payload gets what the caller has when the world is described.
    hands_over: bool,
    /// The world's mount namespace, where it has overlays.
    mounts: Option<OwnedFd>,
    ceiling: Vec<(PathBuf, Access)>,
}

impl Namespaces {
    /// Starts the processes; they make the namespaces while they wait to be told more.
    pub(super) fn prepare(watches: &Watches) -> Result<Namespaces, WorldError> {
        Namespaces::prepare_by(helper::run, watches)
    }

    /// Starts the process that will have a container made when it is told of which image.
    pub(super) fn prepare_in_container(watches: &Watches) -> Result<Namespaces, WorldError> {
        Namespaces::prepare_by(container::keep, watches)
    }

    fn prepare_by(run: fn(Lines) -> i32, watches: &Watches) -> Result<Namespaces, WorldError> {
        let (grants, helper_grants) = Channel::pair().map_err(step("reach the mount helper"))?;
        let (control, world_control) = Channel::pair().map_err(step("reach the world"))?;
        control.pass_credentials().map_err(step("know who speaks"))?;
        let watches = watches.another().map_err(step("watch covered places"))?;
        let lines = Lines { grants: helper_grants, control: world_control, watches };
        let helper = fork(move || run(lines)).map_err(step("start the mount helper"))?;
        Ok(Namespaces {
            lines: Some((control, Mutex::new(grants))),
            helper,
            init: None,
            inward: None,
            hands_over: false,
            mounts: None,
            ceiling: Vec::new(),
        })
    }

    /// Whether Landlock lets the payload use a grant at `target`: its rule must hang on a directory
    /// above, for a rule on the place itself is hidden by what is mounted there.
    fn within_ceiling(&self, target: &Path, access: Access) -> bool {
        self.ceiling.iter().any(|(above, most)| {
            let enough = *most == Access::Write || access == Access::Read;
            enough && target.starts_with(above) && target != above
        })
    }

    fn ask_helper(&self, topic: Topic, bytes: &[u8]) -> Result<(), WorldError> {
        self.ask_helper_with(topic, bytes, &[]).map(drop)
    }

    fn ask_helper_with(
        &self,
        topic: Topic,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Message, WorldError> {
        let (_, grants) = self.lines.as_ref().ok_or(WorldError::Gone)?;
        // A poisoned line still works: every exchange on it is whole.
        let grants = grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.send_with(topic, bytes, fds).map_err(|_| WorldError::Gone)?;
        let answer = grants.receive().map_err(|_| WorldError::Gone)?.ok_or(WorldError::Gone)?;
        if answer.topic == Topic::Done {
            return Ok(answer);
        }
        Err(Failure::decode(&answer.bytes).map_or(WorldError::Gone, Failure::explain))
    }
}

impl Isolation for Namespaces {
    fn hand_over_later(&mut self) -> Result<(), WorldError> {
        self.hands_over = true;
        Ok(())
    }

    fn begin(&mut self, spec: &WorldSpec) -> Result<(), WorldError> {
        let memory = wire::send(spec).map_err(step("write down the world"))?;
        let (inward, world_inward) = match spec.inward {
            Switch::On => {
                let (ours, theirs) = Channel::pair().map_err(step("reach into the world"))?;
                (Some(ours), Some(theirs))
            }
            Switch::Off => (None, None),
        };
        let handed = self.hands_over.then(Handed::of_caller).transpose();
        let handed = handed.map_err(step("hand over the standard streams"))?;
        if let Some((_, grants)) = &self.lines {
            // A mount helper that has failed and is gone has said why.
            let fds: Vec<_> = std::iter::once(memory.as_fd())
                .chain(handed.iter().flat_map(Handed::fds))
                .chain(world_inward.as_ref().map(|line| line.as_fd()))
                .collect();
            let grants = grants.lock().unwrap_or_else(PoisonError::into_inner);
            let said = handed.as_ref().map(Handed::bytes).unwrap_or_default();
            let _ = grants.send_with(Topic::Spec, &said, &fds);
        }
        self.inward = inward.map(Mutex::new);
        self.ceiling = ceiling_of(spec);
        Ok(())
    }

    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError> {
        let (control, _) = self.lines.as_ref().ok_or(WorldError::Gone)?;
        let ready = await_topic(control, Topic::WorldReady)?;
        let init_pid = ready.pid;
        let out = HandedOut::from(ready).ok_or(WorldError::Gone)?;
        let payload = await_topic(control, Topic::PayloadReady)?;
        let init = Pid::from_raw(init_pid).ok_or(WorldError::Gone)?;
        let init = rustix::process::pidfd_open(init, PidfdFlags::empty())
            .map_err(|error| step("hold on to the world")(error.into()))?;
        self.init = Some(init);
        self.mounts = out.mounts;
        let listens = spec.notify != NotifyClasses::NONE;
        let mut fds = payload.fds.into_iter();
        let notify = if listens { fds.next() } else { None };
        let user = Some((spec.identity.uid, spec.identity.gid));
        Ok(Started {
            notify: notify.map(Line::from),
            confinement: Confinement {
                user,
                ceiling: fds.next(),
                writable: writable(spec),
                seccomp: spec.seccomp,
                places: None,
            },
            pty: out.terminal,
            root: out.root,
            layers: layers::of(spec, &out.network.way),
            network: out.network,
            init_pid,
            payload_pid: payload.pid,
        })
    }

    fn control(&self) -> Option<&Channel> {
        self.lines.as_ref().map(|(control, _)| control)
    }

    fn mount(&self, source: &Path, target: &Path, access: Access) -> Result<(), WorldError> {
        if !self.within_ceiling(target, access) {
            return Err(WorldError::BeyondCeiling { target: target.to_path_buf() });
        }
        let mut bytes = vec![access.to_byte()];
        bytes.extend(source.as_os_str().as_bytes());
        bytes.push(0);
        bytes.extend(target.as_os_str().as_bytes());
        self.ask_helper(Topic::Mount, &bytes)
    }

    fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        match self.ask_helper(Topic::Unmount, target.as_os_str().as_bytes()) {
            Err(WorldError::Bind { source, .. }) if source.raw_os_error() == Some(libc::ENOENT) => {
                Err(WorldError::NotGranted { target: target.to_path_buf() })
            }
            result => result,
        }
    }

    fn view(&self, source: &Path, access: Access) -> Result<OwnedFd, WorldError> {
        let mut bytes = vec![access.to_byte()];
        bytes.extend(source.as_os_str().as_bytes());
        let answer = self.ask_helper_with(Topic::View, &bytes, &[])?;
        answer.fds.into_iter().next().ok_or(WorldError::Gone)
    }

    fn socket(&self, family: IpFamily) -> io::Result<OwnedFd> {
        let inward = self.inward.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        // A poisoned line still works: every exchange on it is whole.
        let inward = inward.lock().unwrap_or_else(PoisonError::into_inner);
        network::ask_for_socket(&inward, family)
    }

    fn keep(
        &self,
        what: Keeping,
        dir: BorrowedFd<'_>,
        guarded: &[Vec<PathBuf>],
    ) -> Result<Account, WorldError> {
        let none = || WorldError::Spec("it has no overlays".to_owned());
        let mounts = self.mounts.as_ref().ok_or_else(none)?;
        let request = Request::new(what, guarded).map_err(step("ask for it"))?;
        let fds = keeping::descriptors(&request, &dir, mounts);
        self.ask_helper_with(Topic::Layers, &[], &fds)?;
        request.account().map_err(step("hear what was done"))
    }

    fn kill(&self) {
        if let Some(init) = &self.init {
            // Gone already is as good.
            let _ = rustix::process::pidfd_send_signal(init, Signal::KILL);
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.kill();
        let Some(init) = &self.init else {
            // Nothing stands yet: who builds leaves when the lines are closed.
            drop(self.lines.take());
            let _ = rustix::process::waitpid(Some(self.helper), WaitOptions::empty());
            return;
        };
        // Init has left when every process of the world has.
        loop {
            let mut fds = [PollFd::new(init, PollFlags::IN)];
            if rustix::event::poll(&mut fds, None) != Err(rustix::io::Errno::INTR) {
                break;
            }
        }
        // Then the mount helper leaves, with its mounts. Who removed a place from under one of them
        // would wait for all processors, once for each: to wait for the helper is less.
        let _ = rustix::process::waitpid(Some(self.helper), WaitOptions::empty());
    }
}
