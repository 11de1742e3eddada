//! What this kernel can enforce, found by trying.

use ringfence_core::LayerStatus;

use crate::world::trial;

/// Tries each layer in a process of its own and says what happened, and what to do about it.
///
/// Must be called while the process has one thread: it forks.
pub fn probe() -> Vec<LayerStatus> {
    trial::layers()
}
