//! Requests on their way to a server, and its answers on their way back, translated where the eras differ.

use std::ops::Range;

use super::super::edit::{self, Change};
use super::super::frame::{
    Answer, INTERNAL_ERROR, INVALID_PARAMS, Id, Kind, Members, Message, error_answer, quoted,
    result_answer, string,
};
use super::asker::{Asker, CAPABILITIES, INFO, LOG_LEVEL, VERSION};
use super::tasks::Task;
use super::{Called, Effect, Ended, Era, Middle, Name, OddKind, UnderWay, Why, client, odd};

/// The code of errors that said that a resource is not there, until 2025-11-25.
const RESOURCE_NOT_FOUND: i64 = -32_002;

/// A request of the client that a server has.
#[derive(Debug)]
pub(super) struct Passed {
    /// Who waits for the answer; nobody while it is held until the client asks again.
    pub(super) name: Option<Name>,
    /// Of its decision.
    pub(super) ticket: u64,
    pub(super) asker: Asker,
    pub(super) what: Called,
    /// The request as it was decided; kept where it may have to be sent again.
    pub(super) kept: String,
    /// What the client calls its progress, as it stands.
    pub(super) token: Option<String>,
    /// What the call is, so that asking again is known as the same: only of those that stand for themselves.
    pub(super) digest: Option<[u8; 32]>,
    /// How often its server wanted to know more.
    pub(super) rounds: u32,
    /// What its server asks, and the client has not been told.
    pub(super) pending: Vec<u64>,
    /// What its server is told of the trace that it stands in.
    pub(super) traced: Vec<Change<'static>>,
    /// The task that its server has made of it, where the client knows no such tasks.
    pub(super) task: Option<Box<Task>>,
}

impl Passed {
    /// Whether its server may want to know more before it answers, MCP 2026-07-28 "Multi Round-Trip Requests".
    pub(super) fn may_ask(&self) -> bool {
        client::may_be_asked_again(match &self.what {
            Called::Tool(_) => "tools/call",
            Called::Method(method) => method,
        })
    }

    pub(super) fn is_modern(&self) -> bool {
        matches!(self.asker, Asker::Modern(_))
    }
}

impl Middle {
    /// Passes a message on as it is, under a name of ours.
    pub(super) fn pass_as_it_is(
        &mut self,
        server: usize,
        why: Why,
        message: &Message,
    ) -> Option<Effect> {
        let Kind::Request { id_at, .. } = message.kind() else { return None };
        let number = self.number();
        self.is_sent(number, server, why);
        let name = Id::number(number);
        Some(Effect::ToServer(server, message.with(vec![(id_at.clone(), name.json())])))
    }

    /// Passes a request on that has been decided.
    pub(super) fn pass(
        &mut self,
        server: usize,
        mut passed: Passed,
        (message, parts): (&Message, &[(Range<usize>, String)]),
    ) -> Vec<Effect> {
        let Kind::Request { id_at, .. } = message.kind() else { return Vec::new() };
        let number = self.number();
        let name = Id::number(number);
        let mut all: Vec<(Range<usize>, &str)> =
            parts.iter().map(|(at, new)| (at.clone(), new.as_str())).collect();
        all.push((id_at.clone(), name.json()));
        let mut text = message.with(all);
        let mut effects = self.set_log_level(server, &passed.asker);
        let token = passed.token.as_ref().map(|_| number);
        let mut meta = self.meta_changes(server, &passed.asker, token);
        meta.extend(passed.traced.iter().cloned());
        if self.era(server) == Some(Era::Modern) && passed.may_ask() {
            passed.kept.clone_from(&text);
        }
        let has_answers = passed.is_modern()
            && passed.may_ask()
            && Members::of(&text)
                .and_then(|all| Members::of(all.get("params")?))
                .is_some_and(|params| params.get("inputResponses").is_some());
        let as_task = self.must_be_task(server, &passed);
        if !meta.is_empty() || has_answers || as_task {
            let mut params = if has_answers { unanswered() } else { Vec::new() };
            params.extend(as_task.then(|| ("task", Some("{}".to_owned()))));
            text = rebuilt(&text, number, &params, &meta);
        }
        if let Some(name) = &passed.name {
            self.under_way.insert(name.clone(), UnderWay::Sent(number));
        }
        self.notes_passed(server, number, &passed.what, &text);
        self.is_sent(number, server, Why::Client(Box::new(passed)));
        effects.push(Effect::ToServer(server, text));
        effects
    }

    /// Sends a request again, with what its server wanted to know.
    pub(super) fn pass_again(
        &mut self,
        server: usize,
        passed: Passed,
        params: &[Change<'_>],
    ) -> Effect {
        let number = self.number();
        let token = passed.token.as_ref().map(|_| number);
        let mut meta = self.meta_changes(server, &passed.asker, token);
        if token.is_none() {
            meta.push(("progressToken", None));
        }
        meta.extend(passed.traced.iter().cloned());
        let text = rebuilt(&passed.kept, number, params, &meta);
        if let Some(name) = &passed.name {
            self.under_way.insert(name.clone(), UnderWay::Sent(number));
        }
        self.is_sent(number, server, Why::Client(Box::new(passed)));
        Effect::ToServer(server, text)
    }

    /// What has to be another in the `_meta` of a request, for this server; `token` is its progress's name there.
    fn meta_changes(
        &self,
        server: usize,
        asker: &Asker,
        token: Option<u64>,
    ) -> Vec<Change<'static>> {
        let mut changes = Vec::new();
        if let Some(token) = token {
            changes.push(("progressToken", Some(token.to_string())));
        }
        match (asker, self.era(server)) {
            (Asker::Modern(_), Some(Era::Session)) => {
                changes.extend([
                    (VERSION, None),
                    (CAPABILITIES, None),
                    (INFO, None),
                    (LOG_LEVEL, None),
                ]);
            }
            (Asker::Session, Some(Era::Modern)) => changes.extend(self.session_meta(server)),
            (Asker::Session, _) | (Asker::Modern(_), Some(Era::Modern) | None) => {}
        }
        changes
    }

    /// What a request of a session says to a server that knows no sessions.
    pub(super) fn session_meta(&self, server: usize) -> Vec<Change<'static>> {
        let own = self.own_meta();
        let members = Members::of(&own);
        let own = |name| members.as_ref().and_then(|all| all.get(name)).map(str::to_owned);
        let can = self.with_tasks(server, own(CAPABILITIES));
        let mut changes = vec![(VERSION, own(VERSION)), (CAPABILITIES, can), (INFO, own(INFO))];
        let level = self.session.as_ref().and_then(|session| session.log_level.clone());
        changes.extend(level.map(|level| (LOG_LEVEL, Some(level))));
        changes
    }

    /// The parameters of a request of our own.
    pub(super) fn own_params(&self, server: usize, more: Option<Change<'static>>) -> String {
        let meta =
            (self.era(server) == Some(Era::Modern)).then(|| ("_meta", Some(self.own_meta())));
        let changes: Vec<Change<'_>> = more.into_iter().chain(meta).collect();
        edit::object(None, &changes)
    }

    /// A request for a list, or of what is told to all, as every server gets it: `own` of its parameters, and what the
    /// protocol has in `_meta`. Nobody decides about it, so that nothing else of the client's goes along. One name of
    /// progress at several servers would be several things.
    pub(super) fn list_request(
        &mut self,
        server: usize,
        asker: &Asker,
        (message, own): (&Message, &[&str]),
    ) -> String {
        let Kind::Request { method, params, .. } = message.kind() else { return String::new() };
        let said = params.as_ref().and_then(|at| Members::of(message.part(at)));
        let meta = said.as_ref().and_then(|all| Members::of(all.get("_meta")?));
        let kept = |all: Option<&Members<'_>>, name: &str| {
            all.and_then(|all| all.get(name)).map(str::to_owned)
        };
        let of_protocol = [VERSION, CAPABILITIES, INFO, LOG_LEVEL, "traceparent", "tracestate"];
        let of_protocol = of_protocol.map(|name| (name, kept(meta.as_ref(), name)));
        let meta = edit::object(None, &of_protocol);
        let meta = edit::object(Some(&meta), &self.meta_changes(server, asker, None));
        let mut params: Vec<Change<'_>> =
            own.iter().map(|name| (*name, kept(said.as_ref(), name))).collect();
        params.push(("_meta", (meta != "{}").then_some(meta)));
        let params = edit::object(None, &params);
        let changes = [
            ("jsonrpc", Some(r#""2.0""#.to_owned())),
            ("id", Some(self.next.to_string())),
            ("method", Some(quoted(method))),
            ("params", (params != "{}").then_some(params)),
        ];
        edit::object(None, &changes)
    }

    /// A server has answered a request of the client.
    pub(super) fn answered_by_server(
        &mut self,
        (server, number): (usize, u64),
        mut passed: Box<Passed>,
        (message, answer): (&Message, &Answer),
    ) -> Vec<Effect> {
        if let Some(seat) = self.servers.get_mut(server) {
            seat.kept.told.answered(number, answer);
        }
        if let Answer::Result(at) = answer {
            if let Err(why) = self.owns_task(server, message.part(at)) {
                let mut effects = vec![odd(Some(server), OddKind::OutOfPlace, why)];
                effects.extend(self.fail(&passed, why));
                return effects;
            }
            passed = match self.made_a_task((server, number), passed, message.part(at)) {
                Ok(effects) => return effects,
                Err(passed) => passed,
            };
            if self.era(server) == Some(Era::Modern) && is_of(message.part(at), "input_required") {
                return self.wants_to_know(server, *passed, message.part(at));
            }
        }
        let mut effects = self.forget_questions(&passed.pending);
        let ticket = passed.ticket;
        let how = how(message, answer);
        match passed.name.clone() {
            None => effects.extend(self.arrived(number, passed, server, message)),
            Some(name) => {
                let text = self.to_asker(server, &passed, &name.id, (message, answer));
                effects.push(self.answer(&name, text));
            }
        }
        effects.push(Effect::Ended(ticket, how));
        effects
    }

    /// An answer in the words of whoever asked.
    pub(super) fn to_asker(
        &self,
        server: usize,
        passed: &Passed,
        id: &Id,
        (message, answer): (&Message, &Answer),
    ) -> String {
        let Kind::Response { id_at, .. } = message.kind() else { return String::new() };
        let raw = || message.with(vec![(id_at.clone(), id.json())]);
        let is_read = passed.what == Called::Method("resources/read".to_owned());
        match (&passed.asker, self.era(server), answer) {
            (Asker::Session, Some(Era::Modern), Answer::Result(at)) => {
                let plain = edit::object(Some(message.part(at)), &[("resultType", None)]);
                result_answer(id, &self.in_words_of_session(&passed.what, &plain).unwrap_or(plain))
            }
            (Asker::Session, _, Answer::Result(at)) => {
                let new = self.in_words_of_session(&passed.what, message.part(at));
                new.map_or_else(raw, |new| result_answer(id, &new))
            }
            (Asker::Modern(_), Some(Era::Session), Answer::Result(at)) => {
                result_answer(id, &self.modern_result(server, message.part(at), is_read))
            }
            // Who may read is decided for each agent: nobody keeps what was read for another.
            (Asker::Modern(_), Some(Era::Modern), Answer::Result(at)) if is_read => {
                let private = ("cacheScope", Some(quoted("private")));
                result_answer(id, &edit::object(Some(message.part(at)), &[private]))
            }
            (Asker::Modern(_), Some(Era::Session), Answer::Error(at)) => {
                match modern_error(message.part(at)) {
                    Some(error) => failed(id, &error),
                    None => raw(),
                }
            }
            (Asker::Session | Asker::Modern(_), _, _) => raw(),
        }
    }

    /// The result of a server that began with `initialize`, with what 2026-07-28 wants of every result.
    fn modern_result(&self, server: usize, result: &str, is_read: bool) -> String {
        let mut changes = vec![("resultType", Some(quoted("complete")))];
        if is_read {
            changes.push(("ttlMs", Some("0".to_owned())));
            changes.push(("cacheScope", Some(quoted("private"))));
        }
        let said = self.servers.get(server).map(|seat| seat.said.as_str());
        let info = said.and_then(Members::of).and_then(|all| all.get("serverInfo"));
        let result = match info {
            Some(info) => {
                let info = (super::asker::SERVER_INFO, Some(info.to_owned()));
                edit::within(Some(result), "_meta", &[info])
            }
            None => result.to_owned(),
        };
        edit::object(Some(&result), &changes)
    }

    /// Ends a request whose server cannot go on.
    pub(super) fn fail(&mut self, passed: &Passed, why: &str) -> Vec<Effect> {
        self.fail_as(passed, why, Ended::Failed { bytes: 0 })
    }

    /// The same where its end is another.
    pub(super) fn fail_as(&mut self, passed: &Passed, why: &str, ended: Ended) -> Vec<Effect> {
        let mut effects = self.forget_questions(&passed.pending);
        if let Some(name) = &passed.name {
            let text = match &passed.what {
                Called::Tool(_) => {
                    result_answer(&name.id, &client::denied(why, passed.is_modern()))
                }
                Called::Method(_) => error_answer(Some(&name.id), INTERNAL_ERROR, why),
            };
            effects.push(self.answer(name, text));
        }
        effects.push(Effect::Ended(passed.ticket, ended));
        effects
    }
}

/// An error, which is JSON, as the answer to a request.
pub(super) fn failed(id: &Id, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.json())
}

/// What says how a request is asked again; it is not passed on to who has not asked.
fn unanswered() -> Vec<Change<'static>> {
    vec![("inputResponses", None), ("requestState", None)]
}

/// A request under another name, with some of its parameters and of their `_meta` changed.
fn rebuilt(text: &str, number: u64, params: &[Change<'_>], meta: &[Change<'_>]) -> String {
    let old = Members::of(text).and_then(|all| all.get("params"));
    let new = edit::object(Some(&edit::within(old, "_meta", meta)), params);
    let params = (old.is_some() || new != "{}").then_some(new);
    edit::object(Some(text), &[("id", Some(number.to_string())), ("params", params)])
}

/// Whether a result says that it is of this type.
pub(super) fn is_of(result: &str, wanted: &str) -> bool {
    let said = Members::of(result).and_then(|all| all.get("resultType")).and_then(string);
    said.is_some_and(|said| said == wanted)
}

/// An error whose code 2026-07-28 has another for.
fn modern_error(error: &str) -> Option<String> {
    let code: i64 = Members::of(error)?.get("code")?.parse().ok()?;
    let changes = [("code", Some(INVALID_PARAMS.to_string()))];
    (code == RESOURCE_NOT_FOUND).then(|| edit::object(Some(error), &changes))
}

/// Whether an answer says that what was called failed.
fn how(message: &Message, answer: &Answer) -> Ended {
    let is_error = |at: &Range<usize>| {
        let members = Members::of(message.part(at));
        members.is_some_and(|members| members.get("isError") == Some("true"))
    };
    let bytes = message.text().len();
    match answer {
        Answer::Result(at) if !is_error(at) => Ended::Answered { bytes },
        Answer::Result(_) | Answer::Error(_) => Ended::Failed { bytes },
    }
}
