//! HashiCorp Vault and OpenBao, which answer alike: entries of KV v2, what is lent, and tokens.
//!
//! Which vault, and by whose token, is said by the variables that `vault` and `bao` themselves read.
//! What a vault says of an error is not passed on: it could be anything, also what it was sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use ringfence_core::Endpoint;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::client::{
    Address, AddressError, Answer, CALL_SECONDS_MAX, Call, CallError, Client, WayOut,
};

/// Variables that may hold a vault's token, which no world may be given.
pub const TOKEN_VARIABLES: [&str; 2] = ["BAO_TOKEN", "VAULT_TOKEN"];
/// Files in the home directory in which `bao login` and `vault login` leave a token.
const TOKEN_FILES: [&str; 2] = [".bao-token", ".vault-token"];
/// How long renewing and giving back may take, in seconds.
const BRIEF_SECONDS_MAX: u64 = 5;
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 8 * 1024;
/// Longest name of a lease, in bytes.
const LEASE_BYTES_MAX: usize = 1024;
/// The field in which the answer to a made token has it.
pub const TOKEN_FIELD: &str = "client_token";

/// A vault, and who asks it.
pub struct Vault {
    client: Client,
    /// For what nobody's request waits for, but the end of a session may.
    brief: Client,
    address: Address,
    namespace: Option<String>,
    /// What a variable said.
    token: Option<Zeroizing<String>>,
    /// Where one is looked for otherwise, when it is needed.
    files: Vec<PathBuf>,
}

/// The texts that something was answered with, by name.
pub type Fields = BTreeMap<String, Zeroizing<String>>;

/// What a vault lent.
pub struct Loan {
    /// What it is.
    pub fields: Fields,
    /// How it is given back.
    pub lease: Lease,
    /// How long it holds; `None` where no end is known.
    pub holds: Option<Duration>,
    /// Whether it can be made to hold longer.
    pub renewable: bool,
}

/// What a vault calls something that it lent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lease {
    /// A lease's id.
    Id(String),
    /// A token's accessor.
    Accessor(String),
}

/// Why a vault gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Nobody said which vault.
    #[error("it is not said where the vault is: set $VAULT_ADDR or $BAO_ADDR")]
    NoAddress,
    /// What is said is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Not a namespace.
    #[error("$VAULT_NAMESPACE is no path of a namespace")]
    Namespace,
    /// Nobody is logged in.
    #[error(
        "there is no token for the vault: run `vault login` or `bao login`, or set $VAULT_TOKEN"
    )]
    NoToken,
    /// What is there is no token.
    #[error("the vault's token is not one line of visible characters")]
    Token,
    /// It could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It keeps everything to itself.
    #[error("the vault {0} is sealed, or not in service")]
    Sealed(Endpoint),
    /// The token does not let it.
    #[error(
        "the vault {at} refuses `{path}`: the token has expired, or has no policy that allows it"
    )]
    Refused {
        /// The vault.
        at: Endpoint,
        /// What was asked.
        path: String,
    },
    /// Nothing is there.
    #[error("the vault {at} has nothing at `{path}`")]
    Absent {
        /// The vault.
        at: Endpoint,
        /// What was asked.
        path: String,
    },
    /// It cannot do what it was asked for.
    #[error("the vault {at} answers `{path}` with status {status}")]
    Status {
        /// The vault.
        at: Endpoint,
        /// What was asked.
        path: String,
        /// The status.
        status: u16,
    },
    /// The answer is not what the documented API answers.
    #[error("the vault {at} answers `{path}` with something that is not understood")]
    Garbled {
        /// The vault.
        at: Endpoint,
        /// What was asked.
        path: String,
    },
    /// What is there cannot be given back.
    #[error("`{0}` of the vault is not lent: name an entry of a KV engine by `vault:`")]
    NotLent(String),
}

/// An answer, as far as it is needed.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    lease_duration: u64,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth: Option<&'a RawValue>,
}

/// The data of an entry of KV v2.
#[derive(Deserialize)]
struct KvWire<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// A token that was made.
#[derive(Deserialize)]
struct AuthWire {
    client_token: Zeroizing<String>,
    accessor: String,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    lease_duration: u64,
}

impl Vault {
    /// The vault that variables name; `home` is where tokens are left by a login.
    pub fn of_environment(
        variable: &dyn Fn(&str) -> Option<String>,
        home: &std::path::Path,
        way_out: &WayOut,
    ) -> Result<Vault, VaultError> {
        let either = |name: &str| {
            let set = |prefix: &str| variable(&format!("{prefix}_{name}"));
            set("BAO").or_else(|| set("VAULT")).filter(|value| !value.is_empty())
        };
        let address = either("ADDR").ok_or(VaultError::NoAddress)?.parse()?;
        let namespace = either("NAMESPACE").map(|it| namespace(&it)).transpose()?;
        let [file, dir] = ["CACERT", "CAPATH"].map(|name| either(name).map(PathBuf::from));
        let way_out = if file.is_none() && dir.is_none() {
            way_out.clone()
        } else {
            WayOut { file, dir, ..way_out.clone() }
        };
        let patience = either("CLIENT_TIMEOUT").and_then(|text| seconds(&text));
        let patience = patience.unwrap_or(Duration::from_secs(CALL_SECONDS_MAX));
        Ok(Vault {
            client: Client::new(way_out.clone()).within(patience),
            brief: Client::new(way_out)
                .within(patience.min(Duration::from_secs(BRIEF_SECONDS_MAX))),
            address,
            namespace,
            token: either("TOKEN").map(Zeroizing::new),
            files: TOKEN_FILES.map(|name| home.join(name)).into(),
        })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        self.address.endpoint()
    }

    /// An entry of a KV v2 engine, in its newest version.
    pub fn entry(&self, mount: &str, path: &str) -> Result<Fields, VaultError> {
        let path = format!("{mount}/data/{path}");
        let answer = self.ask(&self.client, Method::GET, (&path, None))?;
        let garbled = |_| self.garbled(&path);
        let wire: Wire<'_> = serde_json::from_slice(&answer.body).map_err(garbled)?;
        let kv: Option<KvWire<'_>> =
            wire.data.map(|data| serde_json::from_str(data.get())).transpose().map_err(garbled)?;
        // The newest version may have been deleted.
        let data = kv.and_then(|kv| kv.data).ok_or_else(|| self.absent(&path))?;
        fields_of(data.get()).map_err(garbled)
    }

    /// What a path lends, for a time that is asked for where one is named.
    pub fn lend(&self, path: &str, ttl: Option<Duration>) -> Result<Loan, VaultError> {
        let query = ttl.map(|ttl| format!("?ttl={}s", ttl.as_secs())).unwrap_or_default();
        let answer = self.ask(&self.client, Method::GET, (&format!("{path}{query}"), None))?;
        let garbled = |_| self.garbled(path);
        let wire: Wire<'_> = serde_json::from_slice(&answer.body).map_err(garbled)?;
        let lease = wire.lease_id;
        if lease.is_empty() {
            return Err(VaultError::NotLent(path.to_owned()));
        }
        if !is_name(&lease) {
            return Err(self.garbled(path));
        }
        let lease = Lease::Id(lease);
        let data = wire
            .data
            .ok_or_else(|| self.garbled(path))
            .and_then(|data| fields_of(data.get()).map_err(garbled));
        let fields = data.inspect_err(|_| self.drop_at_once(&lease))?;
        let holds = duration(wire.lease_duration);
        Ok(Loan { fields, lease, holds, renewable: wire.renewable })
    }

    /// A token with these policies and no others, a child of the one that asks.
    pub fn token(
        &self,
        policies: &[String],
        session: &str,
        ttl: Option<Duration>,
    ) -> Result<Loan, VaultError> {
        let path = "auth/token/create";
        let mut wanted = json!({
            "policies": policies,
            "no_default_policy": true,
            "display_name": format!("ringfence-{session}"),
            "meta": { "ringfence_session": session },
        });
        if let (Some(ttl), Some(wanted)) = (ttl, wanted.as_object_mut()) {
            wanted.insert("ttl".to_owned(), json!(format!("{}s", ttl.as_secs())));
        }
        let answer = self.ask(&self.client, Method::POST, (path, Some(&wanted)))?;
        let garbled = |_| self.garbled(path);
        let wire: Wire<'_> = serde_json::from_slice(&answer.body).map_err(garbled)?;
        let auth = wire.auth.ok_or_else(|| self.garbled(path))?;
        let auth: AuthWire = serde_json::from_str(auth.get()).map_err(garbled)?;
        if !is_name(&auth.accessor) {
            return Err(self.garbled(path));
        }
        Ok(Loan {
            fields: [(TOKEN_FIELD.to_owned(), auth.client_token)].into(),
            lease: Lease::Accessor(auth.accessor),
            holds: duration(auth.lease_duration),
            renewable: auth.renewable,
        })
    }

    /// Makes what was lent hold longer; how long it does from now on, and whether it can be done
    /// again.
    pub fn renew(
        &self,
        lease: &Lease,
        by: Duration,
    ) -> Result<(Option<Duration>, bool), VaultError> {
        let (path, name, id) = match lease {
            Lease::Id(id) => ("sys/leases/renew", "lease_id", id),
            Lease::Accessor(id) => ("auth/token/renew-accessor", "accessor", id),
        };
        let wanted = json!({ name: id, "increment": by.as_secs() });
        let answer = self.ask(&self.brief, Method::POST, (path, Some(&wanted)))?;
        let garbled = |_| self.garbled(path);
        let wire: Wire<'_> = serde_json::from_slice(&answer.body).map_err(garbled)?;
        match wire.auth {
            None => Ok((duration(wire.lease_duration), wire.renewable)),
            Some(auth) => {
                // A renewed token is not said again.
                let auth: Renewed = serde_json::from_str(auth.get()).map_err(garbled)?;
                Ok((duration(auth.lease_duration), auth.renewable))
            }
        }
    }

    /// Gives back what was lent; once this returns, it opens nothing.
    pub fn revoke(&self, lease: &Lease) -> Result<(), VaultError> {
        let (path, wanted) = match lease {
            Lease::Id(id) => ("sys/leases/revoke", json!({ "lease_id": id, "sync": true })),
            Lease::Accessor(id) => ("auth/token/revoke-accessor", json!({ "accessor": id })),
        };
        self.ask(&self.brief, Method::POST, (path, Some(&wanted))).map(drop)
    }

    /// Gives back what cannot be used.
    fn drop_at_once(&self, lease: &Lease) {
        // What is not understood is told already; it ends by itself.
        let _ = self.revoke(lease);
    }

    fn ask(
        &self,
        client: &Client,
        method: Method,
        (path, body): (&str, Option<&serde_json::Value>),
    ) -> Result<Answer, VaultError> {
        let header = |name: &'static str, value: Zeroizing<String>| {
            (http::HeaderName::from_static(name), value)
        };
        let mut headers = vec![
            header("x-vault-token", self.current_token()?),
            // Without it a vault's agent may refuse (server-side request forgery).
            header("x-vault-request", Zeroizing::new("true".to_owned())),
        ];
        if let Some(namespace) = &self.namespace {
            headers.push(header("x-vault-namespace", Zeroizing::new(namespace.clone())));
        }
        let body = body.map(|body| Zeroizing::new(body.to_string().into_bytes()));
        let below = format!("/v1/{path}");
        let call = Call { method, address: &self.address, path: &below, headers, body };
        let answer = client.call(&call)?;
        let (at, path) = (self.endpoint().clone(), || path.to_owned());
        match answer.status {
            200..=299 => Ok(answer),
            403 => Err(VaultError::Refused { at, path: path() }),
            404 => Err(VaultError::Absent { at, path: path() }),
            503 => Err(VaultError::Sealed(at)),
            status => Err(VaultError::Status { at, path: path(), status }),
        }
    }

    /// The token of this moment: whoever logs in anew need not start anything again.
    fn current_token(&self) -> Result<Zeroizing<String>, VaultError> {
        if let Some(token) = &self.token {
            return checked(token);
        }
        let mut text = Zeroizing::new(String::new());
        let opened = self.files.iter().find_map(|path| File::open(path).ok());
        let file = opened.ok_or(VaultError::NoToken)?;
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(|_| VaultError::Token)?;
        checked(text.trim())
    }

    fn garbled(&self, path: &str) -> VaultError {
        VaultError::Garbled { at: self.endpoint().clone(), path: path.to_owned() }
    }

    fn absent(&self, path: &str) -> VaultError {
        VaultError::Absent { at: self.endpoint().clone(), path: path.to_owned() }
    }
}

/// What a renewed token is said to be.
#[derive(Deserialize)]
struct Renewed {
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    lease_duration: u64,
}

impl Lease {
    /// Its name, for who wants to give it back by hand; it opens nothing.
    pub fn name(&self) -> &str {
        match self {
            Lease::Id(name) | Lease::Accessor(name) => name,
        }
    }
}

/// The texts of an object in JSON; what is no text cannot be a secret's value.
pub(crate) fn fields_of(object: &str) -> Result<Fields, serde_json::Error> {
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(object)?;
    let text = |raw: &RawValue| serde_json::from_str::<Zeroizing<String>>(raw.get()).ok();
    Ok(all.into_iter().filter_map(|(name, raw)| Some((name, text(raw)?))).collect())
}

fn checked(token: &str) -> Result<Zeroizing<String>, VaultError> {
    if token.is_empty() {
        Err(VaultError::NoToken)
    } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Zeroizing::new(token.to_owned()))
    } else {
        Err(VaultError::Token)
    }
}

fn namespace(text: &str) -> Result<String, VaultError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if text.len() <= 512 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(VaultError::Namespace)
    }
}

/// What may be recorded, sent back and put into a command for a person as the name of a lease.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~@+=,:".contains(&byte);
    (1..=LEASE_BYTES_MAX).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

/// Seconds of an answer; none is said for what does not end.
fn duration(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.min(u64::from(u32::MAX))))
}

/// `VAULT_CLIENT_TIMEOUT`: seconds, with or without an `s`.
fn seconds(text: &str) -> Option<Duration> {
    let count: u64 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    (count > 0).then(|| Duration::from_secs(count))
}

#[cfg(test)]
mod tests;
