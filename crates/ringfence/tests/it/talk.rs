//! A client that speaks MCP, of either era, by pipes or over HTTP: to a gate, or to a server without one.

mod web;

use std::borrow::Borrow;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::started::Started;
use web::Web;

/// Longest wait for the next message: longer than what the gate waits for a server.
const HEARD_WITHIN: Duration = Duration::from_mins(2);

pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The era of a client or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// It begins with `initialize`.
    Old,
    /// It is of 2026-07-28.
    New,
}

impl Era {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Era::Old => "old",
            Era::New => "new",
        }
    }
}

fn era_of(revision: &str) -> Era {
    if revision < "2026" { Era::Old } else { Era::New }
}

/// A client, whose program ends with the test.
pub(crate) struct Talk {
    way: Way,
    era: Era,
    number: u64,
    hello: Value,
    /// What came before an answer that was waited for.
    pub(crate) told: Vec<Value>,
}

enum Way {
    Pipes(Pipes),
    Web(Web),
}

impl Talk {
    /// One that has begun by pipes, and can do nothing that servers may ask for.
    pub(crate) fn with(command: Command) -> Talk {
        Talk::of_client(command, &json!({}))
    }

    /// One that can do this.
    pub(crate) fn of_client(command: Command, capabilities: &Value) -> Talk {
        let mut talk = Talk::new(command);
        let answer = talk.initialize("2025-06-18", capabilities);
        assert!(answer["result"]["capabilities"]["tools"].is_object(), "{answer}");
        talk
    }

    /// One that has said nothing yet.
    pub(crate) fn new(command: Command) -> Talk {
        Talk::by(Way::Pipes(Pipes::to(command)), Era::Old)
    }

    /// One of this era that has begun, and can do all that servers may ask for.
    pub(crate) fn of_era(command: Command, era: Era) -> Talk {
        Talk::by(Way::Pipes(Pipes::to(command)), era).begun()
    }

    /// The same over HTTP, with this token.
    pub(crate) fn over_http(port: u16, token: &str, era: Era) -> Talk {
        Talk::by(Way::Web(Web::new(port, token, era)), era).begun()
    }

    /// One that speaks this revision and no other, can do all that servers may ask for in it, and has begun by pipes.
    pub(crate) fn in_revision(command: Command, revision: &str) -> Talk {
        Talk::by(Way::Pipes(Pipes::to(command)), era_of(revision)).begun_in(revision)
    }

    /// The same over HTTP, with this token.
    pub(crate) fn in_revision_over_http(port: u16, token: &str, revision: &str) -> Talk {
        let mut web = Web::new(port, token, era_of(revision));
        revision.clone_into(&mut web.revision);
        Talk::by(Way::Web(web), era_of(revision)).begun_in(revision)
    }

    fn begun_in(mut self, revision: &str) -> Talk {
        match self.era {
            Era::Old => {
                let mut all = json!({"sampling": {}, "roots": {"listChanged": true}});
                if revision >= "2025-06-18" {
                    all["elicitation"] = json!({});
                }
                let answer = self.initialize(revision, &all);
                assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
            }
            Era::New => drop(self.ask("server/discover", json!({}))),
        }
        self
    }

    fn by(way: Way, era: Era) -> Talk {
        Talk { way, era, number: 0, hello: Value::Null, told: Vec::new() }
    }

    fn begun(mut self) -> Talk {
        match self.era {
            Era::Old => {
                let all = json!({"sampling": {}, "elicitation": {}, "roots": {}});
                let answer = self.initialize("2025-11-25", &all);
                assert!(answer["result"]["capabilities"]["tools"].is_object(), "{answer}");
            }
            Era::New => {
                let answer = self.ask("server/discover", json!({}));
                assert_eq!(answer["result"]["supportedVersions"][0], "2026-07-28", "{answer}");
            }
        }
        self
    }

    /// Begins; what it is answered.
    pub(crate) fn begin(&mut self) -> Value {
        self.initialize("2025-06-18", &json!({}))
    }

    fn initialize(&mut self, revision: &str, capabilities: &Value) -> Value {
        let hello = json!({
            "protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        });
        self.hello = self.ask("initialize", hello);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        self.hello.clone()
    }

    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// What it was answered when it began.
    pub(crate) fn hello(&self) -> &Value {
        &self.hello
    }

    pub(crate) fn send(&mut self, message: &Value) {
        match &mut self.way {
            Way::Pipes(pipes) => pipes.send(&message.to_string()),
            Way::Web(web) => web.send(message),
        }
    }

    /// Sends a line that need not be a message.
    pub(crate) fn send_line(&mut self, line: &str) {
        self.pipes().send(line);
    }

    /// The next message.
    pub(crate) fn hear(&mut self) -> Value {
        let line = match &mut self.way {
            Way::Pipes(pipes) => pipes.line(HEARD_WITHIN),
            Way::Web(web) => web.hear(HEARD_WITHIN),
        };
        let message = line.as_ref().and_then(|line| serde_json::from_str(line).ok());
        assert!(message.is_some(), "{:?}: {line:?} after {:?}", self.era, self.told);
        message.unwrap()
    }

    /// Sends a request; what it is named.
    pub(crate) fn request(&mut self, method: &str, params: impl Borrow<Value>) -> u64 {
        let mut params = params.borrow().clone();
        self.number += 1;
        if self.era == Era::New {
            let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
            meta[VERSION] = json!("2026-07-28");
            let tasks = json!({EXTENSION: {}});
            meta[CAPABILITIES] =
                json!({"sampling": {}, "elicitation": {}, "roots": {}, "extensions": tasks});
        }
        let number = self.number;
        self.send(&json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params}));
        number
    }

    /// The answer to a request; all that comes before is told.
    pub(crate) fn ask(&mut self, method: &str, params: impl Borrow<Value>) -> Value {
        let number = self.request(method, params);
        loop {
            let message = self.hear();
            if message["id"] == number && message["method"].is_null() {
                return message;
            }
            self.told.push(message);
        }
    }

    /// The answer to a request, or what a server asks before it.
    pub(crate) fn next(&mut self, number: u64) -> Value {
        loop {
            let message = self.hear();
            match (&message["id"], &message["method"]) {
                (Value::Null, _) => self.told.push(message),
                (_, Value::String(_)) => return message,
                (id, _) => {
                    assert_eq!(*id, number, "{message}");
                    return message;
                }
            }
        }
    }

    /// What a call of a tool is answered with.
    pub(crate) fn answer(&mut self, tool: &str, arguments: impl Borrow<Value>) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments.borrow()}))
    }

    /// What a tool says to a call, and whether it failed.
    pub(crate) fn call(&mut self, tool: &str, arguments: impl Borrow<Value>) -> (String, bool) {
        let answer = self.answer(tool, arguments);
        let said = answer["result"]["content"][0]["text"].as_str();
        assert!(said.is_some(), "{answer}");
        (said.unwrap().to_owned(), answer["result"]["isError"] == true)
    }

    /// Calls a tool whose server asks something; what it was asked, and what came of it.
    pub(crate) fn asked(&mut self, tool: &str, response: &Value) -> (Value, Value) {
        let params = json!({"name": tool, "arguments": {"text": "t"}});
        let number = self.request("tools/call", &params);
        let first = self.next(number);
        match self.era {
            Era::Old if first["method"].is_string() => {
                self.send(&json!({"jsonrpc": "2.0", "id": first["id"], "result": response}));
                (first, self.next(number))
            }
            Era::New if first["result"]["resultType"] == "input_required" => {
                let inputs = first["result"]["inputRequests"].as_object().unwrap();
                let (key, question) = inputs.iter().next().unwrap();
                let mut again = params;
                again["inputResponses"] = json!({key: response});
                again["requestState"] = first["result"]["requestState"].clone();
                (question.clone(), self.ask("tools/call", again))
            }
            Era::Old | Era::New => (Value::Null, first),
        }
    }

    /// What a notification of this method says, that came or comes.
    pub(crate) fn told(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.told.iter().position(|it| it["method"] == method) {
                return self.told.remove(at)["params"].clone();
            }
            let message = self.hear();
            assert!(message["id"].is_null(), "{message}");
            self.told.push(message);
        }
    }

    /// The names of the tools that it may call.
    pub(crate) fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({}));
        let tools = answer["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends it, which must succeed; what it said besides.
    pub(crate) fn end(self) -> String {
        let (status, said) = self.close();
        assert!(status.is_none_or(|it| it.success()), "{said}");
        said
    }

    /// Ends one that may fail; how its program ended, where it has one of its own, and what that said besides.
    pub(crate) fn close(self) -> (Option<ExitStatus>, String) {
        match self.way {
            Way::Pipes(pipes) => {
                let (status, said) = pipes.end();
                (Some(status), said)
            }
            Way::Web(_) => (None, String::new()),
        }
    }

    /// Goes without a word, and reads nothing more; once its program has ended.
    pub(crate) fn leave(mut self) {
        let pipes = self.pipes();
        (pipes.to, pipes.from) = (None, None);
        pipes.program.wait();
    }

    /// Sends its program a signal, and waits for its end.
    pub(crate) fn stop(mut self, signal: Signal) {
        let program = &mut self.pipes().program;
        program.signal(signal);
        program.wait();
    }

    fn pipes(&mut self) -> &mut Pipes {
        match &mut self.way {
            Way::Pipes(pipes) => pipes,
            Way::Web(_) => unreachable!("it has a program of its own by pipes alone"),
        }
    }
}

/// A program's stdin and stdout: of what that says nothing is read before the test wants it.
struct Pipes {
    to: Option<ChildStdin>,
    from: Option<BufReader<ChildStdout>>,
    program: Started,
}

impl Pipes {
    fn to(mut command: Command) -> Pipes {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Started::new(command);
        let (to, from) = (program.stdin(), program.stdout().map(BufReader::new));
        Pipes { to, from, program }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.to.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The next line, if one comes.
    fn line(&mut self, within: Duration) -> Option<String> {
        let from = self.from.as_mut()?;
        let (until, mut line) = (Instant::now() + within, Vec::new());
        while line.last() != Some(&b'\n') {
            if from.buffer().is_empty() && !is_readable(from.get_ref(), until) {
                return None;
            }
            let part = from.fill_buf().unwrap();
            if part.is_empty() {
                return None;
            }
            let length = part.iter().position(|it| *it == b'\n').map_or(part.len(), |at| at + 1);
            line.extend_from_slice(&part[..length]);
            from.consume(length);
        }
        Some(String::from_utf8(line).unwrap())
    }

    fn end(mut self) -> (ExitStatus, String) {
        self.to = None;
        let mut rest = String::new();
        while let Some(line) = self.line(HEARD_WITHIN) {
            rest += &line;
        }
        let (status, said) = self.program.end();
        (status, rest + &said)
    }
}

/// Whether there is something to read by then, or the end.
fn is_readable(from: &impl AsFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&left)).unwrap() > 0
}
