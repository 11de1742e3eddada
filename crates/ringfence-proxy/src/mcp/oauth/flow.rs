//! One login: what the person's browser is sent to, what it brings back, and what is had for that.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::metadata::Authority;
use super::{OauthError, form, query, refused, text, told};

/// Bytes of randomness of a login.
pub const RANDOM_BYTES: usize = 64;

/// Where a browser comes back to.
const CALLBACK: &str = "/callback";

/// How much of an issuer's digest is in that, in bytes.
const CALLBACK_BYTES: usize = 12;

/// Longest life of a token that is believed, in seconds.
const LIFE_SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// Who we are to an issuer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Our name there.
    pub id: String,
    /// Our secret, if it gave us one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How that is shown: in the form, or as a login.
    #[serde(default)]
    pub in_form: bool,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// How a client shows who it is where tokens are had (RFC 7591, `token_endpoint_auth_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By its name alone.
    None,
    /// By a secret, as a login.
    Basic,
    /// By a secret, in the form.
    Form,
}

impl Method {
    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Method::None => "none",
            Method::Basic => "client_secret_basic",
            Method::Form => "client_secret_post",
        }
    }

    /// The first of these that an issuer takes; one that names none takes a login (RFC 8414, section 2).
    fn first(of: &[Method], authority: &Authority) -> Option<Method> {
        if authority.methods.is_empty() {
            return of.contains(&Method::Basic).then_some(Method::Basic);
        }
        of.iter().copied().find(|it| authority.methods.iter().any(|name| name == it.name()))
    }

    /// How a client with a secret shows it to an issuer.
    pub fn with_secret(authority: &Authority) -> Result<Method, OauthError> {
        Method::first(&[Method::Basic, Method::Form], authority).ok_or_else(|| {
            refused(format!(
                "`{}` takes a client's secret in no way that is known here: `{}`",
                authority.issuer,
                authority.methods.join(" ")
            ))
        })
    }

    /// How we want to be made known to an issuer: without a secret, where it lets that be.
    pub fn to_register(authority: &Authority) -> Result<Method, OauthError> {
        let all = [Method::None, Method::Basic, Method::Form];
        if authority.methods.is_empty() {
            return Ok(Method::None);
        }
        Method::first(&all, authority).map_or_else(|| Method::with_secret(authority), Ok)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A login that a person is asked about.
pub struct Asked {
    state: String,
    verifier: Zeroizing<String>,
    redirect: String,
    resource: String,
    issuer: String,
    says_issuer: bool,
    /// What the browser is sent to.
    pub address: String,
}

/// What came back.
#[derive(PartialEq, Eq)]
pub enum Came {
    /// A code, which is good for one token.
    Code(Zeroizing<String>),
    /// The person or the issuer said no, or somebody else answered.
    Refused(String),
    /// It is no answer to what was asked.
    NotOurs,
}

impl Asked {
    /// Asks for a code, to be brought to `redirect`. `random` is nobody else's.
    pub fn new(
        random: &[u8; RANDOM_BYTES],
        (authority, client): (&Authority, &Client),
        (redirect, resource): (&str, &str),
        scope: Option<&str>,
    ) -> Asked {
        let (for_state, for_verifier) = random.split_at(RANDOM_BYTES / 2);
        let state = URL_SAFE_NO_PAD.encode(for_state);
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(for_verifier));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", redirect),
            ("state", state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", resource),
        ];
        pairs.extend(scope.map(|scope| ("scope", scope)));
        let joint = if authority.authorize.target.contains('?') { '&' } else { '?' };
        let address = format!("{}{joint}{}", authority.authorize, form(&pairs));
        Asked {
            address,
            state,
            verifier,
            redirect: redirect.to_owned(),
            resource: resource.to_owned(),
            issuer: authority.issuer.clone(),
            says_issuer: authority.says_issuer,
        }
    }

    /// What a query says that a browser brought to `redirect`.
    pub fn came(&self, text: &str) -> Came {
        let Some(pairs) = query(text) else { return Came::NotOurs };
        let get = |name: &str| {
            let mut all = pairs.iter().filter(|(of, _)| of == name).map(|(_, value)| value);
            // What stands twice has two readings.
            all.next().filter(|_| all.next().is_none())
        };
        let is_ours = get("state").is_some_and(|state| same(state, &self.state));
        if !is_ours {
            return Came::NotOurs;
        }
        // Before anything else that it says: another issuer's code is brought to that issuer by a mix-up (RFC 9207).
        match get("iss") {
            Some(issuer) if *issuer != self.issuer => {
                let why = format!("`{issuer}` answered in place of `{}`", self.issuer);
                return Came::Refused(told(&why));
            }
            None if self.says_issuer => {
                return Came::Refused(format!("it is not said that `{}` answered", self.issuer));
            }
            Some(_) | None => {}
        }
        if let Some(error) = get("error") {
            let more = get("error_description").map(|it| format!(": {it}")).unwrap_or_default();
            return Came::Refused(told(&format!("`{}` says {error}{more}", self.issuer)));
        }
        match get("code").filter(|code| !code.is_empty()) {
            Some(code) => Came::Code(Zeroizing::new(code.clone())),
            None => Came::Refused(format!("`{}` brought no code", self.issuer)),
        }
    }

    /// What a code is brought with.
    pub fn exchange(&self, code: &str, client: &Client) -> Post {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", self.verifier.as_str()),
            ("resource", self.resource.as_str()),
        ];
        Post::of(&pairs, client)
    }
}

/// What a new token is asked for with, in place of one that has ended.
pub fn renew(refresh: &str, resource: &str, client: &Client) -> Post {
    let pairs =
        [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", resource)];
    Post::of(&pairs, client)
}

/// A form for where tokens are had, and the login that goes with it.
pub struct Post {
    /// The body.
    pub body: Zeroizing<String>,
    /// `Authorization`, where the client shows its secret there.
    pub login: Option<Zeroizing<String>>,
}

impl Post {
    fn of(pairs: &[(&str, &str)], client: &Client) -> Post {
        let mut pairs = pairs.to_vec();
        let mut login = None;
        match &client.secret {
            Some(secret) if !client.in_form => {
                // RFC 6749, section 2.3.1: escaped before they are joined.
                let joined = format!("{}:{}", super::escaped(&client.id), super::escaped(secret));
                login = Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(joined))));
            }
            Some(secret) => {
                pairs.extend([("client_id", client.id.as_str()), ("client_secret", secret)]);
            }
            None => pairs.push(("client_id", client.id.as_str())),
        }
        Post { body: Zeroizing::new(form(&pairs)), login }
    }
}

/// Tokens that were had.
pub struct Tokens {
    /// What requests carry.
    pub access: Zeroizing<String>,
    /// What the next one is had for, if there is one.
    pub refresh: Option<Zeroizing<String>>,
    /// For how long it counts, in seconds, where that is said.
    pub life_seconds: Option<u64>,
    /// What it is for, where that is said.
    pub scope: Option<String>,
}

/// Reads what came for a code; never with anything of it in an error.
pub fn tokens(document: &Value) -> Result<Tokens, OauthError> {
    if let Some(error) = text(document, "error") {
        let more = text(document, "error_description");
        let more = more.map(|it| format!(": {it}")).unwrap_or_default();
        return Err(refused(format!("no token was given: {error}{more}")));
    }
    let is_bearer =
        text(document, "token_type").is_some_and(|it| it.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        return Err(refused("a token was given that is not one for its bearer"));
    }
    let token = |name: &str| {
        let Some(token) = text(document, name) else { return Ok(None) };
        // RFC 6750, section 2.1: what may stand in the header.
        let is_plain = token.bytes().all(|it| it.is_ascii_graphic());
        let token = is_plain.then(|| Zeroizing::new(token.to_owned()));
        token.map(Some).ok_or_else(|| refused(format!("`{name}` is no token")))
    };
    let access =
        token("access_token")?.ok_or_else(|| refused("there is no token in the answer"))?;
    let life = document
        .get("expires_in")
        .and_then(|it| it.as_u64().or_else(|| it.as_str().and_then(|text| text.parse().ok())));
    Ok(Tokens {
        access,
        refresh: token("refresh_token")?,
        life_seconds: life.map(|it| it.min(LIFE_SECONDS_MAX)),
        scope: text(document, "scope").map(str::to_owned),
    })
}

/// What an issuer is told of us, so that it knows us (RFC 7591).
pub fn registration(redirect: &str, method: Method, scope: Option<&str>) -> Value {
    let mut document = json!({
        "client_name": "Ringfence",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.name(),
        "application_type": "native",
    });
    if let (Some(scope), Some(all)) = (scope, document.as_object_mut()) {
        all.insert("scope".to_owned(), Value::from(scope));
    }
    document
}

/// Who we are, by the answer to that, where `asked` is what we asked for.
pub fn registered(document: &Value, asked: Method) -> Result<Client, OauthError> {
    if let Some(error) = text(document, "error") {
        return Err(refused(format!("we were not made known there: {error}")));
    }
    let id = text(document, "client_id").ok_or_else(|| refused("we were given no name there"))?;
    let all = [Method::None, Method::Basic, Method::Form];
    let method = match text(document, "token_endpoint_auth_method") {
        None => asked,
        Some(said) => all.into_iter().find(|it| it.name() == said).ok_or_else(|| {
            refused(format!("we are to show who we are in a way that is not known here: `{said}`"))
        })?,
    };
    let secret = text(document, "client_secret").filter(|_| method != Method::None);
    if secret.is_none() && method != Method::None {
        return Err(refused("we are to show a secret, and were given none"));
    }
    let in_form = method == Method::Form;
    Ok(Client { id: id.to_owned(), secret: secret.map(str::to_owned), in_form })
}

/// Where a browser comes back to that was at this issuer: at a place of its own where we make ourselves known to it and
/// it does not say its name beside a code, so that no other issuer was told of that place (OAuth 2.1, "Mix-Up Attacks").
pub fn callback(authority: &Authority, known_as: Option<&str>) -> String {
    if known_as.is_some() || authority.says_issuer {
        return CALLBACK.to_owned();
    }
    let digest = Sha256::digest(authority.issuer.as_bytes());
    let own = digest.get(..CALLBACK_BYTES).unwrap_or_default();
    format!("{CALLBACK}/{}", URL_SAFE_NO_PAD.encode(own))
}

/// Compares without telling by its time how much is the same.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).fold(0_u8, |all, (one, other)| all | (one ^ other)) == 0
}
