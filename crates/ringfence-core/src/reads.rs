//! Opens that only read, where they are traced: recorded, never decided.

use serde::{Deserialize, Serialize};

use crate::{AbsolutePath, Process};

/// What of a session is recorded besides acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trace {
    /// Nothing.
    #[default]
    Off,
    /// Which files its processes open to read.
    Files,
    /// The same, and the last figures of each process.
    Full,
}

impl Trace {
    /// Whether nothing is.
    pub fn is_off(&self) -> bool {
        *self == Trace::Off
    }
}

/// Files that a process opened to read since the last entry that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesRead {
    /// The process.
    pub process: Process,
    /// What it opened.
    pub files: Vec<FileRead>,
    /// Further opens, of paths that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// One path that was opened to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// As the process named it, made absolute; symbolic links are not followed.
    pub path: AbsolutePath,
    /// What is there.
    pub result: ReadResult,
    /// How often it was opened.
    pub times: u64,
}

/// What an open to read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadResult {
    /// The world has it; whether its permissions let it be read is not looked at.
    Found,
    /// Neither the world nor the host has it.
    Absent,
    /// The host has it, and the world does not: the plan does not grant it.
    NotGranted,
    /// It is covered: a place of secrets, or one that the plan leaves out.
    Covered,
    /// It could not be told.
    Unknown,
}

impl ReadResult {
    /// Whether it is the policy that kept it from being read.
    pub fn is_denied(self) -> bool {
        match self {
            ReadResult::NotGranted | ReadResult::Covered => true,
            ReadResult::Found | ReadResult::Absent | ReadResult::Unknown => false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
