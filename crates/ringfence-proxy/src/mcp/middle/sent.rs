//! What servers have been sent and have not answered, and what is not waited for any longer.

use std::collections::BTreeSet;

use super::super::frame::{Frame, INTERNAL_ERROR, Id, Malformed, Why as Wrong, error_answer};
use super::asks::cancelled;
use super::passing::Passed;
use super::{Effect, Ended, Middle};

/// How long a server may say nothing to a request, in milliseconds, unless the settings say otherwise.
pub const ANSWER_MS_MAX: u64 = 3_600_000;

/// A request that a server has been sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) server: usize,
    pub(super) why: Why,
    /// When it was sent, or was last said to go on.
    pub(super) heard_ms: u64,
}

/// What an answer is for.
#[derive(Debug)]
pub(super) enum Why {
    /// The client asked.
    Client(Box<Passed>),
    /// It is part of something that is gathered.
    Gathering(u64),
    /// It is part of our own list of its tools.
    Own,
    /// We asked it who it is.
    Discover,
    /// We asked it to begin.
    Initialize,
    /// We asked it to begin anew.
    Again,
    /// We asked it to tell of changes: the number of a watch.
    Watch(u64),
    /// We asked how far its task is: the number of a wait.
    Task(u64),
    /// We told its task what it wanted to know.
    TaskTold(u64),
    /// Nothing: it has been told something that is answered.
    Nothing,
}

impl Why {
    /// The request of the client, where the answer is for that.
    pub(super) fn of_client(&self) -> Option<&Passed> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }

    pub(super) fn of_client_mut(&mut self) -> Option<&mut Passed> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }

    pub(super) fn into_client(self) -> Option<Box<Passed>> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }
}

impl Middle {
    /// How long a server may say nothing to a request, in milliseconds.
    pub fn answers_within(&mut self, ms: u64) {
        self.answer_ms_max = ms;
    }

    pub(super) fn is_sent(&mut self, number: u64, server: usize, why: Why) {
        let heard_ms = self.now_ms;
        self.sent.insert(number, Sent { server, why, heard_ms });
    }

    /// A request of which its server says that it goes on.
    pub(super) fn is_heard_of(&mut self, number: u64) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.heard_ms = self.now_ms;
        }
    }

    /// When a server has said nothing to a request for too long; what we ask ourselves has limits of its own.
    pub(super) fn answers_until_ms(&self) -> Option<u64> {
        let waits = self
            .sent
            .values()
            .filter(|sent| matches!(sent.why, Why::Client(_) | Why::Gathering(_)));
        Some(waits.map(|sent| sent.heard_ms).min()?.saturating_add(self.answer_ms_max))
    }

    /// Ends the requests to which servers have said nothing for too long. One that waits for an answer itself is not
    /// the one to hurry.
    pub(super) fn answers_too_slowly(&mut self) -> Vec<Effect> {
        if self.answers_until_ms().is_none_or(|until| until > self.now_ms) {
            return Vec::new();
        }
        let asking: BTreeSet<usize> = self.questions.values().map(|it| it.server).collect();
        let oldest = self.now_ms.saturating_sub(self.answer_ms_max);
        let mut late = Vec::new();
        for (number, sent) in &mut self.sent {
            if sent.heard_ms > oldest || !matches!(sent.why, Why::Client(_) | Why::Gathering(_)) {
                continue;
            }
            if asking.contains(&sent.server) {
                sent.heard_ms = self.now_ms;
            } else {
                late.push((*number, sent.server));
            }
        }
        late.sort_unstable();
        let why = format!("its server has not answered within {} s", self.answer_ms_max / 1_000);
        let given_up = |(number, server)| {
            let mut effects = self.fails(server, number, &why);
            effects.push(Effect::ToServer(server, cancelled(number)));
            effects
        };
        late.into_iter().flat_map(given_up).collect()
    }

    /// Something of a server that cannot be read: what it was to answer has no answer now. Where that cannot be told, and
    /// it is no line that was printed by mistake, it is what the server was asked, if that is one thing alone.
    pub(super) fn torn(&mut self, server: usize, wrong: &Malformed) -> Vec<Effect> {
        let its = |number: &u64| self.sent.get(number).is_some_and(|sent| sent.server == server);
        let answered = wrong.torn.answered().and_then(Id::as_number).filter(its);
        let alone = || {
            let mut all = self.sent.iter().filter(|(_, sent)| sent.server == server);
            let (first, second) = (all.next(), all.next());
            first.filter(|_| second.is_none()).map(|(number, _)| *number)
        };
        let may_be = wrong.torn.may_answer() && !matches!(wrong.why, Wrong::NotJson(_));
        let Some(number) = answered.or_else(|| may_be.then(alone).flatten()) else {
            return Vec::new();
        };
        self.fails(server, number, &format!("its server's answer cannot be read: {wrong}"))
    }

    /// What a server was sent fails; it is not known what became of it.
    fn fails(&mut self, server: usize, number: u64, why: &str) -> Vec<Effect> {
        if self.sent.get(&number).is_some_and(|sent| sent.why.of_client().is_none()) {
            let answer = error_answer(Some(&Id::number(number)), INTERNAL_ERROR, why);
            return match Frame::parse(answer.into_bytes()) {
                Ok(frame) => self.frame_from_server(server, &frame),
                Err(_) => Vec::new(),
            };
        }
        let passed = self.sent.remove(&number).and_then(|sent| sent.why.into_client());
        passed.map_or_else(Vec::new, |passed| self.fail_as(&passed, why, Ended::Unanswered))
    }
}
