//! What comes from the client.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::frame::{
    Frame, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Members,
    Message, error_answer, quoted, result_answer,
};
use super::super::revision::Revision;
use super::asker::{self, Asker, Facts};
use super::beside;
use super::gather::List;
use super::passing::Passed;
use super::traced::Traced;
use super::{
    Call, Called, Decided, Effect, Ended, Era, IN_USE, Middle, Name, OddKind, PENDING_MAX, Phase,
    UnderWay, Waiting, held, odd, text_param,
};

/// A request of the client, taken apart.
pub(super) struct Asked<'a> {
    pub(super) name: Name,
    pub(super) asker: Asker,
    pub(super) method: &'a str,
    pub(super) params: Option<&'a Range<usize>>,
    pub(super) message: &'a Message,
}

/// Whether a server may want to know more before it answers this.
pub(super) fn may_be_asked_again(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Methods that 2026-07-28 has no more.
const REMOVED: [&str; 6] = [
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

/// Methods that sessions do not have.
const MODERN: [&str; 4] = ["server/discover", "subscriptions/listen", "tasks/update", "initialize"];

impl Middle {
    /// What the client sent at once. Several messages have a place in the revision 2025-03-26 alone; each of them
    /// is answered by itself.
    pub fn frame_from_client(&mut self, stream: u64, frame: &Frame) -> Vec<Effect> {
        let messages = match frame {
            Frame::One(message) => return self.from_client_on(stream, message),
            Frame::Batch(messages) => messages,
        };
        let revision = self.session.as_ref().and_then(|session| session.revision);
        if revision.is_some_and(Revision::has_batches) && messages.len() <= PENDING_MAX {
            return messages.iter().flat_map(|it| self.from_client_on(stream, it)).collect();
        }
        let told = "several messages at once have no place here";
        let answer = Effect::to(stream, error_answer(None, INVALID_REQUEST, told));
        self.counted(vec![answer, odd(None, OddKind::Batch, told)])
    }

    /// A message of the client.
    pub fn from_client(&mut self, message: &Message) -> Vec<Effect> {
        self.from_client_on(0, message)
    }

    /// The same where what belongs to it does not go to the client at large: over HTTP a message has an answer of
    /// its own. A stream is used for one message and never again; 0 is the client at large.
    pub fn from_client_on(&mut self, stream: u64, message: &Message) -> Vec<Effect> {
        let effects = self.on(stream, message);
        self.counted(effects)
    }

    pub(super) fn on(&mut self, stream: u64, message: &Message) -> Vec<Effect> {
        match message.kind() {
            Kind::Request { id, method, params, .. } => {
                let params = params.as_ref();
                let name = Name { stream, id: id.clone() };
                let asker = Asker::Session;
                self.request(Asked { name, asker, method, params, message })
            }
            Kind::Notification { method, params } => {
                self.notified(stream, message, (method, params.as_ref()))
            }
            Kind::Response { id, id_at, answer } => {
                self.client_answers(message, id.as_ref(), (id_at, answer))
            }
        }
    }

    /// Over HTTP, whoever waited on a stream does not any more: with 2026-07-28 what was asked there is cancelled.
    pub fn closed(&mut self, stream: u64) -> Vec<Effect> {
        let names: Vec<Name> =
            self.under_way.keys().filter(|name| name.stream == stream).cloned().collect();
        let effects: Vec<Effect> = names.iter().flat_map(|name| self.cancel(name, None)).collect();
        self.counted(effects)
    }

    fn request(&mut self, mut asked: Asked<'_>) -> Vec<Effect> {
        if self.under_way.contains_key(&asked.name) {
            // Not answered by that name: the answer would be taken for the first one's.
            let answer = error_answer(None, INVALID_REQUEST, IN_USE);
            let what = format!("a request by a name that is in use: {}", asked.name.id.json());
            let odd = odd(None, OddKind::DuplicateId, what);
            return vec![Effect::to(asked.name.stream, answer), odd];
        }
        if self.under_way.len() >= PENDING_MAX {
            let told = format!("more than {PENDING_MAX} requests are under way");
            let answer = error_answer(Some(&asked.name.id), INVALID_REQUEST, &told);
            return vec![Effect::to(asked.name.stream, answer), odd(None, OddKind::TooMuch, told)];
        }
        match asker::of(asked.params.map(|at| asked.message.part(at))) {
            Err(refused) => vec![self.refuse(&asked.name, &refused)],
            Ok(Some(facts)) => {
                asked.asker = Asker::Modern(Arc::clone(&facts));
                self.modern_request(&asked, &facts)
            }
            Ok(None) => self.session_request(&asked),
        }
    }

    fn refuse(&mut self, name: &Name, refused: &asker::Refused) -> Effect {
        let asker::Refused { code, message, data } = refused;
        let data = data.as_ref().map_or_else(String::new, |data| format!(r#","data":{data}"#));
        let message = quoted(message);
        let id = name.id.json();
        let error = format!(r#"{{"code":{code},"message":{message}{data}}}"#);
        self.answer(name, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
    }

    /// A request in a session, or the one that begins it.
    fn session_request(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        match asked.method {
            "initialize" => return self.begin(asked),
            "ping" => {
                let pong = result_answer(&asked.name.id, "{}");
                return vec![Effect::to(asked.name.stream, pong)];
            }
            _ => {}
        }
        if self.session.is_none() {
            let told = "the request says no revision, and no session has begun with `initialize`";
            return vec![self.answer_error(&asked.name, INVALID_PARAMS, told)];
        }
        let mut effects = self.session_has_begun();
        effects.extend(if MODERN.contains(&asked.method) {
            self.unknown(asked)
        } else {
            self.open_request(asked)
        });
        effects
    }

    /// A request that stands for itself.
    fn modern_request(&mut self, asked: &Asked<'_>, facts: &Arc<Facts>) -> Vec<Effect> {
        if REMOVED.contains(&asked.method) {
            return self.unknown(asked);
        }
        match self.phase {
            _ if asked.method == "initialize" => self.begin(asked),
            Phase::New => self.begin_modern(asked, facts),
            Phase::Asking => self.park(asked),
            Phase::Open => match asked.method {
                "server/discover" => vec![match self.discover() {
                    Ok(result) => {
                        let text = result_answer(&asked.name.id, &result);
                        self.answer(&asked.name, text)
                    }
                    Err(error) => {
                        let id = asked.name.id.json();
                        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                        self.answer(&asked.name, text)
                    }
                }],
                "subscriptions/listen" => self.listen(asked),
                method if may_be_asked_again(method) => {
                    self.asked_again(asked, facts).unwrap_or_else(|| self.open_request(asked))
                }
                _ => self.open_request(asked),
            },
        }
    }

    fn unknown(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let told = format!("there is no method `{}`", asked.method);
        vec![self.answer_error(&asked.name, METHOD_NOT_FOUND, &told)]
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

    /// Every server that logs is told: now, or with each request.
    fn set_level(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let logs = |server: &usize| self.offers(*server, "logging");
        let all: Vec<usize> = self.present().filter(logs).collect();
        if all.is_empty() {
            let told = "no server logs";
            return vec![self.answer_error(&asked.name, METHOD_NOT_FOUND, told)];
        }
        let Some((level, _)) = text_param(asked.message, asked.params, "level") else {
            return self.wrong(asked, "`logging/setLevel` needs the `level`");
        };
        if asker::Level::read(&quoted(&level)).is_none() {
            return self.wrong(asked, "there is no such level of logging");
        }
        if let Some(session) = &mut self.session {
            session.log_level = Some(quoted(&level));
        }
        let told: Vec<usize> =
            all.into_iter().filter(|server| self.era(*server) == Some(Era::Session)).collect();
        if told.is_empty() {
            return vec![self.answer(&asked.name, result_answer(&asked.name.id, "{}"))];
        }
        self.gather_from(List::Nothing, asked, &told)
    }

    /// What we do not know is decided by its name: a server may do anything when it is asked for it.
    fn other(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if !asked.method.contains('/') {
            // It would be decided as a tool of that name.
            return self.unknown(asked);
        }
        let task = text_param(asked.message, asked.params, "taskId");
        let of_task = task.and_then(|(task, _)| self.tasks.of(&task));
        let only = {
            let mut servers = self.present();
            servers.next().filter(|_| servers.next().is_none())
        };
        let Some(server) = of_task.or(only) else {
            let told = format!("`{}` cannot be told to one of several servers", asked.method);
            return vec![self.answer_error(&asked.name, METHOD_NOT_FOUND, &told)];
        };
        let is_modern = matches!(asked.asker, Asker::Modern(_));
        if asked.method.starts_with("tasks/")
            && is_modern != (self.era(server) == Some(Era::Modern))
        {
            let told = format!("`{}`: its server has tasks of another revision", asked.method);
            return vec![self.answer_error(&asked.name, METHOD_NOT_FOUND, &told)];
        }
        let params = match asked.params.map(|at| serde_json::from_str(asked.message.part(at))) {
            None => Value::Object(Map::new()),
            Some(Ok(params @ Value::Object(_))) => params,
            // What is decided is what is passed on.
            Some(_) => return self.wrong(asked, "`params` is no object"),
        };
        self.decide(asked, (server, method(asked)), params, Vec::new())
    }

    /// Has a request decided before it is passed on.
    pub(super) fn decide(
        &mut self,
        asked: &Asked<'_>,
        (server, what): (usize, Called),
        arguments: Value,
        parts: Vec<(Range<usize>, String)>,
    ) -> Vec<Effect> {
        let ticket = self.number();
        let (name, asker, message) =
            (asked.name.clone(), asked.asker.clone(), asked.message.clone());
        self.under_way.insert(name.clone(), UnderWay::Waiting(ticket));
        let traced = Traced::of(asked.params.map(|at| message.part(at)));
        let (told, trace) = (traced.told(), traced.by.clone());
        let beside = beside::beside(&message, (asked.method, asked.params));
        let waiting = Waiting { name, asker, server, what: what.clone(), message, parts, traced };
        self.waiting.insert(ticket, waiting);
        let decide =
            self.decide_when_listed(Call { ticket, server, what, arguments, trace, beside });
        told.into_iter().chain(decide).collect()
    }

    /// Whether anything waits for this decision.
    pub fn awaits(&self, ticket: u64) -> bool {
        self.waiting.contains_key(&ticket)
            || self.questions.contains_key(&ticket)
            || self.tellings.contains_key(&ticket)
            || self.listen_awaits(ticket)
    }

    /// A call has been decided; one that nobody waits for any more is not passed on.
    pub fn decided(&mut self, ticket: u64, decided: Decided) -> Vec<Effect> {
        let effects = self.decided_now(ticket, decided);
        self.counted(effects)
    }

    pub(super) fn decided_now(&mut self, ticket: u64, decided: Decided) -> Vec<Effect> {
        if self.questions.contains_key(&ticket) {
            return self.question_decided(ticket, decided);
        }
        if let Some(effects) = self.telling_decided(ticket, &decided) {
            return effects;
        }
        if let Some(effects) = self.decided_while_held(ticket, &decided) {
            return effects;
        }
        let mut effects = self.told_no_more(ticket);
        effects.extend(self.decided_for_client(ticket, decided));
        effects
    }

    fn decided_for_client(&mut self, ticket: u64, decided: Decided) -> Vec<Effect> {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return self.listen_decided(ticket, &decided);
        };
        let name = waiting.name.clone();
        match (decided, &waiting.what) {
            (Decided::Permit(arguments), _) => self.permitted(ticket, waiting, arguments),
            // What a model can act on is an answer of the tool, not an error of the protocol.
            (Decided::Deny(why), Called::Tool(_)) => {
                let is_modern = matches!(waiting.asker, Asker::Modern(_));
                let text = result_answer(&name.id, &denied(&why, is_modern));
                vec![self.answer(&name, text)]
            }
            (Decided::Deny(why), Called::Method(_)) => {
                vec![self.answer_error(&name, DENIED, &why)]
            }
        }
    }

    pub(super) fn permitted(
        &mut self,
        ticket: u64,
        waiting: Waiting,
        new: Option<Value>,
    ) -> Vec<Effect> {
        let Waiting { name, asker, server, what, message, mut parts, traced } = waiting;
        let Kind::Request { method, params, .. } = message.kind() else { return Vec::new() };
        let cannot = |told: &str| (told.to_owned(), Ended::Unanswered);
        let mut why_not = None;
        if self.servers.get(server).is_none_or(|seat| seat.is_gone) {
            why_not = Some(cannot("the server has ended"));
        } else if let Some(new) = new {
            match arguments_at(&message) {
                Some(at) => parts.push((at, new.to_string())),
                // What was decided about cannot be put there.
                None => why_not = Some(cannot("the arguments have no place")),
            }
        }
        if let Some((told, how)) = why_not {
            let told = self.answer_error(&name, INTERNAL_ERROR, &told);
            return vec![told, Effect::Ended(ticket, how)];
        }
        if self.era(server) == Some(Era::Modern)
            && let Some((uri, _)) = text_param(&message, params.as_ref(), "uri")
        {
            match method.as_str() {
                "resources/subscribe" => return self.subscribe(name, (server, uri), ticket),
                "resources/unsubscribe" => return self.unsubscribe(&name, (server, uri), ticket),
                _ => {}
            }
        }
        let digest = (matches!(asker, Asker::Modern(_)) && may_be_asked_again(method))
            .then(|| held::digest(method, params.as_ref().map(|at| message.part(at))));
        let passed = Passed {
            name: Some(name),
            ticket,
            asker,
            what,
            kept: String::new(),
            token: asker::progress_token(&message, params.as_ref()),
            digest,
            rounds: 0,
            pending: Vec::new(),
            traced: traced.changes(),
            task: None,
        };
        self.pass(server, passed, (&message, &parts))
    }

    pub(super) fn cancel(
        &mut self,
        name: &Name,
        told: Option<(&Message, Range<usize>)>,
    ) -> Vec<Effect> {
        let Some(found) = self.under_way.get(name).copied() else { return Vec::new() };
        if !matches!(found, UnderWay::Initialize | UnderWay::Gathering(_)) {
            self.under_way.remove(name);
        }
        match found {
            UnderWay::Sent(number) => {
                // Nobody waits for it any more: an answer that comes all the same is not passed on.
                let Some(sent) = self.sent.remove(&number) else { return Vec::new() };
                let text = match told {
                    Some((message, at)) => message.with(vec![(at, Id::number(number).json())]),
                    None => super::asks::cancelled(number),
                };
                let mut effects = vec![Effect::ToServer(sent.server, text)];
                if let Some(passed) = sent.why.into_client() {
                    effects.extend(self.forget_questions(&passed.pending));
                    effects.extend(self.cancel_task(&passed));
                    effects.push(Effect::Ended(passed.ticket, Ended::Unanswered));
                }
                effects
            }
            UnderWay::Waiting(ticket) => {
                self.waiting.remove(&ticket);
                let mut effects = self.told_no_more(ticket);
                effects.push(Effect::Withdraw(ticket));
                effects
            }
            UnderWay::Parked => {
                self.unpark(name);
                Vec::new()
            }
            UnderWay::Round(round) => self.cancel_round(round),
            UnderWay::Task(wait) => self.cancel_wait(wait),
            UnderWay::Listening(listen) => self.listens_no_more(listen),
            UnderWay::Watching(watch) => self.watcher_gone(watch, name),
            // `initialize` is not to be cancelled, and what is gathered ends by itself.
            UnderWay::Gathering(_) | UnderWay::Initialize => Vec::new(),
        }
    }

    pub(super) fn wrong(&mut self, asked: &Asked<'_>, told: &str) -> Vec<Effect> {
        vec![self.answer_error(&asked.name, INVALID_PARAMS, told)]
    }
}

/// The code of the error that says that something is not permitted; outside of the range that JSON-RPC and MCP
/// keep for themselves (2026-07-28 "Error Codes").
pub(super) const DENIED: i64 = -31_003;

/// The answer of a tool that was not called.
pub(super) fn denied(why: &str, is_modern: bool) -> String {
    let of = if is_modern { r#""resultType":"complete","# } else { "" };
    format!(r#"{{{of}"content":[{{"type":"text","text":{}}}],"isError":true}}"#, quoted(why))
}

pub(super) fn method(asked: &Asked<'_>) -> Called {
    Called::Method(asked.method.to_owned())
}

/// Where the arguments of a call are in its message.
fn arguments_at(message: &Message) -> Option<Range<usize>> {
    let Kind::Request { params: Some(params), .. } = message.kind() else { return None };
    let at = Members::of(message.part(params))?.at("arguments")?;
    Some(params.start.saturating_add(at.start)..params.start.saturating_add(at.end))
}
