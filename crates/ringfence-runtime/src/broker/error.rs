//! Why a session could not be run.

use std::io;

use ringfence_log::LogError;
use ringfence_sandbox::notify::NotifyError;
use ringfence_sandbox::seccomp::Profile;
use ringfence_sandbox::world::{Tier, WorldError};
use ringfence_secrets::store::StoreError;

use crate::assemble::AssembleError;
use crate::bounds::Beyond;
use crate::clock::ClockError;
use crate::compose::ComposeError;
use crate::module::ModuleError;
use crate::registration::RegistrationError;
use crate::settings::{ImageFixed, SeccompFixed, TierFixed};
use crate::state::StateError;

/// Why a session could not be run; nothing of it runs any more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directories are unusable.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no policy that could be in force.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The settings name a time zone that does not exist.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The policy cannot be made into a world.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// A limit of the settings holds nothing here.
    #[error(transparent)]
    Limit(#[from] Beyond),
    /// The system's settings have another tier.
    #[error(transparent)]
    Tier(#[from] TierFixed),
    /// The tier needs an image, and none is named.
    #[error("the tier `oci` needs an image, and none is named")]
    NoImage,
    /// An image is named for a world that has none.
    #[error("an image is for the tier `oci`, and this world is of the tier `{0}`")]
    ImageUnused(Tier),
    /// The system's settings have another image.
    #[error(transparent)]
    ImageFixed(#[from] ImageFixed),
    /// The settings have another seccomp profile.
    #[error(transparent)]
    Seccomp(#[from] SeccompFixed),
    /// A seccomp profile is named for a world that has no filter.
    #[error("the tier `{tier}` has no filter: the seccomp profile `{profile}` would hold nothing")]
    SeccompUnused {
        /// The tier.
        tier: Tier,
        /// The profile.
        profile: Profile,
    },
    /// The WASM module cannot be run.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The world could not be started.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A layer of the world does not hold, and the settings do not accept that.
    #[error("the layer `{layer}` is not fully enforced: {detail}")]
    Gap {
        /// The layer.
        layer: String,
        /// What is missing.
        detail: String,
    },
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The session could not be registered.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The world's acts cannot be heard of.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The log stopped being writable while the session ran, and the session was ended.
    #[error("the session was ended because its log could not be written: {reason}")]
    LogFailed {
        /// What the log said.
        reason: String,
    },
    /// What the secrets are bound to cannot be read.
    #[error(transparent)]
    Secrets(#[from] StoreError),
    /// A port that was to be published cannot be taken on the host.
    #[error("cannot listen on port {port} of this host: {source}")]
    Publish {
        /// The port.
        port: u16,
        /// The world's, which was to be reached by it.
        world: u16,
        /// What the system said.
        source: io::Error,
    },
    /// A server of tools is named that nobody has added.
    #[error("no server `{name}`: neither you nor the project has one that is trusted")]
    NoServer {
        /// The name.
        name: ringfence_core::ServerName,
    },
    /// The servers that are named have files that cannot be used.
    #[error("{why}")]
    ServerLeftOut {
        /// Which file, and why.
        why: String,
    },
    /// A step of the start failed.
    #[error("cannot {step}: {source}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// What the person can do, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            RunError::State(error) => Some(error.hint()),
            RunError::Assemble(error) => error.hint(),
            RunError::Compose(error) => error.hint(),
            RunError::Limit(_) => Some(
                "to say less, or nothing, change `[limits]` in your settings or the project's"
                    .to_owned(),
            ),
            RunError::World(error) => error.hint().map(str::to_owned),
            RunError::NoServer { name } => Some(format!(
                "to add it, run `ringfence mcp add {name} -- COMMAND`; which there are says `ringfence mcp list`"
            )),
            RunError::Seccomp(_) => Some("leave `--seccomp` out".to_owned()),
            RunError::SeccompUnused { .. } => Some(
                "leave the profile out, or choose a tier that filters, such as `--tier ptrace`"
                    .to_owned(),
            ),
            RunError::Module(error) => error.hint(),
            RunError::NoImage => Some(
                "name one that podman has: `--image IMAGE`, or `[world] image` in your settings"
                    .to_owned(),
            ),
            RunError::ImageUnused(_) => {
                Some("to run it in a container of that image, say `--tier oci`".to_owned())
            }
            RunError::ImageFixed(_) => Some("leave `--image` out".to_owned()),
            RunError::Tier(_) => Some("leave `--tier` out".to_owned()),
            RunError::Gap { .. } => {
                Some("to see what this machine can enforce, run `ringfence doctor`".to_owned())
            }
            RunError::Log(_) | RunError::LogFailed { .. } => {
                Some("to see what was recorded, run `ringfence show`".to_owned())
            }
            RunError::Publish { world, .. } => Some(format!(
                "to reach it by another port of this host, say `--publish OTHER:{world}`"
            )),
            RunError::Secrets(_) => {
                Some("to see which secret it is, run `ringfence secret list`".to_owned())
            }
            RunError::Clock(_)
            | RunError::Registration(_)
            | RunError::Notify(_)
            | RunError::ServerLeftOut { .. }
            | RunError::Step { .. } => None,
        }
    }

    pub(crate) fn step(step: &'static str) -> impl FnOnce(io::Error) -> RunError {
        move |source| RunError::Step { step, source }
    }
}
