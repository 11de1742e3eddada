//! What the client tells without wanting an answer: each goes to the servers that it is for, and what is not known is
//! decided for each server, as a request of that method is. A server may do anything when it is told something.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::frame::{Id, Kind, Members, Message, quoted};
use super::{
    Call, Called, Decided, Effect, Ended, Era, Middle, Name, OddKind, PENDING_MAX, Phase, odd,
    text_param,
};

/// Members that a notification has which says no more than its name.
const NAMED: [&str; 3] = ["jsonrpc", "method", "params"];

/// Something that the client tells a server, which is being decided.
#[derive(Debug)]
pub(super) struct Telling {
    server: usize,
    method: String,
    text: String,
}

impl Middle {
    pub(super) fn notified(
        &mut self,
        stream: u64,
        message: &Message,
        (method, params): (&str, Option<&Range<usize>>),
    ) -> Vec<Effect> {
        if method == "notifications/cancelled" {
            return self.cancelled(stream, message, params);
        }
        // A server may do what it is told without being asked for an answer.
        if !method.starts_with("notifications/") {
            let what = format!("`{method}` without an id");
            return vec![odd(None, OddKind::OutOfPlace, what)];
        }
        if self.phase != Phase::Open {
            let what = format!("`{method}` before the session began");
            return vec![odd(None, OddKind::OutOfPlace, what)];
        }
        match method {
            "notifications/initialized" => {
                let mut effects: Vec<Effect> = says_more(message, method).into_iter().collect();
                effects.extend(self.session_has_begun());
                effects
            }
            "notifications/roots/list_changed" => {
                let mut effects: Vec<Effect> = says_more(message, method).into_iter().collect();
                let text = format!(r#"{{"jsonrpc":"2.0","method":{}}}"#, quoted(method));
                let to = self.of_era(Era::Session).into_iter();
                effects.extend(to.map(|server| Effect::ToServer(server, text.clone())));
                effects
            }
            "notifications/progress" => self.client_progress(message),
            "notifications/tasks/status" => self.client_tells_of_task(message, params),
            _ => self.have_telling_decided(message, method, params),
        }
    }

    /// How far a task of the client is, for the server that asked for it.
    fn client_tells_of_task(
        &mut self,
        message: &Message,
        params: Option<&Range<usize>>,
    ) -> Vec<Effect> {
        let task = text_param(message, params, "taskId");
        match task.and_then(|(task, _)| self.asked_tasks.of(&task)) {
            Some(server) => vec![Effect::ToServer(server, message.text().to_owned())],
            None => vec![odd(None, OddKind::UnknownAnswer, "a task that nobody asked for")],
        }
    }

    fn have_telling_decided(
        &mut self,
        message: &Message,
        method: &str,
        params: Option<&Range<usize>>,
    ) -> Vec<Effect> {
        let all: Vec<usize> = self.present().collect();
        if self.tellings.len().saturating_add(all.len()) > PENDING_MAX {
            let what = format!("more than {PENDING_MAX} notifications are decided about");
            return vec![odd(None, OddKind::TooMuch, what)];
        }
        let arguments = match params.map(|at| serde_json::from_str(message.part(at))) {
            None => Value::Object(Map::new()),
            Some(Ok(params @ Value::Object(_))) => params,
            Some(_) => {
                let what = format!("`{method}` with parameters that are no object");
                return vec![odd(None, OddKind::NotRpc, what)];
            }
        };
        let decide = |server| {
            let ticket = self.number();
            let (method, text) = (method.to_owned(), message.text().to_owned());
            let what = Called::Method(method.clone());
            self.tellings.insert(ticket, Telling { server, method, text });
            Effect::Decide(Call {
                ticket,
                server,
                what,
                arguments: arguments.clone(),
                trace: None,
                beside: Vec::new(),
            })
        };
        all.into_iter().map(decide).collect()
    }

    /// Whether a server is told something has been decided; `None` where it is something else.
    pub(super) fn telling_decided(
        &mut self,
        ticket: u64,
        decided: &Decided,
    ) -> Option<Vec<Effect>> {
        let Telling { server, method, text } = self.tellings.remove(&ticket)?;
        let seat = self.servers.get(server);
        Some(match decided {
            Decided::Permit(_) if seat.is_some_and(|seat| !seat.is_gone) => {
                vec![Effect::ToServer(server, text), Effect::Ended(ticket, Ended::Told)]
            }
            Decided::Permit(_) => vec![Effect::Ended(ticket, Ended::Unanswered)],
            Decided::Deny(_) => {
                let name = seat.map_or("", |seat| &seat.name);
                let what = format!("`{method}` was denied, and not passed on to `{name}`");
                vec![odd(None, OddKind::Blocked, what)]
            }
        })
    }

    /// Who has the request is told, by the name that it has there.
    fn cancelled(
        &mut self,
        stream: u64,
        message: &Message,
        params: Option<&Range<usize>>,
    ) -> Vec<Effect> {
        let found = params.and_then(|at| {
            let members = Members::of(message.part(at))?;
            let id = Id::read(members.get("requestId")?)?;
            let id_at = members.at("requestId")?;
            Some((id, at.start.saturating_add(id_at.start)..at.start.saturating_add(id_at.end)))
        });
        let Some((id, id_at)) = found else {
            let what = "`notifications/cancelled` of nothing";
            return vec![odd(None, OddKind::OutOfPlace, what)];
        };
        let name = Name { stream, id };
        if self.under_way.contains_key(&name) {
            return self.cancel(&name, Some((message, id_at)));
        }
        // Over HTTP a session's messages come on streams of their own.
        let same = self.under_way.keys().find(|found| found.id == name.id && stream != 0).cloned();
        match same.filter(|_| self.session.is_some()) {
            Some(name) => self.cancel(&name, Some((message, id_at))),
            None => Vec::new(),
        }
    }
}

/// What is told of a notification that has nothing to say but its name, and says more: that is passed on to nobody.
fn says_more(message: &Message, method: &str) -> Option<Effect> {
    let Kind::Notification { params, .. } = message.kind() else { return None };
    let all = Members::of(message.text())?;
    let has_others = all.iter().any(|(name, _)| !NAMED.contains(&name));
    let params = params.as_ref().map(|at| Members::of(message.part(at)));
    let is_empty = params.is_none_or(|params| params.is_some_and(|all| all.iter().count() == 0));
    let what = format!("`{method}` with more than its name, which was not passed on");
    (has_others || !is_empty).then(|| odd(None, OddKind::OutOfPlace, what))
}
