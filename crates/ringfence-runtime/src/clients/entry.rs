//! What a client's file says of one server, in the words of all clients: how it is started or where it is, and which of
//! that is a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ringfence_core::FindingKind;
use ringfence_detect::Detectors;
use serde_json::{Map, Value};

use super::Entry;
use crate::environment::Environment;

/// What is taken over of an entry, or means nothing any more once that is done.
const CONSUMED: &[&str] = &[
    "type",
    "transport",
    "command",
    "args",
    "env",
    "env_vars",
    "url",
    "httpUrl",
    "serverUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "bearer_token_env_var",
];

/// What means the same for what is started in its place: servers run where `mcp run` does.
pub(super) const KEPT_ASIDE: &[&str] = &["cwd"];

/// What cannot be taken over, and why.
const NOT_TAKEN: &[(&str, &str)] = &[
    ("envFile", "its variables are in another file (`envFile`)"),
    ("headersHelper", "its headers come from a program (`headersHelper`)"),
    ("oauth", "it has a login of the client's own (`oauth`)"),
    ("sandbox", "it has a sandbox of the client's own (`sandbox`)"),
];

pub(super) fn is_consumed(name: &str) -> bool {
    CONSUMED.contains(&name) || KEPT_ASIDE.contains(&name)
}

/// A server as it can be added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// The program that is started, with its arguments.
    pub command: Vec<String>,
    /// Or where it listens.
    pub url: Option<String>,
    /// Variables that are no secrets.
    pub env: BTreeMap<String, String>,
    /// Headers that are no secrets.
    pub headers: BTreeMap<String, String>,
    /// Variables that are: they are never in a file of ours.
    pub secret_env: BTreeMap<String, Sensitive>,
    /// Headers that are.
    pub secret_headers: BTreeMap<String, Sensitive>,
    /// The variables of this environment that it takes something from.
    pub variables: BTreeSet<String>,
}

/// Something that nobody else should have.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive {
    /// What stands before it in a header: `Bearer`.
    pub prefix: String,
    /// Where it is.
    pub is: Reference,
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq)]
pub enum Reference {
    /// Here.
    Value(String),
    /// In a variable of the environment that the client is started in.
    Variable(String),
}

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sensitive")
    }
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reference")
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq)]
pub enum Understood {
    /// A server that can be added.
    Server(Box<Described>),
    /// It starts `ringfence mcp` already.
    Already,
    /// It cannot be taken over, and why.
    Not(String),
}

/// What the words of a client stand for.
struct Words<'a> {
    environment: &'a Environment,
    home: &'a Path,
    project: &'a Path,
}

impl Entry {
    /// What is said of the server; variables of clients that are files stand for those of `home` and `project`.
    pub fn understood(&self, environment: &Environment, home: &Path, project: &Path) -> Understood {
        let Some(said) = self.said.as_object() else {
            return Understood::Not("it is no object".to_owned());
        };
        let project = self.project.as_deref().map_or(project, Path::new);
        let words = Words { environment, home, project };
        if let Some((_, why)) = NOT_TAKEN.iter().find(|(name, _)| said.contains_key(*name)) {
            return Understood::Not((*why).to_owned());
        }
        match words.described(said) {
            Ok(described) if is_ours(&described.command) => Understood::Already,
            Ok(described) => Understood::Server(Box::new(described)),
            Err(why) => Understood::Not(why),
        }
    }
}

/// Whether a command line starts us.
fn is_ours(command: &[String]) -> bool {
    let mut words = command.iter();
    let program = words.next().map(|word| Path::new(word).file_name().unwrap_or_default());
    program.is_some_and(|name| name == "ringfence") && words.next().is_some_and(|it| it == "mcp")
}

impl Words<'_> {
    fn described(&self, said: &Map<String, Value>) -> Result<Described, String> {
        let mut all = Described::default();
        if let Some(program) = text(said, "command")? {
            all.command.push(self.filled("command", program)?);
            for word in texts(said, "args")? {
                all.command.push(self.filled("args", &word)?);
            }
        }
        for key in ["url", "httpUrl", "serverUrl"] {
            if let Some(url) = text(said, key)? {
                all.url = Some(self.filled(key, url)?);
            }
        }
        if all.command.is_empty() == all.url.is_none() {
            return Err("it says neither one `command` nor one `url`".to_owned());
        }
        for (name, value) in pairs(said, "env")? {
            self.variable(&mut all, &name, &value)?;
        }
        for name in texts(said, "env_vars")? {
            self.variable(&mut all, &name, &format!("${{{name}}}"))?;
        }
        for key in ["headers", "http_headers"] {
            for (name, value) in pairs(said, key)? {
                self.header(&mut all, &name, &value)?;
            }
        }
        for (name, variable) in pairs(said, "env_http_headers")? {
            self.header(&mut all, &name, &format!("${{{variable}}}"))?;
        }
        if let Some(variable) = text(said, "bearer_token_env_var")? {
            self.header(&mut all, "Authorization", &format!("Bearer ${{{variable}}}"))?;
        }
        // A word of the command line is seen by everybody on the host, and would be in our file.
        if let Some(at) = secret_word(&all.command) {
            return Err(format!(
                "a secret stands in its arguments (the {at}. word): put it into a variable"
            ));
        }
        Ok(all)
    }

    fn variable(&self, all: &mut Described, name: &str, value: &str) -> Result<(), String> {
        let reference = self.reference(name, value)?;
        if let Some(Reference::Variable(variable)) = &reference {
            all.variables.insert(variable.clone());
        }
        match reference {
            Some(Reference::Variable(variable)) if is_secret(name, "") => {
                let is = Reference::Variable(variable);
                all.secret_env.insert(name.to_owned(), Sensitive { prefix: String::new(), is });
            }
            Some(Reference::Variable(variable)) => {
                let value = self.environment.text(&variable).ok_or_else(|| {
                    format!("`{name}` is the client's `${variable}`, which is not set here")
                })?;
                if is_secret(name, value) {
                    let is = Reference::Variable(variable);
                    all.secret_env.insert(name.to_owned(), Sensitive { prefix: String::new(), is });
                } else {
                    all.env.insert(name.to_owned(), value.to_owned());
                }
            }
            Some(Reference::Value(value)) => {
                all.env.insert(name.to_owned(), value);
            }
            None if is_secret(name, value) => {
                let is = Reference::Value(value.to_owned());
                all.secret_env.insert(name.to_owned(), Sensitive { prefix: String::new(), is });
            }
            None => {
                all.env.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    fn header(&self, all: &mut Described, name: &str, value: &str) -> Result<(), String> {
        let (prefix, rest) = match value.trim().split_once(' ') {
            Some((scheme, rest))
                if ["bearer", "basic", "token"].contains(&scheme.to_ascii_lowercase().as_str()) =>
            {
                (scheme.to_owned(), rest.trim())
            }
            Some(_) | None => (String::new(), value.trim()),
        };
        let reference = self.reference(name, rest)?;
        if let Some(Reference::Variable(variable)) = &reference {
            all.variables.insert(variable.clone());
        }
        let is_secret = !prefix.is_empty()
            || is_secret(name, rest)
            || matches!(reference, Some(Reference::Variable(_)));
        if !is_secret {
            all.headers.insert(name.to_owned(), value.to_owned());
            return Ok(());
        }
        let is = reference.unwrap_or_else(|| Reference::Value(rest.to_owned()));
        all.secret_headers.insert(name.to_owned(), Sensitive { prefix, is });
        Ok(())
    }

    /// What a value that is a variable of the client's stands for; `None` where it is none.
    fn reference(&self, name: &str, value: &str) -> Result<Option<Reference>, String> {
        if !value.contains('$') {
            return Ok(None);
        }
        let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.filter(|inner| !inner.contains(['$', '{', '}']));
        let plain = value.strip_prefix('$');
        let variable = inner.map(|inner| inner.strip_prefix("env:").unwrap_or(inner)).or(plain);
        if let Some(variable) = variable.filter(|it| is_variable(it)) {
            return Ok(Some(Reference::Variable(variable.to_owned())));
        }
        if inner.is_some_and(|inner| inner.starts_with("input:")) {
            return Err(format!(
                "the client asks for `{name}` when it starts: keep it as a secret of its own first"
            ));
        }
        if value.contains("${") {
            return self.filled(name, value).map(|text| Some(Reference::Value(text)));
        }
        Ok(None)
    }

    /// A text with the directories that clients have words for.
    fn filled(&self, of: &str, text: &str) -> Result<String, String> {
        let at = |path: &Path| path.to_str().map(str::to_owned);
        let mut filled = text.to_owned();
        for (word, path) in [
            ("${workspaceFolder}", self.project),
            ("${workspaceRoot}", self.project),
            ("${userHome}", self.home),
            ("${HOME}", self.home),
            ("${env:HOME}", self.home),
        ] {
            if filled.contains(word) {
                let path = at(path).ok_or_else(|| format!("`{of}`: a path that is not UTF-8"))?;
                filled = filled.replace(word, &path);
            }
        }
        if let Some((_, rest)) = filled.split_once("${") {
            let word: String = rest.chars().take_while(|it| *it != '}').take(40).collect();
            return Err(format!("`{of}` has `${{{word}}}`, which only the client can fill in"));
        }
        Ok(filled)
    }
}

fn is_variable(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars().all(plain) && name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
}

/// Which word of a command line is a secret, by its form or by the option before it; the program is word 0.
fn secret_word(words: &[String]) -> Option<usize> {
    let mut option = "";
    for (at, word) in words.iter().enumerate() {
        let (name, value) = match word.strip_prefix('-') {
            Some(rest) => rest.split_once('=').unwrap_or((rest, "")),
            None => (option, word.as_str()),
        };
        if !value.is_empty() && (is_secret(name, value) || is_secret("", value)) {
            return Some(at);
        }
        option = if word.starts_with('-') && !word.contains('=') { name } else { "" };
    }
    None
}

/// Words in the names of what is secret.
const SECRET_WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "key",
    "credential",
    "credentials",
    "auth",
    "authorization",
    "cookie",
    "pat",
    "dsn",
];

/// Words that say where a secret is, and are none.
const ABOUT_SECRETS: &[&str] = &["file", "path", "dir", "name", "id", "url", "type", "public"];

/// Whether a value is one that nobody else should have, by its name or by what it looks like.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|it: char| !it.is_ascii_alphanumeric()).collect();
    let last = words.last().copied().unwrap_or_default();
    let named =
        words.iter().any(|word| SECRET_WORDS.contains(word)) && !ABOUT_SECRETS.contains(&last);
    let has_login = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    });
    let found = || {
        let all = Detectors::shared().look(value);
        all.iter().any(|it| {
            it.kind == FindingKind::Secret && it.certainty != ringfence_core::Certainty::Noisy
        })
    };
    named || has_login || found()
}

fn text<'a>(said: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match said.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` is no text")),
    }
}

fn texts(said: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` is no list of texts");
    match said.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) => {
            all.iter().map(|it| it.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Named texts; numbers and truth values are written as such.
fn pairs(said: &Map<String, Value>, key: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("`{key}` are no named texts");
    let all = match said.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_object().ok_or_else(wrong)?,
    };
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong()),
    };
    all.iter().map(pair).collect()
}
