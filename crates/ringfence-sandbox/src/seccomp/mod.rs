//! The system-call filter of a world: which calls fail, which are notified, which are allowed.

mod bpf;
mod profile;
#[cfg(test)]
mod tests;

use crate::sys::seccomp::Instruction;
use crate::world::NotifyClasses;

/// The filter for a world in which these classes are notified.
pub(crate) fn filter(classes: NotifyClasses) -> Vec<Instruction> {
    bpf::compile(&profile::rules(classes), profile::NUMBER_MAX)
}
