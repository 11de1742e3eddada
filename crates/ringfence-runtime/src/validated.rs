//! Which policy texts were found valid before, so that a start need not hold them against the
//! schema again.
//!
//! A key names a text with the schema and the validator, so that nothing is ever out of date. The
//! list is no proof: whoever can write to the state directory can write the policy as well.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ringfence_core::ToolShape;
use ringfence_policy::{Source, validation_key};

use crate::state::StateDirs;
use crate::whole_file::{self, Links};

/// Most texts that are remembered; a list that is full starts anew.
const TEXTS_MAX: usize = 256;

/// Letters of a key: SHA-256 as hex.
const KEY_LETTERS: usize = 64;

/// The texts that were found valid, as the state directory lists them: a key a line.
pub(crate) struct Validated {
    path: PathBuf,
    known: BTreeSet<String>,
}

impl Validated {
    /// Reads the list; one that cannot be read is empty, and everything is validated.
    pub(crate) fn read(dirs: &StateDirs) -> Validated {
        let path = dirs.state().join("validated");
        let text = whole_file::read_text(&path, Links::Refuse).ok().flatten();
        let lines = text.iter().flat_map(|file| file.text.lines());
        let known = lines.filter(|line| line.len() == KEY_LETTERS).map(str::to_owned).collect();
        Validated { path, known }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        self.known.clone()
    }

    /// Adds texts that were loaded without a problem.
    pub(crate) fn remember(self, sources: &[Source], tools: &[ToolShape]) {
        let keys: BTreeSet<String> =
            sources.iter().map(|source| validation_key(&source.text, tools)).collect();
        if keys.is_subset(&self.known) {
            return;
        }
        let kept =
            if self.known.len() + keys.len() > TEXTS_MAX { BTreeSet::new() } else { self.known };
        let all: Vec<String> = kept.into_iter().chain(keys).collect();
        // Not remembered means validated again.
        let _ = whole_file::replace_for_now(&self.path, (all.join("\n") + "\n").as_bytes(), 0o600);
    }
}
