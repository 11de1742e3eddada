//! The part of the command line that is about servers of tools.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_core::{SecretName, ServerName};
use ringfence_runtime::clients::Client;

use super::joined;

/// The commands on servers of tools.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve an agent the tools of servers: MCP on stdin and stdout, every call decided
    #[command(after_help = joined(RUNNING))]
    Run(McpRunArgs),
    /// Serve agents the tools of servers over HTTP: each client with servers of its own
    #[command(after_help = joined(SERVING))]
    Serve(McpServeArgs),
    /// Start a server in a world, look at its tools, and pin them
    #[command(after_help = joined(ADDING))]
    Add(McpAddArgs),
    /// Take over the servers that other clients start
    #[command(after_help = joined(IMPORTING))]
    Import(McpImportArgs),
    /// List the servers and how many tools each has
    List(McpListArgs),
    /// Show the tools of a server that are pinned, and what their arguments are for
    Inspect(McpInspectArgs),
    /// Log in at a server behind an address, by your browser
    #[command(after_help = joined(LOGGING_IN))]
    Login(McpLoginArgs),
    /// Forget the login at a server
    Logout(McpLogoutArgs),
    /// Start servers and compare them with what is pinned; or call a tool of one as an agent would
    #[command(after_help = joined(TESTING))]
    Test(McpTestArgs),
    /// Forget a server
    Remove(McpRemoveArgs),
}

const RUNNING: &str = r#"An agent starts it in place of the servers themselves:

  {"mcpServers": {"tools": {
    "command": "ringfence", "args": ["mcp", "run", "--agent", "claude"]}}}

With several servers a tool is called SERVER__TOOL. Each server runs in a world of its own, under the policy
for the agent that is called like the server; calls are decided for the agent that is named here."#;

const SERVING: &str = r#"It listens at http://127.0.0.1:PORT/mcp (streamable HTTP) for whoever has the token, which is made at the start
into a file that only you may read:

  curl -H "Authorization: Bearer $(cat TOKEN_FILE)" ...

Requests for another host, and those of web pages that are not of this host, are refused."#;

const ADDING: &str = "  ringfence mcp add files -- mcp-server-filesystem ~/project
  ringfence mcp add shop https://mcp.example.com/mcp \\
      --header 'Authorization: Bearer ${secret:shop}'

What it writes is `mcp/files.json` beside your policy: the command, and each tool word for word. A tool that
is another later, or new, is not shown to agents until somebody looks at it: `mcp inspect --diff`, then
`mcp add files` alone, which takes the rest from its file.
Nothing is permitted by it. A change of the policy is proposed besides: tools that look like they only read are
permitted, all others asked about. Without that, `ringfence grant tool:files/read_text_file --always`, or rules
on Action::\"files/read_text_file\", which see the arguments.";

const LOGGING_IN: &str = "The server says where its logins are had (OAuth 2.1). What is connected to for that is decided by the policy for the
agent that is called like the server; what is lacking is proposed. The token is kept with your secrets, renewed
without you, sent to that server alone, and never seen by an agent.";

/// Arguments of `mcp login`.
#[derive(Debug, Args)]
pub struct McpLoginArgs {
    /// The server
    #[arg(value_name = "NAME")]
    pub name: ServerName,
    /// What its issuer calls you, where it knows you: a name, or the address of a document about the client
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// The secret that its issuer gave to that client, as `ringfence secret` keeps it
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    pub client_secret: Option<SecretName>,
    /// What the login is for, in place of what the server asks for
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// The port of this host that the browser comes back to [default: any]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Open no browser: only print the address
    #[arg(long)]
    pub no_browser: bool,
    /// Do not ask: change the policy as proposed, and log in
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `mcp logout`.
#[derive(Debug, Args)]
pub struct McpLogoutArgs {
    /// The server
    #[arg(value_name = "NAME")]
    pub name: ServerName,
}

const TESTING: &str = r#"  ringfence mcp test
  ringfence mcp test files read_text_file '{"path": "a.txt"}'

Exit status: 0 all is as it was pinned, or the call was answered; 1 something differs, the call was denied, or the
tool says that it failed; 2 a server could not be asked. A call is made in a session of its own, and recorded."#;

/// Arguments of `mcp test`.
#[derive(Debug, Args)]
pub struct McpTestArgs {
    /// The server [default: all that there are]
    #[arg(value_name = "NAME")]
    pub name: Option<ServerName>,
    /// A tool of it that is called
    #[arg(value_name = "TOOL", requires = "name")]
    pub tool: Option<String>,
    /// Its arguments, as JSON [default: {}]
    #[arg(value_name = "ARGUMENTS", requires = "tool")]
    pub arguments: Option<String>,
    /// The agent that calls, as the policy names it [default: mcp-client]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Print JSON, one server a line
    #[arg(long)]
    pub json: bool,
}

const IMPORTING: &str = "Looked for are the settings of Claude Code (~/.claude.json, .mcp.json), Claude Desktop, Cursor (.cursor/mcp.json),
VS Code (.vscode/mcp.json), Codex (.codex/config.toml) and Gemini CLI (.gemini/settings.json), in your home and in
this project. Each server is added as `mcp add` does it. Secrets that stand in these files are kept with
your other secrets; what cannot be kept so is asked about. The client then starts `ringfence mcp run` instead; its file as it
was lies beside it.";

/// Arguments of `mcp import`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct McpImportArgs {
    /// Of this client alone: claude, claude-desktop, cursor, vscode, codex or gemini
    #[arg(long, value_name = "NAME")]
    pub client: Option<Client>,
    /// From this file alone
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Take over what a client calls NAME as OTHER, where a server is called NAME already; may be repeated
    #[arg(long = "as", value_name = "NAME=OTHER", value_parser = CalledHere::parse)]
    pub called: Vec<CalledHere>,
    /// Do not ask: take over all that can be; with `--undo`, put all back
    #[arg(long, visible_alias = "yes")]
    pub all: bool,
    /// Propose no policy
    #[arg(long)]
    pub no_policy: bool,
    /// Put the clients' files back as they were
    #[arg(long, conflicts_with = "called")]
    pub undo: bool,
    /// Print JSON; without `--all`, only what there is
    #[arg(long)]
    pub json: bool,
}

/// Another name for a server that a client starts.
#[derive(Debug, Clone)]
pub struct CalledHere {
    /// What the client calls it.
    pub theirs: String,
    /// What it is called here.
    pub ours: ServerName,
}

impl CalledHere {
    fn parse(text: &str) -> Result<CalledHere, String> {
        let (theirs, ours) = text.rsplit_once('=').ok_or("it is NAME=OTHER")?;
        let ours = ours.parse::<ServerName>().map_err(|error| error.to_string())?;
        Ok(CalledHere { theirs: theirs.to_owned(), ours })
    }

    /// Whether it is for the entry of this name.
    pub fn is_for(&self, entry: &str) -> bool {
        self.theirs == entry
    }
}

/// Arguments of `mcp run`.
#[derive(Debug, Args)]
pub struct McpRunArgs {
    /// The servers [default: all that there are]
    #[arg(value_name = "SERVER")]
    pub servers: Vec<ServerName>,
    /// The agent that calls, as the policy names it
    #[arg(long, value_name = "NAME", default_value = "mcp-client")]
    pub agent: String,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
}

/// Arguments of `mcp serve`.
#[derive(Debug, Args)]
pub struct McpServeArgs {
    /// The servers [default: all that there are]
    #[arg(value_name = "SERVER")]
    pub servers: Vec<ServerName>,
    /// The agent that calls, as the policy names it
    #[arg(long, value_name = "NAME", default_value = "mcp-client")]
    pub agent: String,
    /// An address of the loopback, or a socket as unix:PATH
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7463")]
    pub listen: String,
    /// The file that has the token; one is made where it is left out
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A web page that may ask as well, as its browser names it: https://app.example; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
}

/// Arguments of `mcp add`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct McpAddArgs {
    /// What the policy calls it: small letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub name: ServerName,
    /// Where it listens, if it is not started: `https://mcp.example.com/mcp`
    #[arg(value_name = "URL", conflicts_with = "command")]
    pub url: Option<String>,
    /// What is sent with each request to a URL; `${secret:NAME}` stands for a secret; may be repeated
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub header: Vec<String>,
    /// What the issuer of its logins calls you, where it wants one and does not let clients make themselves known
    #[arg(long, value_name = "ID", requires = "url")]
    pub client_id: Option<String>,
    /// The secret that its issuer gave to that client, as `ringfence secret` keeps it
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    pub client_secret: Option<SecretName>,
    /// A variable of the server's environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Into the project's `.ringfence`, for everybody who works on it; one that was trusted stays so
    #[arg(long)]
    pub project: bool,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// The agent that the proposed policy is for [default: all]
    #[arg(long, value_name = "NAME", conflicts_with = "no_policy")]
    pub agent: Option<String>,
    /// Propose no policy
    #[arg(long)]
    pub no_policy: bool,
    /// Do not ask: pin what it says, and change the policy as proposed. What a start that failed was denied is shown,
    /// and neither given nor written: nobody has looked at it
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The command that starts it, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `mcp list`.
#[derive(Debug, Args)]
pub struct McpListArgs {
    /// Which tools this agent sees, which it does not, and why
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Print JSON, one server a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `mcp inspect`.
#[derive(Debug, Args)]
pub struct McpInspectArgs {
    /// The server
    #[arg(value_name = "NAME")]
    pub name: ServerName,
    /// Start it, and say how its tools differ from what is pinned; exit 1 where they do
    #[arg(long)]
    pub diff: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `mcp remove`.
#[derive(Debug, Args)]
pub struct McpRemoveArgs {
    /// The server
    #[arg(value_name = "NAME")]
    pub name: ServerName,
    /// The project's, in place of your own
    #[arg(long)]
    pub project: bool,
    /// Do not ask: take the rules out that `mcp add` wrote for it and nobody has changed
    #[arg(long)]
    pub yes: bool,
}
