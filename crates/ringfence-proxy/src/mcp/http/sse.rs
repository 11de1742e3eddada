//! Server-sent events, as they come: HTML Living Standard, section 9.2.6 "Interpreting an event stream".

use std::time::Duration;

use super::super::lines::MESSAGE_BYTES_MAX;

/// Longest event, in bytes: its data and the line that it is in.
pub const EVENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// Longest identifier of an event that is kept, in bytes: it is sent back in a header.
pub const ID_BYTES_MAX: usize = 1_024;

/// Longest time that a server may have us wait until we ask again, in seconds.
pub const RETRY_SECONDS_MAX: u64 = 60;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind it is; `message` where it does not say.
    pub kind: String,
    /// What it says; may be nothing.
    pub data: String,
}

/// Why a stream is not read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// An event does not end.
    #[error("an event of the server has more than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// It is no text.
    #[error("an event of the server is not UTF-8")]
    NotUtf8,
}

/// A stream of events that is read piece by piece.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that has not ended.
    line: Vec<u8>,
    /// A line feed that comes next belongs to the end of line before it.
    after_return: bool,
    /// Nothing was read yet: a mark of the byte order may stand here.
    begun: bool,
    data: Option<String>,
    kind: String,
    id: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
}

impl Events {
    /// A stream that goes on behind the event of this name.
    pub fn after(last_id: Option<String>) -> Events {
        Events { last_id, ..Events::default() }
    }

    /// The events that end within the next piece, the first of them first.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, Unreadable> {
        let mut events = Vec::new();
        let mut rest = piece;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            let (part, behind) = (rest.get(..at), rest.get(at.saturating_add(1)..));
            let part = part.unwrap_or_default();
            let is_return = rest.get(at) == Some(&b'\r');
            let is_second = self.after_return && part.is_empty() && !is_return;
            self.after_return = is_return;
            rest = behind.unwrap_or_default();
            if is_second {
                continue;
            }
            self.keep(part)?;
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_of_line(&line)?);
        }
        if !rest.is_empty() {
            self.after_return = false;
        }
        self.keep(rest)?;
        Ok(events)
    }

    /// The name of the last event that came whole, if it had one: where the stream can be taken up again.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long the server wants to be left alone before it is asked again.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Bytes that are kept of an event that has not ended.
    pub fn unended(&self) -> usize {
        self.line.len().saturating_add(self.data.as_ref().map_or(0, String::len))
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Unreadable> {
        let held = self.data.as_ref().map_or(0, String::len);
        let all = self.line.len().saturating_add(part.len()).saturating_add(held);
        if all > EVENT_BYTES_MAX {
            return Err(Unreadable::TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<Event>, Unreadable> {
        let mut line = std::str::from_utf8(line).map_err(|_| Unreadable::NotUtf8)?;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') && value.len() <= ID_BYTES_MAX => {
                self.id = Some(value.to_owned());
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let longest = Duration::from_secs(RETRY_SECONDS_MAX);
                let wait = value.parse().map_or(longest, Duration::from_millis);
                self.retry = Some(wait.min(longest));
            }
            // Comments, and what later editions of the standard may have.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        if let Some(id) = self.id.take() {
            // An empty one takes the name back.
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        let kind = std::mem::take(&mut self.kind);
        let data = self.data.take()?;
        let kind = if kind.is_empty() { "message".to_owned() } else { kind };
        Some(Event { kind, data })
    }
}

/// An event as it is sent.
pub fn write(id: Option<&str>, data: &str) -> String {
    let mut text = String::with_capacity(data.len().saturating_add(64));
    if let Some(id) = id {
        text.push_str("id: ");
        text.push_str(id);
        text.push('\n');
    }
    text.push_str("event: message\n");
    // A line of data for each of the message's: JSON may be broken between its parts.
    for line in data.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
