//! Acting about files as somebody else, as one thread and for one moment.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Who the calling thread is, to be had back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    uid: u32,
    gid: u32,
}

/// Whose files a thread makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileUser {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

impl Own {
    /// Who the calling thread is, root, which then is in no further group and cannot go beyond
    /// quotas and reserved space, for good.
    pub(crate) fn without_groups() -> io::Result<Own> {
        // SAFETY: setgroups(2) with a length of 0 reads nothing. The raw call changes the calling
        // thread alone.
        let groups = unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) };
        if groups != 0 {
            return Err(io::Error::last_os_error());
        }
        let sets = capabilities(None)?;
        let effective = sets.effective - CapabilitySet::SYS_RESOURCE;
        set_capabilities(None, CapabilitySets { effective, ..sets })?;
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Ok(Own { uid: uid.as_raw(), gid: gid.as_raw() })
    }

    /// Makes the calling thread this user, who is not root, about files.
    ///
    /// With it go the capabilities about files: the kernel takes all of them out of effect when the
    /// user about files changes from root to another, and puts them back at the way back
    /// (capabilities(7), "Effect of user ID changes on capabilities"). [`Own::back`] has to follow,
    /// also after an error.
    pub(crate) fn give_up(self, user: FileUser) -> io::Result<()> {
        if self.uid != 0 || user.uid == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        set_ids(user.uid, user.gid)
    }

    /// Makes the calling thread again what it was; after an error it must do nothing any more.
    pub(crate) fn back(self) -> io::Result<()> {
        set_ids(self.uid, self.gid)
    }
}

/// Changes who the calling thread is about files, and nothing else of it.
fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: setfsgid(2) and setfsuid(2) take numbers, change the credentials of the calling
    // thread, and touch no memory.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    }
    // They tell of no failure. Asked for a number that nobody has, they change nothing and say
    // what is in force.
    // SAFETY: as above.
    let now = unsafe { (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX)) };
    if now == (uid.cast_signed(), gid.cast_signed()) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

#[cfg(test)]
mod tests;
