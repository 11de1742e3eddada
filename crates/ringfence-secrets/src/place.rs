//! Where values are kept, as a binding names it: `age`, `env:NAME`, `vault:kv/app#key`.
//!
//! Paths may have placeholders, which are filled in once a use was decided. What stands in them is an
//! agent's choice in part (a host beneath a bound domain, a method), so that only plain values are
//! taken, and at most one in each segment: two different uses never come to the same path.

use std::fmt;
use std::str::FromStr;

use crate::binding::{BindingError, VariableName};
use crate::keyring::Item;
use crate::secrets_manager::is_region;
use crate::store::AGE;

/// How a variable of the environment is written as a place of values.
const ENVIRONMENT: &str = "env:";
/// How an entry of a vault's KV v2 engine is written.
const VAULT: &str = "vault:";
/// How something that a vault lends is written.
const VAULT_LEASE: &str = "vault-lease:";
/// How a token of a vault that is made for the session is written.
const VAULT_TOKEN: &str = "vault-token:";
/// How a secret of AWS Secrets Manager is written.
const AWS: &str = "aws-sm:";
/// How an item of the desktop's keyring is written.
const KEYRING: &str = "keyring:";
/// Longest place, in bytes.
const PLACE_BYTES_MAX: usize = 1024;
/// Longest name of a field, in bytes.
const FIELD_BYTES_MAX: usize = 128;
/// Longest value of a placeholder, in bytes.
const VALUE_BYTES_MAX: usize = 128;
/// Most policies of a token.
const POLICIES_MAX: usize = 16;

/// A place of values, as a binding names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Files of ours, encrypted.
    Age,
    /// A variable of the environment that Ringfence is started with; written `env:NAME`.
    Environment(VariableName),
    /// A field of an entry of a vault's KV v2 engine; written `vault:MOUNT/PATH#FIELD`, with `//`
    /// after a mount that has slashes in it.
    Vault(KvEntry),
    /// A field of what a vault lends; written `vault-lease:PATH#FIELD`.
    VaultLease(Lent),
    /// A token of a vault, with these policies and no others; written `vault-token:POLICY,POLICY`.
    VaultToken(Policies),
    /// A secret of AWS Secrets Manager; written `aws-sm:NAME#KEY@REGION`, of which the name, or an
    /// ARN in its place, is needed.
    Aws(AwsSecret),
    /// An item of the desktop's keyring; written `keyring:SERVICE/ACCOUNT`.
    Keyring(Item),
}

/// A secret of AWS Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSecret {
    /// A slash, where the name begins with one.
    lead: &'static str,
    name: Template,
    /// Which text of an object it is; all of it where none is named.
    pub key: Option<Field>,
    /// Where, if it is said.
    pub region: Option<String>,
}

/// A field of an entry of a KV v2 engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// Where the engine is mounted.
    pub mount: Template,
    /// The entry.
    pub path: Template,
    /// The field.
    pub field: Field,
}

/// A field of what a vault makes when it is asked, and takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// What is asked for.
    pub path: Template,
    /// The field.
    pub field: Field,
}

/// The policies of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies(Vec<Segment>);

/// The name of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(String);

/// A path with placeholders in it, or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

/// What is between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    before: String,
    placeholder: Option<Placeholder>,
    after: String,
}

/// What is filled in when a use was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Session,
    Project,
    Agent,
    Host,
    Method,
}

/// What placeholders stand for, of a use that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    /// The session's name.
    pub session: &'a str,
    /// The name of the project's directory.
    pub project: &'a str,
    /// The agent's name.
    pub agent: &'a str,
    /// The host that the request goes to.
    pub host: &'a str,
    /// Its method.
    pub method: &'a str,
}

/// A value that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} cannot stand in a path as it is here: only letters, digits, `-`, `_` and `.` can")]
pub struct FillError {
    name: &'static str,
}

impl Template {
    /// The path with everything filled in.
    pub fn fill(&self, values: &Values<'_>) -> Result<String, FillError> {
        let filled = self.0.iter().map(|segment| segment.fill(values));
        Ok(filled.collect::<Result<Vec<_>, _>>()?.join("/"))
    }

    /// Whether there is anything to fill in.
    fn is_open(&self) -> bool {
        self.0.iter().any(|segment| segment.placeholder.is_some())
    }
}

impl AwsSecret {
    /// The name or the ARN with everything filled in.
    pub fn fill(&self, values: &Values<'_>) -> Result<String, FillError> {
        Ok(format!("{}{}", self.lead, self.name.fill(values)?))
    }
}

impl Policies {
    /// Their names with everything filled in.
    pub fn fill(&self, values: &Values<'_>) -> Result<Vec<String>, FillError> {
        self.0.iter().map(|segment| segment.fill(values)).collect()
    }
}

impl Segment {
    fn fill(&self, values: &Values<'_>) -> Result<String, FillError> {
        let Segment { before, placeholder, after } = self;
        let Some(placeholder) = placeholder else { return Ok(before.clone()) };
        let value = placeholder.of(values);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // A dot at the front could make `..`, and a value that is not there another path.
        let is_plain = (1..=VALUE_BYTES_MAX).contains(&value.len())
            && !value.starts_with('.')
            && value.bytes().all(plain);
        if is_plain {
            Ok(format!("{before}{value}{after}"))
        } else {
            Err(FillError { name: placeholder.name() })
        }
    }
}

impl Placeholder {
    const ALL: [Placeholder; 5] = [
        Placeholder::Session,
        Placeholder::Project,
        Placeholder::Agent,
        Placeholder::Host,
        Placeholder::Method,
    ];

    fn name(self) -> &'static str {
        match self {
            Placeholder::Session => "{session}",
            Placeholder::Project => "{project}",
            Placeholder::Agent => "{agent}",
            Placeholder::Host => "{host}",
            Placeholder::Method => "{method}",
        }
    }

    fn of<'a>(self, values: &Values<'a>) -> &'a str {
        match self {
            Placeholder::Session => values.session,
            Placeholder::Project => values.project,
            Placeholder::Agent => values.agent,
            Placeholder::Host => values.host,
            Placeholder::Method => values.method,
        }
    }
}

impl Field {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Backend {
    /// Whether what it has depends on the use: then there is no value before there is one.
    pub fn is_open(&self) -> bool {
        match self {
            Backend::Age | Backend::Environment(_) | Backend::Keyring(_) => false,
            Backend::Vault(KvEntry { mount, path, .. }) => mount.is_open() || path.is_open(),
            Backend::VaultLease(Lent { path, .. }) => path.is_open(),
            Backend::VaultToken(Policies(all)) => all.iter().any(|it| it.placeholder.is_some()),
            Backend::Aws(AwsSecret { name, .. }) => name.is_open(),
        }
    }

    /// Whether a value of it can be asked for again after a time, or for a time.
    pub fn takes_ttl(&self) -> bool {
        match self {
            Backend::Age | Backend::Environment(_) | Backend::Keyring(_) => false,
            Backend::Vault(_)
            | Backend::VaultLease(_)
            | Backend::VaultToken(_)
            | Backend::Aws(_) => true,
        }
    }
}

/// What may stand in a path as it is. A vault decodes `%`, so that there is nothing to escape with.
fn is_literal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~@+=,:".contains(&byte))
}

impl FromStr for Segment {
    type Err = ();
    fn from_str(text: &str) -> Result<Segment, ()> {
        let found = Placeholder::ALL
            .into_iter()
            .find_map(|it| text.split_once(it.name()).map(|around| (it, around)));
        let (placeholder, (before, after)) =
            found.map_or((None, (text, "")), |(it, around)| (Some(it), around));
        let is_dots = placeholder.is_none() && (before == "." || before == "..");
        if text.is_empty() || is_dots || !is_literal(before) || !is_literal(after) {
            return Err(());
        }
        Ok(Segment { before: before.to_owned(), placeholder, after: after.to_owned() })
    }
}

impl FromStr for Template {
    type Err = ();
    fn from_str(text: &str) -> Result<Template, ()> {
        text.split('/').map(str::parse).collect::<Result<_, _>>().map(Template)
    }
}

impl FromStr for Policies {
    type Err = ();
    fn from_str(text: &str) -> Result<Policies, ()> {
        let all: Vec<Segment> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if all.len() > POLICIES_MAX { Err(()) } else { Ok(Policies(all)) }
    }
}

impl FromStr for Field {
    type Err = ();
    fn from_str(text: &str) -> Result<Field, ()> {
        let plain = (1..=FIELD_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if plain { Ok(Field(text.to_owned())) } else { Err(()) }
    }
}

impl FromStr for KvEntry {
    type Err = ();
    fn from_str(text: &str) -> Result<KvEntry, ()> {
        let (whole, field) = text.split_once('#').ok_or(())?;
        let (mount, path) = whole.split_once("//").or_else(|| whole.split_once('/')).ok_or(())?;
        Ok(KvEntry { mount: mount.parse()?, path: path.parse()?, field: field.parse()? })
    }
}

impl FromStr for Lent {
    type Err = ();
    fn from_str(text: &str) -> Result<Lent, ()> {
        let (path, field) = text.split_once('#').ok_or(())?;
        Ok(Lent { path: path.parse()?, field: field.parse()? })
    }
}

impl FromStr for AwsSecret {
    type Err = ();
    fn from_str(text: &str) -> Result<AwsSecret, ()> {
        // A name may have an `@` in it too.
        let (rest, region) = match text.rsplit_once('@') {
            Some((rest, region)) if is_region(region) => (rest, Some(region.to_owned())),
            Some(_) | None => (text, None),
        };
        let (whole, key) = match rest.split_once('#') {
            Some((whole, key)) => (whole, Some(key.parse()?)),
            None => (rest, None),
        };
        let (lead, name) = whole.strip_prefix('/').map_or(("", whole), |name| ("/", name));
        Ok(AwsSecret { lead, name: name.parse()?, key, region })
    }
}

impl FromStr for Backend {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<Backend, BindingError> {
        let wrong = || BindingError::Backend(text.to_owned());
        if text.len() > PLACE_BYTES_MAX {
            return Err(wrong());
        }
        let after = |prefix: &str| text.strip_prefix(prefix);
        if text == AGE {
            Ok(Backend::Age)
        } else if let Some(name) = after(ENVIRONMENT) {
            name.parse().map(Backend::Environment)
        } else if let Some(entry) = after(VAULT) {
            entry.parse().map(Backend::Vault).map_err(|()| wrong())
        } else if let Some(lent) = after(VAULT_LEASE) {
            lent.parse().map(Backend::VaultLease).map_err(|()| wrong())
        } else if let Some(policies) = after(VAULT_TOKEN) {
            policies.parse().map(Backend::VaultToken).map_err(|()| wrong())
        } else if let Some(secret) = after(AWS) {
            secret.parse().map(Backend::Aws).map_err(|()| wrong())
        } else if let Some(item) = after(KEYRING) {
            item.parse().map(Backend::Keyring).map_err(|()| wrong())
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placeholder = self.placeholder.map_or("", Placeholder::name);
        write!(f, "{}{placeholder}{}", self.before, self.after)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(Segment::to_string).collect();
        f.write_str(&all.join("/"))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Age => f.write_str(AGE),
            Backend::Environment(name) => write!(f, "{ENVIRONMENT}{name}"),
            Backend::Vault(KvEntry { mount, path, field }) => {
                let between = if mount.0.len() > 1 { "//" } else { "/" };
                write!(f, "{VAULT}{mount}{between}{path}#{}", field.0)
            }
            Backend::VaultLease(Lent { path, field }) => {
                write!(f, "{VAULT_LEASE}{path}#{}", field.0)
            }
            Backend::VaultToken(Policies(all)) => {
                let all: Vec<String> = all.iter().map(Segment::to_string).collect();
                write!(f, "{VAULT_TOKEN}{}", all.join(","))
            }
            Backend::Aws(AwsSecret { lead, name, key, region }) => {
                let key = key.as_ref().map(|key| format!("#{}", key.0)).unwrap_or_default();
                let region = region.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
                write!(f, "{AWS}{lead}{name}{key}{region}")
            }
            Backend::Keyring(item) => write!(f, "{KEYRING}{item}"),
        }
    }
}

#[cfg(test)]
mod tests;
