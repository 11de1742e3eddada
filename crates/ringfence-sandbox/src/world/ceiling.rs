//! The Landlock ceiling: all that this world could ever be granted, whatever is mounted.
//!
//! Rules hang on directories and hold for whatever is mounted beneath them later. Landlock cannot
//! be loosened once it holds, so the directories beneath which grants may come are in it from the
//! start; what may be done there *now* is what the mounts say.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};

use super::failure::{During as _, Failure, Need};
use super::{Access, Require, WorldSpec};
use crate::seccomp::Profile;
use crate::sys;

/// With scopes for signals and abstract sockets, Landlock does all we ask of it.
const ABI_FULL: i32 = 6;
/// Truncation and renames across directories are governed: the least that is a ceiling.
const ABI_LEAST: i32 = 3;

/// The rules for `spec`, for a kernel that can hold them all.
///
/// All that is asked for is a hard requirement: what the kernel lacks is an error here.
pub(super) fn build(spec: &WorldSpec) -> Result<OwnedFd, Failure> {
    let version = sys::landlock::abi().during(Need::Landlock, "ask for Landlock")?;
    let least = match spec.landlock {
        Require::Full => ABI_FULL,
        Require::Partial => ABI_LEAST,
    };
    if version < least {
        let step = format!("ABI {least} is needed, the kernel has ABI {version}");
        return Err(Failure { need: Need::Landlock, errno: libc::EOPNOTSUPP, step });
    }
    let step = "build the ceiling";
    let rules = Rules::new(ABI::from(version))
        .and_then(|rules| rules.of(spec))
        .map_err(io::Error::other)
        .during(Need::Landlock, step)?;
    Option::<OwnedFd>::from(rules).ok_or_else(|| {
        let errno = libc::EOPNOTSUPP;
        Failure { need: Need::Landlock, errno, step: step.to_owned() }
    })
}

/// Makes the ceiling hold for the calling process, for good.
pub(super) fn enforce(ceiling: &OwnedFd) -> Result<(), Failure> {
    sys::landlock::restrict_thread(ceiling.as_fd()).during(Need::Landlock, "enforce the ceiling")
}

/// A rule set in the making.
struct Rules {
    set: RulesetCreated,
    abi: ABI,
}

type Made<T> = Result<T, landlock::RulesetError>;

impl Rules {
    /// Everything this kernel can govern, governed; nothing allowed yet.
    fn new(abi: ABI) -> Made<Rules> {
        let set = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi) & !later(abi))?;
        let scopes = Scope::from_all(abi);
        let set = if scopes.is_empty() { set } else { set.scope(scopes)? };
        Ok(Rules { set: set.create()?, abi })
    }

    fn of(self, spec: &WorldSpec) -> Made<RulesetCreated> {
        let read = AccessFs::from_read(self.abi);
        let nodes = AccessFs::MakeChar | AccessFs::MakeBlock;
        let write = AccessFs::from_all(self.abi) & !later(self.abi) & !nodes;
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir;
        let ioctl = AccessFs::from_all(self.abi) & (AccessFs::IoctlDev | AccessFs::Truncate);
        let mut rules = self
            .allow(Path::new("/"), AccessFs::ReadDir.into())?
            .allow(Path::new("/proc"), proc(spec.seccomp))?
            .allow(Path::new("/dev"), device | ioctl)?
            .allow(Path::new("/dev/shm"), write)?;
        // One rule for all of `/etc`: what is there is what was put there.
        let system = spec.base.binds.iter().chain(spec.base.files.iter().map(|file| &file.target));
        let system: BTreeSet<PathBuf> = system.map(|path| top(path)).collect();
        for path in &system {
            rules = rules.allow(path, read)?;
        }
        for file in spec.files.iter().filter(|file| !system.contains(&top(&file.target))) {
            rules = rules.allow(&file.target, read)?;
        }
        for path in spec.base.dirs.iter().chain(&spec.dirs).chain(&spec.grantable) {
            rules = rules.allow(path, write)?;
        }
        for bind in &spec.binds {
            let access = match bind.access {
                Access::Read => read,
                Access::Write | Access::Overlay => write,
            };
            rules = rules.allow(&bind.target, access)?;
        }
        Ok(rules.set)
    }

    /// Allows `access` to `path` and all beneath; a path that is not there needs no rule.
    fn allow(mut self, path: &Path, access: BitFlags<AccessFs>) -> Made<Rules> {
        let Ok(meta) = std::fs::metadata(path) else { return Ok(self) };
        let Ok(fd) = PathFd::new(path) else { return Ok(self) };
        let access = if meta.is_dir() { access } else { access & AccessFs::from_file(self.abi) };
        if !access.is_empty() {
            self.set = self.set.add_rule(PathBeneath::new(fd, access))?;
        }
        Ok(self)
    }
}

/// What may be done in `/proc`. Who makes a user namespace says there who is who in it; what else could be
/// written is of processes of this world, by whoever may trace them.
fn proc(profile: Profile) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match profile {
        Profile::Default | Profile::Strict | Profile::Build => read,
        Profile::Browser => read | AccessFs::WriteFile,
    }
}

/// The first directory on the way to `path`.
fn top(path: &Path) -> PathBuf {
    path.components().take(2).collect()
}

/// What this version of the ceiling does not use: connects to unix sockets are the gate's.
fn later(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & AccessFs::ResolveUnix
}
