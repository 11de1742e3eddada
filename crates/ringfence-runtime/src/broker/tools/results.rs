//! What servers send passes the detectors before the client has it, and an agent that goes in circles is told so.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use ringfence_core::{Detector, Found, Handling, Treatment};
use ringfence_detect::{Detectors, Sign};
use ringfence_proxy::mcp::frame::{
    Answer, Frame, INTERNAL_ERROR, INVALID_REQUEST, Id, Kind, Message, error_answer, quoted,
    result_answer,
};
use ringfence_proxy::mcp::middle::{Call, Called, Effect, Ended, OddKind, Whose};
use ringfence_proxy::mcp::outcome::{Of, Outcome};
use ringfence_proxy::mcp::results::{self, Looked, Rules};

use super::decider::Decider;
use super::history::{History, TalkHistory};
use super::metrics::{Decision, Going, Metrics};
use super::tasks::Tasks;
use crate::settings::ResultSettings;

/// What is done about results, and what the agent has called.
pub(super) struct Results {
    always: BTreeSet<Detector>,
    history: TalkHistory,
    answer_ms: u64,
    /// Calls that are not answered yet, by ticket.
    calls: HashMap<u64, Kept>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    /// Messages of no call that were not passed on as they came, and how many there were.
    odd: (Vec<Nobodys>, u32),
}

/// Most of those that are told of in one talk.
const ODD_MAX: u32 = 256;

/// A call that is not answered yet.
struct Kept {
    server: usize,
    called: Called,
    handling: Handling,
    seen: Seen,
    /// The call whose outcome this asks for, where it asks for that of a task.
    asks_for: Option<(u64, Of)>,
    /// Bytes of its arguments.
    bytes: usize,
    /// Since when its server has it.
    passed: Option<(Instant, Going)>,
}

/// What was seen of a call's answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bytes of it as it came.
    pub(super) bytes: Option<usize>,
    /// What it had in it.
    pub(super) found: Vec<Found>,
    /// What the agent was warned of beside it.
    pub(super) loops: Option<&'static str>,
}

impl Seen {
    /// Whether the agent has something else in its place.
    pub(super) fn is_blocked(&self) -> bool {
        self.found.iter().any(|found| found.treatment == Treatment::Blocked)
    }
}

/// A message of a server that belongs to no call: what became of it, why, and what it had in it.
pub(super) type Nobodys = (usize, OddKind, &'static str, Vec<Found>);

/// What becomes of a message of a server.
pub(super) enum Passed {
    /// It goes on, as it is here.
    On(Message),
    /// It does not; this is done in its place.
    Instead(Vec<Effect>),
}

impl Results {
    /// Of a talk that has its part in what was called before.
    pub(super) fn new(
        settings: &ResultSettings,
        metrics: Arc<Metrics>,
        history: &Arc<History>,
    ) -> Results {
        Results {
            always: settings.redact.clone(),
            history: history.talk(),
            answer_ms: settings.answer_ms(),
            calls: HashMap::new(),
            tasks: Tasks::default(),
            metrics,
            odd: (Vec::new(), 0),
        }
    }

    /// How long a server may say nothing to a request, in milliseconds.
    pub(super) fn answer_ms(&self) -> u64 {
        self.answer_ms
    }

    /// Looks through a message, but for what is echoed, and takes out of it what must not be passed on.
    pub(super) fn pass(
        &mut self,
        (whose, echoed): (Whose, &[&str]),
        server: usize,
        message: Message,
    ) -> Passed {
        let of = match whose {
            Whose::Call(ticket) => Some((ticket, Of::Call)),
            Whose::Far(ticket) => Some((ticket, Of::Task)),
            // Word for word what a person has looked at, or not shown at all.
            Whose::Definitions => return Passed::On(message),
            Whose::Hello | Whose::Other => None,
        };
        let ticket = of.map(|(ticket, _)| ticket);
        let handling = self.handling(ticket, server);
        if let Some(ticket) = ticket {
            self.tasks.made(server, &message, &handling);
            let called = self.calls.get(&ticket).map(|call| &call.called);
            if matches!(called, Some(Called::Tool(_))) {
                self.tasks.made_of(server, &message, ticket);
            }
        }
        let rules = Rules { handling: &handling, always: &self.always, echoed };
        let looked = results::look(&message, Detectors::shared(), rules);
        self.metrics.found(&looked.found);
        let Some(call) = self.of(ticket, server) else {
            return self.with_nobodys(message, server, looked);
        };
        call.seen.found = together(std::mem::take(&mut call.seen.found), &looked.found);
        if ticket.is_some() {
            call.seen.bytes = Some(message.text().len());
        }
        let passed = if looked.is_blocked() {
            in_place_of(&message, (server, &call.called), &looked)
        } else {
            cleaned(message, looked.text)
        };
        match (passed, of) {
            (Passed::On(message), Some(of)) => Passed::On(self.warned(of, message)),
            (passed, _) => passed,
        }
    }

    /// Whether the agent may make a call after all that it has called before; the error is for it.
    pub(super) fn may_call(&mut self, decider: &Decider, call: &Call) -> Result<(), String> {
        let arguments = call.arguments.to_string();
        if let Called::Tool(name) = &call.what {
            let server = decider.servers.get(call.server).map_or("", |it| it.name.as_str());
            let may = self.history.calls(call.ticket, &format!("{server}/{name}"), &arguments);
            may.map_err(|sign| {
                self.metrics.decided((call.server, &call.what), Decision::Denied);
                decider.refuse_call(call, stopped(sign))
            })?;
        }
        let (server, called) = (call.server, call.what.clone());
        let handling = self.tasks.asked(server, &call.what, &call.arguments);
        let (seen, bytes) = (Seen::default(), arguments.len());
        let asks_for = self.tasks.of_call(server, &call.what, &call.arguments);
        let kept = Kept { server, called, handling, seen, asks_for, bytes, passed: None };
        self.calls.insert(call.ticket, kept);
        Ok(())
    }

    /// What rules say about what will come back of a call.
    pub(super) fn permitted(&mut self, ticket: u64, handling: &Handling) {
        if let Some(call) = self.calls.get_mut(&ticket) {
            call.handling.add(handling);
            self.metrics.decided((call.server, &call.called), Decision::Permitted);
            call.passed = Some((Instant::now(), self.metrics.passed(call.server, call.bytes)));
        }
    }

    /// A person is asked about a call, for as long as this is kept.
    pub(super) fn asked(&self, ticket: u64) -> Going {
        if let Some(call) = self.calls.get(&ticket) {
            self.metrics.decided((call.server, &call.called), Decision::Asked);
        }
        self.metrics.asked()
    }

    /// A denial is an answer too.
    pub(super) fn denied(&mut self, ticket: u64, why: String) -> String {
        if let Some(call) = self.calls.remove(&ticket) {
            self.metrics.decided((call.server, &call.called), Decision::Denied);
        }
        // Below the first line stands the entry, which is another each time.
        let first = why.lines().next().unwrap_or_default().to_owned();
        match self.history.answered(ticket, &first, true) {
            Some(sign) => format!("{why}\n{}", warning(sign)),
            None => why,
        }
    }

    /// Nothing more comes of a call; what was seen of it.
    pub(super) fn ended(&mut self, ticket: u64, how: Ended) -> Seen {
        let Some(call) = self.calls.remove(&ticket) else { return Seen::default() };
        if let Some((since, _)) = &call.passed {
            self.metrics.ended(call.server, how, since.elapsed());
        }
        call.seen
    }

    /// What is said about the results of a call; of what belongs to none, all that is said about those under way.
    fn handling(&self, ticket: Option<u64>, server: usize) -> Handling {
        if let Some(call) = ticket.and_then(|ticket| self.calls.get(&ticket)) {
            return call.handling.clone();
        }
        let mut all = Handling::default();
        let of_server = self.calls.values().filter(|call| call.server == server);
        of_server.for_each(|call| all.add(&call.handling));
        all.add(&self.tasks.of(server));
        all
    }

    /// The call whose entry says what was found: the one that is answered, or the one that is under way alone.
    fn of(&mut self, ticket: Option<u64>, server: usize) -> Option<&mut Kept> {
        if let Some(ticket) = ticket {
            return self.calls.get_mut(&ticket);
        }
        let mut of_server = self.calls.values_mut().filter(|call| call.server == server);
        let first = of_server.next()?;
        of_server.next().is_none().then_some(first)
    }

    /// A message that belongs to no call: what was taken out of it is told to whoever keeps what the gate says.
    fn with_nobodys(&mut self, message: Message, server: usize, looked: Looked) -> Passed {
        let is_blocked = looked.is_blocked();
        if !is_blocked && looked.text.is_none() {
            return Passed::On(message);
        }
        let (kind, what) = if is_blocked {
            (OddKind::Blocked, "a message was not passed on, for what it has in it")
        } else {
            (OddKind::Redacted, "a message was passed on without what a rule takes out")
        };
        let (odd, count) = &mut self.odd;
        *count = count.saturating_add(1);
        if *count <= ODD_MAX {
            odd.push((server, kind, what, looked.found));
        }
        if is_blocked {
            return Passed::Instead(refused(&message, server));
        }
        cleaned(message, looked.text)
    }

    /// What was not passed on as it came, of what belongs to no call, since this was asked last.
    pub(super) fn take_odd(&mut self) -> Vec<Nobodys> {
        std::mem::take(&mut self.odd.0)
    }

    /// The answer with a word to the agent, where it goes in circles.
    fn warned(&mut self, (ticket, of): (u64, Of), message: Message) -> Message {
        let Some((sign, text)) = self.answered((ticket, of), &message) else { return message };
        if let Some(call) = self.calls.get_mut(&ticket) {
            call.seen.loops = Some(sign.what.name());
        }
        match text.map(|text| Frame::parse(text.into_bytes())) {
            Some(Ok(Frame::One(warned))) => warned,
            Some(Ok(Frame::Batch(_)) | Err(_)) | None => message,
        }
    }

    /// What is to be said of a call that has come out so, and the answer with it.
    fn answered(
        &mut self,
        (ticket, of): (u64, Of),
        message: &Message,
    ) -> Option<(Sign, Option<String>)> {
        let (ticket, of) = match self.calls.get(&ticket)?.asks_for {
            // That nothing is known of a task any more has not come of its call.
            Some((_, Of::Task)) if is_error(message) => return None,
            Some(asked) => asked,
            None => (ticket, of),
        };
        let outcome = Outcome::of(message, of)?;
        let sign = self.history.answered(ticket, outcome.text(), outcome.failed)?;
        Some((sign, outcome.with_more(&warning(sign))))
    }
}

fn is_error(message: &Message) -> bool {
    matches!(message.kind(), Kind::Response { answer: Answer::Error(_), .. })
}

/// A message with its new text. What cannot be read any more is not passed on.
fn cleaned(message: Message, text: Option<String>) -> Passed {
    let Some(text) = text else { return Passed::On(message) };
    match Frame::parse(text.into_bytes()) {
        Ok(Frame::One(clean)) => Passed::On(clean),
        Ok(Frame::Batch(_)) | Err(_) => match message.kind() {
            Kind::Response { id: Some(id), id_at: _, answer: _ } => {
                let why = "what had to be taken out of the answer could not be";
                again(error_answer(Some(id), INTERNAL_ERROR, why))
            }
            Kind::Response { .. } | Kind::Request { .. } | Kind::Notification { .. } => {
                Passed::Instead(Vec::new())
            }
        },
    }
}

/// What the client has in place of an answer that a rule does not let through.
fn in_place_of(message: &Message, (server, what): (usize, &Called), looked: &Looked) -> Passed {
    let Kind::Response { id: Some(id), .. } = message.kind() else {
        return Passed::Instead(refused(message, server));
    };
    let why = blocked(looked);
    match what {
        Called::Tool(_) => {
            let said = quoted(&why);
            let result =
                format!(r#"{{"content":[{{"type":"text","text":{said}}}],"isError":true}}"#);
            again(result_answer(id, &result))
        }
        Called::Method(_) => again(error_answer(Some(id), INVALID_REQUEST, &why)),
    }
}

fn blocked(looked: &Looked) -> String {
    let blocked = looked.found.iter().filter(|found| found.treatment == Treatment::Blocked);
    let mut names: Vec<&str> = blocked.map(|found| found.rule.as_str()).collect();
    names.dedup();
    format!(
        "denied: the result was not passed on, because it has what a rule blocks: {}",
        names.join(", ")
    )
}

/// A message of our own in place of a server's.
fn again(text: String) -> Passed {
    match Frame::parse(text.into_bytes()) {
        Ok(Frame::One(message)) => Passed::On(message),
        Ok(Frame::Batch(_)) | Err(_) => Passed::Instead(Vec::new()),
    }
}

/// A request of a server that is not passed on is answered; what it tells is not.
fn refused(message: &Message, server: usize) -> Vec<Effect> {
    let answer = |id: &Id| {
        let why = "the request has what a rule does not let through";
        Effect::ToServer(server, error_answer(Some(id), INVALID_REQUEST, why))
    };
    match message.kind() {
        Kind::Request { id, .. } => vec![answer(id)],
        Kind::Notification { .. } | Kind::Response { .. } => Vec::new(),
    }
}

/// Counts of the same rule are one.
fn together(mut all: Vec<Found>, more: &[Found]) -> Vec<Found> {
    for found in more {
        let same = |known: &&mut Found| {
            (&known.rule, known.certainty, known.treatment)
                == (&found.rule, found.certainty, found.treatment)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.count = known.count.saturating_add(found.count),
            None => all.push(found.clone()),
        }
    }
    all
}

fn warning(sign: Sign) -> String {
    let most = sign.most;
    format!("warning from ringfence: {sign}; after {most} it is denied. Try something else.")
}

fn stopped(sign: Sign) -> String {
    format!(
        "{sign}; it is not made again before {} seconds have passed. Try something else",
        sign.seconds
    )
}
