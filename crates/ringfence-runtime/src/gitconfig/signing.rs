//! Whether a person's git signs with a key that the world may have sign.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Setting;
use crate::signing::wire;

/// Least digits by which a key of gpg is named, as gpg has it.
const KEY_DIGITS_MIN: usize = 16;

/// The keys that a world may have sign, by their fingerprints.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signers<'a> {
    /// Those of the person's gpg, where there are some.
    pub gpg: Option<&'a BTreeSet<String>>,
    /// Those of the person's ssh agent, where there are some.
    pub ssh: Option<&'a BTreeSet<String>>,
}

/// What a person's git signs with, if the world may have that sign too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SignsBy {
    /// Nothing that the world could sign with.
    Nothing,
    /// A key of gpg, as it is named.
    Gpg,
    /// A key of ssh: its public half, as git takes it in place of a file's name.
    Ssh(String),
}

impl SignsBy {
    /// What of these settings is true in the world. `read` gives the text of a file.
    pub(super) fn of(
        settings: &[Setting],
        read: &dyn Fn(&str) -> Option<String>,
        signers: Signers<'_>,
    ) -> SignsBy {
        let last = |name: &str| {
            let mut all = settings.iter().rev();
            all.find(|it| it.short_name() == name && it.subsection.is_none())?.value.as_deref()
        };
        let key = last("user.signingkey").unwrap_or("");
        match last("gpg.format") {
            None | Some("openpgp") if signs_by_gpg(key, signers.gpg) => SignsBy::Gpg,
            Some("ssh") => {
                let literal = signers.ssh.and_then(|keys| key_of_ssh(key, read, keys));
                literal.map_or(SignsBy::Nothing, SignsBy::Ssh)
            }
            None | Some(_) => SignsBy::Nothing,
        }
    }

    /// What git is told in place of the person's own words: the world sees none of their files.
    pub(super) fn told(&self) -> Vec<Setting> {
        let setting = |section: &str, key: &str, value: &str| Setting {
            section: section.to_owned(),
            subsection: None,
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        match self {
            SignsBy::Nothing | SignsBy::Gpg => Vec::new(),
            SignsBy::Ssh(key) => {
                vec![setting("gpg", "format", "ssh"), setting("user", "signingkey", key)]
            }
        }
    }
}

fn signs_by_gpg(key: &str, keys: Option<&BTreeSet<String>>) -> bool {
    let key = key.trim_end_matches('!').to_ascii_uppercase();
    let key = key.strip_prefix("0X").unwrap_or(&key);
    let named = key.len() >= KEY_DIGITS_MIN;
    named && keys.into_iter().flatten().any(|whole| whole.ends_with(key))
}

/// The public half of the key that `user.signingkey` names, if it is one of `keys`.
fn key_of_ssh(
    named: &str,
    read: &dyn Fn(&str) -> Option<String>,
    keys: &BTreeSet<String>,
) -> Option<String> {
    let literal = named.strip_prefix("key::");
    if let Some(key) = literal.or_else(|| named.starts_with("ssh-").then_some(named)) {
        return public_half(key, keys);
    }
    // Any other path depends on the directory that git runs in.
    if !named.starts_with("~/") && !named.starts_with('/') {
        return None;
    }
    // A file without `.pub` is mostly the private half, which is nothing to be read.
    let beside = named.strip_suffix(".pub").is_none().then(|| format!("{named}.pub"));
    let mut files = beside.into_iter().chain([named.to_owned()]);
    public_half(files.find_map(|file| read(&file))?.lines().next()?, keys)
}

/// `TYPE KEY` of `TYPE KEY COMMENT`, as git takes it.
fn public_half(line: &str, keys: &BTreeSet<String>) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let bytes = STANDARD.decode(key).ok()?;
    keys.contains(&wire::fingerprint(&bytes)).then(|| format!("key::{kind} {key}"))
}
