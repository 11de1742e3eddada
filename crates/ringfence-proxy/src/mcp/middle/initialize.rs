//! The beginning: the client's `initialize` goes to every server, and their answers make one.

use serde_json::{Map, Value, json};

use super::super::frame::{
    Answer, INTERNAL_ERROR, INVALID_PARAMS, Id, Members, Message, quoted, result_answer,
};
use super::super::revision::Revision;
use super::client::Asked;
use super::{Effect, Middle, Odd, Phase, UnderWay, Why, text_param};

/// The client's `initialize`.
#[derive(Debug)]
pub(super) struct Hello {
    id: Id,
    /// Servers that have not answered.
    left: usize,
    /// The last answer, as it came.
    answer: Option<String>,
    /// Why a server would not.
    refused: Option<String>,
}

impl Middle {
    pub(super) fn begin(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if text_param(asked.message, asked.params, "protocolVersion").is_none() {
            let told = "`initialize` needs the `protocolVersion`";
            return vec![self.answer_error(asked.id, INVALID_PARAMS, told)];
        }
        let servers: Vec<usize> = self.present().collect();
        let hello =
            Hello { id: asked.id.clone(), left: servers.len(), answer: None, refused: None };
        (self.phase, self.hello) = (Phase::Asking, Some(hello));
        self.under_way.insert(asked.id.clone(), UnderWay::Initialize);
        if servers.is_empty() {
            return self.begun().into_iter().collect();
        }
        let message = (asked.message, asked.id_at);
        servers.into_iter().map(|server| self.send(server, Why::Initialize, message, &[])).collect()
    }

    /// A server has answered, or ended before it did.
    pub(super) fn greeted(
        &mut self,
        server: usize,
        answered: Option<(&Message, &Answer)>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(hello) = &mut self.hello else { return effects };
        hello.left = hello.left.saturating_sub(1);
        let answered = match answered {
            Some((message, Answer::Result(at))) => usable(message.part(at)),
            Some((message, Answer::Error(at))) => Err(message.part(at).to_owned()),
            None => {
                let why = self.servers.get(server).and_then(|seat| seat.why.as_deref());
                let why = quoted(why.unwrap_or("the server ended before it began"));
                Err(format!(r#"{{"code":{INTERNAL_ERROR},"message":{why}}}"#))
            }
        };
        match (answered, self.servers.get_mut(server)) {
            (Ok((value, text)), Some(seat)) => {
                (seat.hello, hello.answer) = (Some(value), Some(text));
            }
            (Err(why), Some(seat)) => {
                seat.is_gone = true;
                let what = format!("no usable answer to `initialize`: {why}");
                effects.push(Effect::Odd(Odd { server: Some(server), what }));
                hello.refused = Some(why);
            }
            (_, None) => {}
        }
        if hello.left == 0 {
            effects.extend(self.begun());
        }
        effects
    }

    /// All have answered.
    fn begun(&mut self) -> Option<Effect> {
        let Hello { id, answer, refused, .. } = self.hello.take()?;
        self.under_way.remove(&id);
        let merged = if self.is_merged() { self.merged() } else { answer };
        let Some(result) = merged else {
            self.phase = Phase::New;
            let plain = || format!(r#"{{"code":{INTERNAL_ERROR},"message":"there is no server"}}"#);
            let error = refused.unwrap_or_else(plain);
            let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.json());
            return Some(Effect::ToClient(text));
        };
        self.phase = Phase::Open;
        Some(Effect::ToClient(result_answer(&id, &result)))
    }

    /// The answers of several servers as one; `None` where nobody has answered. The revision is the oldest
    /// of theirs: what a newer one has besides, the client will not ask for.
    fn merged(&self) -> Option<String> {
        let hellos: Vec<(&str, &Value)> = self
            .servers
            .iter()
            .filter_map(|seat| Some((seat.name.as_str(), seat.hello.as_ref()?)))
            .collect();
        let revision =
            |hello: &Value| hello.get("protocolVersion")?.as_str()?.parse::<Revision>().ok();
        let oldest = hellos.iter().filter_map(|(_, hello)| revision(hello)).min()?;
        let mut capabilities = Map::new();
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
        let mut result = json!({
            "protocolVersion": oldest.name(),
            "capabilities": capabilities,
            "serverInfo": {"name": "ringfence", "version": env!("CARGO_PKG_VERSION")},
        });
        if let Some(result) = result.as_object_mut().filter(|_| !instructions.is_empty()) {
            result.insert("instructions".to_owned(), Value::from(instructions));
        }
        Some(result.to_string())
    }
}

/// An answer that says which revision, and one that is spoken here; else the error that the client gets.
fn usable(text: &str) -> Result<(Value, String), String> {
    let wrong = |why: &str| Err(json!({"code": INTERNAL_ERROR, "message": why}).to_string());
    let Ok(value) = serde_json::from_str::<Value>(text) else { return wrong("no JSON") };
    let version =
        Members::of(text).and_then(|all| all.get("protocolVersion").and_then(super::string));
    match version.as_deref().map(str::parse::<Revision>) {
        Some(Ok(revision)) if revision.has_sessions() => Ok((value, text.to_owned())),
        Some(Ok(other)) => {
            wrong(&format!("the revision `{other}` does not begin with `initialize`"))
        }
        Some(Err(other)) => {
            wrong(&format!("the server speaks the revision `{other}`, which is not known here"))
        }
        None => wrong("the server does not say which revision it speaks"),
    }
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
