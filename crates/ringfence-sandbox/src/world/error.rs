//! Why a world could not be started or changed.

use std::io;
use std::path::PathBuf;

/// Why a world could not be started or changed; every variant says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The kernel does not offer, or does not allow, what the world is made of.
    #[error("this kernel refuses {what}: {why}")]
    KernelRefuses {
        /// The thing that was needed.
        what: String,
        /// What was found.
        why: String,
        /// A command or setting that changes it.
        fix: String,
    },
    /// The world forks, which is only sound in a process with one thread.
    #[error("a world must be started before any thread, found {threads} threads")]
    NotSingleThreaded {
        /// How many there are.
        threads: usize,
    },
    /// The specification contradicts itself.
    #[error("the world cannot be built: {0}")]
    Spec(String),
    /// A standard stream would lead around the world's walls.
    #[error("{name} is {what}")]
    Stream {
        /// Which stream.
        name: &'static str,
        /// What it is, and why that is no stream for a world.
        what: &'static str,
    },
    /// A file or directory could not be brought into the world.
    #[error("cannot bind `{}` into the world: {step}: {source}", path.display())]
    Bind {
        /// Where in the world.
        path: PathBuf,
        /// What was being done.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A directory cannot have an overlay.
    #[error("cannot lay an overlay over `{}`: {step}: {source}", path.display())]
    Overlay {
        /// The directory on the host.
        path: PathBuf,
        /// What was being done.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// There is no such engine on this machine.
    #[error("the tier `oci` needs `{engine}`, which is neither in /usr/bin nor in /usr/local/bin")]
    NoEngine {
        /// Its name.
        engine: String,
    },
    /// The engine does not have the image.
    #[error("{engine} has no image `{image}`")]
    NoImage {
        /// Whose storage was looked at.
        engine: String,
        /// What was asked for.
        image: String,
    },
    /// The engine could not do what it was asked for.
    #[error("{engine} cannot make the container of this world: {said}")]
    Engine {
        /// Its name.
        engine: String,
        /// What it said.
        said: String,
    },
    /// The path is not something that was granted to this world.
    #[error("`{}` is not a grant of this world", target.display())]
    NotGranted {
        /// Where in the world.
        target: PathBuf,
    },
    /// A grant outside the places that the Landlock ceiling holds.
    #[error("`{}` lies outside what this session could ever be granted", target.display())]
    BeyondCeiling {
        /// Where in the world.
        target: PathBuf,
    },
    /// A step of the start failed.
    #[error("cannot start the world: {step}: {source}")]
    Step {
        /// What was being done.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The world has ended.
    #[error("the world has ended")]
    Gone,
}

impl WorldError {
    /// What the reader can do about it, when there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            WorldError::KernelRefuses { fix, .. } => Some(fix),
            WorldError::Overlay { .. } => Some(
                "an overlay needs a state directory on a file system of the disk (ext4, xfs, btrfs); \
                 set XDG_STATE_HOME to one, or run without `--review`",
            ),
            WorldError::BeyondCeiling { .. } => Some("start a new session with this grant in it"),
            WorldError::Stream { .. } => Some("redirect it from or to a file or a pipe"),
            WorldError::NoEngine { .. } => Some(
                "install podman (on Debian and Ubuntu: `sudo apt-get install podman`), or name \
                 `docker` as `[world] engine` in your settings",
            ),
            WorldError::NoImage { .. } => Some(
                "no image is fetched for a run: get it with `podman pull` or `docker pull`, or make it \
                 with `podman import` or `podman build`",
            ),
            WorldError::Engine { .. } => Some("to see what is missing, run `ringfence doctor`"),
            WorldError::NotSingleThreaded { .. }
            | WorldError::Spec(_)
            | WorldError::Bind { .. }
            | WorldError::NotGranted { .. }
            | WorldError::Step { .. }
            | WorldError::Gone => None,
        }
    }
}
