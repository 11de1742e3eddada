//! The system-call filter of a world: which calls fail, which are notified, which are allowed.

mod bpf;
mod on_the_host;
mod profile;
#[cfg(test)]
mod tests;

use crate::sys::seccomp::Instruction;
use crate::world::NotifyClasses;

/// What bounds the files of a world, and so what the filter has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walls {
    /// Mounts, and namespaces around the rest.
    Mounts,
    /// Landlock's rules, and the host around.
    Rules,
    /// The same, with something hidden in a granted tree: no file is opened by the payload itself.
    RulesWithHoles,
}

/// The filter for a world with these walls in which these classes are notified.
pub(crate) fn filter(classes: NotifyClasses, walls: Walls) -> Vec<Instruction> {
    let rules = match walls {
        Walls::Mounts => profile::rules(classes),
        Walls::Rules => on_the_host::rules(classes),
        Walls::RulesWithHoles => on_the_host::rules_with_holes(classes),
    };
    bpf::compile(&rules, profile::NUMBER_MAX)
}
