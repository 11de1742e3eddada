//! A release of a package, as a registry names it and a policy sees it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose protocol a registry speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Packages of Node.
    Npm,
    /// Packages of Python, by the Simple Repository API (PEP 503, 691, 700).
    Pypi,
    /// Crates of Rust, by the sparse index (RFC 2789).
    Cargo,
    /// Debian packages in a pool.
    Debian,
}

impl Ecosystem {
    /// The name in policies and settings.
    pub fn name(self) -> &'static str {
        match self {
            Ecosystem::Npm => "npm",
            Ecosystem::Pypi => "pypi",
            Ecosystem::Cargo => "cargo",
            Ecosystem::Debian => "debian",
        }
    }
}

/// One release of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Whose it is.
    pub ecosystem: Ecosystem,
    /// Its name in the ecosystem's canonical form; empty where the address does not tell.
    pub name: String,
    /// Its version; empty where the address does not tell.
    pub version: String,
    /// Whole hours since it was released; 0 where nobody says, so that what is not known is young.
    #[serde(default)]
    pub age_hours: u32,
}

/// In words: `hello 2.0.0 of npm, released 3 h ago`.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Package { ecosystem, name, version, age_hours } = self;
        write!(f, "{name} {version} of {}, ", ecosystem.name())?;
        match age_hours {
            0 => f.write_str("released within the hour, or nobody says when"),
            1..48 => write!(f, "released {age_hours} h ago"),
            _ => write!(f, "released {} days ago", age_hours / 24),
        }
    }
}
