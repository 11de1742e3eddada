//! `world` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_runtime::broker::{Profile, Tier};

/// The commands on worlds.
#[derive(Debug, Subcommand)]
pub enum WorldCommand {
    /// Try every attack on a world, after it has worked outside, and say what held
    Verify(WorldVerifyArgs),
    /// Try an attack where this process is
    #[command(hide = true)]
    Attack(WorldAttackArgs),
}

/// Arguments of `world verify`.
#[derive(Debug, Args)]
pub struct WorldVerifyArgs {
    /// Policy file that stands in for the user's and the project's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// How the world is isolated, as for `run`
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
    /// Of which image the container of the tier `oci` is, as for `run`
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Which system calls the world may make, as for `run`
    #[arg(long, value_name = "PROFILE")]
    pub seccomp: Option<Profile>,
    /// Print JSON, one attack a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `world attack`.
#[derive(Debug, Args)]
pub struct WorldAttackArgs {
    /// This attack alone
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// What is attacked, as `world verify` says it
    #[arg(value_name = "TARGET")]
    pub target: Vec<std::ffi::OsString>,
}
