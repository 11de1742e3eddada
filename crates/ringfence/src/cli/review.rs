//! The command line of `review`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_core::SessionId;

/// The commands on changes that wait for review.
#[derive(Debug, Subcommand)]
pub enum ReviewCommand {
    /// List the sessions whose changes wait, newest first
    List(ReviewListArgs),
    /// Show what a session changed: what to look at first, then all differences
    Show(ReviewShowArgs),
    /// Bring changes to the host's files
    Commit(ReviewCommitArgs),
    /// Throw away all that waits of a session
    Drop(ReviewDropArgs),
    /// Keep what a running session has changed so far, to come back to it
    Checkpoint(ReviewCheckpointArgs),
    /// Take what a running session has changed back to a checkpoint
    Rollback(ReviewRollbackArgs),
    /// List the checkpoints of a session
    Checkpoints(ReviewCheckpointsArgs),
}

/// Arguments of `review list`.
#[derive(Debug, Args)]
pub struct ReviewListArgs {
    /// Print JSON Lines
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `review checkpoint`.
#[derive(Debug, Args)]
pub struct ReviewCheckpointArgs {
    /// The session [default: the only one under review that runs]
    #[arg(value_name = "SESSION")]
    pub session: Option<String>,
    /// What the checkpoint is to be called [default: the next number]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Arguments of `review rollback`.
#[derive(Debug, Args)]
pub struct ReviewRollbackArgs {
    /// The session [default: the only one under review that runs]; then the checkpoint's name
    #[arg(value_names = ["[SESSION] NAME"], required = true, num_args = 1..=2)]
    pub words: Vec<String>,
}

/// Arguments of `review checkpoints`.
#[derive(Debug, Args)]
pub struct ReviewCheckpointsArgs {
    /// The session [default: the only one whose changes wait]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Print JSON Lines
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `review show`.
#[derive(Debug, Args)]
pub struct ReviewShowArgs {
    /// The session [default: the only one whose changes wait]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Print no differences, but how many lines came and went
    #[arg(long, conflicts_with = "json")]
    pub stat: bool,
    /// Name each file in node_modules, target, .git/objects and the like, too
    #[arg(long)]
    pub all: bool,
    /// Print JSON, which has everything
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
