//! Servers and a client that send anything in any order, drawn at random: whose answer is whose holds all the same, no
//! call reaches a server undecided, and nothing is left when all have ended. `RINGFENCE_TEST_LONG=1` draws many more.

use std::collections::{BTreeMap, BTreeSet};

use super::eras::{SUBSCRIPTION, modern, with_modern_client, with_session};
use super::*;

/// How many talks are drawn, and how long each is.
fn talks() -> u64 {
    let long = std::env::var_os("RINGFENCE_TEST_LONG").is_some_and(|it| it == "1");
    if long { 20_000 } else { 100 }
}

const STEPS: usize = 150;

/// Longer than anything is waited for, in milliseconds.
const LONG_MS: u64 = 24 * 60 * 60 * 1_000;

/// Numbers that look random, the same each time (xorshift64*).
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % most
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }
}

/// A request of the client, and what came of it.
#[derive(Debug)]
struct Request {
    /// Which server it is for, of a call.
    server: Option<usize>,
    /// What is in its arguments and in no other's.
    mark: u64,
    is_cancelled: bool,
    answers: usize,
}

/// A talk, and all that is known of it outside of the gate.
struct Talk {
    between: Between,
    draw: Draw,
    is_modern: bool,
    now_ms: u64,
    next: u64,
    /// By the stream and the id.
    requests: BTreeMap<(u64, u64), Request>,
    /// Calls that wait for a decision, and tickets of all there were.
    deciding: Vec<Call>,
    tickets: Vec<u64>,
    /// Marks of calls that were permitted, with their servers.
    permitted: BTreeSet<(usize, u64)>,
    /// Tickets that were permitted, and those that have ended.
    granted: BTreeMap<u64, Called>,
    ended: BTreeSet<u64>,
    /// What servers were sent with an id.
    sent: Vec<(usize, Value)>,
    /// Names of what the client was asked.
    questions: Vec<Value>,
    /// What asking again needs: the mark of the call, its server and the state.
    states: Vec<(usize, u64, Value)>,
    odds: usize,
}

impl Talk {
    fn new(seed: u64) -> Talk {
        let mut draw = Draw(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15));
        let is_modern = draw.below(2) == 0;
        let eras = [draw.below(2) == 0, draw.below(2) == 0];
        let (between, _) = if is_modern { with_modern_client(&eras) } else { with_session(&eras) };
        Talk {
            between,
            draw,
            is_modern,
            now_ms: 0,
            next: 100,
            requests: BTreeMap::new(),
            deciding: Vec::new(),
            tickets: Vec::new(),
            permitted: BTreeSet::new(),
            granted: BTreeMap::new(),
            ended: BTreeSet::new(),
            sent: Vec::new(),
            questions: Vec::new(),
            states: Vec::new(),
            odds: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn see(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ToClient(text) => self.told(0, &json(&text)),
                Effect::ToStream(stream, text) => self.told(stream, &json(&text)),
                Effect::ToServer(server, text) => self.passed(server, json(&text)),
                Effect::Decide(call) => {
                    self.tickets.push(call.ticket);
                    self.deciding.push(call);
                }
                Effect::Withdraw(ticket) => self.deciding.retain(|call| call.ticket != ticket),
                Effect::Ended(ticket, _) => {
                    assert!(self.granted.contains_key(&ticket), "{ticket} ended and never was");
                    assert!(self.ended.insert(ticket), "{ticket} ended twice");
                }
                Effect::Odd(_) => self.odds += 1,
            }
        }
        self.is_bounded();
    }

    fn told(&mut self, stream: u64, message: &Value) {
        if message["method"].is_string() {
            if !message["id"].is_null() {
                self.questions.push(message["id"].clone());
            }
            return;
        }
        let Some(id) = message["id"].as_u64() else { return };
        let found = self.requests.get_mut(&(stream, id));
        let Some(request) = found else { panic!("an answer to nothing: {message}") };
        request.answers += 1;
        assert_eq!(request.answers, 1, "answered twice: {message}");
        assert!(!request.is_cancelled || request.server.is_none(), "after its end: {message}");
        let (server, mark) = (request.server, request.mark);
        let result = &message["result"];
        if let (Some(said), Some(server)) = (result.get("said"), server) {
            assert_eq!(said["by"], server, "another server's: {message}");
            // How far a task is says nothing of its call.
            let of = &said["asked"]["p"];
            assert!(of.is_null() || *of == mark, "another's answer than of {mark}: {message}");
        }
        if let (Some(server), "input_required") =
            (server, result["resultType"].as_str().unwrap_or_default())
        {
            self.states.push((server, mark, result["requestState"].clone()));
        }
    }

    fn passed(&mut self, server: usize, message: Value) {
        if message["method"] == "tools/call" {
            let mark = message["params"]["arguments"]["p"].as_u64().unwrap();
            assert!(self.permitted.contains(&(server, mark)), "nobody permitted: {message}");
        }
        if message["method"].is_string() && !message["id"].is_null() {
            self.sent.push((server, message));
        }
    }

    fn is_bounded(&self) {
        let middle = &self.between.0;
        assert!(middle.under_way.len() <= PENDING_MAX);
        assert!(middle.questions.len() <= 2 * 64);
        assert!(middle.held.len() <= 32);
        // What the client has under way, and what is asked for ourselves.
        assert!(
            middle.sent.len()
                <= middle.under_way.len() + middle.held.len() + middle.waits.len() + 16,
            "{} {}",
            middle.sent.len(),
            middle.under_way.len()
        );
        assert!(self.odds <= 3 * 256);
    }

    fn ask(&mut self, method: &str, params: &Value, of: (Option<usize>, u64)) {
        let id = self.number();
        let over_http = self.draw.below(2) == 0;
        let stream = if over_http { self.number() } else { 0 };
        let message = if self.is_modern {
            modern(id, method, params)
        } else {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        };
        let request = Request { server: of.0, mark: of.1, is_cancelled: false, answers: 0 };
        self.requests.insert((stream, id), request);
        let effects = self.between.0.from_client_on(stream, &super::message(&message.to_string()));
        self.see(effects);
    }

    fn call(&mut self) {
        let (server, mark) = (self.draw.below(2), self.number());
        self.call_as(server, mark, &json!({}));
    }

    fn call_as(&mut self, server: usize, mark: u64, more: &Value) {
        let only = self.between.0.servers.len() == 1;
        let tool = *self.draw.one(&["read", "long", "other"]).unwrap();
        let tool = if more["requestState"].is_null() { tool } else { "read" };
        let name =
            if only { tool.to_owned() } else { format!("{}__{tool}", ["files", "shop"][server]) };
        let mut params = json!({"name": name, "arguments": {"p": mark}});
        if self.draw.below(3) == 0 {
            params["_meta"] = json!({"progressToken": mark});
        }
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask("tools/call", &params, (Some(server), mark));
    }

    fn client(&mut self) {
        let number = self.number();
        match self.draw.below(12) {
            0..=3 => self.call(),
            4 => {
                let list =
                    *self.draw.one(&["tools/list", "resources/list", "prompts/list"]).unwrap();
                self.ask(list, &json!({}), (None, 0));
            }
            5 => self.cancel(),
            6 => {
                // An answer to a question, or to none; perhaps once more.
                let none = json!(self.draw.below(400));
                let id = self.draw.one(&self.questions.clone()).cloned().unwrap_or(none);
                let result = json!({"action": "accept", "content": {}, "roots": []});
                for _ in 0..=self.draw.below(2) {
                    self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
                }
            }
            7 => {
                // By a name that is in use.
                let open: Vec<u64> = self
                    .requests
                    .iter()
                    .filter(|((stream, _), it)| *stream == 0 && it.answers == 0 && !it.is_cancelled)
                    .map(|((_, id), _)| *id)
                    .collect();
                if let Some(id) = self.draw.one(&open) {
                    let params = json!({"name": "files__read", "arguments": {"p": number}});
                    let again = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
                    let again =
                        if self.is_modern { modern(*id, "tools/call", &params) } else { again };
                    self.say(&again);
                }
            }
            8 => {
                let token = self.draw.below(400);
                self.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}));
            }
            9 => {
                if let Some((server, mark, state)) = self.draw.one(&self.states.clone()).cloned() {
                    let wrong = self.draw.below(4) == 0;
                    let mark = if wrong { number } else { mark };
                    let responses: Value = (0..400)
                        .map(|it| (it.to_string(), json!({"action": "accept", "content": {}})))
                        .collect::<serde_json::Map<_, _>>()
                        .into();
                    self.call_as(
                        server,
                        mark,
                        &json!({"requestState": state, "inputResponses": responses}),
                    );
                }
            }
            10 => {
                let method = *self
                    .draw
                    .one(&[
                        "resources/read",
                        "vendor/x",
                        "tasks/get",
                        "completion/complete",
                        "resources/subscribe",
                        "subscriptions/listen",
                    ])
                    .unwrap();
                self.ask(method, &json!({"uri": "a://1", "taskId": "t1", "notifications": {"toolsListChanged": true}}), (None, 0));
            }
            _ => self.say(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})),
        }
    }

    fn say(&mut self, message: &Value) {
        let effects = self.between.0.from_client(&super::message(&message.to_string()));
        self.see(effects);
    }

    fn cancel(&mut self) {
        let all: Vec<(u64, u64)> = self.requests.keys().copied().collect();
        let Some((stream, id)) = self.draw.one(&all).copied() else { return };
        let request = self.requests.get_mut(&(stream, id)).unwrap();
        request.is_cancelled = true;
        if stream == 0 {
            self.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
        } else {
            let effects = self.between.0.closed(stream);
            self.see(effects);
        }
    }

    /// What a server answers to a request that it was sent, if it means to.
    fn result(&mut self, by: usize, asked: &Value) -> Value {
        let said = json!({"by": by, "asked": asked["params"]["arguments"]});
        let question = json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}});
        let task = |status: &str| json!({"taskId": "t1", "status": status, "ttlMs": 60_000, "pollIntervalMs": 10});
        let mut result = match self.draw.below(10) {
            0..=3 => json!({"content": [], "said": said, "resultType": "complete"}),
            4 => {
                json!({"resultType": "input_required", "inputRequests": {"a": question, "b": {"method": "roots/list"}}, "requestState": "s"})
            }
            5 => json!({"resultType": "task", "task": task("working")}),
            6 => task(
                ["working", "completed", "failed", "cancelled", "input_required"]
                    [self.draw.below(5)],
            ),
            7 => return json!([1, "x"]),
            8 => return json!(7),
            _ => json!({}),
        };
        if asked["method"] == "tools/list" && self.draw.below(4) > 0 {
            result = json!({"tools": [{"name": "read"}, {"name": "long", "execution": {"taskSupport": "required"}}], "resultType": "complete"});
        }
        if result["resultType"] == "task" || result["status"].is_string() {
            let far = task("working");
            let far = far.as_object().unwrap().clone();
            let own = result.as_object_mut().unwrap();
            for (key, value) in far {
                own.entry(key).or_insert(value);
            }
            own.insert("result".to_owned(), json!({"content": [], "said": said}));
        }
        result
    }

    fn server(&mut self) {
        let server = self.draw.below(self.between.0.servers.len());
        match self.draw.below(12) {
            0..=6 => self.answer(server),
            7 | 8 => {
                let method = *self
                    .draw
                    .one(&[
                        "elicitation/create",
                        "sampling/createMessage",
                        "roots/list",
                        "ping",
                        "x",
                    ])
                    .unwrap();
                let id = self.draw.below(6);
                let params =
                    json!({"message": "?", "requestedSchema": {}, "_meta": {"progressToken": id}});
                self.hear(
                    server,
                    &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
                        .to_string(),
                );
            }
            9 => {
                let what = *self.draw.one(&["tools", "prompts", "resources"]).unwrap();
                self.hear(server, &json!({"jsonrpc": "2.0", "method": format!("notifications/{what}/list_changed")}).to_string());
            }
            10 => {
                let token = self.draw.below(400);
                self.hear(server, &json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 0.5}}).to_string());
            }
            _ => {
                let id = self.draw.below(400);
                let method = *self
                    .draw
                    .one(&[
                        "cancelled",
                        "message",
                        "tasks/status",
                        "subscriptions/acknowledged",
                        "x",
                    ])
                    .unwrap();
                let params = json!({"requestId": id, "level": "info", "data": 1, "taskId": "t1", "status": "completed", "_meta": {SUBSCRIPTION: id}});
                self.hear(server, &json!({"jsonrpc": "2.0", "method": format!("notifications/{method}"), "params": params}).to_string());
            }
        }
    }

    /// An answer: to what it was asked, to what another was, by a name that is nearly one, or to nothing; perhaps twice.
    fn answer(&mut self, server: usize) {
        let Some((_, asked)) = self.draw.one(&self.sent.clone()).cloned() else { return };
        let result = self.result(server, &asked);
        let id = &asked["id"];
        let id = match self.draw.below(16) {
            0 => format!("{id}.0"),
            1 => format!("\"{id}\""),
            2 => "18446744073709551616".to_owned(),
            3 => format!("-{id}"),
            4 => "null".to_owned(),
            5 => format!("{id}e0"),
            _ => id.to_string(),
        };
        let answer = if self.draw.below(8) == 0 {
            json!({"code": -32_000, "message": "no"})
        } else {
            result
        };
        let key = if answer["code"].is_i64() { "error" } else { "result" };
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"{key}":{answer}}}"#);
        for _ in 0..=self.draw.below(2) {
            self.hear(server, &text);
        }
    }

    fn hear(&mut self, server: usize, text: &str) {
        let effects = match Frame::parse(text.as_bytes().to_vec()) {
            Ok(frame) => self.between.0.frame_from_server(server, &frame),
            Err(wrong) => self.between.0.malformed_from(server, &wrong),
        };
        self.see(effects);
    }

    fn decide(&mut self) {
        if self.deciding.is_empty() || self.draw.below(8) == 0 {
            // Once more, or of nothing.
            let known: Vec<u64> = self
                .tickets
                .iter()
                .filter(|it| !self.deciding.iter().any(|call| call.ticket == **it))
                .copied()
                .collect();
            let ticket = self.draw.one(&known).copied().unwrap_or(1);
            let effects = self.between.0.decided(ticket, Decided::Permit(None));
            return self.see(effects);
        }
        let at = self.draw.below(self.deciding.len());
        let call = self.deciding.swap_remove(at);
        let is_permitted = self.draw.below(4) > 0;
        if is_permitted {
            self.granted.insert(call.ticket, call.what.clone());
            if let (Called::Tool(_), Some(mark)) = (&call.what, call.arguments["p"].as_u64()) {
                self.permitted.insert((call.server, mark));
            }
        }
        let decided =
            if is_permitted { Decided::Permit(None) } else { Decided::Deny("no".to_owned()) };
        let effects = self.between.0.decided(call.ticket, decided);
        self.see(effects);
    }

    fn pass_time(&mut self, by: u64) {
        self.now_ms += by;
        let effects = self.between.0.tick(self.now_ms);
        self.see(effects);
    }

    fn step(&mut self) {
        match self.draw.below(20) {
            0..=5 => self.client(),
            6..=13 => self.server(),
            14..=17 => self.decide(),
            18 => {
                let by = [20, 500, 5_000, 61_000][self.draw.below(4)];
                self.pass_time(by);
            }
            _ => {
                let effects = self.between.0.tools_changed();
                self.see(effects);
            }
        }
    }

    /// All end; nobody waits for anything.
    fn end(mut self) {
        for server in 0..self.between.0.servers.len() {
            let effects = self.between.0.ended(server);
            self.see(effects);
        }
        while !self.deciding.is_empty() {
            self.decide();
        }
        self.pass_time(LONG_MS);
        for (name, request) in &self.requests {
            let is_answered =
                request.answers == 1 || request.is_cancelled || request.server.is_none();
            assert!(is_answered, "{name:?} waits for ever: {request:?}");
        }
        let middle = &self.between.0;
        assert_eq!((middle.sent.len(), middle.waiting.len(), middle.questions.len()), (0, 0, 0));
        assert_eq!((middle.held.len(), middle.rounds.len(), middle.waits.len()), (0, 0, 0));
        assert_eq!(middle.gathered.len(), 0);
        let not_ended: Vec<_> =
            self.granted.iter().filter(|(it, _)| !self.ended.contains(it)).collect();
        assert!(not_ended.is_empty(), "never ended: {not_ended:?}");
    }
}

#[test]
fn whatever_servers_and_a_client_send_each_has_its_own_answers_and_no_call_passes_undecided() {
    for seed in 0..talks() {
        let talk = std::panic::catch_unwind(|| {
            let mut talk = Talk::new(seed);
            (0..STEPS).for_each(|_| talk.step());
            talk.end();
        });
        assert!(talk.is_ok(), "the talk of seed {seed}");
    }
}
