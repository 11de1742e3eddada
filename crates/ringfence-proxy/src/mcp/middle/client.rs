//! What comes from the client.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::frame::{
    Answer, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Members, Message,
    result_answer,
};
use super::gather::List;
use super::{
    Call, Called, Decided, Effect, Ended, Middle, Odd, PENDING_MAX, Phase, UnderWay, Waiting, Why,
    text_param, value_param,
};

/// A request of the client, taken apart.
pub(super) struct Asked<'a> {
    pub(super) id: &'a Id,
    pub(super) id_at: &'a Range<usize>,
    pub(super) method: &'a str,
    pub(super) params: Option<&'a Range<usize>>,
    pub(super) message: &'a Message,
}

impl Middle {
    /// A message of the client.
    pub fn from_client(&mut self, message: &Message) -> Vec<Effect> {
        match message.kind() {
            Kind::Request { id, id_at, method, params } => {
                let params = params.as_ref();
                self.request(&Asked { id, id_at, method, params, message })
            }
            Kind::Notification { method, params } => {
                self.notified(message, method, params.as_ref())
            }
            Kind::Response { id, id_at, answer } => {
                self.answered(message, id.as_ref(), id_at, answer)
            }
        }
    }

    fn request(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if self.under_way.contains_key(asked.id) {
            // Not answered by that name: the answer would be taken for the first one's.
            let what = format!("a request by a name that is in use: {}", asked.id.json());
            return vec![Effect::Odd(Odd { server: None, what })];
        }
        if self.under_way.len() >= PENDING_MAX {
            let told = format!("more than {PENDING_MAX} requests are under way");
            return vec![self.answer_error(asked.id, INVALID_REQUEST, &told)];
        }
        match (&self.phase, asked.method) {
            (Phase::New, "initialize") => self.begin(asked),
            (_, "ping") => vec![Effect::ToClient(result_answer(asked.id, "{}"))],
            (Phase::New | Phase::Asking, _) => {
                vec![self.answer_error(
                    asked.id,
                    INVALID_REQUEST,
                    "the session has not begun: `initialize` comes first",
                )]
            }
            (Phase::Open, "initialize") => {
                vec![self.answer_error(asked.id, INVALID_REQUEST, "the session has begun already")]
            }
            (Phase::Open, _) => self.open_request(asked),
        }
    }

    fn open_request(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if let Some(list) = List::of(asked.method) {
            return self.gather(list, asked);
        }
        match asked.method {
            "tools/call" => self.call_tool(asked),
            "prompts/get" => self.get_prompt(asked),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                self.resource(asked)
            }
            "completion/complete" => self.complete(asked),
            "logging/setLevel" => self.set_level(asked),
            _ => self.other(asked),
        }
    }

    fn call_tool(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
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
        let parts = vec![(name_at, super::quoted(own))];
        let what = Called::Tool(own.to_owned());
        self.decide(asked, (server, what), arguments, parts)
    }

    fn get_prompt(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let Some((name, name_at)) = text_param(asked.message, asked.params, "name") else {
            return self.wrong(asked, "`prompts/get` needs the `name` of a prompt");
        };
        let Some((server, own)) = self.unqualified(&name) else {
            return self.wrong(asked, &format!("there is no prompt `{name}`"));
        };
        let parts = vec![(name_at, super::quoted(own))];
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

    fn resource(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
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
    fn server_of(&self, uri: &str) -> Option<usize> {
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
    fn complete(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
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

    /// Every server that logs is told.
    fn set_level(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let all: Vec<usize> =
            self.present().filter(|server| self.offers(*server, "logging")).collect();
        if all.is_empty() {
            return vec![self.answer_error(asked.id, METHOD_NOT_FOUND, "no server logs")];
        }
        self.gather_from(List::Nothing, asked, &all)
    }

    /// What we do not know is decided by its name: a server may do anything when it is asked for it.
    fn other(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if !asked.method.contains('/') {
            // It would be decided as a tool of that name.
            let told = format!("there is no method `{}`", asked.method);
            return vec![self.answer_error(asked.id, METHOD_NOT_FOUND, &told)];
        }
        let mut servers = self.present();
        let (Some(server), None) = (servers.next(), servers.next()) else {
            drop(servers);
            let told = format!("`{}` cannot be told to one of several servers", asked.method);
            return vec![self.answer_error(asked.id, METHOD_NOT_FOUND, &told)];
        };
        drop(servers);
        let params = asked.params.and_then(|at| serde_json::from_str(asked.message.part(at)).ok());
        let params = params.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
        self.decide(asked, (server, method(asked)), params, Vec::new())
    }

    /// Has a request decided before it is passed on.
    fn decide(
        &mut self,
        asked: &Asked<'_>,
        (server, what): (usize, Called),
        arguments: Value,
        parts: Vec<(Range<usize>, String)>,
    ) -> Vec<Effect> {
        let ticket = self.number();
        let (id, message) = (asked.id.clone(), asked.message.clone());
        self.under_way.insert(id.clone(), UnderWay::Waiting(ticket));
        let waiting = Waiting { id, server, what: what.clone(), message, parts };
        self.waiting.insert(ticket, waiting);
        vec![Effect::Decide(Call { ticket, server, what, arguments })]
    }

    /// A call has been decided; one that nobody waits for any more is not passed on.
    pub fn decided(&mut self, ticket: u64, decided: Decided) -> Vec<Effect> {
        let Some(Waiting { id, server, what, message, mut parts }) = self.waiting.remove(&ticket)
        else {
            return Vec::new();
        };
        let Kind::Request { id_at, .. } = message.kind() else { return Vec::new() };
        let is_gone = self.servers.get(server).is_none_or(|seat| seat.is_gone);
        match (decided, what) {
            (Decided::Permit(_), _) if is_gone => {
                let code = super::super::frame::INTERNAL_ERROR;
                let told = self.answer_error(&id, code, "the server has ended");
                vec![told, Effect::Ended(ticket, Ended::Unanswered)]
            }
            (Decided::Permit(arguments), _) => {
                if let Some(new) = arguments {
                    let Some(at) = arguments_at(&message) else {
                        // What was decided about cannot be put there.
                        let code = super::super::frame::INTERNAL_ERROR;
                        let told = self.answer_error(&id, code, "the arguments have no place");
                        return vec![told, Effect::Ended(ticket, Ended::Unanswered)];
                    };
                    parts.push((at, new.to_string()));
                }
                let why = Why::Client(id, ticket);
                vec![self.send(server, why, (&message, id_at), &parts)]
            }
            // What a model can act on is an answer of the tool, not an error of the protocol.
            (Decided::Deny(why), Called::Tool(_)) => {
                self.under_way.remove(&id);
                vec![Effect::ToClient(result_answer(&id, &denied(&why)))]
            }
            (Decided::Deny(why), Called::Method(_)) => vec![self.answer_error(&id, DENIED, &why)],
        }
    }

    fn notified(
        &mut self,
        message: &Message,
        method: &str,
        params: Option<&Range<usize>>,
    ) -> Vec<Effect> {
        match (method, &self.phase) {
            ("notifications/cancelled", _) => self.cancelled(message, params),
            // A server may do what it is told without being asked for an answer.
            (_, _) if !method.starts_with("notifications/") => {
                let what = format!("`{method}` without an id");
                vec![Effect::Odd(Odd { server: None, what })]
            }
            (_, Phase::New | Phase::Asking) => {
                let what = format!("`{method}` before the session began");
                vec![Effect::Odd(Odd { server: None, what })]
            }
            (_, Phase::Open) => {
                let text = message.text().to_owned();
                self.present().map(|server| Effect::ToServer(server, text.clone())).collect()
            }
        }
    }

    /// Who has the request is told, by the name that it has there.
    fn cancelled(&mut self, message: &Message, params: Option<&Range<usize>>) -> Vec<Effect> {
        let found = params.and_then(|at| {
            let members = Members::of(message.part(at))?;
            let id = Id::read(members.get("requestId")?)?;
            let id_at = members.at("requestId")?;
            Some((id, at.start.saturating_add(id_at.start)..at.start.saturating_add(id_at.end)))
        });
        let Some((id, id_at)) = found else {
            return vec![Effect::Odd(Odd {
                server: None,
                what: "`notifications/cancelled` of nothing".to_owned(),
            })];
        };
        match self.under_way.get(&id).copied() {
            Some(UnderWay::Sent(number)) => {
                // Nobody waits for it any more: an answer that comes all the same is not passed on.
                self.under_way.remove(&id);
                let Some(sent) = self.sent.remove(&number) else { return Vec::new() };
                let text = message.with(vec![(id_at, Id::number(number).json())]);
                let told = Effect::ToServer(sent.server, text);
                match sent.why {
                    Why::Client(_, ticket) => vec![told, Effect::Ended(ticket, Ended::Unanswered)],
                    Why::Gathering(_) | Why::Initialize => vec![told],
                }
            }
            Some(UnderWay::Waiting(ticket)) => {
                self.under_way.remove(&id);
                self.waiting.remove(&ticket);
                vec![Effect::Withdraw(ticket)]
            }
            // `initialize` is not to be cancelled, and what is gathered ends by itself.
            Some(UnderWay::Gathering(_) | UnderWay::Initialize) | None => Vec::new(),
        }
    }

    /// An answer to what a server has asked.
    fn answered(
        &mut self,
        message: &Message,
        id: Option<&Id>,
        id_at: &Range<usize>,
        _: &Answer,
    ) -> Vec<Effect> {
        let asked = id.and_then(Id::as_number).and_then(|number| self.asked.remove(&number));
        if let Some((server, own)) = asked {
            return vec![Effect::ToServer(server, message.with(vec![(id_at.clone(), own.json())]))];
        }
        let what = "an answer to something that nobody asked".to_owned();
        vec![Effect::Odd(Odd { server: None, what })]
    }

    fn wrong(&mut self, asked: &Asked<'_>, told: &str) -> Vec<Effect> {
        vec![self.answer_error(asked.id, INVALID_PARAMS, told)]
    }
}

/// The code of the error that says that something is not permitted; not one of JSON-RPC's own.
pub(super) const DENIED: i64 = -32_003;

/// The answer of a tool that was not called.
fn denied(why: &str) -> String {
    format!(r#"{{"content":[{{"type":"text","text":{}}}],"isError":true}}"#, super::quoted(why))
}

fn method(asked: &Asked<'_>) -> Called {
    Called::Method(asked.method.to_owned())
}

/// The arguments of a call; absent ones are none.
fn arguments(asked: &Asked<'_>) -> Result<Value, String> {
    match value_param(asked.message, asked.params, "arguments") {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(object @ Value::Object(_)) => Ok(object),
        Some(_) => Err("`arguments` is no object".to_owned()),
    }
}

/// Where the arguments of a call are in its message.
fn arguments_at(message: &Message) -> Option<Range<usize>> {
    let Kind::Request { params: Some(params), .. } = message.kind() else { return None };
    let at = Members::of(message.part(params))?.at("arguments")?;
    Some(params.start.saturating_add(at.start)..params.start.saturating_add(at.end))
}

fn part_of(asked: &Asked<'_>, name: &str) -> Option<Range<usize>> {
    let params = asked.params?;
    let at = Members::of(asked.message.part(params))?.at(name)?;
    Some(params.start.saturating_add(at.start)..params.start.saturating_add(at.end))
}
