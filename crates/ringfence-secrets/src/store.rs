//! Where bindings and values are kept: one pair of files per secret, the value encrypted with age.
//!
//! `NAME.json` is the binding, `NAME.age` the value, encrypted to the key in `identity.txt`. Both
//! formats are open: `age -d -i identity.txt NAME.age` shows what is in it. What is encrypted names
//! the binding it was made for by its digest, so that a binding that was changed behind our back
//! finds no value.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use ringfence_core::SecretName;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::value::{Secret, ValueError};

/// The backend that keeps values in files of ours.
pub const AGE: &str = "age";
/// Most secrets of one user.
pub const SECRETS_MAX: usize = 256;
/// Largest file that is read, in bytes: a value with what age puts around it is far smaller.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The file that holds the key.
const IDENTITY_FILE: &str = "identity.txt";

/// The secrets of one user, in a directory that only that user may enter.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be used.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file, or it belongs to somebody else.
    #[error("`{}` can be read or was written by others than its owner", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what was written.
    #[error("`{}` is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is no such secret.
    #[error("there is no secret `{0}`")]
    Unknown(SecretName),
    /// There is one of that name.
    #[error("there is a secret `{0}` already")]
    Exists(SecretName),
    /// More than [`SECRETS_MAX`].
    #[error("there are {SECRETS_MAX} secrets already")]
    TooMany,
    /// The value was refused.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// SHA-256 of the binding's file, lower-case hex.
    binding: String,
    value: Zeroizing<String>,
}

impl Store {
    /// The secrets kept in `dir`; nothing is made.
    pub fn at(dir: PathBuf) -> Store {
        Store { dir }
    }

    /// All bindings, by name. A damaged one is an error: what it said cannot be told.
    pub fn list(&self) -> Result<Vec<Binding>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &self.dir)(source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("read", &self.dir))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some(Ok(name)) = name.map(str::parse::<SecretName>) {
                found.push(self.binding(&name)?);
            }
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    /// One binding.
    pub fn binding(&self, name: &SecretName) -> Result<Binding, StoreError> {
        self.read_binding(name).map(|(binding, _)| binding)
    }

    /// Keeps a new secret. `value` is `None` where another backend has it.
    pub fn add(&self, binding: &Binding, value: Option<&Secret>) -> Result<(), StoreError> {
        if self.path(&binding.name, "json").exists() {
            return Err(StoreError::Exists(binding.name.clone()));
        }
        if self.list()?.len() >= SECRETS_MAX {
            return Err(StoreError::TooMany);
        }
        self.make_dir()?;
        self.write(binding, value)
    }

    /// Replaces the value of a secret that is there, and its shape.
    pub fn rotate(&self, name: &SecretName, value: &Secret) -> Result<(), StoreError> {
        let mut binding = self.binding(name)?;
        binding.shape = binding.shape_of(value);
        self.write(&binding, Some(value))
    }

    /// Replaces the value of a secret that changes by itself: its shape stays, so that whoever reads it meanwhile finds
    /// either value.
    pub fn renew(&self, name: &SecretName, value: &Secret) -> Result<(), StoreError> {
        let binding = self.binding(name)?;
        self.write(&binding, Some(value))
    }

    /// Forgets a secret.
    pub fn remove(&self, name: &SecretName) -> Result<(), StoreError> {
        let binding = self.path(name, "json");
        match fs::remove_file(&binding) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Unknown(name.clone()));
            }
            Err(source) => return Err(failed("remove", &binding)(source)),
        }
        let value = self.path(name, "age");
        match fs::remove_file(&value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &value)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The value of a secret that is kept here.
    pub fn value(&self, name: &SecretName) -> Result<Secret, StoreError> {
        let (_, digest) = self.read_binding(name)?;
        let path = self.path(name, "age");
        let damaged = |why: &str| StoreError::Damaged { path: path.clone(), why: why.to_owned() };
        let identity = self.identity()?;
        let plain = age::decrypt(&identity, &Store::read(&path)?)
            .map(Zeroizing::new)
            .map_err(|_| damaged("it was not encrypted to the key in `identity.txt`"))?;
        // The text of a parser's error could quote the value.
        let sealed: Sealed =
            serde_json::from_slice(&plain).map_err(|_| damaged("it holds no value"))?;
        if sealed.binding != digest {
            return Err(damaged("the binding was changed after the value was kept"));
        }
        Ok(Secret::new(name.clone(), &sealed.value)?)
    }

    fn write(&self, binding: &Binding, value: Option<&Secret>) -> Result<(), StoreError> {
        let path = self.path(&binding.name, "json");
        let text = serde_json::to_vec_pretty(binding)
            .map_err(io::Error::from)
            .map_err(failed("write", &path))?;
        if let Some(value) = value {
            let sealed = Sealed {
                binding: digest(&text),
                value: Zeroizing::new(value.dangerous_reveal().to_owned()),
            };
            let at = self.path(&binding.name, "age");
            let plain = serde_json::to_vec(&sealed)
                .map(Zeroizing::new)
                .map_err(io::Error::from)
                .map_err(failed("write", &at))?;
            let recipient = self.identity_or_new()?.to_public();
            let encrypted = age::encrypt(&recipient, &plain)
                .map_err(io::Error::other)
                .map_err(failed("encrypt", &at))?;
            self.replace(&at, &encrypted)?;
        }
        self.replace(&path, &text)
    }

    fn read_binding(&self, name: &SecretName) -> Result<(Binding, String), StoreError> {
        let path = self.path(name, "json");
        if !path.exists() {
            return Err(StoreError::Unknown(name.clone()));
        }
        let text = Store::read(&path)?;
        let damaged = |why: String| StoreError::Damaged { path: path.clone(), why };
        let binding: Binding =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if binding.name != *name {
            return Err(damaged("it is the binding of another secret".to_owned()));
        }
        binding.check().map_err(|error| damaged(error.to_string()))?;
        Ok((binding, digest(&text)))
    }

    fn identity_or_new(&self) -> Result<Identity, StoreError> {
        let path = self.dir.join(IDENTITY_FILE);
        if !path.exists() {
            let identity = Identity::generate();
            let text = Zeroizing::new(format!("{}\n", identity.to_string().expose_secret()));
            self.replace(&path, text.as_bytes())?;
        }
        self.identity()
    }

    fn identity(&self) -> Result<Identity, StoreError> {
        let path = self.dir.join(IDENTITY_FILE);
        let text = Zeroizing::new(Store::read(&path)?);
        let lines = std::str::from_utf8(&text).unwrap_or_default().lines();
        let key = lines.map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        key.and_then(|line| line.parse().ok())
            .ok_or_else(|| StoreError::Damaged { path, why: "it holds no age identity".to_owned() })
    }

    fn make_dir(&self) -> Result<(), StoreError> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(failed("create", &self.dir))
    }

    /// A file of ours, which nobody else may have read or written.
    fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(no_follow).open(path);
        let file = opened.map_err(failed("read", path))?;
        let metadata = file.metadata().map_err(failed("read", path))?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_file() || !ours || metadata.mode() & 0o077 != 0 {
            return Err(StoreError::Open { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed("read", path))?;
        Ok(bytes)
    }

    /// Writes beside, syncs, renames over.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut random = [0; 8];
        let written = getrandom::fill(&mut random).map_err(io::Error::other).and_then(|()| {
            let beside = path.with_extension(format!("new-{:x}", u64::from_ne_bytes(random)));
            let put = || {
                let mut file =
                    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
                file.write_all(bytes)?;
                file.sync_all()?;
                fs::rename(&beside, path)?;
                File::open(&self.dir)?.sync_all()
            };
            put().inspect_err(|_| {
                // Ours alone; a failure to remove it changes nothing.
                let _ = fs::remove_file(&beside);
            })
        });
        written.map_err(failed("write", path))
    }

    fn path(&self, name: &SecretName, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
