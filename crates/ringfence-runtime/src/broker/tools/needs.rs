//! What an argument with a role needs besides the call itself.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Act, Endpoint};
use ringfence_proxy::mcp::roles::{ArgumentRole, RolePlan, Text};
use serde_json::Value;

use super::paths::{self, Places};

/// Where a session's servers are.
#[derive(Debug, Clone)]
pub(super) struct Whereabouts {
    pub(super) home: PathBuf,
    pub(super) cwd: PathBuf,
}

/// What the arguments of a call name.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// What has to be permitted besides the call.
    pub(super) acts: Vec<Act>,
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
                needs.acts.extend(of_path(role, &path)?);
                // What was decided about is what the server opens, wherever it begins to look.
                return Ok(path.to_string());
            }
            ArgumentRole::Url => match scheme(text).as_deref() {
                // It holds what it names.
                Some("data") if !text.contains(char::is_control) => {}
                Some("file") => {
                    needs.acts.push(Act::Read(self.path(text, base)?));
                }
                Some(_) | None => needs.acts.push(Act::Connect(endpoint_of_url(text)?)),
            },
            ArgumentRole::Host => needs.acts.push(Act::Connect(endpoint_of_host(text)?)),
            // The rules on the call speak of these.
            ArgumentRole::Email
            | ArgumentRole::Sql
            | ArgumentRole::Command
            | ArgumentRole::None
            | ArgumentRole::ByName => {}
        }
        Ok(text.to_owned())
    }
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
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_reading_or_none() {
        for (text, endpoint) in [
            ("https://a.example/x", "a.example:443"),
            ("HTTP://a.example", "a.example:80"),
            ("http://a.example:8080?x", "a.example:8080"),
            ("https://[::1]/", "[::1]:443"),
            ("ftp://a.example:21/", "a.example:21"),
        ] {
            assert_eq!(endpoint_of_url(text).unwrap().to_string(), endpoint, "{text}");
        }
        for text in [
            "a.example",
            "https:b://a:1/",
            "https://a@b/",
            "https://a\\b",
            "https://a b/",
            "https://a%2eexample/",
            "https:///a.example/",
            "//a.example/",
            "https://127.1/",
            "gopher://a/",
            "file:/x",
        ] {
            assert!(endpoint_of_url(text).is_err(), "{text}");
        }
    }
}
