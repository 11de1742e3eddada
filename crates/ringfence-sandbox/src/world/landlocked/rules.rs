//! Landlock's part: what the payload itself may open, and what those may who act in its place.
//!
//! The payload reads and runs what is granted. It may write nothing but a few devices: every other
//! write is decided, carried out by us, and handed in. Rules only add, so that nothing can be taken
//! out of a granted tree: a world that hides something in one has all its files opened by us.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};

use super::super::failure::{During as _, Failure, Need};
use super::super::on_the_host::places::{DEVICES, base};
use super::super::{Access, Programs, WorldSpec};
use crate::sys;

/// Scopes for signals and abstract sockets: without a process namespace nothing else bounds those.
const ABI_LEAST: i32 = 6;

/// Two rule sets.
pub(super) struct Rules {
    /// For the payload.
    pub(super) payload: OwnedFd,
    /// For those who make and open files in its place.
    pub(super) opener: OwnedFd,
}

/// The rules for `spec`; what the kernel lacks is an error.
pub(super) fn build(spec: &WorldSpec, terminal: Option<&OwnedFd>) -> Result<Rules, Failure> {
    let abi = abi()?;
    let step = "make the world's rules";
    let made = |set: Made<RulesetCreated>| {
        let set = set.map_err(io::Error::other).during(Need::Landlock, step)?;
        owned(set, step)
    };
    Ok(Rules {
        payload: made(Set::new(abi).and_then(|set| set.terminal(terminal)?.of_payload(spec)))?,
        opener: made(Set::new(abi).and_then(|set| set.terminal(terminal)?.of_opener(spec)))?,
    })
}

/// A rule set that governs nothing but whom one may signal.
pub(super) fn signals() -> Result<OwnedFd, Failure> {
    abi()?;
    let step = "make the rule for signals";
    let made = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .scope(Scope::Signal)
        .and_then(Ruleset::create)
        .map_err(io::Error::other)
        .during(Need::Landlock, step)?;
    owned(made, step)
}

fn abi() -> Result<ABI, Failure> {
    let version = sys::landlock::abi().during(Need::Landlock, "ask for Landlock")?;
    if version < ABI_LEAST {
        let step = format!(
            "the `landlock` tier needs ABI {ABI_LEAST}, which bounds signals; the kernel has ABI \
             {version}"
        );
        return Err(Failure { need: Need::Landlock, errno: libc::EOPNOTSUPP, step });
    }
    Ok(ABI::from(version))
}

fn owned(set: RulesetCreated, step: &str) -> Result<OwnedFd, Failure> {
    Option::<OwnedFd>::from(set).ok_or_else(|| {
        let errno = libc::EOPNOTSUPP;
        Failure { need: Need::Landlock, errno, step: step.to_owned() }
    })
}

/// Whether something is hidden in a tree that is granted.
pub(super) fn has_holes(spec: &WorldSpec) -> bool {
    let granted = |hole: &Path| spec.binds.iter().any(|bind| hole.starts_with(&bind.target));
    spec.masks.iter().chain(&spec.hidden).any(|hole| granted(hole))
}

/// A rule set in the making.
struct Set {
    set: RulesetCreated,
    abi: ABI,
}

type Made<T> = Result<T, landlock::RulesetError>;

impl Set {
    /// Everything this kernel can govern, governed; nothing allowed yet.
    fn new(abi: ABI) -> Made<Set> {
        let set = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi) & !(AccessFs::from_all(abi) & later()))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?;
        Ok(Set { set: set.create()?, abi })
    }

    fn of_payload(self, spec: &WorldSpec) -> Made<RulesetCreated> {
        let read = AccessFs::from_read(self.abi);
        let mut set = self.devices()?;
        for path in base(spec) {
            set = set.allow(&path, read)?;
        }
        for bind in &spec.binds {
            let written = spec.programs == Programs::NotWhereWritten && bind.access.changes();
            let access = if written { read & !AccessFs::Execute } else { read };
            set = set.allow(&bind.target, access)?;
        }
        Ok(set.set)
    }

    fn of_opener(self, spec: &WorldSpec) -> Made<RulesetCreated> {
        let read = AccessFs::from_read(self.abi);
        let nodes = AccessFs::MakeChar | AccessFs::MakeBlock;
        let write = (AccessFs::from_all(self.abi) & !later()) & !nodes;
        let mut set = self.devices()?;
        for path in base(spec) {
            set = set.allow(&path, read)?;
        }
        for bind in &spec.binds {
            let access = match bind.access {
                Access::Read | Access::Overlay => read,
                Access::Write => write,
            };
            set = set.allow(&bind.target, access)?;
        }
        Ok(set.set)
    }

    fn devices(mut self) -> Made<Set> {
        for path in DEVICES {
            let access = self.device();
            self = self.allow(Path::new(path), access)?;
        }
        Ok(self)
    }

    /// The world's own terminal, and none of those beside it.
    fn terminal(mut self, terminal: Option<&OwnedFd>) -> Made<Set> {
        let access = self.device();
        if let Some(terminal) = terminal {
            self.set = self.set.add_rule(PathBeneath::new(terminal, access))?;
        }
        Ok(self)
    }

    fn device(&self) -> BitFlags<AccessFs> {
        let more = AccessFs::from_all(self.abi) & (AccessFs::IoctlDev | AccessFs::Truncate);
        AccessFs::ReadFile | AccessFs::WriteFile | more
    }

    /// Allows `access` to `path` and all beneath; a path that is not there needs no rule.
    fn allow(mut self, path: &Path, access: BitFlags<AccessFs>) -> Made<Set> {
        let Ok(meta) = fs::symlink_metadata(path) else { return Ok(self) };
        let Ok(fd) = PathFd::new(path) else { return Ok(self) };
        let access = if meta.is_dir() { access } else { access & AccessFs::from_file(self.abi) };
        if !meta.is_symlink() && !access.is_empty() {
            self.set = self.set.add_rule(PathBeneath::new(fd, access))?;
        }
        Ok(self)
    }
}

/// What is not used: connects to unix sockets are the gate's.
fn later() -> BitFlags<AccessFs> {
    AccessFs::ResolveUnix.into()
}
