//! What a person can allow with a question besides the one act: a grant for the rest of the session.

use std::sync::Arc;

use ringfence_core::{AbsolutePath, Clock as _, Request};
use ringfence_policy::grant::GrantText;

use super::live::Live;
use crate::advice::Advice;
use crate::approvals::Wider;
use crate::control::Command;
use crate::grants::{self, NewGrant, Scope};
use crate::kept;
use crate::trust::Project;
use crate::users;

impl Live {
    /// Questions offer it from now on.
    pub(super) fn offer_wider(self: &Arc<Live>) {
        let (finder, maker) = (Arc::downgrade(self), Arc::downgrade(self));
        self.approvals.widen_with(Wider {
            find: Box::new(move |request| finder.upgrade()?.wider(request)),
            make: Box::new(move |grant| {
                if let Some(live) = maker.upgrade() {
                    live.grant(grant);
                }
            }),
        });
    }

    /// The grant that would answer this question and those like it: of files for the place that the rule
    /// names, or for the one file where something in that place looks like a secret. None for what no hint
    /// offers one for.
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
        let project = Project::find(&self.cwd, self.dirs.home()).ok()?.dir;
        let offered = |grant: &GrantText| match Advice::of(grant, self.dirs.home(), &project) {
            Advice::Grant(_) | Advice::Make { .. } | Advice::NextSession { .. } => true,
            Advice::Base(_) | Advice::Engine(_) | Advice::Kept { .. } => false,
        };
        let is_free = |grant: &GrantText| match grant {
            GrantText::Read(place) | GrantText::Write(place) => {
                !kept::beneath(place.as_path(), self.dirs.home())
            }
            GrantText::Connect(_)
            | GrantText::ConnectUnix(_)
            | GrantText::Request { .. }
            | GrantText::UseSecret(_)
            | GrantText::CallTool(_)
            | GrantText::Exec { .. } => true,
        };
        let offers = |grant: &GrantText| offered(grant) && is_free(grant);
        [grant, smallest.clone()].into_iter().find(|it| offered(&smallest) && offers(it))
    }

    /// Grants it as `ringfence grant --session` does.
    fn grant(self: &Arc<Live>, grant: &GrantText) {
        let new = NewGrant {
            text: grant.to_string(),
            scope: Scope::Session(self.session.clone()),
            author: users::own_name(),
            expires: None,
        };
        // What cannot be granted leaves the answer to the one question.
        if grants::add(&self.dirs, new, self.clock.now_ms(), |id| grant.to_cedar(id)).is_ok() {
            self.serve(Command::GrantsChanged, None);
        }
    }
}
