//! What servers say of logins: who gives out tokens for a server (RFC 9728), and how they are had there (RFC 8414,
//! OpenID Connect Discovery).

use ringfence_core::{Endpoint, Host, Scheme};
use serde_json::Value;

use super::super::http::url::Url;
use super::{OauthError, refused, text, texts};
use crate::net::special;

/// Who gives out tokens for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What tokens are for, as it is written there.
    pub resource: String,
    /// Those who do, as they are written; none is named where the server itself does.
    pub issuers: Vec<String>,
    /// What a token may be for.
    pub scopes: Vec<String>,
}

/// Who gives out tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its name.
    pub issuer: String,
    /// Where a person says yes.
    pub authorize: Url,
    /// Where tokens are had.
    pub token: Url,
    /// Where clients make themselves known.
    pub register: Option<Url>,
    /// Whether it says its name beside a code (RFC 9207).
    pub says_issuer: bool,
    /// Whether a client may be known by the address of a document about it.
    pub takes_documents: bool,
    /// How clients with a secret show it.
    pub methods: Vec<String>,
}

/// How an issuer is known before it says how tokens are had there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// By the name that a server says, which is then its own.
    As(&'a str),
    /// As the server's own host, where none is named (MCP 2025-03-26): by whatever name there.
    Host,
}

/// Whether an address may be asked in the course of a login at `server`: over TLS, or on this host for a server that is
/// here as well; and at no address of a network of this host's, unless the server is at one.
pub fn check(url: &Url, server: &Url) -> Result<(), OauthError> {
    if url.scheme == Scheme::Http
        && !(url.endpoint.is_localhost() && server.endpoint.is_localhost())
    {
        return Err(refused(format!("`{url}` is no address with https")));
    }
    let inward = |endpoint: &Endpoint| match &endpoint.host {
        Host::Address(address) => special(*address),
        Host::Name(_) if endpoint.is_localhost() => Some("this host"),
        Host::Name(_) => None,
    };
    match inward(&url.endpoint) {
        Some(what) if inward(&server.endpoint).is_none() => {
            Err(refused(format!("`{url}` leads to {what}, and the server is on the internet")))
        }
        Some(_) | None => Ok(()),
    }
}

impl Authority {
    /// Where a person would log in, if that is not where the issuer is and nothing that comes back says who answered: an
    /// issuer that names the page of another party, with a client's name of that party's, has its codes (a mix-up, RFC
    /// 9207; OAuth 2.1, "Mix-Up Attacks").
    pub fn elsewhere(&self) -> Option<&Endpoint> {
        let own: Option<Url> = self.issuer.parse().ok();
        let is_own = own.is_some_and(|own| {
            (own.scheme, &own.endpoint) == (self.authorize.scheme, &self.authorize.endpoint)
        });
        (!self.says_issuer && !is_own).then_some(&self.authorize.endpoint)
    }
}

fn read(address: &str, server: &Url) -> Result<Url, OauthError> {
    let url: Url = address.parse().map_err(|why| refused(format!("`{address}`: {why}")))?;
    check(&url, server)?;
    Ok(url)
}

/// Where a server says who gives out its tokens: as it said itself, else at the places that are known.
pub fn resource_places(server: &Url, said: Option<&str>) -> Result<Vec<Url>, OauthError> {
    if let Some(said) = said {
        return read(said, server).map(|url| vec![url]);
    }
    let path = path_of(server);
    let at = |target: String| Url { target, ..server.clone() };
    let mut all = Vec::new();
    if path != "/" {
        all.push(at(format!("/.well-known/oauth-protected-resource{path}")));
    }
    all.push(at("/.well-known/oauth-protected-resource".to_owned()));
    Ok(all)
}

/// The address of a server without its path, as issuers are written.
pub fn origin(server: &Url) -> String {
    let usual = match server.scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    };
    let endpoint = server.endpoint.to_string();
    let endpoint = match endpoint.strip_suffix(&format!(":{usual}")) {
        Some(host) if server.endpoint.port == usual => host,
        Some(_) | None => &endpoint,
    };
    format!("{}://{endpoint}", server.scheme.as_str())
}

fn path_of(url: &Url) -> &str {
    url.target.split('?').next().unwrap_or_default()
}

/// Reads what is said of a server; it must be said of that one.
pub fn resource(document: &Value, server: &Url) -> Result<Resource, OauthError> {
    let named =
        text(document, "resource").ok_or_else(|| refused("it is not said of which server"))?;
    let of: Url = named.parse().map_err(|why| refused(format!("`resource`: {why}")))?;
    // Tokens for another server are had by whoever answers in its place (RFC 9728, sections 3.3 and 7.3).
    let (its, ours) = (path_of(&of).trim_end_matches('/'), path_of(server));
    let is_above =
        ours.strip_prefix(its).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if (of.scheme, &of.endpoint) != (server.scheme, &server.endpoint) || !is_above {
        return Err(refused(format!(
            "what is said there is of `{named}`, which is another server"
        )));
    }
    let issuers = texts(document, "authorization_servers");
    Ok(Resource {
        resource: named.to_owned(),
        issuers: issuers.into_iter().map(str::to_owned).collect(),
        scopes: texts(document, "scopes_supported").into_iter().map(str::to_owned).collect(),
    })
}

/// Where it is said how tokens are had from an issuer, in the order in which they are tried.
pub fn authority_places(issuer: &str, server: &Url) -> Result<Vec<Url>, OauthError> {
    let url = read(issuer, server)?;
    if url.target.contains('?') {
        return Err(refused(format!("`{issuer}` has a query, which no issuer has")));
    }
    let path = path_of(&url).trim_end_matches('/').to_owned();
    let at = |target: String| Url { target, ..url.clone() };
    let mut all = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        all.push(at(format!("{path}/.well-known/openid-configuration")));
    }
    Ok(all)
}

/// How tokens are had at a server's own host that says nothing of that (MCP 2025-03-26, section 2.3.3). Whether codes are
/// bound to who asked is not said either: they leave that host for the browser alone.
pub fn usual(server: &Url) -> Authority {
    let at = |target: &str| Url { target: target.to_owned(), ..server.clone() };
    Authority {
        issuer: origin(server),
        authorize: at("/authorize"),
        token: at("/token"),
        register: Some(at("/register")),
        says_issuer: false,
        takes_documents: false,
        methods: Vec::new(),
    }
}

/// Whether the one who says that it is called so is the one who was asked.
fn is_asked(said: &str, named: Named<'_>, server: &Url) -> Result<(), OauthError> {
    let (is_it, asked) = match named {
        Named::As(name) => (said == name, name.to_owned()),
        Named::Host => {
            let own: Option<Url> = said.parse().ok();
            let is_own =
                |own: Url| (own.scheme, own.endpoint) == (server.scheme, server.endpoint.clone());
            (own.is_some_and(is_own), origin(server))
        }
    };
    is_it.then_some(()).ok_or_else(|| refused(format!("`{asked}` says that it is `{said}`")))
}

/// Reads how tokens are had; it must be said by that issuer, and codes must be bound to who asked (PKCE).
pub fn authority(
    document: &Value,
    named: Named<'_>,
    server: &Url,
) -> Result<Authority, OauthError> {
    let issuer = text(document, "issuer").unwrap_or_default();
    is_asked(issuer, named, server)?;
    let at = |name: &str| {
        let address =
            text(document, name).ok_or_else(|| refused(format!("`{issuer}` has no `{name}`")))?;
        read(address, server)
    };
    let methods = texts(document, "code_challenge_methods_supported");
    if !methods.contains(&"S256") {
        return Err(refused(format!(
            "`{issuer}` does not say that it binds codes to who asked for them (PKCE, S256)"
        )));
    }
    let kinds = texts(document, "response_types_supported");
    if !kinds.is_empty() && !kinds.contains(&"code") {
        return Err(refused(format!("`{issuer}` gives out no codes")));
    }
    let is = |name: &str| document.get(name).and_then(Value::as_bool) == Some(true);
    Ok(Authority {
        issuer: issuer.to_owned(),
        authorize: at("authorization_endpoint")?,
        token: at("token_endpoint")?,
        register: text(document, "registration_endpoint").map(|it| read(it, server)).transpose()?,
        says_issuer: is("authorization_response_iss_parameter_supported"),
        takes_documents: is("client_id_metadata_document_supported"),
        methods: texts(document, "token_endpoint_auth_methods_supported")
            .into_iter()
            .map(str::to_owned)
            .collect(),
    })
}
