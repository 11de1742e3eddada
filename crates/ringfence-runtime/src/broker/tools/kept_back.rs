//! Tools that are kept back from agents: which of them nobody has been told of yet, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use ringfence_proxy::mcp::middle::OddKind;

use crate::wording::printable;

/// Most tools that are named in one line.
const NAMED_MAX: usize = 3;

/// Most characters of a name there.
const NAME_CHARS_MAX: usize = 64;

/// Why a tool is kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Since {
    /// Its server says something else of it than what was pinned.
    Changed,
    /// Nobody has looked at it.
    Unpinned,
}

impl Since {
    pub(super) fn kind(self) -> OddKind {
        match self {
            Since::Changed => OddKind::ToolChanged,
            Since::Unpinned => OddKind::ToolUnpinned,
        }
    }

    /// What is said of these tools of a server.
    pub(super) fn words(self, server: &str, tools: &BTreeSet<String>) -> String {
        let number = match tools.len() {
            1 => "1 tool is".to_owned(),
            more => format!("{more} tools are"),
        };
        let why = match self {
            Since::Changed => "said to be something else than what was pinned",
            Since::Unpinned => "new, and nobody has looked at it",
        };
        let name = |tool: &String| {
            format!("`{}`", printable(&tool.chars().take(NAME_CHARS_MAX).collect::<String>()))
        };
        let named = tools.iter().take(NAMED_MAX).map(name).collect::<Vec<_>>().join(", ");
        let more = match tools.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{number} kept back, {why}: `ringfence mcp inspect {server} --diff` shows {named}{more}"
        )
    }
}

/// What nobody has been told of yet, of each server.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<BTreeMap<(usize, Since), BTreeSet<String>>>);

impl Untold {
    pub(super) fn add(&self, of: (usize, Since), tool: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(of).or_default().insert(tool.to_owned());
    }

    /// All of it of the servers that this holds for; it counts as told then.
    pub(super) fn take(
        &self,
        of: impl Fn(usize) -> bool,
    ) -> Vec<((usize, Since), BTreeSet<String>)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = std::mem::take(&mut *all).into_iter().partition(|((it, _), _)| of(*it));
        *all = left;
        Vec::from_iter::<BTreeMap<_, _>>(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_told_once_of_each_server_and_names_few() {
        let untold = Untold::default();
        for tool in ["a", "b", "c", "d\u{1b}[2J"] {
            untold.add((1, Since::Changed), tool);
            untold.add((1, Since::Changed), tool);
        }
        untold.add((0, Since::Unpinned), "x");
        assert!(untold.take(|server| server > 1).is_empty());
        let told = untold.take(|server| server == 1);
        let [((1, Since::Changed), tools)] = told.as_slice() else { panic!("{told:?}") };
        let said = Since::Changed.words("shifty", tools);
        assert_eq!(
            said,
            "4 tools are kept back, said to be something else than what was pinned: \
             `ringfence mcp inspect shifty --diff` shows `a`, `b`, `c` and 1 more"
        );
        assert!(untold.take(|server| server == 1).is_empty());
        let told = untold.take(|_| true);
        let said = Since::Unpinned.words("shifty", &told[0].1);
        assert!(said.starts_with("1 tool is kept back, new, and nobody has looked"), "{said}");
        let hidden = BTreeSet::from(["d\u{1b}[2J".to_owned()]);
        assert!(!Since::Changed.words("shifty", &hidden).contains('\u{1b}'));
    }
}
