//! Proof that a caller is held by nothing that the world which is kept ready is not held by.
//!
//! Who has `CAP_SYS_ADMIN` confines itself with Landlock without `no_new_privs`, and `/proc` does not show
//! it. But the kernel shows what a process has open only to one whose domain is the same, or above
//! (`ptrace(2)`, access mode checking; a domain of Landlock asks that of everybody, whatever capabilities
//! they have). So a world has a file with a secret name open, and such a caller has to tell the name.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};

/// What the file is called, before its secret part.
const NAME: &str = "ringfence-proof-";

/// What the kernel puts before and behind the name of a file in memory.
const BEFORE: &str = "/memfd:";
const BEHIND: &str = " (deleted)";

/// The file whose name is secret, open for as long as this lives.
#[derive(Debug)]
pub struct Proof {
    name: String,
    _open: OwnedFd,
}

impl Proof {
    /// A name that nobody knows.
    pub fn new() -> io::Result<Proof> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("{NAME}{:032x}", u128::from_ne_bytes(random));
        let open = memfd_create(name.as_str(), MemfdFlags::CLOEXEC)?;
        Ok(Proof { name, _open: open })
    }

    /// Whether somebody told it.
    pub fn is(&self, told: &[u8]) -> bool {
        told == self.name.as_bytes()
    }
}

/// The name that a process has open, if it may be looked at.
pub fn of_process(pid: i32) -> Option<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).find_map(|link| {
        let name = link.to_str()?.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
        name.starts_with(NAME).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::{Proof, of_process};

    #[test]
    fn who_may_look_finds_the_name_and_nobody_guesses_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let proof = Proof::new().unwrap();
        assert!(proof.is(of_process(own).unwrap().as_bytes()));
        let other = Proof::new().unwrap();
        assert!(
            !other.is(proof.name.as_bytes()) && !other.is(b"") && !other.is(b"ringfence-proof-")
        );
        drop((proof, other));
        assert_eq!(of_process(own), None);
    }
}
