//! As much of HTTP/1.1 as an agent's client needs: keep-alive, both ways of framing a body, chunked
//! server-sent events.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest request body taken, in bytes.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, lossy where not UTF-8.
    pub body: String,
}

/// What is answered.
pub(super) enum Reply {
    Json(Value),
    /// Server-sent events: name (none for OpenAI's chat dialect) and data.
    Events(Vec<(Option<String>, String)>),
    NotFound,
}

impl Received {
    /// The body as JSON, if it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn append_to(&self, path: &Path) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(path)?.write_all(&line)
    }
}

/// Serves one connection until the client closes it.
pub(super) fn serve(stream: &TcpStream, answer: impl Fn(Received) -> Reply) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(received) = receive(&mut reader, stream)? {
        let head_only = received.method == "HEAD";
        write(stream, answer(received), head_only)?;
    }
    Ok(())
}

/// The next request of a connection, if there is one.
pub(crate) fn receive(
    reader: &mut impl BufRead,
    mut stream: &TcpStream,
) -> io::Result<Option<Received>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(reader)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received { method, path, headers, body: String::new() };
    if received.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = body(reader, &received)?;
    received.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(received))
}

fn body(reader: &mut impl BufRead, received: &Received) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if received.header("transfer-encoding").is_none() {
        let length = received.header("content-length").unwrap_or("0");
        let length = length.parse::<u64>().map_err(io::Error::other)?.min(BODY_BYTES_MAX);
        reader.take(length).read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        reader.by_ref().take(size.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
        line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn write(mut stream: &TcpStream, reply: Reply, head_only: bool) -> io::Result<()> {
    let (status, body) = match reply {
        Reply::Events(events) => return write_events(stream, events),
        Reply::Json(body) => ("200 OK", body.to_string()),
        Reply::NotFound => ("404 Not Found", r#"{"error":{"message":"not found"}}"#.to_owned()),
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    if !head_only {
        answer.push_str(&body);
    }
    stream.write_all(answer.as_bytes())
}

/// Each event is a chunk and a packet of its own, as a model's tokens are.
fn write_events(mut stream: &TcpStream, events: Vec<(Option<String>, String)>) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
          transfer-encoding: chunked\r\n\r\n",
    )?;
    for (name, data) in events {
        let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        let event = format!("{name}data: {data}\n\n");
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    stream.write_all(b"0\r\n\r\n")
}
