//! What a person can allow with a question besides the one act: a grant for the rest of the session.

use std::path::Path;
use std::sync::Arc;

use ringfence_core::{AbsolutePath, Clock as _, Request, SessionId};
use ringfence_policy::grant::GrantText;

use super::live::Live;
use crate::advice::Advice;
use crate::approvals::{Approvals, Wider};
use crate::clock::HostClock;
use crate::control::Command;
use crate::grants::{self, NewGrant, Scope};
use crate::kept;
use crate::state::StateDirs;
use crate::trust::Project;
use crate::users;

/// A running session whose questions offer more than the one act.
pub(super) trait Widen: Send + Sync + 'static {
    /// Whom it asks.
    fn approvals(&self) -> &Approvals;

    /// The grant that would answer this question and those like it; none for what no hint offers one for.
    fn wider(&self, request: &Request) -> Option<GrantText>;

    /// Where grants of it are kept.
    fn kept_in(&self) -> (&StateDirs, &SessionId, &HostClock);

    /// Reads its grants again.
    fn grants_changed(self: &Arc<Self>);
}

/// Questions of a session offer a grant for the rest of it from now on.
pub(super) fn offer<S: Widen>(session: &Arc<S>) {
    let (finder, maker) = (Arc::downgrade(session), Arc::downgrade(session));
    session.approvals().widen_with(Wider {
        find: Box::new(move |request| finder.upgrade()?.wider(request)),
        make: Box::new(move |grant| {
            if let Some(session) = maker.upgrade() {
                make(&session, grant);
            }
        }),
    });
}

/// Grants it as `ringfence grant --session` does.
fn make<S: Widen>(session: &Arc<S>, grant: &GrantText) {
    let (dirs, id, clock) = session.kept_in();
    let new = NewGrant {
        text: grant.to_string(),
        scope: Scope::Session(id.clone()),
        author: users::own_name(),
        expires: None,
    };
    // What cannot be granted leaves the answer to the one question.
    if grants::add(dirs, new, clock.now_ms(), |id| grant.to_cedar(id)).is_ok() {
        session.grants_changed();
    }
}

/// Whether a hint would offer this grant in a session of this project.
pub(super) fn is_offered(grant: &GrantText, home: &Path, project: &Path) -> bool {
    match Advice::of(grant, home, project) {
        Advice::Grant(_) | Advice::Make { .. } | Advice::NextSession { .. } => true,
        Advice::Base(_) | Advice::Engine(_) | Advice::Kept { .. } | Advice::ForServer { .. } => {
            false
        }
    }
}

impl Widen for Live {
    fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// Of files it is for the place that the rule names, or for the one file where something in that place looks like
    /// a secret.
    fn wider(&self, request: &Request) -> Option<GrantText> {
        let smallest = self.in_force.smallest_grant(request, &self.gate.facts_now())?;
        let place = |path: &AbsolutePath| {
            let changing = self.changing();
            changing.start.asked(path).map_or_else(|| path.clone(), |asked| asked.path.clone())
        };
        let grant = match &smallest {
            GrantText::Read(path) => GrantText::Read(place(path)),
            GrantText::Write(path) => GrantText::Write(place(path)),
            GrantText::Connect(_)
            | GrantText::ConnectUnix(_)
            | GrantText::Request { .. }
            | GrantText::UseSecret(_)
            | GrantText::CallTool(_)
            | GrantText::Exec { .. } => smallest.clone(),
        };
        let home = self.dirs.home();
        let project = Project::find(&self.cwd, home).ok()?.dir;
        let is_free = |grant: &GrantText| match grant {
            GrantText::Read(place) | GrantText::Write(place) => {
                !kept::beneath(place.as_path(), home)
            }
            GrantText::Connect(_)
            | GrantText::ConnectUnix(_)
            | GrantText::Request { .. }
            | GrantText::UseSecret(_)
            | GrantText::CallTool(_)
            | GrantText::Exec { .. } => true,
        };
        let offers = |grant: &GrantText| is_offered(grant, home, &project) && is_free(grant);
        let is_offered = is_offered(&smallest, home, &project);
        [grant, smallest.clone()].into_iter().find(|it| is_offered && offers(it))
    }

    fn kept_in(&self) -> (&StateDirs, &SessionId, &HostClock) {
        (&self.dirs, &self.session, &self.clock)
    }

    fn grants_changed(self: &Arc<Live>) {
        self.serve(Command::GrantsChanged, None);
    }
}
