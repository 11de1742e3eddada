//! The system-call filter of a world: which calls fail, which are notified, which are allowed.

mod bpf;
mod profile;
#[cfg(test)]
mod tests;

pub use profile::{NoSuchProfile, Profile, Refusal, refusals};

use crate::sys::seccomp::Instruction;
use crate::world::{NotifyClasses, Switch};

/// What bounds the files of a world, and so what the filter has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walls {
    /// Mounts, and namespaces around the rest.
    Mounts,
    /// Landlock's rules, and the host around.
    Rules,
    /// The same, with something hidden in a granted tree: no file is opened by the payload itself, but
    /// for mere references (`O_PATH`).
    RulesWithHoles,
    /// Nothing: a tracer is asked about every call that would be notified, and every open.
    Tracer,
}

/// The filter of this profile for a world with these walls in which these classes are notified.
pub(crate) fn filter(profile: Profile, classes: NotifyClasses, walls: Walls) -> Vec<Instruction> {
    let rules = match walls {
        Walls::Mounts => profile::rules(profile, classes),
        Walls::Rules => profile::rules_on_the_host(profile, classes),
        Walls::RulesWithHoles | Walls::Tracer => {
            profile::rules_on_the_host(profile, NotifyClasses { read: Switch::On, ..classes })
        }
    };
    let asked = match walls {
        Walls::Mounts | Walls::Rules | Walls::RulesWithHoles => libc::SECCOMP_RET_USER_NOTIF,
        Walls::Tracer => libc::SECCOMP_RET_TRACE,
    };
    bpf::compile(&rules, profile::NUMBER_MAX, asked)
}
