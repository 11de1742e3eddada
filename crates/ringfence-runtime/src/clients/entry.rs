//! What a client's file says of one server, in the words of all clients: how it is started or where it is, and which of
//! that is a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::Entry;
use super::sensitive::{Looks, Sure, looks, named, option_of, parts_of_addresses, word_looks};
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
    /// Variables and headers that may be secrets, which only a person can tell: they stand among the others as well.
    pub unsure: BTreeMap<String, Sensitive>,
    /// What looks like a secret and would stand in our file in the clear.
    pub bare: Vec<Bare>,
    /// The variables of this environment that it takes something from.
    pub variables: BTreeSet<String>,
}

/// A secret that nothing can stand in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bare {
    /// The variable, or what it is part of.
    pub what: String,
    /// Why nothing can.
    pub why: &'static str,
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

impl Described {
    /// The same with one that may be a secret taken for one.
    pub fn keep_secret(&mut self, name: &str) {
        let Some(secret) = self.unsure.remove(name) else { return };
        if self.env.remove(name).is_some() {
            self.secret_env.insert(name.to_owned(), secret);
        } else if self.headers.remove(name).is_some() {
            self.secret_headers.insert(name.to_owned(), secret);
        }
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
                let url = self.filled(key, url)?;
                all.url = Some(address(&mut all, &url)?);
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
        words(&mut all)?;
        Ok(all)
    }

    fn variable(&self, all: &mut Described, name: &str, value: &str) -> Result<(), String> {
        let reference = self.reference(name, value)?;
        if let Some(Reference::Variable(variable)) = &reference {
            all.variables.insert(variable.clone());
        }
        let (is, value) = match reference {
            Some(Reference::Variable(variable)) => {
                let known = self.environment.text(&variable);
                if known.is_none() && named(name) != Some(Looks::Credential) {
                    return Err(format!(
                        "`{name}` is the client's `${variable}`, which is not set here"
                    ));
                }
                let value = known.unwrap_or(STANDS_FOR_ANY).to_owned();
                (Reference::Variable(variable), value)
            }
            Some(Reference::Value(value)) => (Reference::Value(value.clone()), value),
            None => (Reference::Value(value.to_owned()), value.to_owned()),
        };
        let secret = Sensitive { prefix: String::new(), is };
        match looks(name, &value) {
            Looks::Credential => {
                all.secret_env.insert(name.to_owned(), secret);
                return Ok(());
            }
            Looks::Unsure => {
                all.unsure.insert(name.to_owned(), secret);
            }
            Looks::Bare(why) => all.bare.push(Bare { what: format!("the variable `{name}`"), why }),
            Looks::Plain => {}
        }
        all.env.insert(name.to_owned(), value);
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
        let is_for_sure = !prefix.is_empty() || matches!(reference, Some(Reference::Variable(_)));
        let is = reference.unwrap_or_else(|| Reference::Value(rest.to_owned()));
        let secret = Sensitive { prefix, is };
        match if is_for_sure { Looks::Credential } else { looks(name, rest) } {
            Looks::Credential | Looks::Bare(_) => {
                all.secret_headers.insert(name.to_owned(), secret);
                return Ok(());
            }
            Looks::Unsure => {
                all.unsure.insert(name.to_owned(), secret);
            }
            Looks::Plain => {}
        }
        all.headers.insert(name.to_owned(), value.to_owned());
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
                "the client asks for `{name}` when it starts: run `ringfence secret add NAME --for HOST --env {name}` first"
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

/// Stands for a value that is not here: a name that tells says all.
const STANDS_FOR_ANY: &str = "-";

/// Where the words of the command line are secrets: each is seen by everybody on the host, and would be in our file.
fn words(all: &mut Described) -> Result<(), String> {
    let mut option = "";
    for (at, word) in all.command.iter().enumerate() {
        match word_looks(option, word) {
            Looks::Plain => {}
            Looks::Unsure => all.bare.push(Bare {
                what: format!("word {at} of its command"),
                why: "is random, and may be a key",
            }),
            Looks::Credential | Looks::Bare(_) => {
                return Err(format!(
                    "a secret stands in its arguments (the {at}. word): take it out, run `ringfence secret add NAME --for HOST --env VARIABLE`, and have the server read that variable"
                ));
            }
        }
        option = option_of(word);
    }
    Ok(())
}

/// Servers that are known to take the key of a parameter in a header as well: host, parameter, header, and what stands
/// before the key. Source: their own manuals.
const TAKEN_IN_HEADERS: &[(&str, &str, &str, &str)] =
    &[("mcp.tavily.com", "tavilyApiKey", "Authorization", "Bearer")];

/// The address of a server, without a key whose server takes it in a header; the error says what else is in it.
fn address(all: &mut Described, url: &str) -> Result<String, String> {
    let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#', ':']).next());
    let mut left = url.to_owned();
    for part in parts_of_addresses(url) {
        let known = TAKEN_IN_HEADERS.iter().find(|(of, parameter, ..)| {
            Some(*of) == host && part.parameter.is_some_and(|it| it == *parameter)
        });
        match (known, part.parameter, part.sure) {
            (Some((_, parameter, header, prefix)), _, _) => {
                left = without(&left, parameter, part.value);
                let is = Reference::Value(part.value.to_owned());
                let secret = Sensitive { prefix: (*prefix).to_owned(), is };
                all.secret_headers.insert((*header).to_owned(), secret);
            }
            (None, Some(parameter), Sure::Yes) => {
                return Err(format!(
                    "a secret stands in its address (`{parameter}`), and whether the server takes it in a header is not known"
                ));
            }
            (None, None, Sure::Yes) => {
                return Err("a login stands in its address: run `ringfence secret add NAME --for HOST`, and add the server with `--header 'Authorization: Bearer ${secret:NAME}'`".to_owned());
            }
            (None, parameter, Sure::No) => {
                let of = parameter.map(|it| format!("`{it}` in its address"));
                all.bare.push(Bare {
                    what: of.unwrap_or_else(|| "a part of its address".to_owned()),
                    why: "is random, and may be a key",
                });
            }
        }
    }
    Ok(left)
}

/// An address without one of its parameters.
fn without(url: &str, name: &str, value: &str) -> String {
    let pair = format!("{name}={value}");
    let Some((before, after)) = url.split_once(&pair) else { return url.to_owned() };
    match after.strip_prefix('&') {
        Some(more) => format!("{before}{more}"),
        None => format!("{}{after}", before.trim_end_matches(['?', '&'])),
    }
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
