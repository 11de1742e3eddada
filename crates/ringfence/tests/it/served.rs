//! `mcp serve`, started for a test, and what a client over HTTP says to it word for word.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::person::Person;
use crate::started::Started;

/// How long an answer may go on without a byte.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// A gate that serves, and ends with the test.
pub(crate) struct Served {
    program: Started,
    pub(crate) port: u16,
    pub(crate) token: String,
    pub(crate) token_file: String,
}

/// An answer: its status, its head in small letters, its body as far as it came.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    fn session(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        line.unwrap().to_owned()
    }

    /// The answer: what takes long, as all may on a busy machine, comes by a stream.
    pub(crate) fn json(&self) -> Value {
        let last = self.body.lines().rev().find_map(|line| line.strip_prefix("data: {"));
        let text = last.map_or_else(|| self.body.clone(), |rest| format!("{{{rest}"));
        let answer = serde_json::from_str(&text);
        assert!(answer.is_ok(), "{} {}", self.head, self.body);
        answer.unwrap()
    }
}

impl Served {
    /// At a port of its own, with these words besides.
    pub(crate) fn start(person: &Person, words: &[&str]) -> Served {
        let words = [&["mcp", "serve", "--listen", "127.0.0.1:0"], words].concat();
        let mut command = person.ringfence(&words);
        command.stdout(Stdio::null());
        let mut program = Started::new(command);
        let line = program.line_with("serving at");
        let (_, port) = line.split_once("127.0.0.1:").unwrap();
        let port = port.split('/').next().unwrap().parse().unwrap();
        let token_file = line.rsplit(' ').next().unwrap().trim().to_owned();
        let token = fs::read_to_string(&token_file).unwrap().trim().to_owned();
        Served { program, port, token, token_file }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// The session that all of its clients are in.
    pub(crate) fn session(&self) -> String {
        let (_, name) = self.token_file.rsplit_once("/mcp-").unwrap();
        name.strip_suffix(".token").unwrap().to_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).unwrap();
        stream
    }

    /// The head of a request as a client of ours sends it; `more` has lines of its own.
    pub(crate) fn head(&self, method: &str, more: &str) -> String {
        let (port, token) = (self.port, &self.token);
        format!(
            "{method} /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\n{more}"
        )
    }

    /// What is answered to these bytes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Got {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        got(&mut BufReader::new(stream))
    }

    pub(crate) fn post(&self, more: &str, body: &Value) -> Got {
        let body = body.to_string();
        let head = self.head("POST", more);
        self.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
    }

    pub(crate) fn begin(&self, revision: &str) -> String {
        let got = self.post("", &hello(revision));
        assert_eq!(got.status, 200, "{} {}", got.head, got.body);
        assert_eq!(got.json()["result"]["protocolVersion"], revision, "{}", got.body);
        let session = format!("mcp-session-id: {}\r\n", got.session());
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(&session, &told).status, 202);
        session
    }

    pub(crate) fn call(&self, session: &str, text: &str) -> Got {
        self.post(session, &call(7, text))
    }

    /// Ends it; what it said.
    pub(crate) fn end(self) -> String {
        self.program.signal(Signal::TERM);
        let (status, said) = self.program.end();
        assert!(status.success(), "{said}");
        said
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.program.signal(Signal::KILL);
        self.program.wait();
    }
}

pub(crate) fn hello(revision: &str) -> Value {
    let params = json!({
        "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

pub(crate) fn call(id: u64, text: &str) -> Value {
    let params = json!({"name": "say", "arguments": {"text": text}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// Reads an answer; a stream as far as to the message that is an answer.
pub(crate) fn got(from: &mut BufReader<TcpStream>) -> Got {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        // Names of sessions have capitals.
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let colon = if value.is_empty() { "" } else { ":" };
        head.push_str(
            &format!("{}{colon}{}\n", name.to_ascii_lowercase(), value.trim_end())
                .replace('\r', ""),
        );
    }
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    match length.map(|it| it.trim().parse::<u64>().unwrap()) {
        Some(length) => {
            from.take(length).read_to_end(&mut body).unwrap();
        }
        None if head.contains("text/event-stream") => {
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                body.extend_from_slice(&line);
                let is_answer = String::from_utf8_lossy(&line);
                let ends = ["\"result\"", "\"error\""].iter().any(|it| is_answer.contains(it));
                if is_answer.starts_with("data: ") && ends {
                    break;
                }
                line.clear();
            }
        }
        None => {}
    }
    Got { status, head, body: String::from_utf8_lossy(&body).into_owned() }
}
