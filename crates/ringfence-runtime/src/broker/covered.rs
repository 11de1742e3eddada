//! Covers that programs outside took away while a session ran, and that were put back: each is
//! recorded, and said in the end.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ringfence_core::{AbsolutePath, Durability, Event, Gate};

use crate::notice::Notice;

/// Most places that are named in the end; every one is in the log.
const NAMED_MAX: usize = 8;

/// The covers that were put back so far.
pub(super) struct Covered {
    gate: Gate,
    places: BTreeSet<PathBuf>,
}

impl Covered {
    pub(super) fn new(gate: Gate) -> Covered {
        Covered { gate, places: BTreeSet::new() }
    }

    /// To be said when a cover was put back.
    pub(super) fn add(&mut self, place: PathBuf) {
        if let Some(path) = place.to_str().and_then(|text| AbsolutePath::parse(text).ok()) {
            // A log that fails ends the session, and says so.
            let _ = self.gate.note(Event::Covered { path }, Durability::Soon);
        }
        self.places.insert(place);
    }

    /// What the person should know of it.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let told = self.places.iter().take(NAMED_MAX).map(|place| {
            let place = place.display();
            Notice::new(format!("`{place}` was replaced while the session ran, and covered again"))
        });
        let more = self.places.len().saturating_sub(NAMED_MAX);
        let rest =
            (more > 0).then(|| Notice::new(format!("{more} more places were covered again")));
        told.chain(rest).collect()
    }
}
