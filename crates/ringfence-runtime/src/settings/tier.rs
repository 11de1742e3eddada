//! `[world] tier`: how worlds are isolated; and what containers are made of.

mod image;

pub(super) use image::join as join_image;
pub use image::{ImageFixed, ImageSetting};
use ringfence_sandbox::seccomp::Profile;
use ringfence_sandbox::world::{Engine, Tier};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The tier that settings name, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TierSetting {
    /// None is named.
    #[default]
    Unsaid,
    /// The person's own, which the command line overrules.
    User(Tier),
    /// The system's: no other is started here.
    System(Tier),
}

/// A tier that the system's settings do not let one choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's settings have every world be of the tier `{0}`")]
pub struct TierFixed(pub Tier);

impl TierSetting {
    /// The tier of a run, for which the command line may name one.
    pub fn chosen(self, named: Option<Tier>) -> Result<Tier, TierFixed> {
        match (self, named) {
            (TierSetting::System(fixed), Some(named)) if named != fixed => Err(TierFixed(fixed)),
            (TierSetting::System(tier), _)
            | (TierSetting::User(_) | TierSetting::Unsaid, Some(tier))
            | (TierSetting::User(tier), None) => Ok(tier),
            (TierSetting::Unsaid, None) => Ok(Tier::default()),
        }
    }
}

impl Serialize for TierSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tier = match self {
            TierSetting::Unsaid => None,
            TierSetting::User(tier) | TierSetting::System(tier) => Some(tier.name()),
        };
        tier.serialize(serializer)
    }
}

/// What a file says of worlds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default, deserialize_with = "tier")]
    pub(super) tier: Option<Tier>,
    pub(super) image: Option<String>,
    #[serde(default, deserialize_with = "image::engine")]
    pub(super) engine: Option<Engine>,
    #[serde(default, deserialize_with = "super::seccomp::profile")]
    pub(super) seccomp: Option<Profile>,
    pub(super) noexec: Option<bool>,
}

fn tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tier>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// The tier in force: the system's, else the user's.
pub(super) fn join(system: &Raw, user: &Raw) -> TierSetting {
    match (system.tier, user.tier) {
        (Some(tier), _) => TierSetting::System(tier),
        (None, Some(tier)) => TierSetting::User(tier),
        (None, None) => TierSetting::Unsaid,
    }
}
