//! A world whose changes are kept aside: which trees have an overlay, and what lies in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ringfence_sandbox::world::{IdMap, Overlay};

use super::layout::{Layout, Use};
use super::mountpoints::{self, Kind};
use super::placeholders::Placeholder;
use super::{ComposeError, Payload, RunRequest};
use crate::review::{self, Asked, Kept, Owner};
use crate::state::StateDirs;

/// Makes the upper layers. What is mounted on is made in them: nothing of it is on the host.
pub(super) fn lay(
    (dirs, request): (&StateDirs, &RunRequest),
    (layout, masks): (&Layout, &[(PathBuf, Kind)]),
    payload: &Payload,
) -> Result<(Kept, Vec<Overlay>), ComposeError> {
    let of = |wanted: Use| {
        let places = layout.places().filter(move |(_, usage)| *usage == wanted);
        places.map(|(path, _)| path.to_owned())
    };
    let closed = of(Use::Read).chain(masks.iter().map(|(path, _)| path.clone())).collect();
    let used = mountpoints::used(layout, masks, &BTreeSet::new());
    let places = used.into_iter().map(|Placeholder { path, kind }| {
        let content = match kind {
            Kind::Dir => None,
            Kind::File => Some(Placeholder::content(&path)),
        };
        (path, content)
    });
    let upper = (payload.identity.uid, payload.identity.gid);
    let owner = match payload.idmap {
        IdMap::None => None,
        IdMap::Owner { uid, gid } => Some(Owner { upper, host: (uid, gid) }),
    };
    let asked = Asked {
        dirs,
        session: &request.session,
        writable: of(Use::Write).collect(),
        closed,
        places: places.collect(),
        owner,
    };
    review::lay(&asked).map_err(|(path, reason)| ComposeError::Review { path, reason })
}
