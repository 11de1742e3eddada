//! The part of the command line that is about secrets. No value is ever an argument: others can read
//! those.

use clap::{Args, Subcommand};
use ringfence_core::SecretName;
use ringfence_secrets::binding::{HeaderSlot, HostRule, MethodName, PathPattern, VariableName};
use ringfence_secrets::kinds::Kind;
use ringfence_secrets::place::Backend;

use std::path::PathBuf;
use std::time::Duration;

use super::joined;

/// The commands on secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret; its value is read from stdin, or asked for
    #[command(after_help = joined(ADDING))]
    Add(SecretAddArgs),
    /// List the secrets and what they are bound to; no values
    List(SecretListArgs),
    /// Say whether a secret can be read, and what would become of its use
    Test(SecretTestArgs),
    /// Replace a secret's value; it is read from stdin, or asked for
    Rotate(SecretRotateArgs),
    /// Forget a secret
    Remove(SecretRemoveArgs),
}

/// What an added secret looks like.
const ADDING: &str = r"Known services, for `--kind`: anthropic, openai, gemini, github, stripe; git-https, npm and pip,
whose host is named with `--for`. A kind fills in what is not named.

  ringfence secret add model --kind anthropic
  ringfence secret add forge --kind git-https --for git.example.com
  ringfence secret add orders --for api.example.com \
      --header 'authorization: Bearer' --methods GET,POST \
      --path /v1/orders --env ORDERS_TOKEN

Places of values, for `--from`; `vault` is the one that $VAULT_ADDR or $BAO_ADDR names:

  env:VARIABLE                   a variable where the session is started
  keyring:SERVICE/ACCOUNT        an item of your desktop's keyring
  vault:MOUNT/PATH#FIELD         of KV v2; MOUNT//PATH if MOUNT has slashes
  vault-lease:PATH#FIELD         lent at the first use, renewed, given back
  vault-token:POLICY,POLICY      a token of these policies alone, given back
  aws-sm:NAME-OR-ARN#KEY@REGION  of AWS; without #KEY the whole of it

What is lent is given back when the session ends; without @REGION the region is that of `aws`.

A path or policy may have {session}, {project}, {agent}, {host} or {method} in it, one in each part,
filled in once a use was decided:

  ringfence secret add orders-db --ttl 15m \
      --from 'vault-lease:database/creds/{project}#password' \
      --for db.example.com --basic --env ORDERS_PASSWORD";

/// Arguments of `secret add`.
#[derive(Debug, Args)]
pub struct SecretAddArgs {
    /// What the policy calls it: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub name: SecretName,
    /// Where its value is, in place of being asked for: env:VARIABLE, which no world is given then,
    /// keyring:SERVICE/ACCOUNT, or a place in a vault
    #[arg(long, value_name = "PLACE")]
    pub from: Option<Backend>,
    /// For how long a value of a vault is used before it is asked for anew, and lent, like 15m or 1h
    #[arg(long, value_name = "TIME", value_parser = super::parse_time, requires = "from")]
    pub ttl: Option<Duration>,
    /// The service it is for, which says where it stands in requests and in the environment
    #[arg(long, value_name = "SERVICE")]
    pub kind: Option<Kind>,
    /// Where requests with it may go: HOST, HOST:PORT or *.DOMAIN; may be repeated
    #[arg(long = "for", value_name = "HOST")]
    pub hosts: Vec<HostRule>,
    /// The header it stands in, with what stands before it: 'authorization: Bearer'; may be repeated
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<HeaderSlot>,
    /// The query parameter it stands in; may be repeated
    #[arg(long, value_name = "NAME")]
    pub query: Vec<String>,
    /// It is the user name or the password of basic authentication
    #[arg(long)]
    pub basic: bool,
    /// Methods of requests with it [default: all but TRACE and CONNECT]
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    pub methods: Vec<MethodName>,
    /// Path of requests with it, and all beneath it; `*` stands for any characters; may be repeated
    #[arg(long, value_name = "PATH")]
    pub path: Vec<PathPattern>,
    /// Environment variable in which programs of a world find what stands in for it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub env: Vec<VariableName>,
    /// File in which programs of a world find what stands in for it; may be repeated
    #[arg(long, value_name = "PATH")]
    pub file: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `secret list`.
#[derive(Debug, Args)]
pub struct SecretListArgs {
    /// Print JSON, one secret a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `secret test`.
#[derive(Debug, Args)]
pub struct SecretTestArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: SecretName,
    /// The method of a request with it [default: the first it is bound to, or GET]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<MethodName>,
    /// The path of a request with it [default: the first it is bound to, or /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
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

/// Arguments of `secret rotate`.
#[derive(Debug, Args)]
pub struct SecretRotateArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: SecretName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `secret remove`.
#[derive(Debug, Args)]
pub struct SecretRemoveArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: SecretName,
    /// Revoke the grants that name it too, in running sessions as well
    #[arg(long)]
    pub revoke_grants: bool,
    /// Do not ask, where a server or a rule needs it
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
