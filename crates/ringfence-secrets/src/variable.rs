//! The name of an environment variable that a value or a stand-in may be in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::binding::BindingError;

/// Variables that say what programs are or load: a stand-in there would break the world.
const NO_VARIABLE: [&str; 9] =
    ["PATH", "HOME", "SHELL", "USER", "LOGNAME", "TMPDIR", "IFS", "BASH_ENV", "ENV"];

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

impl VariableName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = BindingError;
    fn from_str(text: &str) -> Result<VariableName, BindingError> {
        let plain = (1..=128).contains(&text.len())
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let upper = text.to_ascii_uppercase();
        let reserved = NO_VARIABLE.contains(&upper.as_str())
            || upper.starts_with("LD_")
            || upper.starts_with("RINGFENCE_")
            || upper.ends_with("_PROXY");
        if plain && !reserved {
            Ok(VariableName(text.to_owned()))
        } else {
            Err(BindingError::Variable(text.to_owned()))
        }
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
