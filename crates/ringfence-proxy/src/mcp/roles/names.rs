//! What the name of a tool, or of an argument, tells of what it is for.

use super::ArgumentRole;
use super::walk::Said;

/// What is known of a tool while its arguments are looked at.
#[derive(Debug, Clone)]
pub(super) struct About {
    words: Vec<String>,
    does: Does,
    described: String,
}

impl About {
    pub(super) fn new(tool: &str, description: &str) -> About {
        let words = words(tool);
        About { does: Does::of(&words), described: description.to_lowercase(), words }
    }

    /// What an argument is for. What its server says of it may add a role, and takes none away.
    pub(super) fn role(&self, said: &Said) -> ArgumentRole {
        let of_format = said.formats.iter().find_map(|format| match format.as_str() {
            "uri" | "url" | "iri" | "uri-reference" | "iri-reference" => Some(ArgumentRole::Url),
            "email" | "idn-email" => Some(ArgumentRole::Email),
            "hostname" | "idn-hostname" | "ipv4" | "ipv6" => Some(ArgumentRole::Host),
            _ => None,
        });
        let or = |role: ArgumentRole, other: &dyn Fn() -> ArgumentRole| {
            if role == ArgumentRole::None { other() } else { role }
        };
        let of = || if is_plain(&said.name) { self.named(&said.of) } else { ArgumentRole::None };
        let described = || {
            let first = said.described.iter().map(|text| self.named(&first_noun(text)));
            first.min().unwrap_or(ArgumentRole::None)
        };
        of_format.unwrap_or_else(|| or(or(self.named(&said.name), &of), &described))
    }

    /// What an argument is for, by its name alone.
    pub(super) fn named(&self, name: &str) -> ArgumentRole {
        let words = words(name);
        let has = |all: &[&str]| words.iter().any(|word| all.contains(&word.as_str()));
        let last = words.last().map(String::as_str).unwrap_or_default();
        let about_files = || self.speaks_of(PATHS);
        if QUALITIES.contains(&last) {
            ArgumentRole::None
        } else if has(URLS) {
            ArgumentRole::Url
        } else if has(PATHS) || (PLACES.contains(&last) && about_files()) {
            self.path(has(SOURCES))
        } else if has(HOSTS) {
            ArgumentRole::Host
        } else if has(EMAILS) || (has(ADDRESSEES) && self.speaks_of(EMAILS)) {
            ArgumentRole::Email
        } else if has(SQLS) || (has(STATEMENTS) && self.is_about_sql()) {
            ArgumentRole::Sql
        } else if has(COMMANDS) {
            ArgumentRole::Command
        } else {
            ArgumentRole::None
        }
    }

    /// What a text is for under a name that may be one of a place, or of anything else: an absolute path, one in the
    /// home, or an address is what it looks like.
    pub(super) fn by_look(&self, name: &str, text: &str) -> ArgumentRole {
        let role = self.named(name);
        if role != ArgumentRole::None || !may_be_place(name) {
            return role;
        }
        self.by_look_alone(name, text)
    }

    /// The same under a name that the caller chose, for the tool takes any: whatever that is.
    pub(super) fn by_look_alone(&self, name: &str, text: &str) -> ArgumentRole {
        let role = self.named(name);
        if role != ArgumentRole::None {
            return role;
        }
        let lower = text.trim_start().to_lowercase();
        let scheme = lower.split_once("://").map(|(scheme, _)| scheme);
        let is_scheme = |it: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            !it.is_empty() && it.bytes().all(plain)
        };
        if scheme.is_some_and(is_scheme) || lower.starts_with("file:") {
            return ArgumentRole::Url;
        }
        // A comment in code begins alike.
        let is_code = lower.starts_with("//") || lower.starts_with("/*") || lower.contains('\n');
        let is_path = lower.starts_with(['/', '~']) || lower.starts_with("../") || lower == "..";
        if is_path && !is_code {
            let words = words(name);
            return self.path(words.iter().any(|word| SOURCES.contains(&word.as_str())));
        }
        ArgumentRole::None
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
            "databases",
            "sqlite",
            "postgres",
            "postgresql",
            "mysql",
            "mariadb",
            "duckdb",
            "bigquery",
            "snowflake",
            "select",
            "db",
            "table",
            "tables",
        ])
    }
}

/// Whether an argument of this name is sometimes a file or an address, and as often anything else.
pub(super) fn may_be_place(name: &str) -> bool {
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let is_quality =
        QUALITIES.contains(&last) || ["timezone", "language", "branch"].contains(&last);
    let has = |word: &String| AMBIGUOUS.contains(&word.as_str()) || PLACES.contains(&word.as_str());
    // Behind another word it is a direction: `time_out`, `left_out`.
    let is_alone = words.len() == 1 && last == "out";
    !is_quality && (is_alone || words.iter().any(has))
}

/// Whether an argument of this name is the directory that the others begin in.
pub(super) fn is_base(name: &str) -> bool {
    words(name).iter().any(|word| BASES.contains(&word.as_str()))
}

fn is_plain(name: &str) -> bool {
    let words = words(name);
    !words.is_empty() && words.iter().all(|word| PLAIN.contains(&word.as_str()))
}

/// The first word of a description that is not before a noun: of `The absolute path to a file`, `path`.
fn first_noun(described: &str) -> String {
    let words = described.split(|letter: char| !letter.is_alphanumeric());
    let mut words = words.filter(|word| !word.is_empty()).map(str::to_lowercase);
    let first = words.find(|word| !ARTICLES.contains(&word.as_str())).unwrap_or_default();
    // Only what is said beyond doubt: many arguments are about a file, and few are one.
    let beyond_doubt =
        ["path", "paths", "filepath", "filename", "url", "urls", "uri", "hostname", "email", "sql"];
    if beyond_doubt.contains(&first.as_str()) { first } else { String::new() }
}

/// What the name of a tool tells that it does; `None` where it tells nothing.
pub fn verb(tool: &str) -> Option<Does> {
    Does::told(&words(tool))
}

/// What a tool does, by the strictest of its words that tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It reads.
    Read,
    /// It reads in one place and writes in another.
    Copy,
    /// The same, and nothing is left in the first.
    Move,
    /// It removes.
    Delete,
    /// It writes.
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
    /// Whether it does nothing else than read.
    pub fn only_reads(self) -> bool {
        self == Does::Read
    }

    fn of(words: &[String]) -> Does {
        Does::told(words).unwrap_or(Does::Write)
    }

    fn told(words: &[String]) -> Option<Does> {
        let verb = |word: &String| {
            VERBS.iter().find(|(_, verbs)| verbs.contains(&word.as_str())).map(|(does, _)| *does)
        };
        let told: Vec<Does> = words.iter().filter_map(verb).collect();
        let strictest = [Does::Delete, Does::Move, Does::Write, Does::Copy, Does::Read];
        strictest.into_iter().find(|does| told.contains(does))
    }
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
    "dirs",
    "directory",
    "directories",
    "folder",
    "cwd",
    "workdir",
    "repo",
    "repository",
    "worktree",
    "pathname",
    "folders",
    "dirname",
    "basedir",
    "repos",
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
/// These are a file or an address where they look like one.
const AMBIGUOUS: &[&str] = &[
    "archive",
    "arg",
    "args",
    "arguments",
    "argv",
    "attachment",
    "attachments",
    "backup",
    "callback",
    "code",
    "conf",
    "config",
    "configuration",
    "database",
    "db",
    "doc",
    "document",
    "documents",
    "expression",
    "image",
    "images",
    "remote",
    "save",
    "template",
    "workspace",
];
const URLS: &[&str] =
    &["url", "urls", "uri", "uris", "href", "link", "links", "website", "webhook", "endpoint"];
const HOSTS: &[&str] =
    &["host", "hostname", "hosts", "hostnames", "domain", "domains", "fqdn", "ip"];
const EMAILS: &[&str] = &["email", "emails", "mail", "recipient", "recipients"];
/// These are, where the tool is about mail.
const ADDRESSEES: &[&str] = &["to", "cc", "bcc", "addressee"];
const SQLS: &[&str] = &["sql"];
const STATEMENTS: &[&str] = &["query", "queries", "statement", "statements"];
const COMMANDS: &[&str] = &["command", "commands", "cmd", "shell", "bash", "script", "commandline"];
/// A thing whose name ends so is not the thing that the words before it are: a `file_type` is no file.
const QUALITIES: &[&str] = &[
    "type", "types", "kind", "format", "encoding", "charset", "count", "size", "length", "limit",
    "mode", "timeout", "style", "order", "content", "contents", "subject", "body", "id",
];
/// Names that say nothing: what they are of tells.
const PLAIN: &[&str] = &["name", "value", "values", "text", "data", "full", "absolute", "relative"];
/// Directories that the other paths of a call begin in.
const BASES: &[&str] = &[
    "repo",
    "repository",
    "cwd",
    "workdir",
    "worktree",
    "root",
    "basedir",
    "project",
    "workspace",
];
/// What may stand before a noun at the beginning of a description.
const ARTICLES: &[&str] = &[
    "a",
    "an",
    "the",
    "absolute",
    "relative",
    "full",
    "local",
    "optional",
    "required",
    "file",
    "directory",
    "output",
    "input",
    "source",
    "target",
    "destination",
    "new",
    "valid",
    "list",
    "array",
    "of",
    "to",
    "one",
    "more",
    "or",
];

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
