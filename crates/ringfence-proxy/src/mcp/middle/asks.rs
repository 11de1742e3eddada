//! What servers ask of the client: sampling, elicitation, roots. Each is decided before the client is asked.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::edit;
use super::super::frame::{
    Answer, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Members, Message, error_answer,
    result_answer,
};
use super::asker::{self, Asker};
use super::client::DENIED;
use super::passing::Passed;
use super::{Call, Called, Decided, Effect, Ended, Era, Middle, OddKind, Phase, odd};

/// Most questions of one server that are open.
const QUESTIONS_MAX: usize = 64;

/// Something that a server asks of the client.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) server: usize,
    pub(super) from: From,
    pub(super) method: String,
    pub(super) at: At,
}

/// How it was asked.
#[derive(Debug)]
pub(super) enum From {
    /// As a request of the server.
    Request {
        id: Id,
        /// What the server calls its progress, as it stands.
        token: Option<String>,
        message: Message,
    },
    /// In place of an answer to the request that is in this round.
    Round(u64),
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Deciding,
    /// The client of a session has it.
    Client,
    /// It is permitted, and goes out with others that are decided still or when the client asks again; or it went out and
    /// is answered when the client asks again.
    Held,
}

impl Middle {
    /// A request to the client.
    pub(super) fn server_asks(
        &mut self,
        server: usize,
        message: &Message,
        (id, method): (&Id, &str),
    ) -> Vec<Effect> {
        let refuse =
            |code, told: &str| Effect::ToServer(server, error_answer(Some(id), code, told));
        if self.era(server) == Some(Era::Modern) {
            let what =
                format!("the request `{method}` of a server, which has none in its revision");
            let told = refuse(INVALID_REQUEST, "servers of this revision make no requests");
            return vec![told, odd(Some(server), OddKind::OutOfPlace, what)];
        }
        if method == "ping" {
            return vec![Effect::ToServer(server, result_answer(id, "{}"))];
        }
        if self.phase != Phase::Open {
            return vec![refuse(INVALID_REQUEST, "the session has not begun")];
        }
        if !method.contains('/') {
            // It would be decided as a tool of that name.
            return vec![refuse(METHOD_NOT_FOUND, "there is no such method")];
        }
        let open = self.questions.values().filter(|question| question.server == server);
        let is_its = |question: &&Question| matches!(&question.from, From::Request { id: own, .. } if own == id);
        if open.clone().any(|question| is_its(&question)) {
            let what = format!("a request by a name that is in use: {}", id.json());
            return vec![odd(Some(server), OddKind::DuplicateId, what)];
        }
        if open.count() >= QUESTIONS_MAX {
            let what = format!("more than {QUESTIONS_MAX} requests to the client at once");
            let told = refuse(INVALID_REQUEST, "too many requests are under way");
            return vec![told, odd(Some(server), OddKind::TooMuch, what)];
        }
        let Kind::Request { params, .. } = message.kind() else { return Vec::new() };
        let arguments = params.as_ref().and_then(|at| serde_json::from_str(message.part(at)).ok());
        let token = asker::progress_token(message, params.as_ref());
        let from = From::Request { id: id.clone(), token, message: message.clone() };
        vec![self.have_decided(server, from, (method, arguments))]
    }

    /// Has a question decided.
    pub(super) fn have_decided(
        &mut self,
        server: usize,
        from: From,
        (method, arguments): (&str, Option<Value>),
    ) -> Effect {
        let ticket = self.number();
        let method = method.to_owned();
        let what = Called::Method(method.clone());
        self.questions.insert(ticket, Question { server, from, method, at: At::Deciding });
        let arguments = arguments.filter(Value::is_object);
        let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
        Effect::Decide(Call { ticket, server, what, arguments, trace: None, beside: Vec::new() })
    }

    /// A question has been decided.
    pub(super) fn question_decided(&mut self, number: u64, decided: Decided) -> Vec<Effect> {
        let Some(question) = self.questions.get(&number) else { return Vec::new() };
        match (&question.from, decided) {
            (From::Round(round), decided) => {
                let round = *round;
                self.round_decided((round, number), decided)
            }
            (From::Request { id, .. }, Decided::Deny(why)) => {
                let told = Effect::ToServer(question.server, error_answer(Some(id), DENIED, &why));
                self.questions.remove(&number);
                vec![told]
            }
            (From::Request { .. }, Decided::Permit(_)) => self.deliver(number),
        }
    }

    /// Brings a question to the client: as a request in a session, else in place of the answer to what the client
    /// asked last of that server. Older revisions do not say to what a question belongs, and it does not matter:
    /// its answer finds the server by the question's own name.
    fn deliver(&mut self, number: u64) -> Vec<Effect> {
        let Some(question) = self.questions.get(&number) else { return Vec::new() };
        let server = question.server;
        let From::Request { message, .. } = &question.from else { return Vec::new() };
        let params = match message.kind() {
            Kind::Request { params: Some(at), .. } => serde_json::from_str(message.part(at)).ok(),
            Kind::Request { .. } | Kind::Notification { .. } | Kind::Response { .. } => None,
        };
        let params: Value = params.unwrap_or_default();
        let method = question.method.clone();
        match self.carrier(server) {
            Some((carrier, Asker::Modern(facts))) => {
                if !facts.can(&method, &params) {
                    let told = "the client has not said that it can do this";
                    return self.turn_away(number, told);
                }
                let Some(passed) = self.passed(carrier) else { return Vec::new() };
                passed.pending.push(number);
                let is_there = passed.name.is_some();
                self.put(number, At::Held);
                if is_there { self.hold(carrier) } else { Vec::new() }
            }
            Some((carrier, Asker::Session)) => {
                let name = self.passed(carrier).and_then(|passed| passed.name.clone());
                self.ask_client(number, name.map_or(0, |name| name.stream))
            }
            None if self.session.is_some() => self.ask_client(number, 0),
            None => {
                self.turn_away(number, "nothing is under way in which the client could be asked")
            }
        }
    }

    /// What the client asked last of a server and has no answer to.
    fn carrier(&self, server: usize) -> Option<(u64, Asker)> {
        let all = self.sent.iter().filter(|(_, sent)| sent.server == server);
        let of_client = all.filter_map(|(number, sent)| {
            let passed = sent.why.of_client()?;
            let may_ask = !passed.is_modern() || passed.may_ask();
            may_ask.then(|| (*number, passed.asker.clone()))
        });
        of_client.max_by_key(|(number, _)| *number)
    }

    pub(super) fn passed(&mut self, number: u64) -> Option<&mut Passed> {
        self.sent.get_mut(&number)?.why.of_client_mut()
    }

    pub(super) fn put(&mut self, number: u64, at: At) {
        if let Some(question) = self.questions.get_mut(&number) {
            question.at = at;
        }
    }

    /// Sends a server's request to the client of a session, under a name of ours.
    fn ask_client(&mut self, number: u64, stream: u64) -> Vec<Effect> {
        self.put(number, At::Client);
        let Some(Question { from: From::Request { token, message, .. }, method, .. }) =
            self.questions.get(&number)
        else {
            return Vec::new();
        };
        let Kind::Request { id_at, .. } = message.kind() else { return Vec::new() };
        let name = Id::number(number);
        let params = Members::of(message.text()).and_then(|all| all.get("params"));
        let new = params.and_then(|raw| self.question_for_session(method, raw));
        let params = new.as_deref().or(params);
        let token = token.as_ref().map(|_| [("progressToken", Some(number.to_string()))]);
        let text = if token.is_some() || new.is_some() {
            let told = token.map(|token| edit::within(params, "_meta", &token));
            let told = told.or_else(|| params.map(str::to_owned));
            let changes = [("id", Some(number.to_string())), ("params", told)];
            edit::object(Some(message.text()), &changes)
        } else {
            message.with(vec![(id_at.clone(), name.json())])
        };
        vec![Effect::to(stream, text)]
    }

    /// Tells a server that its question is not answered.
    pub(super) fn turn_away(&mut self, number: u64, told: &str) -> Vec<Effect> {
        let Some(question) = self.questions.remove(&number) else { return Vec::new() };
        let mut effects = vec![Effect::Ended(number, Ended::Unanswered)];
        if let From::Request { id, .. } = &question.from {
            let error = error_answer(Some(id), METHOD_NOT_FOUND, told);
            effects.push(Effect::ToServer(question.server, error));
        }
        effects
    }

    /// Answers a question with a result, which is JSON.
    pub(super) fn answer_question(&mut self, number: u64, result: &str) -> Vec<Effect> {
        let Some(question) = self.questions.remove(&number) else { return Vec::new() };
        let mut effects = vec![Effect::Ended(number, Ended::Answered { bytes: result.len() })];
        if let From::Request { id, .. } = &question.from {
            effects.push(Effect::ToServer(question.server, result_answer(id, result)));
        }
        effects
    }

    /// Nobody asks these any more.
    pub(super) fn forget_questions(&mut self, numbers: &[u64]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for number in numbers {
            let Some(question) = self.questions.remove(number) else { continue };
            effects.push(match question.at {
                At::Deciding => Effect::Withdraw(*number),
                At::Client | At::Held => Effect::Ended(*number, Ended::Unanswered),
            });
            if question.at == At::Client && self.session.is_some() {
                effects.push(Effect::ToClient(cancelled(*number)));
            }
        }
        effects
    }

    /// An answer of the client to what it has been asked.
    pub(super) fn client_answers(
        &mut self,
        message: &Message,
        id: Option<&Id>,
        (id_at, answer): (&Range<usize>, &Answer),
    ) -> Vec<Effect> {
        let number = id.and_then(Id::as_number);
        if let Some(told) = number.and_then(|number| self.told_answered(number, answer, message)) {
            return told;
        }
        let is_asked = |number: &u64| {
            self.questions.get(number).is_some_and(|question| question.at == At::Client)
        };
        let Some(number) = number.filter(is_asked) else {
            let what = "an answer to something that nobody asked";
            return vec![odd(None, OddKind::UnknownAnswer, what)];
        };
        let Some(question) = self.questions.get(&number) else { return Vec::new() };
        let bytes = message.text().len();
        let how = match answer {
            Answer::Result(_) => Ended::Answered { bytes },
            Answer::Error(_) => Ended::Failed { bytes },
        };
        match &question.from {
            From::Request { id: own, .. } => {
                let text = message.with(vec![(id_at.clone(), own.json())]);
                let server = question.server;
                let told = Effect::ToServer(server, text);
                self.questions.remove(&number);
                if let Answer::Result(at) = answer {
                    self.asked_for_task(server, message.part(at));
                }
                vec![told, Effect::Ended(number, how)]
            }
            From::Round(round) => {
                let round = *round;
                let mut effects = vec![Effect::Ended(number, how)];
                effects.extend(self.round_answered((round, number), message, answer));
                effects
            }
        }
    }

    /// A server does not want to know any more; the client is told by the name that the question has there.
    pub(super) fn server_cancels(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let Kind::Notification { params: Some(at), .. } = message.kind() else { return Vec::new() };
        let Some(members) = Members::of(message.part(at)) else { return Vec::new() };
        let (Some(id), Some(id_at)) =
            (members.get("requestId").and_then(Id::read), members.at("requestId"))
        else {
            return Vec::new();
        };
        if self.era(server) == Some(Era::Modern) {
            return self.watch_ends(server, &id);
        }
        let found = self.questions.iter().find(|(_, question)| {
            let is_its = matches!(&question.from, From::Request { id: own, .. } if *own == id);
            is_its && question.server == server
        });
        let Some((number, at_client)) =
            found.map(|(number, question)| (*number, question.at == At::Client))
        else {
            return Vec::new();
        };
        if at_client {
            let id_at = at.start.saturating_add(id_at.start)..at.start.saturating_add(id_at.end);
            let text = message.with(vec![(id_at, Id::number(number).json())]);
            self.questions.remove(&number);
            return vec![Effect::ToClient(text), Effect::Ended(number, Ended::Unanswered)];
        }
        self.forget_questions(&[number])
    }
}

/// Tells that a request by this name of ours is not wanted any more.
pub(super) fn cancelled(number: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number}}}}}"#
    )
}
