//! What a session has for its client, on the stream that each message belongs to, until it is fetched.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::super::super::frame::{Answer, Frame, Id, Kind, Members, Message, string};
use super::super::super::revision::Revision;

/// Most requests of one client that are answered at a time.
pub const STREAMS_MAX: usize = 512;
/// Most messages of one stream that wait for their client; then the session waits.
const UNREAD_MAX: usize = 1_024;
/// Their bytes.
const UNREAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most messages of one stream that are kept for a client that lost its connection.
const KEPT_MAX: usize = 128;
/// Their bytes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Most streams that have brought all they had and are kept for the same reason.
const DONE_MAX: usize = 16;

/// The stream for what belongs to no request.
pub const GENERAL: u64 = 0;

/// A message on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number there, from one on.
    pub number: u64,
    /// The message.
    pub text: Arc<str>,
    /// Nothing comes after it.
    pub is_last: bool,
}

/// The desk of one session.
#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<u64, Stream>,
    last_stream: u64,
    by_request: HashMap<Id, u64>,
    by_token: HashMap<String, u64>,
    hello: Option<Id>,
    revision: Option<Revision>,
    is_over: bool,
    /// Each request stands for itself: what belongs to none of them is for nobody.
    has_no_session: bool,
}

#[derive(Default)]
struct Stream {
    /// Of a request that stands for itself: whoever does not read what comes, asked in vain.
    is_alone: bool,
    /// Requests that have no answer yet.
    left: usize,
    events: VecDeque<Event>,
    last_event: u64,
    /// What its reader has.
    read: u64,
    readers: usize,
    tokens: Vec<String>,
}

/// Why a message is not taken from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A request is under way that is called the same.
    InUse,
    /// Too many are.
    TooMany,
}

/// Somebody reads a stream for as long as this is there.
pub struct Reading {
    desk: Arc<Desk>,
    stream: u64,
}

impl Desk {
    /// One for requests that stand for themselves, MCP 2026-07-28.
    pub fn without_session() -> Desk {
        let desk = Desk::default();
        desk.state().has_no_session = true;
        desk
    }

    /// Opens the stream of a request that stands for itself.
    pub fn open_alone(&self) -> Result<u64, Refused> {
        let mut state = self.state();
        if state.streams.values().filter(|stream| stream.left > 0).count() >= STREAMS_MAX {
            return Err(Refused::TooMany);
        }
        state.last_stream = state.last_stream.saturating_add(1);
        let number = state.last_stream;
        let stream = Stream { is_alone: true, left: 1, readers: 1, ..Stream::default() };
        state.streams.insert(number, stream);
        Ok(number)
    }

    /// Lays a message on the stream of a request that stands for itself. One that is full is broken off: nobody else
    /// waits for who does not read.
    pub fn give_alone(&self, number: u64, text: String) {
        // Before the desk is held, which whoever reads from it waits for.
        let is_last = Frame::parse(text.clone().into_bytes()).is_ok_and(|frame| match frame {
            Frame::One(message) => matches!(message.kind(), Kind::Response { .. }),
            Frame::Batch(_) => false,
        });
        let mut state = self.state();
        let Some(stream) = state.streams.get_mut(&number).filter(|it| it.is_alone) else { return };
        if stream.left == 0 {
            return;
        }
        if stream.is_full() {
            state.streams.remove(&number);
        } else {
            stream.left = usize::from(!is_last);
            stream.last_event = stream.last_event.saturating_add(1);
            let number = stream.last_event;
            stream.events.push_back(Event { number, text: text.into(), is_last });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Nobody waits for a request that stands for itself any more; whether it has no answer yet.
    pub fn forget_alone(&self, number: u64) -> bool {
        let stream = self.state().streams.remove(&number);
        // One that was broken off has none either.
        stream.is_none_or(|stream| stream.left > 0)
    }

    /// Opens the stream on which the answers to these messages come, and what is told of them by these tokens; none where
    /// none of them asks for one.
    pub fn open(&self, messages: &[Message], tokens: Vec<String>) -> Result<Option<u64>, Refused> {
        let mut state = self.state();
        let mut asked = Vec::new();
        for message in messages {
            let Kind::Request { id, method, .. } = message.kind() else {
                state.withdrawn(message);
                continue;
            };
            if state.by_request.contains_key(id) || asked.contains(id) {
                return Err(Refused::InUse);
            }
            if method == "initialize" {
                state.hello = Some(id.clone());
            }
            asked.push(id.clone());
        }
        if asked.is_empty() {
            drop(state);
            self.changed.notify_waiters();
            return Ok(None);
        }
        if state.by_request.len().saturating_add(asked.len()) > STREAMS_MAX {
            return Err(Refused::TooMany);
        }
        state.last_stream = state.last_stream.saturating_add(1);
        let number = state.last_stream;
        for token in &tokens {
            state.by_token.insert(token.clone(), number);
        }
        let stream = Stream { left: asked.len(), tokens, ..Stream::default() };
        state.streams.insert(number, stream);
        state.by_request.extend(asked.into_iter().map(|id| (id, number)));
        state.forget_done();
        Ok(Some(number))
    }

    /// Lays a message of the session on its stream; gives it back where that is full.
    pub fn give(&self, text: String) -> Result<(), String> {
        let Ok(Frame::One(message)) = Frame::parse(text.clone().into_bytes()) else {
            return Ok(());
        };
        let mut state = self.state();
        if state.has_no_session {
            return Ok(());
        }
        let Some(number) = state.stream_of(&message) else { return Ok(()) };
        let stream = state.streams.entry(number).or_default();
        if stream.readers > 0 && stream.is_full() {
            return Err(text);
        }
        let is_answer = matches!(message.kind(), Kind::Response { .. });
        if is_answer {
            stream.left = stream.left.saturating_sub(1);
        }
        stream.last_event = stream.last_event.saturating_add(1);
        let is_last = is_answer && stream.left == 0 && number != GENERAL;
        let event = Event { number: stream.last_event, text: text.into(), is_last };
        stream.events.push_back(event);
        stream.forget();
        state.answered(&message);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The next message of a stream behind the one of this number; none where none will come.
    pub async fn next(&self, stream: u64, after: u64) -> Option<Event> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on nothing is missed.
            changed.as_mut().enable();
            match self.look(stream, after) {
                Looked::Event(event) => return Some(event),
                Looked::Nothing => return None,
                Looked::Later => changed.await,
            }
        }
    }

    fn look(&self, number: u64, after: u64) -> Looked {
        let mut state = self.state();
        let is_over = state.is_over;
        let Some(stream) = state.streams.get_mut(&number) else {
            return if number == GENERAL && !is_over { Looked::Later } else { Looked::Nothing };
        };
        stream.read = stream.read.max(after);
        if stream.is_alone {
            // It cannot be taken up again.
            stream.events.retain(|event| event.number > after);
        } else {
            stream.forget();
        }
        match stream.events.iter().find(|event| event.number > after) {
            Some(event) => Looked::Event(event.clone()),
            None if is_over || (number != GENERAL && stream.left == 0) => Looked::Nothing,
            None => Looked::Later,
        }
    }

    /// Reads a stream from behind the message of this number on; none where that is not kept any more.
    pub fn read(self: &Arc<Desk>, number: u64, after: u64) -> Option<Reading> {
        let mut state = self.state();
        if number == GENERAL {
            state.streams.entry(GENERAL).or_default();
        }
        let stream = state.streams.get_mut(&number)?;
        let first = stream.events.front().map(|event| event.number);
        let is_kept =
            first.unwrap_or(stream.last_event.saturating_add(1)) <= after.saturating_add(1);
        if after > stream.last_event || !is_kept {
            return None;
        }
        stream.readers = stream.readers.saturating_add(1);
        Some(Reading { desk: Arc::clone(self), stream: number })
    }

    /// How many read a stream.
    pub fn readers(&self, number: u64) -> usize {
        self.state().streams.get(&number).map_or(0, |stream| stream.readers)
    }

    /// The number of the last message of a stream that somebody has read.
    pub fn read_so_far(&self, number: u64) -> u64 {
        let state = self.state();
        let Some(stream) = state.streams.get(&number) else { return 0 };
        // What was forgotten unread cannot be had any more.
        let first = stream.events.front().map_or(0, |event| event.number.saturating_sub(1));
        stream.read.max(first)
    }

    /// Whether somebody reads any stream.
    pub fn is_read(&self) -> bool {
        self.state().streams.values().any(|stream| stream.readers > 0 || stream.left > 0)
    }

    /// Nobody asks for a stream any more.
    pub fn forget(&self, number: u64) {
        self.state().remove(number);
    }

    /// The revision that was agreed on, once it was.
    pub fn revision(&self) -> Option<Revision> {
        self.state().revision
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.state().is_over = true;
        self.changed.notify_waiters();
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.state().is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Looked {
    Event(Event),
    Later,
    Nothing,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        if let Some(stream) = state.streams.get_mut(&self.stream) {
            stream.readers = stream.readers.saturating_sub(1);
        }
    }
}

impl State {
    /// Where a message belongs; nowhere where it answers what nobody waits for.
    fn stream_of(&self, message: &Message) -> Option<u64> {
        match message.kind() {
            Kind::Response { id: Some(id), .. } => self.by_request.get(id).copied(),
            // To what could not be read, which was answered at once.
            Kind::Response { id: None, .. } => None,
            Kind::Request { .. } | Kind::Notification { .. } => {
                let named = token_of_progress(message).and_then(|it| self.by_token.get(&it));
                let waits = || {
                    let mut all = self.streams.iter().rev();
                    all.find(|(number, it)| **number != GENERAL && it.left > 0).map(|(it, _)| *it)
                };
                let listens = self.streams.get(&GENERAL).is_some_and(|it| it.readers > 0);
                let general = listens.then_some(GENERAL);
                named.copied().or(general).or_else(waits).or(Some(GENERAL))
            }
        }
    }

    fn answered(&mut self, message: &Message) {
        let Kind::Response { id: Some(id), answer, .. } = message.kind() else { return };
        self.by_request.remove(id);
        if self.hello.as_ref() != Some(id) {
            return;
        }
        let Answer::Result(at) = answer else { return };
        let members = Members::of(message.part(at));
        let revision = members.as_ref().and_then(|all| string(all.get("protocolVersion")?));
        self.revision = revision.and_then(|text| text.parse().ok());
    }

    /// What a client withdraws is not answered any more, and its place is another's. That which begins the session is
    /// never withdrawn, MCP 2025-11-25 "Cancellation".
    fn withdrawn(&mut self, message: &Message) {
        let Some(id) = withdrawal(message).filter(|id| self.hello.as_ref() != Some(id)) else {
            return;
        };
        let Some(number) = self.by_request.remove(&id) else { return };
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.left = stream.left.saturating_sub(1);
        }
    }

    /// Of streams that have brought all, the latest are kept.
    fn forget_done(&mut self) {
        let done = |(number, it): (&u64, &Stream)| {
            (*number != GENERAL && it.left == 0 && it.readers == 0).then_some(*number)
        };
        let all: Vec<u64> = self.streams.iter().filter_map(done).collect();
        for number in all.iter().take(all.len().saturating_sub(DONE_MAX)) {
            self.remove(*number);
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(stream) = self.streams.remove(&number) else { return };
        for token in stream.tokens {
            if self.by_token.get(&token) == Some(&number) {
                self.by_token.remove(&token);
            }
        }
        self.by_request.retain(|_, of| *of != number);
    }
}

impl Stream {
    fn is_full(&self) -> bool {
        let unread = self.events.iter().filter(|event| event.number > self.read);
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for event in unread {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(event.text.len());
        }
        count >= UNREAD_MAX || bytes >= UNREAD_BYTES_MAX
    }

    /// Keeps no more than a client may ask for again; of what nobody reads, the latest.
    fn forget(&mut self) {
        let mut bytes: usize = self.events.iter().map(|event| event.text.len()).sum();
        loop {
            let Some(first) = self.events.front() else { return };
            let was_read = first.number <= self.read;
            let (most, most_bytes) = match (was_read, self.readers) {
                (true, _) => (KEPT_MAX, KEPT_BYTES_MAX),
                (false, 0) => (UNREAD_MAX, UNREAD_BYTES_MAX),
                // Whoever gives more waits.
                (false, _) => return,
            };
            if self.events.len() <= most && bytes <= most_bytes {
                return;
            }
            bytes = bytes.saturating_sub(first.text.len());
            self.events.pop_front();
        }
    }
}

/// The tokens by which requests want to be told how far they are.
pub(super) fn tokens(messages: &[Message]) -> Vec<String> {
    messages.iter().filter_map(token_of_request).collect()
}

fn token_of_request(message: &Message) -> Option<String> {
    let Kind::Request { params: Some(at), .. } = message.kind() else { return None };
    let params = Members::of(message.part(at))?;
    let meta = Members::of(params.get("_meta")?)?;
    meta.get("progressToken").map(str::to_owned)
}

fn token_of_progress(message: &Message) -> Option<String> {
    let Kind::Notification { params: Some(at), .. } = message.kind() else { return None };
    Members::of(message.part(at))?.get("progressToken").map(str::to_owned)
}

/// Which request a client withdraws.
fn withdrawal(message: &Message) -> Option<Id> {
    let Kind::Notification { method, params: Some(at), .. } = message.kind() else { return None };
    let members = Members::of(message.part(at)).filter(|_| method == "notifications/cancelled");
    Id::read(members?.get("requestId")?)
}

#[cfg(test)]
mod tests;
