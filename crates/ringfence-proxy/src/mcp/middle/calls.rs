//! Requests of the client that one server answers: whose they are, and what is decided about them.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::frame::{Members, quoted};
use super::client::{Asked, method};
use super::{Called, Effect, Middle, text_param, value_param};

impl Middle {
    pub(super) fn call_tool(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let Some((name, name_at)) = text_param(asked.message, asked.params, "name") else {
            return self.wrong(asked, "`tools/call` needs the `name` of a tool");
        };
        let arguments = match arguments(asked) {
            Ok(arguments) => arguments,
            Err(wrong) => return self.wrong(asked, &wrong),
        };
        let Some((server, own)) = self.unqualified(&name) else {
            return self.wrong(asked, &format!("there is no tool `{name}`"));
        };
        let parts = vec![(name_at, quoted(own))];
        let what = Called::Tool(own.to_owned());
        self.decide(asked, (server, what), arguments, parts)
    }

    pub(super) fn get_prompt(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let Some((name, name_at)) = text_param(asked.message, asked.params, "name") else {
            return self.wrong(asked, "`prompts/get` needs the `name` of a prompt");
        };
        let Some((server, own)) = self.unqualified(&name) else {
            return self.wrong(asked, &format!("there is no prompt `{name}`"));
        };
        let parts = vec![(name_at, quoted(own))];
        let given = match arguments(asked) {
            Ok(arguments) => arguments,
            Err(wrong) => return self.wrong(asked, &wrong),
        };
        let of = Map::from_iter([
            ("name".to_owned(), Value::from(own)),
            ("arguments".to_owned(), given),
        ]);
        self.decide(asked, (server, method(asked)), Value::Object(of), parts)
    }

    pub(super) fn resource(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let Some((uri, _)) = text_param(asked.message, asked.params, "uri") else {
            return self.wrong(asked, &format!("`{}` needs the `uri` of a resource", asked.method));
        };
        let Some(server) = self.server_of(&uri) else {
            return self.wrong(asked, &format!("no server has listed the resource `{uri}`"));
        };
        let of = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.decide(asked, (server, method(asked)), Value::Object(of), Vec::new())
    }

    /// Which server has a resource: the only one, or who listed it.
    pub(super) fn server_of(&self, uri: &str) -> Option<usize> {
        if !self.is_merged() {
            return (!self.servers.is_empty()).then_some(0);
        }
        self.resources.get(uri).copied().or_else(|| {
            let fits = |(template, server): (&String, &usize)| {
                let (before, _) = template.split_once('{')?;
                uri.starts_with(before).then_some((before.len(), *server))
            };
            self.resources.iter().filter_map(fits).max().map(|(_, server)| server)
        })
    }

    /// What fits an argument of a prompt or a template: the server is told what was typed so far.
    pub(super) fn complete(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let reference = value_param(asked.message, asked.params, "ref").unwrap_or_default();
        let text = |key: &str| reference.get(key).and_then(Value::as_str).map(str::to_owned);
        let found = match (text("name"), text("uri")) {
            (Some(name), _) => {
                self.unqualified(&name).map(|(server, own)| (server, Some(own.to_owned())))
            }
            (None, Some(uri)) => self.server_of(&uri).map(|server| (server, None)),
            (None, None) => None,
        };
        let Some((server, own)) = found else {
            return self.wrong(
                asked,
                "`completion/complete` needs a `ref` to a prompt or resource that is there",
            );
        };
        let parts = match own.and_then(|own| {
            let ref_at = part_of(asked, "ref")?;
            let mut renamed = reference.clone();
            renamed.as_object_mut()?.insert("name".to_owned(), Value::from(own));
            Some((ref_at, renamed.to_string()))
        }) {
            Some(part) if self.is_merged() => vec![part],
            Some(_) | None => Vec::new(),
        };
        let arguments = value_param(asked.message, asked.params, "argument");
        let of = Map::from_iter([
            ("ref".to_owned(), reference),
            ("argument".to_owned(), arguments.unwrap_or_default()),
        ]);
        self.decide(asked, (server, method(asked)), Value::Object(of), parts)
    }
}

/// The arguments of a call; absent ones are none.
fn arguments(asked: &Asked<'_>) -> Result<Value, String> {
    match value_param(asked.message, asked.params, "arguments") {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(object @ Value::Object(_)) => Ok(object),
        Some(_) => Err("`arguments` is no object".to_owned()),
    }
}

fn part_of(asked: &Asked<'_>, name: &str) -> Option<Range<usize>> {
    let params = asked.params?;
    let at = Members::of(asked.message.part(params))?.at(name)?;
    Some(params.start.saturating_add(at.start)..params.start.saturating_add(at.end))
}
