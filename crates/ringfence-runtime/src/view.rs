//! What a session did: its entries, put together as a tree of processes with what each one did.
//!
//! Pure: the same entries give the same [`SessionView`], whose JSON is what `show --json` prints.

mod build;
mod endpoints;
mod ends;
mod span;

use crate::registration::Broker;
use ringfence_core::{
    AbsolutePath, Action, Answer, AskFor, Channel, Entry, Grounds, LayerStatus, LeaseChange,
    Misuse, PolicyDigest, SecretName, SessionId, Summary, TakenBack, Trace,
};
use serde::Serialize;

pub use endpoints::EndpointView;
pub use span::{
    ArrivalView, CallView, ConnectionView, FileReads, FsChanges, NetworkActivity, RequestView,
    ResourceUsage, Span, Unattributed,
};

/// Version of the JSON of [`SessionView`].
pub const VIEW_SCHEMA: u32 = 1;

/// A session as `show` presents it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionView {
    /// [`VIEW_SCHEMA`].
    pub schema: u32,
    /// The session; `None` when its first entry is missing.
    pub session: Option<SessionId>,
    /// Its trace for OpenTelemetry: 32 hexadecimal digits that follow from the session's name.
    pub trace_id: Option<String>,
    /// The span of that trace which stands for the session itself.
    pub otel_span_id: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// What was started.
    pub command: Vec<String>,
    /// Where.
    pub cwd: Option<AbsolutePath>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: Option<u64>,
    /// When the last entry was written.
    pub last_ms: Option<u64>,
    /// When it ended; `None` while it runs, or when its end was not recorded.
    pub ended_ms: Option<u64>,
    /// How it stands.
    pub state: State,
    /// Whether nothing held a program that did not want to be held.
    pub advisory: bool,
    /// Whether it is one server of tools, which began for another session or to be looked at.
    pub server: bool,
    /// What is really enforced, layer by layer.
    pub layers: Vec<LayerStatus>,
    /// The policy in force at its start.
    pub policy: Vec<PolicyDigest>,
    /// The processes, in order of their start.
    pub spans: Vec<Span>,
    /// What was done by processes that could not be told.
    pub unattributed: Unattributed,
    /// The sums of all permitted connections and requests, by endpoint.
    pub endpoints: Vec<EndpointView>,
    /// Permitted calls of tools, in order of their decision.
    pub calls: Vec<CallView>,
    /// Acts that were denied.
    pub denials: Vec<DeniedAct>,
    /// Permitted changes of files that were seen to fail: they are no changes.
    pub failed: Vec<FailedAct>,
    /// Connections of this host's to published ports of the world.
    pub arrivals: Vec<ArrivalView>,
    /// Calls that named nothing a policy could speak of, and that were denied unasked.
    pub refused: Vec<RefusedCall>,
    /// Secrets that were used, each with whom it was shown to, in order of their first use.
    pub secrets: Vec<SecretView>,
    /// Stand-ins of secrets that turned up where the secret may not be used.
    pub misused: Vec<MisusedSecret>,
    /// What vaults lent, each with what became of it last.
    pub leases: Vec<LeaseView>,
    /// Acts that were questions.
    pub questions: Vec<AskedAct>,
    /// Grants that came into force and were revoked while it ran.
    pub grants: Vec<GrantChange>,
    /// Changed files that would run code outside and are held back.
    pub quarantined: Vec<AbsolutePath>,
    /// Covered places that a program outside replaced meanwhile, and that were covered again.
    pub covered_again: Vec<AbsolutePath>,
    /// The limit that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_reached: Option<ReachedLimit>,
    /// What is recorded besides acts.
    pub trace: Trace,
    /// How many changes waited for review at its end; absent where it was not under review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<u64>,
    /// What reads this view must know: reads are bounded by the plan, and whether they make an entry.
    pub reads: &'static str,
    /// What of the changes in the world's copies of git configurations was taken over, and what not.
    pub taken_back: Vec<TakenBackView>,
    /// The totals; `None` while it runs, or when its end was not recorded.
    pub summary: Option<Summary>,
}

/// How a session stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its broker lives.
    Running,
    /// Its broker lives and is stopped, by job control or by somebody's signal.
    Stopped,
    /// Its end was recorded.
    Ended,
    /// Neither: its broker died.
    #[default]
    Lost,
    /// Its log cannot be read to its end, so that nobody knows.
    Unreadable,
}

impl State {
    /// How a session stands whose end was recorded or not.
    pub fn of(summary: Option<&Summary>, broker: Broker) -> State {
        match (summary, broker) {
            (Some(_), _) => State::Ended,
            (None, Broker::Lives) => State::Running,
            (None, Broker::Stopped) => State::Stopped,
            (None, Broker::Gone) => State::Lost,
        }
    }
}

/// A limit that ended a session.
#[derive(Debug, Clone, Serialize)]
pub struct ReachedLimit {
    /// Index of its entry.
    pub entry: u64,
    /// Which, as it is called in the settings.
    pub limit: String,
    /// Its value there.
    pub most: u64,
    /// Why it could not be seen whether it was reached, which ends a session as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

/// One call that was denied because what it asks for has no name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedCall {
    /// Index of its entry.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The span that made it.
    pub span: Option<String>,
    /// The system call.
    pub syscall: String,
    /// What is wrong with it.
    pub why: String,
}

/// One secret that was used towards one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretView {
    /// Its name.
    pub secret: SecretName,
    /// `HOST:PORT`; `None` where that cannot be told.
    pub endpoint: Option<String>,
    /// In how many requests it was put, or is to be.
    pub uses: u64,
    /// In how many it was not, or they were not answered.
    pub failed: u64,
    /// Why the last of those failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Index of the entry that decided the first of them.
    pub entry: u64,
}

/// A secret's stand-in where the secret may not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MisusedSecret {
    /// Index of its entry.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The process; `None` when it could not be told.
    pub span: Option<String>,
    /// The rest of what was recorded.
    #[serde(flatten)]
    pub what: Misuse,
}

/// Something that a vault lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaseView {
    /// Index of the last entry about it.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What it says.
    #[serde(flatten)]
    pub change: LeaseChange,
}

/// What came of the changes in a world's copy of a git configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenBackView {
    /// Index of its entry.
    pub entry: u64,
    /// What it says.
    #[serde(flatten)]
    pub what: TakenBack,
}

/// An act that was denied.
#[derive(Debug, Clone, Serialize)]
pub struct DeniedAct {
    /// Index of the entry.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The process; `None` when it could not be told.
    pub span: Option<String>,
    /// The action.
    pub action: Action,
    /// The resource.
    pub resource: String,
    /// What it would have done, after *may not*.
    pub act: String,
    /// The rule, in one line.
    pub rule: String,
    /// The grounds in full.
    pub grounds: Grounds,
}

/// A permitted change of a file that did not come about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedAct {
    /// Index of the entry that permitted it.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The process; `None` when it could not be told.
    pub span: Option<String>,
    /// The action.
    pub action: Action,
    /// The file.
    pub resource: String,
    /// What it would have done, after *may*.
    pub act: String,
    /// Why it failed.
    pub error: String,
}

/// An act that was a question.
#[derive(Debug, Clone, Serialize)]
pub struct AskedAct {
    /// Index of the entry.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The process; `None` when it could not be told.
    pub span: Option<String>,
    /// The action.
    pub action: Action,
    /// The resource.
    pub resource: String,
    /// What it would do, after *may not*.
    pub act: String,
    /// The rule that asked, in one line.
    pub rule: String,
    /// What was needed.
    pub needs: AskFor,
    /// Where the question was put; `None` when that was not recorded.
    pub channel: Option<Channel>,
    /// The answer; `None` when there is none yet, or none was recorded.
    pub answer: Option<Answer>,
    /// Who answered.
    pub by: Option<String>,
}

/// A grant that came into force or was revoked.
#[derive(Debug, Clone, Serialize)]
pub struct GrantChange {
    /// Index of the entry.
    pub entry: u64,
    /// The grant's id.
    pub id: String,
    /// `granted` or `revoked`.
    pub change: &'static str,
    /// What was granted; `None` on a revocation.
    pub text: Option<String>,
    /// Its scope; `None` on a revocation.
    pub scope: Option<String>,
    /// Who.
    pub by: String,
    /// On a revocation: descriptors, working directories and maps that survive it.
    pub survivors: Vec<String>,
}

/// Puts a session's entries together; `entries` come in the order of the log. Whether a session runs
/// whose end was not recorded, entries do not say: it is [`State::Lost`] here.
pub fn view<I: IntoIterator<Item = (u64, Entry)>>(entries: I) -> SessionView {
    build::build(entries)
}

#[cfg(test)]
mod tests;
