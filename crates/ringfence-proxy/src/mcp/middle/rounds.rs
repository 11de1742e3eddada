//! Servers of 2026-07-28 that want to know more before they answer: what they ask is decided, then asked of the
//! client in its own words, and the request sent again with the answers.

use serde_json::Value;

use super::super::edit;
use super::super::frame::{Answer, Id, Members, Message, quoted, string};
use super::asker::{self, Asker, ELICITATION, ROOTS, SAMPLING};
use super::asks::{At, From};
use super::{Called, Decided, Effect, Middle, OddKind, UnderWay, odd, passing::Passed};

/// How often a server may want to know more before it answers one request.
const ROUNDS_MAX: u32 = 16;

/// Most things that it may want to know at once.
const INPUTS_MAX: usize = 16;

/// Largest request that can be sent again, in bytes.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A request whose server wants to know more.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) server: usize,
    pub(super) passed: Passed,
    /// Its answer, as it stands.
    result: String,
    inputs: Vec<Input>,
}

/// One thing that it wants to know.
#[derive(Debug)]
struct Input {
    key: String,
    /// The question, as it stands.
    raw: String,
    method: String,
    /// Our name for it.
    number: u64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Deciding,
    Granted,
    /// With this, which is JSON: by the client, or by us in its place.
    Answered {
        result: String,
        by_client: bool,
    },
}

impl Round {
    /// The questions that are open, by names of ours.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.inputs.iter().filter(|input| input.is_open()).map(|input| input.number).collect()
    }

    /// What a client that stands for itself is told.
    pub(super) fn to_client(&self, state: &str) -> String {
        let granted = self.inputs.iter().filter(|input| input.state == State::Granted);
        let all: Vec<String> =
            granted.map(|input| format!("{}:{}", quoted(&input.key), input.raw)).collect();
        let inputs = format!("{{{}}}", all.join(","));
        let changes = [("inputRequests", Some(inputs)), ("requestState", Some(quoted(state)))];
        edit::object(Some(&self.result), &changes)
    }

    /// Takes the client's answers, by the server's keys; others than were asked for are nothing.
    pub(super) fn take_answers(&mut self, answer: &dyn Fn(&str) -> Option<String>) {
        for input in self.inputs.iter_mut().filter(|input| input.state == State::Granted) {
            if let Some(result) = answer(&input.key) {
                input.state = State::Answered { result, by_client: true };
            }
        }
    }

    fn input(&mut self, number: u64) -> Option<&mut Input> {
        self.inputs.iter_mut().find(|input| input.number == number)
    }
}

impl Input {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Deciding | State::Granted)
    }
}

impl Middle {
    /// A server wants to know more before it answers.
    pub(super) fn wants_to_know(
        &mut self,
        server: usize,
        passed: Passed,
        result: &str,
    ) -> Vec<Effect> {
        let asked = match questions(&passed, result) {
            Ok(asked) => asked,
            Err(why) => return self.misasked(server, &passed, &why),
        };
        for (_, _, method, params) in &asked {
            if !self.client_can(&passed.asker, method, params) {
                let why = format!("its server asks for `{method}`, which the client cannot do");
                return self.misasked(server, &passed, &why);
            }
        }
        let round = self.number();
        if let Some(name) = &passed.name {
            self.under_way.insert(name.clone(), UnderWay::Round(round));
        }
        let (mut inputs, mut effects) = (Vec::new(), Vec::new());
        for (key, raw, method, params) in asked {
            let decide = self.have_decided(server, From::Round(round), (&method, Some(params)));
            let Effect::Decide(call) = &decide else { continue };
            let number = call.ticket;
            inputs.push(Input { key, raw, method, number, state: State::Deciding });
            effects.push(decide);
        }
        let round_of = Round { server, passed, result: result.to_owned(), inputs };
        if effects.is_empty() {
            return self.again(round_of);
        }
        self.rounds.insert(round, round_of);
        effects
    }

    fn misasked(&mut self, server: usize, passed: &Passed, why: &str) -> Vec<Effect> {
        let mut effects = vec![odd(Some(server), OddKind::OutOfPlace, why)];
        effects.extend(self.cancel_task(passed));
        effects.extend(self.fail(passed, why));
        effects
    }

    fn client_can(&self, asker: &Asker, method: &str, params: &Value) -> bool {
        match asker {
            Asker::Modern(facts) => facts.can(method, params),
            Asker::Session => {
                let session = self.session.as_ref();
                session.is_some_and(|session| asker::can(&session.capabilities, method, params))
            }
        }
    }

    /// One of its questions has been decided.
    pub(super) fn round_decided(
        &mut self,
        (round, number): (u64, u64),
        decided: Decided,
    ) -> Vec<Effect> {
        let Some(at) = self.rounds.get_mut(&round) else { return Vec::new() };
        let Some(input) = at.input(number) else { return Vec::new() };
        match decided {
            Decided::Permit(_) => {
                input.state = State::Granted;
                self.put(number, At::Held);
            }
            Decided::Deny(_) if input.method == ELICITATION => {
                let result = r#"{"action":"decline"}"#.to_owned();
                input.state = State::Answered { result, by_client: false };
                self.questions.remove(&number);
            }
            Decided::Deny(why) => {
                let method = input.method.clone();
                self.questions.remove(&number);
                let why = format!("its server asks for `{method}`: {why}");
                return self.fail_round(round, &why);
            }
        }
        let waits = |input: &Input| input.state == State::Deciding;
        let is_ready = self.rounds.get(&round).is_some_and(|round| !round.inputs.iter().any(waits));
        if is_ready { self.round_ready(round) } else { Vec::new() }
    }

    /// All has been decided: what is permitted is asked.
    fn round_ready(&mut self, round: u64) -> Vec<Effect> {
        let Some(of) = self.rounds.get(&round) else { return Vec::new() };
        let granted = of.numbers();
        if granted.is_empty() {
            return self.rounds.remove(&round).map(|it| self.again(it)).unwrap_or_default();
        }
        if of.passed.is_modern() {
            return self.rounds.remove(&round).map(|it| self.hold_round(it)).unwrap_or_default();
        }
        let stream = of.passed.name.as_ref().map_or(0, |name| name.stream);
        let ask = |input: &Input| {
            let params = Members::of(&input.raw).and_then(|all| all.get("params"));
            let params = params.and_then(|raw| self.question_for_session(&input.method, raw));
            let mut changes = vec![
                ("jsonrpc", Some(quoted("2.0"))),
                ("id", Some(Id::number(input.number).json().to_owned())),
            ];
            changes.extend(params.map(|params| ("params", Some(params))));
            Effect::to(stream, edit::object(Some(&input.raw), &changes))
        };
        let open = of.inputs.iter().filter(|input| input.is_open());
        let effects: Vec<Effect> = open.map(ask).collect();
        for number in granted {
            self.put(number, At::Client);
        }
        effects
    }

    /// The client of a session has answered one of them.
    pub(super) fn round_answered(
        &mut self,
        (round, number): (u64, u64),
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        self.questions.remove(&number);
        let Some(of) = self.rounds.get_mut(&round) else { return Vec::new() };
        let Some(input) = of.input(number) else { return Vec::new() };
        let result = match answer {
            Answer::Result(at) => message.part(at).to_owned(),
            Answer::Error(_) if input.method == ELICITATION => r#"{"action":"cancel"}"#.to_owned(),
            Answer::Error(at) => {
                let why =
                    format!("the client does not answer `{}`: {}", input.method, message.part(at));
                return self.fail_round(round, &why);
            }
        };
        input.state = State::Answered { result, by_client: true };
        if of.inputs.iter().any(Input::is_open) {
            return Vec::new();
        }
        self.rounds.remove(&round).map(|it| self.again(it)).unwrap_or_default()
    }

    /// Sends the request again.
    pub(super) fn again(&mut self, mut round: Round) -> Vec<Effect> {
        let is_gone = self.servers.get(round.server).is_none_or(|seat| seat.is_gone);
        if is_gone {
            return self.fail(&round.passed, "the server has ended");
        }
        round.passed.rounds = round.passed.rounds.saturating_add(1);
        let answered = round.inputs.iter().filter_map(|input| match &input.state {
            State::Answered { result, by_client: true } if !result.starts_with('{') => None,
            State::Answered { result, .. } => Some((input.key.clone(), result.clone())),
            State::Deciding | State::Granted => None,
        });
        let answered: Vec<(String, String)> = answered.collect();
        if round.passed.task.is_some() {
            return self.tell_task(round.passed, &answered);
        }
        let answered: Vec<String> =
            answered.iter().map(|(key, raw)| format!("{}:{raw}", quoted(key))).collect();
        let responses = (!answered.is_empty()).then(|| format!("{{{}}}", answered.join(",")));
        let members = Members::of(&round.result);
        let state = members.and_then(|all| all.get("requestState")).map(str::to_owned);
        let params = [("inputResponses", responses), ("requestState", state)];
        vec![self.pass_again(round.server, round.passed, &params)]
    }

    fn fail_round(&mut self, round: u64, why: &str) -> Vec<Effect> {
        let Some(of) = self.rounds.remove(&round) else { return Vec::new() };
        let mut effects = self.forget_questions(&of.numbers());
        effects.extend(self.cancel_task(&of.passed));
        effects.extend(self.fail(&of.passed, why));
        effects
    }

    /// Nobody waits for the request any more.
    pub(super) fn cancel_round(&mut self, round: u64) -> Vec<Effect> {
        let Some(of) = self.rounds.remove(&round) else { return Vec::new() };
        let mut effects = self.forget_questions(&of.numbers());
        effects.extend(self.cancel_task(&of.passed));
        effects.push(Effect::Ended(of.passed.ticket, super::Ended::Unanswered));
        effects
    }

    /// A server is gone.
    pub(super) fn rounds_no_more(&mut self, server: usize) -> Vec<Effect> {
        let of_it = self.rounds.iter().filter(|(_, round)| round.server == server);
        let of_it: Vec<u64> = of_it.map(|(number, _)| *number).collect();
        of_it.into_iter().flat_map(|round| self.fail_round(round, "the server has ended")).collect()
    }
}

/// What a server wants to know: key, question as it stands, method and parameters.
type Asked = (String, String, String, Value);

fn questions(passed: &Passed, result: &str) -> Result<Vec<Asked>, String> {
    if !passed.may_ask() {
        let (Called::Method(what) | Called::Tool(what)) = &passed.what;
        return Err(format!("its server wants to know more, which `{what}` has no place for"));
    }
    if passed.rounds >= ROUNDS_MAX {
        return Err(format!("its server wanted to know more {ROUNDS_MAX} times"));
    }
    if passed.kept.len() > KEPT_BYTES_MAX {
        return Err(format!("a call of more than {KEPT_BYTES_MAX} bytes is not made again"));
    }
    let wrong = || "its server wants to know more, and does not say what".to_owned();
    let members = Members::of(result).ok_or_else(wrong)?;
    if members.get("requestState").is_some_and(|raw| string(raw).is_none()) {
        return Err("its server gives a `requestState` that is no text".to_owned());
    }
    let inputs = match members.get("inputRequests") {
        Some(raw) => Members::of(raw).ok_or_else(wrong)?,
        None if members.get("requestState").is_some() => return Ok(Vec::new()),
        None => return Err(wrong()),
    };
    if inputs.iter().count() > INPUTS_MAX {
        return Err(format!("its server wants to know more than {INPUTS_MAX} things at once"));
    }
    let one = |(key, raw): (&str, &str)| {
        let members = Members::of(raw).ok_or_else(wrong)?;
        let method = members.get("method").and_then(string).ok_or_else(wrong)?;
        if ![SAMPLING, ELICITATION, ROOTS].contains(&method.as_ref()) {
            return Err(format!("its server asks for `{method}`, which nobody is asked for"));
        }
        let params = members.get("params").unwrap_or("{}");
        let params = serde_json::from_str(params).map_err(|_| wrong())?;
        Ok((key.to_owned(), raw.to_owned(), method.into_owned(), params))
    };
    inputs.iter().map(one).collect()
}
