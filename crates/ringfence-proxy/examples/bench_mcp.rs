//! Servers and clients of the benchmarks of the gate of tools; `cargo xtask bench mcp` runs both.
//!
//! `bench_mcp echo` is a server of one tool over standard streams, `bench_mcp serve` the same over HTTP: it prints its
//! port and serves until its input ends. `bench_mcp relay COMMAND...` passes bytes on to a command and back, with nothing
//! but `read(2)` and `write(2)`.
//! `bench_mcp call COUNT COMMAND...` calls the tool over the standard streams of a command, `bench_mcp post COUNT URL
//! TOKEN-FILE` over HTTP (`-` for no token): both print the median and the 99th of a hundred of how long a call took, in
//! nanoseconds. `load CLIENTS CALLS URL TOKEN-FILE` prints the calls a second of so many clients, each with as many calls.
//! `hold COUNT URL TOKEN-FILE` prints a line once COUNT sessions are open, and waits for its input to end.
//! Every call says something else: who says the same again and again is held to go in circles.
#![expect(clippy::print_stdout, clippy::exit, reason = "a program of the benchmarks")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Bytes that the relay reads at once.
const RELAY_BYTES: usize = 64 * 1024;
/// Calls that are not counted, before those that are.
const WARM_UP: usize = 200;
/// What each call says, besides its number: all of it about as long as a line of text.
const SAYS: &str = "the quick brown fox jumps over the lazy dog and";
/// What clients say they speak.
const REVISION: &str = "2025-06-18";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["echo"] => echo(),
        ["serve"] => serve(),
        ["relay", command @ ..] => relay(command),
        ["call", count, tool, command @ ..] => {
            let mut client = Streams::start(command)?;
            measured(&mut client, tool, number(count)?)?;
            client.end()
        }
        ["post", count, tool, url, token] => {
            measured(&mut Http::begin(url, token)?, tool, number(count)?)
        }
        ["load", clients, calls, url, token] => {
            load((number(clients)?, number(calls)?), (url, token))
        }
        ["hold", count, url, token] => hold(number(count)?, (url, token)),
        _ => Err(Error::other("see the beginning of this example")),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(Error::other)
}

/// Ends this program when its input does.
fn end_with_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

// The server: one tool that says what it is told.

/// What it says to a message; nothing to what asks for nothing.
fn answer(line: &[u8]) -> Option<String> {
    let asked: Value = serde_json::from_slice(line).ok()?;
    let (id, method) = (asked.get("id")?, asked.get("method")?.as_str()?);
    let result = match method {
        "initialize" => json!({
            "protocolVersion": REVISION,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bench", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{
            "name": "echo",
            "description": "Says what it is told",
            "inputSchema": {
                "type": "object",
                "properties": {"message": {"type": "string"}},
                "required": ["message"],
                "additionalProperties": false,
            },
        }]}),
        "tools/call" => {
            let said = asked.pointer("/params/arguments/message")?.as_str()?;
            json!({"content": [{"type": "text", "text": format!("Echo: {said}")}]})
        }
        _ => {
            let error = json!({"code": -32601, "message": "there is no such method"});
            return Some(json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
        }
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
}

fn echo() -> Result<()> {
    let (mut from, mut to) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        if let Some(mut said) = answer(&line) {
            said.push('\n');
            to.write_all(said.as_bytes())?;
            to.flush()?;
        }
        line.clear();
    }
    Ok(())
}

fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    end_with_input();
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve_one(stream));
    }
    Ok(())
}

fn serve_one(mut to: TcpStream) -> Result<()> {
    to.set_nodelay(true)?;
    let mut from = BufReader::new(to.try_clone()?);
    while let Some((first, body)) = message_of_http(&mut from)? {
        let answered = if first.starts_with("POST") { answer(&body) } else { None };
        let head = match (&answered, first.starts_with("POST")) {
            (Some(_), _) => "200 OK\r\ncontent-type: application/json\r\nmcp-session-id: one",
            (None, true) => "202 Accepted",
            // No stream for what belongs to no request.
            (None, false) => "405 Method Not Allowed",
        };
        let body = answered.unwrap_or_default();
        let whole = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        to.write_all(whole.as_bytes())?;
    }
    Ok(())
}

/// The first line and the body of a request or an answer; none where nothing more comes.
fn message_of_http(from: &mut impl BufRead) -> Result<Option<(String, Vec<u8>)>> {
    let Some((first, _, body)) = with_session(from)? else { return Ok(None) };
    Ok(Some((first, body)))
}

/// A first line, the name of the session and a body.
type Whole = (String, Option<String>, Vec<u8>);

/// The same with the name of the session.
fn with_session(from: &mut impl BufRead) -> Result<Option<Whole>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let (mut length, mut session, mut line) = (0, None, String::new());
    let (mut in_pieces, mut is_events) = (false, false);
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = number(value.trim())?;
        } else if name.eq_ignore_ascii_case("mcp-session-id") {
            session = Some(value.trim().to_owned());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            in_pieces = true;
        } else if name.eq_ignore_ascii_case("content-type") {
            is_events = value.trim().starts_with("text/event-stream");
        }
    }
    let mut body = vec![0; length];
    if in_pieces {
        body = pieces(from)?;
    } else {
        from.read_exact(&mut body)?;
    }
    let body = if is_events { answer_of_events(&body) } else { body };
    Ok(Some((first, session, body)))
}

/// A body that comes in pieces (RFC 9112, 7.1).
fn pieces(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let (mut body, mut line) = (Vec::new(), String::new());
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(Error::other)?;
        from.by_ref().take(length).read_to_end(&mut body)?;
        line.clear();
        from.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// The message that answers, of events: what is told meanwhile has a method.
fn answer_of_events(events: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(events);
    let mut said = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let answer = said.find(|data| data.contains("\"jsonrpc\"") && !data.contains("\"method\""));
    answer.unwrap_or_default().trim().into()
}

// A relay that does nothing else: what anything between costs at least.

fn relay(command: &[&str]) -> Result<()> {
    let mut child = started(command)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::other("no streams"));
    };
    let back = std::thread::spawn(move || pass(output, std::io::stdout()));
    pass(std::io::stdin(), input)?;
    let _ = back.join();
    child.wait().map(drop)
}

fn pass(mut from: impl Read, mut to: impl Write) -> Result<()> {
    let mut bytes = vec![0; RELAY_BYTES];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(bytes.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}

fn started(command: &[&str]) -> Result<Child> {
    let (program, arguments) = command.split_first().ok_or(Error::other("no command"))?;
    Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

// Clients.

/// Says a message and hears its answer.
trait Client {
    fn ask(&mut self, message: &str) -> Result<String>;
    fn tell(&mut self, message: &str) -> Result<()>;

    fn hello(&mut self) -> Result<()> {
        let params = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        });
        let said = self.ask(&asked(0, "initialize", &params))?;
        if said.contains("\"result\"") { Ok(()) } else { Err(Error::other(said)) }
    }
}

fn asked(id: usize, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Over the standard streams of a command.
struct Streams {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Streams {
    fn start(command: &[&str]) -> Result<Streams> {
        let mut child = started(command)?;
        let from = child.stdout.take().ok_or(Error::other("no output"))?;
        let to = child.stdin.take();
        let mut client = Streams { child, to, from: BufReader::new(from) };
        client.hello()?;
        client.tell(INITIALIZED)?;
        Ok(client)
    }

    fn end(mut self) -> Result<()> {
        self.to = None;
        self.child.wait().map(drop)
    }
}

impl Client for Streams {
    fn ask(&mut self, message: &str) -> Result<String> {
        self.tell(message)?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.from.read_line(&mut line)? == 0 {
                return Err(Error::other("it ended"));
            }
            // What is told meanwhile has a method.
            if !line.contains("\"method\"") {
                return Ok(line);
            }
        }
    }

    fn tell(&mut self, message: &str) -> Result<()> {
        let to = self.to.as_mut().ok_or(Error::other("it is closed"))?;
        to.write_all(format!("{message}\n").as_bytes())?;
        to.flush()
    }
}

/// Over one connection.
struct Http {
    to: TcpStream,
    from: BufReader<TcpStream>,
    head: String,
}

impl Http {
    fn begin(url: &str, token: &str) -> Result<Http> {
        let rest = url.strip_prefix("http://").ok_or(Error::other("no address"))?;
        let (host, path) = rest.split_once('/').ok_or(Error::other("no path"))?;
        let to = TcpStream::connect(host)?;
        to.set_nodelay(true)?;
        let mut head = format!(
            "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n"
        );
        if token != "-" {
            let token = std::fs::read_to_string(token)?;
            let _ = write!(head, "authorization: Bearer {}\r\n", token.trim());
        }
        let mut client = Http { from: BufReader::new(to.try_clone()?), to, head };
        client.hello()?;
        let _ = write!(client.head, "mcp-protocol-version: {REVISION}\r\n");
        client.tell(INITIALIZED)?;
        Ok(client)
    }

    fn exchange(&mut self, message: &str) -> Result<String> {
        let length = message.len();
        let whole = format!("{}content-length: {length}\r\n\r\n{message}", self.head);
        self.to.write_all(whole.as_bytes())?;
        let (first, session, body) =
            with_session(&mut self.from)?.ok_or(Error::other("the connection ended"))?;
        let body = String::from_utf8(body).map_err(Error::other)?;
        if !first.starts_with("HTTP/1.1 20") {
            return Err(Error::other(format!("{first}{body}")));
        }
        if let Some(session) = session.filter(|_| !self.head.contains("mcp-session-id")) {
            let _ = write!(self.head, "mcp-session-id: {session}\r\n");
        }
        Ok(body)
    }
}

impl Client for Http {
    fn ask(&mut self, message: &str) -> Result<String> {
        self.exchange(message)
    }

    fn tell(&mut self, message: &str) -> Result<()> {
        self.exchange(message).map(drop)
    }
}

/// Calls the tool, and looks at what it says: an error would be answered sooner.
fn call(client: &mut dyn Client, tool: &str, (of, id): (usize, usize)) -> Result<()> {
    let params = json!({"name": tool, "arguments": {"message": format!("{SAYS} {of} {id}")}});
    let said = client.ask(&asked(id, "tools/call", &params))?;
    if said.contains(&format!("Echo: {SAYS} {of} {id}\"")) && !said.contains("isError\":true") {
        return Ok(());
    }
    Err(Error::other(format!("the call was answered: {said}")))
}

fn measured(client: &mut dyn Client, tool: &str, count: usize) -> Result<()> {
    let mut times = Vec::with_capacity(count);
    for id in 1..=WARM_UP.saturating_add(count) {
        let begun = Instant::now();
        call(client, tool, (0, id))?;
        if id > WARM_UP {
            times.push(begun.elapsed().as_nanos());
        }
    }
    times.sort_unstable();
    let part = |of_100: usize| {
        let at = times.len().saturating_sub(1).saturating_mul(of_100) / 100;
        times.get(at).copied().unwrap_or_default()
    };
    println!("{} {}", part(50), part(99));
    Ok(())
}

fn load((clients, calls): (usize, usize), (url, token): (&str, &str)) -> Result<()> {
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(Http::begin(url, token)?);
    }
    let begun = Instant::now();
    let failed = std::thread::scope(|scope| {
        let made: Vec<_> = all
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                scope.spawn(move || {
                    (1..=calls).try_for_each(|id| call(client, "echo", (number, id)))
                })
            })
            .collect();
        let mut ended = made.into_iter().map(|it| it.join().map_err(|_| Error::other("a panic")));
        ended.find_map(|it| it.and_then(|result| result).err())
    });
    let took: Duration = begun.elapsed();
    if let Some(error) = failed {
        return Err(error);
    }
    let made = u32::try_from(clients.saturating_mul(calls)).map_err(Error::other)?;
    println!("{:.0} 0", f64::from(made) / took.as_secs_f64());
    Ok(())
}

fn hold(count: usize, (url, token): (&str, &str)) -> Result<()> {
    let mut all = Vec::new();
    for number in 0..count {
        let mut client = Http::begin(url, token)?;
        call(&mut client, "echo", (number, 1))?;
        all.push(client);
    }
    println!("open");
    std::io::stdout().flush()?;
    let _ = std::io::stdin().read(&mut [0]);
    drop(all);
    Ok(())
}
