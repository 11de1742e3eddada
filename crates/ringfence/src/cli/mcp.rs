//! The part of the command line that is about servers of tools.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringfence_core::ServerName;

/// The commands on servers of tools.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve an agent the tools of servers: MCP on stdin and stdout, every call decided
    #[command(after_help = RUNNING)]
    Run(McpRunArgs),
    /// Serve agents the tools of servers over HTTP: each client with servers of its own
    #[command(after_help = SERVING)]
    Serve(McpServeArgs),
    /// Start a server in a world, look at its tools, and pin them
    #[command(after_help = ADDING)]
    Add(McpAddArgs),
    /// List the servers and how many tools each has
    List(McpListArgs),
    /// Show the tools of a server that are pinned, and what their arguments are for
    Inspect(McpInspectArgs),
    /// Forget a server
    Remove(McpRemoveArgs),
}

const RUNNING: &str = r#"An agent starts it in place of the servers themselves:

  {"mcpServers": {"tools": {"command": "ringfence", "args": ["mcp", "run", "--agent", "claude"]}}}

With several servers a tool is called SERVER__TOOL. Each server runs in a world of its own, under the policy
for the agent that is called like the server; calls are decided for the agent that is named here."#;

const SERVING: &str = r#"It listens at http://127.0.0.1:PORT/mcp (streamable HTTP) for whoever has the token, which is made at the start
into a file that only you may read:

  curl -H "Authorization: Bearer $(cat TOKEN_FILE)" ...

Requests for another host, and those of web pages that are not of this host, are refused."#;

const ADDING: &str = "  ringfence mcp add files -- mcp-server-filesystem ~/project
  ringfence mcp add shop https://mcp.example.com/mcp --header 'Authorization: Bearer ${secret:shop}'

What it writes is `mcp/files.json` beside your policy: the command, and each tool word for word. A tool that
is another later, or new, is not shown to agents until somebody looks at it: `mcp inspect --diff`, `mcp add`.
Nothing is permitted by it: `ringfence grant tool:files/read_text_file --always`, or rules on
Action::\"files/read_text_file\", which see the arguments.";

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
pub struct McpAddArgs {
    /// What the policy calls it: small letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub name: ServerName,
    /// Where it listens, if it is not started: `https://mcp.example.com/mcp`
    #[arg(value_name = "URL", required_unless_present = "command", conflicts_with = "command")]
    pub url: Option<String>,
    /// What is sent with each request to a URL; `${secret:NAME}` stands for a secret; may be repeated
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub header: Vec<String>,
    /// A variable of the server's environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Into the project's `.ringfence`, for everybody who works on it; it has to be trusted anew then
    #[arg(long)]
    pub project: bool,
    /// Policy file that stands in for the user's and the project's, as for `run`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Do not ask
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
}
