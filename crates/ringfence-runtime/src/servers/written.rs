//! Which rules were written for a server when it was added, word for word, so that those that nobody has changed since can
//! be taken out again.

use std::path::{Path, PathBuf};

use ringfence_core::ServerName;
use serde::{Deserialize, Serialize};

use crate::state::StateDirs;
use crate::whole_file::{self, Links};
use crate::writing::Writing;

/// Version of the file.
const VERSION: u32 = 1;

/// The rules that were written for servers.
#[derive(Debug)]
pub struct Written {
    at: PathBuf,
}

/// A rule that was written for a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrote {
    /// The server.
    pub server: ServerName,
    /// The policy that it stands in.
    pub file: PathBuf,
    /// The rule with its comment, as it was written.
    pub text: String,
}

/// Why it is not known what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`, which says what was written for servers, cannot be used: {why}", at.display())]
pub struct WrittenError {
    at: PathBuf,
    why: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    version: u32,
    wrote: Vec<Wrote>,
}

impl Written {
    /// What was written by this user.
    pub fn of(dirs: &StateDirs) -> Written {
        Written { at: dirs.state().join("rules.json") }
    }

    /// Remembers those of the rules of `proposed` that stand in a policy as it was saved.
    pub fn remember(
        &self,
        (server, file): (&ServerName, &Path),
        (proposed, saved): (&str, &str),
    ) -> Result<(), WrittenError> {
        let _writing = self.writing()?;
        let mut all = self.read()?;
        for text in proposed.split("\n\n").map(|it| it.trim_matches('\n')) {
            let one =
                Wrote { server: server.clone(), file: file.to_owned(), text: text.to_owned() };
            if !text.is_empty() && saved.contains(text) && !all.wrote.contains(&one) {
                all.wrote.push(one);
            }
        }
        self.write(&all)
    }

    /// What was written for a server.
    pub fn rules_of(&self, server: &ServerName) -> Result<Vec<Wrote>, WrittenError> {
        let all = self.read()?.wrote;
        Ok(all.into_iter().filter(|it| it.server == *server).collect())
    }

    /// Forgets what is not there any more.
    pub fn forget(&self, gone: &[Wrote]) -> Result<(), WrittenError> {
        let _writing = self.writing()?;
        let mut all = self.read()?;
        all.wrote.retain(|it| !gone.contains(it));
        self.write(&all)
    }

    /// Others add servers as well.
    fn writing(&self) -> Result<Writing, WrittenError> {
        let dir = self.at.parent().unwrap_or(Path::new("/"));
        Writing::begin(dir).map_err(|it| self.failed(&it))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> WrittenError {
        WrittenError { at: self.at.clone(), why: error.to_string() }
    }

    fn read(&self) -> Result<Records, WrittenError> {
        let text = whole_file::read_text(&self.at, Links::Refuse).map_err(|it| self.failed(&it))?;
        let Some(text) = text else { return Ok(Records { version: VERSION, wrote: Vec::new() }) };
        let all: Records = serde_json::from_str(&text.text).map_err(|it| self.failed(&it))?;
        if all.version != VERSION {
            return Err(self.failed(&format!("version {} is not known", all.version)));
        }
        Ok(all)
    }

    fn write(&self, all: &Records) -> Result<(), WrittenError> {
        let text = serde_json::to_vec_pretty(all).map_err(|it| self.failed(&it))?;
        if let Some(dir) = self.at.parent() {
            whole_file::create_private_dir(dir).map_err(|it| self.failed(&it))?;
        }
        whole_file::replace(&self.at, &text, 0o600).map_err(|it| self.failed(&it))
    }
}

/// A policy without these rules, and which of them stand in it just so: one that somebody has changed stays, and so does one
/// that stands there twice.
pub fn without(text: &str, rules: &[Wrote]) -> (String, Vec<Wrote>) {
    let (mut left, mut gone) = (text.to_owned(), Vec::new());
    for rule in rules {
        let mut places = left.match_indices(&rule.text).map(|(at, _)| at);
        let (Some(at), None) = (places.next(), places.next()) else { continue };
        let begins = |at: usize| at == 0 || left.get(..at).is_some_and(|it| it.ends_with('\n'));
        let end = at.saturating_add(rule.text.len());
        let after = left.get(end..).unwrap_or_default();
        if !begins(at) || !(after.is_empty() || after.starts_with('\n')) {
            continue;
        }
        let end = if after.is_empty() { end } else { end.saturating_add(1) };
        let blank = left.get(..at).is_some_and(|it| it.ends_with("\n\n"));
        left.replace_range(if blank { at.saturating_sub(1) } else { at }..end, "");
        gone.push(rule.clone());
    }
    (left, gone)
}
