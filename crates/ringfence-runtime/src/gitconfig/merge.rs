//! What of an agent's changes to a repository's configuration comes back.

use std::collections::BTreeSet;

use super::{GitConfigError, Setting, parse, render};

/// What came of taking an agent's changes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedBack {
    /// The host's file with the changes; `None` when nothing changed.
    pub text: Option<String>,
    /// Keys of the host's file that are others by it.
    pub taken: Vec<String>,
    /// Keys that the agent changed and that stay behind.
    pub refused: Vec<String>,
}

/// Takes back what the agent changed in its copy of a repository's configuration: the plain keys
/// of `branch.*` and `remote.*`, and nothing else.
///
/// Where the person's remotes lead stays as it is, and a branch follows only remotes that have a
/// name: in place of one git takes a path, and a push there runs the hooks it finds. `base` is what the copy began as, `host` what the host has now: its own changes meanwhile stay.
pub fn merge_back(base: &str, copy: &str, host: &str) -> Result<MergedBack, GitConfigError> {
    let (before, after, now) = (parse(base)?, parse(copy)?, parse(host)?);
    let only_in = |here: &[Setting], there: &[Setting]| -> Vec<Setting> {
        here.iter().filter(|setting| !there.contains(setting)).cloned().collect()
    };
    let allowed = |setting: &Setting| {
        comes_back(setting) && names_a_remote(setting, [&now, &after]) && !redirects(setting, &now)
    };
    // A remote that is gone as a whole may go; one that is to lead elsewhere stays.
    let may_go = |setting: &Setting| {
        comes_back(setting)
            && !(is_url(setting) && after.iter().any(|kept| kept.in_section(setting)))
    };
    let (added, gone) = (only_in(&after, &before), only_in(&before, &after));
    let kept_out = added.iter().filter(|setting| !allowed(setting));
    let kept_in = gone.iter().filter(|setting| !may_go(setting));
    let refused = names(kept_out.chain(kept_in));
    let mut result = now.clone();
    result.retain(|setting| !(gone.contains(setting) && may_go(setting)));
    for setting in added.into_iter().filter(allowed) {
        if result.contains(&setting) {
            continue;
        }
        let last = result.iter().rposition(|other| other.in_section(&setting));
        let at = last.map_or(result.len(), |last| last + 1);
        result.insert(at, setting);
    }
    let text = (result != now).then(|| render(&result));
    let taken = names(only_in(&result, &now).iter().chain(&only_in(&now, &result)));
    Ok(MergedBack { text, taken, refused })
}

fn names<'a>(settings: impl Iterator<Item = &'a Setting>) -> Vec<String> {
    let names: BTreeSet<String> = settings.map(Setting::name).collect();
    names.into_iter().collect()
}

fn is_url(setting: &Setting) -> bool {
    setting.section == "remote" && matches!(setting.key.as_str(), "url" | "pushurl")
}

/// Whether a setting makes a remote that the person has lead elsewhere.
fn redirects(setting: &Setting, now: &[Setting]) -> bool {
    is_url(setting) && now.iter().any(|other| is_url(other) && other.in_section(setting))
}

/// Whether what a branch follows is the repository itself or a remote with a name.
pub(super) fn names_a_remote(setting: &Setting, configured: [&[Setting]; 2]) -> bool {
    let follows = matches!(setting.key.as_str(), "remote" | "pushremote");
    if setting.section != "branch" || !follows {
        return true;
    }
    let value = setting.value.as_deref().unwrap_or("");
    let named = |other: &Setting| other.subsection.as_deref() == Some(value) && is_url(other);
    value == "." || configured.iter().any(|settings| settings.iter().any(named))
}

/// Whether a setting is one of those that come back at all.
pub(super) fn comes_back(setting: &Setting) -> bool {
    let value = setting.value.as_deref().unwrap_or("");
    let plain = !value.starts_with('-') && !value.chars().any(char::is_control);
    if setting.subsection.is_none() || !plain {
        return false;
    }
    match (setting.section.as_str(), setting.key.as_str()) {
        ("branch", "remote" | "pushremote" | "merge" | "rebase" | "description")
        | ("remote", "fetch" | "tagopt" | "prune" | "prunetags") => true,
        ("remote", "url" | "pushurl") => is_plain_url(value),
        _ => false,
    }
}

/// A URL that makes git run no program of its own choosing: `ext::`, `fd::` and any `NAME::` do, and ssh may where
/// it takes a host for an option (CVE-2017-1000117). Git refuses such hosts itself; an older one, or another
/// program that reads the same file, need not.
fn is_plain_url(url: &str) -> bool {
    if url.contains("::") {
        return false;
    }
    match url.split_once("://") {
        Some(("https" | "http", rest)) => is_plain_server(server_of(rest), "%"),
        // Git decodes what is behind a `%` here.
        Some(("ssh" | "git", rest)) => is_plain_server(server_of(rest), ""),
        Some(_) => false,
        None => url.split_once(':').is_some_and(|(server, path)| {
            server.contains('@') && is_plain_server(server, "") && !path.starts_with('-')
        }),
    }
}

fn server_of(rest: &str) -> &str {
    rest.split('/').next().unwrap_or("")
}

/// Whether `USER@HOST:PORT` has nothing in it that could be taken for something else; `more` may stand in
/// USER, where a token may be too.
fn is_plain_server(server: &str, more: &str) -> bool {
    let is_word = |text: &str, more: &str| {
        let plain =
            |it: char| it.is_ascii_alphanumeric() || "-._".contains(it) || more.contains(it);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
    };
    let (user, host) =
        server.rsplit_once('@').map_or((None, server), |(it, rest)| (Some(it), rest));
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    let user_is_plain = user.is_none_or(|user| is_word(user, &format!("~+:{more}")));
    user_is_plain && is_word(host, "") && port.bytes().all(|byte| byte.is_ascii_digit())
}
