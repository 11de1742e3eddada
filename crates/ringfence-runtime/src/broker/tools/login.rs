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
pub use ringfence_proxy::mcp::oauth::challenge::{Challenge, Lacks};
use ringfence_proxy::mcp::oauth::flow::{
    Asked, Client, Method, RANDOM_BYTES, Tokens, callback, registered, registration,
};
use ringfence_proxy::mcp::oauth::metadata::{
    Authority, Named, Resource, authority_places, resource_places,
};
use ringfence_proxy::mcp::oauth::web::{Web, block_on};
use ringfence_proxy::mcp::oauth::{OauthError, metadata};
use ringfence_secrets::Secret;
use ringfence_secrets::binding::{Binding, Slot};
use ringfence_secrets::sentinel::Shape;
use ringfence_secrets::store::{AGE, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::looking::Looking;
use super::{LookFailed, RunError, ToolsRequest, look_at, remote};
use crate::clock::HostClock;
use crate::servers::Server;
use browser::Listener;
pub(super) use renewal::Renewal;

/// The header that a login stands in.
const HEADER: &str = "Authorization";

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
    /// There is no secret for the client.
    #[error("there is no secret `{name}`")]
    NoSecret {
        /// Its name.
        name: SecretName,
        /// Where tokens are had.
        endpoint: Box<Endpoint>,
    },
    /// The secret of the client is not for there.
    #[error("`{name}` is not shown at {endpoint}: {why}")]
    Unbound {
        /// The secret.
        name: SecretName,
        /// Where tokens are had.
        endpoint: Box<Endpoint>,
        /// Why.
        why: String,
    },
    /// The value of the client's secret is had from a vault.
    #[error("the value of `{0}` is not kept here, and a client's secret has to be")]
    Elsewhere(SecretName),
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
    /// The secret that we show there, where it gave us one.
    pub client_secret: Option<SecretName>,
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
    /// The secret of the person's that the client shows, which is read at each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<SecretName>,
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
    (HEADER.to_owned(), format!("Bearer ${{secret:{server}-login}}"))
}

/// Whether requests to a server carry the token of its login.
pub(super) fn is_used(server: &Server) -> bool {
    let (_, stands) = header_of(&server.name);
    server.file.headers.values().any(|value| *value == stands)
}

/// What a server says of its logins that is asked what it has without one; nothing where it answers that.
pub fn challenge(server: &Server, request: &ToolsRequest) -> Result<Option<Challenge>, LoginError> {
    url_of(server)?;
    let mut file = server.file.clone();
    file.headers.retain(|name, _| !name.eq_ignore_ascii_case(HEADER));
    let odd = |why| LoginError::Oauth(OauthError::Refused(why));
    let bare = Server::new(server.name.clone(), file).map_err(odd)?;
    match look_at(&bare, request) {
        Ok(_) => Ok(None),
        Err(LookFailed { lacks: Some(lacks), .. }) => Ok(Some(lacks.challenge().clone())),
        Err(failed) => Err(LoginError::Oauth(OauthError::Unreachable(failed.to_string()))),
    }
}

/// Logs in at a server, with the person at its side, and keeps that; what the login is for, where that is said. A server
/// that asks for no login has one all the same where it says who gives out its tokens: its calls may want it.
pub fn log_in(
    server: &Server,
    request: &ToolsRequest,
    (wants, challenge): (&Wants, Option<&Challenge>),
    person: &mut dyn Person,
) -> Result<Option<String>, LoginError> {
    let url = url_of(server)?;
    free(&Store::at(request.dirs.secrets()), &server.name)?;
    let at = At { server, request, url: &url };
    let resource = at.resource(challenge, person)?;
    let authority = at.authority(&resource, person)?;
    let scope = scope(wants, challenge, &resource);
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
    let store = Store::at(request.dirs.secrets());
    let of_person = wants.client_secret.as_ref();
    let post = asked.exchange(&code, &with_secret(&client, (&store, of_person), &authority.token)?);
    let tokens = step(server, request, async |web| web.tokens(&authority.token, &post).await)?;
    let token = authority.token.to_string();
    let (resource, refresh) = (resource.resource, tokens.refresh.as_deref().cloned());
    let (secret, had_ms) = (wants.client_secret.clone(), HostClock::utc().now_ms());
    let kept = Kept { token, client, secret, resource, refresh, had_ms };
    keep(&store, (server, &url), &kept, &tokens)?;
    Ok(scope)
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
fn scope(wants: &Wants, challenge: Option<&Challenge>, resource: &Resource) -> Option<String> {
    let all = || Some(resource.scopes.join(" ")).filter(|all| !all.is_empty());
    wants.scope.clone().or_else(|| challenge?.scope.clone()).or_else(all)
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
        challenge: Option<&Challenge>,
        person: &mut dyn Person,
    ) -> Result<Resource, LoginError> {
        let said = challenge.and_then(|it| it.resource_metadata.as_deref());
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
            None if challenge.is_none() => Err(LoginError::NotWanted(self.server.name.clone())),
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
        let named = resource.issuers.first().map_or(Named::Host, |it| Named::As(it));
        let issuer = match named {
            Named::As(issuer) => issuer.to_owned(),
            Named::Host => metadata::origin(self.url),
        };
        let places = authority_places(&issuer, self.url)?;
        reach(&places, person)?;
        let authority = step(self.server, self.request, async |web| {
            web.authority(&places, (named, self.url)).await
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
            let in_form = match &wants.client_secret {
                None => false,
                Some(name) => {
                    // Before a person is sent anywhere.
                    let store = Store::at(self.request.dirs.secrets());
                    shown(&store, name, &authority.token)?;
                    Method::with_secret(authority)? == Method::Form
                }
            };
            return Ok(Client { id: id.clone(), secret: None, in_form });
        }
        let url = authority.register.as_ref();
        let url = url.ok_or_else(|| LoginError::Unknown(authority.issuer.clone()))?;
        let method = Method::to_register(authority)?;
        let said = registration(redirect, method, scope);
        let answer = step(self.server, self.request, async |web| web.register(url, &said).await)?;
        Ok(registered(&answer, method)?)
    }
}

/// The client with the secret that it shows, where a person's is to be shown.
fn with_secret(
    client: &Client,
    (store, name): (&Store, Option<&SecretName>),
    token: &Url,
) -> Result<Client, LoginError> {
    let mut client = client.clone();
    if let Some(name) = name {
        client.secret = Some(shown(store, name, token)?.dangerous_reveal().to_owned());
    }
    Ok(client)
}

/// The value of a person's secret that is bound to where tokens are had: what is sent elsewhere, or read by agents, is
/// no secret of this client's alone, and is not sent there.
fn shown(store: &Store, name: &SecretName, token: &Url) -> Result<Secret, LoginError> {
    let binding = match store.binding(name) {
        Err(StoreError::Unknown(name)) => {
            return Err(LoginError::NoSecret { name, endpoint: Box::new(token.endpoint.clone()) });
        }
        found => found?,
    };
    let path = token.target.split('?').next().unwrap_or_default();
    if let Some(why) = binding.refuses(&token.endpoint, "POST", path) {
        return Err(LoginError::Unbound {
            name: name.clone(),
            endpoint: Box::new(token.endpoint.clone()),
            why,
        });
    }
    if binding.backend != AGE {
        return Err(LoginError::Elsewhere(name.clone()));
    }
    Ok(store.value(name)?)
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
