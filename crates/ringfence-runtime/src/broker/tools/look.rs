//! What a server says of its tools, before it is anybody's: it is started in a world of its own, asked, and ended.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::frame::{
    Answer, Frame, Kind, METHOD_NOT_FOUND, error_answer, result_answer,
};
use ringfence_proxy::mcp::lines;
use ringfence_proxy::mcp::oauth::challenge::Lacks;
use ringfence_proxy::mcp::revision::Revision;
use serde_json::{Value, json};

use super::ToolsRequest;
use super::ears::Ears;
use super::looking::Looking;
use super::serving::Heard;
use super::started::{Aside, Started};
use crate::advice::Lasts;
use crate::servers::{Said, Server, TOOLS_MAX};
use crate::wording::printable;

/// How long a server may take to say what it has, in seconds.
const LOOK_SECONDS_MAX: u64 = 60;

/// How long it may think about whether it is of MCP 2026-07-28, in seconds; then it is taken for an older one.
const PROBE_SECONDS_MAX: u64 = 5;

/// How much of what a server says in place of an answer is told, in letters.
const SAID_LETTERS_MAX: usize = 400;

/// Most pages of tools that are read.
const PAGES_MAX: usize = 200;

/// Why nothing is known of a server's tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// It could not be started.
    #[error("the server could not be started: {0}")]
    Start(String),
    /// It did not let itself be asked.
    #[error("{0}")]
    Refused(String),
    /// It ended.
    #[error("the server ended before it said what it has{0}")]
    Ended(String),
    /// It took too long.
    #[error("the server did not answer within {LOOK_SECONDS_MAX} s")]
    Slow,
    /// What it said is no answer.
    #[error("the server answered what MCP has no place for: {0}")]
    Odd(String),
}

/// What came of looking at a server that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct LookFailed {
    /// Why.
    pub why: LookError,
    /// What it printed last, line by line.
    pub said: Vec<String>,
    /// What the last request lacked that it refused for that.
    pub lacks: Option<Box<Lacks>>,
}

impl From<LookError> for LookFailed {
    fn from(why: LookError) -> LookFailed {
        LookFailed { why, said: Vec::new(), lacks: None }
    }
}

/// Starts a server as `request` has servers started, asks for its tools, and ends it. What it prints is told only where
/// that fails.
pub fn tools(server: &Server, request: &ToolsRequest) -> Result<Said, LookFailed> {
    let failed = |error: &dyn std::fmt::Display| LookError::Start(error.to_string());
    let mut ears = Ears::new().map_err(|error| failed(&error))?;
    let is_remote = server.file.url.is_some();
    let session = is_remote.then(|| Looking::open(server, request)).transpose();
    let session = session.map_err(|error| failed(&error))?;
    let remotes = session.as_ref().and_then(|it| it.remotes.as_deref());
    let request = &ToolsRequest { lasts: Lasts::EndsSoon, ..request.clone() };
    let started = Started::start((0, server), (request, remotes), (Aside::Held, &mut ears));
    let mut started = match started {
        Ok(started) => started,
        Err(error) => {
            let said: Result<Said, _> = Err(failed(&error));
            session.map(|it| it.close_after(&said)).transpose().map_err(|error| failed(&error))?;
            return said.map_err(LookFailed::from);
        }
    };
    let until = Instant::now() + Duration::from_secs(LOOK_SECONDS_MAX);
    let lines = if is_remote { Whose::Ours } else { Whose::Servers };
    let mut talk = Talk { started: &mut started, ears: &mut ears, until, number: 0, lines };
    let said = talk.all();
    let lacks = remotes.and_then(|it| it.lacks(&server.name)).map(Box::new);
    let last = started.last_lines();
    started.end();
    let closed = session.map(|it| it.close_after(&said)).transpose();
    closed.map_err(|error| failed(&error))?;
    said.map_err(|why| LookFailed { why, said: last, lacks })
}

struct Talk<'a> {
    started: &'a mut Started,
    ears: &'a mut Ears,
    until: Instant,
    number: u64,
    /// Whose words come by lines: what a server behind an address says comes as frames.
    lines: Whose,
}

impl Talk<'_> {
    fn all(&mut self) -> Result<Said, LookError> {
        let (hello, meta) = self.hello()?;
        let instructions = match hello.get("instructions") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
            Some(_) => return Err(odd("`instructions` that are no text")),
        };
        let tools = match hello.pointer("/capabilities/tools") {
            None => Vec::new(),
            Some(_) => self.tools(meta.as_ref())?,
        };
        Ok(Said { instructions, tools })
    }

    fn tools(&mut self, meta: Option<&Value>) -> Result<Vec<Value>, LookError> {
        let (mut tools, mut cursor) = (Vec::new(), None::<Value>);
        for _ in 0..PAGES_MAX {
            let mut params = cursor.take().map_or(json!({}), |cursor| json!({"cursor": cursor}));
            if let (Some(params), Some(meta)) = (params.as_object_mut(), meta) {
                params.insert("_meta".to_owned(), meta.clone());
            }
            let page = self.ask("tools/list", &params)?;
            let of_page = page.get("tools").and_then(Value::as_array);
            tools.extend(of_page.ok_or_else(|| odd("a list of tools without `tools`"))?.clone());
            if tools.len() > TOOLS_MAX {
                return Err(odd("more tools than anybody can look at"));
            }
            match page.get("nextCursor") {
                None | Some(Value::Null) => return Ok(tools),
                Some(next) => cursor = Some(next.clone()),
            }
        }
        Err(odd("a list of tools that does not end"))
    }

    /// What it says of itself, and what its requests need in their `_meta`, if anything: a server is asked first
    /// whether it is of MCP 2026-07-28, as that says of clients that know both eras.
    fn hello(&mut self) -> Result<(Value, Option<Value>), LookError> {
        let whole = self.until;
        self.until = whole.min(Instant::now() + Duration::from_secs(PROBE_SECONDS_MAX));
        let found = self.discover();
        self.until = whole;
        match found {
            Ok(Some(found)) => return Ok(found),
            Err(LookError::Ended(why)) => return Err(LookError::Ended(why)),
            Ok(None)
            | Err(
                LookError::Slow | LookError::Odd(_) | LookError::Start(_) | LookError::Refused(_),
            ) => {}
        }
        let hello = json!({
            "protocolVersion": Revision::LATEST_WITH_SESSIONS.name(),
            "capabilities": capabilities(),
            "clientInfo": info(),
        });
        match self.ask("initialize", &hello) {
            Ok(hello) => {
                let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
                self.send(begun.to_string())?;
                Ok((hello, None))
            }
            // One that was slow to start, and knows no sessions.
            Err(error @ (LookError::Odd(_) | LookError::Refused(_))) => match self.discover() {
                Ok(Some(found)) => Ok(found),
                Ok(None) | Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn discover(&mut self) -> Result<Option<(Value, Option<Value>)>, LookError> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": Revision::V2026_07_28.name(),
            "io.modelcontextprotocol/clientCapabilities": capabilities(),
            "io.modelcontextprotocol/clientInfo": info(),
        });
        let hello = self.ask("server/discover", &json!({"_meta": meta}))?;
        let versions = hello.get("supportedVersions").and_then(Value::as_array);
        let is_spoken = |version: &Value| *version == *Revision::V2026_07_28.name();
        let is_modern = versions.is_some_and(|all| all.iter().any(is_spoken));
        Ok(is_modern.then_some((hello, Some(meta))))
    }

    fn send(&mut self, text: String) -> Result<(), LookError> {
        self.started.send(text).map_err(|()| self.ended())
    }

    /// Asks, and waits for the answer to just that.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, LookError> {
        self.number = self.number.saturating_add(1);
        let asked =
            json!({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params});
        self.send(asked.to_string())?;
        loop {
            let (frame, whose) = match self.ears.next(Some(self.until)) {
                Ok(Heard::Server(_, lines::Read::TooLong(_))) => {
                    return Err(odd("a message that is too long"));
                }
                // Servers print other things as well.
                Ok(Heard::Server(_, lines::Read::Line(line))) => {
                    (Frame::parse(line).ok(), self.lines)
                }
                Ok(Heard::Answer(_, frame)) => (Some(frame), Whose::Servers),
                Ok(
                    Heard::Client(_)
                    | Heard::Request(..)
                    | Heard::Closed(_)
                    | Heard::Forgot(..)
                    | Heard::Decided(..)
                    | Heard::Tell(_)
                    | Heard::Reloaded
                    | Heard::Stop,
                ) => (None, Whose::Servers),
                Err(RecvTimeoutError::Timeout) => return Err(LookError::Slow),
                Ok(Heard::Server(_, lines::Read::End)) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.ended());
                }
            };
            let answer = frame.map(|frame| self.answer(frame, whose)).transpose()?.flatten();
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    fn ended(&self) -> LookError {
        let said = self.started.last_words();
        LookError::Ended(if said.is_empty() { said } else { format!(": {said}") })
    }

    /// The answer to what was asked last, if the line is one.
    fn answer(&mut self, frame: Frame, whose: Whose) -> Result<Option<Value>, LookError> {
        let message = match frame {
            Frame::One(message) => message,
            Frame::Batch(_) => return Err(odd("several messages at once")),
        };
        if let Kind::Request { id, method, .. } = message.kind() {
            // Nobody is there whom it could ask; what it is told of that is what a client without any says.
            let text = match method.as_str() {
                "roots/list" => result_answer(id, r#"{"roots":[]}"#),
                "ping" => result_answer(id, "{}"),
                _ => error_answer(Some(id), METHOD_NOT_FOUND, "nobody answers this here"),
            };
            self.send(text)?;
        }
        let Kind::Response { id: Some(id), answer, .. } = message.kind() else { return Ok(None) };
        if id.as_number() != Some(self.number) {
            return Ok(None);
        }
        match answer {
            Answer::Result(at) => {
                let read = serde_json::from_str(message.part(at));
                read.map(Some).map_err(|error| odd(&error.to_string()))
            }
            Answer::Error(at) => {
                let error: Value = serde_json::from_str(message.part(at)).unwrap_or_default();
                let said = error.get("message").and_then(Value::as_str);
                let said = said.unwrap_or("it answered with an error");
                Err(LookError::Refused(match whose {
                    Whose::Ours => said.to_owned(),
                    Whose::Servers => printable(said).chars().take(SAID_LETTERS_MAX).collect(),
                }))
            }
        }
    }
}

/// Whose words an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Ours, in lines: why a server could not be asked.
    Ours,
    /// The server's, which are no lines of ours.
    Servers,
}

/// All that a client may be able to do: servers do not say which tools they have to one that cannot use them.
fn capabilities() -> Value {
    json!({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}})
}

fn info() -> Value {
    json!({"name": "ringfence", "version": env!("CARGO_PKG_VERSION")})
}

fn odd(what: &str) -> LookError {
    LookError::Odd(what.chars().take(400).collect())
}
