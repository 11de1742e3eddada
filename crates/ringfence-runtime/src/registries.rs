//! Where registries are by the user's own configuration of npm, pip, uv, cargo and apt.
//!
//! Nothing of the project is read: whoever names an address a registry of another kind hides its
//! releases from the rules.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_core::{Ecosystem, HOST_SERVICE_NAME};
use ringfence_proxy::packages::{Registries, Registry};

use crate::environment::Environment;
use crate::settings::RegistrySetting;

/// Largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where configuration is looked for.
struct Places<'a> {
    /// The user's home.
    home: &'a Path,
    /// The system's configuration, `/etc`.
    etc: &'a Path,
    /// The environment that Ringfence was started in.
    env: &'a dyn Fn(&str) -> Option<String>,
}

/// All registries that this host knows of.
pub fn of_host(settings: &[RegistrySetting], home: &Path, environment: &Environment) -> Registries {
    let env = |name: &str| environment.text(name).map(str::to_owned);
    all(settings, &Places { home, etc: Path::new("/etc"), env: &env })
}

/// The registries that settings name, before those that package managers are configured for.
fn all(settings: &[RegistrySetting], places: &Places<'_>) -> Registries {
    let found = found(places);
    // What settings say was checked when they were read; what others say may be anything.
    let known = settings.iter().chain(&found).filter_map(|setting| setting.registry().ok());
    let mut registries: Vec<Registry> = Vec::new();
    for registry in known {
        if !registries.iter().any(|other| other.lists == registry.lists) {
            registries.push(registry);
        }
    }
    Registries::new(registries)
}

fn found(places: &Places<'_>) -> Vec<RegistrySetting> {
    let mut found = Vec::new();
    let mut add = |ecosystem, urls: Vec<String>| {
        found.extend(urls.into_iter().map(|url| RegistrySetting {
            ecosystem,
            url: without_login(&url),
            files: Vec::new(),
        }));
    };
    add(Ecosystem::Npm, npm(places));
    add(Ecosystem::Pypi, pip(places));
    add(Ecosystem::Cargo, cargo(places));
    add(Ecosystem::Debian, apt(places));
    found
}

/// An address without the name and password that some configurations hold; this host has another
/// name in a world.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (host, path) = rest.split_at(at);
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let (name, port) = host.split_at(host.rfind(':').unwrap_or(host.len()));
            let local = matches!(name, "localhost" | "127.0.0.1");
            let name = if local { HOST_SERVICE_NAME } else { name };
            format!("{scheme}://{name}{port}{path}")
        }
        None => url.to_owned(),
    }
}

fn variables(places: &Places<'_>, names: &[&str]) -> Vec<String> {
    let said = names.iter().filter_map(|name| (places.env)(name));
    said.flat_map(|urls| urls.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// `registry=` and `@scope:registry=` of `.npmrc`.
fn npm(places: &Places<'_>) -> Vec<String> {
    let mut urls = variables(places, &["NPM_CONFIG_REGISTRY", "npm_config_registry"]);
    let of_line = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let key = key.trim();
        (key == "registry" || key.ends_with(":registry")).then(|| value.trim().to_owned())
    };
    for file in [places.home.join(".npmrc"), places.etc.join("npmrc")] {
        urls.extend(text(&file).lines().filter_map(of_line));
    }
    urls
}

/// `index-url` and `extra-index-url` of `pip.conf`, which may go on over indented lines.
fn pip(places: &Places<'_>) -> Vec<String> {
    let names = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"];
    let mut urls = variables(places, &names);
    let files = [
        places.home.join(".config/pip/pip.conf"),
        places.home.join(".pip/pip.conf"),
        places.etc.join("pip.conf"),
    ];
    for file in files {
        let mut within = false;
        for line in text(&file).lines() {
            let value = match line.split_once('=') {
                Some((key, value)) if !line.starts_with([' ', '\t']) => {
                    within = matches!(key.trim(), "index-url" | "extra-index-url");
                    value
                }
                Some(_) | None => line,
            };
            if within {
                urls.extend(value.split_whitespace().map(str::to_owned));
            }
        }
    }
    urls
}

/// Every `registry` and `index` of `[source.*]` and `[registries.*]` that is a sparse index.
fn cargo(places: &Places<'_>) -> Vec<String> {
    let home = (places.env)("CARGO_HOME").map_or(places.home.join(".cargo"), PathBuf::from);
    let files = ["config.toml", "config"].map(|name| home.join(name));
    let tables = files.iter().filter_map(|file| text(file).parse::<toml::Table>().ok());
    let mut urls = Vec::new();
    for table in tables {
        for (section, key) in [("source", "registry"), ("registries", "index")] {
            let of_section = table.get(section).and_then(toml::Value::as_table);
            let values = of_section.into_iter().flatten().filter_map(|(_, one)| one.get(key));
            urls.extend(values.filter_map(toml::Value::as_str).map(str::to_owned));
        }
    }
    urls.retain(|url| url.starts_with("sparse+"));
    urls
}

/// The archives of `sources.list(5)`, in both of its forms.
fn apt(places: &Places<'_>) -> Vec<String> {
    let dir = places.etc.join("apt");
    let more = fs::read_dir(dir.join("sources.list.d")).into_iter().flatten().flatten();
    let files = more.map(|entry| entry.path()).chain([dir.join("sources.list")]);
    let mut urls = Vec::new();
    for file in files {
        for line in text(&file).lines() {
            let words = match line.strip_prefix("URIs:") {
                Some(rest) => rest,
                None if line.starts_with("deb") => line,
                None => continue,
            };
            let is_url = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
            urls.extend(words.split_whitespace().filter(is_url).map(str::to_owned));
        }
    }
    urls
}

/// A file's text; nothing where there is none, or one that cannot be read.
fn text(file: &Path) -> String {
    let small = fs::metadata(file).is_ok_and(|about| about.len() <= FILE_BYTES_MAX);
    if small { fs::read_to_string(file).unwrap_or_default() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use ringfence_core::{Endpoint, UrlPath};
    use ringfence_proxy::packages::Wanted;

    use super::*;

    #[test]
    fn registries_are_where_package_managers_are_told_they_are() {
        let place = tempfile::tempdir().unwrap();
        let (home, etc) = (place.path().join("home"), place.path().join("etc"));
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            home.join(".npmrc"),
            "registry = https://u:p@npm.test/all/\n@x:registry=https://x.test\n@y:registry=http://localhost:4873\n",
        );
        put(
            home.join(".config/pip/pip.conf"),
            "[global]\nindex-url = https://pip.test/simple\nextra-index-url =\n    https://b.test/s\n",
        );
        put(
            home.join(".cargo/config.toml"),
            "[source.m]\nregistry = \"sparse+https://crates.test/i/\"\n[registries.g]\nindex = \"https://git.test\"\n",
        );
        put(etc.join("apt/sources.list"), "deb [arch=amd64] http://deb.test/debian stable main\n");
        put(
            etc.join("apt/sources.list.d/s.sources"),
            "Types: deb\nURIs: https://sec.test/debian\n",
        );
        let env = |name: &str| (name == "UV_INDEX_URL").then(|| "https://uv.test/s".to_owned());
        let settings = [RegistrySetting {
            ecosystem: Ecosystem::Npm,
            url: "https://b.test/s".to_owned(),
            files: Vec::new(),
        }];
        let registries = all(&settings, &Places { home: &home, etc: &etc, env: &env });
        let wanted = |endpoint: &str, path: &str| {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            let meant = registries.meant(&endpoint, &UrlPath::parse(path).unwrap());
            meant.map(|meant| (meant.registry.ecosystem, meant.wanted))
        };
        for (endpoint, path, ecosystem) in [
            ("npm.test:443", "/all/a", Ecosystem::Npm),
            ("x.test:443", "/a", Ecosystem::Npm),
            ("pip.test:443", "/simple/a/", Ecosystem::Pypi),
            // Settings come first.
            ("b.test:443", "/s/a/", Ecosystem::Npm),
            ("crates.test:443", "/i/1/a", Ecosystem::Cargo),
            ("deb.test:80", "/debian/pool/a_1_all.deb", Ecosystem::Debian),
            ("sec.test:443", "/debian/pool/a_1_all.deb", Ecosystem::Debian),
            ("uv.test:443", "/s/a/", Ecosystem::Pypi),
            ("host.ringfence.internal:4873", "/a", Ecosystem::Npm),
        ] {
            let found = wanted(endpoint, path);
            let (of, wanted) = found.unwrap_or_else(|| panic!("{endpoint}"));
            assert_eq!(of, ecosystem, "{endpoint}");
            assert_ne!(wanted, Wanted::Other, "{endpoint}");
        }
        assert_eq!(wanted("git.test:443", "/1/a"), None);
    }
}
