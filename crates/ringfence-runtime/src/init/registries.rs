//! Package registries, as the person's own configuration names them; we name none.

use std::path::Path;

use ringfence_core::Endpoint;

use crate::environment::Environment;
use crate::whole_file::{self, Links};

/// A registry and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Registry {
    /// `HOST:PORT`.
    pub(super) endpoint: String,
    /// The file or variable that names it.
    pub(super) source: String,
}

/// Variables that name registries.
const VARIABLES: &[&str] = &[
    "CARGO_REGISTRIES_DEFAULT_INDEX",
    "GOPROXY",
    "NPM_CONFIG_REGISTRY",
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "npm_config_registry",
];

/// Files that name registries, below the home directory and in the project.
const FILES: &[&str] = &[
    ".cargo/config.toml",
    ".cargo/config",
    ".npmrc",
    ".yarnrc.yml",
    ".pip/pip.conf",
    ".config/pip/pip.conf",
    ".config/uv/uv.toml",
    ".config/go/env",
    "pip.conf",
];

/// Keys whose values are registries.
const KEYS: &[&str] = &[
    "registry",
    "index",
    "index-url",
    "extra-index-url",
    "npmregistryserver",
    "goproxy",
    "url",
    "default-index",
];

/// All registries that the person's own files name. The project's own files do not count: they
/// come with it, and this policy is what holds it.
pub(super) fn of_person(home: &Path, project: &Path, environment: &Environment) -> Vec<Registry> {
    let mut all = Vec::new();
    for name in VARIABLES {
        let value = environment.text(name).unwrap_or("");
        let urls = value.split([',', '|', ' ']);
        all.extend(
            urls.filter_map(endpoint)
                .map(|endpoint| Registry { endpoint, source: (*name).to_owned() }),
        );
    }
    let files = FILES.iter().map(|name| home.join(name)).filter(|path| !path.starts_with(project));
    for path in files.chain([Path::new("/etc/pip.conf").to_owned()]) {
        let Ok(Some(file)) = whole_file::read_text(&path, Links::Follow) else { continue };
        all.extend(
            file.text
                .lines()
                .filter_map(of_line)
                .map(|endpoint| Registry { endpoint, source: path.display().to_string() }),
        );
    }
    all.sort();
    all.dedup_by(|one, other| one.endpoint == other.endpoint);
    all
}

/// The registry in a line `KEY = URL`, `KEY: URL` or `@SCOPE:KEY=URL`, without quotes.
fn of_line(line: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with(['#', ';', '/']) {
        return None;
    }
    let at = line.find(['=', ':']).filter(|_| !line.starts_with('@')).or_else(|| line.find('='))?;
    let (key, value) = line.split_at_checked(at)?;
    let key = key.rsplit([':', '.']).next().unwrap_or(key).trim().to_ascii_lowercase();
    KEYS.contains(&key.as_str()).then(|| endpoint(value.trim_start_matches(['=', ':'])))?
}

/// The host and port of a URL, as a policy names them.
pub(super) fn endpoint(url: &str) -> Option<String> {
    let url = url.trim().trim_matches(['"', '\'', '[', ']', ',']).trim_matches(['"', '\'']);
    let (scheme, rest) = url.strip_prefix("sparse+").unwrap_or(url).split_once("://")?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => {
            (host, port.parse().ok()?)
        }
        Some(_) | None => (host, default),
    };
    // Inside a world the host's own services have a name of their own.
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let host = if local { ringfence_core::HOST_SERVICE_NAME } else { host };
    Endpoint::new(host, port).ok().map(|endpoint| endpoint.to_string())
}
