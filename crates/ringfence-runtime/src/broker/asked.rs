//! The trees in which files are opened that are asked about.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ringfence_core::AbsolutePath;
use ringfence_sandbox::notify::{self, AskedReads, Listener};
use ringfence_sandbox::world::{Access, Switch, World, WorldError};

use super::RunError;
use crate::compose::Asked;

/// The trees of one kind, by where they begin.
type Trees = BTreeMap<AbsolutePath, Arc<OwnedFd>>;

/// Has the files of these places opened outside, once that is decided.
pub(super) fn open(listener: &Listener, world: &World, asked: Asked) -> Result<(), RunError> {
    let Asked { places, except, shut } = asked;
    if places.is_empty() {
        return Ok(());
    }
    let (mut shown, mut changed) = (Trees::new(), Trees::new());
    let mut opened = Vec::new();
    for place in places {
        let begins = notify::begins(&place.path);
        let reads = match place.reads {
            Switch::On => AskedReads::Decided(tree(world, (&mut shown, Access::Read), &begins)?),
            Switch::Off => AskedReads::Shown,
        };
        let writes = match place.writes {
            Switch::On => Some(tree(world, (&mut changed, Access::Write), &begins)?),
            Switch::Off => None,
        };
        opened.push(notify::AskedPlace { path: place.path, begins, reads, writes });
    }
    Ok(listener.open_asked(opened, (&except, &shut))?)
}

/// One tree for all places that begin alike.
fn tree(
    world: &World,
    (known, access): (&mut Trees, Access),
    begins: &AbsolutePath,
) -> Result<Arc<OwnedFd>, WorldError> {
    if let Some(tree) = known.get(begins) {
        return Ok(Arc::clone(tree));
    }
    let tree = Arc::new(world.view(begins.as_path(), access)?);
    known.insert(begins.clone(), Arc::clone(&tree));
    Ok(tree)
}
