//! A server that has forgotten its session (MCP, "Session Management": it answers 404): it is begun with anew as it was
//! begun with before, and nothing goes on before its tools are known once more.
//!
//! What met the 404 cannot have been carried out, and is sent again, once. What else it was told of the session is told
//! again as well.

mod retell;

use serde_json::Value;

use super::super::frame::{Answer, Frame, Id, Kind, Message};
use super::begin::usable;
use super::{Called, Effect, Era, Middle, OddKind, Phase, Why, odd};

/// How long a server may take to begin anew.
const AGAIN_MS_MAX: u64 = 60_000;
/// How often one server is begun with anew; one that forgets more often is given up.
const TIMES_MAX: u32 = 64;
/// Most bytes that wait until it has begun.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What of a server's session is kept, so that there can be another one.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The parameters of the `initialize` that it began with.
    began_by: Option<String>,
    /// It is begun with anew.
    now: Option<Again>,
    times: u32,
    pub(super) told: retell::Told,
}

#[derive(Debug)]
struct Again {
    until_ms: u64,
    /// It has begun; its tools are not known yet.
    has_begun: bool,
    /// What it is told when they are.
    held: Vec<String>,
    bytes: usize,
}

impl Kept {
    /// It is asked to begin.
    pub(super) fn begins_by(&mut self, params: &str) {
        self.began_by = Some(params.to_owned());
    }

    /// Until when it may take to begin anew, where it does.
    pub(super) fn until_ms(&self) -> Option<u64> {
        self.now.as_ref().map(|again| again.until_ms)
    }

    /// Whether it is asked to begin anew, and has not answered.
    pub(super) fn has_no_session(&self) -> bool {
        self.now.as_ref().is_some_and(|again| !again.has_begun)
    }

    /// It has ended: what waits is answered with that.
    pub(super) fn no_more(&mut self) {
        *self = Kept::default();
    }
}

impl Middle {
    /// A server does not know its session any more; what it was sent just now, if that was a request, was not carried
    /// out.
    pub fn forgotten(&mut self, server: usize, request: Option<&Message>) -> Vec<Effect> {
        let effects = self.forgotten_now(server, request);
        self.counted(effects)
    }

    fn forgotten_now(&mut self, server: usize, request: Option<&Message>) -> Vec<Effect> {
        let is_open = self.phase == Phase::Open && self.era(server) == Some(Era::Session);
        let until_ms = self.now_ms.saturating_add(AGAIN_MS_MAX);
        let Some(seat) = self.servers.get_mut(server).filter(|seat| !seat.is_gone) else {
            return Vec::new();
        };
        let may_begin = is_open && seat.kept.now.is_none() && seat.kept.times < TIMES_MAX;
        let Some(params) = seat.kept.began_by.clone().filter(|_| may_begin) else {
            return self.ended_because(server, "the server does not keep its session");
        };
        seat.kept.times = seat.kept.times.saturating_add(1);
        seat.kept.told.forgotten();
        seat.kept.now = Some(Again { until_ms, has_begun: false, held: Vec::new(), bytes: 0 });
        // What it says of them now is of the session that is gone.
        seat.tools.forget();
        self.sent.retain(|_, sent| sent.server != server || !matches!(sent.why, Why::Own));
        let what = "it has forgotten its session, and is begun with anew";
        let mut effects = vec![odd(Some(server), OddKind::Forgot, what)];
        if let Some((number, request)) = request.and_then(|it| Some((number(it)?, it))) {
            if self.resent.insert(number) {
                effects.push(Effect::ToServer(server, request.text().to_owned()));
            } else {
                effects.extend(self.given_up(number, "the server forgets its session each time"));
            }
        }
        effects.push(self.ask(server, Why::Again, "initialize", &params));
        effects
    }

    /// A server has begun anew, or says why not.
    pub(super) fn begun_anew(
        &mut self,
        server: usize,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let (Answer::Result(at) | Answer::Error(at)) = answer;
        let said = match answer {
            Answer::Result(_) => usable(message.part(at)),
            Answer::Error(_) => Err(message.part(at).to_owned()),
        };
        let had_tools = self.offers(server, "tools");
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        let version = |hello: &Value| hello.get("protocolVersion").cloned();
        let before = seat.hello.as_ref().and_then(version);
        match said {
            // Whoever speaks to it does so as was agreed on.
            Ok((hello, _)) if version(&hello) != before => {
                self.ended_because(server, "the server begins anew with another revision")
            }
            Ok((hello, said)) => {
                (seat.hello, seat.said) = (Some(hello), said);
                if let Some(again) = &mut seat.kept.now {
                    again.has_begun = true;
                }
                if had_tools && !self.offers(server, "tools") {
                    return self.ended_because(server, "the server begins anew without its tools");
                }
                let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
                let mut effects = vec![Effect::ToServer(server, initialized.to_owned())];
                let asked = self.start_listing(server);
                if asked.is_empty() {
                    effects.extend(self.known_again(server));
                }
                effects.extend(asked);
                effects
            }
            Err(why) => {
                self.ended_because(server, &format!("the server does not begin anew: {why}"))
            }
        }
    }

    /// The tools of a server are known again: what waited goes on, but for calls of tools that are not what they were.
    pub(super) fn known_again(&mut self, server: usize) -> Vec<Effect> {
        let again = self.servers.get_mut(server).and_then(|seat| seat.kept.now.take());
        let mut effects = Vec::new();
        if again.is_some() {
            effects.extend(self.tell_again(server));
        }
        for text in again.into_iter().flat_map(|again| again.held) {
            match self.calls_changed(server, &text) {
                Some(number) => {
                    let why =
                        "its server says something else of the tool since it forgot its session";
                    effects.extend(self.given_up(number, why));
                }
                None => effects.push(Effect::ToServer(server, text)),
            }
        }
        effects
    }

    /// Whether this calls a tool that is not shown any more; what the call is named here.
    fn calls_changed(&self, server: usize, text: &str) -> Option<u64> {
        let number = number(&message(text)?)?;
        let passed = self.sent.get(&number)?.why.of_client()?;
        let Called::Tool(tool) = &passed.what else { return None };
        let seat = self.servers.get(server)?;
        (!seat.tools.is_shown(tool)).then_some(number)
    }

    /// Answers what a server was to be asked, and is not.
    fn given_up(&mut self, number: u64, why: &str) -> Vec<Effect> {
        let passed = self.sent.remove(&number).and_then(|sent| sent.why.into_client());
        passed.map_or_else(Vec::new, |passed| self.fail(&passed, why))
    }

    /// Of what is to be done, what has to wait until servers have begun anew.
    pub(super) fn held_back(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        if self.servers.iter().all(|seat| seat.kept.now.is_none()) {
            return effects;
        }
        let mut left = Vec::new();
        for effect in effects {
            let Effect::ToServer(server, text) = effect else {
                left.push(effect);
                continue;
            };
            if self.begins(&text) {
                left.push(Effect::ToServer(server, text));
                continue;
            }
            let again = self.servers.get_mut(server).and_then(|seat| seat.kept.now.as_mut());
            let Some(again) = again else {
                left.push(Effect::ToServer(server, text));
                continue;
            };
            again.bytes = again.bytes.saturating_add(text.len());
            if again.bytes <= HELD_BYTES_MAX {
                again.held.push(text);
            } else {
                left.extend(self.ended_because(server, "too much waits for the server"));
            }
        }
        left
    }

    /// Whether this is said so that a server begins.
    fn begins(&self, text: &str) -> bool {
        let Some(message) = message(text) else { return false };
        match message.kind() {
            Kind::Request { .. } => {
                let sent = number(&message).and_then(|number| self.sent.get(&number));
                sent.is_some_and(|sent| matches!(sent.why, Why::Own | Why::Again))
            }
            Kind::Notification { method, .. } => method == "notifications/initialized",
            Kind::Response { .. } => false,
        }
    }

    pub(super) fn begins_anew_too_slowly(&mut self) -> Vec<Effect> {
        let is_slow = |server: &usize| {
            let until = self.servers.get(*server).and_then(|seat| seat.kept.until_ms());
            until.is_some_and(|until| until <= self.now_ms)
        };
        let slow: Vec<usize> = (0..self.servers.len()).filter(is_slow).collect();
        let why = "the server does not begin anew";
        slow.into_iter().flat_map(|server| self.ended_because(server, why)).collect()
    }
}

fn message(text: &str) -> Option<Message> {
    match Frame::parse(text.as_bytes().to_vec()) {
        Ok(Frame::One(message)) => Some(message),
        Ok(Frame::Batch(_)) | Err(_) => None,
    }
}

/// What a request is named here.
fn number(message: &Message) -> Option<u64> {
    let Kind::Request { id, .. } = message.kind() else { return None };
    Id::as_number(id)
}
