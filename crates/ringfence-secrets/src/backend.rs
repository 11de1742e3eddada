//! Where values are kept: each binding names its place, and whoever needs a value asks there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::binding::{Binding, BindingError, VariableName};
use crate::held::{Fetch, FetchError};
use crate::stand_in::AWS_TOKEN_VARIABLES;
use crate::store::{AGE, Store};
use crate::value::Secret;

/// How a variable of the environment is written as a place of values.
const ENVIRONMENT: &str = "env:";

/// A place of values, as a binding names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Files of ours, encrypted.
    Age,
    /// A variable of the environment that Ringfence is started with; written `env:NAME`.
    Environment(VariableName),
}

/// All places that values are had from.
pub struct Backends {
    store: Store,
    environment: BTreeMap<VariableName, Zeroizing<String>>,
}

impl Backends {
    /// The store, and what of the environment the bindings name; `variable` looks it up.
    pub fn new(
        store: Store,
        bindings: &[Binding],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Backends {
        let named = bindings.iter().filter_map(|it| it.backend.parse().ok());
        let value = |backend: Backend| match backend {
            Backend::Age => None,
            Backend::Environment(name) => {
                let value = Zeroizing::new(variable(name.as_str())?);
                Some((name, value))
            }
        };
        Backends { store, environment: named.filter_map(value).collect() }
    }
}

/// Variables that hold values of secrets, which no world may be given.
pub fn withheld(bindings: &[Binding]) -> Vec<String> {
    let name = |it: &Binding| match it.backend.parse() {
        Ok(Backend::Environment(name)) => Some(name.to_string()),
        Ok(Backend::Age) | Err(_) => None,
    };
    // A stand-in of a key of AWS has no token: one beside it would be sent.
    let signs = bindings.iter().any(Binding::signs);
    let tokens = AWS_TOKEN_VARIABLES.iter().filter(|_| signs).map(ToString::to_string);
    bindings.iter().filter_map(name).chain(tokens).collect()
}

impl Fetch for Backends {
    fn fetch(&self, binding: &Binding) -> Result<Secret, FetchError> {
        let no_value = |why: String| FetchError {
            secret: binding.name.clone(),
            backend: binding.backend.clone(),
            why,
        };
        match binding.backend.parse() {
            Ok(Backend::Age) => self.store.fetch(binding),
            Ok(Backend::Environment(name)) => {
                let value = self.environment.get(&name);
                let value = value.ok_or_else(|| no_value(format!("${name} is not set")))?;
                binding.value(value).map_err(|error| no_value(error.to_string()))
            }
            Err(error) => Err(no_value(error.to_string())),
        }
    }
}

impl FromStr for Backend {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<Backend, BindingError> {
        match text.strip_prefix(ENVIRONMENT) {
            Some(name) => name.parse().map(Backend::Environment),
            None if text == AGE => Ok(Backend::Age),
            None => Err(BindingError::Backend(text.to_owned())),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Age => f.write_str(AGE),
            Backend::Environment(name) => write!(f, "{ENVIRONMENT}{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
