//! What comes from a server.

use super::super::frame::{Answer, Frame, INTERNAL_ERROR, Id, Kind, Message};
use super::super::revision::Revision;
use super::{Effect, Ended, Middle, OddKind, PENDING_MAX, Phase, Sent, Why, odd};

impl Middle {
    /// What a server sent at once.
    pub fn frame_from_server(&mut self, server: usize, frame: &Frame) -> Vec<Effect> {
        let messages = match frame {
            Frame::One(message) => return self.from_server(server, message),
            Frame::Batch(messages) => messages,
        };
        let said = self.hello(server).and_then(|hello| hello.get("protocolVersion")?.as_str());
        let revision = said.and_then(|said| said.parse::<Revision>().ok());
        if revision.is_some_and(Revision::has_batches) && messages.len() <= PENDING_MAX {
            return messages.iter().flat_map(|it| self.from_server(server, it)).collect();
        }
        let what = "several messages at once have no place here";
        self.counted(vec![odd(Some(server), OddKind::Batch, what)])
    }

    /// A message of a server.
    pub fn from_server(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        if self.servers.get(server).is_none_or(|seat| seat.is_gone) {
            return Vec::new();
        }
        let effects = match message.kind() {
            Kind::Request { id, method, .. } => self.server_asks(server, message, (id, method)),
            Kind::Notification { method, .. } => self.server_tells(server, message, method),
            Kind::Response { id, answer, .. } => {
                self.server_answers(server, message, (id.as_ref(), answer))
            }
        };
        self.counted(effects)
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
        let effects = self.ended_now(server);
        self.counted(effects)
    }

    fn ended_now(&mut self, server: usize) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        if seat.is_gone {
            return Vec::new();
        }
        let had_begun = seat.era().is_some();
        let mut effects = self.greeted(server, None);
        if had_begun && self.phase == Phase::Open {
            let of_it = self.sent.values().filter(|sent| sent.server == server);
            let what = match of_it.filter(|sent| sent.why.of_client().is_some()).count() {
                0 => "it has ended".to_owned(),
                1 => "it has ended without an answer to a request".to_owned(),
                count => format!("it has ended without an answer to {count} requests"),
            };
            effects.push(odd(Some(server), OddKind::ServerEnded, what));
        }
        if let Some(seat) = self.servers.get_mut(server) {
            seat.is_gone = true;
            seat.kept.no_more();
        }
        effects.extend(self.held_no_more(server));
        effects.extend(self.rounds_no_more(server));
        effects.extend(self.waits_no_more(server));
        let of_it: Vec<u64> = self
            .sent
            .iter()
            .filter(|(_, sent)| sent.server == server)
            .map(|(number, _)| *number)
            .collect();
        for number in of_it {
            let Some(passed) = self.sent.remove(&number).and_then(|sent| sent.why.into_client())
            else {
                continue;
            };
            if let Some(name) = &passed.name {
                effects.push(self.answer_error(name, INTERNAL_ERROR, "the server has ended"));
            }
            effects.push(Effect::Ended(passed.ticket, Ended::Unanswered));
        }
        effects.extend(self.gathers_no_more_from(server));
        effects.extend(self.watches_no_more(server));
        effects.extend(self.lists_no_more(server));
        let asked = self.questions.iter().filter(|(_, question)| question.server == server);
        let asked: Vec<u64> = asked.map(|(number, _)| *number).collect();
        effects.extend(self.forget_questions(&asked));
        effects
    }

    fn server_answers(
        &mut self,
        server: usize,
        message: &Message,
        (id, answer): (Option<&Id>, &Answer),
    ) -> Vec<Effect> {
        let number = id.and_then(Id::as_number);
        let is_its = |number: &u64| self.sent.get(number).is_some_and(|sent| sent.server == server);
        let found = number.filter(is_its);
        let Some((number, Sent { why, .. })) =
            found.and_then(|number| Some((number, self.sent.remove(&number)?)))
        else {
            // Twice, or another server's: whose answer it is was said when it was asked.
            let what = "an answer to something that it was not asked";
            return vec![odd(Some(server), OddKind::UnknownAnswer, what)];
        };
        match why {
            Why::Client(passed) => {
                self.answered_by_server((server, number), passed, (message, answer))
            }
            Why::Gathering(number) => self.page((number, server), message, answer),
            Why::Own => self.own_page(server, message, answer),
            Why::Discover => self.discovered(server, message, answer),
            Why::Initialize => self.greeted(server, Some((message, answer))),
            Why::Again => self.begun_anew(server, message, answer),
            Why::Watch(at) => self.watch_answered(at, message, answer),
            Why::Task(wait) => self.task_answered(wait, message, answer),
            Why::TaskTold(wait) => self.task_told(wait, message, answer),
            Why::Nothing => Vec::new(),
        }
    }
}
