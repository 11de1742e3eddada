//! `[world] seccomp` and `noexec`: which system calls worlds may make, and from where programs start.

use ringfence_sandbox::seccomp::Profile;
use ringfence_sandbox::world::Programs;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tier::Raw;

/// The profile that settings name, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeccompSetting {
    /// None is named.
    #[default]
    Unsaid,
    /// The person's own, which the command line overrules.
    User(Profile),
    /// The system's, or a project's that asks for less: no other is chosen here.
    Fixed(Profile),
}

/// A profile that the settings above do not let one choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's or the project's settings have every world use the seccomp profile `{0}`")]
pub struct SeccompFixed(pub Profile);

impl SeccompSetting {
    /// The profile of a run, for which the command line may name one.
    pub fn chosen(self, named: Option<Profile>) -> Result<Profile, SeccompFixed> {
        match (self, named) {
            (SeccompSetting::Fixed(fixed), Some(named)) if named != fixed => {
                Err(SeccompFixed(fixed))
            }
            (SeccompSetting::Fixed(profile), _)
            | (SeccompSetting::User(_) | SeccompSetting::Unsaid, Some(profile))
            | (SeccompSetting::User(profile), None) => Ok(profile),
            (SeccompSetting::Unsaid, None) => Ok(Profile::default()),
        }
    }
}

impl Serialize for SeccompSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let profile = match self {
            SeccompSetting::Unsaid => None,
            SeccompSetting::User(profile) | SeccompSetting::Fixed(profile) => Some(profile.name()),
        };
        profile.serialize(serializer)
    }
}

pub(super) fn profile<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Profile>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// What a project cannot set: it may ask for the profile that holds most, and for nothing else.
pub(super) fn loosens(project: &Raw) -> bool {
    project.seccomp.is_some_and(|profile| profile != Profile::Strict)
}

/// The profile in force: a project's `strict`, the system's, else the user's.
pub(super) fn join(system: &Raw, user: &Raw, projects: &[&super::Raw]) -> SeccompSetting {
    if projects.iter().any(|raw| raw.world.seccomp == Some(Profile::Strict)) {
        return SeccompSetting::Fixed(Profile::Strict);
    }
    match (system.seccomp, user.seccomp) {
        (Some(profile), _) => SeccompSetting::Fixed(profile),
        (None, Some(profile)) => SeccompSetting::User(profile),
        (None, None) => SeccompSetting::Unsaid,
    }
}

/// From where programs start: one file that says `noexec = true` is enough.
pub(super) fn join_noexec(files: &[&super::Raw]) -> Programs {
    let said = files.iter().any(|raw| raw.world.noexec == Some(true));
    if said { Programs::NotWhereWritten } else { Programs::Anywhere }
}

/// As it is written: `noexec`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in so")]
pub(super) fn as_written<S: Serializer>(
    programs: &Programs,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(*programs == Programs::NotWhereWritten)
}
