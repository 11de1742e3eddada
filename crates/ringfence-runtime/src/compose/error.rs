//! Why no world can be made of a policy, and what would help.

use std::io;
use std::path::PathBuf;

use crate::whole_file::FileError;

/// Why no world can be made of the policy.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A file of ours cannot be made or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The agent could not even see where it is.
    #[error("the policy does not let the agent read the working directory `{}`", .0.display())]
    CwdHidden(PathBuf),
    /// A path that the kernel or a policy could not name.
    #[error("the working directory `{}` cannot be used: {reason}", path.display())]
    Cwd {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The settings name a user that does not exist.
    #[error("no user `{0}` on this host, as `[run] user` has it")]
    NoUser(String),
    /// The settings name root.
    #[error("a world never runs as root, as `[run] user` has it")]
    RootUser,
    /// Nothing that the policy lets the agent write is its user's to write.
    #[error(
        "user `{user}` may write nothing that the policy lets it write, such as `{}`: in a tier \
         without mounts files keep their owners",
        path.display()
    )]
    NotItsOwn {
        /// The first such place.
        path: PathBuf,
        /// The user that the agent would run as.
        user: String,
    },
    /// What stands in for a secret cannot be put where it is looked for.
    #[error("cannot put what stands in for a secret at `{}`: {reason}", path.display())]
    StandIn {
        /// The place.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nobody can be asked about it in such a world.
    #[error("`{}` cannot be asked about: {reason}", path.display())]
    Asked {
        /// The place.
        path: PathBuf,
        /// Why.
        reason: &'static str,
        /// What would help.
        hint: &'static str,
    },
    /// The library that asks is not installed.
    #[error(
        "the tier `preload` needs its library `libringfence_preload.so` beside `ringfence`, and it is \
         not there"
    )]
    NoLibrary,
    /// Changes of a tree cannot be kept aside.
    #[error("`{}` cannot be put under review: {reason}", path.display())]
    Review {
        /// The tree.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A private copy could not be made.
    #[error("cannot make a private copy of `{}`: {source}", path.display())]
    Copy {
        /// What was to be copied.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ComposeError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ComposeError::CwdHidden(path) => Some(format!(
                "to let it read the directory in this project, run `ringfence grant fs.read:{} --always`",
                path.display()
            )),
            ComposeError::NoUser(_) | ComposeError::RootUser => {
                Some("name an ordinary user under `[run] user`, or leave it out".to_owned())
            }
            ComposeError::NotItsOwn { .. } => {
                Some("run it as the owner of the files, or name them under `[run] user`".to_owned())
            }
            ComposeError::Asked { hint, .. } => Some((*hint).to_owned()),
            ComposeError::StandIn { .. } => {
                Some("to see where secrets are looked for, run `ringfence secret list`".to_owned())
            }
            ComposeError::Review { reason, .. } if reason.starts_with("the tier `") => {
                Some("run it without `--tier`, or without `--review`".to_owned())
            }
            ComposeError::Review { .. } => Some(
                "set XDG_STATE_HOME to a directory on a disk and outside of what the agent may \
                 write, or run without `--review`"
                    .to_owned(),
            ),
            ComposeError::NoLibrary => Some(
                "to build it beside `ringfence`, run `cargo build --workspace` in its sources"
                    .to_owned(),
            ),
            ComposeError::File(_) | ComposeError::Cwd { .. } | ComposeError::Copy { .. } => None,
        }
    }
}
