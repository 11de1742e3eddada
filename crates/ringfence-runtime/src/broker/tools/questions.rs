//! Where a session of tool calls puts the questions of its rules.

use std::sync::Arc;

use ringfence_core::SessionId;
use ringfence_sandbox::notify::Members;

use super::super::RunError;
use super::super::opening::Opened;
use super::started::named;
use crate::approvals::{APPROVAL_WAIT_SECONDS_MAX, Approvals, Tell};
use crate::assemble::Assembled;
use crate::desk::{NotTaken, Said, Waiting};
use crate::notice::Notice;
use crate::pty::Asker;
use crate::users;

/// Asks the person who is there a question that waits, and answers it.
pub type Ask = Box<dyn Fn(&Waiting, Answers<'_>) + Send + Sync>;

/// Takes a person's answer, while the question waits.
pub type Answers<'a> = &'a dyn Fn(Said) -> Result<(), NotTaken>;

/// Has each question asked here, on a thread of its own: it may be answered elsewhere meanwhile.
pub(super) fn asked_here(approvals: &Arc<Approvals>, ask: Ask) -> Tell {
    let (approvals, ask) = (Arc::downgrade(approvals), Arc::new(ask));
    Box::new(move |index, _| {
        let (approvals, ask) = (approvals.clone(), Arc::clone(&ask));
        let question = move || {
            let Some(approvals) = approvals.upgrade() else { return };
            let waiting = approvals.desk().waiting();
            if let Some(question) = waiting.iter().find(|it| it.index == index) {
                ask(question, &|said| approvals.desk().answer(index, said));
            }
        };
        // Where there can be no thread, it waits to be answered elsewhere.
        let _ = named("question", question);
    })
}

/// What is said of a question.
pub(super) fn waits(session: &SessionId, index: u64, text: &str) -> Notice {
    let seconds = APPROVAL_WAIT_SECONDS_MAX;
    let notice =
        Notice::new(format!("{}? It waits {seconds} s for an answer", text.trim_end_matches('?')));
    notice.hint(format!("to answer it, run `ringfence approve {session}/{index}` in a terminal"))
}

/// Where questions go. The client has the terminal, so that nobody is asked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Questions {
    /// To whoever answers from another terminal, or from here.
    Elsewhere,
    /// To nobody: nobody waits for an answer.
    Nowhere,
}

pub(super) fn approvals(
    opened: &Opened,
    assembled: &Assembled,
    questions: Questions,
) -> Result<Approvals, RunError> {
    let asker = match questions {
        Questions::Elsewhere => Asker::elsewhere(),
        Questions::Nowhere => Asker::nobody(),
    };
    let asker = asker.map_err(RunError::step("make a way for questions"))?;
    let approver = (users::own_name(), assembled.settings.roles.iter().cloned().collect());
    let own_pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    Ok(Approvals::new(opened.gate.clone(), asker, Members::below(own_pid), approver))
}
