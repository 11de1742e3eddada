//! Grants as a person writes them, as Cedar text, and the smallest one for a request.

use std::fmt;
use std::str::FromStr;

use ringfence_core::{
    AbsolutePath, Act, Action, Endpoint, EndpointError, HttpError, HttpParts, HttpRequest, IdError,
    PathError, Request, Scheme, SecretName, ToolName, ToolNameError, UrlPath,
};

/// What a grant allows: `fs.read:PATH`, `fs.write:PATH`, `net:HOST:PORT`, `net:SOCKET`,
/// `net.request:METHOD HOST:PORT/PATH`, `secret:NAME`, `tool:SERVER/TOOL` or `exec:PROGRAM[ SUBCOMMAND]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GrantText {
    /// Read a file, or a directory with everything beneath it.
    Read(AbsolutePath),
    /// Read, create, change and remove a file, or everything beneath a directory.
    Write(AbsolutePath),
    /// Connect to a host and port.
    Connect(Endpoint),
    /// Connect to a unix socket.
    ConnectUnix(AbsolutePath),
    /// Send requests of one method to one path of a host, or to all beneath it.
    Request {
        /// The method.
        method: String,
        /// The host and port.
        to: Endpoint,
        /// The path or paths.
        path: Paths,
    },
    /// Use a secret, as far as it is bound.
    UseSecret(SecretName),
    /// Call a tool, with any arguments.
    CallTool(ToolName),
    /// Start a program, with one subcommand only where one is named.
    Exec {
        /// The file.
        program: AbsolutePath,
        /// The first argument that is not a flag.
        subcommand: Option<String>,
    },
}

/// Which paths of a host a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Paths {
    /// This one.
    One(UrlPath),
    /// Everything that begins with this, which ends with `/`.
    Beneath(UrlPath),
}

/// Why a grant's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No known kind stands before the first colon.
    #[error(
        "`{0}` is not a grant: expected `fs.read:PATH`, `fs.write:PATH`, `net:HOST:PORT`, \
         `net.request:METHOD HOST:PORT/PATH`, \
         `secret:NAME`, `tool:SERVER/TOOL` or `exec:PROGRAM[ SUBCOMMAND]`"
    )]
    Kind(String),
    /// The path was refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The endpoint was refused.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The method or the path of a request was refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not `METHOD HOST:PORT/PATH`.
    #[error("`{0}` is not METHOD HOST:PORT/PATH")]
    Request(String),
    /// The secret's name was refused.
    #[error(transparent)]
    Secret(#[from] IdError),
    /// The tool's name was refused.
    #[error(transparent)]
    Tool(#[from] ToolNameError),
    /// A program that is neither absolute nor found.
    #[error("no program `{0}` was found")]
    NoProgram(String),
    /// More than one word after the program.
    #[error("`{0}` has more than one word after the program: a grant names one subcommand")]
    Words(String),
}

impl GrantText {
    /// Parses a grant; `resolve` turns a path or program that is not absolute into one that is.
    pub fn parse(
        text: &str,
        resolve: &dyn Fn(&str) -> Option<AbsolutePath>,
    ) -> Result<GrantText, GrantError> {
        let path = |text: &str| match AbsolutePath::parse(text) {
            Ok(path) => Ok(path),
            Err(error) => resolve(text).ok_or(GrantError::Path(error)),
        };
        let (kind, rest) = text.split_once(':').ok_or_else(|| GrantError::Kind(text.to_owned()))?;
        match kind {
            "fs.read" => Ok(GrantText::Read(path(rest)?)),
            "fs.write" => Ok(GrantText::Write(path(rest)?)),
            "net" if rest.starts_with('/') => Ok(GrantText::ConnectUnix(path(rest)?)),
            "net" => Ok(GrantText::Connect(rest.parse()?)),
            "net.request" => request(rest),
            "secret" => Ok(GrantText::UseSecret(rest.parse()?)),
            "tool" => Ok(GrantText::CallTool(rest.parse()?)),
            "exec" => exec(rest, resolve),
            _ => Err(GrantError::Kind(text.to_owned())),
        }
    }

    /// The smallest grant that covers a request's act.
    pub fn smallest(request: &Request) -> GrantText {
        match &request.act {
            Act::Exec(exec) => GrantText::Exec {
                program: exec.program.clone(),
                subcommand: exec.command_line.subcommand.clone().filter(|word| is_word(word)),
            },
            Act::Read(path) => GrantText::Read(path.clone()),
            Act::Write(path) | Act::Delete(path) => GrantText::Write(path.clone()),
            Act::Connect(endpoint) => GrantText::Connect(endpoint.clone()),
            Act::ConnectUnix(path) => GrantText::ConnectUnix(path.clone()),
            Act::Request(http) => GrantText::Request {
                method: http.method.clone(),
                to: http.endpoint.clone(),
                path: Paths::One(http.path.clone()),
            },
            Act::UseSecret(used) => GrantText::UseSecret(used.secret.clone()),
            Act::CallTool(call) => GrantText::CallTool(call.tool.clone()),
        }
    }

    /// The same as a rule for one agent, in one line.
    pub fn rule_for(&self, agent: &str) -> String {
        let cedar = self.to_cedar("");
        let rule = cedar.split_once('\n').map_or(cedar.as_str(), |(_, rule)| rule);
        let head = format!("permit (principal == Agent::{},", quoted(agent));
        rule.trim_end().replacen("permit(principal,", &head, 1).replace('\n', " ")
    }

    /// The grant as one Cedar permit.
    pub fn to_cedar(&self, id: &str) -> String {
        let of_tools = format!("action in Action::{}", quoted(Action::ToolCall.name()));
        let (action, resource, condition) = match self {
            GrantText::Read(path) => (READ, uid("in Dir", path.as_str()), String::new()),
            GrantText::Write(path) => (WRITE, uid("in Dir", path.as_str()), String::new()),
            GrantText::Connect(to) => (NET, uid("== Endpoint", &to.to_string()), String::new()),
            GrantText::ConnectUnix(path) => (NET, uid("== Socket", path.as_str()), String::new()),
            GrantText::Request { method, to, path } => {
                let (method, path) = (quoted(method), path.condition());
                let condition = format!("\nwhen {{ context.method == {method} && {path} }}");
                (REQUEST, uid("== Endpoint", &to.to_string()), condition)
            }
            GrantText::UseSecret(name) => (SECRET, uid("== Secret", name.as_str()), String::new()),
            // Not by the tool's own action: a grant holds whether or not the tool is pinned here.
            GrantText::CallTool(tool) => {
                (of_tools.as_str(), uid("== Tool", tool.as_str()), String::new())
            }
            GrantText::Exec { program, subcommand } => {
                let condition = subcommand.as_ref().map(|word| {
                    let word = quoted(word);
                    format!("\nwhen {{ context has subcommand && context.subcommand == {word} }}")
                });
                (EXEC, uid("== Program", program.as_str()), condition.unwrap_or_default())
            }
        };
        let (id, source) = (quoted(id), quoted(&format!("grant {self}")));
        format!(
            "@id({id}) @source({source})\npermit(principal, {action}, resource {resource})\
             {condition};\n"
        )
    }
}

const READ: &str = "action == Action::\"fs.read\"";
const WRITE: &str = "action in [Action::\"fs.read\", Action::\"fs.write\", Action::\"fs.delete\"]";
const NET: &str = "action == Action::\"net.connect\"";
const REQUEST: &str = "action == Action::\"net.request\"";
const SECRET: &str = "action == Action::\"secret.use\"";
const EXEC: &str = "action == Action::\"exec\"";

impl Paths {
    fn condition(&self) -> String {
        match self {
            Paths::One(path) => format!("context.path == {}", quoted(path.as_str())),
            Paths::Beneath(path) => {
                let literal = quoted(path.as_str()).replace('*', "\\*");
                format!("context.path like {}*\"", literal.trim_end_matches('"'))
            }
        }
    }
}

fn request(text: &str) -> Result<GrantText, GrantError> {
    let wrong = || GrantError::Request(text.to_owned());
    let (method, place) = text.split_once(' ').ok_or_else(wrong)?;
    let (to, target) = place.split_at(place.find('/').ok_or_else(wrong)?);
    let (target, beneath) = match target.strip_suffix('*') {
        Some(parent) if parent.ends_with('/') => (parent, true),
        Some(_) | None => (target, false),
    };
    if target.contains('?') {
        return Err(wrong());
    }
    let parts = HttpParts { method, target, headers: &[], size: None };
    let HttpRequest { method, endpoint, path, .. } =
        HttpRequest::new(to.parse()?, Scheme::Https, parts)?;
    let path = if beneath { Paths::Beneath(path) } else { Paths::One(path) };
    Ok(GrantText::Request { method, to: endpoint, path })
}

fn exec(
    text: &str,
    resolve: &dyn Fn(&str) -> Option<AbsolutePath>,
) -> Result<GrantText, GrantError> {
    let (program, subcommand) = match text.split_once(' ') {
        Some((program, word)) => (program, Some(word.trim())),
        None => (text, None),
    };
    let subcommand = match subcommand {
        None | Some("") => None,
        Some(word) if is_word(word) => Some(word.to_owned()),
        Some(_) => return Err(GrantError::Words(text.to_owned())),
    };
    let program = if program.starts_with('/') {
        AbsolutePath::parse(program)?
    } else {
        resolve(program).ok_or_else(|| GrantError::NoProgram(program.to_owned()))?
    };
    Ok(GrantText::Exec { program, subcommand })
}

/// Longest subcommand that a grant names, in characters: longer ones are somebody's data.
const WORD_CHARS_MAX: usize = 64;

fn is_word(text: &str) -> bool {
    (1..=WORD_CHARS_MAX).contains(&text.chars().count())
        && !text.starts_with('-')
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

fn uid(relation_and_type: &str, id: &str) -> String {
    format!("{relation_and_type}::{}", quoted(id))
}

/// A Cedar string literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

impl FromStr for GrantText {
    type Err = GrantError;
    fn from_str(text: &str) -> Result<GrantText, GrantError> {
        GrantText::parse(text, &|_| None)
    }
}

impl fmt::Display for GrantText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantText::Read(path) => write!(f, "fs.read:{path}"),
            GrantText::Write(path) => write!(f, "fs.write:{path}"),
            GrantText::Connect(endpoint) => write!(f, "net:{endpoint}"),
            GrantText::ConnectUnix(path) => write!(f, "net:{path}"),
            GrantText::Request { method, to, path: Paths::Beneath(path) } => {
                write!(f, "net.request:{method} {to}{path}*")
            }
            GrantText::Request { method, to, path: Paths::One(path) } => {
                let path = path.as_str();
                match path.strip_suffix("/*") {
                    Some(parent) => write!(f, "net.request:{method} {to}{parent}/%2A"),
                    None => write!(f, "net.request:{method} {to}{path}"),
                }
            }
            GrantText::UseSecret(name) => write!(f, "secret:{name}"),
            GrantText::CallTool(tool) => write!(f, "tool:{tool}"),
            GrantText::Exec { program, subcommand: None } => write!(f, "exec:{program}"),
            GrantText::Exec { program, subcommand: Some(word) } => {
                write!(f, "exec:{program} {word}")
            }
        }
    }
}
