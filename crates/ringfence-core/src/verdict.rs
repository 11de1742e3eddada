//! What the policy answers, and why.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Handling, SessionId};

/// A role that settings declare and that can approve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Role(pub String);

/// Which set a rule belongs to; a ceiling can only restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetName {
    /// The user's file.
    User,
    /// The project's file, if trusted.
    Project,
    /// Forbids of a project that is not trusted.
    UntrustedProject,
    /// Forbids of a project that the project lies in.
    OuterProject,
    /// Grants made by a person.
    Grants,
    /// A file named with `--policy`, in place of user and project.
    Override,
    /// The system ceiling, `/etc/ringfence`.
    System,
    /// Built in and not overridable.
    BuiltIn,
}

/// Where a rule stands and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// The set it belongs to.
    pub set: SetName,
    /// The file as shown to a person.
    pub file: String,
    /// Line of the rule's first character, from 1.
    pub line: u32,
    /// The `@id`, or `FILE-STEM:LINE` where none was written.
    pub id: String,
    /// The `@reason`, if written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The permit that came nearest, and the first thing that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nearest {
    /// The permit.
    pub rule: RuleRef,
    /// What differs, for a person: `host differs`, `context.subcommand == "push" is false`.
    pub failed: String,
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grounds {
    /// The rules that decided: forbids of a denial, permits of a permit. Empty: no permit matches.
    #[serde(default)]
    pub rules: Vec<RuleRef>,
    /// On a denial without a deciding rule: the permit that came nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// What went wrong, where the denial is a failure: an evaluation error, a spent limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// On a permit: what its rules say about what comes back.
    #[serde(default, skip_serializing_if = "Handling::is_empty")]
    pub handling: Handling,
}

/// What approvals would turn the denial into a permit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AskFor {
    /// The smallest set of roles; each must approve.
    pub roles: BTreeSet<Role>,
    /// How many different people must approve, at least 1.
    pub people: u32,
}

/// Permit, ask or deny, as data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The act may happen.
    Permit,
    /// The act may happen with these approvals.
    Ask(AskFor),
    /// The act may not happen.
    Deny,
}

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub grounds: Grounds,
}

/// The time as facts, in the policy's time zone; integers, because datetime literals are slow.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockFact {
    /// 1 (Monday) to 7 (Sunday), ISO 8601.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// The date as the number YYYYMMDD.
    pub date: u32,
    /// IANA name of the time zone.
    pub zone: String,
}

/// What the policy may ask about besides the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The session the act belongs to.
    pub session: SessionId,
    /// The time.
    pub clock: ClockFact,
    /// Roles that approved this act.
    pub approvals: BTreeSet<Role>,
    /// How many different people approved it.
    pub approver_count: u32,
}
