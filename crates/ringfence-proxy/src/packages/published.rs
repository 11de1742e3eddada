//! When releases came out, and where their files are, as lists of this session have told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringfence_core::{Ecosystem, Endpoint, Package, UrlPath};

use super::{Base, Listed, release};

/// Most releases that are remembered; more and all are forgotten, for they are asked for again.
const RELEASES_MAX: usize = 100_000;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// What lists have told.
#[derive(Debug, Default)]
pub struct Published {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// When each came out, in milliseconds since the Unix epoch.
    times: HashMap<(Ecosystem, String, String), u64>,
    /// What is at a place, where its address alone would not tell.
    files: HashMap<(Endpoint, String), (Ecosystem, String, String)>,
}

/// When a release came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Then, in milliseconds since the Unix epoch.
    At(u64),
    /// Nobody has said.
    Unknown,
}

impl Published {
    /// Remembers what a list at this place says of a release.
    pub fn learn(&self, ecosystem: Ecosystem, listed: &Listed, place: (&Endpoint, &str)) {
        let named = release(ecosystem, &listed.name, &listed.version);
        if named.version.is_empty() {
            return;
        }
        let key = (ecosystem, named.name, named.version);
        let mut told = self.told();
        if told.times.len() >= RELEASES_MAX || told.files.len() >= RELEASES_MAX {
            *told = Told::default();
        }
        let file = listed.file.as_deref().and_then(|file| resolve(file, place));
        if let Some((endpoint, path)) = file {
            told.files.insert((endpoint, path.as_str().to_owned()), key.clone());
        }
        if let Some(at_ms) = listed.at_ms {
            told.times.insert(key, at_ms);
        }
    }

    /// Remembers when a release came out.
    pub fn came_out(&self, package: &Package, at_ms: u64) {
        let Package { ecosystem, name, version, .. } = package.clone();
        let mut told = self.told();
        if told.times.len() >= RELEASES_MAX {
            *told = Told::default();
        }
        told.times.insert((ecosystem, name, version), at_ms);
    }

    /// The release whose file is at a place, where a list has said so.
    pub fn at(&self, endpoint: &Endpoint, path: &UrlPath) -> Option<Package> {
        let key = (endpoint.clone(), path.as_str().to_owned());
        let told = self.told();
        let (ecosystem, name, version) = told.files.get(&key)?;
        Some(release(*ecosystem, name, version))
    }

    /// When a release came out.
    pub fn time_of(&self, package: &Package) -> Times {
        let key = (package.ecosystem, package.name.clone(), package.version.clone());
        self.told().times.get(&key).map_or(Times::Unknown, |at_ms| Times::At(*at_ms))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// Whole hours from then to `now_ms`; 0 where it is unknown or yet to come.
    pub fn age_hours(self, now_ms: u64) -> u32 {
        match self {
            Times::At(at_ms) => {
                u32::try_from(now_ms.saturating_sub(at_ms) / HOUR_MS).unwrap_or(u32::MAX)
            }
            Times::Unknown => 0,
        }
    }
}

/// Where a list's reference leads (RFC 3986, section 5.2).
fn resolve(file: &str, (endpoint, list): (&Endpoint, &str)) -> Option<(Endpoint, UrlPath)> {
    let file = file.split(['#', '?']).next()?;
    if file.starts_with("https://") || file.starts_with("http://") {
        let at = file.find("://")? + 3;
        let path = file.get(at..)?.find('/').and_then(|slash| file.get(at + slash..))?;
        let base: Base = file.strip_suffix(path)?.parse().ok()?;
        return Some((base.endpoint().clone(), UrlPath::parse(path).ok()?));
    }
    let mut segments: Vec<&str> = if file.starts_with('/') {
        Vec::new()
    } else {
        let directory = list.rsplit_once('/').map_or("", |(directory, _)| directory);
        directory.split('/').skip(1).collect()
    };
    for segment in file.split('/').skip(usize::from(file.starts_with('/'))) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let path = format!("/{}", segments.join("/"));
    Some((endpoint.clone(), UrlPath::parse(&path).ok()?))
}
