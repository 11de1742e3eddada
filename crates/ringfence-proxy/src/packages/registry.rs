//! Where registries are, and what a request to one is for.

use std::str::FromStr;

use ringfence_core::{Ecosystem, Endpoint, EndpointError, HttpError, Package, Scheme, UrlPath};

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
    scheme: Scheme,
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

/// What a request is for, and at which registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// What is fetched.
    pub wanted: Wanted,
    /// How sure that is.
    pub sure: Sure,
}

/// Whether an address can be believed about the release that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    /// Only the registry puts files there.
    Yes,
    /// It is beside the registry: somebody else may put files there that are called like its own.
    IfListed,
}

/// All registries that settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries(Vec<Registry>);

impl FromStr for Base {
    type Err = BaseError;
    fn from_str(text: &str) -> Result<Base, BaseError> {
        let plain = text.strip_prefix("http://");
        let (rest, scheme, port) = match (text.strip_prefix("https://"), plain) {
            (Some(rest), _) => (rest, Scheme::Https, 443),
            (None, Some(rest)) => (rest, Scheme::Http, 80),
            (None, None) => return Err(BaseError::Scheme(text.to_owned())),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(BaseError::More(text.to_owned()));
        }
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let endpoint = if has_port { host.parse()? } else { Endpoint::new(host, port)? };
        let path = UrlPath::parse(path)?.as_str().trim_end_matches('/').to_owned();
        Ok(Base { scheme, endpoint, path })
    }
}

impl Base {
    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
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
        self.0.iter().any(|registry| registry.is_at(endpoint))
    }

    /// What a request is for; `None` where no registry is at the endpoint.
    pub fn meant(&self, endpoint: &Endpoint, path: &UrlPath) -> Option<Meant<'_>> {
        let path = path.as_str();
        let within = self.0.iter().find_map(|registry| registry.meant(endpoint, path));
        within.or_else(|| self.beside(endpoint, path))
    }

    /// The same for a path outside of all registries at its endpoint, where their files may be too.
    fn beside(&self, endpoint: &Endpoint, path: &str) -> Option<Meant<'_>> {
        let here = self.0.iter().filter(|registry| registry.is_at(endpoint));
        let each = here.map(|registry| {
            let wanted = no_list(wanted(registry.ecosystem, path));
            Meant { registry, wanted, sure: Sure::IfListed }
        });
        // A file of any of them before what none of them knows.
        each.min_by_key(|meant| match meant.wanted {
            Wanted::Release(_) => 0,
            Wanted::Unknown => 1,
            Wanted::List(_) | Wanted::Other => 2,
        })
    }
}

impl Registry {
    fn is_at(&self, endpoint: &Endpoint) -> bool {
        std::iter::once(&self.lists).chain(&self.files).any(|base| base.endpoint == *endpoint)
    }

    fn meant(&self, endpoint: &Endpoint, path: &str) -> Option<Meant<'_>> {
        let found = |wanted| Meant { registry: self, wanted, sure: Sure::Yes };
        if let Some(rest) = self.lists.beneath(endpoint, path) {
            return Some(found(wanted(self.ecosystem, rest)));
        }
        let rest = self.files.iter().find_map(|base| base.beneath(endpoint, path))?;
        Some(found(no_list(wanted(self.ecosystem, rest))))
    }

    /// Where the list of a package may be, by its canonical name.
    pub fn list_paths(&self, name: &str) -> Vec<String> {
        let base = &self.lists.path;
        match self.ecosystem {
            Ecosystem::Npm => vec![format!("{base}/{}", name.replace('/', "%2F"))],
            Ecosystem::Pypi => vec![format!("{base}/{name}/")],
            Ecosystem::Cargo => {
                cargo::list_paths(name).into_iter().map(|path| format!("{base}{path}")).collect()
            }
            Ecosystem::Debian => Vec::new(),
        }
    }
}

/// Where no list can be.
fn no_list(wanted: Wanted) -> Wanted {
    match wanted {
        Wanted::List(_) => Wanted::Other,
        file @ (Wanted::Release(_) | Wanted::Unknown | Wanted::Other) => file,
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
