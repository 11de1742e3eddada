//! The secrets of one session: what is bound outside of it, and what stands in for it inside.

use std::sync::Arc;

use ringfence_secrets::Held;
use ringfence_secrets::backend::{self, Backends};
use ringfence_secrets::binding::Delivery;
use ringfence_secrets::sentinel::Sentinel;
use ringfence_secrets::store::Store;

use super::RunError;
use crate::environment::Environment;
use crate::state::StateDirs;

/// A session's secrets.
pub(super) struct Secrets {
    /// What the net gate puts into requests.
    pub(super) held: Arc<Held>,
    /// Variables whose values are secrets.
    pub(super) withheld: Vec<String>,
}

/// Makes a stand-in for each secret of this user; no value of the store is read before its use is
/// permitted.
pub(super) fn held(dirs: &StateDirs, environment: &Environment) -> Result<Secrets, RunError> {
    let store = Store::at(dirs.secrets());
    let bindings = store.list()?;
    let withheld = backend::withheld(&bindings);
    let variable = |name: &str| environment.text(name).map(str::to_owned);
    let backends = Backends::new(store, &bindings, variable);
    let held = Held::new(bindings, Arc::new(backends));
    let held = held.map(Arc::new).map_err(RunError::step("make stand-ins"))?;
    Ok(Secrets { held, withheld })
}

/// Where the world's programs find them.
pub(super) fn stand_ins(held: &Held) -> Vec<(Delivery, Sentinel)> {
    held.deliveries().map(|(place, sentinel)| (place.clone(), sentinel)).collect()
}
