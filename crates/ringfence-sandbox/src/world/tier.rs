//! Ways to isolate a world, behind one trait.

use std::fmt::{self, Debug};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ringfence_core::LayerStatus;

use super::channel::Channel;
use super::{Access, Account, IpFamily, Keeping, Network, WorldError, WorldSpec};
use crate::notify::{Confinement, Line};

/// How a world is isolated. Never chosen in silence: one that holds less is named by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// In namespaces of its own, with an empty root.
    #[default]
    Namespaces,
    /// In namespaces of its own within a container, over the files of an image.
    Oci,
    /// On the host's own files, processes and network, by Landlock, a stricter filter, and
    /// decisions that are carried out outside.
    Landlock,
    /// On the host's own files, processes and network, and nothing but advice: a library in the
    /// programs asks before they act.
    Preload,
    /// The same, with a tracer that stops its system calls and asks.
    Ptrace,
}

impl Tier {
    /// Every tier, the strongest first.
    pub const ALL: [Tier; 5] =
        [Tier::Namespaces, Tier::Oci, Tier::Landlock, Tier::Ptrace, Tier::Preload];

    /// What it is called on the command line, in settings and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Namespaces => "namespaces",
            Tier::Oci => "oci",
            Tier::Landlock => "landlock",
            Tier::Preload => "preload",
            Tier::Ptrace => "ptrace",
        }
    }

    /// Whether its worlds are made of mounts; else they stand on the host's own files.
    pub fn has_mounts(self) -> bool {
        match self {
            Tier::Namespaces | Tier::Oci => true,
            Tier::Landlock | Tier::Preload | Tier::Ptrace => false,
        }
    }

    /// Whether it advises only: programs can pass it by.
    pub fn is_advisory(self) -> bool {
        match self {
            Tier::Namespaces | Tier::Oci | Tier::Landlock => false,
            Tier::Preload | Tier::Ptrace => true,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tier that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no tier `{0}`: there are `namespaces`, `oci`, `landlock`, `ptrace` and `preload`")]
pub struct NoSuchTier(String);

impl FromStr for Tier {
    type Err = NoSuchTier;

    fn from_str(text: &str) -> Result<Tier, NoSuchTier> {
        let found = Tier::ALL.into_iter().find(|tier| tier.name() == text);
        found.ok_or_else(|| NoSuchTier(text.to_owned()))
    }
}

/// One world's isolation, from the processes that wait to be told what it is to be, to its end;
/// dropping it ends every process in it.
pub(super) trait Isolation: Debug + Send + Sync {
    /// From here on the payload gets the standard streams and the umask that the caller has when it
    /// says which world it is to be, not those of the moment in which this was prepared.
    fn hand_over_later(&mut self) -> Result<(), WorldError> {
        Err(WorldError::Spec("it takes its streams when it is prepared".to_owned()))
    }

    /// Says which world it is to be, and does not wait for it.
    fn begin(&mut self, spec: &WorldSpec) -> Result<(), WorldError>;

    /// Waits until the payload has given up everything but its exec.
    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError>;

    /// The line to whoever reaps the payload: it takes signals, and tells of stops and of the end.
    fn control(&self) -> Option<&Channel>;

    /// Shows something of the host's in the running world; where nothing is mounted at all, that is refused.
    fn mount(&self, _source: &Path, target: &Path, _access: Access) -> Result<(), WorldError> {
        Err(WorldError::BeyondCeiling { target: target.to_path_buf() })
    }

    /// Takes it away again.
    fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        Err(WorldError::NotGranted { target: target.to_path_buf() })
    }

    /// A tree of the host that is mounted nowhere, as the world would see it; where nothing is mounted
    /// at all, that is refused.
    fn view(&self, source: &Path, _access: Access) -> Result<OwnedFd, WorldError> {
        Err(WorldError::Spec(format!("`{}` cannot be mounted here", source.display())))
    }

    /// A TCP socket that reaches what listens in the world.
    fn socket(&self, family: IpFamily) -> io::Result<OwnedFd>;

    /// Copies what the world's overlays hold, or puts it back; where there are none, that is refused.
    fn keep(
        &self,
        _what: Keeping,
        _dir: BorrowedFd<'_>,
        _guarded: &[Vec<PathBuf>],
    ) -> Result<Account, WorldError> {
        Err(WorldError::Spec("it has no overlays".to_owned()))
    }

    /// Ends every process in the world now; does not wait for it.
    fn kill(&self);
}

/// What a started world hands out to its broker.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) notify: Option<Line>,
    pub(super) confinement: Confinement,
    pub(super) network: Network,
    pub(super) pty: Option<OwnedFd>,
    pub(super) root: OwnedFd,
    pub(super) layers: Vec<LayerStatus>,
    pub(super) init_pid: i32,
    pub(super) payload_pid: i32,
}
