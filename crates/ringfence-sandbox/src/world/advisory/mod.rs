//! Tiers that advise: a world on the host's own files, processes and network, whose programs ask before they
//! act, as far as they do.
//!
//! For where the kernel offers nothing better. The payload gives up what can be given up anywhere:
//! its user, capabilities, new privileges, limits. Beyond that nothing holds it. A library that is
//! loaded into its programs ([`super::Tier::Preload`]), or a tracer ([`super::Tier::Ptrace`]), tells the
//! broker of what they are about to do ([`crate::notify::told`]), and what is told is decided and
//! carried out as in the tier `landlock`.
//! `docs/adr/0020-tiers-that-advise.md` says why.

mod library;
mod payload;
mod supervisor;
mod tracer;

pub use library::library_places;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::channel::Channel;
use super::on_the_host::{self, Supervisor, places};
use super::start::{step, writable};
use super::tier::{Isolation, Started};
use super::{Hooks, IpFamily, Programs, Tier, WorldError, WorldSpec, layers};
use crate::notify::told::{self, Known, Teller, Told};
use crate::notify::{Confinement, Line, Reads};

/// What the dynamic loader reads, and what the library does.
const LIBRARY: &str = "LD_PRELOAD";
const LINE: &str = "RINGFENCE_LINE";
/// Longest path in a unix socket's address, with its NUL, in bytes (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// The supervisor of a world, the line to it, and where the world's programs ask.
#[derive(Debug)]
pub(super) struct Advisory {
    supervisor: Supervisor,
    tier: Tier,
    asked: Option<OwnedFd>,
    /// Who has asked, to be ended where the supervisor could not.
    known: Known,
}

impl Advisory {
    /// Starts the supervisor, which waits to be told which world it is to be.
    pub(super) fn prepare(tier: Tier) -> Result<Advisory, WorldError> {
        let supervisor = Supervisor::start(supervisor::hold)?;
        Ok(Advisory { supervisor, tier, asked: None, known: Known::default() })
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
        spec.hooks = Some(hooks);
        self.supervisor.tell(&spec)
    }

    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError> {
        let standing = self.supervisor.stand(spec, self.tier)?;
        let asked = self.asked.take().ok_or(WorldError::Gone)?;
        let above = self.supervisor.number();
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
            places: Some(places::of(spec, Reads::ByUs)),
        };
        Ok(Started {
            notify: Some(Line::told(told)),
            confinement,
            network: standing.network,
            pty: standing.pty,
            root: standing.root,
            layers: layers::advisory(spec, self.tier),
            init_pid: above,
            payload_pid: standing.payload.pid,
        })
    }

    fn control(&self) -> Option<&Channel> {
        Some(self.supervisor.control())
    }

    /// What listens in the world listens on the host.
    fn socket(&self, _family: IpFamily) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn kill(&self) {
        self.supervisor.end();
        self.known.end_all();
    }
}

impl Drop for Advisory {
    fn drop(&mut self) {
        self.kill();
        self.supervisor.wait();
        self.known.end_all();
    }
}

/// Refuses what such a tier cannot do.
fn check(spec: &WorldSpec, tier: Tier) -> Result<Hooks, WorldError> {
    on_the_host::check(spec, tier)?;
    let wrong = |what: &str| Err(WorldError::Spec(format!("the tier `{tier}` {what}")));
    if spec.programs == Programs::NotWhereWritten {
        return wrong("cannot keep programs from starting where files are written (`noexec`)");
    }
    let Some(hooks) = &spec.hooks else { return wrong("needs a place to be asked at") };
    if hooks.line.as_os_str().len() >= SOCKET_PATH_BYTES_MAX {
        return wrong("cannot be asked: the path of its socket is too long");
    }
    match (tier, &hooks.library) {
        (Tier::Preload, Some(library)) => {
            Ok(Hooks { library: Some(library::check(library)?), ..hooks.clone() })
        }
        (Tier::Preload, None) => wrong("needs its library, and none is named"),
        (_, Some(_)) => wrong("loads no library"),
        (_, None) => Ok(hooks.clone()),
    }
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
