//! A scripted model server: it speaks what agents speak, asks for the script's tool calls one by
//! one, and keeps what it was sent.
//!
//! It knows where it is from the transcript alone: as many steps are done as the transcript holds
//! results of its own calls. A repeated request therefore gets the same answer.

mod anthropic;
pub(crate) mod http;
mod openai;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use http::Received;
use http::Reply;

/// One thing the model does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Asks for a shell command: `{"shell": "git status"}`.
    Shell(String),
    /// Asks for a file: `{"write": {"path": "/tmp/a", "content": "text"}}`.
    ///
    /// An agent without a tool for files is asked for a shell command that does it.
    Write {
        /// Absolute path.
        path: String,
        /// What is written.
        content: String,
    },
    /// Asks for a tool of an MCP server: `{"tool": {"name": "read_text_file", "arguments": {"path": "a"}}}`.
    ///
    /// Agents put the server's name before it, each in its own way.
    Tool {
        /// The name at its server.
        name: String,
        /// What it is called with.
        arguments: Value,
    },
    /// Says something and ends its turn: `{"say": "done"}`.
    Say(String),
}

/// What the model does, in order; after the last step it says `done`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    /// The steps.
    pub steps: Vec<Step>,
}

/// What the model was told about one of its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolResult {
    /// Index of the step in the script.
    pub step: usize,
    /// The text the agent sent back.
    pub text: String,
}

/// A model server on the host's loopback; dropping it stops it.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    stopping: AtomicBool,
    requests_out: Option<PathBuf>,
}

/// What the model answers in one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    Say(String),
    Call { id: String, tool: String, arguments: Value },
}

/// The agent does not offer this tool; it may still be starting the server that has it.
struct Missing<'a>(&'a str);

impl Script {
    /// A script of these steps.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        Script { steps: steps.into_iter().collect() }
    }

    /// Reads a script from JSON: an array of steps.
    pub fn read(path: &Path) -> io::Result<Script> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// The step after `done` finished calls, for an agent that offers `tools`.
    fn turn(&self, done: usize, tools: &[String]) -> Result<Turn, Missing<'_>> {
        let id = call_id(done);
        Ok(match self.steps.get(done) {
            None => Turn::Say("done".to_owned()),
            Some(Step::Say(text)) => Turn::Say(text.clone()),
            Some(Step::Shell(command)) => shell(id, command, tools),
            Some(Step::Write { path, content }) => write(id, path, content, tools),
            Some(Step::Tool { name, arguments }) => tool(id, (name, arguments), tools)?,
        })
    }
}

/// Tools that run a shell command, and the argument that holds it; the first one offered is used.
const SHELL_TOOLS: &[(&str, ShellArgument)] = &[
    ("Bash", ShellArgument::Text("command")),
    ("exec_command", ShellArgument::Text("cmd")),
    ("shell_command", ShellArgument::Text("command")),
    ("shell", ShellArgument::Argv),
    ("bash", ShellArgument::Text("command")),
    ("run_shell_command", ShellArgument::Text("command")),
    ("execute_command", ShellArgument::Text("command")),
];

/// Tools that write a file from `file_path` and `content`.
const WRITE_TOOLS: &[&str] = &["Write"];

#[derive(Debug, Clone, Copy)]
enum ShellArgument {
    /// The command as text under this name.
    Text(&'static str),
    /// `command` is an argv.
    Argv,
}

fn shell(id: String, command: &str, tools: &[String]) -> Turn {
    let offered = |(name, _): &&(&str, _)| tools.iter().any(|tool| tool == name);
    let Some((tool, argument)) = SHELL_TOOLS.iter().find(offered) else {
        return Turn::Say(format!(
            "none of these tools runs a shell command: {}",
            tools.join(", ")
        ));
    };
    let arguments = match argument {
        ShellArgument::Text(name) => json!({ *name: command, "description": "a scripted step" }),
        ShellArgument::Argv => json!({ "command": ["bash", "-lc", command] }),
    };
    Turn::Call { id, tool: (*tool).to_owned(), arguments }
}

/// Stands between the name of a group of tools and that of a tool in it.
const IN_GROUP: char = '\u{1f}';

fn tool<'a>(
    id: String,
    (name, arguments): (&'a str, &Value),
    tools: &[String],
) -> Result<Turn, Missing<'a>> {
    let ends = |tool: &&String| {
        let before = tool.strip_suffix(name);
        before.is_some_and(|it| it.is_empty() || it.ends_with("__") || it.ends_with(IN_GROUP))
    };
    let tool = tools.iter().find(ends).ok_or(Missing(name))?.clone();
    Ok(Turn::Call { id, tool, arguments: arguments.clone() })
}

fn write(id: String, path: &str, content: &str, tools: &[String]) -> Turn {
    if let Some(tool) = tools.iter().find(|tool| WRITE_TOOLS.contains(&tool.as_str())) {
        let arguments = json!({ "file_path": path, "content": content });
        return Turn::Call { id, tool: tool.clone(), arguments };
    }
    shell(id, &format!("printf %s {} > {}", quoted(content), quoted(path)), tools)
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

const CALL_PREFIX: &str = "toolu_ringfence_";

/// Names of calls that only let a moment pass.
const WAIT_PREFIX: &str = "toolu_moment_";

/// How often those may stand in a transcript, each as a call and as its result: a minute of them.
const WAITED_MAX: usize = 120;

fn call_id(step: usize) -> String {
    format!("{CALL_PREFIX}{step}")
}

fn step_of(call_id: &str) -> Option<usize> {
    call_id.strip_prefix(CALL_PREFIX)?.parse().ok()
}

impl ModelServer {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start(script: Script) -> io::Result<ModelServer> {
        ModelServer::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), script, None)
    }

    /// Starts a server on an address; every request is also appended to `requests_out` as JSON.
    pub fn start_on(
        address: SocketAddr,
        script: Script,
        requests_out: Option<PathBuf>,
    ) -> io::Result<ModelServer> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            received: Mutex::default(),
            arrived: Condvar::new(),
            stopping: AtomicBool::new(false),
            requests_out,
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Ok(ModelServer { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it was sent, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until a request satisfies `wanted`; `false` when none does in time.
    pub fn wait_for(&self, wanted: impl Fn(&Received) -> bool, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut received = self.shared.received.lock().unwrap();
        while !received.iter().any(&wanted) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            received = self.shared.arrived.wait_timeout(received, left).unwrap().0;
        }
        true
    }

    /// Whether the model was shown `text` by anybody but itself: in a result, a reminder, a prompt.
    pub fn was_shown(&self, text: &str) -> bool {
        self.requests().iter().filter_map(Received::json).any(|body| {
            let turns = array(&body, "messages").iter().chain(array(&body, "input"));
            let others = turns.filter(|turn| text_at(turn, "role") != "assistant");
            others.filter(|turn| text_at(turn, "type") != "function_call").any(|turn| {
                let output = turn.get("output").map(texts).unwrap_or_default();
                texts(turn).contains(text) || output.contains(text)
            })
        })
    }

    /// What the model was told about its calls, each step once, as last told.
    pub fn tool_results(&self) -> Vec<ToolResult> {
        tool_results(&self.requests())
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// What the model was told about its calls in these requests, each step once, as last told.
pub fn tool_results(requests: &[Received]) -> Vec<ToolResult> {
    let mut results: Vec<ToolResult> = Vec::new();
    for result in requests.iter().filter_map(Received::json).flat_map(|body| results_in(&body)) {
        match results.iter_mut().find(|known| known.step == result.step) {
            Some(known) => *known = result,
            None => results.push(result),
        }
    }
    results.sort_by_key(|result| result.step);
    results
}

/// The results of this server's calls in one transcript, whatever its dialect.
fn results_in(body: &Value) -> Vec<ToolResult> {
    [anthropic::results(body), openai::response_results(body), openai::chat_results(body)].concat()
}

/// The texts in a tool result: a string, or blocks with `text`.
fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(texts).collect::<Vec<_>>().join("\n"),
        Value::Object(block) => match (block.get("text"), block.get("content")) {
            (Some(text), _) => texts(text),
            (None, Some(content)) => texts(content),
            (None, None) => String::new(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that breaks off ends its own connection only.
            let _ = http::serve(&stream, |received| shared.answer(received));
        });
    }
}

impl Shared {
    fn answer(&self, received: Received) -> Reply {
        let reply = self.reply(&received);
        if let Some(path) = &self.requests_out {
            received.append_to(path).expect("the file for requests can be written");
        }
        self.received.lock().unwrap().push(received);
        self.arrived.notify_all();
        reply
    }

    fn reply(&self, received: &Received) -> Reply {
        let path = received.path.split('?').next().unwrap_or_default();
        let body = received.json().unwrap_or(Value::Null);
        match (received.method.as_str(), path) {
            ("POST", "/v1/messages") => anthropic::messages(&body, &self.script),
            ("POST", "/v1/messages/count_tokens") => Reply::Json(json!({ "input_tokens": 10 })),
            ("POST", "/v1/responses") => openai::responses(&body, &self.script),
            ("POST", "/v1/chat/completions") => openai::chat(&body, &self.script),
            ("GET", "/v1/models") => Reply::Json(json!({ "object": "list", "data": [] })),
            ("HEAD" | "GET", "/") => Reply::Json(json!({})),
            _ => Reply::NotFound,
        }
    }
}

/// The model's turn for a transcript, or a few words where no tools are offered: a title, a check.
fn turn(script: &Script, tools: &[String], (done, body): (usize, &Value)) -> Turn {
    if tools.is_empty() {
        return Turn::Say("a scripted session".to_owned());
    }
    let waited = body.to_string().matches(WAIT_PREFIX).count();
    match script.turn(done, tools) {
        Ok(turn) => turn,
        Err(Missing(_)) if waited < WAITED_MAX => {
            shell(format!("{WAIT_PREFIX}{waited}"), "sleep 1", tools)
        }
        Err(Missing(tool)) => {
            Turn::Say(format!("none of these tools is `{tool}`: {}", tools.join(", ")))
        }
    }
}

/// Texts at `key` of each element.
fn names(tools: Option<&Value>, name: impl Fn(&Value) -> Option<&Value>) -> Vec<String> {
    let tools = tools.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools.iter().filter_map(|tool| name(tool)?.as_str().map(str::to_owned)).collect()
}

/// How many of the script's steps a transcript shows as done.
fn done(results: &[ToolResult]) -> usize {
    results.iter().map(|result| result.step + 1).max().unwrap_or(0)
}

fn array<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text_at<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn wants_stream(body: &Value) -> bool {
    body.get("stream").and_then(Value::as_bool).unwrap_or(false)
}
