//! The command line of `review`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_core::SessionId;

/// The commands on changes that wait for review.
#[derive(Debug, Subcommand)]
pub enum ReviewCommand {
    /// Show what a session changed: what to look at first, then all differences
    Show(ReviewShowArgs),
    /// Bring changes to the host's files
    Commit(ReviewCommitArgs),
    /// Throw away all that waits of a session
    Drop(ReviewDropArgs),
}

/// Arguments of `review show`.
#[derive(Debug, Args)]
pub struct ReviewShowArgs {
    /// The session [default: the only one whose changes wait]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `review commit`.
#[derive(Debug, Args)]
pub struct ReviewCommitArgs {
    /// The session [default: the only one whose changes wait]
    #[arg(value_name = "SESSION")]
    pub session: Option<String>,
    /// Files and directories to commit [default: all that the host would not run by itself]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Commit without being asked
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `review drop`.
#[derive(Debug, Args)]
pub struct ReviewDropArgs {
    /// The session [default: the only one whose changes wait]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Throw away without being asked
    #[arg(long)]
    pub yes: bool,
}
