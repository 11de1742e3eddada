//! What a check comes to that is no permit: a question, with the approvals that answer it, or a denial.

use std::collections::BTreeSet;

use crate::entry::FileChange;
use crate::verdict::{AskFor, Grounds, Role};
use crate::{EntryRef, Request};

/// An act that waits for approval.
#[derive(Debug)]
#[must_use]
pub struct Question {
    /// The act.
    pub request: Request,
    /// What is needed.
    pub needs: AskFor,
    /// The rules that ask.
    pub grounds: Grounds,
    /// The act's digest; an approval must name it.
    pub digest: String,
    /// The entry of the decision.
    pub entry: EntryRef,
    pub(crate) ending: Ending,
}

/// An act that may not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The act.
    pub request: Request,
    /// Why.
    pub grounds: Grounds,
    /// The entry; `None` when the log itself failed.
    pub entry: Option<EntryRef>,
}

/// One person's approval of one act; single use, because it is consumed by the check.
#[derive(Debug)]
pub struct Approval {
    /// Digest of the act that was shown.
    pub digest: String,
    /// Who.
    pub approver: String,
    /// Roles that person holds.
    pub roles: BTreeSet<Role>,
}

/// The approvals collected for one question.
pub type Approvals = Vec<Approval>;

/// Who tells how an act ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its port.
    Told,
    /// Nobody; what it does to a file.
    Unobserved(Option<FileChange>),
}
