//! The gpg agent that a world finds, where settings name keys that it may have sign.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::private::listen;
use super::{ComposeError, Layout, Private, Use};
use crate::environment::Environment;
use crate::host_gpg::{self, HostGpg};
use crate::notice::Notice;
use crate::settings::Settings;
use crate::signing::assuan::Keygrip;
use crate::signing::{GPG_HOME, GPG_SOCKET, GpgKey, version_of};

/// How gpg is set in a world: its keys are there to be looked at, and its agent is ours. Whom the
/// person trusts is not known there.
const CONFIG: &str = "\
no-autostart
lock-never
no-permission-warning
no-random-seed-file
no-auto-check-trustdb
trust-model always
no-greeting
";

/// The person's keys that a world may have sign, and where.
#[derive(Debug)]
pub(crate) struct Signers {
    keys: BTreeMap<Keygrip, GpgKey>,
    /// Every name that gpg knows them by.
    fingerprints: BTreeSet<String>,
    public: Vec<u8>,
    upstream: PathBuf,
    version: String,
}

/// A gpg agent to be served.
#[derive(Debug)]
pub struct GpgOffer {
    /// Where the world's programs ask.
    pub listener: UnixListener,
    /// The keys that may be used.
    pub keys: BTreeMap<Keygrip, GpgKey>,
    /// The person's own agent.
    pub upstream: PathBuf,
    /// Its version.
    pub version: String,
}

/// The keys that settings name, where the host has them; a notice where it does not.
pub(super) fn find(
    settings: &Settings,
    environment: &Environment,
    notices: &mut Vec<Notice>,
) -> Option<Signers> {
    if settings.gpg_keys.is_empty() {
        return None;
    }
    let Some(gpg) = HostGpg::find(environment) else {
        let text = "`[gpg] keys` are named, and there is no gpg in this system's directories";
        notices.push(Notice::new(text));
        return None;
    };
    let found = signers(settings, &gpg, notices);
    found.unwrap_or_else(|error| {
        let text = format!("`[gpg] keys` are named, and gpg cannot be asked for them: {error}");
        let hint = "to see what is wrong, run `gpg --list-secret-keys`";
        notices.push(Notice::new(text).hint(hint));
        None
    })
}

fn signers(
    settings: &Settings,
    gpg: &HostGpg<'_>,
    notices: &mut Vec<Notice>,
) -> io::Result<Option<Signers>> {
    let all = gpg.secret_keys()?;
    let (mut keys, mut fingerprints) = (BTreeMap::new(), BTreeSet::new());
    for (name, fingerprint) in &settings.gpg_keys {
        let signing = host_gpg::signing(&all, fingerprint);
        if signing.is_empty() {
            let text =
                format!("`[gpg] keys` names {fingerprint}, and no key of yours that signs is that");
            let hint = "to see those that are, run `gpg --list-secret-keys`";
            notices.push(Notice::new(text).hint(hint));
        }
        for key in signing {
            // Checked when the settings were read; a name that is none would name no secret.
            let (Some(grip), Ok(secret)) = (key.grip(), name.parse()) else { continue };
            // A subkey and its key may be named both: a rule on one name would not hold for the other.
            if let Some(GpgKey { secret: taken, .. }) = keys.get(&grip) {
                let text =
                    format!("`{name}` of `[gpg] keys` is the key `{taken}`, and was left out");
                notices.push(Notice::new(text).hint("let each key have one name"));
                continue;
            }
            fingerprints.extend([key.fingerprint.clone(), key.primary.clone()]);
            keys.insert(grip, GpgKey { secret, fingerprint: key.fingerprint.clone() });
        }
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let named: Vec<&str> = fingerprints.iter().map(String::as_str).collect();
    let (public, upstream) = (gpg.public_keys(&named)?, gpg.agent()?);
    let version = version_of(&upstream)?;
    Ok(Some(Signers { keys, fingerprints, public, upstream, version }))
}

impl Signers {
    /// Every fingerprint by which git could be told to sign with these.
    pub(crate) fn fingerprints(&self) -> &BTreeSet<String> {
        &self.fingerprints
    }
}

/// Makes the socket, and shows the world the public keys.
pub(super) fn offer(
    signers: Option<&Signers>,
    (private, layout): (&Private, &mut Layout),
) -> Result<Option<GpgOffer>, ComposeError> {
    let Some(Signers { keys, public, upstream, version, .. }) = signers else { return Ok(None) };
    let home = private.gpg_home()?;
    for (name, content) in [("gpg.conf", CONFIG.as_bytes()), ("pubring.gpg", public)] {
        private.write(&home.join(name), content, 0o644)?;
    }
    let socket = Path::new(GPG_SOCKET).file_name().unwrap_or_default();
    let listener = listen(&home.join(socket))?;
    layout.bind_private(Path::new(GPG_HOME), &home, Use::Read);
    let (keys, upstream, version) = (keys.clone(), upstream.clone(), version.clone());
    Ok(Some(GpgOffer { listener, keys, upstream, version }))
}
