//! Whether a call may be made: its arguments by the schema that was pinned, then the policy on the call, and on
//! every file and host that an argument names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringfence_core::{
    AbsolutePath, Act, Agent, Denial, Durability, Endpoint, Event, Fact, Gate, Grounds, Process,
    Request, ToolCall, ToolName, Verdict,
};
use ringfence_proxy::mcp::middle::{Call, Called};
use ringfence_proxy::mcp::roles::{self, ArgumentRole};
use serde_json::Value;

use super::ToolsRequest;
use crate::approvals::Approvals;
use crate::servers::{METHODS, Server, digest};
use crate::wording;

/// Decides the calls of one session.
#[derive(Clone)]
pub(super) struct Decider {
    pub(super) gate: Gate,
    pub(super) agent: Agent,
    pub(super) approvals: Arc<Approvals>,
    /// Who speaks for the agent; nobody where the session has no world.
    pub(super) process: Option<Process>,
    pub(super) servers: Arc<[Server]>,
    home: PathBuf,
    cwd: PathBuf,
    /// Tools of which their server says something else than was pinned.
    changed: Arc<Mutex<BTreeSet<(usize, String)>>>,
}

impl Decider {
    pub(super) fn new(
        gate: &Gate,
        (agent, approvals): (Agent, Arc<Approvals>),
        (servers, request): (Vec<Server>, &ToolsRequest),
    ) -> Decider {
        let (home, cwd) = (request.dirs.home().to_owned(), request.cwd.clone());
        Decider {
            gate: gate.clone(),
            agent,
            approvals,
            process: None,
            servers: servers.into(),
            home,
            cwd,
            changed: Arc::default(),
        }
    }

    /// Whether a tool is shown: what a server says of it is what a person has seen.
    pub(super) fn shows(&self, server: usize, tool: &str, said: &Value) -> bool {
        let pinned = self.servers.get(server).and_then(|server| server.file.tools.get(tool));
        let same = pinned.is_some_and(|pinned| digest(&pinned.definition) == digest(said));
        let (mut changed, tool) = (self.changed(), (server, tool.to_owned()));
        if same {
            changed.remove(&tool);
        } else if pinned.is_some() {
            changed.insert(tool);
        }
        same
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<(usize, String)>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call and what it needs, as the policy sees them; and its arguments with the paths that were decided
    /// about, where they are others.
    pub(super) fn act(
        &self,
        server: &Server,
        call: &Call,
    ) -> Result<(Act, Vec<Act>, Option<Value>), String> {
        let (Called::Tool(name) | Called::Method(name)) = &call.what;
        let tool = ToolName::new(&server.name, name).map_err(|error| error.to_string())?;
        let wrong = |why: String| self.refuse((&tool, &call.arguments), why);
        let Called::Tool(name) = &call.what else {
            let needed = self.needs_of_method(&call.arguments).map_err(wrong)?;
            return Ok((of_method(tool, name, &call.arguments), needed, None));
        };
        let Some(pinned) = server.file.tools.get(name) else {
            return Err(wrong("nobody has looked at this tool".to_owned()));
        };
        if self.changed().contains(&(call.server, name.clone())) {
            let why = "its server says something else of it than what a person has looked at";
            return Err(wrong(why.to_owned()));
        }
        let facts = match server.schema(name).map(|schema| schema.facts(&call.arguments)) {
            Some(Ok(facts)) => facts,
            Some(Err(mismatch)) => return Err(wrong(format!("the arguments: {mismatch}"))),
            None => return Err(wrong("its arguments have no schema".to_owned())),
        };
        let (mut needed, mut sent) = (Vec::new(), call.arguments.clone());
        for (place, role) in &pinned.roles {
            let mut told = |text: &str| {
                let (more, text) = self.needs(*role, text)?;
                needed.extend(more);
                Ok(text)
            };
            let replaced = roles::replace(&mut sent, place, &mut told);
            replaced.map_err(|why| wrong(format!("the arguments: `{place}`: {why}")))?;
        }
        let sent = (sent != call.arguments).then_some(sent);
        Ok((Act::CallTool(ToolCall::of(tool, facts, &call.arguments)), needed, sent))
    }

    /// What a request that is no call of a tool needs: a resource is read where its address leads.
    fn needs_of_method(&self, arguments: &Value) -> Result<Vec<Act>, String> {
        let Some(uri) = arguments.get("uri").and_then(Value::as_str) else { return Ok(Vec::new()) };
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("file") => Ok(vec![Act::Read(self.path(uri)?)]),
            Some("http" | "https" | "ws" | "wss") => Ok(vec![Act::Connect(endpoint_of_url(uri)?)]),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    /// What an argument with a role needs, and what is sent in its place.
    fn needs(&self, role: ArgumentRole, text: &str) -> Result<(Vec<Act>, String), String> {
        let as_it_is = |acts| Ok((acts, text.to_owned()));
        match role {
            ArgumentRole::ReadPath | ArgumentRole::WritePath | ArgumentRole::DeletePath => {
                let path = self.path(text)?;
                let found = fs::symlink_metadata(path.as_path());
                if role == ArgumentRole::DeletePath
                    && found.as_ref().is_ok_and(fs::Metadata::is_dir)
                {
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
                // What was decided about is what the server opens, wherever it begins to look.
                Ok((acts, path.to_string()))
            }
            ArgumentRole::Url => as_it_is(vec![Act::Connect(endpoint_of_url(text)?)]),
            ArgumentRole::Host => as_it_is(vec![Act::Connect(endpoint_of_host(text)?)]),
            // The rules on the call speak of these.
            ArgumentRole::Email | ArgumentRole::Sql | ArgumentRole::Command => as_it_is(Vec::new()),
        }
    }
}

impl Decider {
    /// A path as the server will come to it: from its working directory, links followed, whether or not it is there.
    fn path(&self, text: &str) -> Result<AbsolutePath, String> {
        let text = match text.strip_prefix("file://") {
            Some(rest) if rest.starts_with('/') && !rest.contains(['%', '?', '#']) => rest,
            Some(_) => return Err("this address of a file has more than one reading".to_owned()),
            None if has_scheme(text) => {
                return Err("what begins as an address is no path here".to_owned());
            }
            None => text,
        };
        let given = match text.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => self.home.join(rest),
                None => return Err("another user's home is not told of".to_owned()),
            },
            None => self.cwd.join(text),
        };
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let shown = given.to_str().ok_or("it is not UTF-8")?;
        let plain = AbsolutePath::parse(shown).map_err(|error| wrong(&error))?;
        // A server may take `..` away before it follows links, or after.
        let first = really(plain.as_path(), LINKS_MAX).map_err(|error| wrong(&error))?;
        if text.split('/').any(|part| part == "..") {
            let second = really(&given, LINKS_MAX).map_err(|error| wrong(&error))?;
            if first != second {
                return Err("behind a link `..` has two meanings".to_owned());
            }
        }
        AbsolutePath::parse(&first.to_string_lossy()).map_err(|error| wrong(&error))
    }

    /// Who wants to do it.
    pub(super) fn request(&self, act: Act) -> Request {
        Request { agent: self.agent.clone(), act, process: self.process }
    }

    /// What is refused before any rule is asked is recorded as a denial like any other.
    fn refuse(&self, (tool, arguments): (&ToolName, &Value), why: String) -> String {
        let call = ToolCall::of(tool.clone(), BTreeMap::new(), arguments);
        let act = Act::CallTool(call);
        self.deny(self.request(act), why)
    }

    /// Records a denial that no rule made; what the agent is told.
    pub(super) fn deny(&self, request: Request, why: String) -> String {
        let grounds = Grounds { failure: Some(why), ..Grounds::default() };
        let decided = Event::Decided {
            digest: request.act.digest(self.gate.policy_in_force().digest()),
            request: request.clone(),
            verdict: Verdict::Deny,
            grounds: grounds.clone(),
            approvals: Vec::new(),
            unobserved: true,
            change: None,
        };
        // Denied whether or not it could be recorded; a log that fails ends the session.
        let entry = self.gate.note(decided, Durability::Soon).ok();
        words(&Denial { request, grounds, entry })
    }
}

pub(super) fn words(denial: &Denial) -> String {
    wording::denial(denial, None).trim_end().to_owned()
}

/// Most links on the way to a file.
const LINKS_MAX: u32 = 40;

/// Where a path leads, also where its end is not there yet.
fn really(path: &Path, links: u32) -> std::io::Result<PathBuf> {
    use std::io::{Error, ErrorKind};
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::from(ErrorKind::NotFound));
    };
    let parent = really(parent, links)?;
    let place = parent.join(name);
    match fs::read_link(&place) {
        // It leads to where nothing is yet.
        Ok(_) if links == 0 => Err(Error::other("too many links")),
        Ok(to) => really(&parent.join(to), links.saturating_sub(1)),
        Err(_) => Ok(place),
    }
}

/// What a server does besides tools, by its method; rules see what it names.
fn of_method(tool: ToolName, method: &str, arguments: &Value) -> Act {
    let names = METHODS.iter().find(|(known, _)| *known == method).map_or(&[][..], |(_, it)| *it);
    let fact = |name: &&str| {
        let text = arguments.get(*name).and_then(Value::as_str).unwrap_or_default();
        ((*name).to_owned(), Fact::Text(text.to_owned()))
    };
    Act::CallTool(ToolCall::of(tool, names.iter().map(fact).collect(), arguments))
}

/// A host, with a port or the usual one.
fn endpoint_of_host(host: &str) -> Result<Endpoint, String> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let with_port = if has_port { host.to_owned() } else { format!("{host}:443") };
    with_port.parse().map_err(|error| format!("{error}"))
}

/// Whether a text begins as an address does, RFC 3986 section 3.1.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(plain)
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
            "gopher://a/",
            "file:/x",
        ] {
            assert!(endpoint_of_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn where_a_path_leads_is_known_before_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        std::os::unix::fs::symlink("a/new", dir.join("link")).unwrap();
        std::os::unix::fs::symlink("round", dir.join("round")).unwrap();
        assert_eq!(really(&dir.join("link"), LINKS_MAX).unwrap(), dir.join("a/new"));
        assert_eq!(really(&dir.join("x/y"), LINKS_MAX).unwrap(), dir.join("x/y"));
        assert!(really(&dir.join("round"), LINKS_MAX).is_err());
    }
}
