//! A call that waits for a person, and how the client hears of it.
//!
//! The client is the governed party: what comes back through it allows nothing. It can only take its call back. The
//! question goes out where the client has said that it can show one: as `elicitation/create` in a session, as
//! `input_required` in MCP 2026-07-28; the call goes on by what the person says elsewhere.

use serde_json::{Value, json};

use super::super::edit;
use super::super::frame::{Answer, Kind, Message, error_answer, quoted, result_answer};
use super::asker::{self, Asker, ELICITATION};
use super::asks::cancelled;
use super::client::{DENIED, denied, may_be_asked_again};
use super::held::{self, Goes};
use super::{Called, Decided, Effect, Ended, Middle, Name, UnderWay};

/// The name of the question among those that the client is asked.
const QUESTION: &str = "ringfence-approval";

/// What the agent hears of a call that its client took back.
const TAKEN_BACK: &str = "denied: the call waited for a person, and the client has declined it";

/// How a client was told that its call waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// By a request of this name of ours.
    Request(u64),
    /// In place of the answer: it asks again with this.
    Held(String),
    /// It has asked again, and waits.
    Waits,
}

impl Middle {
    /// A person is asked about this call; `text` is for whoever sits before the client.
    pub fn waits(&mut self, ticket: u64, text: &str) -> Vec<Effect> {
        let Some(waiting) = self.waiting.get(&ticket) else { return Vec::new() };
        let Kind::Request { method, params: at, .. } = waiting.message.kind() else {
            return Vec::new();
        };
        let schema = json!({"type": "object", "properties": {}});
        let params = json!({"message": text, "requestedSchema": schema});
        let name = waiting.name.clone();
        match &waiting.asker {
            Asker::Session => {
                let session = self.session.as_ref().map(|session| &session.capabilities);
                if !session.is_some_and(|can| asker::can(can, ELICITATION, &params)) {
                    return Vec::new();
                }
                let number = self.number();
                self.told.insert(ticket, Told::Request(number));
                let request = json!({"jsonrpc": "2.0", "id": number, "method": ELICITATION, "params": params});
                vec![Effect::to(name.stream, request.to_string())]
            }
            Asker::Modern(facts) => {
                let can = facts.can(ELICITATION, &params) && may_be_asked_again(method);
                if !can || !self.may_hold() {
                    return Vec::new();
                }
                let digest = held::digest(method, at.as_ref().map(|at| waiting.message.part(at)));
                let state = self.hold_for(Some(digest), Goes::Asked(ticket));
                self.told.insert(ticket, Told::Held(state.clone()));
                let request = json!({"method": ELICITATION, "params": params});
                let changes = [
                    ("resultType", Some(quoted("input_required"))),
                    ("inputRequests", Some(json!({QUESTION: request}).to_string())),
                    ("requestState", Some(quoted(&state))),
                ];
                let result = edit::object(None, &changes);
                vec![self.answer(&name, result_answer(&name.id, &result))]
            }
        }
    }

    /// The client answers a question of ours; `None` where it is none.
    pub(super) fn told_answered(
        &mut self,
        number: u64,
        answer: &Answer,
        message: &Message,
    ) -> Option<Vec<Effect>> {
        let is_it = |told: &Told| *told == Told::Request(number);
        let ticket = self.told.iter().find(|(_, told)| is_it(told)).map(|(ticket, _)| *ticket)?;
        let result = match answer {
            Answer::Result(at) => serde_json::from_str(message.part(at)).unwrap_or_default(),
            Answer::Error(_) => Value::Null,
        };
        self.told.insert(ticket, Told::Waits);
        Some(if declines(&result) { self.take_back(ticket) } else { Vec::new() })
    }

    /// A modern client asks again for a call about which a person is asked still.
    pub(super) fn asks_again_for(
        &mut self,
        ticket: u64,
        (name, asker): (Name, Asker),
        said: Option<&str>,
    ) -> Vec<Effect> {
        let Some(waiting) = self.waiting.get_mut(&ticket) else {
            return vec![self.answer_error(&name, DENIED, TAKEN_BACK)];
        };
        (waiting.name, waiting.asker) = (name.clone(), asker);
        self.under_way.insert(name, UnderWay::Waiting(ticket));
        self.told.insert(ticket, Told::Waits);
        let said = said.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        if declines(&said) { self.take_back(ticket) } else { Vec::new() }
    }

    /// What the client says in an answer to our question, of all its answers.
    pub(super) fn said_to_us(answer: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        answer(QUESTION)
    }

    fn take_back(&mut self, ticket: u64) -> Vec<Effect> {
        let mut effects = vec![Effect::Withdraw(ticket)];
        effects.extend(self.decided_now(ticket, Decided::Deny(TAKEN_BACK.to_owned())));
        effects
    }

    /// A call is decided, or nobody wants it any more: the client is not asked about it any longer.
    pub(super) fn told_no_more(&mut self, ticket: u64) -> Vec<Effect> {
        match self.told.remove(&ticket) {
            Some(Told::Request(number)) => vec![Effect::ToClient(cancelled(number))],
            Some(Told::Held(state)) => {
                self.held.remove(&state);
                Vec::new()
            }
            Some(Told::Waits) | None => Vec::new(),
        }
    }

    /// A call has been decided whose client was told to ask again, and has not yet: what comes of it is kept for
    /// it. `None` where it is not so.
    pub(super) fn decided_while_held(
        &mut self,
        ticket: u64,
        decided: &Decided,
    ) -> Option<Vec<Effect>> {
        let Some(Told::Held(state)) = self.told.get(&ticket) else { return None };
        let (state, waiting) = (state.clone(), self.waiting.remove(&ticket)?);
        self.told.remove(&ticket);
        let new = match decided {
            Decided::Deny(why) => {
                self.goes(&state, Goes::Denied(Box::new((waiting.what, why.clone()))));
                return Some(Vec::new());
            }
            Decided::Permit(new) => new.clone(),
        };
        let (what, name) = (waiting.what.clone(), waiting.name.clone());
        // Its name has been answered, and may be that of another request by now.
        let newer = self.under_way.get(&name).copied();
        let effects = self.permitted(ticket, waiting, new);
        match newer {
            Some(newer) => self.under_way.insert(name, newer),
            None => self.under_way.remove(&name),
        };
        let answered =
            |effect: &Effect| matches!(effect, Effect::ToClient(_) | Effect::ToStream(..));
        let mut all = self.sent.iter_mut();
        let found = all.find_map(|(number, sent)| {
            let passed = sent.why.of_client_mut().filter(|passed| passed.ticket == ticket)?;
            Some((*number, passed))
        });
        if let Some((number, passed)) = found {
            passed.name = None;
            self.goes(&state, Goes::On(number));
        } else {
            let why = "the call could not be made: its server has ended".to_owned();
            self.goes(&state, Goes::Denied(Box::new((what, why))));
        }
        Some(effects.into_iter().filter(|effect| !answered(effect)).collect())
    }

    /// The answer to who asks again for what was denied meanwhile.
    pub(super) fn denied_meanwhile(
        &mut self,
        name: &Name,
        (what, why): &(Called, String),
    ) -> Effect {
        match what {
            Called::Tool(_) => self.answer(name, result_answer(&name.id, &denied(why, true))),
            Called::Method(_) => self.answer(name, error_answer(Some(&name.id), DENIED, why)),
        }
    }

    /// Nobody has asked again for a call in time.
    pub(super) fn told_in_vain(&mut self, ticket: u64) -> Vec<Effect> {
        self.told.remove(&ticket);
        match self.waiting.remove(&ticket) {
            Some(_) => vec![Effect::Withdraw(ticket)],
            None => vec![Effect::Ended(ticket, Ended::Unanswered)],
        }
    }
}

/// Whether the person before the client does not want the call. To close the question says nothing.
fn declines(said: &Value) -> bool {
    said.get("action").and_then(Value::as_str) == Some("decline")
}
