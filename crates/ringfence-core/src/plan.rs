//! What a policy means for files, independent of any kernel.

use serde::{Deserialize, Serialize};

use crate::{AbsolutePath, Action, RuleRef};

/// What a world may do with a path and everything beneath it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It does not exist.
    Hidden,
    /// It can be read and run.
    Read,
    /// It can be read, run, created, changed and removed.
    Write,
}

/// One line of the plan: the rule with the longest path that holds a file decides about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// The file or directory.
    pub path: AbsolutePath,
    /// What may be done.
    pub access: Access,
    /// The policy rule behind it; `None` for what is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<RuleRef>,
}

/// A place where an approval can permit more than holds without one: each act there is decided when it
/// happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPath {
    /// The file or directory; what is said holds for all beneath it, up to deeper such places.
    pub path: AbsolutePath,
    /// What can be permitted here, asked about or not. Empty: nothing is asked about here, although
    /// it is above.
    pub acts: Vec<Action>,
    /// What is asked about.
    pub asks: Vec<Action>,
    /// The rule that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<RuleRef>,
}

/// The static part of the `fs` rules; never allows more than the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    /// Sorted by path; a path without a rule above it is hidden.
    pub rules: Vec<PathRule>,
    /// Sorted paths of rules that hold for the path alone: when it is a directory, nothing beneath
    /// it is allowed (and binding it would show more than the policy permits).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<AbsolutePath>,
    /// Where acts are asked about, sorted by path; whatever holds there without a question is in `rules`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<AskedPath>,
    /// What the policy allows and the plan had to leave out, each with its reason.
    pub left_out: Vec<String>,
}

impl FilePlan {
    /// The access of `path` and the rule that decides: the longest path at or above it.
    pub fn access(&self, path: &AbsolutePath) -> (Access, Option<&PathRule>) {
        let rule = std::iter::once(path.clone()).chain(path.ancestors()).find_map(|candidate| {
            let at = self.rules.binary_search_by(|rule| rule.path.cmp(&candidate)).ok()?;
            self.rules.get(at)
        });
        match rule {
            Some(rule) if rule.path == *path || !self.is_exact(&rule.path) => {
                (rule.access, Some(rule))
            }
            Some(_) | None => (Access::Hidden, rule),
        }
    }

    /// What is said about questions at `path`: by the longest such path at or above it.
    pub fn asked(&self, path: &AbsolutePath) -> Option<&AskedPath> {
        let found = std::iter::once(path.clone()).chain(path.ancestors()).find_map(|candidate| {
            let at = self.asked.binary_search_by(|asked| asked.path.cmp(&candidate)).ok()?;
            self.asked.get(at)
        });
        found.filter(|asked| !asked.acts.is_empty())
    }

    /// Whether the rule at `path` says nothing about what lies beneath it.
    pub fn is_exact(&self, path: &AbsolutePath) -> bool {
        self.exact.binary_search(path).is_ok()
    }
}
