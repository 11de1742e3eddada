//! Who the payload is outside: the person, or, started by root, anybody but root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use ringfence_sandbox::base::Account;
use ringfence_sandbox::world::{IdMap, Identity};

use super::{ComposeError, RunRequest};
use crate::assemble::Assembled;
use crate::users::{self, User};

/// User and group of `nobody`, the same on every Linux.
const NOBODY: Identity = Identity { uid: 65534, gid: 65534 };

/// The payload's user, and whose files appear as its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Never root.
    pub identity: Identity,
    /// Whose files on the host appear as the payload's.
    pub idmap: IdMap,
    /// Login name in the world.
    pub name: String,
}

impl Payload {
    /// The owner that a file on the host must have so that the payload owns it.
    pub(super) fn owner_on_host(&self) -> (u32, u32) {
        match self.idmap {
            IdMap::None => (self.identity.uid, self.identity.gid),
            IdMap::Owner { uid, gid } => (uid, gid),
        }
    }

    /// Makes the payload the owner of a file of ours.
    pub(super) fn own(&self, path: &Path) -> Result<(), ComposeError> {
        let (uid, gid) = self.owner_on_host();
        if rustix::process::geteuid().as_raw() == uid {
            return Ok(());
        }
        lchown(path, Some(uid), Some(gid))
            .map_err(|source| ComposeError::Copy { path: path.to_owned(), source })
    }

    /// The line of the world's `/etc/passwd`.
    pub(super) fn account(&self, home: &Path) -> Account {
        let Identity { uid, gid } = self.identity;
        let shell = ["/bin/bash", "/bin/sh"].map(PathBuf::from);
        let shell = shell.into_iter().find(|shell| shell.exists()).unwrap_or("/bin/sh".into());
        Account { name: self.name.clone(), uid, gid, home: home.to_owned(), shell }
    }
}

/// The person who started us; for root, whom the settings name, else who used sudo, else nobody.
pub(super) fn choose(assembled: &Assembled, request: &RunRequest) -> Result<Payload, ComposeError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if uid != 0 {
        return Ok(named(Identity { uid, gid }, IdMap::None));
    }
    let identity = match &assembled.settings.run_user {
        Some(name) => of_settings(name)?,
        None => of_sudo(request).unwrap_or(NOBODY),
    };
    // The project belongs to somebody: in the world that is the payload.
    let owner =
        fs::metadata(&assembled.project.dir).map(|metadata| (metadata.uid(), metadata.gid()));
    let idmap = match owner {
        // Without mounts nobody maps owners: files stay whose they are.
        _ if !request.tier.has_mounts() => IdMap::None,
        Ok((uid, _)) if uid == identity.uid => IdMap::None,
        Ok((uid, gid)) => IdMap::Owner { uid, gid },
        Err(_) => IdMap::Owner { uid, gid },
    };
    Ok(named(identity, idmap))
}

fn named(identity: Identity, idmap: IdMap) -> Payload {
    let name = users::by_id(identity.uid).map(|user| user.name);
    Payload { identity, idmap, name: name.unwrap_or_else(|| "agent".to_owned()) }
}

fn of_settings(name: &str) -> Result<Identity, ComposeError> {
    let User { uid, gid, .. } =
        users::by_name(name).ok_or_else(|| ComposeError::NoUser(name.to_owned()))?;
    if uid == 0 { Err(ComposeError::RootUser) } else { Ok(Identity { uid, gid }) }
}

fn of_sudo(request: &RunRequest) -> Option<Identity> {
    let number = |name: &str| request.environment.text(name)?.parse::<u32>().ok();
    let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
    (uid != 0 && gid != 0).then_some(Identity { uid, gid })
}
