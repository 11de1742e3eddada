//! What was not read or not changed because the policy keeps it, and what would let it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_core::{
    AbsolutePath, Act, Action, Agent, Decide as _, Gate, ReadResult, Request, ServerName, Trace,
    Verdict,
};
use ringfence_policy::grant::GrantText;
use serde::Serialize;

use super::RunRequest;
use crate::advice::{Advice, Session};
use crate::compose::Composition;
use crate::denials::DeniedChange;
use crate::in_force::InForce;
use crate::reads::{Denied, Reads};
use crate::wording;

/// Most reads that are explained; the log has all.
const EXPLAINED_MAX: usize = 200;

/// A path that was opened to read and that the policy keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeniedRead {
    /// The path, as it was named first.
    pub path: AbsolutePath,
    /// How often it was tried.
    pub times: u64,
    /// Why it could not be read.
    pub why: String,
    /// What would let it be read; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A change of a file that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeniedWrite {
    /// The path.
    pub path: String,
    /// What was to be done: `fs.write` or `fs.delete`.
    pub action: Action,
    /// How often it was tried.
    pub times: u64,
    /// Why it could not be done.
    pub why: String,
    /// What would let it be done; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is needed to say it at the end.
pub(super) struct Why {
    reads: Option<Arc<Reads>>,
    in_force: Arc<InForce>,
    agent: Agent,
    gate: Gate,
    home: PathBuf,
    project: PathBuf,
    /// The server of tools whose session it is, where it is one's, and what stands in for its policy.
    server: Option<ServerName>,
    overrides: Vec<PathBuf>,
}

impl Why {
    pub(super) fn of(
        (request, project): (&RunRequest, &Path),
        composed: &Composition,
        (in_force, agent, gate): (&Arc<InForce>, &Agent, &Gate),
    ) -> Why {
        let covered = composed.spec.masks.iter().chain(&composed.spec.hidden).cloned();
        let reads = match request.trace {
            Trace::Off => None,
            Trace::Files | Trace::Full => Some(Arc::new(Reads::new(gate.clone(), covered))),
        };
        Why {
            reads,
            in_force: Arc::clone(in_force),
            agent: agent.clone(),
            gate: gate.clone(),
            home: request.dirs.home().to_owned(),
            project: project.to_owned(),
            server: request.server(),
            overrides: request.overrides.clone(),
        }
    }

    /// Who hears of opens that only read, where they are traced.
    pub(super) fn reads(&self) -> Option<Arc<Reads>> {
        self.reads.clone()
    }

    /// All that was denied, in the order of the paths.
    pub(super) fn denied(&self) -> Vec<DeniedRead> {
        let all = self.reads.as_ref().map(|reads| reads.denied()).unwrap_or_default();
        // A world has a cache of its own there: what the host's holds is not missed.
        let cache = self.home.join(".cache");
        let all = all.into_iter().filter(|denied| !denied.path.as_path().starts_with(&cache));
        all.take(EXPLAINED_MAX).map(|denied| self.explain(denied)).collect()
    }

    /// The denied changes, where the account is asked for.
    pub(super) fn not_changed(&self, changes: &[DeniedChange]) -> Vec<DeniedWrite> {
        let asked_for = if self.reads.is_some() { changes } else { &[] };
        let explain = |change: &DeniedChange| DeniedWrite {
            path: change.denial.request.act.resource(),
            action: change.denial.request.act.action(),
            times: change.times,
            why: wording::rule_line(&change.denial.grounds),
            hint: change.advice.as_ref().and_then(|advice| advice.hint(Session::Ended)),
        };
        asked_for.iter().map(explain).collect()
    }

    fn explain(&self, denied: Denied) -> DeniedRead {
        let Denied { path, result, times } = denied;
        let act = Act::Read(path.clone());
        let request = Request { agent: self.agent.clone(), act, process: None };
        let facts = self.gate.facts_now();
        let ruling = self.in_force.policy().decide(&request, &facts);
        let why = match (result, ruling.verdict) {
            (ReadResult::Covered, Verdict::Deny) if !ruling.grounds.rules.is_empty() => {
                wording::rule_line(&ruling.grounds)
            }
            (ReadResult::Covered, _) => {
                "a world covers it: no rule names it itself, or it is left out of the plan"
                    .to_owned()
            }
            (_, Verdict::Permit) => {
                "a rule permits it, and it was not there: it came later, or lies behind a link"
                    .to_owned()
            }
            (_, Verdict::Ask(_) | Verdict::Deny) => wording::rule_line(&ruling.grounds),
        };
        let grant = self.in_force.smallest_grant(&request, &facts);
        let advice = |grant: &GrantText| {
            let advice = Advice::of(grant, &self.home, &self.project);
            advice.to_server(self.server.as_ref(), (grant, &self.overrides))
        };
        let hint = grant.and_then(|grant| match advice(&grant) {
            // What every world has by itself is not written there, but read.
            Advice::Base(dir) => Some(format!(
                "what is in `{}` belongs to the runtime base: no grant adds to it",
                dir.display()
            )),
            Advice::Engine(_) => None,
            advice @ (Advice::Grant(_)
            | Advice::Make { .. }
            | Advice::NextSession { .. }
            | Advice::ForServer { .. }
            | Advice::Kept { .. }) => advice.hint(Session::Ended),
        });
        DeniedRead { path, times, why, hint }
    }
}
