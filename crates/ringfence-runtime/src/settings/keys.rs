//! `[ssh]` and `[gpg]`: keys of the person's agents that worlds may have sign.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::SecretName;
use serde::Deserialize;

/// What a file says of the keys of one agent: names, and fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) keys: Option<BTreeMap<String, String>>,
}

/// The keys in force: the system's, else the user's.
pub(super) fn join(system: &Raw, user: &Raw) -> BTreeMap<String, String> {
    system.keys.clone().or(user.keys.clone()).unwrap_or_default()
}

/// What is wrong with the first key that cannot be meant, and what to do.
pub(super) fn wrong(ssh: &Raw, gpg: &Raw) -> Option<(String, Option<String>)> {
    let all = || [ssh, gpg].into_iter().flat_map(|raw| raw.keys.iter().flatten());
    if let Some(error) = all().find_map(|(name, _)| name.parse::<SecretName>().err()) {
        return Some((error.to_string(), None));
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = all().find(|(name, _)| !names.insert(name.as_str())) {
        let hint = "a rule could not tell them apart: give one another name".to_owned();
        return Some((format!("`{name}` names an ssh key and a gpg key"), Some(hint)));
    }
    if let Some(name) = [ssh, gpg].into_iter().find_map(twice) {
        let hint = "a rule on one of the names would not hold for the other".to_owned();
        return Some((format!("`{name}` names a key that has another name"), Some(hint)));
    }
    let bad = |raw: &Raw, is_one: fn(&str) -> bool| {
        raw.keys.iter().flatten().map(|(_, text)| text.clone()).find(|text| !is_one(text))
    };
    let said = |text: String, hint: &str| (format!("`{text}` is no fingerprint"), hint.to_owned());
    let of_ssh = bad(ssh, is_of_ssh)
        .map(|text| said(text, "copy it from `ssh-add -l`: `SHA256:` and 43 characters"));
    let of_gpg = || {
        let text = bad(gpg, is_of_gpg)?;
        Some(said(text, "copy it from `gpg --list-secret-keys`: 40 digits and capitals, no blanks"))
    };
    of_ssh.or_else(of_gpg).map(|(message, hint)| (message, Some(hint)))
}

/// A name of a key that has another one before it.
fn twice(raw: &Raw) -> Option<&str> {
    let mut seen = BTreeSet::new();
    let mut all = raw.keys.iter().flatten();
    all.find(|(_, key)| !seen.insert(key.as_str())).map(|(name, _)| name.as_str())
}

fn is_of_ssh(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.strip_prefix("SHA256:").is_some_and(|rest| rest.len() == 43 && rest.bytes().all(plain))
}

/// Of version 4, or of the versions after it.
fn is_of_gpg(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    [40, 64].contains(&text.len()) && text.bytes().all(digit)
}
