//! What is in force in a running session, replaced whole when policy or grants are loaded anew.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ringfence_core::{AbsolutePath, Access, Agent, Decide as _, Facts, Request, Verdict};
use ringfence_policy::Policy;
use ringfence_policy::grant::GrantText;

use crate::assemble::Assembled;
use crate::servers::Server;

/// The policy in force, as loaded.
pub struct InForce {
    agent: Agent,
    loaded: RwLock<Loaded>,
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Clone)]
struct Loaded {
    policy: Arc<Policy>,
    /// Sorted paths that the agent may not write to, whatever it may do around them.
    restricted: Arc<[AbsolutePath]>,
    /// The servers whose tools agents are served; the same for as long as nothing about them changes.
    served: Arc<[Server]>,
}

impl Loaded {
    fn of(assembled: &Assembled, agent: &Agent) -> Loaded {
        let policy = Arc::clone(&assembled.policy);
        let rules = policy.file_plan(agent).rules.into_iter();
        let below_write = rules.filter(|rule| rule.access < Access::Write);
        let restricted = below_write.map(|rule| rule.path).collect();
        Loaded { policy, restricted, served: assembled.served().into() }
    }
}

impl InForce {
    /// Starts with what was assembled, for `agent`.
    pub fn new(assembled: &Assembled, agent: Agent) -> InForce {
        let loaded = RwLock::new(Loaded::of(assembled, &agent));
        InForce { loaded, agent, changed: OnceLock::new() }
    }

    /// What is told when another policy is in force.
    pub fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        // There is one session, which says so once.
        let _ = self.changed.set(Box::new(tell));
    }

    /// The policy now.
    pub fn policy(&self) -> Arc<Policy> {
        self.loaded().policy
    }

    /// The servers of tools as their files were when the policy was loaded last.
    pub(crate) fn served(&self) -> Arc<[Server]> {
        self.loaded().served
    }

    /// A path beneath `dir` that the agent may not write to, if there is one.
    pub fn restricted_beneath(&self, dir: &AbsolutePath) -> Option<AbsolutePath> {
        let restricted = self.loaded().restricted;
        restricted.iter().find(|path| *path != dir && path.is_within(dir)).cloned()
    }

    fn loaded(&self) -> Loaded {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another policy in force, with the servers that it knows.
    pub fn replace(&self, assembled: &Assembled) {
        let mut loaded = Loaded::of(assembled, &self.agent);
        let before = self.served();
        if before == loaded.served {
            loaded.served = before;
        }
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        if let Some(tell) = self.changed.get() {
            tell();
        }
    }

    /// The smallest grant that would allow a request as things are, if one does.
    ///
    /// What waits for one person's approval is allowed by a grant too: whoever makes it holds the
    /// roles, and it counts as their approval of what it covers.
    pub fn smallest_grant(&self, request: &Request, facts: &Facts) -> Option<GrantText> {
        let (policy, grant) = (self.policy(), GrantText::smallest(request));
        let helps = match policy.decide(request, facts).verdict {
            Verdict::Ask(needs) => needs.people <= 1,
            Verdict::Deny => policy.grant_helps(&grant, request, facts),
            Verdict::Permit => false,
        };
        helps.then_some(grant)
    }

    /// Whether what comes to run has to be compared with what was decided.
    pub fn exec_needs_verification(&self) -> bool {
        self.policy().exec_needs_verification()
    }
}
