//! What neither a hint nor a suggestion opens: what was tried is the agent's choice, and a command
//! that is offered is soon copied. A person who means it writes the grant, or the rule, by hand.

pub mod typed;

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ringfence_core::{Endpoint, Host};
use ringfence_policy::grant::GrantText;
use ringfence_proxy::net;
use rustix::fs::{Mode, OFlags};

use crate::clients::Client;
use crate::compose::SECRET_PLACES;
use crate::init;
use crate::review::looks;
use crate::wording::printable;

/// Why nothing is offered for a place of secrets.
pub(crate) const COVERED: &str = "secrets are kept there, and a world covers it unless a rule or a grant \
                                  of yours names it itself; keep what is needed of it as a secret of \
                                  Ringfence";

/// Why nothing is offered for what a world covers, for whatever reason.
pub(crate) const SHUT: &str = "a world covers it: secrets are kept there, or a rule forbids it; keep what is \
                               needed of it as a secret of Ringfence";

/// Why nothing is offered for where agents and clients keep logins.
pub(crate) const LOGIN: &str = "agents, clients or services keep logins there; keep what is needed of it as a \
                                secret of Ringfence, or write the rule by hand";

/// Most names that are looked at beneath a directory for which a grant could be offered, and most bytes of
/// its files' beginnings: a question waits for it.
const NAMES_MAX: usize = 2048;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Names by which clouds' metadata services are known.
const METADATA: &[&str] = &[
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
];

/// Settings that hold passwords, below the home.
const SETTINGS: &[&str] = &[
    ".cargo/config",
    ".cargo/config.toml",
    ".config/go/env",
    ".config/pip/pip.conf",
    ".config/rclone",
    ".config/uv",
    ".gradle/gradle.properties",
    ".m2/settings-security.xml",
    ".m2/settings.xml",
    ".npmrc",
    ".pip",
    ".psql_history",
    ".python_history",
    ".yarnrc.yml",
];

/// Where agents, their clients, services and wallets keep logins and keys, below the home; besides those that are known
/// with their settings ([`Client`], [`init::logins`]).
const LOGINS: &[&str] = &[
    ".aider.conf.yml",
    ".bitcoin",
    ".cache/huggingface",
    ".claude",
    ".codeium",
    ".codex",
    ".config/Claude",
    ".config/age",
    ".config/aichat",
    ".config/fly",
    ".config/github-copilot",
    ".config/goose",
    ".config/opencode",
    ".config/solana",
    ".config/sops",
    ".config/zed",
    ".continue",
    ".copilot",
    ".cursor",
    ".electrum",
    ".ethereum",
    ".fly",
    ".gemini",
    ".huggingface",
    ".local/share/goose",
    ".local/share/opencode",
    ".my.cnf",
    ".mylogin.cnf",
    ".qwen",
    ".windsurf",
];

/// Every place of logins below a home, whether there is something or not.
pub(crate) fn logins(home: &Path) -> Vec<PathBuf> {
    let clients = Client::ALL.into_iter().flat_map(|client| client.own_files(home));
    let mut all: Vec<PathBuf> = LOGINS.iter().map(|name| home.join(name)).collect();
    all.extend(clients.chain(init::logins(home)));
    all
}

/// Every place of secrets below the home, whether there is something or not.
pub(crate) fn below_home() -> impl Iterator<Item = &'static str> {
    SECRET_PLACES.iter().map(|(name, _)| *name).chain(SETTINGS.iter().copied())
}

/// Why no grant of this kind is offered, if that is so.
pub(crate) fn at_all(grant: &GrantText, home: &Path) -> Option<String> {
    kept(grant, home, looks_secret)
}

/// The same by names alone, whatever there is.
pub(crate) fn by_name(grant: &GrantText, home: &Path) -> Option<String> {
    kept(grant, home, |path| looks_secret_by(path, &[]))
}

fn kept(
    grant: &GrantText,
    home: &Path,
    looks_secret: impl Fn(&Path) -> Option<String>,
) -> Option<String> {
    match grant {
        GrantText::Read(path) | GrantText::Write(path) => {
            let path = path.as_path();
            let secret = below_home().any(|name| path.starts_with(home.join(name)));
            if secret {
                return Some(COVERED.to_owned());
            }
            let login = logins(home).iter().any(|login| path.starts_with(login));
            if login { Some(LOGIN.to_owned()) } else { looks_secret(path) }
        }
        GrantText::Connect(to) | GrantText::Request { to, .. } => endpoint(to),
        GrantText::ConnectUnix(_)
        | GrantText::UseSecret(_)
        | GrantText::CallTool(_)
        | GrantText::Exec { .. } => None,
    }
}

/// Why a file looks like a secret: by its name, and by how it begins.
pub(crate) fn looks_secret(path: &Path) -> Option<String> {
    looks_secret_by(path, &head(path))
}

fn looks_secret_by(path: &Path, head: &[u8]) -> Option<String> {
    if Client::of_file(path).is_some() {
        return Some(LOGIN.to_owned());
    }
    let why = looks::secret(path, head)?;
    Some(format!("it looks like a secret: {}", printable(&why)))
}

/// Whether a directory has something in it that no grant is offered for: what has not been seen to its end
/// counts as such. Links are not followed, for a grant opens what it names and not where that leads.
pub(crate) fn beneath(dir: &Path, home: &Path) -> bool {
    let of_home = |name| {
        let place = home.join(name);
        place.starts_with(dir) && fs::symlink_metadata(place).is_ok()
    };
    below_home().any(of_home) || has_login(dir, home) || !looks_free(dir)
}

/// Whether logins are kept somewhere beneath a directory.
fn has_login(dir: &Path, home: &Path) -> bool {
    let is_there = |place: &PathBuf| fs::symlink_metadata(place).is_ok();
    logins(home).iter().any(|place| place.starts_with(dir) && is_there(place))
}

/// Whether nothing is offered for a directory as a whole that was read: what is in it is read with it. Of libraries it is
/// taken as it is: they are large, and texts about keys are in them.
pub(crate) fn holds(dir: &Path, home: &Path) -> bool {
    let is_library =
        dir.components().any(|it| LIBRARIES.iter().any(|name| it.as_os_str() == *name));
    if is_library { has_login(dir, home) } else { beneath(dir, home) }
}

/// Directories that package managers fill.
const LIBRARIES: &[&str] = &["dist-packages", "node_modules", "site-packages"];

fn looks_free(dir: &Path) -> bool {
    let (mut names, mut bytes) = (NAMES_MAX, BYTES_MAX);
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // A file, which has been looked at itself, or nothing.
            Err(error) if NOTHING_IN_IT.contains(&error.kind()) => continue,
            Err(_) => return false,
        };
        for entry in entries {
            let Ok((path, kind)) = entry.and_then(|it| Ok((it.path(), it.file_type()?))) else {
                return false;
            };
            let head = if kind.is_file() { head(&path) } else { Vec::new() };
            let left = names.checked_sub(1).zip(bytes.checked_sub(head.len()));
            let Some(left) = left.filter(|_| looks_secret_by(&path, &head).is_none()) else {
                return false;
            };
            (names, bytes) = left;
            if kind.is_dir() {
                dirs.push(path);
            }
        }
    }
    true
}

/// What it says that there is no directory.
const NOTHING_IN_IT: [ErrorKind; 2] = [ErrorKind::NotADirectory, ErrorKind::NotFound];

/// Why a host is kept.
pub(crate) fn endpoint(to: &Endpoint) -> Option<String> {
    let credentials = || "it gives out credentials of the machine that this host is".to_owned();
    match &to.host {
        Host::Address(address) => {
            let special = net::special(*address)?;
            let kept = ["metadata", "link-local"].iter().any(|it| special.contains(it));
            kept.then(credentials)
        }
        Host::Name(name) if METADATA.contains(&name.as_str()) => Some(credentials()),
        Host::Name(name) => written_in(name).map(|address| {
            format!("its name says an address that is not public, {address}: whoever answers for it can mean any")
        }),
    }
}

/// The address that a name says in its labels, where that is none of the public network's:
/// `169.254.169.254.nip.io`, `app-10-0-0-1.sslip.io`, `a9fea9fe.nip.io`, `fd00-ec2--254.sslip.io`.
fn written_in(name: &str) -> Option<IpAddr> {
    let special = |address: &IpAddr| net::special(*address).is_some();
    let hexadecimal = |label: &str| {
        let number = (label.len() == 8).then(|| u32::from_str_radix(label, 16).ok())??;
        Some(IpAddr::V4(Ipv4Addr::from(number)))
    };
    let six = |label: &str| label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let labels = || name.split('.');
    let found = labels().find_map(|it| hexadecimal(it).or_else(|| six(it)).filter(special));
    if found.is_some() {
        return found;
    }
    let numbers: Vec<Option<u8>> = name.split(['.', '-']).map(|part| part.parse().ok()).collect();
    numbers.windows(4).find_map(|four| {
        let &[Some(a), Some(b), Some(c), Some(d)] = four else { return None };
        let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        net::special(address).map(|_| address)
    })
}

/// The beginning of a file; nothing of what is none or cannot be read. What has become something else since
/// it was looked for is neither followed nor waited for.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    if let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from)
        && file.metadata().is_ok_and(|it| it.is_file())
    {
        // What is read before an error is the beginning all the same.
        let _ = file.take(looks::HEAD_BYTES as u64).read_to_end(&mut head);
    }
    head
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType};

    use super::*;

    fn is_kept(grant: &str) -> bool {
        let grant = GrantText::parse(grant, &|_| None).unwrap();
        at_all(&grant, Path::new("/home/u")).is_some()
    }

    #[test]
    fn what_holds_secrets_or_gives_them_out_is_kept() {
        for grant in [
            "fs.read:/home/u/.ssh/id_rsa",
            "fs.write:/home/u/.ssh",
            "fs.read:/home/u/.npmrc",
            "fs.read:/srv/server.pem",
            "fs.read:/srv/app/.env",
            "fs.read:/srv/app/.mcp.json",
            "fs.read:/srv/app/.Credentials.json",
            "fs.read:/srv/app/credentials-old.db",
            "fs.read:/srv/app/auth.json",
            "fs.read:/srv/app/token",
            "fs.read:/srv/app/a.wallet",
            "fs.read:/home/u/.claude.json",
            "fs.read:/home/u/.claude.json.before-ringfence-2",
            "fs.read:/home/u/.claude/projects/a",
            "fs.read:/home/u/.codex/history.jsonl",
            "fs.read:/home/u/.gemini",
            "fs.read:/home/u/.config/github-copilot/apps.json",
            "fs.read:/home/u/.config/solana/id.json",
            "fs.write:/home/u/.config/sops/age/keys.txt",
            "net:169.254.169.254:80",
            "net:[fe80::1]:80",
            "net:metadata.google.internal:80",
            "net:169.254.169.254.nip.io:80",
            "net:www.10.0.0.1.example.com:443",
            "net:app-192-168-1-250.sslip.io:443",
            "net:a9fea9fe.nip.io:80",
            "net:fd00-ec2--254.sslip.io:80",
            "net:metadata.goog:80",
            "net.request:GET 169.254.169.254.nip.io:80/latest",
        ] {
            assert!(is_kept(grant), "{grant}");
        }
    }

    #[test]
    fn a_directory_with_something_like_a_secret_anywhere_in_it_is_offered_to_nobody() {
        let home = tempfile::tempdir().unwrap();
        let make = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        make("plain/sub/a", "text\n");
        make("named/sub/.env", "KEY=1\n");
        make("key/deep/er/id_ed25519", "");
        make("text/notes", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        make("settings/.npmrc.d/a", "");
        make(".ssh/config", "");
        std::os::unix::fs::symlink("/", home.path().join("plain/link")).unwrap();
        for number in 0..=NAMES_MAX {
            make(&format!("many/{number}"), "");
        }
        let beneath = |name: &str| beneath(&home.path().join(name), home.path());
        for free in ["plain", "plain/sub", "plain/sub/a", "absent", "settings"] {
            assert!(!beneath(free), "{free}");
        }
        for kept in ["named", "named/sub", "key", "text", "many", ""] {
            assert!(beneath(kept), "{kept}");
        }
    }

    #[test]
    fn the_beginning_of_what_is_no_file_is_neither_followed_nor_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(head(&at("file")), b"text");
        for none in ["link", "fifo", "absent", ""] {
            assert_eq!(head(&at(none)), b"", "{none}");
        }
    }

    #[test]
    fn what_people_grant_every_day_is_not_kept() {
        for grant in [
            "fs.read:/home/u/src",
            "fs.write:/home/u/.sshx",
            "fs.read:/srv/app/.env.example",
            "fs.read:/srv/app/node_modules/a/credentials.js",
            "fs.read:/srv/app/site-packages/a/credentials.py",
            "fs.read:/srv/app/site-packages/a/token.py",
            "fs.read:/srv/app/tokens",
            "fs.read:/home/u/.claudes",
            "net:api.example.com:443",
            "net:192.168.1.20:5432",
            "net:8.8.8.8.nip.io:80",
            "net:v1-2-3.example.com:443",
            "net:ec2-300-1-2-3.example.com:443",
            "exec:/usr/bin/git push",
        ] {
            assert!(!is_kept(grant), "{grant}");
        }
    }
}
