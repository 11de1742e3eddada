//! The command line of `suggest`.

use std::path::PathBuf;

use clap::Args;
use ringfence_core::SessionId;

/// What to do with what it prints.
pub(super) const AFTER: &str = "The diff goes to stdout, and to stderr what it does, what is left out and why. \
    To apply it: write it to a file, look at it, and run `git apply` or `patch -p1` with it where stderr says; \
    then `ringfence policy check .ringfence/policy.cedar` and `ringfence trust`.";

/// Arguments of `suggest`.
#[derive(Debug, Args)]
pub struct SuggestArgs {
    /// The session [default: the one that started last]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Policy file to change [default: those that the session ran with, else the project's]; may be
    /// repeated, the last one is changed
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
