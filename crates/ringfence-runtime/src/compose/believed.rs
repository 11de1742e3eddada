//! Whom the programs of a world believe: the authorities that this host believes, and the session's
//! own, which signs what they see where TLS is opened.

mod java;
mod pem;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layout::{Layout, Use};
use super::private::Private;
use super::{ComposeError, RunRequest};
use crate::environment::Environment;
use crate::notice::Notice;

/// The session's authority alone, in the world.
const AUTHORITY_PATH: &str = "/run/ringfence/authority.pem";
/// All that is believed, in the world.
const BUNDLE_PATH: &str = "/run/ringfence/authorities.pem";

/// Where hosts have theirs in one file; programs that know of no variable read it there.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where Java's runtimes have theirs, besides each one's own.
const JAVA_STORES: [&str; 2] =
    ["/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts"];
/// Where systems have their Java runtimes.
const JAVA_RUNTIMES: &str = "/usr/lib/jvm";
/// The store of one runtime.
const JAVA_STORE: &str = "lib/security/cacerts";

/// Where Chromium looks for what the machine's owner wants, and how it is told of an authority.
const CHROMIUM_SETTINGS: [&str; 2] = ["/etc/chromium", "/etc/opt/chrome"];
const CHROMIUM_POLICY: &str = "policies/managed/ringfence.json";

/// Largest file of certificates that is read, in bytes; a system's has a quarter of a mebibyte.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Variables that name a file in place of the system's.
const IN_PLACE: [&str; 14] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HEX_CACERTS_PATH",
    "NIX_SSL_CERT_FILE",
    "NPM_CONFIG_CAFILE",
    "npm_config_cafile",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
];

/// Variables that name a file besides the system's.
const BESIDES: [&str; 2] = ["DENO_CERT", "NODE_EXTRA_CA_CERTS"];

/// Files that a world shows and that have nothing in them yet: to read what a host believes takes as
/// long as half of a start, and can be done while the world is being built.
#[derive(Debug)]
#[must_use = "without it nobody in the world believes anybody"]
pub struct Believed {
    authority: String,
    environment: Environment,
    bundle: (PathBuf, File),
    java: Option<(PathBuf, File)>,
}

impl Believed {
    /// Writes what is believed into the files; to be done before a program of the world runs.
    ///
    /// # Errors
    ///
    /// What the system says where a file cannot be written.
    pub fn write(self) -> Result<(), ComposeError> {
        let bundle = Bundle::of(&self.authority, &self.environment);
        fill(self.bundle, bundle.text.as_bytes())?;
        match self.java {
            Some(java) => fill(java, &java::store(&bundle.certificates)),
            None => Ok(()),
        }
    }
}

fn fill((path, mut file): (PathBuf, File), bytes: &[u8]) -> Result<(), ComposeError> {
    file.write_all(bytes).map_err(|source| ComposeError::Copy { path, source })
}

/// Shows the files in the world; returns the variables that name them, and what is still to be
/// written.
pub(super) fn show(
    layout: &mut Layout,
    private: &Private,
    request: &RunRequest,
) -> Result<(Vec<(String, OsString)>, Believed), ComposeError> {
    layout.notices.extend(unusable(&request.environment));
    let (authority, environment) = (request.authority.as_str(), &request.environment);
    let own = private.dir().join("authority.pem");
    let all = private.dir().join("authorities.pem");
    private.write(&own, authority.as_bytes(), 0o444)?;
    let bundle = private.begin(&all, 0o444)?;
    layout.bind_private(Path::new(AUTHORITY_PATH), &own, Use::Read);
    layout.bind_private(Path::new(BUNDLE_PATH), &all, Use::Read);
    for place in SYSTEM_BUNDLES.iter().map(Path::new) {
        if fs::symlink_metadata(place).is_ok_and(|meta| meta.is_file()) {
            layout.bind_private(place, &all, Use::Read);
        }
    }
    let believed = Believed {
        authority: authority.to_owned(),
        environment: environment.clone(),
        bundle: (all, bundle),
        java: show_java(layout, private, environment)?,
    };
    show_chromium(layout, private, authority)?;
    let in_place = IN_PLACE.iter().map(|name| ((*name).to_owned(), BUNDLE_PATH.into()));
    // What the person added stays added.
    let besides = BESIDES.iter().map(|name| {
        let path = if environment.get(name).is_some() { BUNDLE_PATH } else { AUTHORITY_PATH };
        ((*name).to_owned(), path.into())
    });
    Ok((in_place.chain(besides).collect(), believed))
}

/// Covers the stores of the Java runtimes that are there.
fn show_java(
    layout: &mut Layout,
    private: &Private,
    environment: &Environment,
) -> Result<Option<(PathBuf, File)>, ComposeError> {
    let installed = fs::read_dir(JAVA_RUNTIMES).into_iter().flatten().flatten();
    let homes = installed.map(|runtime| runtime.path()).chain(environment.path("JAVA_HOME"));
    let stores = homes.map(|home| home.join(JAVA_STORE));
    let stores = stores.chain(JAVA_STORES.iter().map(PathBuf::from));
    // A link leads to one that is in the list, or to somebody's own.
    let stores = stores.filter(|it| fs::symlink_metadata(it).is_ok_and(|meta| meta.is_file()));
    let stores: Vec<PathBuf> = stores.collect();
    if stores.is_empty() {
        return Ok(None);
    }
    let ours = private.dir().join("authorities.jks");
    let file = private.begin(&ours, 0o444)?;
    for store in &stores {
        layout.bind_private(store, &ours, Use::Read);
    }
    Ok(Some((ours, file)))
}

/// Tells Chromium, which believes no file, by a policy of the machine's owner.
fn show_chromium(
    layout: &mut Layout,
    private: &Private,
    authority: &str,
) -> Result<(), ComposeError> {
    let ours = private.dir().join("chromium.json");
    let certificates: Vec<String> =
        pem::certificates(authority).map(|it| STANDARD.encode(it.bytes)).collect();
    let policy = serde_json::json!({ "CACertificates": certificates }).to_string();
    private.write(&ours, policy.as_bytes(), 0o444)?;
    for dir in CHROMIUM_SETTINGS.iter().map(Path::new).filter(|dir| dir.is_dir()) {
        // No file can come to be in a directory of the host's that is shown as it is.
        if layout.shows(dir) {
            continue;
        }
        layout.bind_private(&dir.join(CHROMIUM_POLICY), &ours, Use::Read);
    }
    Ok(())
}

/// What the host believes, what the person's variables name, and the session's own.
#[derive(Default)]
struct Bundle {
    text: String,
    /// Those that everybody can read.
    certificates: Vec<Vec<u8>>,
    known: BTreeSet<Vec<u8>>,
}

impl Bundle {
    fn of(authority: &str, environment: &Environment) -> Bundle {
        let mut bundle = Bundle::default();
        let mut known = BTreeSet::new();
        for path in files(environment) {
            // One that cannot be read is one that nobody could have believed by.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let once = metadata.is_file() && known.insert((metadata.dev(), metadata.ino()));
            if once && let Some(file) = read(&path) {
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let text = String::from_utf8(file);
                bundle.add(&text.unwrap_or_else(|error| lossy(error.as_bytes())));
            }
        }
        bundle.add(authority);
        bundle
    }

    /// Takes what is not in it yet.
    fn add(&mut self, file: &str) {
        for certificate in pem::certificates(file) {
            if self.known.contains(&certificate.bytes) {
                continue;
            }
            self.text.push_str(certificate.text);
            self.text.push('\n');
            self.known.insert(certificate.bytes.clone());
            if certificate.kind == pem::Kind::Plain {
                self.certificates.push(certificate.bytes);
            }
        }
    }
}

/// A file of certificates; none where it is too large to be one.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes)
}

/// Says of a file that is to name authorities why it names none: nothing would be believed by it.
fn unusable(environment: &Environment) -> Option<Notice> {
    let file = environment.path("SSL_CERT_FILE")?;
    let why = match fs::read_to_string(&file) {
        Ok(text) if pem::certificates(&text).next().is_some() => return None,
        Ok(_) => "it has no certificate".to_owned(),
        Err(error) => format!("it cannot be read: {error}"),
    };
    Some(Notice::new(format!("`SSL_CERT_FILE` names `{}`, and {why}", file.display())))
}

/// The files that name authorities, the system's first; one may be there by several names.
fn files(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let system = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    let first = environment.path("SSL_CERT_FILE").or_else(system);
    let named = IN_PLACE.iter().chain(&BESIDES).filter_map(|name| environment.path(name));
    // Directories of certificates, one file each, separated as in `PATH`.
    let dirs = environment.get("SSL_CERT_DIR").map(std::env::split_paths);
    let dirs = dirs.into_iter().flatten().filter_map(|dir| fs::read_dir(dir).ok());
    first.into_iter().chain(named).chain(dirs.flatten().flatten().map(|file| file.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_names_no_authority_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("certs.pem");
        let said = || {
            let named = [(OsString::from("SSL_CERT_FILE"), file.clone().into_os_string())];
            unusable(&named.into_iter().collect()).map(|notice| notice.text)
        };
        assert!(said().unwrap().contains("it cannot be read: "));
        fs::write(&file, "nothing").unwrap();
        assert!(said().unwrap().ends_with("it has no certificate"));
        let der = STANDARD.encode([0x30, 0x03, 0x02, 0x01, 0x00]);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
        fs::write(&file, pem).unwrap();
        assert_eq!(said(), None);
    }
}
