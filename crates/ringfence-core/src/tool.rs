//! A call of a tool, as the policy sees it: which tool of which server, and its arguments as typed facts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Found;
use crate::act::hex;
use crate::trace_context::TraceContext;

/// Longest name of a server, in bytes.
pub const SERVER_NAME_BYTES_MAX: usize = 40;
/// Longest name of a tool, in bytes; the revision 2025-11-25 of MCP allows as many.
pub const TOOL_NAME_BYTES_MAX: usize = 128;

/// A server of tools, as the settings name it: small letters, digits and `-`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

/// A tool of a server: `SERVER/TOOL`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolName {
    server: ServerName,
    /// `SERVER/TOOL`, as policies and the log have it.
    full: String,
}

/// What is no name of a server or a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolNameError {
    /// Of a server.
    #[error(
        "`{0}` is no name of a server: at most {SERVER_NAME_BYTES_MAX} small letters, digits and `-`, a letter first"
    )]
    Server(String),
    /// Of a tool.
    #[error(
        "{0} is no name of a tool: 1 to {TOOL_NAME_BYTES_MAX} bytes without spaces and control characters"
    )]
    Tool(String),
    /// Without a server.
    #[error("`{0}` is not SERVER/TOOL")]
    Unqualified(String),
}

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = ToolNameError;
    fn from_str(text: &str) -> Result<ServerName, ToolNameError> {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let is_name = text.len() <= SERVER_NAME_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|letter| plain(letter) || letter == '-');
        if is_name {
            Ok(ServerName(text.to_owned()))
        } else {
            Err(ToolNameError::Server(text.to_owned()))
        }
    }
}

impl ToolName {
    /// A tool that `server` calls `tool`.
    pub fn new(server: &ServerName, tool: &str) -> Result<ToolName, ToolNameError> {
        let odd = |letter: char| letter.is_control() || letter.is_whitespace();
        if tool.is_empty() || tool.len() > TOOL_NAME_BYTES_MAX || tool.contains(odd) {
            let shown: String = tool.escape_debug().take(TOOL_NAME_BYTES_MAX).collect();
            return Err(ToolNameError::Tool(format!("`{shown}`")));
        }
        Ok(ToolName { server: server.clone(), full: format!("{server}/{tool}") })
    }

    /// What stands in a record for what a client called where no tool can be called so: the text itself, quoted, what is
    /// no letter escaped, and cut to what a name may be long.
    pub fn quoted(server: &ServerName, text: &str) -> ToolName {
        let escape = |letter: char| -> String {
            if letter.is_whitespace() || letter.is_control() {
                letter.escape_unicode().to_string()
            } else {
                letter.escape_debug().to_string()
            }
        };
        let mut quoted = String::from("\"");
        for part in text.chars().map(escape) {
            if quoted.len().saturating_add(part.len()) >= TOOL_NAME_BYTES_MAX {
                break;
            }
            quoted.push_str(&part);
        }
        quoted.push('"');
        ToolName { server: server.clone(), full: format!("{server}/{quoted}") }
    }

    /// Whose it is.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// What its server calls it.
    pub fn tool(&self) -> &str {
        self.full.get(self.server.0.len().saturating_add(1)..).unwrap_or_default()
    }

    /// `SERVER/TOOL`.
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl FromStr for ToolName {
    type Err = ToolNameError;
    fn from_str(text: &str) -> Result<ToolName, ToolNameError> {
        let unqualified = || ToolNameError::Unqualified(text.to_owned());
        let (server, tool) = text.split_once('/').ok_or_else(unqualified)?;
        ToolName::new(&server.parse()?, tool)
    }
}

/// An argument as a fact of the policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A number in units of 0.0001, rounded away from zero, and the nearest there is where it is too large.
    Decimal(i64),
    /// A text; of what has no type of its own, its JSON.
    Text(String),
    /// Several values, in no order.
    Set(Vec<Fact>),
    /// Named values.
    Record(BTreeMap<String, Fact>),
}

impl Fact {
    /// A number in units of 0.0001, rounded away from zero so that none looks smaller than it is.
    pub fn decimal(number: f64) -> Fact {
        let units = number * 10_000.0;
        let units = if units < 0.0 { units.floor() } else { units.ceil() };
        // What is too large becomes the nearest there is; what is no number, the largest.
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, on purpose")]
        let units = if units.is_nan() { i64::MAX } else { units as i64 };
        Fact::Decimal(units)
    }
}

/// As the value alone says: a number with a fraction is a decimal, and nothing is a text.
impl From<&Value> for Fact {
    fn from(value: &Value) -> Fact {
        match value {
            Value::Null => Fact::Text(value.to_string()),
            Value::Bool(is) => Fact::Bool(*is),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Fact::Long(number),
                None => Fact::decimal(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Fact::Text(text.clone()),
            Value::Array(all) => Fact::Set(all.iter().map(Fact::from).collect()),
            Value::Object(all) => Fact::Record(record(all)),
        }
    }
}

fn record(all: &serde_json::Map<String, Value>) -> BTreeMap<String, Fact> {
    all.iter().map(|(name, value)| (name.clone(), Fact::from(value))).collect()
}

/// What kind of fact an argument is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactType {
    /// [`Fact::Bool`].
    Bool,
    /// [`Fact::Long`].
    Long,
    /// [`Fact::Decimal`].
    Decimal,
    /// [`Fact::Text`].
    Text,
    /// [`Fact::Set`], all of one kind.
    Set(Box<FactType>),
    /// [`Fact::Record`].
    Record(Fields),
}

/// The members of a record, by name.
pub type Fields = BTreeMap<String, Field>;

/// A member of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Field {
    /// What it is.
    pub kind: FactType,
    /// Whether it is always there.
    pub required: bool,
}

/// A tool as rules may speak of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ToolShape {
    /// Which tool.
    pub tool: ToolName,
    /// Its arguments.
    pub arguments: Fields,
}

/// What the arguments of a call do, taken apart by their roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Meaning {
    /// The classes of all statements of SQL: `read`, `write`, `ddl`, `other`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sql: BTreeSet<String>,
    /// The tables these name, in small letters; one with a schema also without it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tables: BTreeSet<String>,
    /// The programs that commands start, by name.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<String>,
    /// The domains that mail is sent to.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub recipients: BTreeSet<String>,
    /// Some of it cannot be told before it is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub opaque: bool,
    /// The functions of SQL that make it so, for nobody knows that they only compute; no rule sees these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<String>,
}

impl Meaning {
    fn is_nothing(&self) -> bool {
        *self == Meaning::default()
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCall {
    /// Which tool.
    pub tool: ToolName,
    /// Its arguments as the policy sees them.
    pub arguments: BTreeMap<String, Fact>,
    /// What they do, as far as their roles tell.
    #[serde(default, skip_serializing_if = "Meaning::is_nothing")]
    pub meaning: Meaning,
    /// SHA-256 of the arguments as they were sent, lower-case hex.
    pub sha256: String,
    /// How many bytes those are.
    pub bytes: u64,
    /// Where it stands in a trace that its client has begun; what is decided does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The number of the client that calls, from 1, where a session has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// What its request has beside the name and the arguments, by name: `_meta.x`, `params.x`, or what stands beside
    /// those. No rule sees it, and its server has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
}

impl ToolCall {
    /// A call with these arguments, each the fact that its value alone says.
    pub fn new(tool: ToolName, arguments: &serde_json::Map<String, Value>) -> ToolCall {
        let facts = record(arguments);
        ToolCall::of(tool, facts, &Value::Object(arguments.clone()))
    }

    /// A call whose arguments are these facts, and were `sent` so.
    pub fn of(tool: ToolName, facts: BTreeMap<String, Fact>, sent: &Value) -> ToolCall {
        let sent = serde_json::to_vec(sent).unwrap_or_default();
        let (sha256, bytes) = (hex(&Sha256::digest(&sent)), sent.len() as u64);
        let meaning = Meaning::default();
        let (trace, client, beside) = (None, None, Vec::new());
        ToolCall { tool, arguments: facts, meaning, sha256, bytes, trace, client, beside }
    }

    /// The same call, whose arguments mean this.
    #[must_use]
    pub fn meaning(self, meaning: Meaning) -> ToolCall {
        ToolCall { meaning, ..self }
    }

    /// The same call in a trace.
    #[must_use]
    pub fn in_trace(self, trace: Option<TraceContext>) -> ToolCall {
        ToolCall { trace, ..self }
    }

    /// The same call, whose request has this besides.
    #[must_use]
    pub fn beside(self, beside: Vec<String>) -> ToolCall {
        ToolCall { beside, ..self }
    }

    /// The same call by one client of several.
    #[must_use]
    pub fn by(self, client: Option<u32>) -> ToolCall {
        ToolCall { client, ..self }
    }
}

/// What came of a call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUsage {
    /// Bytes of the server's answer, as it came.
    pub bytes_received: u64,
    /// From the decision to the answer, or to when none could come any more.
    pub duration_ms: u64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the answer had in it, by rule; never the thing itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// What the agent was warned of beside the answer: `same-call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loops: Option<String>,
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl TryFrom<String> for ServerName {
    type Error = ToolNameError;
    fn try_from(text: String) -> Result<ServerName, ToolNameError> {
        text.parse()
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> String {
        name.0
    }
}

impl TryFrom<String> for ToolName {
    type Error = ToolNameError;
    fn try_from(text: String) -> Result<ToolName, ToolNameError> {
        text.parse()
    }
}

impl From<ToolName> for String {
    fn from(name: ToolName) -> String {
        name.full
    }
}

/// A client of several came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCame {
    /// Its number in the session, from 1; its calls have it.
    pub client: u32,
    /// What it says that it is, JSON as it came, cut where it is long.
    pub said: String,
}

/// A message that was not passed on, or not as it came, and belongs to no call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddMessage {
    /// The server that sent it; the client where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The number of the client, where the session has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// What is odd about it, in a word: `duplicate-id`, `not-json`, `too-long`, `redacted` ...
    pub kind: String,
    /// The same in words.
    pub what: String,
    /// What it had in it, where detectors looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_servers_are_plain_and_names_of_tools_almost_anything() {
        for name in ["", "A", "1a", "a_b", "a/b", "-a", &"a".repeat(41)] {
            assert!(name.parse::<ServerName>().is_err(), "{name}");
        }
        let tool: ToolName = "files-2/read/File.x".parse().unwrap();
        assert_eq!((tool.server().as_str(), tool.tool()), ("files-2", "read/File.x"));
        assert_eq!(tool.to_string(), "files-2/read/File.x");
        for name in ["files", "files/", "files/a b", "files/a\u{1b}[2J", "Files/a"] {
            assert!(name.parse::<ToolName>().is_err(), "{name}");
        }
        let long = ToolName::new(tool.server(), &"a".repeat(129)).unwrap_err();
        assert!(long.to_string().contains("1 to 128 bytes"), "{long}");
        for (called, shown) in [
            ("", r#"f/"""#),
            ("a b", r#"f/"a\u{20}b""#),
            ("\u{1b}[2J\n", r#"f/"\u{1b}[2J\u{a}""#),
            ("\"", r#"f/"\"""#),
        ] {
            assert_eq!(ToolName::quoted(&"f".parse().unwrap(), called).as_str(), shown);
        }
        let long = ToolName::quoted(tool.server(), &"\u{2028}".repeat(10_000));
        assert!(long.as_str().parse::<ToolName>().is_ok(), "{long}");
    }
}
