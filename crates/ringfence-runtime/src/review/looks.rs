//! What a person should look at first: files that the host runs by itself, and such as look like
//! secrets. By names and first bytes: what is listed here, and what the detectors know, is all that is known.

use std::path::Path;

use ringfence_core::{Certainty, FindingKind};
use ringfence_detect::Detectors;

use super::What;
use crate::gitconfig;
use crate::protected;

/// How much of a file is looked at, in bytes.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// Names of files that hold secrets.
const SECRET_NAMES: &[&str] = &[
    ".boto",
    ".dockercfg",
    ".env",
    ".git-credentials",
    ".htpasswd",
    ".my.cnf",
    ".mylogin.cnf",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".token",
    ".vault-token",
    "auth.json",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "keystore",
    "oauth_creds.json",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "token",
    "token.json",
    "tokens.json",
    "wallet.dat",
];
/// What begins so as well (`credentials.db`, `.credentials.json`), unless it is a program's text or a page.
const CREDENTIALS: &str = "credentials";
/// Endings of programs' texts and of pages: libraries have a `credentials.py`.
const PROGRAM_ENDINGS: &[&str] = &[
    "c", "cjs", "class", "css", "cts", "go", "h", "html", "java", "js", "jsx", "map", "md", "mjs",
    "mts", "php", "pl", "py", "pyc", "pyi", "rb", "rs", "rst", "sh", "so", "ts", "tsx",
];
/// What copies of clients' files have in their names, which were made when their servers were taken over.
const BACKUP: &str = ".before-ringfence";
/// Endings of such names.
const SECRET_ENDINGS: &[&str] =
    &["jks", "kdbx", "key", "keystore", "p12", "pem", "pfx", "ppk", "wallet"];
/// How the values of well-known services begin.
const SECRET_BEGINNINGS: &[&str] = &[
    "AGE-SECRET-KEY-1",
    "AIza",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "npm_",
    "pypi-AgEI",
    "sk-ant-",
    "sk-proj-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "ya29.",
];
/// The same, where there is a mark in it that no other has.
const SECRET_BEGINNINGS_MARKED: &[&str] = &["1//0"];
/// Keys of settings whose values let somebody in.
const SECRET_KEYS: &[&str] = &[
    "accessToken",
    "access_token",
    "apiKey",
    "api_key",
    "client_secret",
    "id_token",
    "oauth_token",
    "refreshToken",
    "refresh_token",
    "sessionToken",
    "session_token",
];
/// How long such a value is, in bytes, at least.
const SECRET_VALUE_BYTES_MIN: usize = 16;
/// How many letters of a key follow such a beginning, at least.
const SECRET_LETTERS_MIN: usize = 12;

/// How many letters such a token has behind its beginning, at least.
const HUB_LETTERS_MIN: usize = 30;

/// Why a file looks like a secret.
pub(crate) fn secret(below: &Path, head: &[u8]) -> Option<String> {
    let name = below.file_name()?.to_string_lossy().to_lowercase();
    let ending = Path::new(&name).extension().map(|it| it.to_string_lossy().into_owned());
    let is_env = name.starts_with(".env.") && !name.ends_with(".example");
    let is_program = ending.as_ref().is_some_and(|it| PROGRAM_ENDINGS.contains(&it.as_str()));
    let are_credentials = name.trim_start_matches('.').starts_with(CREDENTIALS) && !is_program;
    if is_env
        || are_credentials
        || name.contains(BACKUP)
        || SECRET_NAMES.contains(&name.as_str())
        || ending.is_some_and(|it| SECRET_ENDINGS.contains(&it.as_str()))
    {
        return Some("files of this name hold secrets".to_owned());
    }
    let text = String::from_utf8_lossy(head);
    if text.contains("PRIVATE KEY-----") {
        return Some("it has a private key in it".to_owned());
    }
    let begins = |word: &str| {
        let begins = |it: &&&str| word.strip_prefix(**it).is_some_and(is_long);
        SECRET_BEGINNINGS.iter().find(begins)
    };
    let parts = || text.split(|it: char| !it.is_ascii_alphanumeric() && !"-_.".contains(it));
    let marked = || {
        let follows = |it: &&&str| text.split(**it).skip(1).any(is_long);
        SECRET_BEGINNINGS_MARKED.iter().find(follows)
    };
    if let Some(found) = parts().find_map(begins).or_else(marked) {
        return Some(format!("it has a word that begins like a key: `{found}`"));
    }
    if parts().any(is_hub_token) {
        return Some("it has a token of Hugging Face in it".to_owned());
    }
    if parts().any(is_web_token) {
        return Some("it has a token of the web (JWT) in it".to_owned());
    }
    if let Some(key) = SECRET_KEYS.iter().find(|key| has_value(&text, key)) {
        return Some(format!("it has a value for `{key}`"));
    }
    let found = Detectors::shared().look(&text).into_iter().find(|it| {
        it.kind == FindingKind::Secret
            && matches!(it.certainty, Certainty::Certain | Certainty::Likely)
    })?;
    Some(format!("it has what looks like a credential in it: `{}`", found.rule))
}

/// Whether as many letters follow as a key has.
fn is_long(rest: &str) -> bool {
    let letter = |it: &char| it.is_ascii_alphanumeric() || "-_".contains(*it);
    rest.chars().take_while(letter).count() >= SECRET_LETTERS_MIN
}

/// Whether a word is a token of Hugging Face, and not a name in its libraries (`hf_hub_download`).
fn is_hub_token(word: &str) -> bool {
    word.strip_prefix("hf_").is_some_and(|rest| {
        rest.len() >= HUB_LETTERS_MIN && rest.bytes().all(|it| it.is_ascii_alphanumeric())
    })
}

/// Whether a word is a token with a head and a body, each the beginning of an object in base64.
fn is_web_token(word: &str) -> bool {
    let mut parts = word.split('.').skip_while(|it| !it.starts_with("eyJ"));
    let mut next = || parts.next().is_some_and(|it| it.strip_prefix("eyJ").is_some_and(is_long));
    next() && next()
}

/// Whether a quoted key has a long value, which is one word.
fn has_value(text: &str, key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    text.split(quoted.as_str()).skip(1).any(|rest| {
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        let value = value.and_then(|it| it.strip_prefix('"')?.split_once('"'));
        value.is_some_and(|(value, _)| {
            value.len() >= SECRET_VALUE_BYTES_MIN && value.bytes().all(|it| it.is_ascii_graphic())
        })
    })
}

/// The tree as it would be once all was committed, as far as git looks at it.
pub(super) struct Merged<'a> {
    /// Whether something would be at this path below the root.
    pub(super) has: &'a dyn Fn(&Path) -> bool,
}

/// Why the host would run a file, or run what it says.
pub(super) fn host_runs(
    (below, what): (&Path, What),
    head: &[u8],
    merged: &Merged<'_>,
) -> Option<String> {
    let name = below.file_name()?;
    let listed = protected::IN_PROJECT
        .iter()
        .find(|(listed, _, _)| below.components().any(|part| part.as_os_str() == *listed));
    if let Some((_, _, why)) = listed {
        return Some((*why).to_owned());
    }
    if name == ".git" {
        return Some("git takes configuration and hooks from where this leads".to_owned());
    }
    let dir = below.parent()?;
    let in_hooks = dir.file_name().is_some_and(|it| it == "hooks");
    let sample = below.extension().is_some_and(|it| it == "sample");
    if in_hooks && !sample && dir.parent().is_some_and(|it| is_git_dir(it, merged)) {
        return Some("git runs this hook".to_owned());
    }
    if !is_git_dir(dir, merged) {
        return None;
    }
    let leads_git = ["hooks", "config", "config.worktree", "modules", "worktrees"];
    if what == What::Link && leads_git.iter().any(|it| name == *it) {
        return Some("git takes configuration or hooks from where this leads".to_owned());
    }
    if name == protected::COMMON_DIR {
        return Some("git takes configuration and hooks from where this says".to_owned());
    }
    if name != "config" && name != "config.worktree" {
        return None;
    }
    let keys = match std::str::from_utf8(head) {
        Ok(text) if head.len() < HEAD_BYTES => gitconfig::runs_code(text),
        Ok(_) | Err(_) => vec!["(not readable)".to_owned()],
    };
    (!keys.is_empty()).then(|| format!("git may run what this says: {}", keys.join(", ")))
}

/// Whether git may take a directory for a repository; one with some of its parts is taken for one.
fn is_git_dir(dir: &Path, merged: &Merged<'_>) -> bool {
    let parts = ["HEAD", "config", "hooks", "objects", "refs", protected::COMMON_DIR];
    dir.file_name().is_some_and(|name| name == ".git")
        || parts.iter().filter(|part| (merged.has)(&dir.join(part))).count() >= 2
}
