//! What comes from a server.

use std::ops::Range;

use super::super::frame::{
    Answer, INTERNAL_ERROR, INVALID_REQUEST, Id, Kind, Message, error_answer,
};
use super::{Effect, Ended, Middle, Odd, PENDING_MAX, Phase, Sent, Why};

impl Middle {
    /// A message of a server.
    pub fn from_server(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        match message.kind() {
            Kind::Request { id, id_at, method, .. } => {
                self.server_asks(server, message, (id, id_at, method))
            }
            Kind::Notification { method, .. } => self.server_tells(server, message, method),
            Kind::Response { id, id_at, answer } => {
                self.server_answers(server, message, (id.as_ref(), id_at, answer))
            }
        }
    }

    /// The same of a server of which it is known why; who asked it to begin is told.
    pub fn ended_because(&mut self, server: usize, why: &str) -> Vec<Effect> {
        if let Some(seat) = self.servers.get_mut(server) {
            seat.why = Some(why.to_owned());
        }
        self.ended(server)
    }

    /// A server has ended, or its line has: what was asked of it is answered with that.
    pub fn ended(&mut self, server: usize) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        seat.is_gone = true;
        let mut effects = Vec::new();
        let of_it: Vec<u64> = self
            .sent
            .iter()
            .filter(|(_, sent)| sent.server == server)
            .map(|(number, _)| *number)
            .collect();
        for number in of_it {
            match self.sent.remove(&number).map(|sent| sent.why) {
                Some(Why::Client(id, ticket)) => {
                    effects.push(self.answer_error(&id, INTERNAL_ERROR, "the server has ended"));
                    effects.push(Effect::Ended(ticket, Ended::Unanswered));
                }
                Some(Why::Initialize) => effects.extend(self.greeted(server, None)),
                Some(Why::Gathering(_)) | None => {}
            }
        }
        effects.extend(self.gathers_no_more_from(server));
        self.asked.retain(|_, (asker, _)| *asker != server);
        effects
    }

    /// A request to the client: sampling, elicitation, roots.
    fn server_asks(
        &mut self,
        server: usize,
        message: &Message,
        (id, id_at, method): (&Id, &Range<usize>, &str),
    ) -> Vec<Effect> {
        if method == "ping" {
            let pong = super::super::frame::result_answer(id, "{}");
            return vec![Effect::ToServer(server, pong)];
        }
        let refuse =
            |told: &str| Effect::ToServer(server, error_answer(Some(id), INVALID_REQUEST, told));
        if self.phase != Phase::Open {
            return vec![refuse("the session has not begun")];
        }
        let under_way = self.asked.values().filter(|(asker, _)| *asker == server).count();
        if under_way >= PENDING_MAX {
            return vec![refuse("too many requests are under way")];
        }
        if self.asked.values().any(|(asker, asked)| *asker == server && asked == id) {
            let what = format!("a request by a name that is in use: {}", id.json());
            return vec![Effect::Odd(Odd { server: Some(server), what })];
        }
        let number = self.number();
        self.asked.insert(number, (server, id.clone()));
        let name = Id::number(number);
        vec![Effect::ToClient(message.with(vec![(id_at.clone(), name.json())]))]
    }

    fn server_tells(&mut self, server: usize, message: &Message, method: &str) -> Vec<Effect> {
        if self.phase == Phase::New {
            let what = format!("`{method}` before the session began");
            return vec![Effect::Odd(Odd { server: Some(server), what })];
        }
        if method == "notifications/cancelled" {
            return self.server_cancels(server, message);
        }
        vec![Effect::ToClient(message.text().to_owned())]
    }

    /// The client is told by the name that the request has there.
    fn server_cancels(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let Kind::Notification { params: Some(at), .. } = message.kind() else { return Vec::new() };
        let Some(members) = super::Members::of(message.part(at)) else { return Vec::new() };
        let (Some(id), Some(id_at)) =
            (members.get("requestId").and_then(Id::read), members.at("requestId"))
        else {
            return Vec::new();
        };
        let found = self.asked.iter().find(|(_, (asker, asked))| *asker == server && *asked == id);
        let Some(number) = found.map(|(number, _)| *number) else { return Vec::new() };
        let id_at = at.start.saturating_add(id_at.start)..at.start.saturating_add(id_at.end);
        vec![Effect::ToClient(message.with(vec![(id_at, Id::number(number).json())]))]
    }

    fn server_answers(
        &mut self,
        server: usize,
        message: &Message,
        (id, id_at, answer): (Option<&Id>, &Range<usize>, &Answer),
    ) -> Vec<Effect> {
        let number = id.and_then(Id::as_number);
        let is_its = |number: &u64| self.sent.get(number).is_some_and(|sent| sent.server == server);
        let Some(Sent { why, .. }) =
            number.filter(is_its).and_then(|number| self.sent.remove(&number))
        else {
            // Twice, or another server's: whose answer it is was said when it was asked.
            let what = "an answer to something that it was not asked".to_owned();
            return vec![Effect::Odd(Odd { server: Some(server), what })];
        };
        match why {
            Why::Client(own, ticket) => {
                self.under_way.remove(&own);
                let text = message.with(vec![(id_at.clone(), own.json())]);
                vec![Effect::ToClient(text), Effect::Ended(ticket, how(message, answer))]
            }
            Why::Gathering(number) => self.page((number, server), message, answer),
            Why::Initialize => self.greeted(server, Some((message, answer))),
        }
    }
}

/// Whether an answer says that what was called failed.
fn how(message: &Message, answer: &Answer) -> Ended {
    let is_error = |at: &Range<usize>| {
        let members = super::Members::of(message.part(at));
        members.is_some_and(|members| members.get("isError") == Some("true"))
    };
    let bytes = message.text().len();
    match answer {
        Answer::Result(at) if !is_error(at) => Ended::Answered { bytes },
        Answer::Result(_) | Answer::Error(_) => Ended::Failed { bytes },
    }
}
