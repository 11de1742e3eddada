//! Profiles: which calls a world may make, as tables of rules that are tried in order.
//!
//! They are written, with the reasons, in `profiles/` beside the sources, and compiled to the tables
//! here when the program is built.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::sys::attempts;
use crate::world::{NotifyClasses, Switch};

/// Which system calls a world's processes may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What agents and their tools need.
    #[default]
    Default,
    /// Less of the kernel: editing, and running ordinary programs.
    Strict,
    /// Besides, debuggers and sanitizers: processes inside may trace each other.
    Build,
    /// Besides, sandboxes that browsers build: namespaces may be made inside.
    Browser,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 4] =
        [Profile::Default, Profile::Strict, Profile::Build, Profile::Browser];

    /// What it is called on the command line, in settings and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Default => "default",
            Profile::Strict => "strict",
            Profile::Build => "build",
            Profile::Browser => "browser",
        }
    }

    fn parts(self) -> &'static [Part] {
        match self {
            Profile::Default => tables::DEFAULT,
            Profile::Strict => tables::STRICT,
            Profile::Build => tables::BUILD,
            Profile::Browser => tables::BROWSER,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A profile that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no seccomp profile `{0}`: there are `default`, `strict`, `build` and `browser`")]
pub struct NoSuchProfile(String);

impl FromStr for Profile {
    type Err = NoSuchProfile;

    fn from_str(text: &str) -> Result<Profile, NoSuchProfile> {
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| NoSuchProfile(text.to_owned()))
    }
}

/// Rules that belong together.
#[derive(Debug)]
pub(super) struct Part {
    /// What the profile's text calls it.
    pub(super) name: &'static str,
    /// The class of acts for which it is there.
    pub(super) class: Class,
    pub(super) rules: &'static [Rule],
}

/// For which class of acts a part is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Always,
    Write,
    Read,
    Connect,
    Exec,
    Ask,
}

impl Class {
    fn is_on(self, classes: NotifyClasses) -> bool {
        let switch = match self {
            Class::Always => Switch::On,
            Class::Write => classes.write,
            Class::Read => classes.read,
            Class::Connect => classes.connect,
            Class::Exec => classes.exec,
            Class::Ask => classes.ask,
        };
        switch == Switch::On
    }
}

/// One line of a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The system call's name.
    pub(super) call: &'static str,
    /// Its number.
    pub(super) number: u32,
    /// What must hold of its arguments: all of these.
    pub(super) when: &'static [Test],
    /// What the caller gets.
    pub(super) answer: Answer,
    /// Arguments with which the rule is proved.
    pub(super) tried: &'static [u64],
}

impl Rule {
    fn is_about(&self, arguments: &[u64; 6]) -> bool {
        self.when.iter().all(|test| {
            let argument = usize::try_from(test.arg).ok().and_then(|at| arguments.get(at));
            let low = argument.map_or(0, |it| it & u64::from(test.mask));
            match test.is {
                Is::Equal(value) => low == u64::from(value),
                Is::Not(value) => low != u64::from(value),
                Is::AnyBitOf(bits) => low & u64::from(bits) != 0,
            }
        })
    }
}

/// A test of the low 32 bits of one argument, after masking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    pub(super) arg: u32,
    pub(super) mask: u32,
    pub(super) is: Is,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Is {
    Equal(u32),
    Not(u32),
    AnyBitOf(u32),
}

/// What a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel goes on.
    Allow,
    /// It fails with this `errno`.
    Errno(i32),
    /// The supervisor answers.
    Notify,
    /// The process dies with `SIGSYS`.
    Kill,
}

/// The youngest system call the profiles were written for (`file_setattr`, Linux 6.17).
pub(super) const NUMBER_MAX: u32 = 469;

/// The rules of a profile for these classes, the frequent ones first.
pub(super) fn rules(profile: Profile, classes: NotifyClasses) -> Vec<Rule> {
    of(profile.parts(), classes).collect()
}

/// The same for a world without namespaces and mounts.
pub(super) fn rules_on_the_host(profile: Profile, classes: NotifyClasses) -> Vec<Rule> {
    of(tables::ON_THE_HOST_BEFORE, classes)
        .chain(of(profile.parts(), classes))
        .chain(of(tables::ON_THE_HOST_AFTER, classes))
        .collect()
}

fn of(parts: &'static [Part], classes: NotifyClasses) -> impl Iterator<Item = Rule> {
    let on = parts.iter().filter(move |part| part.class.is_on(classes));
    on.flat_map(|part| part.rules.iter().copied())
}

/// A call that a profile refuses, with arguments for which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The part of the profile.
    pub part: &'static str,
    /// The call's name.
    pub call: &'static str,
    /// Its number.
    pub number: u32,
    /// Arguments; none of them leads to anything.
    pub arguments: [u64; 6],
    /// The error number that it gets.
    pub errno: i32,
}

impl Refusal {
    /// Makes the call; an error is how it was refused.
    pub fn attempt(&self) -> io::Result<usize> {
        let arguments = self.arguments.map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        attempts::raw(self.number.into(), arguments)
    }
}

/// Everything that a profile refuses by itself, rule by rule.
pub fn refusals(profile: Profile) -> Vec<Refusal> {
    let rules =
        profile.parts().iter().flat_map(|part| part.rules.iter().map(|rule| (part.name, rule)));
    rules.filter_map(|(part, rule)| refusal(profile, part, rule)).collect()
}

fn refusal(profile: Profile, part: &'static str, rule: &Rule) -> Option<Refusal> {
    if !matches!(rule.answer, Answer::Errno(_)) {
        return None;
    }
    // What no condition is about is nonsense to every call: no address and no descriptor.
    let mut arguments = [u64::MAX; 6];
    for test in rule.when {
        let argument = arguments.get_mut(usize::try_from(test.arg).ok()?)?;
        if let Is::Equal(value) = test.is {
            *argument = (*argument & !u64::from(test.mask)) | u64::from(value);
        }
    }
    for (argument, tried) in arguments.iter_mut().zip(rule.tried) {
        *argument = *tried;
    }
    // A rule of the profile's own may answer before one of the default's.
    let number = rule.number;
    let first = of(profile.parts(), NotifyClasses::NONE)
        .find(|rule| rule.number == number && rule.is_about(&arguments))?;
    let Answer::Errno(errno) = first.answer else { return None };
    Some(Refusal { part, call: rule.call, number: rule.number, arguments, errno })
}

/// What the texts were compiled to.
#[expect(
    unused_parens,
    non_upper_case_globals,
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    clippy::double_parens,
    clippy::unreadable_literal,
    reason = "flags and numbers as the registers hold them"
)]
mod tables {
    use super::{Answer, Class, Is, Part, Rule, Test};

    include!(concat!(env!("OUT_DIR"), "/profiles.rs"));
}
