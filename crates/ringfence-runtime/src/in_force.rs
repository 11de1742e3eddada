//! What is in force in a running session, replaced whole when policy or grants are loaded anew.

use std::sync::{Arc, PoisonError, RwLock};

use ringfence_core::{Decide as _, Facts, Request, Verdict};
use ringfence_policy::Policy;
use ringfence_policy::grant::GrantText;

/// The policy in force, as loaded.
pub struct InForce {
    policy: RwLock<Arc<Policy>>,
}

impl InForce {
    /// Starts with `policy`.
    pub fn new(policy: Arc<Policy>) -> InForce {
        InForce { policy: RwLock::new(policy) }
    }

    /// The policy now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another policy in force.
    pub fn replace(&self, policy: Arc<Policy>) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// The smallest grant that would allow a request as things are, if one does.
    ///
    /// What waits for one person's approval is allowed by a grant too: whoever makes it holds the
    /// roles, and it counts as their approval of what it covers.
    pub fn smallest_grant(&self, request: &Request, facts: &Facts) -> Option<String> {
        let (policy, grant) = (self.policy(), GrantText::smallest(request));
        let helps = match policy.decide(request, facts).verdict {
            Verdict::Ask(needs) => needs.people <= 1,
            Verdict::Deny => policy.grant_helps(&grant, request, facts),
            Verdict::Permit => false,
        };
        helps.then(|| grant.to_string())
    }

    /// Whether what comes to run has to be compared with what was decided.
    pub fn exec_needs_verification(&self) -> bool {
        self.policy().exec_needs_verification()
    }
}
