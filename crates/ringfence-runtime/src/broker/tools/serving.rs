//! The talk between one client and its servers, until the client has nothing more to say.

mod client;
mod inline;
mod noted;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::frame::{Frame, Message};
use ringfence_proxy::mcp::lines;
use ringfence_proxy::mcp::middle::{Call, Decided, Effect, Ended, Middle, Odd, ServerSeat};
use serde_json::Value;

use super::super::RunError;
use super::ToolsRequest;
use super::calls::{ASKED_MAX, Begun, Open, Permitted};
use super::decider::{Decider, GONE};
use super::ears::{Ears, Mouth, frame};
use super::metrics::Going;
use super::remote::Remotes;
use super::results::{Passed, Results, Seen};
use super::said;
use super::started::{Aside, Started, named};
use super::voice::Voice;
use crate::notice::Notice;
use crate::servers::Server;
use client::Patience;
pub(super) use client::{Client, ToClient};
pub(super) use inline::Inline;
pub(super) use noted::ODD_CHARS_MAX;

/// Messages that wait until the client reads them; then servers wait.
const TOLD_MAX: usize = 16;
/// How long a server may say nothing after the first thing that it was told, in seconds: clients wait 30 for all
/// of them together. One that is alone holds up nobody, and may be fetching its packages.
const SILENT_SECONDS_MAX: u64 = 25;
const ALONE_SILENT_SECONDS_MAX: u64 = 120;

/// Something happened.
pub(super) enum Heard {
    /// The client sent a message, or has nothing more to say.
    Client(lines::Read),
    /// It sent this over HTTP; a request that stands for itself waits for the answer on a stream, which is 0 for all else.
    Request(u64, Frame),
    /// It does not wait there any more.
    Closed(u64),
    /// So did a server, by its number.
    Server(usize, lines::Read),
    /// The same over HTTP, where it was read already.
    Answer(usize, Frame),
    /// It has forgotten its session, and did not do this, if it was asked anything.
    Forgot(usize, Option<Box<Message>>),
    /// A person has answered, or nobody: what became of a call that was asked about.
    Decided(u64, Result<Made, String>),
    /// Something that the person should know.
    Tell(Notice),
    /// Another policy is in force, by which the client may see other tools.
    Reloaded,
    /// The session ends.
    Stop,
}

/// A call that may be made, with these arguments where they are others.
pub(super) type Made = (Permitted, Option<Value>);

/// Ends a talk, also one that waits for its client.
#[derive(Clone)]
pub(super) struct Stopper {
    mouth: Mouth,
    ends: Arc<AtomicBool>,
}

impl Stopper {
    /// One of a session that has no talk of its own, and what hears of it.
    pub(super) fn alone() -> std::io::Result<(Stopper, Ears)> {
        let ears = Ears::new()?;
        Ok((Stopper { mouth: ears.mouth(), ends: Arc::default() }, ears))
    }

    /// Tells the talk that another policy is in force. One that is busy shows what it may by its next list.
    pub(super) fn reloaded(&self) {
        let _ = self.mouth.try_say(Heard::Reloaded);
    }

    /// Tells the person; where too much is told already, the log has it.
    pub(super) fn tell(&self, notice: Notice) {
        let _ = self.mouth.try_say(Heard::Tell(notice));
    }

    pub(super) fn stop(&self) {
        self.ends.store(true, Ordering::Release);
        // Where that is full, who empties it looks at the flag.
        let _ = self.mouth.try_say(Heard::Stop);
    }
}

/// Where a talk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    Over,
}

/// A talk that goes on.
pub(super) struct Serving {
    middle: Middle,
    /// From when its time counts.
    began: Instant,
    decider: Decider,
    results: Results,
    started: Vec<Option<Started>>,
    /// Servers that have said nothing yet.
    silent: Vec<Silent>,
    names: Vec<String>,
    ears: Ears,
    stopper: Stopper,
    client: ToClient,
    patience: Patience,
    /// What the client has no room for.
    unsaid: VecDeque<(u64, String)>,
    under_way: HashMap<u64, Permitted>,
    /// Calls whose answers the client has, and whose ends are recorded next.
    ended: Vec<(Permitted, Ended, Seen)>,
    /// Who hears what the servers print.
    aside: Aside,
    is_introduced: bool,
    /// Calls that wait for a person, each with what withdraws it.
    asked: HashMap<u64, (Arc<AtomicBool>, Going)>,
}

/// How long nothing is heard of a server already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silent {
    /// It was told nothing that it could answer.
    Untold,
    /// It was; it is waited for until then.
    Until(Instant),
    /// It has said something.
    No,
}

impl Serving {
    /// Starts the servers, and listens to all.
    pub(super) fn start(
        decides: (Decider, Results),
        all: (Vec<Server>, &ToolsRequest, Option<&Remotes>),
        Client { from, read, to }: Client,
    ) -> Result<Serving, RunError> {
        let ears = Ears::new().map_err(RunError::step("listen to the client"))?;
        let client = ToClient::Lines(Voice::new(to, TOLD_MAX));
        let mut serving = Serving::open(decides, all, ears, client)?;
        serving.ears.listen_to_client(from, &read);
        Ok(serving)
    }

    /// The same for a client that is heard and told elsewhere.
    pub(super) fn open(
        (decider, results): (Decider, Results),
        (servers, request, remotes): (Vec<Server>, &ToolsRequest, Option<&Remotes>),
        mut ears: Ears,
        client: ToClient,
    ) -> Result<Serving, RunError> {
        let failed = |step| RunError::step(step);
        let mut started = Vec::new();
        let aside = if request.printed.is_some() { Aside::Held } else { Aside::Passed };
        for (number, server) in servers.iter().enumerate() {
            if server.is_left_out().is_some() {
                started.push(None);
                continue;
            }
            let one = Started::start((number, server), (request, remotes), (aside, &mut ears));
            started.push(Some(one.map_err(failed("start a server"))?));
        }
        let stopper = Stopper { mouth: ears.mouth(), ends: Arc::default() };
        let names: Vec<String> = servers.iter().map(|server| server.name.to_string()).collect();
        let seats = names.iter().map(|name| ServerSeat { name: name.clone() }).collect();
        let shows = decider.clone();
        let shown =
            Box::new(move |server: usize, tool: &str, said: &_| shows.shows(server, tool, said));
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| RunError::step("read randomness")(std::io::Error::other(error)))?;
        let mut middle = Middle::new(seats, shown, seed);
        middle.answers_within(results.answer_ms());
        let left_out = servers.iter().enumerate().filter(|(_, it)| it.is_left_out().is_some());
        left_out.for_each(|(number, _)| middle.leave_out(number));
        let (under_way, asked) = (HashMap::new(), HashMap::new());
        let (silent, began) = (vec![Silent::Untold; names.len()], Instant::now());
        Ok(Serving {
            middle,
            began,
            decider,
            results,
            started,
            silent,
            names,
            ears,
            stopper,
            client,
            patience: Patience::Waits,
            unsaid: VecDeque::new(),
            under_way,
            ended: Vec::new(),
            aside,
            is_introduced: false,
            asked,
        })
    }

    /// Who ends the talk.
    pub(super) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Carries messages until the client ends, then ends the servers.
    pub(super) fn until_the_end(mut self, tell: &mut dyn FnMut(&Notice)) {
        loop {
            let heard = self.next();
            if self.step(heard, tell) == Goes::Over {
                break;
            }
        }
        self.close();
    }

    /// Does what follows from what was heard.
    fn step(
        &mut self,
        heard: Result<Heard, RecvTimeoutError>,
        tell: &mut dyn FnMut(&Notice),
    ) -> Goes {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut effects = self.middle.tick(now_ms);
        effects.extend(match heard {
            Ok(Heard::Client(lines::Read::End) | Heard::Stop)
            | Err(RecvTimeoutError::Disconnected) => return Goes::Over,
            Ok(Heard::Client(read)) => self.line_of_client(read),
            Ok(Heard::Request(stream, frame)) => self.of_client(stream, &frame),
            Ok(Heard::Closed(stream)) => self.middle.closed(stream),
            Ok(Heard::Server(number, read)) => self.line_of_server(number, read),
            Ok(Heard::Answer(number, frame)) => self.of_server(number, frame),
            Ok(Heard::Forgot(number, asked)) => self.middle.forgotten(number, asked.as_deref()),
            Ok(Heard::Decided(ticket, decided)) => self.answered(ticket, decided),
            Ok(Heard::Reloaded) => self.middle.tools_changed(),
            Ok(Heard::Tell(notice)) => {
                tell(&notice);
                Vec::new()
            }
            Err(RecvTimeoutError::Timeout) => self.end_silent(),
        });
        for effect in effects {
            self.see_to(effect, tell);
        }
        for (server, kind, what, found) in self.results.take_odd() {
            let odd = Odd { server: Some(server), kind, what: what.to_owned() };
            self.odd(&odd, found, tell);
        }
        self.tell_kept_back(tell);
        if self.stopper.ends.load(Ordering::Acquire) { Goes::Over } else { Goes::On }
    }

    /// Ends the servers.
    pub(super) fn close(mut self) {
        self.record_ends();
        self.asked.values().for_each(|(withdrawn, _)| withdrawn.store(true, Ordering::Release));
        Started::end_all(self.started.drain(..).flatten().collect());
    }

    /// What is heard next, or that something has been waited for long enough.
    fn next(&mut self) -> Result<Heard, RecvTimeoutError> {
        let until = self.due();
        self.ears.next(until)
    }

    /// When something has been waited for long enough, if ever.
    fn due(&self) -> Option<Instant> {
        let until = |silent: &Silent| match silent {
            Silent::Until(until) => Some(*until),
            Silent::Untold | Silent::No => None,
        };
        let due = self.middle.deadline_ms();
        let due = due.and_then(|ms| self.began.checked_add(Duration::from_millis(ms)));
        self.silent.iter().filter_map(until).chain(due).min()
    }

    /// Ends the servers that have said nothing for too long: nobody waits for them any more.
    fn end_silent(&mut self) -> Vec<Effect> {
        let now = Instant::now();
        let is_over = |silent: &Silent| matches!(silent, Silent::Until(until) if *until <= now);
        let over: Vec<usize> =
            (0..self.silent.len()).filter(|it| self.silent.get(*it).is_some_and(is_over)).collect();
        let why = format!("the server did not answer within {} s", self.silent_max().as_secs());
        over.into_iter().flat_map(|number| self.gone(number, &why)).collect()
    }

    fn silent_max(&self) -> Duration {
        let alone = self.silent.len() <= 1;
        Duration::from_secs(if alone { ALONE_SILENT_SECONDS_MAX } else { SILENT_SECONDS_MAX })
    }

    fn line_of_client(&mut self, read: lines::Read) -> Vec<Effect> {
        match frame(read) {
            Ok(Some(frame)) => self.of_client(0, &frame),
            Ok(None) => Vec::new(),
            Err(wrong) => self.middle.malformed_on(0, &wrong),
        }
    }

    fn of_client(&mut self, stream: u64, frame: &Frame) -> Vec<Effect> {
        let effects = self.middle.frame_from_client(stream, frame);
        self.introduce();
        effects
    }

    fn line_of_server(&mut self, number: usize, read: lines::Read) -> Vec<Effect> {
        if read == lines::Read::End {
            return self.gone(number, ENDED_EARLY);
        }
        match frame(read) {
            Ok(Some(frame)) => self.of_server(number, frame),
            Ok(None) => Vec::new(),
            Err(wrong) => {
                self.is_heard(number);
                self.middle.malformed_from(number, &wrong)
            }
        }
    }

    /// A server has said something.
    fn is_heard(&mut self, number: usize) {
        if let Some(silent) = self.silent.get_mut(number) {
            *silent = Silent::No;
        }
    }

    /// What a server sends is looked through before anybody has it.
    fn of_server(&mut self, number: usize, frame: Frame) -> Vec<Effect> {
        self.is_heard(number);
        let (messages, is_batch) = match frame {
            Frame::One(message) => (vec![message], false),
            Frame::Batch(messages) => (messages, true),
        };
        let (mut passed, mut effects) = (Vec::new(), Vec::new());
        for message in messages {
            let whose = self.middle.whose(number, &message);
            let echoed = self.middle.echoed(number, &message);
            let it = said::passed(&self.decider.servers, (number, whose), message, &mut effects);
            let Some(message) = it else { continue };
            match self.results.pass((whose, echoed), number, message) {
                Passed::On(message) => passed.push(message),
                Passed::Instead(instead) => effects.extend(instead),
            }
        }
        let frame = match passed.pop() {
            None => return effects,
            Some(message) if !is_batch => Frame::One(message),
            Some(last) => {
                passed.push(last);
                Frame::Batch(passed)
            }
        };
        effects.extend(self.middle.frame_from_server(number, &frame));
        effects
    }

    /// A server has ended, or is ended; `why` is for whoever waits for it to begin, with what it printed last.
    fn gone(&mut self, number: usize, why: &str) -> Vec<Effect> {
        let Some(started) = self.started.get_mut(number).and_then(Option::take) else {
            return Vec::new();
        };
        if let Some(silent) = self.silent.get_mut(number) {
            *silent = Silent::No;
        }
        let said = started.last_words();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        // It may take its time, which nobody else waits for.
        let _ = named("end-server", move || started.end());
        self.middle.ended_because(number, &format!("{why}{said}"))
    }

    fn see_to(&mut self, effect: Effect, tell: &mut dyn FnMut(&Notice)) {
        let more = match effect {
            Effect::ToClient(text) => {
                self.tell_client(0, text);
                Vec::new()
            }
            Effect::ToStream(stream, text) => {
                self.tell_client(stream, text);
                Vec::new()
            }
            Effect::ToServer(number, text) => self.send(number, text),
            Effect::Decide(call) => self.decide(&call),
            Effect::Withdraw(ticket) => {
                if let Some((withdrawn, _)) = self.asked.get(&ticket) {
                    withdrawn.store(true, Ordering::Release);
                }
                Vec::new()
            }
            Effect::Ended(ticket, how) => {
                if let Some(permitted) = self.under_way.remove(&ticket) {
                    self.ended.push((permitted, how, self.results.ended(ticket, how)));
                }
                if self.patience == Patience::Waits {
                    self.record_ends();
                }
                Vec::new()
            }
            Effect::Odd(odd) => {
                self.odd(&odd, Vec::new(), tell);
                Vec::new()
            }
        };
        for effect in more {
            self.see_to(effect, tell);
        }
    }

    fn send(&mut self, number: usize, text: String) -> Vec<Effect> {
        let until = Instant::now() + self.silent_max();
        if let Some(silent @ Silent::Untold) = self.silent.get_mut(number) {
            *silent = Silent::Until(until);
        }
        let sent = self.started.get_mut(number).and_then(Option::as_mut).map(|it| it.send(text));
        match sent {
            Some(Err(())) => self.gone(number, ENDED_EARLY),
            Some(Ok(())) | None => Vec::new(),
        }
    }

    fn decide(&mut self, call: &Call) -> Vec<Effect> {
        let is_gone = self.middle.lacks(call.ticket);
        let gone = || is_gone.then(|| self.decider.refuse_gone(call)).flatten();
        if let Some(why) = self.results.may_call(&self.decider, call).err().or_else(gone) {
            return self.decided(call.ticket, Err(why));
        }
        match self.decider.begin(call) {
            Begun::Permitted(permitted, arguments) => {
                self.decided(call.ticket, Ok((permitted, arguments)))
            }
            Begun::Denied(why) => self.decided(call.ticket, Err(why)),
            Begun::Asked(open) if self.asked.len() >= ASKED_MAX => {
                let why = self.decider.ask_no_more(open);
                self.decided(call.ticket, Err(why))
            }
            Begun::Asked(open) => self.ask(call.ticket, open),
        }
    }

    /// Only this call waits for the answer.
    fn ask(&mut self, ticket: u64, open: Open) -> Vec<Effect> {
        let withdrawn = Arc::<AtomicBool>::default();
        self.asked.insert(ticket, (Arc::clone(&withdrawn), self.results.asked(ticket)));
        let (decider, mouth) = (self.decider.clone(), self.stopper.mouth.clone());
        let told = open.told();
        let wait = move || {
            let decided = decider.conclude(open, &withdrawn);
            // Nobody hears it any more where the talk has ended.
            let _ = mouth.say(Heard::Decided(ticket, decided));
        };
        match named("question", wait) {
            Ok(()) => self.middle.waits(ticket, &told),
            Err(error) => self.answered(ticket, Err(format!("nobody could be asked: {error}"))),
        }
    }

    fn answered(&mut self, ticket: u64, decided: Result<Made, String>) -> Vec<Effect> {
        self.asked.remove(&ticket);
        self.decided(ticket, decided)
    }

    fn decided(&mut self, ticket: u64, decided: Result<Made, String>) -> Vec<Effect> {
        let decided = match decided {
            Ok((unwanted, _)) if !self.middle.awaits(ticket) => {
                self.results.ended(ticket, Ended::Unanswered);
                unwanted.not_made("the client has cancelled it");
                return Vec::new();
            }
            Ok((vain, _)) if self.middle.lacks(ticket) => {
                vain.not_made(GONE);
                Decided::Deny(self.results.denied(ticket, GONE.to_owned()))
            }
            Ok((permitted, arguments)) => {
                self.middle.has_span(ticket, &permitted.span());
                self.results.permitted(ticket, &permitted.handling);
                self.under_way.insert(ticket, permitted);
                Decided::Permit(arguments)
            }
            Err(why) => Decided::Deny(self.results.denied(ticket, why)),
        };
        self.middle.decided(ticket, decided)
    }
}

/// What is said of a server that ended before it began.
pub const ENDED_EARLY: &str = "the server ended before it began";
