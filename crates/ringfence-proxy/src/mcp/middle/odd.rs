//! What was done that the protocol does not allow.

use serde_json::Value;

use super::super::frame::{Malformed, Why};
use super::{Effect, Middle};

/// Most of these that are told of one peer; one that floods is told of once more, and then not at all.
pub const ODDS_MAX: u32 = 256;

/// What whoever asks by a name that is in use is told.
pub const IN_USE: &str = "a request is under way that is called the same";

/// Something that the protocol does not allow; it was not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The server that did it; the client where there is none.
    pub server: Option<usize>,
    /// What kind of thing it is.
    pub kind: OddKind,
    /// What was done, in words.
    pub what: String,
}

/// Kinds of what the protocol does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OddKind {
    /// A request by a name that another has which is under way.
    DuplicateId,
    /// An answer to something that was not asked, or was answered already.
    UnknownAnswer,
    /// No JSON.
    NotJson,
    /// JSON that can be read in two ways, or that is nested too deeply.
    Ambiguous,
    /// JSON that is no message.
    NotRpc,
    /// A message longer than is read.
    TooLong,
    /// Several messages at once, where the revision has no such thing.
    Batch,
    /// Headers that say something else than the body.
    HeaderMismatch,
    /// A request over HTTP that is none of ours, or comes in another form than these have.
    Http,
    /// A request of somebody who has no token of ours, or was led here by another name.
    Stranger,
    /// Something at a time or in a direction that has no place for it.
    OutOfPlace,
    /// A server that could not be begun with.
    NoBeginning,
    /// A server that ended while its clients were there.
    ServerEnded,
    /// More than a limit allows.
    TooMuch,
    /// A list that cannot be read, or does not come.
    BadList,
    /// A tool that its server did not have when it began.
    ToolAppeared,
    /// A tool that is not what was pinned any more.
    ToolChanged,
    /// A tool that nobody has looked at.
    ToolUnpinned,
    /// A server that does not know its session any more.
    Forgot,
    /// Instructions for the agent that nobody has looked at.
    NewInstructions,
    /// Something that a rule does not let through.
    Blocked,
    /// Something out of which a rule takes a part.
    Redacted,
}

impl OddKind {
    /// One word for logs.
    pub fn name(self) -> &'static str {
        match self {
            OddKind::Blocked => "blocked",
            OddKind::Redacted => "redacted",
            OddKind::Forgot => "forgot-session",
            OddKind::DuplicateId => "duplicate-id",
            OddKind::UnknownAnswer => "unknown-answer",
            OddKind::NotJson => "not-json",
            OddKind::Ambiguous => "ambiguous",
            OddKind::NotRpc => "not-rpc",
            OddKind::TooLong => "too-long",
            OddKind::Batch => "batch",
            OddKind::HeaderMismatch => "header-mismatch",
            OddKind::Http => "http",
            OddKind::Stranger => "stranger",
            OddKind::OutOfPlace => "out-of-place",
            OddKind::NoBeginning => "no-beginning",
            OddKind::ServerEnded => "server-ended",
            OddKind::TooMuch => "too-much",
            OddKind::BadList => "bad-list",
            OddKind::ToolAppeared => "tool-appeared",
            OddKind::ToolChanged => "tool-changed",
            OddKind::ToolUnpinned => "tool-unpinned",
            OddKind::NewInstructions => "new-instructions",
        }
    }

    /// Which kind something is that is no message.
    pub fn of(wrong: &Malformed) -> OddKind {
        match wrong.why {
            Why::NotJson(_) => OddKind::NotJson,
            Why::TooLong { .. } => OddKind::TooLong,
            Why::Ambiguous(_) => OddKind::Ambiguous,
            Why::NotRpc(_) => OddKind::NotRpc,
        }
    }
}

impl Middle {
    /// What came from the client and is no message.
    pub fn malformed(&mut self, wrong: &Malformed) -> Vec<Effect> {
        self.malformed_on(0, wrong)
    }

    /// The same where it is answered elsewhere than to the client at large.
    pub fn malformed_on(&mut self, stream: u64, wrong: &Malformed) -> Vec<Effect> {
        let effects = vec![
            Effect::to(stream, wrong.answer()),
            odd(None, OddKind::of(wrong), wrong.to_string()),
        ];
        self.counted(effects)
    }

    /// What came from a server and is no message: the log is told, and whoever waits for it.
    pub fn malformed_from(&mut self, server: usize, wrong: &Malformed) -> Vec<Effect> {
        let mut effects = vec![odd(Some(server), OddKind::of(wrong), wrong.to_string())];
        effects.extend(self.torn(server, wrong));
        self.counted(effects)
    }

    /// What whoever carries the messages has noticed of a server.
    pub fn noted(&mut self, server: usize, kind: OddKind, what: String) -> Vec<Effect> {
        self.counted(vec![odd(Some(server), kind, what)])
    }

    /// Leaves out what was told of too often already, and what has to wait.
    pub(super) fn counted(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        effects.retain_mut(|effect| {
            let Effect::Odd(odd) = effect else { return true };
            let count = self.odds.entry(odd.server).or_default();
            *count = count.saturating_add(1);
            if *count == ODDS_MAX {
                odd.kind = OddKind::TooMuch;
                odd.what = format!("{ODDS_MAX} times something odd; no more is told of it");
            }
            *count <= ODDS_MAX
        });
        self.held_back(effects)
    }
}

/// What an error says, as a person reads it; what is no error stands as it is.
pub(super) fn sentence(error: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(error).ok();
    let message = parsed.as_ref().and_then(|it| it.get("message")).and_then(Value::as_str);
    message.unwrap_or(error).to_owned()
}

pub(super) fn odd(server: Option<usize>, kind: OddKind, what: impl Into<String>) -> Effect {
    Effect::Odd(Odd { server, kind, what: what.into() })
}
