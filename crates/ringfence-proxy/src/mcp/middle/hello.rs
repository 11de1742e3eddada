//! What servers say of themselves, as the client is told it: in the words of either era, and several as one.

use serde_json::{Map, Value, json};

use super::super::edit;
use super::super::frame::{INTERNAL_ERROR, Members, quoted};
use super::super::revision::Revision;
use super::asker::{self, SERVER_INFO};
use super::{Era, Middle, older};

impl Middle {
    /// The answer to `initialize`, in the revision that the client asks for, whatever its servers speak; the error is
    /// the one that the client gets.
    pub(super) fn session_hello(&self, wanted: &str) -> Result<String, String> {
        let known = wanted.parse::<Revision>().ok().filter(|it| it.has_sessions());
        let wanted = known.unwrap_or(Revision::LATEST_WITH_SESSIONS);
        let begun: Vec<_> = self.servers.iter().filter(|seat| seat.hello.is_some()).collect();
        match begun.as_slice() {
            [] if !self.is_alone() => Err(self.refusal()),
            [seat] if !self.is_merged() && seat.era() == Some(Era::Session) => {
                Ok(known.map_or_else(|| seat.said.clone(), |it| older::hello(it, &seat.said)))
            }
            [seat] if !self.is_merged() => {
                let info = Members::of(&seat.said).and_then(|all| all.get("_meta"));
                let info = info.and_then(Members::of).and_then(|meta| meta.get(SERVER_INFO));
                let unknown = || json!({"name": seat.name, "version": "unknown"}).to_string();
                let said = edit::within(Some(&seat.said), "_meta", &[(SERVER_INFO, None)]);
                let changes = [
                    ("supportedVersions", None),
                    ("resultType", None),
                    ("ttlMs", None),
                    ("cacheScope", None),
                    ("protocolVersion", Some(quoted(wanted.name()))),
                    ("serverInfo", Some(info.map_or_else(unknown, str::to_owned))),
                ];
                Ok(edit::object(Some(&said), &changes))
            }
            _ => {
                let mut merged = self.merged();
                // Nobody could say whose list it is.
                if let Some(Value::Object(tasks)) =
                    merged.get_mut("capabilities").and_then(|all| all.get_mut("tasks"))
                {
                    tasks.remove("list");
                }
                merged.insert("serverInfo".to_owned(), own());
                Ok(older::hello(wanted, &Value::Object(merged).to_string()))
            }
        }
    }

    /// The answer to `server/discover`.
    pub(super) fn discover(&self) -> Result<String, String> {
        let begun: Vec<_> = self.servers.iter().filter(|seat| seat.hello.is_some()).collect();
        let versions = Some(json!(asker::supported()).to_string());
        let private = ("cacheScope", Some(quoted("private")));
        let complete = ("resultType", Some(quoted("complete")));
        match begun.as_slice() {
            [] if !self.is_alone() => Err(self.refusal()),
            [seat] if !self.is_merged() && seat.era() == Some(Era::Modern) => {
                let changes = [("supportedVersions", versions), private];
                Ok(edit::object(Some(&seat.said), &changes))
            }
            [seat] if !self.is_merged() => {
                let members = Members::of(&seat.said);
                let raw = |name: &str| members.as_ref().and_then(|all| all.get(name));
                // Tasks of 2025-11-25 are others than those of the extension.
                let capabilities = edit::object(raw("capabilities"), &[("tasks", None)]);
                let info = raw("serverInfo").map(str::to_owned);
                let said = edit::within(Some(&seat.said), "_meta", &[(SERVER_INFO, info)]);
                let changes = [
                    complete,
                    ("supportedVersions", versions),
                    ("capabilities", Some(capabilities)),
                    ("protocolVersion", None),
                    ("serverInfo", None),
                    ("ttlMs", Some("0".to_owned())),
                    private,
                ];
                Ok(edit::object(Some(&said), &changes))
            }
            _ => {
                let mut merged = self.merged();
                if let Some(all) = merged.get_mut("capabilities").and_then(Value::as_object_mut) {
                    all.remove("tasks");
                }
                merged.insert("_meta".to_owned(), json!({SERVER_INFO: own()}));
                let text = Value::Object(merged).to_string();
                let ttl = ("ttlMs", Some("0".to_owned()));
                let changes = [complete, ("supportedVersions", versions), ttl, private];
                Ok(edit::object(Some(&text), &changes))
            }
        }
    }

    /// Whether there was no server from the beginning: the gate answers as itself then, and has no tools.
    pub(super) fn is_alone(&self) -> bool {
        self.servers.iter().all(|seat| seat.is_left_out)
    }

    fn refusal(&self) -> String {
        let refused = self.hello.as_ref().and_then(|hello| hello.refused.clone());
        let plain = || format!(r#"{{"code":{INTERNAL_ERROR},"message":"there is no server"}}"#);
        refused.unwrap_or_else(plain)
    }

    /// What several servers have and say, as one; of none, that there are tools, though the list is empty.
    fn merged(&self) -> Map<String, Value> {
        let seats = self.servers.iter();
        let hellos: Vec<(&str, &Value)> =
            seats.filter_map(|seat| Some((seat.name.as_str(), seat.hello.as_ref()?))).collect();
        let mut capabilities = Map::new();
        if self.is_alone() {
            capabilities.insert("tools".to_owned(), json!({}));
        }
        for (_, hello) in &hellos {
            let all = hello.get("capabilities").and_then(Value::as_object);
            for (name, value) in all.into_iter().flatten() {
                join(capabilities.entry(name.clone()).or_insert_with(|| json!({})), value);
            }
        }
        let said = hellos.iter().filter_map(|(name, hello)| {
            let text = hello.get("instructions")?.as_str()?;
            Some(format!("{name}:\n{text}"))
        });
        let instructions = said.collect::<Vec<_>>().join("\n\n");
        let mut result = Map::new();
        result.insert("capabilities".to_owned(), Value::Object(capabilities));
        if !instructions.is_empty() {
            result.insert("instructions".to_owned(), Value::from(instructions));
        }
        result
    }
}

fn own() -> Value {
    json!({"name": "ringfence", "version": env!("CARGO_PKG_VERSION")})
}

/// What either has.
fn join(into: &mut Value, other: &Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (name, value) in other {
                join(into.entry(name.clone()).or_insert_with(|| value.clone()), value);
            }
        }
        (into @ Value::Bool(false), Value::Bool(true)) => *into = Value::Bool(true),
        (_, _) => {}
    }
}
