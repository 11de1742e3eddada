//! The environment Ringfence was started with, as a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_core::Endpoint;
use ringfence_proxy::net::trust::Trust;
use ringfence_proxy::net::upstream::{HostProxies, HostProxy};
use ringfence_secrets::client::WayOut;

/// Environment variables, passed by argument so that nothing below the binary reads globals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The value of `name`; an empty value counts as unset (XDG Base Directory Specification).
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|it| !it.is_empty())
    }

    /// The value of `name` as text; `None` also where it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// The value of `name` if it is an absolute path; others are to be ignored (same source).
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The proxies that the host itself needs.
    pub fn proxies(&self) -> HostProxies {
        HostProxies::from_variables(|name| self.text(name).map(str::to_owned))
    }

    /// Which servers this host believes.
    pub fn trust(&self) -> Trust {
        Trust::of_host(self.path("SSL_CERT_FILE"), self.path("SSL_CERT_DIR"))
    }

    /// How services of the user's own are reached from this host.
    pub fn way_out(&self) -> WayOut {
        let proxies = self.proxies();
        let towards = move |at: &Endpoint| Ok(proxies.towards(at)?.map(HostProxy::url));
        WayOut {
            file: self.path("SSL_CERT_FILE"),
            dir: self.path("SSL_CERT_DIR"),
            proxy: Some(Arc::new(towards)),
        }
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Environment {
        let variables = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Environment { variables: variables.collect() }
    }
}
