//! Which values nobody else should have: by their names, by where they stand, by their form.
//!
//! A name or a form that is known tells for sure; what is only random is told apart, so that a person can be asked.

use ringfence_core::{Certainty, FindingKind};
use ringfence_detect::Detectors;

/// Shortest value that is taken for random, in bytes: shorter ones are words and numbers as well.
const RANDOM_BYTES_MIN: usize = 16;

/// Of a hundred neighbours in a random text, how many are at least of different kinds (letters, capitals, digits); in
/// base 62 it is 44 on average, in words that are written together hardly any.
const CHANGES_PERCENT_MIN: usize = 22;

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// Nothing tells that anybody should not have it.
    Plain,
    /// It is random: a key, or a name that nobody has to keep to themselves.
    Unsure,
    /// A credential that stands alone, as services of the web have them.
    Credential,
    /// A secret that nothing can stand in for, and why.
    Bare(&'static str),
}

const OVER_OTHERS: &str = "is a password that does not go over HTTP";
const WITHIN: &str = "has a secret in the middle of other text";
const IN_ADDRESS: &str = "has a login in an address";
const SIGNS: &str = "is a key that signs and is not sent";
const ODD_PART: &str = "has something random in an address, which may be a key";

/// By its name, and by what it looks like.
pub(super) fn looks(name: &str, value: &str) -> Looks {
    let value = value.trim();
    if value.is_empty() || is_reference(value) {
        return Looks::Plain;
    }
    let parts = parts_of_addresses(value);
    if value.contains("-----BEGIN ") {
        return Looks::Bare(SIGNS);
    }
    if parts.iter().any(|part| part.sure == Sure::Yes) || is_connection(value) {
        return Looks::Bare(IN_ADDRESS);
    }
    if let Some(named) = named(name)
        && !is_switch(value)
        && !is_path(value)
    {
        return named;
    }
    let found = found(value);
    match (found, parts.is_empty()) {
        (Looks::Plain, false) => Looks::Bare(ODD_PART),
        (Looks::Plain, true) if is_random(value) => Looks::Unsure,
        (found, _) => found,
    }
}

/// What a word of a command line looks like, behind the option before it.
pub(super) fn word_looks(option: &str, word: &str) -> Looks {
    let bare = word.trim_start_matches('-');
    let is_name = |name: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !name.is_empty() && name.chars().all(plain)
    };
    for between in ["=", ":"] {
        if let Some((name, value)) = bare.split_once(between)
            && is_name(name)
            && !value.starts_with("//")
        {
            let value = value.trim_start();
            let value = value.strip_prefix("Bearer ").unwrap_or(value);
            match looks(name, value) {
                Looks::Plain => {}
                found @ (Looks::Unsure | Looks::Credential | Looks::Bare(_)) => return found,
            }
        }
    }
    looks(if word.starts_with('-') { "" } else { option }, word)
}

/// What an option asks for in the word behind it; nothing where it has that itself.
pub(super) fn option_of(word: &str) -> &str {
    if word.contains('=') {
        ""
    } else {
        word.strip_prefix('-').map_or("", |it| it.trim_start_matches('-'))
    }
}

/// Words at the end of which a secret is known.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "credential",
    "credentials",
    "creds",
];

/// Words that are one by themselves.
const WORDS: &[&str] =
    &["key", "auth", "authorization", "cookie", "pat", "pass", "jwt", "bearer", "dsn", "sshpass"];

/// Endings of what is typed where a person logs in.
const PASSWORDS: &[&str] = &["password", "passwd", "passphrase", "pwd", "pass", "auth"];

/// What is logged in at over other protocols than HTTP.
const OTHERS: &[&str] = &[
    "pg",
    "postgres",
    "postgresql",
    "pgsql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "rediscli",
    "mssql",
    "sqlserver",
    "oracle",
    "db",
    "database",
    "smtp",
    "imap",
    "pop3",
    "mail",
    "email",
    "ldap",
    "ssh",
    "sudo",
    "amqp",
    "rabbitmq",
    "kafka",
    "mqtt",
    "ftp",
    "sftp",
    "vnc",
];

/// Words that say where a secret is, and are none.
const ABOUT_SECRETS: &[&str] = &[
    "file", "path", "dir", "name", "id", "url", "uri", "type", "public", "header", "expiry", "ttl",
    "limit", "sock",
];

/// What a value of this name is, whatever it is; nothing where the name does not tell.
pub(super) fn named(name: &str) -> Option<Looks> {
    // What shells keep there is a directory.
    if matches!(name, "PWD" | "OLDPWD" | "INIT_CWD") {
        return None;
    }
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    if ABOUT_SECRETS.contains(&last) {
        return None;
    }
    let ends = |word: &String, all: &[&str]| all.iter().any(|ending| word.ends_with(ending));
    let is_secret = |word: &String| WORDS.contains(&word.as_str()) || ends(word, ENDINGS);
    if !words.iter().any(is_secret) {
        return None;
    }
    let of_others = |word: &String| {
        let begins = |it: &&str| {
            word.strip_prefix(*it).is_some_and(|rest| rest.is_empty() || PASSWORDS.contains(&rest))
        };
        OTHERS.iter().any(begins)
    };
    let is_password = words.iter().any(|word| ends(word, PASSWORDS));
    Some(if is_password && words.iter().any(of_others) {
        Looks::Bare(OVER_OTHERS)
    } else {
        Looks::Credential
    })
}

/// The words of a name, in small letters: `exaApiKey` has three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
        if !letter.is_ascii_alphanumeric() || begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_ascii_alphanumeric()) {
            word.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    // `api_key` is written together as well.
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the part of an address is a secret for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    Yes,
    No,
}

/// A part of an address that nobody else should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The name of the parameter; nothing for a login and a part of the path.
    pub(super) parameter: Option<&'a str>,
    pub(super) value: &'a str,
    pub(super) sure: Sure,
}

/// The parts of all addresses in a text that nobody else should have.
pub(super) fn parts_of_addresses(text: &str) -> Vec<Part<'_>> {
    let mut all = Vec::new();
    for (at, between) in text.match_indices("://") {
        let rest = text.get(at.saturating_add(between.len())..).unwrap_or_default();
        let end = rest.find(|letter: char| letter.is_whitespace() || "\"'`,<>".contains(letter));
        parts_of(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default(), &mut all);
    }
    all
}

fn parts_of<'a>(rest: &'a str, all: &mut Vec<Part<'a>>) {
    let (before, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let (authority, _) = before.split_once('/').unwrap_or((before, ""));
    let of_port = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    // A password may have a `/` that nobody has written as they should.
    let login = match (authority.rsplit_once('@'), authority.split_once(':')) {
        (Some((login, _)), _) => Some(login),
        (None, Some((_, port))) if !of_port(port) && !authority.starts_with('[') => {
            before.rsplit_once('@').map(|(login, _)| login)
        }
        (None, _) => None,
    };
    let mut secret = |parameter, value, sure| all.push(Part { parameter, value, sure });
    match login.map(|login| (login, login.split_once(':'))) {
        Some((_, Some((_, value)))) if !value.is_empty() && !is_reference(value) => {
            secret(None, value, Sure::Yes);
        }
        Some((login, None)) if is_random(login) => secret(None, login, Sure::Yes),
        Some(_) | None => {}
    }
    let path = login.and_then(|login| before.get(login.len()..)).unwrap_or(before);
    for segment in path.split('/').skip(1).filter(|it| is_random(it)) {
        secret(None, segment, Sure::No);
    }
    for (name, value) in query.split(['&', ';', '#']).filter_map(|pair| pair.split_once('=')) {
        if value.is_empty() || is_reference(value) || is_switch(value) {
            continue;
        }
        if named(name).is_some() || found(value) != Looks::Plain {
            secret(Some(name), value, Sure::Yes);
        } else if is_random(value) {
            secret(Some(name), value, Sure::No);
        }
    }
}

/// Whether a text says by names how to log in: `host=x password=y`, `AccountKey=...;`.
fn is_connection(text: &str) -> bool {
    let pairs = text.split([';', ' ', '&', ',']).filter_map(|it| it.split_once('='));
    let mut pairs = pairs.map(|(name, value)| (name.trim(), value.trim())).peekable();
    let several = text.split([';', ' ', '&', ',']).filter(|it| it.contains('=')).count() > 1;
    several && pairs.any(|(name, value)| !value.is_empty() && named(name).is_some())
}

/// What the detectors say of a value.
fn found(value: &str) -> Looks {
    let all = Detectors::shared().look(value);
    let mut secrets = all.iter().filter(|it| it.kind == FindingKind::Secret).peekable();
    if secrets.peek().is_none() {
        return Looks::Plain;
    }
    let sure: Vec<_> = secrets.filter(|it| it.certainty != Certainty::Noisy).collect();
    match sure.as_slice() {
        [] => Looks::Unsure,
        some if some.iter().any(|it| it.at.len() == value.len()) => Looks::Credential,
        _ => Looks::Bare(WITHIN),
    }
}

/// Whether a text is random: long, of letters that stand in keys, and ever of another kind than the one before.
fn is_random(text: &str) -> bool {
    let in_keys = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_.~-".contains(&byte);
    if is_path(text) || text.len() < RANDOM_BYTES_MIN || !text.bytes().all(in_keys) {
        return false;
    }
    if !text.bytes().any(|it| it.is_ascii_digit()) {
        return false;
    }
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => 0_u8,
        b'A'..=b'Z' => 1,
        b'a'..=b'z' => 2,
        _ => 3,
    };
    let kinds: Vec<u8> = text.bytes().map(kind).collect();
    // A capital begins a word, and what stands between words ends one.
    let is_change = |pair: &[u8]| matches!(pair, [0, 1 | 2] | [1, 0] | [2, 0 | 1]);
    let changes = kinds.windows(2).filter(|pair| is_change(pair)).count();
    changes.saturating_mul(100) >= text.len().saturating_mul(CHANGES_PERCENT_MIN)
}

/// Whether a text is a path, none of whose parts is random.
fn is_path(text: &str) -> bool {
    let is_one = ["/", "~/", "./", "../"].iter().any(|begin| text.starts_with(begin));
    is_one && !text.split('/').skip(1).any(is_random)
}

pub(super) fn is_switch(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "null", "none", "0", "1"]
        .contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a text only says from where a client takes the value.
fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['$', '{', '}']))
}

#[cfg(test)]
mod tests;
