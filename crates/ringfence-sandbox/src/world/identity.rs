//! Which user is which in a user namespace.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

use super::IdMap;
use super::channel::{Channel, Topic};
use super::failure::{During as _, Failure, Need};
use super::spec::Identity;
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::{close_all_but, fork};

/// Whether other processes of the same user may look into this one's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dumpable {
    /// They may; and its `/proc` files are its own, which mapping a user needs.
    Yes,
    /// They may not.
    No,
}

/// Opens or closes this process's memory to others; a forked process starts as its parent is.
pub(super) fn dumpable(dumpable: Dumpable) -> Result<(), Failure> {
    let behavior = match dumpable {
        Dumpable::Yes => DumpableBehavior::Dumpable,
        Dumpable::No => DumpableBehavior::NotDumpable,
    };
    rustix::process::set_dumpable_behavior(behavior).during(Need::Payload, "guard the memory")
}

/// Lets one user and one group exist in the user namespace of process `pid` (`self` for one's own),
/// under the numbers they have outside.
pub(super) fn map_one(pid: &str, identity: Identity) -> Result<(), Failure> {
    let Identity { uid, gid } = identity;
    map(pid, (uid, uid), (gid, gid)).during(Need::UserNamespace, "map the user")
}

/// Lets one user and one group exist in one's own user namespace, `(inside, outside)` each.
pub(super) fn map_own(uid: (u32, u32), gid: (u32, u32)) -> Result<(), Failure> {
    map("self", uid, gid).during(Need::UserNamespace, "map the user")
}

/// `(inside, outside)` for one user and one group.
fn map(pid: &str, uid: (u32, u32), gid: (u32, u32)) -> io::Result<()> {
    // Without this an ordinary user may not map groups (CVE-2014-8989). Root need not, and the
    // payload must be able to drop root's groups first.
    if rustix::process::geteuid().as_raw() != 0 || pid == "self" {
        match fs::write(format!("/proc/{pid}/setgroups"), "deny") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::write(format!("/proc/{pid}/uid_map"), format!("{} {} 1", uid.0, uid.1))?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("{} {} 1", gid.0, gid.1))
}

/// What mapping the owners of files is called in errors.
const MAPPING_OWNERS: &str = "make the mapping of owners";

/// A process that makes a user namespace, for as long as it takes to open that.
pub(super) struct MapHolder {
    process: Pid,
    line: Channel,
}

/// Begins to make the user namespace by which a mount shows files of somebody else as the
/// payload's; only root can.
pub(super) fn begin_mount_map() -> Result<Option<MapHolder>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let (line, theirs) = Channel::pair().during(Need::Mounts, MAPPING_OWNERS)?;
    let process = fork(move || {
        // The broker's lines and the other end of its own: their readers would not hear of the end
        // of a mount helper that is killed.
        if close_all_but(&[theirs.as_fd().as_raw_fd()]).is_err() {
            return 1;
        }
        let entered = enter_new(Namespaces::NEWUSER).and_then(|()| theirs.send(Topic::Done, &[]));
        // Until the other side has opened the namespace, and is gone.
        let _ = entered.and_then(|()| theirs.receive());
        0
    })
    .during(Need::Mounts, MAPPING_OWNERS)?;
    Ok(Some(MapHolder { process, line }))
}

impl MapHolder {
    /// The namespace, in which the owner that `map_to` names is the payload, if it names one.
    pub(super) fn finish(
        &self,
        map_to: IdMap,
        payload: Identity,
    ) -> Result<Option<OwnedFd>, Failure> {
        let IdMap::Owner { uid, gid } = map_to else { return Ok(None) };
        let pid = self.process.as_raw_nonzero().to_string();
        let opened = self.line.receive().and_then(|_| {
            map(&pid, (uid, payload.uid), (gid, payload.gid))?;
            Ok(fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
        });
        opened.map(Some).during(Need::Mounts, MAPPING_OWNERS)
    }
}

impl Drop for MapHolder {
    fn drop(&mut self) {
        end(self.process);
    }
}

/// Ends a helper process of ours and takes its status.
fn end(process: Pid) {
    let _ = rustix::process::kill_process(process, Signal::KILL);
    let _ = rustix::process::waitpid(Some(process), WaitOptions::empty());
}
