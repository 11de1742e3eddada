//! Where registries are, and what a request to one is for.

use std::str::FromStr;

use ringfence_core::{Ecosystem, Endpoint, EndpointError, HttpError, Package, UrlPath};

use super::{cargo, debian, npm, pypi};

/// What a request to a registry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The list of the releases of this package, by its canonical name.
    List(String),
    /// A release's file.
    Release(Package),
    /// Some release's file, of which the address does not tell name and version.
    Unknown,
    /// Anything else: a search, a login, a signed list.
    Other,
}

/// Where a registry's addresses begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    endpoint: Endpoint,
    /// Without a slash at its end.
    path: String,
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Neither `https://` nor `http://`.
    #[error("`{0}` does not begin with `https://` or `http://`")]
    Scheme(String),
    /// It has a user's name, a query or a fragment.
    #[error("`{0}` is more than a host and a path")]
    More(String),
    /// The host was refused.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The path was refused.
    #[error(transparent)]
    Path(#[from] HttpError),
}

/// One registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Whose protocol it speaks.
    pub ecosystem: Ecosystem,
    /// Where its lists are, and its files unless they are elsewhere.
    pub lists: Base,
    /// Where else its files are.
    pub files: Vec<Base>,
}

/// All registries that settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries(Vec<Registry>);

impl FromStr for Base {
    type Err = BaseError;
    fn from_str(text: &str) -> Result<Base, BaseError> {
        let (rest, port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, 443),
            (None, Some(rest)) => (rest, 80),
            (None, None) => return Err(BaseError::Scheme(text.to_owned())),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(BaseError::More(text.to_owned()));
        }
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let endpoint = if has_port { host.parse()? } else { Endpoint::new(host, port)? };
        let path = UrlPath::parse(path)?.as_str().trim_end_matches('/').to_owned();
        Ok(Base { endpoint, path })
    }
}

impl Base {
    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The part of a path that lies beneath; it begins with a slash.
    fn beneath<'a>(&self, endpoint: &Endpoint, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.path.as_str()).filter(|_| self.endpoint == *endpoint)?;
        rest.starts_with('/').then_some(rest)
    }
}

impl Registries {
    /// These registries; where one lies within another, the inner one has to come first.
    pub fn new(mut registries: Vec<Registry>) -> Registries {
        registries.sort_by_key(|registry| std::cmp::Reverse(registry.lists.path.len()));
        Registries(registries)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a registry or its files are at this endpoint.
    pub fn are_at(&self, endpoint: &Endpoint) -> bool {
        self.0.iter().any(|registry| {
            std::iter::once(&registry.lists)
                .chain(&registry.files)
                .any(|base| base.endpoint == *endpoint)
        })
    }

    /// What a request is for; `None` where no registry is.
    pub fn wanted(&self, endpoint: &Endpoint, path: &UrlPath) -> Option<(Ecosystem, Wanted)> {
        let path = path.as_str();
        for registry in &self.0 {
            let ecosystem = registry.ecosystem;
            if let Some(rest) = registry.lists.beneath(endpoint, path) {
                return Some((ecosystem, wanted(ecosystem, rest)));
            }
            if registry.files.iter().any(|base| base.beneath(endpoint, path).is_some()) {
                // No list is there.
                let wanted = match wanted(ecosystem, path) {
                    Wanted::List(_) => Wanted::Other,
                    file @ (Wanted::Release(_) | Wanted::Unknown | Wanted::Other) => file,
                };
                return Some((ecosystem, wanted));
            }
        }
        None
    }
}

fn wanted(ecosystem: Ecosystem, path: &str) -> Wanted {
    match ecosystem {
        Ecosystem::Npm => npm::wanted(path),
        Ecosystem::Pypi => pypi::wanted(path),
        Ecosystem::Cargo => cargo::wanted(path),
        Ecosystem::Debian => debian::wanted(path),
    }
}
