//! The command line of `approve`.

use clap::Args;
use ringfence_core::EntryRef;

/// Arguments of `approve`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ApproveArgs {
    /// The question; without one, all that wait are shown, and asked where there is a terminal
    #[arg(value_name = "SESSION/INDEX")]
    pub question: Option<EntryRef>,
    /// Refuse it
    #[arg(long, requires = "question", conflicts_with_all = ["for_session", "yes"])]
    pub refuse: bool,
    /// Allow it, and grant what it offers for the rest of the session
    #[arg(long, requires = "question")]
    pub for_session: bool,
    /// Do not ask for confirmation
    #[arg(long, requires = "question")]
    pub yes: bool,
    /// Go on, and ask each question that comes
    #[arg(long, conflicts_with = "question")]
    pub watch: bool,
    /// Print the questions that wait as JSON, one per line
    #[arg(long, conflicts_with_all = ["question", "watch"])]
    pub json: bool,
}
