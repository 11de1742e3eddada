//! Tiers that advise: a world on the host's own files, processes and network, whose programs ask before they
//! act, as far as they do.
//!
//! For where the kernel offers nothing better. The payload gives up what can be given up anywhere:
//! its user, capabilities, new privileges, limits. Beyond that nothing holds it. A library that is
//! loaded into its programs ([`super::Tier::Preload`]), or a tracer ([`super::Tier::Ptrace`]), tells the
//! broker of what they are about to do ([`crate::notify::told`]), and what is told is decided and
//! carried out as in the tier `landlock`.
//! `docs/adr/0020-tiers-that-advise.md` says why.

mod payload;
mod supervisor;
mod tracer;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::Shutdown;
use rustix::process::{Pid, WaitOptions};

use super::channel::{Channel, Topic};
use super::landlocked::{host_network, places};
use super::start::{await_topic, step, writable};
use super::tier::{Isolation, Started};
use super::{
    Access, Hooks, IpFamily, NotifyClasses, Programs, Switch, Tier, WorldError, WorldSpec, layers,
    wire,
};
use crate::notify::told::{self, Known, Teller, Told};
use crate::notify::{Confinement, Line, Reads};
use crate::seccomp::Profile;
use crate::sys::process::fork;

/// Why connections are led to the net gate.
const NO_NETWORK: &str = "a tier that advises has no network of its own";
/// What the dynamic loader reads, and what the library does.
const LIBRARY: &str = "LD_PRELOAD";
const LINE: &str = "RINGFENCE_LINE";
/// Longest path in a unix socket's address, with its NUL, in bytes (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// The supervisor of a world, the line to it, and where the world's programs ask.
#[derive(Debug)]
pub(super) struct Advisory {
    /// Shut down when the world is to end.
    control: Channel,
    tier: Tier,
    supervisor: Pid,
    asked: Option<OwnedFd>,
    /// Who has asked, to be ended where the supervisor could not.
    known: Known,
}

impl Advisory {
    /// Starts the supervisor, which waits to be told which world it is to be.
    pub(super) fn prepare(tier: Tier) -> Result<Advisory, WorldError> {
        let (control, theirs) = Channel::pair().map_err(step("reach the world"))?;
        control.pass_credentials().map_err(step("know who speaks"))?;
        let supervisor =
            fork(move || supervisor::run(&theirs)).map_err(step("start the supervisor"))?;
        Ok(Advisory { control, tier, supervisor, asked: None, known: Known::default() })
    }
}

impl Isolation for Advisory {
    fn begin(&mut self, spec: &WorldSpec) -> Result<(), WorldError> {
        let hooks = check(spec, self.tier)?;
        let asked = told::listen(&hooks.line).map_err(step("listen for what programs ask"))?;
        self.asked = Some(asked);
        let mut spec = spec.clone();
        if let Some(library) = &hooks.library {
            hook(&mut spec.env, library, &hooks.line);
        }
        let memory = wire::send(&spec).map_err(step("write down the world"))?;
        // A supervisor that has failed and is gone has said why.
        let _ = self.control.send_with(Topic::Spec, &[], &[memory.as_fd()]);
        Ok(())
    }

    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError> {
        let network =
            host_network(NO_NETWORK).map_err(step("listen for the world's connections"))?;
        // The host's root is none of the world's: what is looked at beneath it is nothing.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&spec.scratch, flags, Mode::empty())
            .map_err(|error| step("open the scratch directory")(error.into()))?;
        let ready = await_topic(&self.control, Topic::WorldReady)?;
        let payload = await_topic(&self.control, Topic::PayloadReady)?;
        let asked = self.asked.take().ok_or(WorldError::Gone)?;
        let above = self.supervisor.as_raw_nonzero().get();
        let teller = match spec.hooks.as_ref().and_then(|hooks| hooks.library.as_ref()) {
            Some(_) => Teller::Programs(spec.identity.uid),
            None => Teller::Tracer,
        };
        let told = Told::new(asked, above, teller).map_err(step("hear of the world"))?;
        self.known = told.known();
        let confinement = Confinement {
            user: Some((spec.identity.uid, spec.identity.gid)),
            ceiling: None,
            writable: writable(spec),
            seccomp: spec.seccomp,
            // Nothing but the broker bounds what is opened to read.
            places: Some(places(spec, Reads::ByUs)),
        };
        Ok(Started {
            notify: Some(Line::told(told)),
            confinement,
            network,
            pty: ready.fds.into_iter().next(),
            root,
            layers: layers::advisory(spec, self.tier),
            init_pid: above,
            payload_pid: payload.pid,
        })
    }

    fn control(&self) -> Option<&Channel> {
        Some(&self.control)
    }

    /// Nothing is mounted.
    fn mount(&self, _source: &Path, target: &Path, _access: Access) -> Result<(), WorldError> {
        Err(WorldError::BeyondCeiling { target: target.to_path_buf() })
    }

    fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        Err(WorldError::NotGranted { target: target.to_path_buf() })
    }

    /// What listens in the world listens on the host.
    fn socket(&self, _family: IpFamily) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn kill(&self) {
        // The supervisor hears that nobody speaks any more; gone already is as good.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Write);
        self.known.end_all();
    }
}

impl Drop for Advisory {
    fn drop(&mut self) {
        self.kill();
        // It leaves when every process of the world has.
        let _ = rustix::process::waitpid(Some(self.supervisor), WaitOptions::empty());
        self.known.end_all();
    }
}

/// Refuses what such a tier cannot do.
fn check(spec: &WorldSpec, tier: Tier) -> Result<Hooks, WorldError> {
    let wrong = |what: &str| Err(WorldError::Spec(format!("the tier `{tier}` {what}")));
    if (NotifyClasses { read: Switch::Off, ..spec.notify }) != NotifyClasses::ALL {
        return wrong("decides every class of acts: none may be left undecided");
    }
    if spec.programs == Programs::NotWhereWritten {
        return wrong("cannot keep programs from starting where files are written (`noexec`)");
    }
    if spec.inward == Switch::On {
        return wrong("has no ports of its own to publish");
    }
    if spec.binds.iter().any(|bind| bind.source != bind.target) {
        return wrong("shows files at their own places only");
    }
    if !spec.files.is_empty() || !spec.dirs.is_empty() {
        return wrong("has no files that exist in one world only");
    }
    if spec.seccomp == Profile::Browser {
        return wrong("has no network of its own that namespaces made inside could be kept from");
    }
    let Some(hooks) = &spec.hooks else { return wrong("needs a place to be asked at") };
    if hooks.line.as_os_str().len() >= SOCKET_PATH_BYTES_MAX {
        return wrong("cannot be asked: the path of its socket is too long");
    }
    match (tier, &hooks.library) {
        (Tier::Preload, Some(library)) => check_library(library)?,
        (Tier::Preload, None) => return wrong("needs its library, and none is named"),
        (_, Some(_)) => return wrong("loads no library"),
        (_, None) => {}
    }
    Ok(hooks.clone())
}

/// Whoever may change the library decides what every program of the world is told.
fn check_library(library: &Path) -> Result<(), WorldError> {
    let wrong = |what: &str| {
        let text = format!("the library of the tier `preload`, `{}`, {what}", library.display());
        Err(WorldError::Spec(text))
    };
    // The loader takes these for the end of a name, or for something to be filled in (ld.so(8)).
    if library.as_os_str().as_bytes().iter().any(|byte| b": $".contains(byte)) {
        return wrong("has a colon, a space or a dollar sign in its path");
    }
    let Ok(found) = fs::metadata(library) else { return wrong("is not there") };
    if !found.is_file() {
        return wrong("is no file");
    }
    let own = rustix::process::geteuid().as_raw();
    let dir = library.parent().and_then(|dir| fs::metadata(dir).ok());
    let is_others = |meta: &fs::Metadata| {
        ![0, own].contains(&meta.uid()) || meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0
    };
    if is_others(&found) || dir.as_ref().is_none_or(is_others) {
        return wrong(
            "can be changed by others: it and its directory must be yours or root's alone",
        );
    }
    Ok(())
}

/// Has the library loaded into the payload, before whatever else is.
fn hook(env: &mut Vec<(OsString, OsString)>, library: &Path, line: &Path) {
    let theirs = env.iter().rev().find(|(name, _)| name == LIBRARY).map(|(_, value)| value.clone());
    env.retain(|(name, _)| name != LIBRARY && name != LINE);
    let mut libraries = library.as_os_str().to_owned();
    if let Some(theirs) = theirs.filter(|theirs| !theirs.is_empty()) {
        libraries.push(OsStr::new(":"));
        libraries.push(theirs);
    }
    env.push((LIBRARY.into(), libraries));
    env.push((LINE.into(), line.as_os_str().to_owned()));
}

/// Where the library may lie for a program in this directory: beside it, or where packages put what is
/// loaded into others.
pub fn library_of(directory: &Path) -> Option<PathBuf> {
    const NAME: &str = "libringfence_preload.so";
    let beside = directory.join(NAME);
    let installed = directory.parent().map(|above| above.join("lib/ringfence").join(NAME));
    std::iter::once(beside).chain(installed).find(|path| path.is_file())
}
