//! What an argument with a role needs besides the call itself.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Act, CommandLine, Endpoint, Exec, FileIdentity, Meaning};
use ringfence_proxy::mcp::roles::shell::Shell;
use ringfence_proxy::mcp::roles::sql::Sql;
use ringfence_proxy::mcp::roles::{ArgumentRole, RolePlan, Text, email};
use serde_json::Value;

use super::paths::{self, Places};

/// Where a session's servers are.
#[derive(Debug, Clone)]
pub(super) struct Whereabouts {
    pub(super) home: PathBuf,
    pub(super) cwd: PathBuf,
    /// Where programs are looked for that are named without a directory.
    pub(super) search: Vec<PathBuf>,
}

/// Most files, programs and hosts that one call may name.
const ACTS_MAX: usize = 256;

/// What the arguments of a call name.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// What has to be permitted besides the call.
    pub(super) acts: Vec<Act>,
    /// What they do.
    pub(super) meaning: Meaning,
}

impl Needs {
    fn act(&mut self, act: Act) {
        if !self.acts.contains(&act) {
            self.acts.push(act);
        }
    }
}

impl Whereabouts {
    /// Goes through a call's arguments: what they need, and what is sent for them.
    pub(super) fn look(
        &self,
        plan: &RolePlan,
        arguments: &Value,
    ) -> Result<(Needs, Value), String> {
        let base = match plan.base(arguments) {
            Some(base) => self.path(base, &self.cwd)?.as_path().to_owned(),
            None => self.cwd.clone(),
        };
        let (mut needs, mut sent) = (Needs::default(), arguments.clone());
        let mut with = |text: Text<'_>| self.needs(text, &base, &mut needs);
        plan.apply(&mut sent, &mut with).map_err(|error| error.to_string())?;
        if needs.acts.len() > ACTS_MAX {
            return Err(format!("they name more than {ACTS_MAX} files, programs and hosts"));
        }
        Ok((needs, sent))
    }

    /// What a resource at this address needs when it is read.
    pub(super) fn of_resource(&self, uri: &str) -> Result<Vec<Act>, String> {
        match scheme(uri).as_deref() {
            Some("file") => Ok(vec![Act::Read(self.path(uri, &self.cwd)?)]),
            Some("http" | "https" | "ws" | "wss") => Ok(vec![Act::Connect(endpoint_of_url(uri)?)]),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    fn path(&self, text: &str, base: &Path) -> Result<AbsolutePath, String> {
        paths::resolve(text, Places { home: &self.home, base })
    }

    /// What an argument with a role needs, and what is sent in its place.
    fn needs(&self, it: Text<'_>, base: &Path, needs: &mut Needs) -> Result<String, String> {
        let Text { role, text } = it;
        match role {
            ArgumentRole::ReadPath | ArgumentRole::WritePath | ArgumentRole::DeletePath => {
                let path = self.path(text, base)?;
                of_path(role, &path)?.into_iter().for_each(|act| needs.act(act));
                // What was decided about is what the server opens, wherever it begins to look.
                return Ok(path.to_string());
            }
            ArgumentRole::Url => match scheme(text).as_deref() {
                // It holds what it names.
                Some("data") if !text.contains(char::is_control) => {}
                Some("file") => {
                    needs.act(Act::Read(self.path(text, base)?));
                }
                Some(_) | None => needs.act(Act::Connect(endpoint_of_url(text)?)),
            },
            ArgumentRole::Host => needs.act(Act::Connect(endpoint_of_host(text)?)),
            ArgumentRole::Email => needs.meaning.recipients.extend(email::domains(text)?),
            ArgumentRole::Sql => {
                let Sql { classes, tables, opaque, unknown } = Sql::read(text);
                needs.meaning.sql.extend(classes);
                needs.meaning.tables.extend(tables);
                needs.meaning.opaque |= opaque;
                needs.meaning.unknown.extend(unknown);
            }
            ArgumentRole::Command => self.command(text, base, needs),
            ArgumentRole::None | ArgumentRole::ByName => {}
        }
        Ok(text.to_owned())
    }
}

impl Whereabouts {
    /// What a command line names has to be permitted; what cannot be told makes it opaque.
    fn command(&self, text: &str, base: &Path, needs: &mut Needs) {
        let Shell { programs, started, paths, hosts, opaque } = Shell::read(text);
        needs.meaning.programs.extend(programs);
        needs.meaning.opaque |= opaque;
        for (role, text) in paths {
            let path = self.path(&text, base);
            let acts = path.and_then(|path| of_path(role, &path));
            match acts {
                Ok(acts) => acts.into_iter().for_each(|act| needs.act(act)),
                Err(_) => needs.meaning.opaque = true,
            }
        }
        for host in hosts {
            let to =
                if host.contains("://") { endpoint_of_url(&host) } else { endpoint_of_host(&host) };
            match to {
                Ok(to) => needs.act(Act::Connect(to)),
                Err(_) => needs.meaning.opaque = true,
            }
        }
        needs.meaning.programs.extend(started.iter().filter_map(|words| with_subcommand(words)));
        for words in started {
            if needs.acts.len() > ACTS_MAX {
                return;
            }
            if let Some(exec) = self.exec(&words, base) {
                needs.act(Act::Exec(exec));
            }
        }
    }

    /// The program that is started, where it is on this host; one that only the server has is known by its name.
    fn exec(&self, words: &[String], base: &Path) -> Option<Exec> {
        let name = words.first()?;
        let file = if name.contains('/') {
            self.path(name, base).ok()?.as_path().to_owned()
        } else {
            let mut places = self.search.iter().map(|dir| dir.join(name));
            fs::canonicalize(places.find(|place| place.is_file())?).ok()?
        };
        let found = fs::metadata(&file).ok()?;
        let program = AbsolutePath::parse(file.to_str()?).ok()?;
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.clone().into_bytes()).collect();
        Some(Exec {
            identity: FileIdentity { device: found.dev(), inode: found.ino() },
            command_line: CommandLine::new(program.file_name(), &words),
            cwd: AbsolutePath::parse(base.to_str()?).ok()?,
            program,
        })
    }
}

/// Programs that are many: what one of them does is in its first word.
const OF_MANY: &[&str] = &[
    "apt",
    "apt-get",
    "aws",
    "brew",
    "cargo",
    "docker",
    "gcloud",
    "gh",
    "git",
    "glab",
    "helm",
    "kubectl",
    "npm",
    "pip",
    "pip3",
    "pnpm",
    "podman",
    "systemctl",
    "terraform",
    "tofu",
    "yarn",
];

/// Such a program with its first word: `git push`.
fn with_subcommand(words: &[String]) -> Option<String> {
    let written = words.first()?;
    let name = written.rsplit('/').next().unwrap_or(written);
    // Git obeys the name that it is called with.
    if let Some(own) = name.strip_prefix("git-") {
        return Some(format!("git {own}"));
    }
    if !OF_MANY.contains(&name) {
        return None;
    }
    let bytes: Vec<Vec<u8>> = words.iter().map(|word| word.clone().into_bytes()).collect();
    let subcommand = CommandLine::new(name, &bytes).subcommand?;
    Some(format!("{name} {subcommand}"))
}

/// What a path in such a role needs.
fn of_path(role: ArgumentRole, path: &AbsolutePath) -> Result<Vec<Act>, String> {
    let found = fs::symlink_metadata(path.as_path());
    if role == ArgumentRole::DeletePath && found.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err("a whole directory is not moved or removed by a tool".to_owned());
    }
    // Who changes or moves what is there may read it as well.
    let mut acts = Vec::new();
    if role == ArgumentRole::ReadPath || found.is_ok() {
        acts.push(Act::Read(path.clone()));
    }
    if role == ArgumentRole::WritePath {
        acts.push(Act::Write(path.clone()));
    }
    if role == ArgumentRole::DeletePath {
        acts.push(Act::Delete(path.clone()));
    }
    Ok(acts)
}

/// The scheme of an address, in small letters.
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':').filter(|_| paths::has_scheme(text))?;
    Some(scheme.to_ascii_lowercase())
}

/// A host, with a port or the usual one.
fn endpoint_of_host(host: &str) -> Result<Endpoint, String> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let with_port = if has_port { host.to_owned() } else { format!("{host}:443") };
    with_port.parse().map_err(|error| format!("{error}"))
}

/// The host and the port of an address.
fn endpoint_of_url(text: &str) -> Result<Endpoint, String> {
    let (scheme, rest) = text.split_once("://").ok_or("it is no address with `://`")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if authority.contains('@') || text.contains(odd) {
        return Err("an address with a login, spaces or backslashes has two readings".to_owned());
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let with_port = match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" | "http" | "ws" | "ftp" if has_port => authority.to_owned(),
        "https" | "wss" => format!("{authority}:443"),
        "http" | "ws" => format!("{authority}:80"),
        _ => return Err(format!("which port `{scheme}` has is not known")),
    };
    with_port.parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests;
