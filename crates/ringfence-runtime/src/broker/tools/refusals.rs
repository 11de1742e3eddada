//! What clients send over HTTP and no talk hears of, for it is refused before: each time is an entry, and is said.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use ringfence_core::{Durability, Event, Gate, OddMessage};
use ringfence_proxy::mcp::middle::{ODDS_MAX, OddKind};

use super::serving::ODD_CHARS_MAX;
use crate::notice::Notice;
use crate::wording::printable;

/// The refusals of one client, or of all that nobody knows.
pub(super) struct Refusals {
    gate: Gate,
    client: Option<u32>,
    /// How often, by kind: whoever has no token does not use up what is told of others.
    counts: Mutex<HashMap<OddKind, u32>>,
}

impl Refusals {
    pub(super) fn of(gate: &Gate, client: Option<u32>) -> Refusals {
        Refusals { gate: gate.clone(), client, counts: Mutex::default() }
    }

    /// One more, and why.
    pub(super) fn tell(&self, kind: OddKind, what: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
        let count = *count;
        drop(counts);
        if count > ODDS_MAX {
            return;
        }
        let what = if count == ODDS_MAX {
            format!("{ODDS_MAX} times something refused ({}); no more is told of it", kind.name())
        } else {
            what.chars().take(ODD_CHARS_MAX).collect()
        };
        let client = self.client.map_or_else(String::new, |it| format!(" {it}"));
        let notice = Notice::new(format!("mcp: the client{client}: {}", printable(&what)));
        // Where nobody reads it, the log has it.
        let _ = writeln!(io::stderr().lock(), "{notice}");
        let kind = if count == ODDS_MAX { OddKind::TooMuch } else { kind };
        let kind = kind.name().to_owned();
        let message =
            OddMessage { server: None, client: self.client, kind, what, found: Vec::new() };
        // A log that fails ends the session.
        let _ = self.gate.note(Event::OddMessage(message), Durability::Soon);
    }
}
