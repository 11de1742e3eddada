//! The keyring of the person's desktop: items of the freedesktop Secret Service, read over the
//! session bus, never written, and never unlocked from here.
//!
//! An item is known by the attributes `service` and `username`, as `secret-tool`, and the keyring
//! libraries of Python, Go and Rust have them.
//! Source: Secret Service API, draft 0.2; D-Bus specification, "Server addresses".

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zeroize::Zeroizing;

/// How long the keyring may take for all of it.
const KEYRING_WAIT: Duration = Duration::from_secs(10);
/// Longest service or account, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The name on the bus that keyrings have, and the interfaces of theirs that are used.
const SECRETS: &str = "org.freedesktop.secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const ITEM: &str = "org.freedesktop.Secret.Item";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";

/// An item, as a binding names it: `keyring:SERVICE/ACCOUNT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    service: String,
    account: String,
}

/// Why an item could not be read; never with anything of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is no bus to ask.
    #[error(
        "there is no session bus to ask for the keyring: DBUS_SESSION_BUS_ADDRESS is not set; start \
         Ringfence in your desktop's session, or by `dbus-run-session`"
    )]
    NoBus,
    /// An address that is no socket of this machine's.
    #[error("the session bus is no unix socket, and others are not spoken to")]
    Address,
    /// The bus or the keyring did not answer as they should.
    #[error("the keyring could not be asked: {0}")]
    Failed(String),
    /// It did not answer in time.
    #[error("the keyring did not answer in {} s", KEYRING_WAIT.as_secs())]
    Slow,
    /// It is locked.
    #[error(
        "the keyring is locked: unlock it first, by logging in to your desktop or with its password \
         manager; it is not unlocked from here"
    )]
    Locked,
    /// Nothing of that name.
    #[error(
        "the keyring has no item with service `{}` and username `{}`: `secret-tool store --label \
         NAME service {} username {}` makes one", .0.service, .0.account, .0.service, .0.account
    )]
    Absent(Item),
    /// Several.
    #[error("the keyring has {count} items for `{item}`: which one is meant cannot be told")]
    Several {
        /// How many.
        count: usize,
        /// Of what was looked for.
        item: Item,
    },
    /// Not a text.
    #[error("the item is no text")]
    NotText,
}

/// The address of the session bus, from the environment.
pub fn bus(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let named = variable("DBUS_SESSION_BUS_ADDRESS").filter(|it| !it.is_empty());
    named.or_else(|| {
        let path = std::path::Path::new(&variable("XDG_RUNTIME_DIR")?).join("bus");
        path.exists().then(|| format!("unix:path={}", path.display()))
    })
}

/// Reads an item; blocks, for as long as [`KEYRING_WAIT`] at most.
pub fn read(bus: Option<&str>, item: &Item) -> Result<Zeroizing<String>, KeyringError> {
    let address = bus.ok_or(KeyringError::NoBus)?.to_owned();
    // Other kinds of addresses reach other machines, or run programs (`unixexec`).
    if !address.split(';').all(|it| it.starts_with("unix:")) {
        return Err(KeyringError::Address);
    }
    let (say, said) = sync_channel(1);
    let item = item.clone();
    let asking = move || {
        // Nobody listens any more where it took too long.
        let _ = say.send(ask(&address, &item));
    };
    let failed = |error: std::io::Error| KeyringError::Failed(error.to_string());
    std::thread::Builder::new().name("keyring".to_owned()).spawn(asking).map_err(failed)?;
    match said.recv_timeout(KEYRING_WAIT) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(KeyringError::Slow),
        Err(RecvTimeoutError::Disconnected) => {
            Err(KeyringError::Failed("the thread that asked it ended".to_owned()))
        }
    }
}

/// Finds the one item of that name, and reads it.
fn ask(address: &str, item: &Item) -> Result<Zeroizing<String>, KeyringError> {
    let bus = Builder::address(address)?.method_timeout(KEYRING_WAIT).build()?;
    let service = Proxy::new(&bus, SECRETS, SERVICE_PATH, SERVICE)?;
    let wanted: HashMap<&str, &str> =
        [("service", item.service.as_str()), ("username", &item.account)].into();
    let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
        service.call("SearchItems", &(wanted,))?;
    let found = match (open.as_slice(), locked.as_slice()) {
        ([one], []) => one,
        ([], []) => return Err(KeyringError::Absent(item.clone())),
        ([], [_]) => return Err(KeyringError::Locked),
        (open, locked) => {
            let count = open.len() + locked.len();
            return Err(KeyringError::Several { count, item: item.clone() });
        }
    };
    // On a socket of this machine's, to a server of the same user's.
    let (_, session): (OwnedValue, OwnedObjectPath) =
        service.call("OpenSession", &("plain", Value::from("")))?;
    value(&bus, found, &session)
}

fn value(
    bus: &Connection,
    item: &OwnedObjectPath,
    session: &OwnedObjectPath,
) -> Result<Zeroizing<String>, KeyringError> {
    let item = Proxy::new(bus, SECRETS, item.as_ref(), ITEM)?;
    let ((_, _, value, _),): ((OwnedObjectPath, Vec<u8>, Vec<u8>, String),) =
        item.call("GetSecret", &(session,))?;
    let value = Zeroizing::new(value);
    let text = std::str::from_utf8(&value).map_err(|_| KeyringError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

impl From<zbus::Error> for KeyringError {
    fn from(error: zbus::Error) -> KeyringError {
        let name =
            if let zbus::Error::MethodError(name, _, _) = &error { name.as_str() } else { "" };
        if name.ends_with(".IsLocked") {
            KeyringError::Locked
        } else if name.ends_with(".ServiceUnknown") || name.ends_with(".NameHasNoOwner") {
            KeyringError::Failed("no keyring runs on the session bus".to_owned())
        } else {
            KeyringError::Failed(error.to_string())
        }
    }
}

impl FromStr for Item {
    type Err = ();
    fn from_str(text: &str) -> Result<Item, ()> {
        let (service, account) = text.rsplit_once('/').ok_or(())?;
        let plain = |it: &str| {
            (1..=NAME_BYTES_MAX).contains(&it.len()) && !it.chars().any(char::is_control)
        };
        if plain(service) && plain(account) {
            Ok(Item { service: service.to_owned(), account: account.to_owned() })
        } else {
            Err(())
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.account)
    }
}

#[cfg(test)]
mod tests;
