//! What is written to a session's log: one JSON object per entry.

use serde::{Deserialize, Serialize};

use crate::tool::{ClientCame, OddMessage, ToolUsage};
use crate::{
    AbsolutePath, AskFor, Endpoint, FilesRead, Grounds, HttpUsage, Process, Request, Reviewed,
    SecretName, SessionId, SetName, Trace, Verdict,
};

/// One entry: when, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A session began.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// The agent's name.
        agent: String,
        /// What was started, lossy where not UTF-8.
        command: Vec<String>,
        /// Where.
        cwd: AbsolutePath,
        /// User id the world's processes have outside.
        uid: u32,
        /// Time zone of `context.clock`.
        time_zone: String,
        /// The policy in force.
        policy: Vec<PolicyDigest>,
        /// SHA-256 of the world's plan as JSON, lower-case hex.
        plan_sha256: String,
        /// What is really enforced.
        layers: Vec<LayerStatus>,
        /// Version of Ringfence.
        version: String,
        /// What is recorded besides acts.
        #[serde(default, skip_serializing_if = "Trace::is_off")]
        trace: Trace,
        /// Whether the world was being kept ready before anybody asked for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        warm: bool,
        /// Whether it is one server of tools, which was started for another session or to be looked at.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        server: bool,
        /// Where its program starts, where the world does not show `cwd`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_in: Option<AbsolutePath>,
    },
    /// The gate's decision; for a permit this is the intent, written before the act.
    Decided {
        /// The request.
        request: Request,
        /// The verdict.
        verdict: Verdict,
        /// Why.
        grounds: Grounds,
        /// Digest of the act under the policy in force.
        digest: String,
        /// Roles that had approved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<String>,
        /// The kernel carries the act out where the gate cannot see its end: an outcome follows only
        /// where it was seen to fail.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unobserved: bool,
        /// What the file act will do; only with file acts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<FileChange>,
    },
    /// A call that names nothing a policy could speak of, and that was therefore denied unasked.
    Refused {
        /// The process that made it.
        process: Process,
        /// The system call.
        syscall: String,
        /// What is wrong with it.
        why: String,
    },
    /// Files that a process opened to read; only where that is traced.
    FilesRead(FilesRead),
    /// A secret's stand-in turned up where the secret may not be used.
    SecretMisused(Misuse),
    /// A message between a client and a server of tools that was not passed on, or not as it came.
    OddMessage(OddMessage),
    /// A client of a session that has several came in.
    ClientCame(ClientCame),
    /// A vault lent something to this session, or was given it back.
    Lease(LeaseChange),
    /// Something of this host's connects to a published port of the world.
    Arrived {
        /// The port of the world.
        port: u16,
        /// Who connects: an address of the host's loopback.
        peer: String,
    },
    /// How a permitted act, or a connection that arrived, ended.
    Finished {
        /// Index of its `Decided` or `Arrived` entry.
        of: u64,
        /// The end.
        outcome: Outcome,
    },
    /// A question was put to a person.
    Asked {
        /// Index of the `Decided` entry.
        of: u64,
        /// What is needed.
        needs: AskFor,
        /// Where it was put.
        channel: Channel,
    },
    /// A person answered, or the deadline did.
    Answered {
        /// Index of the `Decided` entry.
        of: u64,
        /// The answer.
        answer: Answer,
        /// Who; empty for a deadline.
        by: String,
    },
    /// A process of the world ended.
    ProcessExited {
        /// Its id in the broker's pid namespace.
        pid: i32,
        /// How.
        exit: Exit,
        /// What it used.
        usage: Usage,
        /// The limit of the settings that ended it, by its name there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
    },
    /// A grant came into force in this session.
    Granted {
        /// The grant's id.
        id: String,
        /// What was granted, as on the command line.
        text: String,
        /// `session`, `for 2h`, `always`, `everywhere`.
        scope: String,
        /// Who.
        by: String,
    },
    /// A grant is no longer in force in this session.
    Revoked {
        /// The grant's id.
        id: String,
        /// Who, or `expired`.
        by: String,
        /// Descriptors, working directories and maps that survive it, as text.
        survivors: Vec<String>,
    },
    /// The policy was loaded anew.
    PolicyReloaded {
        /// The policy in force from here on.
        policy: Vec<PolicyDigest>,
    },
    /// Files that would run code outside were changed and are held back until accepted.
    Quarantined {
        /// The files.
        files: Vec<AbsolutePath>,
    },
    /// What of a world's copy of a git configuration was taken over into the person's, and what not.
    TakenBack(TakenBack),
    /// What became of changes that were kept aside for review; in the session's own log while it
    /// runs, in the host log after that.
    Reviewed(Reviewed),
    /// The session used all that a limit of its settings allows, and was ended.
    LimitReached {
        /// Which, as it is called in the settings.
        limit: String,
        /// Its value there.
        most: u64,
        /// Why it could not be seen whether that is so, which ends a session as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unseen: Option<String>,
    },
    /// What lies at a covered place was replaced or removed from outside; it is covered again.
    Covered {
        /// The place.
        path: AbsolutePath,
    },
    /// The session ended.
    SessionClosed {
        /// The totals.
        summary: Summary,
    },
    /// Host log only: a session's log was opened.
    LogOpened {
        /// The session.
        session: SessionId,
        /// Public key of its checkpoints, as in a signed note.
        key: String,
    },
    /// Host log only: a session's log was closed.
    LogClosed {
        /// The session.
        session: SessionId,
        /// Its final size.
        size: u64,
        /// Its final root hash, base64.
        root: String,
    },
}

/// A secret's stand-in in a place where the secret may not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misuse {
    /// The process, where it is known.
    pub process: Option<Process>,
    /// Which secret.
    pub secret: SecretName,
    /// Where the request went.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Where the stand-in was: `the header x-api-key`, `the body`.
    pub place: String,
    /// What is wrong with that.
    pub why: String,
    /// Whether the request was stopped; if not, it went on with the stand-in.
    pub refused: bool,
}

/// What became of something that a vault lends; never the thing itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseChange {
    /// Where it was had from, with everything filled in: `vault-lease:database/creds/shop`.
    pub place: String,
    /// What the vault calls it, to give it back by hand.
    pub lease: String,
    /// What happened.
    #[serde(flatten)]
    pub step: LeaseStep,
}

/// A step in the life of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum LeaseStep {
    /// It was lent.
    Lent {
        /// How long it holds, unless it is renewed; absent where no end is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// It could not be renewed; that is tried again until it ends.
    NotRenewed {
        /// Why.
        why: String,
    },
    /// It was given back.
    Returned,
    /// It could not be given back: it opens what it opened until it ends.
    NotReturned {
        /// Why.
        why: String,
    },
}

/// What came of the changes in a world's copy of a git configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The person's file.
    pub file: String,
    /// Keys of it that are others now.
    pub taken: Vec<String>,
    /// Keys that were changed in the copy alone.
    pub left: Vec<String>,
    /// Why nothing could be taken over, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One policy file in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDigest {
    /// The set it belongs to.
    pub set: SetName,
    /// The file.
    pub file: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

/// How much of a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerState {
    /// All of it.
    Enforced,
    /// Some of it; the detail says what is missing.
    Degraded,
    /// None of it.
    Off,
}

/// What one layer of the world really does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatus {
    /// `tier`, `namespaces`, `mounts`, `landlock`, `seccomp`, `notify`, `net`, `pty`, `rlimits`.
    pub layer: String,
    /// How much holds.
    pub state: LayerState,
    /// In a person's words.
    pub detail: String,
}

impl LayerStatus {
    /// What the detail of the layer `tier` begins with where the whole tier advises only.
    pub const ADVISORY: &str = "advisory";

    /// Whether it says that nothing holds a program that does not want to be held.
    pub fn is_advisory(&self) -> bool {
        self.layer == "tier" && self.detail.starts_with(LayerStatus::ADVISORY)
    }
}

/// What a file act does, as seen from its system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// The file did not exist.
    Created,
    /// It existed.
    Modified,
    /// It is removed or renamed away.
    Deleted,
}

/// How a permitted act ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum Outcome {
    /// It happened.
    Done,
    /// It was tried and failed.
    Failed {
        /// The error.
        error: String,
    },
    /// A connection ended.
    Connection(NetUsage),
    /// A request was answered, or failed.
    Request(HttpUsage),
    /// It was stopped because what ran was not what had been decided.
    Mismatch {
        /// What was found instead.
        found: String,
    },
    /// A call of a tool was answered, or failed.
    Tool(ToolUsage),
    /// It was permitted and not done: something else that it needs was denied.
    NotMade {
        /// What, and why.
        why: String,
    },
    /// Nobody saw how it ended.
    Unknown,
}

/// What a connection carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetUsage {
    /// The name that was decided.
    pub endpoint: Endpoint,
    /// The address that was dialled; `None` if none was.
    pub address: Option<String>,
    /// Bytes from the world.
    pub bytes_sent: u64,
    /// Bytes to the world.
    pub bytes_received: u64,
    /// From dial to close.
    pub duration_ms: u64,
    /// How; `None` where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a connection was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// TLS, untouched once it was seen whom it is for.
    Tls,
    /// TLS, opened: HTTP, request by request, each one decided.
    Opened,
    /// HTTP, request by request.
    Http,
    /// Something that names no host, untouched.
    Other,
}

/// Where a question was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// On the session's terminal.
    Terminal,
    /// On no terminal: whoever looks after the session answers from another one.
    Elsewhere,
    /// Nowhere: there is no terminal, so it was denied.
    None,
}

/// An answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes.
    Approved,
    /// No.
    Refused,
    /// Nobody answered in time.
    Expired,
    /// Something was typed, and it was none of the codes.
    Invalid,
    /// Nobody had to: it has been granted meanwhile.
    Granted,
    /// Nobody was asked: something else of the same call is denied.
    NotAsked,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It is gone; the kernel did not say how.
    Unknown,
}

/// What a process used; `None` is unknown, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time.
    pub cpu_time_ms: Option<u64>,
    /// Peak resident set, in MiB (2^20 bytes).
    pub peak_memory_mb: Option<u64>,
    /// Bytes fetched from storage.
    pub disk_read_bytes: Option<u64>,
    /// Bytes sent to storage.
    pub disk_write_bytes: Option<u64>,
    /// Taken by looking from time to time, so the last moments may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampled: bool,
}

/// A session's totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Acts permitted.
    pub permitted: u64,
    /// Acts denied.
    pub denied: u64,
    /// Acts that were questions.
    pub asked: u64,
    /// Permitted acts that were seen to fail.
    #[serde(default)]
    pub failed: u64,
    /// Distinct files created, modified or deleted.
    pub files_changed: u64,
    /// The command's own exit code, 128+N for a signal.
    pub exit_code: i32,
}
