//! The nouns every other crate speaks: requests, verdicts, permits, entries, plans and the gate.
//!
//! No I/O and no async: time, records and decisions come in through the traits in [`gate`].

mod act;
mod endpoint;
mod entry;
pub mod gate;
mod http;
mod ids;
mod inspect;
mod limits;
mod npm;
mod package;
mod path;
mod plan;
mod question;
mod reads;
mod reviewed;
mod tool;
mod trace_context;
mod verdict;
mod wasm;

pub use act::{
    ARGV_TEXT_BYTES_MAX, Act, Action, Agent, CommandLine, Exec, FileIdentity, Process, Request,
    SecretUse,
};
pub use endpoint::{Endpoint, EndpointError, HOST_BYTES_MAX, HOST_SERVICE_NAME, Host};
pub use entry::{
    Answer, Carried, Channel, Entry, Event, Exit, FileChange, LayerState, LayerStatus, LeaseChange,
    LeaseStep, Misuse, NetUsage, Outcome, PolicyDigest, Summary, TakenBack, Usage,
};
pub use gate::{
    Approved, Checked, Clock, Decide, Durability, Gate, GateParts, Permit, Record, RecordError,
    Running,
};
pub use http::{
    HEADER_NAMES_BYTES_MAX, HttpError, HttpParts, HttpRequest, HttpUsage, QUERY_BYTES_MAX, Query,
    Scheme, URL_PATH_BYTES_MAX, UrlPath,
};
pub use ids::{EntryRef, IdError, SecretName, SessionId};
pub use inspect::{
    Certainty, Detector, Finding, FindingKind, Found, Handling, Inspect, Treatment,
    UnknownDetector, placeholder, redacted,
};
pub use limits::{Limits, StepLimit};
pub use package::{Ecosystem, Package};
pub use path::{AbsolutePath, PATH_BYTES_MAX, PathError};
pub use plan::{Access, AskedPath, FilePlan, PathRule};
pub use question::{Approval, Approvals, Denial, Question};
pub use reads::{FileRead, FilesRead, ReadResult, Trace};
pub use reviewed::{ReviewStep, Reviewed};
pub use tool::{
    ClientCame, Fact, FactType, Field, Fields, Meaning, OddMessage, SERVER_NAME_BYTES_MAX,
    ServerName, TOOL_NAME_BYTES_MAX, ToolCall, ToolName, ToolNameError, ToolShape, ToolUsage,
};
pub use trace_context::{NoTraceContext, TraceContext};
pub use verdict::{
    AskFor, ClockFact, Facts, Grounds, Nearest, Role, RuleRef, Ruling, SetName, Verdict,
};
pub use wasm::{Preopen, PreopenAccess, WasmEnd, WasmJob, WasmLimit, WasmLimits};

#[cfg(test)]
mod tests;
