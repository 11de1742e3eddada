//! The beginning: every server is asked which era it is of, and their answers make one, in the client's era.
//!
//! A server is begun with as the client has begun with us, so that nothing has to be translated where it speaks both:
//! with `initialize`, or with `server/discover`, MCP 2026-07-28 "Versioning". One that does not know the question is
//! asked the other; one that refuses a revision is begun with in another.

mod answers;

use serde_json::{Value, json};

use super::super::edit;
use super::super::frame::{
    Answer, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Kind, Members, Message, quoted,
    result_answer,
};
use super::super::revision::Revision;
use super::asker::{self, CAPABILITIES, Facts, INFO, VERSION};
use super::client::Asked;
use super::odd::{odd, sentence};
use super::{Effect, Era, Middle, Name, OddKind, Phase, UnderWay, Why, text_param};
use answers::{Discovery, another, discovery};

pub(super) use answers::usable;

/// How long a server may think about the first question until it is asked the other as well.
const PROBE_MS_MAX: u64 = 5_000;

/// How long it may then take to begin. One that says nothing at all is given up earlier by who started it.
const BEGIN_MS_MAX: u64 = 180_000;

/// Most bytes of requests that wait until the servers have begun.
const PARKED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How far a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    No,
    /// It was asked who it is.
    Asked {
        until_ms: u64,
    },
    /// It was asked to begin.
    Initializing {
        until_ms: u64,
    },
    Begun(Era),
}

/// What a server was asked already.
#[derive(Debug, Default)]
pub(super) struct Tried {
    discover: bool,
    initialize: bool,
    /// Why it would not begin with `initialize`.
    refused: Option<String>,
    /// In which revisions it was asked to begin.
    revisions: Vec<Revision>,
}

impl Begins {
    pub(super) fn until_ms(self) -> Option<u64> {
        match self {
            Begins::Asked { until_ms } | Begins::Initializing { until_ms } => Some(until_ms),
            Begins::No | Begins::Begun(_) => None,
        }
    }
}

/// What the client said when it began.
#[derive(Debug)]
pub(super) struct Hello {
    /// Its `initialize`, if that is what it began with.
    initialize: Option<(Name, Message)>,
    /// What it can do, and who it is, as it stands.
    capabilities: String,
    info: String,
    /// Why a server would not.
    pub(super) refused: Option<String>,
    /// Requests that came before the servers had begun.
    parked: Vec<(u64, Message)>,
    parked_bytes: usize,
}

impl Hello {
    /// Who it says that it is, as it stands.
    pub(super) fn info(&self) -> &str {
        &self.info
    }
}

/// A session that a client began with `initialize`.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) revision: Option<Revision>,
    pub(super) capabilities: Value,
    /// Whether its servers know that it has begun.
    is_initialized: bool,
    /// From what level on servers of 2026-07-28 log for it, as JSON.
    pub(super) log_level: Option<String>,
}

impl Middle {
    /// The client's `initialize`.
    pub(super) fn begin(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        if text_param(asked.message, asked.params, "protocolVersion").is_none() {
            let told = "`initialize` needs the `protocolVersion`";
            return vec![self.answer_error(&asked.name, INVALID_PARAMS, told)];
        }
        let has_begun = self.session.is_some()
            || self.hello.as_ref().is_some_and(|hello| hello.initialize.is_some());
        match self.phase {
            _ if has_begun => {
                let told = "the session has begun already";
                vec![self.answer_error(&asked.name, INVALID_REQUEST, told)]
            }
            Phase::New => {
                let raw = |name: &str| raw_param(asked, name).filter(|raw| raw.starts_with('{'));
                let capabilities = raw("capabilities").unwrap_or("{}").to_owned();
                let info = raw("clientInfo").map_or_else(asker::own_info, str::to_owned);
                let initialize = Some((asked.name.clone(), asked.message.clone()));
                self.under_way.insert(asked.name.clone(), UnderWay::Initialize);
                self.start(capabilities, info, initialize)
            }
            Phase::Asking => self.park(asked),
            // It has asked who we are before, and wants a session all the same.
            Phase::Open => {
                let (name, message) = (asked.name.clone(), asked.message.clone());
                self.open_session(&name, &message)
            }
        }
    }

    /// The first request of a client that begins no session.
    pub(super) fn begin_modern(&mut self, asked: &Asked<'_>, facts: &Facts) -> Vec<Effect> {
        let info = facts.info.clone().unwrap_or_else(asker::own_info);
        let mut effects = self.start(facts.capabilities.clone(), info, None);
        if self.phase == Phase::Open {
            effects.extend(self.on(asked.name.stream, asked.message));
        } else {
            effects.extend(self.park(asked));
        }
        effects
    }

    /// Keeps a request until the servers have begun.
    pub(super) fn park(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let bytes = asked.message.text().len();
        let Some(hello) = &mut self.hello else { return Vec::new() };
        if hello.parked_bytes.saturating_add(bytes) > PARKED_BYTES_MAX {
            let told = "the servers have not begun, and too much waits for that";
            return vec![self.answer_error(&asked.name, INTERNAL_ERROR, told)];
        }
        hello.parked_bytes = hello.parked_bytes.saturating_add(bytes);
        hello.parked.push((asked.name.stream, asked.message.clone()));
        self.under_way.insert(asked.name.clone(), UnderWay::Parked);
        Vec::new()
    }

    /// Nobody waits for a request that is kept any more.
    pub(super) fn unpark(&mut self, name: &Name) {
        let Some(hello) = &mut self.hello else { return };
        hello.parked.retain(|(stream, message)| {
            let Kind::Request { id, .. } = message.kind() else { return true };
            *stream != name.stream || *id != name.id
        });
    }

    fn start(
        &mut self,
        capabilities: String,
        info: String,
        initialize: Option<(Name, Message)>,
    ) -> Vec<Effect> {
        let (refused, parked) = (None, Vec::new());
        let hello = Hello { initialize, capabilities, info, refused, parked, parked_bytes: 0 };
        (self.phase, self.hello) = (Phase::Asking, Some(hello));
        let servers: Vec<usize> = self.present().collect();
        if servers.is_empty() {
            return self.begun();
        }
        let in_session = self.hello.as_ref().is_some_and(|hello| hello.initialize.is_some());
        let begin = |server| {
            if in_session { self.initialize(server) } else { self.ask_who(server) }
        };
        servers.into_iter().flat_map(begin).collect()
    }

    /// Asks a server who it is, as 2026-07-28 does.
    fn ask_who(&mut self, server: usize) -> Vec<Effect> {
        let until_ms = self.now_ms.saturating_add(PROBE_MS_MAX);
        if let Some(seat) = self.servers.get_mut(server) {
            seat.begins = Begins::Asked { until_ms };
            seat.tried.discover = true;
        }
        let params = format!(r#"{{"_meta":{}}}"#, self.own_meta());
        vec![self.ask(server, Why::Discover, "server/discover", &params)]
    }

    /// What requests of ours to servers of 2026-07-28 say of the client.
    pub(super) fn own_meta(&self) -> String {
        let none = ("{}".to_owned(), asker::own_info());
        let hello = self.hello.as_ref();
        let (capabilities, info) =
            hello.map_or(none, |hello| (hello.capabilities.clone(), hello.info.clone()));
        let changes = [
            (VERSION, Some(quoted(Revision::V2026_07_28.name()))),
            (INFO, Some(info)),
            (CAPABILITIES, Some(capabilities)),
        ];
        edit::object(None, &changes)
    }

    /// A server has said who it is, or that it does not know the question.
    pub(super) fn discovered(
        &mut self,
        server: usize,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        let is_late = match seat.begins {
            Begins::Asked { .. } => false,
            // It took its time; what it says is heard until it has begun in the other way.
            Begins::Initializing { .. } => true,
            Begins::No | Begins::Begun(_) => return Vec::new(),
        };
        match discovery(message, answer) {
            Discovery::Modern(value, said) => {
                (seat.hello, seat.said) = (Some(*value), said);
                seat.begins = Begins::Begun(Era::Modern);
                self.begun_if_all()
            }
            Discovery::Older if is_late => Vec::new(),
            Discovery::Older => self.begin_older(server),
            Discovery::Unusable(why) => self.would_not(server, why),
        }
    }

    /// A server is none of 2026-07-28.
    fn begin_older(&mut self, server: usize) -> Vec<Effect> {
        let until_ms = self.now_ms.saturating_add(BEGIN_MS_MAX);
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        match (seat.tried.initialize, seat.tried.refused.take()) {
            (false, _) => self.initialize(server),
            // It thinks about it still.
            (true, None) => {
                seat.begins = Begins::Initializing { until_ms };
                Vec::new()
            }
            (true, Some(why)) => self
                .initialize_otherwise(server, &why)
                .unwrap_or_else(|| self.would_not(server, why)),
        }
    }

    /// Begins with a server that has refused to, in another revision, if it may speak one that is known here.
    fn initialize_otherwise(&mut self, server: usize, why: &str) -> Option<Vec<Effect>> {
        let tried = &self.servers.get(server)?.tried;
        let revision = another(why, &tried.revisions, tried.discover)?;
        Some(self.initialize_in(server, revision))
    }

    /// Begins with a server as older revisions do: as its client has begun, in the revision that it speaks.
    fn initialize(&mut self, server: usize) -> Vec<Effect> {
        let hello = self.hello.as_ref().and_then(|hello| hello.initialize.as_ref());
        let Some((_, message)) = hello else {
            return self.initialize_in(server, Revision::LATEST_WITH_SESSIONS);
        };
        let message = message.clone();
        let params = message_params(&message);
        let wanted = Members::of(params).and_then(|all| super::string(all.get("protocolVersion")?));
        self.initializes(server, wanted.and_then(|it| it.parse().ok()), params);
        self.pass_as_it_is(server, Why::Initialize, &message).into_iter().collect()
    }

    /// The same in this revision.
    fn initialize_in(&mut self, server: usize, revision: Revision) -> Vec<Effect> {
        let Some(hello) = &self.hello else { return Vec::new() };
        let version = ("protocolVersion", Some(quoted(revision.name())));
        let can = ("capabilities", Some(hello.capabilities.clone()));
        let own = [version.clone(), can, ("clientInfo", Some(hello.info.clone()))];
        let params = hello.initialize.as_ref().map_or_else(
            || edit::object(None, &own),
            |(_, message)| edit::object(Some(message_params(message)), &[version]),
        );
        self.initializes(server, Some(revision), &params);
        vec![self.ask(server, Why::Initialize, "initialize", &params)]
    }

    fn initializes(&mut self, server: usize, revision: Option<Revision>, params: &str) {
        let Some(seat) = self.servers.get_mut(server) else { return };
        let longest = if seat.tried.discover { BEGIN_MS_MAX } else { PROBE_MS_MAX };
        seat.begins = Begins::Initializing { until_ms: self.now_ms.saturating_add(longest) };
        seat.tried.initialize = true;
        seat.tried.revisions.extend(revision);
        seat.kept.begins_by(params);
    }

    /// A server has begun in the old way, or ended before it did.
    pub(super) fn greeted(
        &mut self,
        server: usize,
        answered: Option<(&Message, &Answer)>,
    ) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        if matches!(seat.begins, Begins::Begun(_) | Begins::No) {
            return Vec::new();
        }
        let has_ended = answered.is_none();
        let answered = match answered {
            Some((message, Answer::Result(at))) => usable(message.part(at)),
            Some((message, Answer::Error(at))) => Err(message.part(at).to_owned()),
            None => {
                let why = quoted(seat.why.as_deref().unwrap_or("the server ended before it began"));
                Err(format!(r#"{{"code":{INTERNAL_ERROR},"message":{why}}}"#))
            }
        };
        match answered {
            Ok((value, said)) => {
                (seat.hello, seat.said) = (Some(value), said);
                seat.begins = Begins::Begun(Era::Session);
                self.begun_if_all()
            }
            Err(why) if has_ended => self.would_not(server, why),
            Err(why) if matches!(seat.begins, Begins::Asked { .. }) => {
                seat.tried.refused = Some(why);
                Vec::new()
            }
            Err(why) => self.begins_otherwise(server, why),
        }
    }

    /// A server would not begin as it was asked to.
    fn begins_otherwise(&mut self, server: usize, why: String) -> Vec<Effect> {
        if let Some(effects) = self.initialize_otherwise(server, &why) {
            return effects;
        }
        match self.servers.get_mut(server) {
            Some(seat) if !seat.tried.discover => {
                seat.tried.refused = Some(why);
                self.ask_who(server)
            }
            Some(_) | None => self.would_not(server, why),
        }
    }

    fn would_not(&mut self, server: usize, why: String) -> Vec<Effect> {
        if let Some(seat) = self.servers.get_mut(server) {
            (seat.is_gone, seat.begins) = (true, Begins::No);
        }
        let what = format!("it did not begin: {}", sentence(&why));
        let mut effects = vec![odd(Some(server), OddKind::NoBeginning, what)];
        if let Some(hello) = &mut self.hello {
            hello.refused = Some(why);
        }
        effects.extend(self.begun_if_all());
        effects
    }

    pub(super) fn begins_too_slowly(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for server in 0..self.servers.len() {
            let Some(seat) = self.servers.get(server).filter(|seat| !seat.is_gone) else {
                continue;
            };
            match seat.begins {
                Begins::Asked { until_ms } if until_ms <= self.now_ms => {
                    effects.extend(self.begin_older(server));
                }
                Begins::Initializing { until_ms }
                    if until_ms <= self.now_ms && !seat.tried.discover =>
                {
                    effects.extend(self.ask_who(server));
                }
                Begins::Initializing { until_ms } if until_ms <= self.now_ms => {
                    let why =
                        json!({"code": INTERNAL_ERROR, "message": "the server does not begin"});
                    effects.extend(self.would_not(server, why.to_string()));
                }
                Begins::Asked { .. }
                | Begins::Initializing { .. }
                | Begins::No
                | Begins::Begun(_) => {}
            }
        }
        effects
    }

    fn begun_if_all(&mut self) -> Vec<Effect> {
        let all = self.servers.iter().filter(|seat| !seat.is_gone);
        let waits = self.phase == Phase::Asking && all.clone().all(|seat| seat.era().is_some());
        if waits { self.begun() } else { Vec::new() }
    }

    /// All have answered.
    fn begun(&mut self) -> Vec<Effect> {
        self.phase = Phase::Open;
        let Some(hello) = &mut self.hello else { return Vec::new() };
        let parked = std::mem::take(&mut hello.parked);
        let mut effects = match hello.initialize.take() {
            Some((name, message)) => self.open_session(&name, &message),
            None => self.initialized(),
        };
        for server in self.of_era(Era::Modern) {
            effects.extend(self.start_listing(server));
            effects.extend(self.start_listening(server));
        }
        for (stream, message) in parked {
            if let Kind::Request { id, .. } = message.kind() {
                self.under_way.remove(&Name { stream, id: id.clone() });
            }
            effects.extend(self.on(stream, &message));
        }
        effects
    }

    /// Answers the client's `initialize`.
    fn open_session(&mut self, name: &Name, message: &Message) -> Vec<Effect> {
        let params = |key: &str| {
            let Kind::Request { params, .. } = message.kind() else {
                return None;
            };
            super::value_param(message, params.as_ref(), key)
        };
        let wanted = params("protocolVersion");
        let wanted = wanted.as_ref().and_then(Value::as_str).unwrap_or_default();
        match self.session_hello(wanted) {
            Ok(result) => {
                let said = Members::of(&result).and_then(|all| all.get("protocolVersion"));
                let revision = said.and_then(super::string).and_then(|it| it.parse().ok());
                let capabilities = params("capabilities").unwrap_or_default();
                self.session = Some(Session {
                    revision,
                    capabilities,
                    is_initialized: self.of_era(Era::Session).is_empty(),
                    log_level: None,
                });
                vec![self.answer(name, result_answer(&name.id, &result))]
            }
            Err(error) => {
                self.phase = Phase::New;
                let text =
                    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, name.id.json());
                vec![self.answer(name, text)]
            }
        }
    }

    /// The client has said that its session has begun, or goes on as if it had.
    pub(super) fn session_has_begun(&mut self) -> Vec<Effect> {
        let Some(session) = &mut self.session else { return Vec::new() };
        if session.is_initialized {
            return Vec::new();
        }
        session.is_initialized = true;
        self.initialized()
    }

    /// Tells the servers that began with `initialize` that they have begun.
    fn initialized(&mut self) -> Vec<Effect> {
        let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let mut effects = Vec::new();
        for server in self.of_era(Era::Session) {
            effects.push(Effect::ToServer(server, text.to_owned()));
            effects.extend(self.start_listing(server));
        }
        effects
    }
}

fn message_params(message: &Message) -> &str {
    match message.kind() {
        Kind::Request { params: Some(at), .. } => message.part(at),
        Kind::Request { .. } | Kind::Notification { .. } | Kind::Response { .. } => "{}",
    }
}

fn raw_param<'a>(asked: &Asked<'a>, name: &str) -> Option<&'a str> {
    Members::of(asked.message.part(asked.params?))?.get(name)
}
