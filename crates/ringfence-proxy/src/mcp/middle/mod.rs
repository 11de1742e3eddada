//! One client and its servers: who is asked what, and whose answer is whose, of whatever revision each of them is.
//!
//! No I/O, no clock and no randomness: messages, decisions and the time come in, what is to be done comes out.
//! Requests are passed on under names of our own, so that an answer belongs to exactly one request, however its
//! sender called it. Between peers of one era a message is passed on as it came, but for its name; between eras
//! what one has and the other has not is translated, and all else stays as it stood.

mod again;
mod asker;
mod asks;
mod begin;
mod beside;
mod calls;
mod client;
mod gather;
mod held;
mod hello;
mod listen;
mod noticed;
mod odd;
mod older;
mod own;
mod passing;
mod rounds;
mod sent;
mod server;
mod tasks;
mod tells;
mod told;
mod traced;
mod watch;
mod whose;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use ringfence_core::TraceContext;
use serde_json::Value;

use super::frame::{Id, Members, Message, error_answer, quoted, string};
use asker::Asker;
use asks::Question;
use gather::Gathered;
use odd::odd;
pub use odd::{IN_USE, ODDS_MAX, Odd, OddKind};
pub use sent::ANSWER_MS_MAX;
use sent::{Sent, Why};
pub use whose::Whose;

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
    /// Send this to the client in answer to what it sent on this stream ([`Middle::from_client_on`]).
    ToStream(u64, String),
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

impl Effect {
    fn to(stream: u64, text: String) -> Effect {
        if stream == 0 { Effect::ToClient(text) } else { Effect::ToStream(stream, text) }
    }
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
    /// Where it stands in a trace, if its client has said so.
    pub trace: Option<TraceContext>,
    /// What else its request has, by name: no rule sees that.
    pub beside: Vec<String>,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// A tool, by the name its server has for it.
    Tool(String),
    /// Anything else that a server does when it is asked to, or that it asks of its client, by the method.
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
    /// Its server was told, which wants no answer.
    Told,
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

/// Whether a tool is shown to the client, by what its server says of it (JSON of a `Tool`). Asked of every tool of
/// every list: those that the client asks for, and those that are asked for when a server has begun and whenever
/// it says that its tools have changed.
pub type Shown = dyn Fn(usize, &str, &Value) -> bool + Send;

/// Where the talk with the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not begun.
    New,
    /// Servers are asked.
    Asking,
    /// It has.
    Open,
}

/// What the client calls a request, and where it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    stream: u64,
    id: Id,
}

/// A request of the client that is being decided.
#[derive(Debug)]
struct Waiting {
    name: Name,
    asker: Asker,
    server: usize,
    what: Called,
    /// The request as it will be passed on, but for its name.
    message: Message,
    parts: Vec<(Range<usize>, String)>,
    traced: traced::Traced,
}

/// One client and its servers.
pub struct Middle {
    servers: Vec<Seat>,
    shown: Box<Shown>,
    /// Nobody else knows it: what is derived from it cannot be guessed.
    seed: [u8; 32],
    now_ms: u64,
    answer_ms_max: u64,
    phase: Phase,
    next: u64,
    /// What the client said of itself when it began, and who waits for the servers to begin.
    hello: Option<begin::Hello>,
    /// The session that `initialize` began, if one did.
    session: Option<begin::Session>,
    sent: HashMap<u64, Sent>,
    /// Of what servers were sent, what they were sent twice.
    resent: BTreeSet<u64>,
    waiting: BTreeMap<u64, Waiting>,
    /// Of those the ones that a person is asked about, and how their client was told.
    told: BTreeMap<u64, told::Told>,
    /// Requests of the client that are under way, and where: as tickets or names of ours.
    under_way: HashMap<Name, UnderWay>,
    /// What servers ask of the client, by names of ours.
    questions: BTreeMap<u64, Question>,
    /// Requests whose server wants to know more before it goes on.
    rounds: BTreeMap<u64, rounds::Round>,
    /// Requests that go on when the client asks again, by what it has to say for that.
    held: HashMap<String, held::Held>,
    gathered: HashMap<u64, Gathered>,
    /// What the client listens to.
    listens: BTreeMap<u64, listen::Listen>,
    /// What we listen to.
    watches: BTreeMap<u64, watch::Watch>,
    /// Which server has a resource, by its URI.
    resources: HashMap<String, usize>,
    /// Which server has a task.
    tasks: tasks::Owners,
    /// Which server asked for a task of the client.
    asked_tasks: tasks::Owners,
    /// What the client tells servers, which is decided.
    tellings: BTreeMap<u64, noticed::Telling>,
    /// Tasks that are waited for in their clients' place.
    waits: BTreeMap<u64, tasks::Wait>,
    odds: HashMap<Option<usize>, u32>,
}

/// Where a request of the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    /// It waits until the servers have begun.
    Parked,
    Waiting(u64),
    Sent(u64),
    Round(u64),
    Task(u64),
    Gathering(u64),
    Listening(u64),
    Watching(u64),
    Initialize,
}

/// The era of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    /// It began with `initialize`.
    Session,
    /// It is of 2026-07-28.
    Modern,
}

/// A server and what it has said of itself.
#[derive(Debug)]
struct Seat {
    name: String,
    /// Its answer to `initialize` or `server/discover`; `None` until it came.
    hello: Option<Value>,
    /// The same as it stood.
    said: String,
    begins: begin::Begins,
    tried: begin::Tried,
    is_gone: bool,
    /// Whether it was not there from the beginning.
    is_left_out: bool,
    /// Why, where that is known.
    why: Option<String>,
    tools: own::Tools,
    kept: again::Kept,
    /// What it was told to log, by us.
    log_level: Option<asker::Level>,
    /// How often it ended what we listen to.
    reopened: u32,
}

impl Seat {
    fn era(&self) -> Option<Era> {
        match self.begins {
            begin::Begins::Begun(era) => Some(era),
            begin::Begins::No
            | begin::Begins::Asked { .. }
            | begin::Begins::Initializing { .. } => None,
        }
    }
}

impl Middle {
    /// Between a client that has said nothing yet and servers that have been started. `seed` is random, and
    /// nobody else's.
    pub fn new(servers: Vec<ServerSeat>, shown: Box<Shown>, seed: [u8; 32]) -> Middle {
        let seat = |ServerSeat { name }| Seat {
            name,
            hello: None,
            said: String::new(),
            begins: begin::Begins::No,
            tried: begin::Tried::default(),
            is_gone: false,
            is_left_out: false,
            why: None,
            tools: own::Tools::default(),
            kept: again::Kept::default(),
            log_level: None,
            reopened: 0,
        };
        Middle {
            servers: servers.into_iter().map(seat).collect(),
            shown,
            seed,
            now_ms: 0,
            answer_ms_max: ANSWER_MS_MAX,
            phase: Phase::New,
            next: 1,
            hello: None,
            session: None,
            sent: HashMap::new(),
            resent: BTreeSet::new(),
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            under_way: HashMap::new(),
            questions: BTreeMap::new(),
            rounds: BTreeMap::new(),
            held: HashMap::new(),
            gathered: HashMap::new(),
            listens: BTreeMap::new(),
            watches: BTreeMap::new(),
            resources: HashMap::new(),
            tasks: tasks::Owners::default(),
            asked_tasks: tasks::Owners::default(),
            tellings: BTreeMap::new(),
            waits: BTreeMap::new(),
            odds: HashMap::new(),
        }
    }

    /// A server that is not there from the beginning: what is called of it is decided, and nothing is passed on.
    pub fn leave_out(&mut self, server: usize) {
        if let Some(seat) = self.servers.get_mut(server) {
            (seat.is_gone, seat.is_left_out) = (true, true);
        }
    }

    /// It is this late, in milliseconds since some moment: what has waited too long ends. To be told before other
    /// things are, and when [`Middle::deadline_ms`] has come.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        self.now_ms = self.now_ms.max(now_ms);
        let mut effects = self.begins_too_slowly();
        effects.extend(self.lists_too_slowly());
        effects.extend(self.begins_anew_too_slowly());
        effects.extend(self.held_too_long());
        effects.extend(self.tasks_due());
        effects.extend(self.answers_too_slowly());
        self.counted(effects)
    }

    /// When [`Middle::tick`] wants to be told the time next, if ever.
    pub fn deadline_ms(&self) -> Option<u64> {
        let begins = self.servers.iter().filter_map(|seat| seat.begins.until_ms());
        let lists = self.servers.iter().filter_map(|seat| seat.tools.until_ms());
        let again = self.servers.iter().filter_map(|seat| seat.kept.until_ms());
        let held = self.held.values().map(held::Held::until_ms);
        let tasks = self.waits.values().map(tasks::Wait::due_ms);
        let answers = self.answers_until_ms();
        begins.chain(lists).chain(again).chain(held).chain(tasks).chain(answers).min()
    }

    /// What a server has said of itself, once it has: its answer to `initialize`, or to `server/discover`.
    pub fn hello(&self, server: usize) -> Option<&Value> {
        self.servers.get(server)?.hello.as_ref()
    }

    /// Who the client says that it is, as it stands, once it has begun.
    pub fn client_says(&self) -> Option<&str> {
        self.hello.as_ref().map(begin::Hello::info)
    }

    /// The client may see other tools than before.
    pub fn tools_changed(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Open {
            return Vec::new();
        }
        self.tools_changed_for_all()
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

    /// Asks a server something of our own; `params` are an object.
    fn ask(&mut self, server: usize, why: Why, method: &str, params: &str) -> Effect {
        let number = self.number();
        self.ask_as(number, (server, why), method, params)
    }

    fn ask_as(
        &mut self,
        number: u64,
        (server, why): (usize, Why),
        method: &str,
        params: &str,
    ) -> Effect {
        self.is_sent(number, server, why);
        let method = quoted(method);
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{number},"method":{method},"params":{params}}}"#);
        Effect::ToServer(server, text)
    }

    /// Answers a request of the client.
    fn answer(&mut self, name: &Name, text: String) -> Effect {
        self.under_way.remove(name);
        Effect::to(name.stream, text)
    }

    fn answer_error(&mut self, name: &Name, code: i64, message: &str) -> Effect {
        self.answer(name, error_answer(Some(&name.id), code, message))
    }

    /// Servers that are there.
    fn present(&self) -> impl Iterator<Item = usize> {
        let all = self.servers.iter().enumerate();
        all.filter(|(_, seat)| !seat.is_gone).map(|(number, _)| number)
    }

    /// Servers that are there and of this era.
    fn of_era(&self, era: Era) -> Vec<usize> {
        self.present().filter(|server| self.era(*server) == Some(era)).collect()
    }

    fn era(&self, server: usize) -> Option<Era> {
        self.servers.get(server)?.era()
    }

    /// Whether a server has said that it has something: a key of its capabilities.
    fn offers(&self, server: usize, capability: &str) -> bool {
        self.capability(server, capability).is_some()
    }

    fn capability(&self, server: usize, path: &str) -> Option<&Value> {
        let hello = self.servers.get(server)?.hello.as_ref()?;
        hello.pointer(&format!("/capabilities/{path}"))
    }

    /// What the client calls a tool or a prompt of a server.
    fn qualified(&self, server: usize, name: &str) -> String {
        match self.servers.get(server) {
            Some(seat) if self.is_merged() => qualified(&seat.name, name),
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

/// What the client of several servers calls a tool or a prompt of one.
pub fn qualified(server: &str, name: &str) -> String {
    format!("{server}{QUALIFIER}{name}")
}

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
