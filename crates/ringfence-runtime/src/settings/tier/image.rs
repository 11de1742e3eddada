//! `[world] image` and `[world] engine`: what the tier `oci` makes its containers of, and by whom.

use ringfence_sandbox::world::Engine;
use serde::{Deserialize, Deserializer, Serialize};

use super::Raw;

/// The image that settings name, and whose they are; and the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageSetting {
    /// The system's: no other is used here.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    /// The person's own, which the command line overrules.
    #[serde(rename = "image", skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Who makes containers.
    #[serde(serialize_with = "as_written")]
    pub engine: Engine,
}

/// An image that the system's settings do not let one choose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the system's settings have every container be of the image `{0}`")]
pub struct ImageFixed(pub String);

impl ImageSetting {
    /// The image of a run, for which the command line may name one.
    pub fn chosen(&self, named: Option<&str>) -> Result<Option<String>, ImageFixed> {
        match (&self.system, named) {
            (Some(fixed), Some(named)) if fixed != named => Err(ImageFixed(fixed.clone())),
            (Some(fixed), _) => Ok(Some(fixed.clone())),
            (None, Some(named)) => Ok(Some(named.to_owned())),
            (None, None) => Ok(self.user.clone()),
        }
    }
}

/// What is in force: the system's, else the user's.
pub(in crate::settings) fn join(system: &Raw, user: &Raw) -> ImageSetting {
    ImageSetting {
        system: system.image.clone(),
        user: user.image.clone(),
        engine: system.engine.or(user.engine).unwrap_or_default(),
    }
}

pub(super) fn engine<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Engine>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn as_written<S: serde::Serializer>(engine: &Engine, serializer: S) -> Result<S::Ok, S::Error> {
    engine.name().serialize(serializer)
}
