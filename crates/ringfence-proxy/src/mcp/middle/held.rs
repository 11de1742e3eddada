//! Requests that have been answered with questions, and go on when the client asks again: MCP 2026-07-28 "Multi
//! Round-Trip Requests".
//!
//! The client is given a `requestState` of ours, which nobody can guess, counts once and for a time, and belongs
//! to one call: method, target and arguments. Asking again with it is the same act, decided when it began; with any
//! other arguments it is refused. The state that a server gave stays here.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::super::edit;
use super::super::frame::{INTERNAL_ERROR, INVALID_PARAMS, Kind, Members, Message, quoted};
use super::super::frame::{result_answer, string};
use super::asker::{Asker, Facts};
use super::asks::{At, From, cancelled};
use super::client::Asked;
use super::rounds::Round;
use super::{Called, Effect, Ended, Middle, Name, OddKind, UnderWay, odd, passing::Passed};

/// Most requests of one client that are held.
const HELD_MAX: usize = 32;

/// How long the client may take to ask again.
const HELD_MS_MAX: u64 = 10 * 60 * 1_000;

/// A request that is held.
#[derive(Debug)]
pub(super) struct Held {
    digest: Option<[u8; 32]>,
    until_ms: u64,
    goes: Goes,
    /// What the client was asked, by names of ours.
    asked: Vec<u64>,
}

/// How a request goes on.
#[derive(Debug)]
pub(super) enum Goes {
    /// A person is asked about it still, by this ticket.
    Asked(u64),
    /// It was denied meanwhile.
    Denied(Box<(Called, String)>),
    /// Its server still has it, under this name of ours.
    On(u64),
    /// Its server has answered it meanwhile.
    Done { server: usize, passed: Box<Passed>, message: Box<Message> },
    /// It is sent again.
    Again(Box<Round>),
}

impl Held {
    pub(super) fn until_ms(&self) -> u64 {
        self.until_ms
    }
}

/// What a call is: its method and parameters, without what says how it is asked.
pub(super) fn digest(method: &str, params: Option<&str>) -> [u8; 32] {
    let params = params.and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw).ok());
    let mut params = params.unwrap_or_default();
    for key in ["_meta", "inputResponses", "requestState"] {
        params.remove(key);
    }
    let mut text = quoted(method);
    canonical(&Value::Object(params), &mut text);
    Sha256::digest(text.as_bytes()).into()
}

/// A value as one text, however its members were ordered.
fn canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            into.push('{');
            for (name, value) in sorted {
                into.push_str(&quoted(name));
                into.push(':');
                canonical(value, into);
                into.push(',');
            }
            into.push('}');
        }
        Value::Array(all) => {
            into.push('[');
            for value in all {
                canonical(value, into);
                into.push(',');
            }
            into.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push_str(&value.to_string());
        }
    }
}

impl Middle {
    /// Holds a request that its server goes on with, and tells the client what that wants to know.
    pub(super) fn hold(&mut self, number: u64) -> Vec<Effect> {
        let Some(passed) = self.passed(number) else { return Vec::new() };
        let asked = std::mem::take(&mut passed.pending);
        let digest = passed.digest;
        if self.held.len() >= HELD_MAX {
            let mut effects = Vec::new();
            for question in asked {
                effects.extend(self.turn_away(question, "too many questions are open"));
            }
            return effects;
        }
        let Some(name) = self.passed(number).and_then(|passed| passed.name.take()) else {
            return Vec::new();
        };
        let state = self.state();
        let inputs: Vec<_> = asked.iter().filter_map(|question| self.input(*question)).collect();
        let until_ms = self.now_ms.saturating_add(HELD_MS_MAX);
        self.held.insert(state.clone(), Held { digest, until_ms, goes: Goes::On(number), asked });
        let inputs = format!("{{{}}}", inputs.join(","));
        let result = edit::object(
            None,
            &[
                ("resultType", Some(quoted("input_required"))),
                ("inputRequests", Some(inputs)),
                ("requestState", Some(quoted(&state))),
            ],
        );
        vec![self.answer(&name, result_answer(&name.id, &result))]
    }

    /// A question of a server's own as a member of `inputRequests`.
    fn input(&self, number: u64) -> Option<String> {
        let From::Request { message, .. } = &self.questions.get(&number)?.from else { return None };
        let request = edit::object(Some(message.text()), &[("jsonrpc", None), ("id", None)]);
        Some(format!(r#""{number}":{request}"#))
    }

    /// Holds a request that is sent to its server again once the client has answered what is asked.
    pub(super) fn hold_round(&mut self, mut round: Round) -> Vec<Effect> {
        if self.held.len() >= HELD_MAX {
            let mut effects = self.forget_questions(&round.numbers());
            effects.extend(self.fail(&round.passed, "too many calls wait for the client"));
            return effects;
        }
        let Some(name) = round.passed.name.take() else { return Vec::new() };
        let state = self.state();
        let result = round.to_client(&state);
        let digest = round.passed.digest;
        let until_ms = self.now_ms.saturating_add(HELD_MS_MAX);
        let asked = round.numbers();
        for number in &asked {
            self.put(*number, At::Held);
        }
        let goes = Goes::Again(Box::new(round));
        self.held.insert(state, Held { digest, until_ms, goes, asked });
        vec![self.answer(&name, result_answer(&name.id, &result))]
    }

    /// Whether one more may be held.
    pub(super) fn may_hold(&self) -> bool {
        self.held.len() < HELD_MAX
    }

    /// Holds a request until the client asks again; what it has to say for that.
    pub(super) fn hold_for(&mut self, digest: Option<[u8; 32]>, goes: Goes) -> String {
        let state = self.state();
        let until_ms = self.now_ms.saturating_add(HELD_MS_MAX);
        self.held.insert(state.clone(), Held { digest, until_ms, goes, asked: Vec::new() });
        state
    }

    /// From now on it goes on otherwise.
    pub(super) fn goes(&mut self, state: &str, goes: Goes) {
        if let Some(held) = self.held.get_mut(state) {
            held.goes = goes;
        }
    }

    /// What is held under this name of ours at its server has another now.
    pub(super) fn goes_on_as(&mut self, before: u64, now: u64) {
        for held in self.held.values_mut() {
            if let Goes::On(number) = &mut held.goes
                && *number == before
            {
                *number = now;
            }
        }
    }

    /// Something that nobody can guess.
    fn state(&mut self) -> String {
        let number = self.number();
        let mut hash = Sha256::new();
        hash.update(b"ringfence requestState\0");
        hash.update(self.seed);
        hash.update(number.to_be_bytes());
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// The client asks again. `None` where it does not, and this is a call of its own.
    pub(super) fn asked_again(
        &mut self,
        asked: &Asked<'_>,
        facts: &Arc<Facts>,
    ) -> Option<Vec<Effect>> {
        let params = asked.message.part(asked.params?);
        let members = Members::of(params)?;
        let responses = members.get("inputResponses");
        // Without a state it is a call of its own, which has no answers to what nobody asked.
        let state = members.get("requestState")?;
        let state = string(state).unwrap_or_default();
        let refuse = |told: &str| (told.to_owned(), OddKind::UnknownAnswer);
        let refused = match self.held.get(state.as_ref()) {
            None => Some(refuse("this `requestState` is not known, or not any more")),
            Some(held) if held.digest != Some(digest(asked.method, Some(params))) => {
                Some(refuse("this `requestState` belongs to another call"))
            }
            Some(_) if responses.is_some_and(|raw| Members::of(raw).is_none()) => {
                Some(refuse("`inputResponses` is no object"))
            }
            Some(_) => None,
        };
        if let Some((told, kind)) = refused {
            let what = odd(None, kind, told.as_str());
            return Some(vec![self.answer_error(&asked.name, INVALID_PARAMS, &told), what]);
        }
        let held = self.held.remove(state.as_ref())?;
        let token = super::asker::progress_token(asked.message, asked.params);
        let again = (asked.name.clone(), Asker::Modern(Arc::clone(facts)), token);
        Some(self.goes_on(held, again, responses))
    }

    fn goes_on(
        &mut self,
        held: Held,
        (name, asker, token): (Name, Asker, Option<String>),
        responses: Option<&str>,
    ) -> Vec<Effect> {
        let responses = responses.and_then(Members::of);
        let answer = |key: &str| {
            let found = responses.as_ref().and_then(|all| all.get(key));
            found.filter(|raw| raw.starts_with('{')).map(str::to_owned)
        };
        match held.goes {
            Goes::Asked(ticket) => {
                let said = Middle::said_to_us(&answer);
                self.asks_again_for(ticket, (name, asker), said.as_deref())
            }
            Goes::Denied(denied) => vec![self.denied_meanwhile(&name, &denied)],
            Goes::On(number) => {
                let Some(passed) = self.passed(number) else {
                    let told = "the server has ended";
                    return vec![self.answer_error(&name, INTERNAL_ERROR, told)];
                };
                (passed.name, passed.asker, passed.token) = (Some(name.clone()), asker, token);
                self.under_way.insert(name, UnderWay::Sent(number));
                let mut effects = Vec::new();
                for question in held.asked {
                    match answer(&question.to_string()) {
                        Some(result) => effects.extend(self.answer_question(question, &result)),
                        // What is not answered is asked again.
                        None if self.questions.contains_key(&question) => {
                            if let Some(passed) = self.passed(number) {
                                passed.pending.push(question);
                            }
                        }
                        None => {}
                    }
                }
                if self.passed(number).is_some_and(|passed| !passed.pending.is_empty()) {
                    effects.extend(self.hold(number));
                }
                effects
            }
            Goes::Done { server, passed, message } => {
                let Kind::Response { answer, .. } = message.kind() else { return Vec::new() };
                let text = self.to_asker(server, &passed, &name.id, (&message, answer));
                vec![self.answer(&name, text)]
            }
            Goes::Again(mut round) => {
                (round.passed.name, round.passed.asker) = (Some(name), asker);
                round.passed.token = token;
                round.take_answers(&answer);
                let mut effects: Vec<Effect> = Vec::new();
                for number in held.asked {
                    if self.questions.remove(&number).is_some() {
                        effects.push(Effect::Ended(number, Ended::Answered { bytes: 0 }));
                    }
                }
                effects.extend(self.again(*round));
                effects
            }
        }
    }

    /// A server has answered a request that is held: the client gets it when it asks again.
    pub(super) fn arrived(
        &mut self,
        number: u64,
        passed: Box<Passed>,
        server: usize,
        message: &Message,
    ) -> Vec<Effect> {
        let found =
            self.held.values_mut().find(|held| matches!(held.goes, Goes::On(it) if it == number));
        let Some(held) = found else { return Vec::new() };
        let asked = std::mem::take(&mut held.asked);
        held.goes = Goes::Done { server, passed, message: Box::new(message.clone()) };
        self.forget_questions(&asked)
    }

    /// What nobody asked for again in time ends.
    pub(super) fn held_too_long(&mut self) -> Vec<Effect> {
        let late = self.held.iter().filter(|(_, held)| held.until_ms <= self.now_ms);
        let late: Vec<String> = late.map(|(state, _)| state.clone()).collect();
        late.into_iter().flat_map(|state| self.drop_held(&state)).collect()
    }

    fn drop_held(&mut self, state: &str) -> Vec<Effect> {
        let Some(held) = self.held.remove(state) else { return Vec::new() };
        let mut effects = Vec::new();
        for question in &held.asked {
            effects.extend(self.turn_away(*question, "the client did not answer in time"));
        }
        match held.goes {
            Goes::On(number) => {
                if let Some(sent) = self.sent.remove(&number)
                    && let Some(passed) = sent.why.into_client()
                {
                    effects.extend(self.forget_questions(&passed.pending));
                    effects.push(Effect::ToServer(sent.server, cancelled(number)));
                    effects.extend(self.cancel_task(&passed));
                    effects.push(Effect::Ended(passed.ticket, Ended::Unanswered));
                }
            }
            Goes::Asked(ticket) => effects.extend(self.told_in_vain(ticket)),
            Goes::Done { .. } | Goes::Denied(_) => {}
            Goes::Again(round) => {
                effects.push(Effect::Ended(round.passed.ticket, Ended::Unanswered));
            }
        }
        effects
    }

    /// A server is gone: what is sent to it again never goes on.
    pub(super) fn held_no_more(&mut self, server: usize) -> Vec<Effect> {
        let of_it = self.held.iter().filter(|(_, held)| match &held.goes {
            Goes::On(number) => self.sent.get(number).is_none_or(|sent| sent.server == server),
            Goes::Again(round) => round.server == server,
            Goes::Done { .. } | Goes::Asked(_) | Goes::Denied(_) => false,
        });
        let of_it: Vec<String> = of_it.map(|(state, _)| state.clone()).collect();
        of_it.into_iter().flat_map(|state| self.drop_held(&state)).collect()
    }
}
