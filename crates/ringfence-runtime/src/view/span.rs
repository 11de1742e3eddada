//! One program in one process, and what it did.

use std::collections::BTreeSet;

use ringfence_core::{AbsolutePath, Carried, Exit, FileRead, Found, Package, TraceContext};
use serde::Serialize;

/// One program in one process: a further exec in the same process is a further span.
#[derive(Debug, Clone, Serialize)]
pub struct Span {
    /// Its name in this session, `p1`, `p2` ...
    pub span_id: String,
    /// The span that started it; `None` for the first, or where it is not known.
    pub parent_span: Option<String>,
    /// The same for OpenTelemetry: 16 hexadecimal digits that follow from the session and the entry
    /// with which the span began; `None` when the session's first entry is missing.
    pub otel_span_id: Option<String>,
    /// The span before it in the same process, which this one replaced by exec.
    pub replaces: Option<String>,
    /// Process id in the broker's pid namespace.
    pub pid: i32,
    /// The program file; `None` for a process that was seen to act but not to start a program.
    pub program: Option<AbsolutePath>,
    /// The command line, arguments joined by spaces; that of the parent for a forked process.
    pub command: String,
    /// Where it was started; `None` for a process that was not seen to start a program.
    pub cwd: Option<AbsolutePath>,
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
    /// The limit that ended it, by its name in the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Why it did not run: the start failed, or what ran was not what had been decided.
    pub error: Option<String>,
    /// What it used.
    pub resource_usage: ResourceUsage,
    /// What it connected to.
    pub network_activity: NetworkActivity,
    /// The files it changed.
    pub fs_changes: FsChanges,
    /// The files it opened to read; only where that is traced.
    #[serde(skip_serializing_if = "FileReads::is_empty")]
    pub file_reads: FileReads,
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
    /// Bytes from the world over its connections that have ended; `None` where nobody counted any.
    pub bytes_sent: Option<u64>,
    /// Bytes to the world, likewise.
    pub bytes_received: Option<u64>,
}

/// One permitted connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionView {
    /// `HOST:PORT` as decided, or the path of a socket.
    pub endpoint: String,
    /// When it was decided, in milliseconds since the Unix epoch.
    pub at_ms: u64,
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
    /// When it was decided, in milliseconds since the Unix epoch.
    pub at_ms: u64,
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
    /// What it or its answer had in it, by rule, where a rule has it looked through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Why its answer was not looked through although a rule has it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlooked: Option<String>,
    /// Index of the entry that decided it.
    pub entry: u64,
}

/// One permitted call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallView {
    /// Index of the entry that decided it.
    pub entry: u64,
    /// When it was decided, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who spoke for the agent: the span of the process; `None` where the session has no world.
    pub span: Option<String>,
    /// `SERVER/TOOL`.
    pub tool: String,
    /// Bytes of the arguments.
    pub bytes_sent: u64,
    /// Bytes of the answer; `None` while it is under way.
    pub bytes_received: Option<u64>,
    /// From the decision to the answer.
    pub duration_ms: Option<u64>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Why it was not made although the call itself is permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_made: Option<String>,
    /// What the answer had in it, by rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// The span that it is for OpenTelemetry: 16 hexadecimal digits that follow from the session and its entry;
    /// `None` when the session's first entry is missing.
    pub otel_span_id: Option<String>,
    /// Where it stands in a trace that its client has begun; else it is of the session's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// The files a process opened to read, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReads {
    /// Each path once, with all its opens.
    pub files: Vec<FileRead>,
    /// Further opens, of paths that are not listed.
    pub unlisted: u64,
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

impl Span {
    /// A process that began to be known at this moment.
    pub(super) fn new(pid: i32, started_ms: u64) -> Span {
        Span {
            span_id: String::new(),
            otel_span_id: None,
            parent_span: None,
            replaces: None,
            pid,
            program: None,
            command: String::new(),
            cwd: None,
            forked: false,
            entry: None,
            started_ms,
            ended_ms: None,
            duration_ms: None,
            exit: None,
            limit: None,
            error: None,
            resource_usage: ResourceUsage::default(),
            network_activity: NetworkActivity::default(),
            fs_changes: FsChanges::default(),
            file_reads: FileReads::default(),
        }
    }

    pub(super) fn end(&mut self, at_ms: u64) {
        self.ended_ms = Some(at_ms);
        self.duration_ms = Some(at_ms.saturating_sub(self.started_ms));
    }
}
