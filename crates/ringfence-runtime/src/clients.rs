//! Settings of clients of MCP, as they stand in a person's home and in projects: which servers they start, and the same
//! files with `ringfence mcp run` in their place.
//!
//! What is not understood is left as it is and told. Nothing of a file is changed but the entries that were taken over.

mod backup;
mod covered;
mod entry;
mod json;
mod sensitive;
mod toml;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::ServerName;
use serde::Serialize;
use serde_json::Value;

use crate::whole_file::FileError;

pub use backup::{Backups, Brought, Extent, Undo, lies_beside};
pub use covered::{covered, covered_address, covered_words};
pub use entry::{Bare, Described, Reference, Sensitive, Understood};

/// Largest file of a client, in bytes: some keep all that they remember in it.
pub const CLIENT_FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Most servers in one file.
const SERVERS_MAX: usize = 200;

/// A client whose settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// Claude Code.
    Claude,
    /// Claude Desktop.
    ClaudeDesktop,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    Vscode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
}

/// Where a file says which servers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON with this member.
    Json(&'static str),
    /// TOML with the table `mcp_servers`.
    Toml,
}

impl Form {
    /// The servers that a text tells of.
    fn entries(self, text: &str) -> Result<Vec<Entry>, String> {
        match self {
            Form::Json(member) => json::entries(text, member),
            Form::Toml => toml::entries(text),
        }
    }

    /// The text with some of its entries, by name and project, as they stand in another.
    fn with_those_of(
        self,
        text: &str,
        other: &str,
        entries: &[(&str, Option<&str>)],
    ) -> Result<String, String> {
        match self {
            Form::Json(member) => json::with_those_of(text, other, (member, entries)),
            Form::Toml => toml::with_those_of(text, other, entries),
        }
    }
}

impl Client {
    /// All of them.
    pub const ALL: [Client; 6] = [
        Client::Claude,
        Client::ClaudeDesktop,
        Client::Cursor,
        Client::Vscode,
        Client::Codex,
        Client::Gemini,
    ];

    /// Its name on the command line, and what the policy calls the agent.
    pub fn name(self) -> &'static str {
        match self {
            Client::Claude => "claude",
            Client::ClaudeDesktop => "claude-desktop",
            Client::Cursor => "cursor",
            Client::Vscode => "vscode",
            Client::Codex => "codex",
            Client::Gemini => "gemini",
        }
    }

    /// Its files below the home.
    fn below_home(self) -> &'static [&'static str] {
        match self {
            Client::Claude => &[".claude.json"],
            Client::ClaudeDesktop => &[
                ".config/Claude/claude_desktop_config.json",
                "Library/Application Support/Claude/claude_desktop_config.json",
            ],
            Client::Cursor => &[".cursor/mcp.json"],
            Client::Vscode => {
                &[".config/Code/User/mcp.json", "Library/Application Support/Code/User/mcp.json"]
            }
            Client::Codex => &[".codex/config.toml"],
            Client::Gemini => &[".gemini/settings.json"],
        }
    }

    /// Its files in a home.
    pub(crate) fn own_files(self, home: &Path) -> impl Iterator<Item = PathBuf> {
        self.below_home().iter().map(|below| home.join(below))
    }

    /// Its files in a project.
    fn in_project(self) -> &'static [&'static str] {
        match self {
            Client::Claude => &[".mcp.json"],
            Client::ClaudeDesktop => &[],
            Client::Cursor => &[".cursor/mcp.json"],
            Client::Vscode => &[".vscode/mcp.json"],
            Client::Codex => &[".codex/config.toml"],
            Client::Gemini => &[".gemini/settings.json"],
        }
    }

    fn form(self) -> Form {
        match self {
            Client::Vscode => Form::Json("servers"),
            Client::Codex => Form::Toml,
            Client::Claude | Client::ClaudeDesktop | Client::Cursor | Client::Gemini => {
                Form::Json("mcpServers")
            }
        }
    }

    /// Whose file this is, by its name.
    pub fn of_file(path: &Path) -> Option<Client> {
        let has = |client: &Client| {
            let all = client.below_home().iter().chain(client.in_project());
            let mut all = all.map(Path::new);
            all.any(|below| path.ends_with(below))
        };
        Client::ALL.into_iter().find(has)
    }

    /// The files that it may have.
    pub fn files(self, home: &Path, project: &Path) -> Vec<PathBuf> {
        let own = self.below_home().iter().map(|below| home.join(below));
        let mut files: Vec<PathBuf> =
            own.chain(self.in_project().iter().map(|below| project.join(below))).collect();
        files.dedup();
        files
    }
}

impl std::str::FromStr for Client {
    type Err = String;
    fn from_str(text: &str) -> Result<Client, String> {
        Client::ALL.into_iter().find(|client| client.name() == text).ok_or_else(|| {
            let all = Client::ALL.map(Client::name).join(", ");
            format!("`{text}` is none of the clients that are known: {all}")
        })
    }
}

/// A server in a client's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What the client calls it.
    pub name: String,
    /// The project that it is for, where the file has several.
    pub project: Option<String>,
    /// What is said of it.
    pub said: Value,
}

/// A client's file.
#[derive(Debug, Clone)]
pub struct ClientFile {
    /// Whose it is.
    pub client: Client,
    /// Where it is, links resolved.
    pub path: PathBuf,
    text: String,
    mode: u32,
    /// The servers in it.
    pub entries: Vec<Entry>,
}

/// Why a client's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not one that can be understood.
    #[error("`{}`: {why}", path.display())]
    Odd {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Somebody else has written it meanwhile.
    #[error("`{}` was changed while it was looked at", .0.display())]
    Changed(PathBuf),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// What was remembered of backups cannot be used.
    #[error("`{}`, which says what was made of clients' files, cannot be used: {why}", path.display())]
    Remembered {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl ClientFile {
    /// Whether it is the client's own in the home, wherever links lead from there.
    pub fn is_persons(&self, home: &Path) -> bool {
        let own = |name: &str| fs::canonicalize(home.join(name)).is_ok_and(|it| it == self.path);
        self.client.below_home().iter().any(|name| own(name))
    }

    /// Reads a client's file; `None` where there is none. It lies, links followed, in one of `within`.
    pub fn read(
        client: Client,
        path: &Path,
        within: &[&Path],
    ) -> Result<Option<ClientFile>, ClientError> {
        let odd = |why: String| ClientError::Odd { path: path.to_owned(), why };
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ClientError::Read { path: path.to_owned(), source }),
        };
        let within = within.iter().filter_map(|dir| fs::canonicalize(dir).ok());
        if !within.into_iter().any(|dir| real.starts_with(&dir)) {
            return Err(odd(
                "a link leads out of your home, or of the project that has it".to_owned()
            ));
        }
        let (text, mode) = read(&real)?;
        let entries = client.form().entries(&text).map_err(odd)?;
        if entries.len() > SERVERS_MAX {
            return Err(odd(format!("it has more than {SERVERS_MAX} servers")));
        }
        Ok(Some(ClientFile { client, path: real, text, mode, entries }))
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with these entries, by their place among [`ClientFile::entries`], started by `program` in place of what
    /// they were, each under the name that is ours; and which of them lose comments by that.
    pub fn with(
        &self,
        taken: &[(usize, &ServerName)],
        program: &str,
    ) -> Result<(String, Vec<String>), ClientError> {
        let odd = |why: String| ClientError::Odd { path: self.path.clone(), why };
        let instead: Vec<(&Entry, json::Instead)> = taken
            .iter()
            .filter_map(|(at, name)| {
                let args = ["mcp", "run", name.as_str(), "--agent", self.client.name()];
                let args = args.map(str::to_owned).to_vec();
                Some((self.entries.get(*at)?, json::Instead { program: program.to_owned(), args }))
            })
            .collect();
        match self.client.form() {
            Form::Json(member) => {
                json::with(&self.text, member, &instead, self.client).map_err(odd)
            }
            Form::Toml => {
                toml::with(&self.text, &instead).map(|text| (text, Vec::new())).map_err(odd)
            }
        }
    }
}

/// The text of a file and its permission bits.
fn read(path: &Path) -> Result<(String, u32), ClientError> {
    let failed = |source| ClientError::Read { path: path.to_owned(), source };
    let odd = |why: &str| ClientError::Odd { path: path.to_owned(), why: why.to_owned() };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(odd("it is no file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(CLIENT_FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > CLIENT_FILE_BYTES_MAX {
        return Err(odd(&format!("it has more than {CLIENT_FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| odd("it is not UTF-8"))?;
    Ok((text, metadata.permissions().mode() & 0o777))
}

/// A name of ours for a client's server; `None` where nothing of it can stand in one.
pub fn name_for(name: &str) -> Option<ServerName> {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        plain if plain.is_ascii_lowercase() || plain.is_ascii_digit() => plain,
        _ => '-',
    };
    let plain: String = name.chars().map(letter).collect();
    let words = plain.split('-').filter(|word| !word.is_empty());
    let plain = words.collect::<Vec<_>>().join("-");
    let plain = plain.trim_start_matches(|letter: char| !letter.is_ascii_lowercase());
    let short: String = plain.chars().take(ringfence_core::SERVER_NAME_BYTES_MAX).collect();
    short.trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests;
