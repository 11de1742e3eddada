//! How a client reaches its server over HTTP, as the revision of either era says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;

use super::{Era, VERSION};

/// Messages that wait until the test looks at them.
const HEARD_MAX: usize = 1_024;

/// The client's side of streamable HTTP.
pub(super) struct Web {
    port: u16,
    token: String,
    era: Era,
    /// Of its session.
    pub(super) revision: String,
    session: Option<String>,
    /// Answers that come as streams, by the requests.
    streams: BTreeMap<u64, TcpStream>,
    says: SyncSender<String>,
    heard: Receiver<String>,
}

impl Web {
    pub(super) fn new(port: u16, token: &str, era: Era) -> Web {
        let (says, heard) = sync_channel(HEARD_MAX);
        let (streams, session) = (BTreeMap::new(), None);
        let revision = "2025-11-25".to_owned();
        Web { port, token: token.to_owned(), era, revision, session, streams, says, heard }
    }

    /// The next message, if one comes.
    pub(super) fn hear(&mut self, within: Duration) -> Option<String> {
        self.heard.recv_timeout(within).ok()
    }

    pub(super) fn send(&mut self, message: &Value) {
        let method = message["method"].as_str().unwrap_or_default();
        if self.era == Era::New && method == "notifications/cancelled" {
            let number = message["params"]["requestId"].as_u64().unwrap();
            let stream = self.streams.remove(&number).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
            return;
        }
        let body = message.to_string();
        let mut head = format!(
            "content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
            body.len()
        );
        if self.era == Era::New {
            head += &repeated(message);
        }
        let mut from = self.ask("POST", &head, &body);
        let id = message["id"].as_u64().filter(|_| !method.is_empty());
        if let Some(id) = id {
            self.streams.insert(id, from.get_ref().try_clone().unwrap());
        }
        let says = self.says.clone();
        match id {
            // The gate may say nothing for a while: what it asks meanwhile is answered.
            Some(_) if method != "initialize" => {
                std::thread::spawn(move || {
                    let head = head_of(&mut from);
                    answer(from, &head, &says);
                });
            }
            Some(_) | None => {
                let head = head_of(&mut from);
                if method == "initialize" {
                    self.session = Some(head["mcp-session-id"].clone());
                }
                answer(from, &head, &says);
            }
        }
        if method == "notifications/initialized" {
            let mut from = self.ask("GET", "accept: text/event-stream\r\n", "");
            let head = head_of(&mut from);
            assert_eq!(head["content-type"], "text/event-stream", "{head:?}");
            listen(from, self.says.clone());
        }
    }

    /// What is answered, from its head on.
    fn ask(&self, method: &str, head: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut more = String::new();
        if let Some(session) = &self.session {
            more = format!("mcp-session-id: {session}\r\n");
            if *self.revision >= *"2025-06-18" {
                more += &format!("mcp-protocol-version: {}\r\n", self.revision);
            }
        }
        let (port, token) = (self.port, &self.token);
        // At once: what is sent in pieces waits for what was acknowledged.
        let request = format!(
            "{method} /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n{head}{more}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }
}

fn head_of(from: &mut BufReader<TcpStream>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    loop {
        let mut line = String::new();
        // Whoever cancels shuts it.
        if from.read_line(&mut line).is_err() {
            return all;
        }
        let line = line.trim_end();
        match line.split_once(':') {
            Some((name, value)) => {
                all.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None if line.is_empty() => return all,
            None => {
                all.insert("status".to_owned(), line.to_owned());
            }
        }
    }
}

/// Hears an answer, whether it is a stream or one message.
fn answer(
    mut from: BufReader<TcpStream>,
    head: &BTreeMap<String, String>,
    says: &SyncSender<String>,
) {
    let is_stream = head.get("content-type").is_some_and(|it| it == "text/event-stream");
    if is_stream {
        listen(from, says.clone());
    } else if let Some(length) = head.get("content-length").filter(|it| *it != "0") {
        let mut body = vec![0; length.parse().unwrap()];
        from.read_exact(&mut body).unwrap();
        // Whoever asked may be gone.
        let _ = says.send(String::from_utf8(body).unwrap());
    }
}

fn listen(from: BufReader<TcpStream>, says: SyncSender<String>) {
    std::thread::spawn(move || {
        for line in from.lines() {
            let Ok(line) = line else { return };
            if let Some(data) = line.strip_prefix("data: ") {
                let _ = says.send(data.to_owned());
            }
        }
    });
}

/// The headers that a request of 2026-07-28 repeats from its body.
fn repeated(message: &Value) -> String {
    let (method, params) = (message["method"].as_str().unwrap(), &message["params"]);
    let version = params["_meta"][VERSION].as_str().unwrap();
    let mut head = format!("mcp-protocol-version: {version}\r\nmcp-method: {method}\r\n");
    let name = match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
        _ => None,
    };
    head += &name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    if let Some(text) = params["arguments"]["text"].as_str() {
        let text = if text == "\u{e9}" { "=?base64?w6k=?=" } else { text };
        head += &format!("mcp-param-text: {text}\r\n");
    }
    head
}
