//! `warm` on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::parse_time;

/// Arguments of `warm`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WarmArgs {
    /// What to do with those that are kept, in place of keeping some
    #[command(subcommand)]
    pub command: Option<WarmCommand>,
    /// How many worlds wait at a time, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub worlds: u8,
    /// End after this time, like 8h [default: when it is stopped]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub duration: Option<Duration>,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
}

/// The commands on worlds that are kept ready.
#[derive(Debug, Subcommand)]
pub enum WarmCommand {
    /// Say for which projects worlds are kept ready; exit 1 where for none
    Status(WarmStatusArgs),
    /// Keep none ready any more; sessions that run in one go on
    Stop(WarmStopArgs),
}

/// Arguments of `warm status`.
#[derive(Debug, Args)]
pub struct WarmStatusArgs {
    /// Print JSON, one project a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `warm stop`.
#[derive(Debug, Args)]
pub struct WarmStopArgs {
    /// For every project of this user, not only for this one
    #[arg(long)]
    pub all: bool,
    /// Print JSON, one project a line
    #[arg(long)]
    pub json: bool,
}
