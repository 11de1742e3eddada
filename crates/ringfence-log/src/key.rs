//! The host key: signs the checkpoints of every log on this host.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::LogError;
use crate::files;

/// First word of the key file.
const KEY_FILE_PREFIX: &str = "ringfence-host-key-v1 ";

/// Longest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Signature type of ed25519 in C2SP signed-note.
const NOTE_ED25519: u8 = 1;

/// The private key; it has no `Debug`, is never serialised and is wiped when dropped.
#[derive(Clone)]
pub struct HostKey {
    signing: Arc<SigningKey>,
}

/// The public half, with which anyone verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    verifying: VerifyingKey,
}

impl HostKey {
    /// Loads `STATE/host/key`, or makes it (mode 0600) when there is none.
    pub fn load_or_create(state_dir: &Path) -> Result<HostKey, LogError> {
        match HostKey::load(state_dir) {
            Err(LogError::NoKey(path)) => {
                create(&path)?;
                // Another process may have been first; its key is then the one that is loaded.
                HostKey::load(state_dir)
            }
            loaded => loaded,
        }
    }

    /// Loads `STATE/host/key`; refused when anyone but its owner can read it.
    pub fn load(state_dir: &Path) -> Result<HostKey, LogError> {
        let path = files::host_dir(state_dir).join("key");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::NoKey(path));
            }
            Err(error) => return Err(LogError::io("read", &path)(error)),
        };
        let mode = file.metadata().map_err(LogError::io("read", &path))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(LogError::DangerousKey { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        (&mut file)
            .take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(LogError::io("read", &path))?;
        let seed = parse_key(&text).ok_or(LogError::BadKey(path))?;
        Ok(HostKey { signing: Arc::new(SigningKey::from_bytes(&seed)) })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey { verifying: self.signing.verifying_key() }
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.signing.sign(text).to_bytes()
    }
}

impl PublicKey {
    /// Reads the base64 form that [`PublicKey`] displays.
    pub fn parse(text: &str) -> Option<PublicKey> {
        let bytes = BASE64.decode(text).ok()?;
        let (&NOTE_ED25519, rest) = bytes.split_first()? else { return None };
        VerifyingKey::from_bytes(rest.try_into().ok()?)
            .ok()
            .map(|verifying| PublicKey { verifying })
    }

    /// Names the host: 16 hex digits of the key's SHA-256.
    pub fn id(&self) -> String {
        use fmt::Write as _;
        let hash = Sha256::digest(self.verifying.as_bytes());
        hash.iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Origin of a log of this host, which is also the key's name in its notes.
    pub fn origin(&self, log: &str) -> String {
        format!("{}/{log}", self.id())
    }

    /// C2SP verifier key for the log called `log`: `NAME+HASH+KEY`.
    pub fn verifier(&self, log: &str) -> String {
        let name = self.origin(log);
        let hash = u32::from_be_bytes(self.note_hash(&name));
        format!("{name}+{hash:08x}+{self}")
    }

    /// The key's short hash in a note signed under `name` (C2SP signed-note).
    pub(crate) fn note_hash(&self, name: &str) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', NOTE_ED25519])
            .chain_update(self.verifying.as_bytes())
            .finalize();
        hash.first_chunk::<4>().copied().unwrap_or_default()
    }

    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.verifying.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    /// Base64 of the type byte and the key, as in a C2SP verifier key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> =
            std::iter::once(NOTE_ED25519).chain(*self.verifying.as_bytes()).collect();
        f.write_str(&BASE64.encode(bytes))
    }
}

fn parse_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let encoded = text.strip_prefix(KEY_FILE_PREFIX)?.strip_suffix('\n')?;
    let bytes = Zeroizing::new(BASE64.decode(encoded).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

/// Makes a key file; does nothing when there is one already.
fn create(path: &Path) -> Result<(), LogError> {
    let dir = path.parent().map(PathBuf::from).unwrap_or_default();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(LogError::io("create", &dir))?;
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(LogError::Random)?;
    let text = Zeroizing::new(format!("{KEY_FILE_PREFIX}{}\n", BASE64.encode(seed.as_ref())));
    let temporary = dir.join(files::temporary_name("key"));
    let written = write_new(&temporary, text.as_bytes())
        // A hard link fails where a rename would replace another process's key.
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| files::sync_dir(&dir));
    // The link holds the key; a temporary file left behind by a failure would only be litter.
    let _ = fs::remove_file(&temporary);
    written.map_err(LogError::io("create", path))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
