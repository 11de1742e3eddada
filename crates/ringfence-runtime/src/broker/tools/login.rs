//! Logins at servers behind addresses: had with a person, kept where secrets are kept, and renewed without one.
//!
//! A login is two secrets: the token that requests to the server carry, in the place of a stand-in, and what the next
//! token is had for, which is used here alone. Each step of it is decided as any other connection of the agent that is
//! called like the server.

mod browser;
mod renewal;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringfence_core::{Clock as _, Endpoint, SecretName, ServerName};
use ringfence_proxy::mcp::http::url::Url;
use ringfence_proxy::mcp::oauth::challenge::Challenge;
use ringfence_proxy::mcp::oauth::flow::{
    Asked, Client, RANDOM_BYTES, Tokens, callback, registered, registration,
};
use ringfence_proxy::mcp::oauth::metadata::{
    Authority, Resource, authority_places, resource_places,
};
use ringfence_proxy::mcp::oauth::web::{Web, block_on};
use ringfence_proxy::mcp::oauth::{OauthError, metadata};
use ringfence_secrets::Secret;
use ringfence_secrets::binding::{Binding, Slot};
use ringfence_secrets::sentinel::Shape;
use ringfence_secrets::store::{AGE, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::looking::Looking;
use super::{RunError, ToolsRequest, remote};
use crate::clock::HostClock;
use crate::servers::Server;
use browser::Listener;
pub(super) use renewal::Renewal;

/// How long a value of the token is used before it is read again, in seconds: it is read at every use.
const TOKEN_TTL_SECONDS: u32 = 60;

/// How long a person may take to say yes in the browser.
pub const LOGIN_WAIT_MAX: Duration = Duration::from_mins(5);

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server is no place to log in at.
    #[error("`{0}` is not behind an address: there is nothing to log in at")]
    NoAddress(ServerName),
    /// It wants none.
    #[error("`{0}` wants no login")]
    NotWanted(ServerName),
    /// The person said no.
    #[error("nothing changed: no login was had")]
    Declined,
    /// Nobody came back.
    #[error("nobody came back from the browser within {} s", LOGIN_WAIT_MAX.as_secs())]
    Slow,
    /// The issuer knows nobody whom it was not told of.
    #[error("`{0}` does not let clients make themselves known")]
    Unknown(String),
    /// What was said cannot be used, or could not be had.
    #[error(transparent)]
    Oauth(#[from] OauthError),
    /// A secret of the person's own has the name.
    #[error(
        "`{name}` is a secret of your own, and the login at `{server}` would be kept under that name"
    )]
    Taken {
        /// The secret.
        name: SecretName,
        /// The server.
        server: ServerName,
    },
    /// A session could not be had.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something of the system failed.
    #[error("cannot {0}: {1}")]
    Io(&'static str, std::io::Error),
}

/// What a person wants of a login.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Our name at the issuer, where it knows us.
    pub client_id: Option<String>,
    /// What it is for, in place of what the server says.
    pub scope: Option<String>,
    /// The port that the browser comes back to; any where 0.
    pub port: u16,
}

/// The person, while they log in.
pub trait Person {
    /// Whether these may be connected to; where not, nothing goes on.
    fn may_reach(&mut self, endpoints: &[Endpoint]) -> bool;
    /// Whether to log in at this place, for an issuer that is elsewhere: where they are two parties, the issuer has what the
    /// login gives.
    fn logs_in_elsewhere(&mut self, issuer: &str, at: &Endpoint) -> bool;
    /// Whether to log in there, for that.
    fn logs_in(&mut self, issuer: &str, scope: Option<&str>) -> bool;
    /// Where the browser has to go.
    fn goes_to(&mut self, address: &str);
}

/// What the next token is had for.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    token: String,
    client: Client,
    resource: String,
    refresh: Option<String>,
    /// When the last one was had.
    had_ms: u64,
}

/// The secret that is the token of a server's login.
pub fn token_of(server: &ServerName) -> Option<SecretName> {
    format!("{server}-login").parse().ok()
}

/// The secret that the next one is had for.
pub(super) fn renewal_of(server: &ServerName) -> Option<SecretName> {
    format!("{server}-login-next").parse().ok()
}

/// The header of a server's file that stands for its login.
pub fn header_of(server: &ServerName) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer ${{secret:{server}-login}}"))
}

/// Whether a server that is sent no token wants one.
pub fn is_wanted(server: &Server, request: &ToolsRequest) -> Result<bool, LoginError> {
    let url = url_of(server)?;
    Ok(step(server, request, async |web| web.challenge(&url).await)?.is_some())
}

/// Logs in at a server, with the person at its side, and keeps that.
pub fn log_in(
    server: &Server,
    request: &ToolsRequest,
    wants: &Wants,
    person: &mut dyn Person,
) -> Result<(), LoginError> {
    let url = url_of(server)?;
    free(&Store::at(request.dirs.secrets()), &server.name)?;
    let challenge = step(server, request, async |web| web.challenge(&url).await)?;
    let challenge = challenge.ok_or_else(|| LoginError::NotWanted(server.name.clone()))?;
    let at = At { server, request, url: &url };
    let resource = at.resource(&challenge, person)?;
    let authority = at.authority(&resource, person)?;
    let scope = scope(wants, &challenge, &resource);
    if !person.logs_in(&authority.issuer, scope.as_deref()) {
        return Err(LoginError::Declined);
    }
    let path = callback(&authority, wants.client_id.as_deref());
    let listener = Listener::open(wants.port, path)
        .map_err(|it| LoginError::Io("listen for the browser", it))?;
    let client = at.client((wants, &authority), (&listener.redirect(), scope.as_deref()))?;
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)
        .map_err(|it| LoginError::Io("read randomness", std::io::Error::other(it)))?;
    let asked = Asked::new(
        &random,
        (&authority, &client),
        (&listener.redirect(), &resource.resource),
        scope.as_deref(),
    );
    person.goes_to(&asked.address);
    let code = listener.wait(&asked, LOGIN_WAIT_MAX)?;
    let post = asked.exchange(&code, &client);
    let tokens = step(server, request, async |web| web.tokens(&authority.token, &post).await)?;
    let token = authority.token.to_string();
    let (resource, refresh) = (resource.resource, tokens.refresh.as_deref().cloned());
    let kept = Kept { token, client, resource, refresh, had_ms: HostClock::utc().now_ms() };
    keep(&Store::at(request.dirs.secrets()), (server, &url), &kept, &tokens)
}

/// Whether the names that a login is kept under have nothing else.
fn free(store: &Store, server: &ServerName) -> Result<(), LoginError> {
    let (Some(token), Some(next)) = (token_of(server), renewal_of(server)) else { return Ok(()) };
    let all = store.list()?;
    let has = |name: &SecretName| all.iter().any(|it| it.name == *name);
    let is_login = has(&next) && store.value(&next).is_ok_and(|value| opened(&value).is_some());
    let taken = [next, token].into_iter().find(|name| has(name));
    match taken.filter(|_| !is_login) {
        Some(name) => Err(LoginError::Taken { name, server: server.clone() }),
        None => Ok(()),
    }
}

/// Forgets a login; whether there was one.
pub fn log_out(server: &ServerName, store: &Store) -> Result<bool, LoginError> {
    if let Err(LoginError::Taken { .. }) = free(store, server) {
        return Ok(false);
    }
    let mut was = false;
    for name in [token_of(server), renewal_of(server)].into_iter().flatten() {
        match store.remove(&name) {
            Ok(()) => was = true,
            Err(StoreError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(was)
}

fn url_of(server: &Server) -> Result<Url, LoginError> {
    let url = server.file.url.as_ref().and_then(|url| url.parse().ok());
    url.ok_or_else(|| LoginError::NoAddress(server.name.clone()))
}

/// What is asked for: what the person says, else what the server asks for, else all that it has.
fn scope(wants: &Wants, challenge: &Challenge, resource: &Resource) -> Option<String> {
    let all = || Some(resource.scopes.join(" ")).filter(|all| !all.is_empty());
    wants.scope.clone().or_else(|| challenge.scope.clone()).or_else(all)
}

/// A login under way.
struct At<'a> {
    server: &'a Server,
    request: &'a ToolsRequest,
    url: &'a Url,
}

impl At<'_> {
    fn resource(
        &self,
        challenge: &Challenge,
        person: &mut dyn Person,
    ) -> Result<Resource, LoginError> {
        let said = challenge.resource_metadata.as_deref();
        let places = resource_places(self.url, said)?;
        reach(&places, person)?;
        let found =
            step(self.server, self.request, async |web| web.resource(&places, self.url).await)?;
        match found {
            Some(found) => Ok(found),
            None if said.is_some() => {
                let why = format!("`{}` does not say who gives out its tokens", self.server.name);
                Err(OauthError::Refused(why).into())
            }
            // As MCP 2025-03-26 had it: the server itself does.
            None => Ok(Resource {
                resource: self.server.file.url.clone().unwrap_or_default(),
                issuers: Vec::new(),
                scopes: Vec::new(),
            }),
        }
    }

    /// Who gives out its tokens: the first that is named.
    fn authority(
        &self,
        resource: &Resource,
        person: &mut dyn Person,
    ) -> Result<Authority, LoginError> {
        let own = || metadata::origin(self.url);
        let issuer = resource.issuers.first().cloned().unwrap_or_else(own);
        let places = authority_places(&issuer, self.url)?;
        reach(&places, person)?;
        let authority = step(self.server, self.request, async |web| {
            web.authority(&places, (&issuer, self.url)).await
        })?;
        let is_refused = |at: &Endpoint| !person.logs_in_elsewhere(&authority.issuer, at);
        if authority.elsewhere().is_some_and(is_refused) {
            return Err(LoginError::Declined);
        }
        let more: Vec<Url> =
            std::iter::once(&authority.token).chain(&authority.register).cloned().collect();
        reach(&more, person)?;
        Ok(authority)
    }

    /// Who we are there: as the person says, else as the issuer makes us known.
    fn client(
        &self,
        (wants, authority): (&Wants, &Authority),
        (redirect, scope): (&str, Option<&str>),
    ) -> Result<Client, LoginError> {
        if let Some(id) = &wants.client_id {
            // The address of a document about us is a name only where it is taken for one.
            if id.starts_with("https://") && !authority.takes_documents {
                let why =
                    format!("`{}` does not take an address as a client's name", authority.issuer);
                return Err(OauthError::Refused(why).into());
            }
            return Ok(Client { id: id.clone(), secret: None, in_form: false });
        }
        let url = authority.register.as_ref();
        let url = url.ok_or_else(|| LoginError::Unknown(authority.issuer.clone()))?;
        let said = registration(redirect, scope);
        let answer = step(self.server, self.request, async |web| web.register(url, &said).await)?;
        Ok(registered(&answer)?)
    }
}

/// Asks the person about what is about to be connected to.
fn reach(urls: &[Url], person: &mut dyn Person) -> Result<(), LoginError> {
    let mut endpoints: Vec<Endpoint> = urls.iter().map(|url| url.endpoint.clone()).collect();
    endpoints.dedup();
    if person.may_reach(&endpoints) { Ok(()) } else { Err(LoginError::Declined) }
}

/// One step, in a session of its own, under the policy as it is now.
fn step<T>(
    server: &Server,
    request: &ToolsRequest,
    task: impl AsyncFnOnce(Web) -> Result<T, OauthError>,
) -> Result<T, LoginError> {
    let looking = Looking::without_servers(server, request)?;
    let web = match remote::web((&server.name, request), looking.around()) {
        Ok(web) => web,
        Err(error) => return Err(looking.failed(error).into()),
    };
    let done = block_on(task(web)).map_err(|error| LoginError::Io("ask over HTTP", error));
    looking.close()?;
    Ok(done??)
}

/// Keeps a login in place of any that there was.
fn keep(
    store: &Store,
    (server, url): (&Server, &Url),
    kept: &Kept,
    tokens: &Tokens,
) -> Result<(), LoginError> {
    free(store, &server.name)?;
    log_out(&server.name, store)?;
    let odd = |why: String| LoginError::Oauth(OauthError::Refused(why));
    let name =
        token_of(&server.name).ok_or_else(|| odd("the server's name is too long".to_owned()))?;
    let next =
        renewal_of(&server.name).ok_or_else(|| odd("the server's name is too long".to_owned()))?;
    let value = Secret::new(name.clone(), &tokens.access).map_err(StoreError::from)?;
    let token: Url = kept.token.parse().map_err(odd)?;
    let header = |text: &str| Slot::header(text).map_err(|error| odd(error.to_string()));
    let bound = |name, url: &Url, slot| {
        let host = url.endpoint.to_string().parse();
        let host = host.map_err(|error: ringfence_secrets::BindingError| odd(error.to_string()))?;
        Ok::<Binding, LoginError>(Binding {
            name,
            hosts: vec![host],
            methods: Vec::new(),
            paths: Vec::new(),
            slots: vec![slot],
            deliver: Vec::new(),
            shape: Shape::unknown(),
            backend: AGE.to_owned(),
            ttl_seconds: Some(TOKEN_TTL_SECONDS),
        })
    };
    let of_next = bound(next.clone(), &token, header("authorization")?)?;
    store.add(&of_next, Some(&sealed(next, kept)?))?;
    store.add(&bound(name, url, header("authorization: Bearer")?)?, Some(&value))?;
    Ok(())
}

/// As a secret is: one line of visible letters.
fn sealed(name: SecretName, kept: &Kept) -> Result<Secret, LoginError> {
    let json = serde_json::to_vec(kept).map_err(|it| LoginError::Io("keep a login", it.into()))?;
    Ok(Secret::new(name, &URL_SAFE_NO_PAD.encode(json)).map_err(StoreError::from)?)
}

fn opened(value: &Secret) -> Option<Kept> {
    let json = URL_SAFE_NO_PAD.decode(value.dangerous_reveal()).ok()?;
    serde_json::from_slice(&json).ok()
}
