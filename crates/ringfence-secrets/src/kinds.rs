//! Ready-made bindings: where well-known services expect their keys, and where programs look for them.

use std::fmt;
use std::str::FromStr;

use crate::binding::{Binding, BindingError, Delivery, Slot};

/// A service whose binding is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anthropic's API.
    Anthropic,
    /// OpenAI's API.
    OpenAi,
    /// Google's Gemini API.
    Gemini,
    /// GitHub: its API, and git over HTTPS.
    GitHub,
    /// Stripe's API.
    Stripe,
    /// AWS, and what speaks as it does where a host is named: requests are signed.
    Aws,
    /// Git over HTTPS on a host that is named.
    GitHttps,
    /// A token for a registry of npm packages, on a host that is named.
    Npm,
    /// A token for an index of Python packages, on a host that is named.
    Pip,
}

/// What is known of a kind.
struct Known {
    hosts: &'static [&'static str],
    headers: &'static [&'static str],
    query: Option<&'static str>,
    /// What is neither a header nor a parameter.
    other: Option<Slot>,
    variables: &'static [&'static str],
}

impl Kind {
    /// All of them, in the order of the help.
    pub const ALL: [Kind; 9] = [
        Kind::Anthropic,
        Kind::OpenAi,
        Kind::Gemini,
        Kind::GitHub,
        Kind::Stripe,
        Kind::Aws,
        Kind::GitHttps,
        Kind::Npm,
        Kind::Pip,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Anthropic => "anthropic",
            Kind::OpenAi => "openai",
            Kind::Gemini => "gemini",
            Kind::GitHub => "github",
            Kind::Stripe => "stripe",
            Kind::Aws => "aws",
            Kind::GitHttps => "git-https",
            Kind::Npm => "npm",
            Kind::Pip => "pip",
        }
    }

    /// Fills in what a binding leaves open; what it says already stays.
    pub fn complete(self, binding: &mut Binding) -> Result<(), BindingError> {
        let known = self.known();
        if self == Kind::Aws && !binding.slots.is_empty() {
            return Err(BindingError::Signs);
        }
        if binding.hosts.is_empty() {
            binding.hosts = known.hosts.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
        }
        if binding.slots.is_empty() {
            let headers = known.headers.iter().map(|it| Slot::header(it));
            let query = known.query.map(Slot::query);
            let other = known.other.map(Ok);
            binding.slots = headers.chain(query).chain(other).collect::<Result<_, _>>()?;
        }
        if binding.deliver.is_empty() {
            let variables = known.variables.iter().map(|it| it.parse().map(Delivery::Env));
            binding.deliver = variables.collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn known(self) -> Known {
        let none = Known { hosts: &[], headers: &[], query: None, other: None, variables: &[] };
        match self {
            Kind::Anthropic => Known {
                hosts: &["api.anthropic.com"],
                headers: &["x-api-key", "authorization: Bearer"],
                variables: &["ANTHROPIC_API_KEY"],
                ..none
            },
            Kind::OpenAi => Known {
                hosts: &["api.openai.com"],
                headers: &["authorization: Bearer"],
                variables: &["OPENAI_API_KEY"],
                ..none
            },
            Kind::Gemini => Known {
                hosts: &["generativelanguage.googleapis.com"],
                headers: &["x-goog-api-key"],
                query: Some("key"),
                variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
                ..none
            },
            Kind::GitHub => Known {
                hosts: &["api.github.com", "github.com", "uploads.github.com"],
                headers: &["authorization: Bearer", "authorization: token"],
                other: Some(Slot::Basic),
                variables: &["GITHUB_TOKEN", "GH_TOKEN"],
                ..none
            },
            Kind::Stripe => Known {
                hosts: &["api.stripe.com"],
                headers: &["authorization: Bearer"],
                other: Some(Slot::Basic),
                variables: &["STRIPE_API_KEY", "STRIPE_SECRET_KEY"],
                ..none
            },
            Kind::Aws => Known {
                hosts: &["*.amazonaws.com", "*.api.aws"],
                other: Some(Slot::Aws),
                variables: &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
                ..none
            },
            Kind::GitHttps => Known { other: Some(Slot::Basic), variables: &["GIT_TOKEN"], ..none },
            Kind::Npm => Known {
                headers: &["authorization: Bearer"],
                other: Some(Slot::Basic),
                variables: &["NPM_TOKEN"],
                ..none
            },
            Kind::Pip => Known { other: Some(Slot::Basic), variables: &["PIP_TOKEN"], ..none },
        }
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Kind, String> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("no known service: the known ones are {names}")
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
