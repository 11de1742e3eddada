//! One client and its servers: who is asked what, and whose answer is whose.
//!
//! No I/O and no time: messages and decisions come in, what is to be done comes out. Requests are passed on
//! under names of our own, so that an answer belongs to exactly one request, however its sender called it.

mod client;
mod gather;
mod initialize;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use super::frame::{Id, Malformed, Members, Message, error_answer, quoted, string};
use gather::Gathered;

/// Most requests of one client, or of one server, that are under way.
const PENDING_MAX: usize = 1_024;

/// A server as the client sees it.
#[derive(Debug, Clone)]
pub struct ServerSeat {
    /// What it is called in the settings, and before its tools where there are several.
    pub name: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this to the client.
    ToClient(String),
    /// Send this to a server, by its number.
    ToServer(usize, String),
    /// Decide a call, and tell [`Middle::decided`].
    Decide(Call),
    /// Nobody waits for this decision any more.
    Withdraw(u64),
    /// A call that was permitted has been answered, or will not be.
    Ended(u64, Ended),
    /// Something that the protocol does not allow was done, and not passed on.
    Odd(Odd),
}

/// A call that waits for its decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What it is called until it is decided.
    pub ticket: u64,
    /// Whose it is.
    pub server: usize,
    /// What is called.
    pub what: Called,
    /// Its arguments, an object.
    pub arguments: Value,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// A tool, by the name its server has for it.
    Tool(String),
    /// Anything else that a server does when it is asked to, by the method.
    Method(String),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its server answered it, with so many bytes.
    Answered {
        /// The whole message, as it came.
        bytes: usize,
    },
    /// Its server answered that it failed.
    Failed {
        /// The whole message, as it came.
        bytes: usize,
    },
    /// Its server was gone before it answered.
    Unanswered,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It is passed on; with other arguments, where these are said.
    Permit(Option<Value>),
    /// It is not, and the agent is told why.
    Deny(String),
}

/// Something that the protocol does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The server that did it; the client where there is none.
    pub server: Option<usize>,
    /// What it did.
    pub what: String,
}

/// Whether a tool is shown to the client, by what its server says of it (JSON of a `Tool`).
pub type Shown = dyn Fn(usize, &str, &Value) -> bool + Send;

/// Where the talk with the client is.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// It has not begun.
    New,
    /// Servers are asked.
    Asking,
    /// It has.
    Open,
}

/// A request that a server has been sent.
#[derive(Debug)]
struct Sent {
    server: usize,
    why: Why,
}

/// What an answer is for.
#[derive(Debug)]
enum Why {
    /// The client asked, under this name; and the ticket of what was decided.
    Client(Id, u64),
    /// It is part of something that is gathered.
    Gathering(u64),
    /// We asked it to begin.
    Initialize,
}

/// A request of the client that is being decided.
#[derive(Debug)]
struct Waiting {
    id: Id,
    server: usize,
    what: Called,
    /// The request as it will be passed on, but for its name.
    message: Message,
    parts: Vec<(Range<usize>, String)>,
}

/// One client and its servers.
pub struct Middle {
    servers: Vec<Seat>,
    shown: Box<Shown>,
    phase: Phase,
    next: u64,
    sent: HashMap<u64, Sent>,
    waiting: BTreeMap<u64, Waiting>,
    /// Requests of the client that are under way, and where: as tickets or names of ours.
    under_way: HashMap<Id, UnderWay>,
    /// Requests of servers that the client has been sent, by names of ours.
    asked: HashMap<u64, (usize, Id)>,
    gathered: HashMap<u64, Gathered>,
    /// The client's `initialize`.
    hello: Option<initialize::Hello>,
    /// Which server has a resource, by its URI.
    resources: HashMap<String, usize>,
}

/// Where a request of the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    Waiting(u64),
    Sent(u64),
    Gathering(u64),
    Initialize,
}

/// A server and what it has said of itself.
#[derive(Debug)]
struct Seat {
    name: String,
    /// Its answer to `initialize`; `None` until it came.
    hello: Option<Value>,
    is_gone: bool,
    /// Why, where that is known.
    why: Option<String>,
}

impl Middle {
    /// Between a client that has said nothing yet and servers that have been started.
    pub fn new(servers: Vec<ServerSeat>, shown: Box<Shown>) -> Middle {
        let seat = |ServerSeat { name }| Seat { name, hello: None, is_gone: false, why: None };
        Middle {
            servers: servers.into_iter().map(seat).collect(),
            shown,
            phase: Phase::New,
            next: 1,
            sent: HashMap::new(),
            waiting: BTreeMap::new(),
            under_way: HashMap::new(),
            asked: HashMap::new(),
            gathered: HashMap::new(),
            hello: None,
            resources: HashMap::new(),
        }
    }

    /// What came from the client and is no message.
    pub fn malformed(&mut self, wrong: &Malformed) -> Vec<Effect> {
        let what = wrong.to_string();
        vec![Effect::ToClient(wrong.answer()), Effect::Odd(Odd { server: None, what })]
    }

    /// What came from a server and is no message; nobody is told but the log.
    pub fn malformed_from(&mut self, server: usize, wrong: &Malformed) -> Vec<Effect> {
        vec![Effect::Odd(Odd { server: Some(server), what: wrong.to_string() })]
    }

    /// Whether names of tools have their server's before them.
    fn is_merged(&self) -> bool {
        self.servers.len() > 1
    }

    /// A name that nobody has been given yet.
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    /// Passes a request on under a name of ours.
    fn send(
        &mut self,
        server: usize,
        why: Why,
        (message, id_at): (&Message, &Range<usize>),
        parts: &[(Range<usize>, String)],
    ) -> Effect {
        let number = self.number();
        let name = Id::number(number);
        let mut all: Vec<(Range<usize>, &str)> =
            parts.iter().map(|(at, new)| (at.clone(), new.as_str())).collect();
        all.push((id_at.clone(), name.json()));
        let text = message.with(all);
        if let Why::Client(id, _) = &why {
            self.under_way.insert(id.clone(), UnderWay::Sent(number));
        }
        self.sent.insert(number, Sent { server, why });
        Effect::ToServer(server, text)
    }

    /// Asks a server something of our own.
    fn ask(&mut self, server: usize, why: Why, method: &str, params: &str) -> Effect {
        let number = self.number();
        self.sent.insert(number, Sent { server, why });
        let method = quoted(method);
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{number},"method":{method},"params":{params}}}"#);
        Effect::ToServer(server, text)
    }

    /// Answers a request of the client.
    fn answer_error(&mut self, id: &Id, code: i64, message: &str) -> Effect {
        self.under_way.remove(id);
        Effect::ToClient(error_answer(Some(id), code, message))
    }

    /// Servers that are there.
    fn present(&self) -> impl Iterator<Item = usize> {
        let all = self.servers.iter().enumerate();
        all.filter(|(_, seat)| !seat.is_gone).map(|(number, _)| number)
    }

    /// Whether a server has said that it has something: a key of its capabilities.
    fn offers(&self, server: usize, capability: &str) -> bool {
        let hello = self.servers.get(server).and_then(|seat| seat.hello.as_ref());
        hello.is_some_and(|hello| hello.pointer(&format!("/capabilities/{capability}")).is_some())
    }

    /// What the client calls a tool or a prompt of a server.
    fn qualified(&self, server: usize, name: &str) -> String {
        match self.servers.get(server) {
            Some(seat) if self.is_merged() => format!("{}{QUALIFIER}{name}", seat.name),
            Some(_) | None => name.to_owned(),
        }
    }

    /// Whose a tool or a prompt is that the client calls so, and what its server calls it.
    fn unqualified<'a>(&self, name: &'a str) -> Option<(usize, &'a str)> {
        if !self.is_merged() {
            return (!self.servers.is_empty()).then_some((0, name));
        }
        let (server, rest) = name.split_once(QUALIFIER)?;
        let number = self.servers.iter().position(|seat| seat.name == server)?;
        Some((number, rest))
    }
}

/// Stands between a server's name, which never has it, and that of its tool.
const QUALIFIER: &str = "__";

/// A text among the members of a request's parameters, and where it is in the whole message.
fn text_param(
    message: &Message,
    params: Option<&Range<usize>>,
    name: &str,
) -> Option<(String, Range<usize>)> {
    let params = params?;
    let members = Members::of(message.part(params))?;
    let text = string(members.get(name)?)?.into_owned();
    let at = members.at(name)?;
    Some((text, params.start.saturating_add(at.start)..params.start.saturating_add(at.end)))
}

/// A member of a request's parameters as a value.
fn value_param(message: &Message, params: Option<&Range<usize>>, name: &str) -> Option<Value> {
    let members = Members::of(message.part(params?))?;
    serde_json::from_str(members.get(name)?).ok()
}

#[cfg(test)]
mod tests;
