//! Starts of which there is no session, or none in which anything ran: what a log cannot tell.

use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use serde::{Deserialize, Serialize};

use crate::state::StateDirs;
use crate::whole_file::{self, Links};
use crate::wording::printable;

/// Most starts that are kept: older ones go.
const KEPT_MAX: usize = 64;
/// Most of a reason and of a command that is kept, in characters.
const CHARACTERS_MAX: usize = 400;
/// Most words of a command that are kept.
const WORDS_MAX: usize = 16;

/// A start that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStart {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The agent's name.
    pub agent: String,
    /// What was to be started, as far as it is kept.
    pub command: Vec<String>,
    /// Where.
    pub cwd: PathBuf,
    /// Why, in one line.
    pub why: String,
    /// The session, where it came to one.
    pub session: Option<SessionId>,
}

impl FailedStart {
    /// The same, cut to what is kept.
    fn cut(mut self) -> FailedStart {
        let cut = |text: &str| printable(text).chars().take(CHARACTERS_MAX).collect::<String>();
        self.command = self.command.iter().take(WORDS_MAX).map(|word| cut(word)).collect();
        self.why = cut(self.why.lines().next().unwrap_or_default());
        self
    }
}

/// Keeps one beside those before it, on an account that has a state. Two at a time may lose one; what
/// cannot be kept was said.
pub fn keep(dirs: &StateDirs, failed: FailedStart) {
    if !dirs.state().is_dir() {
        return;
    }
    let mut all = kept(dirs);
    all.push(failed.cut());
    let first = all.len().saturating_sub(KEPT_MAX);
    let lines = all.iter().skip(first).filter_map(|it| serde_json::to_string(it).ok());
    let text: String = lines.map(|line| line + "\n").collect();
    let _ = whole_file::replace_for_now(&file(dirs.state()), text.as_bytes(), 0o600);
}

/// Those that are kept, oldest first; a line of another version is none.
pub fn kept(dirs: &StateDirs) -> Vec<FailedStart> {
    let text = whole_file::read_text(&file(dirs.state()), Links::Refuse).ok().flatten();
    let text = text.map(|it| it.text).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn file(state: &Path) -> PathBuf {
    state.join("failed-starts.jsonl")
}
