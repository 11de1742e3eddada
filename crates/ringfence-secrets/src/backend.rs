//! Where values are had from: each binding names its place, and whoever needs a value asks there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ringfence_core::Clock;
use zeroize::Zeroizing;

use crate::binding::{Binding, VariableName};
use crate::client::WayOut;
use crate::held::{Fetch, FetchError, Fetched, Occasion};
use crate::keyring;
use crate::loans::{Had, Loans, NotReturned, Tell, Wanted};
use crate::place::{AwsSecret, Backend, Field, KvEntry, Lent, Policies, Values};
use crate::secrets_manager::{KEY_VARIABLES, SecretsManager, WHOLE};
use crate::stand_in::AWS_TOKEN_VARIABLES;
use crate::store::Store;
use crate::vault::{self, TOKEN_FIELD, Vault};

/// What values are had with.
pub struct Sources<'a> {
    /// Values in files of ours.
    pub store: Store,
    /// The environment that Ringfence was started with.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The home directory, where `vault login` leaves a token.
    pub home: &'a Path,
    /// How services are reached.
    pub way_out: WayOut,
    /// The session's name.
    pub session: &'a str,
    /// The project's directory.
    pub project: &'a Path,
    /// The time, which signatures name.
    pub clock: Arc<dyn Clock>,
}

/// All places that values are had from, for one session.
pub struct Backends {
    store: Store,
    environment: BTreeMap<VariableName, Zeroizing<String>>,
    session: String,
    project: String,
    vault: Result<Arc<Vault>, String>,
    aws: SecretsManager,
    /// The address of the session bus.
    bus: Option<String>,
    loans: Loans,
}

impl Backends {
    /// What the bindings name of all that; nothing is asked yet.
    pub fn new(sources: Sources<'_>, bindings: &[Binding]) -> Backends {
        let Sources { store, variable, home, way_out, session, project, clock } = sources;
        let named = bindings.iter().filter_map(|it| it.backend.parse().ok());
        let value = |backend: Backend| match backend {
            Backend::Age
            | Backend::Vault(_)
            | Backend::VaultLease(_)
            | Backend::VaultToken(_)
            | Backend::Aws(_)
            | Backend::Keyring(_) => None,
            Backend::Environment(name) => {
                let value = Zeroizing::new(variable(name.as_str())?);
                Some((name, value))
            }
        };
        let project = project.file_name().and_then(|name| name.to_str());
        Backends {
            store,
            environment: named.filter_map(value).collect(),
            session: session.to_owned(),
            project: project.unwrap_or_default().to_owned(),
            vault: Vault::of_environment(variable, home, &way_out)
                .map(Arc::new)
                .map_err(|error| error.to_string()),
            bus: keyring::bus(variable),
            aws: SecretsManager::of_environment(variable, home, (&way_out, clock)),
            loans: Loans::new(),
        }
    }

    /// Whom to tell of what vaults lend from now on, to record it.
    pub fn record_with(&self, tell: Tell) {
        self.loans.record_with(tell);
    }

    /// What is there; the error is for a person.
    fn had(&self, binding: &Binding, on: &Occasion<'_>) -> Result<Fetched, String> {
        let backend: Backend = binding.backend.parse().map_err(said)?;
        let (session, project) = (self.session.as_str(), self.project.as_str());
        let Occasion { agent, host, method } = *on;
        let values = Values { session, project, agent, host, method };
        let ttl = binding.ttl();
        match &backend {
            // One that has a time of its own is renewed meanwhile.
            Backend::Age => {
                let fetched = if ttl.is_some() { Fetched::Lent } else { Fetched::Fixed };
                self.store.value(&binding.name).map(fetched).map_err(said)
            }
            Backend::Environment(name) => {
                let value = self.environment.get(name).ok_or(format!("${name} is not set"))?;
                binding.value(value).map(Fetched::Fixed).map_err(said)
            }
            Backend::Vault(KvEntry { mount, path, field }) => {
                let mount = mount.fill(&values).map_err(said)?;
                let path = path.fill(&values).map_err(said)?;
                let wanted = Wanted { place: format!("vault:{mount}//{path}"), ttl };
                let ask = |vault: &Arc<Vault>| vault.entry(&mount, &path).map(Had::Kept);
                self.of_vault(binding, (&wanted, field.as_str()), &ask)
            }
            Backend::VaultLease(Lent { path, field }) => {
                let path = path.fill(&values).map_err(said)?;
                let wanted = Wanted { place: format!("vault-lease:{path}"), ttl };
                let ask = |vault: &Arc<Vault>| {
                    vault.lend(&path, ttl).map(|loan| Had::Lent(loan, Arc::clone(vault)))
                };
                self.of_vault(binding, (&wanted, field.as_str()), &ask)
            }
            Backend::VaultToken(policies) => self.token(binding, policies, &values),
            Backend::Aws(secret) => self.of_aws(binding, secret, &values),
            Backend::Keyring(item) => {
                let value = keyring::read(self.bus.as_deref(), item).map_err(said)?;
                binding.value(&value).map(Fetched::Fixed).map_err(said)
            }
        }
    }

    fn token(
        &self,
        binding: &Binding,
        policies: &Policies,
        values: &Values<'_>,
    ) -> Result<Fetched, String> {
        let (policies, ttl) = (policies.fill(values).map_err(said)?, binding.ttl());
        let wanted = Wanted { place: format!("vault-token:{}", policies.join(",")), ttl };
        let ask = |vault: &Arc<Vault>| {
            let loan = vault.token(&policies, &self.session, ttl)?;
            Ok(Had::Lent(loan, Arc::clone(vault)))
        };
        self.of_vault(binding, (&wanted, TOKEN_FIELD), &ask)
    }

    fn of_aws(
        &self,
        binding: &Binding,
        secret: &AwsSecret,
        values: &Values<'_>,
    ) -> Result<Fetched, String> {
        let (id, region) = (secret.fill(values).map_err(said)?, secret.region.as_deref());
        let place = format!("aws-sm:{id}@{}", region.unwrap_or_default());
        let wanted = Wanted { place, ttl: binding.ttl() };
        let ask = || self.aws.value(&id, region).map(Had::Kept).map_err(said);
        let fields = self.loans.get(&wanted, &ask)?;
        let key = secret.key.as_ref().map_or(WHOLE, Field::as_str);
        let value = fields.get(key);
        let value = value.ok_or_else(|| format!("`{id}` of AWS has no text `{key}` in it"))?;
        binding.value(value).map(Fetched::Lent).map_err(said)
    }

    fn of_vault(
        &self,
        binding: &Binding,
        (wanted, field): (&Wanted, &str),
        ask: &dyn Fn(&Arc<Vault>) -> Result<Had, vault::VaultError>,
    ) -> Result<Fetched, String> {
        let vault = self.vault.as_ref().map_err(Clone::clone)?;
        let fields = self.loans.get(wanted, &|| ask(vault).map_err(said))?;
        let value = fields.get(field).ok_or_else(|| {
            let at = vault.endpoint();
            format!("the vault {at} has no text `{field}` in `{}`", wanted.place)
        })?;
        binding.value(value).map(Fetched::Lent).map_err(said)
    }
}

/// Variables that hold values of secrets, or lead to them, which no world may be given.
pub fn withheld(bindings: &[Binding]) -> Vec<String> {
    let mut all: Vec<String> = bindings
        .iter()
        .filter_map(|it| it.backend.parse().ok())
        .flat_map(|backend| match backend {
            // The bus that leads to a keyring is shown to no world as it is.
            Backend::Age | Backend::Keyring(_) => Vec::new(),
            Backend::Environment(name) => vec![name.to_string()],
            Backend::Vault(_) | Backend::VaultLease(_) | Backend::VaultToken(_) => {
                vault::TOKEN_VARIABLES.map(str::to_owned).into()
            }
            Backend::Aws(_) => KEY_VARIABLES.map(str::to_owned).into(),
        })
        .collect();
    // A stand-in of a key of AWS has no token: one beside it would be sent.
    let signs = bindings.iter().any(Binding::signs);
    all.extend(AWS_TOKEN_VARIABLES.iter().filter(|_| signs).map(ToString::to_string));
    all.sort();
    all.dedup();
    all
}

impl Fetch for Backends {
    fn fetch(&self, binding: &Binding, on: &Occasion<'_>) -> Result<Fetched, FetchError> {
        self.had(binding, on).map_err(|why| FetchError {
            secret: binding.name.clone(),
            backend: binding.backend.clone(),
            why,
        })
    }

    fn end(&self) -> Vec<NotReturned> {
        self.loans.end()
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
