//! Settings of package managers as a world sees them: where packages are had from, and no login.
//!
//! The person's own files hold tokens and passwords. A world gets copies with what is listed here and
//! nothing else: whatever key is not known may be a secret. Addresses come without their logins.

use std::path::Path;

use ringfence_core::HOST_SERVICE_NAME;

use super::{Home, read};
use crate::compose::{ComposeError, Layout, Private, Use};
use crate::notice::Notice;

/// A file of a package manager, and what of it a world sees.
struct Settings {
    below_home: &'static str,
    form: Form,
    keys: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `KEY = VALUE` in lines.
    Lines,
    /// The same in sections; addresses go on over indented lines.
    Sections,
    /// TOML.
    Toml,
}

const PIP: &[&str] = &[
    "cert",
    "default-timeout",
    "disable-pip-version-check",
    "extra-index-url",
    "index-url",
    "no-binary",
    "no-index",
    "only-binary",
    "prefer-binary",
    "require-virtualenv",
    "retries",
    "timeout",
    "trusted-host",
];

const FILES: &[Settings] = &[
    Settings {
        below_home: ".npmrc",
        form: Form::Lines,
        keys: &[
            "audit",
            "cafile",
            "engine-strict",
            "fund",
            "ignore-scripts",
            "install-links",
            "legacy-peer-deps",
            "min-release-age",
            "nodedir",
            "offline",
            "omit",
            "omit-lockfile-registry-resolved",
            "package-lock",
            "prefer-offline",
            "progress",
            "registry",
            "save-exact",
            "save-prefix",
            "strict-peer-deps",
            "strict-ssl",
            "update-notifier",
        ],
    },
    Settings { below_home: ".config/pip/pip.conf", form: Form::Sections, keys: PIP },
    Settings { below_home: ".pip/pip.conf", form: Form::Sections, keys: PIP },
    Settings {
        below_home: ".config/go/env",
        form: Form::Lines,
        keys: &["goinsecure", "gonoproxy", "gonosumdb", "goprivate", "goproxy", "gosumdb"],
    },
    Settings {
        below_home: ".config/uv/uv.toml",
        form: Form::Toml,
        keys: &[
            "allow-insecure-host",
            "default",
            "exclude-newer",
            "explicit",
            "extra-index-url",
            "index",
            "index-strategy",
            "index-url",
            "name",
            "native-tls",
            "no-index",
            "offline",
            "pip",
            "prerelease",
            "python-downloads",
            "python-preference",
            "resolution",
            "url",
        ],
    },
];

/// Maven's settings. It takes a file of its repository only from the mirror that it came from, so that without
/// them it has none; they are shown without the elements that hold logins.
const MAVEN: &str = ".m2/settings.xml";
const MAVEN_LOGINS: &[(&str, &str)] =
    &[("<!--", "-->"), ("<servers", "</servers>"), ("<proxies", "</proxies>")];
/// What must not be left in them.
const MAVEN_SECRETS: &[&str] = &[
    "&#",
    "<!doctype",
    "<!entity",
    "<properties",
    "<servers",
    "auth",
    "cdata",
    "credential",
    "key",
    "login",
    "pass",
    "private",
    "pwd",
    "secret",
    "token",
    "user",
];

/// Where pnpm has its store: beside the other caches of the project's worlds. By itself it looks for a place
/// on the disk of the project, in directory after directory, and ends in the project.
const PNPM: (&str, &str) = (".config/pnpm/rc", "store-dir=");

/// Letters and digits of a part of an address that looks like a key.
const KEY_LETTERS_MIN: usize = 16;
/// How many of them are digits.
const KEY_DIGITS_MIN: usize = 2;

/// Puts the copies into a world's private home.
pub(super) fn furnish(
    home: &Home<'_>,
    layout: &mut Layout,
    private: &Private,
) -> Result<(), ComposeError> {
    let (name, key) = PNPM;
    let store = home.dir.join(".cache/pnpm/store");
    put(private, name, &format!("{key}{}\n", store.display()))?;
    for file in FILES {
        let path = home.dir.join(file.below_home);
        // What the policy shows is shown as it is.
        if layout.shows(&path) {
            continue;
        }
        let Some(text) = read(&path) else { continue };
        let seen = match file.form {
            Form::Lines | Form::Sections => lines(&text, (file.form, file.keys)),
            Form::Toml => toml(&text, file.keys),
        };
        note(&seen, &path, layout);
        if !seen.text.trim().is_empty() {
            put(private, file.below_home, &seen.text)?;
        }
    }
    let path = home.dir.join(MAVEN);
    if let Some(text) = read(&path).filter(|_| !layout.shows(&path)) {
        let seen = maven(&text);
        note(&seen, &path, layout);
        if !seen.text.is_empty() {
            // The directory that it is in is a cache of its own, which an agent wrote in before.
            let file = private.supply("settings.xml", seen.text.as_bytes())?;
            layout.bind_private(&path, &file, Use::Read);
        }
    }
    Ok(())
}

fn note(seen: &Seen, path: &Path, layout: &mut Layout) {
    if seen.left_out {
        let text = format!(
            "`{}` holds what looks like a key where none belongs: worlds are not shown that part",
            path.display()
        );
        layout.notices.push(Notice::new(text));
    }
}

fn put(private: &Private, below_home: &str, text: &str) -> Result<(), ComposeError> {
    let path = private.home().join(below_home);
    let above = Path::new(below_home).ancestors().skip(1);
    let mut dirs: Vec<&Path> = above.filter(|dir| !dir.as_os_str().is_empty()).collect();
    dirs.reverse();
    for dir in dirs {
        private.make_dir(&private.home().join(dir))?;
    }
    private.write(&path, text.as_bytes(), 0o644)
}

/// What a world sees of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    text: String,
    /// Whether an address is missing that looks as if it held a key.
    left_out: bool,
}

/// Of a file of lines, the sections and the keys that are known.
fn lines(text: &str, (form, keys): (Form, &[&str])) -> Seen {
    let mut seen = Seen::default();
    // For npm that ends a line: what would be read here as one may be two.
    if text.replace("\r\n", "\n").contains('\r') {
        return Seen { left_out: true, ..seen };
    }
    let mut goes_on = false;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let (before, value) = match bare.split_once('=') {
            _ if form == Form::Sections && is_section(bare) => (bare.to_owned(), ""),
            _ if form == Form::Sections && goes_on && is_address(bare) => ("    ".to_owned(), bare),
            Some((key, value)) if is_known(key, keys) && !(form == Form::Sections && indented) => {
                (format!("{key}="), value)
            }
            Some(_) | None => {
                goes_on = false;
                continue;
            }
        };
        goes_on = !is_section(bare);
        // What is behind such a letter is a note to somebody, and may be anything.
        match for_world(value).filter(|value| !value.contains([';', '#'])) {
            Some(value) => {
                let line = format!("{before}{value}\n");
                seen.text.push_str(&line);
                // pip believes localhost without TLS, and no other name.
                if line.contains("index-url") && line.contains(HOST_SERVICE_NAME) {
                    seen.text.push_str("trusted-host = ");
                    seen.text.push_str(HOST_SERVICE_NAME);
                    seen.text.push('\n');
                    goes_on = false;
                }
            }
            None => seen.left_out = true,
        }
    }
    seen
}

/// Whether a line is the name of a section, and nothing else.
fn is_section(line: &str) -> bool {
    let name = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    name.is_some_and(|name| name.chars().all(|it| it.is_ascii_lowercase() || it == '-'))
}

/// Whether a line on which a value goes on is one address, and nothing else.
fn is_address(line: &str) -> bool {
    let scheme = ["http://", "https://"].iter().any(|scheme| line.starts_with(scheme));
    scheme && !line.contains(char::is_whitespace)
}

/// Whether a key is listed; npm's scopes have registries of their own: `@scope:registry`.
fn is_known(key: &str, keys: &[&str]) -> bool {
    let key = key.trim().to_ascii_lowercase();
    let bare = match key.strip_prefix('@').and_then(|scoped| scoped.split_once(':')) {
        Some((_, "registry")) => "registry",
        Some(_) => return false,
        None => key.as_str(),
    };
    keys.contains(&bare)
}

/// The same of a TOML file; nothing of one that is none.
fn toml(text: &str, keys: &[&str]) -> Seen {
    let Ok(table) = text.parse::<toml::Table>() else { return Seen::default() };
    let mut left_out = false;
    let table = toml::Value::Table(table);
    let table = toml_value(table, keys, &mut left_out);
    let text = table.and_then(|table| toml::to_string(&table).ok()).unwrap_or_default();
    Seen { text, left_out }
}

fn toml_value(value: toml::Value, keys: &[&str], left_out: &mut bool) -> Option<toml::Value> {
    Some(match value {
        toml::Value::String(text) => {
            let text = for_world(&text);
            *left_out |= text.is_none();
            toml::Value::String(text?)
        }
        toml::Value::Array(all) => {
            let all = all.into_iter().filter_map(|one| toml_value(one, keys, left_out));
            toml::Value::Array(all.collect())
        }
        toml::Value::Table(table) => {
            let known = table.into_iter().filter(|(key, _)| is_known(key, keys));
            let kept: toml::Table = known
                .filter_map(|(key, value)| Some((key, toml_value(value, keys, left_out)?)))
                .collect();
            toml::Value::Table(kept)
        }
        other @ (toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)) => other,
    })
}

/// Maven's settings without logins; nothing of them where something that looks like one is left.
fn maven(text: &str) -> Seen {
    let bare = MAVEN_LOGINS.iter().try_fold(text.to_owned(), |text, (begin, end)| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, behind)) = rest.split_once(begin) {
            out.push_str(before);
            // What does not end is no settings.
            (_, rest) = behind.split_once(end)?;
        }
        out.push_str(rest);
        Some(out)
    });
    let seen = bare.and_then(|text| for_world(&text)).filter(|text| {
        let small = text.to_ascii_lowercase();
        !MAVEN_SECRETS.iter().any(|word| small.contains(word))
    });
    Seen { left_out: seen.is_none(), text: seen.unwrap_or_default() }
}

/// Text with addresses as a world may see them: without logins, and the host's own services by the name
/// that they have there. `None` where a part of one looks like a key.
pub(crate) fn for_world(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at_checked(at + 3)?;
        out.push_str(before);
        let is_end = |letter: char| letter.is_whitespace() || ",|\"'<>".contains(letter);
        let (address, behind) =
            after.split_at_checked(after.find(is_end).unwrap_or(after.len()))?;
        let (authority, path) =
            address.split_at_checked(address.find('/').unwrap_or(address.len()))?;
        if path.contains(['?', '@', '#', ';', '=', '%']) || path.split('/').any(looks_like_key) {
            return None;
        }
        let host = authority.rsplit('@').next()?;
        out.push_str(&at_home(host));
        out.push_str(path);
        rest = behind;
    }
    out.push_str(rest);
    // Whatever else was taken for the end of an address: this ends a login.
    (!out.contains('@')).then_some(out)
}

/// A world's localhost is its own; the host's has another name there.
fn at_home(host: &str) -> String {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|it| it.is_ascii_digit()) => (name, Some(port)),
        Some(_) | None => (host, None),
    };
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return host.to_owned();
    }
    port.map_or(HOST_SERVICE_NAME.to_owned(), |port| format!("{HOST_SERVICE_NAME}:{port}"))
}

fn looks_like_key(part: &str) -> bool {
    let letters = part.chars().filter(char::is_ascii_alphanumeric).count();
    let digits = part.chars().filter(char::is_ascii_digit).count();
    letters >= KEY_LETTERS_MIN && digits >= KEY_DIGITS_MIN
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
