//! What an agent attempts, made canonical: a [`Request`] is an [`Act`] with the agent behind it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{AbsolutePath, Endpoint, HttpRequest, SecretName, ToolCall, npm};

/// Longest argv text given to the policy, in bytes; a longer command line is `opaque`.
pub const ARGV_TEXT_BYTES_MAX: usize = 16 * 1024;

/// The identity whose acts are governed; the Cedar principal `Agent::"NAME"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agent(pub String);

/// What kind of act it is; the Cedar action of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// A program is started.
    #[serde(rename = "exec")]
    Exec,
    /// A file or directory is read.
    #[serde(rename = "fs.read")]
    FsRead,
    /// A file is created or changed.
    #[serde(rename = "fs.write")]
    FsWrite,
    /// A file is removed or renamed away.
    #[serde(rename = "fs.delete")]
    FsDelete,
    /// A connection is opened.
    #[serde(rename = "net.connect")]
    NetConnect,
    /// An HTTP request is sent over a connection.
    #[serde(rename = "net.request")]
    NetRequest,
    /// A secret is used for a request.
    #[serde(rename = "secret.use")]
    SecretUse,
    /// A tool is called.
    #[serde(rename = "tool.call")]
    ToolCall,
}

impl Action {
    /// Every action, in the order of the glossary.
    pub const ALL: [Action; 8] = [
        Action::Exec,
        Action::FsRead,
        Action::FsWrite,
        Action::FsDelete,
        Action::NetConnect,
        Action::NetRequest,
        Action::SecretUse,
        Action::ToolCall,
    ];

    /// The action's name in policies, in the log and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Action::Exec => "exec",
            Action::FsRead => "fs.read",
            Action::FsWrite => "fs.write",
            Action::FsDelete => "fs.delete",
            Action::NetConnect => "net.connect",
            Action::NetRequest => "net.request",
            Action::SecretUse => "secret.use",
            Action::ToolCall => "tool.call",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;
    fn from_str(text: &str) -> Result<Action, String> {
        Action::ALL.into_iter().find(|action| action.name() == text).ok_or_else(|| text.to_owned())
    }
}

/// Which file on which filesystem, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device number, `st_dev`.
    pub device: u64,
    /// Inode number, `st_ino`.
    pub inode: u64,
}

/// A command line as the policy sees it; made once, by [`CommandLine::new`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandLine {
    /// All arguments joined by single spaces, at most [`ARGV_TEXT_BYTES_MAX`] bytes.
    pub text: String,
    /// The first argument after the program that is not a flag or a known flag's value.
    pub subcommand: Option<String>,
    /// Every argument that starts with `-`, up to an `=`; `--` ends them.
    pub flags: Vec<String>,
    /// The text does not tell what will run: too long, not UTF-8, or an interpreter's own code.
    pub opaque: bool,
    /// SHA-256 over all arguments, each followed by a NUL byte; lower-case hex.
    pub sha256: String,
    /// How many arguments there are, the program's own name included.
    pub count: u32,
}

/// Global flags that take a value and stand before the subcommand, per program name.
///
/// `git -c a=b push` must be a `push` (codex issue 37079, Codewhale issue 4740).
const FLAGS_WITH_VALUE: &[(&str, &[&str])] = &[
    (
        "git",
        &[
            "-c",
            "-C",
            "--git-dir",
            "--work-tree",
            "--namespace",
            "--config-env",
            "--exec-path",
            "--super-prefix",
            "--attr-source",
        ],
    ),
    ("cargo", &["--config", "-C", "-Z", "--color", "--manifest-path", "--target-dir"]),
    (
        "npm",
        &[
            "--access",
            "--cache",
            "-C",
            "--globalconfig",
            "--include",
            "--location",
            "--loglevel",
            "--omit",
            "--otp",
            "--prefix",
            "--registry",
            "--scope",
            "--script-shell",
            "--tag",
            "--userconfig",
            "-w",
            "--workspace",
        ],
    ),
    ("pnpm", &["-C", "--dir", "--filter", "-F", "--loglevel", "--registry"]),
    ("yarn", &["--cwd", "--cache-folder", "--registry", "--use-yarnrc"]),
    ("docker", &["-H", "--host", "--context", "-c", "--config", "-l", "--log-level"]),
    ("kubectl", &["-n", "--namespace", "--context", "--kubeconfig", "-s", "--server", "--cluster"]),
    ("gh", &["-R", "--repo"]),
];

/// Tools whose program is a script with another name than the tool.
const SCRIPTS: &[(&str, &str)] = &[
    ("npm-cli.js", "npm"),
    ("npx-cli.js", "npx"),
    ("pnpm.cjs", "pnpm"),
    ("yarn.js", "yarn"),
    ("yarnpkg", "yarn"),
];

/// Programs whose argument after these flags is code, so that argv does not tell what runs.
const CODE_FLAGS: &[(&str, &[&str])] = &[
    ("sh", &["-c"]),
    ("bash", &["-c"]),
    ("dash", &["-c"]),
    ("zsh", &["-c"]),
    ("python", &["-c"]),
    ("python3", &["-c"]),
    ("node", &["-e", "--eval", "-p", "--print"]),
    ("perl", &["-e", "-E"]),
    ("ruby", &["-e"]),
    ("php", &["-r"]),
    ("env", &["-S", "--split-string"]),
];

impl CommandLine {
    /// Takes apart the arguments of a program called `program_name` (the file's base name).
    pub fn new(program_name: &str, argv: &[Vec<u8>]) -> CommandLine {
        let mut hash = Sha256::new();
        for argument in argv {
            hash.update(argument);
            hash.update([0]);
        }
        let utf8 = argv.iter().all(|argument| std::str::from_utf8(argument).is_ok());
        let words: Vec<String> =
            argv.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
        let mut text = words.join(" ");
        let fits = text.len() <= ARGV_TEXT_BYTES_MAX;
        truncate_at_char(&mut text, ARGV_TEXT_BYTES_MAX);
        let tail = words.get(1..).unwrap_or_default();
        CommandLine {
            subcommand: subcommand(program_name, words.first().map_or("", String::as_str), tail),
            flags: if fits { flags(tail) } else { Vec::new() },
            opaque: !utf8 || !fits || runs_code(program_name, tail),
            text,
            sha256: hex(&hash.finalize()),
            count: u32::try_from(argv.len()).unwrap_or(u32::MAX),
        }
    }
}

fn values_of<'a>(table: &'a [(&str, &[&'a str])], program: &str) -> &'a [&'a str] {
    table.iter().find(|(name, _)| *name == program).map_or(&[], |(_, flags)| flags)
}

/// The tool that a program is, where one file is several by the name it is called with.
fn tool<'a>(program: &'a str, called: &'a str) -> &'a str {
    if program == "rustup" && !called.is_empty() {
        return called;
    }
    SCRIPTS.iter().find(|(script, _)| *script == program).map_or(program, |(_, tool)| tool)
}

fn subcommand(program: &str, first_word: &str, arguments: &[String]) -> Option<String> {
    let called = first_word.rsplit('/').next().unwrap_or(first_word);
    // Git obeys the name it is called with: `git-push` is the same file as `git`.
    if program == "git"
        && let Some(own) = called.strip_prefix("git-")
    {
        return Some(own.to_owned());
    }
    let tool = tool(program, called);
    let with_value = values_of(FLAGS_WITH_VALUE, tool);
    let mut rest = arguments.iter();
    // `cargo +stable publish`: the first word chooses the toolchain.
    if matches!(tool, "cargo" | "rustup") && arguments.first().is_some_and(|it| it.starts_with('+'))
    {
        rest.next();
    }
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return rest.next().map(|word| meant_by(tool, word));
        }
        if !argument.starts_with('-') {
            return Some(meant_by(tool, argument));
        }
        if with_value.contains(&argument.as_str()) {
            rest.next();
        }
    }
    None
}

/// The subcommand's own name, where a tool takes others for it.
fn meant_by(tool: &str, word: &str) -> String {
    if tool == "npm" { npm::command(word) } else { word.to_owned() }
}

fn flags(arguments: &[String]) -> Vec<String> {
    let mut found: Vec<String> = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .filter(|argument| argument.starts_with('-') && argument.len() > 1)
        .map(|argument| argument.split('=').next().unwrap_or(argument).to_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether an interpreter was given code: `-c`, also inside a bundle of short flags (`-lc`).
fn runs_code(program: &str, arguments: &[String]) -> bool {
    let code = values_of(CODE_FLAGS, program);
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        code.contains(&argument.as_str())
            || (argument.starts_with('-')
                && !argument.starts_with("--")
                && code.iter().filter(|flag| flag.len() == 2).any(|flag| {
                    flag.chars().nth(1).is_some_and(|letter| argument.contains(letter))
                }))
    })
}

fn truncate_at_char(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(value + if value < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// A program about to be started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exec {
    /// The file that will run, symbolic links resolved.
    pub program: AbsolutePath,
    /// Which file that is.
    pub identity: FileIdentity,
    /// Its arguments.
    pub command_line: CommandLine,
    /// Its working directory.
    pub cwd: AbsolutePath,
}

/// A secret put into one request, in the world's stead.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretUse {
    /// Which secret.
    pub secret: SecretName,
    /// Whom it is shown to; `None` where that cannot be told, as for a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The request's method, or what else is done with it.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
}

/// One attempted effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start a program.
    Exec(Exec),
    /// Read a file or list a directory.
    Read(AbsolutePath),
    /// Create or change a file.
    Write(AbsolutePath),
    /// Remove a file or rename it away.
    Delete(AbsolutePath),
    /// Open a TCP connection.
    Connect(Endpoint),
    /// Connect to a unix socket that was not bound inside the world.
    ConnectUnix(AbsolutePath),
    /// Send an HTTP request.
    Request(HttpRequest),
    /// Have a secret put into a request.
    UseSecret(SecretUse),
    /// Call a tool.
    CallTool(ToolCall),
}

impl Act {
    /// The action this act is an instance of.
    pub fn action(&self) -> Action {
        match self {
            Act::Exec(_) => Action::Exec,
            Act::Read(_) => Action::FsRead,
            Act::Write(_) => Action::FsWrite,
            Act::Delete(_) => Action::FsDelete,
            Act::Connect(_) | Act::ConnectUnix(_) => Action::NetConnect,
            Act::Request(_) => Action::NetRequest,
            Act::UseSecret(_) => Action::SecretUse,
            Act::CallTool(_) => Action::ToolCall,
        }
    }

    /// The resource as text: a path, `HOST:PORT`, or a secret's name.
    pub fn resource(&self) -> String {
        match self {
            Act::Exec(exec) => exec.program.to_string(),
            Act::Read(path) | Act::Write(path) | Act::Delete(path) | Act::ConnectUnix(path) => {
                path.to_string()
            }
            Act::Connect(endpoint) => endpoint.to_string(),
            Act::Request(http) => http.endpoint.to_string(),
            Act::UseSecret(used) => used.secret.to_string(),
            Act::CallTool(call) => call.tool.to_string(),
        }
    }

    /// SHA-256 of the act's canonical JSON and of the digest of the policy in force, as hex.
    ///
    /// An approval is bound to it: another argv, program file or policy is another act.
    pub fn digest(&self, policy_digest: &str) -> String {
        if let Act::CallTool(call) = self
            && call.trace.is_some()
        {
            // The same call in another trace is the same act.
            return Act::CallTool(call.clone().in_trace(None)).digest(policy_digest);
        }
        // Serialising our own plain enum cannot fail; an empty text would only fail to match.
        let canonical = serde_json::to_string(self).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(canonical.as_bytes());
        hash.update([0]);
        if let Act::Request(http) = self {
            // Not part of the JSON, because that is what the log holds.
            hash.update(http.query.as_str().as_bytes());
            hash.update([0]);
        }
        hash.update(policy_digest.as_bytes());
        hex(&hash.finalize())
    }
}

/// The process that attempts an act, as the broker numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the broker's pid namespace.
    pub pid: i32,
    /// Its parent, if known.
    pub parent: Option<i32>,
}

/// An act made canonical and checked, with the agent behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Who is behind the act.
    pub agent: Agent,
    /// What is attempted.
    pub act: Act,
    /// The process that attempts it, where one does.
    pub process: Option<Process>,
}
