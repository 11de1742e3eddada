//! A server that is added once more: what a person has said of its arguments stays where these are the same.

use ringfence_proxy::mcp::roles::{self, Place, Roles, Step};
use serde_json::Value;

use super::{Pinned, ServerFile};

impl ServerFile {
    /// Keeps the roles that a person has corrected in an older file, at places whose schema is the same now.
    pub fn keep_roles(&mut self, old: &ServerFile) {
        for (name, pinned) in &mut self.tools {
            if let Some(old) = old.tools.get(name) {
                pinned.keep_roles(name, old);
            }
        }
    }
}

impl Pinned {
    fn keep_roles(&mut self, tool: &str, old: &Pinned) {
        let proposed = old.proposed(tool);
        let (schema, schema_then) = (self.schema(), old.schema());
        // What a reference leads to may be another thing.
        let definitions = ["$defs", "definitions"];
        if definitions.iter().any(|key| schema.get(*key) != schema_then.get(*key)) {
            return;
        }
        let is_same = |place: &Place| match place.steps().first() {
            Some(Step::Name(name)) => {
                let property = |of: &Value| of.pointer("/properties")?.get(name).cloned();
                property(schema).is_some() && property(schema) == property(schema_then)
            }
            Some(Step::Any | Step::Names | Step::Members | Step::Below) | None => {
                schema == schema_then
            }
        };
        let corrected = old
            .roles
            .iter()
            .filter(|(place, role)| proposed.get(*place) != Some(*role) && is_same(place));
        let corrected: Roles = corrected.map(|(place, role)| (place.clone(), *role)).collect();
        self.roles.extend(corrected);
    }

    fn proposed(&self, tool: &str) -> Roles {
        let described = self.definition.get("description").and_then(Value::as_str);
        roles::propose(tool, described.unwrap_or_default(), self.schema())
    }

    fn schema(&self) -> &Value {
        self.definition.get("inputSchema").unwrap_or(&Value::Null)
    }
}
