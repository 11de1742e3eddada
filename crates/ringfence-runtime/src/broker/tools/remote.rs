//! The servers of a session that are behind addresses: each is reached by the rules of the net gate for the agent that
//! is called like it, and is sent secrets by what stands in for them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_core::{Agent, Gate, SecretName, ServerName};
use ringfence_detect::Detectors;
use ringfence_proxy::mcp::headers::{Repeated, repeated};
use ringfence_proxy::mcp::http::carriers::{Carried, Carriers};
use ringfence_proxy::mcp::http::front::guard::Guard;
use ringfence_proxy::mcp::http::front::{Door, Front, Opens};
use ringfence_proxy::mcp::http::remote::{self, Unheard, Word};
use ringfence_proxy::mcp::http::url::Url;
use ringfence_proxy::mcp::lines::Read;
use ringfence_proxy::mcp::oauth::challenge::Lacks;
use ringfence_proxy::mcp::oauth::web::Web;
use ringfence_proxy::net::authority::Authority;
use ringfence_proxy::net::{NetConfig, Own, Secrets};
use ringfence_secrets::Held;
use serde_json::Value;

use super::super::net::record_leases;
use super::super::{RunError, authority, held};
use super::ToolsRequest;
use super::ears::Mouth;
use super::login::{self, Renewal};
use super::serving::Heard;
use crate::advice::Lasts;
use crate::approvals::{self, Approvals};
use crate::clock::HostClock;
use crate::notice::Notice;
use crate::servers::Server;
use crate::wording;

/// How a secret is written in the headers of a server's file.
const SECRET_BEGINS: &str = "${secret:";
const SECRET_ENDS: &str = "}";

/// The servers behind addresses.
pub(super) struct Remotes {
    servers: BTreeMap<ServerName, remote::Server>,
    /// None once the session has ended.
    carriers: Mutex<Option<Carriers>>,
    held: Arc<Held>,
}

impl Remotes {
    /// Those among these servers; none where there is none.
    pub(super) fn of(
        servers: &[Server],
        request: &ToolsRequest,
        (gate, project, approvals): (&Gate, &Path, &Arc<Approvals>),
    ) -> Result<Option<Arc<Remotes>>, RunError> {
        let behind: Vec<(&Server, &String)> =
            servers.iter().filter_map(|it| Some((it, it.file.url.as_ref()?))).collect();
        if behind.is_empty() {
            return Ok(None);
        }
        let here = (&request.dirs, &request.environment);
        let held::Secrets { held, backends, .. } = held::held(here, gate.session(), project)?;
        record_leases(&backends, gate);
        let authority = authority(gate.session(), &HostClock::utc())?;
        let way = Way { held: Arc::clone(&held), authority, approvals: Arc::clone(approvals) };
        let mut all = BTreeMap::new();
        for (server, url) in behind {
            let web = way.web((&server.name, request), gate);
            let config = (web.config)();
            // A request without the token needs no other one.
            let renewal = login::is_used(server)
                .then(|| Renewal::of(&server.name, &request.dirs.secrets(), web))
                .flatten();
            let reached =
                reached(server, url, (gate.clone(), config)).map(|reached| match renewal {
                    Some(renewal) => reached.renewed_by(Arc::new(renewal)),
                    None => reached,
                });
            let reached = reached.map_err(|why| {
                RunError::step("reach a server")(io::Error::other(format!(
                    "`{}`: {why}",
                    server.name
                )))
            })?;
            all.insert(server.name.clone(), reached);
        }
        let carriers = Carriers::start().map_err(RunError::step("carry messages over HTTP"))?;
        let carriers = Mutex::new(Some(carriers));
        Ok(Some(Arc::new(Remotes { servers: all, carriers, held })))
    }

    /// Serves clients on the thread that carries the sessions with servers.
    pub(super) fn front(
        &self,
        door: Door,
        guard: Guard,
        opens: Arc<dyn Opens>,
    ) -> io::Result<Front> {
        let carriers = self.carriers.lock().unwrap_or_else(PoisonError::into_inner);
        let carriers = carriers.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Front::serve_beside(carriers, door, guard, opens)
    }

    /// Carries a session with one of them; what it says is heard under its number.
    pub(super) fn start(
        &self,
        (number, name): (usize, &ServerName),
        mouth: Mouth,
    ) -> io::Result<Carried> {
        let server = self.servers.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        let say = move |word| {
            let heard = match word {
                Word::Frame(frame) => Heard::Answer(number, frame),
                Word::Line(line) => Heard::Server(number, Read::Line(line)),
                Word::Forgot(request) => Heard::Forgot(number, request),
                Word::End => Heard::Server(number, Read::End),
            };
            mouth.try_say(heard).map_err(|error| match error {
                TrySendError::Full(Heard::Answer(_, frame)) => Unheard::Full(Word::Frame(frame)),
                TrySendError::Full(Heard::Server(_, Read::Line(line))) => {
                    Unheard::Full(Word::Line(line))
                }
                TrySendError::Full(Heard::Forgot(_, request)) => {
                    Unheard::Full(Word::Forgot(request))
                }
                TrySendError::Full(Heard::Server(_, Read::End)) => Unheard::Full(Word::End),
                TrySendError::Full(
                    Heard::Server(_, Read::TooLong(_))
                    | Heard::Client(_)
                    | Heard::Request(..)
                    | Heard::Closed(_)
                    | Heard::Decided(..)
                    | Heard::Tell(_)
                    | Heard::Reloaded
                    | Heard::Stop,
                )
                | TrySendError::Disconnected(_) => Unheard::Gone,
            })
        };
        let carriers = self.carriers.lock().unwrap_or_else(PoisonError::into_inner);
        let carriers = carriers.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(carriers.carry(server, Arc::new(say)))
    }

    /// What the last request to one of them lacked that was refused for that, if any was.
    pub(super) fn lacks(&self, name: &ServerName) -> Option<Lacks> {
        self.servers.get(name)?.lacks()
    }

    /// Ends the connections that the policy in force does not permit.
    pub(super) fn end_unpermitted(&self) {
        self.servers.values().for_each(remote::Server::end_unpermitted);
    }

    /// Ends all connections, so that their ends are recorded, and gives back what vaults lent; what the person
    /// should know of that.
    pub(super) fn end(&self) -> Vec<Notice> {
        drop(self.carriers.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.servers.values().for_each(remote::Server::close);
        held::end(&self.held)
    }
}

/// What connections of a session are made with.
#[derive(Clone)]
struct Way {
    held: Arc<Held>,
    authority: Arc<Authority>,
    approvals: Arc<Approvals>,
}

impl Way {
    /// What speaks for the agent that is called like a server.
    fn web(&self, (name, request): (&ServerName, &ToolsRequest), gate: &Gate) -> Web {
        let (way, name) = (self.clone(), name.clone());
        let environment = request.environment.clone();
        let config = move || {
            let denied = Box::new(|denial: &_| wording::denial(denial, None, Lasts::GoesOn));
            let (agent, asks) = (Agent(name.to_string()), approvals::as_port(&way.approvals));
            NetConfig {
                proxies: environment.proxies(),
                trust: environment.trust(),
                held: Arc::clone(&way.held),
                inspect: Some(Detectors::shared()),
                ..NetConfig::new(agent, asks, denied, Arc::clone(&way.authority))
            }
        };
        Web { gate: gate.clone(), config: Arc::new(config) }
    }
}

/// What asks for what a login at a server needs.
pub(super) fn web(
    (name, request): (&ServerName, &ToolsRequest),
    (gate, _, approvals): (&Gate, &Path, &Arc<Approvals>),
) -> Result<Web, RunError> {
    let authority = authority(gate.session(), &HostClock::utc())?;
    let (held, approvals) = (Arc::new(Held::none()), Arc::clone(approvals));
    Ok(Way { held, authority, approvals }.web((name, request), gate))
}

/// How a server is reached; the error is for a person.
fn reached(
    server: &Server,
    url: &str,
    (gate, config): (Gate, NetConfig),
) -> Result<remote::Server, String> {
    let url: Url = url.parse()?;
    let stand_ins = config.held.sentinels();
    let mut secrets = Secrets::None;
    let mut headers = BTreeMap::new();
    for (name, value) in &server.file.headers {
        let mut sent = String::new();
        let mut rest = value.as_str();
        while let Some((before, behind)) = rest.split_once(SECRET_BEGINS) {
            let (named, behind) = behind
                .split_once(SECRET_ENDS)
                .ok_or_else(|| format!("header `{name}`: `{SECRET_BEGINS}` has no end"))?;
            let secret: SecretName = named.parse().map_err(|error| format!("{error}"))?;
            let stand_in = stand_ins.get(&secret).ok_or_else(|| {
                format!(
                    "header `{name}`: there is no secret `{secret}`: `ringfence secret add {secret}` with `--for` keeps one"
                )
            })?;
            sent.push_str(before);
            sent.push_str(stand_in.as_str());
            (rest, secrets) = (behind, Secrets::Carried);
        }
        sent.push_str(rest);
        headers.insert(name.clone(), sent);
    }
    let own = Own::new((gate, config), (url.scheme, url.endpoint.clone()), secrets);
    remote::Server::new(own, url, &headers, repeated_by(server))
}

/// Which arguments of its tools a server wants repeated as headers, by what is pinned.
pub(super) fn repeated_by(server: &Server) -> BTreeMap<String, Vec<Repeated>> {
    let of = |(name, pinned): (&String, &crate::servers::Pinned)| {
        let schema = pinned.definition.get("inputSchema").unwrap_or(&Value::Null);
        // One that cannot be read is not called either.
        Some((name.clone(), repeated(schema).ok().filter(|all| !all.is_empty())?))
    };
    server.file.tools.iter().filter_map(of).collect()
}
