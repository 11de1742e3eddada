//! The secrets of one session: what is bound outside of it, and what stands in for it inside.

use std::sync::Arc;

use ringfence_secrets::Held;
use ringfence_secrets::binding::Delivery;
use ringfence_secrets::sentinel::Sentinel;
use ringfence_secrets::store::Store;

use super::RunError;
use crate::state::StateDirs;

/// Makes a stand-in for each secret of this user; no value is read before its use is permitted.
pub(super) fn held(dirs: &StateDirs) -> Result<Arc<Held>, RunError> {
    let store = Store::at(dirs.secrets());
    let bindings = store.list()?;
    Held::new(bindings, Arc::new(store)).map(Arc::new).map_err(RunError::step("make stand-ins"))
}

/// Where the world's programs find them.
pub(super) fn stand_ins(held: &Held) -> Vec<(Delivery, Sentinel)> {
    held.deliveries().map(|(place, sentinel)| (place.clone(), sentinel.clone())).collect()
}
