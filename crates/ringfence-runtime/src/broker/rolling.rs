//! Checkpoints of a session under review, and the way back to them.

use ringfence_core::{Clock as _, Durability, Event, ReviewStep, Reviewed};
use ringfence_sandbox::world::Account;

use super::live::Live;
use super::standing::Standing;
use crate::compose::Changes;
use crate::control::Reply;
use crate::review::{self, CheckpointError, Kept};
use crate::users;

/// Most that is named of what a checkpoint has not, or what could not be put back.
const NAMED_MAX: usize = 20;

impl Live {
    /// Copies what the session has changed so far.
    pub(super) fn checkpoint(&self, name: Option<&str>) -> Reply {
        answer(self.under_review().and_then(|kept| self.make_checkpoint(&kept, name)))
    }

    /// Takes what the session has changed back to a checkpoint.
    pub(super) fn roll_back(&self, name: &str) -> Reply {
        answer(self.under_review().and_then(|kept| self.go_back(&kept, name)))
    }

    fn under_review(&self) -> Result<Kept, Refusal> {
        if self.opened.changes() != Changes::Review {
            return Err(Refusal {
                why: format!("session {} is not under review", self.session),
                hint: Some("start one that is with `ringfence run --review -- CMD`".to_owned()),
            });
        }
        Ok(Kept::load(&self.dirs, &self.session).map_err(|error| error.to_string())?)
    }

    fn make_checkpoint(&self, kept: &Kept, name: Option<&str>) -> Result<Vec<String>, Refusal> {
        // No grant comes or goes meanwhile.
        let _changing = self.changing();
        let world = self.world.upgrade().ok_or_else(|| "the session is ending".to_owned())?;
        let standing = Standing::still(&world)?;
        let asked = (name, self.clock.now_ms());
        let stood = || standing.stood();
        let (made, account) = review::make_checkpoint((&self.dirs, kept), (&world, &stood), asked)?;
        drop(standing);
        let left = account.left_count;
        self.say(ReviewStep::Checkpoint, &made.name, (made.count, left))?;
        let changes = if made.count == 1 { "change" } else { "changes" };
        let mut lines = vec![format!("made checkpoint {}: {} {changes}", made.name, made.count)];
        lines.extend(named("not in it", &account));
        Ok(lines)
    }

    fn go_back(&self, kept: &Kept, name: &str) -> Result<Vec<String>, Refusal> {
        let checkpoint = review::checkpoint_named(&self.dirs, &self.session, name)?;
        let _changing = self.changing();
        let world = self.world.upgrade().ok_or_else(|| "the session is ending".to_owned())?;
        let standing = Standing::still(&world)?;
        self.say(ReviewStep::RollingBack, name, (0, 0))?;
        let done = review::put_back(&self.dirs, kept, &world, &checkpoint);
        let stood = standing.stood();
        drop(standing);
        let account = done?;
        self.say(ReviewStep::RolledBack, name, (account.count, account.left_count))?;
        let count = account.count;
        let places = if count == 1 { "place" } else { "places" };
        let mut lines = vec![format!("went back to checkpoint {name}: {count} {places} changed")];
        lines.extend(named("not put back", &account));
        // It is done, and cannot be called off: who reads this goes back again, or ends the session.
        lines.extend(stood.err().map(|why| format!("not all of it may be as it was then: {why}")));
        Ok(lines)
    }

    fn say(
        &self,
        step: ReviewStep,
        name: &str,
        (changes, left): (u64, u64),
    ) -> Result<(), Refusal> {
        let (session, by) = (self.session.clone(), Some(users::own_name()));
        let name = Some(name.to_owned());
        let event = Event::Reviewed(Reviewed { session, step, by, changes, left, name });
        let said = self.gate.note(event, Durability::Before);
        said.map(|_| ()).map_err(|error| format!("it could not be recorded: {error}").into())
    }
}

/// Why something was not done.
struct Refusal {
    why: String,
    hint: Option<String>,
}

impl From<String> for Refusal {
    fn from(why: String) -> Refusal {
        Refusal { why, hint: None }
    }
}

impl From<CheckpointError> for Refusal {
    fn from(error: CheckpointError) -> Refusal {
        error.to_string().into()
    }
}

fn answer(done: Result<Vec<String>, Refusal>) -> Reply {
    match done {
        Ok(lines) => Reply::Done(lines),
        Err(Refusal { why, hint }) => Reply::Refused { why, hint },
    }
}

fn named(what: &str, account: &Account) -> Vec<String> {
    let all = account.left.iter().take(NAMED_MAX);
    let mut lines: Vec<String> =
        all.map(|(path, why)| format!("{what}: {} ({why})", path.display())).collect();
    let shown = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if account.left_count > shown {
        lines.push(format!("{what}: {} more", account.left_count - shown));
    }
    lines
}
