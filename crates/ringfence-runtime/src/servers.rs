//! Servers of tools, as they stand beside the policy: one file each, `.ringfence/mcp/NAME.json`.
//!
//! A file says how a server is started or where it is, and which tools it had when a person looked: those
//! are pinned, word for word. What a server says later that is not in its file does not count.

mod again;
mod pins;
pub mod proposal;
mod remarks;
mod unusable;
pub mod written;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ringfence_core::{Endpoint, FactType, Field, Fields, ServerName, ToolName, ToolShape};
use ringfence_proxy::mcp::http::remote::check_header;
use ringfence_proxy::mcp::http::url::Url;
use ringfence_proxy::mcp::roles::{self, ArgumentRole, RolePlan, Roles};
use ringfence_proxy::mcp::schema::{ArgumentSchema, SchemaError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::whole_file::{self, FileError, FileText, Links};

pub use pins::{Difference, Said, digest};
pub use remarks::{REMARKS_MAX, Remark};
pub use unusable::Unusable;

/// The directory beside a policy that holds the files of servers.
pub const SERVERS_DIR: &str = "mcp";

/// Most servers in one directory.
pub const SERVERS_MAX: usize = 100;

/// Most tools of one server.
pub const TOOLS_MAX: usize = 2_000;

/// Most that a server may say of itself to agents, in bytes: a person has to look at it.
pub const INSTRUCTIONS_BYTES_MAX: usize = 64 * 1024;

/// Version of a server's file.
const VERSION: u32 = 1;

/// What every server does when it is asked to, besides calling tools, and what it asks of its client; and what
/// rules see of that.
pub(crate) const METHODS: [(&str, &[&str]); 11] = [
    ("resources/read", &["uri"]),
    ("resources/subscribe", &["uri"]),
    ("resources/unsubscribe", &["uri"]),
    ("prompts/get", &["name"]),
    ("completion/complete", &[]),
    ("tasks/get", &["taskId"]),
    ("tasks/update", &["taskId"]),
    ("tasks/cancel", &["taskId"]),
    ("sampling/createMessage", &[]),
    ("elicitation/create", &["message"]),
    ("roots/list", &[]),
];

/// A server of tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// What it is called.
    pub name: ServerName,
    /// What its file says.
    pub file: ServerFile,
    /// The schemas of its tools.
    schemas: BTreeMap<String, Arguments>,
    /// Why it is left out, where its file cannot be used: it is not started, and its calls are denied with this.
    left_out: Option<String>,
}

/// What the file of a server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFile {
    /// Of this form.
    pub version: u32,
    /// The program that is started, with its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Or where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is sent with each request to it; `${secret:NAME}` stands for a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Variables of its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What it wanted agents to know of it when a person looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The tools that it had when a person looked.
    #[serde(default)]
    pub tools: BTreeMap<String, Pinned>,
    /// Those of its tools that were left out then, since no call of them could be held against anything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unusable: BTreeMap<String, Unusable>,
}

/// A tool as a person has seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// What the server said of it, whole.
    pub definition: Value,
    /// What its arguments are for.
    #[serde(default, skip_serializing_if = "Roles::is_empty")]
    pub roles: Roles,
}

/// Why the file of a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {why}")]
pub struct ServerError {
    /// The file.
    pub file: String,
    /// The server that it is of, where its name is one.
    pub name: Option<ServerName>,
    /// What is wrong with it.
    pub why: String,
}

/// The arguments of a tool, compared by their schema: what they are for stands in the file, which is compared too.
#[derive(Debug, Clone)]
struct Arguments {
    schema: Arc<ArgumentSchema>,
    roles: Arc<RolePlan>,
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Arguments) -> bool {
        self.schema.json() == other.schema.json()
    }
}

impl Server {
    /// Reads the file of a server; its name is the file's.
    pub fn read(text: &FileText) -> Result<Server, ServerError> {
        let file = text.path.display().to_string();
        let stem = text.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let named = stem.parse::<ServerName>();
        let of = named.as_ref().ok().cloned();
        let wrong = |why: String| ServerError { file: file.clone(), name: of.clone(), why };
        let name = named.map_err(|error| wrong(format!("{error}")))?;
        let parsed: ServerFile =
            serde_json::from_str(&text.text).map_err(|error| wrong(error.to_string()))?;
        Server::new(name, parsed).map_err(wrong)
    }

    /// A server with what its file says; the error says what is wrong with that.
    pub fn new(name: ServerName, file: ServerFile) -> Result<Server, String> {
        if file.version != VERSION {
            return Err(format!("version {} is not known", file.version));
        }
        if file.command.is_empty() == file.url.is_none() {
            return Err("a server has either `command` or `url`".to_owned());
        }
        if let Some(url) = &file.url {
            url.parse::<Url>().map_err(|why| format!("`url`: {why}"))?;
            file.headers.iter().try_for_each(|(name, value)| check_header(name, value))?;
        }
        let (of_program, of_address) = (!file.env.is_empty(), !file.headers.is_empty());
        if (file.url.is_some() && of_program) || (file.url.is_none() && of_address) {
            return Err("`env` is for a `command`, `headers` are for a `url`".to_owned());
        }
        if file.instructions.as_ref().is_some_and(|it| it.len() > INSTRUCTIONS_BYTES_MAX) {
            return Err(format!("its instructions have more than {INSTRUCTIONS_BYTES_MAX} bytes"));
        }
        if file.tools.len().saturating_add(file.unusable.len()) > TOOLS_MAX {
            return Err(format!("it has more than {TOOLS_MAX} tools"));
        }
        let mut schemas = BTreeMap::new();
        for (tool, pinned) in &file.tools {
            let wrong = |why: String| format!("tool `{tool}`: {why}");
            let schema = unusable::arguments(&name, tool, &pinned.definition).map_err(wrong)?;
            if pinned.definition.get("name").and_then(Value::as_str) != Some(tool) {
                return Err(wrong("its definition is another tool's".to_owned()));
            }
            let roles = Arc::new(pinned.plan(tool, schema.json()));
            schemas.insert(tool.clone(), Arguments { schema: Arc::new(schema), roles });
        }
        Ok(Server { name, file, schemas, left_out: None })
    }

    /// A server whose file cannot be used: others keep their names beside it, and whoever calls a tool of it is told why
    /// that is not there.
    pub fn left_out(name: ServerName, why: String) -> Server {
        let (file, schemas) = (ServerFile::started_by(Vec::new()), BTreeMap::new());
        Server { name, file, schemas, left_out: Some(why) }
    }

    /// Why it is left out, if it is.
    pub fn is_left_out(&self) -> Option<&str> {
        self.left_out.as_deref()
    }

    /// Where it is, if it is behind an address.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.file.url.as_ref()?.parse::<Url>().ok().map(|url| url.endpoint)
    }

    /// Whether arguments of its tools name files.
    pub fn names_files(&self) -> bool {
        let names = [
            ArgumentRole::ReadPath,
            ArgumentRole::WritePath,
            ArgumentRole::DeletePath,
            ArgumentRole::ByName,
        ];
        let mut roles = self.file.tools.values().flat_map(|tool| tool.roles.values());
        roles.any(|role| names.contains(role))
    }

    /// The schema of a tool that is pinned.
    pub fn schema(&self, tool: &str) -> Option<&ArgumentSchema> {
        self.schemas.get(tool).map(|arguments| &*arguments.schema)
    }

    /// What the arguments of a tool that is pinned are for.
    pub fn roles(&self, tool: &str) -> Option<&RolePlan> {
        self.schemas.get(tool).map(|arguments| &*arguments.roles)
    }

    /// What rules and grants may name of it: its tools, and what every server does.
    pub fn known_tools(&self) -> impl Iterator<Item = &str> {
        let methods = METHODS.iter().map(|(method, _)| *method);
        self.schemas.keys().map(String::as_str).chain(methods)
    }

    /// What rules may speak of: its tools, and what every server does.
    pub fn shapes(&self) -> Vec<ToolShape> {
        let name = |tool: &str| ToolName::new(&self.name, tool).ok();
        let tools = self.schemas.iter().filter_map(|(tool, arguments)| {
            Some(ToolShape { tool: name(tool)?, arguments: arguments.schema.fields().clone() })
        });
        let methods = METHODS.iter().filter_map(|(method, arguments)| {
            let text =
                |name: &&str| ((*name).to_owned(), Field { kind: FactType::Text, required: true });
            let arguments: Fields = arguments.iter().map(text).collect();
            Some(ToolShape { tool: name(method)?, arguments })
        });
        tools.chain(methods).collect()
    }
}

impl Pinned {
    /// What a server says of its tools, by their names, with what the arguments are for, by rule.
    pub fn all(said: Vec<Value>) -> Result<BTreeMap<String, Pinned>, String> {
        let mut tools = BTreeMap::new();
        for definition in said {
            let text = |key: &str| definition.get(key).and_then(Value::as_str).unwrap_or_default();
            let name = text("name").to_owned();
            let schema = definition.get("inputSchema").cloned().unwrap_or(Value::Null);
            let roles = roles::propose(&name, text("description"), &schema);
            if tools.insert(name.clone(), Pinned { definition, roles }).is_some() {
                return Err(format!("it has two tools called `{name}`"));
            }
        }
        Ok(tools)
    }

    fn plan(&self, tool: &str, schema: &Value) -> RolePlan {
        let described = self.definition.get("description").and_then(Value::as_str);
        RolePlan::new(tool, described.unwrap_or_default(), schema, &self.roles)
    }
}

impl ServerFile {
    /// The file of a server that is started by this command.
    pub fn started_by(command: Vec<String>) -> ServerFile {
        let (headers, env, tools) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (instructions, unusable) = (None, BTreeMap::new());
        let (version, url) = (VERSION, None);
        ServerFile { version, command, url, headers, env, instructions, tools, unusable }
    }

    /// The file of a server that listens at this address.
    pub fn at(url: String) -> ServerFile {
        ServerFile { url: Some(url), ..ServerFile::started_by(Vec::new()) }
    }

    /// As it is written: JSON that people read.
    pub fn to_text(&self) -> String {
        // Plain data; an empty file would be refused when it is read.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }
}

/// Where a server with this address is; the error is for a person.
pub fn endpoint_of(url: &str) -> Result<Endpoint, String> {
    url.parse::<Url>().map(|url| url.endpoint)
}

/// The schema of a tool's arguments, by its definition; a tool that has none takes none.
pub fn schema_of(definition: &Value) -> Result<ArgumentSchema, SchemaError> {
    let schema = definition.get("inputSchema").cloned();
    ArgumentSchema::new(schema.unwrap_or_else(|| serde_json::json!({"type": "object"})))
}

/// All servers whose files these are, and what is wrong with the others.
pub fn read_all<'a>(
    texts: impl IntoIterator<Item = &'a FileText>,
) -> (BTreeMap<ServerName, Server>, Vec<ServerError>) {
    let (mut servers, mut wrong) = (BTreeMap::new(), Vec::new());
    for text in texts {
        match Server::read(text) {
            Ok(server) => {
                servers.insert(server.name.clone(), server);
            }
            Err(error) => wrong.push(error),
        }
    }
    (servers, wrong)
}

/// The files of servers in a directory, by the servers' names; other files there are none of ours.
pub(crate) fn texts_in(dir: &Path, links: Links) -> Result<BTreeMap<String, FileText>, FileError> {
    let entries = match fs::symlink_metadata(dir) {
        // A link could change what was trusted.
        Ok(found) if found.is_dir() => fs::read_dir(dir),
        Ok(_) => return Err(FileError::NotRegular { path: dir.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => Err(error),
    };
    let fail = |error| FileError::io("read", dir, error);
    let mut texts = BTreeMap::new();
    for entry in entries.map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_none_or(|it| it != "json") || stem.starts_with('.') {
            continue;
        }
        if texts.len() >= SERVERS_MAX {
            return Err(FileError::TooLarge { path: dir.to_owned() });
        }
        if let Some(text) = whole_file::read_text(&path, links)? {
            texts.insert(stem.to_owned(), text);
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests;
