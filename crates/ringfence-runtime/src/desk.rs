//! Questions that wait for an answer, wherever a person gives it: on the session's terminal, or from another one by
//! `ringfence approve`.
//!
//! A question is named by its entry in the log. An answer counts once, and only while the question waits.

use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringfence_core::Answer;
use serde::{Deserialize, Serialize};

use crate::pty::Choice;
use crate::wording::Asked;

/// Most questions that are listed at once; the others are when these are answered.
const LISTED_MAX: usize = 64;

/// Most bytes that are listed at once, as JSON; one question is, however long it is.
const LISTED_BYTES_MAX: usize = 512 * 1024;

/// Longest text of a question that is told to another terminal, in bytes: of what is longer the middle is
/// left out.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A question as another terminal shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its entry in the session's log.
    pub index: u64,
    /// What would be done.
    pub text: String,
    /// What it would be done to or with, whole; none where the text says it.
    pub subject: Option<String>,
    /// The rule that asks, and why.
    pub reason: String,
    /// The grant for the rest of the session that can be made with it.
    pub wider: Option<String>,
    /// For how many seconds more an answer counts.
    pub seconds_left: u64,
}

/// What a person says to a question from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// Yes, this once.
    Allow,
    /// Yes, and what it offers for the rest of the session.
    AllowForSession,
    /// No.
    Refuse,
}

/// Why an answer did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No such question waits.
    #[error("no such question waits: it was answered, withdrawn, or its time is over")]
    Unknown,
    /// The question offers no grant.
    #[error("this can be allowed once, and not for the session")]
    NoWider,
}

/// The questions of one session.
#[derive(Debug, Default)]
pub struct Desk {
    questions: Mutex<Vec<Question>>,
}

#[derive(Debug)]
struct Question {
    waiting: Waiting,
    deadline: Instant,
    reply: SyncSender<Choice>,
}

/// A question that lies on the desk until this is dropped.
pub(crate) struct Placed<'a> {
    desk: &'a Desk,
    index: u64,
}

impl Desk {
    /// Lays a question down; the first answer goes to `reply`.
    pub(crate) fn place(
        &self,
        index: u64,
        (asked, wider): (&Asked, Option<String>),
        (deadline, reply): (Instant, SyncSender<Choice>),
    ) -> Placed<'_> {
        let waiting = Waiting {
            index,
            text: shortened(&asked.text),
            subject: asked.subject.as_deref().map(shortened),
            reason: shortened(&asked.reason),
            wider,
            seconds_left: 0,
        };
        self.questions().push(Question { waiting, deadline, reply });
        Placed { desk: self, index }
    }

    /// The questions that wait now, the oldest first.
    pub fn waiting(&self) -> Vec<Waiting> {
        let now = Instant::now();
        let left = |it: &Question| it.deadline.saturating_duration_since(now).as_secs();
        let of = |it: &Question| Waiting { seconds_left: left(it), ..it.waiting.clone() };
        let mut bytes = 0_usize;
        let fits = |it: &Waiting| {
            let is_first = bytes == 0;
            // What cannot be written is not listed either.
            let long = serde_json::to_string(it).map_or(usize::MAX, |text| text.len());
            bytes = bytes.saturating_add(long);
            is_first || bytes <= LISTED_BYTES_MAX
        };
        let questions = self.questions();
        let waiting = questions.iter().filter(|it| it.deadline > now).map(of);
        waiting.take(LISTED_MAX).take_while(fits).collect()
    }

    /// Answers one of them.
    pub fn answer(&self, index: u64, said: Said) -> Result<(), NotTaken> {
        let questions = self.questions();
        let found = questions.iter().find(|it| it.waiting.index == index);
        let question = found.filter(|it| it.deadline > Instant::now()).ok_or(NotTaken::Unknown)?;
        let choice = match said {
            Said::Allow => Choice::Answer(Answer::Approved),
            Said::Refuse => Choice::Answer(Answer::Refused),
            Said::AllowForSession if question.waiting.wider.is_some() => Choice::ForSession,
            Said::AllowForSession => return Err(NotTaken::NoWider),
        };
        // It holds one answer: whoever came first has said it.
        question.reply.try_send(choice).map_err(|_| NotTaken::Unknown)
    }

    fn questions(&self) -> MutexGuard<'_, Vec<Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        self.desk.questions().retain(|it| it.waiting.index != self.index);
    }
}

/// The text with its middle left out where it is too long, and saying so.
fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let half = TEXT_BYTES_MAX / 2;
    let (start, _) = text.split_at(text.floor_char_boundary(half));
    let (_, end) = text.split_at(text.ceil_char_boundary(text.len() - half));
    let left_out = text.len() - start.len() - end.len();
    format!("{start} ...[{left_out} bytes left out]... {end}")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::{Duration, Instant};

    use ringfence_core::Answer;

    use super::{Desk, NotTaken, Placed, Said, TEXT_BYTES_MAX, shortened};
    use crate::pty::Choice;
    use crate::wording::Asked;

    fn place<'a>(
        desk: &'a Desk,
        index: u64,
        wider: Option<&str>,
    ) -> (Placed<'a>, Receiver<Choice>) {
        let (reply, answers) = sync_channel(1);
        let asked = Asked { text: "may `a` read".to_owned(), ..Asked::default() };
        let deadline = Instant::now() + Duration::from_mins(1);
        let wider = wider.map(str::to_owned);
        (desk.place(index, (&asked, wider), (deadline, reply)), answers)
    }

    #[test]
    fn an_answer_reaches_the_question_that_it_names_and_no_other() {
        let desk = Desk::default();
        let (_one, first) = place(&desk, 3, None);
        let (_two, second) = place(&desk, 5, None);
        assert_eq!(desk.answer(5, Said::Allow), Ok(()));
        assert_eq!(second.try_recv(), Ok(Choice::Answer(Answer::Approved)));
        assert!(first.try_recv().is_err());
        assert_eq!(desk.answer(3, Said::Refuse), Ok(()));
        assert_eq!(first.try_recv(), Ok(Choice::Answer(Answer::Refused)));
    }

    #[test]
    fn only_the_first_answer_counts() {
        let desk = Desk::default();
        let (_placed, answers) = place(&desk, 3, None);
        assert_eq!(desk.answer(3, Said::Refuse), Ok(()));
        assert_eq!(desk.answer(3, Said::Allow), Err(NotTaken::Unknown));
        assert_eq!(answers.try_recv(), Ok(Choice::Answer(Answer::Refused)));
        assert!(answers.try_recv().is_err());
    }

    #[test]
    fn nobody_answers_a_question_that_does_not_wait_any_more() {
        let desk = Desk::default();
        assert_eq!(desk.answer(3, Said::Allow), Err(NotTaken::Unknown));
        let (placed, answers) = place(&desk, 3, None);
        drop(placed);
        assert_eq!(desk.answer(3, Said::Allow), Err(NotTaken::Unknown));
        assert!(answers.try_recv().is_err());
        assert!(desk.waiting().is_empty());
    }

    #[test]
    fn an_answer_after_its_time_does_not_count() {
        let desk = Desk::default();
        let (reply, answers) = sync_channel(1);
        let _placed = desk.place(3, (&Asked::default(), None), (Instant::now(), reply));
        assert_eq!(desk.answer(3, Said::Allow), Err(NotTaken::Unknown));
        assert!(answers.try_recv().is_err());
        assert!(desk.waiting().is_empty());
    }

    #[test]
    fn more_than_one_act_is_allowed_only_where_the_question_offers_it() {
        let desk = Desk::default();
        let (_one, first) = place(&desk, 3, None);
        let (_two, second) = place(&desk, 4, Some("tool:files/read"));
        assert_eq!(desk.answer(3, Said::AllowForSession), Err(NotTaken::NoWider));
        assert!(first.try_recv().is_err());
        assert_eq!(desk.answer(4, Said::AllowForSession), Ok(()));
        assert_eq!(second.try_recv(), Ok(Choice::ForSession));
    }

    #[test]
    fn what_is_listed_has_room_in_an_answer_however_the_questions_are_written() {
        let desk = Desk::default();
        let mut kept = Vec::new();
        for index in 0..90 {
            let (reply, answers) = sync_channel(1);
            let long = "\\".repeat(20_000);
            let asked = Asked { text: long.clone(), subject: Some(long), ..Asked::default() };
            let deadline = Instant::now() + Duration::from_mins(1);
            kept.push((desk.place(index, (&asked, None), (deadline, reply)), answers));
        }
        let listed = desk.waiting();
        assert!(!listed.is_empty() && listed.len() < 90);
        assert!(serde_json::to_string(&listed).unwrap().len() < 1024 * 1024);
    }

    #[test]
    fn a_long_text_keeps_both_ends_and_says_what_is_missing() {
        let text = format!("begin{}end", "é".repeat(TEXT_BYTES_MAX));
        let short = shortened(&text);
        assert!(short.starts_with("begin") && short.ends_with("end"));
        assert!(short.contains("bytes left out"));
        assert!(short.len() < TEXT_BYTES_MAX + 40);
        assert_eq!(shortened("short"), "short");
    }
}
