//! Files that the host's environment names as credentials: covered like the well-known places, wherever
//! they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Kind, SECRET_PLACES};
use crate::environment::Environment;

/// Variables whose value is a file with credentials, or several with colons between them.
const FILES: &[&str] = &[
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "BOTO_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "KUBECONFIG",
    "NETRC",
    "NPM_CONFIG_USERCONFIG",
    "PGPASSFILE",
    "PIP_CONFIG_FILE",
    "TF_CLI_CONFIG_FILE",
    "npm_config_userconfig",
];

/// Variables whose value is a directory, and what in it holds credentials: all of it where nothing is
/// named.
const DIRS: &[(&str, &[&str])] = &[
    ("AZURE_CONFIG_DIR", &[]),
    ("CARGO_HOME", &["credentials", "credentials.toml"]),
    ("CLOUDSDK_CONFIG", &[]),
    ("DOCKER_CONFIG", &["config.json"]),
    ("GH_CONFIG_DIR", &[]),
    ("GNUPGHOME", &[]),
    ("PASSWORD_STORE_DIR", &[]),
];

/// What of the home holds credentials and is covered only where it is there.
const OLD_PLACES: &[&str] = &[".cargo/credentials", ".boto", ".s3cfg"];

/// Settings of package managers in their usual places: those find registries by them, and a variable that
/// says what holds anyway changes nothing.
const USUAL: &[&str] = &[".npmrc", ".config/pip/pip.conf", ".pip/pip.conf"];

/// Where the kernel's own files are: nothing of a person's.
const NOT_FILES: &[&str] = &["/dev", "/proc", "/sys"];

/// What there is of it, under the names that no link is in.
pub(super) fn places(home: &Path, cwd: &Path, environment: &Environment) -> Vec<(PathBuf, Kind)> {
    let text = |name: &str| environment.text(name).unwrap_or("").to_owned();
    let files = FILES.iter().flat_map(|name| {
        let (whole, home) = (text(name), home.to_string_lossy());
        // Some take it as one name, some as several; some know the home by `~`.
        let each = whole.split(':').chain([whole.as_str()]).filter(|it| !it.is_empty());
        let at_home = |it: &str| it.strip_prefix("~/").map(|rest| format!("{home}/{rest}"));
        let both = each.flat_map(|it| [Some(it.to_owned()), at_home(it)]);
        both.flatten().map(PathBuf::from).collect::<Vec<_>>()
    });
    let within =
        DIRS.iter().filter(|(name, _)| !text(name).is_empty()).flat_map(|(name, parts)| {
            let dir = PathBuf::from(text(name));
            match parts {
                [] => vec![dir],
                parts => parts.iter().map(|part| dir.join(part)).collect(),
            }
        });
    let old = OLD_PLACES.iter().map(|name| home.join(name));
    let mut places: Vec<(PathBuf, Kind)> = Vec::new();
    for named in files.chain(within).chain(old) {
        // What is not there is no secret, and nothing is made for it.
        let Ok(path) = fs::canonicalize(cwd.join(named)) else { continue };
        let Some(kind) = kind_of(&path) else { continue };
        let known = places.iter().any(|(other, _)| path.starts_with(other));
        if !known && !is_left_out(&path, (home, cwd)) {
            places.push((path, kind));
        }
    }
    places
}

fn kind_of(path: &Path) -> Option<Kind> {
    let found = fs::metadata(path).ok()?;
    match (found.is_file(), found.is_dir()) {
        (true, _) => Some(Kind::File),
        (false, true) => Some(Kind::Dir),
        (false, false) => None,
    }
}

/// What is covered already, what is no file, what is read by everybody, and what covers where people work.
fn is_left_out(path: &Path, (home, cwd): (&Path, &Path)) -> bool {
    SECRET_PLACES.iter().any(|(name, _)| path.starts_with(home.join(name)))
        || is_no_file(path)
        || USUAL.iter().any(|name| path == home.join(name))
        || home.starts_with(path)
        || cwd.starts_with(path)
}

/// Whether a path is the kernel's, such as `/dev/null`.
pub(super) fn is_no_file(path: &Path) -> bool {
    NOT_FILES.iter().any(|dir| path.starts_with(dir))
}
