//! What a session did: its entries, put together as a tree of processes with what each one did.
//!
//! Pure: the same entries give the same [`SessionView`], whose JSON is what `show --json` prints.

mod build;
mod endpoints;
mod ends;

use std::collections::BTreeSet;

use ringfence_core::{
    AbsolutePath, Action, Answer, AskFor, Carried, Channel, Entry, Exit, Grounds, LayerStatus,
    LeaseChange, Misuse, Package, PolicyDigest, SecretName, SessionId, Summary, TakenBack,
};
use serde::Serialize;

pub use endpoints::EndpointView;

/// Version of the JSON of [`SessionView`].
pub const VIEW_SCHEMA: u32 = 1;

/// A session as `show` presents it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionView {
    /// [`VIEW_SCHEMA`].
    pub schema: u32,
    /// The session; `None` when its first entry is missing.
    pub session: Option<SessionId>,
    /// The agent's name.
    pub agent: String,
    /// What was started.
    pub command: Vec<String>,
    /// Where.
    pub cwd: Option<AbsolutePath>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: Option<u64>,
    /// When it ended; `None` while it runs, or when its end was not recorded.
    pub ended_ms: Option<u64>,
    /// How it stands.
    pub state: State,
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
    /// What reads this view must know: reads are bounded by the plan and make no entry.
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
    /// Its broker answers.
    Running,
    /// Its end was recorded.
    Ended,
    /// Neither: its broker died.
    #[default]
    Lost,
}

impl State {
    /// How a session stands whose end was recorded or not, among those that run.
    pub fn of(session: &SessionId, summary: Option<&Summary>, running: &[SessionId]) -> State {
        match summary {
            Some(_) => State::Ended,
            None if running.contains(session) => State::Running,
            None => State::Lost,
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

/// One program in one process: a further exec in the same process is a further span.
#[derive(Debug, Clone, Serialize)]
pub struct Span {
    /// Its name in this session, `p1`, `p2` ...
    pub span_id: String,
    /// The span that started it; `None` for the first, or where it is not known.
    pub parent_span: Option<String>,
    /// The span before it in the same process, which this one replaced by exec.
    pub replaces: Option<String>,
    /// Process id in the broker's pid namespace.
    pub pid: i32,
    /// The program file; `None` for a process that was seen to act but not to start a program.
    pub program: Option<AbsolutePath>,
    /// The command line, arguments joined by spaces; that of the parent for a forked process.
    pub command: String,
    /// The process runs its parent's program: it forked and did not exec.
    pub forked: bool,
    /// Index of the entry that decided its start.
    pub entry: Option<u64>,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When it ended or was replaced.
    pub ended_ms: Option<u64>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// How it ended; `None` while it runs, when replaced, or when nobody saw it.
    pub exit: Option<Exit>,
    /// Why it did not run: the start failed, or what ran was not what had been decided.
    pub error: Option<String>,
    /// What it used.
    pub resource_usage: ResourceUsage,
    /// What it connected to.
    pub network_activity: NetworkActivity,
    /// The files it changed.
    pub fs_changes: FsChanges,
}

/// What a process used; `null` is unknown, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ResourceUsage {
    /// User and system time.
    pub cpu_time_ms: Option<u64>,
    /// Peak resident set, in MiB.
    pub peak_memory_mb: Option<u64>,
    /// Bytes fetched from storage.
    pub disk_read_bytes: Option<u64>,
    /// Bytes sent to storage.
    pub disk_write_bytes: Option<u64>,
    /// Taken by looking from time to time, so the last moments may be missing.
    pub sampled: bool,
}

/// The connections of a process, and the requests over those that were opened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkActivity {
    /// In order of their decision.
    pub connections: Vec<ConnectionView>,
    /// In order of their decision; only where each one was decided.
    pub requests: Vec<RequestView>,
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

/// One permitted connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionView {
    /// `HOST:PORT` as decided, or the path of a socket.
    pub endpoint: String,
    /// The address that was dialled.
    pub address: Option<String>,
    /// Bytes from the world; `None` while open, and where nobody counts.
    pub bytes_sent: Option<u64>,
    /// Bytes to the world; `None` while open, and where nobody counts.
    pub bytes_received: Option<u64>,
    /// From dial to close.
    pub duration_ms: Option<u64>,
    /// How it was carried; `None` while open, and where nothing was.
    pub carried: Option<Carried>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Index of the entry that decided it.
    pub entry: u64,
}

/// One connection of this host's to a published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArrivalView {
    /// Index of its entry.
    pub entry: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who connected: an address of the host's loopback.
    pub peer: String,
    /// `localhost:PORT` of the world, and what went over it.
    pub connection: ConnectionView,
}

/// One permitted HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// `HOST:PORT` as decided.
    pub endpoint: String,
    /// The method.
    pub method: String,
    /// The address without its query.
    pub url: String,
    /// The names of the query's fields.
    pub query_names: BTreeSet<String>,
    /// What detectors said of it.
    pub findings: BTreeSet<String>,
    /// The status of the server's answer; `None` where there was none.
    pub status: Option<u16>,
    /// The status that the client was answered with in place of the server's.
    pub refused: Option<u16>,
    /// Bytes of the request's body; `None` while it is under way.
    pub bytes_sent: Option<u64>,
    /// Bytes of the answer's body; `None` while it is under way.
    pub bytes_received: Option<u64>,
    /// From the decision to the end of the answer.
    pub duration_ms: Option<u64>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The release that it fetched from a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// Versions that were taken out of a registry's list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_back: Vec<String>,
    /// Index of the entry that decided it.
    pub entry: u64,
}

/// The files a process changed, each list sorted; a file it created is not listed as modified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FsChanges {
    /// Files that did not exist before.
    pub created: Vec<AbsolutePath>,
    /// Files that existed.
    pub modified: Vec<AbsolutePath>,
    /// Files removed or renamed away.
    pub deleted: Vec<AbsolutePath>,
}

/// What was done by processes that could not be told.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unattributed {
    /// Connections.
    pub network_activity: NetworkActivity,
    /// Files.
    pub fs_changes: FsChanges,
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

impl Span {
    /// A process that began to be known at this moment.
    fn new(pid: i32, started_ms: u64) -> Span {
        Span {
            span_id: String::new(),
            parent_span: None,
            replaces: None,
            pid,
            program: None,
            command: String::new(),
            forked: false,
            entry: None,
            started_ms,
            ended_ms: None,
            duration_ms: None,
            exit: None,
            error: None,
            resource_usage: ResourceUsage::default(),
            network_activity: NetworkActivity::default(),
            fs_changes: FsChanges::default(),
        }
    }

    fn end(&mut self, at_ms: u64) {
        self.ended_ms = Some(at_ms);
        self.duration_ms = Some(at_ms.saturating_sub(self.started_ms));
    }
}

#[cfg(test)]
mod tests;
