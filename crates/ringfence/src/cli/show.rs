//! Arguments of what shows a session: `show`, `log show`, `export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_core::SessionId;

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("form").multiple(false))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ShowArgs {
    /// The session [default: the one that started last]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// The processes alone, as a tree: what each used and changed, and what it was denied
    #[arg(long, group = "form")]
    pub tree: bool,
    /// One line per process along the time, with what was denied between them
    #[arg(long, group = "form")]
    pub timeline: bool,
    /// Print JSON; with --follow one object per entry, as `log show --json` does
    #[arg(long, group = "form")]
    pub json: bool,
    /// Go on while the session runs: one line per entry; a tree or timeline is drawn anew
    #[arg(long)]
    pub follow: bool,
}

/// Arguments of `log show`.
#[derive(Debug, Args)]
pub struct LogShowArgs {
    /// The session [default: the one that started last]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Go on while the session runs
    #[arg(long)]
    pub follow: bool,
}

/// The formats of other programs.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Write a session's requests and connections as an HTTP archive (HAR 1.2)
    Har(ExportArgs),
    /// Write a session's processes and connections as an OpenTelemetry trace (OTLP in JSON)
    Otlp(ExportArgs),
}

/// Arguments of `export har` and `export otlp`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The session [default: the one that started last]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Write to this file, for you alone to read, in place of stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
