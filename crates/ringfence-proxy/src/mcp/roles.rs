//! What an argument is for: a path that is read, an address, a command. Rules on files and hosts hold for
//! arguments with such a role.
//!
//! Proposed by rule, from names and schemas, and put before a person, who has the last word. What is said
//! of a tool by its server (its description, its hints) may only make a role stricter.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Deepest level of arguments in which roles are looked for.
const LEVELS_MAX: usize = 4;
/// Most arguments of a tool that can have a role.
const ROLES_MAX: usize = 256;

/// What an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArgumentRole {
    /// A file or directory that is read.
    ReadPath,
    /// A file or directory that is created or changed; it may be read as well.
    WritePath,
    /// A file or directory that is removed or moved away; it may be read as well.
    DeletePath,
    /// An address that is fetched or sent to.
    Url,
    /// A host that is connected to.
    Host,
    /// An address that mail is sent to.
    Email,
    /// Statements of SQL.
    Sql,
    /// A command of a shell.
    Command,
}

/// Every role, in the order of its name's declaration.
const ALL: [ArgumentRole; 8] = [
    ArgumentRole::ReadPath,
    ArgumentRole::WritePath,
    ArgumentRole::DeletePath,
    ArgumentRole::Url,
    ArgumentRole::Host,
    ArgumentRole::Email,
    ArgumentRole::Sql,
    ArgumentRole::Command,
];

impl ArgumentRole {
    /// The role's name in pins and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ArgumentRole::ReadPath => "read-path",
            ArgumentRole::WritePath => "write-path",
            ArgumentRole::DeletePath => "delete-path",
            ArgumentRole::Url => "url",
            ArgumentRole::Host => "host",
            ArgumentRole::Email => "email",
            ArgumentRole::Sql => "sql",
            ArgumentRole::Command => "command",
        }
    }
}

impl fmt::Display for ArgumentRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ArgumentRole {
    type Err = String;
    fn from_str(text: &str) -> Result<ArgumentRole, String> {
        ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| text.to_owned())
    }
}

/// Roles by the place of their argument: names joined by dots, `[]` for the members of an array.
pub type Roles = BTreeMap<String, ArgumentRole>;

/// The roles of a tool's arguments, by rule.
pub fn propose(tool: &str, description: &str, schema: &Value) -> Roles {
    let words = words(tool);
    let about = About { does: Does::of(&words), described: description.to_lowercase(), words };
    let mut roles = Roles::new();
    about.look_in(schema, (schema, String::new()), 0, &mut roles);
    roles
}

/// What a tool does, by the first of its words that tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Read,
    Copy,
    Move,
    Delete,
    Write,
}

/// Words that tell what a tool does. What none tells is taken to write.
const VERBS: &[(Does, &[&str])] = &[
    (
        Does::Read,
        &[
            "read", "get", "list", "search", "find", "view", "show", "stat", "status", "info",
            "tree", "head", "tail", "cat", "diff", "log", "open", "load", "describe", "grep",
            "glob", "count", "inspect", "check", "query", "fetch", "download",
        ],
    ),
    (Does::Copy, &["copy", "cp", "clone", "upload"]),
    (Does::Move, &["move", "mv", "rename"]),
    (Does::Delete, &["delete", "remove", "rm", "unlink", "trash", "purge", "clean", "erase"]),
    (
        Does::Write,
        &[
            "write", "create", "edit", "update", "append", "save", "mkdir", "make", "put", "set",
            "add", "insert", "patch", "replace", "commit", "checkout", "reset", "init", "touch",
            "apply", "modify", "restore",
        ],
    ),
];

impl Does {
    fn of(words: &[String]) -> Does {
        let verb = |word: &String| {
            VERBS.iter().find(|(_, verbs)| verbs.contains(&word.as_str())).map(|(does, _)| *does)
        };
        let told: Vec<Does> = words.iter().filter_map(verb).collect();
        let strictest = [Does::Delete, Does::Move, Does::Write, Does::Copy, Does::Read];
        strictest.into_iter().find(|does| told.contains(does)).unwrap_or(Does::Write)
    }
}

/// What is known of a tool while its arguments are looked at.
struct About {
    words: Vec<String>,
    does: Does,
    described: String,
}

/// Where a thing comes from, and where it goes.
const SOURCES: &[&str] = &["source", "src", "from", "old"];
const PATHS: &[&str] = &[
    "path",
    "paths",
    "file",
    "files",
    "filename",
    "filepath",
    "filenames",
    "dir",
    "directory",
    "directories",
    "folder",
    "cwd",
    "workdir",
    "repo",
    "repository",
    "worktree",
];
/// These are places too, where the tool is about files.
const PLACES: &[&str] = &[
    "source",
    "src",
    "destination",
    "dest",
    "dst",
    "target",
    "root",
    "location",
    "output",
    "input",
];
const URLS: &[&str] = &["url", "urls", "uri", "href", "link", "website", "webhook"];
const HOSTS: &[&str] = &["host", "hostname", "hosts", "domain", "fqdn", "ip"];
const EMAILS: &[&str] = &["email", "emails", "mail", "recipient", "recipients"];
/// These are, where the tool is about mail.
const ADDRESSEES: &[&str] = &["to", "cc", "bcc", "addressee"];
const SQLS: &[&str] = &["sql"];
const STATEMENTS: &[&str] = &["query", "statement", "statements"];
const COMMANDS: &[&str] = &["command", "commands", "cmd", "shell", "bash", "script", "commandline"];

impl About {
    fn look_in(
        &self,
        root: &Value,
        (schema, place): (&Value, String),
        level: usize,
        roles: &mut Roles,
    ) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, schema) in properties {
            let schema = resolved(root, schema);
            let at = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let (schema, at) = match schema.get("items").filter(|_| is(schema, "array")) {
                Some(items) => (resolved(root, items), format!("{at}[]")),
                None => (schema, at),
            };
            if roles.len() >= ROLES_MAX {
                return;
            }
            if takes_text(schema)
                && let Some(role) = self.role(name, schema)
            {
                roles.insert(at, role);
            } else if level < LEVELS_MAX {
                self.look_in(root, (schema, at), level.saturating_add(1), roles);
            }
        }
    }

    fn role(&self, name: &str, schema: &Value) -> Option<ArgumentRole> {
        let words = words(name);
        let has = |all: &[&str]| words.iter().any(|word| all.contains(&word.as_str()));
        match schema.get("format").and_then(Value::as_str) {
            Some("uri" | "url" | "iri" | "uri-reference") => return Some(ArgumentRole::Url),
            Some("email" | "idn-email") => return Some(ArgumentRole::Email),
            Some("hostname" | "idn-hostname" | "ipv4" | "ipv6") => return Some(ArgumentRole::Host),
            Some(_) | None => {}
        }
        let about_files = self.speaks_of(PATHS);
        if has(URLS) {
            Some(ArgumentRole::Url)
        } else if has(PATHS) || (about_files && has(PLACES)) {
            Some(self.path(has(SOURCES)))
        } else if has(HOSTS) {
            Some(ArgumentRole::Host)
        } else if has(EMAILS) || (self.speaks_of(EMAILS) && has(ADDRESSEES)) {
            Some(ArgumentRole::Email)
        } else if has(SQLS) || (self.is_about_sql() && has(STATEMENTS)) {
            Some(ArgumentRole::Sql)
        } else if has(COMMANDS) {
            Some(ArgumentRole::Command)
        } else {
            None
        }
    }

    fn path(&self, is_source: bool) -> ArgumentRole {
        match self.does {
            Does::Read => ArgumentRole::ReadPath,
            Does::Copy if is_source => ArgumentRole::ReadPath,
            Does::Move if is_source => ArgumentRole::DeletePath,
            Does::Delete => ArgumentRole::DeletePath,
            Does::Copy | Does::Move | Does::Write => ArgumentRole::WritePath,
        }
    }

    /// Whether the tool's name has one of these words, or its description.
    fn speaks_of(&self, all: &[&str]) -> bool {
        let named = self.words.iter().any(|word| all.contains(&word.as_str()));
        let said = |word: &str| all.contains(&word);
        named || self.described.split(|letter: char| !letter.is_alphanumeric()).any(said)
    }

    fn is_about_sql(&self) -> bool {
        self.speaks_of(&[
            "sql",
            "database",
            "sqlite",
            "postgres",
            "postgresql",
            "mysql",
            "select",
            "db",
        ])
    }
}

/// The words of a name, in small letters: `readTextFile`, `read_text_file` and `read-text-file` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_small = false;
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before_is_small;
        if !letter.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            last.extend(letter.to_lowercase());
        }
        before_is_small = letter.is_lowercase() || letter.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let to = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    to.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn is(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(all)) => all.iter().any(|one| one == name),
        Some(_) | None => false,
    }
}

/// Whether a value may be a text: what says nothing of its type may be.
fn takes_text(schema: &Value) -> bool {
    let of_choices =
        ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
    is(schema, "string")
        || of_choices.flatten().any(takes_text)
        || (schema.get("type").is_none() && schema.get("properties").is_none())
}

/// The texts at a place of the arguments; `None` where something else than a text is there, which a role
/// cannot be told of.
pub fn texts<'a>(arguments: &'a Value, place: &str) -> Option<Vec<&'a str>> {
    let mut found = vec![arguments];
    for part in place.split('.') {
        let (name, members) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        let mut next = Vec::new();
        for value in found {
            match value.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::Array(all)) if members => next.extend(all),
                Some(_) if members => return None,
                Some(value) => next.push(value),
            }
        }
        found = next;
    }
    found.into_iter().map(Value::as_str).collect()
}

/// Puts other texts in the place of those at a place of the arguments.
pub fn replace(
    arguments: &mut Value,
    place: &str,
    with: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<(), String> {
    let (part, rest) = match place.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (place, None),
    };
    let (name, members) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
    let found: Vec<&mut Value> = match arguments.get_mut(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) if members => all.iter_mut().collect(),
        Some(_) if members => return Err("it is no array".to_owned()),
        Some(value) => vec![value],
    };
    for value in found {
        match (rest, value) {
            (Some(rest), value) => replace(value, rest, with)?,
            (None, Value::String(text)) => *text = with(text)?,
            (None, _) => return Err("it is no text".to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
    fn proposed(tool: &str, description: &str, properties: Value) -> Vec<String> {
        let schema = json!({"type": "object", "properties": properties});
        let roles = propose(tool, description, &schema);
        roles.iter().map(|(place, role)| format!("{place}: {role}")).collect()
    }

    #[test]
    fn paths_are_read_written_or_removed_by_what_the_tool_does() {
        let text = json!({"type": "string"});
        let of = |tool: &str| {
            proposed(tool, "", json!({"path": text.clone(), "head": {"type": "number"}}))
        };
        for tool in
            ["read_text_file", "list_directory", "getFileInfo", "search-files", "git_status"]
        {
            assert_eq!(of(tool), ["path: read-path"], "{tool}");
        }
        for tool in [
            "write_file",
            "createDirectory",
            "edit_file",
            "frobnicate",
            "read_or_write",
            "git_commit",
        ] {
            assert_eq!(of(tool), ["path: write-path"], "{tool}");
        }
        assert_eq!(of("delete_file"), ["path: delete-path"]);
        let two = json!({"source": text.clone(), "destination": text.clone()});
        assert_eq!(
            proposed("move_file", "", two.clone()),
            ["destination: write-path", "source: delete-path"]
        );
        assert_eq!(
            proposed("copy_file", "", two.clone()),
            ["destination: write-path", "source: read-path"]
        );
        // About something else than files.
        assert_eq!(proposed("translate", "from one language into another", two), [] as [&str; 0]);
        let all = json!({"paths": {"type": "array", "items": text.clone()}, "repo_path": text});
        assert_eq!(
            proposed("read_multiple_files", "", all),
            ["paths[]: read-path", "repo_path: read-path"]
        );
    }

    #[test]
    fn what_a_server_says_of_a_tool_makes_nothing_weaker() {
        let path = json!({"path": {"type": "string", "description": "only ever read"}});
        assert_eq!(
            proposed("write_file", "This tool only reads. Read, get, list.", path),
            ["path: write-path"]
        );
    }

    #[test]
    fn addresses_mail_statements_and_commands_are_known() {
        let text = json!({"type": "string"});
        assert_eq!(
            proposed("fetch", "", json!({"url": {"type": "string", "format": "uri"}})),
            ["url: url"]
        );
        assert_eq!(
            proposed("x", "", json!({"callback": {"type": "string", "format": "uri"}})),
            ["callback: url"]
        );
        assert_eq!(proposed("ping", "", json!({"hostname": text.clone()})), ["hostname: host"]);
        assert_eq!(
            proposed(
                "send_email",
                "",
                json!({"to": {"type": "array", "items": text.clone()}, "body": text.clone()})
            ),
            ["to[]: email"]
        );
        assert_eq!(proposed("route", "", json!({"to": text.clone()})), [] as [&str; 0]);
        assert_eq!(
            proposed("query", "Run a SELECT on the database", json!({"query": text.clone()})),
            ["query: sql"]
        );
        assert_eq!(
            proposed("search", "Search the web", json!({"query": text.clone()})),
            [] as [&str; 0]
        );
        assert_eq!(proposed("run", "", json!({"command": text})), ["command: command"]);
    }

    #[test]
    fn roles_are_found_within_what_is_nested() {
        let schema = json!({
            "type": "object",
            "properties": {
                "edits": {"type": "array", "items": {"$ref": "#/$defs/edit"}},
                "options": {"type": "object", "properties": {"maybeFile": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            },
            "$defs": {"edit": {"type": "object", "properties": {"file": {"type": "string"}}}},
        });
        let roles = propose("edit", "", &schema);
        let places: Vec<&str> = roles.keys().map(String::as_str).collect();
        assert_eq!(places, ["edits[].file", "options.maybeFile"]);
        let arguments =
            json!({"edits": [{"file": "a"}, {}, {"file": "b"}], "options": {"maybeFile": null}});
        assert_eq!(texts(&arguments, "edits[].file").unwrap(), ["a", "b"]);
        assert_eq!(texts(&arguments, "options.maybeFile").unwrap(), [] as [&str; 0]);
        assert_eq!(texts(&json!({"edits": [{"file": ["a"]}]}), "edits[].file"), None);
        assert_eq!(texts(&json!({"edits": "a"}), "edits[].file"), None);
    }
}
