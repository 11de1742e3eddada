//! The masks that processes give the permissions of what they make, remembered for a moment.
//!
//! A mask stands in `/proc/TID/status`, of which the kernel writes fifty lines for that one. A group
//! of threads has one mask and shares it with nobody, as long as nobody asks for something else
//! (`clone` and `unshare` with `CLONE_FS`): from then on it is read each time. A change of it
//! is notified. So a remembered one is the one that counts; only where two threads of a process set
//! it at the same moment, it may for [`TRUST`] be that of the other one.
//!
//! Nothing is permitted by a mask: it is the process's own wish about its own files.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::Mode;

/// How long a mask is believed: a number of a process comes again only after all others did, which
/// takes the kernel seconds (see `GROUP_TRUST`).
const TRUST: Duration = Duration::from_millis(50);

/// The same for one that the process itself has set: before the kernel carries that out, `/proc`
/// still shows the one before.
const SET_TRUST: Duration = Duration::from_secs(1);

/// Most processes that are remembered.
const PROCESSES_MAX: usize = 1024;

/// The masks by process.
#[derive(Debug, Default)]
pub(super) struct Umasks {
    known: Mutex<HashMap<i32, Known>>,
    shared: AtomicBool,
}

/// A mask, and until when it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    mask: Mode,
    until: Instant,
}

impl Umasks {
    /// The mask of a process, remembered or `read`.
    pub(super) fn of<E>(
        &self,
        process: i32,
        read: impl FnOnce() -> Result<Mode, E>,
    ) -> Result<Mode, E> {
        if self.shared.load(Ordering::Acquire) {
            return read();
        }
        let seen = self.known().get(&process).copied();
        if let Some(known) = seen.filter(|known| Instant::now() < known.until) {
            return Ok(known.mask);
        }
        let mask = read()?;
        let mut known = self.known();
        // What the process has set meanwhile is younger than what was read.
        if known.get(&process).copied() == seen {
            remember(&mut known, process, mask, TRUST);
        }
        Ok(mask)
    }

    /// A process is about to set its mask.
    pub(super) fn set(&self, process: i32, mask: Mode) {
        remember(&mut self.known(), process, mask, SET_TRUST);
    }

    /// From now on threads of one process may have several masks, or several processes one.
    pub(super) fn forget_for_good(&self) {
        self.shared.store(true, Ordering::Release);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<i32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(known: &mut HashMap<i32, Known>, process: i32, mask: Mode, trust: Duration) {
    let now = Instant::now();
    if known.len() >= PROCESSES_MAX {
        known.retain(|_, known| now < known.until);
    }
    // Most are busy: what is not remembered is read.
    if known.len() < PROCESSES_MAX || known.contains_key(&process) {
        known.insert(process, Known { mask, until: now + trust });
    }
}
