//! `[dangerous]`: what a user may give up of the enforcement, each thing by its name.

use std::collections::BTreeSet;

use ringfence_sandbox::world::{NotifyClasses, Switch};
use serde::{Deserialize, Serialize};

use crate::notice::Notice;

/// A layer whose absence may be accepted under `[dangerous]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Start without Landlock: mounts alone hold the files.
    Landlock,
    /// Start without a terminal of its own: terminal reports reach the agent's terminal.
    Pty,
    /// Start without lowered resource limits.
    Rlimits,
}

/// A class of acts that may go on without being decided or recorded, under `[dangerous]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActClass {
    /// Programs that are started: any program that can be read runs, with any arguments.
    Exec,
    /// Files that are created, changed or removed: the mounts alone hold them.
    Write,
    /// Connections to unix sockets: any socket that the mounts show can be reached.
    Connect,
}

impl Gap {
    /// The layer's name, as `doctor` and the log say it.
    pub fn name(self) -> &'static str {
        match self {
            Gap::Landlock => "landlock",
            Gap::Pty => "pty",
            Gap::Rlimits => "rlimits",
        }
    }
}

impl ActClass {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            ActClass::Exec => "exec",
            ActClass::Write => "write",
            ActClass::Connect => "connect",
        }
    }

    /// What nobody decides any more without it, for a person.
    pub fn means(self) -> &'static str {
        match self {
            ActClass::Exec => "any program that can be read runs, and no log says so",
            ActClass::Write => "the mounts alone hold the files, and no log says what changed",
            ActClass::Connect => "every unix socket that can be seen can be reached",
        }
    }

    /// The classes that are still notified.
    pub fn notified(given_up: &BTreeSet<ActClass>) -> NotifyClasses {
        let of = |class| if given_up.contains(&class) { Switch::Off } else { Switch::On };
        NotifyClasses {
            exec: of(ActClass::Exec),
            write: of(ActClass::Write),
            connect: of(ActClass::Connect),
            read: Switch::Off,
            ask: Switch::Off,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) accept_missing: BTreeSet<Gap>,
    #[serde(default)]
    pub(super) unprotect: Vec<String>,
    #[serde(default)]
    pub(super) unnotified: BTreeSet<ActClass>,
}

/// A `[dangerous]` table of the system is the most that a user may accept.
pub(super) fn gaps(
    system: &super::Raw,
    user: &super::Raw,
    notices: &mut Vec<Notice>,
) -> BTreeSet<Gap> {
    let accepted = |raw: &super::Raw| raw.dangerous.clone().unwrap_or_default().accept_missing;
    let (most, wanted) = (accepted(system), accepted(user));
    if system.dangerous.is_none() {
        return wanted;
    }
    for gap in wanted.difference(&most) {
        let text =
            format!("the system's settings do not let you accept a missing `{}`", gap.name());
        notices.push(Notice::new(text));
    }
    most
}

pub(super) fn unprotected(system: &super::Raw, user: &super::Raw) -> Vec<String> {
    let wanted = user.dangerous.clone().unwrap_or_default().unprotect;
    match &system.dangerous {
        None => wanted,
        Some(most) => wanted.into_iter().filter(|name| most.unprotect.contains(name)).collect(),
    }
}

/// What a user gives up stays within what the system lets be given up, and is said at every start.
pub(super) fn unnotified(
    system: &super::Raw,
    user: &super::Raw,
    notices: &mut Vec<Notice>,
) -> BTreeSet<ActClass> {
    let given_up = |raw: &super::Raw| raw.dangerous.clone().unwrap_or_default().unnotified;
    let mut all = given_up(user);
    if system.dangerous.is_some() {
        let most = given_up(system);
        for class in all.difference(&most) {
            let name = class.name();
            let text = format!("the system's settings do not let you leave `{name}` undecided");
            notices.push(Notice::new(text));
        }
        all.extend(&most);
        all.retain(|class| most.contains(class));
    }
    for class in &all {
        let text = format!("settings leave `{}` undecided: {}", class.name(), class.means());
        notices
            .push(Notice::new(text).hint("to decide it, remove it from `[dangerous] unnotified`"));
    }
    all
}
