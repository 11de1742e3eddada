//! The secrets of one session: what is bound outside of it, and what stands in for it inside.

use std::path::Path;
use std::sync::Arc;

use ringfence_core::SessionId;
use ringfence_secrets::Held;
use ringfence_secrets::backend::{self, Backends, Sources};
use ringfence_secrets::binding::Delivery;
use ringfence_secrets::held::Fetch;
use ringfence_secrets::loans::NotReturned;
use ringfence_secrets::sentinel::Sentinel;
use ringfence_secrets::store::Store;

use super::RunError;
use crate::clock::HostClock;
use crate::environment::Environment;
use crate::notice::Notice;
use crate::state::StateDirs;
use crate::wording::printable;

/// A session's secrets.
pub(super) struct Secrets {
    /// What the net gate puts into requests.
    pub(super) held: Arc<Held>,
    /// Where the values come from.
    pub(super) backends: Arc<Backends>,
    /// Variables whose values are secrets, or lead to them.
    pub(super) withheld: Vec<String>,
}

/// Makes a stand-in for each secret of this user; no value of the store is read, and no vault asked,
/// before its use is permitted.
pub(super) fn held(
    (dirs, environment): (&StateDirs, &Environment),
    session: &SessionId,
    project: &Path,
) -> Result<Secrets, RunError> {
    let store = Store::at(dirs.secrets());
    let bindings = store.list()?;
    let withheld = backend::withheld(&bindings);
    let sources = Sources {
        store,
        variable: &|name| environment.text(name).map(str::to_owned),
        home: dirs.home(),
        way_out: environment.way_out(),
        session: session.as_str(),
        project,
        clock: Arc::new(HostClock::utc()),
    };
    let backends = Arc::new(Backends::new(sources, &bindings));
    let held = Held::new(bindings, Arc::clone(&backends) as Arc<dyn Fetch>);
    let held = held.map(Arc::new).map_err(RunError::step("make stand-ins"))?;
    Ok(Secrets { held, backends, withheld })
}

/// Gives back what vaults lent; what the person should know of that.
pub(super) fn end(held: &Held) -> Vec<Notice> {
    let notice = |it: NotReturned| {
        let NotReturned { place, lease, why } = it;
        let text = format!(
            "`{}` could not be given back to the vault, and opens what it opened until it ends: {}",
            printable(&lease),
            printable(&why)
        );
        let by_hand = if place.starts_with("vault-token:") {
            format!("vault token revoke -accessor {lease}")
        } else {
            format!("vault lease revoke {lease}")
        };
        Notice::new(text).hint(format!("to give it back, run `{}`", printable(&by_hand)))
    };
    held.end().into_iter().map(notice).collect()
}

/// Where the world's programs find them.
pub(super) fn stand_ins(held: &Held) -> Vec<(Delivery, Sentinel)> {
    held.deliveries().map(|(place, sentinel)| (place.clone(), sentinel)).collect()
}
