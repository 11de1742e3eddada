//! `[[registry]]`: which addresses are registries of packages, and whose protocol they speak.
//!
//! A project may not say it: an address under a wrong name would hide releases from the rules.

use ringfence_core::Ecosystem;
use ringfence_proxy::packages::{Base, Registry};
use serde::{Deserialize, Serialize};

/// Most registries that one file may name.
pub(super) const REGISTRIES_MAX: usize = 64;

/// One `[[registry]]` as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySetting {
    /// Whose protocol it speaks.
    pub ecosystem: Ecosystem,
    /// Where its lists begin, as its package manager has it.
    pub url: String,
    /// Where its files begin, if elsewhere.
    #[serde(default)]
    pub files: Vec<String>,
}

impl RegistrySetting {
    /// The registry; the error names the address that is none.
    pub fn registry(&self) -> Result<Registry, String> {
        let base = |text: &String| {
            // Cargo writes how an index is spoken to in front of its address.
            let plain = text.strip_prefix("sparse+").unwrap_or(text);
            plain.parse::<Base>().map_err(|error| error.to_string())
        };
        Ok(Registry {
            ecosystem: self.ecosystem,
            lists: base(&self.url)?,
            files: self.files.iter().map(base).collect::<Result<_, _>>()?,
        })
    }
}

/// The first address that is none, in words.
pub(super) fn wrong(settings: &[RegistrySetting]) -> Option<String> {
    if settings.len() > REGISTRIES_MAX {
        return Some(format!("more than {REGISTRIES_MAX} registries"));
    }
    settings.iter().find_map(|setting| setting.registry().err())
}
