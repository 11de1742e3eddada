//! What servers and clients tell each other without being asked: progress, logs, and what is unknown here.

use std::ops::Range;

use super::super::edit;
use super::super::frame::{Id, Kind, Members, Message};
use super::asker::{Asker, Level};
use super::asks::{At, From};
use super::{Effect, Era, Middle, OddKind, Phase, Why, odd};

impl Middle {
    /// A notification of a server.
    pub(super) fn server_tells(
        &mut self,
        server: usize,
        message: &Message,
        method: &str,
    ) -> Vec<Effect> {
        if self.phase != Phase::Open {
            // Servers log while they begin.
            if method == "notifications/message" {
                return Vec::new();
            }
            let what = format!("`{method}` before the session began");
            return vec![odd(Some(server), OddKind::OutOfPlace, what)];
        }
        match method {
            "notifications/cancelled" => self.server_cancels(server, message),
            "notifications/progress" => self.server_progress(server, message),
            "notifications/message" => self.logged(server, message),
            "notifications/tools/list_changed" => {
                let mut effects = self.start_listing(server);
                effects.extend(self.changed(server, message, method));
                effects
            }
            "notifications/prompts/list_changed" | "notifications/resources/list_changed" => {
                self.changed(server, message, method)
            }
            "notifications/resources/updated" => self.updated(server, message),
            "notifications/subscriptions/acknowledged" => self.acknowledged(server, message),
            _ if self.is_later_than_session(method) => Vec::new(),
            _ => self.unknown_notification(server, message),
        }
    }

    /// What we do not know goes to a session as it is; who stands for himself gets it with what he waits for.
    fn unknown_notification(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let text = message.text().to_owned();
        if self.session.is_some() {
            return vec![Effect::ToClient(text)];
        }
        let newest = self.newest(server, |_| true);
        let stream = newest.and_then(|number| self.stream_of(number));
        stream.map(|stream| Effect::to(stream, text)).into_iter().collect()
    }

    fn stream_of(&mut self, number: u64) -> Option<u64> {
        Some(self.passed(number)?.name.as_ref()?.stream)
    }

    /// What the client asked a server last, of what fits.
    fn newest(&self, server: usize, fits: impl Fn(&Asker) -> bool) -> Option<u64> {
        let all = self.sent.iter().filter(|(_, sent)| sent.server == server);
        let of_client = all.filter(|(_, sent)| {
            let passed = sent.why.of_client();
            passed.is_some_and(|passed| passed.name.is_some() && fits(&passed.asker))
        });
        of_client.map(|(number, _)| *number).max()
    }

    /// Progress goes by the name that we gave it to who asked, by the name that this one has for it.
    fn server_progress(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let found = token(message);
        let Some((number, at)) = found.and_then(|(id, at)| Some((id.as_number()?, at))) else {
            return vec![odd(Some(server), OddKind::UnknownAnswer, "progress of nothing")];
        };
        let number = self.with_progress(server, number).unwrap_or(number);
        let is_its = self.sent.get(&number).is_some_and(|sent| sent.server == server);
        let Some(passed) = self.passed(number).filter(|_| is_its) else {
            let what = "progress of something that is not under way";
            return vec![odd(Some(server), OddKind::UnknownAnswer, what)];
        };
        let effects = match (&passed.token, &passed.name) {
            (Some(token), Some(name)) => {
                vec![Effect::to(name.stream, message.with(vec![(at, token)]))]
            }
            // Nobody asked for it, or nobody waits just now.
            (None, _) | (_, None) => Vec::new(),
        };
        self.is_heard_of(number);
        effects
    }

    /// The client's progress with what a server asked of it.
    pub(super) fn client_progress(&mut self, message: &Message) -> Vec<Effect> {
        let found = token(message).and_then(|(id, at)| Some((id.as_number()?, at)));
        let question = found.as_ref().and_then(|(number, _)| self.questions.get(number));
        let question = question.filter(|question| question.at == At::Client);
        match (found, question.map(|question| (question.server, &question.from))) {
            (Some((_, at)), Some((server, From::Request { token: Some(token), .. }))) => {
                vec![Effect::ToServer(server, message.with(vec![(at, token)]))]
            }
            (_, _) => {
                vec![odd(None, OddKind::UnknownAnswer, "progress of something that nobody asked")]
            }
        }
    }

    /// A server logs. Who stands for himself gets it only with a request that wants it.
    fn logged(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let Kind::Notification { params: Some(at), .. } = message.kind() else { return Vec::new() };
        let level = Members::of(message.part(at)).and_then(|all| Level::read(all.get("level")?));
        let wants = |asker: &Asker| match asker {
            Asker::Modern(facts) => {
                facts.log_level.is_some_and(|least| level.is_some_and(|level| level >= least))
            }
            Asker::Session => false,
        };
        let text = message.text().to_owned();
        let newest = self.newest(server, wants);
        if let Some(stream) = newest.and_then(|number| self.stream_of(number)) {
            return vec![Effect::to(stream, text)];
        }
        self.session.is_some().then(|| Effect::ToClient(text)).into_iter().collect()
    }

    /// A server that began with `initialize` is told once from what level on to log, as a request wants it.
    pub(super) fn set_log_level(&mut self, server: usize, asker: &Asker) -> Vec<Effect> {
        let Asker::Modern(facts) = asker else { return Vec::new() };
        let Some(level) = facts.log_level else { return Vec::new() };
        if self.era(server) != Some(Era::Session) || !self.offers(server, "logging") {
            return Vec::new();
        }
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        if seat.log_level.is_some_and(|told| told <= level) {
            return Vec::new();
        }
        seat.log_level = Some(level);
        let params = format!(r#"{{"level":"{}"}}"#, level.name());
        vec![self.ask(server, Why::Nothing, "logging/setLevel", &params)]
    }
}

/// The `progressToken` of a notification, and where it is.
fn token(message: &Message) -> Option<(Id, Range<usize>)> {
    let Kind::Notification { params: Some(at), .. } = message.kind() else { return None };
    let members = Members::of(message.part(at))?;
    let token = Id::read(members.get("progressToken")?)?;
    let found = members.at("progressToken")?;
    Some((token, at.start.saturating_add(found.start)..at.start.saturating_add(found.end)))
}

/// A notification with another `subscriptionId`, or none.
pub(super) fn subscribed(message: &Message, to: Option<&Id>) -> String {
    let params = Members::of(message.text()).and_then(|all| all.get("params"));
    let id = [(super::asker::SUBSCRIPTION, to.map(|id| id.json().to_owned()))];
    let new = edit::within(params, "_meta", &id);
    let new = (params.is_some() || new != "{}").then_some(new);
    edit::object(Some(message.text()), &[("params", new)])
}
