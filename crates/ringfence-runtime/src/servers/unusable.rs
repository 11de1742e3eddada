//! Tools that no call could be held against: they are left out when a server is pinned, each with its reason.

use std::collections::BTreeMap;

use ringfence_core::{ServerName, ToolName};
use ringfence_proxy::mcp::schema::ArgumentSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{METHODS, ServerFile, digest, schema_of};

/// A tool that cannot be used, as a person was told of it: it is neither shown nor called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unusable {
    /// The digest of what its server said of it.
    pub sha256: String,
    /// Why it cannot be used.
    pub why: String,
}

impl Unusable {
    /// The tools that can be used, and those that cannot, by their names.
    pub fn apart(
        server: &ServerName,
        said: Vec<Value>,
    ) -> (Vec<Value>, BTreeMap<String, Unusable>) {
        let (mut usable, mut others) = (Vec::new(), BTreeMap::new());
        for definition in said {
            let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
            match arguments(server, name, &definition) {
                Ok(_) => usable.push(definition),
                Err(why) => {
                    let sha256 = digest(&definition);
                    others.insert(name.to_owned(), Unusable { sha256, why });
                }
            }
        }
        (usable, others)
    }
}

impl ServerFile {
    /// Why a tool that is said to be this cannot be used, where a person was told so of just this.
    pub fn why_unusable(&self, name: &str, said: &Value) -> Option<&str> {
        let known = self.unusable.get(name)?;
        (known.sha256 == digest(said)).then_some(&*known.why)
    }
}

/// What calls of a tool are held against; the error is why there is nothing.
pub(super) fn arguments(
    server: &ServerName,
    tool: &str,
    definition: &Value,
) -> Result<ArgumentSchema, String> {
    ToolName::new(server, tool).map_err(|error| error.to_string())?;
    if METHODS.iter().any(|(method, _)| *method == tool) {
        return Err("it is called as something that every server does".to_owned());
    }
    schema_of(definition).map_err(|error| error.to_string())
}
