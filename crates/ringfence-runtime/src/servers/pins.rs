//! What a server says of its tools now, against what a person has seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ServerFile;
use crate::whole_file::sha256_hex;

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// What it wants agents to know of it.
    pub instructions: Option<String>,
    /// Its tools.
    pub tools: Vec<Value>,
}

impl ServerFile {
    /// What is pinned of it.
    pub fn said(&self) -> Said {
        let tools = self.tools.values().map(|pinned| pinned.definition.clone()).collect();
        Said { instructions: self.instructions.clone(), tools }
    }
}

/// How a server differs from what is pinned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "what", content = "tool")]
pub enum Difference {
    /// A tool that nobody has seen.
    New(String),
    /// A tool that is said to be something else.
    Changed(String),
    /// A tool that is gone.
    Gone(String),
    /// A tool that is told of twice.
    Twice(String),
    /// What it wants agents to know of it is something else.
    Instructions,
}

impl Difference {
    /// Every difference between what is pinned and what a server says.
    pub fn all(file: &ServerFile, said: &Said) -> Vec<Difference> {
        let pinned = &file.tools;
        let mut differences = Vec::new();
        if file.instructions != said.instructions {
            differences.push(Difference::Instructions);
        }
        let mut seen = BTreeSet::new();
        for tool in &said.tools {
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            if !seen.insert(name) {
                differences.push(Difference::Twice(name.to_owned()));
                continue;
            }
            match pinned.get(name) {
                // A person was told that it is left out.
                None if file.why_unusable(name, tool).is_some() => {}
                None => differences.push(Difference::New(name.to_owned())),
                Some(pinned) if digest(&pinned.definition) != digest(tool) => {
                    differences.push(Difference::Changed(name.to_owned()));
                }
                Some(_) => {}
            }
        }
        let gone = pinned.keys().filter(|name| !seen.contains(name.as_str()));
        differences.extend(gone.map(|name| Difference::Gone(name.clone())));
        differences
    }
}

/// SHA-256 of a definition, lower-case hex: of its JSON with the keys in order and no spaces, so that how it was
/// written does not count.
pub fn digest(definition: &Value) -> String {
    let mut text = String::new();
    write(definition, &mut text);
    sha256_hex(text.as_bytes())
}

fn write(value: &Value, into: &mut String) {
    match value {
        Value::Object(all) => {
            let ordered: BTreeMap<&String, &Value> = all.iter().collect();
            into.push('{');
            for (number, (name, value)) in ordered.into_iter().enumerate() {
                if number > 0 {
                    into.push(',');
                }
                into.push_str(&Value::from(name.as_str()).to_string());
                into.push(':');
                write(value, into);
            }
            into.push('}');
        }
        Value::Array(all) => {
            into.push('[');
            for (number, value) in all.iter().enumerate() {
                if number > 0 {
                    into.push(',');
                }
                write(value, into);
            }
            into.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push_str(&value.to_string());
        }
    }
}
