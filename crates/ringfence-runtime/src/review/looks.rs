//! What a person should look at first: files that the host runs by itself, and such as look like
//! secrets. By names and first bytes: what is listed here is all that is known.

use std::path::Path;

use super::What;
use crate::gitconfig;
use crate::protected;

/// How much of a file is looked at, in bytes.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// Names of files that hold secrets.
const SECRET_NAMES: &[&str] = &[
    ".env",
    ".git-credentials",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".vault-token",
    "credentials",
    "credentials.json",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
];
/// Endings of such names.
const SECRET_ENDINGS: &[&str] = &["jks", "kdbx", "key", "keystore", "p12", "pem", "pfx", "ppk"];
/// How the values of well-known services begin.
const SECRET_BEGINNINGS: &[&str] = &[
    "AGE-SECRET-KEY-1",
    "AIza",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
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
];
/// How many letters of a key follow such a beginning, at least.
const SECRET_LETTERS_MIN: usize = 12;

/// Why a file looks like a secret.
pub(crate) fn secret(below: &Path, head: &[u8]) -> Option<String> {
    let name = below.file_name()?.to_string_lossy().to_lowercase();
    let ending = Path::new(&name).extension().map(|it| it.to_string_lossy().into_owned());
    let is_env = name.starts_with(".env.") && !name.ends_with(".example");
    if is_env
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
        SECRET_BEGINNINGS.iter().find(|beginning| {
            word.strip_prefix(**beginning).is_some_and(|rest| {
                rest.chars()
                    .take_while(|it| it.is_ascii_alphanumeric() || "-_".contains(*it))
                    .count()
                    >= SECRET_LETTERS_MIN
            })
        })
    };
    let parts = text.split(|it: char| !it.is_ascii_alphanumeric() && !"-_.".contains(it));
    let found = parts.into_iter().find_map(begins)?;
    Some(format!("it has a word that begins like a key: `{found}`"))
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
