//! `sandbox` on the command line.

use clap::{Args, Subcommand, ValueEnum};

/// The commands on what is governed by default.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Say which agents and shells of this account are covered, and what is not
    Status(SandboxStatusArgs),
    /// Start known agents under Ringfence from now on, in bash, zsh and fish
    Enable(SandboxEnableArgs),
    /// Take away exactly what `enable` has put in
    Disable(SandboxDisableArgs),
    /// Show what was refused over the last sessions
    Logs(SandboxLogsArgs),
    /// Start an agent as its stand-in does
    #[command(hide = true)]
    Start(SandboxStartArgs),
}

/// A shell that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// Arguments of `sandbox status`.
#[derive(Debug, Args)]
pub struct SandboxStatusArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sandbox enable`.
#[derive(Debug, Args)]
pub struct SandboxEnableArgs {
    /// This shell alone; may be repeated [default: those that are installed]
    #[arg(long, value_name = "SHELL")]
    pub shell: Vec<ShellName>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `sandbox disable`.
#[derive(Debug, Args)]
pub struct SandboxDisableArgs {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `sandbox logs`.
#[derive(Debug, Args)]
pub struct SandboxLogsArgs {
    /// How many sessions, from the last one back
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub last: usize,
    /// Print JSON, one session a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sandbox start`.
#[derive(Debug, Args)]
pub struct SandboxStartArgs {
    /// The agent and its arguments
    #[arg(last = true, required = true, value_name = "AGENT")]
    pub command: Vec<std::ffi::OsString>,
}
