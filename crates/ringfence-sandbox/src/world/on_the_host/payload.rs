//! What a payload gives up where no namespace is its own.

use rustix::thread::{Gid, Uid};

use super::super::failure::{During as _, Failure, Need};
use super::super::payload::{drop_capabilities, limits};
use super::super::{ResourceLimits, WorldSpec, identity};
use crate::sys::process::empty_bounding_set;

/// The payload's user and group, without capabilities, now or by any exec.
pub(in crate::world) fn become_user(spec: &WorldSpec) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        empty_bounding_set().during(Need::Payload, "empty the capability bounding set")?;
        let (uid, gid) = (Uid::from_raw(spec.identity.uid), Gid::from_raw(spec.identity.gid));
        rustix::thread::set_thread_groups(&[]).during(Need::Payload, "drop groups")?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)
            .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
            .during(Need::Payload, "become the payload's user")?;
    }
    drop_capabilities()
}

/// Its limits; and who decides about it can read it.
pub(in crate::world) fn limit(spec: &WorldSpec) -> Result<(), Failure> {
    // The kernel counts a user's processes on the whole host: that limit is no world's.
    limits(ResourceLimits { processes: None, ..spec.limits })?;
    // Who answers reads the arguments of the exec out of this process.
    identity::dumpable(identity::Dumpable::Yes)
}
