//! The command line: the one source of help, man pages and completions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringfence_core::{EntryRef, IdError, ServerName, SessionId};

mod approve;
mod joined;
mod mcp;
mod review;
mod run;
mod sandbox;
mod secret;
mod show;
mod suggest;
mod warm;
mod world;

pub use approve::ApproveArgs;
use joined::joined;
pub use mcp::{
    CalledHere, McpAddArgs, McpCommand, McpImportArgs, McpInspectArgs, McpListArgs, McpLoginArgs,
    McpLogoutArgs, McpRemoveArgs, McpRunArgs, McpServeArgs, McpTestArgs,
};
pub use review::{
    ReviewCheckpointArgs, ReviewCheckpointsArgs, ReviewCommand, ReviewCommitArgs, ReviewDropArgs,
    ReviewListArgs, ReviewRollbackArgs, ReviewShowArgs,
};
pub use run::{RunArgs, Traced};
pub use sandbox::{
    SandboxCommand, SandboxDisableArgs, SandboxEnableArgs, SandboxLogsArgs, SandboxStartArgs,
    SandboxStatusArgs, ShellName,
};
pub use secret::{
    SecretAddArgs, SecretCommand, SecretListArgs, SecretRemoveArgs, SecretRotateArgs,
    SecretTestArgs,
};
pub use show::{ExportArgs, ExportCommand, LogShowArgs, ShowArgs};
pub use suggest::SuggestArgs;
pub use warm::{WarmArgs, WarmCommand, WarmStatusArgs, WarmStopArgs};
pub use world::{WorldAttackArgs, WorldCommand, WorldVerifyArgs};

/// Governs what an AI agent may do: one policy, enforced below the agent, recorded.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 yes or done, 1 the answer is no, 2 could not answer, \
    3 waiting for approval. `run` ends with the command's own.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to use colour; it never carries meaning alone.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start an agent under the policy
    Run(RunArgs),
    /// Keep worlds ready for this project, so that `run --warm` starts sooner
    Warm(WarmArgs),
    /// Wait for a session, as `warm` has its processes do
    #[command(hide = true)]
    Parked,
    /// Write a policy that fits this project, and trust it
    Init(InitArgs),
    /// Check, test, plan, show, edit or reload the policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Decide one request: JSON on stdin, verdict as JSON on stdout
    Decide(DecideArgs),
    /// Say why an act was decided as it was, and what would have to change
    Explain(ExplainArgs),
    /// Turn a session's denials into the smallest change of the policy, as a diff; changes nothing
    #[command(after_help = suggest::AFTER)]
    Suggest(SuggestArgs),
    /// Let a project's policy count, as it is now
    Trust(TrustArgs),
    /// Take back the trust in a project's policy
    Untrust(UntrustArgs),
    /// Answer the questions that wait for a person, from another terminal than the session's
    Approve(ApproveArgs),
    /// Permit something for a session, for a time or always
    Grant(GrantArgs),
    /// List or revoke grants
    #[command(subcommand)]
    Grants(GrantsCommand),
    /// List the sessions of this user
    Sessions(SessionsArgs),
    /// Show what happened in a session
    Show(ShowArgs),
    /// Look at what a session changed under review, commit it or throw it away
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Read or verify the log
    #[command(subcommand)]
    Log(LogCommand),
    /// Write what a session recorded in a format of other programs
    #[command(subcommand)]
    Export(ExportCommand),
    /// Say what would become of a connection
    #[command(subcommand)]
    Net(NetCommand),
    /// Keep secrets that agents use and never hold
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Serve agents the tools of MCP servers, each call decided, each server in a world of its own
    #[command(subcommand)]
    Mcp(McpCommand),
    /// Say what this machine can enforce, and what is missing
    Doctor(DoctorArgs),
    /// Find out whether worlds hold on this machine
    #[command(subcommand)]
    World(WorldCommand),
    /// Start every known agent on this account under Ringfence
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// Watch a small scripted agent do allowed and forbidden things
    Demo(DemoArgs),
}

/// Which agent `init` writes a policy for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AgentKind {
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Any other.
    Generic,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The agent to write a policy for [default: the one that is installed]
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<AgentKind>,
    /// Overwrite a policy that exists
    #[arg(long)]
    pub force: bool,
}

/// The commands on the policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check that the policy is well-formed
    Check(PolicyCheckArgs),
    /// Run a table of requests and compare the decisions
    #[command(after_help = joined(CASES))]
    Test(PolicyTestArgs),
    /// Show what the policy means for files, and what is decided act by act
    Plan(PolicyPlanArgs),
    /// Show the sets in force, with their digests and rules
    Show(PolicyShowArgs),
    /// Print the Cedar schema that policies are checked against, with the arguments of all tools that are pinned
    Schema(PolicySchemaArgs),
    /// Edit the project's policy, check it, and trust what was saved
    Edit(PolicyEditArgs),
    /// Let running sessions load the policy anew
    Reload(PolicyReloadArgs),
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
pub struct PolicyCheckArgs {
    /// Files to check together, in place of the policy in force here
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a table of requests looks like.
const CASES: &str = r#"The table is TOML, one `[[case]]` per request:

  [[case]]
  name = "a push is asked about"
  action = "exec"            # or fs.read, fs.write, fs.delete, net.connect,
                             # net.request
  resource = "/usr/bin/git"  # a path, HOST:PORT or a socket's path
  argv = ["git", "push"]     # with exec; cwd = "/srv/app" too
  expect = "ask"             # or permit, deny
  because = "no-push"        # the @id of the rule that decides, if you like

With net.request also:

  method = "GET"
  path = "/a?b=c"
  headers = ["accept"]
  size = 10
  scheme = "https"
  package = { ecosystem = "npm", name = "a", version = "1.0.0" }

Besides: agent, approvals = ["owner"], people = 1, time = "2026-11-23T10:00", weekday = 1,
zone = "Europe/Vienna", session. Every rule with an @id should be hit by a case."#;

/// Arguments of `policy test`.
#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    /// The table of requests, as TOML
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Policy file to test in place of the policy in force here; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `policy plan`.
#[derive(Debug, Args)]
pub struct PolicyPlanArgs {
    /// The agent to plan for
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub agent: String,
    /// Policy file that stands in for the user's and the project's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub struct PolicyShowArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `policy schema`.
#[derive(Debug, Args)]
pub struct PolicySchemaArgs {
    /// Only the part about the tools of this server
    #[arg(value_name = "SERVER")]
    pub server: Option<ServerName>,
}

/// Arguments of `policy edit`.
#[derive(Debug, Args)]
pub struct PolicyEditArgs {
    /// Edit the user's policy, which holds in every project
    #[arg(long)]
    pub user: bool,
}

/// Arguments of `policy reload`.
#[derive(Debug, Args)]
pub struct PolicyReloadArgs {
    /// The session [default: all running ones of this user]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
}

/// Arguments of `decide`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Policy file that stands in for the user's and the project's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON (it always does)
    #[arg(long, hide = true)]
    pub json: bool,
}

/// The commands on connections.
#[derive(Debug, Subcommand)]
pub enum NetCommand {
    /// Say whether a connection would be made and a request sent, and why; none is
    Test(NetTestArgs),
}

/// Arguments of `net test`.
#[derive(Debug, Args)]
pub struct NetTestArgs {
    /// Where to: a URL, or HOST:PORT
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// The method of a request to that URL; it has no body and no headers [default: GET]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// How old the release is that a URL of a registry's names, like 12h or 30d [default: new, as what
    /// nobody knows the age of]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub age: Option<Duration>,
    /// The agent's identity in the policy
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub agent: String,
    /// Policy file that stands in for the user's and the project's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An entry as a person names it: `SESSION/INDEX`, or the index alone for the last session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryName {
    /// In the session that started last.
    Last(u64),
    /// In the named session.
    Named(EntryRef),
}

impl std::str::FromStr for EntryName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<EntryName, IdError> {
        match text.parse() {
            Ok(index) => Ok(EntryName::Last(index)),
            Err(_) => text.parse().map(EntryName::Named),
        }
    }
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The entry; a bare number means the session that started last
    #[arg(value_name = "[SESSION/]INDEX")]
    pub entry: EntryName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The project [default: the one around the current directory]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `untrust`.
#[derive(Debug, Args)]
pub struct UntrustArgs {
    /// The project [default: the one around the current directory]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `grant`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("scope").multiple(false))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct GrantArgs {
    /// fs.read:PATH, fs.write:PATH, net:HOST:PORT, net.request:METHOD HOST:PORT/PATH, secret:NAME,
    /// exec:PROGRAM[ SUBCOMMAND] or tool:SERVER/TOOL (`tool:files/read_text_file`)
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// For one running session [default: the only one]
    #[arg(long, value_name = "ID", num_args = 0..=1, group = "scope")]
    pub session: Option<Option<SessionId>>,
    /// For all sessions of this project
    #[arg(long, group = "scope")]
    pub always: bool,
    /// For all sessions of this user, in every project
    #[arg(long, requires = "always")]
    pub everywhere: bool,
    /// For a time, like 30m, 2h or 1d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time, group = "scope")]
    pub duration: Option<Duration>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The commands on grants.
#[derive(Debug, Subcommand)]
pub enum GrantsCommand {
    /// List the grants in force
    List(GrantsListArgs),
    /// Revoke a grant, in running sessions too
    Revoke(GrantsRevokeArgs),
}

/// Arguments of `grants list`.
#[derive(Debug, Args)]
pub struct GrantsListArgs {
    /// Print JSON, one grant a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `grants revoke`.
#[derive(Debug, Args)]
pub struct GrantsRevokeArgs {
    /// The grant, as `grants list` names it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sessions`.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The commands on the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print a session's entries
    Show(LogShowArgs),
    /// Verify that nothing in the log was changed
    Verify(LogVerifyArgs),
}

/// Arguments of `log verify`.
#[derive(Debug, Args)]
pub struct LogVerifyArgs {
    /// The session [default: all of this user, the host log first]
    #[arg(value_name = "SESSION")]
    pub session: Option<SessionId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON, which has everything
    #[arg(long)]
    pub json: bool,
    /// Print in full also what is in order, and what each tier does not hold
    #[arg(long, conflicts_with_all = ["json", "fix"])]
    pub all: bool,
    /// Print what to run or install; changes nothing
    #[arg(long)]
    pub fix: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the demo's directory and print where it is
    #[arg(long)]
    pub keep: bool,
}

/// Parses `90s`, `30m`, `2h` or `1d`; at least a second, at most a year.
fn parse_time(text: &str) -> Result<Duration, String> {
    const YEAR_SECONDS: u64 = 366 * 24 * 60 * 60;
    let wrong = || "expected a time like 90s, 30m, 2h or 1d, at most a year".to_owned();
    let (unit_at, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text.get(..unit_at).unwrap_or("").parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(factor).ok_or_else(wrong)?;
    if (1..=YEAR_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
