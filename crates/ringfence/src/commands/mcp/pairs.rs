//! What is given to a server as names with values.

use std::collections::BTreeMap;

use crate::exit::{Failure, Message};

/// The headers of `--header`.
pub(super) fn headers(all: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let one = |text: &String| {
        let (name, value) = text.split_once(':').filter(|(name, _)| !name.is_empty())?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let all: Option<_> = all.iter().map(one).collect();
    all.ok_or_else(|| Message::new("`--header` takes `NAME: VALUE`").could_not())
}

/// The variables of `--env`.
pub(super) fn variables(all: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let one = |text: &String| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    let all: Option<_> = all.iter().map(one).collect();
    all.ok_or_else(|| Message::new("`--env` takes NAME=VALUE").could_not())
}
