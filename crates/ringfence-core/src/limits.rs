//! Limits that are reserved before an act and settled after it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many steps a session may take unless settings say otherwise, in permitted acts.
const STEPS_MAX_DEFAULT: u64 = 1_000_000;

/// The limits of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most permitted acts in a session.
    pub steps_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps_max: STEPS_MAX_DEFAULT }
    }
}

/// The counter behind [`Limits::steps_max`]: reserved by the gate, given back if nothing happened.
#[derive(Debug)]
pub struct StepLimit {
    left: AtomicU64,
}

/// One reserved step; dropping it gives the step back, settling it spends it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Reservation(());

impl StepLimit {
    /// A counter with `steps_max` steps left.
    pub fn new(steps_max: u64) -> StepLimit {
        StepLimit { left: AtomicU64::new(steps_max) }
    }

    /// Takes one step; `None` when none is left.
    pub(crate) fn reserve(&self) -> Option<Reservation> {
        let take = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Reservation(()))
    }

    /// Gives a reserved step back: the act did not happen.
    pub(crate) fn give_back(&self, reservation: Reservation) {
        drop(reservation);
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// Steps that are left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }
}
