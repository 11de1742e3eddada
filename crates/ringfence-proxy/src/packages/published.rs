//! When releases came out, and where their files are, as lists of this session have told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringfence_core::{Ecosystem, Endpoint, Package, Scheme, UrlPath};

use super::{Base, release};

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
    /// What is at a place: its path, with its query behind a `?` where it has one.
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
    /// Remembers what a list says of a release, and that its file is at a place.
    pub fn learn(&self, package: &Package, at_ms: Option<u64>, file: Option<(&Endpoint, &str)>) {
        let key = (package.ecosystem, package.name.clone(), package.version.clone());
        if key.2.is_empty() {
            return;
        }
        let mut told = self.told();
        if told.times.len() >= RELEASES_MAX || told.files.len() >= RELEASES_MAX {
            *told = Told::default();
        }
        if let Some((endpoint, target)) = file {
            told.files.insert((endpoint.clone(), target.to_owned()), key.clone());
        }
        if let Some(at_ms) = at_ms {
            told.times.insert(key, at_ms);
        }
    }

    /// The release whose file is at a place, where a list has said so.
    pub fn at(&self, (endpoint, target): (&Endpoint, &str)) -> Option<Package> {
        let key = (endpoint.clone(), target.to_owned());
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

/// Where a reference leads (RFC 3986, section 5.2) that was found at a place: the endpoint, and the
/// path in canonical form with its query.
pub fn resolve(
    reference: &str,
    (endpoint, scheme, list): (&Endpoint, Scheme, &str),
) -> Option<(Endpoint, Scheme, String)> {
    let reference = reference.split('#').next()?;
    let (file, query) = match reference.split_once('?') {
        Some((file, query)) => (file, format!("?{query}")),
        None => (reference, String::new()),
    };
    let with_query = |path: UrlPath| format!("{path}{query}");
    let absolute = file.strip_prefix("//").map(|rest| format!("{}://{rest}", scheme.as_str()));
    let file = absolute.as_deref().unwrap_or(file);
    if file.contains("://") {
        let at = file.find("://")? + 3;
        let slash = file.get(at..)?.find('/').map_or(file.len(), |slash| at + slash);
        let (origin, path) = (file.get(..slash)?, file.get(slash..)?);
        let base: Base = origin.parse().ok()?;
        let path = UrlPath::parse(if path.is_empty() { "/" } else { path }).ok()?;
        return Some((base.endpoint().clone(), base.scheme(), with_query(path)));
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
    let path = UrlPath::parse(&format!("/{}", segments.join("/"))).ok()?;
    Some((endpoint.clone(), scheme, with_query(path)))
}
