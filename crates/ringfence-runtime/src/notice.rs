//! Something the person should know although nothing failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One line for the person, with what to do about it where there is something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What is so: lower case, no full stop.
    pub text: String,
    /// A command or a change that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Notice {
    /// A notice without a hint.
    pub fn new(text: impl Into<String>) -> Notice {
        Notice { text: text.into(), hint: None }
    }

    /// The same notice with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Notice {
        Notice { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
