//! What is recorded of changes that were kept aside.

use serde::{Deserialize, Serialize};

use crate::SessionId;

/// What became of changes that were kept aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// Whose changes.
    pub session: SessionId,
    /// What was done.
    pub step: ReviewStep,
    /// Who did it; nobody at the end of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many changes it is about.
    pub changes: u64,
    /// How many of the choice were left where they are.
    #[serde(default)]
    pub left: u64,
    /// The checkpoint, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What is done with changes that were kept aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewStep {
    /// The session has ended, and they wait.
    Waiting,
    /// They are about to be committed; written before the host is changed.
    Committing,
    /// They are on the host.
    Committed,
    /// They were to be committed, and all of it was undone.
    Undone,
    /// They were thrown away.
    Dropped,
    /// They were shown.
    Shown,
    /// A copy was made of them, while the session ran.
    Checkpoint,
    /// They are about to be what they were at a checkpoint; written before anything is changed.
    RollingBack,
    /// They are what they were at a checkpoint.
    RolledBack,
}
