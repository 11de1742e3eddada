//! The package gate: what requests to a registry fetch, and lists without what may not be fetched.
//!
//! A registry serves lists (which releases of a package there are) and files (the releases). Each
//! file is decided by the policy like any request, with the release as a fact. From a list everything
//! is taken out that would be denied as a file, so that package managers choose another release
//! instead of failing. What is enforced is the file; the list is a courtesy.

mod cargo;
mod debian;
mod npm;
mod published;
mod pypi;
mod registry;

use ringfence_core::{Ecosystem, Package, UrlPath};

pub use published::{Published, Times, resolve};
pub use registry::{Base, BaseError, Meant, Registries, Registry, Sure, Wanted};

/// Largest list that is read, in bytes; the largest full ones of npm have about 20 MB.
pub const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A release as a list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, canonical.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it was released, in milliseconds since the Unix epoch, where the list says so.
    pub at_ms: Option<u64>,
    /// Where its file is, as the list writes it: an address or a reference relative to the list's.
    pub file: Option<String>,
}

/// Whether a release stays in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It does.
    Yes,
    /// It may not be fetched.
    No,
}

/// A list without the releases that may not be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The list's new text.
    pub body: Vec<u8>,
    /// How many releases or files stayed.
    pub kept: usize,
    /// The versions that went, each once, in the list's order.
    pub removed: Vec<String>,
}

/// Why a list could not be filtered; it is not passed on then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not what the registry's protocol says.
    #[error("the registry's list is not understood: {0}")]
    Shape(&'static str),
    /// Neither JSON nor HTML.
    #[error("the registry's list is of the type `{0}`, which is not understood")]
    Type(String),
    /// Another package's.
    #[error("the registry answered about `{found}` instead of `{asked}`")]
    Name {
        /// What was asked for.
        asked: String,
        /// What came.
        found: String,
    },
}

/// The `Accept` header with which a list has to be asked for to say when its releases came out.
pub fn accept(ecosystem: Ecosystem, asked: Option<&str>) -> Option<&'static str> {
    match ecosystem {
        // The short form has no times; whoever reads it reads the full one too.
        Ecosystem::Npm => Some("application/json"),
        Ecosystem::Pypi => asked.filter(|asked| asked.contains(pypi::JSON)).map(|_| pypi::JSON),
        Ecosystem::Cargo | Ecosystem::Debian => None,
    }
}

/// The same where it is the gate itself that asks.
pub fn accept_of_own(ecosystem: Ecosystem) -> Option<&'static str> {
    match ecosystem {
        Ecosystem::Npm => Some("application/json"),
        Ecosystem::Pypi => Some("application/vnd.pypi.simple.v1+json, text/html;q=0.1"),
        Ecosystem::Cargo | Ecosystem::Debian => None,
    }
}

/// Whether what is at a path says where a registry's files are: `config.json` of cargo's index.
pub fn says_where_files_are(ecosystem: Ecosystem, path: &UrlPath) -> bool {
    ecosystem == Ecosystem::Cargo && path.as_str().ends_with("/config.json")
}

/// Where it says they are, up to the first part that depends on the release.
pub fn where_files_are(config: &[u8]) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let place = config.get("dl")?.as_str()?;
    Some(place.split('{').next()?.to_owned())
}

/// The place of the file that a place is beside, as its metadata and signatures are.
pub fn beside(ecosystem: Ecosystem, place: &str) -> &str {
    match ecosystem {
        Ecosystem::Pypi => pypi::beside(place),
        Ecosystem::Npm | Ecosystem::Cargo | Ecosystem::Debian => place,
    }
}

/// Takes releases out of the list of one package.
pub fn filter(
    (ecosystem, name): (Ecosystem, &str),
    (content_type, body): (&str, &[u8]),
    keep: &mut dyn FnMut(&Listed) -> Keep,
) -> Result<Filtered, ListError> {
    match ecosystem {
        Ecosystem::Npm => npm::filter(name, body, keep),
        Ecosystem::Pypi => pypi::filter(name, (content_type, body), keep),
        Ecosystem::Cargo => cargo::filter(name, body, keep),
        // Lists of Debian are signed as a whole: they pass as they are.
        Ecosystem::Debian => Err(ListError::Shape("Debian's lists are signed")),
    }
}

/// What files of releases may be called, in any ecosystem.
const ENDINGS: [&str; 11] = [
    ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl", ".egg", ".crate", ".deb",
    ".udeb",
];

/// Whether a text holds something that is called like a release's file, in any of its parts.
pub fn looks_like_a_file(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let parts = text.split(['/', '=', '&', ';', '%', ' ', '+']);
    parts.into_iter().any(|part| ENDINGS.iter().any(|ending| part.ends_with(ending)))
}

/// Whether an answer begins like the file of a release: an archive, packed or not.
pub fn begins_like_a_file(ecosystem: Ecosystem, first: &[u8]) -> bool {
    const ARCHIVES: [&[u8]; 6] =
        [b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"!<arch>\n"];
    let begins = |mark: &&[u8]| first.starts_with(mark);
    match ecosystem {
        // Its signed lists are packed.
        Ecosystem::Debian => ARCHIVES.iter().skip(5).any(begins),
        Ecosystem::Npm | Ecosystem::Pypi | Ecosystem::Cargo => {
            ARCHIVES.iter().any(begins) || first.get(257..262).is_some_and(|it| it == b"ustar")
        }
    }
}

/// A release in canonical form, of an age that is still to be found out.
pub fn release(ecosystem: Ecosystem, name: &str, version: &str) -> Package {
    let name = canonical(ecosystem, name);
    Package { ecosystem, name, version: version.to_owned(), age_hours: 0 }
}

/// The one spelling of a name that rules see.
pub fn canonical(ecosystem: Ecosystem, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match ecosystem {
        Ecosystem::Npm | Ecosystem::Debian => name,
        // PEP 503: runs of `-`, `_` and `.` are one `-`.
        Ecosystem::Pypi => {
            let parts: Vec<&str> =
                name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
            parts.join("-")
        }
        Ecosystem::Cargo => name.replace('_', "-"),
    }
}

/// A point in time as registries write it (RFC 3339), in milliseconds since the Unix epoch.
fn moment(text: &str) -> Option<u64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
